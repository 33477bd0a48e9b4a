//! The lease itself, as doors read it: until when this node may trust its index.

use super::BootTime;
use std::sync::atomic::{AtomicU64, Ordering};

/// One number that every verification reads. Only the [`Node`](super::Node) that it belongs to
/// extends or drops it.
#[derive(Debug)]
pub struct Lease(AtomicU64);

impl Lease {
    /// One that is not held.
    pub(super) fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// That of a node which has its database to itself: whatever is committed is in its index
    /// before anybody hears of it, so there is nothing to renew.
    pub fn of_one_process() -> Self {
        Self(AtomicU64::new(u64::MAX))
    }

    /// What `look` finds in the index, if the lease is held; else nothing may be judged. Which
    /// comes first is what matters here: the lease, the clock, the index. The clock has to be
    /// read in the call, and a request that has stood in a queue since asks once more.
    pub fn read<T>(&self, clock: impl FnOnce() -> BootTime, look: impl FnOnce() -> T) -> Option<T> {
        let term = self.term();
        (term.is_endless() || term.is_held(clock())).then(look)
    }

    /// Ends it now. A node extends its own again; that of one process has ended for good.
    pub fn end(&self) {
        self.0.store(0, Ordering::Release);
    }

    /// Until when it is held, as of now. To judge a request use [`Lease::read`].
    pub fn term(&self) -> Term {
        // What was applied before the lease was extended is seen by whoever sees that it was.
        Term(BootTime(self.0.load(Ordering::Acquire)))
    }

    pub(super) fn extend(&self, until: BootTime) {
        // One machine alone writes, so nothing can come in between.
        let until = until.max(self.term().0);
        self.0.store(until.0, Ordering::Release);
    }
}

/// Until when a lease is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Term(BootTime);

impl Term {
    /// Whether it is held at this moment, which was read after the lease was.
    pub fn is_held(self, now: BootTime) -> bool {
        now < self.0
    }

    /// Whether no clock has to be read to know that it is held: that of one process.
    pub fn is_endless(self) -> bool {
        self.0 == BootTime::MAX
    }

    /// The first moment at which it is not held any more.
    pub fn ends(self) -> BootTime {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    #[test]
    fn it_ends_at_its_end() {
        let lease = Lease::new();
        assert!(!lease.term().is_held(BootTime(0)));
        lease.extend(BootTime(10));
        assert!(lease.term().is_held(BootTime(9)));
        assert!(!lease.term().is_held(BootTime(10)));
        // What was promised last is not always what lasts longest.
        lease.extend(BootTime(5));
        assert_eq!(lease.term().ends(), BootTime(10));
        lease.end();
        assert!(!lease.term().is_held(BootTime(0)));
    }

    #[test]
    fn that_of_one_process_asks_no_clock_and_can_end() {
        let lease = Lease::of_one_process();
        assert_eq!(lease.read(|| panic!("there is nothing to compare it with"), || 7), Some(7));
        lease.end();
        assert_eq!(lease.read(|| BootTime(0), || 7), None);
    }

    #[test]
    fn the_index_is_looked_at_last_and_only_under_a_lease() {
        let lease = Lease::new();
        lease.extend(BootTime(10));
        let order = RefCell::new(Vec::new());
        let read = |now| {
            let clock = || {
                order.borrow_mut().push("clock");
                BootTime(now)
            };
            lease.read(clock, || order.borrow_mut().push("index"))
        };
        assert_eq!(read(9), Some(()));
        assert_eq!(read(10), None);
        assert_eq!(*order.borrow(), ["clock", "index", "clock"]);
    }
}
