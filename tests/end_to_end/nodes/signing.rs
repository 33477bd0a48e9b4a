//! Access tokens of several nodes, whose signing keys the operator hands out.

use super::{DATABASE, NODES, ask, wait_until};
use crate::{
    caller::Caller,
    installation::{ADA, Installation, Token},
    postgres::Postgres,
    response::Response,
    server::Server,
    upstream::Upstream,
};
use serde_json::{Value, json};
use std::{fs, path::Path, process::Command};
use tempfile::TempDir;

/// Nodes with the examples' APIs, each with a directory of keys of its own, and where those keys
/// are made.
struct Stage {
    // Before what they stand on.
    nodes: Vec<Server>,
    made: TempDir,
    _upstream: Upstream,
    _postgres: Postgres,
}

impl Stage {
    fn set() -> Self {
        let (postgres, upstream) = (Postgres::start(), Upstream::start());
        let made = tempfile::tempdir().unwrap();
        let installation = || {
            let mut installation = Installation::of_examples(&upstream);
            installation.set("COUNTERFOIL_DATABASE_URL", &postgres.url_of(DATABASE));
            // In one and the same name, whichever port each has.
            installation.set("COUNTERFOIL_SERVER_PUBLIC_URL", "https://tokens.example.com");
            let keys = keys_of(&installation);
            installation.set("COUNTERFOIL_SIGNING_KEYS_DIRECTORY", keys.to_str().unwrap());
            installation
        };
        let installations = [(); NODES].map(|()| installation());
        let directory = made.path().to_str().unwrap();
        let first = installations[0].cli(["keys", "make", directory, "--json"]).done().json();
        assert_eq!(first["made"].as_array().unwrap().len(), 2, "{first}");
        for installation in &installations {
            hand_out(made.path(), &keys_of(installation));
        }
        installations[0].cli(["init", "--email", ADA]).done();
        let nodes: Vec<Server> = installations.into_iter().map(Installation::start).collect();
        for node in &nodes {
            wait_until("a node is ready", || {
                let asked = ask(node.main, "GET /readyz HTTP/1.1\r\nhost: a\r\n\r\n");
                asked.is_ok_and(|response| response.status == 200)
            });
        }
        Self { nodes, made, _upstream: upstream, _postgres: postgres }
    }

    /// Has every node know what was made, and what was removed.
    fn hand_out(&self) {
        for node in &self.nodes {
            hand_out(self.made.path(), &keys_of(node));
            reload(node);
        }
    }

    /// What every node answers, which is the same.
    #[track_caller]
    fn all<T: PartialEq + std::fmt::Debug>(&self, what: impl Fn(&Server) -> T) -> T {
        let mut answers: Vec<T> = self.nodes.iter().map(what).collect();
        let last = answers.pop().unwrap();
        assert!(answers.iter().all(|answer| *answer == last), "{answers:?} {last:?}");
        last
    }
}

fn keys_of(installation: &Installation) -> std::path::PathBuf {
    installation.home().join("handed-out")
}

/// Makes one directory like the other.
fn hand_out(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    let names = |directory: &Path| {
        let entries = directory.read_dir().unwrap();
        entries.map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>()
    };
    for name in names(from) {
        fs::copy(from.join(&name), to.join(&name)).unwrap();
    }
    for name in names(to) {
        if !from.join(&name).exists() {
            fs::remove_file(to.join(&name)).unwrap();
        }
    }
}

fn hang_up(server: &Server) {
    let id = server.process().id().to_string();
    assert!(Command::new("kill").args(["-HUP", &id]).status().unwrap().success());
}

/// The same, until it has read everything again.
#[track_caller]
fn reload(server: &Server) {
    let count = || server.process().log().matches("\"reloaded\"").count();
    let before = count();
    hang_up(server);
    wait_until("it has read its files again", || count() > before);
}

/// As Togai's document has it: the secret as bearer, and no body.
#[track_caller]
fn exchange(node: &Server, token: &Token) -> String {
    let line = format!("Authorization: Bearer {}", token.secret);
    let answer = node.curl("/togai/authenticate", ["--request", "POST", "--header", &line]);
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["token"].as_str().unwrap().to_owned()
}

