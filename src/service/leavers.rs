//! What becomes of tokens when their owner leaves, and of many tokens at once.

use super::{Caller, Service, ServiceError, TOGETHER, accounts::AccountName, management_api};
use crate::store::{StoredToken, TokenState};
use counterfoil_core::{
    account::{AccountKind, Rank},
    credential::Scheme,
    id::{AccountId, TokenId},
    ledger::Change,
};
use futures_util::{StreamExt as _, stream};

/// How many tokens are ended with one confirmation.
pub(crate) const MOST: usize = 1000;

/// What came of ending many.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Ended {
    /// Those that are ended now, by this or before.
    pub(crate) done: Vec<TokenId>,
    /// Those that are not, and why.
    pub(crate) failed: Vec<(TokenId, ServiceError)>,
}

impl Service {
    /// Has a service account of the same organization own a person's token from now on, so
    /// that what uses it goes on when the person leaves.
    ///
    /// Whoever knew the secret still does: it should be rotated soon.
    pub(crate) async fn hand_over_token(
        &self,
        caller: &Caller,
        id: TokenId,
        heir: AccountId,
    ) -> Result<StoredToken, ServiceError> {
        caller.may("tokens:write")?;
        caller.may("accounts:write")?;
        caller.administers()?;
        let heir = self.seen_account(caller, &AccountName::Id(heir)).await?;
        if heir.kind != AccountKind::Service {
            return Err(ServiceError::Invalid {
                field: "owner",
                message: "a token is handed over to a service account, not to a person".into(),
            });
        }
        if heir.disabled_at.is_some() {
            return Err(ServiceError::Conflict(format!("the account {} is disabled", heir.name)));
        }
        self.settle(caller, async |at| {
            let stored = self.seen_token(caller, id).await?;
            if matches!(stored.state_at(at), TokenState::Revoked | TokenState::Expired) {
                return Err(ServiceError::Conflict(
                    "the token has ended; nothing brings it back".into(),
                ));
            }
            if stored.token.owner == heir.id {
                return Ok((None, stored));
            }
            let organization = stored.token.organization;
            let Some(membership) = self.membership(organization, heir.id).await? else {
                return Err(ServiceError::Conflict(format!(
                    "{} does not belong to the token's organization",
                    heir.name
                )));
            };
            if self.goes_with_an_address(&stored.token.api) {
                return Err(ServiceError::Conflict(
                    "its requests name the owner's e-mail address, and a service account has \
                     none; issue a new token to one, and have the program use that"
                        .into(),
                ));
            }
            if *stored.token.api == *management_api::NAME && membership.rank == Rank::Administrator
            {
                // It acts with its owner's rank, and whoever knew the secret still does.
                let owner = self.membership(organization, stored.token.owner).await?;
                if owner.is_none_or(|owner| owner.rank == Rank::Member) {
                    return Err(ServiceError::Conflict(format!(
                        "{} is an administrator and the owner is none, so whoever knows the \
                         secret could do more than before; issue a new token instead",
                        heir.name
                    )));
                }
            }
            let change = Change::TokenHandedOver { token: id, organization, owner: heir.id };
            let mut token = stored.token.clone();
            token.owner = heir.id;
            let revision = stored.revision + 1;
            Ok((Some(change), StoredToken { token, revision, ..stored }))
        })
        .await
    }

    /// Whether every request to an API names the owner's e-mail address beside the token.
    pub(crate) fn goes_with_an_address(&self, api: &str) -> bool {
        let apis = self.apis.load();
        let schemes = apis.get(api).map(|api| &api.schemes.accepted[..]).unwrap_or_default();
        let named = |scheme: &Scheme| matches!(scheme, Scheme::Basic | Scheme::Password);
        !schemes.is_empty() && schemes.iter().all(named)
    }

    /// Ends many tokens, each for itself: one that cannot be ended keeps none of the others.
    pub(crate) async fn revoke_tokens(
        &self,
        caller: &Caller,
        tokens: &[TokenId],
        reason: &str,
    ) -> Result<Ended, ServiceError> {
        if tokens.len() > MOST {
            return Err(ServiceError::Invalid {
                field: "token",
                message: format!("at most {MOST} at once"),
            });
        }
        let each = tokens.iter().copied().map(|token| self.revoke_token(caller, token, reason));
        let results: Vec<_> = stream::iter(each).buffered(TOGETHER).collect().await;
        let mut ended = Ended::default();
        for (token, result) in tokens.iter().zip(results) {
            match result {
                Ok(_) => ended.done.push(*token),
                Err(error) => ended.failed.push((*token, error)),
            }
        }
        Ok(ended)
    }
}
