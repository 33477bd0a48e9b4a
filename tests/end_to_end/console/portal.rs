//! The Admin Portal: who gets in, and what nobody does to somebody else.

use crate::{installation::Installation, response::Response, server::Server, wire::Wire};
use serde_json::{Value, json};
use std::net::SocketAddr;

const ADA: &str = "ada@example.com";
/// A member of the first organization, where Ada is the administrator.
const BOB: &str = "bob@example.com";
/// The other organization's administrator.
const EVE: &str = "eve@example.com";
/// An administrator of the first who is a member of the other, too.
const ZOE: &str = "zoe@example.com";
const PASSWORD: &str = "a long walk along the shore";
const URL: &str = "http://127.0.0.1:8080";

const APIS: &str = r#"
[api.orders]
upstream = "http://127.0.0.1:1"

[api.mailed]
upstream = "http://127.0.0.1:1"
schemes = ["basic"]
"#;

/// A browser, signed in or not.
struct Browser {
    server: SocketAddr,
    cookie: String,
    /// The organization that its forms are of.
    home: String,
}

impl Browser {
    fn nobody(server: &Server) -> Self {
        Self { server: server.main, cookie: String::new(), home: String::new() }
    }

    #[track_caller]
    fn of(server: &Server, email: &str) -> Self {
        let mut browser = Self::nobody(server);
        let answer = browser.post("/sign-in", &[("email", email), ("password", PASSWORD)]);
        assert_eq!(answer.status, 303, "{answer:?}");
        browser.keep(&answer);
        let settings = browser.page("/settings");
        between(&settings, "<dt>ID</dt><dd><code>", "</code>").clone_into(&mut browser.home);
        browser
    }

    fn keep(&mut self, answer: &Response) {
        let cookie = answer.header("set-cookie");
        cookie.split(';').next().unwrap().clone_into(&mut self.cookie);
    }

    fn get(&self, path: &str) -> Response {
        self.ask("GET", path, "", "")
    }

    fn post(&self, path: &str, fields: &[(&str, &str)]) -> Response {
        let fields = &[fields, &[("organization", &self.home)]].concat();
        self.post_from(&format!("origin: {URL}\r\nsec-fetch-site: same-origin\r\n"), path, fields)
    }

    fn post_from(&self, lines: &str, path: &str, fields: &[(&str, &str)]) -> Response {
        self.ask("POST", path, lines, &form(fields))
    }

    fn ask(&self, method: &str, path: &str, lines: &str, body: &str) -> Response {
        let cookie = &self.cookie;
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: counterfoil\r\ncookie: {cookie}\r\n{lines}\
             content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        Wire::connect(self.server).unwrap().exchange(request).unwrap()
    }

    /// A page that has to be there.
    #[track_caller]
    fn page(&self, path: &str) -> String {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        assert_eq!(answer.header("cache-control"), "no-store");
        answer.text().to_owned()
    }
}

fn form(fields: &[(&str, &str)]) -> String {
    let escape = |text: &str| {
        let bytes = text.bytes().map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        });
        bytes.collect::<String>()
    };
    let pairs = fields.iter().map(|(name, value)| format!("{}={}", escape(name), escape(value)));
    pairs.collect::<Vec<_>>().join("&")
}

/// Two organizations with everybody in them.
fn town() -> Server {
    let mut installation = Installation::new(APIS);
    installation.set("COUNTERFOIL_SERVER_PUBLIC_URL", URL);
    let init = ["init", "--email", ADA, "--organization", "First", "--password-file", "-"];
    installation.cli_reading(PASSWORD, init).done();
    installation.cli(["organization", "create", "--name", "Other"]).done();
    for (email, home, rank) in
        [(BOB, "First", "member"), (ZOE, "First", "administrator"), (EVE, "Other", "administrator")]
    {
        let create = ["account", "create", "--email", email, "--organization", home];
        let more = ["--rank", rank, "--password-file", "-"];
        installation.cli_reading(PASSWORD, create.iter().chain(&more)).done();
    }
    installation.cli(["organization", "add-member", "Other", ZOE]).done();
    let bot = ["account", "create", "--service", "--name", "exporter", "--organization", "First"];
    installation.cli(bot).done();
    installation.start()
}

/// Everything that has changed so far.
fn ledger(server: &Server) -> String {
    server.cli(["audit", "--json", "--limit", "1000"]).done().out
}

