//! The page of a token: what is done there, and what the gateway says to its secrets
//! meanwhile.

use crate::{documents::Stage, reveal::holds_nothing};
use counterfoil_support::{
    browser::{Browser, Key},
    installation::Token,
    process::{PATIENCE, run},
    server::Server,
};
use serde_json::Value;
use std::{
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
};

/// A token of Ada's, and its page.
fn ingest(stage: &Stage) -> (Token, String) {
    let token = stage.server.issue("togai", &["--name", "Ingest"]);
    let page = format!("/tokens/{}", token.id);
    stage.browser.go(&page);
    (token, page)
}

/// When a half of a rotation was used last, in words.
fn last_use(it: &Browser, half: &str) -> String {
    it.text_of(&format!("//*[@data-part='{half}']//time[@data-field='at']"))
}

fn state(it: &Browser) -> String {
    it.text_of("//*[@data-part='state']")
}

fn fact(it: &Browser, name: &str) -> String {
    it.text_of(&format!("//dt[normalize-space()='{name}']/following-sibling::dd[1]"))
}

/// What was done to the token, the latest first.
fn history(it: &Browser) -> Vec<String> {
    let rows = it.script(
        "return [...document.querySelectorAll('main table')].at(-1).querySelectorAll('td.lead')
           .values().map((what) => what.innerText).toArray();",
        &[],
    );
    rows.as_array().unwrap().iter().map(|row| row.as_str().unwrap().to_owned()).collect()
}

#[test]
fn both_secrets_of_a_rotation_side_by_side() {
    let stage = Stage::signed_in();
    let it = &stage.browser;
    let (token, page) = ingest(&stage);
    it.follow("Rotate");
    // Whoever thinks better of it has changed nothing.
    it.follow("Cancel");
    it.arrives(&page);
    assert!(!it.shows("Two secrets work"));
    it.follow("Rotate");
    it.click("//fieldset[legend='The old secret ends']//input[@value='custom']");
    it.press("Rotate");
    it.sees("Give a day and a time");
    // Typed as people do, part by part.
    it.click("//fieldset[legend='The old secret ends']//input[@value='custom']");
    it.key(Key::Tab);
    it.types("06152040");
    it.key(Key::Tab);
    it.types("0530PM");
    assert_eq!(it.value("Day and time, in UTC"), "2040-06-15T17:30");
    it.press("Rotate");
    let secret = stage.reads("Secret Key");
    it.press("Copy");
    it.sees("Copied");
    // A reload shows nothing of it and rotates nothing.
    it.reload();
    it.sees("This token was rotated");
    holds_nothing(it, &secret);

    it.go(&page);
    it.sees("Two secrets work");
    let ends = it.attribute("//*[@data-part='old']/p/time[last()]", "datetime");
    assert_eq!(ends.as_deref(), Some("2040-06-15T17:30:00Z"));
    assert_eq!(last_use(it, "old"), "not that we know");
    assert_eq!(last_use(it, "new"), "not yet");
    it.script("window.isTheSame = true;", &[]);
    assert_eq!(stage.status(&token.secret), 200);
    it.until("the old one's use", || (last_use(it, "old") == "just now").then_some(()));
    assert_eq!(last_use(it, "new"), "not yet");
    assert_eq!(stage.status(&secret), 200);
    it.until("the new one's use", || (last_use(it, "new") == "just now").then_some(()));
    it.sees("It works: GET /togai/events");
    assert!(it.text_of("//*[@data-part='use']").contains("from 127.0.0.1, curl/"));
    assert_eq!(it.script("return window.isTheSame;", &[]), true);

    it.press("End the old one now");
    it.sees("The old secret is refused from now on.");
    assert_eq!((stage.status(&token.secret), stage.status(&secret)), (401, 200));
    assert!(!it.shows("Two secrets work"));
    let last_four = &secret[secret.len() - 4..];
    let rotated = format!(
        "Rotated to …{last_four}; the old secret could be used until 2040-06-15 17:30:00 UTC"
    );
    assert_eq!(history(it), ["Old secret ended", &rotated, "Issued"]);
    // The browser notes the form that was sent back.
    assert!(it.errors().iter().all(|error| error.contains("status of 422")));
}

#[test]
fn an_old_secret_ends_by_itself() {
    let stage = Stage::signed_in();
    let it = &stage.browser;
    let (token, page) = ingest(&stage);
    let rotate = ["token", "rotate", &token.id, "--overlap", "3s", "--quiet"];
    let secret = stage.server.cli(rotate).done().out.trim().to_owned();
    it.go(&page);
    it.until("the end", || (stage.status(&token.secret) == 401).then_some(()));
    assert_eq!(stage.status(&secret), 200);
    it.reload();
    assert!(!it.shows("Two secrets work"), "{}", it.text());
    assert_eq!(state(it), "Live");
}

