//! `counterfoil keys`: which keys sign access tokens, and the next ones.

use super::{both_ways, rows};
use crate::{installation::Installation, server::Server, upstream::Upstream, wire::Wire};
use serde_json::Value;
use std::{collections::BTreeSet, os::unix::fs::PermissionsExt as _};

const TOGAI: &str = "[api.togai]\nupstream = \"http://127.0.0.1:1\"\n[api.togai.access_tokens]\n";

/// The keys as `keys list` has them for programs.
fn listed(installation: &Installation) -> Vec<Value> {
    let list = installation.cli(["keys", "list", "--json"]).done().json();
    assert_eq!(list["next_cursor"], Value::Null);
    list["items"].as_array().unwrap().clone()
}

fn states(keys: &[Value]) -> Vec<(&str, &str)> {
    keys.iter()
        .map(|key| (key["algorithm"].as_str().unwrap(), key["state"].as_str().unwrap()))
        .collect()
}

/// The names of all keys that are published.
fn published(server: &Server) -> BTreeSet<String> {
    let request = format!(
        "GET /.well-known/jwks.json HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n",
        server.main
    );
    let answer = Wire::connect(server.main).unwrap().exchange(request).unwrap().json();
    let keys = answer["keys"].as_array().unwrap().iter();
    keys.map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

/// How many files there are, each for their user alone.
#[track_caller]
fn files(installation: &Installation) -> usize {
    let directory = installation.data().join("keys");
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&directory), 0o700);
    let files: Vec<_> = directory.read_dir().unwrap().map(|file| file.unwrap().path()).collect();
    assert!(files.iter().all(|file| mode(file) == 0o600), "{files:?}");
    files.len()
}

#[test]
fn the_list_is_the_same_with_a_server_and_without() {
    let installation = Installation::new(TOGAI).set_up();
    let keys = listed(&installation);
    assert_eq!(states(&keys), [("EdDSA", "signing"), ("ES256", "signing")]);
    assert_eq!(files(&installation), 2);
    let table = installation.cli(["keys", "list"]).done().out;
    let server = installation.start();
    assert_eq!(listed(&server), keys);
    assert_eq!(server.cli(["keys", "list"]).done().out, table);
    assert_eq!(rows(&table)[0], "KID ALGORITHM STATE PUBLISHED UNTIL");
    let kids: BTreeSet<String> =
        keys.iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect();
    assert_eq!(published(&server), kids);
    let names = server.cli(["keys", "list", "--quiet"]).done().out;
    assert_eq!(names.lines().map(str::to_owned).collect::<BTreeSet<_>>(), kids);
    // What was rotated before a server runs is there when it does.
    let installation = server.stop();
    installation.cli(["keys", "rotate"]).done();
    let keys = listed(&installation);
    assert_eq!(states(&keys).iter().filter(|(_, state)| *state == "next").count(), 2);
    let server = installation.start();
    assert_eq!(listed(&server), keys);
    assert_eq!(published(&server).len(), 4);
}

#[test]
fn where_no_api_has_access_tokens_it_says_so() {
    both_ways(|installation| {
        let none = installation.cli(["keys", "list"]).done();
        assert_eq!(none.out, "");
        assert!(none.err.contains("no API here has access tokens"), "{}", none.err);
        for arguments in [&["keys", "rotate"][..], &["keys", "rotate", "--at-once"]] {
            let why = installation.cli(arguments).failed(1);
            assert!(why.contains("[api.NAME.access_tokens]"), "{why}");
        }
        assert!(!installation.data().join("keys").exists());
    });
}

#[test]
fn what_was_signed_outlives_a_rotation_but_not_a_leak() {
    let upstream = Upstream::start();
    let mut installation = Installation::of_examples(&upstream);
    // In one and the same name, whichever port it has.
    installation.set("COUNTERFOIL_SERVER_PUBLIC_URL", "http://127.0.0.1:8080");
    let server = installation.set_up().start();
    let token = server.issue("togai", &[]);
    let exchange = |server: &Server| {
        server.cli_reading(&token.secret, ["token", "exchange", "--quiet"]).done().out
    };
    let status = |server: &Server, access_token: &str| {
        let line = format!("Authorization: Bearer {}", access_token.trim());
        server.curl("/togai/events", ["--header", &line]).status
    };
    let first = exchange(&server);
    assert_eq!(status(&server, &first), 200);
    let before = published(&server);

    let rotated = server.cli(["keys", "rotate", "--json"]).done().json();
    assert_eq!(rotated["made"].as_array().unwrap().len(), 2);
    assert_eq!(rotated["withdrawn"].as_array().unwrap().len(), 0);
    let both = published(&server);
    assert!(both.is_superset(&before) && both.len() == 4, "{both:?}");
    assert_eq!(files(&server), 4);
    assert_eq!(status(&server, &first), 200);
    // The next ones wait for their day, and there is one of each.
    let second = exchange(&server);
    let header = |access_token: &str| access_token.split('.').next().unwrap().to_owned();
    assert_eq!(header(&second), header(&first));
    let again = server.cli(["keys", "rotate"]).done();
    assert!(again.err.contains("nothing was done"), "{}", again.err);
    assert_eq!(published(&server), both);

    let rotated = server.cli(["keys", "rotate", "--at-once", "--json"]).done().json();
    assert_eq!(rotated["withdrawn"].as_array().unwrap().len(), 4);
    assert_eq!(
        states(rotated["keys"].as_array().unwrap()),
        [("EdDSA", "signing"), ("ES256", "signing")]
    );
    let after = published(&server);
    assert!(after.is_disjoint(&both) && after.len() == 2, "{after:?}");
    assert_eq!(files(&server), 2);
    for access_token in [&first, &second] {
        assert_eq!(status(&server, access_token), 401);
        let decoded = server.cli_reading(access_token, ["token", "decode", "--json"]).done().json();
        assert_eq!(decoded["signed_here"], false);
    }
    // The token itself is as it was.
    let third = exchange(&server);
    assert_eq!(status(&server, &third), 200);
    // Who has done what to which keys stands in the log.
    let log = server.process().log();
    for word in ["\"at_once\":true", "\"Removed\"", "\"Made\""] {
        assert!(log.contains(word), "{word}: {log}");
    }
    assert!(!log.contains(&token.secret) && !log.contains(third.trim()));
    let server = server.stop().start();
    assert_eq!((status(&server, &first), status(&server, &third)), (401, 200));
}
