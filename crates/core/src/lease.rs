//! The lease: a node's right to trust its index, and how a change has reached every node.
//!
//! What is promised: no request that arrives after a change has been answered is judged without
//! that change. Everything here is a function of what it is told: nothing runs a statement, and
//! time is a [`BootTime`] that somebody has read from `CLOCK_BOOTTIME`.
//!
//! # How a driver goes about it
//! 1. `Node::new(random id)`. Doors get `node.lease()`, and ask it with [`Lease::read`].
//! 2. In a loop: read the clock, then `node.next(now)`.
//! 3. [`Next::Run`]: run that one step, and tell the node what came of it: `loaded`, `tailed`,
//!    `joined`, `renewed`, `acknowledged`, `watched`, `struck_off` or `left`.
//! 4. An error, or no answer by the time that stands beside the step: cancel it and call
//!    `failed`. A tail alone always says how far it has come, by `tailed`.
//! 5. Entries are applied to the index, in order and in every structure, before `tailed` says so.
//! 6. [`Next::Rest`]: sleep until then. A notification ends the sleep, by `node.wake()`.
//! 7. [`Next::Halt`]: raise the alarm, clear the index if it says so, and wait for the operator.
//! 8. To stop: `node.leave()`, whatever is under way, then go on until [`Next::Gone`].
//! 9. Whoever has changed or read something: once the COMMIT (or the read) has returned,
//!    `Wait::begin(number, clock())`, and the answer waits until [`Wait::read`] or
//!    [`Wait::passed`] says what was reached. One poller reads the rows for all of them.
//! 10. The poller reads the clock, then the rows: [`Rows::new`] wants the clock from before.
//!
//! # Why it holds
//! A node's lease begins when it read its clock before the statement that told it the head, and
//! it is extended only once everything through that head is applied. So a change that this
//! lease does not include was committed after the lease began; its answer waits until the node
//! has acknowledged it, or for longer than the lease can last by any clock. A node that the
//! answer does not see has no row, and so no renewal that could have come before the change.
//!
//! # What the statements are
//! Each is one transaction on the primary, at READ COMMITTED, and may be cut off at any moment.
//! A row is `(node, joined, renewals, acknowledged, knows)`, its key `node`.
//! - Load: state, head and lengths from one snapshot (REPEATABLE READ).
//! - Join: insert `(node, joined, 0, acknowledged, knows)`; where the node has a row, replace all
//!   of it if its `joined` is smaller, else do nothing.
//! - Renew: `renewals + 1` where node and `joined` are these, returning head and lengths as that
//!   statement sees them.
//! - Acknowledge: `acknowledged = greatest(acknowledged, it)` where node and `joined` are these.
//! - Watch, and what a wait reads: all rows and the lengths, in one statement.
//! - Strike off: delete where node, `joined` *and* `renewals` are these.
//! - Leave: delete where node is this and `joined` is not greater.
//!
//! Whoever puts a database back as it was deletes its rows, begins a new [`Epoch`], and lets
//! nobody at it before the longest L that it had has passed: there are leases that it does not
//! know of, and rows that say what is not true any more.

mod length;
mod node;
mod rows;
mod step;
mod term;
mod wait;

pub use length::{Length, Lengths, Lowering, NotALength};
pub use node::{Alarm, Node, Report, Stage};
pub use rows::{Row, RowId, Rows};
pub use step::{
    Acknowledge, Epoch, Join, Leave, Load, Loaded, Next, Renew, Renewed, Step, StrikeOff, Tail,
    Tailed, Watch,
};
pub use term::{Lease, Term};
pub use wait::{Reach, Reached, Wait};

use std::time::Duration;

/// A moment of one machine's `CLOCK_BOOTTIME`, in nanoseconds. It goes on while the machine
/// sleeps, nobody sets it, and it means nothing on another machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct BootTime(u64);

impl BootTime {
    /// The end of time.
    pub const MAX: BootTime = BootTime(u64::MAX);

    /// From what the clock reads.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// What the clock reads.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// This moment `span` later.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// How long it is since `earlier`; nothing, if that is later.
    pub fn since(self, earlier: BootTime) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// A node: one start of the process, by sixteen random bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub [u8; 16]);

impl std::fmt::Display for NodeId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
