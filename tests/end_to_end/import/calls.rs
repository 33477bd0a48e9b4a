//! The call behind the command.

use super::{ADA, Stage, id, json_lines, ledger, sha256, tokens};
use crate::{
    caller::{Caller, SCOPES, says_no},
    server::Server,
};
use serde_json::{Value, json};

const PATH: &str = "/v1/tokens/import";

fn order() -> Value {
    json!({"api": "orders", "from": "sha256", "entropy_bits": 192})
}

/// The lines of an answer.
fn lines(server: &Server, lines: &[Value]) -> Vec<Value> {
    let response = server.operator().unwrap().call("POST", PATH, &json_lines(lines)).unwrap();
    assert_eq!(response.status, 200, "{response:?}");
    assert_eq!(response.header("content-type"), "application/jsonl");
    response.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn it_answers_with_progress_and_an_outcome() {
    let stage = Stage::set().start();
    let server = &stage.installation;
    let row = |n: u32| {
        let name = n.to_string();
        json!({"line": 100 + n, "digest": sha256(&name), "owner": ADA, "name": name})
    };
    let rows: Vec<Value> = std::iter::once(order()).chain((0..2500).map(row)).collect();
    let answer = lines(server, &rows);
    let steps: Vec<(&Value, &Value, &Value)> =
        answer.iter().map(|step| (&step["checked"], &step["written"], &step["of"])).collect();
    let none = &Value::Null;
    assert_eq!(
        steps,
        [
            (&json!(0), none, &json!(2500)),
            (&json!(1000), none, &json!(2500)),
            (&json!(2000), none, &json!(2500)),
            (&json!(2500), none, &json!(2500)),
            (none, &json!(1000), &json!(2500)),
            (none, &json!(2000), &json!(2500)),
            (none, none, none),
        ]
    );
    assert_eq!(
        answer[6],
        json!({"api": "orders", "dry_run": false, "rows": 2500, "imported": 2500, "skipped": [],
            "wrong": 0, "mistakes": []})
    );
    let again = lines(server, &rows[..3]);
    assert_eq!(again.last().unwrap()["skipped"][0]["reason"], "known");
    assert_eq!(again.last().unwrap()["skipped"][0]["lines"], json!([100, 101]));
    // They are listed as they came, and each is an entry of the ledger.
    let listed = server.cli(["token", "list", "--limit", "1000", "--json"]).done().json();
    let names = listed["items"].as_array().unwrap().iter().map(|item| item["name"].as_str());
    assert!(
        names.eq((0..1000)
            .map(|n: u32| n.to_string())
            .collect::<Vec<_>>()
            .iter()
            .map(|n| Some(&**n)))
    );
    assert_eq!(ledger(server).0, 3 + 4 + 2500);
    let first = listed["items"][0]["id"].as_str().unwrap();
    let mut operator = server.operator().unwrap();
    let audit = operator.call("GET", &format!("/v1/audit?subject={first}"), "").unwrap().json();
    let entry = &audit["items"][0];
    assert_eq!(entry["kind"], "token_imported");
    assert_eq!(entry["details"]["imported_from"], "sha256");
    assert_eq!(entry["details"]["entropy_bits"], 192);
    assert!(!audit.to_string().contains(&sha256("0")));
}

#[test]
fn a_stop_waits_for_it() {
    let stage = Stage::set().start();
    let rows = 20_000;
    let row = |n: u32| json!({"digest": sha256(&n.to_string()), "owner": ADA});
    let body: Vec<Value> = std::iter::once(order()).chain((0..rows).map(row)).collect();
    let body = json_lines(&body);
    let mut listener = stage.installation.operator().unwrap();
    let head =
        format!("POST {PATH} HTTP/1.1\r\nhost: operator\r\ncontent-length: {}\r\n\r\n", body.len());
    listener.send(head + &body).unwrap();
    assert!(listener.read_head().unwrap().starts_with("HTTP/1.1 200 "));
    // It has begun, and nobody listens any more.
    assert_eq!(listener.read_chunk().unwrap(), b"{\"checked\":0,\"of\":20000}\n");
    drop(listener);
    stage.installation.process().terminate();
    let (status, log, installation) = stage.installation.wait();
    assert!(status.success(), "{log}");
    let logged = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let logged: Vec<Value> = logged.filter(|line| line["message"] == "imported").collect();
    let [line] = &logged[..] else { panic!("{log}") };
    for (count, expected) in [("rows", 20_000), ("tokens", 20_000), ("skipped", 0), ("wrong", 0)] {
        assert_eq!(line[count], expected, "{line}");
    }
    assert_eq!(ledger(&installation).0, 3 + 4 + u64::from(rows));
}

#[test]
fn it_is_the_operators() {
    let stage = Stage::set().start();
    let server = &stage.installation;
    let ada = Caller::new(server, ADA, &SCOPES, &[]);
    let owner = id(server, ADA);
    let row = json!({"digest": sha256("x"), "owner": owner});
    says_no(&ada.call("POST", PATH, &json_lines(&[order(), row])), 403, "forbidden");
    assert_eq!(tokens(server).len(), 1);
}

#[test]
fn a_body_that_is_wrong_changes_nothing() {
    let stage = Stage::set().start();
    let server = &stage.installation;
    let before = ledger(server);
    let row = json!({"digest": sha256("x"), "owner": ADA});
    let mut guessable = order();
    guessable["entropy_bits"] = json!(64);
    let mut typed = row.clone();
    typed["expire_at"] = json!("2027-01-31T00:00:00Z");
    let long = json!({"digest": sha256("x"), "note": "x".repeat(70_000)});
    for (lines, status, detail) in [
        (String::new(), 400, "line 1: expected an object that says what holds for all rows"),
        (json_lines(std::slice::from_ref(&row)), 400, "line 1: digest: unknown field `digest`"),
        (
            json_lines(&[guessable, row.clone()]),
            400,
            "entropy_bits: at least 128: whoever sees the",
        ),
        (json_lines(&[order(), row.clone(), typed]), 400, "line 3: expire_at: unknown field"),
        (json_lines(&[order()]) + "{\"digest\": hunter2", 400, "line 2: the body is not JSON"),
        (json_lines(&[order()]) + "{\"digest\": \"hunter2\"}", 400, "line 2: digest: expected 64"),
        (json_lines(&[order(), long]), 413, "line 2 is longer than 65536 bytes"),
    ] {
        let response = server.operator().unwrap().call("POST", PATH, &lines).unwrap();
        let code = if status == 413 { "body_too_large" } else { "" };
        assert_eq!(response.status, status, "{response:?}");
        let problem = response.json();
        assert!(code.is_empty() || problem["code"] == code, "{problem}");
        let said = problem["detail"].as_str().unwrap();
        assert!(said.starts_with(detail), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
    assert!(tokens(server).is_empty());
    assert_eq!(ledger(server), before);
}
