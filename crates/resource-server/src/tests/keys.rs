//! Keys that change, and issuers that do not answer.

use super::issuer::{Answer, Issuer, SigningKey};
use super::{AUDIENCE, SetClock, World};
use crate::{BuildError, Refused, Verifier};
use serde_json::json;
use std::time::Duration;

const PAUSE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_new_key_is_found_by_the_first_token_that_names_it() {
    let world = World::new().await;
    let new = SigningKey::ed25519();
    world.issuer.publish(&[world.ed.jwk("ed"), new.jwk("new")]);
    world.clock.advance(PAUSE);
    assert!(world.verify(&world.lasting(&new, "new")).await.is_ok());
    assert!(world.verify(&world.lasting(&world.ed, "ed")).await.is_ok());
    assert_eq!(world.issuer.asked(), 2);
}

#[tokio::test]
async fn keys_are_fetched_before_they_age() {
    let world = World::new().await;
    let new = SigningKey::p256();
    world.issuer.publish(&[new.jwk("new")]);
    world.clock.advance(Duration::from_secs(239));
    assert!(world.verify(&world.lasting(&world.ed, "ed")).await.is_ok());
    assert_eq!(world.issuer.asked(), 1);
    world.clock.advance(Duration::from_secs(1));
    world.verifier.attempted(2).await;
    assert!(world.verify(&world.lasting(&new, "new")).await.is_ok());
    assert_eq!(world.verify(&world.lasting(&world.ed, "ed")).await, Err(Refused::UnknownKey));
    assert_eq!(world.issuer.asked(), 2);
}

#[tokio::test]
async fn what_the_issuer_says_of_its_age_counts_within_bounds() {
    let world = World::new().await;
    for (cache_control, seconds) in
        [("max-age=100", 80), ("no-store", 24), ("max-age=9999999", 240)]
    {
        let document = json!({"keys": [world.ed.jwk("ed")]}).to_string();
        world.issuer.answer(Answer::Keys { document, cache_control: cache_control.into() });
        world.clock.advance(Duration::from_mins(5));
        let asked = world.issuer.asked() + 1;
        world.verifier.attempted(asked).await;
        assert_eq!(world.issuer.asked(), asked);
        world.clock.advance(Duration::from_secs(seconds - 1));
        // Whatever is due would be done by the time that this is answered.
        assert!(world.verify(&world.lasting(&world.ed, "ed")).await.is_ok());
        assert_eq!(world.issuer.asked(), asked, "{cache_control}");
        world.clock.advance(Duration::from_secs(1));
        world.verifier.attempted(asked + 1).await;
    }
}

#[tokio::test]
async fn a_flood_of_unknown_keys_is_one_question() {
    let world = World::new().await;
    let flood = async |round: usize| {
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..200 {
            let token = world.lasting(&world.ed, &format!("{round}-{number}"));
            let verifier = world.verifier.clone();
            tasks.spawn(async move { verifier.verify(&token).await });
        }
        for answer in tasks.join_all().await {
            assert_eq!(answer, Err(Refused::UnknownKey));
        }
    };
    // They were fetched just now.
    flood(0).await;
    assert_eq!(world.issuer.asked(), 1);
    for round in 1..=3 {
        world.clock.advance(PAUSE);
        flood(round).await;
        flood(round).await;
        assert_eq!(world.issuer.asked(), 1 + round);
    }
}

#[tokio::test]
async fn what_is_no_token_asks_nobody() {
    let world = World::new().await;
    world.clock.advance(PAUSE);
    let other = super::sign(
        &json!({"alg": "EdDSA", "kid": "unknown", "typ": "JWT"}),
        &world.claims(),
        &world.ed,
    );
    assert_eq!(world.verify(&other).await, Err(Refused::WrongType));
    assert_eq!(world.verify("e30.e30.AA").await, Err(Refused::Malformed));
    assert_eq!(world.issuer.asked(), 1);
}

