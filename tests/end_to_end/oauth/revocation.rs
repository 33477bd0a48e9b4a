//! Revocation (RFC 7009): a client gives its own token back.

use super::{Stage, in_the_body, post, says_no};

const PATH: &str = "/oauth2/revoke";

#[test]
fn a_client_gives_its_token_back() {
    let stage = Stage::start();
    let access_token = stage.access_token(&stage.token);
    let form = format!("token={}&token_type_hint=refresh_token", stage.token.secret);
    let answer = stage.ask(PATH, &stage.token, &form);
    assert_eq!((answer.status, answer.text()), (200, ""));
    for bearer in [&stage.token.secret, &access_token] {
        assert_eq!(stage.status(bearer), 401);
    }
    says_no(&stage.ask(PATH, &stage.token, &form), 401, "invalid_client");
    let shown = stage.server.cli(["token", "show", &stage.token.id, "--json"]).done().json();
    assert_eq!(
        (&shown["state"], &shown["revoke_reason"]),
        (&"revoked".into(), &"revoked by its client".into())
    );
    stage.server.stop().cli(["ledger", "verify"]).done();
}

#[test]
fn whichever_of_its_secrets_it_shows() {
    let stage = Stage::start();
    let rotate = ["token", "rotate", &stage.token.id, "--overlap", "1h", "--json"];
    let rotated = stage.server.cli(rotate).done().json();
    let secret = rotated["secret"].as_str().unwrap();
    let form = format!("token={}&{}", secret, in_the_body(&stage.token));
    assert_eq!(post(stage.server.main, PATH, "", &form).status, 200);
    for bearer in [secret, &stage.token.secret] {
        assert_eq!(stage.status(bearer), 401);
    }
}

#[test]
fn nothing_else_is_ended() {
    let stage = Stage::start();
    let other = stage.server.issue("events", &["--scope", "read"]);
    let ended = stage.server.issue("events", &["--scope", "read"]);
    stage.server.cli(["token", "revoke", &ended.id]).done();
    let revoke = |token: &str| stage.ask(PATH, &stage.token, &format!("token={token}"));
    says_no(&revoke(&other.secret), 400, "invalid_grant");
    stage.server.cli(["token", "pause", &other.id]).done();
    says_no(&revoke(&other.secret), 400, "invalid_grant");
    stage.server.cli(["token", "resume", &other.id]).done();
    for access_token in [&stage.access_token(&stage.token), &stage.access_token(&other)] {
        says_no(&revoke(access_token), 400, "unsupported_token_type");
    }
    // What looks like an access token and is none is as good as gone, too.
    for gone in [&ended.secret, "x", "events_x", "eyJ.e30.x"] {
        assert_eq!(revoke(gone).status, 200, "{gone}");
    }
    says_no(&stage.ask(PATH, &stage.token, ""), 400, "invalid_request");
    for live in [&stage.token, &other] {
        assert_eq!(stage.status(&live.secret), 200);
        assert_eq!(stage.status(&stage.access_token(live)), 200);
    }
}
