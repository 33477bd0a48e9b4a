//! Each program's tokens, as its own export has them, and then at the gateway.

use super::{
    ADA, PEOPLE, Stage, better_auth_key, hex_secret, id, import, ledger, letters_secret, sha256,
    sha512, tokens,
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;

const BOB: &str = PEOPLE[0].0;
const EVE: &str = PEOPLE[1].0;

#[test]
fn keys_of_django_rest_framework_go_on() {
    // `\copy authtoken_token to … csv header`, then `manage.py dumpdata authtoken.token
    // auth.user`, then lines of JSON; each beside a server and without one.
    let [bob, eve] = ["bob's", "eve's"].map(|name| hex_secret(name, 40));
    let table = format!(
        "key,created,user_id\n{bob},2022-10-21 21:19:25.057123+00,1\n\
         {eve},2023-01-02 03:04:05+00,2\n"
    );
    let fixture = json!([
        {"model": "auth.user", "pk": 1, "fields": {"username": "bob", "email": BOB}},
        {"model": "authtoken.token", "pk": bob,
         "fields": {"user": 1, "created": "2022-10-21T21:19:25.057Z"}},
        {"model": "authtoken.token", "pk": eve,
         "fields": {"user": [EVE], "created": "2023-01-02T03:04:05Z"}},
    ]);
    let lines = format!(
        "{}\n{}\n",
        json!({"key": bob, "user_id": 1, "created": "2022-10-21T21:19:25.057Z"}),
        json!({"key": eve, "owner": EVE, "created": "2023-01-02T03:04:05Z"}),
    );
    let fixture = serde_json::to_string_pretty(&fixture).unwrap();
    for (file, skipped) in [(&table, false), (&fixture, true), (&lines, false)] {
        for running in [false, true] {
            let stage = Stage::set();
            let done = |installation| {
                let done = import(installation, "drf-authtoken", file, &["--api", "orders"]);
                let said = done.done().out;
                assert!(said.starts_with("Imported 2 tokens for orders.\n"), "{said}");
                let other =
                    "Skipped 1 of 3 rows:\n  1 not tokens, but another model's objects (item 1)";
                assert_eq!(said.contains(other), skipped, "{said}");
                // Nothing of a key may be shown.
                let tokens = tokens(installation);
                assert_eq!(tokens[0]["created_at"].as_str().unwrap()[..19], *"2022-10-21T21:19:25");
                assert_eq!(tokens[0]["name"], "2022-10-21");
                assert_eq!(tokens[0]["expires_at"], json!(null));
                assert_eq!(tokens[0]["prefix"], "");
                assert_eq!(tokens[0]["last_four"], "");
                let listed = installation.cli(["token", "list"]).done().out;
                assert!(!listed.contains('…'), "{listed}");
            };
            let stage = if running {
                let stage = stage.start();
                done(&stage.installation);
                stage
            } else {
                done(&stage.installation);
                stage.start()
            };
            let server = &stage.installation;
            stage.admits("/orders/x", &format!("Authorization: Token {bob}"), &id(server, BOB));
            stage.admits("/orders/x", &format!("Authorization: Token {eve}"), &id(server, EVE));
            let other = hex_secret("nobody's", 40);
            stage.refuses("/orders/x", &format!("Authorization: Token {other}"));
            ledger(server);
        }
    }
}

#[test]
fn tokens_of_knox_go_on_where_they_were_kept_as_sha256() {
    let [good, other, ended, large, old] =
        ["good", "other", "ended", "large", "old"].map(|name| hex_secret(name, 64));
    let stage = Stage::set().start();
    let server = &stage.installation;
    let row = |secret: &str, digest: String, shown: usize, user: u8, expiry: &str| {
        format!("{digest},{},{user},2024-01-01 00:00:00+00,{expiry}\n", &secret[..shown])
    };
    let table = [
        "digest,token_key,user_id,created,expiry\n".to_owned(),
        row(&good, sha256(&good), 15, 1, "2100-01-01 00:00:00+00"),
        row(&other, sha256(&other), 15, 2, ""),
        row(&ended, sha256(&ended), 15, 1, "2024-01-01 10:00:00+00"),
        row(&large, sha512(&large), 15, 1, ""),
        row(&old, sha256(&old), 8, 1, ""),
    ]
    .concat();
    let done = import(server, "knox", &table, &["--api", "orders"]).done();
    let lines: Vec<&str> = done.out.lines().collect();
    assert_eq!(lines[..2], ["Imported 2 tokens for orders.", "Skipped 3 of 5 rows:"]);
    for (line, beginning, end) in [
        (2, "  1 expired: ", "(line 4)"),
        (3, "  1 kept as SHA-512, from which nobody can tell the SHA-256 ", "(line 5)"),
        (4, "  1 made by knox before 5.0, ", "(line 6)"),
    ] {
        assert!(lines[line].starts_with(beginning) && lines[line].ends_with(end), "{lines:?}");
    }
    stage.admits("/orders/x", &format!("Authorization: Token {good}"), &id(server, BOB));
    stage.admits("/orders/x", &format!("Authorization: Token {other}"), &id(server, EVE));
    for secret in [ended, large, old] {
        stage.refuses("/orders/x", &format!("Authorization: Token {secret}"));
    }
    let tokens = tokens(server);
    let mut shown: Vec<&str> =
        tokens.iter().map(|token| token["prefix"].as_str().unwrap()).collect();
    shown.sort_unstable();
    let mut expected = [&good[..8], &other[..8]];
    expected.sort_unstable();
    assert_eq!(shown, expected, "no more of the secret than this");

    // What `manage.py dumpdata knox.authtoken` writes.
    let third = hex_secret("third", 64);
    let fixture = json!([{"model": "knox.authtoken", "pk": sha256(&third), "fields": {
        "token_key": &third[..15], "user": 1, "created": "2024-01-01T00:00:00Z", "expiry": null}}]);
    import(server, "knox", &fixture.to_string(), &["--api", "orders"]).done();
    stage.admits("/orders/x", &format!("Authorization: Token {third}"), &id(server, BOB));
}

#[test]
fn keys_of_better_auth_go_on() {
    let stage = Stage::set().start();
    let server = &stage.installation;
    let secrets = ["reads", "off", "ended", "counted", "prefixed"].map(letters_secret);
    let [reads, off, ended, counted, plain] = &secrets;
    let prefixed = format!("acme_{plain}");
    // `\copy apikey to … csv header`, in the order in which its schema has the columns.
    let row = |key: &str, enabled: &str, remaining: &str, expires: &str, permissions: &str| {
        format!(
            "{key:.4}-id,default,{key:.4}'s,{key:.6},1,,{},,,,{enabled},t,86400000,10,3,\
             {remaining},,{expires},2025-01-31 12:00:00.5+00,2025-02-01 12:00:00+00,\
             {permissions},\"{{\"\"team\"\": \"\"a\"\"}}\"\n",
            better_auth_key(key),
        )
    };
    let reading = r#""{""files"":[""read""]}""#;
    let both = r#""{""files"":[""read"",""write""]}""#;
    let table = [
        "id,configId,name,start,referenceId,prefix,key,refillInterval,refillAmount,lastRefillAt,\
         enabled,rateLimitEnabled,rateLimitTimeWindow,rateLimitMax,requestCount,remaining,\
         lastRequest,expiresAt,createdAt,updatedAt,permissions,metadata\n"
            .to_owned(),
        row(reads, "t", "", "", reading),
        row(off, "f", "", "", both),
        row(ended, "t", "", "2025-06-01 00:00:00+00", both),
        row(counted, "t", "100", "", both),
        row(&prefixed, "t", "", "2100-01-01 00:00:00+00", both),
    ]
    .concat();
    let done = import(server, "better-auth", &table, &["--api", "keyed"]).done();
    assert!(done.out.starts_with("Imported 3 tokens for keyed.\nSkipped 2 of 5 rows:\n"));
    assert!(done.out.contains("  1 expired: ") && done.out.contains("  1 good for a limited "));
    // Everything was looked at.
    assert_eq!(done.err, "");

    let bob = id(server, BOB);
    let header = |secret: &str| format!("x-api-key: {secret}");
    stage.admits("/keyed/files/a", &header(reads), &bob);
    assert_eq!(stage.knock("/keyed/other", &header(reads)).0, 403);
    stage.admits("/keyed/files/a", &header(&prefixed), &bob);
    stage.admits("/keyed/other", &header(&prefixed), &bob);
    for secret in [off, ended, counted] {
        stage.refuses("/keyed/files/a", &header(secret));
    }
    // What was off can be had on again.
    let tokens = tokens(server);
    let paused = tokens.iter().find(|token| token["state"] == "paused").unwrap();
    assert_eq!(paused["external_id"], format!("{off:.4}-id"));
    assert_eq!(paused["metadata"], json!({"team": "a"}));
    assert_eq!(paused["created_at"], "2025-01-31T12:00:00.5Z");
    assert_eq!(paused["prefix"], off[..6]);
    server.cli(["token", "resume", paused["id"].as_str().unwrap()]).done();
    stage.admits("/keyed/files/a", &header(off), &bob);

    // JSON, as a query through better-auth itself gives it, and the older schema.
    let again = letters_secret("again");
    let rows = json!([{"id": "k9", "name": null, "start": &again[..6], "prefix": null,
        "key": better_auth_key(&again), "userId": 2, "enabled": true, "remaining": null,
        "expiresAt": null, "createdAt": "2025-01-31T12:00:00.500Z", "permissions": null,
        "metadata": "\"{\\\"team\\\": \\\"b\\\"}\"", "somethingElse": 7}]);
    let scope = ["--api", "keyed", "--scope", "files:read"];
    let done = import(server, "better-auth", &rows.to_string(), &scope).done();
    assert_eq!(done.err, "Nobody looked at: somethingElse.\n");
    stage.admits("/keyed/files/a", &header(&again), &id(server, EVE));
    ledger(server);
}

#[test]
fn the_stricter_of_two_states_holds() {
    let stage = Stage::set().start();
    let server = &stage.installation;
    let cases = [
        ("t", "", Some("active")),
        ("t", "active", Some("active")),
        ("t", "paused", Some("paused")),
        ("t", "revoked", None),
        ("f", "", Some("paused")),
        ("f", "active", Some("paused")),
        ("f", "paused", Some("paused")),
        ("f", "revoked", None),
    ];
    let name = |at: usize| format!("case {at}");
    let mut table = "key,name,referenceId,enabled,state\n".to_owned();
    for (at, (enabled, state, _)) in cases.iter().enumerate() {
        let (name, key) = (name(at), better_auth_key(&letters_secret(&name(at))));
        writeln!(table, "{key},{name},1,{enabled},{state}").unwrap();
    }
    let scope = ["--api", "keyed", "--scope", "files:read"];
    let before = ledger(server).0;
    let done = import(server, "better-auth", &table, &scope).done();
    assert!(done.out.contains("  2 revoked: "), "{}", done.out);
    // No token is active before it is paused: each is one entry, which says both.
    assert_eq!(ledger(server).0, before + 6);
    let audit = server.operator().unwrap().call("GET", "/v1/audit", "").unwrap().json();
    let entries = audit["items"].as_array().unwrap().iter();
    let paused = entries.filter(|entry| entry["details"]["paused"] == true);
    assert_eq!(paused.count(), 4);
    let tokens = tokens(server);
    for (at, (enabled, state, expected)) in cases.into_iter().enumerate() {
        let found = tokens.iter().find(|token| token["name"] == name(at));
        let found = found.map(|token| token["state"].as_str().unwrap());
        assert_eq!(found, expected, "enabled {enabled}, state {state}");
        let header = format!("x-api-key: {}", letters_secret(&name(at)));
        if expected == Some("active") {
            stage.admits("/keyed/files/a", &header, &id(server, BOB));
        } else {
            stage.refuses("/keyed/files/a", &header);
        }
    }
}

#[test]
fn digests_of_ones_own_go_on_with_all_that_is_known_of_them() {
    let stage = Stage::set().start();
    let server = &stage.installation;
    let ada = id(server, ADA);
    let secrets = ["one", "two", "three", "four"].map(|name| hex_secret(name, 48));
    let base64 = |secret: &str| BASE64_STANDARD.encode(Sha256::digest(secret));
    let table = format!(
        "Digest,owner,name,note,role,scopes,expires_at,created_at,external_id,metadata,last_four,\
         prefix,state,allowed_networks\n\
         {},{ADA},one,for the nightly build,editor,,,2020-01-31,e/1,\"{{\"\"a\"\": 1}}\",{},sk_,,\n\
         {},{ada},two,,,\"read,write\",2100-01-01T00:00:00Z,,,,,,active,\"127.0.0.0/8 ::1\"\n\
         {},1,three,,,,,,,,,,paused,\n\
         {},1,four,,,,,,,,,,revoked,\n",
        sha256(&secrets[0]),
        &secrets[0][44..],
        base64(&secrets[1]),
        base64(&secrets[2]).trim_end_matches('='),
        sha256(&secrets[3]).to_uppercase(),
    );
    let wrong = import(
        server,
        "sha256",
        &table,
        &["--entropy-bits", "192", "--api", "costs", "--role", "viewer", "--expires-in", "90d"],
    );
    // The API lets nothing live until 2100.
    assert!(wrong.failed(2).starts_with("line 3: expires_at: tokens of this API live 90d at most"));
    let table = table.replace("2100-01-01T00:00:00Z", "");
    let done = import(
        server,
        "sha256",
        &table,
        &["--entropy-bits", "192", "--api", "costs", "--role", "viewer", "--expires-in", "90d"],
    )
    .done();
    assert!(done.out.contains("Imported 3 tokens") && done.out.contains("  1 revoked: "));
    let tokens = tokens(server);
    let [one, three, two] = &tokens[..] else { panic!("{tokens:?}") };
    for (token, field, expected) in [
        (one, "note", json!("for the nightly build")),
        (one, "role", json!("editor")),
        (one, "created_at", json!("2020-01-31T00:00:00Z")),
        (one, "external_id", json!("e/1")),
        (one, "metadata", json!({"a": 1})),
        (one, "prefix", json!("sk_")),
        (one, "last_four", json!(secrets[0][44..])),
        (one, "state", json!("active")),
        (two, "scopes", json!(["read", "write"])),
        (two, "allowed_networks", json!(["127.0.0.0/8", "::1/128"])),
        (three, "role", json!("viewer")),
        (three, "state", json!("paused")),
    ] {
        assert_eq!(token[field], expected, "{field}");
    }
    let bearer = |secret: &str| format!("Authorization: Bearer {secret}");
    stage.admits("/costs/x", &bearer(&secrets[0]), &ada);
    stage.admits("/costs/x", &bearer(&secrets[1]), &ada);
    stage.refuses("/costs/x", &bearer(&secrets[2]));
    stage.refuses("/costs/x", &bearer(&secrets[3]));

    // One can be cut short, though it began long before the API's longest life ago.
    let mut operator = server.operator().unwrap();
    let path = format!("/v1/tokens/{}", one["id"].as_str().unwrap());
    let change = |operator: &mut crate::wire::Wire<_>, days: u8| {
        operator.call("PATCH", &path, &json!({"expires_in": format!("{days}d")}).to_string())
    };
    assert_eq!(change(&mut operator, 10).unwrap().status, 200);
    assert_eq!(change(&mut operator, 20).unwrap().status, 400);
    // And rotated: from then on it has the form of all others.
    let rotated = server.cli(["token", "rotate", one["id"].as_str().unwrap()]).done().out;
    assert!(rotated.starts_with("costs_"));
    stage.refuses("/costs/x", &bearer(&secrets[0]));
    ledger(server);
}
