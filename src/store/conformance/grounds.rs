//! What an order rests on: where it is not so any more, nothing is made, whichever node asks.

use super::*;
use crate::store::{LinkPurpose, StoredLink};

fn set(hash: &str) -> Change {
    Change::PasswordSet { account: account(1), hash: hash.into(), by_mail: false }
}

fn is_conflict(made: &Result<Head, StoreError>) -> bool {
    matches!(made, Err(StoreError::Conflict))
}

async fn of_two_first_organizations_one_is_made(kind: Kind) {
    for _ in 0..8 {
        let house = House::new(kind).await;
        let twin = house.twin().await;
        let (one, other) = ([create_organization(1)], [create_organization(2)]);
        let made = tokio::join!(
            house.make_on(Ground::NoOrganization, &one),
            house.make_at(&twin, Ground::NoOrganization, &other),
        );
        assert!(is_conflict(&made.0) != is_conflict(&made.1), "{made:?}");
        assert!(made.0.is_ok() != made.1.is_ok(), "{made:?}");
        let again = house.make_on(Ground::NoOrganization, &[create_organization(3)]).await;
        assert!(is_conflict(&again), "{again:?}");
        house.is_sound().await;
    }
}

async fn of_two_who_change_one_password_one_does(kind: Kind) {
    let house = House::with_member(kind).await;
    let twin = house.twin().await;
    let was = |hash: &str| Ground::Password(account(1), hash.into());
    assert!(is_conflict(&house.make_on(was("first"), &[set("second")]).await), "there is none");
    house.made(set("first")).await;
    let (ada, eve) = ([set("ada")], [set("eve")]);
    let made =
        tokio::join!(house.make_on(was("first"), &ada), house.make_at(&twin, was("first"), &eve));
    assert!(made.0.is_ok() != made.1.is_ok(), "{made:?}");
    assert!(is_conflict(&made.0) != is_conflict(&made.1), "{made:?}");
    let hash = house.store.credentials(account(1)).await.unwrap().unwrap().password_hash;
    assert_eq!(hash.as_deref(), Some(if made.0.is_ok() { "ada" } else { "eve" }));
    // Nor is anything else made on it.
    let account = account(1);
    let factor = house.make_on(was("first"), &[Change::SecondFactorSet { account }]).await;
    assert!(is_conflict(&factor), "{factor:?}");
    house.is_sound().await;
}

async fn a_link_is_used_up_with_what_it_is_good_for(kind: Kind) {
    let house = House::with_member(kind).await;
    let keep = async |n: u8, expires_at| {
        let purpose = LinkPurpose::Reset(account(1));
        let link = StoredLink { digest: digest(n, 9), purpose, expires_at };
        house.store.keep_link(link, None).await
    };
    let twin = house.twin().await;
    let link = |n: u8| Ground::Link(digest(n, 9));
    let reset = async |n: u8, hash| house.make_on(link(n), &[set(hash)]).await;
    let elsewhere = async |n: u8, hash| house.make_at(&twin, link(n), &[set(hash)]).await;
    keep(1, at(2000)).await.unwrap();
    let made = tokio::join!(reset(1, "one"), elsewhere(1, "other"));
    assert!(made.0.is_ok() != made.1.is_ok(), "{made:?}");
    assert!(is_conflict(&made.0) != is_conflict(&made.1), "{made:?}");
    assert_eq!(house.store.link(digest(1, 9), at(1000)).await.unwrap(), None);
    // Orders are made at 1000: this one is over.
    keep(2, at(1000)).await.unwrap();
    assert!(is_conflict(&reset(2, "late").await));
    // Whoever sets a password meanwhile has the last word.
    keep(3, at(2000)).await.unwrap();
    house.made(set("of the operator")).await;
    assert!(is_conflict(&reset(3, "late").await));
    // What cannot be made uses nothing up.
    keep(4, at(2000)).await.unwrap();
    let twice = [set("new"), create_account(1)];
    assert!(house.make_on(link(4), &twice).await.is_err());
    reset(4, "new").await.unwrap();
    house.is_sound().await;
}

on_every_store!(
    of_two_first_organizations_one_is_made,
    of_two_who_change_one_password_one_does,
    a_link_is_used_up_with_what_it_is_good_for,
);
