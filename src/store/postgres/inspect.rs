//! Inspecting the ledger against the state, all of it from one snapshot.
//!
//! The replay is SQLite's, in a file of its own: what another implementation makes of the same
//! changes has to come out equal.

use super::{
    definitions,
    error::Error,
    ledger,
    snapshot::{Rows, at, snapshot},
};
use crate::store::{
    Inspection, Progress,
    sqlite::replay::{Replay, Row, TABLES, compare_definitions},
};
use deadpool_postgres::{Client, Transaction};
use rusqlite::types::Value;
use tokio::{sync::mpsc, task::spawn_blocking};
use tokio_postgres::types::Type;

/// How many rows are handed over at a time, and how many times that may wait.
const BATCH: usize = 512;
const AHEAD: usize = 8;

const LEDGER: &str = "SELECT ledger.number, entry, hash, salt, detail, organization, subject, actor
     FROM ledger LEFT JOIN ledger_detail ON ledger_detail.number = ledger.number
     ORDER BY ledger.number";

pub(super) async fn inspect(client: &mut Client, progress: Progress) -> Result<Inspection, Error> {
    let expected = definitions::expected(client).await?;
    let snapshot = snapshot(client).await?;
    let head = ledger::head(&snapshot).await?;
    let mut replay = follow(&snapshot, head.number, progress).await?;
    if replay.findings.is_empty() && replay.head != head {
        replay.findings.push("the head is not that of the chain's last entry".into());
    }
    if replay.findings.is_empty() {
        let ours = definitions::of(&snapshot).await?;
        compare_definitions(&ours, &expected, &mut replay.findings);
        for (table, key) in TABLES {
            replay = compare(&snapshot, replay, table, key).await?;
        }
    }
    snapshot.commit().await?;
    Ok(Inspection { head: replay.head, findings: replay.findings })
}

/// Follows the chain as far as it is whole.
async fn follow(
    snapshot: &Transaction<'_>,
    total: u64,
    progress: Progress,
) -> Result<Replay, Error> {
    let (batches, mut read) = mpsc::channel::<Vec<Row>>(AHEAD);
    let following = spawn_blocking(move || {
        let mut replay = Replay::new()?;
        replay.begin()?;
        while let Some(batch) = read.blocking_recv() {
            for row in &batch {
                if !replay.follow(row)? {
                    return Ok(replay);
                }
            }
            progress(replay.head.number, total);
        }
        progress(replay.head.number, total);
        Ok::<_, Error>(replay)
    });
    let entry = |row: &tokio_postgres::Row| {
        let (salt, detail): (Option<Vec<u8>>, Option<Vec<u8>>) = (at(row, 3)?, at(row, 4)?);
        Ok(Row {
            number: at(row, 0)?,
            entry: at(row, 1)?,
            hash: at(row, 2)?,
            detail: salt.zip(detail),
            filed: [at(row, 5)?, at(row, 6)?, at(row, 7)?],
        })
    };
    send(Rows::of(snapshot, LEDGER).await?, &batches, entry).await?;
    drop(batches);
    joined(following).await
}

/// Walks one table of both databases side by side.
async fn compare(
    snapshot: &Transaction<'_>,
    mut replay: Replay,
    table: &'static str,
    key: &'static str,
) -> Result<Replay, Error> {
    let columns = replay.columns(table)?.join(", ");
    let (batches, mut read) = mpsc::channel::<Vec<Vec<Value>>>(AHEAD);
    let comparing = spawn_blocking(move || {
        let mut batch = Vec::new().into_iter();
        replay.compare(table, key, || {
            loop {
                if let Some(row) = batch.next() {
                    return Ok::<_, Error>(Some(row));
                }
                match read.blocking_recv() {
                    Some(next) => batch = next.into_iter(),
                    None => return Ok(None),
                }
            }
        })?;
        Ok::<_, Error>(replay)
    });
    let rows = Rows::of(snapshot, &format!("SELECT {columns} FROM {table} ORDER BY {key}")).await?;
    let values = |row: &tokio_postgres::Row| {
        let columns = row.columns().iter().enumerate();
        columns.map(|(column, of)| value(row, column, of.type_())).collect()
    };
    send(rows, &batches, values).await?;
    drop(batches);
    joined(comparing).await
}

/// Sends rows, as long as somebody takes them.
async fn send<T>(
    mut rows: Rows,
    batches: &mpsc::Sender<Vec<T>>,
    read: impl Fn(&tokio_postgres::Row) -> Result<T, Error>,
) -> Result<(), Error> {
    let mut batch = Vec::with_capacity(BATCH);
    while let Some(row) = rows.next().await? {
        if batches.is_closed() {
            // The rest is not looked at, and still has to come.
            continue;
        }
        batch.push(read(&row)?);
        if batch.len() == BATCH {
            let _ = batches.send(std::mem::replace(&mut batch, Vec::with_capacity(BATCH))).await;
        }
    }
    let _ = batches.send(batch).await;
    Ok(())
}

async fn joined<T>(work: tokio::task::JoinHandle<Result<T, Error>>) -> Result<T, Error> {
    match work.await {
        Ok(done) => done,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}

/// A value as the replay has it.
fn value(row: &tokio_postgres::Row, column: usize, of: &Type) -> Result<Value, Error> {
    let value = match *of {
        Type::BYTEA => at::<Option<Vec<u8>>>(row, column)?.map(Value::Blob),
        Type::INT8 => at::<Option<i64>>(row, column)?.map(Value::Integer),
        Type::BOOL => at::<Option<bool>>(row, column)?.map(|is| Value::Integer(is.into())),
        _ => at::<Option<String>>(row, column)?.map(Value::Text),
    };
    Ok(value.unwrap_or(Value::Null))
}
