//! `counterfoil token`.

use super::{both_ways, keys, rows};
use crate::installation::{ADA, Installation, Token};
use serde_json::{Value, json};

const CREATE: [&str; 6] = ["token", "create", "--api", "orders", "--owner", ADA];
const NO_SUCH: &str = "00000000-0000-7000-8000-000000000000";

#[test]
fn create_prints_the_secret_alone_and_tells_the_rest() {
    both_ways(|installation| {
        let create = CREATE.iter().chain(&["--name", "ci", "--note", "for the nightly build"]);
        let issued = installation.cli(create).done();
        let secret = issued.out.trim_end();
        assert_eq!(issued.out, format!("{secret}\n"));
        assert!(secret.starts_with("orders_") && secret.len() == 46, "{secret}");
        assert!(issued.err.starts_with("Issued. The secret is shown this once; nothing keeps it."));
        assert!(!issued.err.contains(secret));
        let facts = rows(&issued.err);
        let hint = format!("token orders…{}", &secret[secret.len() - 4..]);
        for fact in [
            "name ci",
            "note for the nightly build",
            "API orders",
            "may everything",
            &hint,
            "state active",
            "expires never",
        ] {
            assert!(facts.iter().any(|row| row == fact), "{fact}: {facts:?}");
        }

        let quiet = installation.cli(CREATE.iter().chain(&["--quiet"])).done();
        assert!(quiet.out.starts_with("orders_") && quiet.out.lines().count() == 1);
        assert_eq!(quiet.err, "");
        assert_ne!(quiet.out, issued.out);
    });
}

#[test]
fn create_for_programs_prints_what_the_api_answers() {
    both_ways(|installation| {
        let issued = installation.cli(CREATE.iter().chain(&["--json"])).done();
        assert_eq!(issued.err, "");
        let issued = issued.json();
        assert_eq!(keys(&issued), ["token", "secret", "client_id", "effective"]);
        assert_eq!(issued["client_id"], issued["token"]["id"]);
        assert_eq!(issued["effective"], "everywhere");
        let token = &issued["token"];
        let created = token["created_at"].as_str().unwrap();
        let expected = json!({
            "id": token["id"],
            "api": "orders",
            "organization": token["organization"],
            "owner": token["owner"],
            // Nobody gave it a name, so it is the date.
            "name": created[..10],
            "note": "",
            "role": null,
            "scopes": null,
            "state": "active",
            "prefix": "orders",
            "last_four": issued["secret"].as_str().unwrap()[42..],
            "allowed_networks": [],
            "external_id": null,
            "metadata": null,
            "created_at": created,
            "expires_at": null,
            "previous_secret_until": null,
            "paused_at": null,
            "revoked_at": null,
            "revoke_reason": "",
            "last_used": null,
            "present_secret_last_used": null,
            "previous_secret_last_used": null,
        });
        assert_eq!(*token, expected);
    });
}

#[test]
fn create_takes_what_a_token_can_have() {
    both_ways(|installation| {
        let token = installation.issue(
            "costs",
            &[
                "--role",
                "editor",
                "--expires-in",
                "90d",
                "--allowed-network",
                "10.0.0.0/8",
                "--allowed-network",
                "2001:db8::/32",
                "--organization",
                "Default",
            ],
        );
        let json = &token.json["token"];
        assert_eq!(json["role"], "editor");
        assert_eq!(json["allowed_networks"], json!(["10.0.0.0/8", "2001:db8::/32"]));
        assert!(json["expires_at"].is_string());
        let scopes = installation.issue("costs", &["--scope", "write", "--scope", "read"]);
        assert_eq!(scopes.json["token"]["scopes"], json!(["write", "read"]));
        let until = installation.issue("orders", &["--expires-at", "2100-01-31T12:00:00+02:00"]);
        assert_eq!(until.json["token"]["expires_at"], "2100-01-31T10:00:00Z");
        let by_id = installation.issue_to(&token.owner, "orders", &[]);
        assert_eq!(by_id.owner, token.owner);
    });
}

