//! The first run: the link that the server prints.

use super::{ADA, OTHER, PASSWORD, Visitor, goes_to, is_in, says, sign_in};
use crate::{installation::Installation, server::Server};
use std::thread;

const FIELDS: [(&str, &str); 4] =
    [("organization", "Acme"), ("name", "Ada Lovelace"), ("email", ADA), ("password", PASSWORD)];

fn link(server: &Server) -> String {
    let origin = Visitor::stranger(server.main).origin();
    server.process().wait_for_printed(|line| line.strip_prefix(&origin).map(str::to_owned))
}

#[test]
fn the_first_run() {
    let server = Installation::new("").start();
    let link = link(&server);
    let browser = Visitor::stranger(server.main);
    // However often somebody looks.
    for _ in 0..3 {
        says(&browser.get(&link), 200, "<h1>Set up this installation</h1>");
    }
    goes_to(&browser.post(&link, &FIELDS), "/tokens");
    assert!(is_in(&browser));
    let page = browser.get("/profile");
    for text in ["Ada Lovelace", "Acme", "Administrator"] {
        says(&page, 200, text);
    }
    // It works once.
    let eve = Visitor::stranger(server.main);
    says(&eve.get(&link), 404, "This link does not work");
    let fields = [("organization", "Evil"), ("email", "eve@example.com"), ("password", PASSWORD)];
    says(&eve.post(&link, &fields), 404, "This link does not work");
    assert_eq!(eve.secret(), None);
    sign_in(&server, ADA, PASSWORD);
    let organizations = server.cli(["organization", "list", "--json"]).done().json();
    assert_eq!(organizations["items"].as_array().unwrap().len(), 1);
    // And there is none any more.
    let server = server.stop().start();
    server.process().terminate();
    server.process().wait_for_message("stopped");
    assert_eq!(server.process().output(), "");
}

#[test]
fn what_is_wrong_can_be_put_right() {
    let server = Installation::new("").start();
    let (link, browser) = (link(&server), Visitor::stranger(server.main));
    for (field, value, text) in [
        ("email", "ada", "This is not an e-mail address."),
        ("password", "short", "It must have at least 8 characters."),
        ("password", "Lovelace, Ada", "belongs to the account"),
        ("organization", " ", "It must not be empty."),
        ("name", "a\u{202e}b", "invisible"),
    ] {
        let mut fields = FIELDS;
        fields.iter_mut().filter(|(name, _)| *name == field).for_each(|f| f.1 = value);
        if text.contains("belongs") {
            fields[1].1 = "Lovelace Ada";
        }
        let response = browser.post(&link, &fields);
        says(&response, 422, text);
        assert!(!response.text().contains(PASSWORD), "passwords do not come back");
        assert_eq!(response.text().matches("class=\"error\"").count(), 1);
        if field != "email" {
            assert!(response.text().contains(ADA), "what was typed stays");
        }
    }
    goes_to(&browser.post(&link, &FIELDS), "/tokens");
}

#[test]
fn of_two_at_once_one_sets_up() {
    let server = Installation::new("").start();
    let link = link(&server);
    let statuses: Vec<u16> = thread::scope(|scope| {
        let (server, link) = (&server, &link);
        let attempts = (0..4).map(|n| {
            scope.spawn(move || {
                let (name, email) = (format!("Org {n}"), format!("u{n}@example.com"));
                let fields = [("organization", &*name), ("email", &email), ("password", PASSWORD)];
                Visitor::stranger(server.main).post(link, &fields).status
            })
        });
        attempts.collect::<Vec<_>>().into_iter().map(|attempt| attempt.join().unwrap()).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 303).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| [303, 404, 409].contains(status)), "{statuses:?}");
    let organizations = server.cli(["organization", "list", "--json"]).done().json();
    assert_eq!(organizations["items"].as_array().unwrap().len(), 1);
}

#[test]
fn each_start_prints_another_and_the_newest_works() {
    let server = Installation::new("").start();
    let old = link(&server);
    let server = server.stop().start();
    let new = link(&server);
    let browser = Visitor::stranger(server.main);
    assert_ne!(old, new);
    says(&browser.get(&old), 404, "This link does not work");
    says(&browser.get("/set-up/x"), 404, "This link does not work");
    says(&browser.post(&old, &FIELDS), 404, "This link does not work");
    says(&browser.get(&new), 200, "Set up");
    // The command line is still a way, and ends the link.
    let init = ["init", "--email", ADA, "--password-file", "-"];
    server.cli_reading(OTHER, init).done();
    says(&browser.get(&new), 404, "This link does not work");
    says(&browser.post(&new, &FIELDS), 404, "This link does not work");
    sign_in(&server, ADA, OTHER);
}

#[test]
fn a_link_comes_from_our_own_page_too() {
    let server = Installation::new("").start();
    let (link, browser) = (link(&server), Visitor::stranger(server.main));
    says(&browser.post_with("", &link, &FIELDS), 403, "This came from elsewhere");
    says(&browser.get(&link), 200, "Set up");
}
