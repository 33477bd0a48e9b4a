//! Access tokens opened for the first time and again, beside the least that has to be done.
//!
//! Time is the thread's own CPU time, and what counts is the ratio of two that are measured by
//! turns, as in `benches/verify`.
//!
//! ```sh
//! cargo bench --bench access_token --features fuzzing                  # criterion, then the table
//! cargo bench --bench access_token --features fuzzing -- turns         # the table alone
//! cargo bench --bench access_token --features fuzzing -- turns --quick
//! ```

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark is a program of its own"
)]

#[path = "../verify/case.rs"]
mod case;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use case::{Case, Comparison, CpuTime, timed};
use counterfoil::fuzzing::AccessTokens;
use criterion::Criterion;
use quick_cache::sync::Cache;
use ring::signature::{ECDSA_P256_SHA256_FIXED, ED25519, UnparsedPublicKey, VerificationAlgorithm};
use std::{cell::Cell, hint::black_box, sync::Arc};

/// How many tokens are in use at a time: so few that they stand next to the processor, and
/// so many that they do not.
const HOT: [usize; 2] = [100, 10_000];

/// What signs, and what others verify with.
struct World {
    tokens: AccessTokens,
    algorithm: &'static str,
    public: UnparsedPublicKey<Vec<u8>>,
    number: Cell<u64>,
}

impl World {
    fn new(algorithm: &'static str) -> Self {
        let tokens = AccessTokens::fresh().unwrap();
        let jwks: serde_json::Value = serde_json::from_slice(tokens.jwks()).unwrap();
        let keys = jwks["keys"].as_array().unwrap();
        let key = keys.iter().find(|key| key["alg"] == algorithm).unwrap();
        let coordinate = |name: &str| BASE64.decode(key[name].as_str().unwrap()).unwrap();
        let (how, public): (&'static dyn VerificationAlgorithm, _) = if algorithm == "EdDSA" {
            (&ED25519, coordinate("x"))
        } else {
            let point = [vec![4], coordinate("x"), coordinate("y")].concat();
            (&ECDSA_P256_SHA256_FIXED, point)
        };
        let public = UnparsedPublicKey::new(how, public);
        Self { tokens, algorithm, public, number: Cell::new(0) }
    }

    /// A token that nobody has seen yet.
    fn token(&self) -> String {
        let number = self.number.replace(self.number.get() + 1);
        let payload = [
            r#"{"iss":"https://tokens.example.com","sub":"018bcfe5-6800-7101-8101-010101010101","#,
            r#""aud":"ingest","exp":1700086400,"iat":1700000000,"#,
            &format!(r#""jti":"018bcfe5-6800-7909-8909-{number:012x}","#),
            r#""client_id":"018bcfe5-6800-7202-8202-020202020202","#,
            r#""scope":"events:write feedback:write","#,
            r#""organization":"018bcfe5-6800-7303-8303-030303030303","#,
            r#""secret_mark":"00010203040506ff"}"#,
        ]
        .concat();
        self.tokens.sign(self.algorithm, payload.as_bytes()).unwrap()
    }
}

/// Never seen before: one verification of the same bytes, with the signature at hand.
fn first_time(world: &World) -> Comparison<'_> {
    let prepare = || {
        let token = world.token();
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let (signed, signature) = (signed.len(), BASE64.decode(signature).unwrap());
        (token, signed, signature)
    };
    let floor: Case<'_> = Box::new(move |steps| {
        timed(steps, prepare, |(token, signed, signature)| {
            let signed = &black_box(token).as_bytes()[..*signed];
            assert!(world.public.verify(signed, signature).is_ok());
        })
    });
    Comparison {
        name: format!("open an access token for the first time, {}", world.algorithm),
        floor: Some(("one verification".to_owned(), floor)),
        ours: Box::new(move |steps| {
            timed(steps, prepare, |(token, ..)| assert!(world.tokens.opens(black_box(token))))
        }),
        bar: Some(1.15),
    }
}

/// Seen before: the same text found in a cache as it comes.
fn again<'w>(world: &'w World, hot: &'w [String]) -> Comparison<'w> {
    let cache: Cache<Box<str>, Arc<u64>> = Cache::new(2 * hot.len());
    for (token, number) in hot.iter().zip(0..) {
        assert!(world.tokens.opens(token));
        cache.insert(token.as_str().into(), Arc::new(number));
    }
    let numbers = Cell::new(0_usize);
    let next = move || {
        let number = numbers.replace((numbers.get() + 7919) % hot.len());
        // As a request does, it brings a text of its own.
        hot[number].clone()
    };
    let same = next.clone();
    let floor: Case<'_> = Box::new(move |steps| {
        timed(steps, &same, |token: &String| {
            assert!(black_box(cache.get(black_box(token.as_str()))).is_some());
        })
    });
    Comparison {
        name: format!("open one of {} access tokens again, {}", hot.len(), world.algorithm),
        floor: Some(("look up".to_owned(), floor)),
        ours: Box::new(move |steps| {
            timed(steps, &next, |token: &String| {
                assert!(world.tokens.opens(black_box(token)));
            })
        }),
        bar: Some(1.5),
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    let quick = has("--quick");
    let rounds = if quick { 3 } else { 9 };
    let mut criterion = (!has("turns"))
        .then(|| Criterion::default().with_measurement(CpuTime).configure_from_args());
    for algorithm in ["EdDSA", "ES256"] {
        let world = World::new(algorithm);
        let hot: Vec<String> = (0..HOT[1]).map(|_| world.token()).collect();
        let steps = if quick { (200, 20_000) } else { (4_000, 200_000) };
        for (comparison, steps) in [
            (again(&world, &hot[..HOT[0]]), steps.1),
            (again(&world, &hot), steps.1),
            (first_time(&world), steps.0),
        ] {
            if let Some(criterion) = &mut criterion {
                comparison.measure(criterion);
            }
            println!("{}", comparison.by_turns(rounds, steps));
        }
    }
    if let Some(criterion) = &mut criterion {
        criterion.final_summary();
    }
}
