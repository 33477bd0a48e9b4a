//! This node's copy of what verification needs: the index, kept in step with the ledger.

pub(crate) mod counted;
pub(crate) mod node;
pub(crate) mod sight;
pub(crate) mod waits;

use crate::{
    clock,
    store::{Followed, Order, Progress, Store, StoreError},
};
use counted::Counted;
use counterfoil_core::{
    index::Index,
    lease::{BootTime, Lease, Tailed, Term},
    ledger::{self, Broken, Change, Head},
};
use sight::Sight;
use std::{
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

/// How long after the database's last answer it counts as out of reach: a few times what lies
/// between two looks at it.
const OUT_OF_REACH: Duration = Duration::from_secs(2);

/// The index and the lease by which it may be trusted.
pub(crate) struct Replica {
    index: Arc<Index>,
    /// Whether anybody has it loaded: an index that stays empty has nothing to follow.
    wanted: AtomicBool,
    /// None until the index is loaded.
    lease: OnceLock<Arc<Lease>>,
    /// Until when it is as good as certain that nothing is known to the database alone, in
    /// nanoseconds as a [`BootTime`] has them.
    hears_until: AtomicU64,
    /// The head behind the last change that the index has taken in.
    head: Mutex<Head>,
    /// How many nodes there were when this one last looked, itself among them.
    pub(crate) nodes: Arc<AtomicUsize>,
    /// What is known of all nodes, where several share the database.
    pub(crate) sight: Sight,
    pub(crate) counted: Arc<Counted>,
}

impl Default for Replica {
    fn default() -> Self {
        Self {
            index: Arc::default(),
            wanted: AtomicBool::new(false),
            lease: OnceLock::new(),
            hears_until: AtomicU64::new(0),
            head: Mutex::new(Head::EMPTY),
            nodes: Arc::new(AtomicUsize::new(1)),
            sight: Sight::default(),
            counted: Arc::default(),
        }
    }
}

impl Replica {
    /// One that trusts what is in `index`, wherever that came from.
    #[cfg(test)]
    pub(crate) fn trusting(index: Index) -> Self {
        let replica = Self { index: Arc::new(index), ..Self::default() };
        replica.trust_for_good();
        replica
    }

    /// Fills the index from the store that this process has to itself; from then on it is trusted.
    pub(crate) async fn load(
        &self,
        store: &dyn Store,
        progress: Progress,
    ) -> Result<(), StoreError> {
        self.wanted.store(true, Ordering::Release);
        let head = store.load(self.index.clone(), progress).await?;
        self.set_head(head);
        self.trust_for_good();
        Ok(())
    }

    fn trust_for_good(&self) {
        self.wanted.store(true, Ordering::Release);
        self.hears_until.store(u64::MAX, Ordering::Relaxed);
        self.lease.get_or_init(|| Arc::new(Lease::of_one_process()));
    }

    /// Takes in an order that has just been committed, whereupon the ledger's head is `head`.
    pub(crate) fn follow(&self, order: &Order, head: Head) {
        if !self.wanted.load(Ordering::Acquire) {
            return;
        }
        if order.changes.iter().all(|(change, _)| self.apply(change)) {
            self.set_head(head);
        }
    }

    /// Takes in entries that stand behind `after`, as far as that goes.
    fn tail(&self, after: Head, entries: &[Followed]) -> (Head, Tailed) {
        let mut head = after;
        for Followed { entry, hash, detail } in entries {
            let detail = detail.as_ref().map(|(salt, detail)| (&salt[..], &detail[..]));
            let (next, change) = match ledger::check(head, entry, hash, detail) {
                Ok((next, _, Some(change))) => (next, change),
                Err(Broken::UnknownKind) => return (head, Tailed::UnknownKind),
                // What was erased before it was read here cannot be taken in.
                Ok((_, _, None)) | Err(_) => return (head, Tailed::Broken),
            };
            if !self.apply(&change) {
                return (head, Tailed::Broken);
            }
            head = next;
            self.set_head(head);
        }
        (head, Tailed::End)
    }

    fn apply(&self, change: &Change) -> bool {
        let Err(error) = self.index.apply(change) else { return true };
        // An index that has missed something may know a revoked token as live.
        if let Some(lease) = self.lease.get() {
            lease.end();
        }
        tracing::error!(%error, kind = change.kind(), "the index is out of step with the ledger; no token can be verified until a restart");
        false
    }

    /// The index, if it may be trusted now. It has to be looked at now, too: whoever has waited
    /// for anything since asks once more.
    pub(crate) fn index(&self) -> Option<&Index> {
        self.lease.get()?.read(clock::boot, || &*self.index)
    }

    /// The index, trusted or not: for what judges nobody by it.
    pub(crate) fn unjudged(&self) -> &Index {
        &self.index
    }

    /// Whether this process follows the ledger, and so is what others may wait for.
    pub(crate) fn is_node(&self) -> bool {
        self.lease.get().is_some()
    }

    /// For how much longer it may be trusted as things are; none, where that has no end.
    pub(crate) fn lease_left(&self) -> Option<Duration> {
        let term = self.lease.get().map(|lease| lease.term());
        let ends = term.map_or(BootTime::default(), Term::ends);
        (ends != BootTime::MAX).then(|| ends.since(clock::boot()))
    }

    /// Whether the database may know of tokens that this node could not hear of.
    pub(crate) fn may_miss_tokens(&self) -> bool {
        let until = self.hears_until.load(Ordering::Relaxed);
        until != u64::MAX && clock::boot() >= BootTime::from_nanos(until)
    }

    /// The database has answered a question that was asked then.
    fn heard(&self, asked: BootTime) {
        self.hears_until.store(asked.plus(OUT_OF_REACH).as_nanos(), Ordering::Relaxed);
    }

    /// How many tokens the index holds.
    pub(crate) fn tokens(&self) -> usize {
        self.index.len()
    }

    /// The ledger's head, as far as the index has followed it.
    pub(crate) fn head(&self) -> Head {
        *self.head.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_head(&self, head: Head) {
        *self.head.lock().unwrap_or_else(PoisonError::into_inner) = head;
    }
}

impl std::fmt::Debug for Replica {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replica").field("head", &self.head()).finish_non_exhaustive()
    }
}
