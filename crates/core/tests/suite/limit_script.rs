//! The steps that `limit` writes down for a script, done as they stand there, in doubles, as a
//! script has them: it decides as the limiter does.

#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the numbers of a test are small"
)]

use crate::scene::token_id;
use counterfoil_core::{
    Timestamp,
    id::SlotId,
    limit::{Ask, Claim, Holds, Limiter, Limits, Owner, Rate, Refused},
    time::Seconds,
};
use proptest::{collection::vec, prelude::*, sample::select};

/// What a script keeps of one token.
#[derive(Default)]
struct Script {
    latest: f64,
    back: f64,
    windows: Vec<Option<Window>>,
    ends: Vec<f64>,
}

#[derive(Default, Clone)]
struct Window {
    newest: f64,
    parts: [Part; 15],
}

#[derive(Default, Clone, Copy)]
struct Part {
    granted: f64,
    last: f64,
    lag: f64,
}

#[derive(Debug, PartialEq)]
enum Answer {
    Granted,
    RetryAfter(u64),
    TooManyInFlight,
}

fn place(number: f64) -> usize {
    number.rem_euclid(15.0) as usize
}

impl Script {
    fn decide(&mut self, clock: i64, rates: &[Rate], in_flight: Option<u32>, lasts: f64) -> Answer {
        // 1
        let mut now = clock as f64 + self.back;
        if self.latest - now > 60_000.0 {
            self.back += self.latest - now;
        }
        now = now.max(self.latest);
        self.latest = now;
        self.windows.resize(rates.len(), None);
        let mut wait = 0_f64;
        let mut moments = Vec::new();
        for (rate, window) in rates.iter().zip(&mut self.windows) {
            let (requests, tick) = (f64::from(rate.requests()), f64::from(rate.tick()));
            let (length, size) = (f64::from(rate.length()), f64::from(rate.part()));
            // 2
            let first = ((now / tick).floor() / size).floor();
            let window = window.get_or_insert(Window { newest: first, ..Window::default() });
            let last = window.parts[place(window.newest)].last;
            let at = (now / tick).floor().max(window.newest * size + last);
            let under_way = (at / size).floor();
            let mut number = (window.newest + 1.0).max(under_way - 14.0);
            while number <= under_way {
                window.parts[place(number)] = Part::default();
                number += 1.0;
            }
            window.newest = under_way;
            // 3
            let numbers = (0..15).map(|n| under_way - 14.0 + f64::from(n));
            let parts: Vec<(f64, Part, f64)> = numbers
                .map(|number| {
                    let part = window.parts[place(number)];
                    let ticks = at - number * size - length;
                    let held = if ticks >= part.last {
                        0.0
                    } else if ticks < part.lag {
                        part.granted
                    } else {
                        let gone = ((ticks - part.lag + 1.0) * requests / length).ceil();
                        (part.granted - gone).max(0.0)
                    };
                    (number, part, held)
                })
                .collect();
            // 4
            let mut over = parts.iter().map(|(.., held)| held).sum::<f64>() + 1.0 - requests;
            let is_over = over > 0.0;
            for (number, part, held) in parts.iter().filter(|_| is_over) {
                if over <= *held {
                    let nth = part.granted - held + over - 1.0;
                    let tick_of = number * size
                        + length
                        + part.last.min(part.lag + (nth * length / requests).floor());
                    wait = wait.max(tick_of * tick - now);
                    break;
                }
                over -= held;
            }
            moments.push(at);
        }
        if wait > 0.0 {
            return Answer::RetryAfter((wait / 1000.0).ceil() as u64);
        }
        // 5
        if let Some(most) = in_flight {
            self.ends.retain(|end| now < *end);
            if self.ends.len() >= most as usize {
                return Answer::TooManyInFlight;
            }
            self.ends.push(now + lasts);
        }
        // 6
        for ((rate, window), at) in rates.iter().zip(&mut self.windows).zip(moments) {
            let window = window.as_mut().unwrap();
            let offset = at - window.newest * f64::from(rate.part());
            let part = &mut window.parts[place(window.newest)];
            let pace = part.granted * f64::from(rate.length()) / f64::from(rate.requests());
            part.lag = part.lag.max(offset - pace.floor());
            part.last = part.last.max(offset);
            part.granted += 1.0;
        }
        Answer::Granted
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn a_script_decides_as_the_limiter_does(
        in_flight in prop::option::of(1..6_u32),
        numbers in vec((1..50_u32, select(vec![1_u64, 7, 60, 3600, 86_400, 2_678_400])), 0..4),
        start in prop_oneof![Just(0), 1_700_000_000_000..1_800_000_000_000_i64],
        asks in vec((prop_oneof![
            5 => Just(0),
            5 => 0..3000_i64,
            2 => -20_000..200_000_i64,
            1 => -10_000_000..10_000_000_i64,
        ], 1..20_u64), 1..300),
    ) {
        let mut rates: Vec<Rate> = Vec::new();
        for (requests, seconds) in numbers {
            if rates.iter().all(|rate| rate.per().0 != seconds) {
                rates.push(Rate::new(requests, Seconds(seconds)).unwrap());
            }
        }
        let limits = Limits::new(in_flight.map(u64::from), rates.clone()).unwrap();
        prop_assume!(!limits.is_empty());
        let (limiter, mut script) = (Limiter::new(1), Script::default());
        let mut now = start;
        for (n, (millis, lasts)) in asks.into_iter().enumerate() {
            now = (now + millis).max(0);
            let mut id = [0; 16];
            id[8..].copy_from_slice(&n.to_be_bytes());
            let claim = Claim {
                id: SlotId::from_bytes(id),
                owner: Owner([0; 16]),
                lasts: Seconds(lasts),
            };
            let ask = Ask { whose: token_id(1).into(), limits: &limits, holds: Holds::Named(claim) };
            let ours = match limiter.decide(&ask, Timestamp::from_millis(now)) {
                Ok(_) => Answer::Granted,
                Err(Refused::RateLimited(throttled)) => Answer::RetryAfter(throttled.retry_after.0),
                Err(Refused::TooManyInFlight) => Answer::TooManyInFlight,
                Err(Refused::Full) => unreachable!("there is one token"),
            };
            prop_assert_eq!(script.decide(now, &rates, in_flight, lasts as f64 * 1000.0), ours);
        }
    }
}
