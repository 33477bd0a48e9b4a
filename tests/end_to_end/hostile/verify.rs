//! At verify, alone and in a batch: a service hands on what it was sent.

use super::{Comes, Row, Stage, is_no_http, is_problem, is_too_large, outward, oversized, rows};
use crate::{
    caller::{Caller, says_no},
    installation::ADA,
    response::{Response, curl},
};
use serde_json::{Map, Value, json};

const SCOPES: [&str; 4] = ["orders:verify", "keyed:verify", "paired:verify", "basic:verify"];

fn service(stage: &Stage) -> Caller {
    Caller::new(&stage.server, ADA, &SCOPES, &[])
}

impl Row {
    /// The question that a service asks about it; none where a field is no text,
    /// which JSON has no way to say.
    fn asked(&self) -> Option<Value> {
        let mut headers = Map::new();
        for (name, value) in &self.fields {
            let value = json!(std::str::from_utf8(value).ok()?);
            let values = headers.entry(*name).or_insert_with(|| json!([]));
            values.as_array_mut().unwrap().push(value);
        }
        Some(json!({
            "api": self.api,
            "headers": headers,
            "method": self.method,
            "path": self.target,
            "client_address": "127.0.0.1",
        }))
    }
}

/// Checks one answer.
#[track_caller]
fn check(stage: &Stage, row: &Row, answer: &Value) {
    match &row.comes {
        Comes::Passes(identity) => {
            assert_eq!(answer["active"], true, "{row:?}: {answer}");
            assert_eq!(answer["token"].as_str().unwrap_or_default(), identity.token, "{row:?}");
            assert_eq!(answer["account"].as_str().unwrap_or_default(), identity.account, "{row:?}");
        }
        Comes::Refused(status, code) => {
            assert_eq!(answer["active"], false, "{row:?}: {answer}");
            assert_eq!(answer["code"], *code, "{row:?}");
            let refusal = &answer["refusal"];
            assert_eq!(refusal["status"], *status, "{row:?}");
            let body: Value = serde_json::from_str(refusal["body"].as_str().unwrap()).unwrap();
            assert_eq!(body["code"], outward(code), "{row:?}");
            let id = refusal["headers"]["x-request-id"].as_str().unwrap();
            assert_eq!(stage.true_code(id), *code, "{row:?}");
        }
        Comes::Ambiguous => panic!("{row:?}: {answer}"),
    }
}

#[test]
fn what_every_door_may_be_sent() {
    let stage = Stage::set();
    let service = service(&stage);
    stage.changes_nothing(|| {
        let rows = rows(&stage);
        let asked: Vec<(&Row, Value)> =
            rows.iter().filter_map(|row| Some((row, row.asked()?))).collect();
        // All but what is no text.
        assert_eq!(rows.len() - asked.len(), 1);
        let mut batch = Vec::new();
        for (row, question) in &asked {
            let answer = service.post("/v1/verify", question);
            if row.comes == Comes::Ambiguous {
                says_no(&answer, 400, "invalid_request");
                assert_eq!(answer.json()["field"], "path", "{row:?}");
            } else {
                assert_eq!(answer.status, 200, "{row:?}: {answer:?}");
                check(&stage, row, &answer.json());
                batch.push((row, question.clone()));
            }
        }
        let items: Vec<&Value> = batch.iter().map(|(_, question)| question).collect();
        let answers = service.post("/v1/verify/batch", &json!({ "items": items })).json();
        for ((row, _), answer) in batch.iter().zip(answers["items"].as_array().unwrap()) {
            check(&stage, row, answer);
        }
    });
    assert!(stage.upstream.take().is_empty(), "nothing is forwarded here");
}

