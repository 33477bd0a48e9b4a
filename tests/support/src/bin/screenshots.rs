//! `cargo xtask screenshots`: pictures of pages, light, dark and on a phone.
//!
//! A page more is a line more in [`PAGES`].

#![expect(clippy::print_stdout, reason = "this is a command for a person at a terminal")]

use counterfoil_support::{
    browser::Browser,
    installation::{ADA, Installation},
    server::Server,
    upstream::Upstream,
};
use std::{fs, path::PathBuf};

/// What is to be seen.
struct Page {
    /// Of the picture's file.
    name: &'static str,
    path: &'static str,
    /// Who is signed in, by e-mail address.
    signed_in: Option<&'static str>,
    /// What is done on the page before.
    before: fn(&Browser),
}

const PAGES: &[Page] = &[
    Page { name: "sign-in", path: "/sign-in", signed_in: None, before: |_| {} },
    Page {
        name: "sign-in-refused",
        path: "/sign-in",
        signed_in: None,
        before: |browser| {
            browser.fill("E-mail", ADA);
            browser.fill("Password", "wrong");
            browser.press("Sign in");
            browser.sees("password");
        },
    },
    Page { name: "forgotten", path: "/forgotten", signed_in: None, before: |_| {} },
    Page { name: "signed-out", path: "/signed-out", signed_in: None, before: |_| {} },
    Page { name: "account", path: "/account", signed_in: Some(ADA), before: |_| {} },
    Page {
        name: "account-refused",
        path: "/account",
        signed_in: Some(ADA),
        before: |browser| {
            browser.fill("Current password", "wrong");
            browser.fill("New password", "a wholly different sentence");
            browser.press("Change the password");
            browser.sees("This is not your password.");
        },
    },
    Page {
        name: "second-factor",
        path: "/account/second-factor",
        signed_in: Some(ADA),
        before: |_| {},
    },
    Page { name: "profile", path: "/profile", signed_in: Some(ADA), before: |_| {} },
    Page { name: "settings", path: "/settings", signed_in: Some(ADA), before: |_| {} },
    Page { name: "tokens", path: "/tokens", signed_in: Some(ADA), before: |_| {} },
    Page { name: "tokens-empty", path: "/tokens?api=facets", signed_in: Some(ADA), before: |_| {} },
    Page {
        name: "tokens-of-one",
        path: "/tokens?api=finout",
        signed_in: Some(ADA),
        before: |_| {},
    },
    Page {
        name: "tokens-over-account",
        path: "/account/tokens?api=selectstar",
        signed_in: Some(ADA),
        before: |_| {},
    },
    Page {
        name: "new-facets",
        path: "/tokens/new?api=facets",
        signed_in: Some(ADA),
        before: |_| {},
    },
    Page {
        name: "new-finout",
        path: "/tokens/new?api=finout",
        signed_in: Some(ADA),
        before: |_| {},
    },
    Page {
        name: "new-aristotle",
        path: "/tokens/new?api=aristotle",
        signed_in: Some(ADA),
        before: |_| {},
    },
    Page {
        name: "new-refused",
        path: "/tokens/new?api=aristotle",
        signed_in: Some(ADA),
        before: |browser| {
            for _ in 0..3 {
                browser.click("//input[@name='scope'][@checked]");
                browser.script("document.activeElement.removeAttribute('checked');", &[]);
            }
            browser.press("Create Token");
            browser.sees("Choose at least one");
        },
    },
    Page {
        name: "reveal",
        path: "/tokens/new?api=finout",
        signed_in: Some(ADA),
        before: |browser| {
            browser.fill("Description", "Cost report");
            browser.press("Create");
            browser.sees("Secret Key");
        },
    },
    Page {
        name: "shown",
        path: "/tokens/new?api=togai",
        signed_in: Some(ADA),
        before: |browser| {
            browser.fill("Name", "Ingest");
            browser.press("Generate");
            browser.click("//button[@data-copy='secret']");
            browser.sees("Copied");
            browser.reload();
            browser.sees("shown once");
        },
    },
    Page { name: "no-such-page", path: "/nothing", signed_in: Some(ADA), before: |_| {} },
    Page { name: "portal", path: "/portal", signed_in: Some(ADA), before: |_| {} },
    Page {
        name: "token",
        path: "/tokens",
        signed_in: Some(ADA),
        before: |browser| browser.follow("used every day"),
    },
    Page { name: "invite", path: "/portal/invitations/new", signed_in: Some(ADA), before: |_| {} },
    Page {
        name: "service-accounts",
        path: "/portal/service-accounts",
        signed_in: Some(ADA),
        before: |_| {},
    },
    Page { name: "portal-tokens", path: "/portal/tokens", signed_in: Some(ADA), before: |_| {} },
    Page {
        name: "portal-sessions",
        path: "/portal/sessions",
        signed_in: Some(ADA),
        before: |_| {},
    },
    Page { name: "audit", path: "/portal/audit", signed_in: Some(ADA), before: |_| {} },
    Page { name: "leak-desk", path: "/portal/leaks", signed_in: Some(ADA), before: |_| {} },
    Page { name: "why", path: "/why", signed_in: Some(ADA), before: |_| {} },
    Page {
        name: "authenticate",
        path: "/authenticate?api=finout",
        signed_in: Some(ADA),
        before: |_| {},
    },
];

