//! What can be asked: headers or a secret alone, a request, an address, a scope.

use super::{Stage, is_active, is_refused};
use crate::installation::ADA;
use serde_json::{Value, json};

#[test]
fn the_answer_says_whose_token_it_is() {
    let stage = Stage::set();
    let soon = stage.server.issue("orders", &["--scope", "read", "--expires-in", "1d"]);
    let expected = json!({
        "active": true,
        "token": soon.id,
        "account": soon.owner,
        "organization": soon.organization,
        "role": null,
        "scopes": ["read"],
        "expires_at": soon.json["token"]["expires_at"],
    });
    assert_eq!(stage.answer(&json!({"api": "orders", "secret": soon.secret})), expected);
    let clerk = stage.clerk(json!({}));
    assert_eq!((&clerk["role"], &clerk["scopes"]), (&json!("clerk"), &json!(["bills:read"])));
    assert_eq!(clerk["expires_at"], Value::Null);
}

#[test]
fn a_secret_alone_will_do_where_there_is_one() {
    let stage = Stage::set();
    for api in ["worded", "keyed"] {
        let token = stage.server.issue(api, &[]);
        is_active(&stage.answer(&json!({"api": api, "secret": token.secret})), &token);
        let wrong = json!({"api": api, "secret": stage.clerk.secret});
        is_refused(&stage.answer(&wrong), 401, "wrong_api");
    }
    for api in ["paired", "basic"] {
        let token = stage.server.issue(api, &[]);
        let detail = stage.is_wrong(&json!({"api": api, "secret": token.secret}), "secret");
        assert_eq!(detail, "secret: a secret alone proves nothing to this API; give the headers");
    }
}

#[test]
fn what_is_no_secret_is_refused_and_not_an_error() {
    let stage = Stage::set();
    for api in ["orders", "worded", "keyed"] {
        let ask = |secret: &str| stage.answer(&json!({"api": api, "secret": secret}));
        is_refused(&ask("x"), 401, "unknown_token");
        is_refused(&ask("orders_x"), 401, "unknown_token");
        is_refused(&ask("a b"), 401, "malformed_credential");
        for secret in ["", "a\nb", "a\u{0}b", "\u{e9}"] {
            let answer = ask(secret);
            assert_eq!(answer["active"], false, "{answer}");
            assert_eq!(answer["refusal"]["status"], 401, "{answer}");
        }
    }
}

#[test]
fn headers_or_a_secret() {
    let stage = Stage::set();
    let secret = &stage.clerk.secret;
    let both = json!({"api": "orders", "secret": secret, "headers": {}});
    for question in [both, json!({"api": "orders"})] {
        let detail = stage.is_wrong(&question, "headers");
        assert_eq!(detail, "give headers or secret, one of the two");
    }
    let nothing = json!({"api": "orders", "headers": {}});
    is_refused(&stage.answer(&nothing), 401, "missing_credential");
}

#[test]
fn headers_are_what_arrived() {
    let stage = Stage::set();
    let bearer = format!("Bearer {}", stage.clerk.secret);
    let ask = |headers: Value| stage.answer(&json!({"api": "orders", "headers": headers}));
    for name in ["authorization", "Authorization", "AUTHORIZATION"] {
        is_active(&ask(json!({name: bearer})), &stage.clerk);
        is_active(&ask(json!({name: [bearer], "accept": ["a", "b"], "x": ""})), &stage.clerk);
        is_refused(&ask(json!({name: [bearer, bearer]})), 401, "malformed_credential");
        is_refused(&ask(json!({name: [bearer, "Basic x"]})), 401, "malformed_credential");
        is_refused(&ask(json!({name: []})), 401, "missing_credential");
    }
    // Two spellings are one header, sent twice.
    let twice = json!({"Authorization": bearer, "authorization": bearer});
    is_refused(&ask(twice), 401, "malformed_credential");
}

