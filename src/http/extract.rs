//! What handlers take from a request; what is wrong with it is said by name.

use super::{
    calls::{Operation, Takes},
    loggable::loggable,
    problem::Problem,
};
use axum::{
    body::Body,
    extract::{FromRequest, FromRequestParts, Request},
};
use bytes::Bytes;
use counterfoil_core::token::Digest;
use http::{StatusCode, Uri, request::Parts};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use schemars::JsonSchema;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::json;
use std::{marker::PhantomData, time::Duration};

/// How large a JSON body may be, in bytes.
pub(crate) const BODY: usize = 1024 * 1024;

/// How long a body may take to arrive.
pub(crate) const BODY_TIME: Duration = Duration::from_secs(20);

/// A request all of which is here.
pub(crate) async fn whole(request: Request) -> Result<Request, Problem> {
    whole_within(request, BODY, BODY_TIME).await
}

/// A request all of which is here, after so long at most, and no more than that.
pub(crate) async fn whole_within(
    request: Request,
    most: usize,
    time: Duration,
) -> Result<Request, Problem> {
    let (head, body) = request.into_parts();
    let bytes = in_time(collect(body, most), time).await?;
    Ok(Request::from_parts(head, Body::from(bytes)))
}

/// A body that comes within this time.
pub(crate) async fn in_time(
    body: impl Future<Output = Result<Bytes, Problem>>,
    time: Duration,
) -> Result<Bytes, Problem> {
    let late = |_| {
        let detail = format!("the body took longer than {} seconds", time.as_secs());
        Problem::new(StatusCode::REQUEST_TIMEOUT, "body_too_slow", detail)
    };
    tokio::time::timeout(time, body).await.map_err(late).flatten()
}

/// All of a body, which may have so many bytes.
pub(crate) async fn collect<B>(body: B, most: usize) -> Result<Bytes, Problem>
where
    B: http_body::Body<Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
{
    let body = Limited::new(body, most).collect().await.map_err(|error| {
        if error.downcast_ref::<LengthLimitError>().is_some() {
            return Problem::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "body_too_large",
                format!("the body is larger than {most} bytes"),
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
        read_body(&collect(request.into_body(), BODY).await?).map(Self)
    }
}

/// A JSON body that the handler reads itself, since what it makes of it is borrowed.
pub(crate) struct JsonBytes<T> {
    bytes: Bytes,
    what: PhantomData<fn() -> T>,
}

impl<T> JsonBytes<T> {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl<T, S: Send + Sync> FromRequest<S> for JsonBytes<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        let bytes = collect(request.into_body(), BODY).await?;
        Ok(Self { bytes, what: PhantomData })
    }
}

/// A JSON body without unknown fields, and the digest of its bytes.
pub(crate) struct DigestedJson<T>(pub(crate) T, pub(crate) Digest);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for DigestedJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        let bytes = collect(request.into_body(), BODY).await?;
        let digest = Digest::of_bytes(&bytes);
        Ok(Self(read_json(&bytes)?, digest))
    }
}

/// The longest key of idempotency, in bytes.
const KEY: usize = 255;

/// The `Idempotency-Key`, where the request has one.
pub(crate) struct IdempotencyKey(pub(crate) Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let wrong = |detail: &str| {
            let detail = format!("Idempotency-Key: {detail}");
            Err(Problem::bad_request(detail).about("Idempotency-Key"))
        };
        let mut lines = parts.headers.get_all("idempotency-key").iter();
        match (lines.next(), lines.next()) {
            (None, _) => Ok(Self(None)),
            (Some(_), Some(_)) => wrong("give one, not several"),
            (Some(line), None) => match line.to_str().map(str::trim) {
                Ok(key) if (1..=KEY).contains(&key.len()) => Ok(Self(Some(key.to_owned()))),
                _ => wrong(&format!("expected 1 to {KEY} visible ASCII characters")),
            },
        }
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
            let said = loggable(&error.body_text());
            let said = said.strip_prefix("Failed to deserialize query string: ").unwrap_or(&said);
            let problem = Problem::bad_request(format!("query string: {said}"));
            match said.split_once(": ") {
                Some((field, _)) if is_name(field) => problem.about(field),
                _ => problem,
            }
        },
    )
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
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