/// What everybody signs in with.
const PASSWORD: &str = "correct horse battery staple";

fn main() {
    let mut arguments = std::env::args_os().skip(1);
    let Some(directory) = arguments.next().map(PathBuf::from) else {
        panic!("which directory are the pictures to be in?");
    };
    let names: Vec<_> = arguments.collect();
    let is_wanted = |page: &&Page| names.is_empty() || names.iter().any(|name| name == page.name);
    let pages: Vec<&Page> = PAGES.iter().filter(is_wanted).collect();
    let known = || PAGES.iter().map(|page| page.name).collect::<Vec<_>>().join(", ");
    assert!(!pages.is_empty(), "there is no such page; there are: {}", known());
    if let Err(error) = fs::create_dir_all(&directory) {
        panic!("{}: {error}", directory.display());
    }

    let upstream = Upstream::start();
    let server = stage(&upstream);
    for (look, browser) in looks(&server) {
        for page in &pages {
            browser.forget_cookies();
            if let Some(email) = page.signed_in {
                sign_in(&browser, email);
            }
            browser.go(page.path);
            (page.before)(&browser);
            let file = directory.join(format!("{}-{look}.png", page.name));
            if let Err(error) = fs::write(&file, browser.picture()) {
                panic!("{}: {error}", file.display());
            }
            println!("{}", file.display());
        }
    }
}

/// The browsers, one at a time: they are made as they are asked for.
fn looks(server: &Server) -> impl Iterator<Item = (&'static str, Browser)> {
    ["light", "dark", "phone"].into_iter().map(|look| {
        let browser = Browser::at(server.main);
        let browser = match look {
            "dark" => browser.dark(),
            "phone" => browser.on_a_phone(),
            _ => browser,
        };
        (look, browser)
    })
}

/// A server with the five contracts of the examples, people, tokens, and some requests.
fn stage(upstream: &Upstream) -> Server {
    let server = Installation::of_examples(upstream).set_up().start();
    server.cli(["account", "create", "--email", "bob@example.com"]).done();
    for email in [ADA, "bob@example.com"] {
        let set = ["account", "set-password", email, "--password-file", "-"];
        server.cli_reading(PASSWORD, set).done();
    }
    let [used, wrong] = ["used every day", "with the wrong scheme"]
        .map(|name| server.issue("togai", &["--name", name, "--expires-in", "30d"]));
    for (word, token) in [("Bearer", &used), ("Bearer", &used), ("Token", &wrong)] {
        let line = format!("Authorization: {word} {}", token.secret);
        server.curl("/togai/events", ["--header", &line]);
    }
    let [revoked, paused] =
        ["revoked", "paused"].map(|name| server.issue("selectstar", &["--name", name]));
    server.cli(["token", "revoke", &revoked.id, "--reason", "leaked"]).done();
    server.cli(["token", "pause", &paused.id]).done();
    server.issue("finout", &["--role", "viewer"]);
    server.issue("aristotle", &["--scope", "metadata:read", "--expires-in", "7d"]);
    server.issue_to("bob@example.com", "facets", &[]);
    server
}

fn sign_in(browser: &Browser, email: &str) {
    browser.go("/sign-in");
    browser.fill("E-mail", email);
    browser.fill("Password", PASSWORD);
    browser.press("Sign in");
    browser.until("signed in", || (browser.path() != "/sign-in").then_some(()));
}
