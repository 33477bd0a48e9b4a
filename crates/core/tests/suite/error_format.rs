//! Error formats: what each of the five says to every outward case.

use crate::scene::{self, FORMATS, Lines, SCHEMES, Scene, request_id, token_id};
use counterfoil_core::{
    Code, Refusal, Timestamp,
    api::Api,
    credential::{Malformed, Scheme},
    error_format::{Answer, ErrorFormat, answer},
    limit::{self, Ask, Holds, Limiter, Limits, Standings},
    refusal::About,
    time::Seconds,
};
use serde_json::{Value, json};

/// Compares `api`'s answers with a transcript. A block of it is a line that names
/// refusals, the status, the header lines that are not the same in every
/// answer, and the body, which is compared as JSON.
fn transcript(api: &Api, text: &str) {
    let text = text.replace("REQUEST", &request_id().to_string());
    for block in text.split("> ").skip(1) {
        let (cases, rest) = block.split_once('\n').unwrap();
        let (head, body) = rest.split_at(rest.find('{').unwrap());
        let head: Vec<&str> = head.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
        for case in cases.split(" | ") {
            let answer = answer(api, &refusal(case), request_id());
            let mut told = vec![answer.status.to_string()];
            for (name, value) in &answer.headers {
                if !["content-type", "cache-control", "x-request-id"].contains(name) {
                    told.push(format!("{name}: {value}"));
                }
            }
            assert_eq!(told, head, "{case}");
            assert_eq!(json(&answer.body), json(body), "{case}");
        }
    }
}

/// A refusal by its code, and what there is to say beyond that.
fn refusal(case: &str) -> Refusal {
    let (name, about) = case.split_once(' ').unwrap_or((case, ""));
    let code = Code::ALL.into_iter().find(|code| code.as_str() == name).unwrap();
    let about = match code {
        _ if about.is_empty() => About::Nothing,
        Code::MalformedCredential => About::Malformed(malformed(about)),
        Code::InsufficientScope => About::Scope(about.into()),
        _ => About::RetryAfter(Seconds(about.parse().unwrap())),
    };
    Refusal { about, ..Refusal::new(code) }
}

fn malformed(name: &str) -> Malformed {
    let all = [
        Malformed::Repeated,
        Malformed::TwoSchemes,
        Malformed::NoCredential,
        Malformed::Spaces,
        Malformed::Characters,
        Malformed::Base64,
        Malformed::NotAPair,
        Malformed::HalfAPair,
    ];
    all.into_iter().find(|malformed| format!("{malformed:?}") == name).unwrap()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn fields<'a>(answer: &'a Answer, name: &str) -> Vec<&'a str> {
    answer.headers.iter().filter(|(other, _)| *other == name).map(|(_, v)| v.as_str()).collect()
}

fn api(name: &str, errors: ErrorFormat, accepted: &[Scheme]) -> Api {
    Api { errors, ..scene::api(name, accepted) }
}

