//! Select Star: the word is `Token`, and the answers are those of `SimpleJWT`.

use super::{Contract, Stage, authorization, headers, plain_identity, refuses};
use crate::{installation::ADA, response::Response};
use serde_json::{Value, json};

pub(super) const CONTRACT: Contract = Contract {
    api: "selectstar",
    path: "/selectstar/v1/tables/",
    grant: &[],
    send: |token| authorization(&format!("Token {}", token.secret)),
    invalid: |_| {
        json!({
            "detail": "Given token not valid for any token type",
            "code": "token_not_valid",
            "messages": [{
                "token_class": "AccessToken",
                "token_type": "access",
                "message": "Token is invalid or expired",
            }],
        })
    },
    challenge: CHALLENGE,
};

const CHALLENGE: &str = r#"Token realm="api""#;

#[track_caller]
fn is_missing(response: &Response) {
    let body = json!({"detail": "Authentication credentials were not provided."});
    refuses(response, 401, CHALLENGE, &body);
    assert_eq!(response.header("content-type"), "application/json");
}

#[track_caller]
fn is_bad(response: &Response) {
    let body = json!({
        "detail": "Authorization header must contain two space-delimited values",
        "code": "bad_authorization_header",
    });
    refuses(response, 401, CHALLENGE, &body);
}

#[test]
fn the_token_opens_the_door_and_has_no_expiration() {
    let stage = Stage::set();
    let token = CONTRACT.issue(&stage);
    assert_eq!(token.json["token"]["expires_at"], Value::Null);
    // No name is asked: it is the date.
    let created = token.json["token"]["created_at"].as_str().unwrap();
    assert_eq!(token.json["token"]["name"], created[..10]);
    let received = CONTRACT.opens(&stage, &token);
    assert_eq!(received.target, "/v1/tables/");
    assert_eq!(received.identity(), plain_identity(&token));
    assert!(!received.holds(&token.secret));
    for name in ["authorization", "AUTHORIZATION"] {
        let line = format!("{name}: Token {}", token.secret);
        let received = stage.admitted(CONTRACT.path, headers(&[&line]));
        assert_eq!(received.identity(), plain_identity(&token));
    }
}

#[test]
fn any_other_word_is_no_credential() {
    let stage = Stage::set();
    let secret = CONTRACT.issue(&stage).secret;
    is_missing(&stage.refused(CONTRACT.path, []));
    for word in ["Bearer", "token", "TOKEN", "Tokens", "Basic", ""] {
        let refused = stage.refused(CONTRACT.path, authorization(&format!("{word} {secret}")));
        is_missing(&refused);
    }
    let basic = ["--user".to_owned(), format!("{ADA}:{secret}")];
    is_missing(&stage.refused(CONTRACT.path, basic));
    for name in ["token", "Token", "authorization"] {
        is_missing(&stage.refused(&format!("{}?{name}={secret}", CONTRACT.path), []));
    }
}

#[test]
fn the_header_has_to_have_two_words() {
    let stage = Stage::set();
    let secret = CONTRACT.issue(&stage).secret;
    for value in ["Token".to_owned(), format!("Token {secret} b"), "Token a b".to_owned()] {
        is_bad(&stage.refused(CONTRACT.path, authorization(&value)));
    }
    let right = format!("Authorization: Token {secret}");
    for other in [right.as_str(), "Authorization: Bearer x"] {
        for lines in [[right.as_str(), other], [other, right.as_str()]] {
            is_bad(&stage.refused(CONTRACT.path, headers(&lines)));
        }
    }
}

#[test]
fn what_is_not_a_token_is_not_valid() {
    let stage = Stage::set();
    let secret = CONTRACT.issue(&stage).secret;
    for wrong in ["x", &secret[1..], &secret.to_lowercase(), "\u{e9}\u{e9}"] {
        let refused = stage.refused(CONTRACT.path, authorization(&format!("Token {wrong}")));
        CONTRACT.says_invalid(&refused);
    }
}

#[test]
fn the_right_token_of_a_disabled_account_hears_so() {
    let stage = Stage::set();
    let token = CONTRACT.issue(&stage);
    CONTRACT.opens(&stage, &token);
    stage.server.cli(["account", "disable", ADA]).done();
    let refused = stage.refused(CONTRACT.path, (CONTRACT.send)(&token));
    let body = json!({"detail": "User is inactive", "code": "user_inactive"});
    refuses(&refused, 401, CHALLENGE, &body);
    // A wrong one does not.
    let refused = stage.refused(CONTRACT.path, authorization("Token sel_live_x"));
    CONTRACT.says_invalid(&refused);
    stage.server.cli(["account", "enable", ADA]).done();
    CONTRACT.opens(&stage, &token);
}

#[test]
fn a_token_can_be_deleted_and_made_anew() {
    let stage = Stage::set();
    let token = CONTRACT.issue(&stage);
    stage.server.cli(["token", "revoke", &token.id]).done();
    CONTRACT.is_invalid(&stage, &token);
    let anew = CONTRACT.issue(&stage);
    assert_eq!(CONTRACT.opens(&stage, &anew).identity(), plain_identity(&anew));
    CONTRACT.is_invalid(&stage, &token);
}
