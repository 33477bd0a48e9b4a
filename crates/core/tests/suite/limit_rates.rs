//! Rates beside an exact count, which keeps the moment of every request.

#![expect(
    clippy::cast_possible_wrap,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the numbers of a test are small"
)]

use crate::scene::token_id;
use counterfoil_core::{
    Timestamp,
    limit::{
        Ask, Holds, Limiter, Limits, Rate, Refused, Standings,
        window::{self, Window},
    },
    time::Seconds,
};
use proptest::{collection::vec, prelude::*, sample::select};

/// What counts exactly: at most so many requests in any span of so many milliseconds.
#[derive(Clone)]
struct Exact {
    spans: Vec<(usize, i64)>,
    granted: Vec<i64>,
}

impl Exact {
    fn of(rates: &[Rate]) -> Self {
        Self::with(rates, |rate| rate.per().0 as i64 * 1000)
    }

    fn with(rates: &[Rate], span: impl Fn(&Rate) -> i64) -> Self {
        let spans = rates.iter().map(|rate| (rate.requests() as usize, span(rate)));
        Self { spans: spans.collect(), granted: Vec::new() }
    }

    /// How many requests of the last `span` milliseconds there were.
    fn count(&self, span: i64, now: i64) -> usize {
        self.granted.iter().rev().take_while(|at| **at > now - span).count()
    }

    fn allows(&self, now: i64) -> bool {
        self.spans.iter().all(|(requests, span)| self.count(*span, now) < *requests)
    }
}

/// One token's windows, as a limiter has them.
#[derive(Clone, PartialEq, Debug)]
struct Windows {
    rates: Vec<Rate>,
    windows: Vec<Window>,
}

impl Windows {
    fn new(rates: &[Rate], now: i64) -> Self {
        let windows = rates.iter().map(|rate| Window::new(rate, at(now)));
        Self { rates: rates.into(), windows: windows.collect() }
    }

