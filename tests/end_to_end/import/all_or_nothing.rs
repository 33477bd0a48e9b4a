//! All of a file or nothing of it, and never anything back from the dead.

use super::{
    ADA, Installation, Outcome, PEOPLE, Stage, better_auth_key, hex_secret, id, import, json_lines,
    ledger, letters_secret, sha256, tokens,
};
use serde_json::{Value, json};

const ENTROPY: [&str; 4] = ["--entropy-bits", "192", "--api", "costs"];

/// Has lines of JSON imported for `costs`.
fn lines(installation: &Installation, rows: &[Value], arguments: &[&str]) -> Outcome {
    let file = json_lines(rows);
    let arguments: Vec<&str> = ENTROPY.iter().chain(arguments).copied().collect();
    import(installation, "sha256", &file, &arguments)
}

/// A row with which nothing is wrong.
fn right(name: &str) -> Value {
    json!({"digest": sha256(name), "owner": ADA, "name": name, "role": "viewer"})
}

/// The same, with something else about it.
fn but(field: &str, value: Value) -> Value {
    let mut row = right(&format!("{field}: {value}"));
    row["name"] = json!(field);
    row[field] = value;
    row
}

/// How long those live that have no end.
const SOON: [&str; 2] = ["--expires-in", "30d"];

/// One right row, and a wrong one of each kind with what is said of it.
fn wrong_rows(secret: &str) -> Vec<(Value, &'static str)> {
    vec![
        (right("a"), ""),
        (
            but("digest", json!(secret)),
            "digest: expected SHA-256, in 64 hexadecimal digits or in base64",
        ),
        (
            but("digest", json!(sha256("a"))),
            "digest: the same stands at 1 already; which of the two is right?",
        ),
        (
            but("owner", json!("nobody@example.com")),
            "owner: no account has this id, e-mail address or external id",
        ),
        (
            but("owner", json!(secret)),
            "owner: no account has this id, e-mail address or external id",
        ),
        (
            but("owner", json!("")),
            "owner: needed: an account's id, e-mail address or external id, in the row or for all",
        ),
        (
            but("owner", json!("twin")),
            "owner: more than one account has this external id; give its id",
        ),
        (
            but("owner", json!("gone")),
            "owner: the account is disabled; enable it, or leave its tokens out",
        ),
        (
            but("organization", json!(secret)),
            "organization: no organization has this id or external id",
        ),
        (but("role", json!(secret)), "role: no role of the API, which has viewer, editor"),
        (but("scopes", json!(["read"])), "scopes: give a role or scopes, not both"),
        (but("name", json!("x".repeat(101))), "name: must not be longer than 100 characters"),
        (but("metadata", json!("[1]")), "metadata: expected a JSON object"),
        (
            // As deep as a line can be read.
            but("metadata", (0..125).fold(json!({}), |inner, _| json!({"n": inner}))),
            "metadata: must not be deeper than 32 levels of objects and arrays",
        ),
        (
            but("allowed_networks", json!([secret])),
            "allowed_networks: expected networks, as in \"192.0.2.7\" or \"10.0.0.0/8\"",
        ),
        (but("created_at", json!("2999-01-01")), "created_at: lies in the future"),
        (
            but("expires_at", json!("2999-01-01")),
            "expires_at: tokens of this API live 90d at most, from now; give it an earlier end",
        ),
        (
            but("expires_at", json!(secret)),
            "expires_at: expected a time, as in 2027-01-31T12:00:00Z",
        ),
        (
            but("prefix", json!("123456789")),
            "prefix: 8 characters at most: more gives too much away",
        ),
        (
            but("prefix", json!("costs_")),
            "prefix: what begins with costs_ is taken for a token that was issued here, and has no such checksum; give the API another prefix",
        ),
        (
            but("expire_at", json!("2027-01-31")),
            "expire_at: there is no column `expire_at`; did you mean `expires_at`?",
        ),
    ]
}

