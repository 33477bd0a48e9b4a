//! Error formats: how an API words its refusals.
//!
//! What stands here is what a stranger sees. It is a function of the API and of
//! the refusal's outward code, so that refusals which must look alike do.

use crate::{
    Code, Refusal,
    api::Api,
    credential::{Malformed, Scheme},
    id::RequestId,
    limit,
    refusal::About,
    time::Seconds,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// The dialect of an API's refusals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorFormat {
    /// Problem details (RFC 9457).
    #[default]
    Problem,
    /// OAuth's bearer tokens (RFC 6750 §3).
    #[serde(rename = "oauth")]
    OAuth,
    /// Django REST framework with `SimpleJWT`.
    #[serde(rename = "simplejwt")]
    SimpleJwt,
    /// Django REST framework's own `TokenAuthentication`.
    DrfToken,
    /// `{"message": "…"}`.
    Message,
}

/// A refusal as it goes over the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The header fields, names in lower case.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: String,
}

/// `refusal` in the words of `api`.
pub fn answer(api: &Api, refusal: &Refusal, request_id: RequestId) -> Answer {
    let code = outward(api.errors, refusal.code);
    let status = code.status();
    let mut headers = vec![
        ("content-type", content_type(api.errors).to_owned()),
        ("cache-control", "no-store".to_owned()),
        ("x-request-id", request_id.to_string()),
    ];
    for challenge in challenges(api, code, &refusal.about) {
        headers.push(("www-authenticate", challenge));
    }
    if let Some(seconds) = retry_after(code, &refusal.about) {
        headers.push(("retry-after", seconds.0.to_string()));
    }
    if let (Code::RateLimited, About::Throttled(throttled)) = (code, &refusal.about) {
        headers.extend(limit::fields(api.errors, &throttled.standings).into_iter().flatten());
    }
    let body = match api.errors {
        ErrorFormat::Problem => problem(api, code, refusal, request_id),
        ErrorFormat::OAuth => oauth(api, code, refusal),
        ErrorFormat::SimpleJwt => simplejwt(code, refusal),
        ErrorFormat::DrfToken => drf_token(code, refusal),
        ErrorFormat::Message => json!({"message": explain(api, code, refusal)}),
    };
    Answer { status, headers, body: body.to_string() }
}

/// `SimpleJWT` tells the bearer of a right token that the account is disabled;
/// the other formats don't.
fn outward(format: ErrorFormat, code: Code) -> Code {
    match (format, code) {
        (ErrorFormat::SimpleJwt, Code::AccountDisabled) => Code::AccountDisabled,
        _ => code.outward(),
    }
}

fn content_type(format: ErrorFormat) -> &'static str {
    match format {
        ErrorFormat::Problem => "application/problem+json",
        _ => "application/json",
    }
}

/// The challenges of every scheme that the API accepts (RFC 9110 §11.6.1); with
/// a 403, only where the scheme has something to say about it (RFC 6750 §3.1).
fn challenges(api: &Api, code: Code, about: &About) -> Vec<String> {
    let realm = &api.realm;
    let mut challenges = Vec::new();
    for scheme in &api.schemes.accepted {
        let challenge = match (scheme, code.status()) {
            (Scheme::Basic | Scheme::Password, 401) => {
                format!("Basic realm=\"{realm}\", charset=\"UTF-8\"")
            }
            (Scheme::Bearer, 401) if code == Code::MissingCredential => {
                // No error code where nothing was presented: RFC 6750 §3.1.
                format!("Bearer realm=\"{realm}\"")
            }
            (Scheme::Bearer, 401) => format!("Bearer realm=\"{realm}\", error=\"invalid_token\""),
            (Scheme::Bearer, 403) if code == Code::InsufficientScope => match about {
                About::Scope(scope) if is_quotable(scope) => format!(
                    "Bearer realm=\"{realm}\", error=\"insufficient_scope\", scope=\"{scope}\""
                ),
                _ => format!("Bearer realm=\"{realm}\", error=\"insufficient_scope\""),
            },
            (Scheme::Token, 401) if api.errors == ErrorFormat::DrfToken => "Token".to_owned(),
            (Scheme::Token, 401) => format!("Token realm=\"{realm}\""),
            // No scheme is registered for headers of one's own, but a 401 without
            // a challenge is against RFC 9110 §15.5.2.
            (Scheme::Header | Scheme::HeaderPair, 401) => {
                format!("ApiKey realm=\"{realm}\", header=\"{}\"", header_names(api, *scheme))
            }
            _ => continue,
        };
        if !challenges.contains(&challenge) {
            challenges.push(challenge);
        }
    }
    challenges
}

/// A scope may carry a piece of the request's path.
fn is_quotable(scope: &str) -> bool {
    scope.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.:".contains(&b))
}

fn header_names(api: &Api, scheme: Scheme) -> String {
    match (scheme, &api.schemes.header, &api.schemes.header_pair) {
        (Scheme::Header, Some(name), _) => name.clone(),
        (Scheme::HeaderPair, _, Some([id, secret])) => format!("{id} {secret}"),
        _ => String::new(),
    }
}

fn retry_after(code: Code, about: &About) -> Option<Seconds> {
    match (code.status(), about) {
        (429 | 503, About::RetryAfter(seconds)) => Some(*seconds),
        (429 | 503, About::Throttled(throttled)) => Some(throttled.retry_after),
        (429 | 503, _) => Some(Seconds(1)),
        _ => None,
    }
}

