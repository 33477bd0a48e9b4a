//! Something that is measured, and two that are compared.

use criterion::{
    Criterion,
    measurement::{Measurement, ValueFormatter, WallTime},
};
use rustix::time::{ClockId, clock_gettime};
use std::{sync::LazyLock, time::Duration};

/// Does something so many times and tells how long that took the thread.
pub(crate) type Case<'a> = Box<dyn Fn(u64) -> Duration + 'a>;

/// Two that do the same as far as it goes.
pub(crate) struct Comparison<'a> {
    pub(crate) name: String,
    /// What it is compared with.
    pub(crate) floor: Option<(String, Case<'a>)>,
    pub(crate) ours: Case<'a>,
    /// How many times the floor it may take.
    pub(crate) bar: Option<f64>,
}

impl Comparison<'_> {
    /// Has criterion measure both.
    pub(crate) fn measure(&self, criterion: &mut Criterion<CpuTime>) {
        let mut group = criterion.benchmark_group(&self.name);
        if let Some((name, floor)) = &self.floor {
            group.bench_function(name, |bencher| bencher.iter_custom(floor));
        }
        group.bench_function("counterfoil", |bencher| bencher.iter_custom(&self.ours));
        group.finish();
    }

    /// Measures both by turns: `figure:`, name, unit, the floor's median and ours, the ratio's
    /// median, least and most, the bar; with tabs between them.
    #[expect(clippy::cast_precision_loss, reason = "nobody waits for 2^52 steps")]
    pub(crate) fn by_turns(&self, rounds: usize, steps: u64) -> String {
        let time = |case: &Case<'_>| case(steps).as_secs_f64() * 1e9 / steps as f64;
        let (mut floors, mut ours, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        // A round that does not count fills caches.
        for round in 0..=rounds {
            // By turns, so that a slow spell of the machine meets both.
            let floor = self.floor.as_ref().map(|(_, floor)| time(floor));
            let own = time(&self.ours);
            if round > 0 {
                ours.push(own);
                floors.extend(floor);
                ratios.extend(floor.map(|floor| own / floor));
            }
        }
        let own = median(&mut ours);
        let bar = self.bar.map_or("-".to_owned(), |bar| format!("ratio {bar}"));
        let name = &self.name;
        match &self.floor {
            Some((floor, _)) => format!(
                "figure:\t{name} / {floor}\tCPU ns\t{:.1}\t{own:.1}\t{:.3}\t{:.3}\t{:.3}\t{bar}",
                median(&mut floors),
                median(&mut ratios),
                ratios[0],
                ratios[ratios.len() - 1],
            ),
            None => format!("figure:\t{name}\tCPU ns\t-\t{own:.1}\t-\t-\t-\t{bar}"),
        }
    }
}

/// Sorts, and finds the middle.
fn median(figures: &mut [f64]) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// How many are prepared at a time: few, so that what is prepared stays in the cache next
/// to the processor, as a request does that has just been read.
const AT_A_TIME: u64 = 32;

/// Times `work` on things that are prepared a few at a time, outside of what is timed.
pub(crate) fn timed<T>(
    steps: u64,
    mut prepare: impl FnMut() -> T,
    mut work: impl FnMut(&T),
) -> Duration {
    let mut sum = Duration::ZERO;
    let mut left = steps;
    while left > 0 {
        let now = left.min(AT_A_TIME);
        left -= now;
        let prepared: Vec<T> = (0..now).map(|_| prepare()).collect();
        let begin = cpu_time();
        for one in &prepared {
            work(one);
        }
        sum += cpu_time().saturating_sub(begin).saturating_sub(*CLOCK);
    }
    sum
}

/// What reading the clock takes.
static CLOCK: LazyLock<Duration> = LazyLock::new(|| {
    let mut times: Vec<Duration> = (0..10_001)
        .map(|_| {
            let begin = cpu_time();
            cpu_time().saturating_sub(begin)
        })
        .collect();
    times.sort();
    times[times.len() / 2]
});

/// How long this thread has run.
fn cpu_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// The thread's CPU time, for criterion.
pub(crate) struct CpuTime;

impl Measurement for CpuTime {
    type Intermediate = Duration;
    type Value = Duration;

    fn start(&self) -> Duration {
        cpu_time()
    }

    fn end(&self, begin: Duration) -> Duration {
        cpu_time().saturating_sub(begin)
    }

    fn add(&self, one: &Duration, other: &Duration) -> Duration {
        *one + *other
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    #[expect(clippy::cast_precision_loss, reason = "a measurement has fewer digits than a float")]
    fn to_f64(&self, value: &Duration) -> f64 {
        value.as_nanos() as f64
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        WallTime.formatter()
    }
}
