//! Finding tokens: which index leads to what a filter asks for.
//!
//! The database keeps no statistics, so it cannot know that one API has three tokens and
//! another ten million. A few entries of each index that would do are counted instead, and
//! the one with the fewest leads. Pages come in the order of ids, which all of these
//! indexes have, but for that of ends: it leads where it has so few that they may be sorted.

use super::read::{Query, TOKEN, token_row};
use crate::store::{Page, StoredToken, TokenFilter, TokenState};
use counterfoil_core::{Timestamp, id::TokenId};
use rusqlite::{Connection, Error, ToSql};

/// How many entries are counted at most; whatever has more has many.
const MANY: u32 = 1_000;

/// The index that has the rows themselves.
const BY_ID: &str = "sqlite_autoindex_token_1";

/// An index, and what a filter asks it for.
struct Way {
    index: &'static str,
    condition: &'static str,
    parameter: Option<Box<dyn ToSql>>,
    /// Whether what it leads to has to be sorted.
    unsorted: bool,
}

impl Way {
    fn new(index: &'static str, condition: &'static str) -> Self {
        Self { index, condition, parameter: None, unsorted: false }
    }

    fn with<T: ToSql + 'static>(
        index: &'static str,
        condition: &'static str,
        parameter: Option<T>,
    ) -> Option<Self> {
        let parameter: Box<dyn ToSql> = Box::new(parameter?);
        Some(Self { parameter: Some(parameter), ..Self::new(index, condition) })
    }

    /// How many tokens it leads to, at most so many.
    fn count(&self, connection: &Connection, most: u32) -> Result<u32, Error> {
        let sql = format!(
            "SELECT count(*) FROM (SELECT 1 FROM token INDEXED BY {} WHERE {} LIMIT {most})",
            self.index, self.condition
        );
        let mut statement = connection.prepare_cached(&sql)?;
        statement.query_row(rusqlite::params_from_iter(&self.parameter), |row| row.get(0))
    }
}

pub(super) fn tokens(
    connection: &Connection,
    filter: &TokenFilter,
    page: Page<TokenId>,
) -> Result<Vec<StoredToken>, Error> {
    let index = choose(connection, ways(filter))?;
    query(filter, page, index).all(connection, token_row)
}

/// The ways to what a filter asks for, those first that lead to the fewest as a rule.
fn ways(filter: &TokenFilter) -> Vec<Way> {
    if filter.digest.is_some() {
        // It gives the ids themselves.
        return Vec::new();
    }
    let (state, moment) = filter.state.unzip();
    let ended = moment.filter(|_| state == Some(TokenState::Expired));
    let external_id = filter.external_id.clone();
    let owner = filter.owner.map(|id| *id.as_bytes());
    let organization = filter.organization.map(|id| *id.as_bytes());
    let ends = [
        Way::with("token_by_end", "expires_at <= ?", ended.map(Timestamp::as_millis)),
        Way::with(
            "token_by_end",
            "expires_at < ?",
            filter.expires_before.map(Timestamp::as_millis),
        ),
    ];
    let unsorted = ends.into_iter().flatten().map(|way| Way { unsorted: true, ..way });
    [
        Way::with("token_by_external_id", "external_id = ?", external_id),
        Way::with("token_by_owner", "owner = ?", owner),
        Way::with("token_by_organization", "organization = ?", organization),
        match state {
            Some(TokenState::Revoked) => Some(Way::new("token_revoked", "revoked_at IS NOT NULL")),
            Some(TokenState::Paused) => Some(Way::new("token_paused", "paused_at IS NOT NULL")),
            Some(TokenState::Active | TokenState::Expired) | None => None,
        },
        Way::with("token_by_api", "api = ?", filter.api.clone()),
    ]
    .into_iter()
    .flatten()
    .chain(unsorted)
    .collect()
}

