//! A COMMIT whose answer does not come: what became of it is looked up. It is not answered as
//! done unless it is, nor done twice.

use super::{installation, judged};
use crate::{
    installation::{ADA, Token},
    postgres::Postgres,
    process::{PATIENCE, Running},
    response::Response,
    server::Server,
    upstream::{NOBODY, Upstream},
    valve::Valve,
};
use serde_json::json;
use std::{thread, time::Instant};

struct Stage {
    server: Server,
    valve: Valve,
    database: String,
    postgres: Postgres,
    _upstream: Upstream,
}

impl Stage {
    /// A server behind a valve.
    fn set() -> Self {
        let (postgres, upstream) = (Postgres::start(), Upstream::start());
        let database = postgres.create_database();
        let valve = Valve::to(postgres.port());
        let direct = postgres.url_of(&database);
        drop(installation(&upstream, &direct).set_up());
        let port = |port: u16| format!(":{port}/");
        let url = direct.replace(&port(postgres.port()), &port(valve.port()));
        let server = installation(&upstream, &url).start();
        Self { server, valve, database, postgres, _upstream: upstream }
    }

    fn run(&self, sql: &str) -> String {
        self.postgres.run(&self.database, sql)
    }

    fn wait_until(&self, sql: &str, is: &str) {
        let began = Instant::now();
        while self.run(sql) != is {
            assert!(began.elapsed() < PATIENCE, "{sql} does not become {is}");
        }
    }

    /// Has nobody append to the ledger.
    fn hold(&self) -> Running {
        self.postgres.hold(&self.database, "SELECT FROM head FOR UPDATE")
    }

    /// Waits until a COMMIT has been sent that waits for the ledger's head.
    fn wait_for_commit(&self) {
        self.wait_until(WAITING, "1");
    }

    /// How many entries of a kind there are.
    fn entries(&self, kind: &str) -> String {
        self.run(&format!(
            "SELECT count(*) FROM ledger WHERE convert_from(entry, 'UTF8')::json ->> 'kind' = '{kind}'"
        ))
    }

    fn call(&self, path: &str, body: &str) -> Response {
        self.server.operator().unwrap().call("POST", path, body).unwrap()
    }

    fn issue(&self) -> Response {
        self.call("/v1/tokens", &json!({"api": "orders", "owner": ADA}).to_string())
    }

    fn revoke(&self, token: &Token) -> Response {
        self.call(&format!("/v1/tokens/{}/revoke", token.id), "{}")
    }

    /// What somebody is answered whose change is committed, which the server is not told: it is
    /// once `is_done` finds one.
    fn loses(&self, change: impl FnOnce() -> Response + Send, is_done: &str) -> Response {
        thread::scope(|scope| {
            let held = self.hold();
            let changing = scope.spawn(change);
            self.wait_for_commit();
            self.valve.hold_answers_back();
            drop(held);
            self.wait_until(is_done, "1");
            assert!(!changing.is_finished());
            self.valve.turn_to(self.postgres.port());
            changing.join().unwrap()
        })
    }

    fn is_sound(&self) {
        self.server.cli(["ledger", "verify"]).done();
    }
}

/// What was sent together waits for its first statement.
const WAITING: &str = "SELECT count(*) FROM pg_stat_activity
     WHERE application_name = 'counterfoil' AND wait_event_type = 'Lock'";

#[test]
fn what_was_committed_is_answered_as_done_and_done_once() {
    let stage = Stage::set();
    let issued = stage.loses(|| stage.issue(), "SELECT count(*) FROM token");
    assert_eq!(issued.status, 201, "{issued:?}");
    let token = Token::of(issued.json());
    assert_eq!(judged(&stage.server, &token), 200);
    assert_eq!(stage.entries("token_issued"), "1");
    let is_done = "SELECT count(*) FROM token WHERE revoked_at IS NOT NULL";
    let revoked = stage.loses(|| stage.revoke(&token), is_done);
    assert_eq!(revoked.status, 200, "{revoked:?}");
    assert_eq!(judged(&stage.server, &token), 401);
    assert_eq!(stage.entries("token_revoked"), "1");
    stage.is_sound();
}

#[test]
fn what_was_not_committed_is_done_again_once() {
    let stage = Stage::set();
    thread::scope(|scope| {
        let held = stage.hold();
        let issuing = scope.spawn(|| stage.issue());
        stage.wait_for_commit();
        stage.valve.hold_answers_back();
        // The server's end of it goes, with all that it was told.
        stage.run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE application_name = 'counterfoil' AND wait_event_type = 'Lock'",
        );
        stage.wait_until(WAITING, "0");
        drop(held);
        assert_eq!(stage.run("SELECT count(*) FROM token"), "0");
        stage.valve.turn_to(stage.postgres.port());
        let issued = issuing.join().unwrap();
        assert_eq!(issued.status, 201, "{issued:?}");
        assert_eq!(judged(&stage.server, &Token::of(issued.json())), 200);
    });
    assert_eq!(stage.entries("token_issued"), "1");
    stage.is_sound();
}

#[test]
fn what_nobody_can_say_is_told_as_that() {
    let stage = Stage::set();
    let token = Token::of(stage.issue().json());
    thread::scope(|scope| {
        let held = stage.hold();
        let revoking = scope.spawn(|| stage.revoke(&token));
        stage.wait_for_commit();
        stage.valve.hold_answers_back();
        drop(held);
        stage.wait_until("SELECT count(*) FROM token WHERE revoked_at IS NOT NULL", "1");
        // Connections end, and nobody is there for a new one.
        stage.valve.turn_to(NOBODY.port());
        let answer = revoking.join().unwrap();
        assert_eq!((answer.status, answer.json()["code"].as_str()), (503, Some("outcome_unknown")));
    });
    stage.valve.turn_to(stage.postgres.port());
    // Whoever looks finds it done; whoever asks again is told so, and it is not done again.
    let began = Instant::now();
    while stage.revoke(&token).status != 200 {
        assert!(began.elapsed() < PATIENCE, "nothing can be changed any more");
    }
    assert_eq!(judged(&stage.server, &token), 401);
    assert_eq!(stage.entries("token_revoked"), "1");
    stage.is_sound();
}