#[test]
fn what_is_no_question() {
    let stage = Stage::set();
    let service = service(&stage);
    let secret = &stage.reader.secret;
    let of = |more: &str| format!(r#"{{"api": "orders", "secret": "{secret}"{more}}}"#);
    let with = |headers: &str| format!(r#"{{"api": "orders", "headers": {headers}}}"#);
    let many = format!(r#"{{"a": [{}]}}"#, vec![r#""b""#; 201].join(", "));
    let rows = [
        ("a field that is not known", of(r#", "scpoe": "read""#), 400, "invalid_request", "scpoe"),
        ("a field twice", of(r#", "api": "orders""#), 400, "invalid_request", "api"),
        ("a field of another kind", of(r#", "path": 7"#), 400, "invalid_request", "path"),
        ("no API", r#"{"secret": "x"}"#.to_owned(), 400, "invalid_request", "api"),
        (
            "an API that is not there",
            of("").replacen("orders", "nothing", 1),
            403,
            "forbidden",
            "api",
        ),
        (
            "the management API",
            of("").replacen("orders", "counterfoil", 1),
            403,
            "forbidden",
            "api",
        ),
        ("a NUL in a field", with(r#"{"x-nul": "a\u0000b"}"#), 400, "invalid_request", "headers"),
        ("a NUL in its name", with(r#"{"x-\u0000nul": "a"}"#), 400, "invalid_request", "headers"),
        ("a line that ends", with(r#"{"x": "a\r\nb: c"}"#), 400, "invalid_request", "headers"),
        ("201 lines", with(&many), 400, "invalid_request", "headers"),
        (
            "an address that is none",
            of(r#", "client_address": "x""#),
            400,
            "invalid_request",
            "client_address",
        ),
        ("a scope that is none", of(r#", "scope": "a b""#), 400, "invalid_request", "scope"),
        ("a NUL in the path", of(r#", "path": "/\u0000""#), 400, "invalid_request", "path"),
        ("half a character", of(r#", "path": "/\ud800""#), 400, "invalid_json", ""),
        ("no JSON", of(", oops"), 400, "invalid_json", ""),
        ("two of them", of("") + "{}", 400, "invalid_json", ""),
        ("a list", format!("[{}]", of("")), 400, "invalid_request", ""),
        (
            "too much of it",
            of(&format!(r#", "path": "/{}""#, "x".repeat(1 << 20))),
            413,
            "body_too_large",
            "",
        ),
    ];
    stage.changes_nothing(|| {
        for (what, body, status, code, field) in &rows {
            let alone = service.call("POST", "/v1/verify", body);
            says_no(&alone, *status, code);
            let named = alone.json()["field"].as_str().unwrap_or_default().to_owned();
            assert_eq!(named, *field, "{what}: {alone:?}");
            if *code == "invalid_json" {
                assert!(
                    alone.json()["detail"].as_str().unwrap().contains(" line 1 column "),
                    "{what}"
                );
            }
            // One such item spoils the batch.
            let batch = format!(r#"{{"items": [{}, {body}]}}"#, of(""));
            let together = service.call("POST", "/v1/verify/batch", &batch);
            assert_eq!(together.status, *status, "{what}: {together:?}");
            if !field.is_empty() {
                assert_eq!(together.json()["field"], format!("items[1].{field}"), "{what}");
            }
        }
        let bytes = [b"{\"api\": \"orders\", \"secret\": \"", &b"\xff\xfe"[..], b"\"}"].concat();
        is_problem("no UTF-8", &post(&stage, &service, "", &bytes), 400, "invalid_json");
    });
}

/// What comes of a body that need not be text.
fn post(stage: &Stage, service: &Caller, lines: &str, body: &[u8]) -> Response {
    super::exchange(stage.server.main, &whole(service, lines, body))
}

fn whole(service: &Caller, lines: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST /v1/verify HTTP/1.1\r\nhost: counterfoil\r\nauthorization: Bearer {}\r\n{lines}\
         content-length: {}\r\n\r\n",
        service.token.secret,
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// The service's own request may be hostile too.
#[test]
fn who_asks() {
    let stage = Stage::set();
    let service = service(&stage);
    let body = json!({"api": "orders", "secret": stage.reader.secret}).to_string();
    let send = |lines: &str| post(&stage, &service, lines, body.as_bytes());
    stage.changes_nothing(|| {
        for (name, lines) in oversized() {
            let answer = send(&lines);
            assert_eq!(answer.status, 431);
            is_too_large(name, &answer);
        }
        let request = whole(&service, "x-nul: a\0b\r\n", body.as_bytes());
        is_no_http(stage.server.main, "a NUL in a field", &request);
        let twice = format!("authorization: Bearer {}\r\n", service.token.secret);
        stage.is_refused("two Authorization headers", &send(&twice), 401, "malformed_credential");
        for forged in ["x-counterfoil-account: root\r\n", "x-original-url: /v1/tokens\r\n"] {
            assert_eq!(send(forged).json()["token"], stage.reader.id, "{forged}");
        }
        // Who may ask about an API manages nothing, under whatever method or path.
        let methods = ["GET", "PUT", "DELETE", "OPTIONS", "BREW", "post"];
        for method in methods {
            says_no(&service.call(method, "/v1/verify", &body), 405, "method_not_allowed");
        }
        for path in ["/v1/verify/../tokens", "//v1/verify", "/v1/%76erify", "/v1/verify/"] {
            says_no(&service.call("POST", path, &body), 404, "not_found");
        }
    });
}

#[test]
fn a_peer_outside_the_trusted_proxies() {
    let stage = Stage::set();
    let bound = Caller::new(&stage.server, ADA, &SCOPES, &["--allowed-network", "192.0.2.0/24"]);
    let bearer = format!("Authorization: Bearer {}", bound.token.secret);
    let service = service(&stage);
    let body = json!({"api": "orders", "secret": stage.reader.secret}).to_string();
    stage.changes_nothing(|| {
        for line in
            ["X-Forwarded-For: 192.0.2.1", "X-Real-IP: 192.0.2.1", "Forwarded: for=192.0.2.1"]
        {
            let arguments = ["--header", &bearer, "--header", line, "--data", &body];
            let answer = curl(stage.server.main, "/v1/verify", arguments);
            stage.is_refused(line, &answer, 403, "network_not_allowed");
        }
        // Nor does what is asked about choose its address: that is a field of its own.
        let headers = json!({
            "authorization": format!("Bearer {}", stage.bound.secret),
            "x-forwarded-for": "192.0.2.1",
            "x-real-ip": "192.0.2.1",
        });
        let question = json!({"api": "orders", "headers": headers});
        assert_eq!(service.post("/v1/verify", &question).json()["code"], "network_not_allowed");
    });
}
