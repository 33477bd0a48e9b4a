//! A clock that stands still until it is moved.

use crate::clock::Clock;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// What the wall clock shows at first.
pub(crate) const NOW: u64 = 1_800_000_000;

#[derive(Clone)]
pub(crate) struct SetClock(Arc<watch::Sender<Times>>);

#[derive(Clone, Copy)]
struct Times {
    steady: Duration,
    wall: Duration,
}

impl SetClock {
    pub(super) fn new() -> Self {
        let times = Times { steady: Duration::ZERO, wall: Duration::from_secs(NOW) };
        Self(Arc::new(watch::Sender::new(times)))
    }

    pub(super) fn as_clock(&self) -> Clock {
        Clock::Set(self.clone())
    }

    /// Time passes.
    pub(super) fn advance(&self, by: Duration) {
        self.0.send_modify(|times| {
            times.steady += by;
            times.wall += by;
        });
    }

    /// Time passes that the steady clock does not count, as while the machine is suspended.
    pub(super) fn suspend(&self, time: Duration) {
        self.0.send_modify(|times| times.wall += time);
    }

    pub(crate) fn unix(&self) -> Duration {
        self.0.borrow().wall
    }

    pub(crate) fn steady(&self) -> Duration {
        self.0.borrow().steady
    }

    pub(crate) async fn sleep_until(&self, at: Duration) {
        // The sender is in `self`, so this ends only when it is time.
        let _ = self.0.subscribe().wait_for(|times| times.steady >= at).await;
    }
}
