//! Backups, and what comes back with them: nothing that was taken away since, or all of it and
//! said so.

mod shared;

use crate::{
    installation::{ADA, Installation, Token},
    process::Outcome,
    server::Server,
    upstream::Upstream,
};
use rusqlite::Connection;
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

const BOB: &str = "bob@example.com";
const CAROL: &str = "carol@example.com";
/// Whose password is set anew.
const DORA: &str = "dora@example.com";
/// Who gets another address.
const ERIN: &str = "erin@example.com";

fn installation(upstream: &Upstream) -> Installation {
    Installation::new(&format!("[api.orders]\nupstream = \"{}\"\n", upstream.url()))
}

fn judge(server: &Server, secret: &str) -> u16 {
    server.curl("/orders/7", ["--header", &format!("Authorization: Bearer {secret}")]).status
}

fn database(installation: &Installation) -> PathBuf {
    installation.data().join("counterfoil.db")
}

/// Tokens that something becomes of once a backup was made.
struct Tokens {
    live: Token,
    revoked: Token,
    paused: Token,
    rotated: Token,
    changed: Token,
    of_bob: Token,
    of_carol: Token,
    of_erin: Token,
}

impl Tokens {
    fn issue(server: &Installation) -> Self {
        for who in [BOB, CAROL, DORA, ERIN] {
            server.cli(["account", "create", "--email", who]).done();
        }
        let issue = |owner| server.issue_to(owner, "orders", &[]);
        Self {
            live: issue(ADA),
            revoked: issue(ADA),
            paused: issue(ADA),
            rotated: issue(ADA),
            changed: issue(ADA),
            of_bob: issue(BOB),
            of_carol: issue(CAROL),
            of_erin: issue(ERIN),
        }
    }

    fn all(&self) -> [&Token; 8] {
        let Self { live, revoked, paused, rotated, changed, of_bob, of_carol, of_erin } = self;
        [live, revoked, paused, rotated, changed, of_bob, of_carol, of_erin]
    }

    /// Takes something away from each but the first, and gives what a restore loses.
    fn take_away(&self, server: &Server) -> Token {
        for arguments in [
            &["token", "revoke", &self.revoked.id][..],
            &["token", "pause", &self.paused.id],
            &["token", "rotate", &self.rotated.id],
            &["account", "disable", BOB],
            &["account", "set-email", ERIN, "erin@example.org"],
            &["organization", "remove-member", &self.live.organization, CAROL],
        ] {
            server.cli(arguments).done();
        }
        let set = ["account", "set-password", DORA, "--password-file", "-"];
        server.cli_reading("correct horse battery staple\n", set).done();
        let path = format!("/v1/tokens/{}", self.changed.id);
        let narrowed = json!({"allowed_networks": ["192.0.2.0/24"]}).to_string();
        let answer = server.operator().unwrap().call("PATCH", &path, &narrowed).unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        server.issue("orders", &[])
    }

    /// What is told of each of them.
    fn told(&self) -> BTreeSet<(String, &'static str)> {
        let told = [
            (&self.revoked.id, "revoked"),
            (&self.paused.id, "paused"),
            (&self.rotated.id, "revoked"),
            (&self.changed.id, "revoked"),
            (&self.of_bob.owner, "disabled"),
            (&self.of_carol.owner, "removed from its organization"),
            (&self.of_erin.owner, "disabled"),
        ];
        told.map(|(id, done)| (id.clone(), done)).into()
    }
}

fn done(outcome: &Value) -> BTreeSet<(String, &str)> {
    let done = outcome["done"].as_array().unwrap().iter();
    done.map(|one| (one["id"].as_str().unwrap().to_owned(), one["done"].as_str().unwrap()))
        .collect()
}

fn export(installation: &Installation, name: &str) -> PathBuf {
    let file = installation.home().join(name);
    fs::write(&file, installation.cli(["ledger", "export"]).done().out).unwrap();
    file
}

fn restore(installation: &Installation, file: &Path, arguments: &[&str]) -> Outcome {
    let begin = ["restore", file.to_str().unwrap()];
    installation.cli(begin.iter().chain(arguments))
}

