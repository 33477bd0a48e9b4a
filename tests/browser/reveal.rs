//! The page that shows a secret: once, whatever the browser does afterwards; and the dialogs
//! by the keyboard alone.

use crate::documents::Stage;
use counterfoil_support::browser::{Browser, Key};
use serde_json::json;

/// What stands where a secret was.
const GONE: &str = "This secret was shown once";

impl Stage {
    /// Generates a token of Togai's; what is shown is its secret.
    fn generate(&self, name: &str) -> String {
        let it = &self.browser;
        it.go("/tokens/new?api=togai");
        it.fill("Name", name);
        it.press("Generate");
        self.reads("Secret Key")
    }

    fn issued(&self) -> usize {
        let list = self.server.cli(["token", "list", "--json"]).done().json();
        list["items"].as_array().unwrap().len()
    }
}

/// The page holds nothing of the secret, not even where nobody looks.
#[track_caller]
pub(crate) fn holds_nothing(it: &Browser, secret: &str) {
    assert!(!it.source().contains(secret), "{}", it.url());
    let stored = it.script(
        "return JSON.stringify([{...localStorage}, {...sessionStorage}, history.state]);",
        &[],
    );
    assert_eq!(stored, json!("[{},{},null]"));
}

#[test]
fn a_reload_shows_nothing_and_makes_nothing() {
    let stage = Stage::signed_in();
    let it = &stage.browser;
    let secret = stage.generate("reloaded");
    assert!(it.path().starts_with("/tokens/") && it.path().ends_with("/shown"), "{}", it.path());
    it.click("//button[@data-copy='secret']");
    it.sees("Copied");
    for _ in 0..2 {
        it.reload();
        it.sees(GONE);
        holds_nothing(it, &secret);
    }
    assert_eq!(stage.issued(), 1);
    assert_eq!(it.errors(), [""; 0]);
}

#[test]
fn going_back_shows_nothing() {
    let stage = Stage::signed_in();
    let it = &stage.browser;
    let secret = stage.generate("left");
    it.click("//button[@data-copy='secret']");
    it.sees("Copied");
    it.follow("Done");
    it.until("the list", || it.path().starts_with("/tokens?api=togai#").then_some(()));
    // The stub became the row that the address means.
    let row = it.path().split_once('#').unwrap().1.to_owned();
    assert!(it.text_of(&format!("//tr[@id='{row}']")).contains("left"));
    holds_nothing(it, &secret);
    it.back();
    it.sees(GONE);
    holds_nothing(it, &secret);
    // The form itself, from the browser's memory: sending it again makes nothing.
    it.back();
    it.until("the form", || it.has("//dialog//input[@name='nonce']").then_some(()));
    it.fill("Name", "left");
    it.press("Generate");
    it.until("an answer", || (it.shows(GONE) || it.has("//*[@id='secret']")).then_some(()));
    holds_nothing(it, &secret);
    it.forward();
    holds_nothing(it, &secret);
}

#[test]
fn a_page_that_comes_back_from_memory_is_empty() {
    let stage = Stage::signed_in();
    let it = &stage.browser;
    let secret = stage.generate("remembered");
    it.script(
        "dispatchEvent(new PageTransitionEvent('pagehide', {persisted: true}));
         dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}));",
        &[],
    );
    it.sees(GONE);
    holds_nothing(it, &secret);
}

#[test]
fn a_second_tab_shows_nothing() {
    let stage = Stage::signed_in();
    let it = &stage.browser;
    let secret = stage.generate("one");
    let path = it.path();
    let first = it.open_tab();
    for path in [path.as_str(), "/tokens", "/tokens?api=togai", "/tokens/new?api=togai"] {
        it.go(path);
        holds_nothing(it, &secret);
    }
    it.turn_to(&first);
    assert_eq!(stage.reads("Secret Key"), secret);
    assert_eq!(stage.issued(), 1);
}

#[test]
fn without_a_script_a_reload_sends_the_form_again_and_makes_nothing() {
    let mut stage = Stage::set();
    stage.browser = stage.browser.without_script();
    stage.sign_in();
    let it = &stage.browser;
    let secret = stage.generate("plain");
    assert_eq!(it.path(), "/tokens");
    it.reload();
    it.sees(GONE);
    assert!(!it.source().contains(&secret));
    assert_eq!(stage.issued(), 1);
    // What is asked for is all there.
    it.go("/tokens?api=finout");
    stage.selects("Generate Token");
    it.fill("Description", "plain");
    it.press("Create");
    assert!(stage.reads("Secret Key").starts_with("fin_live_"));
    it.follow("Done");
    it.sees("plain");
}

