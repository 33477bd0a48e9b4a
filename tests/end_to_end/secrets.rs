//! Secrets: in one answer, and nowhere else.

use crate::{
    caller::{Caller, SCOPES, call},
    console::second_factor::{key, recovery_codes},
    installation::{ADA, Installation, Token},
    response::{Response, curl},
    server::Server,
    upstream::Upstream,
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use counterfoil_support::{
    authenticator::code,
    mail::{MailServer, Security},
    visitor::Visitor,
};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::{fmt::Write as _, path::Path};

const PASSWORDS: [&str; 3] = ["tr0ub4dor-and-3", "correct-horse-battery", "hunter2-hunter2"];
/// How many characters of a secret in a row give it away.
const TELLING: usize = 10;

/// What must not be found, in pieces of a telling length.
#[derive(Default)]
struct Hushed {
    pieces: Vec<String>,
}

impl Hushed {
    /// Prefix and last four characters are for everybody to see.
    fn token(&mut self, secret: &str) {
        let random = &secret[secret.rfind('_').unwrap() + 1..secret.len() - 4];
        self.text(random);
    }

    fn text(&mut self, text: &str) {
        let ends = TELLING..=text.len();
        self.pieces.extend(ends.map(|end| text[end - TELLING..end].to_owned()));
    }

    #[track_caller]
    fn is_not_in(&self, place: &str, text: &str) {
        for piece in &self.pieces {
            if let Some(at) = text.find(piece.as_str()) {
                let line = text[..at].lines().count();
                panic!("{piece} is in {place}, line {line}");
            }
        }
    }
}

/// A server that logs all it can, and everything that it must keep to itself.
struct Stage {
    upstream: Upstream,
    server: Server,
    hushed: Hushed,
    /// What standard output alone may tell.
    printed: Hushed,
}

impl Stage {
    fn set() -> Self {
        let upstream = Upstream::start();
        let mut installation = Installation::of_examples(&upstream);
        installation.set("COUNTERFOIL_LOG_LEVEL", "trace");
        let init = ["init", "--email", ADA, "--password-file", "-"];
        installation.cli_reading(PASSWORDS[0], init).done();
        let mut hushed = Hushed::default();
        for password in PASSWORDS {
            hushed.text(password);
        }
        Self { upstream, server: installation.start(), hushed, printed: Hushed::default() }
    }

    fn issue(&mut self, api: &str, arguments: &[&str]) -> Token {
        let token = self.server.issue(api, arguments);
        self.hushed.token(&token.secret);
        self.hushed.text(&BASE64_STANDARD.encode(format!("{ADA}:{}", token.secret))[24..]);
        token
    }

    /// Searches everything that was written.
    #[track_caller]
    fn search(self) {
        let metrics = self.server.scrape();
        assert!(metrics.contains("counterfoil_index_tokens"));
        self.hushed.is_not_in("the metrics", &metrics);
        // While it runs, when it has stopped, and what it has said until then.
        self.hushed.is_not_in_files(&self.server.data());
        self.server.process().terminate();
        let output = self.server.process().output();
        let (status, log, installation) = self.server.wait();
        assert!(status.success());
        assert!(log.contains("\"level\":\"DEBUG\""), "{log}");
        self.hushed.is_not_in("the log", &log);
        self.printed.is_not_in("the log", &log);
        self.printed.is_not_in_files(&installation.data());
        self.hushed.is_not_in("the output", &output);
        self.hushed.is_not_in_files(&installation.data());
    }
}

impl Hushed {
    #[track_caller]
    fn is_not_in_files(&self, directory: &Path) {
        let mut files = 0;
        for entry in directory.read_dir().unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                let bytes = std::fs::read(&path).unwrap();
                let text = String::from_utf8_lossy(&bytes);
                self.is_not_in(&path.display().to_string(), &text);
                files += 1;
            }
        }
        assert!(files >= 2, "{files}");
    }

    #[track_caller]
    fn is_not_in_refusal(&self, response: &Response) {
        assert!(response.status >= 400, "{response:?}");
        self.is_not_in("a refusal", &format!("{:?} {}", response.headers, response.text()));
    }
}

