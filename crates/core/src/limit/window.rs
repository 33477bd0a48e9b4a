//! One rolling window of one token: when its requests were granted, in 128 bytes.
//!
//! A window is divided into 14 parts. Of each part that is in sight three numbers are kept:
//! how many requests were granted in it, when the last one was, and their lag: how far, at
//! most, one of them came after the moment that the rate's even pace would have had it. So
//! the `n`th of a part was granted at `lag + pace(n)` at the latest, and at `last` at the
//! latest, and is given back a whole window after the earlier of the two. That is never too
//! early. It is late by less than a part, by next to nothing for requests that come evenly as
//! fast as they may, and by nothing for those that come all at once.
//!
//! Everything here is a function of the counters and the moment: whoever keeps the same
//! counters elsewhere comes to the same decision.

use super::{
    MOST_RATES, Standing, Standings, Throttled,
    rate::{PARTS, Rate},
};
use crate::{Timestamp, time::Seconds};

/// The parts of a window, and the one that is partly over.
const KEPT: usize = PARTS as usize + 1;

/// The counters of one window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// The number of the part under way, counted from the epoch.
    newest: i64,
    /// Each at its number modulo [`KEPT`].
    parts: [Part; KEPT],
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Part {
    /// How many requests were granted.
    granted: u32,
    /// Ticks from the part's first to that of the last request.
    last: u16,
    /// No request came later than so many ticks after its pace.
    lag: u16,
}

/// Leave to count a request, in the moment that it was asked for.
#[derive(Debug)]
#[must_use = "what is not granted counts nowhere"]
pub struct Judged {
    now: Timestamp,
    /// In which tick that is, for each rate.
    at: [i64; MOST_RATES],
}

/// Whether each of `rates` allows a request now. Counts nothing.
pub fn judge(rates: &[Rate], windows: &mut [Window], now: Timestamp) -> Result<Judged, Throttled> {
    let mut judged = Judged { now, at: [0; MOST_RATES] };
    // What one gives back, the others have kept, so the longest wait is that of all.
    let mut longest = 0;
    for ((rate, window), at) in rates.iter().zip(windows.iter_mut()).zip(&mut judged.at) {
        *at = window.turn(rate, now);
        longest = longest.max(window.wait(rate, *at, now));
    }
    if longest > 0 {
        let standings = standings(rates, windows, now, &judged.at);
        return Err(Throttled { retry_after: seconds(longest), standings });
    }
    Ok(judged)
}

/// Counts a request in the same windows that [`judge`] looked at, and says how the rates stand
/// with it.
#[expect(clippy::needless_pass_by_value, reason = "a judgement is good for one request")]
pub fn grant(rates: &[Rate], windows: &mut [Window], judged: Judged) -> Standings {
    let Judged { now, at } = judged;
    for ((rate, window), at) in rates.iter().zip(windows.iter_mut()).zip(at) {
        window.count(rate, at);
    }
    standings(rates, windows, now, &at)
}

fn standings(
    rates: &[Rate],
    windows: &[Window],
    now: Timestamp,
    at: &[i64; MOST_RATES],
) -> Standings {
    let mut standings = Standings::default();
    for ((rate, window), at) in rates.iter().zip(windows).zip(at) {
        standings.push(window.standing(rate, *at, now));
    }
    standings
}

impl Window {
    /// A window of `rate` in which nothing was granted.
    pub fn new(rate: &Rate, now: Timestamp) -> Self {
        let newest = rate.tick_of(now) / i64::from(rate.part());
        Self { newest, parts: [Part::default(); KEPT] }
    }

    /// Goes on to the part of `now`, and says in which tick that is. Time does not go back
    /// here: before the last request that was granted, it stands still.
    fn turn(&mut self, rate: &Rate, now: Timestamp) -> i64 {
        let part = i64::from(rate.part());
        let last = self.parts[place(self.newest)].last;
        let at = rate.tick_of(now).max(self.newest * part + i64::from(last));
        if at < (self.newest + 1) * part {
            return at;
        }
        let newest = at / part;
        // As many as are in sight, however long it was.
        for number in (self.newest + 1).max(newest - i64::from(PARTS))..=newest {
            self.parts[place(number)] = Part::default();
        }
        self.newest = newest;
        at
    }

    /// Counts a request in the tick that [`Self::turn`] said.
    fn count(&mut self, rate: &Rate, at: i64) {
        let offset = at - self.newest * i64::from(rate.part());
        let part = &mut self.parts[place(self.newest)];
        part.lag = part.lag.max(within(offset - rate.pace(part.granted)));
        part.last = part.last.max(within(offset));
        part.granted = part.granted.saturating_add(1);
    }

    /// Milliseconds from `now` until a request is allowed; none at all, or less, if it is now.
    fn wait(&self, rate: &Rate, at: i64, now: Timestamp) -> i64 {
        let requests = i64::from(rate.requests());
        // No more are held than were granted, which is sooner said.
        if self.granted() < requests {
            return 0;
        }
        let over = self.held(rate, at) + 1 - requests;
        if over <= 0 {
            return 0;
        }
        self.until_given_back(rate, at, over, now)
    }

    /// How many requests count against the token.
    fn held(&self, rate: &Rate, at: i64) -> i64 {
        // Only the oldest can have given back any.
        let passing = self.parts(rate).take_while(|(since, _)| *since <= at);
        let given_back =
            passing.map(|(since, part)| i64::from(part.granted) - part.held(rate, at - since));
        self.granted() - given_back.sum::<i64>()
    }

    /// How many requests of those in sight were granted.
    fn granted(&self) -> i64 {
        self.parts.iter().map(|part| i64::from(part.granted)).sum()
    }

