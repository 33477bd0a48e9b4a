//! Who may ask: whoever the operator has given the scope for that API.

use super::{APIS, Stage, VERIFY};
use crate::{
    caller::{Caller, SCOPES, call, says_no},
    installation::{ADA, Installation},
};
use serde_json::json;

#[test]
fn one_scope_is_for_one_api() {
    let stage = Stage::set();
    let service = Caller::new(&stage.server, ADA, &["orders:verify"], &[]);
    let about = |api: &str| json!({"api": api, "secret": stage.clerk.secret});
    assert_eq!(service.post("/v1/verify", &about("orders")).status, 200);
    // One that is not there looks like one that is.
    for api in ["worded", "keyed", "paired", "basic", "nothing", "counterfoil", ""] {
        for (path, question) in
            [("/v1/verify", about(api)), ("/v1/verify/batch", json!({"items": [about(api)]}))]
        {
            let response = service.post(path, &question);
            says_no(&response, 403, "forbidden");
            let detail = response.json()["detail"].as_str().unwrap().to_owned();
            let expected = format!("your token does not have the scope {api}:verify");
            assert!(detail.ends_with(&expected), "{detail}");
        }
    }
}

#[test]
fn no_other_scope_will_do() {
    let stage = Stage::set();
    let manager = Caller::new(&stage.server, ADA, &SCOPES, &[]);
    let question = json!({"api": "orders", "secret": stage.clerk.secret});
    says_no(&manager.post("/v1/verify", &question), 403, "forbidden");
    // Nor does this one manage anything.
    for (method, path) in [
        ("GET", "/v1/tokens"),
        ("GET", "/v1/accounts"),
        ("GET", "/v1/memberships"),
        ("GET", "/v1/organizations"),
    ] {
        says_no(&stage.service.call(method, path, ""), 403, "forbidden");
    }
}

#[test]
fn a_service_account_may_ask_about_every_organization() {
    let stage = Stage::set();
    let server = &stage.server;
    server.cli(["organization", "create", "--name", "Other"]).done();
    let bot = ["account", "create", "--service", "--name", "bot", "--organization", "Other"];
    let bot = server.cli(bot.iter().chain(&["--json"])).done().json();
    let service = Caller::new(server, bot["id"].as_str().unwrap(), &["orders:verify"], &[]);
    let question = json!({"api": "orders", "secret": stage.clerk.secret});
    assert_eq!(super::answer(&service, &question)["organization"], stage.clerk.organization);
}

#[test]
fn a_stranger_is_asked_who_it_is() {
    let stage = Stage::set();
    let question = json!({"api": "orders", "secret": stage.clerk.secret}).to_string();
    let without = "Bearer realm=\"counterfoil\"";
    let wrong = "Bearer realm=\"counterfoil\", error=\"invalid_token\"";
    let clerk = format!("authorization: Bearer {}\r\n", stage.clerk.secret);
    let twice = format!("authorization: Bearer {}\r\n", stage.service.token.secret).repeat(2);
    for path in ["/v1/verify", "/v1/verify/batch"] {
        for (lines, code, challenge) in [
            ("", "missing_credential", without),
            ("authorization: Bearer x\r\n", "unknown_token", wrong),
            // Good for `orders`, and nothing else.
            (&*clerk, "unknown_token", wrong),
            (&*twice, "malformed_credential", wrong),
        ] {
            let response = call(stage.server.main, lines, "POST", path, &question);
            says_no(&response, 401, code);
            assert_eq!(response.header("www-authenticate"), challenge);
        }
    }
}

#[test]
fn a_services_own_token_stops_at_once() {
    let stage = Stage::set();
    let question = json!({"api": "orders", "secret": stage.clerk.secret});
    assert_eq!(stage.ask(&question).status, 200);
    stage.server.cli(["token", "revoke", &stage.service.token.id]).done();
    says_no(&stage.ask(&question), 401, "unknown_token");
}

#[test]
fn a_services_token_may_be_bound_to_a_network() {
    let stage = Stage::set();
    let question = json!({"api": "orders", "secret": stage.clerk.secret});
    let near = ["--allowed-network", "127.0.0.0/8"];
    let near = Caller::new(&stage.server, ADA, &VERIFY, &near);
    assert_eq!(near.post("/v1/verify", &question).status, 200);
    let far = ["--allowed-network", "192.0.2.0/24"];
    let far = Caller::new(&stage.server, ADA, &VERIFY, &far);
    says_no(&far.post("/v1/verify", &question), 403, "network_not_allowed");
}

#[test]
fn an_api_that_went_away_is_nobodys_to_ask_about() {
    let stage = Stage::set();
    let installation = stage.server.stop();
    let (before, after) = APIS.split_once("[api.worded]").unwrap();
    assert!(before.contains("[api.orders]"));
    std::fs::write(installation.configuration(), format!("[api.worded]{after}")).unwrap();
    let server = Installation::start(installation);
    let service = Caller::with(&server, stage.service.token);
    let question = json!({"api": "orders", "secret": stage.clerk.secret});
    let response = service.post("/v1/verify", &question);
    assert!([403, 404].contains(&response.status), "{response:?}");
    // What is left goes on.
    let question = json!({"api": "worded", "secret": "x"});
    assert_eq!(service.post("/v1/verify", &question).status, 200);
}
