//! Asking twice for the same token under one key.

use super::{ADA, Stage, ids};
use crate::{
    caller::{Caller, SCOPES, says_no},
    response::Response,
};
use serde_json::{Value, json};

fn ask(caller: &Caller, key: &str, body: &Value) -> Response {
    caller.post_with(&format!("idempotency-key: {key}\r\n"), "/v1/tokens", body)
}

#[test]
fn a_repeat_finds_the_token_without_its_secret() {
    let stage = Stage::set();
    let body = json!({"api": "orders", "name": "once"});
    let first = ask(&stage.ada, "5e1f-1", &body);
    assert_eq!(first.status, 201, "{first:?}");
    let (first, head) = (first.json(), stage.head());
    let second = ask(&stage.ada, "5e1f-1", &body);
    assert_eq!(second.status, 200, "{second:?}");
    assert_eq!(second.json()["token"], first["token"]);
    assert_eq!(second.json()["client_id"], first["client_id"]);
    assert_eq!(second.json().get("secret"), None);
    assert!(!second.text().contains(first["secret"].as_str().unwrap()));
    assert_eq!(stage.head(), head);

    // It tells of the token as it is now, also after a restart.
    let id = first["token"]["id"].as_str().unwrap();
    assert_eq!(stage.ada.post(&format!("/v1/tokens/{id}/revoke"), &json!({})).status, 200);
    let Stage { server, ada, .. } = stage;
    let server = server.stop().start();
    let ada = Caller::with(&server, ada.token);
    assert_eq!(ask(&ada, "5e1f-1", &body).json()["token"]["state"], "revoked");
}

#[test]
fn a_key_belongs_to_one_caller_and_one_request() {
    let stage = Stage::set();
    let body = json!({"api": "orders", "name": "once"});
    let issued = ask(&stage.ada, "k", &body).json();
    stage.changes_nothing(|| {
        let other = ask(&stage.ada, "k", &json!({"api": "orders", "name": "other"}));
        says_no(&other, 422, "idempotency_key_reused");
    });
    // Another of the caller's tokens is the same caller; another account is not.
    let again = Caller::new(&stage.server, ADA, &SCOPES, &[]);
    assert_eq!(ask(&again, "k", &body).json()["token"]["id"], issued["token"]["id"]);
    for other in [&stage.bob, &stage.eve] {
        let theirs = ask(other, "k", &body);
        assert_eq!(theirs.status, 201);
        assert_ne!(theirs.json()["token"]["id"], issued["token"]["id"]);
    }
    // Without the scope there is no answer, key or not.
    let reader = Caller::new(&stage.server, ADA, &["tokens:read"], &[]);
    says_no(&ask(&reader, "k", &body), 403, "forbidden");
    // What was refused has not used the key up.
    says_no(&ask(&stage.ada, "new", &json!({"api": "nothing"})), 404, "not_found");
    assert_eq!(ask(&stage.ada, "new", &body).status, 201);
}

#[test]
fn keys_that_are_none_are_refused() {
    let stage = Stage::set();
    let body = json!({"api": "orders"});
    stage.changes_nothing(|| {
        let lines = ["", "\u{e9}", &"k".repeat(256), "a\r\nidempotency-key: b"];
        for line in lines {
            let answer = ask(&stage.ada, line, &body);
            says_no(&answer, 400, "invalid_request");
            assert_eq!(answer.json()["field"], "Idempotency-Key", "{line:?}");
        }
    });
}

#[test]
fn of_many_at_once_one_makes_the_token() {
    let stage = Stage::set();
    let body = json!({"api": "orders", "name": "crowd"});
    let answers: Vec<Response> = std::thread::scope(|scope| {
        let asking: Vec<_> =
            (0..8).map(|_| scope.spawn(|| ask(&stage.ada, "crowd", &body))).collect();
        asking.into_iter().map(|answer| answer.join().unwrap()).collect()
    });
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 200, 200, 200, 200, 200, 201]);
    let id = &answers[0].json()["token"]["id"];
    assert!(answers.iter().all(|answer| answer.json()["token"]["id"] == *id));
    let named = stage.ada.get("/v1/tokens?limit=1000").json();
    let named = named["items"].as_array().unwrap().iter().filter(|t| t["name"] == "crowd").count();
    assert_eq!(named, 1);
    assert_eq!(ids(&stage.bob.get("/v1/tokens?external_id=crowd")), Vec::<String>::new());
}

#[test]
fn a_revocation_need_not_be_waited_for() {
    let stage = Stage::set();
    let path = format!("/v1/tokens/{}/revoke", stage.adas.id);
    let answer = stage.ada.post(&format!("{path}?wait=false"), &json!({"reason": "late"}));
    assert_eq!(answer.status, 202, "{answer:?}");
    let told = answer.json();
    assert_eq!(told["effective_by"], told["revoked_at"]);
    let repeat = stage.ada.post(&path, &json!({}));
    assert_eq!((repeat.status, &repeat.json()["revoked_at"]), (200, &told["revoked_at"]));
    assert_eq!(repeat.json().get("effective_by"), None);
    says_no(&stage.ada.post(&format!("{path}?wait=maybe"), &json!({})), 400, "invalid_request");
}
