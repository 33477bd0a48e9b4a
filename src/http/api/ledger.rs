//! `/v1/ledger`, the operator's.

use super::Asking;
use crate::{http::problem::Problem, service::Service};
use axum::{Router, body::Body, extract::State, response::IntoResponse, routing::post};
use bytes::Bytes;
use http::header;
use http_body_util::channel::Channel;
use serde_json::{Value, json};
use std::{convert::Infallible, sync::Arc};
use tokio::sync::mpsc;

pub(super) fn routes() -> Router<Arc<Service>> {
    Router::new().route("/v1/ledger/verify", post(verify))
}

/// Lines of JSON: `{"checked", "of"}` while it works, then the outcome.
async fn verify(
    State(service): State<Arc<Service>>,
    Asking(caller): Asking,
) -> Result<impl IntoResponse, Problem> {
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
    Ok(([(header::CONTENT_TYPE, "application/jsonl")], Body::new(body)))
}

fn line(value: &Value) -> Bytes {
    format!("{value}\n").into()
}
