//! `usage`, and what `token` says of it.

use super::{APIS, both_ways, keys, rows};
use crate::{caller::says_no, installation::Installation};

#[test]
fn an_unused_token_has_none() {
    both_ways(|installation| {
        let token = installation.issue("orders", &[]);
        let empty = installation.cli(["usage", "--token", &token.id]).done();
        assert_eq!(
            (empty.out.as_str(), empty.err.trim()),
            ("", "No requests with a token in that time.")
        );
        let empty = installation.cli(["usage", "--json"]).done().json();
        assert_eq!(keys(&empty), ["items", "next_cursor"]);
        let shown = installation.cli(["token", "show", &token.id]).done().out;
        assert!(!shown.contains("last used") && !shown.contains("ADDRESS"), "{shown}");
        let list = |arguments: &[&str]| {
            let list = ["token", "list", "--quiet"];
            installation.cli(list.iter().chain(arguments)).done().out.lines().count()
        };
        assert_eq!(list(&["--unused-days", "0"]), 1);
        assert_eq!(list(&["--unused-days", "1"]), 0);
        assert_eq!(list(&["--expires-before", "2100-01-01T00:00:00Z"]), 0);
        installation.issue("orders", &["--expires-in", "1h"]);
        assert_eq!(list(&["--expires-before", "2100-01-01T00:00:00Z"]), 1);
        for wrong in [
            &["usage", "--token", "x"][..],
            &["usage", "--from", "x"],
            &["usage", "--from", "2101-01-01T00:00:00Z"],
            &["token", "list", "--unused-days", "x"],
            &["token", "list", "--expires-before", "x"],
        ] {
            installation.cli(wrong).failed(2);
        }
        let error = installation.cli(["usage", "--organization", "Nowhere"]).failed(1);
        assert!(error.contains("there is no organization \"Nowhere\""), "{error}");
    });
}

#[test]
fn a_used_token_shows_when_and_from_where() {
    let server = Installation::new(APIS).set_up().start();
    let token = server.issue("counterfoil", &["--scope", "tokens:read"]);
    let line = format!("authorization: Bearer {}\r\nuser-agent: probe/1\r\n", token.secret);
    let refused = crate::caller::call(server.main, &line, "GET", "/v1/organizations", "");
    says_no(&refused, 403, "forbidden");

    // Addresses are written down now and then; asking for counts has it done now.
    server.cli(["usage"]).done();
    let shown = rows(&server.cli(["token", "show", &token.id]).done().out);
    let at = |beginning: &str| {
        let found = shown.iter().position(|row| row.starts_with(beginning));
        found.unwrap_or_else(|| panic!("{beginning}: {shown:?}"))
    };
    let last = &shown[at("last used 20")];
    assert!(last.ends_with("Z at management from 127.0.0.1"), "{last}");
    assert_eq!(shown[at("with")], "with probe/1");
    assert_eq!(shown[at("for")], "for GET /v1/organizations");
    let heading = at("DAY ADDRESS ADMITTED REFUSED LAST");
    assert!(shown[heading + 1].contains(" 127.0.0.1 1 0 20"), "{shown:?}");

    let table = rows(&server.cli(["usage", "--api", "counterfoil"]).done().out);
    assert_eq!(table[0], "HOUR TOKEN API OUTCOME COUNT");
    assert!(
        table[1].ends_with(&format!(":00:00Z {} counterfoil admitted 1", token.id)),
        "{table:?}"
    );
    let listed = rows(&server.cli(["token", "list"]).done().out);
    assert!(listed[1].ends_with('Z'), "{listed:?}");
    assert_eq!(server.cli(["usage", "--quiet"]).done().out.trim(), token.id);
}