#[test]
fn create_says_what_is_wrong_and_changes_nothing() {
    both_ways(|installation| {
        let long = "x".repeat(101);
        for (arguments, code, error) in [
            (
                &["--api", "orders", "--owner", "ada"][..],
                2,
                "owner: expected an account's id or e-mail address",
            ),
            (
                &["--api", "orders", "--owner", "eve@example.com"],
                1,
                "there is no account eve@example.com",
            ),
            (
                &["--api", "nothing", "--owner", ADA],
                1,
                "there is no API \"nothing\"; the configuration has costs, ",
            ),
            (&["--api", "orders", "--owner", ADA, "--name", ""], 2, "name: must not be empty"),
            (
                &["--api", "orders", "--owner", ADA, "--name", &long],
                2,
                "name: must not be longer than 100 characters",
            ),
            (
                &["--api", "orders", "--owner", ADA, "--name", "a\u{7}b"],
                2,
                "name: must not contain control characters",
            ),
            (
                &["--api", "orders", "--owner", ADA, "--role", "viewer"],
                2,
                "role: the API orders has no roles",
            ),
            (
                &["--api", "costs", "--owner", ADA],
                2,
                "role: a role (viewer, editor) or scopes (read, write) are needed",
            ),
            (
                &["--api", "costs", "--owner", ADA, "--role", "king"],
                2,
                "role: no role \"king\"; the API has viewer, editor",
            ),
            (
                &["--api", "costs", "--owner", ADA, "--scope", "rule"],
                2,
                "scopes: no scope \"rule\"; the API has read, write",
            ),
            (
                &["--api", "costs", "--owner", ADA, "--role", "viewer", "--expires-in", "91d"],
                2,
                "expires_in: tokens of this API live 90d at most",
            ),
            (
                &["--api", "costs", "--owner", ADA, "--role", "viewer", "--expires-in", "never"],
                2,
                "expires_at: tokens of this API have to expire, 90d at most",
            ),
            (
                &["--api", "orders", "--owner", ADA, "--expires-at", "2001-01-01T00:00:00Z"],
                2,
                "expires_at: must lie in the future",
            ),
            (
                &["--api", "orders", "--owner", ADA, "--allowed-network", "10.0.0.1/8"],
                2,
                "allowed_networks: \"10.0.0.1/8\": ",
            ),
            (
                &["--api", "orders", "--owner", ADA, "--organization", "Nowhere"],
                1,
                "there is no organization \"Nowhere\"",
            ),
        ] {
            let said = installation.cli(["token", "create"].iter().chain(arguments)).failed(code);
            assert!(said.starts_with(&format!("counterfoil: {error}")), "{said}");
        }
        for wrong in ["soon", "90", "1y", "-1d", ""] {
            let arguments = CREATE.iter().copied().chain(["--expires-in", wrong]);
            let outcome = installation.cli(arguments);
            // A bare number is one of seconds.
            assert_eq!(outcome.code, Some(if wrong == "90" { 0 } else { 2 }), "{outcome:?}");
        }
        assert_eq!(installation.cli(["token", "list", "--quiet"]).done().out.lines().count(), 1);
    });
}

fn listed(installation: &Installation, arguments: &[&str]) -> Vec<String> {
    let list = ["token", "list", "--quiet"];
    let outcome = installation.cli(list.iter().chain(arguments)).done();
    outcome.out.lines().map(str::to_owned).collect()
}

