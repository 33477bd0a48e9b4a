//! What tokens did: kept beside the ledger, for a while.

use super::{
    change::run,
    read::{Query, optional_time, time, unreadable},
};
use crate::{
    store::{
        OriginKind, Page, UsageFilter, UsageKey,
        written::{origin_kind_name, to_sql},
    },
    usage::{LastUse, ORIGINS, Origin, StoredCount, TokenUsage},
};
use counterfoil_core::{Timestamp, id::TokenId, time::Seconds};
use rusqlite::{Connection, Error, Row, params};
use std::net::IpAddr;

pub(super) fn keep(connection: &Connection, usage: &[(TokenId, TokenUsage)]) -> Result<(), Error> {
    for (token, usage) in usage {
        for count in &usage.counts {
            run(
                connection,
                "INSERT INTO usage (token, hour, outcome, count) VALUES (?, ?, ?, ?)
                 ON CONFLICT (token, hour, outcome) DO UPDATE SET count = count + excluded.count",
                params![
                    token.as_bytes(),
                    count.hour.as_millis(),
                    count.outcome.as_str(),
                    to_sql(count.requests)
                ],
            )?;
        }
        for origin in &usage.addresses {
            let value = origin.value.map(|address| address.to_string());
            keep_origin(connection, *token, OriginKind::Address, origin, value.as_deref())?;
        }
        for origin in &usage.user_agents {
            let value = origin.value.as_deref();
            keep_origin(connection, *token, OriginKind::UserAgent, origin, value)?;
        }
        if let Some(last) = &usage.last {
            keep_replaced(connection, *token, last)?;
            keep_last(connection, "last_use", *token, last)?;
        }
        if let Some(last) = &usage.previous {
            keep_last(connection, "previous_use", *token, last)?;
        }
        for last in usage.last.iter().chain(usage.previous.as_deref()) {
            keep_latest(connection, *token, last)?;
        }
        for last in usage.last.iter().chain(usage.previous.as_deref()) {
            keep_route(connection, *token, last)?;
        }
    }
    Ok(())
}

/// Adds to what is known of an origin. Where a day has as many as are told
/// apart, it goes to the others.
fn keep_origin<T>(
    connection: &Connection,
    token: TokenId,
    kind: OriginKind,
    origin: &Origin<T>,
    value: Option<&str>,
) -> Result<(), Error> {
    run(
        connection,
        "INSERT INTO usage_origin (token, kind, day, value, admitted, refused, first_at, last_at)
         VALUES (?1, ?2, ?3, CASE
            WHEN ?4 = '' OR EXISTS (SELECT 1 FROM usage_origin
                WHERE token = ?1 AND kind = ?2 AND day = ?3 AND value = ?4) THEN ?4
            WHEN (SELECT count(*) FROM usage_origin
                WHERE token = ?1 AND kind = ?2 AND day = ?3 AND value <> '') < ?9 THEN ?4
            ELSE '' END, ?5, ?6, ?7, ?8)
         ON CONFLICT (token, kind, day, value) DO UPDATE SET
            admitted = admitted + excluded.admitted,
            refused = refused + excluded.refused,
            first_at = min(first_at, excluded.first_at),
            last_at = max(last_at, excluded.last_at)",
        params![
            token.as_bytes(),
            origin_kind_name(kind),
            origin.day.as_millis(),
            value.unwrap_or_default(),
            to_sql(origin.admitted),
            to_sql(origin.refused),
            origin.first_at.as_millis(),
            origin.last_at.as_millis(),
            ORIGINS,
        ],
    )
    .map(drop)
}

/// Notes when a token was last used with whichever secret, for lists in that order. Where it
/// was only used with one that was replaced, that is the last use there is.
fn keep_latest(connection: &Connection, token: TokenId, last: &LastUse) -> Result<(), Error> {
    run(
        connection,
        "INSERT INTO last_use AS kept (token, at, door, secret, latest, home)
         VALUES (?1, ?2, ?3, ?4, ?2, (SELECT organization FROM token WHERE id = ?1))
         ON CONFLICT (token) DO UPDATE SET home = excluded.home,
            latest = max(coalesce(kept.latest, 0), excluded.latest)",
        params![token.as_bytes(), last.at.as_millis(), last.door, last.secret,],
    )
    .map(drop)
}