#[test]
fn problem() {
    let api = api("facets", ErrorFormat::Problem, &[Scheme::Basic]);
    transcript(
        &api,
        r#"
> missing_credential
  401
  www-authenticate: Basic realm="facets", charset="UTF-8"
  {"type": "about:blank", "title": "Unauthorized", "status": 401,
   "code": "missing_credential", "request_id": "REQUEST",
   "detail": "No credentials were provided. Send HTTP Basic with your e-mail address and a token."}

> malformed_credential Base64
  401
  www-authenticate: Basic realm="facets", charset="UTF-8"
  {"type": "about:blank", "title": "Unauthorized", "status": 401,
   "code": "malformed_credential", "request_id": "REQUEST",
   "detail": "The credentials could not be read: what follows Basic is not canonical base64."}

> malformed_credential
  401
  www-authenticate: Basic realm="facets", charset="UTF-8"
  {"type": "about:blank", "title": "Unauthorized", "status": 401,
   "code": "malformed_credential", "request_id": "REQUEST",
   "detail": "The credentials could not be read."}

> unknown_token | wrong_api | owner_mismatch | client_mismatch | expired | revoked | paused | organization_closed
  401
  www-authenticate: Basic realm="facets", charset="UTF-8"
  {"type": "about:blank", "title": "Unauthorized", "status": 401,
   "code": "unknown_token", "request_id": "REQUEST",
   "detail": "The token is not valid."}

> account_disabled
  401
  www-authenticate: Basic realm="facets", charset="UTF-8"
  {"type": "about:blank", "title": "Unauthorized", "status": 401,
   "code": "unknown_token", "request_id": "REQUEST",
   "detail": "The token is not valid."}

> network_not_allowed
  403
  {"type": "about:blank", "title": "Forbidden", "status": 403,
   "code": "network_not_allowed", "request_id": "REQUEST",
   "detail": "This token may not be used from this address."}

> insufficient_scope costs:write
  403
  {"type": "about:blank", "title": "Forbidden", "status": 403,
   "code": "insufficient_scope", "request_id": "REQUEST",
   "detail": "This token does not have the scope costs:write, which this request needs."}

> insufficient_scope
  403
  {"type": "about:blank", "title": "Forbidden", "status": 403,
   "code": "insufficient_scope", "request_id": "REQUEST",
   "detail": "This token does not allow this request."}

> rate_limited 56
  429
  retry-after: 56
  {"type": "about:blank", "title": "Too Many Requests", "status": 429,
   "code": "rate_limited", "request_id": "REQUEST",
   "detail": "Too many requests. Try again in 56 seconds."}

> too_many_in_flight
  429
  retry-after: 1
  {"type": "about:blank", "title": "Too Many Requests", "status": 429,
   "code": "too_many_in_flight", "request_id": "REQUEST",
   "detail": "Too many requests with this token are in progress. Wait for one to end."}

> node_stale 3
  503
  retry-after: 3
  {"type": "about:blank", "title": "Service Unavailable", "status": 503,
   "code": "node_stale", "request_id": "REQUEST",
   "detail": "Tokens cannot be checked at the moment. Try again soon."}
"#,
    );
}

#[test]
fn oauth() {
    let api = api("orders", ErrorFormat::OAuth, &[Scheme::Bearer]);
    transcript(
        &api,
        r#"
> missing_credential
  401
  www-authenticate: Bearer realm="orders"
  {"error": "invalid_request",
   "error_description": "No credentials were provided. Send \"Authorization: Bearer TOKEN\"."}

> malformed_credential Spaces
  401
  www-authenticate: Bearer realm="orders", error="invalid_token"
  {"error": "invalid_token",
   "error_description": "The credentials could not be read: the credential contains white space."}

> unknown_token | wrong_api | owner_mismatch | client_mismatch | expired | revoked | paused | organization_closed
  401
  www-authenticate: Bearer realm="orders", error="invalid_token"
  {"error": "invalid_token",
   "error_description": "The token is not valid."}

> account_disabled
  401
  www-authenticate: Bearer realm="orders", error="invalid_token"
  {"error": "invalid_token",
   "error_description": "The token is not valid."}

> network_not_allowed
  403
  {"error": "access_denied",
   "error_description": "This token may not be used from this address."}

> insufficient_scope costs:write
  403
  www-authenticate: Bearer realm="orders", error="insufficient_scope", scope="costs:write"
  {"error": "insufficient_scope",
   "error_description": "This token does not have the scope costs:write, which this request needs."}

> insufficient_scope
  403
  www-authenticate: Bearer realm="orders", error="insufficient_scope"
  {"error": "insufficient_scope",
   "error_description": "This token does not allow this request."}

> rate_limited 1
  429
  retry-after: 1
  {"error": "slow_down",
   "error_description": "Too many requests. Try again in 1 second."}

> too_many_in_flight
  429
  retry-after: 1
  {"error": "slow_down",
   "error_description": "Too many requests with this token are in progress. Wait for one to end."}

> node_stale
  503
  retry-after: 1
  {"error": "temporarily_unavailable",
   "error_description": "Tokens cannot be checked at the moment. Try again soon."}
"#,
    );
}

