//! The layer, before a service.

use super::issuer::{SigningKey, sign};
use super::{AUDIENCE, Issuer, NOW, World, header};
use crate::{AccessToken, Guard, Verifier};
use axum::body::Body;
use axum::http::header::{AUTHORIZATION, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, Request, StatusCode};
use axum::{Extension, Router, routing::get};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tower::ServiceExt as _;

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    fn challenge(&self) -> &str {
        self.headers[WWW_AUTHENTICATE].to_str().unwrap()
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// A service that says whose the token is.
fn service(guard: Guard) -> Router {
    async fn account(Extension(token): Extension<AccessToken>) -> String {
        token.account().into()
    }
    Router::new().route("/", get(account)).layer(guard)
}

async fn ask(service: &Router, lines: &[&str]) -> Answer {
    let mut request = Request::get("/");
    for line in lines {
        request = request.header(AUTHORIZATION, *line);
    }
    let response = service.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let body = String::from_utf8(body.into()).unwrap();
    Answer { status: head.status, headers: head.headers, body }
}

#[tokio::test]
async fn a_verified_token_reaches_the_service() {
    let world = World::new().await;
    let service = service(world.verifier.guard());
    for scheme in ["Bearer", "bearer", "BEARER"] {
        let answer = ask(&service, &[&format!("{scheme} {}", world.token())]).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.body, world.claims()["sub"]);
    }
}

#[tokio::test]
async fn refusals_are_those_of_rfc_6750() {
    let world = World::new().await;
    let service = service(world.verifier.guard());
    let answer = ask(&service, &[]).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert_eq!(answer.challenge(), "Bearer realm=\"orders\"");
    assert_eq!(answer.json().get("error"), None);

    let answer = ask(&service, &["Bearer e30.e30.AA"]).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert_eq!(
        answer.challenge(),
        "Bearer realm=\"orders\", error=\"invalid_token\", \
         error_description=\"the access token is not valid here\""
    );
    assert_eq!(
        answer.json(),
        json!({"error": "invalid_token", "error_description": "the access token is not valid here"})
    );

    let token = format!("Bearer {}", world.token());
    for lines in [&[&*token, &*token][..], &[&token, "Basic YTpi"], &["Bearer"], &["Bearer a b"]] {
        let answer = ask(&service, lines).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{lines:?}");
        assert_eq!(answer.json()["error"], "invalid_request");
        assert!(answer.challenge().contains("error=\"invalid_request\""));
    }
}

#[tokio::test]
async fn only_an_expired_token_is_told_what_is_wrong() {
    let world = World::new().await;
    let service = service(world.verifier.guard());
    let mut told = std::collections::BTreeSet::new();
    for token in [
        world.signed(&world.claims_with("iss", json!("https://other"))),
        world.signed(&world.claims_with("aud", json!("other"))),
        world.signed(&world.claims_with("nbf", json!(NOW + 60))),
        sign(&header("EdDSA", "unknown"), &world.claims(), &world.ed),
        sign(&header("EdDSA", "ed"), &world.claims(), &SigningKey::ed25519()),
        // It has expired, but it is not the issuer's.
        sign(&header("EdDSA", "ed"), &world.claims_with("exp", json!(1)), &SigningKey::ed25519()),
    ] {
        let answer = ask(&service, &[&format!("Bearer {token}")]).await;
        told.insert((answer.status, answer.challenge().to_owned(), answer.body));
    }
    assert_eq!(told.len(), 1, "{told:?}");
    let expired = world.signed(&world.claims_with("exp", json!(NOW)));
    let answer = ask(&service, &[&format!("Bearer {expired}")]).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert!(answer.challenge().contains("expired"));
}

#[tokio::test]
async fn scopes_are_required() {
    let world = World::new().await;
    let token = format!("Bearer {}", world.token());
    for (needed, enough) in [
        ("read", true),
        ("costs:read", true),
        ("costs:write", true),
        ("write", false),
        ("orders:write", false),
    ] {
        let service = service(world.verifier.guard().requires(needed.parse().unwrap()));
        let answer = ask(&service, &[&token]).await;
        if enough {
            assert_eq!(answer.status, StatusCode::OK, "{needed}");
        } else {
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{needed}");
            assert_eq!(answer.json()["error"], "insufficient_scope");
            assert!(answer.challenge().ends_with(&format!(", scope=\"{needed}\"")));
        }
        // Who is nobody is not told of scopes.
        let answer = ask(&service, &["Bearer e30.e30.AA"]).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        assert!(!answer.challenge().contains("scope"));
    }
}

#[tokio::test]
async fn without_keys_it_is_the_services_fault() {
    let issuer = Issuer::start().await;
    let builder = Verifier::builder(issuer.url(), AUDIENCE).start_without_keys();
    let verifier = builder.build().await.unwrap();
    let world = World::new().await;
    let service = service(verifier.guard());
    let answer = ask(&service, &[&format!("Bearer {}", world.token())]).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.headers.contains_key(RETRY_AFTER));
    assert_eq!(answer.json()["error"], "temporarily_unavailable");
}

#[tokio::test]
async fn a_refused_request_does_not_reach_the_service() {
    let world = World::new().await;
    let reached = Arc::new(AtomicUsize::new(0));
    let counter = reached.clone();
    let count = async move || {
        counter.fetch_add(1, Ordering::Relaxed);
    };
    let service = Router::new().route("/", get(count)).layer(world.verifier.guard());
    ask(&service, &[]).await;
    ask(&service, &["Bearer e30.e30.AA"]).await;
    assert_eq!(reached.load(Ordering::Relaxed), 0);
    ask(&service, &[&format!("Bearer {}", world.token())]).await;
    assert_eq!(reached.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn requests_print_no_token() {
    let world = World::new().await;
    let print = async |request: Request<Body>| format!("{request:?}");
    let service = Router::new().route("/", get(print)).layer(world.verifier.guard());
    let token = world.token();
    let answer = ask(&service, &[&format!("Bearer {token}")]).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(token.split('.').all(|part| !answer.body.contains(part)), "{}", answer.body);
}

#[cfg(feature = "axum")]
#[tokio::test]
async fn handlers_take_a_token_from_the_guard_alone() {
    let world = World::new().await;
    let account = async |token: AccessToken| token.account().to_owned();
    let token = format!("Bearer {}", world.token());
    let guarded = Router::new().route("/", get(account).route_layer(world.verifier.guard()));
    assert_eq!(ask(&guarded, &[&token]).await.body, world.claims()["sub"]);
    let open = Router::new().route("/", get(account));
    assert_eq!(ask(&open, &[&token]).await.status, StatusCode::INTERNAL_SERVER_ERROR);
}
