//! What standard clients ask: access tokens, introspection, revocation, metadata.

mod clients;
mod errors;
mod introspection;
mod revocation;

use crate::{
    installation::{Installation, Token},
    response::Response,
    server::Server,
    upstream::Upstream,
};
use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use counterfoil_support::wire::Wire;
use serde_json::{Value, json};
use std::net::SocketAddr;

/// Access tokens of either algorithm, and an API without.
const APIS: &str = r#"
[api.events]
schemes = ["bearer"]
[api.events.scopes]
read = "Read events"
write = "Send events"
[api.events.access_tokens]
lifetime = "24h"

[api.costs]
schemes = ["header-pair", "bearer"]
header_pair = ["x-costs-id", "x-costs-key"]
[api.costs.access_tokens]
algorithm = "ES256"

[api.plain]
schemes = ["token"]
"#;

struct Stage {
    server: Server,
    /// A token of the API `events`.
    token: Token,
    _upstream: Upstream,
}

impl Stage {
    fn start() -> Self {
        Self::on(|_| ())
    }

    fn on(prepare: impl FnOnce(&mut Installation)) -> Self {
        let upstream = Upstream::start();
        let mut installation = Installation::new(APIS);
        for api in ["EVENTS", "COSTS", "PLAIN"] {
            installation.set(&format!("COUNTERFOIL_API_{api}_UPSTREAM"), &upstream.url());
        }
        prepare(&mut installation);
        let server = installation.set_up().start();
        let token = server.issue("events", &["--scope", "read", "--scope", "write"]);
        Self { server, token, _upstream: upstream }
    }

    /// One request with a form, as this client.
    fn ask(&self, path: &str, client: &Token, form: &str) -> Response {
        post(self.server.main, path, &basic(client), form)
    }

    /// An access token with all that `client` has.
    #[track_caller]
    fn access_token(&self, client: &Token) -> String {
        let answer = self.ask("/oauth2/token", client, GRANT);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["access_token"].as_str().unwrap().to_owned()
    }

    /// What the API `events` answers to a bearer.
    fn status(&self, bearer: &str) -> u16 {
        let line = format!("Authorization: Bearer {bearer}");
        self.server.curl("/events/x", ["--header", &line]).status
    }
}

const GRANT: &str = "grant_type=client_credentials";

const FORM: &str = "content-type: application/x-www-form-urlencoded\r\n";

/// A client's `Authorization`.
fn basic(client: &Token) -> String {
    pair(&client.id, &client.secret)
}

fn pair(id: &str, secret: &str) -> String {
    format!("authorization: Basic {}\r\n", BASE64_STANDARD.encode(format!("{id}:{secret}")))
}

/// A client in the body.
fn in_the_body(client: &Token) -> String {
    format!("client_id={}&client_secret={}", client.id, client.secret)
}

fn post(server: SocketAddr, path: &str, lines: &str, form: &str) -> Response {
    request(server, "POST", path, &format!("{FORM}{lines}"), form)
}

fn request(server: SocketAddr, method: &str, path: &str, lines: &str, body: &str) -> Response {
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: counterfoil\r\n{lines}content-length: {length}\r\n\r\n{body}"
    );
    Wire::connect(server).unwrap().exchange(request).unwrap()
}

/// Checks an error of OAuth's.
#[track_caller]
fn says_no(answer: &Response, status: u16, error: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.json()["error"], error, "{answer:?}");
    let description = answer.json()["error_description"].as_str().unwrap().to_owned();
    let is_fit = |b: u8| matches!(b, b' '..=b'~') && !matches!(b, b'"' | b'\\');
    assert!(!description.is_empty() && description.bytes().all(is_fit), "{description}");
    assert_eq!(answer.values("www-authenticate").is_empty(), status != 401 && status != 403);
}

