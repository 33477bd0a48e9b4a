//! Listing an organization's tokens as people look through them.
//!
//! What the database knows from its statistics of each of several things that a list is asked
//! for says little of all of them together, and nothing of one organization. So it is not left
//! to choose: for each thing that has an index the first tokens are fetched. Where there are
//! few, they are sorted. Where there are many of each, the index that has the order is walked,
//! and most of what it has is wanted.

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
struct Few {
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
fn first_of_each(ways: Vec<Way>) -> Query {
    let array = |way: &Way| format!("ARRAY (SELECT id FROM ({}) AS found LIMIT {MANY})", way.ids);
    let arrays: Vec<String> = ways.iter().map(array).collect();
    let mut query = Query::new(&format!("SELECT {}", arrays.join(", ")));
    ways.into_iter().for_each(|way| query.give_all(way.parameters));
    query
}

/// What leads to tokens, by an index whose order keeps the database from taking another.
struct Way {
    ids: String,
    parameters: Vec<Parameter>,
    searches: bool,
}

impl Way {
    fn new(ids: String, parameters: Vec<Parameter>) -> Self {
        Self { ids, parameters, searches: false }
    }
}

fn ways(list: &TokenList) -> Vec<Way> {
    let here = || -> Parameter { Box::new(list.organization.as_bytes().to_vec()) };
    let mut ways = Vec::new();
    let mut way = |condition: &str, order: &str, more: Option<Parameter>| {
        let ids = format!(
            "SELECT id FROM token WHERE organization = ? AND {condition}
                ORDER BY {order} LIMIT {MANY}"
        );
        ways.push(Way::new(ids, std::iter::once(here()).chain(more).collect()));
    };
    let millis = |at: Timestamp| -> Option<Parameter> { Some(Box::new(at.as_millis())) };
    match list.state {
        Some((TokenState::Revoked, _)) => way("revoked_at IS NOT NULL", "id", None),
        Some((TokenState::Paused, _)) => way("paused_at IS NOT NULL", "id", None),
        Some((TokenState::Active, now)) => {
            way("revoked_at IS NULL", "id", None);
            way(&format!("{END} > ?"), END, millis(now));
        }
        Some((TokenState::Expired, now)) => way(&format!("{END} <= ?"), END, millis(now)),
        None => {}
    }
    if list.leaked {
        way(IS_LEAKED, "id", None);
    }
    if list.never_expires {
        way(&format!("{END} = 9223372036854775807"), "id", None);
    } else if let Some(end) = list.expires_before {
        way(&format!("{END} < ?"), END, millis(end));
    }
    if let Some(grants) = &list.grants {
        ways.push(of_grants(list, grants));
    } else if let Some(api) = &list.api {
        way("api = ?", "granted", Some(Box::new(sought(api))));
    }
    if let Some(owner) = list.owner {
        // Whose organization it is would lead to another index.
        let ids = format!("SELECT id FROM token WHERE owner = ? ORDER BY id LIMIT {MANY}");
        ways.push(Way::new(ids, vec![Box::new(owner.as_bytes().to_vec())]));
    }
    if let Some(text) = &list.search {
        ways.push(found_by(list, text));
    }
    ways
}

fn of_grants(list: &TokenList, grants: &[(String, Grant)]) -> Way {
    let ids = format!(
        "SELECT token.id FROM unnest(?::text[], ?::text[]) AS wanted (api, granted)
            CROSS JOIN LATERAL (SELECT id FROM token WHERE organization = ?
                AND token.api = wanted.api AND token.granted = wanted.granted
                LIMIT {MANY}) AS token"
    );
    let (apis, texts) = pairs(grants);
    let here = list.organization.as_bytes().to_vec();
    Way::new(ids, vec![Box::new(apis), Box::new(texts), Box::new(here)])
}

/// APIs, and grants as the table has them.
fn pairs(grants: &[(String, Grant)]) -> (Vec<String>, Vec<String>) {
    let text = |grant| serde_json::to_string(grant).unwrap_or_default();
    grants.iter().map(|(api, grant)| (api.clone(), text(grant))).unzip()
}

/// The tokens that may be meant.
fn found_by(list: &TokenList, typed: &str) -> Way {
    let here = || -> Parameter { Box::new(list.organization.as_bytes().to_vec()) };
    let text = || -> Parameter { Box::new(sought(typed)) };
    let (from, to) = beginning(typed);
    let (from, to) =
        (|| -> Parameter { Box::new(from.clone()) }, || -> Parameter { Box::new(to.clone()) });
    let of_account = format!(
        "CROSS JOIN LATERAL (SELECT id FROM token WHERE owner = account.id
            AND token.organization = ? LIMIT {MANY}) AS token"
    );
    let mut parts = vec![
        format!(
            "(SELECT id FROM token WHERE organization = ? AND lower(name) >= ?
                AND lower(name) < ? ORDER BY lower(name) LIMIT {MANY})"
        ),
        format!("(SELECT id FROM token WHERE organization = ? AND last_four = ? LIMIT {MANY})"),
        format!(
            "SELECT token.id FROM membership JOIN account ON account.id = membership.account
                {of_account} WHERE membership.organization = ? AND lower(account.name) >= ?
                AND lower(account.name) < ?"
        ),
    ];
    let mut parameters = vec![here(), from(), to(), here(), text(), here(), here(), from(), to()];
    if let Ok(id) = typed.parse::<TokenId>() {
        parts.push("SELECT id FROM token WHERE id = ? AND organization = ?".into());
        parameters.push(Box::new(id.as_bytes().to_vec()));
        parameters.push(here());
    }
    if let Ok(email) = typed.parse::<Email>() {
        parts.push(format!("SELECT token.id FROM account {of_account} WHERE email = ?"));
        parameters.push(here());
        parameters.push(Box::new(email.as_str().to_owned()));
    }
    Way { searches: true, ..Way::new(parts.join(" UNION ALL "), parameters) }
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
struct Stretch {
    condition: Option<&'static str>,
    parameters: Vec<Parameter>,
    order: &'static str,
}