/// What is not text is no token: this is said of the token, not of the header.
#[test]
fn simplejwt() {
    let mut api = api("selectstar", ErrorFormat::SimpleJwt, &[Scheme::Token]);
    api.realm = "api".into();
    transcript(
        &api,
        r#"
> missing_credential
  401
  www-authenticate: Token realm="api"
  {"detail": "Authentication credentials were not provided."}

> malformed_credential NoCredential | malformed_credential Spaces | malformed_credential Repeated
  401
  www-authenticate: Token realm="api"
  {"detail": "Authorization header must contain two space-delimited values",
   "code": "bad_authorization_header"}

> malformed_credential Characters
  401
  www-authenticate: Token realm="api"
  {"detail": "Given token not valid for any token type", "code": "token_not_valid",
   "messages": [{"token_class": "AccessToken", "token_type": "access",
                 "message": "Token is invalid or expired"}]}

> unknown_token | wrong_api | owner_mismatch | client_mismatch | expired | revoked | paused | organization_closed
  401
  www-authenticate: Token realm="api"
  {"detail": "Given token not valid for any token type", "code": "token_not_valid",
   "messages": [{"token_class": "AccessToken", "token_type": "access",
                 "message": "Token is invalid or expired"}]}

> account_disabled
  401
  www-authenticate: Token realm="api"
  {"detail": "User is inactive", "code": "user_inactive"}

> network_not_allowed | insufficient_scope costs:write
  403
  {"detail": "You do not have permission to perform this action."}

> rate_limited 56
  429
  retry-after: 56
  {"detail": "Request was throttled. Expected available in 56 seconds."}

> too_many_in_flight
  429
  retry-after: 1
  {"detail": "Request was throttled. Expected available in 1 second."}

> node_stale
  503
  retry-after: 1
  {"detail": "Service temporarily unavailable, try again later."}
"#,
    );
}

/// Django joins two lines with a comma, and so finds the spaces of both.
#[test]
fn drf_token() {
    let api = api("aristotle", ErrorFormat::DrfToken, &[Scheme::Token]);
    transcript(
        &api,
        r#"
> missing_credential
  401
  www-authenticate: Token
  {"detail": "Authentication credentials were not provided."}

> malformed_credential NoCredential
  401
  www-authenticate: Token
  {"detail": "Invalid token header. No credentials provided."}

> malformed_credential Spaces | malformed_credential Repeated
  401
  www-authenticate: Token
  {"detail": "Invalid token header. Token string should not contain spaces."}

> malformed_credential Characters
  401
  www-authenticate: Token
  {"detail": "Invalid token header. Token string should not contain invalid characters."}

> unknown_token | wrong_api | owner_mismatch | client_mismatch | expired | revoked | paused | organization_closed
  401
  www-authenticate: Token
  {"detail": "Invalid token."}

> account_disabled
  401
  www-authenticate: Token
  {"detail": "Invalid token."}

> network_not_allowed | insufficient_scope metadata:write
  403
  {"detail": "You do not have permission to perform this action."}

> rate_limited 2
  429
  retry-after: 2
  {"detail": "Request was throttled. Expected available in 2 seconds."}

> too_many_in_flight 1
  429
  retry-after: 1
  {"detail": "Request was throttled. Expected available in 1 second."}

> node_stale
  503
  retry-after: 1
  {"detail": "Service temporarily unavailable, try again later."}
"#,
    );
}

#[test]
fn message_with_two_schemes() {
    let api = api("togai", ErrorFormat::Message, &[Scheme::Bearer, Scheme::Password]);
    transcript(
        &api,
        r#"
> missing_credential
  401
  www-authenticate: Bearer realm="togai"
  www-authenticate: Basic realm="togai", charset="UTF-8"
  {"message": "No credentials were provided. Send \"Authorization: Bearer TOKEN\", or HTTP Basic with your e-mail address and password."}

> malformed_credential Repeated
  401
  www-authenticate: Bearer realm="togai", error="invalid_token"
  www-authenticate: Basic realm="togai", charset="UTF-8"
  {"message": "The credentials could not be read: a credential header was sent more than once."}

> unknown_token | wrong_api | owner_mismatch | client_mismatch | expired | revoked | paused | organization_closed
  401
  www-authenticate: Bearer realm="togai", error="invalid_token"
  www-authenticate: Basic realm="togai", charset="UTF-8"
  {"message": "The token is not valid."}

> account_disabled
  401
  www-authenticate: Bearer realm="togai", error="invalid_token"
  www-authenticate: Basic realm="togai", charset="UTF-8"
  {"message": "The token is not valid."}

> insufficient_scope events:write
  403
  www-authenticate: Bearer realm="togai", error="insufficient_scope", scope="events:write"
  {"message": "This token does not have the scope events:write, which this request needs."}

> rate_limited 30
  429
  retry-after: 30
  {"message": "Too many requests. Try again in 30 seconds."}
"#,
    );
}

