//! HTTP: the doors and the interfaces, each on a listener of its own.

pub(crate) mod api;
pub(crate) mod client_address;
pub(crate) mod door;
pub(crate) mod extract;
pub(crate) mod forward_auth;
pub(crate) mod gateway;
pub(crate) mod identity;
pub(crate) mod listen;
pub(crate) mod loggable;
pub(crate) mod operator;
pub(crate) mod places;
pub(crate) mod problem;
pub(crate) mod sample_upstream;
pub(crate) mod status;
pub(crate) mod verify;

use crate::{replica::Replica, service::Service};
use axum::{Router, middleware};
use std::sync::Arc;

/// What the server's own listener answers.
pub(crate) fn server(
    service: Arc<Service>,
    replica: Arc<Replica>,
    protection: Arc<api::Protection>,
    verifier: Arc<verify::Verifier>,
) -> Router {
    Router::new()
        .merge(status::health(replica))
        .merge(api::for_tokens(service, verifier, protection))
        .fallback(problem::no_such_path)
        .method_not_allowed_fallback(problem::wrong_method)
        .layer(middleware::from_fn(problem::name_answers))
}
