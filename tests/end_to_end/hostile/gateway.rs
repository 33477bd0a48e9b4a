//! At the gateway.

use super::{
    Comes, HOST, Row, Stage, exchange, is_no_http, is_problem, is_too_large, oversized, rows,
};

/// A request to `orders`, with these lines and the reader's token.
fn with(stage: &Stage, lines: &str) -> String {
    let secret = &stage.reader.secret;
    format!(
        "GET /orders/7 HTTP/1.1\r\nhost: {HOST}\r\n{lines}authorization: Bearer {secret}\r\n\r\n"
    )
}

impl Row {
    /// The request as the gateway is sent it.
    fn whole(&self) -> Vec<u8> {
        let (host, mount) = match self.api {
            "orders" => (HOST, String::new()),
            api => ("gateway", format!("/{api}")),
        };
        let line = format!("{} {mount}{} HTTP/1.1\r\nhost: {host}\r\n", self.method, self.target);
        let mut request = line.into_bytes();
        for (name, value) in &self.fields {
            request.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
        }
        request.extend(b"\r\n");
        request
    }
}

#[test]
fn what_every_door_may_be_sent() {
    let stage = Stage::set();
    stage.changes_nothing(|| {
        for row in rows(&stage) {
            let answer = exchange(stage.server.gateway, &row.whole());
            let received = stage.upstream.take();
            match &row.comes {
                Comes::Passes(identity) => {
                    assert_eq!(answer.status, 200, "{row:?}: {answer:?}");
                    assert_eq!(received.len(), 1, "{row:?}");
                    assert_eq!(received[0].identity(), *identity, "{row:?}");
                    assert_eq!(received[0].method, row.method, "{row:?}");
                    assert!(!received[0].holds("root"), "{row:?}");
                }
                Comes::Refused(status, code) => {
                    assert!(received.is_empty(), "{row:?}");
                    stage.is_refused(row.what, &answer, *status, code);
                }
                Comes::Ambiguous => {
                    assert!(received.is_empty(), "{row:?}");
                    is_problem(&format!("{row:?}"), &answer, 400, "ambiguous_path");
                    assert_eq!(answer.header("connection"), "close");
                }
            }
        }
    });
}

#[test]
fn what_is_no_http() {
    let stage = Stage::set();
    let address = stage.server.gateway;
    stage.changes_nothing(|| {
        for (what, wrong) in [
            ("a NUL in a field", with(&stage, "x-nul: a\0b\r\n")),
            ("a NUL in a field's name", with(&stage, "x-\0nul: a\r\n")),
            ("a NUL in the path", with(&stage, "").replacen("/7", "/\0", 1)),
            ("a NUL in the method", with(&stage, "").replacen("GET", "G\0T", 1)),
            ("UTF-8 in a field's name", with(&stage, "x-\u{e9}: a\r\n")),
            ("UTF-8 in the method", with(&stage, "").replacen("GET", "G\u{cb}T", 1)),
            ("a line that is folded", with(&stage, "x-folded: a\r\n b\r\n")),
            ("a space before the colon", with(&stage, "x-counterfoil-role : root\r\n")),
        ] {
            is_no_http(address, what, wrong.as_bytes());
        }
        let path = with(&stage, "").into_bytes();
        let at = path.windows(2).position(|two| two == b"/7").unwrap();
        let path = [&path[..at], b"/\xff\xfe", &path[at + 2..]].concat();
        is_no_http(address, "no UTF-8 in the path", &path);
    });
    assert!(stage.upstream.take().is_empty());
}

#[test]
fn what_is_for_nobody() {
    let stage = Stage::set();
    let plain = with(&stage, "");
    stage.changes_nothing(|| {
        for (what, request, status, code) in [
            ("no such API", plain.replacen(HOST, "gateway", 1), 404, "unknown_api"),
            ("no host", plain.replacen("host:", "x-host:", 1), 400, "invalid_request"),
            ("two hosts", with(&stage, "host: gateway\r\n"), 400, "invalid_request"),
            ("a host that is none", plain.replacen(HOST, "a b", 1), 400, "invalid_request"),
            ("a tunnel", plain.replacen("GET /orders/7", "CONNECT a:1", 1), 400, "invalid_request"),
        ] {
            let answer = exchange(stage.server.gateway, request.as_bytes());
            assert_eq!(answer.status, status, "{what}: {answer:?}");
            is_problem(what, &answer, status, code);
        }
        for (name, lines) in oversized() {
            let answer = exchange(stage.server.gateway, with(&stage, &lines).as_bytes());
            assert_eq!(answer.status, 431, "{name}: {answer:?}");
            is_too_large(name, &answer);
        }
        // The host's bytes need not be text.
        let host = b"GET / HTTP/1.1\r\nhost: \xff\r\n\r\n";
        is_problem(
            "no UTF-8 in the host",
            &exchange(stage.server.gateway, host),
            400,
            "invalid_request",
        );
    });
    assert!(stage.upstream.take().is_empty());
}

#[test]
fn a_peer_outside_the_trusted_proxies() {
    let stage = Stage::set();
    let bound = format!("Authorization: Bearer {}", stage.bound.secret);
    let send = |peer: &str, line: &str| {
        let host = format!("Host: {HOST}");
        let arguments =
            ["--interface", peer, "--header", &host, "--header", &bound, "--header", line];
        stage.server.curl("/orders/7", arguments)
    };
    stage.changes_nothing(|| {
        for line in
            ["X-Forwarded-For: 192.0.2.1", "X-Real-IP: 192.0.2.1", "Forwarded: for=192.0.2.1"]
        {
            stage.is_refused(line, &send("127.0.0.3", line), 403, "network_not_allowed");
        }
        // A proxy is believed in one field, and no other.
        for line in ["X-Real-IP: 192.0.2.1", "X_Forwarded_For: 192.0.2.1"] {
            stage.is_refused(line, &send("127.0.0.2", line), 403, "network_not_allowed");
        }
        assert!(stage.upstream.take().is_empty());
        assert_eq!(send("127.0.0.2", "X-Forwarded-For: 192.0.2.1").status, 200);
    });
}
