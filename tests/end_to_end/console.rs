//! The console, as a browser without a script sees it.

mod account;
mod documentation;
mod invitations;
mod portal;
mod reset;
pub(crate) mod second_factor;
mod set_up;
mod sign_in;
mod token;
mod tokens;

use crate::{
    installation::{ADA, Installation},
    response::Response,
    server::Server,
};
use counterfoil_support::visitor::{PASSWORD, Visitor};

const OTHER: &str = "a wholly different sentence";
const BOB: &str = "bob@example.com";

/// A server, set up, with Ada its administrator and Bob a member.
fn start() -> Server {
    start_with("")
}

fn start_with(configuration: &str) -> Server {
    let installation = Installation::new(configuration);
    let init = ["init", "--email", ADA, "--organization", "Acme", "--password-file", "-"];
    installation.cli_reading(PASSWORD, init).done();
    let create = ["account", "create", "--email", BOB, "--password-file", "-"];
    installation.cli_reading(PASSWORD, create).done();
    installation.start()
}

fn sign_in(server: &Server, email: &str, password: &str) -> Visitor {
    Visitor::sign_in_with(server.main, email, password)
}

/// Whether a browser is in.
fn is_in(browser: &Visitor) -> bool {
    let response = browser.get("/account");
    assert!(matches!(response.status, 200 | 303), "{response:?}");
    response.status == 200
}

/// Checks where somebody is sent.
#[track_caller]
fn goes_to(response: &Response, path: &str) {
    assert_eq!(response.status, 303, "{}", response.text());
    assert_eq!(response.header("location"), path);
}

/// Checks that a page is as it should be for everybody who is not in.
#[track_caller]
fn says(response: &Response, status: u16, text: &str) {
    assert_eq!(response.status, status, "{}", response.text());
    assert!(response.text().contains(text), "{text}: {}", response.text());
    assert_eq!(response.header("cache-control"), "no-store");
}

/// All of an answer that could tell something, but for what was typed.
fn face(response: &Response, typed: &str) -> String {
    let face = response.face().replace(typed, "TYPED");
    let lines = face.lines().filter(|line| !line.starts_with("content-length: "));
    lines.collect::<Vec<_>>().join("\n")
}

/// The sessions that the page offers to end.
fn sessions(page: &Response) -> Vec<String> {
    let ends = page.text().split("/account/sessions/").skip(1);
    ends.filter_map(|rest| rest.split_once("/end\"")).map(|(id, _)| id.to_owned()).collect()
}

/// How many entries the ledger has.
fn entries(server: &Server) -> u64 {
    server.cli(["ledger", "verify", "--json"]).done().json()["entries"].as_u64().unwrap()
}
