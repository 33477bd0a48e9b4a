//! What tokens did: kept beside the ledger, for a while, and added to by several nodes at once.
//!
//! Rows are locked in the order of their keys, and tables in that of [`keep`], so that of two
//! nodes one waits for the other and never each for the other.

use super::{
    error::Error,
    query::{Query, all, run},
    read::sought,
    row::{bytes, get, number, time},
};
use crate::{
    store::{
        OriginKind, Page, UsageFilter, UsageKey,
        written::{origin_kind_name, to_sql},
    },
    usage::{LastUse, ORIGINS, Origin, StoredCount, TokenUsage},
};
use counterfoil_core::{Timestamp, id::TokenId, time::Seconds};
use deadpool_postgres::{GenericClient, Transaction};
use tokio_postgres::Row;

pub(super) async fn keep(
    transaction: &Transaction<'_>,
    usage: &[(TokenId, TokenUsage)],
) -> Result<(), Error> {
    let (mut present, mut previous, mut either) =
        (Uses::default(), Uses::default(), Uses::default());
    for (token, usage) in usage {
        if let Some(last) = &usage.last {
            present.add(token, last);
            either.add(token, last);
        }
        if let Some(last) = usage.previous.as_deref() {
            previous.add(token, last);
            either.add(token, last);
        }
    }
    // First, for it locks what the others look at before they write.
    either.tell(transaction, &keep_latest()).await?;
    present.tell(transaction, &keep_replaced()).await?;
    present.tell(transaction, &keep_present()).await?;
    previous.tell(transaction, &keep_previous()).await?;
    keep_counts(transaction, usage).await?;
    keep_origins(transaction, usage).await
}

async fn keep_counts(
    transaction: &Transaction<'_>,
    usage: &[(TokenId, TokenUsage)],
) -> Result<(), Error> {
    let (mut tokens, mut hours, mut outcomes, mut counts) = (vec![], vec![], vec![], vec![]);
    for (token, usage) in usage {
        for count in &usage.counts {
            tokens.push(token.as_bytes().as_slice());
            hours.push(count.hour.as_millis());
            outcomes.push(count.outcome.as_str());
            counts.push(to_sql(count.requests));
        }
    }
    if tokens.is_empty() {
        return Ok(());
    }
    run(
        transaction,
        "INSERT INTO usage AS kept (token, hour, outcome, count)
         SELECT token, hour, outcome, sum(count)::bigint
         FROM unnest($1::bytea[], $2::bigint[], $3::text[], $4::bigint[])
            AS told (token, hour, outcome, count)
         GROUP BY token, hour, outcome ORDER BY token, hour, outcome COLLATE \"C\"
         ON CONFLICT (token, hour, outcome) DO UPDATE SET count = kept.count + excluded.count",
        &[&tokens, &hours, &outcomes, &counts],
    )
    .await
    .map(drop)
}

/// Origins, a column for each of their parts.
#[derive(Default)]
struct Origins<'a> {
    tokens: Vec<&'a [u8]>,
    kinds: Vec<&'static str>,
    days: Vec<i64>,
    values: Vec<String>,
    admitted: Vec<i64>,
    refused: Vec<i64>,
    first_at: Vec<i64>,
    last_at: Vec<i64>,
}

impl<'a> Origins<'a> {
    fn of(usage: &'a [(TokenId, TokenUsage)]) -> Self {
        let mut all = Self::default();
        for (token, usage) in usage {
            for origin in &usage.addresses {
                let value = origin.value.map(|address| address.to_string());
                all.add(token, OriginKind::Address, origin, value);
            }
            for origin in &usage.user_agents {
                all.add(token, OriginKind::UserAgent, origin, origin.value.clone());
            }
            for last in usage.last.iter().chain(usage.previous.as_deref()) {
                all.add_route(token, last);
            }
        }
        all
    }

    fn add<T>(
        &mut self,
        token: &'a TokenId,
        kind: OriginKind,
        origin: &Origin<T>,
        value: Option<String>,
    ) {
        self.tokens.push(token.as_bytes());
        self.kinds.push(origin_kind_name(kind));
        self.days.push(origin.day.as_millis());
        self.values.push(value.unwrap_or_default());
        self.admitted.push(to_sql(origin.admitted));
        self.refused.push(to_sql(origin.refused));
        self.first_at.push(origin.first_at.as_millis());
        self.last_at.push(origin.last_at.as_millis());
    }