#[test]
fn list_shows_them_in_the_order_of_their_making() {
    both_ways(|installation| {
        let empty = installation.cli(["token", "list"]).done();
        assert_eq!(empty.out, "");
        assert!(empty.err.starts_with("No tokens."), "{}", empty.err);

        let first = installation.issue("orders", &["--name", "first"]);
        let second = installation.issue("costs", &["--name", "second", "--role", "viewer"]);
        let third = installation.issue("costs", &["--name", "third", "--scope", "read"]);
        let table = rows(&installation.cli(["token", "list"]).done().out);
        assert_eq!(table[0], "ID NAME API MAY TOKEN STATE EXPIRES LAST USED");
        assert!(table[1].starts_with(&format!("{} first orders everything", first.id)));
        assert!(table[2].starts_with(&format!("{} second costs role viewer", second.id)));
        assert!(table[3].starts_with(&format!("{} third costs read", third.id)));
        assert_eq!(table.len(), 4);

        let ids = |tokens: &[&Token]| tokens.iter().map(|t| t.id.clone()).collect::<Vec<_>>();
        assert_eq!(listed(installation, &[]), ids(&[&first, &second, &third]));
        assert_eq!(listed(installation, &["--api", "costs"]), ids(&[&second, &third]));
        assert_eq!(listed(installation, &["--owner", ADA]).len(), 3);
        assert_eq!(listed(installation, &["--organization", "Default"]).len(), 3);
        assert!(listed(installation, &["--api", "nothing"]).is_empty());
        installation.cli(["token", "pause", &first.id]).done();
        installation.cli(["token", "revoke", &second.id]).done();
        for (state, expected) in [
            ("active", &[&third][..]),
            ("paused", &[&first]),
            ("revoked", &[&second]),
            ("expired", &[]),
        ] {
            assert_eq!(listed(installation, &["--state", state]), ids(expected), "{state}");
        }
    });
}

#[test]
fn a_long_list_comes_in_parts() {
    both_ways(|installation| {
        let ids: Vec<String> = (0..3).map(|_| installation.issue("orders", &[]).id).collect();
        let part = installation.cli(["token", "list", "--json", "--limit", "2"]).done().json();
        assert_eq!(keys(&part), ["items", "next_cursor"]);
        assert_eq!(part["items"].as_array().unwrap().len(), 2);
        let cursor = part["next_cursor"].as_str().unwrap();
        let list = ["token", "list", "--json", "--limit", "2", "--cursor", cursor];
        let rest = installation.cli(list).done().json();
        assert_eq!(rest["items"][0]["id"], ids[2]);
        assert_eq!(rest["items"].as_array().unwrap().len(), 1);
        assert_eq!(rest["next_cursor"], Value::Null);
        let table = installation.cli(["token", "list", "--limit", "2"]).done();
        assert_eq!(table.err, format!("There is more: add --cursor {cursor}\n"));
    });
}

#[test]
fn show_says_what_is_known_of_it() {
    both_ways(|installation| {
        let token = installation.issue("orders", &["--name", "ci"]);
        let shown = installation.cli(["token", "show", &token.id, "--json"]).done();
        assert_eq!(shown.json(), token.json["token"]);
        assert!(!shown.out.contains(&token.secret));
        let facts = rows(&installation.cli(["token", "show", &token.id]).done().out);
        assert_eq!(facts[0], format!("client ID {}", token.id));
        assert!(facts.iter().any(|row| row == "state active"), "{facts:?}");
        let quiet = installation.cli(["token", "show", &token.id, "--quiet"]).done();
        assert_eq!(quiet.out, format!("{}\n", token.id));
        let error = installation.cli(["token", "show", NO_SUCH]).failed(1);
        assert_eq!(error, "counterfoil: there is no such token\n");
        installation.cli(["token", "show", "ci"]).failed(2);
    });
}

#[test]
fn pause_and_resume() {
    both_ways(|installation| {
        let token = installation.issue("orders", &[]);
        let state = |command: &str| {
            let outcome = installation.cli(["token", command, &token.id, "--json"]).done();
            outcome.json()["state"].as_str().unwrap().to_owned()
        };
        // Again is no mistake.
        for (command, expected) in
            [("pause", "paused"), ("pause", "paused"), ("resume", "active"), ("resume", "active")]
        {
            assert_eq!(state(command), expected);
        }
        let facts = installation.cli(["token", "pause", &token.id]).done();
        assert!(rows(&facts.out).contains(&"state paused".to_owned()), "{}", facts.out);
        let error = installation.cli(["token", "pause", NO_SUCH]).failed(1);
        assert_eq!(error, "counterfoil: there is no such token\n");
    });
}

