//! Proxies in front of the gateway: whose word counts for where a request comes from.

use crate::{
    caller,
    installation::{Installation, Token},
    response::Response,
    server::Server,
    upstream::Upstream,
};

/// A proxy of the operator's, and one further out.
const PROXY: &str = "127.0.0.2";
const OUTER: &str = "198.51.100.8";
/// Anybody else.
const STRANGER: &str = "127.0.0.3";
/// A client, and the network that it is in.
const CLIENT: &str = "203.0.113.9";
const NETWORK: &str = "203.0.113.0/24";

const APIS: &str = r#"
[gateway]
trusted_proxies = ["127.0.0.2", "198.51.100.0/28"]

[api.orders]
upstream = "UPSTREAM"
"#;

/// A gateway that has proxies in front of it, and tokens for `orders`.
struct Stage {
    server: Server,
    upstream: Upstream,
    anywhere: Token,
    /// For the client's network alone.
    bound: Token,
}

impl Stage {
    fn set() -> Self {
        let upstream = Upstream::start();
        let configuration = APIS.replace("UPSTREAM", &upstream.url());
        let server = Installation::new(&configuration).set_up().start();
        let anywhere = server.issue("orders", &[]);
        let bound = server.issue("orders", &["--allowed-network", NETWORK]);
        Self { server, upstream, anywhere, bound }
    }

    /// The answer to a request from `peer` with these header lines.
    fn send(&self, peer: &str, token: &Token, lines: &[&str]) -> Response {
        let bearer = format!("Authorization: Bearer {}", token.secret);
        let lines = lines.iter().flat_map(|line| ["--header", *line]);
        let own = ["--interface", peer, "--header", &bearer];
        self.server.curl("/orders/7", own.into_iter().chain(lines))
    }

    /// Whom the upstream of such a request sees first in `X-Forwarded-For`; last is who brought it.
    #[track_caller]
    fn seen(&self, peer: &str, token: &Token, lines: &[&str]) -> Vec<String> {
        let response = self.send(peer, token, lines);
        assert_eq!(response.status, 200, "{response:?}");
        let received = self.upstream.take_one();
        let [chain] = received.values("x-forwarded-for")[..] else { return Vec::new() };
        assert_eq!(chain.split(", ").last(), Some(peer));
        chain.split(", ").take(1).map(str::to_owned).collect()
    }

    #[track_caller]
    fn is_forbidden(&self, peer: &str, token: &Token, lines: &[&str]) {
        let response = self.send(peer, token, lines);
        assert_eq!(response.status, 403, "{peer} {lines:?}: {response:?}");
        assert_eq!(response.json()["code"], "network_not_allowed");
        assert!(self.upstream.take().is_empty());
    }
}

/// Ways in which a client may be named, as whoever forwards its requests writes them.
const TOLD: [&[&str]; 8] = [
    &["X-Forwarded-For: 203.0.113.9"],
    &["x-forwarded-for:203.0.113.9 "],
    &["X-Forwarded-For: 203.0.113.9:4711"],
    // What came before it is hearsay.
    &["X-Forwarded-For: 192.0.2.1, 203.0.113.9"],
    &["X-Forwarded-For: unknown, 203.0.113.9"],
    &["X-Forwarded-For: 192.0.2.1", "X-Forwarded-For: 203.0.113.9"],
    // What came after it are proxies of the operator's.
    &["X-Forwarded-For: 203.0.113.9, 198.51.100.8"],
    &["X-Forwarded-For: 203.0.113.9", "X-Forwarded-For: 198.51.100.8, 127.0.0.2"],
];

#[test]
fn a_proxy_of_the_operators_is_believed() {
    let stage = Stage::set();
    for lines in TOLD {
        for token in [&stage.anywhere, &stage.bound] {
            assert_eq!(stage.seen(PROXY, token, lines), [CLIENT], "{lines:?}");
        }
    }
    assert_eq!(stage.seen(PROXY, &stage.anywhere, &[]), [PROXY]);
    stage.is_forbidden(PROXY, &stage.bound, &[]);
    let outer = format!("X-Forwarded-For: {OUTER}");
    assert_eq!(stage.seen(PROXY, &stage.anywhere, &[&outer]), [OUTER]);
    stage.is_forbidden(PROXY, &stage.bound, &[&outer]);
}

#[test]
fn nobody_else_is() {
    let stage = Stage::set();
    for lines in TOLD {
        assert_eq!(stage.seen(STRANGER, &stage.anywhere, lines), [STRANGER], "{lines:?}");
        stage.is_forbidden(STRANGER, &stage.bound, lines);
    }
    // Nor may a stranger pass for a proxy.
    for lines in [&["X-Forwarded-For: 203.0.113.9, 127.0.0.3"][..], &["Via: 1.1 127.0.0.2"]] {
        assert_eq!(stage.seen(STRANGER, &stage.anywhere, lines), [STRANGER]);
        stage.is_forbidden(STRANGER, &stage.bound, lines);
    }
}