    /// The route of a last use: of those that come each time that usage is written, which is
    /// no count of requests but costs none of them anything.
    fn add_route(&mut self, token: &'a TokenId, last: &LastUse) {
        let Some(route) = last.route.clone() else { return };
        let origin = Origin {
            day: last.at.beginning(Seconds::DAY),
            value: Some(()),
            admitted: 1,
            refused: 0,
            first_at: last.at,
            last_at: last.at,
        };
        self.add(token, OriginKind::Route, &origin, Some(route));
    }
}

/// Adds to what is known of origins. Where a day has as many as are told apart, they go to the
/// others. Two nodes that tell of new ones at the same moment may find room for both.
async fn keep_origins(
    transaction: &Transaction<'_>,
    usage: &[(TokenId, TokenUsage)],
) -> Result<(), Error> {
    let told = Origins::of(usage);
    if told.tokens.is_empty() {
        return Ok(());
    }
    run(
        transaction,
        "WITH told AS (
            SELECT token, kind, day, value COLLATE \"C\" AS value,
                sum(admitted)::bigint AS admitted, sum(refused)::bigint AS refused,
                min(first_at) AS first_at, max(last_at) AS last_at, min(place) AS place
            FROM unnest($1::bytea[], $2::text[], $3::bigint[], $4::text[], $5::bigint[],
                    $6::bigint[], $7::bigint[], $8::bigint[]) WITH ORDINALITY
                AS told (token, kind, day, value, admitted, refused, first_at, last_at, place)
            GROUP BY token, kind, day, value
         ), of_some AS (
            SELECT *, value = '' OR EXISTS (SELECT 1 FROM usage_origin AS known
                WHERE (known.token, known.kind, known.day, known.value)
                    = (told.token, told.kind, told.day, told.value)) AS is_known
            FROM told
         ), in_turn AS (
            SELECT *, row_number() OVER (PARTITION BY token, kind, day, is_known ORDER BY place)
                + (SELECT count(*) FROM usage_origin AS known
                    WHERE (known.token, known.kind, known.day)
                        = (of_some.token, of_some.kind, of_some.day)
                    AND known.value <> '') AS turn
            FROM of_some
         ), placed AS (
            SELECT *, CASE WHEN is_known OR turn <= $9 THEN value ELSE '' END AS known_as
            FROM in_turn
         )
         INSERT INTO usage_origin AS kept
            (token, kind, day, value, admitted, refused, first_at, last_at)
         SELECT token, kind, day, known_as, sum(admitted)::bigint, sum(refused)::bigint,
            min(first_at), max(last_at)
         FROM placed GROUP BY token, kind, day, known_as
         ORDER BY token, kind COLLATE \"C\", day, known_as COLLATE \"C\"
         ON CONFLICT (token, kind, day, value) DO UPDATE SET
            admitted = kept.admitted + excluded.admitted,
            refused = kept.refused + excluded.refused,
            first_at = least(kept.first_at, excluded.first_at),
            last_at = greatest(kept.last_at, excluded.last_at)",
        &[
            &told.tokens,
            &told.kinds,
            &told.days,
            &told.values,
            &told.admitted,
            &told.refused,
            &told.first_at,
            &told.last_at,
            &i64::from(ORIGINS),
        ],
    )
    .await
    .map(drop)
}

/// Last uses, a column for each of their parts.
#[derive(Default)]
struct Uses<'a> {
    tokens: Vec<&'a [u8]>,
    at: Vec<i64>,
    doors: Vec<&'a str>,
    addresses: Vec<Option<String>>,
    user_agents: Vec<Option<&'a str>>,
    routes: Vec<Option<&'a str>>,
    secrets: Vec<Option<&'a [u8]>>,
}

impl<'a> Uses<'a> {
    fn add(&mut self, token: &'a TokenId, last: &'a LastUse) {
        self.tokens.push(token.as_bytes());
        self.at.push(last.at.as_millis());
        self.doors.push(&last.door);
        self.addresses.push(last.address.map(|address| address.to_string()));
        self.user_agents.push(last.user_agent.as_deref());
        self.routes.push(last.route.as_deref());
        self.secrets.push(last.secret.as_ref().map(<[u8; 8]>::as_slice));
    }

