//! What pages show where several nodes share a database.

use super::Page;
use crate::{
    installation::{ADA, Installation},
    postgres::Postgres,
    server::Server,
    upstream::Upstream,
};

/// What is another where there is more than one node.
pub const AMONG_NODES: &[Page] = &[
    Page {
        name: "operator-of-nodes",
        path: "/operator",
        signed_in: Some(ADA),
        before: |browser, _| {
            browser.sees("3 nodes share this database");
            browser.sees("Nodes judge differently");
            browser.until("the others are seen to renew", || {
                let told = browser.text_of("//section[@id='nodes']");
                (told.matches("Renewed ").count() == 2).then_some(())
            });
        },
    },
    Page {
        name: "receipt-of-nodes",
        path: "/tokens",
        signed_in: Some(ADA),
        before: |browser, server| {
            let token = server.issue("orders", &["--name", "nightly export"]);
            browser.go(&format!("/tokens/{}/revoke", token.id));
            browser.fill("Reason", "In a public log");
            browser.press("Revoke");
            browser.sees("Refused on 3 of 3 in ");
        },
    },
];

/// Three nodes on a database of their own, of which the last has another configuration.
pub fn stage_of_nodes(upstream: &Upstream, postgres: &Postgres) -> [Server; 3] {
    let url = postgres.url();
    let plain = format!(
        "[console]\noperators = [\"{ADA}\"]\n[api.orders]\nupstream = \"{}\"\n",
        upstream.url()
    );
    let another = format!("{plain}issuers = \"administrators\"\n");
    let installation = |configuration: &str| {
        let mut installation = Installation::new(configuration);
        installation.set("COUNTERFOIL_DATABASE_URL", &url);
        installation
    };
    let first = installation(&plain).set_up();
    first.give_password(ADA);
    let servers = [first, installation(&plain), installation(&another)];
    servers.map(Installation::start)
}
