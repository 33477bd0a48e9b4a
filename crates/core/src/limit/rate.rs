//! Rates: so many requests in so much time, as the configuration writes them.

use crate::{Timestamp, time::Seconds};

/// The most requests that a rate may allow.
const MOST_REQUESTS: u32 = 100_000_000;
/// The longest span that a rate may have: 31 days.
const LONGEST: u32 = 31 * 86_400;

/// Into how many parts a window is divided. A window is counted by its parts and the one
/// that is partly over.
pub(super) const PARTS: u8 = 14;
/// The most ticks that a window has: an offset within a part fits 16 bits.
const MOST_TICKS: u32 = 900_000;

/// At most so many requests in any span of this length: `1000/60s`.
///
/// Time is counted in ticks, a window's own: a millisecond, unless the span is long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    requests: u32,
    seconds: u32,
    tick: u32,
    length: u32,
    part: u32,
}

/// Why a text is not a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotARate {
    /// It is not a number, a slash and a span.
    #[error("expected requests and a span of time, as in \"1000/60s\" or \"10000/24h\"")]
    Form,
    /// No requests at all, or more than anybody makes.
    #[error("expected a number of requests from 1 to {MOST_REQUESTS} before the slash")]
    Requests,
    /// No time at all, or more than is kept in mind.
    #[error("expected a span from 1s to {} after the slash", Seconds(u64::from(LONGEST)))]
    Span,
}

impl Rate {
    /// So many requests in any span of this length.
    pub fn new(requests: u32, per: Seconds) -> Result<Self, NotARate> {
        if !(1..=MOST_REQUESTS).contains(&requests) {
            return Err(NotARate::Requests);
        }
        let seconds = u32::try_from(per.0).map_err(|_| NotARate::Span)?;
        if !(1..=LONGEST).contains(&seconds) {
            return Err(NotARate::Span);
        }
        // No more than 2,678,400,000.
        let millis = seconds * 1000;
        let tick = millis.div_ceil(MOST_TICKS);
        // Moments are rounded down to ticks, so that two of them may be almost a tick closer
        // than they look.
        let length = if tick == 1 { millis } else { millis.div_ceil(tick) + 1 };
        let part = length.div_ceil(u32::from(PARTS));
        Ok(Self { requests, seconds, tick, length, part })
    }

    /// How many requests.
    pub fn requests(&self) -> u32 {
        self.requests
    }

    /// In how much time.
    pub fn per(&self) -> Seconds {
        Seconds(u64::from(self.seconds))
    }

    /// How many milliseconds a tick has.
    pub fn tick(&self) -> u32 {
        self.tick
    }

    /// How many ticks a window has: never less than the span, rounded up.
    pub fn length(&self) -> u32 {
        self.length
    }

    /// How many ticks a part of a window has.
    pub fn part(&self) -> u32 {
        self.part
    }

    /// The longest that a request may count against its token: a window and a part of it.
    pub fn memory_millis(&self) -> i64 {
        (i64::from(self.length) + i64::from(self.part)) * i64::from(self.tick)
    }

    /// The same span, with a `nodes`th of the requests, rounded down, but one at least.
    #[must_use]
    pub fn divided(self, nodes: u32) -> Self {
        Self { requests: (self.requests / nodes.max(1)).max(1), ..self }
    }

    /// In which tick this moment lies.
    pub(super) fn tick_of(&self, at: Timestamp) -> i64 {
        at.as_millis().clamp(0, Timestamp::MAX.as_millis()) / i64::from(self.tick)
    }

    /// How many ticks after the first of a part its `n`th request, counted from none, comes
    /// when requests come evenly and as fast as the rate allows.
    pub(super) fn pace(&self, n: u32) -> i64 {
        i64::from(n) * i64::from(self.length) / i64::from(self.requests)
    }

    /// How many requests [`Self::pace`] has had when so many ticks have passed.
    pub(super) fn paced(&self, ticks: i64) -> i64 {
        let requests = (ticks + 1) * i64::from(self.requests);
        // Rounded up. Neither is negative.
        (requests + i64::from(self.length) - 1) / i64::from(self.length)
    }
}

impl std::str::FromStr for Rate {
    type Err = NotARate;

