//! `/v1/ledger`, the operator's.

use super::{
    Asking,
    lines::{LineSender, Lines},
};
use crate::{
    http::{
        calls::{self, Calls},
        extract::Query,
        problem::Problem,
    },
    service::{Caller, Service},
};
use axum::extract::State;
use http::StatusCode;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::{fmt::Write as _, sync::Arc};

pub(super) fn calls() -> Calls<Arc<Service>> {
    Calls::new()
        .on(
            calls::get("/v1/ledger", "export_ledger")
                .does("The chain of hashes, for a copy elsewhere")
                .about(
                    "A line of JSON for each entry: `{\"number\", \"hash\", \"entry\"}`, where \
                     `entry` has the very bytes that are chained. What is personal lies beside \
                     the chain and is not in it.",
                )
                .for_the_operator()
                .fails(&[StatusCode::CONFLICT]),
            export,
        )
        .on(
            calls::post("/v1/ledger/verify", "verify_ledger")
                .does("Recompute the ledger and hold the state against it")
                .about(
                    "Answers at once, with lines of JSON: `{\"checked\", \"of\"}` while it works, \
                     then `{\"agrees\", \"entries\", \"head\", \"findings\"}`, or `{\"error\"}`.",
                )
                .for_the_operator(),
            verify,
        )
}

async fn verify(
    State(service): State<Arc<Service>>,
    Asking(caller): Asking,
) -> Result<Lines, Problem> {
    caller.is_operator()?;
    Ok(Lines::of_work(|steps| async move {
        let report = move |checked, of| {
            // Who passes it on stays until the work is done.
            let _ = steps.send(json!({"checked": checked, "of": of}));
        };
        match service.inspect_ledger(&caller, Box::new(report)).await {
            Ok(inspection) => json!({
                "agrees": inspection.findings.is_empty(),
                "entries": inspection.head.number,
                "head": inspection.head.hash.to_string(),
                "findings": inspection.findings,
            }),
            Err(error) => json!({"error": error.to_string()}),
        }
    }))
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExportQuery {
    /// The number of the last entry that is known already.
    #[serde(default)]
    #[schemars(range(max = u64::MAX))]
    after: u64,
}

/// How many entries are read at a time.
const AT_A_TIME: u32 = 200;

async fn export(
    State(service): State<Arc<Service>>,
    Asking(caller): Asking,
    Query(query): Query<ExportQuery>,
) -> Result<Lines, Problem> {
    caller.is_operator()?;
    let last = service.last_entry().await?;
    if query.after > last {
        let detail = format!(
            "after: the ledger has {last} entries; whoever knows more of it knows another one, \
             or this one was put back"
        );
        return Err(Problem::new(StatusCode::CONFLICT, "conflict", detail).about("after"));
    }
    let (lines, answer) = Lines::new();
    tokio::spawn(send_chain(service, caller, query.after, lines));
    Ok(answer)
}

async fn send_chain(service: Arc<Service>, caller: Caller, mut after: u64, mut lines: LineSender) {
    loop {
        let chain = match service.chain(&caller, after, AT_A_TIME).await {
            Ok(chain) => chain,
            Err(error) => {
                tracing::error!(%error, "the ledger's export broke off");
                return lines.break_off();
            }
        };
        let Some(last) = chain.last() else { return };
        after = last.number;
        // All that was read at a time goes out at a time: there may be millions.
        let mut text = String::new();
        for link in chain {
            let line = json!({
                "number": link.number,
                "hash": link.hash.to_string(),
                "entry": String::from_utf8_lossy(&link.entry),
            });
            // Writing to a string does not fail.
            let _ = writeln!(text, "{line}");
        }
        if !lines.send_all(text).await {
            return;
        }
    }
}
