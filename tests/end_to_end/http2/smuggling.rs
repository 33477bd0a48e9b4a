//! Requests that would be two to a server that speaks HTTP/1.1, had they got there as they are.

use super::{
    frames::{CONTINUATION, DATA, END_HEADERS, END_STREAM, Frames, HEADERS, Outcome, fields},
    serve,
};
use crate::process::PATIENCE;
use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Instant,
};

/// What has come on each connection.
type Connections = Arc<Mutex<Vec<Vec<u8>>>>;

/// An upstream that keeps each byte that reached it, and answers wherever a head ends.
struct Raw {
    address: SocketAddr,
    received: Connections,
}

impl Raw {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let received = Connections::default();
        let all = received.clone();
        thread::spawn(move || {
            for (at, stream) in listener.incoming().enumerate() {
                all.lock().unwrap().push(Vec::new());
                let all = all.clone();
                thread::spawn(move || answer(stream.unwrap(), at, &all));
            }
        });
        Self { address, received }
    }

    /// All that has come since somebody last asked, on whatever connection.
    fn take(&self) -> String {
        let mut connections = self.received.lock().unwrap();
        let taken: Vec<_> = connections.iter_mut().flat_map(std::mem::take).collect();
        String::from_utf8(taken).unwrap()
    }
}

fn answer(mut stream: TcpStream, at: usize, all: &Connections) {
    let mut piece = [0; 4096];
    while let Ok(length) = stream.read(&mut piece)
        && length > 0
    {
        let heads = piece[..length].windows(4).filter(|end| end == b"\r\n\r\n").count();
        all.lock().unwrap()[at].extend(&piece[..length]);
        for _ in 0..heads {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
        }
    }
}

const USUAL: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "http"), (":authority", "gateway"), (":path", "/open/7")];

/// The usual request, with these in place of its own or beside them.
fn with<'a>(others: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let is_other = |name: &str| others.iter().any(|(other, _)| *other == name);
    let (pseudo, rest): (Vec<_>, Vec<_>) =
        others.iter().copied().partition(|(name, _)| name.starts_with(':'));
    let usual = USUAL.iter().copied().filter(|(name, _)| !is_other(name));
    usual.chain(pseudo).chain(rest).collect()
}

/// A request that passes still, on whatever connection to the upstream there is.
fn asks(address: SocketAddr) {
    let mut frames = Frames::connect(address);
    frames.send(HEADERS, END_HEADERS | END_STREAM, 1, &fields(&USUAL)).unwrap();
    assert_eq!(frames.outcome(1), Outcome::Status(200));
}

/// The same, where nothing else can be on its way to the upstream.
fn passes(address: SocketAddr, raw: &Raw) {
    asks(address);
    let received = raw.take();
    assert_eq!(received.matches(" HTTP/1.1\r\n").count(), 1, "{received}");
    assert!(received.starts_with("GET /7 HTTP/1.1\r\n"), "{received}");
}

