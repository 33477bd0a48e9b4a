//! An answer of no tells of changes, too: that there is no such token any more, say. So it
//! waits, as the answer to a change does.

use super::problem::Problem;
use crate::service::Service;
use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use http::StatusCode;
use std::sync::Arc;

/// Has whoever asked for a change, and is told why it was not made, find what they are told
/// at every node.
pub(crate) async fn everywhere(
    State(service): State<Arc<Service>>,
    request: Request,
    next: Next,
) -> Response {
    let asks_for_change = !request.method().is_safe();
    let response = next.run(request).await;
    if asks_for_change && tells_of_changes(response.status()) {
        match service.see(None).await {
            Ok(_) => response,
            Err(error) => Problem::from(error).into_response(),
        }
    } else {
        response
    }
}

fn tells_of_changes(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::FORBIDDEN
            | StatusCode::NOT_FOUND
            | StatusCode::CONFLICT
            | StatusCode::UNPROCESSABLE_ENTITY
    )
}
