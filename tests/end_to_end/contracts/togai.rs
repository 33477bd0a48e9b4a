//! Togai: a secret key, sent as a bearer token; or e-mail address and password.

use super::{Contract, Stage, authorization, forbids, headers, plain_identity, refuses};
use crate::{installation::ADA, response::Response, upstream::Identity};
use serde_json::json;

pub(super) const CONTRACT: Contract = Contract {
    api: "togai",
    path: "/togai/events",
    grant: &[],
    send: |token| authorization(&format!("Bearer {}", token.secret)),
    invalid: |_| json!({"message": "The token is not valid."}),
    challenge: INVALID,
};

const INVALID: &str =
    r#"Bearer realm="togai", error="invalid_token", Basic realm="togai", charset="UTF-8""#;

#[track_caller]
fn is_missing(response: &Response) {
    let body = json!({
        "message": "No credentials were provided. Send \"Authorization: Bearer TOKEN\", or HTTP \
                    Basic with your e-mail address and password.",
    });
    // No error where nothing was presented: RFC 6750 §3.1.
    let challenges = r#"Bearer realm="togai", Basic realm="togai", charset="UTF-8""#;
    refuses(response, 401, challenges, &body);
    assert_eq!(response.header("content-type"), "application/json");
}

#[test]
fn the_secret_key_opens_the_door() {
    let stage = Stage::set();
    let (first, second) = (CONTRACT.issue(&stage), CONTRACT.issue(&stage));
    for token in [&first, &second] {
        let received = CONTRACT.opens(&stage, token);
        assert_eq!(received.target, "/events");
        assert_eq!(received.identity(), plain_identity(token));
        assert!(!received.holds(&token.secret));
    }
    for line in ["authorization: bearer", "AUTHORIZATION: BEARER", "Authorization:  Bearer "] {
        let received =
            stage.admitted(CONTRACT.path, headers(&[&format!("{line} {}", first.secret)]));
        assert_eq!(received.identity(), plain_identity(&first));
    }
}

#[test]
fn whatever_else_is_sent_is_no_credential() {
    let stage = Stage::set();
    let token = CONTRACT.issue(&stage);
    let secret = &token.secret;
    is_missing(&stage.refused(CONTRACT.path, []));
    for value in [format!("Token {secret}"), format!("Bearer{secret}"), secret.clone()] {
        is_missing(&stage.refused(CONTRACT.path, authorization(&value)));
    }
    let query = format!("/togai/events?access_token={secret}");
    is_missing(&stage.refused(&query, []));
    // RFC 6750 §2.2: nor in a form.
    let form = ["--data".to_owned(), format!("access_token={secret}")];
    is_missing(&stage.refused(CONTRACT.path, form));
}

/// The third way in: the account's own name and password.
#[test]
fn user_name_and_password_open_the_door_too() {
    const PASSWORD: &str = "an engine that weaves algebra";
    let stage = Stage::set();
    let set = ["account", "set-password", ADA, "--password-file", "-"];
    stage.server.cli_reading(PASSWORD, set).done();
    let token = CONTRACT.issue(&stage);
    let user = |password: &str| ["--user".to_owned(), format!("{ADA}:{password}")];
    let received = stage.admitted(CONTRACT.path, user(PASSWORD));
    let expected = Identity { token: String::new(), ..plain_identity(&token) };
    assert_eq!(received.identity(), expected);
    // A token in the password's place is a token, and looked up first.
    let received = stage.admitted(CONTRACT.path, user(&token.secret));
    assert_eq!(received.identity(), plain_identity(&token));
    for wrong in ["wrong", "", &token.secret[1..], &format!("{}x", token.secret)] {
        CONTRACT.says_invalid(&stage.refused(CONTRACT.path, user(wrong)));
    }
    let other = ["--user".to_owned(), format!("eve@example.com:{PASSWORD}")];
    CONTRACT.says_invalid(&stage.refused(CONTRACT.path, other));
}

#[test]
fn a_token_in_the_query_goes_along_with_the_credential_that_counts() {
    let stage = Stage::set();
    let (right, other) = (CONTRACT.issue(&stage), CONTRACT.issue(&stage));
    let target = format!("/togai/events?access_token={}", other.secret);
    let received = stage.admitted(&target, (CONTRACT.send)(&right));
    assert_eq!(received.identity(), plain_identity(&right));
}

#[test]
fn what_cannot_be_read_says_why() {
    let stage = Stage::set();
    let secret = CONTRACT.issue(&stage).secret;
    let is_malformed = |lines: &[&str], why: &str| {
        let message = format!("The credentials could not be read: {why}.");
        let refused = stage.refused(CONTRACT.path, headers(lines));
        refuses(&refused, 401, INVALID, &json!({"message": message}));
    };
    let right = format!("Authorization: Bearer {secret}");
    is_malformed(
        &["Authorization: Bearer"],
        "the Authorization header names a scheme but carries no credential",
    );
    is_malformed(&[&format!("{right} {secret}")], "the credential contains white space");
    is_malformed(
        &[&format!("{right}\"")],
        "the credential contains a character that is not allowed",
    );
    for other in [right.as_str(), "Authorization: Basic x"] {
        is_malformed(&[&right, other], "a credential header was sent more than once");
    }
}

#[test]
fn what_is_not_a_token_is_not_valid() {
    let stage = Stage::set();
    let token = CONTRACT.issue(&stage);
    let (kept, last) = token.secret.split_at(token.secret.len() - 1);
    let mistyped = format!("{kept}{}", if last == "x" { "y" } else { "x" });
    for secret in [
        mistyped,
        token.secret.to_uppercase(),
        token.secret.replace("tog_live_", "fct_live_"),
        token.secret.replace("tog_live_", ""),
        format!("{}x", token.secret),
        "x".to_owned(),
        "x".repeat(8_000),
        token.id.clone(),
    ] {
        let refused = stage.refused(CONTRACT.path, authorization(&format!("Bearer {secret}")));
        CONTRACT.says_invalid(&refused);
    }
}

#[test]
fn a_token_for_certain_networks_is_forbidden_elsewhere() {
    let stage = Stage::set();
    let near = stage.server.issue("togai", &["--allowed-network", "127.0.0.0/8"]);
    assert_eq!(CONTRACT.opens(&stage, &near).identity(), plain_identity(&near));
    let far = stage.server.issue("togai", &["--allowed-network", "192.0.2.0/24"]);
    let refused = stage.refused(CONTRACT.path, (CONTRACT.send)(&far));
    forbids(&refused, &json!({"message": "This token may not be used from this address."}));
    // Whoever sends it does not decide where it comes from.
    for line in ["X-Forwarded-For: 192.0.2.1", "X-Real-IP: 192.0.2.1", "Forwarded: for=192.0.2.1"] {
        let arguments = [(CONTRACT.send)(&far), headers(&[line])].concat();
        assert_eq!(stage.refused(CONTRACT.path, arguments).status, 403);
    }
}
