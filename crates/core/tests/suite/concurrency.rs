//! Concurrency: who reads the index while it changes never sees a token after its end was applied.

use crate::scene::{EXPIRY, Scene, account, organization, secret, token, token_id};
use counterfoil_core::{
    Code, Timestamp,
    account::Rank,
    credential::Scheme,
    index::Index,
    ledger::Change,
    token::{Digest, State},
};
use std::{
    sync::{
        Barrier,
        atomic::{AtomicU32, Ordering},
    },
    thread,
};

const READERS: usize = 3;

/// How many tokens live and end, enough to make the maps grow several times under the readers.
const TOKENS: u32 = 4000;

/// How often a reader looks at most.
const LOOKS: u32 = 1_000_000;

/// Lets `write` run while [`READERS`] threads run `read`, all beginning at once.
fn together(read: impl Fn(usize) + Sync, write: impl FnOnce()) {
    let start = Barrier::new(READERS + 1);
    thread::scope(|scope| {
        for reader in 0..READERS {
            let (start, read) = (&start, &read);
            scope.spawn(move || {
                start.wait();
                read(reader);
            });
        }
        start.wait();
        write();
    });
}

/// Ends token `n`, or at least its first secret, in one of the ways there are.
fn end(index: &Index, n: u32) {
    let (token, organization) = (token_id(n), organization(1));
    let rotated = |previous_until| Change::TokenRotated {
        revision: 0,
        token,
        organization,
        replaces: secret(n).digest(),
        previous_until,
        digest: secret(n + TOKENS).digest(),
        prefix: "acme".into(),
        last_four: "0000".into(),
    };
    let revoked = Change::TokenRevoked { token, organization, reason: String::new() };
    let changes = match n % 4 {
        0 => vec![revoked],
        1 => vec![Change::TokenPaused { token, organization }],
        2 => vec![rotated(None)],
        _ => vec![rotated(Some(EXPIRY)), revoked],
    };
    for change in &changes {
        index.apply(change).unwrap();
    }
}

/// Why the first secret of token `n` is refused once [`end`] has returned.
fn reason(n: u32) -> Code {
    match n % 4 {
        1 => Code::Paused,
        2 => Code::UnknownToken,
        _ => Code::Revoked,
    }
}

#[test]
fn what_has_ended_is_refused_while_others_come_and_go() {
    let scene = Scene::new(Scheme::Bearer);
    let digests: Vec<Digest> = (0..=TOKENS).map(|n| secret(n).digest()).collect();
    let ended = AtomicU32::new(1);
    let read = |reader: usize| {
        let mut random = u32::try_from(reader).unwrap();
        for _ in 0..LOOKS {
            // Tokens 2 to `last` have ended, and this thread knows it.
            let last = ended.load(Ordering::Acquire);
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            for n in [last, 2 + (random >> 8) % last] {
                if (2..=last).contains(&n) {
                    let found = scene.index.find(&digests[n as usize]).map(|entry| entry.state());
                    let expected = match reason(n) {
                        Code::Paused => Some(State::Paused),
                        Code::Revoked => Some(State::Revoked),
                        _ => None,
                    };
                    assert_eq!(found, expected, "token {n} of {last} by digest");
                    let by_id = scene.index.find_by_id(token_id(n)).unwrap();
                    assert_eq!(by_id.state(), expected.unwrap_or(State::Active), "token {n} by id");
                }
            }
            // The one that nobody touches is there all the time.
            assert_eq!(scene.code(), None);
            if last == TOKENS {
                break;
            }
        }
    };
    together(read, || {
        for n in 2..=TOKENS {
            let token = token(n, "orders", organization(1), account(1));
            scene.apply(&Change::TokenIssued(Box::new(token)));
            end(&scene.index, n);
            ended.store(n, Ordering::Release);
        }
    });
    let mut scene = scene;
    for n in 2..=TOKENS {
        scene.present(n);
        assert_eq!(scene.code(), Some(reason(n)), "token {n}");
    }
}

