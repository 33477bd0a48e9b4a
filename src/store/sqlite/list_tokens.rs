//! Listing an organization's tokens as people look through them.
//!
//! As in [`find_tokens`] a few entries of each index that would do are counted. Where one
//! leads to few tokens, they are fetched and sorted. Where all lead to many, the index that
//! has the order is walked, and most of what it has is wanted.
//!
//! [`find_tokens`]: super::find_tokens

use super::read::{Query, TOKEN, token_row};
use crate::store::{StoredToken, TokenAfter, TokenList, TokenOrder, TokenState};
use counterfoil_core::{Timestamp, account::Email, id::TokenId, token::Grant};
use rusqlite::{Connection, Error, params_from_iter, types::Value};

/// How many entries are counted, and rows sorted, at most.
const MANY: u32 = 1_000;

/// As the index has it, whose expression this has to be.
const END: &str = "coalesce(expires_at, 9223372036854775807)";

/// What leads to the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lead {
    /// An index of tokens.
    Index(&'static str),
    /// What was searched for.
    Search,
    /// The times of last uses.
    LastUse,
}

/// A lead, and what a list asks it for.
struct Way {
    lead: Lead,
    /// What selects an entry for each token.
    entries: String,
    parameters: Vec<Value>,
    /// Whether it has tokens in the order of their ids.
    by_id: bool,
}

impl Way {
    /// How many tokens it leads to, at most so many.
    fn count(&self, connection: &Connection, most: u32) -> Result<u32, Error> {
        let sql = format!("SELECT count(*) FROM ({} LIMIT {most})", self.entries);
        let mut statement = connection.prepare_cached(&sql)?;
        statement.query_row(params_from_iter(&self.parameters), |row| row.get(0))
    }
}

pub(super) fn list(connection: &Connection, list: &TokenList) -> Result<Vec<StoredToken>, Error> {
    let few = choose(connection, list)?;
    let mut rows = Vec::new();
    for stretch in stretches(list) {
        let left = list.limit.saturating_sub(u32::try_from(rows.len()).unwrap_or(u32::MAX));
        if left == 0 {
            break;
        }
        let lead = few.unwrap_or(stretch.lead);
        rows.extend(query(list, &stretch, lead, left).all(connection, token_row)?);
    }
    Ok(rows)
}

/// The lead to few tokens, or to all of them in their order; none where there is none.
fn choose(connection: &Connection, list: &TokenList) -> Result<Option<Lead>, Error> {
    let (mut lead, mut fewest) = (None, MANY);
    for way in ways(list) {
        let found = way.count(connection, fewest)?;
        let in_order = way.by_id && list.order == TokenOrder::Newest;
        if found < fewest || lead.is_none() && in_order {
            (lead, fewest) = (Some(way.lead), found);
        }
    }
    Ok(lead)
}

fn ways(list: &TokenList) -> Vec<Way> {
    let here = blob(list.organization.as_bytes());
    let mut ways = Vec::new();
    let mut way = |index: &'static str, by_id, condition: &str, more: Option<Value>| {
        let entries = format!(
            "SELECT 1 FROM token INDEXED BY {index} WHERE organization = ? AND {condition}"
        );
        let parameters = std::iter::once(here.clone()).chain(more).collect();
        ways.push(Way { lead: Lead::Index(index), entries, parameters, by_id });
    };
    if let Some(owner) = list.owner {
        way("token_by_owner", true, "owner = ?", Some(blob(owner.as_bytes())));
    }
    match list.state {
        Some((TokenState::Revoked, _)) => {
            way("token_revoked_here", true, "revoked_at IS NOT NULL", None);
        }
        Some((TokenState::Paused, _)) => {
            way("token_paused_here", true, "paused_at IS NOT NULL", None);
        }
        Some((TokenState::Active, now)) => {
            way("token_live_here", true, "revoked_at IS NULL", None);
            let end = format!("{END} > ?");
            way("token_by_end_here", false, &end, Some(now.as_millis().into()));
        }
        Some((TokenState::Expired, now)) => {
            let end = format!("{END} <= ?");
            way("token_by_end_here", false, &end, Some(now.as_millis().into()));
        }
        None => {}
    }
    if list.leaked {
        way("token_leaked_here", true, IS_LEAKED, None);
    }
    if let Some(grants) = &list.grants {
        way("token_by_grant", false, OF_GRANTS, Some(json(grants).into()));
    } else if let Some(api) = list.api.clone() {
        way("token_by_grant", false, "api = ?", Some(api.into()));
    }
    if list.never_expires {
        way("token_by_end_here", false, &format!("{END} = 9223372036854775807"), None);
    } else if let Some(end) = list.expires_before {
        let condition = format!("{END} < ?");
        way("token_by_end_here", false, &condition, Some(end.as_millis().into()));
    }
    if let Some(text) = &list.search {
        let (entries, parameters) = found_by(list, text, "UNION ALL");
        ways.push(Way { lead: Lead::Search, entries, parameters, by_id: false });
    }
    ways
}

