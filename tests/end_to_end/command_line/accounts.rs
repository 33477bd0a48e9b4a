//! `counterfoil account`.

use super::{both_ways, keys, rows};
use crate::installation::ADA;
use serde_json::{Value, json};

#[test]
fn create_makes_people_and_programs() {
    both_ways(|installation| {
        let create = ["account", "create", "--email", "Bob@Example.com", "--json"];
        let bob = installation.cli(create).done().json();
        let expected = json!({
            "id": bob["id"],
            "kind": "person",
            "email": "bob@example.com",
            "name": "bob@example.com",
            "external_id": null,
            "state": "active",
            "has_password": false,
            "has_second_factor": false,
            "created_at": bob["created_at"],
            "disabled_at": null,
        });
        assert_eq!(bob, expected);
        let create = ["account", "create", "--service", "--name", "nightly", "--json"];
        let nightly = installation.cli(create).done().json();
        assert_eq!((&nightly["kind"], &nightly["email"]), (&json!("service"), &Value::Null));
        // Where there is one organization, that is where they belong.
        for account in [&bob, &nightly] {
            let token = installation.issue_to(account["id"].as_str().unwrap(), "orders", &[]);
            assert_eq!(json!(token.owner), account["id"]);
        }

        let facts = installation.cli(["account", "create", "--email", "c@example.com"]).done();
        let facts = rows(&facts.out);
        for fact in [
            "e-mail c@example.com",
            "kind person",
            "state active",
            "password none",
            "second factor none",
        ] {
            assert!(facts.iter().any(|row| row == fact), "{facts:?}");
        }
        let create = ["account", "create", "--email", "d@example.com", "--quiet"];
        let id = installation.cli(create).done().out;
        let shown = installation.cli(["account", "show", "d@example.com", "--quiet"]).done().out;
        assert_eq!(id, shown);
    });
}

#[test]
fn create_says_what_is_wrong_and_changes_nothing() {
    both_ways(|installation| {
        let missing = installation.home().join("missing");
        let missing = missing.to_str().unwrap();
        for (arguments, code, error) in [
            (&["--email", ADA][..], 1, "there is an account for ada@example.com already"),
            (&["--email", "ADA@EXAMPLE.COM"], 1, "there is an account for ada@example.com"),
            (&["--email", "ada"], 2, "email: expected an e-mail address"),
            (&["--name", ""], 2, "name: must not be empty"),
            (
                &["--name", "x", "--organization", "Nowhere"],
                1,
                "there is no organization \"Nowhere\"",
            ),
            (&["--email", "b@example.com", "--password-file", missing], 2, "the file "),
        ] {
            let said = installation.cli(["account", "create"].iter().chain(arguments)).failed(code);
            assert!(said.starts_with(&format!("counterfoil: {error}")), "{said}");
        }
        installation.cli(["account", "create"]).failed(2);
        let both = ["account", "create", "--service", "--name", "x", "--password-file", "-"];
        installation.cli(both).failed(2);
        let listed = installation.cli(["account", "list", "--quiet"]).done().out;
        assert_eq!(listed.lines().count(), 1, "{listed}");
    });
}

#[test]
fn a_password_that_is_refused_leaves_no_account_behind() {
    both_ways(|installation| {
        let create = ["account", "create", "--email", "b@example.com", "--password-file", "-"];
        let error = installation.cli_reading("short\n", create).failed(2);
        assert_eq!(error, "counterfoil: password: must have at least 8 characters\n");
        installation.cli(["account", "show", "b@example.com"]).failed(1);
    });
}

#[test]
fn list_and_show() {
    both_ways(|installation| {
        installation.cli(["account", "create", "--email", "bob@example.com"]).done();
        let table = rows(&installation.cli(["account", "list"]).done().out);
        assert_eq!(table[0], "ID E-MAIL NAME KIND STATE CREATED");
        assert!(table[1].contains(" ada@example.com ada@example.com person active "));
        assert!(table[2].contains(" bob@example.com "));
        let list = installation.cli(["account", "list", "--json", "--limit", "1"]).done().json();
        assert_eq!(keys(&list), ["items", "next_cursor"]);
        let cursor = list["next_cursor"].as_str().unwrap();
        let rest = ["account", "list", "--json", "--cursor", cursor];
        let rest = installation.cli(rest).done().json();
        assert_eq!(rest["items"][0]["email"], "bob@example.com");

        let by_email = installation.cli(["account", "show", ADA, "--json"]).done().json();
        let id = by_email["id"].as_str().unwrap();
        let by_id = installation.cli(["account", "show", id, "--json"]).done().json();
        assert_eq!(by_id, by_email);
        let error = installation.cli(["account", "show", "eve@example.com"]).failed(1);
        assert_eq!(error, "counterfoil: there is no account eve@example.com\n");
        installation.cli(["account", "show", "ada"]).failed(2);
    });
}