fn claims(access_token: &str) -> Value {
    let payload = access_token.split('.').nth(1).unwrap();
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

#[test]
fn a_client_obtains_an_access_token() {
    let stage = Stage::start();
    let here = stage.server.main;
    for (lines, form) in [
        (basic(&stage.token), GRANT.to_owned()),
        (String::new(), format!("{GRANT}&{}", in_the_body(&stage.token))),
        // Unknown parameters are ignored, those without a value are as if they were not there.
        (
            basic(&stage.token),
            format!("{GRANT}&scope=&resource=&frob=1&client_id={}", stage.token.id),
        ),
        (basic(&stage.token), format!("{GRANT}&resource=events&audience=events")),
    ] {
        let answer = post(here, "/oauth2/token", &lines, &form);
        assert_eq!(answer.status, 200, "{form} {answer:?}");
        assert_eq!(answer.header("content-type"), "application/json");
        assert_eq!(
            (answer.header("cache-control"), answer.header("pragma")),
            ("no-store", "no-cache")
        );
        let told = answer.json();
        assert_eq!(told["token_type"], "Bearer");
        assert_eq!(told["expires_in"], 24 * 60 * 60);
        assert_eq!(told["scope"], "read write");
        let access_token = told["access_token"].as_str().unwrap();
        let says = claims(access_token);
        assert_eq!((&says["aud"], &says["client_id"]), (&json!("events"), &json!(stage.token.id)));
        assert_eq!(says["scope"], "read write");
        assert_eq!(stage.status(access_token), 200);
    }
    // It counts as a use of the token.
    let shown = stage.server.cli(["token", "show", &stage.token.id, "--json"]).done().json();
    assert_eq!(shown["last_used"]["door"], "gateway", "{shown}");
    let other = stage.server.issue("costs", &[]);
    stage.access_token(&other);
    let shown = stage.server.cli(["token", "show", &other.id, "--json"]).done().json();
    assert_eq!(shown["last_used"]["door"], "oauth2", "{shown}");
}

#[test]
fn a_scope_narrows() {
    let stage = Stage::start();
    let answer = stage.ask("/oauth2/token", &stage.token, &format!("{GRANT}&scope=read+read"));
    assert_eq!(answer.json()["scope"], "read");
    let access_token = answer.json()["access_token"].as_str().unwrap().to_owned();
    assert_eq!(stage.status(&access_token), 200);
    let line = format!("Authorization: Bearer {access_token}");
    let refused = stage.server.curl("/events/x", ["--header", &line, "--data", "x"]);
    assert_eq!(refused.status, 403);
    // Where there are no scopes, there are none to speak of.
    let costs = stage.server.issue("costs", &[]);
    let answer = stage.ask("/oauth2/token", &costs, GRANT);
    assert_eq!(answer.json().get("scope"), None);
    assert_eq!(answer.json()["expires_in"], 60 * 60);
    // It never outlives its token.
    let soon = stage.server.issue("costs", &["--expires-in", "5m"]);
    let answer = stage.ask("/oauth2/token", &soon, GRANT);
    assert!(answer.json()["expires_in"].as_u64().unwrap() <= 5 * 60, "{answer:?}");
}

#[test]
fn the_metadata_say_where_what_is() {
    let url = "https://tokens.example.com";
    let stage = Stage::on(|it| it.set("COUNTERFOIL_SERVER_PUBLIC_URL", url));
    let path = "/.well-known/oauth-authorization-server";
    let answer = request(stage.server.main, "GET", path, "", "");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "application/json");
    let told = answer.json();
    assert_eq!(told["issuer"], url);
    assert_eq!(told["issuer"], claims(&stage.access_token(&stage.token))["iss"]);
    assert_eq!(told["grant_types_supported"], json!(["client_credentials"]));
    assert_eq!(told["response_types_supported"], json!([]));
    assert_eq!(told["scopes_supported"], json!(["read", "write"]));
    for (endpoint, method, status) in [
        ("token_endpoint", "POST", 401),
        ("introspection_endpoint", "POST", 401),
        ("revocation_endpoint", "POST", 401),
        ("jwks_uri", "GET", 200),
    ] {
        let path = told[endpoint].as_str().unwrap().strip_prefix(url).unwrap();
        assert_eq!(request(stage.server.main, method, path, FORM, "").status, status, "{path}");
    }
    // It is there without access tokens, for what there is then.
    let server = Installation::new("[api.plain]\nupstream = \"http://127.0.0.1:9\"").start();
    let told = request(server.main, "GET", path, "", "").json();
    assert_eq!(told["grant_types_supported"], json!(["client_credentials"]));
    assert!(told.get("scopes_supported").is_none(), "{told}");
    assert_eq!(request(server.main, "POST", "/oauth2/token", FORM, GRANT).status, 401);
}
