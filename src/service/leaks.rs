//! Ending tokens whose secrets have leaked.

use super::{Service, ServiceError, TOGETHER, tokens::ended};
use crate::store::LEAKED;
use counterfoil_core::{id::TokenId, ledger::Actor};
use futures_util::{TryStreamExt as _, stream};
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

/// What the ledger says of such an end.
const REASON: &str = LEAKED[1];

/// Tokens that are to be ended and are not yet: no more than there are tokens.
#[derive(Debug, Default)]
pub(crate) struct Leaked(Mutex<BTreeSet<TokenId>>);

impl Service {
    /// Ends tokens without anybody waiting for it. What cannot be done now is tried
    /// again, and once more before the server stops.
    pub(crate) fn revoke_leaked(self: &Arc<Self>, tokens: Vec<TokenId>) {
        self.leaked.0.lock().unwrap_or_else(PoisonError::into_inner).extend(&tokens);
        let service = self.clone();
        self.under_way.spawn(async move { service.end_those(tokens).await });
    }

    /// Tries again what could not be done before.
    pub(crate) async fn end_leaked(&self) {
        let tokens = self.leaked.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.end_those(tokens).await;
    }

    async fn end_those(&self, tokens: impl IntoIterator<Item = TokenId>) {
        let each = stream::iter(tokens.into_iter().map(Ok));
        // What is left is tried again later.
        let _ = each.try_for_each_concurrent(TOGETHER, |token| self.end_reported(token)).await;
    }

    /// Fails where others would fail, too.
    async fn end_reported(&self, token: TokenId) -> Result<(), ServiceError> {
        let Err(error) = self.end_one(token).await else {
            self.leaked.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&token);
            tracing::warn!(%token, "revoked: its secret was reported as leaked");
            return Ok(());
        };
        tracing::error!(%token, %error, "a leaked token could not be revoked yet");
        match error {
            // With a database that is stuck each would take its time.
            ServiceError::Unavailable(_) | ServiceError::Unknown => Err(error),
            _ => Ok(()),
        }
    }

    async fn end_one(&self, token: TokenId) -> Result<(), ServiceError> {
        let ending = self.settle(Actor::LeakReport, async |at| {
            Ok(ended(self.stored_token(token).await?, REASON, at))
        });
        ending.await.map(drop)
    }
}
