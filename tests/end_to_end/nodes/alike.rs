//! While the database is out of reach, nobody learns from a refusal whether a string was ever a
//! token: what is unknown, what has ended and what is another's are answered alike, at all doors.

use super::{Nodes, ask, judged, wait_until};
use crate::{
    caller::{Caller, call},
    installation::{ADA, Token},
    postgres::Postgres,
    response::Response,
    server::Server,
};
use serde_json::{Value, json};
use std::slice;

/// A string that is made like a token of these APIs, and was never one.
fn invented(prefix: &str) -> String {
    format!("{prefix}_{}", "0".repeat(39))
}

/// Strings that prove nothing, each for another reason.
fn proving_nothing(server: &Server) -> Vec<(&'static str, String)> {
    let of_orders = |arguments: &[&str]| server.issue("orders", arguments);
    let set = |how: &str, token: &Token| drop(server.cli(["token", how, &token.id]).done());
    let [revoked, paused, rotated] = [(); 3].map(|()| of_orders(&[]));
    set("revoke", &revoked);
    set("pause", &paused);
    set("rotate", &rotated);
    let expired = of_orders(&["--expires-in", "1s"]);
    wait_until("it has expired", || gateway(server, &expired.secret).status == 401);
    vec![
        ("invented", invented("orders")),
        ("mistyped", "orders_x".into()),
        ("revoked", revoked.secret),
        ("paused", paused.secret),
        ("rotated away", rotated.secret),
        ("expired", expired.secret),
        ("another API's", server.issue("bills", &[]).secret),
        ("of the management API", server.issue("counterfoil", &["--scope", "tokens:read"]).secret),
    ]
}

fn gateway(server: &Server, secret: &str) -> Response {
    let token = Token { secret: secret.to_owned(), ..nobodys() };
    ask(server.gateway, judged(&token)).unwrap()
}

/// What a token has beside its secret, where that does not matter.
fn nobodys() -> Token {
    let [id, secret, owner, organization] = [(); 4].map(|()| String::new());
    Token { id, secret, owner, organization, json: Value::Null }
}

fn forward_auth(server: &Server, secret: &str) -> Response {
    let question =
        format!("GET /auth/orders/7 HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {secret}\r\n\r\n");
    ask(server.forward_auth, question).unwrap()
}

fn management(server: &Server, secret: &str) -> Response {
    let line = format!("authorization: Bearer {secret}\r\n");
    call(server.main, &line, "GET", "/v1/tokens", "")
}

fn introspection(server: &Server, asker: &Caller, secret: &str) -> Response {
    let form = format!("token={secret}");
    let request = format!(
        "POST /oauth2/introspect HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\n\
         content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{form}",
        asker.token.secret,
        form.len()
    );
    ask(server.main, request).unwrap()
}

/// What is said of a refusal, beside the number under which it is kept.
fn verdict(asker: &Caller, secret: &str) -> Value {
    let answer = asker.post("/v1/verify", &json!({"api": "orders", "secret": secret})).json();
    assert_eq!(answer["active"], false, "{answer}");
    json!([answer["code"], answer["refusal"]["status"]])
}

#[test]
fn refusals_look_alike_while_the_database_is_out_of_reach() {
    let postgres = Postgres::start();
    let url = postgres.url_of(super::DATABASE);
    let nodes = Nodes::start(&postgres, slice::from_ref(&url), 60);
    let server = nodes.node(0);
    let live = nodes.issue(1).remove(0);
    let asker = Caller::new(server, ADA, &["orders:verify"], &[]);
    let ended = server.issue("counterfoil", &["--scope", "tokens:read"]);
    server.cli(["token", "revoke", &ended.id]).done();
    let strings = proving_nothing(server);
    for (what, secret) in &strings {
        assert_eq!(gateway(server, secret).status, 401, "{what}");
    }
    postgres.pause();
    wait_until("it knows that it may not know", || gateway(server, &strings[0].1).status == 503);
    let doors: [fn(&Server, &str) -> Response; 2] = [gateway, forward_auth];
    for door in doors {
        let unknown = door(server, &strings[0].1);
        assert_eq!(unknown.status, 503, "{unknown:?}");
        assert!(!unknown.header("retry-after").is_empty());
        for (what, secret) in &strings {
            assert_eq!(door(server, secret).face(), unknown.face(), "{what}");
        }
        assert_eq!(door(server, &live.secret).status, 200);
    }
    for (what, secret) in &strings {
        assert_eq!(verdict(&asker, secret), json!(["node_stale", 503]), "{what}");
        let introspected = introspection(server, &asker, secret);
        assert_eq!(introspected.status, 503, "{what} {introspected:?}");
    }
    for secret in [&invented("counterfoil"), &ended.secret, &live.secret] {
        assert_eq!(management(server, secret).status, 503);
    }
    // What is no credential at all tells nobody anything.
    assert_eq!(gateway(server, "two words").status, 401);
    postgres.go_on();
    for (what, secret) in &strings {
        wait_until("it is known again", || gateway(server, secret).status == 401);
        assert_eq!(introspection(server, &asker, secret).json()["active"], false, "{what}");
    }
}
