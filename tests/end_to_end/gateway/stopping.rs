//! Stopping: what is under way ends, nothing new begins.

use super::{get, serve};
use crate::{installation::Installation, process::PATIENCE, wire::Wire};
use std::{
    io::ErrorKind,
    net::{TcpListener, TcpStream},
    time::{Duration, Instant},
};

#[test]
fn what_is_under_way_may_end() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = serve(listener.local_addr().unwrap());
    let mut idle = server.connect().unwrap();
    assert_eq!(idle.exchange(get("/nothing")).unwrap().status, 404);
    let mut client = server.connect().unwrap();
    client.send(get("/open/7")).unwrap();
    let mut upstream = Wire::accept(&listener);
    upstream.read_head().unwrap();

    server.process().terminate();
    server.process().wait_for_message("stopping");
    // Who was only waiting for another idea is let go.
    assert_eq!(idle.read_to_end().unwrap(), b"");
    for address in [server.gateway, server.main, server.metrics] {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match TcpStream::connect(address) {
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => break,
                // One that was let in just before is closed again.
                _ => assert!(Instant::now() < deadline, "{address} still listens"),
            }
        }
    }

    upstream.send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone").unwrap();
    let response = client.read_response().unwrap();
    assert_eq!((response.status, response.text()), (200, "done"));
    let (status, log, installation) = server.wait();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("\"message\":\"stopped\""), "{log}");
    assert!(!installation.data().join("operator.sock").exists());
}

#[test]
fn it_can_be_stopped_as_soon_as_it_listens() {
    let mut installation = Installation::new("");
    for _ in 0..5 {
        installation = installation.start().stop();
    }
}

#[test]
fn whoever_cannot_wait_asks_twice() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = serve(listener.local_addr().unwrap());
    let mut client = server.connect().unwrap();
    client.send(get("/open/7")).unwrap();
    let mut upstream = Wire::accept(&listener);
    upstream.read_head().unwrap();
    server.process().terminate();
    server.process().wait_for_message("stopping");
    // The upstream never answers; the second time nothing is waited for.
    let deadline = Instant::now() + PATIENCE;
    while !server.process().ends_within(Duration::from_millis(20)) {
        server.process().terminate();
        assert!(Instant::now() < deadline, "it does not stop");
    }
    let (status, log, _) = server.wait();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("stopping at once"), "{log}");
}

#[test]
fn nothing_is_lost_by_stopping() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = serve(listener.local_addr().unwrap());
    let token = server.issue("orders", &[]);
    let installation = server.stop();
    let listed = installation.cli(["token", "list", "--quiet"]).done();
    assert_eq!(listed.out.trim(), token.id);
    installation.cli(["ledger", "verify"]).done();
}
