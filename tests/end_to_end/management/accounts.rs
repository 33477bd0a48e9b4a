//! Accounts and memberships: service accounts are an administrator's, persons the operator's.

use super::{ADMINISTRATORS, OPERATORS, Stage, ids, is_forbidden, is_not_found};
use crate::{caller::Caller, installation::ADA};
use serde_json::{Value, json};

fn patch(caller: &Caller, account: &str, state: &str) -> crate::response::Response {
    caller.call("PATCH", &format!("/v1/accounts/{account}"), &json!({"state": state}).to_string())
}

#[test]
fn a_member_sees_itself() {
    let stage = Stage::set();
    assert_eq!(ids(&stage.bob.get("/v1/accounts")), [stage.bobs.owner.as_str()]);
    for name in [super::BOB, &stage.bobs.owner] {
        let shown = stage.bob.get(&format!("/v1/accounts/{name}"));
        assert_eq!((shown.status, &shown.json()["email"]), (200, &json!(super::BOB)));
    }
    for name in [ADA, &stage.adas.owner, &stage.bot.owner, super::EVE, "nobody@example.com"] {
        is_not_found(&stage.bob.get(&format!("/v1/accounts/{name}")));
        is_not_found(&stage.bob.get(&format!("/v1/memberships?account={name}")));
    }
    let memberships = stage.bob.get("/v1/memberships").json();
    assert_eq!(memberships["items"].as_array().unwrap().len(), 1);
    assert_eq!(memberships["items"][0]["account"], stage.bobs.owner);
}

#[test]
fn an_administrator_sees_everybody_in_the_organization() {
    let stage = Stage::set();
    let mut expected = [&stage.adas, &stage.bobs, &stage.bot].map(|token| token.owner.clone());
    expected.sort();
    assert_eq!(ids(&stage.ada.get("/v1/accounts")), expected);
    let memberships = stage.ada.get("/v1/memberships").json();
    assert_eq!(memberships["items"].as_array().unwrap().len(), 3);
    for name in [super::EVE, super::MALLORY, &stage.eves.owner, &stage.their_bot.owner] {
        is_not_found(&stage.ada.get(&format!("/v1/accounts/{name}")));
        is_not_found(&stage.ada.get(&format!("/v1/memberships?account={name}")));
    }
    let elsewhere = format!("/v1/memberships?organization={}", stage.other_organization());
    assert_eq!(stage.ada.get(&elsewhere).json()["items"], json!([]));
    for caller in [&stage.ada, &stage.bob] {
        assert_eq!(ids(&caller.get("/v1/organizations")), [stage.own_organization()]);
        is_not_found(&caller.get(&format!("/v1/organizations/{}", stage.other_organization())));
        assert!(ids(&caller.get("/v1/organizations?name=Other")).is_empty());
    }
}

#[test]
fn administrators_make_service_accounts() {
    let stage = Stage::set();
    let body = |organization: &str| json!({"kind": "service", "name": "builder", "organization": organization});
    let made = stage.ada.post("/v1/accounts", &body(stage.own_organization()));
    assert_eq!((made.status, &made.json()["kind"]), (201, &json!("service")));
    let id = made.json()["id"].as_str().unwrap().to_owned();
    let token = json!({"api": "orders", "owner": id});
    assert_eq!(stage.ada.post("/v1/tokens", &token).status, 201);
    stage.changes_nothing(|| {
        is_not_found(&stage.ada.post("/v1/accounts", &body(stage.other_organization())));
        is_forbidden(
            &stage.bob.post("/v1/accounts", &body(stage.own_organization())),
            ADMINISTRATORS,
        );
        let homeless = stage.ada.post("/v1/accounts", &json!({"kind": "service", "name": "x"}));
        crate::caller::says_no(&homeless, 400, "invalid_request");
        assert_eq!(homeless.json()["field"], "organization");
    });
}

#[test]
fn persons_are_the_operators_to_make() {
    let stage = Stage::set();
    let home = stage.own_organization();
    stage.changes_nothing(|| {
        for body in [
            json!({"email": "kim@example.com", "organization": home}),
            json!({"name": "Kim", "organization": home}),
            json!({"kind": "person", "email": "kim@example.com"}),
            json!({"kind": "service", "name": "x", "email": "x@example.com", "organization": home}),
            json!({"email": "kim@example.com", "password": "tr0ub4dor-and-3"}),
            // Nor does anybody learn who is there already.
            json!({"email": super::EVE, "organization": home}),
        ] {
            is_forbidden(&stage.ada.post("/v1/accounts", &body), OPERATORS);
            is_forbidden(&stage.bob.post("/v1/accounts", &body), ADMINISTRATORS);
        }
    });
}