#[test]
fn what_is_no_request_goes_no_further() {
    let raw = Raw::start();
    let server = serve(raw.address);
    passes(server.gateway, &raw);
    let smuggled = "a\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n";
    let long = "x".repeat(70_000);
    for others in [
        // What would be a line of its own.
        &[("x-a", smuggled)][..],
        &[("x-a", "a\nb: c")],
        &[("x-a", "a\rb: c")],
        &[("x-a", "a\0")],
        &[("x-a\r\nb", "c")],
        &[("x-a: b\r\nc", "d")],
        &[("x a", "b")],
        &[("x-a:", "b")],
        &[("", "b")],
        &[("X-Upper", "b")],
        &[("cookie", "a=1\r\nb: c")],
        // What says how a body ends.
        &[("transfer-encoding", "chunked")],
        &[("transfer-encoding", "identity")],
        &[("Transfer-Encoding", "chunked")],
        &[("content-length", "5"), ("content-length", "6")],
        &[("content-length", "5")],
        &[("content-length", "-1")],
        &[("content-length", "0, 0")],
        &[("content-length", "+0")],
        // What is a connection's.
        &[("connection", "close")],
        &[("connection", "x-counterfoil-account")],
        &[("keep-alive", "1")],
        &[("proxy-connection", "close")],
        &[("upgrade", "websocket")],
        &[("te", "gzip")],
        &[("te", "trailers, chunked")],
        // What stands in the request line.
        &[(":method", "GET /smuggled HTTP/1.1\r\nx: ")],
        &[(":method", "GE T")],
        &[(":method", "")],
        &[(":method", "CONNECT")],
        &[(":path", "/open/7 HTTP/1.1\r\nx: y\r\n\r\nGET /smuggled")],
        &[(":path", "/open/7\r\nx: y")],
        &[(":path", "/open/7 x")],
        &[(":path", "http://gateway/open/7")],
        &[(":path", "http://other/open/7")],
        &[(":path", "open/7")],
        &[(":path", "")],
        &[(":path", "*")],
        &[(":path", "/open/../open/7")],
        &[(":path", "/open/%2e%2e/7")],
        &[(":path", "//open/7")],
        &[(":path", "/open\\7")],
        &[(":path", "/open/7\0")],
        &[(":path", "/open/7"), (":path", "/open/8")],
        &[(":method", "GET"), (":method", "POST")],
        &[(":scheme", "http"), (":scheme", "https")],
        &[(":scheme", "ht tp")],
        &[(":status", "200")],
        &[(":protocol", "websocket")],
        &[(":method", "CONNECT"), (":protocol", "websocket")],
        &[(":unknown", "x")],
        // Whom it is for.
        &[(":authority", "gateway"), (":authority", "other")],
        &[(":authority", "user@gateway")],
        &[(":authority", "user:password@gateway")],
        &[(":authority", "gate way")],
        &[(":authority", "gateway\r\nx: y")],
        &[(":authority", "gateway/open")],
        &[(":authority", "gateway"), ("host", "api.example.com")],
        &[("host", "gateway"), ("host", "gateway")],
        &[("host", "user@gateway")],
        // Too much of it.
        &[("x-a", &long)],
        &[(":path", &format!("/open/{long}"))],
    ] {
        let mut frames = Frames::connect(server.gateway);
        let block = fields(&with(others));
        let mut parts = block.chunks(16 * 1024).peekable();
        let mut kind = HEADERS;
        while let Some(part) = parts.next() {
            let is_last = if parts.peek().is_none() { END_HEADERS } else { 0 };
            let ends = if kind == HEADERS { END_STREAM } else { 0 };
            frames.send(kind, is_last | ends, 1, part).unwrap();
            kind = CONTINUATION;
        }
        let outcome = frames.outcome(1);
        assert_ne!(outcome, Outcome::Status(200), "{others:?}");
        assert_eq!(raw.take(), "", "{others:?}");
    }
    // Fields in the wrong order, one of them behind those that are no longer of the request.
    for block in [
        [("x-a", "b"), USUAL[0], USUAL[1], USUAL[2], USUAL[3]],
        [USUAL[0], USUAL[1], USUAL[2], ("x-a", "b"), USUAL[3]],
    ] {
        let mut frames = Frames::connect(server.gateway);
        frames.send(HEADERS, END_HEADERS | END_STREAM, 1, &fields(&block)).unwrap();
        assert_eq!(frames.outcome(1), Outcome::Refused);
    }
    for absent in [0, 1, 2, 3] {
        let mut block = USUAL.to_vec();
        block.remove(absent);
        let mut frames = Frames::connect(server.gateway);
        frames.send(HEADERS, END_HEADERS | END_STREAM, 1, &fields(&block)).unwrap();
        assert_ne!(frames.outcome(1), Outcome::Status(200), "without {:?}", USUAL[absent]);
    }
    assert_eq!(raw.take(), "");
    passes(server.gateway, &raw);
}

#[test]
fn a_length_that_is_not_kept_ends_the_request() {
    let raw = Raw::start();
    let server = serve(raw.address);
    let smuggled = "GET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n";
    for (length, pieces) in [
        ("4", &[smuggled][..]),
        ("4", &["four", smuggled]),
        ("100", &[smuggled]),
        ("0", &[smuggled]),
    ] {
        let mut frames = Frames::connect(server.gateway);
        let head = fields(&with(&[(":method", "POST"), ("content-length", length)]));
        frames.send(HEADERS, END_HEADERS, 1, &head).unwrap();
        for (at, piece) in pieces.iter().enumerate() {
            let is_last = if at + 1 == pieces.len() { END_STREAM } else { 0 };
            frames.send(DATA, is_last, 1, piece.as_bytes()).unwrap();
        }
        // The upstream may have answered the head.
        frames.outcome(1);
        // The next request is no part of what was cut off.
        asks(server.gateway);
    }
    for connection in raw.received.lock().unwrap().iter() {
        requests_of(connection);
    }
}

/// Reads what came on a connection as HTTP/1.1 has it; the last request may have been cut off.
#[track_caller]
fn requests_of(connection: &[u8]) {
    let mut rest = str::from_utf8(connection).unwrap();
    while let Some((head, after)) = rest.split_once("\r\n\r\n") {
        let is_known = ["GET /7 ", "POST /7 "].iter().any(|known| head.starts_with(known));
        assert!(is_known, "{connection:?}");
        let length = head.split_once("\r\ncontent-length: ").map_or("0", |(_, after)| after);
        let length: usize = length.lines().next().unwrap().parse().unwrap();
        rest = &after[length.min(after.len())..];
    }
    assert_eq!(rest, "");
}

#[test]
fn what_looks_like_chunks_is_a_body() {
    let raw = Raw::start();
    let server = serve(raw.address);
    let body = "0\r\n\r\nGET /smuggled HTTP/1.1\r\n";
    let mut frames = Frames::connect(server.gateway);
    frames.send(HEADERS, END_HEADERS, 1, &fields(&with(&[(":method", "POST")]))).unwrap();
    frames.send(DATA, 0, 1, body.as_bytes()).unwrap();
    // Its size stands before it.
    let expected = format!("\r\n\r\n{:X}\r\n{body}", body.len());
    let deadline = Instant::now() + PATIENCE;
    let mut received = String::new();
    while !received.contains(&expected) {
        assert!(Instant::now() < deadline, "{received}");
        received += &raw.take();
    }
    assert!(received.contains("\r\ntransfer-encoding: chunked\r\n"), "{received}");
    frames.send(DATA, END_STREAM, 1, b"").unwrap();
}