/// Moves the last use with a secret that a rotation has replaced to where those stand,
/// before a use with the new one takes its place.
fn keep_replaced(connection: &Connection, token: TokenId, last: &LastUse) -> Result<(), Error> {
    run(
        connection,
        "INSERT INTO previous_use AS kept (token, at, door, address, user_agent, route, secret)
         SELECT token, at, door, address, user_agent, route, secret FROM last_use
         WHERE token = ? AND secret <> ? AND at <= ?
         ON CONFLICT (token) DO UPDATE SET at = excluded.at, door = excluded.door,
            address = excluded.address, user_agent = excluded.user_agent,
            route = excluded.route, secret = excluded.secret
         WHERE excluded.at > kept.at OR excluded.secret IS NOT kept.secret",
        params![token.as_bytes(), last.secret, last.at.as_millis()],
    )
    .map(drop)
}

fn keep_last(
    connection: &Connection,
    table: &str,
    token: TokenId,
    last: &LastUse,
) -> Result<(), Error> {
    // Lists are in the order of this one, for each organization.
    let (home, whose) = match table {
        "last_use" => (", home", ", (SELECT organization FROM token WHERE id = ?1)"),
        _ => ("", ""),
    };
    run(
        connection,
        &format!(
            "INSERT INTO {table} AS kept
                (token, at, door, address, user_agent, route, secret{home})
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7{whose})
             ON CONFLICT (token) DO UPDATE SET at = excluded.at, door = excluded.door,
                address = excluded.address, user_agent = excluded.user_agent,
                route = excluded.route, secret = excluded.secret
             WHERE excluded.at >= kept.at"
        ),
        params![
            token.as_bytes(),
            last.at.as_millis(),
            last.door,
            last.address.map(|address| address.to_string()),
            last.user_agent,
            last.route,
            last.secret,
        ],
    )
    .map(drop)
}

/// Keeps the route of a last use: of those that come each time that usage is written, which is
/// no count of requests but costs none of them anything.
fn keep_route(connection: &Connection, token: TokenId, last: &LastUse) -> Result<(), Error> {
    let Some(route) = last.route.as_deref() else { return Ok(()) };
    let origin = Origin {
        day: last.at.beginning(Seconds::DAY),
        value: Some(()),
        admitted: 1,
        refused: 0,
        first_at: last.at,
        last_at: last.at,
    };
    keep_origin(connection, token, OriginKind::Route, &origin, Some(route))
}

pub(super) fn counts(
    connection: &Connection,
    filter: &UsageFilter,
    page: Page<UsageKey>,
) -> Result<Vec<StoredCount>, Error> {
    counts_query(filter, page).all(connection, |row| {
        Ok(StoredCount {
            token: TokenId::from_bytes(row.get(0)?),
            api: row.get(1)?,
            hour: time(row, 2)?,
            outcome: row.get(3)?,
            count: number(row, 4)?,
        })
    })
}

/// Either way tokens come in their order, and a page is not all sorted first.
fn counts_query(filter: &UsageFilter, page: Page<UsageKey>) -> Query {
    let of_some = filter.token.is_some() || filter.organization.is_some() || filter.owner.is_some();
    // From the token inwards: whose they are is the token's. Other indexes have them, too,
    // but not in their order.
    let index = match (filter.token, filter.owner, filter.organization) {
        (None, Some(_), _) => "INDEXED BY token_by_owner",
        (None, None, Some(_)) => "INDEXED BY token_by_organization",
        _ => "",
    };
    let mut query = Query::new(&if of_some {
        format!(
            "SELECT token.id, token.api, hour, outcome, count
             FROM token {index} CROSS JOIN usage ON usage.token = token.id"
        )
    } else {
        // From the counts outwards: most tokens may have none.
        "SELECT usage.token, token.api, hour, outcome, count
         FROM usage CROSS JOIN token ON token.id = usage.token"
            .to_owned()
    });
    query.and_if("token.id = ?", filter.token.map(|id| *id.as_bytes()));
    // The sign keeps the database from taking the index of an API's tokens instead.
    query.and_if("+api = ?", filter.api.clone());
    query.and_if("organization = ?", filter.organization.map(|id| *id.as_bytes()));
    query.and_if("owner = ?", filter.owner.map(|id| *id.as_bytes()));
    // The same for the index of hours, and what would have to be sorted.
    let [from, to] = if of_some { ["hour >= ?", "hour < ?"] } else { ["+hour >= ?", "+hour < ?"] };
    query.and_if(from, Some(filter.from.as_millis()));
    query.and_if(to, Some(filter.to.as_millis()));
    if let Some((token, hour, outcome)) = page.after {
        // The second says it all; the first is what an index can be asked for.
        let first = if of_some { "token.id >= ?" } else { "usage.token >= ?" };
        query.and_if(first, Some(*token.as_bytes()));
        query.and("(usage.token, hour, outcome) > (?, ?, ?)");
        query.give(*token.as_bytes());
        query.give(hour.as_millis());
        query.give(outcome);
    }
    let order = if of_some {
        "ORDER BY token.id, hour, outcome"
    } else {
        "ORDER BY usage.token, hour, outcome"
    };
    query.end(order, page.limit);
    query
}

