//! The index beside a plain model of itself, while one thread changes it and others read:
//! whatever a reader is told was true at one moment while it asked.

use crate::{
    replay::{Attempt, Plain, attempt_on, beginning, made_secret},
    scene::{Lines, api, token_id},
};
use counterfoil_core::{
    Timestamp,
    access_token::NoAccessTokens,
    api::Api,
    credential::Scheme,
    id::TokenId,
    index::Index,
    ledger::Change,
    route::Requirement,
    verify::{Question, verify},
};
use proptest::{
    collection::vec,
    strategy::{Strategy, ValueTree},
    test_runner::TestRunner,
};
use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    net::IpAddr,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

const TOKENS: u32 = 20;
/// Many of them are not possible when their turn comes.
const ATTEMPTS: usize = 800;
/// So many secrets are asked about.
const SECRETS: usize = 120;
const HISTORIES: usize = 8;
/// How often a reader asks at most: a history is over long before.
const LOOKS: u32 = 10_000_000;

/// Times in the histories are milliseconds, few; some lie behind this one and some before.
const MOMENT: Timestamp = Timestamp::from_millis(5_000);

/// What there is to be told of a secret, and of an id, in words that can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Told(u64);

impl Told {
    /// Texts would take most of the time that readers have.
    fn of(text: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        Self(hasher.finish())
    }
}

/// What verification says to a secret: of whom, as what, how long; or why not.
fn of_secret(api: &Api, index: &Index, secret: &str) -> Told {
    let mut headers = Lines::default();
    headers.add("x-api-key", secret.as_bytes());
    let client = Some(IpAddr::from([10, 0, 0, 1]));
    let question = Question {
        access_tokens: &NoAccessTokens,
        headers: &headers,
        client,
        requirement: Requirement::Any,
        password: None,
    };
    Told::of(&match verify(api, index, &question, MOMENT) {
        Ok(admitted) => {
            let identity = admitted.identity().unwrap();
            let scopes: Vec<_> = identity.scopes(api).collect();
            let (networks, end) = (identity.allowed_networks(), identity.expires_at());
            let (token, account) = (identity.token().unwrap(), identity.account());
            let (rank, email) = (identity.rank(), identity.email(index));
            format!("{token} {account} {scopes:?} {networks:?} {end:?} {rank:?} {email:?}")
        }
        Err(refusal) => format!("{} {:?}", refusal.code, refusal.matched),
    })
}

fn of_id(index: &Index, id: TokenId) -> Told {
    let entry = index.find_by_id(id);
    let told = entry.map(|e| (e.id(), e.state(), e.ends_at(), e.is_previous()));
    Told::of(&format!("{told:?}"))
}

/// A history: its changes, and what is true after each of them.
struct History {
    first: Index,
    changes: Vec<Change>,
    /// What is told of every secret that there ever is, at each moment.
    secrets: Vec<Vec<Told>>,
    /// What is told of every id.
    ids: Vec<Vec<Told>>,
}

impl History {
    fn new(api: &Api, attempts: &[Attempt]) -> Self {
        let mut plain = Plain::default();
        for attempt in beginning() {
            plain.make(&attempt).unwrap();
        }
        let first = plain.load();
        let mut history = Self { first, changes: vec![], secrets: vec![], ids: vec![] };
        history.tell(api, &plain.load());
        for attempt in attempts {
            if let Some(change) = plain.make(attempt) {
                history.changes.push(change);
                // Not followed but loaded: a model that knows of no change.
                history.tell(api, &plain.load());
            }
        }
        history
    }

    fn tell(&mut self, api: &Api, index: &Index) {
        let secrets = 0..SECRETS;
        self.secrets.push(secrets.map(|n| of_secret(api, index, &made_secret(n))).collect());
        self.ids.push((0..TOKENS).map(|n| of_id(index, token_id(n))).collect());
    }
}

#[test]
fn whatever_is_told_was_true_while_somebody_asked() {
    let api = api("orders", &[Scheme::Header]);
    let mut runner = TestRunner::deterministic();
    for _ in 0..HISTORIES {
        let attempts = vec(attempt_on(TOKENS), ATTEMPTS).new_tree(&mut runner).unwrap();
        let mut attempts = attempts.current();
        // With the first organization most of the history would be over.
        attempts.retain(|attempt| !matches!(attempt, Attempt::CloseOrganization(0)));
        let history = History::new(&api, &attempts);
        assert!(history.changes.len() > 80, "{} changes", history.changes.len());
        let moment = AtomicUsize::new(0);
        let last = history.changes.len();
        let read = &|reader: u32| {
            let mut random = reader;
            let mut next = |below: usize| {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (random >> 8) as usize % below
            };
            for _ in 0..LOOKS {
                let (secret, id) = (next(SECRETS), next(TOKENS as usize));
                let presented = made_secret(secret);
                let before = moment.load(Ordering::Acquire);
                let told = of_secret(&api, &history.first, &presented);
                let between = moment.load(Ordering::Acquire);
                let told_of_id = of_id(&history.first, token_id(u32::try_from(id).unwrap()));
                let after = moment.load(Ordering::Acquire);
                // The next change may have shown before its moment was counted.
                let was =
                    |from: usize, to: usize, told: Told, truth: &[Vec<Told>], which: usize| {
                        truth[from..=(to + 1).min(last)].iter().any(|truth| truth[which] == told)
                    };
                assert!(
                    was(before, between, told, &history.secrets, secret),
                    "secret {secret} between {before} and {between}"
                );
                assert!(
                    was(between, after, told_of_id, &history.ids, id),
                    "id {id} between {between} and {after}"
                );
                if before == last {
                    break;
                }
            }
        };
        thread::scope(|scope| {
            let readers: Vec<_> = (0..3).map(|n| scope.spawn(move || read(n))).collect();
            for (n, change) in history.changes.iter().enumerate() {
                history.first.apply(change).unwrap();
                moment.store(n + 1, Ordering::Release);
                // On few processors readers come to their turn here.
                thread::yield_now();
            }
            for reader in readers {
                reader.join().unwrap();
            }
        });
    }
}
