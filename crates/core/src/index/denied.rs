//! Tokens that the operator has this node refuse, whatever the ledger says of them.

use super::hash::ByTail;
use crate::id::TokenId;
use std::{
    collections::HashSet,
    sync::{
        PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicBool, Ordering},
    },
};

/// A set of tokens, which hardly ever holds any. While it is empty it costs whoever asks one
/// load, of a cache line that nobody writes; while it is not, a lock that is held for as long as
/// it takes to add or remove one.
#[derive(Default)]
#[repr(align(128))]
pub(super) struct Denied {
    any: AtomicBool,
    tokens: RwLock<HashSet<TokenId, ByTail>>,
}

impl Denied {
    #[inline]
    pub(super) fn holds(&self, token: TokenId) -> bool {
        self.any.load(Ordering::Acquire) && self.lists(token)
    }

    #[cold]
    fn lists(&self, token: TokenId) -> bool {
        self.read().contains(&token)
    }

    /// Adds one; whether it was not there before.
    pub(super) fn add(&self, token: TokenId) -> bool {
        let mut tokens = self.write();
        let is_new = tokens.insert(token);
        self.any.store(true, Ordering::Release);
        is_new
    }

    /// Removes one; whether it was there.
    pub(super) fn remove(&self, token: TokenId) -> bool {
        if !self.any.load(Ordering::Acquire) {
            return false;
        }
        let mut tokens = self.write();
        let was_there = tokens.remove(&token);
        self.any.store(!tokens.is_empty(), Ordering::Release);
        was_there
    }

    /// All of them, in the order of their ids.
    pub(super) fn all(&self) -> Vec<TokenId> {
        let mut all: Vec<_> = self.read().iter().copied().collect();
        all.sort_unstable();
        all
    }

    pub(super) fn count(&self) -> usize {
        self.read().len()
    }

    fn read(&self) -> RwLockReadGuard<'_, HashSet<TokenId, ByTail>> {
        self.tokens.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashSet<TokenId, ByTail>> {
        self.tokens.write().unwrap_or_else(PoisonError::into_inner)
    }
}
