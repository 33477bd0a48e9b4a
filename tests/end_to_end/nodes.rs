//! Three nodes on one database: whatever happens to nodes, to the database and to what is
//! between them, a token that was revoked is accepted by no request that comes later.

mod alike;
mod denied;
mod guesses;
mod one;
mod operated;
mod outage;
mod signing;
mod storm;
mod streams;
mod upgrade;

use crate::{
    installation::{ADA, Installation, Token},
    postgres::Postgres,
    process::PATIENCE,
    response::Response,
    server::Server,
    upstream::Upstream,
    valve::Valve,
    wire::Wire,
};
use serde_json::{Value, json};
use std::{
    io::Result,
    net::{SocketAddr, TcpStream},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Instant,
};

const NODES: usize = 3;
/// Theirs, in a cluster of their own.
const DATABASE: &str = "postgres";

/// The same where something is in between.
fn url_through(valve: &Valve, postgres: &Postgres) -> String {
    let port = |port: u16| format!(":{port}/");
    postgres.url_of(DATABASE).replace(&port(postgres.port()), &port(valve.port()))
}

/// Has clients stop, also where the test fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Nodes, all on one database, and what is behind them.
struct Nodes {
    // Before what they stand on.
    servers: Vec<Option<Server>>,
    _upstream: Upstream,
}

impl Nodes {
    /// Nodes that reach their database under these addresses, with leases of so many seconds.
    fn start(postgres: &Postgres, urls: &[String], lease: u32) -> Self {
        Self::start_as(postgres, urls, lease, |_| {})
    }

    /// The same of installations about which there is something to set.
    fn start_as(
        postgres: &Postgres,
        urls: &[String],
        lease: u32,
        set: impl Fn(&mut Installation),
    ) -> Self {
        let upstream = Upstream::start();
        let installation = |url: &str| {
            let mut installation = installation(&upstream, url);
            set(&mut installation);
            installation
        };
        let first = installation(&postgres.url_of(DATABASE)).set_up();
        let length = format!("UPDATE cluster SET lease_seconds = {lease}, wait_seconds = {lease}");
        postgres.run(DATABASE, &length);
        drop(first);
        let start = |url: &String| Some(installation(url).start());
        let servers = urls.iter().map(start).collect();
        let this = Self { servers, _upstream: upstream };
        (0..urls.len()).for_each(|node| this.wait_until_ready(node));
        this
    }

    /// Three nodes that reach it directly.
    fn on(postgres: &Postgres, lease: u32) -> Self {
        Self::start(postgres, &vec![postgres.url_of(DATABASE); NODES], lease)
    }

    fn node(&self, node: usize) -> &Server {
        self.servers[node].as_ref().unwrap()
    }

    fn wait_until_ready(&self, node: usize) {
        wait_until("a node is ready", || {
            let asked = ask(self.node(node).main, "GET /readyz HTTP/1.1\r\nhost: a\r\n\r\n");
            asked.is_ok_and(|response| response.status == 200)
        });
    }

    fn issue(&self, count: usize) -> Vec<Token> {
        (0..count).map(|_| self.issue_at(0)).collect()
    }

    fn issue_at(&self, node: usize) -> Token {
        let body = json!({"api": "orders", "owner": ADA}).to_string();
        let mut operator = self.node(node).operator().unwrap();
        let answer = operator.call("POST", "/v1/tokens", &body).unwrap();
        assert_eq!(answer.status, 201, "{answer:?}");
        let token = Token::of(answer.json());
        if token.json["effective"] == "pending" {
            // To issue does not wait for long. That nothing is to be changed is said once the
            // token is everywhere.
            let path = format!("/v1/tokens/{}", token.id);
            let answer = operator.call("PATCH", &path, r#"{"state": "active"}"#).unwrap();
            assert_eq!(answer.status, 200, "{answer:?}");
        }
        token
    }

    /// What a node's gateway answers to this token now.
    fn judge(&self, node: usize, token: &Token) -> u16 {
        ask(self.node(node).gateway, judged(token)).unwrap().status
    }

    /// Revokes a token at a node, however often that has to be tried.
    fn revoke(&self, node: usize, token: &Token) -> Value {
        let began = Instant::now();
        loop {
            match revoke(self.node(node), token) {
                Ok(answer) if answer.status == 200 => {
                    let answer = answer.json();
                    assert_eq!(answer["effective"], "everywhere", "{answer}");
                    return answer;
                }
                other => assert!(began.elapsed() < PATIENCE, "{other:?}"),
            }
            thread::yield_now();
        }
    }

    /// What the ledger has is what is there.
    fn is_sound(&self) {
        self.node(0).cli(["ledger", "verify"]).done();
    }
}

fn installation(upstream: &Upstream, url: &str) -> Installation {
    let upstream = upstream.url();
    let configuration = format!(
        "[console]\noperators = [\"{ADA}\"]\n[api.orders]\nupstream = \"{upstream}\"\n\
         [api.bills]\nupstream = \"{upstream}\"\n\
         [api.facets]\nupstream = \"{upstream}\"\nschemes = [\"basic\"]\n"
    );
    let mut installation = Installation::new(&configuration);
    installation.set("COUNTERFOIL_DATABASE_URL", url);
    installation.set("COUNTERFOIL_FORWARD_AUTH_PROXY", "envoy");
    // A line for each refusal would be most of the work.
    let level = "warn,counterfoil::replica=info,counterfoil::cli::serve=info";
    installation.set("COUNTERFOIL_LOG_LEVEL", level);
    installation
}

fn revoke(server: &Server, token: &Token) -> Result<Response> {
    server.operator()?.call("POST", &format!("/v1/tokens/{}/revoke", token.id), "{}")
}

/// A request with this token.
fn judged(token: &Token) -> String {
    format!("GET /orders/7 HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\n\r\n", token.secret)
}

fn ask(address: SocketAddr, request: impl AsRef<[u8]>) -> Result<Response> {
    Wire::<TcpStream>::connect(address)?.exchange(request)
}

/// Waits until something is so, and no longer than anything may take.
#[track_caller]
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "it does not come to pass that {what}");
        thread::yield_now();
    }
}
