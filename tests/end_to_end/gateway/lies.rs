//! Upstreams that are slow, say no HTTP, or lie about how long a response is: the client gets
//! the right status, or sees that its response is not whole; the log says why; and no other
//! request goes where that came from.

use super::get;
use crate::{process::PATIENCE, server::Server, wire::Wire};
use serde_json::Value;
use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

/// What the client gets.
#[derive(Debug, Clone, Copy)]
enum Comes {
    /// 502, with this detail.
    Bad(&'static str),
    /// 504.
    Late,
    /// Something that is not a whole response.
    Cut,
    /// A whole response with this body.
    Whole(u16, &'static str),
}

/// What the upstream does once it has answered.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Then {
    Closes,
    Stays,
}

use Comes::{Bad, Cut, Late, Whole};
use Then::{Closes, Stays};

const NO_ANSWER: Comes = Bad("the upstream did not answer");
const NO_SENSE: Comes = Bad("the upstream's response cannot be understood");
const TWO_READINGS: Comes = Bad("the upstream's response has a length and a transfer coding");
const TWO_LENGTHS: Comes = Bad("the upstream's response has more than one length");
const NO_LENGTH: Comes = Bad("the upstream's response has a length that is not a number");
const NO_CODING: Comes = Bad("the upstream used a transfer coding that is not understood");

const OK: &str = "HTTP/1.1 200 OK\r\n";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";

/// A gateway with little patience, before this test.
fn stage() -> (TcpListener, Server) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let configuration = format!(
        "[api.open]\nupstream = \"http://{}\"\nroutes = [\"* /** -> anonymous\"]\n\
         timeouts = {{ response = \"1s\", download = \"1s\" }}\n",
        listener.local_addr().unwrap()
    );
    (listener, super::with_one_thread(&configuration))
}

/// What a client gets that wants one response: what of it there is, and whether it is whole.
struct Got {
    status: u16,
    head: String,
    body: Vec<u8>,
    is_whole: bool,
}

fn asked(server: &Server, method: &str) -> TcpStream {
    let mut client = TcpStream::connect(server.gateway).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let request =
        format!("{method} /open/7 HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n\r\n");
    client.write_all(request.as_bytes()).unwrap();
    client
}

fn got(mut client: TcpStream, method: &str) -> Got {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    // One that is cut may end with an error, too.
    while let Ok(length @ 1..) = client.read(&mut piece) {
        bytes.extend(&piece[..length]);
    }
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Got { status: 0, head: String::new(), body: Vec::new(), is_whole: false };
    };
    let head = String::from_utf8(bytes[..end + 2].to_vec()).unwrap().to_lowercase();
    let rest = bytes[end + 4..].to_vec();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name));
    let (body, is_whole) = if method == "HEAD" || status == 204 || status == 304 {
        let is_whole = rest.is_empty();
        (rest, is_whole)
    } else if let Some(length) = field("content-length: ") {
        let is_whole = rest.len() == length.parse::<usize>().unwrap();
        (rest, is_whole)
    } else {
        assert!(field("transfer-encoding: chunked").is_some(), "{head}");
        let text = String::from_utf8(rest).unwrap();
        let is_whole = text.ends_with("0\r\n\r\n");
        let pieces = text.split("\r\n").skip(1).step_by(2);
        (pieces.collect::<String>().into_bytes(), is_whole)
    };
    Got { status, head, body, is_whole }
}

impl Got {
    #[track_caller]
    fn is(&self, what: &str, comes: Comes) {
        let Self { status, body, is_whole, .. } = self;
        let text = String::from_utf8_lossy(body);
        let problem = || serde_json::from_slice::<Value>(body).unwrap();
        match comes {
            Cut => assert!(!is_whole, "{what}: {status} {text}"),
            Whole(expected, body) => {
                assert!(is_whole, "{what}: {status} {text}");
                assert_eq!((*status, &*text), (expected, body), "{what}");
            }
            Bad(detail) => {
                assert_eq!(*status, 502, "{what}: {text}");
                assert_eq!(problem()["code"], "upstream_failed", "{what}");
                assert_eq!(problem()["detail"], detail, "{what}");
            }
            Late => {
                assert_eq!(*status, 504, "{what}: {text}");
                assert_eq!(problem()["code"], "upstream_silent", "{what}");
            }
        }
    }

    fn request_id(&self) -> &str {
        self.head.lines().find_map(|line| line.strip_prefix("x-request-id: ")).unwrap_or_default()
    }
}

