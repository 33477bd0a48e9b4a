//! An access token is good for as long as the token behind it, and not a moment longer.

use super::{APIS, DOORS, Door, Stage, access_token, authenticate, claims};
use crate::{
    installation::{ADA, Installation, Token},
    process::PATIENCE,
    server::Server,
};
use std::time::Instant;

const BOB: &str = "bob@example.com";

impl Stage {
    /// Another token of Bob's, and an access token that came from it and has been used.
    fn of_bob(&self) -> (Token, String) {
        let token = self.server.issue_to(BOB, "ingest", &["--scope", "write"]);
        let access_token = self.access_token(&token.secret);
        self.all_answer(&access_token, 200, "");
        (token, access_token)
    }

    #[track_caller]
    fn all_answer(&self, bearer: &str, status: u16, code: &str) {
        for door in DOORS {
            let answer = self.ask(door, bearer);
            assert_eq!(answer.status, status, "{door:?}: {answer:?}");
            if status != 200 {
                assert_eq!(self.true_code(&answer), code, "{door:?}");
            }
        }
    }
}

/// Each door refuses from the moment on that the change was answered.
#[test]
fn with_its_token_its_owner_and_its_organization() {
    let stage = Stage::set();
    let server = &stage.server;
    server.cli(["organization", "create", "--name", "Other"]).done();
    server.cli(["account", "create", "--email", BOB, "--organization", "Other"]).done();

    let (token, bearer) = stage.of_bob();
    server.cli(["token", "pause", &token.id]).done();
    stage.all_answer(&bearer, 401, "paused");
    server.cli(["token", "resume", &token.id]).done();
    stage.all_answer(&bearer, 200, "");
    server.cli(["token", "rotate", &token.id]).done();
    stage.all_answer(&bearer, 401, "revoked");

    let (token, bearer) = stage.of_bob();
    server.cli(["token", "revoke", &token.id]).done();
    stage.all_answer(&bearer, 401, "revoked");

    // Denied at this node, which revokes nothing.
    let (token, bearer) = stage.of_bob();
    server.cli(["token", "deny", &token.id]).done();
    for secret in [&bearer, &token.secret] {
        stage.all_answer(secret, 401, "revoked");
    }
    let words = server.cli_reading(&bearer, ["token", "decode"]).done().out;
    assert!(words.contains("the operator has this node deny its token"), "{words}");
    server.cli(["token", "deny", "--lift", &token.id]).done();
    stage.all_answer(&bearer, 200, "");

    let (_, bearer) = stage.of_bob();
    server.cli(["account", "disable", BOB]).done();
    stage.all_answer(&bearer, 401, "account_disabled");
    server.cli(["account", "enable", BOB]).done();
    stage.all_answer(&bearer, 200, "");
    server.cli(["organization", "close", "Other"]).done();
    stage.all_answer(&bearer, 401, "organization_closed");
    // The tokens that others had stay.
    stage.all_answer(&stage.access_token(&stage.ingest.secret), 200, "");
}

/// A rotation that leaves the old secret some time leaves it to what came from it, too.
#[test]
fn with_the_secret_that_it_was_obtained_with() {
    let stage = Stage::set();
    let before = stage.access_token(&stage.ingest.secret);
    let rotate = ["token", "rotate", &stage.ingest.id, "--overlap", "1h", "--json"];
    let rotated = Token::of(stage.server.cli(rotate).done().json());
    let after = stage.access_token(&rotated.secret);
    for bearer in [&before, &after] {
        stage.all_answer(bearer, 200, "");
    }
    // What the old secret brings now ends with it.
    let late = claims(&stage.access_token(&stage.ingest.secret));
    assert!(late["exp"].as_u64().unwrap() - late["iat"].as_u64().unwrap() <= 60 * 60, "{late}");
    stage.server.cli(["token", "rotate", &stage.ingest.id]).done();
    for bearer in [&before, &after] {
        stage.all_answer(bearer, 401, "revoked");
    }
}

/// It is narrowed with its token, and never has more than that.
#[test]
fn what_its_token_may_no_longer_do_it_may_not_either() {
    let stage = Stage::set();
    let bearer = stage.access_token(&stage.ingest.secret);
    stage.all_answer(&bearer, 200, "");
    let path = format!("/v1/tokens/{}", stage.ingest.id);
    let narrowed = stage.server.operator().unwrap().call("PATCH", &path, r#"{"scopes":["read"]}"#);
    assert_eq!(narrowed.unwrap().status, 200);
    for door in [Door::Gateway, Door::ForwardAuth, Door::Verify] {
        assert_eq!(stage.ask(door, &bearer).status, 403, "{door:?}");
    }
}

fn until_refused(server: &Server, bearer: &str) {
    let deadline = Instant::now() + PATIENCE;
    while authenticate(server.main, bearer).status == 200 {
        assert!(Instant::now() < deadline, "it does not end");
    }
}

/// By the clock alone, whichever ends first: itself or its token.
#[test]
fn by_time() {
    let short = APIS.replace("24h", "1s");
    let server = Installation::new(&short).set_up().start();
    let long_lived = server.issue("ingest", &["--scope", "write"]);
    let bearer = access_token(server.main, &long_lived.secret);
    until_refused(&server, &bearer);
    // The token itself goes on.
    access_token(server.main, &long_lived.secret);

    let stage = Stage::set();
    let token = stage.server.issue_to(ADA, "ingest", &["--scope", "write", "--expires-in", "2s"]);
    let bearer = stage.access_token(&token.secret);
    until_refused(&stage.server, &bearer);
    stage.all_answer(&bearer, 401, "expired");
}

/// Keys outlive the process: what was signed before a restart is good after it.
#[test]
fn not_with_the_process() {
    let mut installation = Installation::new(APIS);
    installation.set("COUNTERFOIL_SERVER_PUBLIC_URL", "https://tokens.example.com");
    let server = installation.set_up().start();
    let token = server.issue("ingest", &["--scope", "write"]);
    let bearer = access_token(server.main, &token.secret);
    let server = server.stop().start();
    let again = authenticate(server.main, &bearer);
    assert_eq!(again.status, 200, "{again:?}");
}
