//! How to authenticate, and the operator's page.

use super::{ADA, BOB, PASSWORD, goes_to, says, sign_in, start_with};
use counterfoil_support::visitor::Visitor;

const APIS: &str = r#"
[api.orders]
upstream = "http://127.0.0.1:1"
routes = ["GET /public/** -> anonymous"]

[api.keyed]
upstream = "http://127.0.0.1:1"
schemes = ["header-pair"]
header_pair = ["x-client-id", "x-secret-key"]
[api.keyed.scopes]
read = "Read what there is"
"#;

#[test]
fn each_api_is_documented_for_members() {
    let server = start_with(APIS);
    goes_to(&Visitor::stranger(server.main).get("/authenticate"), "/sign-in?next=%2Fauthenticate");
    let bob = sign_in(&server, BOB, PASSWORD);
    let page = bob.get("/authenticate?api=orders");
    says(&page, 200, "Authorization: Bearer TOKEN");
    says(&page, 200, "GET /public/**");
    says(&page, 200, "401");
    // Each shown refusal is the API's own.
    says(&page, 200, "www-authenticate: Bearer realm=&#34;orders&#34;");
    let page = bob.get("/authenticate?api=keyed");
    says(&page, 200, "x-secret-key: TOKEN");
    assert_eq!(bob.get("/authenticate?api=nothing").status, 404);
}

#[test]
fn where_the_operator_says_so_everybody_reads_it() {
    let server = start_with(&format!("[console]\ndocs = \"public\"\n{APIS}"));
    let page = Visitor::stranger(server.main).get("/authenticate?api=orders");
    says(&page, 200, "Authorization: Bearer TOKEN");
    assert!(!page.text().contains("/sign-out"));
}

#[test]
fn the_operators_page_is_the_operators() {
    let server = start_with(&format!("[console]\noperators = [\"{BOB}\"]\n{APIS}"));
    let bob = sign_in(&server, BOB, PASSWORD);
    says(&bob.get("/operator"), 200, "Verifies");
    says(&bob.get("/operator"), 200, "None since the start.");
    // An administrator is none.
    let ada = sign_in(&server, ADA, PASSWORD);
    for path in ["/operator", "/operator/live"] {
        assert_eq!(ada.get(path).status, 404, "{path}");
        goes_to(&Visitor::stranger(server.main).get("/operator"), "/sign-in?next=%2Foperator");
    }
    assert_eq!(ada.post("/operator/verify", &[]).status, 404);
    // What was refused is counted by its reason.
    assert_eq!(server.curl("/orders/", [] as [&str; 0]).status, 401);
    says(&bob.get("/operator"), 200, "<code>missing_credential</code>");
}

#[test]
fn the_operator_has_the_ledger_verified() {
    let server = start_with(&format!("[console]\noperators = [\"{BOB}\"]\n{APIS}"));
    let bob = sign_in(&server, BOB, PASSWORD);
    says(&bob.get("/operator"), 200, "Not verified since the start.");
    goes_to(&bob.post("/operator/verify", &[]), "/operator#ledger");
    // It ends by itself, and is asked for again until then.
    let page = loop {
        let page = bob.get("/operator");
        let text = page.text();
        if !text.contains("entries are checked") && !text.contains("It begins.") {
            break page;
        }
    };
    says(&page, 200, "entries, unbroken, and the database is what they say");
    // Whoever asks elsewhere is seen here as well.
    server.cli(&["ledger", "verify"]).done();
    says(&bob.get("/operator"), 200, "unbroken");
}
