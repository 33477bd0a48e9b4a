//! The five contracts: what the gateway answers, the door tells every kind of proxy.

use super::{PROXIES, Proxy, ask, identity, identity_fields};
use crate::{
    installation::Installation,
    rows::{Outcome, Row, rows},
    server::Server,
    upstream::Upstream,
};

#[test]
fn every_proxy_hears_what_the_gateway_answers() {
    let upstream = Upstream::start();
    let mut server = Installation::of_examples(&upstream).set_up().start();
    let rows = rows(&server);
    // What expired meanwhile was let through until then.
    upstream.take();
    for proxy in PROXIES {
        // Proxies keep the prefix under which the gateway has the API, or take it off.
        for under_mounts in [false, true] {
            let mut installation = server.stop();
            installation.set("COUNTERFOIL_FORWARD_AUTH_PROXY", proxy.name());
            let setting = under_mounts.to_string();
            installation.set("COUNTERFOIL_FORWARD_AUTH_STRIP_MOUNTS", &setting);
            server = installation.start();
            for row in &rows {
                let target = if under_mounts { row.mounted() } else { row.path.clone() };
                check(proxy, &server, &upstream, row, &target);
            }
            if under_mounts {
                let question = proxy.question("facets", "GET", "/elsewhere", "");
                assert!(matches!(ask(&server, question).status, 400 | 403));
            }
        }
    }
}

#[track_caller]
fn check(proxy: Proxy, server: &Server, upstream: &Upstream, row: &Row, target: &str) {
    let of_gateway = row.at_the_gateway(server);
    let received = upstream.take();
    let question = proxy.question(row.api, row.method, target, &row.lines());
    let answer = ask(server, question);
    match &row.outcome {
        Outcome::Passes(expected) => {
            assert_eq!(of_gateway.status, 200, "{row:?} {of_gateway:?}");
            assert_eq!(identity(&answer), *expected, "{proxy:?} {row:?}");
            assert_eq!(received[0].identity(), *expected, "{row:?}");
        }
        Outcome::Refused(status, _) => {
            assert!(received.is_empty(), "{row:?}");
            assert_eq!(answer.status, *status, "{proxy:?} {row:?} {answer:?}");
            let challenged = answer.values("www-authenticate").len();
            // One for each way in.
            let ways = if row.api == "togai" { 2 } else { 1 };
            assert_eq!(challenged, if *status == 401 { ways } else { 0 }, "{row:?} {answer:?}");
            assert_eq!(answer.face(), of_gateway.face(), "{proxy:?} {row:?}");
            assert!(identity_fields(&answer).is_empty(), "{answer:?}");
        }
    }
}