fn account(server: &Server, email: &str) -> String {
    let found = server.cli(["account", "show", "--json", email]).done().json();
    found["id"].as_str().unwrap().to_owned()
}

/// The only service account.
fn robot(server: &Server) -> String {
    let all = server.cli(["account", "list", "--json"]).done().json();
    let mut found = all["items"].as_array().unwrap().iter().filter(|a| a["kind"] == "service");
    found.next().unwrap()["id"].as_str().unwrap().to_owned()
}

fn token(server: &Server, id: &str) -> Value {
    server.cli(["token", "show", "--json", id]).done().json()
}

/// The first id that stands in a page between these.
#[track_caller]
fn between<'a>(page: &'a str, before: &str, after: &str) -> &'a str {
    let rest = page.split_once(before).unwrap_or_else(|| panic!("no {before} in {page}")).1;
    rest.split_once(after).unwrap().0
}

fn invite(browser: &Browser, email: &str, rank: &str) -> (String, String) {
    let made = browser.post("/portal/invitations/new", &[("email", email), ("rank", rank)]);
    assert_eq!(made.status, 200, "{made:?}");
    let link = between(made.text(), &format!("{URL}/invitations/"), "<").to_owned();
    let id = between(made.text(), "action=\"/portal/invitations/", "/withdraw").to_owned();
    assert!(!browser.page("/portal").contains(&link));
    (format!("/invitations/{link}"), id)
}

