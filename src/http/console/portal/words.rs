//! Tokens in words, as the tables of the portal have them.

use crate::{
    http::console::{
        tokens::facts::{self, State},
        when::{When, when},
    },
    store::{LEAKED, StoredToken},
};
use counterfoil_core::Timestamp;

/// A token in a table.
pub(super) struct Row {
    pub(super) id: String,
    pub(super) href: String,
    pub(super) name: String,
    pub(super) prefix: String,
    pub(super) last_four: String,
    pub(super) api: String,
    pub(super) owner: String,
    pub(super) may: String,
    pub(super) expires: Option<When>,
    pub(super) ends_soon: bool,
    pub(super) last_used: Option<When>,
    /// A shape in the stylesheet, and the word beside it.
    pub(super) state: &'static str,
    pub(super) state_word: &'static str,
}

pub(super) fn row(stored: &StoredToken, owner: String, now: Timestamp) -> Row {
    let token = &stored.token;
    let State { kind, word } = facts::state(stored, now);
    let is_leaked = stored.revoked_at.is_some() && LEAKED.contains(&&*stored.revoke_reason);
    let (state, state_word) = if is_leaked { ("leaked", "Leaked") } else { (kind, word) };
    Row {
        id: token.id.to_string(),
        href: format!("/tokens/{}", token.id),
        name: token.name.clone(),
        prefix: token.prefix.to_string(),
        last_four: token.last_four.to_string(),
        api: token.api.to_string(),
        owner,
        may: facts::may(&token.grant),
        expires: facts::expires(stored, now),
        ends_soon: facts::ends_soon(stored, now),
        last_used: stored.last_used.as_ref().map(|used| when(used.at, now)),
        state,
        state_word,
    }
}
