//! Scopes: each call needs one, and no other will do.

use super::{Stage, is_forbidden};
use crate::{
    caller::{Caller, SCOPES},
    installation::ADA,
};
use serde_json::{Value, json};

#[test]
fn each_call_needs_its_scope() {
    let stage = Stage::set();
    let (token, home) = (&stage.adas.id, stage.own_organization());
    let of_token = |rest: &str| format!("/v1/tokens/{token}{rest}");
    let service = json!({"kind": "service", "name": "x", "organization": home});
    let rank = json!({"organization": home, "account": super::BOB, "rank": "administrator"});
    let membership = format!("organization={home}&account={}", super::BOB);
    let calls = [
        ("tokens:read", "GET", "/v1/tokens".to_owned(), Value::Null),
        ("tokens:read", "GET", of_token(""), Value::Null),
        ("tokens:write", "POST", "/v1/tokens".to_owned(), json!({"api": "orders"})),
        ("tokens:write", "PATCH", of_token(""), json!({"state": "paused"})),
        ("tokens:write", "POST", of_token("/rotate"), json!({})),
        ("tokens:write", "POST", of_token("/revoke"), json!({})),
        ("accounts:read", "GET", "/v1/accounts".to_owned(), Value::Null),
        ("accounts:read", "GET", format!("/v1/accounts/{ADA}"), Value::Null),
        ("accounts:read", "GET", "/v1/organizations".to_owned(), Value::Null),
        ("accounts:read", "GET", format!("/v1/organizations/{home}"), Value::Null),
        ("accounts:read", "GET", "/v1/memberships".to_owned(), Value::Null),
        ("accounts:write", "POST", "/v1/accounts".to_owned(), service),
        (
            "accounts:write",
            "PATCH",
            format!("/v1/accounts/{}", stage.bot.owner),
            json!({"state": "disabled"}),
        ),
        ("accounts:write", "PUT", "/v1/memberships".to_owned(), rank),
        ("accounts:write", "DELETE", format!("/v1/memberships?{membership}"), Value::Null),
    ];
    let body = |body: &Value| if body.is_null() { String::new() } else { body.to_string() };
    for needed in SCOPES {
        let others: Vec<&str> = SCOPES.into_iter().filter(|scope| *scope != needed).collect();
        let without = Caller::new(&stage.server, ADA, &others, &[]);
        stage.changes_nothing(|| {
            for (scope, method, path, with) in &calls {
                if *scope == needed {
                    is_forbidden(
                        &without.call(method, path, &body(with)),
                        &format!("your token does not have the scope {needed}"),
                    );
                }
            }
        });
        let alone = Caller::new(&stage.server, ADA, &[needed], &[]);
        for (scope, method, path, with) in &calls {
            if *scope == needed {
                let response = alone.call(method, path, &body(with));
                assert!((200..300).contains(&response.status), "{method} {path} {response:?}");
            }
        }
    }
}

#[test]
fn what_is_not_there_needs_none() {
    let stage = Stage::set();
    let caller = Caller::new(&stage.server, ADA, &["audit:read"], &[]);
    crate::caller::says_no(&caller.get("/v1/nothing"), 404, "not_found");
    let wrong = caller.call("DELETE", "/v1/tokens", "");
    crate::caller::says_no(&wrong, 405, "method_not_allowed");
}