#[test]
fn paused_resumed_and_changed() {
    let stage = Stage::signed_in();
    let it = &stage.browser;
    let (token, _) = ingest(&stage);
    assert_eq!(stage.status(&token.secret), 200);
    it.press("Pause");
    it.sees("Every request with it is refused until you resume it.");
    assert_eq!(stage.status(&token.secret), 401);
    it.press("Resume");
    it.sees("It is accepted again.");
    assert_eq!(stage.status(&token.secret), 200);
    // What somebody else does is seen without a reload.
    stage.server.cli(["token", "pause", &token.id]).done();
    it.until("the state", || (state(it) == "Paused").then_some(()));
    stage.server.cli(["token", "resume", &token.id]).done();
    it.until("the state", || (state(it) == "Live").then_some(()));

    it.follow("Edit");
    it.fill("Name", "Ingest by night");
    it.fill("Note", "Moved to the cellar");
    it.fill("Allowed networks", "10.0.0.0/99");
    it.press("Save");
    it.until("an error", || it.has("//*[@id='networks-error']").then_some(()));
    assert_eq!(it.value("Allowed networks"), "10.0.0.0/99");
    assert_eq!(it.value("Name"), "Ingest by night");
    assert_eq!(stage.status(&token.secret), 200);
    it.fill("Allowed networks", "10.0.0.0/8");
    it.press("Save");
    it.sees("It holds for the very next request.");
    assert_eq!(it.text_of("//h1"), "Ingest by night");
    assert_eq!(fact(it, "Allowed networks"), "10.0.0.0/8");
    assert_eq!(stage.status(&token.secret), 403);
    it.follow("Edit");
    it.fill("Allowed networks", "");
    it.press("Save");
    it.sees("from anywhere");
    assert_eq!(stage.status(&token.secret), 200);
    assert_eq!(
        history(it),
        [
            "Changed: networks",
            "Changed: name, note, networks",
            "Resumed",
            "Paused",
            "Resumed",
            "Paused",
            "Issued"
        ]
    );
    // The browser notes the form that was sent back.
    assert!(it.errors().iter().all(|error| error.contains("status of 422")));
}

#[test]
fn a_chart_can_be_read_as_a_table() {
    let stage = Stage::signed_in();
    let it = &stage.browser;
    let (token, page) = ingest(&stage);
    for expected in [200, 200, 200, 401, 401] {
        if expected == 401 {
            stage.server.cli(["token", "pause", &token.id]).done();
        }
        assert_eq!(stage.status(&token.secret), expected);
    }
    it.go(&page);
    for unit in ["hour", "day"] {
        let chart = format!("//figure[.//h3='By {unit}']");
        let said = it.attribute(&format!("{chart}/*[@role='img']"), "aria-label").unwrap();
        assert!(said.contains("3 admitted, 2 refused"), "{said}");
        it.click(&format!("{chart}//summary[.='As a table']"));
        // In the middle of it an hour may end, and a day.
        let table = it.text_of(&format!("{chart}//tbody"));
        let sum = |from_the_end: usize| -> u32 {
            let cells = table.lines().map(|row| row.rsplit(' ').nth(from_the_end).unwrap());
            cells.map(|cell| cell.parse::<u32>().unwrap()).sum()
        };
        assert_eq!((sum(1), sum(0)), (3, 2), "{table}");
    }
    assert_eq!(it.errors(), [""; 0]);
}

/// A client that goes on asking on one connection.
struct Client {
    is_enough: Arc<AtomicBool>,
    thread: JoinHandle<Vec<u16>>,
}

impl Client {
    /// Starts it; its first answer has come.
    fn start(server: &Server, secret: &str) -> Self {
        let request = format!(
            "GET /togai/events HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {secret}\r\n\r\n",
            server.gateway
        );
        let mut wire = server.connect().unwrap();
        let is_enough = Arc::<AtomicBool>::default();
        let seen = is_enough.clone();
        let (first, started) = mpsc::channel();
        let thread = thread::spawn(move || {
            let mut statuses = Vec::new();
            loop {
                let is_last = seen.load(Ordering::SeqCst);
                statuses.push(wire.exchange(&request).unwrap().status);
                // Nobody listens after the first.
                let _ = first.send(());
                if is_last {
                    return statuses;
                }
            }
        });
        started.recv_timeout(PATIENCE).unwrap();
        Self { is_enough, thread }
    }

    /// Has it ask once more, and tells all that it was answered.
    fn stop(self) -> Vec<u16> {
        self.is_enough.store(true, Ordering::SeqCst);
        self.thread.join().unwrap()
    }
}

/// The receipt is what the ledger has.
#[track_caller]
fn is_in_the_ledger(stage: &Stage, token: &Token) {
    let it = &stage.browser;
    let export = stage.server.cli(["ledger", "export"]).done().out;
    let over_http = stage.server.operator().unwrap().call("GET", "/v1/ledger", "").unwrap();
    assert_eq!(over_http.text(), export);
    let mut lines = export.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let number: u64 = fact(it, "Entry").parse().unwrap();
    let entry = lines.find(|line| line["number"] == number).unwrap();
    assert_eq!(entry["hash"], fact(it, "Hash"));
    let entry = entry["entry"].to_string();
    assert!(entry.contains("token_revoked") && entry.contains(&token.id), "{entry}");
}