#[test]
fn every_wrong_row_is_listed_and_nothing_is_imported() {
    let stage = Stage::set();
    let installation = &stage.installation;
    // Several accounts may have the same external id, and one may be disabled.
    for email in ["twin1@example.com", "twin2@example.com", "gone@example.com"] {
        let id = if email.starts_with("twin") { "twin" } else { "gone" };
        installation.cli(["account", "create", "--email", email, "--external-id", id]).done();
    }
    installation.cli(["account", "disable", "gone@example.com"]).done();
    let secret = hex_secret("not to be repeated", 40);
    let before = ledger(installation);
    let scene = |installation: &Installation| {
        let rows = wrong_rows(&secret);
        let (rows, messages): (Vec<Value>, Vec<&str>) = rows.into_iter().unzip();
        let said = lines(installation, &rows, &SOON).failed(2);
        let expected: Vec<String> = (1..)
            .zip(&messages)
            .filter(|(_, message)| !message.is_empty())
            .map(|(line, message)| format!("line {line}: {message}"))
            .collect();
        let found: Vec<&str> = said.lines().collect();
        assert_eq!(found[..expected.len()], expected);
        let last = format!(
            "counterfoil: nothing was imported, because {} of {} rows are wrong",
            rows.len() - 1,
            rows.len()
        );
        assert_eq!(found[expected.len()..], [last]);
        assert!(!said.contains(&secret[..10]));

        // For programs.
        let outcome = lines(installation, &rows[..2], &["--json", "--expires-in", "30d"]);
        assert_eq!(outcome.code, Some(2));
        let json = outcome.json();
        assert_eq!((&json["imported"], &json["wrong"]), (&json!(0), &json!(1)));
        assert_eq!(json["mistakes"][0]["line"], 2);
        assert_eq!(json["mistakes"][0]["field"], "digest");

        // A grant and an end are needed where the API wants them.
        let bare = json!({"digest": sha256("bare"), "owner": ADA});
        let said = lines(installation, std::slice::from_ref(&bare), &SOON).failed(2);
        assert!(said.starts_with("line 1: role: a role (viewer, editor) or scopes (read, write)"));
        let said = lines(installation, &[bare], &["--role", "viewer"]).failed(2);
        assert!(said.starts_with(
            "line 1: expires_at: tokens of this API have to expire, 90d at most; say how long"
        ));
        // What many rows have in common is not listed for ever.
        let many: Vec<Value> =
            (0..300).map(|n| json!({"digest": sha256(&n.to_string())})).collect();
        let said = lines(installation, &many, &SOON).failed(2);
        assert_eq!(said.lines().count(), 22);
        assert!(said.contains("\nand 280 more\n"), "{said}");
        assert!(tokens(installation).is_empty());
        assert_eq!(ledger(installation), before);
    };
    scene(installation);
    scene(&stage.start().installation);
}

#[test]
fn what_may_begin_as_the_apis_own_tokens_is_wrong() {
    let stage = Stage::set();
    let installation = &stage.installation;
    // The API's tokens begin with `longnamed_`, of which eight characters are shown.
    let arguments = ["--entropy-bits", "192", "--api", "longnamed"];
    let run = |from: &str, row: Value| import(installation, from, &json_lines(&[row]), &arguments);
    let row = |prefix: &str| json!({"digest": sha256("a"), "owner": ADA, "prefix": prefix});
    let may = "line 1: prefix: what begins with longnamed_ is taken for a token that was issued \
               here, and this may; give the API another prefix";
    let said = run("sha256", row("longname")).failed(2);
    assert!(said.starts_with(may), "{said}");
    // better-auth keeps fewer of a key's characters than its prefix has.
    let key = better_auth_key(&format!("longnamed_{}", letters_secret("a")));
    let row_of = |start: &str, prefix: Value| json!({"key": key, "owner": ADA, "start": start, "prefix": prefix});
    let said = run("better-auth", row_of("longna", json!("longnamed_"))).failed(2);
    assert!(said.starts_with(may), "{said}");
    // Too little to say, and another beginning.
    for beginning in ["longnam", "longNAME", "ongnamed"] {
        let mut row = row(beginning);
        row["digest"] = json!(sha256(beginning));
        run("sha256", row).done();
    }
    run("better-auth", row_of("longNA", json!("longNAMED_"))).done();
}

