//! An API that is made for volume: the sample upstream behind the gateway, and load by each
//! way in.

use crate::{
    installation::{ADA, Installation, example},
    process::{Outcome, Running, run},
    response::{self, Response},
    server::Server,
};
use serde_json::{Value, json};
use std::net::SocketAddr;

const PASSWORD: &str = "the quick brown fox";

/// Togai's example as it is, its upstream the sample.
struct Stage {
    server: Server,
    upstream: SocketAddr,
    _sample: Running,
}

impl Stage {
    fn set() -> Self {
        let mut installation =
            Installation::new(&std::fs::read_to_string(example("togai")).unwrap());
        let sample = Running::start(&mut installation.command([
            "sample",
            "upstream",
            "--listen",
            "127.0.0.1:0",
        ]));
        let url = sample.wait_for_output(1).remove(0);
        let upstream = url.strip_prefix("http://").unwrap().parse().unwrap();
        installation.set("COUNTERFOIL_API_TOGAI_UPSTREAM", &url);
        let init = ["init", "--email", ADA, "--password-file", "-"];
        installation.cli_reading(PASSWORD, init).done();
        Self { server: installation.start(), upstream, _sample: sample }
    }

    /// What the upstream has counted.
    fn counted(&self) -> (u64, u64) {
        let nothing: [&str; 0] = [];
        let totals = response::curl(self.upstream, "/ingest", nothing).json();
        (totals["events"].as_u64().unwrap(), totals["batches"].as_u64().unwrap())
    }

    /// `counterfoil sample load` with these two, and what else is said.
    fn load(&self, secret: &str, password: &str, arguments: &[&str]) -> Outcome {
        let file = |name: &str, text: &str| {
            let file = self.server.home().join(name);
            std::fs::write(&file, text).unwrap();
            file.to_str().unwrap().to_owned()
        };
        let (secret, password) = (file("secret", secret), file("password", password));
        let url = format!("http://{}/togai", self.server.gateway);
        let first = ["sample", "load", "--url", &url, "--secret-file", &secret, "--email", ADA];
        let command = [&first[..], &["--password-file", &password], arguments].concat();
        run(&mut self.server.command(command), &[])
    }

    fn post(&self, authorization: &str, body: &str) -> Response {
        self.server.curl("/togai/ingest", ["--header", authorization, "--data-binary", body])
    }
}

/// What is said of a way in.
#[track_caller]
fn way<'a>(said: &'a Value, name: &str) -> &'a Value {
    said["ways"].as_array().unwrap().iter().find(|way| way["way"] == name).unwrap()
}

#[test]
fn batches_pass_the_gateway_and_are_counted() {
    let stage = Stage::set();
    let secret = stage.server.issue("togai", &["--name", "ingest"]).secret;
    let bearer = format!("Authorization: Bearer {secret}");
    for (batch, accepted) in
        [("[{\"a\":1},{\"a\":2}]", 2), ("{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n", 3)]
    {
        let answer = stage.post(&bearer, batch);
        assert_eq!((answer.status, answer.json()), (202, json!({"accepted": accepted})));
    }
    let refused = stage.post(&bearer, "[{\"a\":1},7]");
    assert_eq!(refused.status, 400);
    let message = refused.json()["message"].clone();
    assert!(message.as_str().unwrap().contains("expected an object"), "{message}");
    assert_eq!(stage.post("Authorization: Bearer x", "[{}]").status, 401);
    assert_eq!(stage.counted(), (5, 2));
}

