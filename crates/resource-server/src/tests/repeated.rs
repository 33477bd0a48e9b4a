//! Tokens that come again.

use super::issuer::SigningKey;
use super::{NOW, World};
use crate::Refused;
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn a_repeat_is_remembered() {
    let world = World::new().await;
    let token = world.token();
    let first = world.verify(&token).await.unwrap();
    assert_eq!(world.verifier.remembered(), 1);
    let second = world.verify(&token).await.unwrap();
    // The same piece of memory, not an equal one.
    assert!(std::ptr::eq(first.claims(), second.claims()));
}

#[tokio::test]
async fn none_is_remembered_past_its_end() {
    let world = World::new().await;
    let token = world.signed(&world.claims_with("exp", json!(NOW + 60)));
    assert!(world.verify(&token).await.is_ok());
    world.clock.advance(Duration::from_secs(59));
    assert!(world.verify(&token).await.is_ok());
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(world.verify(&token).await, Err(Refused::Expired));
    assert_eq!(world.verifier.remembered(), 0);
    assert_eq!(world.verify(&token).await, Err(Refused::Expired));
}

#[tokio::test]
async fn leeway_is_what_was_set() {
    let world = World::with(|builder| builder.expiry_leeway(Duration::from_secs(10))).await;
    let token = world.signed(&world.claims_with("exp", json!(NOW + 60)));
    world.clock.advance(Duration::from_secs(69));
    assert!(world.verify(&token).await.is_ok());
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(world.verify(&token).await, Err(Refused::Expired));
}

#[tokio::test]
async fn what_is_remembered_is_bounded() {
    let world = World::with(|builder| builder.remember(10)).await;
    for jti in 0..100 {
        let token = world.signed(&world.claims_with("jti", json!(jti.to_string())));
        assert_eq!(world.verify(&token).await.unwrap().id(), jti.to_string());
    }
    assert!((1..=10).contains(&world.verifier.remembered()));
}

#[tokio::test]
async fn remembering_can_be_switched_off() {
    let world = World::with(|builder| builder.remember(0)).await;
    let token = world.token();
    assert!(world.verify(&token).await.is_ok());
    assert!(world.verify(&token).await.is_ok());
    assert_eq!(world.verifier.remembered(), 0);
}

#[tokio::test]
async fn what_is_refused_is_not_remembered() {
    let world = World::new().await;
    let token = world.signed(&world.claims_with("aud", json!("other")));
    assert_eq!(world.verify(&token).await, Err(Refused::WrongAudience));
    assert_eq!(world.verifier.remembered(), 0);
}

#[tokio::test]
async fn a_withdrawn_key_takes_what_it_signed_with_it() {
    let world = World::new().await;
    let token = world.lasting(&world.ed, "ed");
    assert!(world.verify(&token).await.is_ok());
    // The kid may go on with another key.
    world.issuer.publish(&[SigningKey::ed25519().jwk("ed")]);
    world.clock.advance(Duration::from_mins(5));
    world.verifier.attempted(2).await;
    assert_eq!(world.verify(&token).await, Err(Refused::WrongSignature));
}
