//! A ledger, replayed: the chain is recomputed, and made anew in an empty database whose tables
//! must come out equal to those that it is said to be the ledger of, wherever they are.

use super::{
    MIGRATIONS,
    change::{ApplyError, apply},
    keep_plans,
};
use crate::store::written::to_sql;
use counterfoil_core::{
    id::AccountId,
    ledger::{self, EntryHash, Head},
};
use rusqlite::{Connection, Error, types::Value};
use std::collections::{BTreeMap, BTreeSet};

/// The tables that are a function of the ledger, with the columns that order them.
pub(in crate::store) const TABLES: [(&str, &str); 6] = [
    ("organization", "id"),
    ("account", "id"),
    ("membership", "organization, account"),
    ("invitation", "id"),
    ("token", "id"),
    ("replaced_digest", "digest"),
];
/// How many findings are worth reading.
const FINDINGS: usize = 20;
/// How much of the replay is held in memory, in KiB.
const CACHE: i32 = 128 << 10;

/// An entry as it is stored, with what is beside it.
pub(in crate::store) struct Row {
    pub(in crate::store) number: i64,
    pub(in crate::store) entry: Vec<u8>,
    pub(in crate::store) hash: Vec<u8>,
    /// Salt and detail.
    pub(in crate::store) detail: Option<(Vec<u8>, Vec<u8>)>,
    /// Under which organization, subject and actor it is filed.
    pub(in crate::store) filed: [Option<Vec<u8>>; 3],
}

/// How far a ledger has been followed.
pub(in crate::store) struct Replay {
    connection: Connection,
    pub(in crate::store) head: Head,
    /// What is wrong.
    pub(in crate::store) findings: Vec<String>,
}

impl Replay {
    /// An empty database that nobody else sees and nobody keeps.
    pub(in crate::store) fn new() -> Result<Self, Error> {
        // No name: a private file that SQLite deletes, so that memory stays bounded.
        let connection = Connection::open("")?;
        keep_plans(&connection)?;
        // Whatever goes wrong ends all of it: there is nothing to go back to.
        connection.pragma_update_and_check(None, "journal_mode", "off", |_| Ok(()))?;
        connection.pragma_update(None, "synchronous", "off")?;
        connection.pragma_update(None, "cache_size", -CACHE)?;
        for step in MIGRATIONS {
            connection.execute_batch(step)?;
        }
        Ok(Self { connection, head: Head::EMPTY, findings: Vec::new() })
    }

    /// The database, as it is before anything has been followed.
    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Makes it ready for entries.
    pub(in crate::store) fn begin(&self) -> Result<(), Error> {
        drop_indexes(&self.connection)?;
        self.connection.execute_batch("BEGIN")
    }

    /// Makes the next entry's change; whether the chain can be followed so far.
    pub(in crate::store) fn follow(&mut self, row: &Row) -> Result<bool, Error> {
        let found = self.wrong(row)?;
        let is_whole = found.is_none();
        self.findings.extend(found);
        Ok(is_whole)
    }

    fn wrong(&mut self, row: &Row) -> Result<Option<String>, Error> {
        let expected = self.head.number + 1;
        if row.number != to_sql(expected) {
            return Ok(Some(format!("entry {expected} is missing")));
        }
        let detail = row.detail.as_ref().map(|(salt, detail)| (&**salt, &**detail));
        let (next, entry, change) = match ledger::check(self.head, &row.entry, &row.hash, detail) {
            Ok(checked) => checked,
            Err(broken) => return Ok(Some(format!("entry {expected}: {broken}"))),
        };
        let Some(change) = change else {
            return Ok(Some(format!("entry {expected}: its detail is missing")));
        };
        let belongs = [
            entry.organization.map(|id| id.as_bytes().to_vec()),
            Some(entry.subject.id().to_vec()),
            entry.actor.token().map(|id| id.as_bytes().to_vec()),
        ];
        if row.filed != belongs {
            return Ok(Some(format!("entry {expected}: it is not filed where it belongs")));
        }
        match apply(&self.connection, entry.at, entry.actor, &change) {
            Ok(()) => {
                self.head = next;
                Ok(None)
            }
            Err(ApplyError::Conflict) => {
                Ok(Some(format!("entry {expected}: it cannot follow the entries before it")))
            }
            Err(ApplyError::Sqlite(error)) => Err(error),
        }
    }

    /// What a table's columns are called.
    pub(in crate::store) fn columns(&self, table: &str) -> Result<Vec<String>, Error> {
        let statement = self.connection.prepare(&format!("SELECT * FROM {table}"))?;
        Ok(statement.column_names().map(str::to_owned).collect())
    }

    /// Walks a table beside the one that was replayed. `next` gives the other's rows, in the
    /// order of the key.
    pub(in crate::store) fn compare<E: From<Error>>(
        &mut self,
        table: &str,
        key: &str,
        mut next: impl FnMut() -> Result<Option<Vec<Value>>, E>,
    ) -> Result<(), E> {
        let columns = self.columns(table)?;
        let keys = key.split(", ").count();
        let sql = format!("SELECT * FROM {table} ORDER BY {key}");
        let mut statement = self.connection.prepare(&sql)?;
        let mut theirs = statement.query([])?;
        let (mut left, mut right) = (next()?, values(theirs.next()?)?);
        while self.findings.len() < FINDINGS {
            let order = match (&left, &right) {
                (None, None) => break,
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (Some(left), Some(right)) => row_key(left, keys).cmp(&row_key(right, keys)),
            };
            if order.is_lt() {
                self.findings.push(format!(
                    "{table} {}: it is in the database but not in the ledger",
                    name(left.as_deref(), keys)
                ));
            } else if order.is_gt() {
                self.findings.push(format!(
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
                self.findings.push(format!(
                    "{table} {}: {} is not what the ledger says",
                    name(left.as_deref(), keys),
                    differing.join(", ")
                ));
            }
            if order.is_le() {
                left = next()?;
            }
            if order.is_ge() {
                right = values(theirs.next()?)?;
            }
        }
        Ok(())
    }
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

/// A row's values, in the order of its columns.
pub(super) fn values(row: Option<&rusqlite::Row<'_>>) -> Result<Option<Vec<Value>>, Error> {
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

/// What is told of definitions that differ: a trigger or a view could make the database say
/// something else later.
pub(in crate::store) fn compare_definitions(
    ours: &BTreeMap<String, String>,
    expected: &BTreeMap<String, String>,
    findings: &mut Vec<String>,
) {
    let names: BTreeSet<_> = ours.keys().chain(expected.keys()).collect();
    for name in names {
        if ours.get(name) != expected.get(name) {
            findings.push(format!("{name}: its definition is not the one that Counterfoil makes"));
        }
    }
}
