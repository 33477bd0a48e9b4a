//! Access tokens: obtained by hand, read by whom they concern, and kept nowhere.

use crate::{
    documents::{Stage, reads},
    portal::BOB,
    reveal::holds_nothing,
};
use counterfoil_support::{browser::Browser, installation::Token};

/// What is said of one that is not theirs.
const NOT_YOURS: &str = "This is no access token that you may see";

fn exchange(it: &Browser, secret: &str) {
    it.go("/access-tokens");
    it.fill("Secret of a token of yours", secret);
    it.press("Exchange it");
}

fn read(it: &Browser, access_token: &str) {
    it.go("/access-tokens");
    it.fill("Access token", access_token);
    it.press("Read it");
}

impl Stage {
    fn exchanged(&self, token: &Token) -> String {
        let arguments = ["--quiet", "token", "exchange"];
        self.server.cli_reading(&token.secret, arguments).done().out.trim().to_owned()
    }
}

#[test]
fn one_is_obtained_shown_once_and_works() {
    let stage = Stage::signed_in();
    let it = &stage.browser;
    let token = stage.server.issue("togai", &["--name", "Ingest"]);
    stage.click_on_the_profile_picture();
    it.follow("Access tokens");
    it.arrives("/access-tokens");
    it.fill("Secret of a token of yours", &token.secret);
    it.press("Exchange it");
    it.sees("Shown here once");
    let access_token = stage.reads("Access token");
    assert_eq!(stage.status(&access_token), 200);
    it.sees("in 23 hours");
    // The page has the access token, and what it was obtained with is gone.
    assert!(!it.source().contains(&token.secret));
    assert_eq!(it.path(), "/access-tokens");
    it.click("//button[@data-copy='secret']");
    it.until("a copy", || (it.clipboard() == access_token).then_some(()));
    it.reload();
    it.sees("Obtain one");
    holds_nothing(it, &access_token);
    it.go("/tokens");
    it.back();
    holds_nothing(it, &access_token);
    holds_nothing(it, &token.secret);
    assert_eq!(it.errors(), [""; 0]);
}

#[test]
fn whoever_leaves_without_it_is_asked_once_and_finds_nothing_on_the_way_back() {
    let stage = Stage::signed_in();
    let it = &stage.browser;
    let token = stage.server.issue("togai", &[]);
    exchange(it, &token.secret);
    let access_token = stage.reads("Access token");
    it.follow("Done");
    it.sees("You have not copied it");
    it.follow("Done");
    it.until("the page", || (!it.has("//dialog")).then_some(()));
    it.back();
    holds_nothing(it, &access_token);
    assert_eq!(it.value("Secret of a token of yours"), "");
}

#[test]
fn it_is_read_by_whom_it_concerns_and_others_learn_nothing() {
    let stage = Stage::with_bob();
    let ada = &stage.browser;
    let bob = stage.another(BOB);
    let of_ada = stage.server.issue("togai", &["--name", "Ada's own"]);
    let of_bob = stage.server.issue_to(BOB, "togai", &["--name", "Nightly"]);
    let [adas, bobs] = [&of_ada, &of_bob].map(|token| stage.exchanged(token));
    for (it, access_token, name) in
        [(ada, &adas, "Ada's own"), (ada, &bobs, "Nightly"), (&bob, &bobs, "Nightly")]
    {
        read(it, access_token);
        it.sees("Accepted now");
        it.sees("everything that this API offers");
        assert!(!it.source().contains(access_token.as_str()));
        it.follow(name);
        assert_eq!(it.text_of("//h1"), name);
    }
    read(&bob, &adas);
    bob.sees(NOT_YOURS);
    assert!(!bob.source().contains("Ada's own") && !bob.source().contains(&of_ada.id));
    let said = bob.text_of("//p[@id='access_token-error']");
    // No less than of one that nobody has signed.
    let (signed, _) = bobs.rsplit_once('.').unwrap();
    for forged in [format!("{signed}.{}", "A".repeat(86)), "eyJhbGciOiJub25lIn0.e30.".to_owned()] {
        read(&bob, &forged);
        assert_eq!(bob.text_of("//p[@id='access_token-error']"), said);
    }
    read(&bob, "nonsense");
    bob.sees("This is no access token");
    read(&bob, &of_bob.secret);
    bob.sees("This is the secret of a token");
    assert!(!bob.source().contains(&of_bob.secret));

    for (command, reason) in [
        ("pause", "Its token is paused."),
        ("rotate", "was replaced by a rotation"),
        ("revoke", "Its token is revoked."),
    ] {
        if command == "rotate" {
            stage.server.cli(["token", "resume", &of_bob.id]).done();
        }
        stage.server.cli(["token", command, &of_bob.id]).done();
        read(&bob, &bobs);
        bob.sees("Refused");
        bob.sees(reason);
    }
}

#[test]
fn nobody_exchanges_what_is_somebody_elses() {
    let stage = Stage::with_bob();
    let ada = &stage.browser;
    let of_bob = stage.server.issue_to(BOB, "togai", &[]);
    // Not even an administrator, who may end it.
    for secret in [of_bob.secret.as_str(), "tog_live_nonsense"] {
        exchange(ada, secret);
        ada.sees("This is not the secret of a token of yours.");
        assert!(!ada.source().contains(secret));
    }
    let other = stage.server.issue("selectstar", &[]);
    exchange(ada, &other.secret);
    ada.sees("selectstar has no access tokens");
    let own = stage.server.issue("togai", &[]);
    exchange(ada, &stage.exchanged(&own));
    ada.sees("This is an access token already");
    stage.server.cli(["token", "pause", &own.id]).done();
    exchange(ada, &own.secret);
    ada.sees("The token was paused.");
    assert_eq!(ada.value("Secret of a token of yours"), "");
}

#[test]
fn a_tokens_pages_say_what_there_is_to_know_of_its_access_tokens() {
    let stage = Stage::signed_in();
    let it = &stage.browser;
    it.go("/tokens/new?api=togai");
    it.fill("Name", "Ingest");
    it.press("Generate");
    let secret = reads(it, "Secret Key");
    it.click("//label[normalize-space()='Exchange']");
    let line = it.text_of("//code[@id='example-exchange-code']");
    assert!(line.contains("/togai/authenticate'") && line.contains(&secret), "{line}");
    it.sees("good for 1 day");
    it.press("Copy");
    it.follow("Done");
    it.follow("Ingest");
    it.sees("A program can exchange this token for an access token");
    assert!(it.text_of("//code[@id='exchange']").contains("Bearer TOKEN"));
    it.follow("Revoke");
    it.sees("may accept the last one until");
    it.press("Revoke");
    it.sees("Refused on 1 of 1");
    it.sees("may accept the last one until");
    // An API without has no word of them.
    let other = stage.server.issue("selectstar", &[]);
    it.go(&format!("/tokens/{}", other.id));
    assert!(!it.shows("access token"), "{}", it.text());
}