/// As the index has it: see [`LEAKED`](crate::store::LEAKED).
const IS_LEAKED: &str = "revoke_reason IN ('leaked', 'reported as leaked')";

const OF_GRANTS: &str = "(api, granted) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?))";

/// Pairs of texts, the second as the table has it.
fn json(grants: &[(String, Grant)]) -> String {
    let text = |grant| serde_json::to_string(grant).unwrap_or_default();
    let pairs: Vec<(&str, String)> =
        grants.iter().map(|(api, grant)| (api.as_str(), text(grant))).collect();
    serde_json::to_string(&pairs).unwrap_or_default()
}

/// The ids of the tokens that may be meant.
fn found_by(list: &TokenList, typed: &str, union: &str) -> (String, Vec<Value>) {
    let here = || blob(list.organization.as_bytes());
    let (text, end) = (|| Value::from(typed.to_owned()), || Value::from(behind(typed)));
    let mut parts = vec![
        "SELECT id FROM token INDEXED BY token_by_name WHERE organization = ?
            AND name COLLATE NOCASE >= ? AND name COLLATE NOCASE < ?",
        "SELECT id FROM token INDEXED BY token_by_last_four WHERE organization = ?
            AND last_four = ?",
        "SELECT token.id FROM membership CROSS JOIN account ON account.id = membership.account
            CROSS JOIN token INDEXED BY token_by_owner ON token.owner = account.id
            WHERE membership.organization = ? AND account.name COLLATE NOCASE >= ?
            AND account.name COLLATE NOCASE < ? AND token.organization = ?",
    ];
    let mut parameters = vec![here(), text(), end(), here(), text(), here(), text(), end(), here()];
    if let Ok(id) = typed.parse::<TokenId>() {
        parts.push("SELECT id FROM token WHERE id = ? AND organization = ?");
        parameters.extend([blob(id.as_bytes()), here()]);
    }
    if let Ok(email) = typed.parse::<Email>() {
        parts.push(
            "SELECT token.id FROM account CROSS JOIN token INDEXED BY token_by_owner
                ON token.owner = account.id WHERE email = ? AND token.organization = ?",
        );
        parameters.extend([email.as_str().to_owned().into(), here()]);
    }
    (parts.join(&format!(" {union} ")), parameters)
}

/// The same of rows that something else has found.
fn is_meant(query: &mut Query, list: &TokenList, text: &str) {
    let (id, email) = (text.parse::<TokenId>().ok(), text.parse::<Email>().ok());
    query.and(
        "(name COLLATE NOCASE >= ? AND name COLLATE NOCASE < ? OR last_four = ? OR token.id = ?
            OR owner IN (SELECT account.id FROM account WHERE email = ?)
            OR owner IN (SELECT account.id FROM membership
                CROSS JOIN account ON account.id = membership.account
                WHERE membership.organization = ? AND account.name COLLATE NOCASE >= ?
                AND account.name COLLATE NOCASE < ?))",
    );
    query.give(text.to_owned());
    query.give(behind(text));
    query.give(text.to_owned());
    query.give(id.map(|id| *id.as_bytes()));
    query.give(email.map(|email| email.as_str().to_owned()));
    query.give(*list.organization.as_bytes());
    query.give(text.to_owned());
    query.give(behind(text));
}

/// What comes behind all texts that begin so, but for one that nobody writes.
fn behind(beginning: &str) -> String {
    format!("{beginning}{}", char::MAX)
}

fn blob(id: &[u8; 16]) -> Value {
    Value::Blob(id.to_vec())
}

/// A part of a list that one index has in its order.
struct Stretch {
    lead: Lead,
    condition: Option<&'static str>,
    parameters: Vec<Value>,
    order: &'static str,
}

impl Stretch {
    fn new(lead: Lead, order: &'static str) -> Self {
        Self { lead, condition: None, parameters: Vec::new(), order }
    }

    /// Where all else that it is ordered by is the same, which the database may not see.
    fn by_id(self) -> Self {
        Self { order: "ORDER BY token.id", ..self }
    }

    fn with(self, condition: &'static str, parameters: impl Into<Vec<Value>>) -> Self {
        Self { condition: Some(condition), parameters: parameters.into(), ..self }
    }
}

