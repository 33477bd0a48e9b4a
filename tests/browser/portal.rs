//! The Admin Portal, and those whom it is about: each of them with a browser of their own.

use crate::{
    documents::{Stage, reads},
    reveal::holds_nothing,
};
use counterfoil_support::{browser::Browser, installation::ADA, visitor::PASSWORD};
use serde_json::json;

pub(crate) const BOB: &str = "bob@example.com";
const GRACE: &str = "grace@example.com";

impl Stage {
    /// Ada, signed in, and Bob, who can be.
    pub(crate) fn with_bob() -> Self {
        let stage = Self::signed_in();
        stage.server.with_person(BOB, &["--name", "Bob"]);
        stage
    }
}

/// Waits until the list has the tokens of these names, in this order.
#[track_caller]
fn lists(it: &Browser, expected: &[&str]) {
    let names = "return [...document.querySelectorAll('main td.lead a')].map((a) => a.innerText);";
    let listed = || it.script(names, &[]);
    it.until(&expected.join(", "), || (listed() == json!(expected)).then_some(()));
}

/// Has Ada invite somebody; the link.
fn invite(stage: &Stage, email: &str) -> String {
    let it = &stage.browser;
    it.go("/portal");
    it.follow("Invite");
    it.fill("E-mail", email);
    it.press("Make the invitation");
    stage.reads("Invitation")
}

/// Somebody new opens the link and joins.
fn join(it: &Browser, link: &str) {
    it.go(link);
    it.sees("ada@example.com invites grace@example.com as member.");
    it.fill("Your name", "Grace");
    it.fill("Password", PASSWORD);
    it.click("//form//button[starts-with(normalize-space(), 'Join')]");
    it.arrives("/tokens?done=joined");
}

/// Generates a token of Togai's; what is shown is its secret.
fn generate(it: &Browser, name: &str) -> String {
    it.go("/tokens");
    it.press("Generate for …");
    it.follow("togai: Generate New Token");
    it.fill("Name", name);
    it.press("Generate");
    let secret = reads(it, "Secret Key");
    it.click("//button[@data-copy='secret']");
    it.sees("Copied");
    it.follow("Done");
    it.until("the list", || it.path().starts_with("/tokens?api=togai#").then_some(()));
    secret
}

#[test]
fn from_an_invitation_to_tokens_that_are_refused() {
    let stage = Stage::signed_in();
    let it = &stage.browser;
    let link = invite(&stage, GRACE);
    it.press("Copy");
    it.until("the copy", || (it.clipboard() == link).then_some(()));
    // A reload would send the form again, and the next link ends the one before.
    it.reload();
    it.arrives("/portal");
    it.sees(GRACE);
    holds_nothing(it, link.rsplit('/').next().unwrap());
    let grace = Browser::at(stage.server.main);
    join(&grace, &link);
    let secrets = ["By Grace", "Hers too"].map(|name| generate(&grace, name));
    for secret in &secrets {
        assert_eq!(stage.status(secret), 200);
    }
    // The link has done what it was for.
    grace.go(&link);
    grace.sees("This link leads nowhere");

    let own = stage.server.issue("togai", &["--name", "Ada's own"]);
    stage.server.issue("finout", &["--name", "Costs", "--role", "viewer"]);
    it.go("/portal");
    it.follow("Tokens of Grace: 2");
    lists(it, &["Hers too", "By Grace"]);
    it.go("/portal/tokens");
    lists(it, &["Costs", "Ada's own", "Hers too", "By Grace"]);
    it.follow("Never expires");
    lists(it, &["Ada's own", "Hers too", "By Grace"]);
    it.follow("Expires within 14 days");
    it.sees("No token matches.");
    it.go("/portal/tokens");
    it.choose("API", "finout");
    it.press("Filter");
    lists(it, &["Costs"]);
    it.choose("API", "togai");
    it.choose("Order", "Name");
    it.press("Filter");
    lists(it, &["Ada's own", "By Grace", "Hers too"]);
    for (search, found) in [("Grace", &["By Grace", "Hers too"][..]), ("hers", &["Hers too"])] {
        it.fill("Search", search);
        it.press("Filter");
        lists(it, found);
    }
    it.fill("Search", GRACE);
    it.press("Filter");
    lists(it, &["By Grace", "Hers too"]);

    it.press("Revoke the picked ones");
    it.sees("Pick one token at least.");
    it.follow("Keep them");
    it.fill("Search", "Grace");
    it.press("Filter");
    it.tick("Pick all on this page");
    it.press("Revoke the picked ones");
    it.sees("Revoke 2 tokens?");
    it.follow("Keep them");
    it.arrives("/portal/tokens");
    assert_eq!(stage.status(&secrets[0]), 200);
    it.tick("Pick By Grace");
    it.tick("Pick Hers too");
    it.press("Revoke the picked ones");
    it.sees("Revoke 2 tokens?");
    it.choose("Reason", "The owner has left");
    it.press("Revoke 2");
    it.sees("2 tokens revoked");
    for secret in &secrets {
        assert_eq!(stage.status(secret), 401);
    }
    assert_eq!(stage.status(&own.secret), 200);
    it.follow("Back");
    it.choose("State", "Revoked");
    it.press("Filter");
    lists(it, &["Hers too", "By Grace"]);
    it.follow("By Grace");
    it.sees("the owner has left");
    it.go("/portal/audit");
    it.choose("What", "Token revoked");
    it.press("Filter");
    it.until("both", || it.has("//main//tbody[count(tr)=2]").then_some(()));
    assert_eq!(it.text().matches("Reason: the owner has left").count(), 2);
    it.choose("What", "Invitation accepted");
    it.press("Filter");
    let accepted = it.text_of("//main//tbody[count(tr)=1]");
    assert!(accepted.starts_with("Invitation accepted\nBy Grace"), "{accepted}");
    // Who owned them sees what became of them.
    grace.go("/tokens");
    assert!(grace.text_of("//tbody").contains("Revoked"));
}

