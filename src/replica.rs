//! This node's copy of what verification needs: the index, kept in step with the ledger.

use crate::store::{Progress, Store, StoreError};
use counterfoil_core::{
    index::Index,
    ledger::{Change, Head},
};
use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

/// The index and whether it may be trusted.
#[derive(Default)]
pub(crate) struct Replica {
    index: Arc<Index>,
    trusted: AtomicBool,
    head: AtomicU64,
}

impl Replica {
    /// Fills the index from the store; from then on it is trusted.
    pub(crate) async fn load(
        &self,
        store: &dyn Store,
        progress: Progress,
    ) -> Result<Head, StoreError> {
        let head = store.load(self.index.clone(), progress).await?;
        self.head.store(head.number, Ordering::Release);
        self.trusted.store(true, Ordering::Release);
        Ok(head)
    }

    /// Takes in a change that has just been committed.
    pub(crate) fn follow(&self, change: &Change) {
        match self.index.apply(change) {
            Ok(()) => {
                self.head.fetch_add(1, Ordering::AcqRel);
            }
            Err(error) => {
                // An index that has missed something may know a revoked token as live.
                self.trusted.store(false, Ordering::Release);
                tracing::error!(%error, kind = change.kind(), "the index is out of step with the ledger; no token can be verified until a restart");
            }
        }
    }

    /// The index, if it may be trusted now.
    pub(crate) fn index(&self) -> Option<&Index> {
        self.trusted.load(Ordering::Acquire).then_some(&*self.index)
    }

    /// How many tokens the index holds.
    pub(crate) fn tokens(&self) -> usize {
        self.index.len()
    }

    /// The number of the last change that the index has taken in.
    pub(crate) fn head(&self) -> u64 {
        self.head.load(Ordering::Acquire)
    }
}

impl std::fmt::Debug for Replica {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replica").field("head", &self.head).finish_non_exhaustive()
    }
}
