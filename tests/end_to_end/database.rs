//! One server on PostgreSQL: what it does there, why it does not start, how it is spoken with, and
//! what becomes of a change when its answer is lost.

mod lost;
mod refused;
mod secure;
mod side_by_side;

use crate::{
    caller::Caller,
    installation::{ADA, Installation, Token},
    postgres::Postgres,
    server::Server,
    upstream::Upstream,
};
use serde_json::json;

/// An installation with one API, on this database.
fn installation(upstream: &Upstream, url: &str) -> Installation {
    let configuration = format!("[api.orders]\nupstream = \"{}\"\n", upstream.url());
    let mut installation = Installation::new(&configuration);
    installation.set("COUNTERFOIL_DATABASE_URL", url);
    installation
}

fn judged(server: &Server, token: &Token) -> u16 {
    let line = format!("authorization: Bearer {}", token.secret);
    server.curl("/orders/7", ["-H", &line]).status
}

#[test]
fn what_was_done_is_there_again_whatever_happens_to_the_server() {
    let (postgres, upstream) = (Postgres::start(), Upstream::start());
    // Nothing is there; a command makes it, without a server.
    let installation = installation(&upstream, &postgres.url()).set_up();
    let early = installation.issue("orders", &["--name", "early"]);
    let server = installation.start();
    let [live, revoked, paused] = [(); 3].map(|()| server.issue("orders", &[]));
    for token in [&early, &live, &revoked, &paused] {
        assert_eq!(judged(&server, token), 200);
    }
    server.cli(["token", "revoke", &revoked.id]).done();
    server.cli(["token", "pause", &paused.id]).done();
    let service = Caller::new(&server, ADA, &["orders:verify"], &[]);
    let has_all = |server: &Server| {
        for (token, status, code) in
            [(&early, 200, None), (&live, 200, None), (&revoked, 401, Some("revoked"))]
        {
            assert_eq!(judged(server, token), status);
            let asked = json!({"api": "orders", "secret": token.secret});
            let answer = Caller::with(server, service.token.clone()).post("/v1/verify", &asked);
            assert_eq!(answer.status, 200, "{answer:?}");
            assert_eq!(answer.json()["code"].as_str(), code);
        }
        assert_eq!(judged(server, &paused), 401);
    };
    has_all(&server);
    let server = server.kill().start();
    has_all(&server);
    let installation = server.stop();
    // And without a server.
    installation.cli(["token", "resume", &paused.id]).done();
    let verified = installation.cli(["ledger", "verify", "--json"]).done().json();
    let server = installation.start();
    assert_eq!(judged(&server, &paused), 200);
    assert_eq!(server.cli(["ledger", "verify", "--json"]).done().json(), verified);
    // The database holds no more than the server's own connections, and no row of one that left.
    server.stop();
    let nodes = postgres.run("test_0", "SELECT count(*) FROM node");
    // The one that was killed is struck off by whoever watches it.
    assert!(["0", "1"].contains(&nodes.as_str()), "{nodes}");
}
