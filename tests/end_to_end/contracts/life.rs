//! A token's life, in each contract: what happens to it counts at the very next request.

use super::{CONTRACTS, Contract, Stage, refuses};
use crate::{
    installation::{ADA, Token},
    process::PATIENCE,
};
use serde_json::json;
use std::time::Instant;

/// Checks that the token is refused because its owner is not (or no longer) one of them.
#[track_caller]
fn is_inactive(contract: &Contract, stage: &Stage, token: &Token) {
    if contract.api != "selectstar" {
        contract.is_invalid(stage, token);
        return;
    }
    let refused = stage.refused(contract.path, (contract.send)(token));
    let body = json!({"detail": "User is inactive", "code": "user_inactive"});
    refuses(&refused, 401, contract.challenge, &body);
}

#[test]
fn revoked() {
    let stage = Stage::set();
    for contract in CONTRACTS {
        let (token, other) = (contract.issue(&stage), contract.issue(&stage));
        contract.opens(&stage, &token);
        stage.server.cli(["token", "revoke", &token.id]).done();
        contract.is_invalid(&stage, &token);
        // For good, and it alone.
        stage.server.cli(["token", "resume", &token.id]).failed(1);
        contract.is_invalid(&stage, &token);
        contract.opens(&stage, &other);
    }
}

#[test]
fn paused_and_resumed() {
    let stage = Stage::set();
    for contract in CONTRACTS {
        let token = contract.issue(&stage);
        for _ in 0..2 {
            contract.opens(&stage, &token);
            stage.server.cli(["token", "pause", &token.id]).done();
            contract.is_invalid(&stage, &token);
            stage.server.cli(["token", "resume", &token.id]).done();
        }
        contract.opens(&stage, &token);
    }
}

#[test]
fn expired() {
    let stage = Stage::set();
    for contract in CONTRACTS {
        let soon = [contract.grant, &["--expires-in", "2s"]].concat();
        let token = stage.server.issue(contract.api, &soon);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let response = stage.server.curl(contract.path, (contract.send)(&token));
            let received = stage.upstream.take();
            if response.status != 200 {
                assert!(received.is_empty());
                contract.says_invalid(&response);
                break;
            }
            assert_eq!(received.len(), 1);
            assert!(Instant::now() < deadline, "it does not expire");
        }
        contract.is_invalid(&stage, &token);
        let shown = stage.server.cli(["token", "show", &token.id, "--json"]).done().json();
        assert_eq!(shown["state"], "expired");
    }
}

#[test]
fn owner_disabled_and_enabled() {
    let stage = Stage::set();
    for contract in CONTRACTS {
        let token = contract.issue(&stage);
        contract.opens(&stage, &token);
        stage.server.cli(["account", "disable", ADA]).done();
        is_inactive(contract, &stage, &token);
        stage.server.cli(["account", "enable", ADA]).done();
        contract.opens(&stage, &token);
    }
}

#[test]
fn membership_ended_and_taken_up_again() {
    let stage = Stage::set();
    for contract in CONTRACTS {
        let token = contract.issue(&stage);
        contract.opens(&stage, &token);
        stage.server.cli(["organization", "remove-member", "Default", ADA]).done();
        is_inactive(contract, &stage, &token);
        stage.server.cli(["organization", "add-member", "Default", ADA]).done();
        contract.opens(&stage, &token);
    }
}

#[test]
fn organization_closed() {
    let stage = Stage::set();
    for contract in CONTRACTS {
        let organization = format!("Customer of {}", contract.api);
        stage.server.cli(["organization", "create", "--name", &organization]).done();
        stage.server.cli(["organization", "add-member", &organization, ADA]).done();
        let arguments = [contract.grant, &["--organization", &organization]].concat();
        let token = stage.server.issue(contract.api, &arguments);
        contract.opens(&stage, &token);
        stage.server.cli(["organization", "close", &organization]).done();
        contract.is_invalid(&stage, &token);
        // So that Ada is left with one organization again.
        let home = ["--organization", "Default"];
        let elsewhere = stage.server.issue(contract.api, &[contract.grant, &home].concat());
        contract.opens(&stage, &elsewhere);
    }
}

#[test]
fn rotated() {
    let stage = Stage::set();
    for contract in CONTRACTS {
        let old = contract.issue(&stage);
        let rotate = |arguments: &[&str]| {
            let first = ["token", "rotate", &old.id, "--json"];
            Token::of(stage.server.cli(first.iter().chain(arguments)).done().json())
        };
        let new = rotate(&["--overlap", "1h"]);
        assert_eq!(new.id, old.id);
        contract.opens(&stage, &old);
        contract.opens(&stage, &new);
        let newest = rotate(&[]);
        contract.is_invalid(&stage, &old);
        contract.is_invalid(&stage, &new);
        contract.opens(&stage, &newest);
    }
}

#[test]
fn an_overlap_ends() {
    let stage = Stage::set();
    let contract = &super::togai::CONTRACT;
    let old = contract.issue(&stage);
    let rotate = ["token", "rotate", &old.id, "--json", "--overlap", "2s"];
    let new = Token::of(stage.server.cli(rotate).done().json());
    let deadline = Instant::now() + PATIENCE;
    while stage.server.curl(contract.path, (contract.send)(&old)).status == 200 {
        assert!(Instant::now() < deadline, "the overlap does not end");
    }
    stage.upstream.take();
    contract.is_invalid(&stage, &old);
    contract.opens(&stage, &new);
}

#[test]
fn it_counts_after_a_restart_too() {
    let stage = Stage::set();
    let tokens: Vec<[Token; 4]> =
        CONTRACTS.iter().map(|contract| std::array::from_fn(|_| contract.issue(&stage))).collect();
    for [_, revoked, paused, rotated] in &tokens {
        stage.server.cli(["token", "revoke", &revoked.id]).done();
        stage.server.cli(["token", "pause", &paused.id]).done();
        stage.server.cli(["token", "rotate", &rotated.id]).done();
    }
    let Stage { server, upstream } = stage;
    let stage = Stage { server: server.stop().start(), upstream };
    for (contract, [live, dead @ ..]) in CONTRACTS.iter().zip(&tokens) {
        contract.opens(&stage, live);
        for token in dead {
            contract.is_invalid(&stage, token);
        }
    }
}