impl<T: JsonSchema> Takes for Json<T> {
    fn describe(operation: &mut Operation<'_>) {
        operation.takes_json::<T>();
    }
}

impl<T: JsonSchema> Takes for JsonBytes<T> {
    fn describe(operation: &mut Operation<'_>) {
        operation.takes_json::<T>();
    }
}

impl<T: JsonSchema> Takes for DigestedJson<T> {
    fn describe(operation: &mut Operation<'_>) {
        operation.takes_json::<T>();
    }
}

impl Takes for IdempotencyKey {
    fn describe(operation: &mut Operation<'_>) {
        let schema = json!({
            "type": "string",
            "description": "A repeat under the same key within a day gets the same token, \
                            without its secret.",
            "minLength": 1,
            "maxLength": KEY,
            "pattern": "^[!-~]([ -~]*[!-~])?$",
        });
        operation.takes("header", "Idempotency-Key", schema, false);
        operation.fails(StatusCode::BAD_REQUEST);
        operation.fails(StatusCode::UNPROCESSABLE_ENTITY);
    }
}

impl<T: JsonSchema> Takes for Query<T> {
    fn describe(operation: &mut Operation<'_>) {
        operation.takes_query::<T>();
    }
}

impl<T: JsonSchema> Takes for Path<T> {
    fn describe(operation: &mut Operation<'_>) {
        operation.takes_in_path::<T>();
    }
}

/// Reads a whole body. An empty one is an empty object, for calls in which every field
/// has a default.
pub(crate) fn read_body<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, Problem> {
    read_json(if bytes.is_empty() { b"{}" } else { bytes })
}

/// Reads a JSON object without unknown fields.
pub(crate) fn read_json<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, Problem> {
    // serde would take a list for an object, its items for the fields in order.
    if bytes.trim_ascii_start().first().is_some_and(|first| b"[\"-0123456789tfn".contains(first)) {
        return Err(Problem::bad_request("the body: expected a JSON object"));
    }
    // To know all the time where one is costs more than to read twice what is wrong.
    serde_json::from_slice(bytes).or_else(|_| read_json_step_by_step(bytes))
}

fn read_json_step_by_step<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, Problem> {
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
    // A key that is unknown is the path's end; the others are about what the path leads to.
    let parent = if text.starts_with("unknown field ") {
        Some(path.rsplit_once('.').map_or("", |(parent, _)| parent))
    } else if text.starts_with("missing field ") || text.starts_with("duplicate field ") {
        Some(path.trim_end_matches('.'))
    } else {
        None
    };
    let (field, expected) = if let Some(parent) = parent {
        let key = text.split('`').nth(1).unwrap_or_default();
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
                r#"{"password": "hunter2", "items": [{"kind": "person", "kin": "hunter3"}]}"#,
                Some("items[0].kin"),
                "items[0].kin: unknown field `kin`, expected `kind` (line 1, column 58)",
            ),
            (
                r#"{"password": "hunter2", "items": [{"kind": "person"}, {}]}"#,
                Some("items[1].kind"),
                "items[1].kind: missing field `kind` (line 1, column 56)",
            ),
            (
                r#"{"password": "hunter2", "items": [{"kind": "person", "kind": "hunter3"}]}"#,
                Some("items[0].kind"),
                "items[0].kind: duplicate field `kind` (line 1, column 59)",
            ),
            (
                r#"{"password": "hunter2", "password": "hunter3"}"#,
                Some("password"),
                "password: duplicate field `password` (line 1, column 34)",
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
