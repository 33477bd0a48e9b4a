//! Every way in which a request ends gives its slot back, once.

use super::{Stage, UnderWay, head, wait_for_slots};
use std::io::Result;

/// Has four requests under way, and one more that ends in this way; then one has room, and
/// a second one has not.
#[track_caller]
fn gives_back<K>(stage: &Stage, request: &str, end: impl FnOnce(UnderWay) -> K) {
    let four = stage.begin_some(4);
    let fifth = stage.begin(request);
    stage.is_full();
    // What is not over stays as it is.
    let kept = end(fifth);
    wait_for_slots(&stage.server, 4);
    let one_more = stage.begin_some(1);
    stage.is_full();
    drop((four, one_more, kept));
    wait_for_slots(&stage.server, 0);
}

fn get(stage: &Stage) -> String {
    head("GET", "/v1/costs", &stage.token, "")
}

/// An upload that has only begun.
fn upload(stage: &Stage) -> String {
    head("POST", "/v1/costs", &stage.token, "content-length: 100000\r\n") + "begun"
}

const TEN: &str = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";

#[test]
fn finished() {
    let stage = Stage::set();
    for (response, body) in [
        (TEN.to_owned() + "0123456789", "0123456789"),
        (CHUNKED.to_owned() + "4\r\nfour\r\n0\r\n\r\n", "four"),
        ("HTTP/1.1 204 No Content\r\n\r\n".to_owned(), ""),
        ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_owned(), ""),
        ("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok".to_owned(), "ok"),
        ("HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok".to_owned(), "ok"),
    ] {
        gives_back(&stage, &get(&stage), |mut request| {
            request.upstream.send(&response).unwrap();
            assert_eq!(request.client.read_response().unwrap().text(), body);
            request.client
        });
    }
}

#[test]
fn finished_piece_by_piece() {
    let stage = Stage::set();
    for (head, pieces) in [
        (TEN, ["01234", "56789"]),
        (CHUNKED, ["4\r\nfour\r\n", "0\r\n\r\n"]),
        ("HTTP/1.1 200 OK\r\n\r\n", ["until", "closed"]),
    ] {
        gives_back(&stage, &get(&stage), |mut request| {
            request.upstream.send(head).unwrap();
            request.client.read_head().unwrap();
            request.upstream.send(pieces[0]).unwrap();
            stage.is_full();
            request.upstream.send(pieces[1]).unwrap();
            request.client
        });
    }
}

#[test]
fn a_websocket_is_closed() {
    const AGREED: &str = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n\
        upgrade: websocket\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    const ASKED: &str = "upgrade: websocket\r\nconnection: upgrade\r\n\
        sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let stage = Stage::set();
    let asks = head("GET", "/v1/costs", &stage.token, ASKED);
    for is_by_client in [true, false] {
        gives_back(&stage, &asks, |UnderWay { mut client, mut upstream }| {
            upstream.send(AGREED).unwrap();
            assert!(client.read_head().unwrap().contains(" 101 "));
            upstream.send("hello").unwrap();
            assert_eq!(client.read_exactly(5).unwrap(), b"hello");
            stage.is_full();
            let (first, mut second) =
                if is_by_client { (client, upstream) } else { (upstream, client) };
            drop(first);
            assert_eq!(second.read_to_end().unwrap(), b"");
        });
    }
    // One that the upstream does not agree to is a request like any other.
    gives_back(&stage, &asks, |mut request| {
        request.upstream.send("HTTP/1.1 400 No\r\ncontent-length: 0\r\n\r\n").unwrap();
        assert_eq!(request.client.read_response().unwrap().status, 400);
        request.client
    });
}

#[test]
fn answered_before_it_was_all_sent() {
    let stage = Stage::set();
    gives_back(&stage, &upload(&stage), |mut request| {
        request.upstream.send("HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n").unwrap();
        assert_eq!(request.client.read_response().unwrap().status, 413);
        // The upstream is still being sent it.
        stage.is_full();
        request.upstream
    });
    gives_back(&stage, &upload(&stage), |mut request| {
        request.upstream.send(TEN.to_owned() + "0123456789").unwrap();
        assert_eq!(request.client.read_response().unwrap().text(), "0123456789");
        stage.is_full();
        request.client
    });
}

