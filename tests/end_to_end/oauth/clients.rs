//! Clients that were not written here, from where their users get them. `cargo xtask test`
//! installs them; they talk to the real server alone.

use super::Stage;
use crate::{
    installation::{ADA, Token},
    process::run,
};
use counterfoil_support::{forward::Forward, installation::built};
use serde_json::{Value, json};
use std::{
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

/// A client that shows who it is in this way.
fn client(token: &Token, way: &str) -> Value {
    json!({"id": token.id, "secret": token.secret, "way": way})
}

/// Has a client of either world go through all of it, and checks what its library says.
/// `errors` are the types by which it tells of another audience, of a forged signature, of a
/// scope that is not to be had, and of a wrong secret.
fn goes_through(command: impl FnOnce(&Path) -> Command, errors: [&Value; 4]) {
    // Clients insist on an issuer that they reach: its port has to be known before.
    let front = Forward::bind();
    let issuer = format!("http://{}", front.address());
    let stage = Stage::on(|it| it.set("COUNTERFOIL_SERVER_PUBLIC_URL", &issuer));
    front.start(stage.server.main);
    let costs = stage.server.issue("costs", &[]);
    let scopes = ["--scope", "events:verify", "--scope", "costs:verify"];
    let manager = stage.server.issue_to(ADA, "counterfoil", &scopes);

    let api = |token: &Token, way: &str, name: &str, algorithm: &str, scope: &Value| {
        let mut api = client(token, way);
        api["name"] = json!(name);
        api["algorithm"] = json!(algorithm);
        api["scope"] = scope.clone();
        api
    };
    let apis = [
        api(&stage.token, "client_secret_basic", "events", "EdDSA", &json!("read")),
        api(&costs, "client_secret_post", "costs", "ES256", &Value::Null),
    ];
    let manager = client(&manager, "client_secret_basic");
    let task = json!({"issuer": issuer, "apis": apis, "manager": manager});

    let outcome = run(&mut command(stage.server.home()), task.to_string().as_bytes());
    assert_eq!(outcome.code, Some(0), "{}{}", outcome.out, outcome.err);
    let told: Vec<Value> =
        outcome.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(told.len(), apis.len(), "{told:?}");
    for (api, told) in apis.iter().zip(&told) {
        for says in [&told["claims"], &told["introspected"]] {
            assert_eq!(says["iss"], issuer, "{told}");
            assert_eq!((&says["aud"], &says["client_id"]), (&api["name"], &api["id"]), "{told}");
        }
        assert_eq!(told["introspected"]["active"], true);
        // Where the API has none, nothing is claimed.
        assert_eq!(told["claims"]["scope"], api["scope"], "{told}");
        let [other_audience, forged, scope, secret] = errors;
        assert_eq!(&told["other_audience"], other_audience, "{told}");
        assert_eq!(&told["forged"], forged, "{told}");
        assert_eq!(&told["scope"], scope, "{told}");
        assert_eq!(&told["secret"], secret, "{told}");
        assert_eq!(told["access_token"], "unsupported_token_type");
        assert_eq!(
            (&told["revoked"], &told["afterwards"]),
            (&json!(200), &json!({"active": false}))
        );
    }
}

#[test]
fn authlib_and_pyjwt() {
    let no = |error: &str| json!({"type": "OAuthError", "error": error});
    let audience = json!({"type": "InvalidAudienceError"});
    let signature = json!({"type": "InvalidSignatureError"});
    let python = |_: &Path| {
        let mut command = Command::new(built("tools/python/bin/python"));
        command.arg(driver("authlib_pyjwt.py"));
        // Loopback alone: no proxy is to be asked, and the server has no certificate.
        command.env("NO_PROXY", "*").env("AUTHLIB_INSECURE_TRANSPORT", "1");
        command
    };
    goes_through(python, [&audience, &signature, &no("invalid_scope"), &no("invalid_client")]);
}

/// How both libraries of npm's tell of a scope and of a secret.
fn of_npm() -> [Value; 2] {
    let challenge = json!({"type": "WWWAuthenticateChallengeError", "scheme": "basic"});
    [json!({"type": "ResponseBodyError", "error": "invalid_scope"}), challenge]
}

#[test]
fn openid_client_and_jose() {
    let audience = json!({"type": "JWTClaimValidationFailed"});
    let signature = json!({"type": "JWSSignatureVerificationFailed"});
    let [scope, secret] = of_npm();
    let node = |home: &Path| node(home, "openid_client.mjs");
    goes_through(node, [&audience, &signature, &scope, &secret]);
}

#[test]
fn oauth4webapi() {
    let wrong = json!({"type": "OperationProcessingError"});
    let [scope, secret] = of_npm();
    let node = |home: &Path| node(home, "oauth4webapi.mjs");
    goes_through(node, [&wrong, &wrong, &scope, &secret]);
}

fn driver(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(name)
}

/// node finds modules beside what it runs.
fn node(home: &Path, name: &str) -> Command {
    std::fs::copy(driver(name), home.join(name)).unwrap();
    let jose = built("tools/node/node_modules/jose/package.json");
    symlink(jose.ancestors().nth(2).unwrap(), home.join("node_modules")).unwrap();
    let mut command = Command::new("node");
    command.arg(home.join(name));
    command
}
