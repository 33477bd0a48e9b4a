//! Refusals look alike: what the caller may not learn from the words, status,
//! headers or their order, the caller does not learn.

use super::{CONTRACTS, Contract, Stage};
use crate::{
    installation::{ADA, Installation, Token},
    process::PATIENCE,
};
use std::time::Instant;

const BOB: &str = "bob@example.com";

/// A token of Bob's for each reason why one can be refused, all else being in order.
fn tokens(
    contract: &Contract,
    stage: &Stage,
    stranger: &Installation,
) -> Vec<(&'static str, Token)> {
    let server = &stage.server;
    let revoked = issue(contract, server, &[]);
    server.cli(["token", "revoke", &revoked.id]).done();
    let paused = issue(contract, server, &[]);
    server.cli(["token", "pause", &paused.id]).done();
    let rotated = issue(contract, server, &[]);
    server.cli(["token", "rotate", &rotated.id]).done();
    let overlapped = issue(contract, server, &[]);
    server.cli(["token", "rotate", &overlapped.id, "--overlap", "1s"]).done();
    let expired = issue(contract, server, &["--expires-in", "1s"]);

    let gone = format!("Closed to {}", contract.api);
    server.cli(["organization", "create", "--name", &gone]).done();
    server.cli(["organization", "add-member", &gone, BOB]).done();
    let there = [contract.grant, &["--organization", &gone]].concat();
    let closed = server.issue_to(BOB, contract.api, &there);
    server.cli(["organization", "close", &gone]).done();

    let other_api = if contract.api == "togai" { "facets" } else { "togai" };
    let elsewhere = server.issue_to(BOB, other_api, &["--organization", "Default"]);
    let mut mistyped = issue(contract, server, &[]);
    let last = if mistyped.secret.ends_with('x') { "y" } else { "x" };
    mistyped.secret.replace_range(mistyped.secret.len() - 1.., last);
    let nonsense = Token { secret: "nonsense".to_owned(), ..mistyped.clone() };

    vec![
        ("unknown", issue(contract, stranger, &[])),
        ("revoked", revoked),
        ("paused", paused),
        ("rotated", rotated),
        ("overlapped", overlapped),
        ("expired", expired),
        ("organization closed", closed),
        ("wrong API", elsewhere),
        ("mistyped", mistyped),
        ("nonsense", nonsense),
    ]
}

fn issue(contract: &Contract, at: &Installation, more: &[&str]) -> Token {
    let home = ["--organization", "Default"];
    at.issue_to(BOB, contract.api, &[contract.grant, &home, more].concat())
}

/// What sends the token with all that belongs to it, as Bob would.
fn send(contract: &Contract, token: &Token) -> Vec<String> {
    let arguments = (contract.send)(token);
    arguments.into_iter().map(|argument| argument.replace(ADA, BOB)).collect()
}

#[test]
fn a_credential_that_is_not_proven_gets_one_answer_whatever_the_reason() {
    let stage = Stage::set();
    stage.server.cli(["account", "create", "--email", BOB]).done();
    let stranger = Installation::of_examples(&stage.upstream).set_up();
    stranger.cli(["account", "create", "--email", BOB]).done();

    for contract in CONTRACTS {
        let mut reasons: Vec<(&str, Vec<String>)> = tokens(contract, &stage, &stranger)
            .into_iter()
            .map(|(reason, token)| (reason, send(contract, &token)))
            .collect();
        let live = issue(contract, &stage.server, &[]);
        match contract.api {
            "facets" => reasons.push(("another's", (contract.send)(&live))),
            "finout" => {
                let other = issue(contract, &stage.server, &[]);
                let mixed = Token { secret: other.secret, ..live.clone() };
                reasons.push(("another's", send(contract, &mixed)));
            }
            _ => {}
        }
        // Select Star says so when the account is disabled; the others do not.
        let disabled = send(contract, &live);
        let faces = faces(contract, &stage, &reasons);
        let (first, others) = faces.split_first().unwrap();
        for (face, (reason, _)) in others.iter().zip(&reasons[1..]) {
            assert_eq!(face, first, "{reason} at {}", contract.api);
        }
        stage.server.cli(["account", "disable", BOB]).done();
        let face = stage.refused(contract.path, disabled).face();
        assert_eq!(face == *first, contract.api != "selectstar", "{face}");
        stage.server.cli(["account", "enable", BOB]).done();
    }
}

/// What each of them is answered, once the two that are to expire have.
fn faces(contract: &Contract, stage: &Stage, reasons: &[(&str, Vec<String>)]) -> Vec<String> {
    let deadline = Instant::now() + PATIENCE;
    for (reason, arguments) in reasons {
        while stage.server.curl(contract.path, arguments).status == 200 {
            assert!(Instant::now() < deadline, "{reason} at {}", contract.api);
        }
    }
    stage.upstream.take();
    reasons
        .iter()
        .map(|(_, arguments)| {
            let response = stage.refused(contract.path, arguments.iter().cloned());
            contract.says_invalid(&response);
            response.face()
        })
        .collect()
}

#[test]
fn each_contract_refuses_the_tokens_of_the_others() {
    let stage = Stage::set();
    let tokens = CONTRACTS.map(|contract| contract.issue(&stage));
    for contract in CONTRACTS {
        for token in &tokens {
            if token.json["token"]["api"] == contract.api {
                contract.opens(&stage, token);
            } else {
                contract.is_invalid(&stage, token);
            }
        }
    }
}

#[test]
fn who_looks_into_the_log_finds_the_true_reason() {
    let stage = Stage::set();
    let contract = &super::togai::CONTRACT;
    let token = contract.issue(&stage);
    stage.server.cli(["token", "revoke", &token.id]).done();
    let refused = contract.is_invalid(&stage, &token);
    let id = refused.request_id().to_owned();
    let entry = stage.server.process().wait_for_line(|line| {
        let entry: serde_json::Value = serde_json::from_str(line).ok()?;
        (entry["request_id"] == id).then_some(entry)
    });
    assert_eq!(entry["message"], "refused");
    assert_eq!(entry["code"], "revoked");
    assert_eq!(entry["token"], token.id);
}
