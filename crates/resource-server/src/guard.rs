//! A layer that lets requests with a valid token through (RFC 6750).

use crate::refused::Refused;
use crate::scope::Scope;
use crate::verifier::Verifier;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{Either, Full};
use std::pin::Pin;
use std::task::{Context, Poll};
use tower_layer::Layer;
use tower_service::Service;

/// A [`tower::Layer`](Layer) that lets requests with a valid token through, made by
/// [`Verifier::guard`].
///
/// The verified [`AccessToken`](crate::AccessToken) is put into the request's extensions. All
/// other requests are answered here, as RFC 6750 §3 has it, with `error` and
/// `error_description` in JSON too:
///
/// | request | answer |
/// |---|---|
/// | no `Authorization`, or of another scheme than `Bearer` | 401, a challenge without an error |
/// | two `Authorization` lines, or what is no bearer token | 400 `invalid_request` |
/// | a token that is refused | 401 `invalid_token` |
/// | a token that does not have the [scope](Self::requires) | 403 `insufficient_scope` |
/// | there are no keys to verify with | 503 `temporarily_unavailable`, with `Retry-After` |
///
/// What was wrong with a token is not told, but for one that has expired: its signature was
/// right, and its client should obtain another. The reason is logged, at `debug`.
///
/// Tokens are taken from the `Authorization` header only: in URLs and forms they end up in logs.
#[derive(Debug, Clone)]
#[must_use = "a layer guards nothing until it is added to a service"]
pub struct Guard {
    verifier: Verifier,
    needed: Option<Scope>,
}

/// A service behind a [`Guard`].
#[derive(Debug, Clone)]
pub struct Guarded<S> {
    guard: Guard,
    inner: S,
}

impl Guard {
    pub(crate) fn new(verifier: Verifier) -> Self {
        Self { verifier, needed: None }
    }

    /// Requires a scope too. See [`AccessToken::allows`](crate::AccessToken::allows) for what
    /// covers it.
    pub fn requires(mut self, scope: Scope) -> Self {
        self.needed = Some(scope);
        self
    }

    /// Puts the verified token into the request's extensions.
    async fn admit(&self, request: &mut Parts) -> Result<(), Refusal> {
        // So that whoever prints a request prints no credential.
        for value in request.headers.iter_mut().filter(|(name, _)| *name == AUTHORIZATION) {
            value.1.set_sensitive(true);
        }
        let token = bearer(&request.headers)?;
        let token = self.verifier.verify(token).await.map_err(|refused| {
            tracing::debug!(reason = %refused, "an access token was refused");
            match refused {
                Refused::Expired => Refusal::Expired,
                refused if refused.is_temporary() => Refusal::NoKeys,
                _ => Refusal::InvalidToken,
            }
        })?;
        if self.needed.as_ref().is_some_and(|needed| !token.allows(needed)) {
            return Err(Refusal::InsufficientScope);
        }
        request.extensions.insert(token);
        Ok(())
    }