/// One sentence for people: what happened and what to do.
fn explain(api: &Api, code: Code, refusal: &Refusal) -> String {
    match (code, &refusal.about) {
        (Code::MissingCredential, _) => {
            let ways: Vec<String> = api.schemes.accepted.iter().map(|s| usage(api, *s)).collect();
            format!("No credentials were provided. Send {}.", ways.join(", or "))
        }
        (Code::MalformedCredential, About::Malformed(malformed)) => {
            format!("The credentials could not be read: {malformed}.")
        }
        (Code::MalformedCredential, _) => "The credentials could not be read.".into(),
        (Code::NetworkNotAllowed, _) => "This token may not be used from this address.".into(),
        (Code::InsufficientScope, About::Scope(scope)) => {
            format!("This token does not have the scope {scope}, which this request needs.")
        }
        (Code::InsufficientScope, _) => "This token does not allow this request.".into(),
        (Code::RateLimited, about) => {
            let seconds = retry_after(code, about).map_or(1, |s| s.0);
            format!("Too many requests. Try again in {seconds} {}.", plural(seconds))
        }
        (Code::TooManyInFlight, _) => {
            "Too many requests with this token are in progress. Wait for one to end.".into()
        }
        (Code::NodeStale, _) => "Tokens cannot be checked at the moment. Try again soon.".into(),
        _ => "The token is not valid.".into(),
    }
}

fn usage(api: &Api, scheme: Scheme) -> String {
    match scheme {
        Scheme::Basic => "HTTP Basic with your e-mail address and a token".into(),
        Scheme::Password => "HTTP Basic with your e-mail address and password".into(),
        Scheme::Bearer => "\"Authorization: Bearer TOKEN\"".into(),
        Scheme::Token => "\"Authorization: Token TOKEN\"".into(),
        Scheme::Header => format!("the header {}", header_names(api, scheme)),
        Scheme::HeaderPair => {
            format!("the headers {}", header_names(api, scheme).replace(' ', " and "))
        }
    }
}

fn plural(seconds: u64) -> &'static str {
    if seconds == 1 { "second" } else { "seconds" }
}

fn problem(api: &Api, code: Code, refusal: &Refusal, request_id: RequestId) -> serde_json::Value {
    let title = match code.status() {
        401 => "Unauthorized",
        403 => "Forbidden",
        429 => "Too Many Requests",
        _ => "Service Unavailable",
    };
    json!({
        "type": "about:blank",
        "title": title,
        "status": code.status(),
        "detail": explain(api, code, refusal),
        "code": code.as_str(),
        "request_id": request_id.to_string(),
    })
}

fn oauth(api: &Api, code: Code, refusal: &Refusal) -> serde_json::Value {
    let error = match code {
        Code::MissingCredential => "invalid_request",
        Code::NetworkNotAllowed => "access_denied",
        Code::InsufficientScope => "insufficient_scope",
        Code::RateLimited | Code::TooManyInFlight => "slow_down",
        Code::NodeStale => "temporarily_unavailable",
        _ => "invalid_token",
    };
    json!({"error": error, "error_description": explain(api, code, refusal)})
}

/// The words of Django REST framework and `SimpleJWT` 5.4.
fn simplejwt(code: Code, refusal: &Refusal) -> serde_json::Value {
    match (code, &refusal.about) {
        (Code::MalformedCredential, about) if *about != About::Malformed(Malformed::Characters) => {
            json!({
                "detail": "Authorization header must contain two space-delimited values",
                "code": "bad_authorization_header",
            })
        }
        (Code::AccountDisabled, _) => {
            json!({"detail": "User is inactive", "code": "user_inactive"})
        }
        (Code::UnknownToken | Code::MalformedCredential, _) => json!({
            "detail": "Given token not valid for any token type",
            "code": "token_not_valid",
            "messages": [{
                "token_class": "AccessToken",
                "token_type": "access",
                "message": "Token is invalid or expired",
            }],
        }),
        _ => drf(code, refusal),
    }
}

/// The words of Django REST framework's `TokenAuthentication`.
fn drf_token(code: Code, refusal: &Refusal) -> serde_json::Value {
    match (code, &refusal.about) {
        (Code::MalformedCredential, About::Malformed(Malformed::NoCredential)) => {
            json!({"detail": "Invalid token header. No credentials provided."})
        }
        (Code::MalformedCredential, About::Malformed(Malformed::Characters)) => json!({
            "detail": "Invalid token header. Token string should not contain invalid characters.",
        }),
        (Code::MalformedCredential, _) => {
            json!({"detail": "Invalid token header. Token string should not contain spaces."})
        }
        (Code::UnknownToken, _) => json!({"detail": "Invalid token."}),
        _ => drf(code, refusal),
    }
}

/// What the two Django dialects have in common.
fn drf(code: Code, refusal: &Refusal) -> serde_json::Value {
    let detail = match code.status() {
        401 => "Authentication credentials were not provided.".to_owned(),
        403 => "You do not have permission to perform this action.".to_owned(),
        429 => {
            let seconds = retry_after(code, &refusal.about).map_or(1, |s| s.0);
            format!("Request was throttled. Expected available in {seconds} {}.", plural(seconds))
        }
        _ => "Service temporarily unavailable, try again later.".to_owned(),
    };
    json!({ "detail": detail })
}
