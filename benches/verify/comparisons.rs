//! What is compared with what.

use crate::{
    HOT,
    case::{Case, Comparison, timed},
    spoken,
    world::{Line, Lines, Numbers, Request, World, id},
};
use counterfoil_core::{
    Admitted, Refusal, Timestamp,
    access_token::NoAccessTokens,
    credential::Headers,
    id::{OrganizationId, TokenId},
    ledger::Change,
    token::Digest,
    verify::{Question, verify},
};
use sha2::{Digest as _, Sha256};
use std::{
    cell::{Cell, LazyCell},
    hint::black_box,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

/// A world that is made once somebody looks at it.
type Lazily<'a, F> = &'a LazyCell<World, F>;

/// What is compared in one world of `size` tokens.
pub(crate) fn of_world<F: FnOnce() -> World>(
    world: Lazily<'_, F>,
    size: u64,
) -> Vec<Comparison<'_>> {
    let mut all = Vec::new();
    let of = spoken(size);
    let mut ranges = vec![(format!("10k hot of {of}"), HOT, 1.5)];
    if size > HOT {
        ranges.push((format!("uniform of {of}"), size, 1.2));
    }
    for (range, below, bar) in ranges {
        let floor = || Some(("hash and look up".to_owned(), hash_and_look_up(world, below)));
        all.push(Comparison {
            name: format!("verify, {range}"),
            floor: floor(),
            ours: admitted(world, below),
            bar: Some(bar),
        });
        all.push(Comparison {
            name: format!("verify without a header map, {range}"),
            floor: floor(),
            ours: admitted_without_a_map(world, below),
            bar: None,
        });
        all.push(Comparison {
            name: format!("find, {range}"),
            floor: Some(("look up".to_owned(), look_up(world, below, 0))),
            ours: find(world, below, 0),
            bar: None,
        });
        all.push(Comparison {
            name: format!("find by id, {range}"),
            floor: Some(("look up".to_owned(), look_up(world, below, 0))),
            ours: find_by_id(world, below),
            bar: None,
        });
    }
    all.push(Comparison {
        name: format!("find what is unknown, {of}"),
        floor: Some(("look up".to_owned(), look_up(world, size, size))),
        ours: find(world, size, size),
        bar: None,
    });
    all.extend(beside_others(world, size));
    if size == HOT {
        all.extend(malformed(world));
    }
    all
}

/// A token that fails its checksum, beside the checksum.
fn malformed<F: FnOnce() -> World>(world: Lazily<'_, F>) -> [Comparison<'_>; 2] {
    let floor = || {
        let case: Case<'_> = Box::new(|steps| {
            let numbers = Numbers::below(u64::MAX);
            timed(
                steps,
                || mistyped(world, numbers.next()),
                |request| {
                    let bytes = black_box(&request.secret).as_bytes();
                    black_box(crc32fast::hash(&bytes[..bytes.len() - 6]));
                },
            )
        });
        Some(("CRC-32".to_owned(), case))
    };
    [
        Comparison {
            name: "reject a malformed token".to_owned(),
            floor: floor(),
            ours: Box::new(|steps| {
                let numbers = Numbers::below(u64::MAX);
                timed(
                    steps,
                    || mistyped(world, numbers.next()),
                    |request| assert!(!world.mint.prefix.is_plausible(black_box(&request.secret))),
                )
            }),
            bar: Some(1.5),
        },
        Comparison {
            name: "verify a malformed token".to_owned(),
            floor: floor(),
            ours: Box::new(|steps| {
                let numbers = Numbers::below(u64::MAX);
                timed(
                    steps,
                    || mistyped(world, numbers.next()),
                    |request| assert!(judge(world, request, &Lines(&request.headers)).is_err()),
                )
            }),
            bar: None,
        },
    ]
}

/// A request whose token has another last character.
fn mistyped(world: &World, number: u64) -> Request {
    let mut secret = world.mint.secret(number).reveal().to_owned();
    let last = secret.pop();
    secret.push(if last == Some('x') { 'y' } else { 'x' });
    Request::new(&secret, 0)
}

/// With somebody else at the same index, beside verification alone.
fn beside_others<F: FnOnce() -> World>(world: Lazily<'_, F>, size: u64) -> [Comparison<'_>; 2] {
    let of = spoken(size);
    let alone = || Some(("alone".to_owned(), admitted(world, HOT / 2)));
    [
        Comparison {
            name: format!("verify beside 1,000 changes a second, 5k hot of {of}"),
            floor: alone(),
            ours: Box::new(move |steps| {
                let end = AtomicBool::new(false);
                let world: &World = world;
                let numbers = Numbers::below(HOT / 2);
                thread::scope(|scope| {
                    scope.spawn(|| change(world, size, &end));
                    let time = verifying(world, &numbers, steps);
                    end.store(true, Ordering::Relaxed);
                    time
                })
            }),
            bar: Some(1.05),
        },
        Comparison {
            name: format!("verify on two threads, 5k hot of {of}"),
            floor: alone(),
            ours: Box::new(move |steps| {
                let world: &World = world;
                let verify = || verifying(world, &Numbers::below(HOT / 2), steps);
                thread::scope(|scope| {
                    let other = scope.spawn(verify);
                    let one = verify();
                    (one + other.join().unwrap()) / 2
                })
            }),
            bar: None,
        },
    ]
}