#[test]
fn failed_at_the_upstream() {
    let stage = Stage::set();
    // Closed without a word, after the request and within it.
    for request in [get(&stage), upload(&stage)] {
        gives_back(&stage, &request, |request| {
            drop(request.upstream);
            let mut client = request.client;
            assert_eq!(client.read_response().unwrap().status, 502);
            client
        });
    }
    gives_back(&stage, &get(&stage), |mut request| {
        request.upstream.send("no HTTP at all\r\n\r\n").unwrap();
        assert_eq!(request.client.read_response().unwrap().status, 502);
        request
    });
    gives_back(&stage, &get(&stage), |mut request| {
        request.upstream.send("HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n").unwrap();
        assert_eq!(request.client.read_response().unwrap().status, 502);
        request
    });
    // In the middle of the response.
    for response in [TEN.to_owned() + "0123", CHUNKED.to_owned() + "4\r\nfour\r\n"] {
        gives_back(&stage, &get(&stage), |mut request| {
            request.upstream.send(&response).unwrap();
            request.client.read_head().unwrap();
            drop(request.upstream);
            let rest = request.client.read_to_end().unwrap();
            assert!(!rest.ends_with(b"0\r\n\r\n"));
            request.client
        });
    }
}

/// Checks that the upstream's connection is closed.
#[track_caller]
fn is_let_go(request: UnderWay) {
    let UnderWay { client, mut upstream } = request;
    drop(client);
    let rest: Result<Vec<u8>> = upstream.read_to_end();
    // What the client had sent may be lost with the connection.
    drop(rest);
}

#[test]
fn the_client_has_gone() {
    let stage = Stage::set();
    // Before the response, and within the request.
    gives_back(&stage, &get(&stage), is_let_go);
    gives_back(&stage, &upload(&stage), is_let_go);
    // Within the response.
    for begun in [TEN.to_owned() + "0123", CHUNKED.to_owned() + "4\r\nfour\r\n"] {
        gives_back(&stage, &get(&stage), |mut request| {
            request.upstream.send(&begun).unwrap();
            request.client.read_head().unwrap();
            is_let_go(request);
        });
    }
    // Within both.
    gives_back(&stage, &upload(&stage), |mut request| {
        request.upstream.send(CHUNKED.to_owned() + "4\r\nfour\r\n").unwrap();
        request.client.read_head().unwrap();
        is_let_go(request);
    });
}

#[test]
fn the_upstream_is_silent() {
    let stage = Stage::with("\n[api.finout.timeouts]\nresponse = \"10s\"\n");
    let five = stage.begin_some(5);
    stage.is_full();
    // All of them have waited as long: none is given up much later than the others.
    for mut request in five {
        let response = request.client.read_response().unwrap();
        assert_eq!(response.status, 504, "{response:?}");
        assert_eq!(request.upstream.read_to_end().unwrap(), b"");
    }
    wait_for_slots(&stage.server, 0);
    let _again = stage.begin_some(5);
    stage.is_full();
}

#[test]
fn the_node_stops() {
    let stage = Stage::set();
    let mut five = stage.begin_some(5);
    let download = &mut five[0];
    download.upstream.send(TEN.to_owned() + "01234").unwrap();
    download.client.read_head().unwrap();
    stage.server.process().terminate();
    stage.server.process().wait_for_message("stopping");
    // What is under way ends as ever, and nothing that holds a slot holds up the stop.
    download.upstream.send("56789").unwrap();
    assert_eq!(download.client.read_to_end().unwrap(), b"0123456789");
    for request in &mut five[1..] {
        request.upstream.send("HTTP/1.1 204 No Content\r\n\r\n").unwrap();
        assert_eq!(request.client.read_response().unwrap().status, 204);
    }
    let (status, log, _) = stage.server.wait();
    assert_eq!(status.code(), Some(0), "{log}");
}
