//! `cargo xtask screenshots`: pictures of pages, light, dark and on a phone.
//!
//! Which there are, is what [`PAGES`] says.

#![expect(clippy::print_stdout, reason = "this is a command for a person at a terminal")]

use counterfoil_support::{
    browser::Browser,
    pages::{PAGES, Page, sign_in, stage},
    server::Server,
    upstream::Upstream,
};
use std::{fs, path::PathBuf};

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
            (page.before)(&browser, &server);
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
