//! Inspecting the ledger: the chain is recomputed, and replayed into an empty
//! database whose tables must come out equal to ours.

use super::{
    MIGRATIONS,
    change::{ApplyError, apply},
    keep_plans,
};
use crate::store::{Inspection, Progress, written::to_sql};
use counterfoil_core::{
    id::AccountId,
    ledger::{self, EntryHash, Head},
};
use rusqlite::{Connection, Error, types::Value};
use std::collections::{BTreeMap, BTreeSet};

/// The tables that are a function of the ledger, with the columns that order them.
const TABLES: [(&str, &str); 6] = [
    ("organization", "id"),
    ("account", "id"),
    ("membership", "organization, account"),
    ("invitation", "id"),
    ("token", "id"),
    ("replaced_digest", "digest"),
];
/// How many findings are worth reading.
const FINDINGS: usize = 20;
const PROGRESS_EVERY: u64 = 5_000;
/// How much of the replay is held in memory, in KiB.
const CACHE: i32 = 128 << 10;

pub(super) fn inspect(
    connection: &mut Connection,
    progress: &Progress,
) -> Result<Inspection, Error> {
    let snapshot = connection.transaction()?;
    let mut replay = replay()?;
    let expected = definitions(&replay)?;
    let replayed = replay.transaction()?;
    drop_indexes(&replayed)?;

    let mut findings = Vec::new();
    let head = follow(&snapshot, &replayed, progress, &mut findings)?;
    if findings.is_empty() {
        compare_definitions(&definitions(&snapshot)?, &expected, &mut findings);
        for (table, key) in TABLES {
            compare(&snapshot, &replayed, table, key, &mut findings)?;
        }
    }
    Ok(Inspection { head, findings })
}

/// An empty database that nobody else sees and nobody keeps.
fn replay() -> Result<Connection, Error> {
    // No name: a private file that SQLite deletes, so that memory stays bounded.
    let replay = Connection::open("")?;
    keep_plans(&replay)?;
    // Whatever goes wrong ends all of it: there is nothing to go back to.
    replay.pragma_update_and_check(None, "journal_mode", "off", |_| Ok(()))?;
    replay.pragma_update(None, "synchronous", "off")?;
    replay.pragma_update(None, "cache_size", -CACHE)?;
    for step in MIGRATIONS {
        replay.execute_batch(step)?;
    }
    Ok(replay)
}

/// No change is made by these, and nothing is compared by them; but those that a table
/// comes with keep what is unique so.
fn drop_indexes(replayed: &Connection) -> Result<(), Error> {
    let names = {
        let mut statement = replayed.prepare(
            "SELECT name FROM sqlite_schema WHERE type = 'index' AND sql LIKE 'CREATE INDEX %'",
        )?;
        let rows = statement.query_map([], |row| row.get(0))?;
        rows.collect::<Result<Vec<String>, Error>>()?
    };
    names.iter().try_for_each(|name| replayed.execute_batch(&format!("DROP INDEX {name}")))
}

/// Follows the chain as far as it is whole, making each change in `replayed`.
fn follow(
    snapshot: &Connection,
    replayed: &Connection,
    progress: &Progress,
    findings: &mut Vec<String>,
) -> Result<Head, Error> {
    let total = super::write::head(snapshot)?.number;
    let mut head = Head::EMPTY;
    let mut statement = snapshot.prepare(
        "SELECT ledger.number, entry, hash, salt, detail, organization, subject, actor FROM ledger
         LEFT JOIN ledger_detail ON ledger_detail.number = ledger.number ORDER BY ledger.number",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let number: i64 = row.get(0)?;
        if number != to_sql(head.number + 1) {
            findings.push(format!("entry {} is missing", head.number + 1));
            return Ok(head);
        }
        let bytes = |column| row.get::<_, Option<Vec<u8>>>(column);
        let (salt, detail) = (bytes(3)?, bytes(4)?);
        let entry: Vec<u8> = row.get(1)?;
        let hash: Vec<u8> = row.get(2)?;
        let detail = salt.as_deref().zip(detail.as_deref());
        let (next, entry, change) = match ledger::check(head, &entry, &hash, detail) {
            Ok(checked) => checked,
            Err(broken) => {
                findings.push(format!("entry {number}: {broken}"));
                return Ok(head);
            }
        };
        let Some(change) = change else {
            findings.push(format!("entry {number}: its detail is missing"));
            return Ok(head);
        };
        let filed = (row.get(5)?, row.get(6)?, row.get(7)?);
        let belongs = (
            entry.organization.map(|id| *id.as_bytes()),
            Some(*entry.subject.id()),
            entry.actor.token().map(|id| *id.as_bytes()),
        );
        if filed != belongs {
            findings.push(format!("entry {number}: it is not filed where it belongs"));
            return Ok(head);
        }
        match apply(replayed, entry.at, entry.actor, &change) {
            Ok(()) => head = next,
            Err(ApplyError::Conflict) => {
                findings.push(format!("entry {number}: it cannot follow the entries before it"));
                return Ok(head);
            }
            Err(ApplyError::Sqlite(error)) => return Err(error),
        }
        if head.number.is_multiple_of(PROGRESS_EVERY) {
            progress(head.number, total);
        }
    }
    progress(head.number, total);
    Ok(head)
}

