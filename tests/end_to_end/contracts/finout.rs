//! Finout: a client ID and a secret key, in two headers of the API's own.

use super::{Contract, Stage, authorization, forbids, headers, plain_identity, refuses};
use crate::{
    installation::{ADA, Token},
    response::Response,
    upstream::Identity,
};
use serde_json::{Value, json};

pub(super) const CONTRACT: Contract = Contract {
    api: "finout",
    path: "/finout/v1/costs",
    grant: &["--role", "viewer"],
    send: |token| pair(&token.id, &token.secret),
    invalid: |_| json!({"message": "The token is not valid."}),
    challenge: CHALLENGE,
};

const CHALLENGE: &str = r#"ApiKey realm="finout", header="x-finout-client-id x-finout-secret-key""#;
const CREATE: [&str; 6] = ["token", "create", "--owner", ADA, "--api", "finout"];

fn pair(client_id: &str, secret: &str) -> Vec<String> {
    headers(&[
        &format!("x-finout-client-id: {client_id}"),
        &format!("x-finout-secret-key: {secret}"),
    ])
}

fn method(name: &str) -> Vec<String> {
    vec!["--request".to_owned(), name.to_owned()]
}

fn identity(token: &Token, role: &str, scopes: &str) -> Identity {
    Identity { role: role.to_owned(), scopes: scopes.to_owned(), ..plain_identity(token) }
}

#[track_caller]
fn is_missing(response: &Response) {
    let body = json!({
        "message": "No credentials were provided. \
                    Send the headers x-finout-client-id and x-finout-secret-key.",
    });
    refuses(response, 401, CHALLENGE, &body);
}

#[track_caller]
fn is_malformed(response: &Response, why: &str) {
    let message = format!("The credentials could not be read: {why}.");
    refuses(response, 401, CHALLENGE, &json!({"message": message}));
}

#[test]
fn client_id_and_secret_key_open_the_door() {
    let stage = Stage::set();
    let token = CONTRACT.issue(&stage);
    assert_eq!(token.json["client_id"], token.id);
    let received = CONTRACT.opens(&stage, &token);
    assert_eq!(received.target, "/v1/costs");
    assert_eq!(received.identity(), identity(&token, "viewer", "read"));
    assert!(!received.holds(&token.secret));

    for [id, secret] in [
        ["X-FINOUT-CLIENT-ID", "X-FINOUT-SECRET-KEY"],
        ["X-Finout-Client-Id", "x-finout-Secret-key"],
    ] {
        let lines = [format!("{secret}: {}", token.secret), format!("{id}: {}", token.id)];
        let received =
            stage.admitted(CONTRACT.path, headers(&[lines[0].as_str(), lines[1].as_str()]));
        assert_eq!(received.identity(), identity(&token, "viewer", "read"));
    }
}

#[test]
fn they_must_belong_together() {
    let stage = Stage::set();
    let (one, other) = (CONTRACT.issue(&stage), CONTRACT.issue(&stage));
    for (client_id, secret) in [
        (other.id.as_str(), one.secret.as_str()),
        (&one.id, &other.secret),
        (&one.secret, &one.id),
        ("00000000-0000-7000-8000-000000000000", &one.secret),
        ("x", &one.secret),
        (&one.id, "x"),
        (&one.owner, &one.secret),
    ] {
        CONTRACT.says_invalid(&stage.refused(CONTRACT.path, pair(client_id, secret)));
    }
}

#[test]
fn both_have_to_be_there_once() {
    let stage = Stage::set();
    let token = CONTRACT.issue(&stage);
    let id = format!("x-finout-client-id: {}", token.id);
    let secret = format!("x-finout-secret-key: {}", token.secret);
    let half = "only one of the two credential headers was sent";
    is_malformed(&stage.refused(CONTRACT.path, headers(&[&id])), half);
    is_malformed(&stage.refused(CONTRACT.path, headers(&[&secret])), half);
    is_malformed(&stage.refused(CONTRACT.path, headers(&[&id, "x-finout-secret-key;"])), half);
    let repeated = "a credential header was sent more than once";
    for lines in [
        [&*id, &*secret, &*secret],
        [&*id, &*id, &*secret],
        [&*id, &*secret, "X-FINOUT-CLIENT-ID: 00000000-0000-7000-8000-000000000000"],
        [&*id, "x-finout-secret-key;", &*secret],
    ] {
        is_malformed(&stage.refused(CONTRACT.path, headers(&lines)), repeated);
    }
}

