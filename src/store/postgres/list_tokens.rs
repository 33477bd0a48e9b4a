//! Listing an organization's tokens as people look through them.
//!
//! For each thing that a list is asked for and that has an index the first tokens are fetched.
//! Where there are few, they are sorted. Where there are many of each, the index that has the
//! order is walked, and most of what it has is wanted.
//!
//! The database is not left to choose: what it knows of each thing says little of several
//! together, and nothing of one organization. Ranges of rows, and all columns of an index to
//! sort by, leave it that index.

use super::{
    error::Error,
    query::{Parameter, Query},
    read::sought,
    row::{TOKEN, USES, token as token_row},
};
use crate::store::{StoredToken, TokenAfter, TokenList, TokenOrder, TokenState};
use counterfoil_core::{Timestamp, account::Email, id::TokenId, token::Grant};
use deadpool_postgres::GenericClient;
use tokio_postgres::Row;

/// How many tokens are fetched, and sorted, at most.
const MANY: usize = 1_000;

/// As the index has it, whose expression this has to be.
const END: &str = "coalesce(expires_at, 9223372036854775807)";

/// As the index has it: see [`LEAKED`](crate::store::LEAKED).
const IS_LEAKED: &str = "revoke_reason IN ('leaked', 'reported as leaked')";

pub(super) async fn list(
    client: &impl GenericClient,
    list: &TokenList,
) -> Result<Vec<StoredToken>, Error> {
    let few = few(client, list).await?;
    let mut rows = Vec::new();
    for stretch in stretches(list) {
        let left = list.limit.saturating_sub(u32::try_from(rows.len()).unwrap_or(u32::MAX));
        if left == 0 {
            break;
        }
        rows.extend(query(list, stretch, few.as_ref(), left).all(client, token_row).await?);
    }
    Ok(rows)
}

/// All tokens among which those that are asked for must be.
pub(super) struct Few {
    ids: Vec<Vec<u8>>,
    /// Whether they are what was searched for.
    found: bool,
}

/// The fewest; none where there are many.
async fn few(client: &impl GenericClient, list: &TokenList) -> Result<Option<Few>, Error> {
    let ways = ways(list);
    if ways.is_empty() {
        return Ok(None);
    }
    let searches: Vec<bool> = ways.iter().map(|way| way.searches).collect();
    let read = |row: &Row| {
        let mut fewest = None;
        for (column, found) in searches.iter().enumerate() {
            let ids: Vec<Vec<u8>> = row.try_get(column)?;
            let most = fewest.as_ref().map_or(MANY, |few: &Few| few.ids.len());
            if ids.len() < most {
                fewest = Some(Few { ids, found: *found });
            }
        }
        Ok(fewest)
    };
    Ok(first_of_each(ways).all(client, read).await?.into_iter().next().flatten())
}

/// An array of ids for each way.
pub(super) fn first_of_each(ways: Vec<Way>) -> Query {
    let array = |way: &Way| format!("ARRAY (SELECT id FROM ({}) AS found LIMIT {MANY})", way.ids);
    let arrays: Vec<String> = ways.iter().map(array).collect();
    let mut query = Query::new(&format!("SELECT {}", arrays.join(", ")));
    for way in ways {
        query.give_all(way.parameters);
    }
    query
}

/// What leads to tokens.
pub(super) struct Way {
    ids: String,
    parameters: Vec<Parameter>,
    searches: bool,
}

impl Way {
    fn new(ids: String, parameters: Vec<Parameter>) -> Self {
        Self { ids, parameters, searches: false }
    }

