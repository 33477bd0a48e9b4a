//! Wrong passwords, tried at one node after the other: each lets through its part.

use super::{DATABASE, NODES};
use crate::{
    installation::{ADA, Installation},
    postgres::Postgres,
    process::PATIENCE,
    server::Server,
    upstream::Upstream,
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use std::time::Instant;

/// How many wrong passwords of this account a node looks at.
fn looked_at(node: &Server, email: &str, address: &str) -> usize {
    let pair = BASE64_STANDARD.encode(format!("{email}:wrong"));
    let lines = [format!("Authorization: Basic {pair}"), format!("X-Forwarded-For: {address}")];
    let ask = || node.curl("/ours/7", lines.iter().flat_map(|line| ["--header", line])).status;
    (0..20).take_while(|_| ask() == 401).count()
}

#[test]
fn whoever_guesses_at_all_nodes_gets_hardly_further_than_at_one() {
    let (postgres, upstream) = (Postgres::start(), Upstream::start());
    let configuration = format!(
        "[gateway]\ntrusted_proxies = [\"127.0.0.1\"]\n\
         [api.ours]\nupstream = \"{}\"\nschemes = [\"password\"]\n",
        upstream.url()
    );
    let installation = || {
        let mut installation = Installation::new(&configuration);
        installation.set("COUNTERFOIL_DATABASE_URL", &postgres.url_of(DATABASE));
        installation
    };
    // How often they look at each other is a matter of how long leases are.
    drop(installation().set_up());
    let set = "UPDATE cluster SET lease_seconds = 2, wait_seconds = 2";
    postgres.run(DATABASE, set);
    let nodes = [(); NODES].map(|()| installation().start());
    // Until each has seen the others, with a stranger and an address for each try.
    for (number, node) in nodes.iter().enumerate() {
        let began = Instant::now();
        let mut tries = 0;
        let stranger = |tries| (format!("{tries}@example.com"), format!("203.0.113.{tries}"));
        while let (email, address) = stranger(tries)
            && looked_at(node, &email, &address) != 4
        {
            assert!(began.elapsed() < PATIENCE && tries < 200, "node {number} knows no other");
            tries += 1;
        }
    }
    let each = nodes.each_ref().map(|node| looked_at(node, ADA, "192.0.2.7"));
    assert_eq!(each, [4; NODES]);
}
