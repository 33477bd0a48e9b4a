//! Durability and concurrency: what was acknowledged is there, once, whatever happens.

mod crowd;
mod storm;

use crate::{
    installation::{ADA, Installation, Token},
    response::Response,
    server::Server,
    upstream::Upstream,
    wire::Wire,
};
use serde_json::{Value, json};
use std::{
    io::{Read, Result, Write},
    thread,
};

/// A server with one API, and its upstream.
fn stage() -> (Upstream, Server) {
    let upstream = Upstream::start();
    let configuration = format!("[api.orders]\nupstream = \"{}\"\n", upstream.url());
    (upstream, Installation::new(&configuration).set_up().start())
}

/// Does something in many threads at once, and tells what each of them came to.
fn all_at_once<T: Send>(clients: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> =
            (0..clients).map(|client| scope.spawn(move || work(client))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// Asks the operator's API for a token.
fn issue<S: Read + Write>(operator: &mut Wire<S>) -> Result<Token> {
    let body = json!({"api": "orders", "owner": ADA}).to_string();
    let answer = operator.call("POST", "/v1/tokens", &body)?;
    assert_eq!(answer.status, 201, "{answer:?}");
    Ok(Token::of(answer.json()))
}

/// Has the gateway judge these secrets, over a few connections.
fn judge(server: &Server, secrets: &[&str]) -> Vec<u16> {
    let connections = 4;
    let part = secrets.len().div_ceil(connections).max(1);
    let parts: Vec<&[&str]> = secrets.chunks(part).collect();
    let judged = all_at_once(parts.len(), |index| {
        let mut wire = server.connect().unwrap();
        let mut judge = |secret: &&str| -> Response {
            wire.exchange(format!(
                "GET /orders/7 HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {secret}\r\n\r\n"
            ))
            .unwrap()
        };
        parts[index].iter().map(|secret| judge(secret).status).collect::<Vec<u16>>()
    });
    judged.concat()
}

/// Every token that there is.
fn listed(server: &Server) -> Vec<Value> {
    let mut operator = server.operator().unwrap();
    let mut tokens = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/v1/tokens?limit=1000{cursor}");
        let mut list = operator.call("GET", &path, "").unwrap().json();
        if let Value::Array(items) = list["items"].take() {
            tokens.extend(items);
        }
        match &list["next_cursor"] {
            Value::String(next) => cursor = format!("&cursor={next}"),
            _ => return tokens,
        }
    }
}
