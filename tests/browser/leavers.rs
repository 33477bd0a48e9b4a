//! Somebody leaves: what goes on with another owner, what ends, and what the audit log has
//! of it.

use crate::{documents::Stage, portal::BOB};
use serde_json::Value;

#[test]
fn what_is_handed_over_goes_on_and_the_rest_ends() {
    let stage = Stage::with_bob();
    let it = &stage.browser;
    let bob = stage.another(BOB);
    let issue = |api: &str, name: &str| stage.server.issue_to(BOB, api, &["--name", name]).secret;
    let nightly = issue("togai", "Nightly");
    let laptop = issue("togai", "Laptop");
    let report = format!("{BOB}:{}", issue("facets", "Report"));
    let basic = || stage.server.curl("/facets/projects", ["--user", &report]).status;
    assert_eq!((stage.status(&nightly), stage.status(&laptop), basic()), (200, 200, 200));

    it.go("/portal/service-accounts");
    it.fill("Name", "exporter");
    it.press("Add");
    it.until("the account", || it.has("//td/a[.='exporter']").then_some(()));
    it.go("/portal");
    it.follow("End the membership of Bob");
    it.sees("Now 3 tokens of theirs work; once the membership has ended, none does.");
    it.sees("Shown with its owner's e-mail address, which a service account has not: it ends.");
    assert!(!it.has("//input[@aria-label='Hand over Report']"));
    it.tick("Hand over Nightly");
    it.press("Hand over only");
    // What was picked is still picked.
    it.sees("Choose who owns them from now on.");
    assert!(it.has("//input[@aria-label='Hand over Nightly'][@checked]"));
    it.choose("New owner of what is picked", "exporter");
    it.press("Hand over only");
    it.sees("They are handed over and go on working.");
    it.sees("Now 2 tokens of theirs work; once the membership has ended, none does.");
    assert_eq!((stage.status(&nightly), stage.status(&laptop), basic()), (200, 200, 200));
    it.press("Hand over and end");
    it.sees("The membership has ended. 2 tokens that worked before are refused now.");
    assert_eq!((stage.status(&nightly), stage.status(&laptop), basic()), (200, 401, 401));
    assert!(!it.shows(BOB), "{}", it.text());
    bob.go("/tokens");
    bob.sees("You belong to no organization.");
    // Nor is that the end of the way.
    bob.follow("To your account");
    bob.arrives("/account");
    bob.press("Menu of Bob");
    bob.press("Sign out");
    bob.arrives("/signed-out");

    it.go("/portal/tokens");
    it.fill("Search", "Nightly");
    it.press("Filter");
    it.follow("Nightly");
    it.sees("exporter (a service account)");
    it.sees("Handed over to another owner");

    it.go("/portal/audit");
    let first = it.text_of("//tbody/tr[1]");
    assert!(first.starts_with("Left") && first.contains("Bob"), "{first}");
    let second = it.text_of("//tbody/tr[2]");
    assert!(second.starts_with("Token handed over\nTo exporter"), "{second}");
    it.choose("What", "Token handed over");
    it.press("Filter");
    it.until("one", || (!it.has("//tbody/tr[2]")).then_some(()));
    it.sees("To exporter");
    let export = "//a[normalize-space()='Export all as JSON Lines']";
    let href = it.attribute(export, "href").unwrap();
    let lines = it.script(
        "return fetch(arguments[0]).then((answer) => answer.text());",
        &[Value::from(href)],
    );
    let lines: Vec<Value> =
        lines.as_str().unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kinds: Vec<&str> = lines.iter().map(|line| line["kind"].as_str().unwrap()).collect();
    assert!(kinds.ends_with(&["token_handed_over", "membership_ended"]), "{kinds:?}");
    let all = stage.server.cli(["audit", "--json", "--limit", "1000"]).done().json();
    let all = all["items"].as_array().unwrap();
    assert!(lines.iter().all(|line| all.contains(line)), "{lines:?}");
}
