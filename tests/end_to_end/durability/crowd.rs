//! A crowd: many who want something at the same moment.

use super::{all_at_once, issue, judge, listed, stage};
use crate::{
    installation::{ADA, Installation},
    response::Response,
};
use serde_json::{Value, json};
use std::collections::HashSet;

const CLIENTS: usize = 64;
const EACH: usize = 6;

#[test]
fn sixty_four_issue_tokens_and_none_is_lost() {
    let (_upstream, server) = stage();
    let tokens = all_at_once(CLIENTS, |_| {
        let mut operator = server.operator().unwrap();
        [(); EACH].map(|()| issue(&mut operator).unwrap())
    })
    .concat();
    let ids: HashSet<&str> = tokens.iter().map(|token| token.id.as_str()).collect();
    let secrets: Vec<&str> = tokens.iter().map(|token| token.secret.as_str()).collect();
    assert_eq!(ids.len(), CLIENTS * EACH);
    assert_eq!(secrets.iter().collect::<HashSet<_>>().len(), CLIENTS * EACH);
    let all_admitted = vec![200; CLIENTS * EACH];
    assert_eq!(judge(&server, &secrets), all_admitted);
    let verified = server.cli(["ledger", "verify", "--json"]).done().json();
    // Organization, account, membership; then one entry for each.
    assert_eq!(verified["entries"], json!(3 + CLIENTS * EACH));

    let server = server.kill().start();
    assert_eq!(judge(&server, &secrets), all_admitted);
    let found = listed(&server);
    assert_eq!(
        found.iter().map(|token| token["id"].as_str().unwrap()).collect::<HashSet<_>>(),
        ids
    );
    assert_eq!(server.cli(["ledger", "verify", "--json"]).done().json(), verified);
}

#[test]
fn many_changes_of_one_token_leave_one_secret() {
    let (_upstream, server) = stage();
    let token = issue(&mut server.operator().unwrap()).unwrap();
    let path = format!("/v1/tokens/{}/rotate", token.id);
    let answers: Vec<Response> =
        all_at_once(16, |_| server.operator().unwrap().call("POST", &path, "{}").unwrap());
    let (rotated, refused): (Vec<_>, Vec<_>) =
        answers.iter().partition(|answer| answer.status == 200);
    assert!(!rotated.is_empty());
    assert!(refused.iter().all(|answer| answer.status == 409), "{refused:?}");
    let secrets: Vec<String> =
        rotated.iter().map(|answer| answer.json()["secret"].as_str().unwrap().to_owned()).collect();
    let secrets: Vec<&str> = secrets.iter().map(String::as_str).collect();
    let judged = judge(&server, &secrets);
    assert_eq!(judged.iter().filter(|status| **status == 200).count(), 1, "{judged:?}");
    assert_eq!(judge(&server, &[&token.secret]), [401]);
    server.cli(["ledger", "verify"]).done();
}

#[test]
fn many_who_revoke_one_token_hear_the_same() {
    let (_upstream, server) = stage();
    let token = issue(&mut server.operator().unwrap()).unwrap();
    let path = format!("/v1/tokens/{}/revoke", token.id);
    let answers: Vec<Response> = all_at_once(16, |_| {
        let answer = server.operator().unwrap().call("POST", &path, "{}").unwrap();
        // Whoever is told so can rely on it.
        assert_eq!(judge(&server, &[&token.secret]), [401]);
        answer
    });
    let moments: HashSet<Value> =
        answers.iter().map(|answer| answer.json()["revoked_at"].clone()).collect();
    assert!(answers.iter().all(|answer| answer.status == 200));
    assert_eq!(moments.len(), 1, "{moments:?}");
    let verified = server.cli(["ledger", "verify", "--json"]).done().json();
    assert_eq!(verified["entries"], 5);
}

#[test]
fn of_many_who_are_first_one_is() {
    let (_upstream, server) = stage();
    let create = json!({"email": "bob@example.com"}).to_string();
    let made = all_at_once(16, |_| {
        server.operator().unwrap().call("POST", "/v1/accounts", &create).unwrap()
    });
    let count = |status: u16| made.iter().filter(|answer| answer.status == status).count();
    assert_eq!((count(201), count(409)), (1, 15), "{made:?}");

    let fresh = Installation::new("").start();
    let init = json!({"email": ADA}).to_string();
    let made =
        all_at_once(16, |_| fresh.operator().unwrap().call("POST", "/v1/init", &init).unwrap());
    let count = |status: u16| made.iter().filter(|answer| answer.status == status).count();
    assert_eq!((count(201), count(409)), (1, 15), "{made:?}");
    fresh.cli(["ledger", "verify"]).done();
}

#[test]
fn many_commands_without_a_server_take_turns_or_say_so() {
    let installation = Installation::new("[api.orders]\nupstream = \"http://x\"\n").set_up();
    let outcomes = all_at_once(8, |_| {
        installation.cli(["token", "create", "--api", "orders", "--owner", ADA, "--quiet"])
    });
    let mut issued = 0;
    for outcome in outcomes {
        if outcome.code == Some(0) {
            issued += 1;
        } else {
            assert_eq!(outcome.code, Some(1), "{outcome:?}");
            assert!(outcome.err.contains("but does not answer"), "{outcome:?}");
        }
    }
    let listed = installation.cli(["token", "list", "--quiet"]).done().out;
    assert_eq!(listed.lines().count(), issued);
    installation.cli(["ledger", "verify"]).done();
}