#[test]
fn a_client_does_not_choose_its_address() {
    let stage = Stage::set();
    // The proxy appends whom it sees to what the client wrote.
    for line in [
        "X-Forwarded-For: 203.0.113.9, 192.0.2.1",
        "X-Forwarded-For: 203.0.113.9, 192.0.2.1, 198.51.100.8",
        "X-Forwarded-For: 203.0.113.9, 198.51.100.8, 192.0.2.1",
    ] {
        assert_eq!(stage.seen(PROXY, &stage.anywhere, &[line]), ["192.0.2.1"], "{line}");
        stage.is_forbidden(PROXY, &stage.bound, &[line]);
    }
    for line in [
        "X-Real-IP: 203.0.113.9",
        "Forwarded: for=203.0.113.9",
        "True-Client-IP: 203.0.113.9",
        "X_Forwarded_For: 203.0.113.9",
        "X-Client-IP: 203.0.113.9",
    ] {
        assert_eq!(stage.seen(PROXY, &stage.anywhere, &[line]), [PROXY], "{line}");
        stage.is_forbidden(PROXY, &stage.bound, &[line]);
    }
}

#[test]
fn what_is_no_address_is_nowhere() {
    let stage = Stage::set();
    for line in [
        "X-Forwarded-For: unknown",
        "X-Forwarded-For: 203.0.113.9, unknown",
        "X-Forwarded-For: 203.0.113.9,",
        "X-Forwarded-For: 203.0.113.9 192.0.2.1",
        "X-Forwarded-For: 203.0.113.9, \u{e9}",
        "X-Forwarded-For: 203.0.113",
        "X-Forwarded-For;",
    ] {
        let nothing: [&str; 0] = [];
        assert_eq!(stage.seen(PROXY, &stage.anywhere, &[line]), nothing, "{line}");
        stage.is_forbidden(PROXY, &stage.bound, &[line]);
    }
}

#[test]
fn forwarded_counts_where_it_is_configured_and_nowhere_else() {
    let upstream = Upstream::start();
    let configuration = APIS
        .replace("UPSTREAM", &upstream.url())
        .replace("[gateway]", "[gateway]\nforwarded = \"forwarded\"");
    let server = Installation::new(&configuration).set_up().start();
    let anywhere = server.issue("orders", &[]);
    let bound = server.issue("orders", &["--allowed-network", NETWORK]);
    let stage = Stage { server, upstream, anywhere, bound };
    let told = "Forwarded: for=192.0.2.1, for=203.0.113.9;host=api.test;proto=https";
    let hearsay = ["X-Forwarded-For: 192.0.2.7", "X-Forwarded-Proto: ftp", told];
    let response = stage.send(PROXY, &stage.bound, &hearsay);
    assert_eq!(response.status, 200, "{response:?}");
    let received = stage.upstream.take_one();
    for (name, value) in [
        ("forwarded", "for=203.0.113.9;host=\"api.test\";proto=https, for=127.0.0.2"),
        ("x-forwarded-for", "203.0.113.9, 127.0.0.2"),
        ("x-forwarded-host", "api.test"),
        ("x-forwarded-proto", "https"),
    ] {
        assert_eq!(received.values(name), [value], "{name}");
    }
    for lines in TOLD {
        stage.is_forbidden(PROXY, &stage.bound, lines);
    }
    stage.is_forbidden(STRANGER, &stage.bound, &[told]);
}

#[test]
fn the_management_api_believes_its_own_proxies_only() {
    let asks = |configuration: &str, lines: &str| {
        let server = Installation::new(configuration).set_up().start();
        let bound = ["--scope", "tokens:read", "--allowed-network", "198.51.100.9"];
        let token = server.issue("counterfoil", &bound);
        let lines = format!("authorization: Bearer {}\r\n{lines}", token.secret);
        caller::call(server.main, &lines, "GET", "/v1/tokens", "").status
    };
    let proxied = "x-forwarded-for: 203.0.113.7, 198.51.100.9\r\n";
    let trusting = "[server]\ntrusted_proxies = [\"127.0.0.0/8\"]\n";
    assert_eq!(asks(trusting, proxied), 200);
    assert_eq!(asks(trusting, ""), 403);
    assert_eq!(asks(trusting, "x-forwarded-for: 198.51.100.9, 203.0.113.7\r\n"), 403);
    assert_eq!(asks("", proxied), 403);
}
