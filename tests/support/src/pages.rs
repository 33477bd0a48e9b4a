//! Every page and dialog of the console, and how a browser gets there: for pictures, and for
//! what holds of all of them.

mod among_nodes;

pub use among_nodes::{AMONG_NODES, stage_of_nodes};

use crate::{
    authenticator::code,
    browser::Browser,
    installation::{ADA, Installation, Token},
    server::Server,
    upstream::Upstream,
    visitor::PASSWORD,
};

const BOB: &str = "bob@example.com";
const EVE: &str = "eve@example.com";

/// What is to be seen.
#[derive(Debug)]
pub struct Page {
    /// For files and failures.
    pub name: &'static str,
    pub path: &'static str,
    /// Who is signed in, by e-mail address.
    pub signed_in: Option<&'static str>,
    /// What is done on the page before.
    pub before: fn(&Browser, &Server),
}

pub const PAGES: &[Page] = &[
    Page { name: "sign-in", path: "/sign-in", signed_in: None, before: |_, _| {} },
    Page {
        name: "sign-in-refused",
        path: "/sign-in",
        signed_in: None,
        before: |browser, _| {
            browser.fill("E-mail", ADA);
            browser.fill("Password", "wrong");
            browser.press("Sign in");
            browser.sees("password");
        },
    },
    Page { name: "forgotten", path: "/forgotten", signed_in: None, before: |_, _| {} },
    Page { name: "signed-out", path: "/signed-out", signed_in: None, before: |_, _| {} },
    Page { name: "account", path: "/account", signed_in: Some(ADA), before: |_, _| {} },
    Page {
        name: "account-refused",
        path: "/account",
        signed_in: Some(ADA),
        before: |browser, _| {
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
        before: |_, _| {},
    },
    Page { name: "profile", path: "/profile", signed_in: Some(ADA), before: |_, _| {} },
    Page { name: "settings", path: "/settings", signed_in: Some(ADA), before: |_, _| {} },
    Page { name: "tokens", path: "/tokens", signed_in: Some(ADA), before: |_, _| {} },
    Page {
        name: "tokens-empty",
        path: "/tokens?api=facets",
        signed_in: Some(ADA),
        before: |_, _| {},
    },
    Page {
        name: "tokens-of-one",
        path: "/tokens?api=finout",
        signed_in: Some(ADA),
        before: |_, _| {},
    },
    Page {
        name: "tokens-over-account",
        path: "/account/tokens?api=selectstar",
        signed_in: Some(ADA),
        before: |_, _| {},
    },
    Page {
        name: "new-facets",
        path: "/tokens/new?api=facets",
        signed_in: Some(ADA),
        before: |_, _| {},
    },
    Page {
        name: "new-finout",
        path: "/tokens/new?api=finout",
        signed_in: Some(ADA),
        before: |_, _| {},
    },
    Page {
        name: "new-aristotle",
        path: "/tokens/new?api=aristotle",
        signed_in: Some(ADA),
        before: |_, _| {},
    },
    Page {
        name: "new-refused",
        path: "/tokens/new?api=aristotle",
        signed_in: Some(ADA),
        before: |browser, _| {
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
        before: |browser, _| {
            browser.fill("Description", "Cost report");
            browser.press("Create");
            browser.sees("Secret Key");
        },
    },
    Page {
        name: "shown",
        path: "/tokens/new?api=togai",
        signed_in: Some(ADA),
        before: |browser, _| {
            browser.fill("Name", "Ingest");
            browser.press("Generate");
            browser.click("//button[@data-copy='secret']");
            browser.sees("Copied");
            browser.reload();
            browser.sees("shown once");
        },
    },
    Page { name: "no-such-page", path: "/nothing", signed_in: Some(ADA), before: |_, _| {} },
    Page { name: "portal", path: "/portal", signed_in: Some(ADA), before: |_, _| {} },
    Page {
        name: "token",
        path: "/tokens?search=used",
        signed_in: Some(ADA),
        before: |browser, _| browser.follow("used every day"),
    },
    Page {
        name: "invite",
        path: "/portal/invitations/new",
        signed_in: Some(ADA),
        before: |_, _| {},
    },
    Page {
        name: "service-accounts",
        path: "/portal/service-accounts",
        signed_in: Some(ADA),
        before: |_, _| {},
    },
    Page { name: "portal-tokens", path: "/portal/tokens", signed_in: Some(ADA), before: |_, _| {} },
    Page {
        name: "portal-sessions",
        path: "/portal/sessions",
        signed_in: Some(ADA),
        before: |_, _| {},
    },
    Page { name: "audit", path: "/portal/audit", signed_in: Some(ADA), before: |_, _| {} },
    Page { name: "leak-desk", path: "/portal/leaks", signed_in: Some(ADA), before: |_, _| {} },
    Page { name: "why", path: "/why", signed_in: Some(ADA), before: |_, _| {} },
    Page {
        name: "authenticate",
        path: "/authenticate?api=finout",
        signed_in: Some(ADA),
        before: |_, _| {},
    },
    Page {
        name: "menu",
        path: "/profile",
        signed_in: Some(ADA),
        before: |browser, _| browser.click("//summary[starts-with(@aria-label, 'Menu of')]"),
    },
    Page {
        name: "set-of-codes",
        path: "/signed-out",
        signed_in: None,
        before: |browser, server| {
            server.cli(["account", "remove-second-factor", EVE]);
            sign_in(browser, EVE);
            browser.go("/account/second-factor");
            let key = browser.text_of("//*[@id='key']").replace(' ', "");
            browser.fill("Password", PASSWORD);
            browser.fill("Six digits", &code(&key, 0));
            browser.press("Turn on");
            browser.sees("recovery codes");
        },
    },
    Page {
        name: "join",
        path: "/signed-out",
        signed_in: None,
        before: |browser, server| {
            let made = invite(server, "joins");
            browser.go(&made);
            browser.sees("Password");
        },
    },
    Page {
        name: "invited",
        path: "/portal/invitations/new",
        signed_in: Some(ADA),
        before: |browser, _| {
            browser.fill("E-mail", "grace@example.com");
            browser.press("Make the invitation");
            browser.sees("/invitations/");
        },
    },
    Page {
        name: "member",
        path: "/portal",
        signed_in: Some(ADA),
        before: |browser, _| browser.follow("bob@example.com"),
    },
    Page {
        name: "leaver",
        path: "/portal",
        signed_in: Some(ADA),
        before: |browser, _| {
            browser.follow("bob@example.com");
            browser.follow("End the membership");
        },
    },
    Page {
        name: "service-account",
        path: "/portal/service-accounts",
        signed_in: Some(ADA),
        before: |browser, _| browser.follow("exporter"),
    },
    Page {
        name: "bulk-revoke",
        path: "/portal/tokens?search=paused",
        signed_in: Some(ADA),
        before: |browser, _| {
            browser.click("//input[@name='token']");
            browser.press("Revoke the picked ones");
            browser.sees("Keep them");
        },
    },
    Page {
        name: "leak-desk-found",
        path: "/portal/leaks",
        signed_in: Some(ADA),
        before: |browser, server| {
            let leaked = server.issue("togai", &["--name", "in a log"]);
            browser.fill(
                "What leaked",
                &format!("level=info token={}\nlevel=info done", leaked.secret),
            );
            browser.press("Find tokens");
            browser.sees("in a log");
        },
    },
    Page {
        name: "why-found",
        path: "/why",
        signed_in: Some(ADA),
        before: |browser, server| {
            let token = server.issue("togai", &["--name", "refused"]);
            server.cli(["token", "pause", &token.id]).done();
            let line = format!("Authorization: Bearer {}", token.secret);
            let refused = server.curl("/togai/events", ["--header", &line]);
            browser.fill("Request ID", refused.header("x-request-id"));
            browser.press("Look");
            browser.sees("paused");
        },
    },
    Page {
        name: "edit",
        path: "/tokens?search=used",
        signed_in: Some(ADA),
        before: |browser, _| {
            browser.follow("used every day");
            browser.follow("Edit");
        },
    },
    Page {
        name: "rotate",
        path: "/tokens?search=used",
        signed_in: Some(ADA),
        before: |browser, _| {
            browser.follow("used every day");
            browser.follow("Rotate");
        },
    },
    Page {
        name: "rotated",
        path: "/tokens",
        signed_in: Some(ADA),
        before: |browser, server| {
            let token = server.issue("togai", &["--name", "rotated"]);
            browser.go(&format!("/tokens/{}/rotate", token.id));
            browser.press("Rotate");
            browser.sees("Shown here once");
        },
    },
    Page {
        name: "rotating",
        path: "/tokens",
        signed_in: Some(ADA),
        before: |browser, server| {
            let token = server.issue("togai", &["--name", "rotating"]);
            server.cli(["token", "rotate", &token.id, "--overlap", "7d"]).done();
            browser.go(&format!("/tokens/{}", token.id));
            browser.sees("Two secrets work");
        },
    },
    Page {
        name: "revoke",
        path: "/tokens?search=used",
        signed_in: Some(ADA),
        before: |browser, _| {
            browser.follow("used every day");
            browser.follow("Revoke");
        },
    },
    Page {
        name: "receipt",
        path: "/tokens",
        signed_in: Some(ADA),
        before: |browser, server| {
            let token = server.issue("togai", &["--name", "ended"]);
            browser.go(&format!("/tokens/{}/revoke", token.id));
            browser.press("Revoke");
            browser.sees("Refused on");
        },
    },
    Page {
        name: "operator",
        path: "/operator",
        signed_in: Some(ADA),
        before: |browser, _| {
            browser.press("Verify now");
            browser.sees("unbroken");
        },
    },
    Page { name: "access-tokens", path: "/access-tokens", signed_in: Some(ADA), before: |_, _| {} },
    Page {
        name: "access-token-read",
        path: "/access-tokens",
        signed_in: Some(ADA),
        before: |browser, server| {
            let token = server.issue("togai", &["--name", "ingest"]);
            browser.fill("Access token", &exchange(server, &token));
            browser.press("Read it");
            browser.sees("Accepted now");
        },
    },
    Page {
        name: "access-token-refused",
        path: "/access-tokens",
        signed_in: Some(ADA),
        before: |browser, server| {
            let token = server.issue("togai", &["--name", "held back"]);
            let access_token = exchange(server, &token);
            server.cli(["token", "pause", &token.id]).done();
            browser.fill("Access token", &access_token);
            browser.press("Read it");
            browser.sees("Its token is paused.");
        },
    },
    Page {
        name: "access-token-of-nobody",
        path: "/access-tokens",
        signed_in: Some(ADA),
        before: |browser, _| {
            browser.fill("Access token", "eyJhbGciOiJub25lIn0.e30.");
            browser.press("Read it");
            browser.sees("no access token that you may see");
        },
    },
    Page {
        name: "access-token-reveal",
        path: "/access-tokens",
        signed_in: Some(ADA),
        before: |browser, server| {
            let token = server.issue("togai", &["--name", "ingest"]);
            browser.fill("Secret of a token of yours", &token.secret);
            browser.press("Exchange it");
            browser.sees("Shown here once");
        },
    },
    Page {
        name: "authenticate-togai",
        path: "/authenticate?api=togai",
        signed_in: Some(ADA),
        before: |_, _| {},
    },
    Page {
        name: "a-full-list",
        path: "/portal",
        signed_in: Some(ADA),
        before: |browser, server| {
            for n in 0..50 {
                let name = format!("many-{n}");
                server.issue("aristotle", &["--name", &name, "--scope", "metadata:read"]);
            }
            browser.go("/portal/tokens");
            browser.sees("many-49");
        },
    },
];

/// A server with the five contracts of the examples, people, tokens, and some requests.
pub fn stage(upstream: &Upstream) -> Server {
    let installation = Installation::of_examples(upstream).set_up();
    let mut configuration = std::fs::read_to_string(installation.configuration()).unwrap();
    let operators = format!("\n[console]\noperators = [\"{ADA}\"]\n");
    configuration.push_str(&operators);
    std::fs::write(installation.configuration(), configuration).unwrap();
    installation.give_password(ADA);
    installation.with_person(BOB, &[]);
    installation.with_person(EVE, &[]);
    let server = installation.start();
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
    server.issue_to(BOB, "facets", &[]);
    server.cli(["account", "create", "--service", "--name", "exporter"]).done();
    server
}

/// The access token that a token is exchanged for.
fn exchange(server: &Server, token: &Token) -> String {
    let exchanged = server.cli_reading(&token.secret, ["--quiet", "token", "exchange"]).done();
    exchanged.out.trim().to_owned()
}

/// Where whoever is invited joins.
fn invite(server: &Server, name: &str) -> String {
    let email = format!("{name}@example.com");
    let made = server.cli(["--quiet", "invitation", "create", &email]).done();
    made.out.trim().to_owned()
}

/// Signs in, whoever was before.
pub fn sign_in(browser: &Browser, email: &str) {
    browser.forget_cookies();
    browser.go("/sign-in");
    browser.fill("E-mail", email);
    browser.fill("Password", PASSWORD);
    browser.press("Sign in");
    browser.until("signed in", || (browser.path() != "/sign-in").then_some(()));
}
