//! Who calls: a live token of the management API, in one `Authorization` line.

use super::{Stage, changes_of_token, send};
use crate::{
    caller::{Caller, SCOPES, call, says_no},
    installation::ADA,
    wire::Wire,
};

const NOBODY: &str = r#"Bearer realm="counterfoil""#;
const WRONG: &str = r#"Bearer realm="counterfoil", error="invalid_token""#;

/// A call of each kind.
const CALLS: [(&str, &str); 9] = [
    ("GET", "/v1/tokens"),
    ("POST", "/v1/tokens"),
    ("GET", "/v1/accounts"),
    ("POST", "/v1/accounts"),
    ("GET", "/v1/organizations"),
    ("PUT", "/v1/memberships"),
    ("POST", "/v1/init"),
    ("POST", "/v1/ledger/verify"),
    ("POST", "/v1/verify"),
];

#[test]
fn without_a_token_there_is_a_challenge() {
    let stage = Stage::set();
    let secret = &stage.ada.token.secret;
    stage.changes_nothing(|| {
        for (method, path) in CALLS {
            for lines in [
                String::new(),
                format!("authorization: Token {secret}\r\n"),
                format!("authorization: {secret}\r\n"),
                format!("proxy-authorization: Bearer {secret}\r\n"),
                format!("cookie: token={secret}\r\n"),
                format!("x-api-key: {secret}\r\n"),
            ] {
                let response = call(stage.server.main, &lines, method, path, "{}");
                says_no(&response, 401, "missing_credential");
                assert_eq!(response.header("www-authenticate"), NOBODY);
                assert_eq!(response.header("cache-control"), "no-store");
            }
            let target = format!("{path}?access_token={secret}");
            let response = call(stage.server.main, "", method, &target, "{}");
            says_no(&response, 401, "missing_credential");
        }
    });
}

#[test]
fn a_wrong_one_is_like_any_other_wrong_one() {
    let stage = Stage::set();
    let secret = &stage.ada.token.secret;
    let revoked = Caller::new(&stage.server, ADA, &SCOPES, &[]);
    stage.server.cli(["token", "revoke", &revoked.token.id]).done();
    let paused = Caller::new(&stage.server, ADA, &SCOPES, &[]);
    stage.server.cli(["token", "pause", &paused.token.id]).done();
    for wrong in [
        &stage.adas.secret,
        &revoked.token.secret,
        &paused.token.secret,
        &secret.to_uppercase(),
        &format!("{secret}x"),
        "x",
    ] {
        let line = format!("authorization: Bearer {wrong}\r\n");
        let response = call(stage.server.main, &line, "GET", "/v1/tokens", "");
        says_no(&response, 401, "unknown_token");
        assert_eq!(response.header("www-authenticate"), WRONG);
    }
    let twice = format!("authorization: Bearer {secret}\r\n").repeat(2);
    let response = call(stage.server.main, &twice, "GET", "/v1/tokens", "");
    says_no(&response, 401, "malformed_credential");
}

#[test]
fn whatever_happens_to_the_caller_counts_at_once() {
    let stage = Stage::set();
    let works = || assert_eq!(stage.bob.get("/v1/tokens").status, 200);
    let fails = || says_no(&stage.bob.get("/v1/tokens"), 401, "unknown_token");
    works();
    let [pause, resume, _, revoke] = changes_of_token(&stage.bob.token.id);
    assert_eq!(send(&stage.ada, &pause).status, 200);
    fails();
    assert_eq!(send(&stage.ada, &resume).status, 200);
    works();
    stage.server.cli(["account", "disable", super::BOB]).done();
    fails();
    stage.server.cli(["account", "enable", super::BOB]).done();
    works();
    stage.server.cli(["organization", "remove-member", "Default", super::BOB]).done();
    fails();
    stage.server.cli(["organization", "add-member", "Default", super::BOB]).done();
    works();
    // With its own token, too: the answer still arrives.
    assert_eq!(send(&stage.bob, &revoke).status, 200);
    fails();
    assert_eq!(stage.eve.get("/v1/tokens").status, 200);
    stage.server.cli(["organization", "close", "Other"]).done();
    says_no(&stage.eve.get("/v1/tokens"), 401, "unknown_token");
}

#[test]
fn a_token_for_certain_networks_is_forbidden_elsewhere() {
    let stage = Stage::set();
    let near = Caller::new(&stage.server, ADA, &SCOPES, &["--allowed-network", "127.0.0.1"]);
    assert_eq!(near.get("/v1/tokens").status, 200);
    let far = Caller::new(&stage.server, ADA, &SCOPES, &["--allowed-network", "192.0.2.0/24"]);
    for line in ["", "x-forwarded-for: 192.0.2.1\r\n", "x-real-ip: 192.0.2.1\r\n"] {
        let lines = format!("authorization: Bearer {}\r\n{line}", far.token.secret);
        let response = call(stage.server.main, &lines, "GET", "/v1/tokens", "");
        says_no(&response, 403, "network_not_allowed");
    }
}

/// A body that is held back must not hold back a revocation.
#[test]
fn a_request_that_is_not_whole_yet_is_judged_when_it_is() {
    let stage = Stage::set();
    let body = r#"{"api": "orders"}"#;
    let (first, last) = body.split_at(body.len() - 1);
    let command = ["token", "list", "--quiet", "--limit", "1000"];
    let tokens = || stage.server.cli(command).done().out.lines().count();
    let before = tokens();
    let mut wire = Wire::connect(stage.server.main).unwrap();
    wire.send(format!(
        "POST /v1/tokens HTTP/1.1\r\nhost: counterfoil\r\nauthorization: Bearer {}\r\n\
         content-length: {}\r\n\r\n{first}",
        stage.ada.token.secret,
        body.len()
    ))
    .unwrap();
    stage.server.cli(["token", "revoke", &stage.ada.token.id]).done();
    wire.send(last).unwrap();
    let answer = wire.read_response().unwrap();
    says_no(&answer, 401, "unknown_token");
    assert_eq!(tokens(), before);
}

#[test]
fn a_call_is_counted_once() {
    let stage = Stage::set();
    let count = |outcome: &str| {
        let line = format!(
            "counterfoil_requests_total{{door=\"management\",api=\"counterfoil\",outcome=\"{outcome}\"}} "
        );
        let metrics = stage.server.scrape();
        let found = metrics.lines().find_map(|other| other.strip_prefix(&line)).unwrap();
        found.parse::<u64>().unwrap()
    };
    let (admitted, refused) = (count("admitted"), count("unknown_token"));
    assert_eq!(stage.ada.get("/v1/tokens").status, 200);
    assert_eq!(stage.ada.post("/v1/tokens", &serde_json::json!({"api": "orders"})).status, 201);
    assert_eq!(
        call(stage.server.main, "authorization: Bearer x\r\n", "GET", "/v1/tokens", "").status,
        401
    );
    assert_eq!((count("admitted"), count("unknown_token")), (admitted + 2, refused + 1));
}
