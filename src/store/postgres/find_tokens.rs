//! Finding tokens: the index of their owner, organization or API leads, which has the order of
//! ids behind that.
//!
//! The column is sorted by, too, and never said to be equal to something: the database would
//! otherwise rather walk the ids of all tokens, where it takes what is asked for to be many, and
//! evenly spread. Where it knows of few by another way, it goes that.

use super::{
    query::{Parameter, Query},
    read::sought,
    row::{TOKEN, USES},
};
use crate::store::{Page, TokenFilter, TokenState};
use counterfoil_core::{Timestamp, id::TokenId};
use tokio_postgres::types::ToSql;

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
    let lead = lead(filter);
    let unless_led = |column| lead.as_ref().is_none_or(|(lead, ..)| *lead != column);
    let api = filter.api.as_deref().filter(|_| unless_led("api"));
    query.and_if("api = ?", api.map(sought));
    query.and_if("external_id = ?", filter.external_id.as_deref().map(sought));
    if let Some((name, value)) = &filter.metadata {
        query.and(IS_FIELD);
        query.give(field_name(name));
        query.give(as_json(value));
        query.give(without_nul(value));
    }
    let organization = filter.organization.filter(|_| unless_led("organization"));
    query.and_if("organization = ?", organization.map(|id| id.as_bytes().to_vec()));
    let owner = filter.owner.filter(|_| unless_led("owner"));
    query.and_if("owner = ?", owner.map(|id| id.as_bytes().to_vec()));
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
    let after = page.after.map(|id| id.as_bytes().to_vec());
    if let Some((column, from, to)) = lead {
        query.and(&format!("({column}, token.id) > (?, ?) AND {column} <= ?"));
        query.give_all(vec![from, Box::new(after.unwrap_or_default()), to]);
        query.end(&format!("ORDER BY {column}, token.id"), page.limit);
    } else {
        query.and_if("token.id > ?", after);
        query.end("ORDER BY token.id", page.limit);
    }
    query
}

/// The column that leads, and its value, twice.
fn lead(filter: &TokenFilter) -> Option<(&'static str, Parameter, Parameter)> {
    fn of<T: ToSql + Clone + Send + Sync + 'static>(
        column: &'static str,
        value: T,
    ) -> (&'static str, Parameter, Parameter) {
        (column, Box::new(value.clone()), Box::new(value))
    }
    if filter.digest.is_some() || filter.external_id.is_some() {
        // There are few.
        return None;
    }
    Some(if let Some(owner) = filter.owner {
        of("owner", owner.as_bytes().to_vec())
    } else if let Some(organization) = filter.organization {
        of("organization", organization.as_bytes().to_vec())
    } else {
        of("api", sought(filter.api.as_deref()?))
    })
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
