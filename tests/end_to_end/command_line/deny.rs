//! `counterfoil token deny`: refused by one node, whatever the database says.

use crate::{
    installation::{Installation, Token},
    response::Response,
    server::Server,
    upstream::Upstream,
    wire::Wire,
};
use std::os::unix::fs::PermissionsExt as _;

fn server(upstream: &Upstream) -> Server {
    let configuration = format!("[api.orders]\nupstream = \"{}\"\n", upstream.url());
    Installation::new(&configuration).set_up().start()
}

fn ask(server: &Server, token: &Token) -> Response {
    server.curl("/orders/7", ["--header", &format!("Authorization: Bearer {}", token.secret)])
}

fn denied(server: &Server) -> Vec<String> {
    let ids = server.cli(["token", "deny", "--list", "--quiet"]).done().out;
    ids.lines().map(str::to_owned).collect()
}

fn metric(server: &Server) -> String {
    let metrics = server.scrape();
    let line = "counterfoil_tokens_denied ";
    metrics.lines().find_map(|it| it.strip_prefix(line)).unwrap().to_owned()
}

#[test]
fn a_denied_token_looks_revoked_until_that_is_lifted() {
    let upstream = Upstream::start();
    let server = server(&upstream);
    let [doomed, found, revoked, other] = [(); 4].map(|()| server.issue("orders", &[]));
    server.cli(["token", "revoke", &revoked.id]).done();
    assert_eq!((denied(&server), metric(&server)), (vec![], "0".to_owned()));

    let said = server.cli(["token", "deny", &doomed.id]).done();
    assert_eq!(said.out, "");
    for words in ["denied at this node", "not revoked", "token revoke", &doomed.id] {
        assert!(said.err.contains(words), "{words}: {}", said.err);
    }
    let by_secret = ["token", "deny", "--secret-file", "-", "--json"];
    let answer = server.cli_reading(&found.secret, by_secret).done().json();
    assert_eq!(answer["token"], found.id);
    for token in [&doomed, &found] {
        let answer = ask(&server, token);
        assert_eq!((answer.status, answer.face()), (401, ask(&server, &revoked).face()));
        let why = server.cli(["why", answer.request_id()]).done().out;
        assert!(why.contains("revoked") && why.contains("the operator has this node deny it"));
    }
    assert_eq!(ask(&server, &other).status, 200);
    // It is no change: the ledger and all who read it know nothing of it.
    let shown = server.cli(["token", "show", &doomed.id, "--json"]).done().json();
    assert_eq!(shown["state"], "active");
    let shown = server.cli(["token", "show", &doomed.id]).done().out;
    assert!(shown.contains("active, but refused: the operator has this node deny it"), "{shown}");

    let mut both = vec![doomed.id.clone(), found.id.clone()];
    both.sort_unstable();
    assert_eq!((denied(&server), metric(&server)), (both.clone(), "2".to_owned()));
    let file = server.data().join("denied-tokens");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o7777, 0o600);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), both.join("\n") + "\n");

    // A restart remembers, and says so.
    let server = server.kill().start();
    assert_eq!(server.process().wait_for_message("this node denies tokens that are not revoked; `counterfoil token deny --list` names them")["denied"], 2);
    assert_eq!((ask(&server, &doomed).status, ask(&server, &other).status), (401, 200));

    server.cli(["token", "deny", "--lift", &doomed.id]).done();
    assert_eq!(ask(&server, &doomed).status, 200);
    let why = server.cli(["token", "deny", "--lift", &doomed.id]).failed(1);
    assert!(why.contains("does not deny"), "{why}");
    // What is revoked need not be denied.
    server.cli(["token", "revoke", &found.id]).done();
    assert_eq!((denied(&server), metric(&server)), (vec![], "0".to_owned()));
    let said = server.cli(["token", "deny", &found.id]).done().err;
    assert!(said.contains("revoked already"), "{said}");
    let server = server.stop().start();
    assert!(!file.exists());
    assert_eq!((ask(&server, &doomed).status, ask(&server, &found).status), (200, 401));
}

#[test]
fn it_is_the_operators_and_wants_a_server() {
    let upstream = Upstream::start();
    let server = server(&upstream);
    let token = server.issue("orders", &[]);
    let ours = server.issue("counterfoil", &["--scope", "tokens:write", "--scope", "tokens:read"]);
    for (method, path) in [
        ("GET", "/v1/denied-tokens".to_owned()),
        ("PUT", format!("/v1/denied-tokens/{}", token.id)),
        ("DELETE", format!("/v1/denied-tokens/{}", token.id)),
    ] {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\n\r\n",
            ours.secret
        );
        let answer = Wire::connect(server.main).unwrap().exchange(request).unwrap();
        assert_eq!(answer.status, 403, "{method}: {answer:?}");
    }
    assert_eq!(ask(&server, &token).status, 200);

    // An id that nobody knows may be one that this node has not heard of yet.
    let unknown = token.id.replace(&token.id[30..], "ffffff");
    let said = server.cli(["token", "deny", &unknown]).done().err;
    assert!(said.contains("knows no token with this id"), "{said}");
    let said = server.cli(["token", "deny", "orders"]).failed(2);
    assert!(said.contains("expected a UUID"), "{said}");
    let said = server.cli_reading("nothing", ["token", "deny", "--secret-file", "-"]).failed(1);
    assert!(said.contains("no token that this node knows"), "{said}");
    server.cli(["token", "deny"]).failed(2);

    let installation = server.stop();
    let said = installation.cli(["token", "deny", &token.id]).failed(1);
    assert!(said.contains("no server runs on"), "{said}");
    // What cannot be read is not passed over.
    std::fs::write(installation.data().join("denied-tokens"), "all of them\n").unwrap();
    let said = installation.cli(["serve"]).failed(1);
    assert!(said.contains("denied-tokens"), "{said}");
}