#[test]
fn tokens_are_written_down_nowhere() {
    let mut stage = Stage::set();
    let facets = stage.issue("facets", &[]);
    let togai = stage.issue("togai", &[]);
    let finout = stage.issue("finout", &["--role", "viewer"]);
    let server = &stage.server;

    // Used as they should be.
    let user = format!("{ADA}:{}", facets.secret);
    assert_eq!(server.curl("/facets/x", ["--user", &user]).status, 200);
    let bearer = format!("Authorization: Bearer {}", togai.secret);
    assert_eq!(server.curl("/togai/x", ["--header", &bearer]).status, 200);
    let id = format!("x-finout-client-id: {}", finout.id);
    let key = format!("x-finout-secret-key: {}", finout.secret);
    assert_eq!(server.curl("/finout/x", ["--header", &id, "--header", &key]).status, 200);

    // And where what a request was like is written down.
    let path = format!("/togai/{}/x%2d{}", finout.secret, facets.secret);
    let agent = ["--header", &bearer, "--user-agent", &facets.secret];
    assert_eq!(server.curl(&path, agent).status, 200);
    let shown = server.cli(["token", "show", &togai.id, "--json"]).done();
    assert_eq!(shown.json()["last_used"]["user_agent"], "…");
    stage.hushed.is_not_in("what a command says", &shown.out);

    // And in every way in which they should not.
    let token = format!("Authorization: Token {}", togai.secret);
    let cookie = format!("Cookie: token={}", togai.secret);
    let request_id = format!("X-Forwarded-For: {}", togai.secret);
    for (path, arguments) in [
        (format!("/togai/x?access_token={}", togai.secret), vec![]),
        (format!("/nothing?token={}", togai.secret), vec![]),
        (format!("/togai/../x?token={}", togai.secret), vec![]),
        ("/togai/x".to_owned(), vec!["--header", &token]),
        ("/togai/x".to_owned(), vec!["--header", &cookie]),
        ("/togai/x".to_owned(), vec!["--header", &request_id]),
        ("/facets/x".to_owned(), vec!["--header", &bearer]),
        ("/selectstar/x".to_owned(), vec!["--header", &token]),
        ("/aristotle/x".to_owned(), vec!["--header", &token]),
        ("/finout/x".to_owned(), vec!["--header", &key]),
        ("/finout/x".to_owned(), vec!["--header", &key, "--header", &key]),
        ("/finout/x".to_owned(), vec!["--user", &user]),
        ("/togai/x".to_owned(), vec!["--header", &bearer, "--header", &token]),
        ("/togai/x".to_owned(), vec!["--data", &togai.secret]),
    ] {
        stage.hushed.is_not_in_refusal(&server.curl(&path, arguments));
    }

    // Nor as a client's.
    let grant = "grant_type=client_credentials";
    let pair = format!("client_id={}&client_secret={}", togai.id, togai.secret);
    let own = format!("{}:{}", togai.id, togai.secret);
    let token = format!("token={}", facets.secret);
    let answer = curl(server.main, "/oauth2/token", ["-d", grant, "-d", &pair]);
    assert_eq!(answer.status, 200);
    for (path, arguments) in [
        (format!("/oauth2/token?{pair}"), vec!["-d", grant]),
        (format!("/oauth2/token/{}", togai.secret), vec!["-d", grant]),
        ("/oauth2/token".to_owned(), vec!["-d", &pair, "-d", &pair]),
        ("/oauth2/token".to_owned(), vec!["-d", &pair, "-d", &token]),
        ("/oauth2/token".to_owned(), vec!["-d", grant, "--user", &user]),
        ("/oauth2/revoke".to_owned(), vec!["-d", &token, "--user", &own]),
        ("/oauth2/introspect".to_owned(), vec!["-d", &token, "--user", &own]),
    ] {
        stage.hushed.is_not_in_refusal(&curl(server.main, &path, arguments));
    }
    stage.upstream.take();
    stage.search();
}

