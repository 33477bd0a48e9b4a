//! People's own pages.

use super::{
    ADA, BOB, OTHER, PASSWORD, Visitor, entries, goes_to, is_in, says, sessions, sign_in, start,
    start_with,
};
use counterfoil_support::visitor::hidden;

#[test]
fn a_new_password_ends_the_other_sessions() {
    let server = start();
    let ada = sign_in(&server, ADA, PASSWORD);
    let others = [sign_in(&server, ADA, PASSWORD), sign_in(&server, ADA, PASSWORD)];
    let bob = sign_in(&server, BOB, PASSWORD);
    let before = ada.secret().unwrap();

    let change = |current: &str, new: &str| {
        ada.post("/account/password", &[("current", current), ("password", new)])
    };
    let unchanged = entries(&server);
    says(&change("wrong", OTHER), 422, "This is not your password.");
    says(&change(PASSWORD, "short"), 422, "It must have at least 8 characters.");
    says(&change(PASSWORD, ADA), 422, "belongs to the account");
    assert_eq!(entries(&server), unchanged);
    assert!(others.iter().all(is_in));

    goes_to(&change(PASSWORD, OTHER), "/account?done=password&ended=2");
    says(&ada.get("/account?done=password&ended=2"), 200, "2 other sessions have ended.");
    assert!(!others.iter().any(is_in));
    assert!(is_in(&ada) && is_in(&bob));
    assert_ne!(ada.secret().unwrap(), before, "a new one");
    assert!(!is_in(&Visitor::showing(server.main, &before)));
    assert_eq!(Visitor::stranger(server.main).tries(ADA, PASSWORD).status, 422);
    sign_in(&server, ADA, OTHER);
    let audit = server.cli(["audit", "--json"]).done().out;
    assert!(audit.contains("password_set") && audit.contains("session"), "{audit}");
}

/// A session that was stolen is no way to the password.
#[test]
fn guessing_the_password_in_a_session_ends() {
    let server = start();
    let ada = sign_in(&server, ADA, PASSWORD);
    let guess = || ada.post("/account/password", &[("current", "wrong"), ("password", OTHER)]);
    for _ in 0..10 {
        assert_eq!(guess().status, 422);
    }
    assert_eq!(guess().status, 429);
}

#[test]
fn sessions_are_listed_and_ended() {
    let server = start();
    let ada = sign_in(&server, ADA, PASSWORD);
    let others = [sign_in(&server, ADA, PASSWORD), sign_in(&server, ADA, PASSWORD)];
    let bob = sign_in(&server, BOB, PASSWORD);
    let page = ada.get("/account");
    assert_eq!(page.text().matches("<span class=\"tag\">this one</span>").count(), 1);
    let ids = sessions(&page);
    let ends: Vec<String> = ids.iter().map(|id| format!("/account/sessions/{id}/end")).collect();
    assert_eq!(ends.len(), 2, "not the own one, nor Bob's");
    // Another person's is not there to be ended.
    says(&bob.post(&ends[0], &[]), 404, "There is nothing here");
    assert!(others.iter().all(is_in));
    goes_to(&ada.post(&ends[0], &[]), "/account?done=session");
    assert_eq!(others.iter().filter(|other| is_in(other)).count(), 1);
    says(&ada.post(&ends[0], &[]), 404, "There is nothing here");
    goes_to(&ada.post("/account/sessions/end", &[]), "/account?done=sessions&ended=1");
    assert!(!others.iter().any(is_in) && is_in(&ada) && is_in(&bob));
}

#[test]
fn names() {
    let server = start();
    let (ada, bob) = (sign_in(&server, ADA, PASSWORD), sign_in(&server, BOB, PASSWORD));
    goes_to(&bob.post("/profile", &[("name", "<b>Bob</b>")]), "/profile?done=saved");
    let page = bob.get("/profile?done=saved");
    says(&page, 200, "Your name is changed.");
    says(&page, 200, "&#60;b&#62;Bob");
    says(&bob.post("/profile", &[("name", "")]), 422, "It must not be empty.");
    assert_eq!(server.cli(["account", "show", BOB, "--json"]).done().json()["name"], "<b>Bob</b>");

    says(&ada.get("/settings"), 200, "value=\"Acme\"");
    let acme = hidden(&ada.get("/settings"), "organization");
    let rename = |name: &str| ada.post("/settings", &[("organization", &*acme), ("name", name)]);
    goes_to(&rename("Acme Ltd"), "/settings?done=saved");
    says(&ada.get("/settings?done=saved"), 200, "Acme Ltd");
    says(&rename("a\u{200b}"), 422, "invisible");
    // For a member it is there to be read.
    let page = bob.get("/settings");
    says(&page, 200, "Acme Ltd");
    assert!(!page.text().contains("action=\"/settings\""));
    says(&bob.post("/settings", &[("name", "Bob's")]), 404, "There is nothing here");
    says(&bob.get("/settings"), 200, "Acme Ltd");
}

/// What a page says was done is one of our own sentences.
#[test]
fn nothing_from_the_address_is_said() {
    let server = start();
    let ada = sign_in(&server, ADA, PASSWORD);
    for page in ["/account", "/profile", "/settings"] {
        let response = ada.get(&format!("{page}?done=You+have+won"));
        assert_eq!(response.status, 200);
        assert!(
            !response.text().contains("have won") && !response.text().contains("class=\"notice\"")
        );
    }
}

#[test]
fn each_api_stands_where_its_documentation_says() {
    let server = start_with(
        "[api.one]\nupstream = \"http://127.0.0.1:1\"\nwords.menu = [\"My Profile\", \"Keys\"]\n\
         [api.two]\nupstream = \"http://127.0.0.1:1\"\n\
         words.menu = [\"Account Settings\", \"Client API Token\", \"Manage\"]\n\
         [api.three]\nupstream = \"http://127.0.0.1:1\"\nwords.menu = [\"Settings\", \"API Tokens\"]",
    );
    let ada = sign_in(&server, ADA, PASSWORD);
    for (path, texts) in [
        ("/profile", &[">Keys</a>", "api=one"][..]),
        ("/account", &["<h2>Client API Token</h2>", ">Manage</a>", "api=two"]),
        ("/settings", &[">API Tokens</a>", "api=three"]),
    ] {
        for text in texts {
            says(&ada.get(path), 200, text);
        }
    }
}