#[test]
fn options_that_are_wrong_are_said_at_once() {
    let stage = Stage::set();
    let rows = [right("a")];
    for (arguments, code, said) in [
        (&["--role", "king"][..], 2, "counterfoil: role: no role \"king\"; the API has viewer"),
        (&["--expires-in", "91d"], 2, "counterfoil: expires_in: tokens of this API live 90d"),
        (&["--organization", "Nowhere"], 1, "counterfoil: there is no organization \"Nowhere\""),
        (&["--owner", "nobody"], 2, "line 1: owner: no account has this id"),
        (&["--role", "viewer", "--scope", "read"], 2, "error: the argument '--role <ROLE>' cannot"),
    ] {
        let error = lines(&stage.installation, &rows, arguments).failed(code);
        assert!(error.starts_with(said), "{error}");
    }
    for (arguments, code, said) in [
        (&["--api", "costs"][..], 2, "--entropy-bits <BITS>"),
        (&["--api", "costs", "--entropy-bits", "127"], 2, "127 is not in 128..=65535"),
        (&["--api", "nothing", "--entropy-bits", "128"], 1, "there is no API \"nothing\"; "),
        (&["--api", "counterfoil", "--entropy-bits", "128"], 2, "api: tokens of the management"),
    ] {
        let error = import(&stage.installation, "sha256", "[{}]", arguments).failed(code);
        assert!(error.contains(said), "{error}");
    }
    assert!(tokens(&stage.installation).is_empty());
}

#[test]
fn a_second_run_imports_nothing_and_says_so() {
    let stage = Stage::set();
    let installation = &stage.installation;
    let rows: Vec<Value> = (0..30)
        .map(|n| json!({"digest": sha256(&n.to_string()), "owner": ADA, "role": "viewer"}))
        .collect();
    let would = lines(installation, &rows, &["--dry-run", "--expires-in", "30d"]).done();
    assert_eq!(would.out, "Would import 30 tokens for costs.\n");
    assert!(tokens(installation).is_empty());
    let done = lines(installation, &rows, &SOON).done();
    assert_eq!((&*done.out, &*done.err), ("Imported 30 tokens for costs.\n", ""));
    let before = ledger(installation);
    for rows in [&rows[..], &rows[..1]] {
        let again = lines(installation, rows, &SOON).done().out;
        let count = rows.len();
        let first = format!("Imported 0 tokens for costs.\nSkipped {count} of {count} rows:\n");
        assert!(again.starts_with(&first), "{again}");
        assert!(again.contains(&format!("  {count} known already: ")), "{again}");
        assert!(again.ends_with(if count == 1 { "(line 1)\n" } else { "9, 10, …)\n" }), "{again}");
    }
    assert_eq!(lines(installation, &rows, &["--quiet", "--expires-in", "30d"]).done().out, "");
    assert_eq!(tokens(installation).len(), 30);
    assert_eq!(ledger(installation), before);
}

#[test]
fn nothing_that_has_ended_comes_back() {
    let stage = Stage::set().start();
    let server = &stage.installation;
    let mut secrets = ["revoked", "rotated", "overlapping", "twice", "paused"].map(str::to_owned);
    for secret in &mut secrets {
        *secret = hex_secret(secret, 64);
    }
    let rows: Vec<Value> = secrets
        .iter()
        .map(|secret| json!({"digest": sha256(secret), "owner": ADA, "name": secret[..9]}))
        .collect();
    let file = json_lines(&rows);
    let run = || import(server, "sha256", &file, &["--entropy-bits", "256", "--api", "orders"]);
    run().done();
    let token = |name: &str| {
        let all = tokens(server);
        let found = all.iter().find(|token| token["name"] == name[..9]).unwrap();
        found["id"].as_str().unwrap().to_owned()
    };
    server.cli(["token", "revoke", &token(&secrets[0])]).done();
    server.cli(["token", "rotate", &token(&secrets[1])]).done();
    server.cli(["token", "rotate", &token(&secrets[2]), "--overlap", "1h"]).done();
    for overlap in ["1h", "0s"] {
        server.cli(["token", "rotate", &token(&secrets[3]), "--overlap", overlap]).done();
    }
    server.cli(["token", "pause", &token(&secrets[4])]).done();
    let ada = id(server, ADA);
    let knock = || {
        for (secret, admitted) in secrets.iter().zip([false, false, true, false, false]) {
            let header = format!("Authorization: Token {secret}");
            if admitted {
                stage.admits("/orders/x", &header, &ada);
            } else {
                stage.refuses("/orders/x", &header);
            }
        }
    };
    knock();
    let before = ledger(server);
    assert!(run().done().out.starts_with("Imported 0 tokens for orders.\nSkipped 5 of 5 rows:\n"));
    // Nor for another API, nor for somebody else.
    let elsewhere = [
        "--entropy-bits",
        "256",
        "--api",
        "costs",
        "--owner",
        PEOPLE[0].0,
        "--role",
        "viewer",
        "--expires-in",
        "1d",
    ];
    let done = import(server, "sha256", &file, &elsewhere).done();
    assert!(done.out.contains("  5 known already: "), "{}", done.out);
    knock();
    assert_eq!(ledger(server), before);
}

