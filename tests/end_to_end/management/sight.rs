//! Who sees whose tokens, and changes them.

use super::{Stage, changes_of_token, ids, is_not_found, send};
use crate::{
    caller::{Caller, says_no},
    installation::ADA,
};
use serde_json::{Value, json};

#[test]
fn a_member_sees_its_own_tokens_and_no_others() {
    let stage = Stage::set();
    let own = [&stage.bob.token.id, &stage.bobs.id].map(String::clone);
    for query in [
        String::new(),
        "?limit=2".to_owned(),
        format!("?owner={}", super::BOB),
        format!("?owner={}", stage.bobs.owner),
        format!("?organization={}", stage.own_organization()),
        "?state=active".to_owned(),
    ] {
        assert_eq!(ids(&stage.bob.get(&format!("/v1/tokens{query}"))), own, "{query}");
    }
    assert_eq!(ids(&stage.bob.get("/v1/tokens?api=orders")), own[1..]);
    assert_eq!(stage.bob.get(&format!("/v1/tokens/{}", stage.bobs.id)).status, 200);
    let elsewhere = format!("/v1/tokens?organization={}", stage.other_organization());
    assert!(ids(&stage.bob.get(&elsewhere)).is_empty());
    for owner in [ADA, super::EVE, &stage.bot.owner, &stage.eves.owner, "nobody@example.com"] {
        is_not_found(&stage.bob.get(&format!("/v1/tokens?owner={owner}")));
    }
    for token in [&stage.adas, &stage.bot, &stage.eves, &stage.their_bot, &stage.ada.token] {
        is_not_found(&stage.bob.get(&format!("/v1/tokens/{}", token.id)));
    }
}

#[test]
fn a_member_changes_its_own_tokens_and_no_others() {
    let stage = Stage::set();
    stage.changes_nothing(|| {
        for token in [&stage.adas, &stage.bot, &stage.eves, &stage.their_bot, &stage.ada.token] {
            for change in changes_of_token(&token.id) {
                is_not_found(&send(&stage.bob, &change));
            }
        }
    });
    for change in changes_of_token(&stage.bobs.id) {
        assert_eq!(send(&stage.bob, &change).status, 200, "{change:?}");
    }
    let shown = stage.bob.get(&format!("/v1/tokens/{}", stage.bobs.id)).json();
    assert_eq!((&shown["state"], &shown["revoke_reason"]), (&json!("revoked"), &json!("because")));
}

#[test]
fn an_administrator_sees_all_of_the_organization_and_no_more() {
    let stage = Stage::set();
    let own = [&stage.ada.token, &stage.bob.token, &stage.adas, &stage.bobs, &stage.bot];
    let mut expected: Vec<String> = own.map(|token| token.id.clone()).into();
    expected.sort();
    assert_eq!(ids(&stage.ada.get("/v1/tokens")), expected);
    let bobs = [&stage.bob.token.id, &stage.bobs.id].map(String::clone);
    assert_eq!(ids(&stage.ada.get(&format!("/v1/tokens?owner={}", super::BOB))), bobs);
    let elsewhere = format!("/v1/tokens?organization={}", stage.other_organization());
    assert!(ids(&stage.ada.get(&elsewhere)).is_empty());
    for owner in [super::EVE, super::MALLORY, &stage.their_bot.owner] {
        is_not_found(&stage.ada.get(&format!("/v1/tokens?owner={owner}")));
    }
    // Nor by turning pages.
    let mut seen = Vec::new();
    let mut next = "/v1/tokens?limit=2".to_owned();
    loop {
        let page = stage.ada.get(&next).json();
        seen.extend(page["items"].as_array().unwrap().iter().map(|item| item["id"].clone()));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        next = format!("/v1/tokens?limit=2&cursor={cursor}");
    }
    assert_eq!(seen, expected);
    let from = format!("/v1/tokens?cursor={}", stage.eve.token.id);
    assert!(ids(&stage.ada.get(&from)).iter().all(|id| expected.contains(id)));
}

#[test]
fn an_administrator_pauses_and_revokes_but_does_not_take_a_persons_secret() {
    let stage = Stage::set();
    let [pause, resume, rotate, revoke] = changes_of_token(&stage.bobs.id);
    for change in [&pause, &resume] {
        assert_eq!(send(&stage.ada, change).status, 200, "{change:?}");
    }
    stage.changes_nothing(|| {
        super::is_forbidden(
            &send(&stage.ada, &rotate),
            "only its owner rotates a person's token; you may pause or revoke it",
        );
    });
    assert_eq!(send(&stage.ada, &revoke).status, 200);
    for change in changes_of_token(&stage.bot.id) {
        assert_eq!(send(&stage.ada, &change).status, 200, "{change:?}");
    }
}

#[test]
fn nobody_sees_or_changes_another_organization() {
    let stage = Stage::set();
    stage.changes_nothing(|| {
        for token in [&stage.eves, &stage.their_bot, &stage.eve.token, &stage.mallory.token] {
            is_not_found(&stage.ada.get(&format!("/v1/tokens/{}", token.id)));
            for change in changes_of_token(&token.id) {
                is_not_found(&send(&stage.ada, &change));
            }
        }
        for token in [&stage.adas, &stage.bobs, &stage.bot] {
            for caller in [&stage.eve, &stage.mallory] {
                is_not_found(&caller.get(&format!("/v1/tokens/{}", token.id)));
                for change in changes_of_token(&token.id) {
                    is_not_found(&send(caller, &change));
                }
            }
        }
    });
    // It looks like one that is not there at all.
    let nowhere = "/v1/tokens/00000000-0000-7000-8000-000000000000";
    let there = stage.ada.get(&format!("/v1/tokens/{}", stage.eves.id));
    let [not_there, there] =
        [stage.ada.get(nowhere), there].map(|response| response.json()["detail"].clone());
    assert_eq!(not_there, there);
}

