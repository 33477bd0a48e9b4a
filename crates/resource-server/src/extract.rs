//! `AccessToken` as an argument of axum's handlers.

use crate::access_token::AccessToken;
use axum_core::extract::FromRequestParts;
use axum_core::response::{IntoResponse, Response};
use http::{StatusCode, request::Parts};

/// There is no [`Guard`](crate::Guard) before the handler. Nobody is let in: 500, to every
/// request, so that it shows the first time it is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no guard before this handler verifies access tokens")]
pub struct NotGuarded;

/// The token that the [`Guard`](crate::Guard) before the handler has verified.
impl<S: Sync> FromRequestParts<S> for AccessToken {
    type Rejection = NotGuarded;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, NotGuarded> {
        parts.extensions.get().cloned().ok_or(NotGuarded)
    }
}

impl IntoResponse for NotGuarded {
    fn into_response(self) -> Response {
        tracing::error!("{self}");
        StatusCode::INTERNAL_SERVER_ERROR.into_response()
    }
}