    fn ask(&mut self, now: i64) -> Result<Standings, i64> {
        let judged = window::judge(&self.rates, &mut self.windows, at(now))
            .map_err(|throttled| throttled.retry_after.0 as i64 * 1000)?;
        Ok(window::grant(&self.rates, &mut self.windows, judged))
    }
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn rate(requests: u32, seconds: u64) -> Rate {
    Rate::new(requests, Seconds(seconds)).unwrap()
}

/// Up to three rates, of a few requests or of some hundreds.
fn rates() -> impl Strategy<Value = Vec<Rate>> {
    let seconds = select(vec![1, 2, 7, 60, 61, 600, 3600, 86_400, 1_000_003, 2_678_400]);
    let requests = prop_oneof![1..6_u32, 1..60_u32, 1..400_u32];
    vec((requests, seconds), 1..=3).prop_map(|rates| {
        let mut rates: Vec<Rate> = rates.into_iter().map(|(n, s)| rate(n, s)).collect();
        rates.sort_by_key(Rate::per);
        rates.dedup_by_key(|rate| rate.per());
        rates
    })
}

/// When requests come: after so many thousandths of the span of one of the rates, and some
/// milliseconds, so many at once.
fn arrivals() -> impl Strategy<Value = Vec<(usize, i64, i64, usize)>> {
    let thousandths =
        prop_oneof![3 => Just(0), 3 => 0..40_i64, 2 => 0..300_i64, 1 => 900..1200_i64];
    let millis = prop_oneof![Just(0), -1..2_i64, 0..90_i64];
    let burst = prop_oneof![3 => Just(1), 2 => 1..12_usize, 1 => 1..500_usize];
    vec((0..3_usize, thousandths, millis, burst), 1..90)
}

/// The moments of these arrivals, one for each request.
fn moments(rates: &[Rate], start: i64, arrivals: &[(usize, i64, i64, usize)]) -> Vec<i64> {
    let mut now = start;
    let mut moments = Vec::new();
    for (which, thousandths, millis, burst) in arrivals {
        let span = rates[which % rates.len()].per().0 as i64;
        now += (span * thousandths + millis).max(0);
        moments.extend(std::iter::repeat_n(now, *burst));
    }
    moments
}

fn start() -> impl Strategy<Value = i64> {
    prop_oneof![Just(0), 0..100_000_i64, 1_700_000_000_000..1_800_000_000_000_i64]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn never_more_than_an_exact_count_allows(rates in rates(), start in start(), arrivals in arrivals()) {
        let (mut windows, mut exact) = (Windows::new(&rates, start), Exact::of(&rates));
        for now in moments(&rates, start, &arrivals) {
            if windows.ask(now).is_ok() {
                prop_assert!(exact.allows(now), "at {now}, after {:?}", exact.granted);
                exact.granted.push(now);
            }
        }
    }

    /// As fast as the rate allows, and a little faster and slower.
    #[test]
    fn never_more_however_even(
        requests in 1..80_u32,
        seconds in select(vec![1_u64, 7, 60, 901, 86_400]),
        start in start(),
        gaps in vec(300..1300_i64, 1..8),
    ) {
        let rates = [rate(requests, seconds)];
        let (mut windows, mut exact) = (Windows::new(&rates, start), Exact::of(&rates));
        let mut now = start;
        for n in 0..6 * requests as usize {
            now += seconds as i64 * gaps[n % gaps.len()] / i64::from(requests);
            let mut asked = windows.ask(now);
            if asked.is_err() {
                // Not before an exact count would allow it, and not after.
                let first = exact.granted[exact.granted.len() - requests as usize];
                prop_assert!(windows.ask(now.max(first + seconds as i64 * 1000 - 1)).is_err());
                now = now.max(first + seconds as i64 * 1000);
                asked = windows.ask(now);
            }
            if asked.is_ok() {
                prop_assert!(exact.allows(now), "at {now}, after {:?}", exact.granted);
                exact.granted.push(now);
            }
        }
    }

    /// Whatever comes: the requests that a longer memory grants are granted, none later.
    #[test]
    fn never_fewer_than_an_exact_count_of_a_part_longer(rates in rates(), start in start(), arrivals in arrivals()) {
        let longest = |rate: &Rate| rate.memory_millis() - i64::from(rate.tick());
        for rate in &rates {
            let span = rate.per().0 as i64 * 1000;
            // A fourteenth, and what does not divide evenly.
            prop_assert!(longest(rate) <= span + span / 14 + 4 * i64::from(rate.tick()));
        }
        let (mut windows, mut exact) = (Windows::new(&rates, start), Exact::with(&rates, longest));
        let mut granted = 0;
        for now in moments(&rates, start, &arrivals) {
            granted += usize::from(windows.ask(now).is_ok());
            if exact.allows(now) {
                exact.granted.push(now);
            }
            prop_assert!(granted >= exact.granted.len(), "at {now}: {granted}");
        }
    }

    #[test]
    fn a_refused_request_counts_nowhere(rates in rates(), start in start(), arrivals in arrivals()) {
        let mut all = Windows::new(&rates, start);
        let mut only_granted = all.clone();
        for now in moments(&rates, start, &arrivals) {
            if let Ok(standings) = all.ask(now) {
                prop_assert_eq!(only_granted.ask(now), Ok(standings));
                prop_assert_eq!(&all, &only_granted);
            }
        }
    }

    #[test]
    fn retry_after_is_when_one_is_granted(rates in rates(), start in start(), arrivals in arrivals()) {
        let mut windows = Windows::new(&rates, start);
        for now in moments(&rates, start, &arrivals) {
            if let Err(wait) = windows.ask(now) {
                prop_assert!(wait >= 1000);
                prop_assert!(windows.clone().ask(now + wait).is_ok());
                prop_assert!(windows.clone().ask(now + wait - 1000).is_err());
            }
        }
    }

    #[test]
    fn what_is_said_to_remain_remains(rates in rates(), start in start(), arrivals in arrivals()) {
        let (mut windows, mut exact) = (Windows::new(&rates, start), Exact::of(&rates));
        for now in moments(&rates, start, &arrivals) {
            let Ok(standings) = windows.ask(now) else { continue };
            exact.granted.push(now);
            for (standing, (requests, span)) in standings.iter().zip(&exact.spans) {
                let remaining = requests - exact.count(*span, now);
                prop_assert!(standing.remaining as usize <= remaining);
                prop_assert!(standing.reset.0 >= 1 && standing.reset.0 * 1000 <= *span as u64 * 15 / 14 + 1000);
            }
            // All that remains can be had at once, and no more before it is said to be.
            let first = standings.iter().min_by_key(|standing| standing.remaining).unwrap();
            let mut later = windows.clone();
            for _ in 0..first.remaining {
                prop_assert!(later.ask(now).is_ok());
            }
            prop_assert!(later.ask(now + (first.reset.0 as i64 - 1) * 1000).is_err());
        }
    }

    #[test]
    fn who_asks_evenly_is_not_refused(
        requests in 3..3000_u32,
        seconds in select(vec![10_u64, 60, 3600, 86_400]),
        start in start(),
        slower in prop_oneof![Just(0), 0..1000_i64],
    ) {
        let rate = rate(requests, seconds);
        let gap = (seconds as i64 * 1000 + slower) / i64::from(requests - 2) + 1;
        let mut windows = Windows::new(&[rate], start);
        for n in 0..3 * i64::from(requests) {
            let asked = windows.ask(start + n * gap);
            prop_assert!(asked.is_ok(), "request {n}, {asked:?}");
        }
    }

    #[test]
    fn what_came_at_once_may_come_again_after_the_span(requests in 1..500_u32, seconds in 1..900_u64, start in start()) {
        let mut windows = Windows::new(&[rate(requests, seconds)], start);
        let span = seconds as i64 * 1000;
        for round in 0..4 {
            let now = start + round * span;
            prop_assert!(round == 0 || windows.ask(now - 1).is_err());
            for n in 0..requests {
                prop_assert!(windows.ask(now).is_ok(), "round {round}, request {n}");
            }
            prop_assert_eq!(windows.ask(now), Err(span));
        }
    }

    /// Also while the limits change from one request to the next.
    #[test]
    fn a_number_that_is_changed_holds_for_what_was_before(
        numbers in (1..60_u32, 1..60_u32),
        seconds in 1..100_000_u64,
        start in start(),
        arrivals in arrivals(),
        switches in vec(any::<bool>(), 90),
    ) {
        let both = [rate(numbers.0, seconds), rate(numbers.1, seconds)];
        let limits = both.map(|rate| Limits::new(None, vec![rate]).unwrap());
        let limiter = Limiter::new(1);
        let mut exact = Exact::of(&both[..1]);
        for (n, now) in moments(&both, start, &arrivals).into_iter().enumerate() {
            let which = usize::from(switches[n % switches.len()]);
            exact.spans[0].0 = both[which].requests() as usize;
            let ask = Ask { whose: token_id(1).into(), limits: &limits[which], holds: Holds::Nothing };
            if limiter.decide(&ask, at(now)).is_ok() {
                prop_assert!(exact.allows(now), "at {now}");
                exact.granted.push(now);
            }
        }
    }

    /// The clock only ever goes back; what really passes is counted here.
    #[test]
    fn a_clock_that_goes_back_grants_no_more_and_locks_nobody_out(
        rates in rates(),
        start in start(),
        arrivals in arrivals(),
        steps in vec((0..90_usize, prop_oneof![0..50_000_i64, 0..5_000_000_i64, Just(2_000_000_000_000)]), 0..6),
    ) {
        let limits = Limits::new(None, rates.clone()).unwrap();
        let limiter = Limiter::new(1);
        let ask = Ask { whose: token_id(1).into(), limits: &limits, holds: Holds::Nothing };
        let mut exact = Exact::of(&rates);
        let mut back = 0;
        let mut last = start;
        for (n, now) in moments(&rates, start, &arrivals).into_iter().enumerate() {
            back += steps.iter().filter(|(when, _)| *when == n).map(|(_, by)| by).sum::<i64>();
            last = now;
            if limiter.decide(&ask, at(now - back)).is_ok() {
                prop_assert!(exact.allows(now), "at {now}, {back} back");
                exact.granted.push(now);
            }
        }
        let longest = rates.iter().map(Rate::memory_millis).max().unwrap();
        prop_assert!(limiter.decide(&ask, at(last - back + 60_000 + longest)).is_ok());
    }
}

#[test]
fn a_thousand_a_minute_serve_sixteen_point_six_a_second() {
    let day = [rate(1000, 60), rate(1_000_000, 86_400)];
    let mut windows = Windows::new(&day, 1_750_000_000_123);
    for n in 0..20 * 996 {
        // 16.6 a second, to the millisecond.
        let now = 1_750_000_000_123 + n * 10_000 / 166;
        assert!(windows.ask(now).is_ok(), "request {n}");
    }
}

#[test]
fn who_never_stops_asking_gets_most_of_it() {
    // Asking every millisecond for an hour, and whenever it is said to be time.
    let mut windows = Windows::new(&[rate(1000, 60)], 0);
    let granted = (0..3_600_000).filter(|now| windows.ask(*now).is_ok()).count();
    assert!((57_000..=60_000).contains(&granted), "{granted}");

    let mut windows = Windows::new(&[rate(1000, 60)], 0);
    let (mut now, mut granted) = (0, 0);
    while now < 3_600_000 {
        match windows.ask(now) {
            Ok(_) => granted += 1,
            Err(wait) => now += wait,
        }
    }
    assert!((55_000..=60_000).contains(&granted), "{granted}");
}

#[test]
fn two_windows_hold_together() {
    let limits = Limits::new(None, vec![rate(5, 60), rate(12, 3600)]).unwrap();
    let limiter = Limiter::new(10);
    let ask = |now| {
        let ask = Ask { whose: token_id(1).into(), limits: &limits, holds: Holds::Nothing };
        limiter.decide(&ask, at(now)).map(|granted| {
            granted.standings.iter().map(|it| (it.remaining, it.reset.0)).collect::<Vec<_>>()
        })
    };
    let wait = |now| match ask(now) {
        Err(Refused::RateLimited(throttled)) => throttled.retry_after.0,
        other => panic!("{other:?}"),
    };
    for n in 0..5 {
        assert_eq!(ask(n * 10).unwrap()[0], (4 - n as u32, 60));
    }
    assert_eq!((wait(50), wait(59_000), wait(59_999)), (60, 1, 1));
    for n in 0..5 {
        assert_eq!(ask(60_040 + n).unwrap()[1].0, 6 - n as u32);
    }
    assert_eq!(wait(60_100), 60);
    for n in 0..2 {
        assert!(ask(180_000 + n).is_ok());
    }
    // The minute has room; the hour has none until the first request is an hour old.
    assert_eq!(wait(180_010), 3600 - 180);
    // An hour is counted in ticks of four milliseconds.
    assert_eq!((wait(3_599_000), wait(3_599_004), wait(3_600_003)), (2, 1, 1));
    assert_eq!(ask(3_600_004).unwrap(), [(4, 60), (0, 180)]);
}
