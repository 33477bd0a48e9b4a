//! Introspection (RFC 7662): who may ask learns what a token is worth.

use super::{GRANT, Stage, basic, in_the_body, post, says_no};
use crate::{
    installation::{ADA, Token},
    response::Response,
};
use serde_json::{Value, json};

impl Stage {
    /// A service that may ask about these APIs.
    fn asker(&self, apis: &[&str]) -> Token {
        let scopes: Vec<String> = apis.iter().map(|api| format!("{api}:verify")).collect();
        let arguments: Vec<&str> = scopes.iter().flat_map(|scope| ["--scope", scope]).collect();
        self.server.issue_to(ADA, "counterfoil", &arguments)
    }

    fn introspect(&self, asker: &Token, token: &str) -> Response {
        let line = format!("authorization: Bearer {}\r\n", asker.secret);
        post(self.server.main, "/oauth2/introspect", &line, &format!("token={token}"))
    }

    #[track_caller]
    fn told(&self, asker: &Token, token: &str) -> Value {
        let answer = self.introspect(asker, token);
        assert_eq!(
            (answer.status, answer.header("cache-control")),
            (200, "no-store"),
            "{answer:?}"
        );
        answer.json()
    }
}

fn inactive() -> Value {
    json!({"active": false})
}

#[test]
fn what_a_token_is_worth() {
    let stage = Stage::start();
    let asker = stage.asker(&["events", "costs", "plain"]);
    let form = format!("{GRANT}&scope=read");
    let answer = stage.ask("/oauth2/token", &stage.token, &form).json();
    let access_token = answer["access_token"].as_str().unwrap();
    let says = super::claims(access_token);
    let told = stage.told(&asker, access_token);
    let expected = json!({
        "active": true,
        "scope": "read",
        "client_id": stage.token.id,
        "sub": stage.token.owner,
        "aud": "events",
        "iss": says["iss"],
        "exp": says["exp"],
        "iat": says["iat"],
        "jti": says["jti"],
        "token_type": "Bearer",
        "organization": stage.token.organization,
    });
    assert_eq!(told, expected);
    let told = stage.told(&asker, &stage.token.secret);
    let expected = json!({
        "active": true,
        "scope": "read write",
        "client_id": stage.token.id,
        "sub": stage.token.owner,
        "aud": "events",
        "iss": says["iss"],
        "token_type": "Bearer",
        "organization": stage.token.organization,
    });
    assert_eq!(told, expected);
    // Whatever header it travels in.
    let plain = stage.server.issue("plain", &["--expires-in", "1h"]);
    let told = stage.told(&asker, &plain.secret);
    assert_eq!((&told["active"], &told["aud"]), (&json!(true), &json!("plain")));
    assert!(told["exp"].is_u64() && told.get("token_type").is_none(), "{told}");
    // To be asked about is no use.
    let shown = stage.server.cli(["token", "show", &plain.id, "--json"]).done().json();
    assert_eq!(shown["last_used"], Value::Null, "{shown}");

    stage.server.cli(["token", "pause", &stage.token.id]).done();
    for token in [access_token, &stage.token.secret] {
        assert_eq!(stage.told(&asker, token), inactive());
    }
    stage.server.cli(["token", "resume", &stage.token.id]).done();
    assert_eq!(stage.told(&asker, access_token)["active"], true);
    stage.server.cli(["token", "revoke", &stage.token.id]).done();
    for token in [access_token, &stage.token.secret, "eyJ.e30.AAAA", "x", "%20", "a%0ab"] {
        assert_eq!(stage.told(&asker, token), inactive(), "{token}");
    }
}

#[test]
fn a_token_is_told_of_to_whom_it_concerns() {
    let stage = Stage::start();
    let access_token = stage.access_token(&stage.token);
    let (right, wrong) = (stage.asker(&["events"]), stage.asker(&["costs"]));
    for token in [&access_token, &stage.token.secret] {
        assert_eq!(stage.told(&right, token)["active"], true);
        assert_eq!(stage.told(&wrong, token), inactive());
    }
    // The management API's own tokens are nobody's to ask about.
    assert_eq!(stage.told(&right, &right.secret), inactive());

    let form = format!("token={access_token}&token_type_hint=refresh_token");
    let here = |lines: &str, form: &str| post(stage.server.main, "/oauth2/introspect", lines, form);
    assert_eq!(here(&basic(&right), &form).json()["active"], true);
    assert_eq!(here("", &format!("{form}&{}", in_the_body(&right))).json()["active"], true);
    says_no(&here(&basic(&right), ""), 400, "invalid_request");
    let other = stage.server.issue("counterfoil", &["--scope", "tokens:read"]);
    says_no(&here(&basic(&other), &form), 403, "insufficient_scope");
    for stranger in [basic(&stage.token), basic(&Token { id: other.id, ..right.clone() })] {
        says_no(&here(&stranger, &form), 401, "invalid_client");
    }
    says_no(&here("", &form), 401, "invalid_client");
    let bearer = |secret: &str| format!("authorization: Bearer {secret}\r\n");
    for stranger in [&stage.token.secret, &access_token, "x"] {
        let answer = here(&bearer(stranger), &form);
        says_no(&answer, 401, "invalid_token");
        let why = stage.server.cli(["why", answer.request_id(), "--json"]).done().json();
        assert_eq!(why["door"], "management", "{why}");
    }
    stage.server.cli(["token", "revoke", &right.id]).done();
    says_no(&here(&bearer(&right.secret), &form), 401, "invalid_token");
    says_no(&here(&basic(&right), &form), 401, "invalid_client");
}

#[test]
fn one_that_is_confined_to_networks_needs_an_address() {
    let stage = Stage::start();
    let asker = stage.asker(&["costs"]);
    let confined = stage.server.issue("costs", &["--allowed-network", "192.0.2.0/24"]);
    for (more, active) in
        [("", false), ("&client_address=192.0.2.7", true), ("&client_address=198.51.100.7", false)]
    {
        let told = stage.told(&asker, &format!("{}{more}", confined.secret));
        assert_eq!(told["active"], active, "{more}");
    }
    let answer = stage.introspect(&asker, &format!("{}&client_address=x", confined.secret));
    says_no(&answer, 400, "invalid_request");
}