#[test]
fn what_cannot_be_a_header_is_named() {
    let stage = Stage::set();
    let ask =
        |headers: Value| stage.is_wrong(&json!({"api": "orders", "headers": headers}), "headers");
    for name in ["", "a b", "a:b", "é", "a\r\nb"] {
        assert_eq!(
            ask(json!({name: "x"})),
            format!("headers: {} cannot be a header's name", name.replace(char::is_control, "�"))
        );
    }
    for value in ["a\r\nb", "a\u{0}"] {
        for value in [json!(value), json!(["x", value])] {
            assert_eq!(ask(json!({"x-y": value})), "headers: the value of x-y cannot be one");
        }
    }
}

#[test]
fn a_path_is_judged_by_the_apis_routes() {
    let stage = Stage::set();
    for path in ["/bills/7", "/bills", "/%62ills/7", "/bills/7?x=/../y//z"] {
        is_active(&stage.clerk(json!({"path": path})), &stage.clerk);
        is_active(&stage.clerk(json!({"path": path, "method": "HEAD"})), &stage.clerk);
        for method in ["POST", "BREW", "get", ""] {
            let answer = stage.clerk(json!({"path": path, "method": method}));
            is_refused(&answer, 403, "insufficient_scope");
            let body: Value =
                serde_json::from_str(answer["refusal"]["body"].as_str().unwrap()).unwrap();
            assert_eq!(body["code"], "insufficient_scope");
        }
    }
    // The mount is the gateway's: here it would be one more segment.
    for path in ["/costs/7", "/orders/bills/7"] {
        is_refused(&stage.clerk(json!({"path": path})), 403, "insufficient_scope");
    }
    // Without a path, any live token will do, whatever the method.
    is_active(&stage.clerk(json!({})), &stage.clerk);
    is_active(&stage.clerk(json!({"method": "POST"})), &stage.clerk);
}

#[test]
fn on_an_anonymous_route_nobody_is_active() {
    let stage = Stage::set();
    let ask = |headers: Value, scope: Value| {
        let path = "/public/x";
        stage.answer(&json!({"api": "orders", "headers": headers, "path": path, "scope": scope}))
    };
    let nobody = json!({
        "active": true,
        "token": null,
        "account": null,
        "organization": null,
        "role": null,
        "scopes": [],
        "expires_at": null,
    });
    assert_eq!(ask(json!({}), Value::Null), nobody);
    let wrong = json!({"authorization": "Bearer x"});
    is_refused(&ask(wrong, Value::Null), 401, "unknown_token");
    // Nobody holds a scope.
    is_refused(&ask(json!({}), json!("read")), 401, "missing_credential");
}

#[test]
fn a_path_with_two_readings_is_an_error() {
    let stage = Stage::set();
    for path in ["", "x", "*", "/public/../orders", "/a//b", "/a%2fb", "/a;b", "/a#b", "/%"] {
        let question = json!({"api": "orders", "secret": stage.clerk.secret, "path": path});
        let detail = stage.is_wrong(&question, "path");
        assert!(detail.starts_with("path: the path "), "{detail}");
    }
}

#[test]
fn an_address_counts_where_a_token_is_bound() {
    let stage = Stage::set();
    let bound = ["--role", "clerk", "--allowed-network", "198.51.100.0/24"];
    let bound = stage.server.issue("orders", &bound);
    let ask = |more: Value| {
        stage.answer(&super::with(json!({"api": "orders", "secret": bound.secret}), more))
    };
    for inside in ["198.51.100.7", "198.51.100.7:4711", "::ffff:198.51.100.7", " 198.51.100.7"] {
        is_active(&ask(json!({"client_address": inside})), &bound);
    }
    for outside in ["198.51.101.7", "127.0.0.1", "2001:db8::1"] {
        is_refused(&ask(json!({"client_address": outside})), 403, "network_not_allowed");
        is_active(&stage.clerk(json!({"client_address": outside})), &stage.clerk);
    }
    // The service's own address is not its caller's.
    is_refused(&ask(json!({})), 403, "network_not_allowed");
    for wrong in ["", "x", "198.51.100", "198.51.100.0/24", "198.51.100.7, 127.0.0.1"] {
        let question = json!({"api": "orders", "secret": bound.secret, "client_address": wrong});
        let detail = stage.is_wrong(&question, "client_address");
        assert_eq!(detail, "client_address: that is no IP address");
    }
}

