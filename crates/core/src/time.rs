//! Points in time and spans of it, as numbers that somebody else has read from a clock.

use serde::{Deserialize, Serialize};

/// A point in time: milliseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The last instant that RFC 3339 writes with any offset: it has years of four
    /// digits, and an offset may be a whole day and more.
    pub const MAX: Timestamp = Timestamp(253_402_207_200_000);

    /// From milliseconds since the Unix epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// This instant `seconds` later, at most [`Timestamp::MAX`].
    #[must_use]
    pub fn plus(self, seconds: Seconds) -> Self {
        let millis = i64::try_from(seconds.0.saturating_mul(1000)).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(millis).min(Self::MAX.0))
    }

    /// This instant `seconds` earlier.
    #[must_use]
    pub fn minus(self, seconds: Seconds) -> Self {
        let millis = i64::try_from(seconds.0.saturating_mul(1000)).unwrap_or(i64::MAX);
        Self(self.0.saturating_sub(millis))
    }

    /// When the span of this length began in which this instant lies; spans are
    /// counted from the epoch, so that days begin at midnight UTC.
    #[must_use]
    pub fn beginning(self, span: Seconds) -> Self {
        let millis = i64::try_from(span.0.saturating_mul(1000)).unwrap_or(i64::MAX).max(1);
        Self(self.0.div_euclid(millis).saturating_mul(millis))
    }
}

/// A span of time in whole seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seconds(pub u64);

impl Seconds {
    /// An hour.
    pub const HOUR: Seconds = Seconds(3_600);
    /// A day.
    pub const DAY: Seconds = Seconds(86_400);

    /// So many days.
    pub const fn days(days: u32) -> Self {
        // A u32 of days fits.
        Self(days as u64 * Self::DAY.0)
    }
}

/// Why a text is not a span of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a number and a unit, as in \"90d\", \"24h\", \"15m\" or \"30s\"")]
pub struct NotASpan;

impl std::str::FromStr for Seconds {
    type Err = NotASpan;

    /// Reads `90d`, `24h`, `15m`, `30s`, or a bare number of seconds.
    fn from_str(text: &str) -> Result<Self, NotASpan> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let unit = match unit {
            "" | "s" => 1,
            "m" => 60,
            "h" => 3600,
            "d" => 86_400,
            _ => return Err(NotASpan),
        };
        let number: u64 = number.parse().map_err(|_| NotASpan)?;
        number.checked_mul(unit).map(Seconds).ok_or(NotASpan)
    }
}

impl std::fmt::Display for Seconds {
    /// The largest unit that divides the span.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (count, letter) = self.in_units();
        write!(f, "{count}{letter}")
    }
}

impl Seconds {
    /// How many of the largest unit that divides the span, and its letter.
    pub(crate) fn in_units(self) -> (u64, char) {
        let (unit, letter) = [(86_400, 'd'), (3600, 'h'), (60, 'm')]
            .into_iter()
            .find(|(unit, _)| self.0 > 0 && self.0.is_multiple_of(*unit))
            .unwrap_or((1, 's'));
        (self.0 / unit, letter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn spans_read_and_print() {
        for (text, seconds, printed) in [
            ("90d", 7_776_000, "90d"),
            ("24h", 86_400, "1d"),
            ("15m", 900, "15m"),
            ("61", 61, "61s"),
        ] {
            let span: Seconds = text.parse().unwrap();
            assert_eq!(span, Seconds(seconds));
            assert_eq!(span.to_string(), printed);
        }
        for wrong in
            ["", "d", "90 d", "-1d", "1w", "1.5h", "99999999999999999999d", "9999999999999999999d"]
        {
            assert_eq!(wrong.parse::<Seconds>(), Err(NotASpan), "{wrong}");
        }
    }

    #[test]
    fn adding_stops_at_the_end_of_time() {
        assert_eq!(Timestamp::from_millis(5).plus(Seconds(2)), Timestamp::from_millis(2005));
        assert_eq!(Timestamp::from_millis(5).plus(Seconds(u64::MAX)), Timestamp::MAX);
    }

    #[test]
    fn earlier_and_the_beginning_of_it() {
        let noon = Timestamp::from_millis(12 * 3_600_000 + 1);
        assert_eq!(noon.minus(Seconds::HOUR), Timestamp::from_millis(11 * 3_600_000 + 1));
        assert_eq!(noon.minus(Seconds(u64::MAX)).minus(Seconds(u64::MAX)).as_millis(), i64::MIN);
        for (millis, hour, day) in
            [(0, 0, 0), (3_600_000, 3_600_000, 0), (-1, -3_600_000, -86_400_000)]
        {
            let at = Timestamp::from_millis(millis);
            assert_eq!(at.beginning(Seconds::HOUR), Timestamp::from_millis(hour));
            assert_eq!(at.beginning(Seconds::DAY), Timestamp::from_millis(day));
        }
        assert_eq!(Timestamp::MAX.beginning(Seconds(u64::MAX)), Timestamp::from_millis(0));
    }

    proptest! {
        #[test]
        fn any_span_prints_and_reads(number: u64, unit in prop::sample::select(vec![1, 60, 86_400])) {
            let span = Seconds(number / unit * unit);
            prop_assert_eq!(span.to_string().parse(), Ok(span));
        }
    }
}
