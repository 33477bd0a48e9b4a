//! Slots, beside a model that counts them one by one, and from many threads; and who is kept
//! in the limiter's table.

#![expect(
    clippy::cast_possible_wrap,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the numbers of a test are small"
)]

use crate::scene::token_id;
use counterfoil_core::{
    Timestamp,
    id::SlotId,
    limit::{Ask, Claim, Granted, Holds, Limiter, Limits, NoSuchSlot, Owner, Rate, Refused, Slot},
    time::Seconds,
};
use proptest::{collection::vec, prelude::*};
use std::{
    collections::BTreeMap,
    sync::{
        Barrier,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn limits(in_flight: u64, rates: &[&str]) -> Limits {
    let rates: Vec<Rate> = rates.iter().map(|rate| rate.parse().unwrap()).collect();
    Limits::new(Some(in_flight), rates).unwrap()
}

fn claim(id: u8, owner: u8, lasts: u64) -> Claim {
    Claim { id: SlotId::from_bytes([id; 16]), owner: Owner([owner; 16]), lasts: Seconds(lasts) }
}

#[derive(Debug, Clone)]
enum Step {
    Take(u32),
    Drop(usize),
    Name(u32, u64),
    Renew(usize, bool, u64),
    GiveBack(usize, bool),
    Wait(i64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..3_u32).prop_map(Step::Take),
        4 => any::<usize>().prop_map(Step::Drop),
        3 => (1..3_u32, 1..90_u64).prop_map(|(token, lasts)| Step::Name(token, lasts)),
        2 => (any::<usize>(), any::<bool>(), 1..90_u64).prop_map(|(n, own, s)| Step::Renew(n, own, s)),
        2 => (any::<usize>(), any::<bool>()).prop_map(|(n, own)| Step::GiveBack(n, own)),
        2 => (0..60_000_i64).prop_map(Step::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn slots_are_what_a_count_of_them_says(limit in 1..6_u64, steps in vec(step(), 1..120)) {
        let (limits, limiter) = (limits(limit, &[]), Limiter::new(1000));
        let mut held: Vec<(u32, Slot)> = Vec::new();
        // Token, owner and end, by name. What has ended stays, to be asked for in vain.
        let mut named: Vec<(u32, u8, i64)> = Vec::new();
        let mut now = 1_000_000;
        for step in steps {
            let count = |held: &[(u32, Slot)], named: &[(u32, u8, i64)], now: i64, token: u32| {
                held.iter().filter(|(of, _)| *of == token).count()
                    + named.iter().filter(|(of, _, end)| *of == token && *end > now).count()
            };
            let ask = |token: u32, holds| {
                let ask = Ask { whose: token_id(token).into(), limits: &limits, holds };
                limiter.decide(&ask, at(now))
            };
            match step {
                Step::Take(token) => {
                    let room = count(&held, &named, now, token) < limit as usize;
                    match ask(token, Holds::Slot) {
                        Ok(Granted { slot: Some(slot), .. }) if room => held.push((token, slot)),
                        Err(Refused::TooManyInFlight) if !room => {}
                        other => prop_assert!(false, "room: {room}, {other:?}"),
                    }
                }
                Step::Name(token, lasts) if named.len() < 250 => {
                    let room = count(&held, &named, now, token) < limit as usize;
                    let (id, owner) = (named.len() as u8, named.len() as u8 % 3);
                    match ask(token, Holds::Named(claim(id, owner, lasts))) {
                        Ok(Granted { slot: None, .. }) if room => {
                            named.push((token, owner, now + lasts as i64 * 1000));
                        }
                        Err(Refused::TooManyInFlight) if !room => {}
                        other => prop_assert!(false, "room: {room}, {other:?}"),
                    }
                }
                Step::Drop(n) if !held.is_empty() => drop(held.swap_remove(n % held.len())),
                Step::Renew(n, own, lasts) if !named.is_empty() => {
                    let id = n % named.len();
                    let (_, owner, end) = &mut named[id];
                    let claim = claim(id as u8, if own { *owner } else { *owner + 1 }, lasts);
                    let renewed = limiter.renew(&claim, at(now));
                    prop_assert_eq!(renewed.is_ok(), own && *end > now);
                    if renewed.is_ok() {
                        *end = now + lasts as i64 * 1000;
                    }
                }
                Step::GiveBack(n, own) if !named.is_empty() => {
                    let id = n % named.len();
                    let (_, owner, end) = &mut named[id];
                    let claim = claim(id as u8, if own { *owner } else { *owner + 1 }, 1);
                    let given = limiter.give_back(claim.id, claim.owner, at(now));
                    prop_assert_eq!(given.is_ok(), own && *end > now);
                    if given.is_ok() {
                        *end = now;
                    }
                }
                Step::Wait(millis) => now += millis,
                _ => {}
            }
            for token in 1..3 {
                let counted = count(&held, &named, now, token);
                prop_assert!(counted <= limit as usize);
                prop_assert_eq!(limiter.in_flight(token_id(token).into(), at(now)), counted);
            }
        }
        drop(held);
        limiter.look_through_all(at(now + 90_000));
        prop_assert_eq!(limiter.active(), 0);
    }
}

#[test]
fn the_sixth_is_refused_until_one_of_five_is_given_back() {
    let (limits, limiter) = (limits(5, &[]), Limiter::new(1000));
    let ask =
        |holds| limiter.decide(&Ask { whose: token_id(1).into(), limits: &limits, holds }, at(0));
    let mut slots: Vec<Slot> = (0..4).map(|_| ask(Holds::Slot).unwrap().slot.unwrap()).collect();
    assert!(ask(Holds::Named(claim(1, 1, 30))).unwrap().slot.is_none());
    for holds in [Holds::Slot, Holds::Named(claim(2, 1, 30))] {
        assert_eq!(ask(holds).unwrap_err(), Refused::TooManyInFlight);
    }
    // Whoever does not see requests end does not count them.
    assert!(ask(Holds::Nothing).is_ok());
    // What was refused has no name, and what has one is its owner's.
    let renewed = limiter.renew(&claim(2, 1, 30), at(0));
    assert_eq!(renewed, Err(NoSuchSlot));
    assert_eq!(limiter.give_back(claim(1, 2, 1).id, Owner([2; 16]), at(0)), Err(NoSuchSlot));
    assert_eq!(limiter.in_flight(token_id(1).into(), at(0)), 5);
    drop(slots.pop());
    slots.push(ask(Holds::Slot).unwrap().slot.unwrap());
    assert_eq!(ask(Holds::Slot).unwrap_err(), Refused::TooManyInFlight);
    assert_eq!(limiter.give_back(claim(1, 1, 1).id, Owner([1; 16]), at(0)), Ok(()));
    assert_eq!(limiter.give_back(claim(1, 1, 1).id, Owner([1; 16]), at(0)), Err(NoSuchSlot));
    assert!(ask(Holds::Slot).unwrap().slot.is_some());
}

#[test]
fn refused_for_one_limit_counts_in_no_other() {
    let (limits, limiter) = (limits(1, &["2/60s"]), Limiter::new(1000));
    let ask = |now| {
        let ask = Ask { whose: token_id(1).into(), limits: &limits, holds: Holds::Slot };
        limiter.decide(&ask, at(now))
    };
    let slot = ask(0).unwrap().slot;
    for _ in 0..10 {
        assert_eq!(ask(1).unwrap_err(), Refused::TooManyInFlight);
    }
    drop(slot);
    let granted = ask(2).unwrap();
    assert_eq!(granted.standings[0].remaining, 0);
    drop(granted);
    for _ in 0..10 {
        assert!(matches!(ask(3), Err(Refused::RateLimited(_))));
    }
    assert_eq!(limiter.in_flight(token_id(1).into(), at(3)), 0);
    assert!(ask(60_000).is_ok());
}

#[test]
fn who_has_no_limits_is_not_here() {
    let (limits, limiter) = (Limits::default(), Limiter::new(1));
    for n in 0..1000 {
        let ask = Ask { whose: token_id(n).into(), limits: &limits, holds: Holds::Slot };
        let granted = limiter.decide(&ask, at(0)).unwrap();
        assert!(granted.slot.is_none() && granted.standings.is_empty());
    }
    assert_eq!(limiter.active(), 0);
}

#[test]
fn a_full_table_keeps_those_that_it_has() {
    let (limits, limiter) = (limits(5, &["10/60s"]), Limiter::new(128));
    let ask = |n, now| {
        let ask = Ask { whose: token_id(n).into(), limits: &limits, holds: Holds::Slot };
        limiter.decide(&ask, at(now))
    };
    let known: Vec<(u32, bool)> = (0..1000).map(|n| (n, ask(n, 0).is_ok())).collect();
    assert!(limiter.active() <= 128, "{}", limiter.active());
    assert!(limiter.active() > 100, "{}", limiter.active());
    for (n, is_here) in known {
        match ask(n, 10) {
            Ok(_) => assert!(is_here),
            Err(refused) => assert_eq!((refused, is_here), (Refused::Full, false)),
        }
    }
    // What is over makes room.
    let later: Vec<u32> = (1000..1100).filter(|n| ask(*n, 120_000).is_ok()).collect();
    assert!(later.len() > 60, "{}", later.len());
}

#[test]
fn who_comes_and_goes_leaves_nothing() {
    let (limits, limiter) = (limits(5, &["10/1s", "20/2s"]), Limiter::new(1 << 20));
    let mut most = 0;
    for n in 0..200_000_u32 {
        let ask = Ask { whose: token_id(n).into(), limits: &limits, holds: Holds::Slot };
        // A thousand a second, each of which counts for two.
        assert!(limiter.decide(&ask, at(i64::from(n))).is_ok());
        most = most.max(if n % 1000 == 0 { limiter.active() } else { 0 });
    }
    assert!(most < 10_000, "{most}");
    limiter.look_through_all(at(210_000));
    assert_eq!(limiter.active(), 0);
}

#[test]
fn a_thousand_named_slots_end_by_themselves() {
    let (limits, limiter) = (limits(1000, &[]), Limiter::new(1000));
    let mut bytes = [0; 16];
    for n in 0..1000_u64 {
        bytes[8..].copy_from_slice(&n.to_be_bytes());
        let claim = Claim {
            id: SlotId::from_bytes(bytes),
            owner: Owner([1; 16]),
            lasts: Seconds(1 + n % 10),
        };
        let ask = Ask { whose: token_id(1).into(), limits: &limits, holds: Holds::Named(claim) };
        assert!(limiter.decide(&ask, at(0)).is_ok());
    }
    for seconds in 0..=10 {
        let left = limiter.in_flight(token_id(1).into(), at(seconds * 1000));
        assert_eq!(left, 1000 - seconds as usize * 100);
    }
}

const THREADS: usize = 4;

/// Runs `act` in [`THREADS`] threads, all beginning at once.
fn together(act: impl Fn(usize) + Sync) {
    let start = Barrier::new(THREADS);
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (start, act) = (&start, &act);
            scope.spawn(move || {
                start.wait();
                act(thread);
            });
        }
    });
}

