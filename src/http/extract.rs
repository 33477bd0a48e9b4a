//! What handlers take from a request; what is wrong with it is said by name.

use super::problem::Problem;
use axum::extract::{FromRequest, FromRequestParts, Request};
use http::{StatusCode, request::Parts};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

/// How large a JSON body may be, in bytes.
const BODY: usize = 256 * 1024;

/// A JSON body without unknown fields.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        let body = Limited::new(request.into_body(), BODY).collect().await.map_err(|error| {
            if error.downcast_ref::<LengthLimitError>().is_some() {
                return Problem::new(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "body_too_large",
                    format!("the body is larger than {BODY} bytes"),
                );
            }
            Problem::bad_request("the body did not arrive whole")
        })?;
        let bytes = body.to_bytes();
        // An empty body is an empty object, for calls in which every field has a default.
        let bytes = if bytes.is_empty() { &b"{}"[..] } else { &bytes };
        serde_json::from_slice(bytes).map(Self).map_err(|error| explain(&error))
    }
}

/// The query string without unknown parameters.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        axum::extract::Query::try_from_uri(&parts.uri)
            .map(|axum::extract::Query(query)| Self(query))
            .map_err(|error| Problem::bad_request(format!("query string: {}", error.body_text())))
    }
}

/// An id or a name in the path.
pub(crate) struct Path<T>(pub(crate) T);

impl<T: std::str::FromStr<Err: std::fmt::Display>, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let axum::extract::Path(text) =
            axum::extract::Path::<String>::from_request_parts(parts, state)
                .await
                .map_err(|error| Problem::bad_request(error.body_text()))?;
        text.parse()
            .map(Self)
            .map_err(|error: T::Err| Problem::bad_request(format!("{text:?} in the path: {error}")))
    }
}

fn explain(error: &serde_json::Error) -> Problem {
    let problem = |code, detail| Problem::new(StatusCode::BAD_REQUEST, code, detail);
    if error.is_data() {
        // "unknown field `x`, expected one of …": the first quoted word is the field.
        let text = error.to_string();
        let field = text.split('`').nth(1).map(str::to_owned);
        return Problem { field, ..problem("invalid_request", format!("the body: {text}")) };
    }
    problem("invalid_json", format!("the body is not JSON: {error}"))
}