#[test]
fn administrators_disable_service_accounts_but_not_persons() {
    let stage = Stage::set();
    let bots = Caller::new(&stage.server, &stage.bot.owner, &["tokens:read"], &[]);
    assert_eq!(bots.get("/v1/tokens").status, 200);
    let disabled = patch(&stage.ada, &stage.bot.owner, "disabled");
    assert_eq!((disabled.status, &disabled.json()["state"]), (200, &json!("disabled")));
    assert_eq!(bots.get("/v1/tokens").status, 401);
    assert_eq!(patch(&stage.ada, &stage.bot.owner, "active").status, 200);
    assert_eq!(bots.get("/v1/tokens").status, 200);
    stage.changes_nothing(|| {
        for state in ["disabled", "active"] {
            for person in [ADA, super::BOB, &stage.bobs.owner] {
                is_forbidden(&patch(&stage.ada, person, state), OPERATORS);
            }
            for theirs in [super::EVE, &stage.their_bot.owner, "nobody@example.com"] {
                is_not_found(&patch(&stage.ada, theirs, state));
            }
            for name in [super::BOB, ADA, &stage.bot.owner] {
                is_forbidden(&patch(&stage.bob, name, state), ADMINISTRATORS);
            }
        }
    });
}

#[test]
fn administrators_change_ranks_and_end_memberships() {
    let stage = Stage::set();
    let home = stage.own_organization();
    let put = |caller: &Caller, organization: &str, account: &str, rank: &str| {
        let body = json!({"organization": organization, "account": account, "rank": rank});
        caller.call("PUT", "/v1/memberships", &body.to_string())
    };
    let end = |caller: &Caller, organization: &str, account: &str| {
        let query = format!("organization={organization}&account={account}");
        caller.call("DELETE", &format!("/v1/memberships?{query}"), "")
    };
    stage.changes_nothing(|| {
        let elsewhere = stage.other_organization();
        for account in [ADA, super::EVE, super::MALLORY] {
            is_not_found(&put(&stage.ada, elsewhere, account, "administrator"));
            is_not_found(&end(&stage.ada, elsewhere, account));
        }
        // Whom the caller does not see cannot be made a member either.
        for account in [super::EVE, &stage.their_bot.owner, "nobody@example.com"] {
            is_not_found(&put(&stage.ada, home, account, "member"));
            is_not_found(&end(&stage.ada, home, account));
        }
        for account in [super::BOB, ADA] {
            is_forbidden(&put(&stage.bob, home, account, "administrator"), ADMINISTRATORS);
            is_forbidden(&end(&stage.bob, home, account), ADMINISTRATORS);
        }
    });
    let promoted = put(&stage.ada, home, super::BOB, "administrator");
    assert_eq!((promoted.status, &promoted.json()["rank"]), (200, &json!("administrator")));
    assert_eq!(ids(&stage.bob.get("/v1/accounts")).len(), 3);
    assert_eq!(put(&stage.ada, home, super::BOB, "member").status, 200);
    let ended = end(&stage.ada, home, super::BOB);
    assert_eq!((ended.status, &*ended.body), (204, &b""[..]));
    assert_eq!(stage.bob.get("/v1/accounts").status, 401);
    stage.changes_nothing(|| is_not_found(&put(&stage.ada, home, super::BOB, "member")));
}

#[test]
fn what_is_wrong_is_named_and_not_repeated() {
    let stage = Stage::set();
    let secret = &stage.bobs.secret;
    for path in [format!("/v1/tokens/{secret}"), format!("/v1/accounts/{secret}")] {
        let response = stage.ada.get(&path);
        crate::caller::says_no(&response, 400, "invalid_request");
        assert!(!response.text().contains(secret), "{response:?}");
    }
    for path in [
        "/v1/tokens?limit=x",
        "/v1/tokens?limit=0",
        "/v1/accounts?limit=1001",
        "/v1/tokens?ownr=x",
        "/v1/tokens?state=dead",
        "/v1/tokens?cursor=x",
    ] {
        let response = stage.ada.get(path);
        crate::caller::says_no(&response, 400, "invalid_request");
    }
    let body = json!({"state": "asleep"}).to_string();
    let response = stage.ada.call("PATCH", &format!("/v1/tokens/{}", stage.adas.id), &body);
    crate::caller::says_no(&response, 400, "invalid_request");
    assert_eq!(response.json()["field"], Value::from("state"));
}
