//! What somebody else has already: ports and the data directory.

use super::ORDERS;
use crate::installation::{ADA, Installation};
use std::net::TcpListener;

#[test]
fn a_port_that_is_in_use_and_the_setting_that_names_it() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for listener in ["server", "gateway", "metrics"] {
        let mut installation = Installation::new(ORDERS);
        let variable = format!("COUNTERFOIL_{}_LISTEN", listener.to_uppercase());
        installation.set(&variable, &address);
        let error = installation.cli(["serve"]).failed(1);
        let expected = format!(
            "counterfoil: {listener}.listen: {address} is in use by another program; stop that \
             one, or set another address in the configuration or in {variable}\n"
        );
        assert_eq!(error, expected);
        // Nothing stays behind that would be in the way.
        installation.set(&variable, "127.0.0.1:0");
        installation.set_up().start();
    }
}

#[test]
fn an_address_that_is_not_this_machines() {
    let mut installation = Installation::new(ORDERS);
    installation.set("COUNTERFOIL_GATEWAY_LISTEN", "192.0.2.1:8081");
    let error = installation.cli(["serve"]).failed(1);
    assert!(
        error.starts_with("counterfoil: gateway.listen: 192.0.2.1:8081 cannot be listened on: "),
        "{error}"
    );
}

#[test]
fn two_listeners_on_one_address() {
    let mut installation = Installation::new(ORDERS);
    let free = TcpListener::bind("127.0.0.2:0").unwrap().local_addr().unwrap().to_string();
    installation.set("COUNTERFOIL_GATEWAY_LISTEN", &free);
    installation.set("COUNTERFOIL_METRICS_LISTEN", &free);
    let outcome = installation.cli(["serve"]);
    assert!(matches!(outcome.code, Some(1 | 2)), "{outcome:?}");
    assert!(outcome.err.contains("metrics.listen"), "{outcome:?}");
}

#[test]
fn a_second_server_on_the_same_data() {
    let server = Installation::new(ORDERS).set_up().start();
    let token = server.issue("orders", &[]);
    let error = server.cli(["serve"]).failed(1);
    let expected = format!(
        "counterfoil: the data directory {} is in use by another counterfoil process (process {}); \
         stop that one, or give this one another directory with --data\n",
        server.data().display(),
        server.process().id(),
    );
    assert_eq!(error, expected);
    // The first one has not noticed.
    let listed = server.cli(["token", "list", "--quiet"]).done();
    assert_eq!(listed.out.trim(), token.id);
}

#[test]
fn what_a_killed_server_leaves_behind_is_in_nobodys_way() {
    let server = Installation::new(ORDERS).set_up().start();
    let token = server.issue("orders", &[]);
    let installation = server.kill();
    assert!(installation.data().join("operator.sock").exists());
    let listed = installation.cli(["token", "list", "--quiet"]).done();
    assert_eq!(listed.out.trim(), token.id);
    installation.cli(["init", "--email", ADA]).failed(1);
    let server = installation.start();
    let listed = server.cli(["token", "list", "--quiet"]).done();
    assert_eq!(listed.out.trim(), token.id);
}
