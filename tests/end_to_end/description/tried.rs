//! The description, held against the server by schemathesis, which tries whatever the
//! description lets it think of; and read by a validator that is not ours.

use super::checked_in;
use crate::{
    caller::{Caller, SCOPES},
    installation::{ADA, Installation, Token},
    process::run,
    response::curl,
    server::Server,
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use counterfoil_support::forward::Forward;
use serde_json::{Value, json};
use std::{
    fs::write,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

/// The APIs that the description's examples are about.
pub(super) const APIS: &str = r#"
[api.orders]
upstream = "http://127.0.0.1:9"
[api.orders.access_tokens]

[api.finout]
upstream = "http://127.0.0.1:9"
schemes = ["header-pair"]
header_pair = ["x-finout-client-id", "x-finout-secret-key"]
[api.finout.scopes]
read = "Read costs"
[api.finout.roles]
viewer = ["read"]
"#;

/// The calls that are for OAuth's clients.
const OAUTH: &str = "^/(oauth2|authenticate|[.]well-known)";

/// Ids that the description's examples name, and what stands in for them.
struct Examples {
    token: Token,
    /// A service account that may be disabled and thrown out.
    account: String,
}

impl Examples {
    /// Makes what they name, and whom they name by e-mail address.
    fn make(server: &Server) -> Self {
        let token = server.issue("orders", &[]);
        let account = |name: &str, email: Value| {
            let organization = &token.organization;
            let body = json!({"kind": "service", "name": name, "email": email, "organization": organization});
            let mut operator = server.operator().unwrap();
            let made = operator.call("POST", "/v1/accounts", &body.to_string()).unwrap();
            made.json()["id"].as_str().unwrap().to_owned()
        };
        account("build", json!("build@example.com"));
        let account = account("temporary", Value::Null);
        Self { token, account }
    }

    fn stand_ins(&self) -> Value {
        let description: Value = serde_json::from_str(&checked_in()).unwrap();
        let example = |name: &str| {
            let schema = &description["components"]["schemas"][name];
            schema["examples"][0].as_str().unwrap().to_owned()
        };
        json!({
            example("TokenId"): self.token.id,
            example("AccountId"): self.account,
            example("OrganizationId"): self.token.organization,
        })
    }
}

#[test]
fn whatever_an_administrator_tries_is_described() {
    let server = Installation::new(APIS).set_up().start();
    let examples = Examples::make(&server);
    let scopes = SCOPES.iter().chain(&["orders:verify", "finout:verify"]);
    let scopes: Vec<&str> = scopes.copied().collect();
    let ada = Caller::new(&server, ADA, &scopes, &[]);
    // Nobody saws off the branch that they sit on.
    let mut stand_ins = examples.stand_ins();
    stand_ins[&ada.token.id] = json!(examples.token.id);
    for own in [ADA, &ada.token.owner] {
        stand_ins[own] = json!(examples.account);
    }

    let authorization = format!("Authorization: Bearer {}", ada.token.secret);
    let mut command = schemathesis(&server, server.main, &with_the_page(), &stand_ins);
    succeeds(command.args(["-H", &authorization]));
    // What comes after a caller has lost its token shows nothing.
    assert_eq!(ada.get("/v1/tokens").status, 200);
}

#[test]
fn whatever_the_operator_tries_is_described() {
    let server = Installation::new(APIS).set_up().start();
    let examples = Examples::make(&server);
    // On the operator's socket nothing need be shown.
    let mut description: Value = serde_json::from_str(&checked_in()).unwrap();
    for methods in description["paths"].as_object_mut().unwrap().values_mut() {
        for operation in methods.as_object_mut().unwrap().values_mut() {
            operation.as_object_mut().unwrap().remove("security");
        }
    }
    // schemathesis speaks TCP alone.
    let front = Forward::bind();
    let address = front.address();
    front.start_to_the_operator(server.data());
    let description = description.to_string();
    let mut command = schemathesis(&server, address, &description, &examples.stand_ins());
    // These are on the server's own listener alone.
    let elsewhere = format!("^/(v1/revoke|healthz|readyz)|{OAUTH}");
    succeeds(command.args(["--exclude-path-regex", &elsewhere]));
}

#[test]
fn whatever_a_stranger_tries_leads_nowhere() {
    let server = Installation::new(APIS).set_up().start();
    let mut command = schemathesis(&server, server.main, &with_the_page(), &json!({}));
    succeeds(command.env("COUNTERFOIL_STRANGER", "1"));
}

#[test]
fn whatever_a_client_tries_is_described() {
    let server = Installation::new(APIS).set_up().start();
    let Token { id, secret, .. } = server.issue("orders", &[]);
    let authorization =
        format!("Authorization: Basic {}", BASE64_STANDARD.encode(format!("{id}:{secret}")));
    let mut command = schemathesis(&server, server.main, &with_the_page(), &json!({}));
    // None of these leads to another.
    command.args(["--phases", "examples,coverage,fuzzing"]);
    succeeds(command.args(["-H", &authorization, "--include-path-regex", OAUTH]));
    // All of it was tried by a client that is one.
    let form = "grant_type=client_credentials";
    let answer = curl(server.main, "/oauth2/token", ["-H", &authorization, "-d", form]);
    assert_eq!(answer.status, 200, "{answer:?}");
}

/// The description, with the page that the console has where secrets are exchanged.
fn with_the_page() -> String {
    let mut description: Value = serde_json::from_str(&checked_in()).unwrap();
    description["paths"]["/authenticate"]["get"] =
        json!({"responses": {"200": {"description": "A page.", "content": {"text/html": {}}}}});
    description.to_string()
}

#[test]
fn another_validator_agrees() {
    let mut command = Command::new(tool("openapi-spec-validator"));
    succeeds(command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/openapi.json")));
}

/// A program of the Python environment that `cargo xtask test` makes.
fn tool(name: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let program = target.join("tools/python/bin").join(name);
    assert!(program.exists(), "{} is not there: `cargo xtask test` installs it", program.display());
    program
}

/// schemathesis, about to be called.
fn schemathesis(
    server: &Server,
    address: SocketAddr,
    description: &str,
    stand_ins: &Value,
) -> Command {
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/end_to_end/description");
    let described = server.home().join("openapi.json");
    write(&described, description).unwrap();
    let mut command = Command::new(tool("schemathesis"));
    // Its own files go with the server's.
    command.current_dir(server.home());
    command.arg("--config-file").arg(ours.join("schemathesis.toml"));
    command.arg("run").arg(described).args(["--url", &format!("http://{address}")]);
    command.env("SCHEMATHESIS_HOOKS", "hooks").env("PYTHONPATH", ours);
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    command.env("COUNTERFOIL_STAND_INS", stand_ins.to_string());
    command
}

#[track_caller]
fn succeeds(command: &mut Command) {
    let outcome = run(command, &[]);
    assert_eq!(outcome.code, Some(0), "{}{}", outcome.out, outcome.err);
}
