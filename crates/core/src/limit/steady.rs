//! Time that does not go back, made of a clock that may.

use crate::Timestamp;

/// What is waited for, in milliseconds: threads that read the clock and were held up before
/// they said so, and small corrections.
const PATIENCE: i64 = 60_000;

/// The latest moment that was heard of, and by how much the clock has been put back since the
/// beginning.
///
/// A clock that goes back a little is waited for: time stands still. One that goes back by
/// more than a minute has been put back, and time goes on from where it was. Either way no
/// window gives back a request before so much time has passed, and no slot is held for more
/// than a minute longer. Time that a clock leaps forward has passed, as far as anybody here
/// can tell.
#[derive(Debug)]
pub(super) struct Steady {
    latest: i64,
    back: i64,
}

impl Default for Steady {
    fn default() -> Self {
        Self { latest: i64::MIN, back: 0 }
    }
}

impl Steady {
    /// The moment that it is, when the clock says `now`.
    pub(super) fn at(&mut self, now: Timestamp) -> Timestamp {
        let now = now.as_millis().saturating_add(self.back);
        let behind = self.latest.saturating_sub(now);
        if behind > PATIENCE {
            self.back = self.back.saturating_add(behind);
        }
        self.latest = self.latest.max(now);
        Timestamp::from_millis(self.latest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_stands_still_for_a_minute_at_most() {
        let mut steady = Steady::default();
        let mut at = |millis| steady.at(Timestamp::from_millis(millis)).as_millis();
        assert_eq!([at(100_000), at(160_000)], [100_000, 160_000]);
        // A little late, and in time again.
        assert_eq!([at(159_990), at(100_000), at(160_001)], [160_000, 160_000, 160_001]);
        // An hour back: from here on, time passes as the clock says.
        assert_eq!([at(-3_600_000), at(-3_599_990), at(-3_590_000)], [160_001, 160_011, 170_001]);
        // And again.
        assert_eq!([at(-9_000_000), at(-8_999_000)], [170_001, 171_001]);
    }

    #[test]
    fn the_ends_of_time_are_times() {
        let mut steady = Steady::default();
        for millis in [i64::MAX, i64::MIN, 0, i64::MAX, i64::MIN] {
            assert_eq!(steady.at(Timestamp::from_millis(millis)).as_millis(), i64::MAX);
        }
    }
}
