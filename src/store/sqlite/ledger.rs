//! Reading the ledger, and filing its entries.

use super::change::run;
use crate::store::{EntryFilter, Link, StoredEntry, written::to_sql};
use counterfoil_core::ledger::{Actor, Change, Entry, EntryHash, Stored};
use rusqlite::{Connection, Error, Row, named_params, params, types::Type};

const ENTRY: &str = "SELECT entry, detail FROM ledger
     LEFT JOIN ledger_detail ON ledger_detail.number = ledger.number";

/// Entries about accounts of an organization, but for what is theirs alone.
macro_rules! about_its_accounts {
    () => {
        "organization IS NULL AND CAST(entry AS TEXT) ->> '$.kind' NOT IN
            ('password_set', 'second_factor_set', 'second_factor_removed')
         AND subject IN (
            SELECT account FROM membership JOIN account ON account.id = membership.account
            WHERE membership.organization = :organization
            AND (ended_at IS NULL OR account.kind = 'service'))"
    };
}

/// Which way a list goes from the entry where it begins.
#[derive(Clone, Copy)]
enum Direction {
    /// To what came after it.
    Onwards,
    /// To what came before it, the latest first.
    Backwards,
}

/// Those of them that something else has found already.
const AND_OF_AN_ORGANIZATION: &str =
    concat!(" AND (organization = :organization OR (", about_its_accounts!(), "))");

pub(super) fn append(
    connection: &Connection,
    actor: Actor,
    change: &Change,
    stored: &Stored,
) -> Result<(), Error> {
    let number = to_sql(stored.head.number);
    run(
        connection,
        "INSERT INTO ledger (number, entry, hash, organization, subject, actor)
         VALUES (?, ?, ?, ?, ?, ?)",
        params![
            number,
            stored.entry,
            stored.head.hash.0,
            change.organization().map(|id| *id.as_bytes()),
            change.subject().id(),
            actor.token().map(|id| *id.as_bytes()),
        ],
    )?;
    run(
        connection,
        "INSERT INTO ledger_detail (number, salt, detail) VALUES (?, ?, ?)",
        params![number, stored.salt, stored.detail],
    )
    .map(drop)
}

pub(super) fn entries(
    connection: &Connection,
    filter: EntryFilter,
    after: u64,
    limit: u32,
) -> Result<Vec<StoredEntry>, Error> {
    list(connection, filter, Direction::Onwards, after, limit)
}

pub(super) fn entries_before(
    connection: &Connection,
    filter: EntryFilter,
    before: u64,
    limit: u32,
) -> Result<Vec<StoredEntry>, Error> {
    list(connection, filter, Direction::Backwards, before, limit)
}

fn list(
    connection: &Connection,
    filter: EntryFilter,
    direction: Direction,
    from: u64,
    limit: u32,
) -> Result<Vec<StoredEntry>, Error> {
    let EntryFilter { organization, subject, actor } = filter;
    let sql = sql(filter, direction);
    let from = to_sql(from);
    let organization = organization.map(|id| *id.as_bytes());
    let actor = actor.map(|id| *id.as_bytes());
    let mut parameters = named_params! { ":from": from, ":limit": limit }.to_vec();
    if organization.is_some() {
        parameters.push((":organization", &organization));
    }
    if subject.is_some() {
        parameters.push((":subject", &subject));
    }
    if actor.is_some() {
        parameters.push((":actor", &actor));
    }
    connection.prepare_cached(&sql)?.query_map(&*parameters, entry_row)?.collect()
}

fn sql(filter: EntryFilter, direction: Direction) -> String {
    let (beyond, order) = match direction {
        Direction::Onwards => ("number > :from", "number"),
        Direction::Backwards => ("number < :from", "number DESC"),
    };
    let EntryFilter { organization, subject, actor } = filter;
    // What is rare leads: there is little about one subject, and by one token.
    let condition = if organization.is_some() && subject.is_none() && actor.is_none() {
        // The first list is in an index as it is wanted; the second is sorted, and has what
        // became of accounts, which is little beside what becomes of tokens.
        let part = |whose: &str| {
            format!(
                "SELECT number FROM (SELECT number FROM ledger WHERE {whose} AND {beyond}
                    ORDER BY {order} LIMIT :limit)"
            )
        };
        let own = part("organization = :organization");
        let about_accounts = part(about_its_accounts!());
        format!("ledger.number IN ({own} UNION ALL {about_accounts})")
    } else {
        let mut condition = format!("ledger.{beyond}");
        condition.push_str(subject.map_or("", |_| " AND subject = :subject"));
        condition.push_str(actor.map_or("", |_| " AND actor = :actor"));
        condition.push_str(organization.map_or("", |_| AND_OF_AN_ORGANIZATION));
        condition
    };
    format!("{ENTRY} WHERE {condition} ORDER BY ledger.{order} LIMIT :limit")
}

/// The chain alone: a copy can be made of what cannot be read, too.
pub(super) fn chain(connection: &Connection, after: u64, limit: u32) -> Result<Vec<Link>, Error> {
    connection
        .prepare_cached(
            "SELECT number, entry, hash FROM ledger WHERE number > ? ORDER BY number LIMIT ?",
        )?
        .query_map(params![to_sql(after), limit], |row| {
            let number: i64 = row.get(0)?;
            Ok(Link {
                number: number.unsigned_abs(),
                entry: row.get(1)?,
                hash: EntryHash(row.get(2)?),
            })
        })?
        .collect()
}

fn entry_row(row: &Row<'_>) -> Result<StoredEntry, Error> {
    let entry: Vec<u8> = row.get(0)?;
    let detail: Option<Vec<u8>> = row.get(1)?;
    Ok(StoredEntry {
        entry: json::<Entry>(0, &entry)?,
        change: detail.map(|detail| json(1, &detail)).transpose()?,
    })
}

fn json<T: serde::de::DeserializeOwned>(column: usize, bytes: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(bytes)
        .map_err(|error| Error::FromSqlConversionFailure(column, Type::Blob, Box::new(error)))
}
