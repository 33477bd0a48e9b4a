//! A database that nodes share is put back by its own tools; a new epoch begins, and no node goes
//! on with what it knew before.

use super::{Tokens, done, export, installation, judge};
use crate::{
    installation::Installation, postgres::Postgres, process::PATIENCE, server::Server,
    upstream::Upstream,
};
use std::{thread, time::Instant};

/// A database with a copy of it.
struct Stage {
    postgres: Postgres,
    upstream: Upstream,
    database: String,
}

impl Stage {
    fn set() -> Self {
        let postgres = Postgres::start();
        let database = postgres.create_database();
        Self { postgres, upstream: Upstream::start(), database }
    }

    fn node(&self) -> Installation {
        let mut installation = installation(&self.upstream);
        installation.set("COUNTERFOIL_DATABASE_URL", &self.postgres.url_of(&self.database));
        installation
    }

    fn run(&self, sql: &str) -> String {
        self.postgres.run(&self.database, sql)
    }

    /// Copies it, while nobody is connected.
    fn copy(&self) {
        self.postgres.run("postgres", &format!("CREATE DATABASE copy TEMPLATE {}", self.database));
    }

    /// Puts the copy in its place, whoever is connected.
    fn put_back(&self) {
        let name = &self.database;
        self.postgres.run("postgres", &format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false"));
        self.postgres.run(
            "postgres",
            &format!(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
            ),
        );
        let began = Instant::now();
        let connected = format!("SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}'");
        while self.postgres.run("postgres", &connected) != "0" {
            assert!(began.elapsed() < PATIENCE);
        }
        self.postgres.run("postgres", &format!("ALTER DATABASE {name} RENAME TO lost"));
        self.postgres.run("postgres", &format!("ALTER DATABASE copy RENAME TO {name}"));
    }
}

#[track_caller]
fn wait_for(server: &Server, secret: &str, status: u16) {
    let began = Instant::now();
    while judge(server, secret) != status {
        assert!(began.elapsed() < PATIENCE, "it does not answer {status}");
        thread::yield_now();
    }
}

#[test]
fn a_database_that_was_put_back_begins_a_new_epoch() {
    let stage = Stage::set();
    let server = stage.node().set_up().start();
    stage.run("UPDATE cluster SET lease_seconds = 2, wait_seconds = 2");
    let tokens = Tokens::issue(&server);
    let installation = server.stop();
    stage.copy();

    let server = installation.start();
    let late = tokens.take_away(&server);
    let export = export(&server, "export.jsonl");
    assert_eq!(judge(&server, &tokens.live.secret), 200);
    let last = server.cli(["ledger", "verify", "--json"]).done().json()["entries"].clone();
    let why = server.cli(["backup", "copy.db"]).failed(1);
    assert!(why.contains("pg_dump") && why.contains("ledger export"), "{why}");

    // Whoever knows more than the database does verifies nothing with it.
    stage.put_back();
    wait_for(&server, &tokens.live.secret, 503);
    server.process().wait_for_message("this node has stopped following the ledger");
    for token in tokens.all() {
        assert_eq!(judge(&server, &token.secret), 503);
    }
    let since = ["restore", "--ledger", export.to_str().unwrap(), "--longest-lease", "2", "--json"];
    let why = server.cli(since).failed(1);
    assert!(why.contains("stop it first"), "{why}");
    let installation = server.stop();
    let why = installation.cli(["restore", "--longest-lease", "2"]).failed(2);
    assert!(why.contains("--accept-resurrection"), "{why}");
    let why = installation.cli(["restore", "copy.db", "--accept-resurrection"]).failed(2);
    assert!(why.contains("without a file"), "{why}");

    // Somebody has not been stopped.
    let other = stage.node().start();
    wait_for(&other, &tokens.revoked.secret, 200);
    let why = installation.cli(since).failed(1);
    assert!(why.contains("is alive"), "{why}");
    other.stop();
    let untouched = "SELECT epoch, (SELECT number FROM head) < {last} FROM cluster";
    let untouched = untouched.replace("{last}", &last.to_string());
    assert_eq!(stage.run(&untouched), "0|t");
    let dry = installation.cli(since.iter().chain(&["--dry-run"])).done().json();
    assert_eq!(stage.run(&untouched), "0|t");

    let outcome = installation.cli(since).done().json();
    assert_eq!((&outcome["epoch"], &outcome["done"]), (&1.into(), &dry["done"]));
    assert!(done(&outcome).is_superset(&tokens.told()), "{outcome}");
    assert_eq!(stage.run("SELECT count(*) FROM node"), "0");
    let server = installation.start();
    wait_for(&server, &tokens.live.secret, 200);
    for token in tokens.all().into_iter().skip(1).chain([&late]) {
        assert_eq!(judge(&server, &token.secret), 401, "{}", token.id);
    }
    server.cli(["ledger", "verify"]).done();
    let installation = server.stop();
    let why = installation.cli(since).failed(1);
    assert!(why.contains("another ledger"), "{why}");
    installation.cli(["restore", "--accept-resurrection", "--longest-lease", "2"]).done();
    assert_eq!(stage.run("SELECT epoch FROM cluster"), "2");
}
