//! The one place where time is read.

use counterfoil_core::Timestamp;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

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