#[test]
fn what_the_summary_claims_is_what_the_upstream_has_counted() {
    let stage = Stage::set();
    let secret = stage.server.issue("togai", &["--name", "ingest"]).secret;
    let options = ["--json", "--requests", "40", "--events", "25", "--connections", "4"];
    let outcome = stage.load(&secret, PASSWORD, &options).done();
    let said = outcome.json();
    let sum = |field: &str| -> u64 {
        let ways = said["ways"].as_array().unwrap();
        assert_eq!(ways.len(), 3, "{said}");
        ways.iter().map(|way| way[field].as_u64().unwrap()).sum()
    };
    assert_eq!((sum("events"), sum("requests")), stage.counted(), "{said}");
    let takes_passwords = std::fs::read_to_string(example("togai"))
        .unwrap()
        .lines()
        .any(|line| line.starts_with("schemes") && line.contains("\"password\""));
    for (name, works) in [("secret", true), ("access token", true), ("password", takes_passwords)] {
        let way = way(&said, name);
        if works {
            assert_eq!((&way["requests"], &way["events"]), (&json!(40), &json!(1000)), "{way}");
            assert_eq!((&way["refused"], &way["ended_early"]), (&json!({}), &Value::Null));
        } else {
            assert_eq!((&way["requests"], &way["events"]), (&json!(0), &json!(0)), "{way}");
            assert_eq!(way["refused"], json!({"401": 1}), "{way}");
        }
        // How far it was, though nobody looks at a terminal.
        assert!(outcome.err.lines().any(|line| line.starts_with(name)), "{}", outcome.err);
    }
    for secret in [&*secret, PASSWORD] {
        assert!(!outcome.out.contains(secret) && !outcome.err.contains(secret));
    }
}

#[test]
fn what_is_refused_is_counted_and_not_tried_again() {
    let stage = Stage::set();
    let token = stage.server.issue("togai", &["--name", "ingest"]);
    stage.server.cli(["token", "revoke", &token.id]).done();
    let options = ["--json", "--requests", "1000", "--connections", "4"];
    let outcome = stage.load(&token.secret, "a password of somebody's", &options);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(outcome.err.contains("no event was taken"), "{}", outcome.err);
    let said = outcome.json();
    for name in ["secret", "access token", "password"] {
        let way = way(&said, name);
        // Once, however many connections there may be.
        let refused: u64 =
            way["refused"].as_object().unwrap().values().filter_map(Value::as_u64).sum();
        assert_eq!(refused, 1, "{way}");
        assert!(way["ended_early"].as_str().unwrap().contains("it was refused with"), "{way}");
    }
    let ended = way(&said, "secret")["ended_early"].as_str().unwrap();
    let id = ended.split_once("counterfoil why ").unwrap().1.split('`').next().unwrap();
    let why = stage.server.cli(["why", id]).done().out;
    assert!(why.contains("revoked"), "{why}");
    assert_eq!(stage.counted(), (0, 0));
}

#[test]
fn the_summary_is_a_table_and_says_what_each_way_is_for() {
    let stage = Stage::set();
    let secret = stage.server.issue("togai", &["--name", "ingest"]).secret;
    let outcome = stage.load(&secret, PASSWORD, &["--requests", "3", "--events", "2"]).done();
    let lines: Vec<&str> = outcome.out.lines().map(str::trim).collect();
    assert!(lines[0].starts_with("WAY IN") && lines[0].ends_with("REFUSED"), "{lines:?}");
    for (line, name) in lines[1..4].iter().zip(["secret", "access token", "password"]) {
        assert!(line.starts_with(name), "{line}");
    }
    assert!(outcome.out.contains("access token: ends by itself"), "{}", outcome.out);
    assert!(outcome.out.contains("password: to try something by hand"), "{}", outcome.out);
}

#[test]
fn the_load_goes_nowhere_else() {
    let installation = Installation::without_configuration();
    std::fs::write(installation.home().join("secret"), "x").unwrap();
    let load = |url| installation.cli(["sample", "load", "--secret-file", "secret", "--url", url]);
    let error = load("http://192.0.2.1/togai").failed(2);
    assert!(error.contains("a gateway on this machine"), "{error}");
    let error = load("http://127.0.0.1:1/togai").failed(1);
    assert!(error.contains("http://127.0.0.1:1/togai cannot be reached"), "{error}");
    // A secret is no argument.
    installation.cli(["sample", "load", "--secret", "x"]).failed(2);
}
