//! Streaming: what has come goes on, before the rest has come.

use super::{get, serve};
use crate::{server::Server, wire::Wire};
use std::net::{TcpListener, TcpStream};

/// A gateway whose upstream is this test.
fn stage() -> (TcpListener, Server) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = serve(listener.local_addr().unwrap());
    (listener, server)
}

/// A client that has begun to upload, and the upstream that has read the head.
fn begin_upload(listener: &TcpListener, server: &Server) -> (Wire<TcpStream>, Wire<TcpStream>) {
    let mut client = server.connect().unwrap();
    let head = "POST /open/7 HTTP/1.1\r\nhost: gateway\r\ntransfer-encoding: chunked\r\n\r\n";
    client.send(head.to_owned() + "5\r\nfirst\r\n").unwrap();
    let mut upstream = Wire::accept(listener);
    let head = upstream.read_head().unwrap();
    assert!(head.starts_with("POST /7 HTTP/1.1\r\n"), "{head}");
    assert!(!head.contains("content-length"), "{head}");
    (client, upstream)
}

/// A client that downloads, and the upstream that has begun to answer.
fn begin_download(listener: &TcpListener, server: &Server) -> (Wire<TcpStream>, Wire<TcpStream>) {
    let mut client = server.connect().unwrap();
    client.send(get("/open/7")).unwrap();
    let mut upstream = Wire::accept(listener);
    upstream.read_head().unwrap();
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    upstream.send(head.to_owned() + "5\r\nfirst\r\n").unwrap();
    assert!(client.read_head().unwrap().starts_with("HTTP/1.1 200 "));
    assert_eq!(client.read_chunk().unwrap(), b"first");
    (client, upstream)
}

#[test]
fn an_upload_arrives_piece_by_piece() {
    let (listener, server) = stage();
    let (mut client, mut upstream) = begin_upload(&listener, &server);
    // The client has not sent the last piece yet.
    assert_eq!(upstream.read_chunk().unwrap(), b"first");
    client.send("6\r\nsecond\r\n").unwrap();
    assert_eq!(upstream.read_chunk().unwrap(), b"second");
    client.send("0\r\n\r\n").unwrap();
    assert_eq!(upstream.read_chunk().unwrap(), b"");
    upstream.send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone").unwrap();
    assert_eq!(client.read_response().unwrap().text(), "done");
}

#[test]
fn a_download_arrives_piece_by_piece() {
    let (listener, server) = stage();
    let (mut client, mut upstream) = begin_download(&listener, &server);
    upstream.send("6\r\nsecond\r\n").unwrap();
    assert_eq!(client.read_chunk().unwrap(), b"second");
    upstream.send("0\r\n\r\n").unwrap();
    assert_eq!(client.read_chunk().unwrap(), b"");
}

#[test]
fn both_ways_at_once() {
    let (listener, server) = stage();
    let (mut client, mut upstream) = begin_upload(&listener, &server);
    assert_eq!(upstream.read_chunk().unwrap(), b"first");
    upstream.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").unwrap();
    assert!(client.read_head().unwrap().starts_with("HTTP/1.1 200 "));
    for _ in 0..3 {
        client.send("4\r\nping\r\n").unwrap();
        assert_eq!(upstream.read_chunk().unwrap(), b"ping");
        upstream.send("4\r\npong\r\n").unwrap();
        assert_eq!(client.read_chunk().unwrap(), b"pong");
    }
    client.send("0\r\n\r\n").unwrap();
    assert_eq!(upstream.read_chunk().unwrap(), b"");
    upstream.send("0\r\n\r\n").unwrap();
    assert_eq!(client.read_chunk().unwrap(), b"");
}

#[test]
fn what_trails_a_body_is_no_place_for_an_identity() {
    let (listener, server) = stage();
    let mut client = server.connect().unwrap();
    let head = "POST /open/7 HTTP/1.1\r\nhost: gateway\r\ntransfer-encoding: chunked\r\n\
                trailer: x-counterfoil-account, authorization\r\n\r\n";
    let body = "5\r\nfirst\r\n0\r\nx-counterfoil-account: root\r\nauthorization: root\r\n\r\n";
    client.send(head.to_owned() + body).unwrap();
    let mut upstream = Wire::accept(&listener);
    assert!(!upstream.read_head().unwrap().contains("trailer"));
    // What comes up to the next empty line is the body, and what trails it.
    assert_eq!(upstream.read_head().unwrap(), "5\r\nfirst\r\n0\r\n\r\n");
    upstream.send("HTTP/1.1 204 No Content\r\n\r\n").unwrap();
    assert_eq!(client.read_response().unwrap().status, 204);
}

