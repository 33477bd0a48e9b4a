//! Times as people read them, with the exact instant beside.

use counterfoil_core::Timestamp;
use std::fmt;

/// A time: how long ago or from now, and exactly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct When {
    /// For `<time datetime>`.
    pub(crate) iso: String,
    /// For who wants it exactly.
    pub(crate) exact: String,
    /// For everybody.
    pub(crate) words: String,
}

/// A time, seen from `now`.
pub(crate) fn when(at: Timestamp, now: Timestamp) -> When {
    let instant = jiff::Timestamp::from_millisecond(at.as_millis()).unwrap_or_default();
    When {
        iso: instant.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        exact: instant.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        words: Distance(at.as_millis().saturating_sub(now.as_millis())).to_string(),
    }
}

/// The day in words, as in "31 January 2027".
pub(crate) fn day(at: Timestamp) -> String {
    let instant = jiff::Timestamp::from_millisecond(at.as_millis()).unwrap_or_default();
    instant.strftime("%-d %B %Y").to_string()
}

/// The day as a date field has it.
pub(crate) fn date(at: Timestamp) -> String {
    let instant = jiff::Timestamp::from_millisecond(at.as_millis()).unwrap_or_default();
    instant.strftime("%Y-%m-%d").to_string()
}

/// Milliseconds from now; before it, where they are fewer than none.
struct Distance(i64);

impl fmt::Display for Distance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u64, &str); 5] = [
            (365 * 86_400, "year"),
            (30 * 86_400, "month"),
            (86_400, "day"),
            (3_600, "hour"),
            (60, "minute"),
        ];
        let seconds = self.0.unsigned_abs() / 1000;
        let Some((number, unit)) = UNITS
            .iter()
            .find_map(|(span, unit)| (seconds >= *span).then(|| (seconds / span, unit)))
        else {
            return f.write_str(if self.0 > 1000 { "in less than a minute" } else { "just now" });
        };
        let s = if number == 1 { "" } else { "s" };
        if self.0 > 0 {
            write!(f, "in {number} {unit}{s}")
        } else {
            write!(f, "{number} {unit}{s} ago")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        let now = Timestamp::from_millis(1_800_000_000_000);
        let words = |seconds: i64| {
            when(Timestamp::from_millis(now.as_millis() + seconds * 1000), now).words
        };
        assert_eq!(words(0), "just now");
        assert_eq!(words(-59), "just now");
        assert_eq!(words(-60), "1 minute ago");
        assert_eq!(words(-7_200), "2 hours ago");
        assert_eq!(words(30), "in less than a minute");
        assert_eq!(words(13 * 86_400 + 5), "in 13 days");
        assert_eq!(words(-800 * 86_400), "2 years ago");
        let at = when(now, now);
        assert_eq!((&*at.iso, &*at.exact), ("2027-01-15T08:00:00Z", "2027-01-15 08:00:00 UTC"));
        assert_eq!((day(now), date(now)), ("15 January 2027".into(), "2027-01-15".into()));
        when(Timestamp::from_millis(i64::MAX), Timestamp::from_millis(i64::MIN));
    }
}
