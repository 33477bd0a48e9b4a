//! Tokens as people look through them, and those whose secrets somebody found.

use super::{Caller, Service, ServiceError};
use crate::store::{Page, StoredToken, TokenAfter, TokenFilter, TokenList, TokenOrder};
use counterfoil_core::token::{Digest, Grant};

/// How many digests are looked up at once.
pub(crate) const DIGESTS: usize = 500;

/// A part of a list of tokens.
#[derive(Debug, Default)]
pub(crate) struct Listed {
    pub(crate) tokens: Vec<StoredToken>,
    /// Where it goes on; nowhere, where this is all.
    pub(crate) next: Option<TokenAfter>,
}

impl Service {
    /// An organization's tokens in some order; a member's are their own.
    pub(crate) async fn list_tokens(
        &self,
        caller: &Caller,
        mut list: TokenList,
    ) -> Result<Listed, ServiceError> {
        caller.may("tokens:read")?;
        let somebody_elses = match (caller.confined_to(), list.owner) {
            (Some(own), Some(asked)) => own != asked,
            _ => false,
        };
        if !caller.reaches(list.organization) || somebody_elses {
            return Ok(Listed::default());
        }
        list.owner = caller.confined_to().or(list.owner);
        if list.unused_since.is_some() || list.order == TokenOrder::LastUse {
            // The store goes by what is written.
            self.usage.flush().await;
        }
        let (order, limit) = (list.order, list.limit as usize);
        list.limit += 1;
        let mut tokens = self.store.list_tokens(list).await?;
        let is_all = tokens.len() <= limit;
        tokens.truncate(limit);
        // Before uses are added that are not written: the store does not know of them.
        let next = tokens.last().filter(|_| !is_all).map(|last| order.after(last));
        for stored in &mut tokens {
            stored.used(self.usage.last_uses(stored.token.id));
        }
        Ok(Listed { tokens, next })
    }

    /// The grants that allow everything on an API that could allow less.
    pub(crate) fn broad_grants(&self) -> Vec<(String, Grant)> {
        let mut grants = Vec::new();
        for (name, api) in self.apis.load().iter().filter(|(_, api)| !api.scopes.is_empty()) {
            let name = || name.to_string();
            let all: Vec<_> = api.scopes.iter().map(|(scope, _)| scope.clone()).collect();
            let is_all = |grant: &Grant| {
                let held: Vec<_> = api.scopes_of(grant).collect();
                all.iter().all(|scope| held.contains(&scope))
            };
            let roles = api.roles.iter().map(|role| Grant::Role(role.name.clone()));
            grants.extend(roles.filter(is_all).map(|role| (name(), role)));
            grants.push((name(), Grant::Scopes(all.clone().into())));
        }
        grants
    }

    /// The token whose secret each of `digests` is of, or was before a rotation; none, where
    /// there is none that the caller sees.
    pub(crate) async fn tokens_of_digests(
        &self,
        caller: &Caller,
        digests: &[Digest],
    ) -> Result<Vec<Option<StoredToken>>, ServiceError> {
        if digests.len() > DIGESTS {
            return Err(ServiceError::Invalid {
                field: "digest",
                message: format!("at most {DIGESTS} at once"),
            });
        }
        let mut found = Vec::new();
        for digest in digests {
            let filter = TokenFilter { digest: Some(*digest), ..TokenFilter::default() };
            found.push(self.tokens(caller, filter, Page { after: None, limit: 1 }).await?.pop());
        }
        Ok(found)
    }
}
