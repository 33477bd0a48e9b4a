//! Framing: where one request ends and the next begins is never up for debate.

use super::{Door, get};

/// A whole request to `target` with these header lines, and what follows its head.
fn post(target: &str, lines: &[&str], rest: &str) -> String {
    let lines = lines.join("\r\n");
    format!("POST {target} HTTP/1.1\r\nhost: gateway\r\n{lines}\r\n\r\n{rest}")
}

#[test]
fn what_does_not_say_where_it_ends_is_refused() {
    let door = Door::open();
    let smuggled = get("/open/smuggled");
    for lines in [
        &["content-length: 5", "content-length: 6"][..],
        &["content-length: 5, 6"],
        &["content-length: -1"],
        &["content-length: +5"],
        &["content-length: 0x5"],
        &["content-length: 99999999999999999999999"],
        &["transfer-encoding: chunked, identity"],
        &["transfer-encoding: xchunked"],
        &["transfer-encoding: gzip"],
    ] {
        let mut wire = door.server.connect().unwrap();
        let response = wire.exchange(post("/open/7", lines, &smuggled)).unwrap();
        assert_eq!(response.status, 400, "{lines:?}: {response:?}");
        assert_eq!(wire.read_to_end().unwrap(), b"", "{lines:?}");
    }
    let received = door.upstream.take();
    assert!(received.is_empty(), "{received:?}");
}

#[test]
fn a_length_beside_chunks_does_not_reach_the_upstream() {
    let door = Door::open();
    let both = ["content-length: 3", "transfer-encoding: chunked"];
    let mut wire = door.server.connect().unwrap();
    let response = wire.exchange(post("/open/7", &both, "5\r\nhello\r\n0\r\n\r\n")).unwrap();
    // Either answer is in order (RFC 9112 §6.3); two readings are not.
    if response.status == 200 {
        let received = door.upstream.take_one();
        assert!(received.values("content-length").is_empty(), "{received:?}");
        assert_eq!(&received.body[..], b"hello");
    } else {
        assert_eq!(response.status, 400);
        assert!(door.upstream.take().is_empty());
    }
}

#[test]
fn one_host_and_no_other() {
    let door = Door::open();
    for request in [
        "GET /open/7 HTTP/1.1\r\n\r\n",
        "GET /open/7 HTTP/1.1\r\nhost: one\r\nhost: two\r\n\r\n",
        "GET /open/7 HTTP/1.1\r\nhost: one\r\nhost: one\r\n\r\n",
        "GET http://two/open/7 HTTP/1.1\r\nhost: one\r\n\r\n",
    ] {
        let mut wire = door.server.connect().unwrap();
        let response = wire.exchange(request).unwrap();
        assert_eq!(response.status, 400, "{request}");
        assert_eq!(response.json()["code"], "invalid_request");
        assert_eq!(wire.read_to_end().unwrap(), b"", "{request}");
    }
    assert!(door.upstream.take().is_empty());
    // A target in absolute form is as good as another (RFC 9112 §3.2.2).
    let mut wire = door.server.connect().unwrap();
    let absolute = "GET http://api.example.com/7 HTTP/1.1\r\nhost: api.example.com\r\n\r\n";
    assert_eq!(wire.exchange(absolute).unwrap().status, 200);
    assert_eq!(door.upstream.take_one().target, "/7");
    let old = "GET /open/7 HTTP/1.0\r\n\r\n";
    let mut wire = door.server.connect().unwrap();
    assert_eq!(wire.exchange(old).unwrap().status, 200);
    assert_eq!(door.upstream.take_one().target, "/7");
}

#[test]
fn the_body_of_a_refused_request_is_not_the_next_request() {
    let door = Door::open();
    let smuggled = get("/open/smuggled");
    let length = format!("content-length: {}", smuggled.len());
    for target in ["/orders/7", "/nothing", "/orders/../7"] {
        let mut wire = door.server.connect().unwrap();
        let response = wire.exchange(post(target, &[&length], &smuggled)).unwrap();
        assert!([400, 401, 404].contains(&response.status));
        // The connection either ends or goes on with what follows the body.
        if wire.send(get("/open/next")).is_ok()
            && let Ok(next) = wire.read_response()
        {
            assert_eq!(next.text(), "upstream says: GET /next");
        }
    }
    let received = door.upstream.take();
    assert!(received.iter().all(|received| received.target == "/next"), "{received:?}");
}

