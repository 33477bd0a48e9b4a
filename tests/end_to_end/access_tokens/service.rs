//! A service that verifies access tokens itself: the library's own example, beside a real server.

use super::{APIS, access_token};
use crate::{
    installation::{ADA, Installation, built},
    process::{PATIENCE, Running},
    response::{Response, curl},
};
use serde_json::json;
use std::{
    net::{SocketAddr, TcpListener},
    process::Command,
    time::Instant,
};

/// The example, which says itself where it listens.
fn start(issuer: &str, arguments: &[&str]) -> (Running, SocketAddr) {
    let mut command = Command::new(built("examples/axum"));
    command.arg(issuer).args(arguments).arg("127.0.0.1:0");
    let service = Running::start(&mut command);
    let address =
        service.wait_for_line(|line| line.strip_prefix("listening on http://")?.parse().ok());
    (service, address)
}

fn send(service: SocketAddr, bearer: &str) -> Response {
    let line = format!("authorization: Bearer {bearer}");
    curl(service, "/ingest", ["--header", &line, "--data-binary", "one\ntwo\n"])
}

#[test]
fn the_example_takes_what_was_issued_and_nothing_else() {
    // Whoever verifies has to know the issuer before it listens.
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let issuer = format!("http://{free}");
    let mut installation = Installation::new(APIS);
    installation.set("COUNTERFOIL_SERVER_LISTEN", &free.to_string());
    let installation = installation.set_up();
    let writer = installation.issue("ingest", &["--scope", "write"]);
    let reader = installation.issue("ingest", &["--scope", "read"]);
    let billing = installation.issue("billing", &[]);

    // The service is there first, and says that it knows no keys yet.
    let (_service, address) = start(&issuer, &["ingest", "write"]);
    let nothing: [&str; 0] = [];
    assert_eq!(curl(address, "/readyz", nothing).status, 503);
    let server = installation.start();
    let deadline = Instant::now() + PATIENCE;
    while curl(address, "/readyz", nothing).status != 200 {
        assert!(Instant::now() < deadline, "it never has keys");
    }

    let bearer = access_token(server.main, &writer.secret);
    let taken = send(address, &bearer);
    assert_eq!(taken.status, 200, "{taken:?}");
    let organization = &writer.organization;
    let expected = json!({"organization": organization, "account": writer.owner, "bytes": 8});
    assert_eq!(taken.json(), expected);

    // Less than it asks for, another API's, no access token, and nothing.
    let narrow = send(address, &access_token(server.main, &reader.secret));
    assert_eq!(narrow.status, 403);
    assert!(narrow.header("www-authenticate").contains("insufficient_scope"), "{narrow:?}");
    for bearer in [access_token(server.main, &billing.secret), writer.secret.clone(), "x".into()] {
        assert_eq!(send(address, &bearer).status, 401, "{bearer}");
    }
    // Without Counterfoil it goes on, with the keys that it has.
    let again = access_token(server.main, &writer.secret);
    server.cli(["account", "disable", ADA]);
    drop(server);
    assert_eq!(send(address, &again).status, 200);
}