#[tokio::test]
async fn a_client_that_goes_away_keeps_no_key_from_being_found() {
    let world = World::new().await;
    let new = SigningKey::ed25519();
    world.issuer.publish(&[new.jwk("new")]);
    world.issuer.is_silent();
    world.clock.advance(PAUSE);
    let token = world.lasting(&world.ed, "unknown");
    let verifier = world.verifier.clone();
    let client = tokio::spawn(async move { verifier.verify(&token).await });
    world.issuer.is_asked(2).await;
    client.abort();
    assert!(client.await.unwrap_err().is_cancelled());
    world.issuer.answers();
    world.verifier.attempted(2).await;
    assert!(world.verify(&world.lasting(&new, "new")).await.is_ok());
    assert_eq!(world.issuer.asked(), 2);
}

#[tokio::test]
async fn known_keys_wait_for_nobody() {
    let world = World::new().await;
    world.issuer.is_silent();
    world.clock.advance(PAUSE);
    let token = world.lasting(&world.ed, "unknown");
    let verifier = world.verifier.clone();
    let waiting = tokio::spawn(async move { verifier.verify(&token).await });
    world.issuer.is_asked(2).await;
    assert!(world.verify(&world.token()).await.is_ok());
    world.issuer.answers();
    assert_eq!(waiting.await.unwrap(), Err(Refused::UnknownKey));
}

#[tokio::test]
async fn an_issuer_goes_down_and_comes_back() {
    let mut world = World::new().await;
    let new = SigningKey::ed25519();
    world.issuer.publish(&[world.ed.jwk("ed"), new.jwk("new")]);
    world.issuer.goes_down().await;
    world.clock.advance(Duration::from_hours(23));
    world.verifier.attempted(2).await;
    assert!(world.verify(&world.lasting(&world.ed, "ed")).await.is_ok());
    assert_eq!(world.verify(&world.lasting(&new, "new")).await, Err(Refused::UnknownKey));
    assert!(world.verifier.is_ready());
    world.issuer.comes_back().await;
    world.clock.advance(PAUSE);
    assert!(world.verify(&world.lasting(&new, "new")).await.is_ok());
}

#[tokio::test]
async fn keys_are_not_relied_on_for_ever() {
    let mut world = World::new().await;
    let token = world.lasting(&world.ed, "ed");
    assert!(world.verify(&token).await.is_ok());
    world.issuer.goes_down().await;
    world.clock.advance(Duration::from_hours(24));
    // The token is remembered, but by keys that are not relied on any more.
    assert_eq!(world.verify(&token).await, Err(Refused::NoKeys));
    assert!(!world.verifier.is_ready());
    world.issuer.comes_back().await;
    world.clock.advance(Duration::from_mins(1));
    assert!(world.verify(&token).await.is_ok());
}

#[tokio::test]
async fn a_suspended_machine_grows_older_too() {
    let mut world = World::new().await;
    world.issuer.goes_down().await;
    world.clock.suspend(Duration::from_hours(24));
    let token = world.lasting(&world.ed, "ed");
    assert_eq!(world.verify(&token).await, Err(Refused::NoKeys));
}