#[test]
fn a_verdict_is_never_older_than_the_change_before_it() {
    const ROUNDS: u32 = 2000;
    type Switch = [Change; 2];
    let scene = Scene::new(Scheme::Basic);
    let (account, organization) = (account(1), organization(1));
    let moved = |email: &str| Change::EmailSet { account, email: email.parse().unwrap() };
    let switches: [Switch; 4] = [
        [moved("countess@example.com"), moved("ada@example.com")],
        [Change::AccountDisabled { account }, Change::AccountEnabled { account }],
        [
            Change::MembershipEnded { organization, account },
            Change::MembershipAdded { organization, account, rank: Rank::Member },
        ],
        [
            Change::TokenPaused { token: token_id(1), organization },
            Change::TokenResumed { token: token_id(1), organization },
        ],
    ];
    // 4n: accepted. 4n + 2: refused. Odd: being changed, either is right.
    let phase = AtomicU32::new(0);
    let read = |_| {
        for _ in 0..LOOKS {
            let before = phase.load(Ordering::Acquire);
            let accepted = scene.judge().is_ok();
            let after = phase.load(Ordering::Acquire);
            if before == after {
                match before % 4 {
                    0 => assert!(accepted, "phase {before}"),
                    2 => assert!(!accepted, "phase {before}"),
                    _ => {}
                }
            }
            if before == 4 * ROUNDS {
                break;
            }
        }
    };
    together(read, || {
        for round in 0..ROUNDS {
            let [off, on] = &switches[round as usize % switches.len()];
            phase.store(4 * round + 1, Ordering::Release);
            scene.apply(off);
            phase.store(4 * round + 2, Ordering::Release);
            // Something else happens in between, so that the phase lasts.
            let other = token(round + 2, "orders", organization, account);
            scene.apply(&Change::TokenIssued(Box::new(other)));
            phase.store(4 * round + 3, Ordering::Release);
            scene.apply(on);
            phase.store(4 * round + 4, Ordering::Release);
        }
    });
    assert_eq!(scene.code(), None);
}

#[test]
fn a_digest_leads_to_the_token_whose_secret_it_is_at_every_moment() {
    const ROUNDS: u32 = 12_000;
    let scene = Scene::new(Scheme::Bearer);
    let digests: Vec<Digest> = (0..=ROUNDS).map(|n| secret(n).digest()).collect();
    let current = AtomicU32::new(1);
    let read = |_| {
        for _ in 0..LOOKS {
            let n = current.load(Ordering::Acquire);
            let found = scene.index.find(&digests[n as usize]);
            let newest = current.load(Ordering::Acquire);
            for _ in 0..8 {
                assert!(scene.index.find_by_id(scene.token.id).is_some(), "by id, at {n}");
            }
            // One that is replaced without an overlap is gone before the next is counted.
            let may_be_gone = newest > n || (n + 1).is_multiple_of(3);
            assert!(found.is_some() || may_be_gone, "secret {n} is gone, the newest is {newest}");
            // The one before `n` may still lead to the token, and to no other.
            let before = scene.index.find(&digests[n as usize - 1]);
            for (n, found) in [(n, found), (n - 1, before)] {
                if let Some(entry) = found {
                    assert_eq!(entry.id(), scene.token.id, "secret {n}");
                }
            }
            if n == ROUNDS {
                break;
            }
        }
    };
    together(read, || {
        for n in 2..=ROUNDS {
            // With an earlier secret beside the new one, and without.
            scene.rotate(n, (n % 3 > 0).then_some(EXPIRY));
            current.store(n, Ordering::Release);
        }
    });
}

#[test]
fn a_token_that_is_changed_shows_all_of_the_change_or_none() {
    const ROUNDS: u32 = 30_000;
    let scene = Scene::new(Scheme::Bearer);
    let (near, far) = (EXPIRY, Timestamp::from_millis(EXPIRY.as_millis() + 1));
    let networks = ["10.0.0.0/8", "192.0.2.0/24"].map(|text| text.parse().unwrap());
    let change = |round: u32| {
        let (networks, end) =
            if round.is_multiple_of(2) { (&networks[..1], near) } else { (&networks[..], far) };
        Change::TokenChanged {
            token: scene.token.id,
            organization: organization(1),
            revision: 0,
            name: String::new(),
            note: String::new(),
            grant: scene.token.grant.clone(),
            expires_at: Some(end),
            allowed_networks: networks.to_vec(),
            external_id: None,
            metadata: None,
        }
    };
    // Some of them stand beside it, and are moved whenever it is changed.
    let neighbours = 2..20_000;
    for n in neighbours.clone() {
        let token = token(n, "orders", organization(1), account(1));
        scene.apply(&Change::TokenIssued(Box::new(token)));
    }
    let digests: Vec<Digest> = neighbours.map(|n| secret(n).digest()).collect();
    let is_over = AtomicU32::new(0);
    let read = |_| {
        for look in 0..LOOKS as usize {
            let admitted = scene.judge().unwrap();
            let identity = admitted.identity().unwrap();
            let seen = (identity.allowed_networks().len(), identity.expires_at());
            assert!([(1, Some(near)), (2, Some(far))].contains(&seen), "{seen:?}");
            let neighbour = &digests[look % digests.len()];
            assert!(scene.index.find(neighbour).is_some(), "{neighbour:?}");
            if is_over.load(Ordering::Acquire) == 1 {
                break;
            }
        }
    };
    together(read, || {
        for round in 0..ROUNDS {
            scene.apply(&change(round));
        }
        is_over.store(1, Ordering::Release);
    });
}
