//! What is counted of a node's lease, and of answers that wait for all nodes.

use prometheus_client::metrics::{counter::Counter, gauge::Gauge, histogram::Histogram};
use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// In seconds: from a round trip to the longest L.
const WAITS: [f64; 19] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0,
    120.0, 300.0, 600.0,
];

/// Counts since the start.
#[derive(Debug)]
pub(crate) struct Counted {
    /// Renewals that the database answered.
    pub(crate) renewals: Counter,
    /// Those that it did not, or not in time.
    pub(crate) failures: Counter,
    /// How long the last one took, in nanoseconds; none yet: 0.
    took: AtomicU64,
    /// Rows of others that this node has struck off.
    pub(crate) struck_off: Counter,
    /// How long answers to changes waited, in seconds.
    pub(crate) waits: Histogram,
    /// Answers that wait now.
    pub(crate) waiting: Gauge,
}

impl Default for Counted {
    fn default() -> Self {
        Self {
            renewals: Counter::default(),
            failures: Counter::default(),
            took: AtomicU64::new(0),
            struck_off: Counter::default(),
            waits: Histogram::new(WAITS),
            waiting: Gauge::default(),
        }
    }
}

impl Counted {
    /// The database has answered a renewal, after so long.
    pub(super) fn renewed(&self, took: Duration) {
        self.renewals.inc();
        self.took.store(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// How long the database took to answer the last renewal.
    pub(crate) fn took(&self) -> Option<Duration> {
        let nanos = self.took.load(Ordering::Relaxed);
        (nanos > 0).then(|| Duration::from_nanos(nanos))
    }
}
