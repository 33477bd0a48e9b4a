//! `/v1/backups`, the operator's.

use super::{Asking, lines::Lines};
use crate::{
    http::{
        calls::{self, Calls},
        problem::Problem,
    },
    service::Service,
};
use axum::extract::State;
use serde_json::json;
use std::sync::Arc;

pub(super) fn calls() -> Calls<Arc<Service>> {
    Calls::new().on(
        calls::post("/v1/backups", "make_backup")
            .does("Copy the database, for a backup")
            .about(
                "Answers at once, with lines of JSON: `{\"copied\", \"of\"}` while it works, then \
                 `{\"file\", \"entries\", \"head\"}`, or `{\"error\"}`. The file lies in the data \
                 directory; whoever asked moves it away. `counterfoil backup` does all of it. A \
                 database on PostgreSQL is copied by its own tools.",
            )
            .for_the_operator(),
        make,
    )
}

async fn make(
    State(service): State<Arc<Service>>,
    Asking(caller): Asking,
) -> Result<Lines, Problem> {
    caller.is_operator()?;
    Ok(Lines::of_work(|steps| async move {
        let report = move |copied, of| {
            // Who passes it on stays until the work is done.
            let _ = steps.send(json!({"copied": copied, "of": of}));
        };
        match service.back_up(&caller, Box::new(report)).await {
            Ok(copied) => json!({
                "file": copied.file.to_string_lossy(),
                "entries": copied.head.number,
                "head": copied.head.hash.to_string(),
            }),
            Err(error) => json!({"error": error.to_string()}),
        }
    }))
}
