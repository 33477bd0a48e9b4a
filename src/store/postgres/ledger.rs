//! Reading the ledger, and filing its entries.

use super::{
    error::Error,
    query::one,
    row::{bytes, get, number},
};
use crate::store::{EntryFilter, Link, Order, StoredEntry, written::to_sql};
use counterfoil_core::ledger::{self, Draft, EntryHash, Head, Unfit};
use deadpool_postgres::GenericClient;
use tokio_postgres::{Row, types::ToSql};

/// Locks the head, which nobody else can move then, and tells it.
pub(super) const LOCK_HEAD: &str = "SELECT number, hash FROM head WHERE id = 1 FOR UPDATE";

/// Appends entries behind a head that is locked: they are numbered and chained where the head
/// is, so that nobody waits for whoever sends them. A digest is bytes here and hexadecimal digits
/// in other databases; written as text, it is those digits in all of them, but for what they
/// begin with.
pub(super) const APPEND: &str = "
    WITH RECURSIVE chain (place, number, entry, hash) AS (
        SELECT 0, number, ''::bytea, hash FROM head WHERE id = 1
        UNION ALL
        SELECT place + 1, chain.number + 1, next.entry, 
            decode(ltrim(sha256(chain.hash || next.entry)::text, '\\x'), 'hex')
        FROM chain CROSS JOIN LATERAL (
            SELECT ($1::bytea[])[place + 1] || convert_to((chain.number + 1)::text, 'UTF8')
                || ($2::bytea[])[place + 1] AS entry) AS next
        WHERE place < cardinality($1)
    ),
    given AS (
        SELECT * FROM unnest($3::bytea[], $4::bytea[], $5::bytea[], $6::bytea[], $7::bytea[])
            WITH ORDINALITY AS columns (salt, detail, organization, subject, actor, place)
    ),
    appended AS (
        INSERT INTO ledger (number, entry, hash, organization, subject, actor)
        SELECT number, entry, hash, organization, subject, actor
        FROM chain JOIN given USING (place)
    ),
    detailed AS (
        INSERT INTO ledger_detail (number, salt, detail)
        SELECT number, salt, detail FROM chain JOIN given USING (place)
    )
    UPDATE head SET number = last.number, hash = last.hash
    FROM (SELECT number, hash FROM chain ORDER BY place DESC LIMIT 1) AS last
    WHERE id = 1 RETURNING head.number, head.hash";

const ENTRY: &str = "SELECT entry, detail FROM ledger
     LEFT JOIN ledger_detail ON ledger_detail.number = ledger.number";

/// Entries about accounts of an organization, but for what is theirs alone.
macro_rules! about_its_accounts {
    ($organization:literal) => {
        concat!(
            "organization IS NULL AND convert_from(entry, 'UTF8')::json ->> 'kind' NOT IN
                ('password_set', 'second_factor_set', 'second_factor_removed')
             AND subject IN (
                SELECT account FROM membership JOIN account ON account.id = membership.account
                WHERE membership.organization = ",
            $organization,
            " AND (ended_at IS NULL OR account.kind = 'service'))"
        )
    };
}

/// An entry that is still to be numbered, and where it is filed.
pub(super) struct Filed {
    draft: Draft,
    organization: Option<[u8; 16]>,
    subject: [u8; 16],
    actor: Option<[u8; 16]>,
}

/// What the ledger will say of an order.
pub(super) fn filed(order: &Order) -> Result<Vec<Filed>, Unfit> {
    let file = |(change, salt): &(_, _)| {
        let change: &ledger::Change = change;
        Ok(Filed {
            draft: ledger::draft(order.at, order.actor, change, *salt)?,
            organization: change.organization().map(|id| *id.as_bytes()),
            subject: *change.subject().id(),
            actor: order.actor.token().map(|id| *id.as_bytes()),
        })
    };
    order.changes.iter().map(file).collect()
}

/// The head behind these entries.
pub(super) fn follow(head: Head, entries: &[Filed]) -> Head {
    entries.iter().fold(head, |head, filed| filed.draft.clone().behind(head).head)
}

/// What [`APPEND`] is given.
pub(super) fn columns(entries: &[&Filed]) -> Vec<Box<dyn ToSql + Send + Sync>> {
    fn column<T: ToSql + Send + Sync + 'static>(
        entries: &[&Filed],
        value: impl Fn(&Filed) -> T,
    ) -> Box<dyn ToSql + Send + Sync> {
        Box::new(entries.iter().map(|filed| value(filed)).collect::<Vec<T>>())
    }
    vec![
        column(entries, |filed| filed.draft.before.clone()),
        column(entries, |filed| filed.draft.after.clone()),
        column(entries, |filed| filed.draft.salt.to_vec()),
        column(entries, |filed| filed.draft.detail.clone()),
        column(entries, |filed| filed.organization.map(|id| id.to_vec())),
        column(entries, |filed| filed.subject.to_vec()),
        column(entries, |filed| filed.actor.map(|id| id.to_vec())),
    ]
}

