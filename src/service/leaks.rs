//! Ending tokens whose secrets have leaked.

use super::{Service, ServiceError};
use counterfoil_core::{
    id::TokenId,
    ledger::{Actor, Change},
};
use std::sync::Arc;

/// What the ledger says of such an end.
const REASON: &str = "reported as leaked";

impl Service {
    /// Ends tokens without anybody waiting for it; before the server stops, it is done.
    pub(crate) fn revoke_leaked(self: Arc<Self>, tokens: Vec<TokenId>) {
        let under_way = self.under_way.clone();
        under_way.spawn(async move {
            for token in tokens {
                match self.end_leaked(token).await {
                    Ok(()) => tracing::warn!(%token, "revoked: its secret was reported as leaked"),
                    Err(error) => {
                        tracing::error!(%token, %error, "a leaked token could not be revoked");
                    }
                }
            }
        });
    }

    async fn end_leaked(&self, token: TokenId) -> Result<(), ServiceError> {
        self.settle(Actor::LeakReport, async |_| {
            let stored = self.stored_token(token).await?;
            let change = stored.revoked_at.is_none().then(|| Change::TokenRevoked {
                token,
                organization: stored.token.organization,
                reason: REASON.to_owned(),
            });
            Ok((change, ()))
        })
        .await
    }
}