impl Stretch {
    fn new(order: &'static str) -> Self {
        Self { condition: None, parameters: Vec::new(), order }
    }

    fn with(self, condition: &'static str, parameters: Vec<Parameter>) -> Self {
        Self { condition: Some(condition), parameters, ..self }
    }
}

/// What there is of the list behind its beginning.
fn stretches(list: &TokenList) -> Vec<Stretch> {
    let id_of = |id: &TokenId| -> Parameter { Box::new(id.as_bytes().to_vec()) };
    let newest = || Stretch::new("ORDER BY token.id DESC");
    match list.order {
        TokenOrder::Newest => vec![match &list.after {
            Some(TokenAfter::Newest(id)) => newest().with("token.id < ?", vec![id_of(id)]),
            _ => newest(),
        }],
        TokenOrder::Name => {
            let all = Stretch::new("ORDER BY lower(name), token.id");
            let Some(TokenAfter::Name(name, id)) = &list.after else { return vec![all] };
            let name = sought(name).to_ascii_lowercase();
            vec![all.with("(lower(name), token.id) > (?, ?)", vec![Box::new(name), id_of(id)])]
        }
        TokenOrder::End => {
            let all = Stretch::new("ORDER BY coalesce(expires_at, 9223372036854775807), token.id");
            let Some(TokenAfter::End(end, id)) = &list.after else { return vec![all] };
            let end = end.map_or(i64::MAX, Timestamp::as_millis);
            let behind = "(coalesce(expires_at, 9223372036854775807), token.id) > (?, ?)";
            vec![all.with(behind, vec![Box::new(end), id_of(id)])]
        }
        TokenOrder::LastUse => {
            let here: Parameter = Box::new(list.organization.as_bytes().to_vec());
            let used = Stretch::new("ORDER BY latest DESC, last_use.token DESC");
            let never = "latest IS NULL";
            match &list.after {
                Some(TokenAfter::LastUse(None, id)) => {
                    vec![newest().with("latest IS NULL AND token.id < ?", vec![id_of(id)])]
                }
                Some(TokenAfter::LastUse(Some(at), id)) => {
                    let behind = "home = ? AND (latest, last_use.token) < (?, ?)";
                    let at: Parameter = Box::new(at.as_millis());
                    vec![
                        used.with(behind, vec![here, at, id_of(id)]),
                        newest().with(never, Vec::new()),
                    ]
                }
                _ => vec![
                    used.with("home = ? AND latest IS NOT NULL", vec![here]),
                    newest().with(never, Vec::new()),
                ],
            }
        }
    }
}

fn query(list: &TokenList, stretch: Stretch, few: Option<&Few>, limit: u32) -> Query {
    let mut query = Query::new(&format!("{TOKEN} FROM token {USES}"));
    query.and_if("token.id = ANY (?)", few.map(|few| few.ids.clone()));
    query.and_if("token.organization = ?", Some(list.organization.as_bytes().to_vec()));
    if let Some(condition) = stretch.condition {
        query.and(condition);
        query.give_all(stretch.parameters);
    }
    if let Some(text) = list.search.as_deref().filter(|_| few.is_none_or(|few| !few.found)) {
        is_meant(&mut query, list, text);
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