#[test]
fn what_was_taken_away_since_is_taken_away_again() {
    let upstream = Upstream::start();
    let server = installation(&upstream).set_up().start();
    let tokens = Tokens::issue(&server);
    let set = ["account", "set-password", DORA, "--password-file", "-"];
    server.cli_reading("an old password of hers\n", set).done();
    let copy = server.home().join("copy.db");
    let said = server.cli(["backup", copy.to_str().unwrap(), "--json"]).done().json();
    let verified = server.cli(["ledger", "verify", "--json"]).done().json();
    assert_eq!((&said["entries"], &said["head"]), (&verified["entries"], &verified["head"]));
    assert_eq!(copy.metadata().unwrap().permissions().mode() & 0o7777, 0o600);
    let early = export(&server, "early.jsonl");
    let late = tokens.take_away(&server);
    let lost = tokens.live.id.clone();
    let export = export(&server, "export.jsonl");
    for (token, status) in tokens.all().iter().zip([200, 401, 401, 401, 403, 401, 401, 200]) {
        assert_eq!(judge(&server, &token.secret), status, "{}", token.id);
    }
    let why = restore(&server, &copy, &["--accept-resurrection"]).failed(1);
    assert!(why.contains("stop it first"), "{why}");

    let installation = server.stop();
    let before = fs::read(database(&installation)).unwrap();
    // It has to be said what is to become of what was revoked since.
    let why = restore(&installation, &copy, &[]).failed(2);
    assert!(why.contains("--ledger") && why.contains("--accept-resurrection"), "{why}");
    let early = ["--ledger", early.to_str().unwrap()];
    let nothing = restore(&installation, &copy, &[&early[..], &["--dry-run", "--json"]].concat());
    assert_eq!(done(&nothing.done().json()), BTreeSet::new());
    let since = ["--ledger", export.to_str().unwrap()];
    let dry = restore(&installation, &copy, &[&since[..], &["--dry-run", "--json"]].concat());
    let dry = dry.done().json();
    assert_eq!(dry["dry_run"], true);
    assert!(done(&dry).is_superset(&tokens.told()), "{dry}");
    assert_eq!(fs::read(database(&installation)).unwrap(), before);

    let outcome = restore(&installation, &copy, &since).done();
    assert_eq!(outcome.out.lines().count(), dry["done"].as_array().unwrap().len());
    for words in ["Taken away again: 8", "1 token_issued", "before-restore"] {
        assert!(outcome.err.contains(words), "{words}: {}", outcome.err);
    }
    let dora = outcome.out.lines().find(|line| line.contains(DORA)).unwrap();
    assert!(dora.contains("left without a password"), "{dora}");
    let aside = installation.data().read_dir().unwrap();
    let aside = aside
        .map(|file| file.unwrap().path())
        .find(|path| path.to_string_lossy().contains("counterfoil.db.before-restore-"));
    assert_eq!(fs::read(aside.unwrap()).unwrap(), before);

    let server = installation.start();
    for (token, status) in tokens.all().iter().zip([200, 401, 401, 401, 401, 401, 401, 401]) {
        assert_eq!(judge(&server, &token.secret), status, "{}", token.id);
    }
    assert_eq!(judge(&server, &late.secret), 401);
    server.cli(["ledger", "verify"]).done();
    let shown = server.cli(["token", "show", &tokens.rotated.id, "--json"]).done().json();
    let reason = shown["revoke_reason"].as_str().unwrap();
    assert!(reason.contains("it was rotated"), "{reason}");
    assert_eq!(server.cli(["token", "show", &lost, "--json"]).done().json()["state"], "active");
    // What has gone on since is not what was exported.
    let installation = server.stop();
    let again = ["restore", database(&installation).to_str().unwrap(), since[0], since[1]]
        .map(str::to_owned);
    let why = installation.cli(again).failed(1);
    assert!(why.contains("another ledger"), "{why}");
}

#[test]
fn whoever_accepts_it_has_everything_work_again() {
    let upstream = Upstream::start();
    let server = installation(&upstream).set_up().start();
    let token = server.issue("orders", &[]);
    let installation = server.stop();
    // Without a server, too.
    let copy = installation.home().join("copy.db");
    let said = installation.cli(["backup", copy.to_str().unwrap()]).done().out;
    assert!(said.contains("entries\nhead "), "{said}");
    let why = installation.cli(["backup", copy.to_str().unwrap()]).failed(1);
    assert!(why.contains("--force"), "{why}");
    installation.cli(["backup", copy.to_str().unwrap(), "--force"]).done();
    installation.cli(["token", "revoke", &token.id]).done();
    let copied = fs::read(&copy).unwrap();
    let said = restore(&installation, &copy, &["--accept-resurrection"]).done();
    assert!(said.err.contains("ledger verify --against"), "{}", said.err);
    assert_eq!(fs::read(&copy).unwrap(), copied);
    let server = installation.start();
    assert_eq!(judge(&server, &token.secret), 200);
    server.cli(["ledger", "verify"]).done();

    // Where there was nothing before, too.
    let elsewhere = self::installation(&upstream);
    restore(&elsewhere, &copy, &["--accept-resurrection"]).done();
    assert_eq!(judge(&elsewhere.start(), &token.secret), 200);
}

