//! Passwords at the doors of an API that takes them: who is let in, that all others look
//! alike, and that guessing is counted wherever it happens.

use crate::{
    caller::Caller,
    console::second_factor,
    installation::{ADA, Installation},
    response::Response,
    server::Server,
    upstream::{Identity, Upstream},
    wire::Wire,
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use counterfoil_support::visitor::{PASSWORD, Visitor};
use serde_json::{Value, json};

const BOB: &str = "bob@example.com";

const APIS: &str = r#"
[gateway]
trusted_proxies = ["127.0.0.1"]
[server]
trusted_proxies = ["127.0.0.1"]

[api.open]
upstream = "UPSTREAM"
schemes = ["bearer", "password"]
access_tokens = {}
[api.open.scopes]
read = "Read"
write = "Write"
[api.open.roles]
reader = ["read"]

[api.plain]
upstream = "UPSTREAM"
schemes = ["basic"]

[api.ours]
upstream = "UPSTREAM"
schemes = ["password"]
errors = "message"
issuers = "administrators"
"#;

/// Ada is an administrator, Bob a member; both have the same password.
struct Stage {
    server: Server,
    upstream: Upstream,
    service: Caller,
    ada: String,
    organization: String,
}

impl Stage {
    fn set() -> Self {
        let upstream = Upstream::start();
        let installation = Installation::new(&APIS.replace("UPSTREAM", &upstream.url()));
        let init = ["init", "--email", ADA, "--organization", "Acme", "--password-file", "-"];
        installation.cli_reading(PASSWORD, init).done();
        let bob = ["account", "create", "--email", BOB, "--password-file", "-"];
        installation.cli_reading(PASSWORD, bob).done();
        let server = installation.start();
        server.cli(["account", "create", "--email", "service@example.com"]).done();
        let scopes = ["open:verify", "plain:verify", "ours:verify"];
        let service = Caller::new(&server, "service@example.com", &scopes, &[]);
        let ada = server.cli(["account", "show", ADA, "--json"]).done().json();
        let ada = ada["id"].as_str().unwrap().to_owned();
        let organization = service.token.organization.clone();
        Self { server, upstream, service, ada, organization }
    }

    /// What the gateway answers to `Basic`, from the client with this number.
    fn gateway(&self, api: &str, email: &str, password: &str, client: u8) -> Response {
        let lines = [basic(email, password), format!("X-Forwarded-For: {}", address(client))];
        let path = format!("/{api}/7");
        let lines = || lines.iter().flat_map(|line| ["--header", line]);
        patiently(|| self.server.curl(&path, lines()), is_busy)
    }

    fn forward_auth(&self, api: &str, email: &str, password: &str, client: u8) -> Response {
        let question = format!(
            "GET /auth/{api} HTTP/1.1\r\nhost: counterfoil\r\nX-Original-Method: GET\r\n\
             X-Original-URI: /7\r\nX-Real-IP: {}\r\n{}\r\n\r\n",
            address(client),
            basic(email, password)
        );
        let ask = || Wire::connect(self.server.forward_auth).unwrap().exchange(&question).unwrap();
        patiently(ask, is_busy)
    }

    fn verify(&self, api: &str, email: &str, password: &str, client: u8) -> Value {
        let ask = || {
            let question = question(api, email, password, client);
            let response = self.service.post("/v1/verify", &question);
            assert_eq!(response.status, 200, "{response:?}");
            response.json()
        };
        patiently(ask, |answer| answer["refusal"]["headers"]["retry-after"] == "2")
    }

    /// Why the gateway has refused, as the operator learns it.
    fn why(&self, refused: &Response) -> (String, String) {
        let told = self.server.cli(["why", refused.request_id(), "--json"]).done().json();
        let text = |name: &str| told[name].as_str().unwrap_or_default().to_owned();
        (text("code"), text("about"))
    }

    /// Checks that every door lets Ada in.
    #[track_caller]
    fn lets_in(&self, client: u8) {
        let expected = Identity {
            account: self.ada.clone(),
            organization: self.organization.clone(),
            scopes: "read write".into(),
            ..Identity::default()
        };
        let response = self.gateway("open", ADA, PASSWORD, client);
        assert_eq!(response.status, 200, "{response:?}");
        let received = self.upstream.take_one();
        assert_eq!(received.identity(), expected);
        assert!(received.values("authorization").is_empty() && !received.holds(PASSWORD));
        let response = self.forward_auth("open", ADA, PASSWORD, client);
        assert_eq!(crate::forward_auth::identity(&response), expected);
        let answer = self.verify("open", ADA, PASSWORD, client);
        assert_eq!(answer, active(&self.ada, &self.organization));
    }

    /// Checks that every door refuses, for this reason, and looks as if nothing was known.
    #[track_caller]
    fn refuses(&self, email: &str, password: &str, client: u8, code: &str) {
        let unknown = self.gateway("open", "nobody@example.com", "whatever", client.max(100));
        let refused = self.gateway("open", email, password, client);
        assert_eq!(refused.face(), unknown.face());
        assert_eq!(self.why(&refused).0, code);
        assert!(self.upstream.take().is_empty());
        assert_eq!(self.forward_auth("open", email, password, client).status, 401);
        let answer = self.verify("open", email, password, client);
        assert_eq!((&answer["active"], &answer["code"]), (&json!(false), &json!(code)));
        let body: Value =
            serde_json::from_str(answer["refusal"]["body"].as_str().unwrap()).unwrap();
        assert_eq!(body["code"], "unknown_token");
    }
}

/// Asks until somebody has looked at the password: the thread that does gives way to all others,
/// those of other tests, too, and nothing counts that it did not come to.
fn patiently<T>(ask: impl Fn() -> T, is_busy: impl Fn(&T) -> bool) -> T {
    (0..20).map(|_| ask()).find(|answer| !is_busy(answer)).unwrap()
}

/// Whoever has guessed too often is told to come back much later.
fn is_busy(response: &Response) -> bool {
    response.headers.iter().any(|(name, value)| name == "retry-after" && value == "2")
}

fn basic(email: &str, password: &str) -> String {
    format!("Authorization: Basic {}", BASE64_STANDARD.encode(format!("{email}:{password}")))
}

fn address(client: u8) -> String {
    format!("203.0.113.{client}")
}

fn question(api: &str, email: &str, password: &str, client: u8) -> Value {
    let line = basic(email, password);
    let value = line.split_once(": ").unwrap().1;
    json!({"api": api, "headers": {"authorization": value}, "client_address": address(client)})
}

fn active(account: &str, organization: &str) -> Value {
    json!({
        "active": true, "token": null, "account": account, "organization": organization,
        "role": null, "scopes": ["read", "write"], "expires_at": null,
    })
}

#[test]
fn a_right_password_opens_every_door() {
    let stage = Stage::set();
    stage.lets_in(1);
    // As often as they like: what is right is not counted.
    for _ in 0..12 {
        assert_eq!(stage.gateway("open", "ADA@example.com", PASSWORD, 1).status, 200);
    }
    let items = [
        question("open", ADA, PASSWORD, 2),
        question("open", ADA, "wrong", 2),
        json!({"api": "open", "secret": stage.server.issue("open", &["--scope", "read"]).secret}),
        question("open", "nobody@example.com", PASSWORD, 2),
        question("plain", ADA, PASSWORD, 2),
    ];
    let answer = stage.service.post("/v1/verify/batch", &json!({ "items": items })).json();
    let answers = answer["items"].as_array().unwrap();
    assert_eq!(answers[0], active(&stage.ada, &stage.organization));
    assert_eq!(answers[2]["active"], true);
    for (place, code) in [(1, "wrong_password"), (3, "wrong_password"), (4, "unknown_token")] {
        assert_eq!(answers[place]["code"], code);
    }
}

#[test]
fn whatever_is_not_right_looks_alike() {
    let stage = Stage::set();
    stage.lets_in(1);
    stage.refuses(ADA, "wrong", 2, "wrong_password");
    stage.refuses(ADA, "", 3, "wrong_password");
    stage.refuses("nobody@example.com", PASSWORD, 4, "wrong_password");
    stage.refuses("", "", 5, "wrong_password");
    // A token in its place is looked up, and one that is mistyped is no password.
    let token = stage.server.issue("open", &["--scope", "read"]);
    let gone = stage.server.issue("open", &["--scope", "read"]);
    assert_eq!(stage.gateway("open", ADA, &token.secret, 6).status, 200);
    assert_eq!(stage.upstream.take_one().identity().token, token.id);
    stage.server.cli(["token", "revoke", &gone.id]).done();
    stage.refuses(ADA, &gone.secret, 6, "revoked");
    stage.refuses(BOB, &token.secret, 6, "owner_mismatch");
    stage.refuses(ADA, &format!("{}x", token.secret), 6, "unknown_token");
    // Without a password there is none that is right.
    stage.server.cli(["account", "create", "--email", "eve@example.com"]).done();
    stage.refuses("eve@example.com", "", 7, "wrong_password");
    let refused = stage.gateway("open", "eve@example.com", "guess", 7);
    assert_eq!(stage.why(&refused).1, "the account is disabled, or has no password");
    // Nor does anything else take passwords.
    let refused = stage.gateway("plain", ADA, PASSWORD, 8);
    assert_eq!((refused.status, stage.why(&refused).0), (401, "unknown_token".into()));
    // What an API takes, its challenges say.
    let challenges = stage.gateway("open", ADA, "wrong", 9);
    assert_eq!(
        challenges.values("www-authenticate"),
        [r#"Bearer realm="open", error="invalid_token""#, r#"Basic realm="open", charset="UTF-8""#]
    );
}

#[test]
fn a_change_counts_from_the_moment_on_that_it_is_answered() {
    let stage = Stage::set();
    let cli = |arguments: &[&str]| stage.server.cli(arguments).done();
    stage.lets_in(1);
    cli(&["account", "disable", ADA]);
    stage.refuses(ADA, PASSWORD, 2, "wrong_password");
    cli(&["account", "enable", ADA]);
    stage.lets_in(1);
    // Of two organizations a password says neither.
    cli(&["organization", "create", "--name", "Other"]);
    cli(&["organization", "add-member", "Other", ADA]);
    stage.refuses(ADA, PASSWORD, 3, "several_organizations");
    cli(&["organization", "remove-member", "Other", ADA]);
    stage.lets_in(1);
    cli(&["organization", "add-member", "Other", ADA]);
    cli(&["organization", "close", "Other"]);
    stage.lets_in(1);
    let new = "countess@example.com";
    cli(&["account", "set-email", ADA, new]);
    stage.refuses(ADA, PASSWORD, 7, "wrong_password");
    assert_eq!(stage.gateway("open", new, PASSWORD, 8).status, 200);
    assert_eq!(stage.upstream.take_one().identity().account, stage.ada);
    cli(&["account", "set-email", new, ADA]);
    stage.refuses(new, PASSWORD, 9, "wrong_password");
    stage.lets_in(1);
    stage
        .server
        .cli_reading("another sentence", ["account", "set-password", ADA, "--password-file", "-"])
        .done();
    stage.refuses(ADA, PASSWORD, 4, "wrong_password");
    assert_eq!(stage.gateway("open", ADA, "another sentence", 5).status, 200);
    assert_eq!(stage.upstream.take_one().identity().account, stage.ada);
    cli(&["organization", "remove-member", "Acme", BOB]);
    stage.refuses(BOB, PASSWORD, 6, "account_disabled");
}

#[test]
fn a_second_factor_ends_it() {
    let stage = Stage::set();
    stage.lets_in(1);
    second_factor::turn_on(&Visitor::sign_in_with(stage.server.main, ADA, PASSWORD));
    stage.refuses(ADA, PASSWORD, 2, "second_factor");
    stage.refuses(ADA, "wrong", 3, "wrong_password");
    stage.server.cli(["account", "remove-second-factor", ADA]).done();
    stage.lets_in(1);
}

#[test]
fn it_is_good_where_its_account_may_issue() {
    let stage = Stage::set();
    assert_eq!(stage.gateway("ours", ADA, PASSWORD, 1).status, 200);
    let refused = stage.gateway("ours", BOB, PASSWORD, 1);
    assert_eq!(refused.json(), json!({"message": "The token is not valid."}));
    assert_eq!(stage.why(&refused).0, "not_an_issuer");
}

#[test]
fn guessing_is_counted_wherever_it_happens() {
    let stage = Stage::set();
    let limited = |response: &Response| {
        assert_eq!(response.status, 429, "{response:?}");
        let wait: u64 = response.header("retry-after").parse().unwrap();
        assert!((1..=900).contains(&wait));
        assert_eq!(response.json()["code"], "rate_limited");
    };
    for email in [ADA, "nobody@example.com"] {
        for _ in 0..4 {
            assert_eq!(stage.gateway("open", email, "wrong", 1).status, 401);
            assert_eq!(stage.forward_auth("open", email, "wrong", 1).status, 401);
        }
        for _ in 0..2 {
            assert_eq!(stage.verify("open", email, "wrong", 1)["code"], "wrong_password");
        }
        limited(&stage.gateway("open", email, PASSWORD, 1));
        assert_eq!(stage.verify("open", email, PASSWORD, 1)["refusal"]["status"], 429);
        // nginx can pass on no other.
        assert_eq!(stage.forward_auth("open", email, PASSWORD, 1).status, 403);
    }
    stage.lets_in(2);
    // The sign-in page counts the same, for the same client.
    let sign_in = |client: u8| {
        let origin = Visitor::stranger(stage.server.main).origin();
        let line = format!("origin: {origin}\r\nx-forwarded-for: {}\r\n", address(client));
        let fields = [("email", ADA), ("password", PASSWORD)];
        Visitor::stranger(stage.server.main).post_with(&line, "/sign-in", &fields).status
    };
    assert_eq!((sign_in(1), sign_in(2)), (429, 303));
    // A right password that is good for nothing is counted, too.
    for _ in 0..10 {
        assert_eq!(stage.gateway("ours", BOB, PASSWORD, 3).status, 401);
    }
    assert_eq!(stage.gateway("ours", BOB, PASSWORD, 3).status, 429);
}

#[test]
fn nothing_else_takes_a_password() {
    let stage = Stage::set();
    let ask = |method: &str, path: &str, line: &str| {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: counterfoil\r\n{line}\r\ncontent-length: 0\r\n\
             connection: close\r\n\r\n"
        );
        Wire::connect(stage.server.main).unwrap().exchange(request).unwrap()
    };
    let (basic, bearer) = (basic(ADA, PASSWORD), format!("Authorization: Bearer {PASSWORD}"));
    for line in [&basic, &bearer] {
        assert_eq!(ask("POST", "/authenticate", line).status, 401);
        assert_eq!(ask("GET", "/v1/tokens", line).status, 401);
        assert_eq!(ask("POST", "/v1/verify", line).status, 401);
    }
    let line = ["--header", &basic, "--request", "POST"];
    assert_eq!(stage.server.curl("/authenticate", line).status, 401);
    assert_eq!(stage.server.curl("/open/authenticate", line).status, 401);
}

#[test]
fn nothing_of_it_is_written_down() {
    let upstream = Upstream::start();
    let mut installation = Installation::new(&APIS.replace("UPSTREAM", &upstream.url()));
    installation.set("COUNTERFOIL_LOG_LEVEL", "trace");
    let init = ["init", "--email", ADA, "--password-file", "-"];
    installation.cli_reading(PASSWORD, init).done();
    let server = installation.start();
    for (password, status) in [(PASSWORD, 200), ("a wrong sentence", 401)] {
        let response = server.curl("/open/7", ["--header", &basic(ADA, password)]);
        assert_eq!(response.status, status);
    }
    server.process().terminate();
    let (_, log, installation) = server.wait();
    assert!(log.contains("wrong_password"), "{log}");
    let written = std::fs::read(installation.data().join("counterfoil.db")).unwrap();
    for password in [PASSWORD, "a wrong sentence"] {
        let encoded = basic(ADA, password);
        let encoded = encoded.rsplit(' ').next().unwrap();
        assert!(!log.contains(password) && !log.contains(encoded), "{log}");
        let holds = |text: &str| written.windows(text.len()).any(|part| part == text.as_bytes());
        assert!(!holds(password) && !holds(encoded));
    }
}