    /// Milliseconds from `now` until the `n`th of the requests that are held is given back.
    fn until_given_back(&self, rate: &Rate, at: i64, n: i64, now: Timestamp) -> i64 {
        let mut n = n;
        for (since, part) in self.parts(rate).filter(|(_, part)| part.granted > 0) {
            let held = part.held(rate, at - since);
            if n <= held {
                let nth = i64::from(part.granted) - held + n - 1;
                let tick = since + part.given_back(rate, u32::try_from(nth).unwrap_or(u32::MAX));
                return (tick * i64::from(rate.tick())).saturating_sub(now.as_millis()).max(1);
            }
            n -= held;
        }
        0
    }

    fn standing(&self, rate: &Rate, at: i64, now: Timestamp) -> Standing {
        let held = self.held(rate, at);
        let remaining = u32::try_from(i64::from(rate.requests()) - held).unwrap_or(0);
        let reset = match self.until_given_back(rate, at, 1, now) {
            0 => rate.per(),
            wait => seconds(wait),
        };
        Standing { requests: rate.requests(), per: rate.per(), remaining, reset }
    }

    /// The same requests, for a rate of the same span that allows another number: whatever
    /// its pace, none of a part came after the last.
    #[must_use]
    pub(super) fn repaced(mut self) -> Self {
        for part in &mut self.parts {
            part.lag = part.last;
        }
        self
    }

    /// The parts, the oldest first, each with its first tick a whole window later: when the
    /// first of its requests could be given back.
    fn parts(&self, rate: &Rate) -> impl Iterator<Item = (i64, &Part)> {
        let (before, after) = self.parts.split_at(place(self.newest) + 1);
        let part = i64::from(rate.part());
        let first = (self.newest - i64::from(PARTS)) * part + i64::from(rate.length());
        let since = std::iter::successors(Some(first), move |since| Some(since + part));
        since.zip(after.iter().chain(before))
    }
}

impl Part {
    /// How many requests count `ticks` after the first of them could have been given back.
    fn held(self, rate: &Rate, ticks: i64) -> i64 {
        let granted = i64::from(self.granted);
        match ticks - i64::from(self.lag) {
            _ if ticks >= i64::from(self.last) => 0,
            late if late < 0 => granted,
            late => (granted - rate.paced(late)).max(0),
        }
    }

    /// After how many ticks the `n`th is given back, counted from none.
    fn given_back(self, rate: &Rate, n: u32) -> i64 {
        i64::from(self.last).min(i64::from(self.lag) + rate.pace(n))
    }
}

fn place(number: i64) -> usize {
    usize::try_from(number.rem_euclid(i64::from(PARTS) + 1)).unwrap_or(0)
}

/// An offset within a part, which has 65,536 ticks at most.
fn within(offset: i64) -> u16 {
    u16::try_from(offset.max(0)).unwrap_or(u16::MAX)
}

/// Whole seconds, rounded up, one at least.
fn seconds(millis: i64) -> Seconds {
    Seconds(u64::try_from(millis).unwrap_or(0).div_ceil(1000).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn a_window_is_small() {
        assert_eq!(size_of::<Window>(), 128);
    }

    /// The counters that the steps in the module above this one lead to.
    #[test]
    fn the_counters_after_each_step() {
        // Ticks of a millisecond, parts of 4286, a pace of 12 seconds.
        let rates = [Rate::new(5, Seconds(60)).unwrap()];
        let mut windows = [Window::new(&rates[0], at(1_000_000))];
        let shown = |windows: &[Window; 1]| {
            let counted = |part: &&Part| part.granted > 0;
            let parts = windows[0].parts.iter().filter(counted);
            let parts: Vec<_> = parts.map(|part| (part.granted, part.last, part.lag)).collect();
            (windows[0].newest, parts)
        };
        assert_eq!(shown(&windows), (233, vec![]));
        for (now, newest, parts) in [
            (1_000_000, 233, vec![(1, 1362, 1362)]),
            (1_002_000, 233, vec![(2, 3362, 1362)]),
            // Late, and so counted where time stands.
            (1_001_000, 233, vec![(3, 3362, 1362)]),
            (1_003_000, 234, vec![(3, 3362, 1362), (1, 76, 76)]),
            // This part has its place before theirs.
            (1_059_000, 247, vec![(1, 358, 358), (3, 3362, 1362), (1, 76, 76)]),
        ] {
            let judged = judge(&rates, &mut windows, at(now)).unwrap();
            grant(&rates, &mut windows, judged);
            assert_eq!(shown(&windows), (newest, parts), "at {now}");
        }
        let mut wait = |now| judge(&rates, &mut windows, at(now)).unwrap_err().retry_after.0;
        assert_eq!([wait(1_059_000), wait(1_059_999)], [1, 1]);
        // The first, and the two that came when the last of its part did.
        for (now, remaining) in [(1_060_000, 0), (1_062_000, 1), (1_062_001, 0)] {
            let judged = judge(&rates, &mut windows, at(now)).unwrap();
            let standings = grant(&rates, &mut windows, judged);
            assert_eq!(standings[0].remaining, remaining, "at {now}");
        }
        assert!(judge(&rates, &mut windows, at(1_062_002)).is_err());
    }

    #[test]
    fn the_ends_of_time_are_times() {
        let rates = ["1/1s", "7/31d", "100000000/24h"].map(|rate| rate.parse::<Rate>().unwrap());
        for times in [[i64::MIN, i64::MAX], [i64::MAX, i64::MIN], [i64::MAX, i64::MAX]] {
            let mut windows = rates.map(|rate| Window::new(&rate, at(times[0])));
            for now in times {
                if let Ok(judged) = judge(&rates, &mut windows, at(now)) {
                    grant(&rates, &mut windows, judged);
                }
            }
        }
    }
}