#[test]
fn a_copy_is_of_one_moment_however_much_goes_on() {
    let upstream = Upstream::start();
    let server = installation(&upstream).set_up().start();
    let stop = AtomicBool::new(false);
    let copies = thread::scope(|scope| {
        let issuing = scope.spawn(|| {
            let mut operator = server.operator().unwrap();
            let body = json!({"api": "orders", "owner": ADA}).to_string();
            let mut issued = 0;
            while !stop.load(Ordering::Relaxed) {
                assert_eq!(operator.call("POST", "/v1/tokens", &body).unwrap().status, 201);
                issued += 1;
            }
            issued
        });
        let copies = [1, 2, 3, 4].map(|n| {
            let copy = server.home().join(format!("{n}.db"));
            let said = server.cli(["backup", copy.to_str().unwrap(), "--json"]).done().json();
            (copy, said)
        });
        stop.store(true, Ordering::Relaxed);
        assert!(issuing.join().unwrap() > 0);
        copies
    });
    let elsewhere = installation(&upstream);
    let mut before = 0;
    for (copy, said) in copies {
        let looked = restore(&elsewhere, &copy, &["--accept-resurrection", "--dry-run", "--json"]);
        let looked = looked.done().json();
        assert_eq!((&looked["entries"], &looked["head"]), (&said["entries"], &said["head"]));
        let entries = looked["entries"].as_u64().unwrap();
        assert!(entries > before, "{entries} after {before}");
        before = entries;
    }
    assert!(!database(&elsewhere).exists());
}

#[test]
fn what_is_no_whole_copy_takes_nobodys_place() {
    let upstream = Upstream::start();
    let installation = installation(&upstream).set_up();
    let token = installation.issue("orders", &[]);
    let file = |name: &str| installation.home().join(name);
    let copy = file("copy.db");
    installation.cli(["backup", copy.to_str().unwrap()]).done();
    let bytes = fs::read(&copy).unwrap();
    let write = |name: &str, bytes: &[u8]| {
        fs::write(file(name), bytes).unwrap();
        file(name)
    };
    let cut = write("cut.db", &bytes[..bytes.len() / 2]);
    let other = write("other.db", b"PGDMP and so on");
    let tampered = |name: &str, sql: &str| {
        let path = write(name, &bytes);
        Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        path
    };
    let forged = tampered("forged.db", "UPDATE token SET expires_at = 1");
    let newer = tampered("newer.db", "PRAGMA user_version = 1000");
    let empty = tampered("empty.db", "DROP TABLE ledger_detail; DROP TABLE ledger");
    let before = fs::read(database(&installation)).unwrap();
    for (path, words) in [
        (&cut, "not a whole copy"),
        (&other, "is not a SQLite database"),
        (&file("nothing.db"), "cannot be read"),
        (&forged, "expires_at is not what the ledger says"),
        (&newer, "newer version"),
        (&empty, "it has no ledger"),
    ] {
        let why = restore(&installation, path, &["--accept-resurrection"]).failed(1);
        assert!(why.contains(words), "{words}: {why}");
    }
    // An export has to go on where the copy ends, and to be of the same ledger.
    let export = export(&installation, "export.jsonl");
    let text = fs::read_to_string(&export).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let elsewhere = Installation::new("[api.orders]\nupstream = \"http://127.0.0.1:1\"\n").set_up();
    elsewhere.issue("orders", &[]);
    elsewhere.issue("orders", &[]);
    let another = fs::read_to_string(self::export(&elsewhere, "export.jsonl")).unwrap();
    let skips = [lines[0], lines[2]].join("\n");
    let changed = text.replacen("organization_created", "organization_changed", 1);
    for (text, code, words) in [
        (&*lines[..lines.len() - 1].join("\n"), 1, "give a later one"),
        (&*another, 1, "another ledger"),
        (&*skips, 1, "line 2 of"),
        (&*changed, 1, "entry 1"),
        ("", 1, "no entries"),
        ("number,hash\n", 2, "line 1 of"),
    ] {
        let path = write("wrong.jsonl", text.as_bytes());
        let why = restore(&installation, &copy, &["--ledger", path.to_str().unwrap()]);
        let why = why.failed(code);
        assert!(why.contains(words), "{words}: {why}");
    }
    assert_eq!(fs::read(database(&installation)).unwrap(), before);
    let names = installation.data().read_dir().unwrap().map(|file| file.unwrap().file_name());
    let left: Vec<_> =
        names.filter(|name| name.to_string_lossy().starts_with(".restore-")).collect();
    assert!(left.is_empty(), "{left:?}");

    // One that was broken off halfway is no database to go on with.
    fs::write(installation.data().join("restore-under-way"), "").unwrap();
    let why = installation.cli(["serve"]).failed(1);
    assert!(why.contains("broken off"), "{why}");
    restore(&installation, &copy, &["--accept-resurrection"]).done();
    let server = installation.start();
    assert_eq!(judge(&server, &token.secret), 200);
}
