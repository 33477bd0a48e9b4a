//! `cargo xtask screenshots`: pictures of pages, light, dark and on a phone.
//!
//! Which there are, is what [`PAGES`] and [`AMONG_NODES`] say.

#![expect(clippy::print_stdout, reason = "this is a command for a person at a terminal")]

use counterfoil_support::{
    browser::Browser,
    pages::{AMONG_NODES, PAGES, Page, sign_in, stage, stage_of_nodes},
    postgres::Postgres,
    server::Server,
    upstream::Upstream,
};
use std::{
    fs,
    path::{Path, PathBuf},
};

fn main() {
    let mut arguments = std::env::args_os().skip(1);
    let Some(directory) = arguments.next().map(PathBuf::from) else {
        panic!("which directory are the pictures to be in?");
    };
    let names: Vec<_> = arguments.collect();
    let is_wanted = |page: &&Page| names.is_empty() || names.iter().any(|name| name == page.name);
    let wanted = |pages: &'static [Page]| pages.iter().filter(is_wanted).collect::<Vec<_>>();
    let (pages, among_nodes) = (wanted(PAGES), wanted(AMONG_NODES));
    let known = || PAGES.iter().chain(AMONG_NODES).map(|page| page.name);
    assert!(
        pages.len() + among_nodes.len() > 0,
        "there is no such page; there are: {}",
        known().collect::<Vec<_>>().join(", ")
    );
    if let Err(error) = fs::create_dir_all(&directory) {
        panic!("{}: {error}", directory.display());
    }

    let upstream = Upstream::start();
    if !pages.is_empty() {
        take(&stage(&upstream), &pages, &directory);
    }
    if !among_nodes.is_empty() {
        let postgres = Postgres::start();
        let [server, _second, _third] = stage_of_nodes(&upstream, &postgres);
        take(&server, &among_nodes, &directory);
    }
}

/// Takes pictures of pages of one server, in every look.
fn take(server: &Server, pages: &[&Page], directory: &Path) {
    for (look, browser) in looks(server) {
        for page in pages {
            browser.forget_cookies();
            if let Some(email) = page.signed_in {
                sign_in(&browser, email);
            }
            browser.go(page.path);
            (page.before)(&browser, server);
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