#[test]
fn refused_before_the_receipt_says_so() {
    let stage = Stage::signed_in();
    let it = &stage.browser;
    let (token, page) = ingest(&stage);
    let line = format!("Authorization: Bearer {}", token.secret);
    let arguments = ["--header", &line, "--user-agent", "nightly/1"];
    assert_eq!(stage.server.curl("/togai/events", arguments).status, 200);
    it.follow("Revoke");
    it.sees("What used it in the last 7 days");
    it.sees("nightly/1");
    it.sees("127.0.0.1");
    it.follow("Keep it");
    it.arrives(&page);
    assert_eq!(stage.status(&token.secret), 200);

    it.follow("Revoke");
    it.fill("Reason", "In a public log");
    let client = Client::start(&stage.server, &token.secret);
    it.press("Revoke");
    it.sees("Refused on 1 of 1 in ");
    let refused = stage.server.curl("/togai/events", ["--header", &line]);
    assert_eq!(refused.status, 401);
    let statuses = client.stop();
    // Once refused it stays refused.
    assert!(statuses.is_sorted(), "{statuses:?}");
    assert_eq!((statuses[0], *statuses.last().unwrap()), (200, 401));
    assert_eq!(it.path(), format!("{page}/receipt"));
    assert_eq!(it.text_of("//li[@data-part='node']"), "this server\nrefuses it");
    assert_eq!(fact(it, "Reason"), "In a public log");
    assert_eq!(fact(it, "By"), "ada@example.com");
    is_in_the_ledger(&stage, &token);
    // The command on it does what is said of it.
    let check = it.text_of("//code[@id='check']") + " --silent --include";
    let mut shell = Command::new("sh");
    shell.args(["-c", &check]).env("TOKEN", &token.secret);
    let said = run(&mut shell, &[]).done().out;
    assert!(said.starts_with("HTTP/1.1 401 "), "{check}: {said}");
    assert!(said.ends_with(refused.text()), "{said}");

    // There is nothing left to do, and what was done stays to be seen.
    it.go(&format!("{page}/revoke"));
    it.arrives(&format!("{page}/receipt"));
    it.follow("Ingest");
    it.arrives(&page);
    assert_eq!(state(it), "Revoked");
    assert!(!it.has("//main//a[.='Rotate' or .='Edit' or .='Revoke'] | //main//button[.='Pause']"));
    assert_eq!(history(it), ["Revoked\nIn a public log", "Issued"]);
    it.follow("Receipt");
    it.sees("Refused on 1 of 1 in ");
    assert_eq!(it.errors(), [""; 0]);
}

#[test]
fn without_a_script() {
    let mut stage = Stage::set();
    stage.browser = stage.browser.without_script();
    stage.sign_in();
    let it = &stage.browser;
    let (token, page) = ingest(&stage);
    it.follow("Rotate");
    it.click("//fieldset[legend='The old secret ends']//input[@value='1h']");
    it.press("Rotate");
    let secret = stage.reads("Secret Key");
    it.follow("Done");
    it.arrives(&page);
    assert_eq!((stage.status(&token.secret), stage.status(&secret)), (200, 200));
    it.reload();
    for half in ["old", "new"] {
        assert_eq!(last_use(it, half), "just now");
    }
    it.press("End the old one now");
    it.sees("The old secret is refused from now on.");
    assert_eq!((stage.status(&token.secret), stage.status(&secret)), (401, 200));
    it.press("Pause");
    it.sees("Every request with it is refused until you resume it.");
    assert_eq!(stage.status(&secret), 401);
    it.press("Resume");
    it.sees("It is accepted again.");
    assert_eq!(stage.status(&secret), 200);
    it.follow("Revoke");
    it.fill("Reason", "No longer used");
    it.press("Revoke");
    it.sees("Refused on 1 of 1 in ");
    assert_eq!(stage.status(&secret), 401);
    is_in_the_ledger(&stage, &token);

    // In the words of the API's own documentation.
    let pair = stage.server.issue("finout", &["--role", "viewer"]);
    let id = format!("x-finout-client-id: {}", pair.id);
    let key = format!("x-finout-secret-key: {}", pair.secret);
    let ask = || stage.server.curl("/finout/v1/costs", ["--header", &id, "--header", &key]).status;
    assert_eq!(ask(), 200);
    it.go(&format!("/tokens/{}", pair.id));
    it.follow("Delete");
    it.sees("Delete this token?");
    it.press("Delete");
    it.sees("Refused on 1 of 1 in ");
    assert_eq!(ask(), 401);
}