#[test]
fn what_was_revoked_there_since_is_told_while_it_lives_here() {
    let stage = Stage::set().start();
    let server = &stage.installation;
    let names = ["alive", "paused", "rotated", "ended", "unchanged"];
    let secret = |name: &str| hex_secret(name, 48);
    let run = |names: &[&str], there: &str| {
        let row = |name: &&str| {
            let there = if *name == "unchanged" { "active" } else { there };
            json!({"digest": sha256(&secret(name)), "owner": ADA, "name": name, "state": there})
        };
        let rows: Vec<Value> = names.iter().map(row).collect();
        let arguments = ["--entropy-bits", "192", "--api", "orders"];
        import(server, "sha256", &json_lines(&rows), &arguments).done().out
    };
    run(&names, "active");
    let all = tokens(server);
    let token = |name: &str| {
        let found = all.iter().find(|token| token["name"] == name).unwrap();
        found["id"].as_str().unwrap().to_owned()
    };
    server.cli(["token", "pause", &token("paused")]).done();
    server.cli(["token", "rotate", &token("rotated")]).done();
    server.cli(["token", "revoke", &token("ended")]).done();
    let before = ledger(server);
    let never_here = [&names[..], &["never here"]].concat();
    let said = run(&never_here, "revoked");
    assert_eq!(
        said,
        format!(
            "Imported 0 tokens for orders.\nSkipped 6 of 6 rows:\n  \
             1 revoked: it ended where it comes from (line 6)\n  \
             2 known already: this secret is a token's here, or was, whatever became of it \
             (lines 4, 5)\n  \
             3 revoked there, but its token is alive here, with this secret or a newer one: \
             revoke it (lines 1, 2, 3)\n    {}\n    {}\n    {}\n",
            token("alive"),
            token("paused"),
            token("rotated")
        )
    );
    assert_eq!(ledger(server), before);
    for name in &names[..3] {
        server.cli(["token", "revoke", &token(name)]).done();
    }
    let said = run(&names, "revoked");
    assert!(said.contains("  5 known already: ") && !said.contains("alive"), "{said}");
}

#[test]
fn who_belongs_to_several_organizations_is_asked_which() {
    let stage = Stage::set();
    let installation = &stage.installation;
    let create = ["organization", "create", "--name", "Acme", "--external-id", "crm/7"];
    installation.cli(create).done();
    installation.cli(["organization", "add-member", "Acme", ADA]).done();
    let row = |name: &str| json!({"digest": sha256(name), "owner": ADA, "name": name});
    let orders = ["--entropy-bits", "192", "--api", "orders"];
    let said = import(installation, "sha256", &json_lines(&[row("a")]), &orders).failed(2);
    assert!(said.starts_with("line 1: organization: needed: the owner belongs to several"));
    let mut second = row("b");
    second["organization"] = json!("crm/7");
    let arguments: Vec<&str> =
        orders.iter().chain(&["--organization", "Default"]).copied().collect();
    import(installation, "sha256", &json_lines(&[row("a"), second]), &arguments).done();
    let shown = installation.cli(["organization", "show", "Acme", "--json"]).done().json();
    let found = tokens(installation);
    assert_ne!(found[0]["organization"], shown["id"]);
    assert_eq!(found[1]["organization"], shown["id"]);
}