#[test]
fn one_more_scope_may_be_asked_for() {
    let stage = Stage::set();
    is_active(&stage.clerk(json!({"scope": "bills:read"})), &stage.clerk);
    for scope in ["bills:write", "costs:read", "read", "write"] {
        let answer = stage.clerk(json!({"scope": scope}));
        is_refused(&answer, 403, "insufficient_scope");
        assert!(answer["refusal"]["body"].as_str().unwrap().contains(scope), "{answer}");
    }
    let reader = stage.server.issue("orders", &["--scope", "read"]);
    for scope in ["read", "bills:read", "costs:read"] {
        let question = json!({"api": "orders", "secret": reader.secret, "scope": scope});
        is_active(&stage.answer(&question), &reader);
    }
    // Both the route's and the one that is asked for.
    let both = |path: &str, scope: &str| stage.clerk(json!({"path": path, "scope": scope}));
    is_active(&both("/bills/7", "bills:read"), &stage.clerk);
    is_refused(&both("/costs/7", "bills:read"), 403, "insufficient_scope");
    is_refused(&both("/bills/7", "costs:read"), 403, "insufficient_scope");
    for wrong in ["", "a b", "a:b:c", "*", "READ!"] {
        let question = json!({"api": "orders", "secret": stage.clerk.secret, "scope": wrong});
        let detail = stage.is_wrong(&question, "scope");
        assert!(detail.starts_with("scope: "), "{detail}");
    }
}

#[test]
fn fields_that_are_not_known_are_named() {
    let stage = Stage::set();
    for (name, value) in [("scopes", json!(["read"])), ("ip", json!("::1")), ("Api", json!("x"))] {
        let question = json!({"api": "orders", "secret": "x", name: value});
        let detail = stage.is_wrong(&question, name);
        assert!(detail.starts_with(&format!("{name}: unknown field `{name}`")), "{detail}");
    }
    let detail = stage.is_wrong(&json!({"secret": "x"}), "api");
    assert!(detail.starts_with("api: missing field `api`"), "{detail}");
    for (field, value) in [
        ("api", json!(7)),
        ("secret", json!(["x"])),
        ("method", json!(1)),
        ("path", json!({})),
        ("client_address", json!(true)),
    ] {
        let question = super::with(json!({"api": "orders"}), json!({field: value}));
        stage.is_wrong(&question, field);
    }
}

#[test]
fn what_is_not_json_is_said_with_its_place() {
    let stage = Stage::set();
    let response = stage.service.call("POST", "/v1/verify", "{\"api\": \"orders\",\n oops}");
    crate::caller::says_no(&response, 400, "invalid_json");
    let detail = response.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("line 2 column"), "{detail}");
    for body in ["[]", "7", "null", "\"x\""] {
        let response = stage.service.call("POST", "/v1/verify", body);
        crate::caller::says_no(&response, 400, "invalid_request");
    }
}

#[test]
fn whatever_happens_to_a_token_counts_at_the_very_next_call() {
    let stage = Stage::set();
    let server = &stage.server;
    let is_active = || is_active(&stage.clerk(json!({})), &stage.clerk);
    let is_refused = |code: &str| is_refused(&stage.clerk(json!({})), 401, code);
    is_active();
    server.cli(["token", "pause", &stage.clerk.id]).done();
    is_refused("paused");
    server.cli(["token", "resume", &stage.clerk.id]).done();
    is_active();
    let other = ["account", "create", "--email", "bob@example.com", "--rank", "administrator"];
    server.cli(other).done();
    let service = super::Caller::new(server, "bob@example.com", &["orders:verify"], &[]);
    server.cli(["account", "disable", ADA]).done();
    let question = json!({"api": "orders", "secret": stage.clerk.secret});
    assert_eq!(super::answer(&service, &question)["code"], "account_disabled");
    server.cli(["account", "enable", ADA]).done();
    is_active();
    server.cli(["token", "revoke", &stage.clerk.id]).done();
    is_refused("revoked");
}
