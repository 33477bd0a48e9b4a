//! The leak desk: what is pasted stays in the browser, and what was found ends.

use crate::{
    documents::{Stage, sign_in},
    portal::BOB,
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use counterfoil_support::{
    browser::{Browser, Request},
    installation::{ADA, Installation, Token},
    upstream::Upstream,
};
use hyper::body::Bytes;
use sha2::{Digest as _, Sha256};

const EVE: &str = "eve@example.com";

/// How a digest travels.
fn digest(secret: &str) -> String {
    format!("{:x}", Bytes::copy_from_slice(&Sha256::digest(secret)))
}

/// What can tell of a secret: its random part, but for the last four, which lists show.
fn random(secret: &str) -> &str {
    &secret[secret.rfind('_').unwrap() + 1..secret.len() - 4]
}

/// The same with another last character, which is one of its checksum.
fn mistyped(secret: &str) -> String {
    let (rest, last) = secret.split_at(secret.len() - 1);
    format!("{rest}{}", if last == "0" { "1" } else { "0" })
}

fn paste(it: &Browser, text: &str) {
    it.go("/portal/leaks");
    it.requests();
    it.fill("What leaked", text);
    it.press("Find tokens");
}

/// What the browser has sent since.
fn sent(it: &Browser) -> Vec<Request> {
    it.requests().into_iter().filter(|request| request.method != "GET").collect()
}

#[test]
fn what_leaked_is_found_here_and_ended_there() {
    let upstream = Upstream::start();
    let mut installation = Installation::of_examples(&upstream);
    installation.set("COUNTERFOIL_LOG_LEVEL", "trace");
    let installation = installation.set_up();
    installation.give_password(ADA);
    installation.with_person(BOB, &["--name", "Bob"]);
    let server = installation.start();
    let issue = |owner: &str, api: &str, name: &str| server.issue_to(owner, api, &["--name", name]);
    let live = issue(BOB, "togai", "Nightly");
    let basic = issue(ADA, "facets", "Report");
    let revoked = issue(ADA, "togai", "Forgotten");
    server.cli(["token", "revoke", &revoked.id]).done();
    server.cli(["organization", "create", "--name", "Other"]).done();
    server.with_person(EVE, &["--organization", "Other"]);
    let foreign = issue(EVE, "togai", "Theirs");
    let own = issue(ADA, "togai", "Not leaked");
    let broken = mistyped(&own.secret);
    let user = format!("{ADA}:{}", basic.secret);
    let packed = BASE64_STANDARD.encode(&user);
    let status = |token: &Token| {
        let authorization = format!("Authorization: Bearer {}", token.secret);
        server.curl("/togai/events", ["--header", &authorization]).status
    };
    let report = || server.curl("/facets/projects", ["--user", &user]).status;
    assert_eq!((status(&live), status(&foreign), status(&own), report()), (200, 200, 200, 200));

    let text = [
        "2026-11-22T14:03:22Z INFO starting, request tog_live_ and fin_live_0123456789",
        &format!("+TOGAI_KEY={}", live.secret),
        &format!("curl -H 'Authorization: Basic {packed}' https://example.com"),
        &format!("{{\"old\": \"{}\", \"again\": \"{}\"}}", revoked.secret, live.secret),
        &format!("TYPO={broken}"),
        &format!("theirs: {}", foreign.secret),
        "password = hunter2-hunter2",
    ]
    .join("\n");
    let it = &Browser::at(server.main);
    sign_in(it, ADA);
    paste(it, &text);
    it.sees("4 found in 7 lines. Only digests were sent.");
    let found = [&live.secret, &basic.secret, &revoked.secret, &foreign.secret];
    let expected: Vec<String> = found
        .iter()
        .zip([2, 3, 4, 6])
        .map(|(secret, line)| format!("digest={}&line={line}", digest(secret)))
        .collect();
    let requests = sent(it);
    let [request] = &requests[..] else { panic!("{requests:?}") };
    assert_eq!(
        (&*request.method, request.url.strip_prefix(&it.origin)),
        ("POST", Some("/portal/leaks/find"))
    );
    assert_eq!(request.body, expected.join("&"));

    let row = |line: u32| it.text_of(&format!("//tr[td[@data-label='line']='{line}']"));
    for (line, name, owner, state) in [
        (2, "Nightly", "Bob", "Live"),
        (3, "Report", ADA, "Live"),
        (4, "Forgotten", ADA, "Revoked"),
    ] {
        let row = row(line);
        assert!(row.starts_with(name) && row.contains(owner) && row.ends_with(state), "{row}");
    }
    assert_eq!(row(6), "Not a token of yours 6");
    it.press("End all 2");
    it.sees("2 tokens revoked");
    assert_eq!((status(&live), report(), status(&foreign), status(&own)), (401, 401, 200, 200));
    let requests = sent(it);
    let [request] = &requests[..] else { panic!("{requests:?}") };
    assert_eq!(request.body.matches("token=").count(), 2);
    assert!(request.body.contains(&live.id) && request.body.contains(&basic.id), "{request:?}");
    it.go("/portal/tokens?only=leaked");
    for name in ["Nightly", "Report"] {
        assert!(it.text_of(&format!("//tr[td/a='{name}']")).ends_with("Leaked"), "{}", it.text());
    }
    // To look again shows that they have ended, and there is no button.
    paste(it, &text);
    it.sees("4 found in 7 lines.");
    assert!(row(2).ends_with("Leaked"));
    assert!(!it.has("//button[starts-with(., 'End')]"));
    assert_eq!(it.errors(), [""; 0]);

    // Nothing of it has reached the server's log, which has all else.
    server.process().terminate();
    let (_, log, _) = server.wait();
    assert!(log.contains("\"level\":\"DEBUG\""), "{log}");
    for secret in [&live.secret, &basic.secret, &revoked.secret, &foreign.secret, &broken] {
        assert!(!log.contains(random(secret)));
    }
    assert!(!log.contains(&packed[40..packed.len() - 8]) && !log.contains("hunter2-hunter2"));
}

#[test]
fn where_there_is_nothing_nothing_is_sent() {
    let stage = Stage::signed_in();
    let it = &stage.browser;
    let token = stage.server.issue("togai", &[]);
    paste(it, &format!("password = hunter2\nkey = {}\n", mistyped(&token.secret)));
    it.sees("No token of this installation in 3 lines. Nothing was sent.");
    assert_eq!(sent(it), []);
    assert!(!it.has("//main//table"));
    // The same place finds one, were there one.
    paste(it, &token.secret);
    it.sees("1 found in 1 lines.");
    it.press("End it");
    it.sees("1 token revoked");
    assert_eq!(stage.status(&token.secret), 401);
}

#[test]
fn members_find_and_end_their_own() {
    let stage = Stage::with_bob();
    let it = &stage.another(BOB);
    let own = stage.server.issue_to(BOB, "togai", &["--name", "Nightly"]);
    let ada = stage.server.issue("togai", &["--name", "Ada's own"]);
    paste(it, &format!("{}\n{}", ada.secret, own.secret));
    it.sees("2 found in 2 lines.");
    it.sees("Not a token of yours");
    assert!(!it.source().contains("Ada's own") && !it.source().contains(&ada.id));
    it.press("End it");
    it.sees("1 token revoked");
    assert_eq!((stage.status(&own.secret), stage.status(&ada.secret)), (401, 200));
}

#[test]
fn without_a_script_the_page_says_what_else_helps() {
    let mut stage = Stage::set();
    stage.browser = stage.browser.without_script();
    stage.sign_in();
    let it = &stage.browser;
    let token = stage.server.issue("togai", &[]);
    paste(it, &token.secret);
    it.sees("Finding tokens here needs JavaScript.");
    // The button sends nothing: the field has no name.
    let secret = random(&token.secret);
    assert!(it.requests().iter().all(|r| !r.url.contains(secret) && !r.body.contains(secret)));
    assert!(!it.path().contains(secret));
    let found = stage.server.cli_reading(&token.secret, ["token", "find", "--secret-file", "-"]);
    assert!(found.done().out.contains(&token.id));
}