#[test]
fn rotate_gives_a_new_secret() {
    both_ways(|installation| {
        let token = installation.issue("orders", &[]);
        let rotated = installation.cli(["token", "rotate", &token.id]).done();
        let secret = rotated.out.trim_end();
        assert!(secret.starts_with("orders_") && secret != token.secret);
        assert!(rotated.err.starts_with("Rotated. The secret is shown this once"));
        assert!(!rotated.err.contains(secret) && !rotated.err.contains("old secret until"));

        let rotate = ["token", "rotate", &token.id, "--overlap", "24h"];
        let rotated = installation.cli(rotate.iter().chain(&["--json"])).done().json();
        assert_eq!(keys(&rotated), ["token", "secret", "client_id", "effective"]);
        assert_eq!(rotated["client_id"], token.id);
        assert!(rotated["token"]["previous_secret_until"].is_string());
        let rotated = installation.cli(rotate).done();
        assert!(rotated.err.contains("old secret until"), "{}", rotated.err);

        let error = installation.cli(["token", "rotate", &token.id, "--overlap", "x"]).failed(2);
        assert!(error.starts_with("counterfoil: overlap: expected a number and a unit"));
        installation.cli(["token", "rotate", NO_SUCH]).failed(1);
        installation.cli(["token", "revoke", &token.id]).done();
        let error = installation.cli(["token", "rotate", &token.id]).failed(1);
        assert!(error.starts_with("counterfoil: the token has ended"), "{error}");
    });
}

#[test]
fn an_overlap_is_not_longer_than_the_token_lives() {
    both_ways(|installation| {
        let token = installation.issue("orders", &["--expires-in", "1h"]);
        let rotate = ["token", "rotate", &token.id, "--overlap", "24h", "--json"];
        let rotated = installation.cli(rotate).done().json();
        assert_eq!(rotated["token"]["previous_secret_until"], rotated["token"]["expires_at"]);
    });
}

#[test]
fn revoke_says_when_and_keeps_why() {
    both_ways(|installation| {
        let token = installation.issue("orders", &[]);
        let revoke = ["token", "revoke", &token.id, "--reason", "the laptop was stolen"];
        let revoked = installation.cli(revoke).done();
        assert_eq!(revoked.out, "");
        assert!(revoked.err.contains(&format!("({}): revoked at 20", token.id)), "{}", revoked.err);
        assert!(revoked.err.ends_with("Z; refused everywhere.\n"), "{}", revoked.err);

        // Again finds it ended, and says when that was.
        let again = installation.cli(["token", "revoke", &token.id]).done().err;
        assert!(again.contains("had been revoked already at 20"), "{again}");
        let again = installation.cli(["token", "revoke", &token.id, "--json"]).done().json();
        assert_eq!(
            keys(&again),
            ["revoked_at", "effective", "waited_ms", "nodes", "offline_until"]
        );
        assert_eq!(again["effective"], "everywhere");
        assert_eq!((&again["nodes"], &again["offline_until"]), (&json!(1), &Value::Null));
        let shown = installation.cli(["token", "show", &token.id, "--json"]).done().json();
        assert_eq!(shown["state"], "revoked");
        assert_eq!(shown["revoked_at"], again["revoked_at"]);
        assert_eq!(shown["revoke_reason"], "the laptop was stolen");
        for command in ["pause", "resume"] {
            let error = installation.cli(["token", command, &token.id]).failed(1);
            assert!(error.contains("cannot be undone"), "{error}");
        }
        installation.cli(["token", "revoke", NO_SUCH]).failed(1);
        installation.cli(["token", "revoke", "not-an-id"]).failed(2);
    });
}
