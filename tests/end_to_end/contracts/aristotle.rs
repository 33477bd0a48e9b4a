//! Aristotle Metadata Registry: keys that read and write, area by area.

use super::{Contract, Stage, authorization, forbids, headers, plain_identity, refuses};
use crate::{
    installation::{ADA, Token},
    response::Response,
    upstream::Identity,
};
use serde_json::{Value, json};

pub(super) const CONTRACT: Contract = Contract {
    api: "aristotle",
    path: METADATA,
    grant: &["--scope", "metadata:read"],
    send: |token| authorization(&format!("Token {}", token.secret)),
    invalid: |_| json!({"detail": "Invalid token."}),
    challenge: CHALLENGE,
};

const CHALLENGE: &str = "Token";
const METADATA: &str = "/aristotle/api/v4/metadata/";
const PUBLIC: &str = "/aristotle/api/v4/public/pages/1";

fn forbidden() -> Value {
    json!({"detail": "You do not have permission to perform this action."})
}

#[track_caller]
fn is_missing(response: &Response) {
    let body = json!({"detail": "Authentication credentials were not provided."});
    refuses(response, 401, CHALLENGE, &body);
    assert_eq!(response.header("content-type"), "application/json");
}

fn with(token: &Token, arguments: &[&str]) -> Vec<String> {
    let arguments = arguments.iter().map(|argument| (*argument).to_owned());
    (CONTRACT.send)(token).into_iter().chain(arguments).collect()
}

#[test]
fn the_key_opens_the_door_whatever_the_words_case() {
    let stage = Stage::set();
    let expiry = ["--name", "Nightly", "--expires-at", "2100-01-31T12:00:00Z"];
    let token = stage.server.issue("aristotle", &[CONTRACT.grant, &expiry].concat());
    assert_eq!(token.json["token"]["name"], "Nightly");
    assert_eq!(token.json["token"]["expires_at"], "2100-01-31T12:00:00Z");
    for word in ["Token", "token", "TOKEN", "tOkEn"] {
        let arguments = authorization(&format!("{word} {}", token.secret));
        let received = stage.admitted(METADATA, arguments);
        assert_eq!(received.target, "/api/v4/metadata/");
        let scopes = "metadata:read".to_owned();
        assert_eq!(received.identity(), Identity { scopes, ..plain_identity(&token) });
        assert!(!received.holds(&token.secret));
    }
}

#[test]
fn permissions_are_by_area_and_access() {
    let stage = Stage::set();
    let grants = [
        "metadata:read",
        "metadata:write",
        "search:read",
        "search:write",
        "organization:read",
        "organization:write",
    ];
    for grant in grants {
        let token = stage.server.issue("aristotle", &["--scope", grant]);
        for area in ["metadata", "search", "organization"] {
            for (access, method) in [
                ("read", &["--request", "GET"][..]),
                ("read", &["--head"]),
                ("read", &["--request", "OPTIONS"]),
                ("write", &["--request", "POST"]),
                ("write", &["--request", "PUT"]),
                ("write", &["--request", "DELETE"]),
            ] {
                let path = format!("/aristotle/api/v4/{area}/7");
                if format!("{area}:{access}") == grant {
                    let received = stage.admitted(&path, with(&token, method));
                    assert_eq!(received.identity().scopes, grant);
                } else if method == ["--head"] {
                    assert_eq!(stage.refused(&path, with(&token, method)).status, 403);
                } else {
                    forbids(&stage.refused(&path, with(&token, method)), &forbidden());
                }
            }
        }
    }
}

#[test]
fn several_permissions_go_together() {
    let stage = Stage::set();
    let scopes = ["--scope", "search:read", "--scope", "metadata:write"];
    let token = stage.server.issue("aristotle", &scopes);
    let received = stage.admitted("/aristotle/api/v4/search/x", with(&token, &[]));
    assert_eq!(received.identity().scopes, "search:read metadata:write");
    stage.admitted(METADATA, with(&token, &["--request", "POST"]));
    forbids(&stage.refused(METADATA, with(&token, &[])), &forbidden());
    // The area is the one that the path stands for, however it is written.
    let received = stage.admitted("/aristotle/api/v4/%73earch/x", with(&token, &[]));
    assert_eq!(received.target, "/api/v4/search/x");
}

#[test]
fn outside_the_areas_no_key_may_do_anything() {
    let stage = Stage::set();
    let all = [
        ["--scope", "metadata:read"],
        ["--scope", "metadata:write"],
        ["--scope", "search:read"],
        ["--scope", "search:write"],
        ["--scope", "organization:read"],
        ["--scope", "organization:write"],
    ]
    .concat();
    let token = stage.server.issue("aristotle", &all);
    for path in ["/aristotle", "/aristotle/", "/aristotle/api/v3/metadata/", "/aristotle/api/v4"] {
        forbids(&stage.refused(path, with(&token, &[])), &forbidden());
        is_missing(&stage.refused(path, []));
    }
    for area in ["users", "metadata:read", "*", "metadata%3Aread", "METADATA"] {
        let path = format!("/aristotle/api/v4/{area}/1");
        forbids(&stage.refused(&path, with(&token, &[])), &forbidden());
    }
}