    /// The first of an index of these columns, from some values through others.
    fn through(columns: &str, from: Vec<Parameter>, to: Vec<Parameter>) -> Self {
        let values = vec!["?"; from.len()].join(", ");
        let ids = format!(
            "(SELECT id FROM token WHERE ({columns}) BETWEEN ({values}) AND ({values})
                ORDER BY {columns} LIMIT {MANY})"
        );
        Self::new(ids, from.into_iter().chain(to).collect())
    }

    /// The same of an index of an organization's tokens of which something is so.
    fn here(list: &TokenList, condition: &str) -> Self {
        let ids = format!(
            "SELECT id FROM token WHERE organization BETWEEN ? AND ? AND {condition}
                ORDER BY organization, id LIMIT {MANY}"
        );
        Self::new(ids, vec![here(list), here(list)])
    }

    /// Those that end from one moment through another.
    fn ending(list: &TokenList, from: i64, to: i64) -> Self {
        let (from, to) =
            (vec![here(list), Box::new(from) as _], vec![here(list), Box::new(to) as _]);
        Self::through(&format!("organization, {END}"), from, to)
    }
}

fn here(list: &TokenList) -> Parameter {
    Box::new(list.organization.as_bytes().to_vec())
}

fn text(text: &str) -> Parameter {
    Box::new(text.to_owned())
}

pub(super) fn ways(list: &TokenList) -> Vec<Way> {
    let mut ways = Vec::new();
    match list.state {
        Some((TokenState::Revoked, _)) => ways.push(Way::here(list, "revoked_at IS NOT NULL")),
        Some((TokenState::Paused, _)) => ways.push(Way::here(list, "paused_at IS NOT NULL")),
        Some((TokenState::Active, now)) => {
            ways.push(Way::here(list, "revoked_at IS NULL"));
            ways.push(Way::ending(list, now.as_millis().saturating_add(1), i64::MAX));
        }
        Some((TokenState::Expired, now)) => {
            ways.push(Way::ending(list, i64::MIN, now.as_millis()));
        }
        None => {}
    }
    if list.leaked {
        ways.push(Way::here(list, IS_LEAKED));
    }
    if list.never_expires {
        ways.push(Way::ending(list, i64::MAX, i64::MAX));
    } else if let Some(end) = list.expires_before {
        ways.push(Way::ending(list, i64::MIN, end.as_millis().saturating_sub(1)));
    }
    if let Some(grants) = &list.grants {
        ways.push(of_grants(list, grants));
    } else if let Some(api) = &list.api {
        let of = || vec![here(list), text(&sought(api))];
        ways.push(Way::through("organization, api", of(), of()));
    }
    if let Some(owner) = list.owner {
        let of = || -> Vec<Parameter> { vec![Box::new(owner.as_bytes().to_vec())] };
        ways.push(Way::through("owner", of(), of()));
    }
    if let Some(typed) = &list.search {
        ways.push(found_by(list, typed));
    }
    ways
}

fn of_grants(list: &TokenList, grants: &[(String, Grant)]) -> Way {
    let ids = format!(
        "SELECT token.id FROM unnest(?::text[], ?::text[]) AS wanted (api, granted)
            CROSS JOIN LATERAL (SELECT id FROM token WHERE (organization, token.api, token.granted)
                BETWEEN (?, wanted.api, wanted.granted) AND (?, wanted.api, wanted.granted)
                ORDER BY organization, token.api, token.granted LIMIT {MANY}) AS token"
    );
    let (apis, texts) = pairs(grants);
    Way::new(ids, vec![Box::new(apis), Box::new(texts), here(list), here(list)])
}

/// APIs, and grants as the table has them.
fn pairs(grants: &[(String, Grant)]) -> (Vec<String>, Vec<String>) {
    let text = |grant| serde_json::to_string(grant).unwrap_or_default();
    grants.iter().map(|(api, grant)| (api.clone(), text(grant))).unzip()
}

