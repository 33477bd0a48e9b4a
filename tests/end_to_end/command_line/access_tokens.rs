//! `counterfoil token exchange` and `token decode`; and until when others may accept what was
//! obtained with a token that is revoked.

use super::rows;
use crate::installation::{Installation, Token};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use serde_json::{Value, json};

const APIS: &str = r#"
[api.orders]
upstream = "http://127.0.0.1:1"

[api.togai]
upstream = "http://127.0.0.1:1"
[api.togai.access_tokens]
lifetime = "24h"
[api.togai.scopes]
read = "Read"
write = "Write"
"#;

/// Where no server runs, and beside one.
fn both_ways(scene: impl Fn(&Installation)) {
    scene(&Installation::new(APIS).set_up());
    scene(&Installation::new(APIS).set_up().start());
}

fn issue(installation: &Installation, arguments: &[&str]) -> Token {
    let scopes = ["--scope", "read", "--scope", "write"];
    installation.issue("togai", &[&scopes[..], arguments].concat())
}

fn decode(installation: &Installation, access_token: &str) -> Value {
    installation.cli_reading(access_token, ["token", "decode", "--json"]).done().json()
}

#[test]
fn a_secret_is_exchanged_for_what_it_allows() {
    both_ways(|it| {
        let token = issue(it, &[]);
        let exchange = |arguments: &[&str]| {
            it.cli_reading(
                &format!("{}\n", token.secret),
                [&["token", "exchange"], arguments].concat(),
            )
        };
        let said = exchange(&[]).done();
        assert!(said.out.starts_with("eyJ") && said.out.lines().count() == 1, "{}", said.out);
        assert!(said.err.starts_with("For togai with read write; ends 2"), "{}", said.err);
        assert!(said.err.contains("(in 23 hours)") && !said.err.contains("eyJ"), "{}", said.err);
        let json = exchange(&["--json", "--scope", "read"]).done().json();
        assert_eq!((&json["token"], &json["scopes"]), (&json!(token.id), &json!(["read"])));
        let claims = &decode(it, json["access_token"].as_str().unwrap())["claims"];
        assert_eq!(claims["scope"], "read");
        assert_eq!(seconds(&json["expires_at"]), claims["exp"].as_i64().unwrap());

        let more = exchange(&["--scope", "admin"]).failed(2);
        assert!(more.contains("admin") && more.contains("not one that this token has"), "{more}");
        // Another may be in a file.
        let file = it.home().join("secret");
        std::fs::write(&file, &token.secret).unwrap();
        let arguments = ["token", "exchange", "--quiet", "--secret-file"];
        let quiet = it.cli(arguments.map(Into::into).into_iter().chain([file.into_os_string()]));
        assert_eq!(quiet.done().err, "");

        it.cli(["token", "pause", &token.id]).done();
        assert_eq!(exchange(&[]).failed(1), "counterfoil: the token is refused: paused\n");
        let other = it.issue("orders", &[]);
        let none = it.cli_reading(&other.secret, ["token", "exchange"]).failed(1);
        assert!(none.contains("orders has no access tokens"), "{none}");
        for (input, why) in
            [("nonsense", "unknown_token"), (said.out.as_str(), "is an access token already")]
        {
            let refused = it.cli_reading(input, ["token", "exchange"]).failed(1);
            assert!(refused.contains(why), "{refused}");
        }
        assert!(it.cli_reading("", ["token", "exchange"]).failed(2).contains("not a secret alone"));
    });
}

