//! The audit log: who sees which part of the ledger, and what is in it.

use super::{ADA, ADMINISTRATORS, BOB, Stage, is_forbidden, send};
use crate::{
    caller::{Caller, SCOPES, says_no},
    response::Response,
    wire::Wire,
};
use counterfoil_core::{
    ledger::{EntryHash, Head, check},
    token::Digest,
};
use serde_json::{Value, json};
use std::fmt::Write as _;

#[track_caller]
fn items(response: &Response) -> Vec<Value> {
    assert_eq!(response.status, 200, "{response:?}");
    response.json()["items"].as_array().unwrap().clone()
}

fn kinds(items: &[Value]) -> Vec<&str> {
    items.iter().map(|item| item["kind"].as_str().unwrap()).collect()
}

/// All of it, and that the parts are as the whole.
#[track_caller]
fn everything(caller: &Caller) -> Vec<Value> {
    let whole = items(&caller.get("/v1/audit?limit=1000"));
    let (mut parts, mut after) = (Vec::new(), 0);
    loop {
        let part = caller.get(&format!("/v1/audit?limit=3&after={after}"));
        parts.extend(items(&part));
        match part.json()["next_cursor"].as_str() {
            Some(next) => after = next.parse().unwrap(),
            None => break,
        }
    }
    assert_eq!(parts, whole);
    let lines = caller.read_with("accept: application/jsonl\r\n", "/v1/audit");
    assert_eq!(lines.header("content-type"), "application/jsonl");
    let lines: Vec<Value> =
        lines.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines, whole);
    whole
}

#[test]
fn an_administrator_sees_the_organizations_part_and_no_more() {
    let stage = Stage::set();
    let path = format!("/v1/tokens/{}/revoke", stage.bobs.id);
    stage.ada.post(&path, &json!({"reason": "it was in a screenshot"}));
    let bot = format!("/v1/accounts/{}", stage.bot.owner);
    send(&stage.ada, &("PATCH", bot, json!({"state": "disabled"})));
    let (ours, theirs) = (everything(&stage.ada), everything(&stage.eve));
    let revoked = ours.iter().find(|item| item["kind"] == "token_revoked").unwrap();
    assert_eq!(revoked["subject"], json!({"kind": "token", "id": stage.bobs.id}));
    assert_eq!(revoked["details"], json!({"reason": "it was in a screenshot"}));
    assert_eq!(
        revoked["actor"],
        json!({"kind": "token", "account": stage.adas.owner, "token": stage.ada.token.id})
    );
    assert!(kinds(&ours).contains(&"account_disabled"));

    // What was done with one token, which may have been a thief's.
    let with_it = format!("/v1/audit?actor={}", stage.ada.token.id);
    assert_eq!(kinds(&items(&stage.ada.get(&with_it))), ["token_revoked", "account_disabled"]);
    assert!(items(&stage.eve.get(&with_it)).is_empty());
    let both = format!("{with_it}&subject={}", stage.bobs.id);
    assert_eq!(kinds(&items(&stage.ada.get(&both))), ["token_revoked"]);

    let operators = stage.server.cli(["audit", "--json", "--limit", "1000"]).done().json();
    let operators = operators["items"].as_array().unwrap().clone();
    let seqs =
        |items: &[Value]| items.iter().map(|i| i["seq"].as_u64().unwrap()).collect::<Vec<_>>();
    let (all, ours, theirs) = (seqs(&operators), seqs(&ours), seqs(&theirs));
    assert_eq!(all, (1..=all.len() as u64).collect::<Vec<_>>());
    assert!(ours.iter().all(|seq| !theirs.contains(seq)), "{ours:?} {theirs:?}");
    assert_eq!(ours.len() + theirs.len(), all.len(), "{operators:#?}");
    // Asking for somebody else's part gets nothing.
    let elsewhere = format!("/v1/audit?organization={}", stage.other_organization());
    assert_eq!(items(&stage.ada.get(&elsewhere)), Vec::<Value>::new());
    let about = format!("/v1/audit?subject={}", stage.eves.id);
    assert_eq!(items(&stage.ada.get(&about)), Vec::<Value>::new());
    assert_eq!(kinds(&items(&stage.eve.get(&about))), ["token_issued"]);
}

