//! `counterfoil init` and `counterfoil ledger`.

use super::{APIS, both_ways, keys};
use crate::installation::{ADA, Installation};
use serde_json::json;

#[test]
fn init_before_the_server_runs() {
    let installation = Installation::new(APIS);
    let done = installation.cli(["init", "--email", ADA]).done();
    assert_eq!(done.out, "");
    assert!(done.err.starts_with("Set up. ada@example.com administers the first organization."));
    assert!(done.err.contains("counterfoil account set-password ada@example.com"), "{}", done.err);
    installation.issue("orders", &[]);
}

#[test]
fn init_while_the_server_runs() {
    let server = Installation::new(APIS).start();
    let init = ["init", "--email", ADA, "--organization", "Acme", "--password-file", "-", "--json"];
    let made = server.cli_reading("correct horse battery staple", init).done().json();
    assert_eq!(keys(&made), ["organization", "account"]);
    assert_eq!(made["account"]["email"], ADA);
    assert_eq!(made["account"]["has_password"], true);
    let organization = server.cli(["organization", "show", "Acme", "--json"]).done().json();
    assert_eq!(organization["id"], made["organization"]);
    let members = server.cli(["organization", "members", "Acme", "--json"]).done().json();
    assert_eq!(members["items"][0]["rank"], "administrator");
    server.issue("orders", &[]);
}

#[test]
fn init_a_second_time_changes_nothing() {
    both_ways(|installation| {
        let before = installation.cli(["ledger", "verify"]).done().out;
        for email in [ADA, "eve@example.com"] {
            let error = installation.cli(["init", "--email", email]).failed(1);
            assert!(error.contains("has been set up already, with the organization \"Default\""));
        }
        assert_eq!(installation.cli(["ledger", "verify"]).done().out, before);
    });
}

#[test]
fn init_with_what_is_wrong_leaves_it_to_be_done() {
    let installation = Installation::new(APIS);
    let error = installation.cli(["init", "--email", "ada"]).failed(2);
    assert!(error.contains("expected an e-mail address"), "{error}");
    installation.cli(["init", "--email", ADA, "--password-file", "/nowhere"]).failed(2);
    let short = ["init", "--email", ADA, "--password-file", "-"];
    let error = installation.cli_reading("short", short).failed(2);
    assert_eq!(error, "counterfoil: password: must have at least 8 characters\n");
    installation.cli(["init"]).failed(2);
    installation.cli(["init", "--email", ADA]).done();
}

#[test]
fn without_a_database_there_is_nothing_to_ask() {
    let installation = Installation::new(APIS);
    for arguments in [
        &["token", "list"][..],
        &["account", "list"],
        &["organization", "list"],
        &["ledger", "verify"],
    ] {
        let error = installation.cli(arguments).failed(1);
        assert!(error.starts_with("counterfoil: there is no database in "), "{error}");
        assert!(error.contains("`counterfoil init`"), "{error}");
    }
    assert!(!installation.data().exists());
}

#[test]
fn ledger_verify_recomputes_everything() {
    both_ways(|installation| {
        installation.issue("orders", &[]);
        let said = installation.cli(["ledger", "verify"]).done();
        let head = said.out.lines().nth(1).unwrap();
        assert!(said.out.starts_with("4 entries, unbroken, and the database is what they say.\n"));
        assert!(head.starts_with("head ") && head.len() == 69, "{head}");
        assert_eq!(said.err, "");
        let json = installation.cli(["ledger", "verify", "--json"]).done().json();
        let expected = json!({"agrees": true, "entries": 4, "head": head[5..], "findings": []});
        assert_eq!(json, expected);
        let quiet = installation.cli(["ledger", "verify", "--quiet"]).done();
        assert_eq!((quiet.out.as_str(), quiet.err.as_str()), ("", ""));
    });
}
