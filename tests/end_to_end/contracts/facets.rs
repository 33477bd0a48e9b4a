//! Facets: HTTP Basic, e-mail address and token.

use super::{Contract, Stage, authorization, headers, plain_identity, refuses};
use crate::{
    installation::{ADA, Token},
    response::Response,
};
use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD},
};
use serde_json::{Value, json};

pub(super) const CONTRACT: Contract = Contract {
    api: "facets",
    path: "/facets/projects",
    grant: &[],
    send: |token| user(ADA, token),
    invalid: |response| problem(response, "unknown_token", "The token is not valid."),
    challenge: CHALLENGE,
};

const CHALLENGE: &str = r#"Basic realm="facets", charset="UTF-8""#;

fn problem(response: &Response, code: &str, detail: &str) -> Value {
    json!({
        "type": "about:blank",
        "title": "Unauthorized",
        "status": 401,
        "detail": detail,
        "code": code,
        "request_id": response.request_id(),
    })
}

fn user(email: &str, token: &Token) -> Vec<String> {
    vec!["--user".to_owned(), format!("{email}:{}", token.secret)]
}

#[track_caller]
fn is_missing(response: &Response) {
    let detail =
        "No credentials were provided. Send HTTP Basic with your e-mail address and a token.";
    refuses(response, 401, CHALLENGE, &problem(response, "missing_credential", detail));
    assert_eq!(response.header("content-type"), "application/problem+json");
}

#[track_caller]
fn is_malformed(response: &Response, why: &str) {
    let detail = format!("The credentials could not be read: {why}.");
    refuses(response, 401, CHALLENGE, &problem(response, "malformed_credential", &detail));
}

#[test]
fn email_and_token_open_the_door() {
    let stage = Stage::set();
    let token = CONTRACT.issue(&stage);

    let received = stage.admitted("/facets/projects?page=2", user(ADA, &token));
    assert_eq!((received.method.as_str(), received.target.as_str()), ("GET", "/projects?page=2"));
    assert_eq!(received.identity(), plain_identity(&token));
    assert!(!received.holds(&token.secret));

    let body = ["--data", "hello"].map(str::to_owned);
    let received = stage.admitted("/facets/projects", [user(ADA, &token), body.into()].concat());
    assert_eq!((received.method.as_str(), &received.body[..]), ("POST", &b"hello"[..]));

    // The scheme's name in either case, and the field's.
    let encoded = BASE64_STANDARD.encode(format!("{ADA}:{}", token.secret));
    for line in ["Authorization: Basic", "authorization: basic", "AUTHORIZATION: BASIC"] {
        let received = stage.admitted(CONTRACT.path, headers(&[&format!("{line} {encoded}")]));
        assert_eq!(received.identity(), plain_identity(&token));
    }
}

#[test]
fn a_client_that_waits_for_the_challenge_is_led_to_the_door() {
    let stage = Stage::set();
    let token = CONTRACT.issue(&stage);
    let anyauth = vec!["--anyauth".to_owned()];
    let received = stage.admitted(CONTRACT.path, [anyauth, user(ADA, &token)].concat());
    assert_eq!(received.identity(), plain_identity(&token));
}

#[test]
fn the_note_is_all_that_is_asked_and_nothing_expires() {
    let stage = Stage::set();
    let first = stage.server.issue("facets", &["--note", "for the nightly build"]);
    let second = stage.server.issue("facets", &["--note", "for the laptop"]);
    assert_eq!(first.json["token"]["note"], "for the nightly build");
    assert_eq!(second.json["token"]["expires_at"], Value::Null);
    assert_eq!(first.owner, second.owner);
    for token in [&first, &second] {
        assert_eq!(CONTRACT.opens(&stage, token).identity().token, token.id);
    }
    let create = ["token", "create", "--owner", ADA, "--api", "facets"];
    let role = stage.server.cli(create.iter().chain(&["--role", "viewer"])).failed(2);
    assert_eq!(role, "counterfoil: role: the API facets has no roles\n");
    let scope = stage.server.cli(create.iter().chain(&["--scope", "read"])).failed(2);
    assert_eq!(scope, "counterfoil: scopes: no scope \"read\"; the API has none\n");
}

#[test]
fn the_owners_address_folds_ascii_case_and_no_other() {
    let stage = Stage::set();
    let server = &stage.server;
    server.cli(["account", "create", "--email", "Kim.Ä@example.com"]).done();
    let token = server.issue_to("kim.Ä@example.com", "facets", &[]);
    for email in ["kim.Ä@example.com", "KIM.Ä@EXAMPLE.COM", "Kim.Ä@Example.Com"] {
        let received = stage.admitted(CONTRACT.path, user(email, &token));
        assert_eq!(received.identity(), plain_identity(&token), "{email}");
    }
    // KELVIN SIGN is a `k` in the case rules of Unicode, and `ä` a small `Ä`.
    for email in ["\u{212a}im.Ä@example.com", "kim.ä@example.com"] {
        CONTRACT.says_invalid(&stage.refused(CONTRACT.path, user(email, &token)));
    }
}

#[test]
fn the_token_has_to_be_that_accounts() {
    let stage = Stage::set();
    stage.server.cli(["account", "create", "--email", "bob@example.com"]).done();
    let token = CONTRACT.issue(&stage);
    for email in ["bob@example.com", "nobody@example.com", "", "ada", "ada@example.com "] {
        CONTRACT.says_invalid(&stage.refused(CONTRACT.path, user(email, &token)));
    }
}