#[test]
fn whatever_else_is_sent_is_no_credential() {
    let stage = Stage::set();
    let token = CONTRACT.issue(&stage);
    let Token { id, secret, .. } = &token;
    is_missing(&stage.refused(CONTRACT.path, []));
    for scheme in ["Bearer", "Token"] {
        let refused = stage.refused(CONTRACT.path, authorization(&format!("{scheme} {secret}")));
        is_missing(&refused);
    }
    let basic = ["--user".to_owned(), format!("{id}:{secret}")];
    is_missing(&stage.refused(CONTRACT.path, basic));
    let query = format!("{}?x-finout-client-id={id}&x-finout-secret-key={secret}", CONTRACT.path);
    is_missing(&stage.refused(&query, []));
    // Beside the pair it is ignored, and does not go on.
    let both = [pair(id, secret), authorization("Bearer whatever")].concat();
    stage.admitted(CONTRACT.path, both);
}

#[test]
fn two_authorization_lines_are_one_too_many() {
    let stage = Stage::set();
    let token = CONTRACT.issue(&stage);
    let lines = headers(&["Authorization: Bearer x", "Authorization: Bearer y"]);
    let arguments = [(CONTRACT.send)(&token), lines].concat();
    let refused = stage.refused(CONTRACT.path, arguments);
    is_malformed(&refused, "a credential header was sent more than once");
}

#[test]
fn a_viewer_reads_and_an_editor_writes_too() {
    let stage = Stage::set();
    let viewer = CONTRACT.issue(&stage);
    let editor = stage.server.issue("finout", &["--role", "editor"]);
    let with = |token: &Token, method: &[String]| [(CONTRACT.send)(token), method.into()].concat();

    for name in ["GET", "OPTIONS"] {
        let received = stage.admitted(CONTRACT.path, with(&viewer, &method(name)));
        assert_eq!(received.method, name);
    }
    let received = stage.admitted(CONTRACT.path, with(&viewer, &["--head".to_owned()]));
    assert_eq!(received.method, "HEAD");
    for name in ["POST", "PUT", "PATCH", "DELETE", "BREW", "get"] {
        let refused = stage.refused(CONTRACT.path, with(&viewer, &method(name)));
        let message = "This token does not have the scope write, which this request needs.";
        forbids(&refused, &json!({"message": message}));
    }
    for name in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"] {
        let received = stage.admitted(CONTRACT.path, with(&editor, &method(name)));
        assert_eq!(received.method, name);
        assert_eq!(received.identity(), identity(&editor, "editor", "read write"));
    }
}

#[test]
fn scopes_in_place_of_a_role_are_heard_by_the_upstream() {
    let stage = Stage::set();
    let token = stage.server.issue("finout", &["--scope", "write"]);
    let post = [(CONTRACT.send)(&token), method("POST")].concat();
    assert_eq!(stage.admitted(CONTRACT.path, post).identity(), identity(&token, "", "write"));
    // To write does not imply to read.
    let refused = stage.refused(CONTRACT.path, (CONTRACT.send)(&token));
    let message = "This token does not have the scope read, which this request needs.";
    forbids(&refused, &json!({"message": message}));
}

#[test]
fn a_role_is_needed_and_has_to_be_one_of_the_apis() {
    let stage = Stage::set();
    let error = stage.server.cli(CREATE).failed(2);
    let needed = "counterfoil: role: a role (viewer, editor) or scopes (read, write) are needed\n";
    assert_eq!(error, needed);
    let error = stage.server.cli(CREATE.iter().chain(&["--role", "king"])).failed(2);
    assert_eq!(error, "counterfoil: role: no role \"king\"; the API has viewer, editor\n");
}

#[test]
fn ninety_days_unless_another_span_is_chosen() {
    let stage = Stage::set();
    let span = |token: &Token| {
        let moment = |name: &str| -> jiff::Timestamp {
            token.json["token"][name].as_str().unwrap().parse().unwrap()
        };
        moment("expires_at").duration_since(moment("created_at")).as_secs() / 86_400
    };
    assert_eq!(span(&CONTRACT.issue(&stage)), 90);
    for (asked, days) in [("365d", 365), ("1d", 1), ("48h", 2)] {
        let token = stage.server.issue("finout", &["--role", "viewer", "--expires-in", asked]);
        assert_eq!(span(&token), days, "{asked}");
    }
    let for_ever = ["--role", "viewer", "--expires-in", "never"];
    let token = stage.server.issue("finout", &for_ever);
    assert_eq!(token.json["token"]["expires_at"], Value::Null);
    for asked in ["366d", "10000d"] {
        let longer = ["--role", "viewer", "--expires-in", asked];
        let error = stage.server.cli(CREATE.iter().chain(&longer)).failed(2);
        assert!(error.ends_with(": tokens of this API live 365d at most\n"), "{error}");
    }
}
