//! Trailers, and what a client expects before it sends a body.

use super::{Door, serve};
use crate::{server::Server, wire::Wire};
use std::net::{TcpListener, TcpStream};

fn stage() -> (TcpListener, Server) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = serve(listener.local_addr().unwrap());
    (listener, server)
}

/// Fields that have no business behind a body.
const UNFIT: &str = "x-counterfoil-account: root\r\nx_counterfoil_role: root\r\n\
    authorization: root\r\nx-orders-key: root\r\ncontent-length: 7\r\n\
    transfer-encoding: gzip\r\nset-cookie: counterfoil_session=root\r\nhost: root\r\n\
    x-forwarded-for: root\r\nconnection: x-sum\r\n";

/// All that [`UNFIT`] has and one more, as `Trailer` names them.
const NAMED: &str = "x-sum, x-counterfoil-account, x_counterfoil_role, authorization, \
    x-orders-key, content-length, transfer-encoding, set-cookie, host, x-forwarded-for, connection";

#[test]
fn a_requests_trailers_reach_the_upstream() {
    let (listener, server) = stage();
    let mut client = server.connect().unwrap();
    let head = format!(
        "POST /open/7 HTTP/1.1\r\nhost: gateway\r\ntransfer-encoding: chunked\r\ntrailer: {NAMED}\r\n\r\n"
    );
    client
        .send(format!("{head}5\r\nfirst\r\n0\r\n{UNFIT}x-sum: 42\r\nx-other: 1\r\n\r\n"))
        .unwrap();
    let mut upstream = Wire::accept(&listener);
    let head = upstream.read_head().unwrap().to_lowercase();
    assert!(head.contains("\r\ntrailer: x-sum\r\n"), "{head}");
    // What was not announced stays behind.
    assert_eq!(upstream.read_head().unwrap(), "5\r\nfirst\r\n0\r\nx-sum: 42\r\n\r\n");
    upstream.send("HTTP/1.1 204 No Content\r\n\r\n").unwrap();
    assert_eq!(client.read_response().unwrap().status, 204);
}

/// What a client gets that sends these lines, from an upstream whose response has trailers.
fn answered(listener: &TcpListener, server: &Server, lines: &str) -> (String, String) {
    let mut client: Wire<TcpStream> = server.connect().unwrap();
    client.send(format!("GET /open/7 HTTP/1.1\r\nhost: gateway\r\n{lines}\r\n")).unwrap();
    let mut upstream = Wire::accept(listener);
    let asked = upstream.read_head().unwrap().to_lowercase();
    assert_eq!(asked.contains("\r\nte: trailers\r\n"), lines.contains("railers"), "{asked}");
    assert_eq!(asked.contains("\r\nconnection: te\r\n"), lines.contains("railers"), "{asked}");
    let head = format!(
        "HTTP/1.1 200 OK\r\nconnection: close\r\ntransfer-encoding: chunked\r\ntrailer: {NAMED}\r\n\r\n"
    );
    upstream.send(format!("{head}5\r\nfirst\r\n0\r\n{UNFIT}x-sum: 42\r\n\r\n")).unwrap();
    let head = client.read_head().unwrap().to_lowercase();
    (head, client.read_head().unwrap())
}

#[test]
fn a_responses_trailers_reach_a_client_that_takes_them() {
    let (listener, server) = stage();
    for lines in ["te: trailers\r\n", "te: gzip;q=0.1, Trailers\r\nconnection: te\r\n"] {
        let (head, body) = answered(&listener, &server, lines);
        assert!(head.contains("\r\ntrailer: x-sum, x-orders-key\r\n"), "{head}");
        assert!(
            body.starts_with("5\r\nfirst\r\n0\r\n") && body.contains("x-sum: 42\r\n"),
            "{body}"
        );
        assert!(!body.replace("x-orders-key: root", "").contains("root"), "{body}");
    }
    for lines in ["", "te: gzip\r\n"] {
        let (head, body) = answered(&listener, &server, lines);
        assert!(!head.contains("trailer"), "{head}");
        assert_eq!(body, "5\r\nfirst\r\n0\r\n\r\n");
    }
}

#[test]
fn whoever_is_refused_sends_no_body() {
    let door = Door::open();
    let mut client = door.server.connect().unwrap();
    let head = |target: &str, lines: &str| {
        format!(
            "POST {target} HTTP/1.1\r\nhost: gateway\r\n{lines}content-length: 5\r\n\
             expect: 100-continue\r\n\r\n"
        )
    };
    // The first thing to come is the refusal, and nothing is waited for.
    assert_eq!(client.exchange(head("/orders/7", "")).unwrap().status, 401);
    let mut client = door.server.connect().unwrap();
    let bearer = format!("{}\r\n", door.bearer());
    client.send(head("/orders/7", &bearer)).unwrap();
    assert_eq!(client.read_head().unwrap(), "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("hello").unwrap();
    assert_eq!(client.read_response().unwrap().status, 200);
    let received = door.upstream.take_one();
    assert_eq!(&received.body[..], b"hello");
    assert!(received.values("expect").is_empty());
}

#[test]
fn other_expectations_are_not_met() {
    let door = Door::open();
    for line in ["expect: 200-ok", "expect: 100-continue, 200-ok", "expect:"] {
        let mut client = door.server.connect().unwrap();
        let head = "POST /open/7 HTTP/1.1\r\nhost: gateway\r\ncontent-length: 1\r\n";
        let refused = client.exchange(format!("{head}{line}\r\n\r\nx")).unwrap();
        assert!(door.upstream.take().is_empty());
        assert_eq!((refused.status, &refused.json()["code"]), (417, &"unknown_expectation".into()));
    }
}

#[test]
fn curl_is_told_to_go_on() {
    let door = Door::open();
    let bearer = door.bearer();
    let body = "x".repeat(100_000);
    let expects = ["--header", "Expect: 100-continue", "--data", &body, "--header", &bearer];
    // Who is not told to would wait this long.
    let arguments = [&["--expect100-timeout", "100"], &expects[..]].concat();
    assert_eq!(door.pass("/orders/7", &arguments).body.len(), 100_000);
    let refused = door.turn_away("/orders/7", &arguments[..6]);
    assert_eq!(refused.status, 401);
}