#[test]
fn members_and_tokens_without_the_scope_see_nothing() {
    let stage = Stage::set();
    is_forbidden(&stage.bob.get("/v1/audit"), ADMINISTRATORS);
    let without: Vec<&str> =
        SCOPES.iter().copied().filter(|scope| *scope != "audit:read").collect();
    let caller = Caller::new(&stage.server, ADA, &without, &[]);
    says_no(&caller.get("/v1/audit"), 403, "forbidden");
    says_no(&stage.ada.get("/v1/ledger"), 403, "forbidden");
    for wrong in
        ["after=-1", "after=x", "subject=x", "limit=-1", "before=1", "after=99999999999999999999"]
    {
        says_no(&stage.ada.get(&format!("/v1/audit?{wrong}")), 400, "invalid_request");
    }
    // Behind the end there is nothing yet.
    assert!(items(&stage.ada.get(&format!("/v1/audit?after={}", u64::MAX))).is_empty());
}

#[test]
fn another_address_is_told_to_whom_the_account_belongs() {
    let stage = Stage::set();
    let email = "robert@example.com";
    stage.server.cli(["account", "set-email", BOB, email]).done();
    let ours = everything(&stage.ada);
    let last = ours.last().unwrap();
    assert_eq!(last["kind"], "email_set");
    assert_eq!(last["actor"], json!({"kind": "operator"}));
    assert_eq!(last["organization"], Value::Null);
    assert_eq!(last["subject"], json!({"kind": "account", "id": stage.bobs.owner}));
    assert_eq!(last["details"], json!({"email": email}));
    let theirs = everything(&stage.eve);
    assert!(!kinds(&theirs).contains(&"email_set"));
    // The chain goes where copies go: no address is in it.
    let exported = stage.server.cli(["ledger", "export"]).done().out;
    assert!(exported.contains("email_set") && !exported.contains("example.com"));
}

#[test]
fn it_tells_no_secret_no_digest_and_no_password() {
    let stage = Stage::set();
    let server = &stage.server;
    let rotated =
        stage.ada.post(&format!("/v1/tokens/{}/rotate", stage.adas.id), &json!({"overlap": 60}));
    let rotated = rotated.json()["secret"].as_str().unwrap().to_owned();
    let file = server.home().join("password");
    std::fs::write(&file, "tr0ub4dor-and-3").unwrap();
    let command = ["account", "set-password", BOB, "--password-file"];
    server
        .cli(command.iter().map(|word| (*word).to_owned()).chain([file.display().to_string()]))
        .done();
    let told = server.cli(["audit", "--json", "--limit", "1000"]).done().out;
    let exported = server.cli(["ledger", "export"]).done().out;
    assert!(told.contains("password_set") && told.contains("token_rotated"));
    // The password is the person's: the organization does not hear of it.
    assert!(!stage.ada.get("/v1/audit?limit=1000").text().contains("password_set"));
    for text in [&told, &exported] {
        for secret in [&stage.adas.secret, &rotated, &stage.ada.token.secret] {
            assert!(!text.contains(secret.as_str()));
            let digest = serde_json::to_value(Digest::of(secret)).unwrap();
            assert!(!text.contains(digest.as_str().unwrap()));
        }
        assert!(!text.contains("argon2") && !text.contains("tr0ub4dor"));
    }
}

#[test]
fn the_chain_can_be_followed_elsewhere() {
    let stage = Stage::set();
    let verified = stage.server.cli(["ledger", "verify", "--json"]).done().json();
    let exported = stage.server.cli(["ledger", "export"]).done().out;
    let follow = |text: &str, mut head: Head| {
        for line in text.lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            let hash = line["hash"].as_str().unwrap();
            let hash: Vec<u8> =
                (0..32).map(|n| u8::from_str_radix(&hash[2 * n..2 * n + 2], 16).unwrap()).collect();
            let entry = line["entry"].as_str().unwrap();
            (head, ..) = check(head, entry.as_bytes(), &hash, None).unwrap();
        }
        head
    };
    let head = follow(&exported, Head::EMPTY);
    assert_eq!(head.number, verified["entries"].as_u64().unwrap());
    assert_eq!(head.hash.to_string(), verified["head"].as_str().unwrap());
    // The rest of it follows from what is known; with no server running, too.
    let seventh = follow(&exported.lines().take(7).collect::<Vec<_>>().join("\n"), Head::EMPTY);
    let Stage { server, .. } = stage;
    let installation = server.stop();
    let rest = installation.cli(["ledger", "export", "--after", "7"]).done().out;
    assert_eq!(follow(&rest, seventh), head);
    assert_eq!(EntryHash([0; 32]), Head::EMPTY.hash);
}

