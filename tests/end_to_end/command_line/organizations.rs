//! `counterfoil organization`.

use super::{both_ways, keys, rows};
use crate::installation::{ADA, Installation};
use serde_json::{Value, json};

const BOB: &str = "bob@example.com";

fn make(installation: &Installation, name: &str) -> Value {
    installation.cli(["organization", "create", "--name", name, "--json"]).done().json()
}

#[test]
fn create_list_and_show() {
    both_ways(|installation| {
        let acme = make(installation, "Acme & Söhne");
        let expected = json!({
            "id": acme["id"],
            "name": "Acme & Söhne",
            "external_id": null,
            "state": "open",
            "created_at": acme["created_at"],
            "closed_at": null,
        });
        assert_eq!(acme, expected);
        let id = acme["id"].as_str().unwrap();
        for name in ["Acme & Söhne", id] {
            let shown = installation.cli(["organization", "show", name, "--json"]).done();
            assert_eq!(shown.json(), acme);
        }
        let shown = rows(&installation.cli(["organization", "show", id]).done().out);
        assert_eq!(
            shown[..3],
            [format!("id {id}"), "name Acme & Söhne".into(), "state open".into()]
        );

        let table = rows(&installation.cli(["organization", "list"]).done().out);
        assert_eq!(table[0], "ID NAME STATE CREATED");
        assert!(table[1].contains(" Default open "));
        assert!(table[2].starts_with(&format!("{id} Acme & Söhne open ")));
        let list = installation.cli(["organization", "list", "--json", "--limit", "1"]).done();
        assert_eq!(keys(&list.json()), ["items", "next_cursor"]);
        let quiet = installation.cli(["organization", "list", "--quiet"]).done().out;
        assert_eq!(quiet.lines().nth(1), Some(id));

        let error = installation.cli(["organization", "show", "Nowhere"]).failed(1);
        assert_eq!(error, "counterfoil: there is no organization \"Nowhere\"\n");
        let error = installation.cli(["organization", "create", "--name", " "]).failed(2);
        assert_eq!(error, "counterfoil: name: must not be empty\n");
    });
}

#[test]
fn a_name_that_two_have_is_not_enough() {
    both_ways(|installation| {
        make(installation, "Acme");
        let second = make(installation, "Acme");
        let error = installation.cli(["organization", "close", "Acme"]).failed(2);
        assert_eq!(
            error,
            "counterfoil: more than one organization is called \"Acme\"; give the id of one\n"
        );
        installation.cli(["organization", "close", second["id"].as_str().unwrap()]).done();
    });
}

#[test]
fn close_is_for_good() {
    both_ways(|installation| {
        make(installation, "Acme");
        let closed = installation.cli(["organization", "close", "Acme", "--json"]).done().json();
        assert_eq!(closed["state"], "closed");
        let again = installation.cli(["organization", "close", "Acme", "--json"]).done().json();
        assert_eq!(again, closed);
        let add = ["organization", "add-member", "Acme", ADA];
        let error = installation.cli(add).failed(1);
        assert_eq!(error, "counterfoil: the organization is closed\n");
        let create = ["account", "create", "--email", BOB, "--organization", "Acme"];
        assert_eq!(installation.cli(create).failed(1), error);
        installation.cli(["account", "show", BOB]).failed(1);
    });
}

#[test]
fn members_come_change_rank_and_go() {
    both_ways(|installation| {
        make(installation, "Acme");
        installation.cli(["account", "create", "--email", BOB, "--organization", "Acme"]).done();
        let members = || {
            let list = ["organization", "members", "Acme", "--json"];
            let items = installation.cli(list).done().json()["items"].clone();
            items.as_array().unwrap().iter().map(|item| item["rank"].clone()).collect::<Vec<_>>()
        };
        assert_eq!(members(), ["member"]);
        let promote =
            ["organization", "add-member", "Acme", BOB, "--rank", "administrator", "--json"];
        assert_eq!(installation.cli(promote).done().json()["rank"], "administrator");
        assert_eq!(members(), ["administrator"]);
        let added = installation.cli(["organization", "add-member", "Acme", ADA]).done();
        assert_eq!(added.out, "");
        assert_eq!(added.err, format!("{ADA} is a member now.\n"));
        let table = rows(&installation.cli(["organization", "members", "Acme"]).done().out);
        assert_eq!((table[0].as_str(), table.len()), ("ID RANK JOINED", 3));

        let left = installation.cli(["organization", "remove-member", "Acme", BOB]).done();
        assert_eq!(left.err, format!("{BOB} has left; the tokens there are refused.\n"));
        assert_eq!(members(), ["member"]);
        let error = installation.cli(["organization", "remove-member", "Acme", BOB]).failed(1);
        assert_eq!(error, "counterfoil: the account is not a member of that organization\n");
        let create = ["token", "create", "--api", "orders", "--owner", BOB];
        let error = installation.cli(create).failed(1);
        assert!(error.contains("is not a member of an organization"), "{error}");
        let wrong = ["organization", "add-member", "Acme", BOB, "--rank", "king"];
        installation.cli(wrong).failed(2);
        installation.cli(["organization", "add-member", "Acme", "eve@example.com"]).failed(1);
    });
}

#[test]
fn who_belongs_to_several_says_which_one_a_token_is_for() {
    both_ways(|installation| {
        let acme = make(installation, "Acme");
        installation.cli(["organization", "add-member", "Acme", ADA]).done();
        let create = ["token", "create", "--api", "orders", "--owner", ADA];
        let error = installation.cli(create).failed(2);
        assert!(error.contains("the owner belongs to several organizations"), "{error}");
        let token = installation.issue("orders", &["--organization", "Acme"]);
        assert_eq!(json!(token.organization), acme["id"]);
    });
}

#[test]
fn a_service_account_stays_where_it_was_made() {
    both_ways(|installation| {
        make(installation, "Acme");
        let create =
            ["account", "create", "--service", "--name", "ci", "--organization", "Acme", "--quiet"];
        let service = installation.cli(create).done().out;
        let add = ["organization", "add-member", "Default", service.trim()];
        let error = installation.cli(add).failed(1);
        assert!(error.contains("belongs to the organization that it was made in"), "{error}");
    });
}
