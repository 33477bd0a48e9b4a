//! The right errors (RFC 6749 §5.2), and nothing in them that tells one wrong pair from another.

use super::{APIS, FORM, GRANT, Stage, basic, in_the_body, pair, post, request, says_no};
use crate::installation::{Installation, Token};

#[test]
fn what_cannot_be_read_or_is_not_to_be_had() {
    let stage = Stage::start();
    let me = basic(&stage.token);
    let body = in_the_body(&stage.token);
    let with = |form: &str| format!("{GRANT}&{form}");
    for (lines, form, status, error) in [
        (&*me, String::new(), 400, "invalid_request"),
        (&me, "grant_type=".into(), 400, "invalid_request"),
        (&me, "grant_type=%".into(), 400, "invalid_request"),
        (&me, "grant_type=password".into(), 400, "unsupported_grant_type"),
        (&me, "grant_type=authorization_code&code=x".into(), 400, "unsupported_grant_type"),
        (&me, with(GRANT), 400, "invalid_request"),
        (&me, with("frob=1&frob=2"), 400, "invalid_request"),
        (&me, with(&body), 400, "invalid_request"),
        (&me, with("client_id=somebody"), 400, "invalid_request"),
        (&format!("{me}{me}"), GRANT.into(), 400, "invalid_request"),
        ("authorization: Bearer x\r\n", with(&body), 400, "invalid_request"),
        (&me, with("scope=admin"), 400, "invalid_scope"),
        (&me, with("scope=read+admin"), 400, "invalid_scope"),
        (&me, with("scope=read++write"), 400, "invalid_scope"),
        (&me, with("scope=%22%5C%00%c3%a9"), 400, "invalid_scope"),
        (&me, with("resource=costs"), 400, "invalid_target"),
        (&me, with("resource=events&resource=costs"), 400, "invalid_target"),
        (&me, with("audience=https%3A%2F%2Fevents.example.com"), 400, "invalid_target"),
        ("", GRANT.into(), 401, "invalid_client"),
        ("", with("client_id=x"), 401, "invalid_client"),
        ("", with("client_secret=x"), 401, "invalid_client"),
        ("authorization: Basic !\r\n", GRANT.into(), 401, "invalid_client"),
        ("authorization: Bearer x\r\n", GRANT.into(), 401, "invalid_client"),
    ] {
        let answer = post(stage.server.main, "/oauth2/token", lines, &form);
        says_no(&answer, status, error);
    }
    // A bare scope covers more than a token of 8 KiB can name.
    let many: Vec<String> = (0..800).map(|n| format!("a{n}:read")).collect();
    let many = with(&format!("scope={}", many.join("+")));
    says_no(&stage.ask("/oauth2/token", &stage.token, &many), 400, "invalid_scope");
    let costs = stage.server.issue("costs", &[]);
    says_no(&stage.ask("/oauth2/token", &costs, &with("scope=read")), 400, "invalid_scope");
    let plain = stage.server.issue("plain", &[]);
    says_no(&stage.ask("/oauth2/token", &plain, GRANT), 400, "unauthorized_client");
    let management = stage.server.issue("counterfoil", &["--scope", "tokens:read"]);
    says_no(&stage.ask("/oauth2/token", &management, GRANT), 400, "unauthorized_client");
}

#[test]
fn what_does_not_arrive_as_a_form() {
    let stage = Stage::start();
    let here = stage.server.main;
    let form = format!("{GRANT}&{}", in_the_body(&stage.token));
    // A URL is written down wherever it comes by.
    let path = format!("/oauth2/token?{form}");
    says_no(&post(here, &path, "", GRANT), 400, "invalid_request");
    says_no(&post(here, &path, &basic(&stage.token), GRANT), 400, "invalid_request");
    assert_eq!(post(here, "/oauth2/token?x=1", "", &form).status, 200);
    for kind in ["", "content-type: application/json\r\n", "content-type: multipart/form-data\r\n"]
    {
        says_no(&request(here, "POST", "/oauth2/token", kind, &form), 400, "invalid_request");
    }
    let with_charset = "content-type: Application/x-www-form-urlencoded; charset=UTF-8\r\n";
    assert_eq!(request(here, "POST", "/oauth2/token", with_charset, &form).status, 200);
    let large = format!("{form}&x={}", "x".repeat(16 * 1024));
    assert_eq!(post(here, "/oauth2/token", "", &large).status, 413);
    assert_eq!(request(here, "GET", "/oauth2/token", FORM, "").status, 405);
}

/// Clients that are refused, each for a reason of its own.
fn refused(stage: &Stage) -> Vec<(&'static str, Token)> {
    let server = &stage.server;
    let issue = |more: &[&str]| server.issue("events", &[&["--scope", "read"], more].concat());
    let [revoked, paused, rotated] = [(); 3].map(|()| issue(&[]));
    server.cli(["token", "revoke", &revoked.id]).done();
    server.cli(["token", "pause", &paused.id]).done();
    server.cli(["token", "rotate", &rotated.id]).done();
    let elsewhere = issue(&["--allowed-network", "192.0.2.0/24"]);
    server.cli(["account", "create", "--email", "bob@example.com"]).done();
    server.cli(["organization", "add-member", "Default", "bob@example.com"]).done();
    let disabled = server.issue_to("bob@example.com", "events", &["--scope", "read"]);
    server.cli(["account", "disable", "bob@example.com"]).done();
    let right = issue(&[]);
    let other = server.issue("costs", &[]);
    let stranger = Installation::new(&APIS.replace("schemes", "upstream = \"http://x\"\nschemes"));
    let unknown = stranger.set_up().issue("events", &["--scope", "read"]);
    let access_token = stage.access_token(&right);
    let named =
        |id: &str, secret: &str| Token { id: id.into(), secret: secret.into(), ..right.clone() };
    vec![
        ("unknown_token", unknown),
        ("client_mismatch", named(&stage.token.id, &right.secret)),
        ("client_mismatch", named(&right.id, &other.secret)),
        ("client_mismatch", named("somebody", &right.secret)),
        ("malformed_credential", named("", &right.secret)),
        ("malformed_credential", named(&right.id, "two words")),
        ("revoked", revoked),
        ("paused", paused),
        ("unknown_token", rotated),
        ("network_not_allowed", elsewhere),
        ("account_disabled", disabled),
        // One does not renew itself.
        ("unknown_token", named(&right.id, &access_token)),
    ]
}

#[test]
fn refusals_look_alike_and_the_operator_knows_why() {
    let stage = Stage::start();
    let clients = refused(&stage);
    for path in ["/oauth2/token", "/oauth2/revoke"] {
        let form = format!("{GRANT}&token=x");
        let mut faces = Vec::new();
        for (code, client) in &clients {
            let encoded = form_encoded(&client.secret);
            let answer = post(stage.server.main, path, &pair(&client.id, &encoded), &form);
            says_no(&answer, 401, "invalid_client");
            let why = stage.server.cli(["why", answer.request_id(), "--json"]).done().json();
            assert_eq!((&why["code"], &why["door"]), (&(*code).into(), &"oauth2".into()), "{why}");
            assert_eq!(why["path"], path);
            faces.push(answer.face());
            // What is empty in the body is not there.
            if !client.id.is_empty() {
                let body = format!("{form}&client_id={}&client_secret={encoded}", client.id);
                faces.push(post(stage.server.main, path, "", &body).face());
            }
        }
        let first = &faces[0];
        assert!(faces.iter().all(|face| face == first), "{faces:#?}");
    }
}

fn form_encoded(text: &str) -> String {
    text.replace(' ', "+")
}
