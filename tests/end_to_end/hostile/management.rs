//! At the management API: bad input is named, and changes nothing.

use super::{Stage, exchange, is_too_large, oversized};
use crate::{
    caller::{Caller, SCOPES, says_no},
    installation::ADA,
};
use serde_json::{Value, json};

const ISSUE: &str = "POST /v1/tokens";
const CHANGE: &str = "PATCH /v1/tokens/TOKEN";
const ROTATE: &str = "POST /v1/tokens/TOKEN/rotate";
const REVOKE: &str = "POST /v1/tokens/TOKEN/revoke";

/// A call, its body, and the field that is named.
type Row = (&'static str, &'static str, &'static str);

/// What makes no sense, or is not known.
const INVALID: [Row; 20] = [
    (ISSUE, r#"{"api": "orders", "scopes": ["read"], "skopes": []}"#, "skopes"),
    (CHANGE, r#"{"nmae": "x"}"#, "nmae"),
    (ROTATE, r#"{"overlapp": 1}"#, "overlapp"),
    (REVOKE, r#"{"reson": ""}"#, "reson"),
    ("POST /v1/accounts", r#"{"emial": "x"}"#, "emial"),
    (ISSUE, r#"{"scopes": ["read"]}"#, "api"),
    (ISSUE, r#"{"api": 7}"#, "api"),
    (ISSUE, r#"{"api": "orders", "scopes": ["fly"]}"#, "scopes"),
    (ISSUE, r#"{"api": "orders", "role": "king"}"#, "role"),
    (ISSUE, r#"{"api": "orders"}"#, "scopes"),
    (ISSUE, r#"{"api": "basic", "allowed_networks": ["10.0.0.1/8"]}"#, "allowed_networks"),
    (ISSUE, r#"{"api": "basic", "expires_at": "2001-01-01T00:00:00Z"}"#, "expires_at"),
    (ISSUE, r#"{"api": "basic", "expires_at": null, "expires_in": 60}"#, "expires_in"),
    (CHANGE, r#"{"name": "a\nb"}"#, "name"),
    (CHANGE, r#"{"name": "a\u0000"}"#, "name"),
    (CHANGE, r#"{"state": "paused", "name": "x"}"#, "state"),
    ("POST /v1/tokens/x/revoke", "", ""),
    ("POST /v1/tokens/%00/revoke", "", ""),
    ("POST /v1/tokens/orders_x/revoke", "", ""),
    ("GET /v1/tokens?stat=active", "", "stat"),
];

const NO_JSON: [(&str, &str); 5] = [
    (ISSUE, r#"{"api": "basic", oops}"#),
    (ISSUE, r#"{"api": "basic"} {}"#),
    (CHANGE, r#"{"name": "x""#),
    (CHANGE, r#"{"name": "\ud800"}"#),
    (REVOKE, "\u{0}"),
];

const NOWHERE: [(&str, &str); 6] = [
    (ISSUE, r#"{"api": "nothing"}"#),
    (ISSUE, r#"{"api": "basic", "organization": "ORGANIZATION"}"#),
    ("POST /v1/tokens/EVES/revoke", ""),
    ("POST /v1/token", r#"{"api": "basic"}"#),
    ("POST //v1/tokens", r#"{"api": "basic"}"#),
    ("POST /v1/x/../tokens", r#"{"api": "basic"}"#),
];

#[test]
fn bad_input_is_named_and_changes_nothing() {
    let stage = Stage::set();
    let ada = Caller::new(&stage.server, ADA, &SCOPES, &[]);
    let filled_in = |text: &str| {
        text.replace("TOKEN", &stage.reader.id)
            .replace("EVES", &stage.eves.id)
            .replace("ORGANIZATION", &stage.eves.organization)
    };
    let no = |call: &str, body: &str, status: u16, code: &str| -> Value {
        let call = filled_in(call);
        let (method, path) = call.split_once(' ').unwrap();
        let answer = ada.call(method, path, &filled_in(body));
        says_no(&answer, status, code);
        answer.json()
    };
    stage.changes_nothing(|| {
        for (call, body, field) in INVALID {
            let problem = no(call, body, 400, "invalid_request");
            assert_eq!(problem["field"].as_str().unwrap_or_default(), field, "{problem}");
            assert!(problem["detail"].as_str().unwrap().contains(field), "{problem}");
        }
        for (call, body) in NO_JSON {
            let problem = no(call, body, 400, "invalid_json");
            assert!(problem["detail"].as_str().unwrap().contains(" line 1 column "), "{problem}");
        }
        for (call, body) in NOWHERE {
            no(call, body, 404, "not_found");
        }
        no("BREW /v1/tokens", "", 405, "method_not_allowed");
        let large = json!({"api": "basic", "note": "x".repeat(1 << 20)}).to_string();
        for call in [ISSUE, CHANGE, ROTATE, REVOKE] {
            no(call, &large, 413, "body_too_large");
        }
        for (name, lines) in oversized() {
            let request = format!(
                "{} HTTP/1.1\r\nhost: counterfoil\r\n{lines}authorization: Bearer {}\r\n\
                 content-length: 0\r\n\r\n",
                filled_in(REVOKE),
                ada.token.secret
            );
            let answer = exchange(stage.server.main, request.as_bytes());
            assert_eq!(answer.status, 431);
            is_too_large(name, &answer);
        }
    });
}