/// The tokens that may be meant.
fn found_by(list: &TokenList, typed: &str) -> Way {
    let of_account = format!(
        "CROSS JOIN LATERAL (SELECT id FROM token WHERE owner BETWEEN account.id AND account.id
            AND token.organization = ? ORDER BY owner, id LIMIT {MANY}) AS token"
    );
    let (from, to) = beginning(typed);
    let named = Way::through(
        "organization, lower(name)",
        vec![here(list), text(&from)],
        vec![here(list), text(&to)],
    );
    let ending = || vec![here(list), text(&sought(typed))];
    let mut ways = vec![
        named,
        Way::through("organization, last_four", ending(), ending()),
        Way::new(
            format!(
                "SELECT token.id FROM membership JOIN account ON account.id = membership.account
                    {of_account} WHERE membership.organization = ? AND lower(account.name) >= ?
                    AND lower(account.name) < ?"
            ),
            vec![here(list), here(list), text(&from), text(&to)],
        ),
    ];
    if let Ok(id) = typed.parse::<TokenId>() {
        let ids = "SELECT id FROM token WHERE id = ? AND organization = ?".to_owned();
        ways.push(Way::new(ids, vec![Box::new(id.as_bytes().to_vec()), here(list)]));
    }
    if let Ok(email) = typed.parse::<Email>() {
        let ids = format!("SELECT token.id FROM account {of_account} WHERE email = ?");
        ways.push(Way::new(ids, vec![here(list), text(email.as_str())]));
    }
    let parts: Vec<&str> = ways.iter().map(|way| way.ids.as_str()).collect();
    let ids = parts.join(" UNION ALL ");
    let parameters = ways.into_iter().flat_map(|way| way.parameters).collect();
    Way { searches: true, ..Way::new(ids, parameters) }
}

/// The same of rows that something else has found.
fn is_meant(query: &mut Query, list: &TokenList, typed: &str) {
    let (id, email) = (typed.parse::<TokenId>().ok(), typed.parse::<Email>().ok());
    query.and(
        "(lower(name) >= ? AND lower(name) < ? OR last_four = ? OR token.id = ?
            OR owner IN (SELECT account.id FROM account WHERE email = ?)
            OR owner IN (SELECT account.id FROM membership
                JOIN account ON account.id = membership.account
                WHERE membership.organization = ? AND lower(account.name) >= ?
                AND lower(account.name) < ?))",
    );
    let (from, to) = beginning(typed);
    query.give(from.clone());
    query.give(to.clone());
    query.give(sought(typed));
    query.give(id.map(|id| id.as_bytes().to_vec()));
    query.give(email.map(|email| email.as_str().to_owned()));
    query.give(list.organization.as_bytes().to_vec());
    query.give(from);
    query.give(to);
}

/// Where the texts in lower case are that begin so: from the first to the second, which nobody
/// writes.
fn beginning(typed: &str) -> (String, String) {
    let from = sought(typed).to_ascii_lowercase();
    let to = format!("{from}{}", char::MAX);
    (from, to)
}

/// A part of a list that one index has in its order.
pub(super) struct Stretch {
    condition: &'static str,
    parameters: Vec<Parameter>,
    order: &'static str,
}

/// What there is of the list behind its beginning.
pub(super) fn stretches(list: &TokenList) -> Vec<Stretch> {
    let stretch = |order, condition, parameters| Stretch { condition, parameters, order };
    let here = || here(list);
    let id_of = |id: &TokenId| -> Parameter { Box::new(id.as_bytes().to_vec()) };
    let behind = |key: Parameter, id: &TokenId| vec![here(), here(), key, id_of(id)];
    match list.order {
        TokenOrder::Newest => {
            let newest = "ORDER BY token.organization DESC, token.id DESC";
            vec![match &list.after {
                Some(TokenAfter::Newest(id)) => stretch(
                    newest,
                    "token.organization >= ? AND (token.organization, token.id) < (?, ?)",
                    vec![here(), here(), id_of(id)],
                ),
                _ => stretch(newest, HERE, vec![here(), here()]),
            }]
        }
        TokenOrder::Name => {
            let named = "ORDER BY token.organization, lower(name), token.id";
            vec![match &list.after {
                Some(TokenAfter::Name(name, id)) => stretch(
                    named,
                    "token.organization <= ?
                        AND (token.organization, lower(name), token.id) > (?, ?, ?)",
                    behind(text(&beginning(name).0), id),
                ),
                _ => stretch(named, HERE, vec![here(), here()]),
            }]
        }
        TokenOrder::End => {
            let ends = "ORDER BY token.organization, \
                coalesce(expires_at, 9223372036854775807), token.id";
            vec![match &list.after {
                Some(TokenAfter::End(end, id)) => stretch(
                    ends,
                    "token.organization <= ? AND (token.organization,
                        coalesce(expires_at, 9223372036854775807), token.id) > (?, ?, ?)",
                    behind(Box::new(end.map_or(i64::MAX, Timestamp::as_millis)), id),
                ),
                _ => stretch(ends, HERE, vec![here(), here()]),
            }]
        }
        TokenOrder::LastUse => {
            let used = "ORDER BY latest DESC, last_use.token DESC";
            let newest = "ORDER BY token.organization DESC, token.id DESC";
            let never = || stretch(newest, NEVER_USED, vec![here(), here()]);
            match &list.after {
                Some(TokenAfter::LastUse(None, id)) => vec![stretch(
                    newest,
                    "token.organization >= ? AND (token.organization, token.id) < (?, ?)
                        AND NOT EXISTS (SELECT 1 FROM last_use AS used WHERE used.token = token.id)",
                    vec![here(), here(), id_of(id)],
                )],
                Some(TokenAfter::LastUse(Some(at), id)) => {
                    let condition = "token.organization = ? AND home = ?
                        AND (latest, last_use.token) < (?, ?)";
                    vec![stretch(used, condition, behind(Box::new(at.as_millis()), id)), never()]
                }
                _ => {
                    let condition = "token.organization = ? AND home = ? AND latest IS NOT NULL";
                    vec![stretch(used, condition, vec![here(), here()]), never()]
                }
            }
        }
    }
}