#[test]
fn whoever_belongs_to_both_acts_in_one_at_a_time() {
    let stage = Stage::set();
    stage.server.cli(["organization", "add-member", "Other", ADA]).done();
    let there = ["--organization", "Other"];
    let guest = Caller::new(&stage.server, ADA, &crate::caller::SCOPES, &there);
    // An administrator here is a member there.
    assert_eq!(ids(&guest.get("/v1/tokens")), [guest.token.id.as_str()]);
    is_not_found(&guest.get(&format!("/v1/tokens/{}", stage.adas.id)));
    is_not_found(&stage.ada.get(&format!("/v1/tokens/{}", guest.token.id)));
    is_not_found(&guest.get(&format!("/v1/tokens/{}", stage.eves.id)));
    let issued = guest.post("/v1/tokens", &json!({"api": "orders"})).json();
    assert_eq!(issued["token"]["organization"], stage.other_organization());
    let elsewhere = json!({"api": "orders", "organization": stage.own_organization()});
    is_not_found(&guest.post("/v1/tokens", &elsewhere));
    super::is_forbidden(
        &guest.post("/v1/accounts", &json!({"kind": "service", "name": "x"})),
        super::ADMINISTRATORS,
    );
}

#[test]
fn a_new_rank_counts_at_once() {
    let stage = Stage::set();
    let path = format!("/v1/tokens/{}", stage.adas.id);
    is_not_found(&stage.bob.get(&path));
    let promote = |rank: &str| {
        let rank = ["--rank", rank];
        let member = ["organization", "add-member", "Default", super::BOB];
        stage.server.cli(member.iter().chain(&rank)).done();
    };
    promote("administrator");
    assert_eq!(stage.bob.get(&path).status, 200);
    promote("member");
    is_not_found(&stage.bob.get(&path));
}

#[test]
fn what_tokens_did_is_seen_by_whoever_sees_the_tokens() {
    let stage = Stage::set();
    let all = [&stage.adas, &stage.bobs, &stage.bot, &stage.eves, &stage.their_bot];
    for token in all {
        let header = format!("Authorization: Bearer {}", token.secret);
        // Nobody is behind the gateway, but it has let them through.
        assert_eq!(stage.server.curl("/orders/", ["--header", &header]).status, 502);
    }
    let seen = |caller: &Caller, query: &str| -> Vec<String> {
        let found = caller.get(&format!("/v1/usage?api=orders{query}"));
        assert_eq!(found.status, 200, "{found:?}");
        let found = found.json();
        let items = found["items"].as_array().unwrap().iter();
        items.map(|item| item["token"].as_str().unwrap().to_owned()).collect()
    };
    let own = |tokens: &[&crate::installation::Token]| {
        let mut ids: Vec<String> = tokens.iter().map(|token| token.id.clone()).collect();
        ids.sort();
        ids
    };
    assert_eq!(seen(&stage.bob, ""), own(&[&stage.bobs]));
    assert_eq!(seen(&stage.ada, ""), own(&[&stage.adas, &stage.bobs, &stage.bot]));
    assert_eq!(seen(&stage.eve, ""), own(&[&stage.eves, &stage.their_bot]));
    assert_eq!(seen(&stage.mallory, ""), own(&[]));
    let theirs = format!("&organization={}", stage.other_organization());
    assert_eq!(seen(&stage.ada, &theirs), own(&[]));
    assert_eq!(seen(&stage.eve, &theirs), own(&[&stage.eves, &stage.their_bot]));
    for token in [&stage.adas, &stage.eves, &stage.bot] {
        assert_eq!(seen(&stage.bob, &format!("&token={}", token.id)), own(&[]));
        for kind in ["addresses", "user-agents"] {
            is_not_found(&stage.bob.get(&format!("/v1/tokens/{}/{kind}", token.id)));
        }
    }
    let path = format!("/v1/tokens/{}/addresses", stage.bobs.id);
    for caller in [&stage.bob, &stage.ada] {
        assert_eq!(caller.get(&path).json()["items"][0]["value"], "127.0.0.1");
    }
    is_not_found(&stage.eve.get(&path));
    let blind = Caller::new(&stage.server, ADA, &["tokens:write"], &[]);
    for path in ["/v1/usage", &path] {
        says_no(&blind.get(path), 403, "forbidden");
    }
    let everybodys = stage.server.cli(["usage", "--api", "orders", "--json"]).done().json();
    assert_eq!(everybodys["items"].as_array().unwrap().len(), all.len());
    let items = everybodys["items"].as_array().unwrap().iter();
    assert!(items.clone().all(|item| item["outcome"] == "admitted" && item["count"] == 1));
    assert_eq!(everybodys["next_cursor"], Value::Null);
}

#[test]
fn tokens_are_found_by_use_and_end() {
    let stage = Stage::set();
    let soon = stage.bob.post("/v1/tokens", &json!({"api": "orders", "expires_in": "1h"})).json();
    let soon = soon["token"]["id"].as_str().unwrap();
    let found = |query: &str| ids(&stage.bob.get(&format!("/v1/tokens?api=orders&{query}")));
    assert_eq!(found("expires_before=2100-01-01T00:00:00Z"), [soon]);
    assert!(found("expires_before=2020-01-01T00:00:00Z").is_empty());
    // Made but now, they are not unused for a day.
    assert!(found("unused_days=1").is_empty());
    assert_eq!(found("unused_days=0"), [stage.bobs.id.as_str(), soon]);
    for wrong in ["unused_days=-1", "unused_days=x", "expires_before=soon"] {
        says_no(&stage.bob.get(&format!("/v1/tokens?{wrong}")), 400, "invalid_request");
    }
}