#[test]
fn whoever_leaves_without_the_secret_is_asked_once() {
    let stage = Stage::signed_in();
    let it = &stage.browser;
    stage.generate("forgotten");
    it.follow("Done");
    it.sees("You have not copied it");
    it.follow("Done");
    it.until("the list", || it.path().starts_with("/tokens?api=togai").then_some(()));
}

/// Presses Tab until what has this name has the focus, which the dialog must not lose.
#[track_caller]
fn tab_to(it: &Browser, name: &str) {
    for _ in 0..60 {
        if it.focus().starts_with(name) {
            return;
        }
        it.key(Key::Tab);
    }
    panic!("{name} is not reached: {}", it.focus());
}

#[test]
fn every_dialog_by_keyboard_alone() {
    let stage = Stage::signed_in();
    let it = &stage.browser;
    it.go("/tokens?api=finout");
    tab_to(it, "Generate Token");
    it.key(Key::Enter);
    // It begins in the first field.
    it.until("the dialog", || (it.focus() == "Description").then_some(()));
    it.types("By hand");
    tab_to(it, "viewer");
    it.key(Key::Down);
    it.until("the other role", || it.focus().starts_with("editor").then_some(()));
    it.sees("read costs; change cost centres");
    tab_to(it, "90 days");
    it.key(Key::Left);
    it.until("another span", || it.focus().starts_with("60 days").then_some(()));
    tab_to(it, "Create");
    it.key(Key::Enter);
    // The ticket begins at its first button.
    it.until("the ticket", || (it.focus() == "Copy").then_some(()));
    let (id, secret) = (stage.reads("Client ID"), stage.reads("Secret Key"));
    it.key(Key::Enter);
    it.until("the first copy", || (it.clipboard() == id).then_some(()));
    it.key(Key::Tab);
    assert_eq!(it.focus(), "Copy");
    it.key(Key::Enter);
    it.until("the second copy", || (it.clipboard() == secret).then_some(()));
    tab_to(it, "Done");
    it.key(Key::Enter);
    it.until("the list", || it.path().starts_with("/tokens?api=finout#").then_some(()));
    // Escape closes, and nothing is made.
    it.go("/tokens/new?api=togai");
    it.until("the dialog", || (it.focus() == "Name").then_some(()));
    it.key(Key::Escape);
    it.arrives("/tokens?api=togai");
    it.go("/account/tokens?api=selectstar");
    it.key(Key::Escape);
    it.arrives("/account");
    assert_eq!(stage.issued(), 1);
}

#[test]
fn nobody_is_kept_out_and_nothing_comes_from_elsewhere() {
    let mut stage = Stage::signed_in();
    for dark in [false, true] {
        if dark {
            stage.browser = stage.browser.dark();
        }
        let it = &stage.browser;
        for path in [
            "/tokens",
            "/tokens?api=togai",
            "/tokens?search=nothing",
            "/tokens/new?api=facets",
            "/tokens/new?api=selectstar",
            "/tokens/new?api=finout",
            "/tokens/new?api=aristotle",
            "/account/tokens?api=selectstar",
        ] {
            it.go(path);
            assert_eq!(it.axe(), [""; 0], "{path}");
        }
        it.go("/tokens/new?api=aristotle");
        for _ in 0..3 {
            let boxes = "//input[@name='scope' and @checked]";
            it.click(boxes);
            it.script("document.activeElement.removeAttribute('checked');", &[]);
        }
        it.press("Create Token");
        it.sees("Choose at least one");
        assert_eq!(it.axe(), [""; 0], "an error");
        // The browser notes that status as an error, and nothing else.
        assert!(it.errors().iter().all(|error| error.contains("422")));
        stage.generate("seen");
        assert_eq!(it.axe(), [""; 0], "the ticket");
        it.click("//button[@data-copy='secret']");
        it.reload();
        it.sees(GONE);
        assert_eq!(it.axe(), [""; 0], "afterwards");
        let requests = it.requests();
        assert!(requests.iter().all(|request| request.url.starts_with(&it.origin)));
        // A browser notes each form that was sent back as an error.
        let is_other = |error: &String| !error.contains("status of 422");
        assert!(!it.errors().iter().any(is_other));
    }
}
