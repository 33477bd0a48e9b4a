//! Asking twice for the same, which a client does whose answer got lost.

use super::Caller;
use crate::{
    clock,
    store::{Store, forget_bit_by_bit},
};
use counterfoil_core::{Timestamp, token::Digest};
use std::time::Duration;

/// How long a key is remembered, at least.
const KEPT: Duration = Duration::from_hours(24);

/// A caller's key, and what it was used for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Idempotency {
    /// Digest of the key and of who uses it: nobody meets another's keys.
    pub(super) key: Digest,
    /// Digest of what is asked for.
    pub(super) request: Digest,
}

impl Idempotency {
    pub(crate) fn new(caller: &Caller, key: &str, request: Digest) -> Self {
        let whose = match caller {
            Caller::Operator => "operator".to_owned(),
            Caller::Member(member) => format!("{} {}", member.organization, member.account),
        };
        Self { key: Digest::of(&format!("{whose} {key}")), request }
    }
}

/// Forgets keys that are too old.
pub(crate) async fn forget(store: &dyn Store) {
    let kept = i64::try_from(KEPT.as_millis()).unwrap_or(i64::MAX);
    let end = Timestamp::from_millis(clock::now().as_millis().saturating_sub(kept));
    if let Err(error) = forget_bit_by_bit(|most| store.forget_once(end, most)).await {
        tracing::warn!(%error, "old keys of idempotency could not be deleted");
    }
}