    /// Has a statement told of them, if there are any.
    async fn tell(&self, transaction: &Transaction<'_>, sql: &str) -> Result<(), Error> {
        if self.tokens.is_empty() {
            return Ok(());
        }
        run(
            transaction,
            sql,
            &[
                &self.tokens,
                &self.at,
                &self.doors,
                &self.addresses,
                &self.user_agents,
                &self.routes,
                &self.secrets,
            ],
        )
        .await
        .map(drop)
    }
}

/// The rows of [`Uses`]: of each token the first, and when the latest was.
const TOLD: &str = "(SELECT DISTINCT ON (token) *, max(at) OVER (PARTITION BY token) AS latest \
     FROM unnest($1::bytea[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], \
        $7::bytea[]) WITH ORDINALITY \
        AS told (token, at, door, address, user_agent, route, secret, place) \
     ORDER BY token, place) AS told";

/// Notes when a token was last used with whichever secret, for lists in that order. Where it
/// was only used with one that was replaced, that is the last use there is.
fn keep_latest() -> String {
    format!(
        "INSERT INTO last_use AS kept (token, at, door, secret, latest, home)
         SELECT token, at, door, secret, latest,
            (SELECT organization FROM token AS used WHERE used.id = told.token)
         FROM {TOLD} ORDER BY token
         ON CONFLICT (token) DO UPDATE SET home = excluded.home,
            latest = greatest(kept.latest, excluded.latest)"
    )
}

/// Moves the last use with a secret that a rotation has replaced to where those stand,
/// before a use with the new one takes its place.
fn keep_replaced() -> String {
    format!(
        "INSERT INTO previous_use AS kept (token, at, door, address, user_agent, route, secret)
         SELECT of.token, of.at, of.door, of.address, of.user_agent, of.route, of.secret
         FROM {TOLD} JOIN last_use AS of ON of.token = told.token
         WHERE of.secret <> told.secret AND of.at <= told.at ORDER BY of.token
         ON CONFLICT (token) DO UPDATE SET at = excluded.at, door = excluded.door,
            address = excluded.address, user_agent = excluded.user_agent,
            route = excluded.route, secret = excluded.secret
         WHERE excluded.at > kept.at OR excluded.secret IS DISTINCT FROM kept.secret"
    )
}

/// There is a row for each: see [`keep_latest`].
fn keep_present() -> String {
    format!(
        "UPDATE last_use AS kept SET at = told.at, door = told.door, address = told.address,
            user_agent = told.user_agent, route = told.route, secret = told.secret
         FROM {TOLD} WHERE kept.token = told.token AND told.at >= kept.at"
    )
}

fn keep_previous() -> String {
    format!(
        "INSERT INTO previous_use AS kept (token, at, door, address, user_agent, route, secret)
         SELECT token, at, door, address, user_agent, route, secret FROM {TOLD} ORDER BY token
         ON CONFLICT (token) DO UPDATE SET at = excluded.at, door = excluded.door,
            address = excluded.address, user_agent = excluded.user_agent,
            route = excluded.route, secret = excluded.secret
         WHERE excluded.at >= kept.at"
    )
}