    fn answer(&self, refusal: Refusal) -> Response<Full<Bytes>> {
        let (status, error, description) = refusal.words();
        let mut challenge = format!("Bearer realm=\"{}\"", self.verifier.audience());
        let mut body = serde_json::json!({ "error_description": description });
        if let Some(error) = error {
            let told = format!(", error=\"{error}\", error_description=\"{description}\"");
            challenge.push_str(&told);
            body["error"] = error.into();
        }
        if let (Refusal::InsufficientScope, Some(needed)) = (refusal, &self.needed) {
            challenge.push_str(", scope=\"");
            challenge.push_str(needed.as_str());
            challenge.push('"');
        }
        let mut response = Response::new(Full::from(body.to_string()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if refusal == Refusal::NoKeys {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("10"));
        } else if let Ok(challenge) = HeaderValue::try_from(challenge) {
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

impl<S> Layer<S> for Guard {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded { guard: self.clone(), inner }
    }
}

impl<S, B, R> Service<Request<B>> for Guarded<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
{
    type Response = Response<Either<Full<Bytes>, R>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // It is this one that was ready, a clone need not be.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let guard = self.guard.clone();
        Box::pin(async move {
            let (mut parts, body) = request.into_parts();
            match guard.admit(&mut parts).await {
                Ok(()) => {
                    let response = inner.call(Request::from_parts(parts, body)).await?;
                    Ok(response.map(Either::Right))
                }
                Err(refusal) => Ok(guard.answer(refusal).map(Either::Left)),
            }
        })
    }
}

/// What a client is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    NoToken,
    TwoCredentials,
    NotABearerToken,
    InvalidToken,
    Expired,
    InsufficientScope,
    NoKeys,
}

impl Refusal {
    /// RFC 6750 §3.1. No error is named to whoever did not try to authenticate.
    fn words(self) -> (StatusCode, Option<&'static str>, &'static str) {
        let invalid_token = Some("invalid_token");
        match self {
            Self::NoToken => (
                StatusCode::UNAUTHORIZED,
                None,
                "an access token is needed: Authorization: Bearer ...",
            ),
            Self::TwoCredentials => (
                StatusCode::BAD_REQUEST,
                Some("invalid_request"),
                "there is more than one Authorization header",
            ),
            Self::NotABearerToken => (
                StatusCode::BAD_REQUEST,
                Some("invalid_request"),
                "expected Bearer, one space and a token in the Authorization header",
            ),
            Self::InvalidToken => {
                (StatusCode::UNAUTHORIZED, invalid_token, "the access token is not valid here")
            }
            Self::Expired => (
                StatusCode::UNAUTHORIZED,
                invalid_token,
                "the access token has expired, obtain another",
            ),
            Self::InsufficientScope => (
                StatusCode::FORBIDDEN,
                Some("insufficient_scope"),
                "the access token does not have the scope that is needed",
            ),
            Self::NoKeys => (
                StatusCode::SERVICE_UNAVAILABLE,
                Some("temporarily_unavailable"),
                "access tokens cannot be verified at present, try again later",
            ),
        }
    }
}

/// The token of the only `Authorization` line (RFC 6750 §2.1). Of two lines, another program on
/// the way may have believed the other.
fn bearer(headers: &HeaderMap) -> Result<&str, Refusal> {
    let mut lines = headers.get_all(AUTHORIZATION).iter();
    let line = lines.next().ok_or(Refusal::NoToken)?;
    if lines.next().is_some() {
        return Err(Refusal::TwoCredentials);
    }
    let line = line.to_str().map_err(|_| Refusal::NotABearerToken)?;
    let (scheme, token) = line.split_once(' ').unwrap_or((line, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Refusal::NoToken);
    }
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b);
    if token.is_empty() || !token.bytes().all(is_token) {
        return Err(Refusal::NotABearerToken);
    }
    Ok(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&'static str]) -> Result<String, Refusal> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(AUTHORIZATION, HeaderValue::from_static(line));
        }
        bearer(&headers).map(Into::into)
    }

    #[test]
    fn a_bearer_token_is_read_from_the_only_line() {
        assert_eq!(read(&["Bearer a.b-c_d.e"]).as_deref(), Ok("a.b-c_d.e"));
        assert_eq!(read(&["bEARER a"]).as_deref(), Ok("a"));
        for (lines, refusal) in [
            (&[][..], Refusal::NoToken),
            (&["Basic YTpi"], Refusal::NoToken),
            (&["Bearera"], Refusal::NoToken),
            (&[""], Refusal::NoToken),
            (&["Bearer"], Refusal::NotABearerToken),
            (&["Bearer "], Refusal::NotABearerToken),
            (&["Bearer  a"], Refusal::NotABearerToken),
            (&["Bearer a b"], Refusal::NotABearerToken),
            (&["Bearer a, Bearer b"], Refusal::NotABearerToken),
            (&["Bearer a\""], Refusal::NotABearerToken),
            (&["Bearer a", "Bearer a"], Refusal::TwoCredentials),
            (&["Bearer a", "Basic YTpi"], Refusal::TwoCredentials),
        ] {
            assert_eq!(read(lines), Err(refusal), "{lines:?}");
        }
    }
}
