//! What handlers take from a request; what is wrong with it is said by name.

use super::loggable::loggable;
use super::problem::Problem;
use axum::{
    body::Body,
    extract::{FromRequest, FromRequestParts, Request},
};
use bytes::Bytes;
use http::{StatusCode, Uri, request::Parts};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use std::time::Duration;

/// How large a JSON body may be, in bytes.
const BODY: usize = 1024 * 1024;

/// How long a body may take to arrive.
const BODY_TIME: Duration = Duration::from_secs(20);

/// A request all of which is here.
pub(crate) async fn whole(request: Request) -> Result<Request, Problem> {
    let (head, body) = request.into_parts();
    let late = || {
        let detail = format!("the body took longer than {} seconds", BODY_TIME.as_secs());
        Problem::new(StatusCode::REQUEST_TIMEOUT, "body_too_slow", detail)
    };
    let bytes =
        tokio::time::timeout(BODY_TIME, collect(body)).await.map_err(|_| late()).flatten()?;
    Ok(Request::from_parts(head, Body::from(bytes)))
}

async fn collect(body: Body) -> Result<Bytes, Problem> {
    let body = Limited::new(body, BODY).collect().await.map_err(|error| {
        if error.downcast_ref::<LengthLimitError>().is_some() {
            return Problem::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "body_too_large",
                format!("the body is larger than {BODY} bytes"),
            );
        }
        Problem::bad_request("the body did not arrive whole")
    })?;
    Ok(body.to_bytes())
}

/// A JSON body without unknown fields.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        let bytes = collect(request.into_body()).await?;
        // An empty body is an empty object, for calls in which every field has a default.
        let bytes = if bytes.is_empty() { &b"{}"[..] } else { &bytes };
        read_json(bytes).map(Self)
    }
}

/// The query string without unknown parameters.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        read_query(&parts.uri).map(Self)
    }
}

pub(crate) fn read_query<T: DeserializeOwned>(uri: &Uri) -> Result<T, Problem> {
    axum::extract::Query::try_from_uri(uri).map(|axum::extract::Query(query)| query).map_err(
        |error| {
            // What is wrong may be a secret in the wrong place.
            Problem::bad_request(format!("query string: {}", loggable(&error.body_text())))
        },
    )
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
        // Not repeated: people put a secret where its id belongs.
        text.parse()
            .map(Self)
            .map_err(|error: T::Err| Problem::bad_request(format!("in the path: {error}")))
    }
}

pub(crate) fn read_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    // serde would take a list for an object, its items for the fields in order.
    if bytes.trim_ascii_start().first().is_some_and(|first| b"[\"-0123456789tfn".contains(first)) {
        return Err(Problem::bad_request("the body: expected a JSON object"));
    }
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| explain(&error))?;
    reader.end().map_err(|error| not_json(&error))?;
    Ok(value)
}

fn not_json(error: &serde_json::Error) -> Problem {
    let detail = format!("the body is not JSON: {error}");
    Problem::new(StatusCode::BAD_REQUEST, "invalid_json", detail)
}

/// Says the field, what was expected there, and where; never the value, which
/// may be a password.
fn explain(error: &serde_path_to_error::Error<serde_json::Error>) -> Problem {
    let inner = error.inner();
    if !inner.is_data() {
        return not_json(inner);
    }
    let text = inner.to_string();
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text);
    let path = error.path().to_string();
    let is_about_a_key = ["unknown field ", "missing field ", "duplicate field "]
        .iter()
        .any(|beginning| text.starts_with(beginning));
    let (field, expected) = if is_about_a_key {
        let key = text.split('`').nth(1).unwrap_or_default();
        let parent = path.rsplit_once('.').map_or("", |(parent, _)| parent);
        let field = if parent.is_empty() { key.to_owned() } else { format!("{parent}.{key}") };
        (field, text)
    } else {
        // What stands before repeats the value.
        let expected = text.rfind(", expected ").map_or(text, |at| &text[at + 2..]);
        (path, expected)
    };
    let expected =
        if expected.contains("expected struct ") { "expected an object" } else { expected };
    // Even the name of a field may be a secret in the wrong place.
    let (field, expected) = (loggable(&field), loggable(expected));
    let place = format!("line {}, column {}", inner.line(), inner.column());
    Problem::bad_request(format!("{field}: {expected} ({place})")).about(field)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Body {
        #[expect(dead_code, reason = "it is only read")]
        password: String,
        #[expect(dead_code, reason = "it is only read")]
        #[serde(default)]
        items: Vec<Item>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Item {
        #[expect(dead_code, reason = "it is only read")]
        kind: Kind,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Kind {
        Person,
        Service,
    }

    #[test]
    fn mistakes_are_named_and_values_are_not_repeated() {
        for (body, field, detail) in [
            (
                r#"{"password": 31337}"#,
                Some("password"),
                "password: expected a string (line 1, column 18)",
            ),
            (r#""hunter2-topsecret""#, None, "the body: expected a JSON object"),
            (r#"["hunter2-topsecret"]"#, None, "the body: expected a JSON object"),
            (
                r#"{"password": "hunter2", "pasword": 1}"#,
                Some("pasword"),
                "pasword: unknown field `pasword`, expected `password` or `items` (line 1, column 33)",
            ),
            ("{}", Some("password"), "password: missing field `password` (line 1, column 2)"),
            (
                r#"{"password": "hunter2", "items": [{"kind": "hunter3"}]}"#,
                Some("items[0].kind"),
                "items[0].kind: expected `person` or `service` (line 1, column 52)",
            ),
            (
                r#"{"password": "hunter2", "items": ["hunter3, expected nothing"]}"#,
                Some("items[0]"),
                "items[0]: expected an object (line 1, column 61)",
            ),
        ] {
            let problem = read_json::<Body>(body.as_bytes()).unwrap_err();
            assert_eq!((problem.field.as_deref(), problem.detail.as_str()), (field, detail));
            assert!(!problem.detail.contains("hunter"), "{}", problem.detail);
        }
        for body in ["{", r#"{"password": "hunter2"} x"#, "\u{0}", r#"{"password": hunter2}"#] {
            let problem = read_json::<Body>(body.as_bytes()).unwrap_err();
            assert_eq!(problem.code, "invalid_json", "{body:?}");
            assert!(!problem.detail.contains("hunter"), "{}", problem.detail);
        }
    }
}
