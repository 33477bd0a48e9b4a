//! `counterfoil token find`: whose is this secret?

use crate::installation::{ADA, Installation};
use serde_json::json;

#[test]
fn a_secret_that_was_found_leads_to_its_token() {
    let server =
        Installation::new("[api.orders]\nupstream = \"http://127.0.0.1:1\"\n").set_up().start();
    let (token, other) = (server.issue_to(ADA, "orders", &[]), server.issue("orders", &[]));
    let find = |secret: &str| {
        server
            .cli_reading(&format!("{secret}\n"), ["token", "find", "--secret-file", "-", "--json"])
    };
    assert_eq!(find(&token.secret).done().json()["id"], token.id);
    let rotated = server.cli(["token", "rotate", &token.id, "--json"]).done().json();
    server.cli(["token", "revoke", &token.id]).done();
    for secret in [&token.secret, rotated["secret"].as_str().unwrap()] {
        let found = find(secret).done().json();
        assert_eq!((&found["id"], &found["state"]), (&json!(token.id), &json!("revoked")));
    }
    assert_eq!(find(&other.secret).done().json()["id"], other.id);
    let nothing = find("nothing").failed(1);
    assert_eq!(nothing, "counterfoil: no token has this secret, or ever had it\n");
    let cut = find(&other.secret[..other.secret.len() - 1]).failed(1);
    assert!(cut.contains("mistyped or cut off"), "{cut}");
    let line = find(&format!("Authorization: Bearer {}", other.secret)).failed(2);
    assert!(line.contains("give it without the words around it"), "{line}");
    // To people it says whose it is, and where it is dead by whose it is.
    let tell =
        || server.cli_reading(&other.secret, ["token", "find", "--secret-file", "-"]).done().out;
    let told = tell();
    for fact in [ADA, &other.owner, "Default", &other.organization, "active"] {
        assert!(told.contains(fact), "{told}");
    }
    assert!(!told.contains("refused"), "{told}");
    server.cli(["account", "disable", ADA]).done();
    assert!(tell().contains("active, but refused: its owner is disabled"));
    assert!(!server.process().log().contains(&other.secret));
}
