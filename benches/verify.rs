//! `verify`, beside a loop that only hashes and looks up.
//!
//! Both loops run in one process over the same secrets in the same order; what
//! counts is their ratio. The time is the thread's own CPU time.
//!
//! `cargo bench --bench verify -- --tokens N` sets how many tokens there are.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark is a program of its own"
)]

use counterfoil_core::{
    Timestamp,
    account::Rank,
    api::{Api, Issuers, TokenPolicy},
    credential::{Headers, Scheme, Schemes},
    error_format::ErrorFormat,
    id::{AccountId, OrganizationId, TokenId},
    index::{Index, Loaded},
    token::{Digest, Grant, Prefix, Secret, State, Token},
    verify::{Question, verify},
};
use papaya::HashMap;
use rustix::time::{ClockId, clock_gettime};
use std::{
    hash::{BuildHasherDefault, Hasher},
    hint::black_box,
};

/// How many tokens the hot set has.
const HOT: usize = 10_000;
/// How many look-ups one measurement makes.
const LOOKUPS: usize = 1_000_000;
/// How many measurements the median is taken of.
const ROUNDS: usize = 7;

fn main() {
    let tokens = argument("--tokens").unwrap_or(1_000_000);
    let setting = Setting::new(tokens);
    let size = if tokens.is_multiple_of(1_000_000) {
        format!("{}M", tokens / 1_000_000)
    } else {
        tokens.to_string()
    };
    for (name, range) in [("10k hot", HOT.min(tokens)), ("uniform", tokens)] {
        let order = order(range);
        let mut floor = Vec::with_capacity(ROUNDS);
        let mut whole = Vec::with_capacity(ROUNDS);
        // By turns, so that a slow spell of the machine meets both.
        for _ in 0..ROUNDS {
            floor.push(setting.hash_and_look_up(&order));
            whole.push(setting.verify(&order));
        }
        println!("figure: hash and look up, {name} of {size}\t{:.1}", median(&mut floor));
        println!("figure: verify, {name} of {size}\t{:.1}", median(&mut whole));
    }
    let mut malformed: Vec<f64> = (0..ROUNDS).map(|_| setting.reject()).collect();
    println!("figure: reject a malformed token\t{:.1}", median(&mut malformed));
}

struct Setting {
    api: Api,
    index: Index,
    /// The comparison: nothing but a digest and what belongs to it.
    plain: HashMap<[u8; 32], u64, BuildHasherDefault<FirstEight>>,
    headers: Vec<Line>,
    secrets: Vec<String>,
}

impl Setting {
    fn new(count: usize) -> Self {
        let api = api();
        let index = Index::default();
        let organization = OrganizationId::new(Timestamp::from_millis(1), [1; 10]);
        let owner = AccountId::new(Timestamp::from_millis(1), [1; 10]);
        index.load_organization(organization, true);
        index.load_account(owner, None, true);
        index.load_membership(organization, owner, Some(Rank::Member)).unwrap();
        let plain = HashMap::default();
        let mut random = Random(1);
        let mut secrets = Vec::with_capacity(count);
        for n in 0..count {
            let secret = Secret::mint(&api.tokens.prefix, &random.bytes());
            let token = Token {
                id: TokenId::new(Timestamp::from_millis(1), random.bytes()),
                api: api.name.clone(),
                organization,
                owner,
                name: String::new(),
                note: String::new(),
                grant: Grant::Any,
                created_at: Timestamp::from_millis(1),
                expires_at: Some(Timestamp::MAX),
                allowed_networks: Vec::new(),
                external_id: None,
                metadata: None,
                prefix: api.tokens.prefix.as_str().into(),
                last_four: secret.last_four().into(),
                digest: secret.digest(),
            };
            index.load_token(&Loaded::of(&token, State::Active, None)).unwrap();
            plain.pin().insert(*secret.digest().as_bytes(), n as u64);
            secrets.push(secret.reveal().to_owned());
        }
        let headers = secrets.iter().map(|secret| Line(format!("Bearer {secret}"))).collect();
        Self { api, index, plain, headers, secrets }
    }

    fn hash_and_look_up(&self, order: &[u32]) -> f64 {
        nanoseconds(order.len(), || {
            for at in order {
                let digest = Digest::of(black_box(&self.secrets[*at as usize]));
                let pinned = self.plain.pin();
                assert!(black_box(pinned.get(digest.as_bytes())).is_some());
            }
        })
    }

    fn verify(&self, order: &[u32]) -> f64 {
        let now = Timestamp::from_millis(2);
        nanoseconds(order.len(), || {
            for at in order {
                let question = Question {
                    headers: black_box(&self.headers[*at as usize]),
                    client: None,
                    requirement: self.api.requirement("GET", "/v1/things"),
                };
                assert!(black_box(verify(&self.api, &self.index, &question, now)).is_ok());
            }
        })
    }

    fn reject(&self) -> f64 {
        let mut wrong = self.secrets[0].clone();
        let last = wrong.pop().unwrap();
        wrong.push(if last == 'x' { 'y' } else { 'x' });
        nanoseconds(LOOKUPS, || {
            for _ in 0..LOOKUPS {
                assert!(!self.api.tokens.prefix.is_plausible(black_box(&wrong)));
            }
        })
    }
}

/// Which tokens are asked for, one after the other.
fn order(range: usize) -> Vec<u32> {
    let mut random = Random(2);
    let range = u64::try_from(range).unwrap();
    (0..LOOKUPS).map(|_| u32::try_from(random.next() % range).unwrap()).collect()
}

/// One request's `Authorization`.
struct Line(String);

impl Headers for Line {
    fn values<'h>(&'h self, name: &str) -> impl Iterator<Item = &'h [u8]> {
        (name == "authorization").then_some(self.0.as_bytes()).into_iter()
    }
}

fn api() -> Api {
    Api {
        name: "bench".into(),
        schemes: Schemes {
            accepted: vec![Scheme::Bearer],
            header: None,
            header_pair: None,
            exact_token_keyword: false,
        },
        errors: ErrorFormat::Problem,
        realm: "bench".into(),
        routes: Vec::new(),
        scopes: Vec::new(),
        roles: Vec::new(),
        issuers: Issuers::Members,
        tokens: TokenPolicy {
            prefix: Prefix::try_from("bench_live".to_owned()).unwrap(),
            default_lifetime: None,
            max_lifetime: None,
            never: true,
        },
    }
}

/// The thread's CPU time for `work`, a step.
#[expect(clippy::cast_precision_loss, reason = "a measurement has fewer digits than a float")]
fn nanoseconds(steps: usize, work: impl FnOnce()) -> f64 {
    let time = || {
        let now = clock_gettime(ClockId::ThreadCPUTime);
        now.tv_sec * 1_000_000_000 + now.tv_nsec
    };
    let before = time();
    work();
    (time() - before) as f64 / steps as f64
}

fn median(figures: &mut [f64]) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn argument(name: &str) -> Option<usize> {
    let mut arguments = std::env::args().skip_while(|argument| argument != name);
    arguments.nth(1)?.parse().ok()
}

/// Numbers that look random, and are the same at every run (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        for chunk in bytes.chunks_mut(8) {
            let word = self.next().to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
        bytes
    }
}

/// Digests are random already: their first bytes are their hash.
#[derive(Default)]
struct FirstEight(u64);

impl Hasher for FirstEight {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk::<8>() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    fn write_usize(&mut self, _: usize) {}
}