#[tokio::test]
async fn what_is_no_answer_changes_nothing() {
    let world = World::new().await;
    let other = Issuer::start().await;
    other.publish(&[SigningKey::ed25519().jwk("ed")]);
    let elsewhere = format!("{}/other/keys", other.url());
    let here = format!("{}/other/keys", world.issuer.url());
    let keys = |document: String| Answer::Keys { document, cache_control: String::new() };
    let token = world.lasting(&world.ed, "ed");
    for (number, answer) in [
        Answer::Redirect(elsewhere),
        Answer::Redirect(here),
        Answer::Status(404),
        Answer::Status(500),
        keys(String::new()),
        keys("<html>".into()),
        keys(r#"{"keys":[]} "#.repeat(2)),
        keys(format!(r#"{{"keys":[],"x":"{}"}}"#, "x".repeat(64 * 1024))),
        keys(json!({"keys": [world.ec.jwk("ed"), world.ed.jwk("ed")]}).to_string()),
    ]
    .into_iter()
    .enumerate()
    {
        world.issuer.answer(answer);
        world.clock.advance(Duration::from_mins(5));
        world.verifier.attempted(number + 2).await;
        assert!(world.verify(&token).await.is_ok(), "{number}");
    }
    assert_eq!((world.issuer.asked(), other.asked()), (10, 0));
}

#[tokio::test]
async fn an_issuer_may_withdraw_all_keys() {
    let world = World::new().await;
    let token = world.lasting(&world.ed, "ed");
    assert!(world.verify(&token).await.is_ok());
    world.issuer.publish(&[]);
    world.clock.advance(Duration::from_mins(5));
    world.verifier.attempted(2).await;
    assert_eq!(world.verify(&token).await, Err(Refused::UnknownKey));
    assert!(!world.verifier.is_ready());
}

#[tokio::test]
async fn keys_are_found_by_metadata() {
    let world = World::with(crate::Builder::keys_by_metadata).await;
    assert!(world.verify(&world.token()).await.is_ok());
}

#[tokio::test]
async fn a_wrong_issuer_shows_at_the_start() {
    let mut issuer = Issuer::start().await;
    let build = async |url: String| Verifier::builder(url, AUDIENCE).build().await;
    let error = build(issuer.url()).await.unwrap_err();
    assert!(matches!(&error, BuildError::Keys(_)) && error.to_string().contains("404"), "{error}");
    issuer.publish(&[]);
    assert!(matches!(build(issuer.url()).await, Err(BuildError::NoKeys)));
    issuer.goes_down().await;
    assert!(matches!(build(issuer.url()).await, Err(BuildError::Keys(_))));
}

#[tokio::test]
async fn nothing_is_said_in_the_clear_to_an_issuer_by_https() {
    let issuer = Issuer::start().await;
    issuer.publish(&[SigningKey::ed25519().jwk("ed")]);
    let url = issuer.url().replace("http:", "https:");
    let error = Verifier::builder(url, AUDIENCE).build().await.unwrap_err();
    // Certificates are missing where the machine has none.
    assert!(matches!(error, BuildError::Keys(_) | BuildError::Certificates(_)), "{error}");
    assert_eq!(issuer.asked(), 0);
}

#[tokio::test]
async fn an_issuer_that_says_nothing_is_not_waited_for() {
    let issuer = Issuer::start().await;
    issuer.is_silent();
    let builder = Verifier::builder(issuer.url(), AUDIENCE).fetch_timeout(Duration::from_millis(1));
    assert!(matches!(builder.build().await, Err(BuildError::Keys(_))));
}

#[tokio::test]
async fn a_service_may_start_before_its_issuer() {
    let mut issuer = Issuer::start().await;
    let key = SigningKey::ed25519();
    issuer.publish(&[key.jwk("ed")]);
    issuer.goes_down().await;
    let clock = SetClock::new();
    let builder = Verifier::builder(issuer.url(), AUDIENCE).clock(clock.as_clock());
    let verifier = builder.start_without_keys().build().await.unwrap();
    let world = World::new().await;
    let mut claims = world.claims();
    claims["iss"] = json!(issuer.url());
    let token = super::sign(&super::header("EdDSA", "ed"), &claims, &key);
    assert_eq!(verifier.verify(&token).await, Err(Refused::NoKeys));
    assert!(!verifier.is_ready());
    issuer.comes_back().await;
    clock.advance(PAUSE);
    assert!(verifier.verify(&token).await.is_ok());
    assert!(verifier.is_ready());
}

#[tokio::test]
async fn the_task_ends_with_the_last_verifier() {
    let world = World::new().await;
    let task = world.verifier.task();
    let clone = world.verifier.clone();
    drop(world.verifier);
    assert!(!task.is_finished());
    drop(clone);
    // It ends the next time that the runtime comes to it.
    while !task.is_finished() {
        tokio::task::yield_now().await;
    }
}
