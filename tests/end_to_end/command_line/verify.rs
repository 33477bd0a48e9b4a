//! `counterfoil verify`: would this request be let through?

use crate::installation::{ADA, Installation};
use serde_json::json;

const APIS: &str = r#"
[api.orders]
upstream = "http://127.0.0.1:1"

[api.costs]
upstream = "http://127.0.0.1:1"
schemes = ["header-pair"]
header_pair = ["x-costs-id", "x-costs-key"]
[api.costs.scopes]
read = "Read"
write = "Write"
"#;

#[test]
fn it_says_who_or_why_not_with_a_server_and_without() {
    let installation = Installation::new(APIS).set_up();
    let token = installation.issue("orders", &[]);
    let secret = ["verify", "--api", "orders", "--secret-file", "-"];
    let ask = |installation: &Installation, secret_text: &str, more: &[&str]| {
        installation.cli_reading(secret_text, secret.iter().chain(more))
    };
    let server = {
        let told = ask(&installation, &token.secret, &["--json"]).done().json();
        assert_eq!((&told["active"], &told["token"]), (&json!(true), &json!(token.id)));
        installation.start()
    };
    let said = ask(&server, &format!("{}\n", token.secret), &[]).done().out;
    assert!(said.contains(&token.id) && said.contains(&token.owner), "{said}");
    assert_eq!(ask(&server, &token.secret, &["--quiet"]).done().out.trim(), token.id);

    server.cli(["token", "revoke", &token.id]).done();
    let refused = ask(&server, &token.secret, &[]).failed(1);
    assert_eq!(refused, "counterfoil: refused: revoked (the API would answer 401)\n");
    let told = ask(&server, &token.secret, &["--json"]);
    assert_eq!((told.code, &told.json()["code"]), (Some(1), &json!("revoked")));
    assert!(ask(&server, "nonsense", &[]).failed(1).contains("unknown_token"));
}

#[test]
fn it_takes_the_headers_of_a_request() {
    let server = Installation::new(APIS).set_up().start();
    let token = server.issue_to(ADA, "costs", &["--scope", "read"]);
    let lines = format!("x-costs-id: {}\nX-Costs-Key: {}\n\n", token.id, token.secret);
    let ask = |lines: &str, more: &[&str]| {
        let first = ["verify", "--api", "costs", "--headers-file", "-"];
        server.cli_reading(lines, first.iter().chain(more))
    };
    ask(&lines, &["--method", "GET", "--path", "/x"]).done();
    let refused = ask(&lines, &["--method", "POST", "--path", "/x"]).failed(1);
    assert!(refused.contains("insufficient_scope"), "{refused}");
    assert!(ask(&lines, &["--scope", "write"]).failed(1).contains("insufficient_scope"));
    // The same field twice is not one of them.
    let twice = format!("{lines}x-costs-id: {}\n", token.id);
    assert!(ask(&twice, &[]).failed(1).contains("malformed_credential"));
    let wrong = ask("no line at all\n", &[]).failed(2);
    assert!(wrong.contains("header line 1") && !wrong.contains("at all"), "{wrong}");
    let alone =
        server.cli_reading(&token.secret, ["verify", "--api", "costs", "--secret-file", "-"]);
    assert!(alone.failed(2).contains("give the headers"));
    assert!(server.cli(["verify", "--api", "costs"]).failed(2).contains("--secret-file"));
}