pub(super) fn origins(
    connection: &Connection,
    token: TokenId,
    kind: OriginKind,
    since: Timestamp,
) -> Result<Vec<Origin<String>>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT day, value, admitted, refused, first_at, last_at FROM usage_origin
         WHERE token = ? AND kind = ? AND day >= ? ORDER BY day DESC, last_at DESC, value",
    )?;
    let parameters = params![token.as_bytes(), origin_kind_name(kind), since.as_millis()];
    let rows = statement.query_map(parameters, |row| {
        let value: String = row.get(1)?;
        Ok(Origin {
            day: time(row, 0)?,
            value: Some(value).filter(|value| !value.is_empty()),
            admitted: number(row, 2)?,
            refused: number(row, 3)?,
            first_at: time(row, 4)?,
            last_at: time(row, 5)?,
        })
    })?;
    rows.collect()
}

/// The last use in the columns from `first` on, where there is one.
pub(super) fn last_use(row: &Row<'_>, first: usize) -> Result<Option<LastUse>, Error> {
    let Some(at) = optional_time(row, first)? else { return Ok(None) };
    let address: Option<String> = row.get(first + 2)?;
    let address = address.map(|text| text.parse::<IpAddr>()).transpose();
    Ok(Some(LastUse {
        at,
        door: row.get::<_, String>(first + 1)?.into(),
        address: address.map_err(|_| unreadable(first + 2))?,
        user_agent: row.get(first + 3)?,
        route: row.get(first + 4)?,
        secret: row.get(first + 5)?,
    }))
}

/// Whether there may be more to forget.
pub(super) fn forget(connection: &Connection, end: Timestamp, most: u32) -> Result<bool, Error> {
    let mut more = false;
    for sql in [
        "DELETE FROM usage WHERE (token, hour, outcome) IN (
            SELECT token, hour, outcome FROM usage WHERE hour < ?1 LIMIT ?2)",
        "DELETE FROM usage_origin WHERE (token, kind, day, value) IN (
            SELECT token, kind, day, value FROM usage_origin WHERE day < ?1 LIMIT ?2)",
        "UPDATE last_use SET address = NULL, user_agent = NULL, route = NULL WHERE token IN (
            SELECT token FROM last_use
            WHERE at < ?1 AND coalesce(address, user_agent, route) IS NOT NULL LIMIT ?2)",
        "UPDATE previous_use SET address = NULL, user_agent = NULL, route = NULL WHERE token IN (
            SELECT token FROM previous_use
            WHERE at < ?1 AND coalesce(address, user_agent, route) IS NOT NULL LIMIT ?2)",
    ] {
        more |= run(connection, sql, params![end.as_millis(), most])? >= most as usize;
    }
    Ok(more)
}

fn number(row: &Row<'_>, column: usize) -> Result<u64, Error> {
    row.get::<_, i64>(column).map(i64::unsigned_abs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::migrate;
    use counterfoil_core::id::{AccountId, OrganizationId};

    #[test]
    fn counts_are_found_in_their_order() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        let (now, entropy) = (Timestamp::from_millis(1), [0; 10]);
        let token = TokenId::new(now, entropy);
        let all = UsageFilter {
            token: None,
            api: Some("orders".into()),
            organization: None,
            owner: None,
            from: now,
            to: Timestamp::MAX,
        };
        let organization = Some(OrganizationId::new(now, entropy));
        let owner = Some(AccountId::new(now, entropy));
        for (filter, first, next) in [
            (all.clone(), "SCAN usage", "SEARCH usage USING PRIMARY KEY (token>?)"),
            (
                UsageFilter { organization, ..all.clone() },
                "SEARCH token USING INDEX token_by_organization (organization=?)",
                "SEARCH token USING INDEX token_by_organization (organization=? AND id>?)",
            ),
            (
                UsageFilter { owner, ..all.clone() },
                "SEARCH token USING INDEX token_by_owner (owner=?)",
                "SEARCH token USING INDEX token_by_owner (owner=? AND id>?)",
            ),
        ] {
            for (after, expected) in [(None, first), (Some((token, now, String::new())), next)] {
                let plan = counts_query(&filter, Page { after, limit: 1 }).plan(&connection);
                assert_eq!(plan[0], expected, "{plan:?}");
                assert!(plan[1].starts_with("SEARCH"), "{plan:?}");
                // One token's counts may be sorted, never all that there are.
                assert!(!plan.iter().any(|step| step.ends_with("FOR ORDER BY")), "{plan:?}");
            }
        }
    }
}
