//! Every page: nothing for an accessibility checker to find, nothing from elsewhere, and
//! not much to load.

use counterfoil_support::{
    browser::{Browser, Key},
    pages::{AMONG_NODES, PAGES, Page, sign_in, stage, stage_of_nodes},
    postgres::Postgres,
    server::Server,
    upstream::Upstream,
};
use std::collections::BTreeMap;

/// What a page may cost in all, in bytes.
const MOST: u64 = 60 * 1024;

/// Goes through all pages.
fn look_through(look: impl Fn(Browser) -> Browser) {
    let upstream = Upstream::start();
    let server = stage(&upstream);
    look_through_these(&look(Browser::at(server.main)), &server, PAGES);
    drop(server);
    let postgres = Postgres::start();
    let [server, _second, _third] = stage_of_nodes(&upstream, &postgres);
    look_through_these(&look(Browser::at(server.main)), &server, AMONG_NODES);
}

fn look_through_these(it: &Browser, server: &Server, pages: &[Page]) {
    let mut assets = BTreeMap::new();
    let mut found = Vec::new();
    for page in pages {
        let name = page.name;
        match page.signed_in {
            Some(email) => sign_in(it, email),
            None => it.forget_cookies(),
        }
        it.requests();
        it.go(page.path);
        (page.before)(it, server);
        found.extend(it.axe().into_iter().map(|fault| format!("{name}: {fault}")));
        // The last page that was loaded, and all that it could need.
        let mut bytes = 0;
        for request in it.requests() {
            assert!(request.url.starts_with(&it.origin), "{name}: {}", request.url);
            if request.url.contains("/assets/") {
                // One that the browser has kept costs nothing now.
                let kept = assets.entry(request.url).or_default();
                *kept = request.bytes.max(*kept);
            } else {
                bytes = request.bytes.max(bytes);
            }
        }
        let all = bytes + assets.values().sum::<u64>();
        assert!(all <= MOST, "{name}: {all} bytes");
        // A browser notes refusals as errors.
        let is_status = |error: &String| ["404", "422"].iter().any(|known| error.contains(known));
        let errors: Vec<String> =
            it.errors().into_iter().filter(|error| !is_status(error)).collect();
        assert_eq!(errors, [""; 0], "{name}");
    }
    assert_eq!(found, [""; 0], "{}", found.join("\n"));
}

#[test]
fn in_the_light() {
    look_through(|browser| browser);
}

#[test]
fn in_the_dark() {
    look_through(Browser::dark);
}

/// Where the focus is, beside the dialog that there is: in it, on the page behind, or nowhere.
const WHERE: &str = "const at = document.activeElement;\
    return at === document.body ? 'nowhere' : at.closest('dialog') ? 'within' : 'behind'";

#[test]
fn every_dialog_begins_with_the_focus_keeps_it_and_closes_on_escape() {
    let upstream = Upstream::start();
    let server = stage(&upstream);
    let it = Browser::at(server.main);
    let mut dialogs = 0;
    for page in PAGES {
        let name = page.name;
        match page.signed_in {
            Some(email) => sign_in(&it, email),
            None => it.forget_cookies(),
        }
        it.go(page.path);
        (page.before)(&it, &server);
        if !it.has("//dialog[@data-close]") {
            continue;
        }
        let close = it.attribute("//dialog[@data-close]", "data-close").unwrap();
        dialogs += 1;
        assert_eq!(it.script(WHERE, &[]), "within", "{name}");
        for _ in 0..40 {
            it.key(Key::Tab);
            // Between its last and its first stands the browser itself.
            assert_ne!(it.script(WHERE, &[]), "behind", "{name}");
        }
        it.key(Key::Escape);
        if it.has("//dialog//*[@data-ask]") {
            // Whoever has not copied is asked, once.
            it.key(Key::Escape);
        }
        let close = close.split('#').next().unwrap();
        it.until(name, || (it.path().split('#').next() == Some(close)).then_some(()));
    }
    assert!(dialogs > 15, "{dialogs}");
}
