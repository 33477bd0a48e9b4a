//! A restore of a database that nodes share: put back already, it begins a new epoch.

use super::{Outcome, Restore, carry_out, decide, export::Export, tell_progress};
use crate::{
    cli::{Failure, Global, output},
    clock,
    store::{
        Nodes, Store,
        postgres::{Postgres, Settings},
    },
};
use anyhow::anyhow;
use counterfoil_core::lease::{Epoch, Row};
use std::{sync::Arc, time::Duration};

/// How often the nodes' rows are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);

pub(super) async fn restore(
    global: &Global,
    restore: &Restore,
    server: &Settings,
    export: Option<Export>,
) -> Result<(), Failure> {
    let store = Postgres::open(server).await.map_err(anyhow::Error::from)?;
    let store = Arc::new(store);
    let done = finish(global, restore, store.clone(), export).await;
    store.close().await;
    let Some((outcome, epoch)) = done? else { return Ok(()) };
    outcome.tell(global, None, Some(epoch.0))
}

async fn finish(
    global: &Global,
    restore: &Restore,
    store: Arc<Postgres>,
    export: Option<Export>,
) -> Result<Option<(Outcome, Epoch)>, Failure> {
    let asked = clock::boot();
    let (plan, outcome) = decide(global, &*store, export).await?;
    if restore.dry_run {
        outcome.preview(global)?;
        return Ok(None);
    }
    let nodes: Arc<dyn Nodes> = store.clone();
    let mut line = nodes.line(None).await.map_err(anyhow::Error::from)?;
    let (_, lengths) = line.rows().await.map_err(anyhow::Error::from)?;
    // It is at least what the database itself says.
    let whole = Duration::from_secs(restore.longest_lease).max(lengths.wait().whole());
    if !global.quiet {
        output::note(format_args!(
            "Waiting until no lease is left: {} seconds from the beginning.",
            whole.as_secs()
        ));
    }
    let (bar, moved) = tell_progress(global, "seconds");
    let mut seen: Option<Vec<Row>> = None;
    let waited = loop {
        let (rows, _) = line.rows().await.map_err(anyhow::Error::from)?;
        if let Some(alive) = seen.as_ref().and_then(|seen| alive(seen, &rows)) {
            break Err(is_alive(alive));
        }
        let passed = clock::boot().since(asked);
        moved(passed.as_secs(), whole.as_secs());
        seen = Some(rows);
        if passed >= whole {
            break Ok(());
        }
        tokio::time::sleep(LOOK_EVERY.min(whole.saturating_sub(passed))).await;
    };
    bar.finish_and_clear();
    waited?;
    let begun = nodes.begin_epoch(seen.unwrap_or_default()).await.map_err(anyhow::Error::from)?;
    let epoch = begun.ok_or_else(|| {
        Failure::Failed(anyhow!("a node has begun meanwhile; stop all of them, and begin anew"))
    })?;
    carry_out(global, &*store, plan).await?;
    Ok(Some((outcome, epoch)))
}

/// A node that has joined or renewed since.
fn alive<'r>(seen: &[Row], rows: &'r [Row]) -> Option<&'r Row> {
    rows.iter().find(|row| {
        !seen.iter().any(|before| (before.id, before.renewals) == (row.id, row.renewals))
    })
}

fn is_alive(row: &Row) -> Failure {
    Failure::Failed(anyhow!(
        "the node {} is alive: it has renewed its lease just now; stop all nodes first (each logs \
         its id when it joins); nothing was done",
        row.id.node
    ))
}