#[test]
fn many_requests_on_one_connection_are_judged_one_by_one() {
    let door = Door::open();
    let bearer = door.bearer();
    let with = format!("GET /orders/7 HTTP/1.1\r\nhost: gateway\r\n{bearer}\r\n\r\n");
    let without = get("/orders/7");
    let mut wire = door.server.connect().unwrap();
    for _ in 0..3 {
        assert_eq!(wire.exchange(&with).unwrap().status, 200);
        assert_eq!(wire.exchange(&without).unwrap().status, 401);
    }
    // All at once, too.
    wire.send(format!("{with}{without}{with}")).unwrap();
    let statuses = [(); 3].map(|()| wire.read_response().unwrap().status);
    assert_eq!(statuses, [200, 401, 200]);
    // Revoked counts on a connection that was open before.
    door.server.cli(["token", "revoke", &door.token.id]).done();
    assert_eq!(wire.exchange(&with).unwrap().status, 401);
}

#[test]
fn what_is_not_http_is_refused() {
    let door = Door::open();
    let smuggled = get("/open/smuggled");
    for wrong in [
        get("/open/a b"),
        get("/open/\u{e4}"),
        get("open/7"),
        "GET /open/7 HTTP/1.1\r\nhost: gateway\r\nno colon\r\n\r\n".to_owned(),
        "GET /open/7 HTTP/1.1\r\nhost: gateway\r\nspace : 1\r\n\r\n".to_owned(),
        "GET /open/7 HTTP/1.1\r\nhost: gateway\r\nfolded: 1\r\n 2\r\n\r\n".to_owned(),
        "GET /open/7 HTTP/1.1\r\nhost: gateway\r\nnul: \0\r\n\r\n".to_owned(),
        "GET /open/7 HTTP/3.7\r\nhost: gateway\r\n\r\n".to_owned(),
        "PRI * HTTP/2.1\r\n\r\nSM\r\n\r\n".to_owned(),
        "\x16\x03\x01\x02\0\x01\0\x01\x7c\x03\x03".to_owned(),
    ] {
        let mut wire = door.server.connect().unwrap();
        wire.send(wrong.clone() + &smuggled).unwrap();
        let answer = wire.read_to_end().unwrap_or_default();
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 400 "), "{wrong:?}");
    }
    let received = door.upstream.take();
    assert!(received.is_empty(), "{received:?}");
}

#[test]
fn a_head_that_is_too_large() {
    let door = Door::open();
    let large = format!(
        "GET /open/7 HTTP/1.1\r\nhost: gateway\r\nx-large: {}\r\n\r\n",
        "x".repeat(256 * 1024)
    );
    let mut wire = door.server.connect().unwrap();
    // It need not be read to its end, and then the rest cannot be sent.
    let _ = wire.send(large);
    assert_eq!(wire.read_response().unwrap().status, 431);
    let many = "x-many: 1\r\n".repeat(200);
    let many = format!("GET /open/7 HTTP/1.1\r\nhost: gateway\r\n{many}\r\n");
    let mut wire = door.server.connect().unwrap();
    assert_eq!(wire.exchange(many).unwrap().status, 431);
    assert!(door.upstream.take().is_empty());
}

#[test]
fn who_waits_to_be_asked_for_a_body_is_not_asked_in_vain() {
    let door = Door::open();
    let bearer = door.bearer();
    let waiting = ["content-length: 5", "expect: 100-continue"];
    let mut wire = door.server.connect().unwrap();
    wire.send(post("/orders/7", &waiting, "")).unwrap();
    assert!(wire.read_head().unwrap().starts_with("HTTP/1.1 401 "));

    let mut wire = door.server.connect().unwrap();
    wire.send(post("/orders/7", &[waiting[0], waiting[1], &bearer], "")).unwrap();
    assert!(wire.read_head().unwrap().starts_with("HTTP/1.1 100 "));
    assert_eq!(wire.exchange("hello").unwrap().status, 200);
    let received = door.upstream.take_one();
    assert_eq!(&received.body[..], b"hello");
    assert!(received.values("expect").is_empty());
}