#[test]
fn nor_are_they_when_they_change_or_end() {
    let mut stage = Stage::set();
    let token = stage.issue("togai", &["--note", "to be rotated"]);
    let bearer = |secret: &str| format!("Authorization: Bearer {secret}");
    let mut secrets = vec![token.secret.clone()];
    for overlap in [&["--overlap", "1h"][..], &[]] {
        let rotate = ["token", "rotate", &token.id, "--json"];
        let rotated = stage.server.cli(rotate.iter().chain(overlap)).done().json();
        let secret = Token::of(rotated).secret;
        assert_eq!(stage.server.curl("/togai/x", ["--header", &bearer(&secret)]).status, 200);
        stage.hushed.token(&secret);
        secrets.push(secret);
    }
    stage.server.cli(["token", "pause", &token.id]).done();
    let refuses_all = || {
        for secret in &secrets {
            let refused = stage.server.curl("/togai/x", ["--header", &bearer(secret)]);
            stage.hushed.is_not_in_refusal(&refused);
        }
    };
    refuses_all();
    let revoke = ["token", "revoke", &token.id, "--reason", "leaked"];
    stage.server.cli(revoke).done();
    refuses_all();
    for command in [&["token", "show", &token.id][..], &["token", "list"], &["ledger", "verify"]] {
        for form in [&["--json"][..], &[]] {
            let said = stage.server.cli(command.iter().chain(form)).done();
            stage.hushed.is_not_in("what a command says", &(said.out + &said.err));
        }
    }
    stage.search();
}

