//! nginx that asks several nodes, as docs/many-nodes.md has it: only the node that has refused a
//! request knows the refusal.

use super::{APIS, Proxy, programs, programs::Program};
use crate::{installation::Installation, response::curl, upstream::NOBODY};
use std::path::Path;

/// How a node's metrics count what is asked here.
const COUNTED: &str = "{door=\"forward_auth\",api=\"orders\",outcome=\"missing_credential\"} ";

/// The page's `upstream` block.
fn shown() -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/many-nodes.md");
    let page = std::fs::read_to_string(page).unwrap();
    let block = page.split_once("```nginx\n").unwrap().1;
    block.split_once("```\n").unwrap().0.to_owned()
}

#[test]
fn every_refusal_is_found_at_the_node_that_has_refused() {
    let apis = APIS.replace("finout", "orders");
    let nodes = [(); 3].map(|()| {
        let mut installation = Installation::new(&apis);
        installation.set("COUNTERFOIL_FORWARD_AUTH_STRIP_MOUNTS", "true");
        installation.set_up().start()
    });
    let mut several = shown();
    for (number, node) in (1..).zip(&nodes) {
        let there = format!("counterfoil-{number}.internal:8082");
        assert!(several.contains(&there), "{several}");
        several = several.replace(&there, &node.forward_auth.to_string());
    }
    let page = programs::page(Proxy::Nginx, 0).replace("127.0.0.1:9000", &NOBODY.to_string());
    let start = page.find("upstream counterfoil {").unwrap();
    let end = start + page[start..].find("}\n").unwrap() + 2;
    let page = format!("{}{several}{}", &page[..start], &page[end..]);
    let program =
        Program::nginx(|address| page.replace("listen 80;", &format!("listen {address};")));
    // Which node is asked is chance: one in 10 billion times this is too few.
    for _ in 0..60 {
        let nothing: [&str; 0] = [];
        let refused = curl(program.address, "/orders/7", nothing);
        assert_eq!(refused.status, 401, "{refused:?}");
        assert_eq!(refused.json()["code"], "missing_credential");
        assert_eq!(refused.json()["request_id"], refused.request_id());
    }
    for node in &nodes {
        let metrics = node.scrape();
        let (_, refused) = metrics.split_once(COUNTED).unwrap();
        assert!(!refused.starts_with("0\n"), "a node that was never asked");
    }
}
