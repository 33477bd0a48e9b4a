//! Inspecting the ledger against the state.

use super::replay::{Replay, Row, TABLES, compare_definitions, values};
use crate::store::{Inspection, Progress};
use rusqlite::{Connection, Error};
use std::collections::BTreeMap;

const PROGRESS_EVERY: u64 = 5_000;

pub(super) fn inspect(
    connection: &mut Connection,
    progress: &Progress,
) -> Result<Inspection, Error> {
    let snapshot = connection.transaction()?;
    let mut replay = Replay::new()?;
    let expected = definitions(replay.connection())?;
    replay.begin()?;
    follow(&snapshot, &mut replay, progress)?;
    if replay.findings.is_empty() {
        compare_definitions(&definitions(&snapshot)?, &expected, &mut replay.findings);
        for (table, key) in TABLES {
            let mut ours = snapshot.prepare(&format!("SELECT * FROM {table} ORDER BY {key}"))?;
            let mut ours = ours.query([])?;
            replay.compare(table, key, || values(ours.next()?))?;
        }
    }
    Ok(Inspection { head: replay.head, findings: replay.findings })
}

/// Follows the chain as far as it is whole.
fn follow(snapshot: &Connection, replay: &mut Replay, progress: &Progress) -> Result<(), Error> {
    let total = super::write::head(snapshot)?.number;
    let mut statement = snapshot.prepare(
        "SELECT ledger.number, entry, hash, salt, detail, organization, subject, actor FROM ledger
         LEFT JOIN ledger_detail ON ledger_detail.number = ledger.number ORDER BY ledger.number",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (salt, detail): (Option<_>, Option<_>) = (row.get(3)?, row.get(4)?);
        let row = Row {
            number: row.get(0)?,
            entry: row.get(1)?,
            hash: row.get(2)?,
            detail: salt.zip(detail),
            filed: [row.get(5)?, row.get(6)?, row.get(7)?],
        };
        if !replay.follow(&row)? {
            return Ok(());
        }
        if replay.head.number.is_multiple_of(PROGRESS_EVERY) {
            progress(replay.head.number, total);
        }
    }
    progress(replay.head.number, total);
    Ok(())
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
