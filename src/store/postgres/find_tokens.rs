//! Finding tokens: every index that a filter can be asked of has the order of ids, too, but for
//! that of ends; which one leads, the database knows from its statistics.

use super::{
    query::Query,
    read::sought,
    row::{TOKEN, USES},
};
use crate::store::{Page, TokenFilter, TokenState};
use counterfoil_core::{Timestamp, id::TokenId};

pub(super) fn tokens(filter: &TokenFilter, page: Page<TokenId>) -> Query {
    let mut query = Query::new(&format!("{TOKEN} FROM token {USES}"));
    if let Some(digest) = filter.digest {
        query.and(
            "token.id IN (SELECT id FROM token WHERE digest = ?
                UNION SELECT token FROM replaced_digest WHERE digest = ?)",
        );
        query.give(digest.as_bytes().to_vec());
        query.give(digest.as_bytes().to_vec());
    }
    query.and_if("api = ?", filter.api.as_deref().map(sought));
    query.and_if("external_id = ?", filter.external_id.as_deref().map(sought));
    if let Some((name, value)) = &filter.metadata {
        query.and(IS_FIELD);
        query.give(field_name(name));
        query.give(as_json(value));
        query.give(without_nul(value));
    }
    query.and_if("organization = ?", filter.organization.map(|id| id.as_bytes().to_vec()));
    query.and_if("owner = ?", filter.owner.map(|id| id.as_bytes().to_vec()));
    if let Some((state, now)) = filter.state {
        match state {
            TokenState::Revoked => query.and("revoked_at IS NOT NULL"),
            TokenState::Expired => {
                query.and("revoked_at IS NULL");
                query.and_if("expires_at <= ?", Some(now.as_millis()));
            }
            TokenState::Paused | TokenState::Active => {
                query.and("revoked_at IS NULL");
                query.and_if("(expires_at IS NULL OR expires_at > ?)", Some(now.as_millis()));
                let paused = state == TokenState::Paused;
                query.and(if paused { "paused_at IS NOT NULL" } else { "paused_at IS NULL" });
            }
        }
    }
    if let Some(since) = filter.unused_since {
        // An id is from when a token came here, which an import's beginning is not.
        let first = TokenId::new(since, [0; 10]);
        query.and_if("token.id < ?", Some(first.as_bytes().to_vec()));
        query.and_if("(last_use.at IS NULL OR last_use.at < ?)", Some(since.as_millis()));
        query.and_if("(previous_use.at IS NULL OR previous_use.at < ?)", Some(since.as_millis()));
    }
    query.and_if("expires_at < ?", filter.expires_before.map(Timestamp::as_millis));
    query.and_if("token.id > ?", page.after.map(|id| id.as_bytes().to_vec()));
    query.end("ORDER BY token.id", page.limit);
    query
}

/// A field as JSON writes it is a text in JSON, or what was given. The database reads no JSON
/// that tells of a NUL: see [`without_nul`].
const IS_FIELD: &str = r"(replace(replace(metadata, '\u0001', '\u0001\u0002'), '\u0000',
    '\u0001\u0003')::json -> ?::text)::text IN (?, ?)";

/// JSON that tells of no NUL, and that is made of no other: what tells of the character 1 has one
/// that tells of a 2 behind it, and NUL is 1 and 3.
fn without_nul(json: &str) -> String {
    let ones = json.replace('\0', r"\u0000").replace(r"\u0001", r"\u0001\u0002");
    ones.replace(r"\u0000", r"\u0001\u0003")
}

fn as_json(value: &str) -> String {
    without_nul(&serde_json::to_string(value).unwrap_or_default())
}

/// The name of a field of such JSON.
fn field_name(name: &str) -> String {
    serde_json::from_str(&as_json(name)).unwrap_or_default()
}