/// The index that leads to the fewest tokens.
fn choose(connection: &Connection, ways: Vec<Way>) -> Result<&'static str, Error> {
    let (mut index, mut fewest) = (None, MANY);
    for way in ways {
        let found = way.count(connection, fewest)?;
        if found < fewest || (index.is_none() && !way.unsorted) {
            (index, fewest) = (Some(way.index), found);
        }
    }
    Ok(index.unwrap_or(BY_ID))
}

fn query(filter: &TokenFilter, page: Page<TokenId>, index: &str) -> Query {
    let mut query =
        Query::new(&TOKEN.replacen(" FROM token ", &format!(" FROM token INDEXED BY {index} "), 1));
    if let Some(digest) = filter.digest {
        query.and(
            "id IN (SELECT id FROM token WHERE digest = ?
                UNION SELECT token FROM replaced_digest WHERE digest = ?)",
        );
        query.give(*digest.as_bytes());
        query.give(*digest.as_bytes());
    }
    query.and_if("api = ?", filter.api.clone());
    query.and_if("external_id = ?", filter.external_id.clone());
    if let Some((name, value)) = filter.metadata.clone() {
        query.and(
            "EXISTS (SELECT 1 FROM json_each(metadata) AS field WHERE field.key = ?
                AND ? IN (metadata -> field.fullkey, metadata ->> field.fullkey))",
        );
        query.give(name);
        query.give(value);
    }
    query.and_if("organization = ?", filter.organization.map(|id| *id.as_bytes()));
    query.and_if("owner = ?", filter.owner.map(|id| *id.as_bytes()));
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
        query.and_if("id < ?", Some(*TokenId::new(since, [0; 10]).as_bytes()));
        query.and_if("(last_use.at IS NULL OR last_use.at < ?)", Some(since.as_millis()));
        query.and_if("(previous_use.at IS NULL OR previous_use.at < ?)", Some(since.as_millis()));
    }
    query.and_if("expires_at < ?", filter.expires_before.map(Timestamp::as_millis));
    query.page(page, |id| id.as_bytes().to_vec());
    query
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::migrate;
    use counterfoil_core::{
        id::{AccountId, OrganizationId},
        token::Digest,
    };

    /// Every combination of what a filter can ask for, but for metadata, of which there is
    /// no index.
    fn filters() -> Vec<TokenFilter> {
        let (now, entropy) = (Timestamp::from_millis(1_700_000_000_000), [7; 10]);
        let mut filters = vec![TokenFilter::default()];
        let mut with = |change: &dyn Fn(&mut TokenFilter)| {
            for mut filter in filters.clone() {
                change(&mut filter);
                filters.push(filter);
            }
        };
        with(&|f| f.api = Some("orders".into()));
        with(&|f| f.external_id = Some("17".into()));
        with(&|f| f.digest = Some(Digest::of("secret")));
        with(&|f| f.organization = Some(OrganizationId::new(now, entropy)));
        with(&|f| f.owner = Some(AccountId::new(now, entropy)));
        with(&|f| f.unused_since = Some(now));
        with(&|f| f.expires_before = Some(now));
        let stateless = filters.clone();
        for state in
            [TokenState::Active, TokenState::Paused, TokenState::Expired, TokenState::Revoked]
        {
            let of_state = stateless.iter().cloned();
            filters.extend(of_state.map(|f| TokenFilter { state: Some((state, now)), ..f }));
        }
        filters
    }

    #[test]
    fn no_list_scans_or_sorts_what_an_index_has() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        let after = Some(TokenId::new(Timestamp::from_millis(1), [0; 10]));
        let mut seen = 0;
        for filter in filters() {
            let ways = ways(&filter);
            let sorted = ways.iter().filter(|way| !way.unsorted).count();
            let by_id = (BY_ID, false);
            let fallback = (sorted == 0).then_some(by_id);
            let all = ways.iter().map(|way| (way.index, way.unsorted)).chain(fallback);
            for ((index, unsorted), after) in all.flat_map(|way| [(way, None), (way, after)]) {
                let page = Page { after, limit: 100 };
                let plan = query(&filter, page, index).plan(&connection);
                let tokens = plan.iter().find(|step| step.split(' ').nth(1) == Some("token"));
                let tokens = tokens.unwrap_or_else(|| panic!("{filter:?} by {index}: {plan:?}"));
                let found = filter.digest.is_some() || index != BY_ID && !index.ends_with("ed");
                let searched = found || after.is_some() || filter.unused_since.is_some();
                let verb = if searched { "SEARCH" } else { "SCAN" };
                assert!(tokens.starts_with(verb), "{filter:?} by {index}: {plan:?}");
                let named = if index == BY_ID { "PRIMARY KEY" } else { index };
                assert!(
                    tokens.contains(named) || verb == "SCAN" && index == BY_ID,
                    "{filter:?} by {index}: {plan:?}"
                );
                let scans = plan.iter().filter(|step| step.starts_with("SCAN")).count();
                assert_eq!(scans, usize::from(!searched), "{filter:?} by {index}: {plan:?}");
                let sorts = plan.iter().any(|step| step.contains("ORDER BY"));
                assert_eq!(sorts, unsorted, "{filter:?} by {index}: {plan:?}");
                seen += 1;
            }
            for way in ways {
                assert!(way.count(&connection, MANY).unwrap() == 0);
            }
        }
        assert!(seen > 1280, "{seen}");
    }

    #[test]
    fn the_fewest_lead() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        connection.pragma_update(None, "foreign_keys", false).unwrap();
        // All are of one API and two organizations, few are paused, half end.
        connection
            .execute(
                "WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number
                    WHERE n < 3000)
                 INSERT INTO token (id, api, organization, owner, name, note, granted,
                    allowed_networks, prefix, last_four, digest, created_at, expires_at, paused_at)
                 SELECT unhex(printf('%032x', n)), 'orders', unhex(printf('%032x', n % 2)),
                    unhex(printf('%032x', n % 3)), '', '', '\"any\"', '[]', '', '',
                    unhex(printf('%064x', n)), 0, iif(n % 2, n, NULL), iif(n % 1000, NULL, 1)
                 FROM number",
                [],
            )
            .unwrap();
        let now = Timestamp::from_millis(10_000);
        let all = TokenFilter { api: Some("orders".into()), ..TokenFilter::default() };
        let organization = Some(OrganizationId::from_bytes([0; 16]));
        let before = |end| Some(Timestamp::from_millis(end));
        let expired = |now| Some((TokenState::Expired, Timestamp::from_millis(now)));
        for (filter, index) in [
            (TokenFilter::default(), BY_ID),
            (all.clone(), "token_by_api"),
            (TokenFilter { api: Some("none".into()), organization, ..all.clone() }, "token_by_api"),
            (TokenFilter { organization, ..all.clone() }, "token_by_organization"),
            (TokenFilter { state: Some((TokenState::Paused, now)), ..all.clone() }, "token_paused"),
            (
                TokenFilter { expires_before: before(100), organization, ..all.clone() },
                "token_by_end",
            ),
            (TokenFilter { expires_before: before(100), ..TokenFilter::default() }, "token_by_end"),
            (TokenFilter { expires_before: before(5000), ..all.clone() }, "token_by_api"),
            (TokenFilter { expires_before: before(5000), ..TokenFilter::default() }, BY_ID),
            (TokenFilter { state: expired(90), ..TokenFilter::default() }, "token_by_end"),
            (TokenFilter { state: expired(9000), ..TokenFilter::default() }, BY_ID),
        ] {
            assert_eq!(choose(&connection, ways(&filter)).unwrap(), index, "{filter:?}");
            let page = Page { after: None, limit: 2 };
            let found = tokens(&connection, &filter, page).unwrap();
            let by_id = query(&filter, page, BY_ID).all(&connection, token_row).unwrap();
            assert_eq!(found, by_id, "{filter:?}");
        }
    }
}