/// What there is in a database, by kind and name.
fn definitions(connection: &Connection) -> Result<BTreeMap<String, String>, Error> {
    let mut statement = connection.prepare(
        "SELECT type || ' ' || name, coalesce(sql, '') FROM sqlite_schema
         WHERE name NOT LIKE 'sqlite_stat%'",
    )?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

/// A trigger or a view could make the database say something else later.
fn compare_definitions(
    ours: &BTreeMap<String, String>,
    expected: &BTreeMap<String, String>,
    findings: &mut Vec<String>,
) {
    for name in ours.keys().chain(expected.keys()).collect::<BTreeSet<_>>() {
        if ours.get(name) != expected.get(name) {
            findings.push(format!("{name}: its definition is not the one that Counterfoil makes"));
        }
    }
}

/// Walks one table of both databases side by side.
fn compare(
    ours: &Connection,
    replayed: &Connection,
    table: &str,
    key: &str,
    findings: &mut Vec<String>,
) -> Result<(), Error> {
    let sql = format!("SELECT * FROM {table} ORDER BY {key}");
    let (mut ours, mut theirs) = (ours.prepare(&sql)?, replayed.prepare(&sql)?);
    let columns: Vec<String> = ours.column_names().map(str::to_owned).collect();
    let keys = key.split(", ").count();
    let (mut ours, mut theirs) = (ours.query([])?, theirs.query([])?);
    let (mut left, mut right) = (values(ours.next()?)?, values(theirs.next()?)?);
    while findings.len() < FINDINGS {
        let order = match (&left, &right) {
            (None, None) => break,
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some(left), Some(right)) => row_key(left, keys).cmp(&row_key(right, keys)),
        };
        if order.is_lt() {
            findings.push(format!(
                "{table} {}: it is in the database but not in the ledger",
                name(left.as_deref(), keys)
            ));
        } else if order.is_gt() {
            findings.push(format!(
                "{table} {}: it is in the ledger but not in the database",
                name(right.as_deref(), keys)
            ));
        } else if left != right {
            let differing: Vec<&str> = columns
                .iter()
                .zip(left.iter().flatten().zip(right.iter().flatten()))
                .filter(|(_, (left, right))| left != right)
                .map(|(column, _)| column.as_str())
                .collect();
            findings.push(format!(
                "{table} {}: {} is not what the ledger says",
                name(left.as_deref(), keys),
                differing.join(", ")
            ));
        }
        if order.is_le() {
            left = values(ours.next()?)?;
        }
        if order.is_ge() {
            right = values(theirs.next()?)?;
        }
    }
    Ok(())
}

fn values(row: Option<&rusqlite::Row<'_>>) -> Result<Option<Vec<Value>>, Error> {
    let Some(row) = row else { return Ok(None) };
    (0..row.as_ref().column_count())
        .map(|column| row.get(column))
        .collect::<Result<_, _>>()
        .map(Some)
}

/// The key's bytes; every key is made of ids, or is a digest.
fn row_key(row: &[Value], keys: usize) -> Vec<&[u8]> {
    row.iter()
        .take(keys)
        .map(|value| match value {
            Value::Blob(bytes) => bytes.as_slice(),
            _ => &[],
        })
        .collect()
}

fn name(row: Option<&[Value]>, keys: usize) -> String {
    let ids: Vec<String> = row_key(row.unwrap_or_default(), keys)
        .into_iter()
        .map(|bytes| match (bytes.try_into(), bytes.try_into()) {
            (Ok(id), _) => AccountId::from_bytes(id).to_string(),
            // As a chain's hashes are written.
            (_, Ok(digest)) => EntryHash(digest).to_string(),
            _ => "with a key that is no id".to_owned(),
        })
        .collect();
    ids.join(" / ")
}