#[test]
fn a_copy_shows_what_was_written_anew() {
    let stage = Stage::set();
    let copy = stage.server.home().join("chain.jsonl");
    let exported = stage.server.cli(["ledger", "export"]).done().out;
    let keep = |text: &str| std::fs::write(&copy, text).unwrap();
    let compare = || {
        let command = ["ledger", "verify", "--against", copy.to_str().unwrap()];
        stage.server.cli(command)
    };
    // The ledger may have grown since; a part of it will do.
    stage.server.issue("orders", &[]);
    for part in [0, 5] {
        keep(&exported.lines().skip(part).collect::<Vec<_>>().join("\n"));
        compare().done();
    }
    let other = exported.lines().nth(3).unwrap();
    let hash = &serde_json::from_str::<Value>(other).unwrap()["hash"];
    keep(&exported.replace(hash.as_str().unwrap(), &"0".repeat(64)));
    assert!(compare().failed(1).contains("entry 4 is not the one of the copy"));
    let last = exported.lines().last().unwrap();
    let number = serde_json::from_str::<Value>(last).unwrap()["number"].as_u64().unwrap();
    let more = last.replace(&format!("\"number\":{number}"), "\"number\":1000");
    keep(&format!("{exported}{more}\n"));
    assert!(compare().failed(1).contains("is not the one of the copy"));
    keep("{}\n");
    assert!(compare().failed(2).contains("line 1 of"));
    let beyond = stage.server.cli(["ledger", "export", "--after", "1000"]).failed(1);
    assert!(beyond.contains("the ledger has"), "{beyond}");
}

/// More entries than a connection takes whose other end reads nothing.
fn fill(stage: &Stage) {
    let order = json!({"api": "orders", "from": "sha256", "entropy_bits": 192});
    let mut lines = format!("{order}\n");
    let metadata = json!({"text": "x".repeat(4000)});
    for n in 0..4000 {
        let digest = serde_json::to_value(Digest::of(&n.to_string())).unwrap();
        let row = json!({"digest": digest, "owner": ADA, "name": "filler", "metadata": metadata});
        writeln!(lines, "{row}").unwrap();
    }
    let answer = stage.server.operator().unwrap().call("POST", "/v1/tokens/import", &lines);
    let answer = answer.unwrap();
    assert!(answer.text().lines().last().unwrap().contains("\"imported\":4000"), "{answer:?}");
}

#[test]
fn readers_who_read_nothing_are_few_and_in_nobody_elses_way() {
    let stage = Stage::set();
    fill(&stage);
    let line = "accept: application/jsonl\r\n";
    let mut held: Vec<_> = (0..4)
        .map(|_| {
            let mut wire = Wire::connect(stage.server.main).unwrap();
            wire.send(format!(
                "GET /v1/audit HTTP/1.1\r\nhost: counterfoil\r\n{line}\
                 authorization: Bearer {}\r\n\r\n",
                stage.ada.token.secret
            ))
            .unwrap();
            assert!(wire.read_head().unwrap().starts_with("HTTP/1.1 200"));
            wire
        })
        .collect();
    says_no(&stage.ada.read_with(line, "/v1/audit"), 503, "busy");
    // In parts it can be read, none of them large; and others are not concerned.
    let part = stage.ada.get("/v1/audit?limit=1000");
    assert!(part.body.len() < 2 << 20, "{}", part.body.len());
    assert!(part.json()["items"].as_array().unwrap().len() < 1000);
    assert!(part.json()["next_cursor"].is_string());
    assert_eq!(stage.eve.read_with(line, "/v1/audit").status, 200);
    // Whoever reads on gets all of it, and makes room.
    let mut last = Vec::new();
    let mut reading = held.pop().unwrap();
    loop {
        let piece = reading.read_chunk().unwrap();
        if piece.is_empty() {
            break;
        }
        last = piece;
    }
    let last = String::from_utf8(last).unwrap();
    let last: Value = serde_json::from_str(last.lines().last().unwrap()).unwrap();
    assert_eq!(last["kind"], "token_imported");
    assert_eq!(stage.ada.read_with(line, "/v1/audit?limit=1").status, 200);
}