/// Every page and every form of an administrator's, with what belongs to the first
/// organization in it.
struct Doors {
    pages: Vec<String>,
    forms: Vec<(String, Vec<(&'static str, String)>)>,
}

impl Doors {
    fn of(server: &Server, ada: &Browser) -> Self {
        let (bob, bot) = (account(server, BOB), robot(server));
        let token = server.issue_to(ADA, "orders", &[]).id;
        let (_, invitation) = invite(ada, "grace@example.com", "member");
        let sessions = Browser::of(server, BOB);
        let page = ada.page("/portal/sessions");
        let session = between(&page, "/portal/sessions/", "/end").to_owned();
        drop(sessions);
        let text = |text: &str| text.to_owned();
        Self {
            pages: vec![
                text("/portal"),
                format!("/portal/members/{bob}"),
                text("/portal/invitations/new"),
                text("/portal/service-accounts"),
                format!("/portal/service-accounts/{bot}"),
                text("/portal/tokens"),
                format!("/portal/tokens/revoke?token={token}"),
                format!("/portal/leavers/{bob}"),
                text("/portal/sessions"),
                text("/portal/audit"),
                text("/portal/audit.jsonl"),
            ],
            forms: vec![
                (format!("/portal/members/{bob}"), vec![("rank", text("administrator"))]),
                (
                    text("/portal/invitations/new"),
                    vec![("email", text("m@example.com")), ("rank", text("administrator"))],
                ),
                (format!("/portal/invitations/{invitation}/withdraw"), vec![]),
                (text("/portal/service-accounts"), vec![("name", text("mine"))]),
                (format!("/portal/service-accounts/{bot}"), vec![("name", text("mine"))]),
                (format!("/portal/service-accounts/{bot}/disable"), vec![]),
                (format!("/portal/service-accounts/{bot}/enable"), vec![]),
                (
                    text("/portal/tokens/revoke"),
                    vec![("token", token.clone()), ("reason", text("leaked"))],
                ),
                (format!("/portal/leavers/{bob}"), vec![("end", text("yes"))]),
                (
                    format!("/portal/leavers/{bob}"),
                    vec![("token", token.clone()), ("heir", bot), ("end", text("no"))],
                ),
                (format!("/portal/sessions/{session}/end"), vec![]),
                (text("/portal/leaks"), vec![("token", token)]),
            ],
        }
    }

    fn post(browser: &Browser, path: &str, fields: &[(&'static str, String)]) -> Response {
        let fields: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (*n, v.as_str())).collect();
        browser.post(path, &fields)
    }
}

#[test]
fn members_get_no_further_than_strangers() {
    let server = town();
    let ada = Browser::of(&server, ADA);
    let doors = Doors::of(&server, &ada);
    let bob = Browser::of(&server, BOB);
    let before = ledger(&server);
    for page in &doors.pages {
        assert_eq!(bob.get(page).status, 404, "{page}");
        let there = Browser::nobody(&server).get(page);
        assert_eq!(there.status, 303, "{page}");
        assert!(there.header("location").starts_with("/sign-in?next="), "{page}");
    }
    for (path, fields) in &doors.forms {
        assert_eq!(Doors::post(&bob, path, fields).status, 404, "{path}");
    }
    assert_eq!(ledger(&server), before);
    // The session that the form was to end is still good.
    assert!(ada.page("/portal/sessions").contains(BOB));
    // They all lead somewhere.
    for page in &doors.pages {
        assert_eq!(ada.get(page).status, 200, "{page}");
    }
    // Nor does a member see the way.
    assert!(!bob.page("/why").contains("Admin Portal"));
}

#[test]
fn nothing_of_another_organization_can_be_seen_or_changed() {
    let server = town();
    let doors = Doors::of(&server, &Browser::of(&server, ADA));
    let eve = Browser::of(&server, EVE);
    let before = ledger(&server);
    let has_id = |path: &str| path.bytes().filter(|byte| *byte == b'-').count() >= 4;
    for page in doors.pages.iter().filter(|page| has_id(page)) {
        assert_eq!(eve.get(page).status, 404, "{page}");
    }
    for (path, fields) in &doors.forms {
        if has_id(path) || fields.iter().any(|(_, value)| has_id(value)) {
            assert_eq!(Doors::post(&eve, path, fields).status, 404, "{path}");
        }
    }
    let all = eve.get(&format!("/portal/tokens?owner={}", account(&server, ADA)));
    assert_eq!(all.status, 404);
    assert_eq!(ledger(&server), before);
    for page in ["/portal", "/portal/tokens", "/portal/sessions", "/portal/audit"] {
        let page = eve.page(page);
        assert!(!page.contains(BOB) && !page.contains("exporter"), "{page}");
    }
    assert!(!eve.get("/portal/audit.jsonl").text().contains(BOB));
}

#[test]
fn a_change_comes_from_our_own_page() {
    let server = town();
    let ada = Browser::of(&server, ADA);
    let doors = Doors::of(&server, &ada);
    let before = ledger(&server);
    for lines in [
        String::new(),
        "origin: https://evil.example\r\n".into(),
        format!("origin: {URL}\r\nsec-fetch-site: cross-site\r\n"),
    ] {
        for (path, fields) in &doors.forms {
            let fields: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (*n, v.as_str())).collect();
            assert_eq!(ada.post_from(&lines, path, &fields).status, 403, "{path}");
        }
        assert_eq!(ada.post_from(&lines, "/portal/leaks/find", &[]).status, 403);
        assert_eq!(ada.post_from(&lines, "/invitations/x", &[]).status, 403);
    }
    assert_eq!(ledger(&server), before);
}

#[test]
fn whoever_is_invited_joins_once() {
    let server = town();
    let ada = Browser::of(&server, ADA);
    let (link, _) = invite(&ada, "grace@example.com", "member");
    let before = ledger(&server);
    let nobody = Browser::nobody(&server);
    let page = nobody.page(&link);
    assert!(page.contains("Join First") && page.contains("grace@example.com"), "{page}");
    // Looking changes nothing, nor does what is wrong.
    let weak = nobody.post(&link, &[("name", "Grace"), ("password", "short")]);
    assert_eq!(weak.status, 422);
    assert!(weak.text().contains("Grace") && !weak.text().contains("value=\"short\""));
    // Somebody else who is signed in is told so.
    let eve = Browser::of(&server, EVE);
    assert!(eve.page(&link).contains("signed in as somebody else"));
    assert_eq!(eve.post(&link, &[]).status, 422);
    assert_eq!(ledger(&server), before);

    let mut grace = Browser::nobody(&server);
    let joined = grace.post(&link, &[("name", "Grace"), ("password", PASSWORD)]);
    assert_eq!(joined.status, 303, "{joined:?}");
    grace.keep(&joined);
    assert_eq!(grace.get("/why").status, 200);
    assert_eq!(grace.get("/portal").status, 404);
    let after = ledger(&server);
    for kind in ["account_created", "membership_added", "invitation_accepted"] {
        assert!(after.contains(kind), "{kind}");
    }
    for browser in [&nobody, &grace, &eve] {
        assert_eq!(browser.get(&link).status, 404);
        let again = browser.post(&link, &[("name", "Mallory"), ("password", PASSWORD)]);
        assert_eq!(again.status, 404);
    }
    assert_eq!(ledger(&server), after);
    assert!(ada.page("/portal").contains("Grace"));
}

#[test]
fn a_link_may_be_good_for_nothing() {
    let server = town();
    let ada = Browser::of(&server, ADA);
    let nobody = Browser::nobody(&server);
    // Withdrawn; and replaced by another for the same address.
    let (withdrawn, id) = invite(&ada, "grace@example.com", "member");
    let done = ada.post(&format!("/portal/invitations/{id}/withdraw"), &[]);
    assert_eq!(done.header("location"), "/portal?done=withdrawn");
    let (replaced, _) = invite(&ada, "joan@example.com", "administrator");
    let (good, _) = invite(&ada, "joan@example.com", "member");
    for link in [&withdrawn, &replaced, "/invitations/x"] {
        let answer = nobody.get(link);
        assert_eq!(answer.status, 404);
        assert!(answer.text().contains("ask for another"), "{answer:?}");
    }
    assert_eq!(nobody.get(&good).status, 200);
    // What somebody left behind who administers no more brings nobody in.
    let zoe = Browser::of(&server, ZOE);
    let (left, _) = invite(&zoe, "friend@example.com", "administrator");
    assert_eq!(nobody.get(&left).status, 200);
    let zoes = account(&server, ZOE);
    let demoted = ada.post(&format!("/portal/members/{zoes}"), &[("rank", "member")]);
    assert_eq!(demoted.header("location"), "/portal?done=rank");
    assert_eq!(nobody.get(&left).status, 404);
    let join = nobody.post(&left, &[("name", "Friend"), ("password", PASSWORD)]);
    assert_eq!(join.status, 404);
    // Members are not invited again.
    let again = ada.post("/portal/invitations/new", &[("email", BOB), ("rank", "administrator")]);
    assert_eq!(again.status, 422);
    assert!(again.text().contains("is a member already"));
}

#[test]
fn who_is_known_signs_in_first() {
    let server = town();
    let ada = Browser::of(&server, ADA);
    let (link, _) = invite(&ada, EVE, "member");
    let nobody = Browser::nobody(&server);
    let page = nobody.page(&link);
    assert!(page.contains("/sign-in?next=%2Finvitations%2F"), "{page}");
    // Nobody takes over an account by its invitation.
    let before = ledger(&server);
    let taken = nobody.post(&link, &[("name", "Eve"), ("password", "another good password")]);
    assert_eq!(taken.status, 422);
    assert_eq!(ledger(&server), before);
    let eve = Browser::of(&server, EVE);
    assert_eq!(eve.post(&link, &[]).status, 303);
    // She is there now, as what the invitation said.
    assert_eq!(eve.get("/portal").status, 404);
    assert!(ada.page("/portal").contains(EVE));
}

#[test]
fn a_person_who_belongs_elsewhere_too_is_not_ours_to_change() {
    let server = town();
    let ada = Browser::of(&server, ADA);
    let zoe = Browser::of(&server, ZOE);
    let id = account(&server, ZOE);
    let before = server.cli(["account", "show", "--json", ZOE]).done().out;
    let path = format!("/portal/service-accounts/{id}");
    assert_eq!(ada.post(&path, &[("name", "Nobody")]).status, 404);
    assert_eq!(ada.post(&format!("{path}/disable"), &[]).status, 404);
    let all = ["tokens:read", "accounts:read", "accounts:write"];
    let program = crate::caller::Caller::new(&server, ADA, &all, &[]);
    for body in [json!({"name": "Nobody"}), json!({"state": "disabled"})] {
        let refused = program.call("PATCH", &format!("/v1/accounts/{id}"), &body.to_string());
        assert_eq!(refused.status, 403);
    }
    let reset = json!({"password": "another good password"}).to_string();
    let refused = program.call("PUT", &format!("/v1/accounts/{id}/password"), &reset);
    assert_eq!(refused.status, 403);
    assert_eq!(server.cli(["account", "show", "--json", ZOE]).done().out, before);

    // It is seen that she is signed in, not from where, and there is no button.
    let page = ada.page("/portal/sessions");
    assert!(page.contains("belongs elsewhere too"), "{page}");
    assert!(!page.contains("End the session of zoe"), "{page}");
    // Who belongs here alone can be signed out.
    let bob = Browser::of(&server, BOB);
    let page = ada.page("/portal/sessions");
    let session = between(&page, "/portal/sessions/", "/end").to_owned();
    let ended = ada.post(&format!("/portal/sessions/{session}/end"), &[]);
    assert_eq!(ended.header("location"), "/portal/sessions?done=ended");
    assert_eq!(bob.get("/why").status, 303);
    assert_eq!(zoe.get("/why").status, 200);
}

#[test]
fn many_tokens_end_with_one_confirmation() {
    let server = town();
    let (ada, eve) = (Browser::of(&server, ADA), Browser::of(&server, EVE));
    let [one, two] = [(); 2].map(|()| server.issue_to(BOB, "orders", &[]).id);
    let theirs = server.issue_to(EVE, "orders", &[]).id;
    let path = "/portal/tokens/revoke";
    let asked = ada.page(&format!("{path}?token={one}&token={two}"));
    assert!(asked.contains("Revoke 2 tokens?") && asked.contains(&one), "{asked}");
    assert_eq!(token(&server, &one)["state"], "active");
    // One that is not theirs, and none is ended.
    let mixed = [("token", &*theirs), ("token", &one), ("reason", "no longer used")];
    assert_eq!(eve.post(path, &mixed).status, 404);
    assert_eq!(ada.post(path, &[("token", &*one), ("reason", "because")]).status, 422);
    assert_eq!(ada.post(path, &[("reason", "no longer used")]).status, 422);
    for id in [&one, &theirs] {
        assert_eq!(token(&server, id)["state"], "active");
    }
    let fields = [("token", &*one), ("token", &two), ("reason", "no longer used")];
    let done = ada.post(path, &fields);
    assert_eq!(done.status, 200);
    assert!(done.text().contains("2 tokens revoked"), "{done:?}");
    for id in [&one, &two] {
        assert_eq!(token(&server, id)["state"], "revoked");
        assert_eq!(token(&server, id)["revoke_reason"], "no longer used");
    }
    // A reload finds them ended.
    let before = ledger(&server);
    assert_eq!(ada.post(path, &fields).status, 200);
    assert_eq!(ledger(&server), before);
    assert!(!ada.page("/portal/tokens?only=leaked").contains(&one));
    assert!(ada.page("/portal/tokens?state=revoked").contains(&one));
}

#[test]
fn a_leavers_token_goes_on_with_another_owner() {
    let server = town();
    let ada = Browser::of(&server, ADA);
    let (bob, bot) = (account(&server, BOB), robot(&server));
    let kept = server.issue_to(BOB, "orders", &[]).id;
    let mailed = server.issue_to(BOB, "mailed", &[]).id;
    let path = format!("/portal/leavers/{bob}");
    let page = ada.page(&path);
    assert!(page.contains("Now 2 tokens of theirs work"), "{page}");
    assert!(page.contains("its owner&#39;s e-mail") || page.contains("e-mail address, which"));
    for wrong in [account(&server, ADA), account(&server, EVE), "x".into()] {
        let fields = [("token", &*kept), ("heir", &*wrong), ("end", "no")];
        assert_eq!(ada.post(&path, &fields).status, 422, "{wrong}");
    }
    // Nothing ends as long as what was picked cannot go on.
    let both = [("token", &*kept), ("token", &mailed), ("heir", &bot), ("end", "yes")];
    let refused = ada.post(&path, &both);
    assert_eq!(refused.status, 422);
    assert!(refused.text().contains("The membership goes on"), "{refused:?}");
    assert_eq!(token(&server, &mailed)["owner"], bob);
    let done = ada.post(&path, &[("token", &*kept), ("heir", &*bot), ("end", "yes")]);
    assert_eq!(done.header("location"), format!("/portal?done=ended&account={bob}"));
    assert_eq!(token(&server, &kept)["owner"], bot);
    assert_eq!(token(&server, &kept)["state"], "active");
    let page = ada.page(done.header("location"));
    assert!(page.contains("1 token that worked before is refused now"), "{page}");
    assert_eq!(ada.get(&path).status, 404);
    // Nobody ends what they stand on.
    let own = format!("/portal/leavers/{}", account(&server, ADA));
    assert_eq!(ada.post(&own, &[("end", "yes")]).status, 409);
}

#[test]
fn the_leak_desk_knows_ones_own() {
    let server = town();
    let secrets = [
        server.issue_to(BOB, "orders", &[]),
        server.issue_to(ADA, "orders", &[]),
        server.issue_to(EVE, "orders", &[]),
    ];
    let digests: Vec<String> = secrets.iter().map(|token| digest(&token.secret)).collect();
    let mut fields = Vec::new();
    for (digest, line) in digests.iter().zip(["1", "2", "3"]) {
        fields.extend([("digest", digest.as_str()), ("line", line)]);
    }
    let bob = Browser::of(&server, BOB);
    for (browser, own, all) in [(&bob, 1, "End it"), (&Browser::of(&server, ADA), 2, "End all 2")] {
        let found = browser.post("/portal/leaks/find", &fields);
        assert_eq!(found.status, 200, "{found:?}");
        assert_eq!(found.text().matches("Not a token of yours").count(), 3 - own);
        assert!(found.text().contains(all), "{found:?}");
        assert!(!found.text().contains(&secrets[2].id));
    }
    for wrong in [&[("digest", "00"), ("line", "1")][..], &fields[..1], &[("digest", "x")]] {
        assert_eq!(bob.post("/portal/leaks/find", wrong).status, 400);
    }
    // A member ends their own, and nothing where one is not.
    let both = [("token", &*secrets[0].id), ("token", &secrets[1].id)];
    assert_eq!(bob.post("/portal/leaks", &both).status, 404);
    assert_eq!(token(&server, &secrets[0].id)["state"], "active");
    assert_eq!(bob.post("/portal/leaks", &both[..1]).status, 200);
    assert_eq!(token(&server, &secrets[0].id)["revoke_reason"], "leaked");
    let ada = Browser::of(&server, ADA);
    assert!(ada.page("/portal/tokens?only=leaked").contains(&secrets[0].id));
}

fn digest(secret: &str) -> String {
    let mut child = std::process::Command::new("sha256sum")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    std::io::Write::write_all(&mut input, secret.as_bytes()).unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    String::from_utf8(output.stdout).unwrap().split(' ').next().unwrap().to_owned()
}

#[test]
fn the_audit_log_is_that_of_the_management_api() {
    let server = town();
    let ada = Browser::of(&server, ADA);
    invite(&ada, "grace@example.com", "member");
    let page = ada.page("/portal/audit");
    assert!(page.contains("Invited") && page.contains("grace@example.com, as member"), "{page}");
    let some = ada.page("/portal/audit?kind=membership_added");
    assert!(some.contains("Joined") && !some.contains("as member, "), "{some}");
    assert!(!some.contains("grace@example.com"));
    assert!(ada.page("/portal/audit?to=2020-01-01").contains("No entry matches."));
    assert!(ada.page("/portal/audit?from=2020-01-01").contains("grace@example.com"));
    let program = crate::caller::Caller::new(&server, ADA, &["audit:read"], &[]);
    let there = program.read_with("accept: application/jsonl\r\n", "/v1/audit");
    let here = ada.get("/portal/audit.jsonl");
    assert_eq!(here.header("content-type"), there.header("content-type"));
    assert_eq!(here.text(), there.text());
    assert!(here.text().lines().count() > 3);
}

#[test]
fn a_refusal_is_told_to_whom_it_concerns() {
    let server = town();
    let issued = server.issue_to(BOB, "orders", &[]);
    server.cli(["token", "revoke", &issued.id]).done();
    let authorization = format!("Authorization: Bearer {}", issued.secret);
    let refused = server.curl("/orders/x", ["-H", &authorization]);
    assert_eq!(refused.status, 401, "{refused:?}");
    let path = format!("/why?id={}", refused.request_id());
    for (email, sees) in [(BOB, true), (ADA, true), (EVE, false)] {
        let page = Browser::of(&server, email).page(&path);
        assert_eq!(page.contains("The token had been revoked"), sees, "{email}: {page}");
        assert_eq!(page.contains(&issued.id), sees);
    }
    assert!(Browser::of(&server, BOB).page("/why?id=x").contains("That is no request ID"));
}

#[test]
fn invitations_by_the_command_line() {
    let server = town();
    let create = ["invitation", "create", "grace@example.com", "--organization", "First"];
    let link = server.cli(create).done().out.trim().to_owned();
    let nobody = Browser::nobody(&server);
    assert!(nobody.page(&link).contains("The operator invites grace@example.com"));
    let list = ["invitation", "list", "--json", "--organization", "First"];
    let found = server.cli(list).done().json();
    let id = found["items"][0]["id"].as_str().unwrap();
    assert!(!found.to_string().contains(link.rsplit('/').next().unwrap()));
    server.cli(["invitation", "withdraw", id]).done();
    assert_eq!(nobody.get(&link).status, 404);
    assert_eq!(server.cli(list).done().json()["items"], json!([]));
}