#[test]
fn threads_never_have_more_than_the_limit_at_once() {
    const ROUNDS: usize = 60_000;
    let (limits, limiter) = (limits(2, &[]), Limiter::new(1000));
    let (in_use, granted) = ([AtomicUsize::new(0), AtomicUsize::new(0)], AtomicUsize::new(0));
    together(|thread| {
        for round in 0..ROUNDS {
            let n = (round + thread) % 2;
            let id = (thread * 2 + round % 2) as u8;
            let whose = token_id(n as u32).into();
            let holds = if round % 3 == 0 {
                Holds::Named(claim(id, thread as u8, 3600))
            } else {
                Holds::Slot
            };
            let Ok(got) = limiter.decide(&Ask { whose, limits: &limits, holds }, at(0)) else {
                continue;
            };
            granted.fetch_add(1, Ordering::Relaxed);
            let others = in_use[n].fetch_add(1, Ordering::SeqCst);
            assert!(others < 2, "{others} others");
            // So that others come meanwhile.
            if round % 64 == 0 {
                thread::yield_now();
            }
            in_use[n].fetch_sub(1, Ordering::SeqCst);
            match holds {
                Holds::Named(claim) => {
                    limiter.give_back(claim.id, claim.owner, at(0)).unwrap();
                }
                _ => drop(got.slot),
            }
        }
    });
    assert!(granted.into_inner() > ROUNDS);
    for n in 0..2 {
        assert_eq!(limiter.in_flight(token_id(n).into(), at(0)), 0);
    }
    limiter.look_through_all(at(1));
    assert_eq!(limiter.active(), 0);
}

