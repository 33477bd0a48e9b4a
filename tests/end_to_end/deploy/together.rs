//! What compose starts, started by hand: PostgreSQL, the server of shared limits, three nodes
//! with the configuration that compose gives them, and nginx.

use super::{
    balancer::Front,
    compose::{self, Made},
    text,
};
use crate::{
    installation::{ADA, Installation},
    postgres::Postgres,
    process::PATIENCE,
    redis::Redis,
    response::curl,
    server::Server,
    upstream::Upstream,
};
use std::{net::TcpListener, time::Instant};

const NODES: usize = 3;

fn start(made: &Made, postgres: &str, limiter: &str, upstream: &Upstream) -> Server {
    let (secrets, keys) = (made.secrets().join(""), made.keys());
    let configuration = text("compose/counterfoil.toml")
        .replace("/run/secrets/", secrets.to_str().unwrap())
        .replace(compose::KEYS, keys.to_str().unwrap())
        .replace("172.30.0.2", "127.0.0.1");
    let mut installation = Installation::new(&configuration);
    installation.set("COUNTERFOIL_DATABASE_URL", postgres);
    installation.set("COUNTERFOIL_LIMITER_URL", limiter);
    installation.set("COUNTERFOIL_LIMITER_PATIENCE_MS", "1000");
    installation.set("COUNTERFOIL_API_ORDERS_UPSTREAM", &upstream.url());
    installation.start()
}

#[test]
fn a_token_of_one_node_is_good_at_all_and_revoked_at_all() {
    let (made, upstream, postgres) = (Made::make(), Upstream::start(), Postgres::start());
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let options = compose::valkey_options(&made);
    let options: Vec<_> = options.iter().map(String::as_str).chain(["--port", &port]).collect();
    let _redis = Redis::with(&options);
    let limiter = format!("valkey://counterfoil@127.0.0.1:{port}");
    let database = postgres.url();
    let nodes = [(); NODES].map(|()| start(&made, &database, &limiter, &upstream));
    for node in &nodes {
        becomes_ready(node);
    }
    let front = Front::before(nodes.each_ref().map(|node| [node.main, node.gateway]));

    nodes[0].cli(["init", "--email", ADA]).done();
    let token = nodes[0].issue("orders", &[]);
    let bearer = format!("Authorization: Bearer {}", token.secret);
    let ask = || front.status("/orders/7", &["--header", &bearer]);
    for _ in 0..NODES * 2 {
        assert_eq!(ask(), 200);
    }
    assert_eq!(upstream.take().len(), NODES * 2);
    nodes[1].cli(["token", "revoke", &token.id]).done();
    for _ in 0..NODES * 2 {
        assert_eq!(ask(), 401);
    }
    assert!(upstream.take().is_empty());
    for node in &nodes {
        let metrics = node.scrape();
        assert!(metrics.contains("counterfoil_limiter_shared_up 1"), "{metrics}");
        assert!(metrics.contains("counterfoil_limiter_decided_alone_total 0"), "{metrics}");
    }
}

/// Waits until a node says that it verifies.
fn becomes_ready(node: &Server) {
    let began = Instant::now();
    while curl(node.main, "/readyz", [] as [&str; 0]).status != 200 {
        assert!(began.elapsed() < PATIENCE, "it does not become ready");
    }
}