#[test]
fn it_is_the_address_that_the_account_has_now() {
    const NEW: &str = "countess@example.com";
    let stage = Stage::set();
    let first = CONTRACT.issue(&stage);
    stage.server.cli(["account", "set-email", ADA, "Countess@Example.com"]).done();
    let second = stage.server.issue_to(NEW, "facets", &[]);
    for token in [&first, &second] {
        assert_eq!(token.owner, first.owner);
        CONTRACT.says_invalid(&stage.refused(CONTRACT.path, user(ADA, token)));
        for email in [NEW, "COUNTESS@example.com"] {
            let received = stage.admitted(CONTRACT.path, user(email, token));
            assert_eq!(received.identity(), plain_identity(token));
        }
    }
    // What it has left is another's to have, and opens nothing of the first one's.
    stage.server.cli(["account", "create", "--email", ADA]).done();
    let other = stage.server.issue_to(ADA, "facets", &[]);
    assert_ne!(other.owner, first.owner);
    CONTRACT.opens(&stage, &other);
    CONTRACT.says_invalid(&stage.refused(CONTRACT.path, user(ADA, &first)));
    // Nor does it need more than a start to know all of that.
    let Stage { server, upstream } = stage;
    let stage = Stage { server: server.stop().start(), upstream };
    stage.admitted(CONTRACT.path, user(NEW, &first));
    CONTRACT.says_invalid(&stage.refused(CONTRACT.path, user(ADA, &first)));
    stage.server.cli(["ledger", "verify"]).done();
}

#[test]
fn it_is_split_at_the_first_colon() {
    let stage = Stage::set();
    let token = CONTRACT.issue(&stage);
    let secret = &token.secret;
    for pair in [
        format!("ada:@example.com:{secret}"),
        format!("{ADA}:{secret}:"),
        format!("{ADA}::{secret}"),
        format!("{secret}:{ADA}"),
        format!("{ADA}:"),
    ] {
        let encoded = BASE64_STANDARD.encode(pair);
        let refused = stage.refused(CONTRACT.path, authorization(&format!("Basic {encoded}")));
        CONTRACT.says_invalid(&refused);
    }
    // So no account can have such an address.
    let error = stage.server.cli(["account", "create", "--email", "ada:x@example.com"]).failed(2);
    assert!(error.contains("without white space or a colon"), "{error}");
}

#[test]
fn what_cannot_be_read_says_why() {
    let stage = Stage::set();
    let token = CONTRACT.issue(&stage);
    let pair = format!("{ADA}:{}", token.secret);
    let encoded = BASE64_STANDARD.encode(&pair);
    // With another length there would be no padding to leave out, and no bits to spare.
    let short = "ada@example.com:";
    let spare_bits = BASE64_STANDARD.encode(short).replace("Og==", "Oh==");
    assert!(spare_bits.ends_with("Oh=="), "{spare_bits}");

    let base64 = "what follows Basic is not canonical base64";
    let not_a_pair = "what follows Basic is not an e-mail address, a colon and a token in UTF-8";
    let wrong = [
        (format!("Basic {}", BASE64_STANDARD_NO_PAD.encode(short)), base64),
        (format!("Basic {spare_bits}"), base64),
        (format!("Basic {encoded}===="), base64),
        (format!("Basic {pair}"), base64),
        (format!("Basic {}", BASE64_STANDARD.encode(b"ada@example.com:\xff")), not_a_pair),
        (format!("Basic {}", BASE64_STANDARD.encode("ada@example.com")), not_a_pair),
        (
            format!("Basic {}", BASE64_STANDARD.encode(format!("{pair}\n"))),
            "the credential contains a character that is not allowed",
        ),
        ("Basic".to_owned(), "the Authorization header names a scheme but carries no credential"),
        (format!("Basic {encoded} {encoded}"), "the credential contains white space"),
    ];
    for (value, why) in wrong {
        is_malformed(&stage.refused(CONTRACT.path, authorization(&value)), why);
    }
}

#[test]
fn two_authorization_lines_are_one_too_many() {
    let stage = Stage::set();
    let token = CONTRACT.issue(&stage);
    let encoded = BASE64_STANDARD.encode(format!("{ADA}:{}", token.secret));
    let right = format!("Authorization: Basic {encoded}");
    for other in [right.as_str(), "Authorization: Bearer x", "authorization: Basic"] {
        for lines in [[right.as_str(), other], [other, right.as_str()]] {
            let refused = stage.refused(CONTRACT.path, headers(&lines));
            is_malformed(&refused, "a credential header was sent more than once");
        }
    }
}

#[test]
fn whatever_else_is_sent_is_no_credential() {
    let stage = Stage::set();
    let token = CONTRACT.issue(&stage);
    let secret = &token.secret;
    let encoded = BASE64_STANDARD.encode(format!("{ADA}:{secret}"));
    is_missing(&stage.refused(CONTRACT.path, []));
    for line in [
        format!("Authorization: Bearer {secret}"),
        format!("Authorization: Token {secret}"),
        format!("Authorization: {secret}"),
        format!("Proxy-Authorization: Basic {encoded}"),
        format!("X-API-Key: {secret}"),
        format!("x-finout-secret-key: {secret}"),
        format!("Cookie: token={secret}"),
        "Authorization;".to_owned(),
    ] {
        is_missing(&stage.refused(CONTRACT.path, headers(&[&line])));
    }
    for name in ["token", "access_token", "authorization"] {
        is_missing(&stage.refused(&format!("{}?{name}={secret}", CONTRACT.path), []));
    }
}

#[test]
fn the_password_for_signing_in_stays_at_home() {
    let stage = Stage::set();
    let password = "correct horse battery staple";
    stage
        .server
        .cli_reading(password, ["account", "set-password", ADA, "--password-file", "-"])
        .done();
    let user = ["--user".to_owned(), format!("{ADA}:{password}")];
    CONTRACT.says_invalid(&stage.refused(CONTRACT.path, user));
}