#[test]
fn an_upload_of_known_length_keeps_it() {
    let (listener, server) = stage();
    let mut client = server.connect().unwrap();
    let head = "POST /open/7 HTTP/1.1\r\nhost: gateway\r\ncontent-length: 10\r\n\r\n";
    client.send(head.to_owned() + "first").unwrap();
    let mut upstream = Wire::accept(&listener);
    let head = upstream.read_head().unwrap().to_lowercase();
    assert!(head.contains("\r\ncontent-length: 10\r\n"), "{head}");
    assert!(!head.contains("transfer-encoding"), "{head}");
    client.send("other").unwrap();
    upstream.send("HTTP/1.1 204 No Content\r\n\r\n").unwrap();
    assert_eq!(client.read_response().unwrap().status, 204);
}

#[test]
fn a_download_that_breaks_off_does_not_look_whole() {
    let (listener, server) = stage();
    let (mut client, upstream) = begin_download(&listener, &server);
    drop(upstream);
    let rest = client.read_to_end().unwrap();
    assert!(!rest.ends_with(b"0\r\n\r\n"), "{}", String::from_utf8_lossy(&rest));
}

#[test]
fn an_upload_that_breaks_off_does_not_look_whole() {
    let (listener, server) = stage();
    let (client, mut upstream) = begin_upload(&listener, &server);
    assert_eq!(upstream.read_chunk().unwrap(), b"first");
    drop(client);
    let rest = upstream.read_to_end().unwrap();
    assert!(!rest.ends_with(b"0\r\n\r\n"), "{}", String::from_utf8_lossy(&rest));
}

#[test]
fn a_client_that_has_gone_lets_the_upstream_go() {
    let (listener, server) = stage();
    let (client, mut upstream) = begin_download(&listener, &server);
    drop(client);
    // Nobody reads, so nobody may keep the connection.
    while upstream.send("5\r\nagain\r\n").is_ok() {}
}

#[test]
fn an_upstream_that_answers_too_early_gets_no_other_request_there() {
    let (listener, server) = stage();
    let (mut client, mut early) = begin_upload(&listener, &server);
    early.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nno").unwrap();
    assert_eq!(client.read_response().unwrap().text(), "no");
    client.send("6\r\nsecond\r\n0\r\n\r\n").unwrap();
    for piece in [&b"first"[..], b"second", b""] {
        assert_eq!(early.read_chunk().unwrap(), piece);
    }
    client.send(get("/open/next")).unwrap();
    assert_eq!(early.read_to_end().unwrap(), b"");
    let mut next = Wire::accept(&listener);
    assert!(next.read_head().unwrap().starts_with("GET /next HTTP/1.1\r\n"));
    next.send("HTTP/1.1 204 No Content\r\n\r\n").unwrap();
    assert_eq!(client.read_response().unwrap().status, 204);
}

#[test]
fn after_an_old_response_an_upload_arrives_whole() {
    let (listener, server) = stage();
    let mut first = server.connect().unwrap();
    first.send(get("/open/7")).unwrap();
    let mut old = Wire::accept(&listener);
    old.read_head().unwrap();
    old.send("HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nok").unwrap();
    assert_eq!(first.read_response().unwrap().text(), "ok");
    let head = "POST /open/7 HTTP/1.1\r\nhost: gateway\r\ntransfer-encoding: chunked\r\n\r\n";
    first.send(head.to_owned() + "5\r\nfirst\r\n0\r\n\r\n").unwrap();
    assert_eq!(old.read_to_end().unwrap(), b"");
    let mut next = Wire::accept(&listener);
    assert!(next.read_head().unwrap().starts_with("POST /7 HTTP/1.1\r\n"));
    for piece in [&b"first"[..], b""] {
        assert_eq!(next.read_chunk().unwrap(), piece);
    }
    next.send("HTTP/1.1 204 No Content\r\n\r\n").unwrap();
    assert_eq!(first.read_response().unwrap().status, 204);
}

#[test]
fn an_upstream_that_hangs_up_without_an_answer() {
    let (listener, server) = stage();
    let mut client = server.connect().unwrap();
    // With a body, nothing can be sent a second time.
    let head = "POST /open/7 HTTP/1.1\r\nhost: gateway\r\ncontent-length: 5\r\n\r\nhello";
    client.send(head).unwrap();
    let mut upstream = Wire::accept(&listener);
    upstream.read_head().unwrap();
    drop(upstream);
    let response = client.read_response().unwrap();
    assert_eq!(response.status, 502, "{response:?}");
    assert_eq!(response.json()["code"], "upstream_failed");
}

#[test]
fn an_upstream_that_does_not_speak_http() {
    let (listener, server) = stage();
    let mut client = server.connect().unwrap();
    client.send(get("/open/7")).unwrap();
    let mut upstream = Wire::accept(&listener);
    upstream.read_head().unwrap();
    upstream.send("220 smtp.example.com ESMTP\r\n\r\n").unwrap();
    assert_eq!(client.read_response().unwrap().status, 502);
}