pub(super) fn counts(filter: &UsageFilter, page: Page<UsageKey>) -> Query {
    let of_some = filter.token.is_some() || filter.organization.is_some() || filter.owner.is_some();
    let (mut condition, mut hours) = ("hour >= ? AND hour < ?".to_owned(), vec![]);
    hours.extend([filter.from.as_millis(), filter.to.as_millis()]);
    if page.after.is_some() {
        condition.push_str(" AND (usage.token, hour, outcome) > (?, ?, ?)");
    }
    let mut query = Query::new(&if of_some {
        // From the token inwards: whose they are is the token's. The limit keeps the database
        // from looking through everybody's.
        format!(
            "SELECT token.id AS token, api, hour, outcome, count FROM token CROSS JOIN LATERAL (
                SELECT hour, outcome, count FROM usage WHERE usage.token = token.id
                AND {condition} ORDER BY hour, outcome LIMIT {}) AS used",
            page.limit
        )
    } else {
        // From the counts outwards: most tokens may have none.
        "SELECT usage.token, api, hour, outcome, count
         FROM usage JOIN token ON token.id = usage.token"
            .to_owned()
    });
    if !of_some {
        query.and(&condition);
    }
    for hour in hours {
        query.give(hour);
    }
    if let Some((token, hour, outcome)) = &page.after {
        query.give(token.as_bytes().to_vec());
        query.give(hour.as_millis());
        query.give(sought(outcome));
    }
    query.and_if("token.id = ?", filter.token.map(|id| id.as_bytes().to_vec()));
    query.and_if("api = ?", filter.api.as_deref().map(sought));
    let owner = filter.owner.map(|id| id.as_bytes().to_vec());
    let organization = filter.organization.map(|id| id.as_bytes().to_vec());
    if owner.is_some() {
        query.and_if("organization = ?", organization.clone());
    }
    // As in `find_tokens`.
    let owner = owner.map(|id| ("owner", id));
    let Some((lead, id)) = owner.or_else(|| organization.map(|id| ("organization", id))) else {
        let first = if of_some { "token.id" } else { "usage.token" };
        query.end(&format!("ORDER BY {first}, hour, outcome"), page.limit);
        return query;
    };
    query.and(&format!("{lead} <= ? AND ({lead}, token.id) >= (?, ?)"));
    query.give(id.clone());
    query.give(id);
    query.give(page.after.map(|(token, ..)| token.as_bytes().to_vec()).unwrap_or_default());
    query.end(&format!("ORDER BY {lead}, token.id, hour, outcome"), page.limit);
    query
}

pub(super) fn count_row(row: &Row) -> Result<StoredCount, Error> {
    Ok(StoredCount {
        token: TokenId::from_bytes(bytes(row, "token")?),
        api: get(row, "api")?,
        hour: time(row, "hour")?,
        outcome: get(row, "outcome")?,
        count: number(row, "count")?,
    })
}

pub(super) async fn origins(
    client: &impl GenericClient,
    token: TokenId,
    kind: OriginKind,
    since: Timestamp,
) -> Result<Vec<Origin<String>>, Error> {
    let sql = "SELECT day, value, admitted, refused, first_at, last_at FROM usage_origin
         WHERE token = $1 AND kind = $2 AND day >= $3 ORDER BY day DESC, last_at DESC, value";
    let kind = origin_kind_name(kind);
    all(client, sql, &[&token.as_bytes().as_slice(), &kind, &since.as_millis()], |row| {
        let value: String = get(row, "value")?;
        Ok(Origin {
            day: time(row, "day")?,
            value: Some(value).filter(|value| !value.is_empty()),
            admitted: number(row, "admitted")?,
            refused: number(row, "refused")?,
            first_at: time(row, "first_at")?,
            last_at: time(row, "last_at")?,
        })
    })
    .await
}

/// Whether there may be more to forget. What a node writes or forgets just now is left to it.
pub(super) async fn forget(
    client: &impl GenericClient,
    end: Timestamp,
    most: u32,
) -> Result<bool, Error> {
    let mut more = false;
    for sql in [
        "WITH old AS MATERIALIZED (
            SELECT token, hour, outcome FROM usage
            WHERE hour < $1 LIMIT $2 FOR UPDATE SKIP LOCKED)
         DELETE FROM usage WHERE (token, hour, outcome) IN (SELECT * FROM old)",
        "WITH old AS MATERIALIZED (
            SELECT token, kind, day, value FROM usage_origin
            WHERE day < $1 LIMIT $2 FOR UPDATE SKIP LOCKED)
         DELETE FROM usage_origin WHERE (token, kind, day, value) IN (SELECT * FROM old)",
        "UPDATE last_use SET address = NULL, user_agent = NULL, route = NULL
         WHERE token = ANY (ARRAY (SELECT token FROM last_use
            WHERE at < $1 AND coalesce(address, user_agent, route) IS NOT NULL
            LIMIT $2 FOR UPDATE SKIP LOCKED))",
        "UPDATE previous_use SET address = NULL, user_agent = NULL, route = NULL
         WHERE token = ANY (ARRAY (SELECT token FROM previous_use
            WHERE at < $1 AND coalesce(address, user_agent, route) IS NOT NULL
            LIMIT $2 FOR UPDATE SKIP LOCKED))",
    ] {
        more |= run(client, sql, &[&end.as_millis(), &i64::from(most)]).await? >= u64::from(most);
    }
    Ok(more)
}
