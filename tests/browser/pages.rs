//! Every page: nothing for an accessibility checker to find, nothing from elsewhere, and
//! not much to load.

use crate::documents::Stage;
use counterfoil_support::{browser::Browser, installation::ADA, visitor::PASSWORD};
use std::collections::BTreeMap;

/// What a page may cost in all, in bytes.
const MOST: u64 = 60 * 1024;

const PAGES: [&str; 24] = [
    "/tokens",
    "/tokens?api=finout",
    "/tokens/new?api=facets",
    "/tokens/new?api=finout",
    "/tokens/new?api=aristotle",
    "/tokens/TOKEN",
    "/tokens/TOKEN/edit",
    "/tokens/TOKEN/rotate",
    "/tokens/TOKEN/revoke",
    "/profile",
    "/account",
    "/account/second-factor",
    "/account/tokens?api=selectstar",
    "/settings",
    "/portal",
    "/portal/service-accounts",
    "/portal/tokens",
    "/portal/sessions",
    "/portal/audit",
    "/portal/leaks",
    "/why",
    "/authenticate?api=finout",
    "/authenticate?api=selectstar",
    "/no-such-page",
];

/// Goes through all pages with a browser that has not signed in yet.
fn look_through(stage: &Stage, it: &Browser) {
    let token = stage.server.issue("finout", &["--role", "viewer"]);
    it.go("/sign-in");
    assert_eq!(it.axe(), [""; 0], "/sign-in");
    it.fill("E-mail", ADA);
    it.fill("Password", PASSWORD);
    it.press("Sign in");
    it.arrives("/tokens");
    let mut assets = BTreeMap::new();
    let mut found = Vec::new();
    for path in PAGES {
        let path = path.replace("TOKEN", &token.id);
        it.requests();
        it.go(&path);
        let faults = it.axe();
        found.extend(faults.into_iter().map(|fault| format!("{path}: {fault}")));
        let mut bytes = 0;
        for request in it.requests() {
            assert!(request.url.starts_with(&it.origin), "{path}: {}", request.url);
            if request.url.contains("/assets/") {
                // One that the browser has kept costs nothing now.
                let kept = assets.entry(request.url).or_default();
                *kept = request.bytes.max(*kept);
            } else {
                bytes += request.bytes;
            }
        }
        let all = bytes + assets.values().sum::<u64>();
        assert!(all <= MOST, "{path}: {all} bytes");
        let errors: Vec<String> =
            it.errors().into_iter().filter(|error| !error.contains("404")).collect();
        assert_eq!(errors, [""; 0], "{path}");
    }
    assert_eq!(found, [""; 0], "{}", found.join("\n"));
}

#[test]
fn in_the_light() {
    let stage = Stage::set();
    look_through(&stage, &stage.browser);
}

#[test]
fn in_the_dark() {
    let stage = Stage::set();
    look_through(&stage, &Browser::at(stage.server.main).dark());
}
