//! Lists of an organization's tokens as people look through them.

use super::{StoredToken, TokenState};
use counterfoil_core::{
    Timestamp,
    id::{AccountId, OrganizationId, TokenId},
    token::Grant,
};

/// What the ledger says of the end of a token whose secret had leaked: who knows one ended it,
/// or a report did.
pub(crate) const LEAKED: [&str; 2] = ["leaked", "reported as leaked"];

/// Which of an organization's tokens to list, and in which order; what is absent does not
/// matter.
#[derive(Debug, Clone)]
pub(crate) struct TokenList {
    pub(crate) organization: OrganizationId,
    pub(crate) order: TokenOrder,
    /// Behind which token, from [`TokenOrder::after`]; one of another order is none.
    pub(crate) after: Option<TokenAfter>,
    pub(crate) limit: u32,
    /// What somebody typed: the beginning of the token's name or its owner's (ASCII case
    /// aside), the last four characters, the token's id or its owner's address.
    pub(crate) search: Option<String>,
    pub(crate) api: Option<String>,
    /// Just these grants, each of an API. There may be many, but they are one parameter.
    pub(crate) grants: Option<Vec<(String, Grant)>>,
    pub(crate) owner: Option<AccountId>,
    /// What [`StoredToken::state_at`] this moment gives.
    pub(crate) state: Option<(TokenState, Timestamp)>,
    /// Ended because its secret had leaked, in the words of [`LEAKED`].
    pub(crate) leaked: bool,
    pub(crate) never_expires: bool,
    pub(crate) expires_before: Option<Timestamp>,
    /// Made before this moment, and not used since.
    pub(crate) unused_since: Option<Timestamp>,
}

impl TokenList {
    /// All of an organization's tokens, in this order.
    pub(crate) fn all(organization: OrganizationId, order: TokenOrder, limit: u32) -> Self {
        Self {
            organization,
            order,
            after: None,
            limit,
            search: None,
            api: None,
            grants: None,
            owner: None,
            state: None,
            leaked: false,
            never_expires: false,
            expires_before: None,
            unused_since: None,
        }
    }
}

/// In which order tokens come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenOrder {
    /// The newest first.
    Newest,
    /// By name, ASCII case aside; of the same name the oldest first.
    Name,
    /// What ends soonest first, what never ends last.
    End,
    /// What was used last first, as far as it is written down; then, the newest first, what
    /// was never used.
    LastUse,
}

/// The place of a token in a list of one order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TokenAfter {
    Newest(TokenId),
    Name(String, TokenId),
    End(Option<Timestamp>, TokenId),
    LastUse(Option<Timestamp>, TokenId),
}

impl TokenOrder {
    /// Where the list goes on behind `row`, as the store gave it.
    pub(crate) fn after(self, row: &StoredToken) -> TokenAfter {
        let token = &row.token;
        match self {
            Self::Newest => TokenAfter::Newest(token.id),
            Self::Name => TokenAfter::Name(token.name.clone(), token.id),
            Self::End => TokenAfter::End(token.expires_at, token.id),
            Self::LastUse => {
                TokenAfter::LastUse(row.last_used.as_ref().map(|last| last.at), token.id)
            }
        }
    }

    /// Reads what a place of this order was written as; none where it was not.
    pub(crate) fn read(self, cursor: &str) -> Option<TokenAfter> {
        let (id, key) = cursor.split_once('.').map_or((cursor, None), |(id, key)| (id, Some(key)));
        let id = id.parse().ok()?;
        let time = || key.map(|key| key.parse().map(Timestamp::from_millis)).transpose().ok();
        Some(match self {
            Self::Newest => TokenAfter::Newest(id),
            Self::Name => TokenAfter::Name(key?.to_owned(), id),
            Self::End => TokenAfter::End(time()?, id),
            Self::LastUse => TokenAfter::LastUse(time()?, id),
        })
    }
}

impl std::fmt::Display for TokenAfter {
    /// A cursor, for whoever asks for more: the id, and what it is ordered by.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Newest(id) | Self::End(None, id) | Self::LastUse(None, id) => id.fmt(f),
            Self::Name(name, id) => write!(f, "{id}.{name}"),
            Self::End(Some(at), id) | Self::LastUse(Some(at), id) => {
                write!(f, "{id}.{}", at.as_millis())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_cursor_reads_as_it_was_written(
            id: [u8; 16],
            name in ".*",
            at in proptest::option::of(any::<i64>()),
        ) {
            let (id, at) = (TokenId::from_bytes(id), at.map(Timestamp::from_millis));
            for (order, after) in [
                (TokenOrder::Newest, TokenAfter::Newest(id)),
                (TokenOrder::Name, TokenAfter::Name(name.clone(), id)),
                (TokenOrder::End, TokenAfter::End(at, id)),
                (TokenOrder::LastUse, TokenAfter::LastUse(at, id)),
            ] {
                prop_assert_eq!(order.read(&after.to_string()), Some(after));
            }
        }

        #[test]
        fn what_is_no_cursor_is_none(text in "\\PC{0,30}") {
            for order in [TokenOrder::Newest, TokenOrder::Name, TokenOrder::End, TokenOrder::LastUse] {
                prop_assert_eq!(order.read(&text), None);
            }
        }
    }
}
