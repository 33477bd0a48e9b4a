//! What is handed out: never more than the caller holds.

use super::{ADMINISTRATORS, OPERATORS, Stage, changes_of_token, is_forbidden, is_not_found, send};
use crate::{
    caller::{Caller, SCOPES},
    installation::{ADA, Token},
    process::PATIENCE,
};
use serde_json::json;
use std::time::Instant;

#[test]
fn a_token_is_the_callers_own_unless_it_says_otherwise() {
    let stage = Stage::set();
    for caller in [&stage.ada, &stage.bob] {
        let owner = &caller.token.owner;
        for body in [
            json!({"api": "orders"}),
            json!({"api": "orders", "owner": owner}),
            json!({"api": "orders", "organization": stage.own_organization()}),
        ] {
            let issued = caller.post("/v1/tokens", &body);
            assert_eq!(issued.status, 201, "{issued:?}");
            assert_eq!(issued.header("cache-control"), "no-store");
            assert_eq!(issued.json()["effective"], "everywhere");
            let token = Token::of(issued.json());
            assert_eq!((&token.owner, &*token.organization), (owner, stage.own_organization()));
            // The secret is shown this once.
            let shown = caller.get(&format!("/v1/tokens/{}", token.id));
            assert!(!shown.text().contains(&token.secret));
            assert_eq!(shown.json(), issued.json()["token"]);
        }
    }
}

#[test]
fn a_persons_token_is_issued_by_that_person() {
    let stage = Stage::set();
    let issue = |caller: &Caller, owner: &str| {
        caller.post("/v1/tokens", &json!({"api": "orders", "owner": owner}))
    };
    stage.changes_nothing(|| {
        for owner in [super::BOB, &stage.bobs.owner] {
            is_forbidden(
                &issue(&stage.ada, owner),
                "a person's token is issued by that person; for yourself, or for a service \
                 account, you may",
            );
        }
        // Whom the caller does not see is not there.
        for owner in [ADA, &stage.bot.owner, super::EVE, "nobody@example.com"] {
            is_not_found(&issue(&stage.bob, owner));
        }
        for owner in [super::EVE, super::MALLORY, &stage.their_bot.owner] {
            is_not_found(&issue(&stage.ada, owner));
        }
        let elsewhere = json!({"api": "orders", "organization": stage.other_organization()});
        is_not_found(&stage.ada.post("/v1/tokens", &elsewhere));
        let theirs = json!({
            "api": "orders",
            "owner": stage.their_bot.owner,
            "organization": stage.other_organization(),
        });
        is_not_found(&stage.ada.post("/v1/tokens", &theirs));
    });
    let issued = issue(&stage.ada, &stage.bot.owner);
    assert_eq!(
        (issued.status, issued.json()["token"]["owner"].as_str()),
        (201, Some(&*stage.bot.owner))
    );
}

#[test]
fn nobody_hands_out_a_scope_that_they_do_not_hold() {
    let stage = Stage::set();
    let held = ["tokens:write", "accounts:read"];
    let caller = Caller::new(&stage.server, ADA, &held, &[]);
    let issue = |scopes: &[&str]| {
        caller.post("/v1/tokens", &json!({"api": "counterfoil", "scopes": scopes}))
    };
    for scopes in [&held[..], &held[..1], &held[1..]] {
        assert_eq!(issue(scopes).status, 201, "{scopes:?}");
    }
    stage.changes_nothing(|| {
        for scope in SCOPES.iter().filter(|scope| !held.contains(scope)) {
            let why = format!("your token does not have the scope {scope}");
            is_forbidden(&issue(&[scope]), &why);
            is_forbidden(&issue(&["tokens:write", scope]), &why);
            let for_bot = json!({
                "api": "counterfoil",
                "owner": stage.bot.owner,
                "scopes": [scope],
            });
            is_forbidden(&caller.post("/v1/tokens", &for_bot), &why);
        }
    });
}