#[test]
fn disable_and_enable() {
    both_ways(|installation| {
        for (command, state) in [
            ("disable", "disabled"),
            ("disable", "disabled"),
            ("enable", "active"),
            ("enable", "active"),
        ] {
            let account = installation.cli(["account", command, ADA, "--json"]).done().json();
            assert_eq!(account["state"], state);
            assert_eq!(account["disabled_at"].is_string(), state == "disabled");
        }
        installation.cli(["account", "disable", ADA]).done();
        let create = ["token", "create", "--api", "orders", "--owner", ADA];
        let error = installation.cli(create).failed(1);
        assert_eq!(error, "counterfoil: the account ada@example.com is disabled\n");
        installation.cli(["account", "disable", "eve@example.com"]).failed(1);
    });
}

#[test]
fn set_email_has_an_account_known_by_another_address() {
    both_ways(|installation| {
        const NEW: &str = "countess@example.com";
        installation.cli(["account", "create", "--email", "bob@example.com"]).done();
        let before = installation.cli(["account", "show", ADA, "--json"]).done().json();
        let (id, entries) = (before["id"].as_str().unwrap(), || {
            let verified = installation.cli(["ledger", "verify", "--json"]).done().json();
            verified["entries"].as_u64().unwrap()
        });
        let expected = {
            let mut expected = before.clone();
            expected["email"] = json!(NEW);
            expected
        };
        let at_first = entries();
        for (account, email, code, error) in [
            (ADA, "bob@example.com", 1, "there is an account for bob@example.com already"),
            (ADA, "BOB@Example.com", 1, "there is an account for bob@example.com already"),
            (ADA, "ada", 2, "email: expected an e-mail address"),
            (ADA, "", 2, "email: expected an e-mail address"),
            ("eve@example.com", NEW, 1, "there is no account eve@example.com"),
        ] {
            let said = installation.cli(["account", "set-email", account, email]).failed(code);
            assert!(said.starts_with(&format!("counterfoil: {error}")), "{said}");
        }
        installation.cli(["account", "set-email", ADA]).failed(2);
        assert_eq!(entries(), at_first);
        let set = ["account", "set-email", ADA, "Countess@Example.com", "--json"];
        assert_eq!(installation.cli(set).done().json(), expected);
        assert_eq!(installation.cli(["account", "show", id, "--json"]).done().json(), expected);
        installation.cli(["account", "show", ADA]).failed(1);
        installation.cli(set).failed(1);
        // It is so already: nothing is changed.
        let again = ["account", "set-email", id, NEW, "--json"];
        assert_eq!(installation.cli(again).done().json(), expected);
        assert_eq!(entries(), at_first + 1);
        // A program may have one, or get one.
        let create = ["account", "create", "--service", "--name", "nightly", "--quiet"];
        let nightly = installation.cli(create).done().out;
        let set = ["account", "set-email", nightly.trim(), "nightly@example.com", "--json"];
        assert_eq!(installation.cli(set).done().json()["email"], "nightly@example.com");
        assert_eq!(installation.cli(set).done().json()["kind"], "service");
    });
}

#[test]
fn set_password_reads_a_file_or_standard_input() {
    both_ways(|installation| {
        let file = installation.home().join("password");
        std::fs::write(&file, "correct horse battery staple\nsecond line\n").unwrap();
        let set = ["account", "set-password", ADA, "--json", "--password-file"];
        let from_file = set.iter().copied().chain([file.to_str().unwrap()]);
        let account = installation.cli(from_file).done().json();
        assert_eq!(account["has_password"], true);
        let from_input = [&set[..], &["-"]].concat();
        installation.cli_reading("another horse", &from_input).done();
        let error = installation.cli_reading("short", &from_input).failed(2);
        assert_eq!(error, "counterfoil: password: must have at least 8 characters\n");
        let error = installation.cli_reading(&"x".repeat(1025), &from_input).failed(2);
        assert_eq!(error, "counterfoil: password: must not be longer than 1024 characters\n");
        installation.cli(set.iter().chain(&["/nowhere"])).failed(2);
        installation.cli(["account", "set-password", ADA]).failed(2);

        let create = ["account", "create", "--service", "--name", "nightly", "--quiet"];
        let service = installation.cli(create).done().out;
        let set = ["account", "set-password", service.trim(), "--password-file", "-"];
        let error = installation.cli_reading("correct horse", set).failed(1);
        let only = "counterfoil: only a person with an e-mail address can have a password\n";
        assert_eq!(error, only);
    });
}
