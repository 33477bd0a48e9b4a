//! Secrets that have leaked are ended by whoever found them.

use crate::{
    caller::{call, says_no},
    installation::{ADA, Installation},
    process::PATIENCE,
    response::Response,
    server::Server,
    upstream::Upstream,
    wire::Wire,
};
use serde_json::{Value, json};
use std::time::Instant;

fn report(server: &Server, body: &Value) -> Response {
    call(server.main, "", "POST", "/v1/revoke", &body.to_string())
}

fn started(upstream: &Upstream) -> Server {
    let api = format!("[api.orders]\nupstream = \"{}\"\n", upstream.url());
    Installation::new(&api).set_up().start()
}

fn status(server: &Server, secret: &str) -> u16 {
    server.curl("/orders/x", ["-H", &format!("Authorization: Bearer {secret}")]).status
}

/// A graceful stop waits for what was reported; so the ledger has it then.
fn entries_after_stop(server: Server, kind: &str) -> Vec<Value> {
    let installation = server.stop();
    let audit = installation.cli(["audit", "--json", "--limit", "1000"]).done().json();
    let items = audit["items"].as_array().unwrap().iter();
    items.filter(|item| item["kind"] == kind).cloned().collect()
}

#[test]
fn a_leaked_secret_ends_its_token() {
    let upstream = Upstream::start();
    let server = started(&upstream);
    let (leaked, other) = (server.issue("orders", &[]), server.issue("orders", &[]));
    assert_eq!(status(&server, &leaked.secret), 200);
    let answer =
        report(&server, &json!({"secrets": [format!(" {}\n", leaked.secret), "nonsense"]}));
    assert_eq!(answer.status, 202, "{answer:?}");
    assert_eq!(answer.json(), json!({"received": 2}));
    // Revoked means revoked: also by whoever found it, and for good.
    assert_eq!(status(&server, &leaked.secret), 401);
    let server = server.kill().start();
    assert_eq!(status(&server, &leaked.secret), 401);
    // The same answer again, and for what never was a token.
    let again = report(&server, &json!({"secrets": [leaked.secret, "nonsense"]}));
    let never = report(&server, &json!({"secrets": ["nothing", "at all"]}));
    assert_eq!((again.status, again.text()), (202, answer.text()));
    assert_eq!((never.status, never.text()), (202, answer.text()));

    let server = {
        let installation = server.stop();
        let audit = installation.cli(["audit", "--json", "--limit", "1000"]).done().json();
        let revoked = audit["items"].as_array().unwrap().last().unwrap().clone();
        assert_eq!(revoked["kind"], "token_revoked");
        assert_eq!(revoked["subject"]["id"], leaked.id);
        assert_eq!(revoked["actor"], json!({"kind": "leak_report"}));
        assert_eq!(revoked["details"], json!({"reason": "reported as leaked"}));
        installation.cli(["ledger", "verify"]).done();
        installation.start()
    };
    assert_eq!(status(&server, &leaked.secret), 401);
    assert_eq!(status(&server, &other.secret), 200);
}

#[test]
fn a_secret_that_ended_already_ends_nothing_more() {
    let upstream = Upstream::start();
    let server = started(&upstream);
    let rotated = server.issue("orders", &[]);
    let kept = server.issue("orders", &[]);
    server.cli(["token", "rotate", &rotated.id]).done();
    server.cli(["token", "rotate", &kept.id, "--overlap", "1h"]).done();
    // The first secret is gone; the second still works, and whoever has it could use it.
    let body = json!({"secrets": [rotated.secret, kept.secret]});
    assert_eq!(report(&server, &body).status, 202);
    let revoked = entries_after_stop(server, "token_revoked");
    assert_eq!(revoked.len(), 1, "{revoked:#?}");
    assert_eq!(revoked[0]["subject"]["id"], kept.id);
}

#[test]
fn tokens_of_the_management_api_leak_too() {
    let upstream = Upstream::start();
    let server = started(&upstream);
    let token = server.issue("counterfoil", &["--scope", "tokens:read"]);
    let (paused, expired) =
        (server.issue("orders", &[]), server.issue("orders", &["--expires-in", "1s"]));
    server.cli(["token", "pause", &paused.id]).done();
    let deadline = Instant::now() + PATIENCE;
    while status(&server, &expired.secret) == 200 {
        assert!(Instant::now() < deadline, "it does not expire");
    }
    let body = json!({"secrets": [token.secret, paused.secret, expired.secret]});
    assert_eq!(report(&server, &body).status, 202);
    let mut revoked: Vec<Value> = entries_after_stop(server, "token_revoked")
        .into_iter()
        .map(|entry| entry["subject"]["id"].clone())
        .collect();
    revoked.sort_by_key(ToString::to_string);
    let mut expected = vec![json!(token.id), json!(paused.id)];
    expected.sort_by_key(ToString::to_string);
    assert_eq!(revoked, expected);
}