#[test]
fn message_with_a_header_pair() {
    let mut api = api("finout", ErrorFormat::Message, &[Scheme::HeaderPair]);
    api.schemes.header_pair = Some(["x-finout-client-id".into(), "x-finout-secret-key".into()]);
    transcript(
        &api,
        r#"
> missing_credential
  401
  www-authenticate: ApiKey realm="finout", header="x-finout-client-id x-finout-secret-key"
  {"message": "No credentials were provided. Send the headers x-finout-client-id and x-finout-secret-key."}

> malformed_credential HalfAPair
  401
  www-authenticate: ApiKey realm="finout", header="x-finout-client-id x-finout-secret-key"
  {"message": "The credentials could not be read: only one of the two credential headers was sent."}

> unknown_token | wrong_api | owner_mismatch | client_mismatch | expired | revoked | paused | organization_closed
  401
  www-authenticate: ApiKey realm="finout", header="x-finout-client-id x-finout-secret-key"
  {"message": "The token is not valid."}

> account_disabled
  401
  www-authenticate: ApiKey realm="finout", header="x-finout-client-id x-finout-secret-key"
  {"message": "The token is not valid."}

> network_not_allowed
  403
  {"message": "This token may not be used from this address."}

> too_many_in_flight
  429
  retry-after: 1
  {"message": "Too many requests with this token are in progress. Wait for one to end."}

> node_stale
  503
  retry-after: 1
  {"message": "Tokens cannot be checked at the moment. Try again soon."}
"#,
    );
}

#[test]
fn every_answer_is_json_is_not_kept_and_names_its_request() {
    for format in FORMATS {
        let api = api("orders", format, &SCHEMES);
        let kind = match format {
            ErrorFormat::Problem => "application/problem+json",
            _ => "application/json",
        };
        for refusal in Code::ALL.map(Refusal::new) {
            let answer = answer(&api, &refusal, request_id());
            assert_eq!(fields(&answer, "content-type"), [kind]);
            assert_eq!(fields(&answer, "cache-control"), ["no-store"]);
            assert_eq!(fields(&answer, "x-request-id"), [request_id().to_string()]);
            assert!(json(&answer.body).is_object());
            assert_eq!(answer.status, refusal.code.status());
            for (name, _) in &answer.headers {
                assert_eq!(name.to_ascii_lowercase(), *name);
            }
        }
    }
}

#[test]
fn only_limits_and_a_stale_node_say_when_to_come_back() {
    for format in FORMATS {
        let api = api("orders", format, &SCHEMES);
        for code in Code::ALL {
            // Also where something else was left in `about`.
            for about in [About::Nothing, About::RetryAfter(Seconds(9)), About::Scope("a".into())] {
                let waits = matches!(about, About::RetryAfter(_));
                let answer = answer(&api, &Refusal { about, ..Refusal::new(code) }, request_id());
                let expected = match (code.status(), waits) {
                    (429 | 503, true) => vec!["9"],
                    (429 | 503, false) => vec!["1"],
                    _ => vec![],
                };
                assert_eq!(fields(&answer, "retry-after"), expected, "{code}");
            }
        }
    }
}