#[test]
fn a_session_of_somebody_else_is_ended() {
    let stage = Stage::with_bob();
    let it = &stage.browser;
    let bob = stage.another(BOB);
    it.go("/portal/sessions");
    it.sees("this one");
    assert!(!it.has("//button[@aria-label='End the session of ada@example.com']"));
    it.press("End the session of Bob");
    it.sees("The session has ended.");
    assert!(!it.shows(BOB), "{}", it.text());
    bob.reload();
    bob.arrives("/sign-in?next=%2Ftokens");
    // It is the session that has ended, and nothing else.
    bob.fill("E-mail", BOB);
    bob.fill("Password", PASSWORD);
    bob.press("Sign in");
    bob.arrives("/tokens");
}

#[test]
fn members_find_nothing_of_the_portal() {
    let mut stage = Stage::with_bob();
    stage.browser = stage.another(BOB);
    let it = &stage.browser;
    let ada = stage.server.issue_to(ADA, "togai", &["--name", "Ada's own"]);
    assert!(!it.shows("Admin Portal"));
    stage.click_on_the_profile_picture();
    it.sees("Sign out");
    assert!(!it.shows("Admin Portal"));
    let theirs = [format!("/tokens/{}", ada.id), format!("/tokens/{}/revoke", ada.id)];
    let pages = [
        "/portal",
        "/portal/invitations/new",
        "/portal/service-accounts",
        "/portal/tokens",
        "/portal/tokens/revoke",
        "/portal/sessions",
        "/portal/audit",
        "/portal/audit.jsonl",
        "/operator",
    ];
    for page in pages.into_iter().chain(theirs.iter().map(String::as_str)) {
        it.go(page);
        it.sees("There is nothing here");
        it.sees("what was here is not yours to see");
        assert!(!it.source().contains(ADA), "{page}");
    }
    it.follow("To your tokens");
    it.arrives("/tokens");
}

#[test]
fn without_a_script() {
    let mut stage = Stage::set();
    stage.browser = stage.browser.without_script();
    stage.sign_in();
    let it = &stage.browser;
    let link = invite(&stage, GRACE);
    it.follow("Done");
    it.arrives("/portal");
    it.sees(GRACE);
    let grace = Browser::at(stage.server.main).without_script();
    join(&grace, &link);
    grace.go("/tokens/new?api=togai");
    grace.fill("Name", "By Grace");
    grace.press("Generate");
    let secret = reads(&grace, "Secret Key");
    let own = stage.server.issue("togai", &["--name", "Ada's own"]);
    assert_eq!(stage.status(&secret), 200);

    it.go("/portal/tokens");
    it.fill("Search", "Grace");
    it.press("Filter");
    it.tick("Pick By Grace");
    it.press("Revoke the picked ones");
    it.sees("Revoke 1 token?");
    it.press("Revoke 1");
    it.sees("1 token revoked");
    assert_eq!((stage.status(&secret), stage.status(&own.secret)), (401, 200));
    // A reload sends it again, and finds it done.
    it.reload();
    it.sees("1 token revoked");
    it.go("/portal/sessions");
    it.press("End the session of Grace");
    it.sees("The session has ended.");
    grace.go("/tokens");
    grace.arrives("/sign-in?next=%2Ftokens");
}
