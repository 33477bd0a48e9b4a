//! `/v1/ledger`, the operator's.

use super::{Asking, lines};
use crate::{http::problem::Problem, service::Service};
use axum::{Router, extract::State, response::IntoResponse, routing::post};
use serde_json::json;
use std::sync::Arc;

pub(super) fn routes() -> Router<Arc<Service>> {
    Router::new().route("/v1/ledger/verify", post(verify))
}

/// Lines of JSON: `{"checked", "of"}` while it works, then the outcome.
async fn verify(
    State(service): State<Arc<Service>>,
    Asking(caller): Asking,
) -> Result<impl IntoResponse, Problem> {
    caller.is_operator()?;
    Ok(lines::answer(|steps| async move {
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
