//! Whether the server is alive, whether it may verify, and what it has counted.

use super::{
    calls::{self, Calls},
    problem::{self, Problem},
};
use crate::{replica::Replica, telemetry::Metrics};
use axum::{Router, extract::State, middleware, response::IntoResponse, routing::get};
use http::{StatusCode, header};
use std::sync::Arc;

/// For the server's own listener.
pub(crate) fn calls() -> Calls<Arc<Replica>> {
    Calls::new()
        .on(calls::get("/healthz", "is_alive").does("Whether the server is alive"), alive)
        .on(
            calls::get("/readyz", "is_ready")
                .does("Whether this node may verify")
                .about(
                    "With 503 it knows too little, and whatever it is asked to verify is refused.",
                )
                .fails(&[StatusCode::SERVICE_UNAVAILABLE]),
            ready,
        )
}

/// `/metrics`, for a listener of its own.
pub(crate) fn metrics(metrics: Arc<Metrics>) -> Router {
    Router::new()
        .route("/metrics", get(scrape))
        .fallback(problem::no_such_path)
        .method_not_allowed_fallback(problem::wrong_method)
        // It knows no secrets; so no long word of a path is logged.
        .layer(middleware::from_fn_with_state(Arc::default(), problem::name_answers))
        .with_state(metrics)
}

async fn alive() -> &'static str {
    "alive\n"
}

async fn ready(State(replica): State<Arc<Replica>>) -> Result<&'static str, Problem> {
    match replica.index() {
        Some(_) => Ok("ready\n"),
        None => Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "node_stale",
            "this node cannot vouch for what it knows, and verifies nothing",
        )),
    }
}

async fn scrape(State(metrics): State<Arc<Metrics>>) -> Result<impl IntoResponse, Problem> {
    let text = metrics.render().map_err(|error| {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", error.to_string())
    })?;
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, content_type)], text))
}