#[test]
fn nor_by_way_of_a_rotation() {
    let stage = Stage::set();
    let caller = Caller::new(&stage.server, ADA, &["tokens:write"], &[]);
    let bots = Caller::new(&stage.server, &stage.bot.owner, &["audit:read"], &[]);
    stage.changes_nothing(|| {
        for (token, scope) in [(&stage.ada.token, "tokens:read"), (&bots.token, "audit:read")] {
            let rotate = format!("/v1/tokens/{}/rotate", token.id);
            let why = format!("your token does not have the scope {scope}");
            is_forbidden(&caller.post(&rotate, &json!({})), &why);
        }
    });
    // Taking away is another matter.
    for token in [&stage.ada.token, &bots.token] {
        let revoke = format!("/v1/tokens/{}/revoke", token.id);
        assert_eq!(caller.post(&revoke, &json!({})).status, 200);
    }
    let itself = format!("/v1/tokens/{}/rotate", caller.token.id);
    let rotated = caller.post(&itself, &json!({}));
    assert_eq!(rotated.status, 200);
    assert_eq!(caller.get("/v1/tokens").status, 401);
    let anew = Caller::with(&stage.server, Token::of(rotated.json()));
    assert_eq!(anew.post("/v1/tokens", &json!({"api": "orders"})).status, 201);
}

#[test]
fn who_may_ask_about_tokens_is_the_operators_to_say() {
    let stage = Stage::set();
    let all: Vec<&str> = SCOPES.into_iter().chain(["orders:verify"]).collect();
    let caller = Caller::new(&stage.server, ADA, &all, &[]);
    let bots = Caller::new(&stage.server, &stage.bot.owner, &["orders:verify"], &[]);
    stage.changes_nothing(|| {
        for scopes in [&["orders:verify"][..], &["costs:verify"], &["tokens:read", "orders:verify"]]
        {
            for owner in [ADA, &stage.bot.owner] {
                let body = json!({"api": "counterfoil", "scopes": scopes, "owner": owner});
                is_forbidden(&caller.post("/v1/tokens", &body), OPERATORS);
            }
        }
        for token in [&caller.token, &bots.token] {
            let rotate = format!("/v1/tokens/{}/rotate", token.id);
            is_forbidden(&caller.post(&rotate, &json!({})), OPERATORS);
        }
    });
    stage.server.cli(["token", "rotate", &bots.token.id]).done();
}

#[test]
fn some_apis_tokens_are_for_administrators_to_issue() {
    let stage = Stage::set();
    let body = json!({"api": "costs", "scopes": ["read"]});
    stage.changes_nothing(|| is_forbidden(&stage.bob.post("/v1/tokens", &body), ADMINISTRATORS));
    assert_eq!(stage.ada.post("/v1/tokens", &body).status, 201);
    let for_bot = json!({"api": "costs", "scopes": ["write"], "owner": stage.bot.owner});
    assert_eq!(stage.ada.post("/v1/tokens", &for_bot).status, 201);
    // Whoever has one may still hold it back and give it up.
    let bobs = stage.server.issue_to(super::BOB, "costs", &["--scope", "read"]);
    let [pause, resume, _, revoke] = changes_of_token(&bobs.id);
    for change in [pause, resume, revoke] {
        assert_eq!(send(&stage.bob, &change).status, 200, "{change:?}");
    }
}

#[test]
fn what_cannot_be_issued_is_named() {
    let stage = Stage::set();
    let braced = format!("{{{}}}", stage.own_organization());
    stage.changes_nothing(|| {
        for (body, status, field) in [
            (json!({}), 400, "api"),
            (json!({"api": 7}), 400, "api"),
            (json!({"api": "orders", "scopse": []}), 400, "scopse"),
            (json!({"api": "orders", "role": "clerk"}), 400, "role"),
            (json!({"api": "orders", "scopes": ["read"]}), 400, "scopes"),
            (json!({"api": "costs"}), 400, "scopes"),
            (json!({"api": "costs", "scopes": []}), 400, "scopes"),
            (json!({"api": "costs", "scopes": ["raed"]}), 400, "scopes"),
            (json!({"api": "orders", "owner": "x"}), 400, "owner"),
            (json!({"api": "orders", "expires_in": "soon"}), 400, "expires_in"),
            (json!({"api": "orders", "expires_in": 0}), 400, "expires_in"),
            (json!({"api": "orders", "expires_in": 0.5}), 400, "expires_in"),
            (json!({"api": "orders", "expires_in": -3600.0}), 400, "expires_in"),
            (json!({"api": "orders", "expires_in": 1e20}), 400, "expires_in"),
            (json!({"api": "orders", "expires_at": "2001-01-01T00:00:00Z"}), 400, "expires_at"),
            (json!({"api": "orders", "allowed_networks": ["x"]}), 400, "allowed_networks"),
            (json!({"api": "orders", "organization": "x"}), 400, "organization"),
            (json!({"api": "orders", "organization": braced}), 400, "organization"),
        ] {
            let response = stage.ada.post("/v1/tokens", &body);
            crate::caller::says_no(&response, status, "invalid_request");
            assert_eq!(response.json()["field"], field, "{body} {response:?}");
        }
        let response = stage.ada.post("/v1/tokens", &json!({"api": "nothing"}));
        assert_eq!(response.status, 404, "{response:?}");
        let response = stage.ada.call("POST", "/v1/tokens", "{\"api\": \"orders\"");
        crate::caller::says_no(&response, 400, "invalid_json");
    });
}

