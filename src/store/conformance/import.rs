//! Import: orders of many changes, and no way back for a secret.

use super::{
    House, Kind, at, create_account, digest, import, on_every_store, organization, rotate, token,
    token_id,
};
use crate::store::{Order, StoreError};
use counterfoil_core::{
    account::AccountKind,
    id::AccountId,
    ledger::{Actor, Change},
    token::{Digest, State, Token},
};

async fn an_import_brings_no_secret_back(kind: Kind) {
    let house = House::with_member(kind).await;
    for n in 1..=3 {
        house.made(import(n, digest(n, 0))).await;
    }
    let stored = house.store.token(token_id(1)).await.unwrap().unwrap();
    assert_eq!((&*stored.token.prefix, stored.token.digest), ("", digest(1, 0)));
    assert!(house.replica.index().unwrap().find(&digest(1, 0)).is_some());
    // One that still works, two that have been replaced, one that is revoked.
    house.made(rotate(1, 0, Some(at(9000)))).await;
    house.made(rotate(2, 0, None)).await;
    house.made(rotate(2, 1, None)).await;
    let reason = String::new();
    let organization = organization(1);
    house.made(Change::TokenRevoked { token: token_id(3), organization, reason }).await;
    let spent = [digest(1, 0), digest(2, 0), digest(2, 1), digest(3, 0)];
    for secret in spent {
        house.refused(import(4, secret)).await;
        let issued = Token { digest: secret, ..token(4, 1, 1) };
        house.refused(Change::TokenIssued(Box::new(issued))).await;
    }
    let live = [digest(1, 1), digest(2, 2)];
    let asked: Vec<Digest> =
        spent.into_iter().chain(live).chain([digest(4, 0), digest(5, 0)]).collect();
    // Whether what a secret belonged to has ended is known too: the second of them
    // ends at 5000.
    let [one, two, three] = [1, 2, 3].map(token_id);
    let owners = [one, two, two, three, one, two];
    let digests = spent.into_iter().chain(live);
    for (now, ended) in [(at(4999), &[three][..]), (at(5000), &[two, three])] {
        let known = house.store.known_digests(asked.clone(), now).await.unwrap();
        let alive = owners.map(|token| (!ended.contains(&token)).then_some(token));
        assert_eq!(known, digests.clone().zip(alive).collect());
    }
    house.made(import(4, digest(4, 0))).await;
    house.is_sound().await;
    if kind == Kind::Sqlite {
        // A database from before remembers them too, once it has been brought forward.
        house.by_hand("DROP TABLE replaced_digest");
        house.by_hand(include_str!("../../../migrations/sqlite/0005_import.sql"));
        house.is_sound().await;
    }
    // Whoever wants to bring one back by hand is found out.
    house.by_hand("DELETE FROM replaced_digest");
    let inspection = house.store.inspect_ledger(Box::new(|_, _| {})).await.unwrap();
    assert_eq!(inspection.findings.len(), 3);
    assert!(inspection.findings[0].starts_with("replaced_digest "), "{:?}", inspection.findings);
}

async fn an_imported_token_can_be_paused_from_the_first(kind: Kind) {
    let house = House::with_member(kind).await;
    house.made(import(5, digest(5, 0))).await;
    let record = house.replica.index().unwrap().find(&digest(5, 0)).unwrap();
    assert_eq!(record.state(), State::Paused);
    let stored = house.store.token(token_id(5)).await.unwrap().unwrap();
    assert_eq!(stored.paused_at, Some(at(1000)));
    house.is_sound().await;
    let (token, organization) = (token_id(5), organization(1));
    house.refused(Change::TokenPaused { token, organization }).await;
    house.made(Change::TokenResumed { token, organization }).await;
    house.is_sound().await;
}

async fn a_large_order_tells_how_far_it_is(kind: Kind) {
    let house = House::with_member(kind).await;
    let (told, steps) = std::sync::mpsc::channel();
    let progress = Box::new(move |done, of| told.send((done, of)).unwrap());
    let head = house.store.commit_large(accounts("a", 2500), progress).await.unwrap();
    assert_eq!(head.number, 3 + 2500);
    let steps: Vec<(u64, u64)> = steps.iter().collect();
    assert!(steps.len() > 1 && steps.is_sorted(), "{steps:?}");
    assert!(steps.iter().all(|(done, of)| done <= of && *of == 2500), "{steps:?}");
    house.is_sound().await;
}

/// Here they share a writer. On PostgreSQL a large order has a transaction of its own beside others.
#[tokio::test]
async fn a_large_order_that_fails_is_nobody_elses_failure() {
    let house = House::with_member(Kind::Sqlite).await;
    // No conflict, which is an order's own in any case.
    let overflow = "CREATE TRIGGER t BEFORE INSERT ON account WHEN NEW.name = 'fails' BEGIN
                        SELECT abs(-9223372036854775807 - 1);
                    END";
    house.by_hand(overflow);
    // The writer waits in the middle of one until all the others have queued up.
    let strangers = [create_account(2), create_account(3)];
    let (go_on, wait) = std::sync::mpsc::channel();
    let waiting = Box::new(move |_, _| wait.recv().unwrap());
    let (first, before, fails, behind, ()) = tokio::join!(
        biased;
        house.store.commit_large(accounts("first", 1001), waiting),
        house.make(&strangers[..1]),
        house.store.commit_large(accounts("fails", 1001), Box::new(|_, _| {})),
        house.make(&strangers[1..]),
        async { go_on.send(()).unwrap() },
    );
    assert_eq!(first.unwrap().number, 3 + 1001);
    assert_eq!(before.unwrap().number, 3 + 1001 + 1);
    assert!(matches!(fails, Err(StoreError::Unavailable(_))), "{fails:?}");
    let head = behind.unwrap();
    assert_eq!(head.number, 3 + 1001 + 2);
    assert_eq!(house.replica.head(), head);
    house.by_hand("DROP TRIGGER t");
    house.is_sound().await;
    house.store.commit_large(accounts("fails", 1001), Box::new(|_, _| {})).await.unwrap();
    house.is_sound().await;
}

/// An order of so many accounts.
fn accounts(name: &str, count: u16) -> Order {
    let create = |n: u16| {
        // The index takes the end of an id for random.
        let mut entropy = [0; 10];
        entropy.copy_from_slice(&Digest::of(&format!("{name} {n}")).as_bytes()[..10]);
        let change = Change::AccountCreated {
            account: AccountId::new(at(2), entropy),
            account_kind: AccountKind::Service,
            email: None,
            name: name.into(),
            external_id: None,
        };
        (change, [7; 16])
    };
    let changes = (0..count).map(create).collect();
    Order {
        at: at(1000),
        actor: Actor::Operator,
        standing: None,
        grounds: Vec::new(),
        changes,
        once: None,
    }
}

on_every_store!(
    an_import_brings_no_secret_back,
    an_imported_token_can_be_paused_from_the_first,
    a_large_order_tells_how_far_it_is,
);
