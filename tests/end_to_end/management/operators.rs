//! What is the operator's: on the socket everything, over HTTP nothing of it.

use super::{OPERATORS, Stage, changes_of_token, is_forbidden};
use crate::installation::{ADA, Token};
use serde_json::{Value, json};

#[test]
fn passwords_organizations_and_the_first_set_up_are_the_operators() {
    let stage = Stage::set();
    let own = format!("/v1/organizations/{}", stage.own_organization());
    let other = format!("/v1/organizations/{}", stage.other_organization());
    let password = json!({"password": "tr0ub4dor-and-3"});
    let calls = [
        ("PUT", format!("/v1/accounts/{ADA}/password"), password.clone()),
        ("PUT", format!("/v1/accounts/{}/password", super::BOB), password.clone()),
        ("PUT", format!("/v1/accounts/{}/password", super::EVE), password),
        ("PUT", format!("/v1/accounts/{ADA}/email"), json!({"email": "x@example.com"})),
        ("PUT", format!("/v1/accounts/{}/email", super::EVE), json!({"email": "x@example.com"})),
        ("PUT", format!("/v1/accounts/{}/email", stage.bot.owner), json!({"email": ADA})),
        ("POST", "/v1/organizations".to_owned(), json!({"name": "Third"})),
        ("PATCH", own, json!({"state": "closed"})),
        ("PATCH", other, json!({"state": "closed"})),
        ("POST", "/v1/init".to_owned(), json!({"email": "x@example.com"})),
        ("POST", "/v1/signing-keys/rotate".to_owned(), json!({"at_once": true})),
        ("POST", "/v1/access-tokens".to_owned(), json!({"secret": "x"})),
        ("POST", "/v1/access-tokens/decode".to_owned(), json!({"access_token": "x"})),
    ];
    stage.changes_nothing(|| {
        for caller in [&stage.ada, &stage.bob] {
            for call in &calls {
                is_forbidden(&super::send(caller, call), OPERATORS);
            }
        }
    });
}

#[test]
fn the_ledger_tells_nobody_else_anything() {
    let stage = Stage::set();
    let (entries, head) = stage.head();
    assert!(entries.as_u64().unwrap() > 10);
    for caller in [&stage.ada, &stage.bob] {
        let response = caller.post("/v1/ledger/verify", &Value::Null);
        let text = response.text();
        assert!(text.contains(OPERATORS), "{response:?}");
        assert!(!text.contains(head.as_str().unwrap()), "{text}");
        assert!(!text.contains("checked"), "{text}");
    }
}

#[test]
fn on_the_socket_everything_may_be_done() {
    let stage = Stage::set();
    let call = |method: &str, path: &str, body: Value| {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let response = stage.server.operator().unwrap().call(method, path, &body).unwrap();
        assert!((200..300).contains(&response.status), "{method} {path} {response:?}");
        response
    };
    // In every organization.
    for token in [&stage.adas, &stage.bobs, &stage.bot, &stage.eves, &stage.their_bot] {
        assert_eq!(call("GET", &format!("/v1/tokens/{}", token.id), Value::Null).status, 200);
        for (method, path, body) in changes_of_token(&token.id) {
            call(method, &path, body);
        }
    }
    // What nobody else hands out, to whomever.
    for (api, owner, scopes) in [
        ("counterfoil", super::EVE, json!(["orders:verify", "audit:read"])),
        ("costs", super::BOB, json!(["write"])),
    ] {
        let body = json!({"api": api, "owner": owner, "scopes": scopes});
        let token = Token::of(call("POST", "/v1/tokens", body).json());
        call("POST", &format!("/v1/tokens/{}/rotate", token.id), json!({}));
    }
    let person = json!({"email": "kim@example.com", "password": "tr0ub4dor-and-3"});
    call("POST", "/v1/accounts", person);
    let password = json!({"password": "correct-horse-battery"});
    call("PUT", "/v1/accounts/kim@example.com/password", password);
    for state in ["disabled", "active"] {
        call("PATCH", "/v1/accounts/kim@example.com", json!({"state": state}));
    }
    let third = call("POST", "/v1/organizations", json!({"name": "Third"})).json();
    let member = json!({"organization": third["id"], "account": "kim@example.com"});
    call("PUT", "/v1/memberships", member);
    let third = third["id"].as_str().unwrap();
    let query = format!("organization={third}&account=kim@example.com");
    call("DELETE", &format!("/v1/memberships?{query}"), Value::Null);
    call("PATCH", &format!("/v1/organizations/{third}"), json!({"state": "closed"}));
    let verified = call("POST", "/v1/ledger/verify", Value::Null);
    assert!(verified.text().contains("\"agrees\":true"), "{verified:?}");
}