#[test]
fn nor_are_passwords() {
    let mut stage = Stage::set();
    let token = stage.issue("togai", &[]);
    let server = &stage.server;
    // The log has all its levels.
    let right = format!("Authorization: Bearer {}", token.secret);
    assert_eq!(server.curl("/togai/x", ["--header", &right]).status, 200);
    let set = ["account", "set-password", ADA, "--json", "--password-file"];
    let said = server.cli_reading(PASSWORDS[1], set.iter().chain(&["-"])).done();
    stage.hushed.is_not_in("what a command says", &(said.out + &said.err));
    let create =
        ["account", "create", "--email", "bob@example.com", "--json", "--password-file", "-"];
    let said = server.cli_reading(PASSWORDS[2], create).done();
    stage.hushed.is_not_in("what a command says", &(said.out + &said.err));
    for password in PASSWORDS {
        let user = format!("{ADA}:{password}");
        stage.hushed.is_not_in_refusal(&server.curl("/facets/x", ["--user", &user]));
        // This API takes passwords: the one that Ada has by now.
        let answer = server.curl("/togai/x", ["--user", &user]);
        if password == PASSWORDS[1] {
            assert_eq!(answer.status, 200, "{answer:?}");
            stage.hushed.is_not_in("what the upstream gets and says", &answer.face());
        } else {
            stage.hushed.is_not_in_refusal(&answer);
        }
    }
    // A mistake in what is sent beside it.
    let mut operator = server.operator().unwrap();
    for body in [
        format!(r#"{{"password": "{}", "extra": 1}}"#, PASSWORDS[1]),
        format!(r#"{{"password": "{}""#, PASSWORDS[1]),
        format!(r#"{{"password": ["{}"]}}"#, PASSWORDS[1]),
        format!(r#""{}""#, PASSWORDS[1]),
    ] {
        let path = format!("/v1/accounts/{ADA}/password");
        stage.hushed.is_not_in_refusal(&operator.call("PUT", &path, &body).unwrap());
    }
    stage.search();
}

#[test]
fn a_secret_in_place_of_an_id_is_not_written_down_either() {
    let mut stage = Stage::set();
    let token = stage.issue("togai", &[]);
    // The log has all its levels.
    let right = format!("Authorization: Bearer {}", token.secret);
    assert_eq!(stage.server.curl("/togai/x", ["--header", &right]).status, 200);
    for command in ["show", "pause", "resume", "rotate", "revoke"] {
        let said = stage.server.cli(["token", command, &token.secret]).failed(2);
        stage.hushed.is_not_in("what a command says", &said);
    }
    stage.search();
}

/// Secrets that are shown on purpose, but not to a door.
#[test]
fn nor_are_those_that_are_reported_looked_up_or_asked_about() {
    let mut stage = Stage::set();
    let [leaked, asked] = [stage.issue("togai", &[]), stage.issue("togai", &[])];
    let server = &stage.server;
    let ada = Caller::new(server, ADA, &SCOPES, &[]);
    stage.hushed.token(&ada.token.secret);
    // The log has all its levels.
    let right = format!("Authorization: Bearer {}", asked.secret);
    assert_eq!(server.curl("/togai/x", ["--header", &right]).status, 200);

    for command in [&["token", "find"][..], &["verify", "--api", "togai"]] {
        let said = server.cli_reading(&asked.secret, command.iter().chain(&["--secret-file", "-"]));
        let said = said.done();
        stage.hushed.is_not_in("what a command says", &(said.out + &said.err));
    }
    // In places where it does not belong.
    let key = format!("idempotency-key: {}\r\n", asked.secret);
    let made = ada.post_with(&key, "/v1/tokens", &json!({"api": "togai"}));
    assert_eq!(made.status, 201);
    stage.hushed.token(made.json()["secret"].as_str().unwrap());
    for (path, body) in [
        ("/v1/revoke", json!({"secrets": asked.secret})),
        ("/v1/revoke", json!({&asked.secret: []})),
        ("/v1/tokens", json!({"api": asked.secret})),
        ("/v1/accounts", json!({"kind": asked.secret})),
    ] {
        stage.hushed.is_not_in_refusal(&ada.post(path, &body));
    }
    for query in ["audit?subject=", "usage?token=", "tokens?digest=", "audit?"] {
        stage.hushed.is_not_in_refusal(&ada.get(&format!("/v1/{query}{}", asked.secret)));
    }
    let reported = call(
        server.main,
        "",
        "POST",
        "/v1/revoke",
        &json!({"secrets": [leaked.secret]}).to_string(),
    );
    assert_eq!(reported.status, 202);
    stage.hushed.is_not_in("an answer", reported.text());
    let told = ada.get("/v1/audit?limit=1000");
    assert!(told.text().contains("token_issued"));
    stage.hushed.is_not_in("the audit log", told.text());
    stage.search();
}

/// Another program's keys, which its export has in plain.
#[test]
fn nor_are_keys_that_are_imported() {
    let mut stage = Stage::set();
    let keys =
        ["9944b09199c62bcf9418ad846dd0e4bbdfc6ee4b", "401f7ac837da42b97f613d789819ff93537bee6a"];
    for key in keys {
        stage.hushed.text(key);
    }
    let server = &stage.server;
    let import = |file: &str, arguments: &[&str]| {
        let first = ["import", "--from", "drf-authtoken", "--api", "selectstar", "-"];
        server.cli_reading(file, first.iter().chain(arguments))
    };
    let table = format!("key,owner,created\n{},{ADA},2024-01-01\n", keys[0]);
    // In every column but its own, in none, and in a row that cannot be read.
    for wrong in [
        format!("owner,key,created\n{},{ADA},2024-01-01\n", keys[0]),
        format!("created,owner,key\n{},{ADA},2024-01-01\n", keys[0]),
        format!("{},{ADA},2024-01-01\n", keys[0]),
        format!("{}{},{ADA}\n", table, keys[1]),
        format!("{}x{},{ADA},2024-01-01\n", table, keys[1]),
        format!("key,owner,role,name\n{},{ADA},{},x\n", keys[0], keys[1]),
        format!("key,owner,{}\n{},nobody,x\n", keys[1], keys[0]),
        format!("[{{\"key\": \"{}\", \"owner\": \"{}\"}}]", keys[0], keys[1]),
        format!("{{\"key\": \"{}\", \"owner\": {}\n", keys[0], keys[1]),
    ] {
        for form in [&["--json"][..], &[]] {
            let said = import(&wrong, form);
            assert_eq!(said.code, Some(2), "{wrong}{said:?}");
            stage.hushed.is_not_in("what a command says", &(said.out + &said.err));
        }
    }
    for form in [&["--json"][..], &[]] {
        let said = import(&table, form).done();
        stage.hushed.is_not_in("what a command says", &(said.out + &said.err));
    }
    let right = format!("Authorization: Token {}", keys[0]);
    assert_eq!(server.curl("/selectstar/x", ["--header", &right]).status, 200);
    for command in [&["token", "list"][..], &["ledger", "verify"]] {
        let said = server.cli(command.iter().chain(&["--json"])).done();
        stage.hushed.is_not_in("what a command says", &(said.out + &said.err));
    }
    stage.search();
}

/// They look like nothing in particular: only the index knows that they are secrets.
#[test]
fn nor_are_imported_secrets_that_come_where_they_should_not() {
    let mut stage = Stage::set();
    let other = stage.issue("togai", &[]);
    let secrets = [
        "5f0c9a1be27d48360fd4c8813ab9e672",
        "k7QmZp2xVb9LtR4wYc6HsD",
        "Vn3-x9_Qa7-Lk2_Zr8-Wp5_Tc1-Hy6",
        "0b9d7e5c-2f6a-4c1e-9a51-6d0f3c2b7a18",
    ];
    let mut table = "digest,owner,name\n".to_owned();
    for secret in secrets {
        stage.hushed.text(secret);
        for byte in Sha256::digest(secret) {
            write!(table, "{byte:02x}").unwrap();
        }
        writeln!(table, ",{ADA},{}", &secret[..4]).unwrap();
    }
    let server = &stage.server;
    let import =
        ["import", "--from", "sha256", "--entropy-bits", "128", "--api", "selectstar", "-"];
    server.cli_reading(&table, import).done();
    let bearer = format!("Authorization: Bearer {}", other.secret);
    for secret in secrets {
        let right = format!("Authorization: Token {secret}");
        assert_eq!(server.curl("/selectstar/x", ["--header", &right]).status, 200);
        // Where what an admitted request was like is written down.
        let path = format!("/togai/{secret}/k={secret}");
        let agent = format!("tool/1 (key={secret})");
        let admitted = ["--header", &bearer, "--user-agent", &agent];
        assert_eq!(server.curl(&path, admitted).status, 200);
        // And refused ones, at every door.
        let named = format!("X-Request-Id: {secret}");
        let encoded = secret.replace('-', "%2D");
        for path in [
            format!("/selectstar/{secret}"),
            format!("/selectstar/a:{encoded}"),
            format!("/nothing/{secret}"),
            format!("/togai//{secret}"),
        ] {
            let refused = server.curl(&path, ["--header", &named, "--user-agent", secret]);
            stage.hushed.is_not_in_refusal(&refused);
        }
        for (address, path) in [
            (server.main, format!("/v1/tokens/{secret}")),
            (server.main, format!("/{secret}")),
            (server.metrics, format!("/{secret}")),
            (server.forward_auth, format!("/auth/{secret}")),
        ] {
            let refused = call(address, &format!("x-request-id: {secret}\r\n"), "GET", &path, "");
            stage.hushed.is_not_in_refusal(&refused);
        }
        let asked = server.operator().unwrap().call("GET", &format!("/v1/tokens/{secret}"), "");
        stage.hushed.is_not_in_refusal(&asked.unwrap());
    }
    let shown = server.cli(["token", "show", &other.id, "--json"]).done();
    stage.hushed.is_not_in("what a command says", &shown.out);
    assert!(shown.json()["last_used"]["route"].as_str().unwrap().starts_with("GET /togai/…/"));
    stage.upstream.take();
    stage.search();
}

/// Links, sessions, codes and passwords of people in the console.
#[test]
fn nor_is_what_people_sign_in_with() {
    let mail = MailServer::start(Security::Plain);
    let mut installation = Installation::new(&format!(
        "[mail]\nsmtp = \"smtp://{}\"\nfrom = \"Counterfoil <tokens@example.com>\"",
        mail.address
    ));
    installation.set("COUNTERFOIL_LOG_LEVEL", "trace");
    let (mut hushed, mut printed) = (Hushed::default(), Hushed::default());
    for password in PASSWORDS {
        hushed.text(password);
    }
    let server = installation.start();
    let ada = Visitor::stranger(server.main);
    let link = |line: &str| line.strip_prefix(&ada.origin()).map(str::to_owned);
    let path = server.process().wait_for_printed(link);
    printed.text(&path["/set-up/".len()..]);
    let fields = [("organization", "Acme"), ("email", ADA), ("password", PASSWORDS[0])];
    assert_eq!(ada.get(&path).status, 200);
    assert_eq!(ada.post(&path, &fields).status, 303);
    assert_eq!(ada.post(&path, &fields).status, 404);
    hushed.text(&ada.secret().unwrap());

    let page = ada.get("/account/second-factor");
    let key = key(page.text());
    hushed.text(&key);
    let groups: Vec<&str> =
        key.as_bytes().chunks(4).filter_map(|c| str::from_utf8(c).ok()).collect();
    hushed.text(&groups.join(" "));
    let code_now = code(&key, 0);
    let fields = [("key", &*key), ("current", PASSWORDS[0]), ("code", &code_now)];
    let page = ada.post("/account/second-factor", &fields);
    hushed.text(&ada.secret().unwrap());
    let codes = recovery_codes(page.text());
    for code in &codes {
        hushed.text(code);
        hushed.text(&code.replace('-', ""));
    }
    assert!(mail.next().text.contains("A second factor was set"));
    let other = Visitor::stranger(server.main);
    assert_eq!(other.tries(ADA, PASSWORDS[1]).status, 422);
    assert_eq!(other.tries(PASSWORDS[1], PASSWORDS[1]).status, 422);
    assert_eq!(other.tries(ADA, PASSWORDS[0]).status, 303);
    hushed.text(&other.secret().unwrap());
    assert_eq!(other.post("/sign-in/code", &[("code", &codes[0])]).status, 303);
    hushed.text(&other.secret().unwrap());
    let wrong = [("current", PASSWORDS[1]), ("password", PASSWORDS[2])];
    assert_eq!(other.post("/account/password", &wrong).status, 422);

    assert_eq!(other.post("/forgotten", &[("email", ADA)]).status, 200);
    let letter = mail.next().text;
    let path = letter.lines().find_map(link).unwrap();
    hushed.text(&path["/reset/".len()..]);
    assert_eq!(other.get(&path).status, 200);
    assert_eq!(other.post(&path, &[("password", "short")]).status, 422);
    assert_eq!(other.post(&path, &[("password", PASSWORDS[2])]).status, 303);
    hushed.text(&other.secret().unwrap());
    assert_eq!(other.get(&path).status, 404);
    assert!(mail.next().text.contains("Your password was changed"));
    let told = server.cli(["audit", "--json"]).done().out;
    assert!(told.contains("password_set"));
    hushed.is_not_in("the audit log", &told);
    Stage { upstream: Upstream::start(), server, hushed, printed }.search();
}
