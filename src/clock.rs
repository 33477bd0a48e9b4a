//! The one place where time is read.

use counterfoil_core::{Timestamp, lease::BootTime};
use rustix::time::ClockId;
use std::{
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// What [`LATELY`] counts from, by either clock.
static START: LazyLock<(Instant, Duration)> =
    LazyLock::new(|| (Instant::now(), read(ClockId::Monotonic)));
/// Milliseconds of the steady clock, as it was read last.
static LATELY: AtomicU64 = AtomicU64::new(0);

/// The wall clock, to the millisecond: for what people see and for expiry.
#[expect(clippy::disallowed_methods, reason = "this is the room for it")]
pub(crate) fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}

/// The steady clock: for how long something took.
pub(crate) fn steady() -> Instant {
    Instant::now()
}

/// A clock that nobody sets, and that goes on while the machine sleeps: for what is counted
/// within a time. It says nothing about what time it is.
pub(crate) fn counting() -> Timestamp {
    let since_boot = read(ClockId::Boottime).as_millis();
    Timestamp::from_millis(i64::try_from(since_boot).unwrap_or(i64::MAX))
}

/// The same, for leases: read anew each time, to the nanosecond.
pub(crate) fn boot() -> BootTime {
    let since_boot = read(ClockId::Boottime).as_nanos();
    BootTime::from_nanos(u64::try_from(since_boot).unwrap_or(u64::MAX))
}

/// The steady clock as [`refresh`] last read it, which costs no more than a look into memory.
/// It may be some milliseconds behind.
pub(crate) fn lately() -> Instant {
    START.0 + Duration::from_millis(LATELY.load(Ordering::Relaxed))
}

/// The steady clock as the kernel last wrote it down, each time that it looked after its
/// processes: a fifth of what the exact one costs, and that three times a request.
fn coarse() -> Duration {
    read(ClockId::MonotonicCoarse)
}

fn read(clock: ClockId) -> Duration {
    Duration::try_from(rustix::time::clock_gettime(clock)).unwrap_or_default()
}

/// Reads the steady clock for [`lately`].
pub(crate) fn refresh() {
    let since_start = coarse().saturating_sub(START.1).as_millis();
    let since_start = u64::try_from(since_start).unwrap_or(u64::MAX);
    // Mostly it is the same millisecond still, which is seen without a write.
    if since_start > LATELY.load(Ordering::Relaxed) {
        // Two that read it side by side must not turn it back.
        LATELY.fetch_max(since_start, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_lately_stands_until_it_is_read_again() {
        let before = steady();
        refresh();
        let read = lately();
        // The kernel looks a hundred times a second or more often.
        assert!(read + Duration::from_millis(20) > before && read <= steady());
        assert!(lately() >= read);
    }
}
