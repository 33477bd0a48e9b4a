//! Problem details (RFC 9457): how the management API and the gateway itself say no.

use super::{calls::problems, head, hush, loggable::loggable};
use crate::{replica::Replica, service::ServiceError};
use axum::{
    body::Body,
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use counterfoil_core::id::RequestId;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use serde_json::json;
use std::sync::Arc;

/// The header that names our answer.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What a problem's body is (RFC 9457 §6.1).
pub(crate) const CONTENT_TYPE: &str = "application/problem+json";

/// An error as it is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    /// For programs: never changes.
    pub(crate) code: &'static str,
    /// For people: what happened, why, and what to do.
    pub(crate) detail: String,
    /// The field that is wrong, where it is one.
    pub(crate) field: Option<String>,
    /// In how many seconds to ask again, where that is known.
    pub(crate) retry_after: Option<u64>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), field: None, retry_after: None }
    }

    /// Something about the request itself is wrong.
    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", detail)
    }

    /// The same problem, with the field that it is about.
    pub(crate) fn about(self, field: impl Into<String>) -> Self {
        Self { field: Some(field.into()), ..self }
    }

    /// The body, with the name of the answer that carries it.
    pub(crate) fn to_json(&self, request_id: RequestId) -> String {
        let mut body = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or("Error"),
            "status": self.status.as_u16(),
            "detail": self.detail,
            "code": self.code,
            "request_id": request_id.to_string(),
        });
        if let Some(field) = &self.field {
            body["field"] = json!(field);
        }
        body.to_string()
    }

    /// The body of the answer to a request of this method and path, which is logged.
    pub(crate) fn explain(
        &self,
        request_id: RequestId,
        replica: &Replica,
        method: &Method,
        path: &str,
    ) -> String {
        debug_assert!(problems::is_described(self.status, self.code), "{self:?}");
        tracing::info!(%request_id, %method, path = loggable(&hush::hushed(replica, path)), code = self.code, detail = loggable(&self.detail), "problem");
        self.to_json(request_id)
    }
}

impl From<ServiceError> for Problem {
    fn from(error: ServiceError) -> Self {
        match error {
            ServiceError::Invalid { field, message } => {
                Self::bad_request(format!("{field}: {message}")).about(field)
            }
            ServiceError::NotFound(detail) => Self::new(StatusCode::NOT_FOUND, "not_found", detail),
            ServiceError::Forbidden(detail) => {
                Self::new(StatusCode::FORBIDDEN, "forbidden", detail)
            }
            ServiceError::Conflict(detail) => Self::new(StatusCode::CONFLICT, "conflict", detail),
            ServiceError::KeyReused => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency_key_reused",
                error.to_string(),
            ),
            ServiceError::Busy(detail) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail)
            }
            ServiceError::TooOften { why, wait } => Self {
                retry_after: Some(wait.as_secs().max(1)),
                ..Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", why)
            },
            ServiceError::Unavailable(detail) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
            }
            // Nothing is wrong with what was asked for: after the upgrade it is done as it stands.
            ServiceError::OlderNodes => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "older_nodes", error.to_string())
            }
            ServiceError::Unknown => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "outcome_unknown", error.to_string())
            }
        }
    }
}

/// Travels as an extension until [`name_answers`] writes the body, which carries the answer's name.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// Gives every answer a fresh name, and problems their body.
pub(crate) async fn name_answers(
    State(replica): State<Arc<Replica>>,
    request: Request,
    next: Next,
) -> Response {
    let request_id = crate::entropy::request_id();
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let mut response = match head::check(&request) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        *response.body_mut() = Body::from(problem.explain(request_id, &replica, &method, &path));
        response.headers_mut().remove(header::CONTENT_LENGTH);
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    }
    // A refusal has a name already.
    if let Ok(value) = HeaderValue::try_from(request_id.to_string()) {
        response.headers_mut().entry(REQUEST_ID).or_insert(value);
    }
    response
}

/// What the routers answer where there is nothing.
pub(crate) async fn no_such_path() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "not_found", "there is nothing at this path")
}

/// What the routers answer where there is something, but not for this method.
pub(crate) async fn wrong_method() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "this path does not take this method",
    )
}