fn send(node: &Server, access_token: &str) -> Response {
    let line = format!("Authorization: Bearer {access_token}");
    node.curl("/togai/ingest", ["--header", &line, "--data", r#"[{"schemaName":"api_call"}]"#])
}

fn jwks(node: &Server) -> Value {
    let request = "GET /.well-known/jwks.json HTTP/1.1\r\nhost: counterfoil\r\n\r\n";
    ask(node.main, request).unwrap().json()
}

fn kids(node: &Server) -> Vec<String> {
    let keys = jwks(node)["keys"].as_array().unwrap().clone();
    keys.iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn an_access_token_of_one_node_is_good_at_all_and_ends_at_all_with_its_token() {
    let stage = Stage::set();
    let token = stage.nodes[0].issue("togai", &["--name", "ingest"]);
    let service = Caller::new(&stage.nodes[0], ADA, &["togai:verify"], &[]).token;
    let verify = |node: &Server, access_token: &str| {
        let question = json!({
            "api": "togai",
            "headers": {"authorization": format!("Bearer {access_token}")},
            "method": "POST",
            "path": "/ingest",
        });
        Caller::with(node, service.clone()).post("/v1/verify", &question).json()["active"].clone()
    };
    // Whichever node it comes from, all know it; and whoever asks any of them for its keys.
    let access_tokens: Vec<String> =
        stage.nodes.iter().map(|node| exchange(node, &token)).collect();
    for access_token in &access_tokens {
        assert_eq!(stage.all(|node| send(node, access_token).status), 200);
        assert_eq!(stage.all(|node| verify(node, access_token)), true);
        let kid = stage.nodes[0].cli_reading(access_token, ["token", "decode", "--json"]);
        let kid = kid.done().json()["header"]["kid"].clone();
        let known = stage.all(kids);
        assert!(known.iter().any(|known| kid == **known), "{kid} {known:?}");
    }
    stage.all(jwks);
    stage.nodes[2].cli(["token", "revoke", &token.id]).done();
    for access_token in &access_tokens {
        assert_eq!(stage.all(|node| send(node, access_token).status), 401);
        assert_eq!(stage.all(|node| verify(node, access_token)), false);
    }
}

#[test]
fn keys_are_what_the_operator_hands_out() {
    let stage = Stage::set();
    let made = stage.made.path();
    let token = stage.nodes[0].issue("togai", &[]);
    let before = exchange(&stage.nodes[1], &token);
    let old = stage.all(kids);

    // The server has no say in it.
    for arguments in [&["keys", "rotate"][..], &["keys", "rotate", "--at-once"]] {
        let why = stage.nodes[0].cli(arguments).failed(1);
        assert!(why.contains("`counterfoil keys make`"), "{why}");
    }
    let keys_make = |arguments: &[&str]| {
        let first = ["keys", "make", made.to_str().unwrap(), "--json"];
        stage.nodes[0].cli(first.iter().chain(arguments)).done().json()
    };
    assert_eq!(keys_make(&[])["made"], json!([]), "none is due");
    assert_eq!(keys_make(&["--early"])["made"].as_array().unwrap().len(), 2);
    assert_eq!(stage.all(kids), old);
    stage.hand_out();
    let both = stage.all(kids);
    assert!(both.len() == 4 && old.iter().all(|kid| both.contains(kid)), "{both:?}");
    assert_eq!(stage.all(|node| send(node, &before).status), 200);

    // Half a file takes nothing away, at whichever node.
    let file = made.read_dir().unwrap().next().unwrap().unwrap().file_name();
    fs::write(keys_of(&stage.nodes[1]).join(file), "half of a k").unwrap();
    reload(&stage.nodes[1]);
    let said = stage.nodes[1]
        .process()
        .wait_for_message("a signing key that nodes share cannot be used; all others are");
    assert!(said["error"].as_str().unwrap().contains("is no signing key for"), "{said}");
    assert!(stage.nodes[1].scrape().contains("counterfoil_signing_key_mistakes 1"));
    assert_eq!((stage.all(kids), send(&stage.nodes[1], &before).status), (both.clone(), 200));

    // The first ones have leaked.
    for entry in made.read_dir().unwrap() {
        let path = entry.unwrap().path();
        let kept = keys_in(&stage.nodes[0], &path);
        if old.contains(&kept) {
            fs::remove_file(&path).unwrap();
        }
    }
    stage.hand_out();
    let new = stage.all(kids);
    assert!(new.len() == 2 && new.iter().all(|kid| !old.contains(kid)), "{new:?}");
    assert_eq!(stage.all(|node| send(node, &before).status), 401);
    assert!(stage.nodes[1].scrape().contains("counterfoil_signing_key_mistakes 0"));
    for node in &stage.nodes {
        let access_token = exchange(node, &token);
        assert_eq!(stage.all(|node| send(node, &access_token).status), 200);
    }

    // Whoever withdraws a key need not wait until the configuration is in order.
    let access_token = exchange(&stage.nodes[0], &token);
    let node = &stage.nodes[0];
    fs::write(node.configuration(), "[api").unwrap();
    for entry in keys_of(node).read_dir().unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    hang_up(node);
    wait_until("nothing is published", || kids(node).is_empty());
    assert_eq!(send(node, &access_token).status, 401);
    assert_eq!(send(&stage.nodes[1], &access_token).status, 200);
}

/// The name of the key in a file.
fn keys_in(installation: &Installation, file: &Path) -> String {
    let directory = tempfile::tempdir().unwrap();
    fs::copy(file, directory.path().join(file.file_name().unwrap())).unwrap();
    let list = ["keys", "make", directory.path().to_str().unwrap(), "--json"];
    let list = installation.cli(list).done().json();
    let made = list["made"].as_array().unwrap();
    let keys = list["keys"].as_array().unwrap().iter().map(|key| &key["kid"]);
    let mut kept = keys.filter(|kid| !made.contains(kid));
    kept.next().unwrap().as_str().unwrap().to_owned()
}

#[test]
fn keys_of_each_nodes_own_are_a_trap_that_is_told_of() {
    let (postgres, upstream) = (Postgres::start(), Upstream::start());
    let mut installation = Installation::of_examples(&upstream);
    installation.set("COUNTERFOIL_DATABASE_URL", &postgres.url_of(DATABASE));
    let is_told = |line: &str| line.contains("signing.keys_directory").then_some(());
    assert!(is_told(&installation.cli(["config", "check"]).done().err).is_some());
    let server = installation.set_up().start();
    assert!(server.process().log().lines().any(|line| is_told(line).is_some()));
}
