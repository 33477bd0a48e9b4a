//! The one place of this crate where time is read.

use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Tells the time; in tests, the time that was set.
#[derive(Clone, Default)]
pub(crate) enum Clock {
    /// The machine's.
    #[default]
    System,
    /// One that stands still until it is moved.
    #[cfg(test)]
    Set(crate::tests::clock::SetClock),
}

/// A moment by both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    steady: Duration,
    wall: Duration,
}

impl Clock {
    /// Seconds since 1970 by the wall clock: what a token's times are compared with.
    #[expect(clippy::disallowed_methods, reason = "this is the room for it")]
    pub(crate) fn unix(&self) -> Duration {
        match self {
            Self::System => SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
            #[cfg(test)]
            Self::Set(clock) => clock.unix(),
        }
    }

    /// A clock that nobody sets: for how long something took.
    pub(crate) fn steady(&self) -> Duration {
        match self {
            Self::System => START.elapsed(),
            #[cfg(test)]
            Self::Set(clock) => clock.steady(),
        }
    }

    /// Now, by both clocks.
    pub(crate) fn moment(&self) -> Moment {
        Moment { steady: self.steady(), wall: self.unix() }
    }

    /// How long ago that was. The steady clock stands still while the machine is suspended, and
    /// the wall clock can be set back, so the longer time counts.
    pub(crate) fn since(&self, then: Moment) -> Duration {
        let steady = self.steady().saturating_sub(then.steady);
        steady.max(self.unix().saturating_sub(then.wall))
    }

    /// Waits until the steady clock shows `at`.
    pub(crate) async fn sleep_until(&self, at: Duration) {
        match self {
            Self::System => tokio::time::sleep(at.saturating_sub(self.steady())).await,
            #[cfg(test)]
            Self::Set(clock) => clock.sleep_until(at).await,
        }
    }
}
