//! Metadata: what somebody else's system keeps with a token is kept as it was sent.

use super::Stage;
use crate::caller::says_no;
use serde_json::{Value, json};

/// As many objects and arrays in each other.
fn of_levels(levels: usize) -> String {
    format!(r#"{{"nested":{}1{}}}"#, "[".repeat(levels - 1), "]".repeat(levels - 1))
}

#[test]
fn what_was_sent_is_shown_and_the_ledger_agrees() {
    let stage = Stage::set();
    let nested = of_levels(32);
    for metadata in [
        // A reader in a hurry takes these for their neighbours, and for others again
        // when it reads what it has written.
        r#"{"numbers":[953.16470500148089,972.17563087133930,952.11002864976306]}"#,
        r#"{"numbers":[-5e-324,1e23,-0.0,18446744073709551615,18446744073709551616]}"#,
        r#"{"text":"\u0000\u007f\u202e\ud83d\ude00\"\\","":{"":null}}"#,
        &nested,
    ] {
        let body = format!(r#"{{"api":"orders","metadata":{metadata}}}"#);
        let issued = stage.ada.call("POST", "/v1/tokens", &body);
        assert_eq!(issued.status, 201, "{issued:?}");
        let sent: Value = serde_json::from_str(metadata).unwrap();
        let path = format!("/v1/tokens/{}", issued.json()["token"]["id"].as_str().unwrap());
        assert_eq!(stage.ada.get(&path).json()["metadata"], sent);

        assert_eq!(stage.ada.call("PATCH", &path, r#"{"metadata":null}"#).status, 200);
        let body = format!(r#"{{"metadata":{metadata}}}"#);
        let changed = stage.ada.call("PATCH", &path, &body);
        assert_eq!((changed.status, &changed.json()["metadata"]), (200, &sent));
        // Replays every change, and fails where state and ledger differ.
        stage.server.cli(["ledger", "verify"]).done();
    }
}

#[test]
fn what_is_too_deep_is_refused_and_the_ledger_stays_readable() {
    let stage = Stage::set();
    let path = format!("/v1/tokens/{}", stage.adas.id);
    // The deepest of them can be read in a line of an import, and not within a change.
    for levels in [33, 120, 126] {
        let metadata = of_levels(levels);
        let issued = format!(r#"{{"api":"orders","metadata":{metadata}}}"#);
        let changed = format!(r#"{{"metadata":{metadata}}}"#);
        for (method, path, body) in [("POST", "/v1/tokens", issued), ("PATCH", &*path, changed)] {
            let response = stage.ada.call(method, path, &body);
            says_no(&response, 400, "invalid_request");
            assert_eq!(response.json()["field"], "metadata");
            assert!(response.text().contains("deeper than 32 levels"), "{response:?}");
        }
    }
    assert_eq!(stage.ada.get("/v1/audit").status, 200);
    stage.server.cli(["ledger", "verify"]).done();
}

#[test]
fn tokens_are_found_by_a_field() {
    let stage = Stage::set();
    let made = json!({"api": "orders", "name": "found", "metadata": {"team": "payments"}});
    let made = stage.ada.post("/v1/tokens", &made).json();
    let found = stage.ada.get("/v1/tokens?metadata=team%3Apayments");
    assert_eq!(super::ids(&found), [made["token"]["id"].as_str().unwrap()]);
    for (caller, query) in
        [(&stage.ada, "team:search"), (&stage.bob, "team:payments"), (&stage.eve, "team:payments")]
    {
        let none = caller.get(&format!("/v1/tokens?metadata={query}"));
        assert!(super::ids(&none).is_empty(), "{query}");
    }
    for wrong in ["team", ":x", ""] {
        let answer = stage.ada.get(&format!("/v1/tokens?metadata={wrong}"));
        says_no(&answer, 400, "invalid_request");
        assert_eq!(answer.json()["field"], "metadata");
    }
}