/// Checks that the log says `why` of what has come, and that the next request goes elsewhere
/// than over `liar`.
#[track_caller]
fn is_told_and_left(
    what: &str,
    (listener, server): &(TcpListener, Server),
    got: &Got,
    why: &str,
    liar: Option<Wire<TcpStream>>,
) {
    let of_this = |line: &str| {
        let is_warning = line.contains("\"level\":\"WARN\"");
        let names = line.contains(got.request_id()) || line.contains("more than its response");
        is_warning && names && line.contains(why)
    };
    if !why.is_empty() {
        server.process().wait_for_line(|line| of_this(line).then_some(()));
    }
    let client = asked(server, "GET");
    let mut next = Wire::accept(listener);
    assert!(next.read_head().unwrap().starts_with("GET /7 HTTP/1.1\r\n"), "{what}");
    next.send("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 4\r\n\r\nnext").unwrap();
    self::got(client, "GET").is(what, Whole(200, "next"));
    if let Some(mut liar) = liar {
        // Either way it is over.
        assert_eq!(liar.read_to_end().unwrap_or_default(), b"", "{what}");
    }
}

/// What an upstream answers, what it does then, what comes of it, and what the log says of that.
type Row = (String, Then, Comes, &'static str);

fn with_head(lines: &str, rest: &str) -> String {
    format!("{OK}{lines}\r\n\r\n{rest}")
}

#[track_caller]
fn is_each_as(rows: &[Row]) {
    let stage = stage();
    for (answer, then, comes, why) in rows {
        let what = format!("{:.70} {then:?}", answer.escape_debug().to_string());
        let client = asked(&stage.1, "GET");
        let mut upstream = Wire::accept(&stage.0);
        upstream.read_head().unwrap();
        // Who is left in the middle may find the connection closed.
        let _ = upstream.send(answer);
        let liar = (*then == Stays).then_some(upstream);
        let got = got(client, "GET");
        got.is(&what, *comes);
        is_told_and_left(&what, &stage, &got, why, liar);
    }
    let metrics = stage.1.scrape();
    let counted = ["closed", "unfit", "silent", "cut"].map(|kind| {
        let counted = format!("upstream_failures_total{{api=\"open\",kind=\"{kind}\"}} ");
        let counted = metrics.lines().find_map(|line| line.split_once(&counted)).unwrap().1;
        counted.parse::<usize>().unwrap()
    });
    let said = rows.iter().filter(|(.., why)| !why.is_empty()).count();
    assert_eq!(counted.iter().sum::<usize>(), said, "{metrics}");
}

#[test]
fn too_little_or_too_much() {
    is_each_as(&[
        // Too little.
        (with_head("content-length: 10", "hello"), Closes, Cut, "cut off"),
        (with_head("content-length: 10", "hello"), Stays, Cut, "stood still"),
        (with_head("content-length: 10", ""), Closes, Cut, "cut off"),
        (format!("{CHUNKED}5\r\nhello\r\n"), Closes, Cut, "cut off"),
        (format!("{CHUNKED}5\r\nhello\r\n"), Stays, Cut, "stood still"),
        (format!("{CHUNKED}5\r\nhel"), Closes, Cut, "cut off"),
        (format!("{CHUNKED}5\r\nhello\r\n0\r\n"), Closes, Cut, "cut off"),
        // Too much.
        (
            with_head("content-length: 5", "hello, world"),
            Stays,
            Whole(200, "hello"),
            "more than its",
        ),
        (with_head("content-length: 0", "hello"), Stays, Whole(200, ""), "more than its"),
        (
            with_head(
                "content-length: 2",
                &("ok".to_owned() + &with_head("content-length: 4", "evil")),
            ),
            Stays,
            Whole(200, "ok"),
            "more than its",
        ),
        (format!("{CHUNKED}2\r\nok\r\n0\r\n\r\nevil"), Stays, Whole(200, "ok"), "more than its"),
        // Nothing, with something.
        ("HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\n".into(), Stays, Whole(204, ""), ""),
        (
            "HTTP/1.1 204 No Content\r\ntransfer-encoding: chunked\r\n\r\n".into(),
            Stays,
            Whole(204, ""),
            "",
        ),
        ("HTTP/1.1 204 No Content\r\n\r\nhello".into(), Stays, Whole(204, ""), "more than its"),
        (
            "HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\nhello".into(),
            Stays,
            Whole(304, ""),
            "more than its",
        ),
    ]);
}

#[test]
fn lengths_that_are_none() {
    is_each_as(&[
        // Lengths with two readings, or none.
        (
            with_head("content-length: 5\r\ntransfer-encoding: chunked", "5\r\nhello\r\n0\r\n\r\n"),
            Stays,
            TWO_READINGS,
            "a length and a transfer coding",
        ),
        (with_head("content-length: 5\r\ncontent-length: 6", "hello"), Stays, NO_SENSE, "length"),
        (
            with_head("content-length: 5\r\ncontent-length: 5", "hello"),
            Stays,
            TWO_LENGTHS,
            "one length",
        ),
        (with_head("content-length: -1", "hello"), Stays, NO_SENSE, "length"),
        (with_head("content-length: +5", "hello"), Stays, NO_SENSE, "length"),
        (with_head("content-length: 0x5", "hello"), Stays, NO_SENSE, "length"),
        (with_head("content-length: 99999999999999999999", "hello"), Stays, NO_SENSE, "length"),
        (with_head("content-length: 18446744073709551615", "hello"), Stays, NO_SENSE, "too large"),
        (
            "HTTP/1.1 304 Not Modified\r\ncontent-length: -1\r\n\r\n".into(),
            Stays,
            NO_LENGTH,
            "not a number",
        ),
        (with_head("transfer-encoding: gzip, chunked", "0\r\n\r\n"), Stays, NO_CODING, "coding"),
        (with_head("transfer-encoding: identity", "hello"), Closes, NO_CODING, "coding"),
        (
            with_head("transfer-encoding: chunked\r\ntransfer-encoding: chunked", "0\r\n\r\n"),
            Stays,
            NO_CODING,
            "coding",
        ),
        (
            "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n".into(),
            Stays,
            NO_SENSE,
            "transfer-encoding",
        ),
    ]);
}

#[test]
fn chunks_that_are_none() {
    is_each_as(&[
        (format!("{CHUNKED}xyz\r\nhello\r\n"), Stays, Cut, "cut off"),
        (format!("{CHUNKED}-5\r\nhello\r\n"), Stays, Cut, "cut off"),
        (format!("{CHUNKED}fffffffffffffffff\r\nhello\r\n"), Stays, Cut, "cut off"),
        (format!("{CHUNKED}2\r\nhello\r\n0\r\n\r\n"), Stays, Cut, "cut off"),
        (format!("{CHUNKED}5;{}", "x".repeat(1 << 17)), Stays, Cut, "cut off"),
        (format!("{CHUNKED}0\r\nx: {}", "x".repeat(1 << 17)), Stays, Cut, "cut off"),
    ]);
}

#[test]
fn what_is_no_response() {
    is_each_as(&[
        // No response at all.
        (String::new(), Closes, NO_ANSWER, "connection closed"),
        ("HTTP/1.1 2".into(), Closes, NO_ANSWER, "connection closed"),
        ("HTTP/1.1 200 OK\r\nx: y\r\n".into(), Closes, NO_ANSWER, "connection closed"),
        (String::new(), Stays, Late, "in time"),
        ("HTTP/1.1 2".into(), Stays, Late, "in time"),
        ("220 smtp.example.com ESMTP\r\n\r\n".into(), Stays, NO_SENSE, "parsed"),
        ("<html>hello</html>\r\n".into(), Closes, NO_SENSE, "parsed"),
        ("\0\x01\x02\x03".into(), Stays, NO_SENSE, "parsed"),
        ("\x15\x03\x03\0\x02\x02\x28".into(), Stays, NO_SENSE, "parsed"),
        ("ICY 200 OK\r\n\r\n".into(), Stays, NO_SENSE, "parsed"),
        ("HTTP/2.0 200 OK\r\n\r\n".into(), Stays, NO_SENSE, "parsed"),
        ("HTTP/1.1 20 OK\r\n\r\n".into(), Stays, NO_SENSE, "parsed"),
        ("HTTP/1.1 abc OK\r\n\r\n".into(), Stays, NO_SENSE, "parsed"),
        (
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n".into(),
            Stays,
            Bad("the upstream changed the protocol, which nobody asked for"),
            "changed the protocol",
        ),
    ]);
}

#[test]
fn heads_that_are_none() {
    is_each_as(&[
        // Heads that would be others to others.
        (with_head("x: a\rb", ""), Stays, NO_SENSE, "parsed"),
        (with_head("x: a\r\n b", ""), Stays, NO_SENSE, "parsed"),
        (with_head("x : a", ""), Stays, NO_SENSE, "parsed"),
        (with_head("x: \0", ""), Stays, NO_SENSE, "parsed"),
        (with_head("no colon", ""), Stays, NO_SENSE, "parsed"),
        // Too much of a head.
        (with_head(&format!("x: {}", "x".repeat(1 << 17)), ""), Stays, NO_SENSE, "too large"),
        (with_head(&"x: y\r\n".repeat(200), ""), Stays, NO_SENSE, "too large"),
        ("HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n".repeat(10_000), Stays, Late, "in time"),
        // In order, but the connection is not for another.
        (
            "HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nok".into(),
            Stays,
            Whole(200, "ok"),
            "",
        ),
        (with_head("connection: close\r\ncontent-length: 2", "ok"), Stays, Whole(200, "ok"), ""),
        (with_head("x: y", "ok"), Closes, Whole(200, "ok"), ""),
    ]);
}

#[test]
fn who_tells_the_truth_is_asked_again() {
    let (listener, server) = stage();
    let mut client = server.connect().unwrap();
    client.send(get("/open/7")).unwrap();
    let mut upstream = Wire::accept(&listener);
    for (method, answer, status) in [
        ("GET", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", 200),
        ("GET", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 200),
        ("GET", "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", 204),
        ("GET", "HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n", 204),
        ("GET", "HTTP/1.1 304 Not Modified\r\n\r\n", 304),
        ("GET", "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 2\r\n\r\nno", 500),
    ] {
        assert!(upstream.read_head().unwrap().starts_with(method), "{answer}");
        upstream.send(answer).unwrap();
        assert_eq!(client.read_response().unwrap().status, status, "{answer}");
        client.send(get("/open/7")).unwrap();
    }
}

#[test]
fn a_head_has_no_body() {
    let stage = stage();
    for lines in ["content-length: 5", "transfer-encoding: chunked"] {
        let client = asked(&stage.1, "HEAD");
        let mut upstream = Wire::accept(&stage.0);
        upstream.read_head().unwrap();
        upstream.send(format!("{OK}{lines}\r\n\r\nhello")).unwrap();
        let got = got(client, "HEAD");
        got.is(lines, Whole(200, ""));
        is_told_and_left(lines, &stage, &got, "more than its", Some(upstream));
    }
}

#[test]
fn a_response_before_the_request() {
    let stage = stage();
    // Unasked on a connection that waits for its next request.
    let mut client = stage.1.connect().unwrap();
    client.send(get("/open/7")).unwrap();
    let mut upstream = Wire::accept(&stage.0);
    upstream.read_head().unwrap();
    upstream.send(format!("{OK}content-length: 2\r\n\r\nok")).unwrap();
    assert_eq!(client.read_response().unwrap().text(), "ok");
    upstream.send(format!("{OK}content-length: 4\r\n\r\nevil")).unwrap();
    // The gateway has it by the time that it closes the connection, which a sweep does, too.
    let client = asked(&stage.1, "GET");
    let mut next = Wire::accept(&stage.0);
    assert!(next.read_head().unwrap().starts_with("GET /7 "));
    next.send(format!("{OK}connection: close\r\ncontent-length: 4\r\n\r\nnext")).unwrap();
    got(client, "GET").is("unasked", Whole(200, "next"));
    assert_eq!(upstream.read_to_end().unwrap_or_default(), b"");
}

#[test]
fn who_never_comes_to_the_point() {
    let stage = stage();
    for piece in ["x", "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"] {
        let client = asked(&stage.1, "GET");
        let mut upstream = Wire::accept(&stage.0);
        upstream.read_head().unwrap();
        let (stop, stopped) = mpsc::channel::<()>();
        let talking = thread::spawn(move || {
            let pause = Duration::from_millis(if piece.len() == 1 { 50 } else { 0 });
            let mut is_heard = pause.is_zero() || upstream.send(format!("{OK}x: ")).is_ok();
            while is_heard && stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                is_heard = upstream.send(piece).is_ok();
            }
            // The connection is closed, or this would go on for ever.
            while upstream.send(piece).is_ok() {}
        });
        let got = got(client, "GET");
        got.is(piece, Late);
        drop(stop);
        talking.join().unwrap();
        is_told_and_left(piece, &stage, &got, "in time", None);
    }
}
