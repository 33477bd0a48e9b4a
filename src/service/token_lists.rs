//! Tokens as people look through them.

use super::{Caller, Service, ServiceError};
use crate::store::{StoredToken, TokenAfter, TokenList, TokenOrder};

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
}