/// The head behind which this entry stands, if it is one of those behind number `known`.
pub(super) async fn head_before(
    client: &impl GenericClient,
    entry: &Filed,
    known: u64,
) -> Result<Option<Head>, Error> {
    let sql = "SELECT number - 1 AS number, (
            SELECT hash FROM ledger WHERE ledger.number = ledger_detail.number - 1) AS hash
         FROM ledger_detail WHERE number > $1 AND salt = $2 AND detail = $3
         ORDER BY number DESC LIMIT 1";
    let Draft { salt, detail, .. } = &entry.draft;
    one(client, sql, &[&to_sql(known), &salt.as_slice(), detail], |row| {
        let hash = super::row::optional_bytes(row, "hash")?;
        Ok(Head { number: number(row, "number")?, hash: hash.map_or(Head::EMPTY.hash, EntryHash) })
    })
    .await
}

/// The last entry's number and hash.
pub(super) async fn head(client: &impl GenericClient) -> Result<Head, Error> {
    let found = one(client, "SELECT number, hash FROM head WHERE id = 1", &[], head_row).await?;
    found.ok_or(Error::Unreadable("head"))
}

pub(super) fn head_row(row: &Row) -> Result<Head, Error> {
    Ok(Head { number: number(row, "number")?, hash: EntryHash(bytes(row, "hash")?) })
}

/// Which way a list goes from the entry where it begins.
#[derive(Clone, Copy)]
pub(super) enum Direction {
    /// To what came after it.
    Onwards,
    /// To what came before it, the latest first.
    Backwards,
}

pub(super) async fn entries(
    client: &impl GenericClient,
    filter: EntryFilter,
    direction: Direction,
    from: u64,
    limit: u32,
) -> Result<Vec<StoredEntry>, Error> {
    let sql = sql(filter, direction);
    let EntryFilter { organization, subject, actor } = filter;
    let (from, limit) = (to_sql(from), i64::from(limit));
    let organization = organization.map(|id| id.as_bytes().to_vec());
    let subject = subject.map(|id| id.to_vec());
    let actor = actor.map(|id| id.as_bytes().to_vec());
    let statement = client.prepare_cached(&sql).await?;
    let given: [&(dyn ToSql + Sync); 5] = [&from, &limit, &organization, &subject, &actor];
    client.query(&statement, &given).await?.iter().map(entry_row).collect()
}

/// $1 is where to begin, $2 how many, then the organization, the subject and the actor.
fn sql(filter: EntryFilter, direction: Direction) -> String {
    let (beyond, order) = match direction {
        Direction::Onwards => ("number > $1", "number"),
        Direction::Backwards => ("number < $1", "number DESC"),
    };
    let EntryFilter { organization, subject, actor } = filter;
    // Each parameter is mentioned once, whatever it says, so that it has a type.
    let typed = "$3::bytea IS NOT DISTINCT FROM $3 AND $4::bytea IS NOT DISTINCT FROM $4
         AND $5::bytea IS NOT DISTINCT FROM $5";
    // What is rare leads: there is little about one subject, and by one token.
    let condition = if organization.is_some() && subject.is_none() && actor.is_none() {
        // The first list is in an index as it is wanted; the second is sorted, and has what
        // became of accounts, which is little beside what becomes of tokens.
        let part = |whose: &str| {
            format!(
                "SELECT number FROM (SELECT number FROM ledger WHERE {whose} AND {beyond}
                    ORDER BY {order} LIMIT $2) AS part"
            )
        };
        let own = part("organization = $3");
        let about_accounts = part(about_its_accounts!("$3"));
        format!("ledger.number IN ({own} UNION ALL {about_accounts})")
    } else {
        let mut condition = format!("ledger.{beyond}");
        condition.push_str(subject.map_or("", |_| " AND subject = $4"));
        condition.push_str(actor.map_or("", |_| " AND actor = $5"));
        condition.push_str(organization.map_or("", |_| {
            concat!(" AND (organization = $3 OR (", about_its_accounts!("$3"), "))")
        }));
        condition
    };
    format!("{ENTRY} WHERE {condition} AND {typed} ORDER BY ledger.{order} LIMIT $2")
}

/// The chain alone: a copy can be made of what cannot be read, too.
pub(super) async fn chain(
    client: &impl GenericClient,
    after: u64,
    limit: u32,
) -> Result<Vec<Link>, Error> {
    let sql = "SELECT number, entry, hash FROM ledger WHERE number > $1 ORDER BY number LIMIT $2";
    let statement = client.prepare_cached(sql).await?;
    let rows = client.query(&statement, &[&to_sql(after), &i64::from(limit)]).await?;
    let link = |row: &Row| {
        let hash = EntryHash(bytes(row, "hash")?);
        Ok(Link { number: number(row, "number")?, entry: get(row, "entry")?, hash })
    };
    rows.iter().map(link).collect()
}

fn entry_row(row: &Row) -> Result<StoredEntry, Error> {
    let entry = serde_json::from_slice(get(row, "entry")?);
    let change = get::<Option<&[u8]>>(row, "detail")?.map(serde_json::from_slice).transpose();
    Ok(StoredEntry {
        entry: entry.map_err(|_| Error::Unreadable("ledger.entry"))?,
        change: change.map_err(|_| Error::Unreadable("ledger_detail.detail"))?,
    })
}
