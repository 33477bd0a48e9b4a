//! `/v1/ledger`, the operator's.

use super::{
    Asking,
    lines::{self, Lines},
};
use crate::{
    http::{extract::Query, problem::Problem},
    service::{Caller, Service},
};
use axum::{
    Router,
    extract::State,
    response::IntoResponse,
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;
use tokio::sync::mpsc;

pub(super) fn routes() -> Router<Arc<Service>> {
    Router::new().route("/v1/ledger", get(export)).route("/v1/ledger/verify", post(verify))
}

/// Lines of JSON: `{"checked", "of"}` while it works, then the outcome.
async fn verify(
    State(service): State<Arc<Service>>,
    Asking(caller): Asking,
) -> Result<impl IntoResponse, Problem> {
    caller.is_operator()?;
    let (mut lines, answer) = lines::answer();
    tokio::spawn(async move {
        let (progress, mut steps) = mpsc::unbounded_channel();
        let report = move |checked, of| {
            // The receiver is below, and stays until the work is done.
            let _ = progress.send((checked, of));
        };
        let work = service.inspect_ledger(&caller, Box::new(report));
        let tell = async {
            while let Some((checked, of)) = steps.recv().await {
                // Nobody may be listening any more; the inspection ends by itself.
                lines.send(&json!({"checked": checked, "of": of})).await;
            }
            lines
        };
        let (outcome, mut lines) = tokio::join!(work, tell);
        let last = match outcome {
            Ok(inspection) => json!({
                "agrees": inspection.findings.is_empty(),
                "entries": inspection.head.number,
                "head": inspection.head.hash.to_string(),
                "findings": inspection.findings,
            }),
            Err(error) => json!({"error": error.to_string()}),
        };
        lines.send(&last).await;
    });
    Ok(answer)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExportQuery {
    /// The number of the last entry that is known already.
    #[serde(default)]
    after: u64,
}

/// How many entries are read at a time.
const AT_A_TIME: u32 = 500;

/// The chain: a line for each entry, with its very bytes and its hash, but
/// without the details, which hold what is personal.
async fn export(
    State(service): State<Arc<Service>>,
    Asking(caller): Asking,
    Query(query): Query<ExportQuery>,
) -> Result<impl IntoResponse, Problem> {
    caller.is_operator()?;
    let (lines, answer) = lines::answer();
    tokio::spawn(send_chain(service, caller, query.after, lines));
    Ok(answer)
}

async fn send_chain(service: Arc<Service>, caller: Caller, mut after: u64, mut lines: Lines) {
    loop {
        let entries = match service.chain(&caller, after, AT_A_TIME).await {
            Ok(entries) => entries,
            Err(error) => {
                tracing::error!(%error, "the ledger's export broke off");
                return lines.break_off();
            }
        };
        let Some(last) = entries.last() else { return };
        after = last.entry.number;
        for stored in entries {
            let line = json!({
                "number": stored.entry.number,
                "hash": stored.hash.to_string(),
                "entry": String::from_utf8_lossy(&stored.bytes),
            });
            if !lines.send(&line).await {
                return;
            }
        }
    }
}