#[test]
fn threads_together_get_what_one_would() {
    let limits = limits(1000, &["1000/60s", "2500/1h"]);
    let limiter = Limiter::new(1000);
    for (now, expected) in [(0, 1000), (59_999, 0), (60_000, 1000), (120_000, 500), (180_000, 0)] {
        let granted = AtomicUsize::new(0);
        together(|_| {
            for _ in 0..700 {
                let ask = Ask { whose: token_id(1).into(), limits: &limits, holds: Holds::Slot };
                match limiter.decide(&ask, at(now)) {
                    Ok(_) => {
                        granted.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(refused) => assert!(matches!(refused, Refused::RateLimited(_))),
                }
            }
        });
        assert_eq!(granted.into_inner(), expected, "at {now}");
    }
    assert_eq!(limiter.in_flight(token_id(1).into(), at(180_000)), 0);
}

#[test]
fn threads_that_read_the_clock_late_get_no_more() {
    let (limits, limiter) = (limits(10, &["100/1s"]), Limiter::new(1000));
    let granted: BTreeMap<i64, AtomicUsize> =
        (0..10).map(|second| (second, AtomicUsize::new(0))).collect();
    for second in 0..10 {
        together(|thread| {
            for n in 0..200 {
                // All in the same moment; some read the clock when they began.
                let late = if (n + thread) % 2 == 0 { 0 } else { 900 * thread as i64 };
                let now = at((second * 1000 - late).max(0));
                let ask = Ask { whose: token_id(1).into(), limits: &limits, holds: Holds::Slot };
                if limiter.decide(&ask, now).is_ok() {
                    granted[&second].fetch_add(1, Ordering::Relaxed);
                }
            }
        });
    }
    let granted: Vec<usize> = granted.into_values().map(AtomicUsize::into_inner).collect();
    assert_eq!(granted, [100; 10]);
}