#[test]
fn what_is_public_is_read_without_a_key() {
    let stage = Stage::set();
    for arguments in [&["--request", "GET"][..], &["--head"], &["--request", "OPTIONS"]] {
        let arguments = arguments.iter().map(|argument| (*argument).to_owned());
        let received = stage.admitted(PUBLIC, arguments);
        assert_eq!(received.target, "/api/v4/public/pages/1");
        assert_eq!(received.identity(), Identity::default());
    }
    for path in ["/aristotle/api/v4/public", "/aristotle/api/v4/public/"] {
        assert_eq!(stage.admitted(path, []).identity(), Identity::default());
    }
    is_missing(&stage.refused("/aristotle/api/v4/publicity", []));
    is_missing(&stage.refused("/aristotle/api/v4/PUBLIC/1", []));
    is_missing(&stage.refused(PUBLIC, ["--request", "POST"].map(str::to_owned)));
}

#[test]
fn a_key_counts_in_public_too() {
    let stage = Stage::set();
    let token = CONTRACT.issue(&stage);
    let received = stage.admitted(PUBLIC, with(&token, &[]));
    assert_eq!(received.identity().token, token.id);
    // There is no scope `public:write`.
    let refused = stage.refused(PUBLIC, with(&token, &["--request", "POST"]));
    forbids(&refused, &forbidden());
    stage.server.cli(["token", "revoke", &token.id]).done();
    CONTRACT.says_invalid(&stage.refused(PUBLIC, with(&token, &[])));
    CONTRACT.says_invalid(&stage.refused(PUBLIC, authorization("Token whatever")));
    // Another scheme is no evidence, and does not go on.
    let received = stage.admitted(PUBLIC, authorization("Bearer whatever"));
    assert_eq!(received.identity(), Identity::default());
}

#[test]
fn whatever_else_is_sent_is_no_credential() {
    let stage = Stage::set();
    let secret = CONTRACT.issue(&stage).secret;
    is_missing(&stage.refused(METADATA, []));
    is_missing(&stage.refused(METADATA, authorization(&format!("Bearer {secret}"))));
    let basic = ["--user".to_owned(), format!("{ADA}:{secret}")];
    is_missing(&stage.refused(METADATA, basic));
    is_missing(&stage.refused(&format!("{METADATA}?token={secret}"), []));
}

#[test]
fn what_cannot_be_read_says_why() {
    let stage = Stage::set();
    let secret = CONTRACT.issue(&stage).secret;
    let says = |lines: &[&str], detail: &str| {
        for path in [METADATA, PUBLIC] {
            let refused = stage.refused(path, headers(lines));
            refuses(&refused, 401, CHALLENGE, &json!({"detail": detail}));
        }
    };
    says(&["Authorization: Token"], "Invalid token header. No credentials provided.");
    let spaces = "Invalid token header. Token string should not contain spaces.";
    says(&[&format!("Authorization: Token {secret} b")], spaces);
    says(&["Authorization: token a b c"], spaces);
    says(
        &["Authorization: Token \u{e9}"],
        "Invalid token header. Token string should not contain invalid characters.",
    );
}

#[test]
fn two_authorization_lines_are_one_too_many() {
    let stage = Stage::set();
    let right = format!("Authorization: Token {}", CONTRACT.issue(&stage).secret);
    for other in [right.as_str(), "Authorization: Bearer x"] {
        for lines in [[right.as_str(), other], [other, right.as_str()]] {
            let refused = stage.refused(METADATA, headers(&lines));
            assert_eq!(refused.status, 401);
            assert_eq!(refused.header("www-authenticate"), CHALLENGE);
        }
    }
}

#[test]
fn scopes_are_needed_and_have_to_be_the_apis() {
    let stage = Stage::set();
    let create = ["token", "create", "--owner", ADA, "--api", "aristotle"];
    let known = "metadata:read, metadata:write, search:read, search:write, organization:read, \
                 organization:write";
    let error = stage.server.cli(create).failed(2);
    assert_eq!(error, format!("counterfoil: scopes: needed; the API has {known}\n"));
    for wrong in ["read", "public:write", "metadata:*", "metadata"] {
        let error = stage.server.cli(create.iter().chain(&["--scope", wrong])).failed(2);
        assert_eq!(
            error,
            format!("counterfoil: scopes: no scope {wrong:?}; the API has {known}\n")
        );
    }
}
