//! What accounts and organizations are called, here and elsewhere.

use super::{OPERATORS, Stage, ids, is_forbidden, is_not_found};
use crate::caller::says_no;
use serde_json::json;

#[test]
fn an_administrator_names_service_accounts_and_finds_them_again() {
    let stage = Stage::set();
    let bot = format!("/v1/accounts/{}", stage.bot.owner);
    let named = stage.ada.call(
        "PATCH",
        &bot,
        &json!({"name": "Deploys", "external_id": "ci/7"}).to_string(),
    );
    assert_eq!(named.status, 200);
    assert_eq!(named.json()["name"], "Deploys");
    assert_eq!(stage.ada.get(&bot).json()["external_id"], "ci/7");
    let found = "/v1/accounts?external_id=ci%2F7";
    assert_eq!(ids(&stage.ada.get(found)), [stage.bot.owner.as_str()]);
    // Nothing crosses: not to a member, not to another organization.
    assert!(ids(&stage.bob.get(found)).is_empty());
    assert!(ids(&stage.eve.get(found)).is_empty());
    let cleared = stage.ada.call("PATCH", &bot, r#"{"external_id": null}"#);
    assert_eq!((cleared.status, &cleared.json()["external_id"]), (200, &json!(null)));
    assert_eq!(cleared.json()["name"], "Deploys");
    assert!(ids(&stage.ada.get(found)).is_empty());
}

#[test]
fn persons_and_organizations_are_the_operators_to_name() {
    let stage = Stage::set();
    let body = json!({"name": "x"}).to_string();
    let own = format!("/v1/organizations/{}", stage.own_organization());
    stage.changes_nothing(|| {
        let bob = format!("/v1/accounts/{}", stage.bobs.owner);
        is_forbidden(&stage.ada.call("PATCH", &bob, &body), OPERATORS);
        is_forbidden(&stage.ada.call("PATCH", &own, &body), OPERATORS);
        let theirs = format!("/v1/accounts/{}", stage.their_bot.owner);
        is_not_found(&stage.ada.call("PATCH", &theirs, &body));
        let bot = format!("/v1/accounts/{}", stage.bot.owner);
        for (body, field) in [
            (json!({"name": ""}), "name"),
            (json!({"external_id": ""}), "external_id"),
            (json!({"external_id": "x".repeat(201)}), "external_id"),
            (json!({"state": "disabled", "name": "x"}), "state"),
        ] {
            let answer = stage.ada.call("PATCH", &bot, &body.to_string());
            says_no(&answer, 400, "invalid_request");
            assert_eq!(answer.json()["field"], field);
        }
    });
    let command = ["organization", "change", stage.own_organization(), "--json", "--name", "New"];
    let named = stage.server.cli(command.iter().chain(&["--external-id", "crm-1"])).done().json();
    assert_eq!((&named["name"], &named["external_id"]), (&json!("New"), &json!("crm-1")));
    let found = stage.ada.get("/v1/organizations?external_id=crm-1");
    assert_eq!(ids(&found), [stage.own_organization()]);
    stage.server.cli(["account", "change", &stage.bobs.owner, "--name", "Robert"]).done();
    let bob = stage.bob.get(&format!("/v1/accounts/{}", stage.bobs.owner));
    assert_eq!(bob.json()["name"], "Robert");
}