#[test]
fn how_the_rates_stand_is_said_where_the_format_has_words_for_it() {
    let rates = ["1000/60s", "10000/24h"].map(|rate| rate.parse().unwrap());
    let limits = Limits::new(None, rates.into()).unwrap();
    let limiter = Limiter::new(1);
    let ask = Ask { whose: token_id(1).into(), limits: &limits, holds: Holds::Nothing };
    let (first, then) = (Timestamp::from_millis(0), Timestamp::from_millis(4_000));
    let granted: Vec<_> = (0..1000).map(|_| limiter.decide(&ask, first).unwrap()).collect();
    let refusal: Refusal = limiter.decide(&ask, then).unwrap_err().into();

    let policy = "\"1m\";q=1000;w=60, \"1d\";q=10000;w=86400";
    let states =
        ["\"1m\";r=999;t=60, \"1d\";r=9999;t=86401", "\"1m\";r=0;t=56, \"1d\";r=9000;t=86397"];
    for format in FORMATS {
        let api = api("orders", format, &SCHEMES);
        let answer = answer(&api, &refusal, request_id());
        assert_eq!(
            (answer.status, fields(&answer, "retry-after")),
            (429, vec!["56"]),
            "{format:?}"
        );
        let fields = ["ratelimit-policy", "ratelimit"].map(|name| fields(&answer, name));
        let granted = limit::fields(format, &granted[0].standings);
        if matches!(format, ErrorFormat::Problem | ErrorFormat::OAuth) {
            assert_eq!(fields, [[policy], [states[1]]]);
            let expected = [("ratelimit-policy", policy.into()), ("ratelimit", states[0].into())];
            assert_eq!(granted, Some(expected));
        } else {
            assert_eq!((fields, granted), ([vec![], vec![]], None), "{format:?}");
        }
        let body = json(&answer.body);
        let said = match format {
            ErrorFormat::OAuth => &body["error_description"],
            ErrorFormat::Message => &body["message"],
            _ => &body["detail"],
        };
        let words = match format {
            ErrorFormat::SimpleJwt | ErrorFormat::DrfToken => {
                "Request was throttled. Expected available in 56 seconds."
            }
            _ => "Too many requests. Try again in 56 seconds.",
        };
        assert_eq!(said, words);
    }
    // Where there are no rates, there is nothing to say.
    assert_eq!(limit::fields(ErrorFormat::Problem, &Standings::default()), None);
}

#[test]
fn a_format_is_called_what_the_configuration_calls_it() {
    for (name, format) in [
        ("problem", ErrorFormat::Problem),
        ("oauth", ErrorFormat::OAuth),
        ("simplejwt", ErrorFormat::SimpleJwt),
        ("drf-token", ErrorFormat::DrfToken),
        ("message", ErrorFormat::Message),
    ] {
        assert_eq!(serde_json::to_value(format).unwrap(), json!(name));
        assert_eq!(serde_json::from_value::<ErrorFormat>(json!(name)).unwrap(), format);
    }
    assert_eq!(ErrorFormat::default(), ErrorFormat::Problem);
}

/// From the header to the words: the cases of the contract that name a request.
#[test]
fn what_a_client_sends_and_what_it_reads() {
    let drf = "Invalid token header. Token string should not contain spaces.";
    let none = "Authentication credentials were not provided.";
    let two = "Authorization header must contain two space-delimited values";
    let invalid = "Given token not valid for any token type";
    for (format, exact, sent, detail) in [
        (ErrorFormat::SimpleJwt, true, &[][..], none),
        (ErrorFormat::SimpleJwt, true, &["Bearer abc"], none),
        (ErrorFormat::SimpleJwt, true, &["token abc"], none),
        (ErrorFormat::SimpleJwt, true, &["Token"], two),
        (ErrorFormat::SimpleJwt, true, &["Token a b"], two),
        (ErrorFormat::SimpleJwt, true, &["Token abc"], invalid),
        (ErrorFormat::SimpleJwt, true, &["Token ä"], invalid),
        (ErrorFormat::DrfToken, false, &[], none),
        (ErrorFormat::DrfToken, false, &["Bearer abc"], none),
        (ErrorFormat::DrfToken, false, &["token abc"], "Invalid token."),
        (ErrorFormat::DrfToken, false, &["TOKEN abc"], "Invalid token."),
        (
            ErrorFormat::DrfToken,
            false,
            &["Token"],
            "Invalid token header. No credentials provided.",
        ),
        (ErrorFormat::DrfToken, false, &["Token a b"], drf),
        (ErrorFormat::DrfToken, false, &["Token a", "Token b"], drf),
    ] {
        let mut scene = Scene::new(Scheme::Token);
        scene.api.schemes.exact_token_keyword = exact;
        let mut headers = Lines::default();
        for value in sent {
            headers.add("authorization", value.as_bytes());
        }
        let answer = scene.answer_to(&headers, format).unwrap();
        let body = json(&answer.body);
        assert_eq!((answer.status, &body["detail"]), (401, &json!(detail)), "{format:?}: {sent:?}");
    }
}