    /// Reads a number, a slash and a span, without white space.
    fn from_str(text: &str) -> Result<Self, NotARate> {
        let (requests, span) = text.split_once('/').ok_or(NotARate::Form)?;
        let is_number = !requests.is_empty() && requests.bytes().all(|b| b.is_ascii_digit());
        if !is_number || !span.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(NotARate::Form);
        }
        let requests = requests.parse().map_err(|_| NotARate::Requests)?;
        // What is a number and a unit, and still no span, has too many digits.
        let is_one = span.trim_start_matches(|c: char| c.is_ascii_digit());
        let wrong = if ["", "s", "m", "h", "d"].contains(&is_one) {
            NotARate::Span
        } else {
            NotARate::Form
        };
        Self::new(requests, span.parse().map_err(|_| wrong)?)
    }
}

impl std::fmt::Display for Rate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.requests, self.per())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_written_is_read() {
        for (text, requests, seconds, printed) in [
            ("1000/60s", 1000, 60, "1000/1m"),
            ("10000/24h", 10_000, 86_400, "10000/1d"),
            ("1/1", 1, 1, "1/1s"),
            ("100000000/31d", 100_000_000, 2_678_400, "100000000/31d"),
        ] {
            let rate: Rate = text.parse().unwrap();
            assert_eq!((rate.requests(), rate.per()), (requests, Seconds(seconds)), "{text}");
            assert_eq!(rate.to_string(), printed);
            assert_eq!(printed.parse(), Ok(rate));
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (wrong, why) in [
            (&["", "/", "1000", "1000/", "/60s", "1000 / 60s", "1000/60 s"][..], NotARate::Form),
            (
                &["+1/60s", "-1/60s", "1e3/60s", "1_000/60s", "1000/60s/2", "1000/1w"],
                NotARate::Form,
            ),
            (&["1000/s", "1000/-60s", "1000/1.5h", "a/60s"], NotARate::Form),
            (&["0/60s", "100000001/60s", "99999999999999999999/60s"], NotARate::Requests),
            (&["1/0s", "1/0", "1/32d", "1/2678401s", "1/99999999999999999999d"], NotARate::Span),
        ] {
            for text in wrong {
                assert_eq!(text.parse::<Rate>(), Err(why), "{text}");
            }
        }
        assert_eq!(
            NotARate::Requests.to_string(),
            "expected a number of requests from 1 to 100000000 before the slash"
        );
        assert_eq!(NotARate::Span.to_string(), "expected a span from 1s to 31d after the slash");
    }

    #[test]
    fn a_share_is_never_nothing() {
        let rate: Rate = "10/60s".parse().unwrap();
        assert_eq!(rate.divided(3).to_string(), "3/1m");
        assert_eq!(rate.divided(11).to_string(), "1/1m");
        assert_eq!(rate.divided(0), rate);
    }

    proptest! {
        #[test]
        fn ticks_are_never_shorter_than_the_span(
            requests in 1..=MOST_REQUESTS,
            seconds in 1..=LONGEST,
        ) {
            let rate = Rate::new(requests, Seconds(seconds.into())).unwrap();
            let (tick, length) = (i64::from(rate.tick), i64::from(rate.length));
            let span = i64::from(seconds) * 1000;
            // Seen through ticks, two moments may be a tick less one millisecond closer.
            prop_assert!(length * tick - (tick - 1) >= span);
            prop_assert!(length * tick <= span + 2 * tick);
            prop_assert!(tick == 1 || tick * 400_000 < span, "a tick is short");
            prop_assert!(i64::from(rate.part) * i64::from(PARTS) >= length);
            prop_assert!(rate.part <= 1 << 16);
            // A script that counts in doubles is exact.
            prop_assert!(i64::from(requests) * length < 1 << 53);
        }

        #[test]
        fn the_pace_counted_and_counted_back(requests in 1..=2000u32, n in 0..2000u32) {
            let rate = Rate::new(requests, Seconds(1)).unwrap();
            let ticks = rate.pace(n);
            prop_assert!(rate.paced(ticks) > i64::from(n));
            prop_assert!(ticks == 0 || rate.paced(ticks - 1) <= i64::from(n));
        }
    }
}