/// Pauses and resumes tokens of the upper half, a thousand times a second.
fn change(world: &World, size: u64, end: &AtomicBool) {
    let organization = OrganizationId::new(Timestamp::from_millis(1), [1; 10]);
    let numbers = Numbers::below(size / 2);
    while !end.load(Ordering::Relaxed) {
        let token = id(size / 2 + numbers.next());
        world.index.apply(&Change::TokenPaused { token, organization }).unwrap();
        thread::sleep(Duration::from_millis(1));
        world.index.apply(&Change::TokenResumed { token, organization }).unwrap();
        thread::sleep(Duration::from_millis(1));
    }
}

/// A large world beside a small one, the same hot set in both.
pub(crate) fn growth<'a, F, G>(
    large: Lazily<'a, F>,
    small: Lazily<'a, G>,
    size: u64,
    than: &str,
    bar: Option<f64>,
) -> Comparison<'a>
where
    F: FnOnce() -> World,
    G: FnOnce() -> World,
{
    Comparison {
        name: format!("verify, 10k hot of {}", spoken(size)),
        floor: Some((than.to_owned(), admitted(small, HOT))),
        ours: admitted(large, HOT),
        bar,
    }
}

/// A world of more APIs or owners beside one of as many tokens with one of each.
pub(crate) fn wider<'a, F, G>(
    wide: Lazily<'a, F>,
    plain: Lazily<'a, G>,
    size: u64,
    with: &str,
) -> Comparison<'a>
where
    F: FnOnce() -> World,
    G: FnOnce() -> World,
{
    Comparison {
        name: format!("verify with {with}, uniform of {}", spoken(size)),
        floor: Some(("one API, one owner".to_owned(), admitted(plain, size))),
        ours: admitted(wide, size),
        bar: None,
    }
}

fn admitted<F: FnOnce() -> World>(world: Lazily<'_, F>, below: u64) -> Case<'_> {
    let numbers = Numbers::below(below);
    Box::new(move |steps| verifying(world, &numbers, steps))
}

fn verifying(world: &World, numbers: &Numbers, steps: u64) -> Duration {
    timed(
        steps,
        || world.request(numbers.next()),
        |request| assert!(judge(world, request, &Lines(&request.headers)).is_ok()),
    )
}

fn admitted_without_a_map<F: FnOnce() -> World>(world: Lazily<'_, F>, below: u64) -> Case<'_> {
    let numbers = Numbers::below(below);
    Box::new(move |steps| {
        timed(
            steps,
            || world.request(numbers.next()),
            |request| assert!(judge::<Line>(world, request, &request.line).is_ok()),
        )
    })
}

/// What a door asks of the core: what the route needs, then the verdict.
fn judge<'w, H: Headers>(
    world: &'w World,
    request: &Request,
    headers: &H,
) -> Result<Admitted<'w>, Refusal> {
    let api = &world.apis[request.api];
    let question = Question {
        access_tokens: &NoAccessTokens,
        headers: black_box(headers),
        client: None,
        requirement: api.requirement(black_box("GET"), black_box("/v1/things")),
        password: None,
    };
    black_box(verify(api, &world.index, &question, Timestamp::from_millis(2)))
}

fn hash_and_look_up<F: FnOnce() -> World>(world: Lazily<'_, F>, below: u64) -> Case<'_> {
    let numbers = Numbers::below(below);
    Box::new(move |steps| {
        timed(
            steps,
            || world.request(numbers.next()),
            |request| {
                // With the crate as it comes, which is what anybody's loop would do.
                let digest: [u8; 32] = Sha256::digest(black_box(&request.secret)).into();
                let pinned = world.plain.pin();
                assert!(black_box(pinned.get(&digest)).is_some());
            },
        )
    })
}

/// Looks up digests one after the other: each waits for what the one before it found, as the
/// look-ups of two requests do that have a digest to compute in between.
fn one_by_one<'a>(
    prepare: impl Fn() -> [u8; 32] + 'a,
    find: impl Fn(&[u8; 32]) -> Option<u8> + 'a,
    known: bool,
) -> Case<'a> {
    // Nothing but the processor's patience depends on it.
    let mask = black_box(0);
    let before = Cell::new(0);
    Box::new(move |steps| {
        timed(steps, &prepare, |digest| {
            let mut digest = *digest;
            digest[0] ^= before.get() & mask;
            let found = find(&digest);
            assert_eq!(found.is_some(), known);
            before.set(found.unwrap_or(0));
        })
    })
}

fn look_up<F: FnOnce() -> World>(world: Lazily<'_, F>, below: u64, from: u64) -> Case<'_> {
    let numbers = Numbers::below(below);
    one_by_one(
        move || *world.digest(from + numbers.next()).as_bytes(),
        |digest| world.plain.pin().get(digest).map(|number| number.to_le_bytes()[0]),
        from == 0,
    )
}

fn find<F: FnOnce() -> World>(world: Lazily<'_, F>, below: u64, from: u64) -> Case<'_> {
    let numbers = Numbers::below(below);
    one_by_one(
        move || *world.digest(from + numbers.next()).as_bytes(),
        |digest| {
            let found = world.index.find(&Digest::from_bytes(*digest));
            found.map(|record| record.id().as_bytes()[15])
        },
        from == 0,
    )
}

fn find_by_id<F: FnOnce() -> World>(world: Lazily<'_, F>, below: u64) -> Case<'_> {
    let numbers = Numbers::below(below);
    one_by_one(
        move || {
            let mut bytes = [0; 32];
            bytes[..16].copy_from_slice(id(numbers.next()).as_bytes());
            bytes
        },
        |bytes| {
            let mut id = [0; 16];
            id.copy_from_slice(&bytes[..16]);
            let found = world.index.find_by_id(TokenId::from_bytes(id));
            found.map(|record| record.id().as_bytes()[15])
        },
        true,
    )
}
