//! L: how long a node may trust its index without the database, and so how long the answer to
//! a change may take while a node is out of reach.

use super::BootTime;
use std::time::Duration;

/// A length that a lease may have: whole seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Length(u64);

/// Why a number of seconds is not a length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected from {} to {} seconds", Length::MIN.0, Length::MAX.0)]
pub struct NotALength;

impl Length {
    /// What it is unless somebody says otherwise.
    pub const DEFAULT: Length = Length(30);
    /// The shortest: a third of it still is several round trips to a database that is busy.
    pub const MIN: Length = Length(2);
    /// The longest, and so the longest that any answer to a change waits.
    pub const MAX: Length = Length(600);

    /// So many seconds.
    ///
    /// # Errors
    /// [`NotALength`], if that is too short or too long.
    pub fn from_seconds(seconds: u64) -> Result<Self, NotALength> {
        let length = Length(seconds);
        (Length::MIN..=Length::MAX).contains(&length).then_some(length).ok_or(NotALength)
    }

    /// How many seconds.
    pub const fn seconds(self) -> u64 {
        self.0
    }

    /// How long that is: what whoever waits for others waits, by a clock of their own.
    pub const fn whole(self) -> Duration {
        Duration::from_secs(self.0)
    }

    /// How long a node trusts its index, by its own clock. A fifth less than the whole: so a
    /// clock that is slow by a ninth has seen this much before one that is fast by a ninth has
    /// seen the whole.
    pub const fn trusted(self) -> Duration {
        Duration::from_millis(self.0 * 800)
    }

    /// How long after a renewal the next one is due.
    pub(super) fn third(self) -> Duration {
        self.whole() / 3
    }

    /// How long a statement may take, before it is given up and tried anew: half of what lies
    /// between two renewals.
    pub(super) fn patience(self) -> Duration {
        self.whole() / 6
    }
}

/// What the database says of L. While it is lowered these are two lengths: there are leases of
/// the old one still, and whoever waits for their end waits as long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lengths {
    lease: Length,
    wait: Length,
}

impl Lengths {
    /// The length of leases that begin now, and how long to wait for the end of any.
    ///
    /// # Errors
    /// [`NotALength`], if the wait is shorter than the leases.
    pub fn new(lease: Length, wait: Length) -> Result<Self, NotALength> {
        if wait < lease {
            return Err(NotALength);
        }
        Ok(Self { lease, wait })
    }

    /// One length for both.
    pub const fn of(length: Length) -> Self {
        Self { lease: length, wait: length }
    }

    /// How long leases are that begin now.
    pub const fn lease(self) -> Length {
        self.lease
    }

    /// How long to wait for the end of any.
    pub const fn wait(self) -> Length {
        self.wait
    }

    /// What to commit so that L becomes `length`. Nobody waits for less than before; where that
    /// is more than the new length, a [`Lowering`] says when it may be less.
    #[must_use]
    pub fn toward(self, length: Length) -> Self {
        Self { lease: length, wait: self.wait.max(length) }
    }
}

/// The way from a length to a lesser one, once [`Lengths::toward`] is committed: the old length
/// is waited for, then [`Lowering::settled`] may be committed, if the lengths are still those
/// that were committed first. Who stops half-way has harmed nobody, and may begin anew.
#[derive(Debug, Clone, Copy)]
pub struct Lowering {
    lengths: Lengths,
    ends: BootTime,
}

impl Lowering {
    /// From what has been committed, and the clock once that COMMIT had returned.
    pub fn begin(lengths: Lengths, now: BootTime) -> Self {
        Self { lengths, ends: now.plus(lengths.wait.whole()) }
    }

    /// When the old length has passed.
    pub fn ends(&self) -> BootTime {
        self.ends
    }

    /// What to commit, once the old length has passed.
    pub fn settled(&self, now: BootTime) -> Option<Lengths> {
        (now >= self.ends).then_some(Lengths::of(self.lengths.lease))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn length(seconds: u64) -> Length {
        Length::from_seconds(seconds).unwrap()
    }

    #[test]
    fn lengths_have_bounds() {
        for wrong in [0, 1, 601, u64::MAX] {
            assert_eq!(Length::from_seconds(wrong), Err(NotALength), "{wrong}");
        }
        assert_eq!(NotALength.to_string(), "expected from 2 to 600 seconds");
        assert_eq!(Length::DEFAULT.trusted(), Duration::from_secs(24));
        assert_eq!(Lengths::new(length(3), length(2)), Err(NotALength));
    }

    #[test]
    fn the_margin_covers_clocks_that_differ_by_a_ninth() {
        for seconds in Length::MIN.0..=Length::MAX.0 {
            let length = length(seconds);
            // Real time: a ninth slow takes 9/8 of what its clock says, a ninth fast 9/10.
            assert!(length.trusted() * 9 / 8 <= length.whole() * 9 / 10, "{seconds}");
        }
    }

    #[test]
    fn lowering_waits_the_old_length_and_raising_does_not_wait() {
        let old = Lengths::of(length(30));
        let raised = old.toward(length(60));
        assert_eq!(raised, Lengths::of(length(60)));
        let lowered = old.toward(length(10));
        assert_eq!((lowered.lease(), lowered.wait()), (length(10), length(30)));
        // Between the two there is no way to a shorter wait.
        assert_eq!(lowered.toward(length(20)).wait(), length(30));
        let now = BootTime::from_nanos(5);
        let lowering = Lowering::begin(lowered, now);
        assert_eq!(lowering.ends(), now.plus(Duration::from_secs(30)));
        assert_eq!(lowering.settled(now.plus(Duration::from_millis(29_999))), None);
        assert_eq!(lowering.settled(lowering.ends()), Some(Lengths::of(length(10))));
    }
}
