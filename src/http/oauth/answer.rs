//! How OAuth says no (RFC 6749 §5.2), and what of it is described.

use crate::{
    http::{
        calls::{Answers, Operation},
        identity,
        problem::{Problem, REQUEST_ID},
    },
    service::ServiceError,
};
use axum::response::{IntoResponse, Response};
use counterfoil_core::id::RequestId;
use http::{HeaderValue, StatusCode, header};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

/// What kind of no it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(crate) enum Kind {
    /// The request cannot be read, or lacks something.
    InvalidRequest,
    /// Nobody has shown who asks, or not rightly.
    InvalidClient,
    /// What was presented is not the client's.
    InvalidGrant,
    /// A scope is unknown, or more than the client has.
    InvalidScope,
    /// The token is for another API (RFC 8707 §2).
    InvalidTarget,
    /// The bearer token is not good here (RFC 6750 §3.1).
    InvalidToken,
    /// The caller's token lacks the scope.
    InsufficientScope,
    /// The client may not do this.
    UnauthorizedClient,
    /// There is no such way to a token.
    UnsupportedGrantType,
    /// Tokens of this kind are not revoked (RFC 7009 §2.2.1).
    UnsupportedTokenType,
}

impl Kind {
    fn status(self) -> StatusCode {
        match self {
            Self::InvalidClient | Self::InvalidToken => StatusCode::UNAUTHORIZED,
            Self::InsufficientScope => StatusCode::FORBIDDEN,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

/// An error as OAuth words it.
#[derive(Debug)]
pub(crate) struct Error {
    pub(crate) kind: Kind,
    description: String,
    /// How to show who asks.
    challenges: Vec<String>,
    /// What the answer is called already.
    name: Option<RequestId>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "OAuthError")]
struct ErrorView {
    error: Kind,
    /// For people, in ASCII.
    #[schemars(regex(pattern = r"^[ !#-\[\]-~]+$"))]
    error_description: String,
}

impl Error {
    pub(crate) fn new(kind: Kind, description: impl Into<String>) -> Self {
        Self { kind, description: description.into(), challenges: Vec::new(), name: None }
    }

    /// With a way to show who asks.
    pub(super) fn challenging(mut self, challenge: impl Into<String>) -> Self {
        self.challenges.push(challenge.into());
        self
    }

    /// Under the name of the refusal that it stands for.
    pub(super) fn named(self, name: RequestId) -> Self {
        Self { name: Some(name), ..self }
    }

    /// What is told to people: no quotes, and nothing beyond ASCII (RFC 6749 §5.2).
    pub(crate) fn description(&self) -> String {
        let fit = |c: char| match c {
            '"' => '\'',
            '\\' => '/',
            ' '..='~' => c,
            _ => '?',
        };
        self.description.chars().map(fit).collect()
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let view = ErrorView { error: self.kind, error_description: self.description() };
        let mut response = (self.kind.status(), NotKept(axum::Json(view))).into_response();
        let headers = response.headers_mut();
        for challenge in self.challenges {
            if let Ok(challenge) = HeaderValue::try_from(challenge) {
                headers.append(header::WWW_AUTHENTICATE, challenge);
            }
        }
        if let Some(name) = self.name {
            headers.insert(REQUEST_ID, identity::request_id(name));
        }
        response
    }
}

/// A no: OAuth's, or one that any call may have.
#[derive(Debug)]
pub(super) enum No {
    OAuth(Error),
    Problem(Problem),
}

impl From<Error> for No {
    fn from(error: Error) -> Self {
        Self::OAuth(error)
    }
}

impl From<Problem> for No {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<ServiceError> for No {
    fn from(error: ServiceError) -> Self {
        Self::Problem(error.into())
    }
}

impl IntoResponse for No {
    fn into_response(self) -> Response {
        match self {
            Self::OAuth(error) => error.into_response(),
            Self::Problem(problem) => problem.into_response(),
        }
    }
}

impl<R: Answers> Answers for Result<R, No> {
    fn describe(operation: &mut Operation<'_>) {
        R::describe(operation);
        let error = StatusCode::BAD_REQUEST;
        operation.answers_json::<ErrorView>(error, "It is wrong, or not to be had.");
        let stranger = StatusCode::UNAUTHORIZED;
        operation.answers_json::<ErrorView>(
            stranger,
            "It is not known who asks. Why is kept under `X-Request-Id`.",
        );
        let schema = json!({"type": "string"});
        let challenge = json!({"description": "How to.", "required": true, "schema": schema});
        operation.answers_with(stranger, "WWW-Authenticate", challenge);
        operation.fails(StatusCode::SERVICE_UNAVAILABLE);
    }
}

impl Operation<'_> {
    /// Is refused like this where the caller may not.
    pub(super) fn may_lack_a_scope(&mut self) {
        let about = "The caller's token may ask about no API.";
        self.answers_json::<ErrorView>(StatusCode::FORBIDDEN, about);
    }
}

/// An answer that nothing on the way may keep, however old it is (RFC 6749 §5.1).
pub(super) struct NotKept<R>(pub(super) R);

impl<R: IntoResponse> IntoResponse for NotKept<R> {
    fn into_response(self) -> Response {
        let kept = [(header::CACHE_CONTROL, "no-store"), (header::PRAGMA, "no-cache")];
        (kept, self.0).into_response()
    }
}

impl<R: Answers> Answers for NotKept<R> {
    fn describe(operation: &mut Operation<'_>) {
        R::describe(operation);
        let kept = json!({"description": "No cache may keep it.", "schema": {"const": "no-store"}});
        operation.answers_with(StatusCode::OK, "Cache-Control", kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_can_be_told() {
        let said = |text: &str| Error::new(Kind::InvalidRequest, text).description();
        assert_eq!(said("plain"), "plain");
        assert_eq!(said("\"é\\\n"), "'?/?");
        let schema = schemars::schema_for!(ErrorView);
        assert_eq!(schema.get("required").unwrap(), &json!(["error", "error_description"]));
    }
}