/// What there is of the list behind its beginning. A comparison of name and id at once would
/// be in no index, so those of the same name come first, and then the others.
fn stretches(list: &TokenList) -> Vec<Stretch> {
    let id_of = |id: &TokenId| blob(id.as_bytes());
    match list.order {
        TokenOrder::Newest => {
            let all = Stretch::new(Lead::Index("token_by_organization"), NEWEST);
            vec![match &list.after {
                Some(TokenAfter::Newest(id)) => all.with("token.id < ?", [id_of(id)]),
                _ => all,
            }]
        }
        TokenOrder::Name => {
            let order = "ORDER BY name COLLATE NOCASE, token.id";
            let all = || Stretch::new(Lead::Index("token_by_name"), order);
            let Some(TokenAfter::Name(name, id)) = &list.after else { return vec![all()] };
            let name = || Value::from(name.clone());
            let same = "name COLLATE NOCASE = ? AND token.id > ?";
            vec![
                all().by_id().with(same, [name(), id_of(id)]),
                all().with("name COLLATE NOCASE > ?", [name()]),
            ]
        }
        TokenOrder::End => {
            let order = "ORDER BY coalesce(expires_at, 9223372036854775807), token.id";
            let all = || Stretch::new(Lead::Index("token_by_end_here"), order);
            if list.never_expires {
                return vec![match &list.after {
                    Some(TokenAfter::End(None, id)) => {
                        all().by_id().with("token.id > ?", [id_of(id)])
                    }
                    _ => all().by_id(),
                }];
            }
            let Some(TokenAfter::End(end, id)) = &list.after else { return vec![all()] };
            let end = || Value::from(end.map_or(i64::MAX, Timestamp::as_millis));
            let same = "coalesce(expires_at, 9223372036854775807) = ? AND token.id > ?";
            vec![
                all().by_id().with(same, [end(), id_of(id)]),
                all().with("coalesce(expires_at, 9223372036854775807) > ?", [end()]),
            ]
        }
        TokenOrder::LastUse => {
            let used = Stretch::new(Lead::LastUse, "ORDER BY latest DESC, last_use.token DESC");
            let never = Stretch::new(Lead::Index("token_by_organization"), NEWEST);
            match &list.after {
                Some(TokenAfter::LastUse(None, id)) => {
                    vec![never.with("latest IS NULL AND token.id < ?", [id_of(id)])]
                }
                Some(TokenAfter::LastUse(Some(at), id)) => {
                    let behind = "(latest, last_use.token) < (?, ?)";
                    vec![
                        used.with(behind, [at.as_millis().into(), id_of(id)]),
                        never.with("latest IS NULL", []),
                    ]
                }
                _ => vec![used.with("latest IS NOT NULL", []), never.with("latest IS NULL", [])],
            }
        }
    }
}

const NEWEST: &str = "ORDER BY token.id DESC";

fn query(list: &TokenList, stretch: &Stretch, lead: Lead, limit: u32) -> Query {
    let here = *list.organization.as_bytes();
    let previous = "LEFT JOIN previous_use ON previous_use.token = token.id";
    let uses = format!("LEFT JOIN last_use ON last_use.token = token.id {previous}");
    let (from, parameters) = match lead {
        Lead::Index(index) => (format!("token INDEXED BY {index} {uses}"), Vec::new()),
        Lead::LastUse => {
            let from = "last_use INDEXED BY last_use_by_home
                CROSS JOIN token ON token.id = last_use.token";
            (format!("{from} {previous}"), Vec::new())
        }
        Lead::Search => {
            let text = list.search.as_deref().unwrap_or_default();
            let (found, parameters) = found_by(list, text, "UNION");
            let from = format!(
                "(SELECT id AS found FROM ({found})) CROSS JOIN token ON token.id = found {uses}"
            );
            (from, parameters)
        }
    };
    let columns = TOKEN.split(" FROM token ").next().unwrap_or(TOKEN);
    let mut query = Query::new(&format!("{columns} FROM {from}"));
    for parameter in parameters {
        query.give(parameter);
    }
    if lead == Lead::LastUse {
        query.and_if("home = ?", Some(here));
    }
    query.and_if("token.organization = ?", Some(here));
    if let Some(condition) = stretch.condition {
        query.and(condition);
        for parameter in &stretch.parameters {
            query.give(parameter.clone());
        }
    }
    filter(&mut query, list, lead);
    query.end(stretch.order, limit);
    query
}

