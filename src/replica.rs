//! This node's copy of what verification needs: the index, kept in step with the ledger.

use crate::store::{Order, Progress, Store, StoreError};
use counterfoil_core::{index::Index, ledger::Head};
use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

/// The index and whether it may be trusted.
pub(crate) struct Replica {
    index: Arc<Index>,
    /// Whether anybody has it loaded: an index that stays empty has nothing to follow.
    wanted: AtomicBool,
    trusted: AtomicBool,
    /// The head behind the last change that the index has taken in.
    head: Mutex<Head>,
}

impl Default for Replica {
    fn default() -> Self {
        Self {
            index: Arc::default(),
            wanted: AtomicBool::new(false),
            trusted: AtomicBool::new(false),
            head: Mutex::new(Head::EMPTY),
        }
    }
}

impl Replica {
    /// One that trusts what is in `index`, wherever that came from.
    #[cfg(test)]
    pub(crate) fn trusting(index: Index) -> Self {
        Self {
            index: Arc::new(index),
            wanted: AtomicBool::new(true),
            trusted: AtomicBool::new(true),
            head: Mutex::new(Head::EMPTY),
        }
    }

    /// Fills the index from the store; from then on it is trusted.
    pub(crate) async fn load(
        &self,
        store: &dyn Store,
        progress: Progress,
    ) -> Result<(), StoreError> {
        self.wanted.store(true, Ordering::Release);
        let head = store.load(self.index.clone(), progress).await?;
        self.set_head(head);
        self.trusted.store(true, Ordering::Release);
        Ok(())
    }

    /// Takes in an order that has just been committed, whereupon the ledger's head is `head`.
    pub(crate) fn follow(&self, order: &Order, head: Head) {
        if !self.wanted.load(Ordering::Acquire) {
            return;
        }
        for (change, _) in &order.changes {
            if let Err(error) = self.index.apply(change) {
                // An index that has missed something may know a revoked token as live.
                self.trusted.store(false, Ordering::Release);
                tracing::error!(%error, kind = change.kind(), "the index is out of step with the ledger; no token can be verified until a restart");
                return;
            }
        }
        self.set_head(head);
    }

    /// The index, if it may be trusted now.
    pub(crate) fn index(&self) -> Option<&Index> {
        self.trusted.load(Ordering::Acquire).then_some(&*self.index)
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
