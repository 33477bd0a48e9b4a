//! `/v1/ledger`, the operator's.

use super::Asking;
use crate::{
    http::{
        calls::{self, Answers, Calls, Operation},
        problem::Problem,
    },
    service::Service,
};
use axum::{
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{StatusCode, header};
use http_body_util::channel::Channel;
use serde_json::{Value, json};
use std::{convert::Infallible, sync::Arc};
use tokio::sync::mpsc;

const JSON_LINES: &str = "application/jsonl";

pub(super) fn calls() -> Calls<Arc<Service>> {
    let call = calls::post("/v1/ledger/verify", "verify_ledger")
        .does("Recompute the ledger and hold the state against it")
        .about(
            "Answers at once, with lines of JSON: `{\"checked\", \"of\"}` while it works, then \
             `{\"agrees\", \"entries\", \"head\", \"findings\"}`, or `{\"error\"}`.",
        )
        .for_the_operator();
    Calls::new().on(call, verify)
}

/// Lines of JSON, as they come.
struct Lines(Body);

impl IntoResponse for Lines {
    fn into_response(self) -> Response {
        ([(header::CONTENT_TYPE, JSON_LINES)], self.0).into_response()
    }
}

impl Answers for Lines {
    fn describe(operation: &mut Operation<'_>) {
        let lines = (JSON_LINES, json!({"type": "string"}));
        operation.answers(StatusCode::OK, "It has begun.", Some(lines));
    }
}

async fn verify(
    State(service): State<Arc<Service>>,
    Asking(caller): Asking,
) -> Result<Lines, Problem> {
    caller.is_operator()?;
    let (mut sender, body) = Channel::<Bytes, Infallible>::new(4);
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
                let _ = sender.send_data(line(&json!({"checked": checked, "of": of}))).await;
            }
            sender
        };
        let (outcome, mut sender) = tokio::join!(work, tell);
        let last = match outcome {
            Ok(inspection) => json!({
                "agrees": inspection.findings.is_empty(),
                "entries": inspection.head.number,
                "head": inspection.head.hash.to_string(),
                "findings": inspection.findings,
            }),
            Err(error) => json!({"error": error.to_string()}),
        };
        let _ = sender.send_data(line(&last)).await;
    });
    Ok(Lines(Body::new(body)))
}

fn line(value: &Value) -> Bytes {
    format!("{value}\n").into()
}