fn filter(query: &mut Query, list: &TokenList, lead: Lead) {
    if let Some(text) = list.search.as_deref().filter(|_| lead != Lead::Search) {
        is_meant(query, list, text);
    }
    query.and_if("api = ?", list.api.clone());
    query.and_if(OF_GRANTS, list.grants.as_deref().map(json));
    query.and_if("owner = ?", list.owner.map(|id| *id.as_bytes()));
    if let Some((state, now)) = list.state {
        let now = Some(now.as_millis());
        match state {
            TokenState::Revoked => query.and("revoked_at IS NOT NULL"),
            TokenState::Expired => {
                query.and("revoked_at IS NULL");
                query.and_if("coalesce(expires_at, 9223372036854775807) <= ?", now);
            }
            TokenState::Paused | TokenState::Active => {
                query.and("revoked_at IS NULL");
                query.and_if("coalesce(expires_at, 9223372036854775807) > ?", now);
                let paused = state == TokenState::Paused;
                query.and(if paused { "paused_at IS NOT NULL" } else { "paused_at IS NULL" });
            }
        }
    }
    if list.leaked {
        query.and(IS_LEAKED);
    }
    if list.never_expires {
        query.and("coalesce(expires_at, 9223372036854775807) = 9223372036854775807");
    }
    let end = list.expires_before.map(Timestamp::as_millis);
    query.and_if("coalesce(expires_at, 9223372036854775807) < ?", end);
    if let Some(since) = list.unused_since {
        // An id is from when a token came here, which an import's beginning is not.
        query.and_if("token.id < ?", Some(*TokenId::new(since, [0; 10]).as_bytes()));
        query.and_if("(latest IS NULL OR latest < ?)", Some(since.as_millis()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::migrate;
    use counterfoil_core::id::{AccountId, OrganizationId};

    const ORDERS: [TokenOrder; 4] =
        [TokenOrder::Newest, TokenOrder::Name, TokenOrder::End, TokenOrder::LastUse];

    fn now() -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000)
    }

    /// Every combination of what a list can be asked for.
    fn lists() -> Vec<TokenList> {
        let organization = OrganizationId::new(now(), [7; 10]);
        let id = TokenId::new(now(), [7; 10]);
        let mut lists = Vec::new();
        for order in ORDERS {
            let all = TokenList::all(organization, order, 9);
            let ends = match order {
                TokenOrder::Newest => vec![TokenAfter::Newest(id)],
                TokenOrder::Name => vec![TokenAfter::Name("a".into(), id)],
                TokenOrder::End => vec![None, Some(now())]
                    .into_iter()
                    .map(|end| TokenAfter::End(end, id))
                    .collect(),
                TokenOrder::LastUse => vec![None, Some(now())]
                    .into_iter()
                    .map(|at| TokenAfter::LastUse(at, id))
                    .collect(),
            };
            lists.push(all.clone());
            lists.extend(ends.into_iter().map(|end| TokenList { after: Some(end), ..all.clone() }));
        }
        let mut with = |change: &dyn Fn(&mut TokenList)| {
            for mut list in lists.clone() {
                change(&mut list);
                lists.push(list);
            }
        };
        with(&|list| list.search = Some("a@example.com".into()));
        with(&|list| list.api = Some("orders".into()));
        with(&|list| list.grants = Some(vec![("orders".into(), Grant::Any)]));
        with(&|list| list.owner = Some(AccountId::new(now(), [7; 10])));
        with(&|list| list.unused_since = Some(now()));
        with(&|list| list.expires_before = Some(now()));
        with(&|list| list.never_expires = true);
        with(&|list| list.leaked = true);
        let stateless = lists.clone();
        for state in
            [TokenState::Active, TokenState::Paused, TokenState::Expired, TokenState::Revoked]
        {
            let of_state = stateless.iter().cloned();
            lists.extend(of_state.map(|list| TokenList { state: Some((state, now())), ..list }));
        }
        lists
    }

    #[test]
    fn no_list_looks_at_other_organizations_or_sorts_what_an_index_has() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        let mut seen = 0;
        for list in lists() {
            for stretch in stretches(&list) {
                let few = ways(&list).into_iter().map(|way| (way.lead, way.by_id));
                for (lead, by_id) in few.chain([(stretch.lead, true)]) {
                    let plan = query(&list, &stretch, lead, 9).plan(&connection);
                    let scans = |step: &&String| {
                        step.starts_with("SCAN")
                            && !["json_each", "found", "(subquery"].iter().any(|t| step.contains(t))
                    };
                    assert_eq!(plan.iter().find(scans), None, "{list:?} by {lead:?}: {plan:?}");
                    let named = match lead {
                        Lead::Index(index) => index,
                        Lead::LastUse => "last_use_by_home (home=?",
                        Lead::Search => "SEARCH token USING PRIMARY KEY (id=?)",
                    };
                    let leads = plan.iter().any(|step| step.contains(named));
                    assert!(leads, "{list:?} by {lead:?}: {plan:?}");
                    let sorts = plan.iter().any(|step| step.contains("FOR ORDER BY"));
                    let is_walked = lead == stretch.lead || by_id && stretch.order == NEWEST;
                    assert!(!(sorts && is_walked), "{list:?} by {lead:?}: {plan:?}");
                    seen += 1;
                }
            }
            for way in ways(&list) {
                assert_eq!(way.count(&connection, MANY).unwrap(), 0);
            }
            assert_eq!(super::list(&connection, &list).unwrap(), []);
        }
        assert!(seen > 2000, "{seen}");
    }
}
