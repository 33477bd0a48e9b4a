//! Metadata: what somebody else's system keeps with a token is kept as it was sent.

use super::Stage;
use serde_json::Value;

#[test]
fn what_was_sent_is_shown_and_the_ledger_agrees() {
    let stage = Stage::set();
    let nested = format!(r#"{{"nested":{}1{}}}"#, "[".repeat(120), "]".repeat(120));
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
