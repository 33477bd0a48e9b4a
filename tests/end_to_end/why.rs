//! Why a request was refused: the true reason, for whom it concerns.

use crate::{
    installation::{Installation, Token},
    response::{self, Response},
    server::Server,
    upstream::Upstream,
};
use serde_json::Value;

fn bearer(secret: &str) -> [String; 2] {
    ["--header".into(), format!("Authorization: Bearer {secret}")]
}

fn ask(server: &Server, token: &Token, request_id: &str) -> Response {
    response::curl(server.main, &format!("/v1/refusals/{request_id}"), bearer(&token.secret))
}

fn why(installation: &Installation, request_id: &str) -> Value {
    installation.cli(["why", request_id, "--json"]).done().json()
}

#[test]
fn the_operator_learns_the_true_reason_now_and_later() {
    let upstream = Upstream::start();
    let server = Installation::of_examples(&upstream).set_up().start();
    let token = server.issue("togai", &[]);
    server.cli(["token", "revoke", &token.id]).done();
    let refused = server.curl(
        "/togai/events?secret=hush",
        bearer(&token.secret).into_iter().chain(["--header".into(), "X-Request-Id: theirs".into()]),
    );
    assert_eq!(refused.status, 401);
    let name = refused.request_id().to_owned();

    let told = why(&server, &name);
    assert_eq!(told["code"], "revoked");
    assert_eq!(told["door"], "gateway");
    assert_eq!(told["api"], "togai");
    assert_eq!((&told["method"], &told["path"]), (&"GET".into(), &"/togai/events".into()));
    assert_eq!(told["client"], "127.0.0.1");
    assert_eq!(told["client_request_id"], "theirs");
    assert_eq!(told["token"], token.id);
    assert_eq!(told["organization"], token.organization);
    assert_eq!(server.cli(["why", &name, "--quiet"]).done().out, "revoked\n");
    assert!(server.cli(["why", &name]).done().out.contains("revoked"));

    // Stopping writes down what was not yet.
    let installation = server.stop();
    assert_eq!(why(&installation, &name), told);
    let error = installation.cli(["why", "01a203c4-6bc0-79d6-9fe0-cbdd34e8339a"]).failed(1);
    assert!(error.starts_with("counterfoil: there is no refusal of this name"), "{error}");
    installation.cli(["why", "no-name"]).failed(2);
}

#[test]
fn others_learn_what_concerns_their_own_tokens() {
    let upstream = Upstream::start();
    let server = Installation::of_examples(&upstream).set_up().start();
    server.cli(["account", "create", "--email", "bob@example.com"]).done();
    let manage = ["--scope", "tokens:read"];
    let ada = server.issue("counterfoil", &manage);
    let bob = server.issue_to("bob@example.com", "counterfoil", &manage);
    let without = server.issue("counterfoil", &["--scope", "accounts:read"]);

    let reading = server.issue_to("bob@example.com", "aristotle", &["--scope", "search:read"]);
    let header = format!("Authorization: Token {}", reading.secret);
    let refused = server.curl("/aristotle/api/v4/metadata/", ["--header", &header]);
    assert_eq!(refused.status, 403);
    let name = refused.request_id();
    for token in [&ada, &bob] {
        // Ada administers the organization, the token is Bob's.
        let told = ask(&server, token, name);
        assert_eq!(told.status, 200);
        assert_eq!(told.json()["code"], "insufficient_scope");
        assert_eq!(told.json()["about"], "the scope metadata:read was needed");
    }
    assert_eq!(ask(&server, &without, name).status, 403);

    let hers = server.issue("togai", &[]);
    server.cli(["token", "pause", &hers.id]).done();
    let refused = server.curl("/togai/events", bearer(&hers.secret));
    assert_eq!(ask(&server, &ada, refused.request_id()).json()["code"], "paused");
    assert_eq!(ask(&server, &bob, refused.request_id()).status, 404);

    // No token matched: that is the operator's.
    let refused = server.curl("/togai/events", bearer("nonsense"));
    assert_eq!(ask(&server, &ada, refused.request_id()).status, 404);
    assert_eq!(why(&server, refused.request_id())["code"], "unknown_token");
}