#[test]
fn an_access_token_is_decoded_with_the_true_reason() {
    both_ways(|it| {
        let token = issue(it, &[]);
        let exchanged = it.cli_reading(&token.secret, ["token", "exchange", "--quiet"]).done().out;
        let access_token = exchanged.trim();
        let table =
            |text: &str| rows(&it.cli_reading(text, ["token", "decode"]).done().out).join("\n");
        let told = table(&format!("Authorization: Bearer {access_token}\n"));
        for fact in
            ["accepted now yes", "alg EdDSA", "aud togai", "scope read write", "(in 23 hours)"]
        {
            assert!(told.contains(fact), "{fact}: {told}");
        }
        assert!(told.starts_with("signature ours, by the key "), "{told}");
        assert!(!told.contains(access_token), "{told}");

        let reason = |reason: &str, code: &str| {
            let told = table(access_token);
            assert!(told.contains(&format!("accepted now no: {reason}")), "{told}");
            let decoded = decode(it, access_token);
            assert_eq!((&decoded["active"], &decoded["code"]), (&json!(false), &json!(code)));
            assert_eq!(decoded["signed_here"], true);
        };
        it.cli(["token", "pause", &token.id]).done();
        reason("its token is paused", "paused");
        it.cli(["token", "resume", &token.id]).done();
        assert_eq!(decode(it, access_token)["active"], true);
        it.cli(["account", "disable", crate::installation::ADA]).done();
        reason("its token's owner is disabled", "account_disabled");
        it.cli(["account", "enable", crate::installation::ADA]).done();
        it.cli(["token", "rotate", &token.id]).done();
        reason("the secret that it was obtained with was replaced", "revoked");
        it.cli(["token", "revoke", &token.id]).done();
        reason("its token is revoked", "revoked");

        // Whoever has written something there.
        let part = |value: Value| BASE64.encode(value.to_string());
        let claims = json!({"aud": "togai", "exp": 4_000_000_000_i64, "x": "\u{1b}[31mred"});
        let header = json!({"alg": "none"});
        let forged = format!("{}.{}.", part(header), part(claims));
        let told = table(&forged);
        assert!(told.starts_with("signature not ours"), "{told}");
        assert!(told.contains("none of our keys has signed it"), "{told}");
        assert!(told.contains("2096-10-02") && !told.contains('\u{1b}'), "{told:?}");
        for nothing in ["", "eyJ.x", "a.b.c", &token.secret, &"x".repeat(20_000)] {
            let why = it.cli_reading(nothing, ["token", "decode"]).failed(2);
            assert!(why.contains("this is no access token"), "{why}");
            assert!(nothing.is_empty() || !why.contains(nothing), "{why}");
        }
    });
}

/// Whole seconds since the epoch.
fn seconds(moment: &Value) -> i64 {
    moment.as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_second()
}

fn revoke(installation: &Installation, token: &Token) -> Value {
    installation.cli(["token", "revoke", &token.id, "--json"]).done().json()
}

/// How long others may accept access tokens after their token was revoked, in whole hours.
#[track_caller]
fn hours(revoked: &Value) -> i64 {
    let seconds = seconds(&revoked["offline_until"]) - seconds(&revoked["revoked_at"]);
    // What was under way meanwhile has a minute more.
    assert!((0..=61).contains(&(seconds % 3_600)), "{revoked}");
    seconds / 3_600
}

#[test]
fn who_revokes_learns_until_when_others_may_accept_access_tokens() {
    both_ways(|it| {
        let token = issue(it, &[]);
        let revoked = revoke(it, &token);
        assert_eq!(hours(&revoked), 24);
        assert_eq!(revoke(it, &token)["offline_until"], revoked["offline_until"]);
        let people = it.cli(["token", "revoke", &token.id]).done().err;
        assert!(people.contains("may accept them until"), "{people}");
        // None outlives its token.
        let short = issue(it, &["--expires-in", "1h"]);
        assert_eq!(revoke(it, &short)["offline_until"], short.json["token"]["expires_at"]);
        let other = it.issue("orders", &[]);
        assert_eq!(revoke(it, &other)["offline_until"], Value::Null);
        let people = it.cli(["token", "revoke", &other.id]).done().err;
        assert!(!people.contains("until"), "{people}");
    });
}

#[test]
fn nothing_that_was_shortened_since_makes_it_too_early() {
    let server = Installation::new(APIS).set_up().start();
    // It was to live on when its access tokens were obtained.
    let token = issue(&server, &[]);
    let exchanged =
        server.cli_reading(&token.secret, ["token", "exchange", "--json"]).done().json();
    let change = json!({"expires_in": "1h"}).to_string();
    let path = format!("/v1/tokens/{}", token.id);
    assert_eq!(server.operator().unwrap().call("PATCH", &path, &change).unwrap().status, 200);
    let until = seconds(&revoke(&server, &token)["offline_until"]);
    assert!(until >= seconds(&exchanged["expires_at"]));
    // Access tokens were to live longer when these were obtained.
    let [before, after] = [issue(&server, &[]), issue(&server, &[])];
    let mut installation = server.stop();
    installation.set("COUNTERFOIL_API_TOGAI_ACCESS_TOKENS_LIFETIME", "1h");
    let server = installation.start();
    let until = seconds(&revoke(&server, &before)["offline_until"]);
    assert!(until >= seconds(&exchanged["expires_at"]), "{until}");
    // Also where the API has none any more.
    let installation = server.stop();
    let text = std::fs::read_to_string(installation.configuration()).unwrap();
    let without = text.replace("[api.togai.access_tokens]\nlifetime = \"24h\"\n", "");
    assert_ne!(without, text);
    std::fs::write(installation.configuration(), without).unwrap();
    let mut installation = installation;
    installation.unset("COUNTERFOIL_API_TOGAI_ACCESS_TOKENS_LIFETIME");
    let server = installation.start();
    let until = seconds(&revoke(&server, &after)["offline_until"]);
    assert!(until >= seconds(&exchanged["expires_at"]), "{until}");
}