#[test]
fn what_is_no_report_changes_nothing() {
    let upstream = Upstream::start();
    let server = started(&upstream);
    let token = server.issue_to(ADA, "orders", &[]);
    let many: Vec<&str> = std::iter::repeat_n(token.secret.as_str(), 101).collect();
    for (body, field) in [
        (json!({"secrets": many}), Some("secrets")),
        (json!({"secrets": []}), Some("secrets")),
        (json!({"secrets": token.secret}), Some("secrets")),
        (json!({"secrets": [7]}), Some("secrets[0]")),
        (json!({"secret": token.secret}), Some("secret")),
        (json!({}), Some("secrets")),
    ] {
        let answer = report(&server, &body);
        says_no(&answer, 400, "invalid_request");
        assert_eq!(answer.json()["field"].as_str(), field, "{body}");
        assert!(!answer.text().contains(&token.secret), "{}", answer.text());
    }
    let got = call(server.main, "", "GET", "/v1/revoke", "");
    says_no(&got, 405, "method_not_allowed");
    assert_eq!(status(&server, &token.secret), 200);
    assert!(entries_after_stop(server, "token_revoked").is_empty());
}

#[test]
fn one_address_reports_so_often_and_no_more() {
    let upstream = Upstream::start();
    let server = started(&upstream);
    let body = json!({"secrets": ["x"]});
    // At most two windows of thirty begin while these run.
    let use_up = || {
        let answers: Vec<Response> = std::thread::scope(|scope| {
            let asking: Vec<_> = (0..91).map(|_| scope.spawn(|| report(&server, &body))).collect();
            asking.into_iter().map(|answer| answer.join().unwrap()).collect()
        });
        let refused = answers.into_iter().find(|answer| answer.status != 202);
        refused.expect("somebody is stopped")
    };
    let refused = use_up();
    says_no(&refused, 429, "rate_limited");
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=60).contains(&wait));
    // Whoever used them up keeps nobody's token alive.
    loop {
        let leaked = server.issue("orders", &[]);
        let reported = report(&server, &json!({"secrets": [leaked.secret]}));
        assert_eq!(status(&server, &leaked.secret), 401);
        if reported.status == 429 {
            assert_eq!(reported.json()["detail"], refused.json()["detail"]);
            break;
        }
        // The next window had begun.
        use_up();
    }
}

/// Strangers send reports as slowly as they like.
#[test]
fn slow_reports_keep_nobody_else_out() {
    let upstream = Upstream::start();
    let api = format!("[api.orders]\nupstream = \"{}\"\n", upstream.url());
    let mut installation = Installation::new(&api).set_up();
    let limited = ["sh", "-c", "ulimit -n 256 && exec \"$@\"", "sh"];
    installation.call_through(limited.map(str::to_owned).to_vec());
    let server = installation.start();
    let token = server.issue("orders", &[]);
    // Each is told to go on once its body is waited for.
    let head = "POST /v1/revoke HTTP/1.1\r\nhost: counterfoil\r\nexpect: 100-continue\r\n\
                content-type: application/json\r\ncontent-length: 100\r\n\r\n";
    let mut slow: Vec<_> = (0..40)
        .map(|_| {
            let mut wire = Wire::connect(server.main).unwrap();
            wire.send(head).unwrap();
            wire
        })
        .collect();
    for wire in &mut slow[..10] {
        assert!(wire.read_head().unwrap().starts_with("HTTP/1.1 100"));
    }
    let question = "GET /auth/orders HTTP/1.1\r\nhost: counterfoil\r\n\
                    x-original-method: GET\r\nx-original-uri: /x\r\n";
    let question = format!("{question}authorization: Bearer {}\r\n\r\n", token.secret);
    let scrape = "GET /metrics HTTP/1.1\r\nhost: counterfoil\r\n\r\n";
    let kept: Vec<_> = (0..5)
        .map(|_| {
            let mut asking = Wire::connect(server.forward_auth).unwrap();
            assert_eq!(asking.exchange(&question).unwrap().status, 200);
            let mut scraping = Wire::connect(server.metrics).unwrap();
            assert_eq!(scraping.exchange(scrape).unwrap().status, 200);
            (asking, scraping)
        })
        .collect();
    // They are not waited for for long.
    let answer = slow[0].read_response().unwrap();
    says_no(&answer, 408, "body_too_slow");
    assert!(answer.text().contains("longer than 5 seconds"), "{}", answer.text());
    drop(kept);
}