/// All of an organization's tokens.
const HERE: &str = "token.organization BETWEEN ? AND ?";

const NEVER_USED: &str = "token.organization BETWEEN ? AND ?
    AND NOT EXISTS (SELECT 1 FROM last_use AS used WHERE used.token = token.id)";

pub(super) fn query(list: &TokenList, stretch: Stretch, few: Option<&Few>, limit: u32) -> Query {
    let mut query = Query::new(&format!("{TOKEN} FROM token {USES}"));
    query.and_if("token.id = ANY (?)", few.map(|few| few.ids.clone()));
    query.and(stretch.condition);
    query.give_all(stretch.parameters);
    if let Some(typed) = list.search.as_deref().filter(|_| few.is_none_or(|few| !few.found)) {
        is_meant(&mut query, list, typed);
    }
    filter(&mut query, list);
    query.end(stretch.order, limit);
    query
}

fn filter(query: &mut Query, list: &TokenList) {
    query.and_if("api = ?", list.api.as_deref().map(sought));
    if let Some(grants) = &list.grants {
        let (apis, texts) = pairs(grants);
        query.and("(api, granted) IN (SELECT * FROM unnest(?::text[], ?::text[]))");
        query.give(apis);
        query.give(texts);
    }
    query.and_if("owner = ?", list.owner.map(|id| id.as_bytes().to_vec()));
    if let Some((state, now)) = list.state {
        let now = Some(now.as_millis());
        match state {
            TokenState::Revoked => query.and("revoked_at IS NOT NULL"),
            TokenState::Expired => {
                query.and("revoked_at IS NULL");
                query.and_if(&format!("{END} <= ?"), now);
            }
            TokenState::Paused | TokenState::Active => {
                query.and("revoked_at IS NULL");
                query.and_if(&format!("{END} > ?"), now);
                let paused = state == TokenState::Paused;
                query.and(if paused { "paused_at IS NOT NULL" } else { "paused_at IS NULL" });
            }
        }
    }
    if list.leaked {
        query.and(IS_LEAKED);
    }
    if list.never_expires {
        query.and(&format!("{END} = 9223372036854775807"));
    }
    query.and_if(&format!("{END} < ?"), list.expires_before.map(Timestamp::as_millis));
    if let Some(since) = list.unused_since {
        // An id is from when a token came here, which an import's beginning is not.
        let first = TokenId::new(since, [0; 10]);
        query.and_if("token.id < ?", Some(first.as_bytes().to_vec()));
        query.and_if("(latest IS NULL OR latest < ?)", Some(since.as_millis()));
    }
}
