//! Who sees whose tokens, and changes them.

use super::{Stage, changes_of_token, ids, is_not_found, send};
use crate::{caller::Caller, installation::ADA};
use serde_json::json;

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
