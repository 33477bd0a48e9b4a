//! How long a door takes to judge a request: one in so many is timed, since reading the clock
//! twice takes about as long as what would be measured.

use crate::clock;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, NoLabelSet},
    metrics::MetricType,
};
use std::{
    cell::Cell,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// One in how many is timed, on each thread. It is odd: verify judges two in turn, the asker
/// and what is asked about, and otherwise only the one or the other would ever be timed.
const ONE_IN: u8 = 61;
/// What takes no longer than 2 to this many nanoseconds is told apart no further.
const SHORTEST: u32 = 7;
/// How many spans are told apart, each twice as long as the one before. The last has no end.
const SPANS: usize = 20;

thread_local! {
    static SINCE: Cell<u8> = const { Cell::new(0) };
}

/// How many took how long.
#[derive(Debug, Default)]
pub(crate) struct Latency {
    spans: [AtomicU64; SPANS],
    /// Of all that were timed, in nanoseconds.
    sum: AtomicU64,
}

/// Timed, until it is told that it is done.
pub(crate) struct Timed<'a>(Option<(&'a Latency, Instant)>);

impl Latency {
    /// Begins to time something, or lets it go untimed.
    pub(crate) fn begin(&self) -> Timed<'_> {
        let since = SINCE.get();
        SINCE.set((since + 1) % ONE_IN);
        Timed((since == 0).then(|| (self, clock::steady())))
    }

    fn record(&self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let bits = u64::BITS - nanos.saturating_sub(1).leading_zeros();
        let span = (bits.saturating_sub(SHORTEST) as usize).min(SPANS - 1);
        self.spans[span].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(nanos, Ordering::Relaxed);
    }

    /// Within what time so many of a hundred were done, to the next power of two; nothing
    /// where nothing was timed, or where they took longer than is told apart.
    pub(crate) fn within(&self, percent: u64) -> Option<Duration> {
        let counts = self.counts();
        let all: u64 = counts.iter().sum();
        let wanted = (all * percent).div_ceil(100);
        let mut seen = 0;
        let span = counts.iter().position(|count| {
            seen += count;
            seen >= wanted
        });
        span.filter(|span| all > 0 && span + 1 < SPANS).map(end)
    }

    fn counts(&self) -> [u64; SPANS] {
        std::array::from_fn(|span| self.spans[span].load(Ordering::Relaxed))
    }
}

impl Timed<'_> {
    /// It is done.
    pub(crate) fn done(self) {
        if let Some((latency, begun)) = self.0 {
            latency.record(begun.elapsed());
        }
    }
}

/// How long what falls into a span takes at most.
fn end(span: usize) -> Duration {
    Duration::from_nanos(1 << (span + SHORTEST as usize))
}

/// The same, for a scrape.
#[derive(Debug)]
pub(crate) struct LatencyCollector(pub(crate) Arc<Latency>);

impl Collector for LatencyCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let counts = self.0.counts();
        let buckets: Vec<(f64, u64)> = counts
            .iter()
            .enumerate()
            .map(|(span, count)| {
                let end = if span + 1 < SPANS { end(span).as_secs_f64() } else { f64::MAX };
                (end, *count)
            })
            .collect();
        let sum = Duration::from_nanos(self.0.sum.load(Ordering::Relaxed)).as_secs_f64();
        let help = "How long judging a request takes, in seconds; one in 61 is timed";
        encoder
            .encode_descriptor("judging_seconds", help, None, MetricType::Histogram)?
            .encode_histogram::<NoLabelSet>(sum, counts.iter().sum(), &buckets, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(took: &[u64]) -> Latency {
        let latency = Latency::default();
        for nanos in took {
            latency.record(Duration::from_nanos(*nanos));
        }
        latency
    }

    #[test]
    fn percentiles_are_ends_of_spans() {
        let latency = of(&[100, 128, 129, 1_000]);
        let within = |percent| latency.within(percent).map(|span| span.as_nanos());
        assert_eq!(within(50), Some(128));
        assert_eq!(within(75), Some(256));
        assert_eq!(within(99), Some(1024));
        assert_eq!(Latency::default().within(50), None);
        // What has no end has none that could be told.
        assert_eq!(of(&[u64::MAX]).within(50), None);
    }

    #[test]
    fn one_in_so_many_is_timed() {
        let latency = Latency::default();
        std::thread::scope(|scope| {
            let timed = scope.spawn(|| (0..610).for_each(|_| latency.begin().done()));
            timed.join().unwrap();
        });
        assert_eq!(latency.counts().iter().sum::<u64>(), 10);
    }

    #[test]
    fn of_two_that_are_judged_in_turn_both_are_timed() {
        let two = [Latency::default(), Latency::default()];
        std::thread::scope(|scope| {
            let each = || (0..610).for_each(|_| two.iter().for_each(|one| one.begin().done()));
            scope.spawn(each).join().unwrap();
        });
        assert_eq!(two.map(|one| one.counts().iter().sum::<u64>()), [10, 10]);
    }

    proptest! {
        #[test]
        fn no_more_than_its_share_takes_longer(took in prop::collection::vec(0..100_000_000_u64, 1..50), percent in 1..=100_u64) {
            if let Some(within) = of(&took).within(percent) {
                let done = took.iter().filter(|nanos| u128::from(**nanos) <= within.as_nanos()).count();
                prop_assert!(done as u64 * 100 >= percent * took.len() as u64);
            }
        }
    }
}
