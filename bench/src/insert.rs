//! The loop that issuing is measured beside: the same rows into the same tables, in groups.

use anyhow::{Context as _, Result, bail};
use rusqlite::{Connection, OpenFlags, types::Value};
use std::{path::Path, time::Instant};

/// How many tokens share one commit.
const GROUP: usize = 100;

/// What stands in a database before its tokens do, in the order of their references.
const BEFORE: [&str; 3] = ["organization", "account", "membership"];

/// The tables that issuing one token writes one row to, and what their rows are sorted by.
const WRITTEN: [(&str, &str); 3] =
    [("token", "id"), ("ledger", "number"), ("ledger_detail", "number")];

type Rows = Vec<Vec<Value>>;

/// How many of the last tokens of `database` can be inserted into `new` a second.
pub(crate) fn rate(database: &Path, rows: usize, new: &Path) -> Result<f64> {
    if new.exists() {
        bail!("{} exists", new.display());
    }
    let from = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY)
        .with_context(|| database.display().to_string())?;
    let mut into = Connection::open(new)?;
    prepare(&into)?;
    schema(&from, &into)?;
    for table in BEFORE {
        let insert = insert(&from, table)?;
        for row in last(&from, table, "1", None)? {
            into.execute(&insert, rusqlite::params_from_iter(row))?;
        }
    }
    let mut tables = Vec::new();
    for (table, order) in WRITTEN {
        let found = last(&from, table, order, Some(rows))?;
        if found.len() != rows {
            bail!("{table} has {} rows, and {rows} are wanted", found.len());
        }
        tables.push((insert(&from, table)?, found.into_iter().rev().collect::<Rows>()));
    }

    let start = Instant::now();
    for group in 0..rows / GROUP {
        let transaction = into.transaction()?;
        for at in group * GROUP..(group + 1) * GROUP {
            for (insert, rows) in &tables {
                let mut insert = transaction.prepare_cached(insert)?;
                insert.execute(rusqlite::params_from_iter(&rows[at]))?;
            }
        }
        transaction.commit()?;
    }
    #[expect(clippy::cast_precision_loss, reason = "no database has 2^52 rows")]
    let inserted = (rows / GROUP * GROUP) as f64;
    Ok(inserted / start.elapsed().as_secs_f64())
}

/// As the store prepares its own connection.
fn prepare(connection: &Connection) -> Result<()> {
    connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update_and_check(None, "journal_size_limit", 64 << 20, |_| Ok(()))?;
    Ok(())
}

fn schema(from: &Connection, into: &Connection) -> Result<()> {
    let mut statements = from.prepare(
        "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'
         ORDER BY type = 'table' DESC, rowid",
    )?;
    let statements = statements.query_map([], |row| row.get::<_, String>(0))?;
    for statement in statements {
        into.execute_batch(&statement?)?;
    }
    Ok(())
}

fn insert(from: &Connection, table: &str) -> Result<String> {
    let width = from.prepare(&format!("SELECT * FROM {table} LIMIT 0"))?.column_count();
    Ok(format!("INSERT INTO {table} VALUES ({})", vec!["?"; width].join(", ")))
}

fn last(from: &Connection, table: &str, order: &str, most: Option<usize>) -> Result<Rows> {
    let limit = most.map(|most| format!("LIMIT {most}")).unwrap_or_default();
    let mut select =
        from.prepare(&format!("SELECT * FROM {table} ORDER BY {order} DESC {limit}"))?;
    let width = select.column_count();
    let rows = select.query_map([], |row| (0..width).map(|at| row.get(at)).collect())?;
    Ok(rows.collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_rows_arrive() {
        let directory =
            std::env::temp_dir().join(format!("counterfoil-insert-{}", std::process::id()));
        std::fs::create_dir(&directory).unwrap();
        let (old, new) = (directory.join("old.db"), directory.join("new.db"));
        let from = Connection::open(&old).unwrap();
        for (table, key) in BEFORE.map(|table| (table, "id")).into_iter().chain(WRITTEN) {
            from.execute_batch(&format!(
                "CREATE TABLE {table} ({key} INTEGER PRIMARY KEY, x BLOB)"
            ))
            .unwrap();
            for at in 0..300 {
                from.execute(&format!("INSERT INTO {table} VALUES (?, x'00ff')"), [at]).unwrap();
            }
        }
        assert!(rate(&old, 200, &new).unwrap() > 0.0);
        let into = Connection::open(&new).unwrap();
        let count = |table| {
            let count = format!("SELECT count(*), min(rowid) FROM {table}");
            into.query_row(&count, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
        };
        assert_eq!(count("token"), (200, 100));
        assert_eq!(count("ledger_detail"), (200, 100));
        assert_eq!(count("account"), (300, 0));
        assert!(rate(&old, 200, &new).is_err(), "a database that exists is left alone");
        drop(into);
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