#[test]
fn an_end_is_told_however_it_was_given() {
    let stage = Stage::set();
    let end = |body| stage.ada.post("/v1/tokens", &body).json()["token"]["expires_at"].clone();
    assert_eq!(end(json!({"api": "orders", "expires_in": u64::MAX})), "9999-12-30T22:00:00Z");
    assert!(end(json!({"api": "orders", "expires_in": 3600.0})).is_string());
    let at = "2999-01-31T12:00:00Z";
    assert_eq!(end(json!({"api": "orders", "expires_at": at})), at);
    assert!(end(json!({"api": "orders", "expires_at": null})).is_null());
}

#[test]
fn no_token_hands_out_one_that_reaches_further() {
    let stage = Stage::set();
    let short = ["--expires-in", "1h", "--allowed-network", "127.0.0.0/8"];
    let caller = Caller::new(&stage.server, ADA, &["tokens:read", "tokens:write"], &short);
    let issue = |more: serde_json::Value| {
        let mut body = json!({"api": "counterfoil", "scopes": ["tokens:read"]});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        caller.post("/v1/tokens", &body)
    };
    let outlives = "your token hands out none that outlives it; give an earlier end";
    let elsewhere = "your token hands out none for other networks than its own";
    let own = format!("/v1/tokens/{}", caller.token.id);
    stage.changes_nothing(|| {
        is_forbidden(&issue(json!({"allowed_networks": ["127.0.0.1"]})), outlives);
        is_forbidden(
            &issue(json!({"expires_in": "2h", "allowed_networks": ["127.0.0.1"]})),
            outlives,
        );
        is_forbidden(&issue(json!({"expires_in": "30m"})), elsewhere);
        for networks in [json!(["0.0.0.0/0"]), json!(["127.0.0.1", "10.0.0.0/8"])] {
            let body = json!({"expires_in": "30m", "allowed_networks": networks});
            is_forbidden(&issue(body), elsewhere);
        }
        // Nor does it make itself one.
        is_forbidden(&caller.call("PATCH", &own, r#"{"expires_in": null}"#), outlives);
        is_forbidden(&caller.call("PATCH", &own, r#"{"allowed_networks": []}"#), elsewhere);
    });
    let body = json!({"expires_in": "30m", "allowed_networks": ["127.0.0.1"]});
    assert_eq!(issue(body).status, 201);
    // What is no token of the management API is another matter.
    assert_eq!(caller.post("/v1/tokens", &json!({"api": "orders"})).status, 201);
}

#[test]
fn what_has_ended_is_not_changed_any_more() {
    let stage = Stage::set();
    let token = stage.server.issue("orders", &["--expires-in", "1s"]);
    let path = format!("/v1/tokens/{}", token.id);
    let ended = |state: &str| stage.ada.get(&path).json()["state"] == state;
    let deadline = Instant::now() + PATIENCE;
    while !ended("expired") {
        assert!(Instant::now() < deadline, "it does not expire");
    }
    let answer = stage.ada.call("PATCH", &path, r#"{"expires_in": "1h"}"#);
    assert_eq!((answer.status, &answer.json()["code"]), (409, &"conflict".into()));
    assert!(ended("expired"));
}
