//! nginx before three nodes: the real program, with the configuration that compose gives it.

use super::{compose::Made, text};
use crate::{
    forward_auth::programs::Program,
    installation::Installation,
    response::{Response, fetch},
    server::Server,
    upstream::{NOBODY, Received, Upstream},
};
use http_body_util::Full;
use std::{collections::BTreeMap, net::SocketAddr};

const NODES: usize = 3;
const CONFIGURATION: &str = r#"
[server]
public_url = "https://tokens.example.com"
trusted_proxies = ["127.0.0.1"]

[gateway]
public_url = "https://api.example.com"
trusted_proxies = ["127.0.0.1"]

[api.orders]
upstream = "UPSTREAM"
routes = ["* /** -> anonymous"]
"#;

/// Where a node listens: console, gateway.
type Listeners = [SocketAddr; 2];

/// nginx, and secrets among which is its certificate.
pub(super) struct Front {
    program: Program,
    made: Made,
}

impl Front {
    pub(super) fn before(nodes: [Listeners; NODES]) -> Self {
        let made = Made::make();
        let mut site = text("compose/nginx.conf");
        site = site.replace("/run/secrets/", made.secrets().join("").to_str().unwrap());
        for (number, [server, gateway]) in (1..).zip(nodes) {
            site = site.replace(&format!("counterfoil-{number}:8080"), &server.to_string());
            site = site.replace(&format!("counterfoil-{number}:8081"), &gateway.to_string());
        }
        let program = Program::nginx(|address| {
            site.replace("listen 443 ssl", &format!("listen {address} ssl"))
        });
        Self { program, made }
    }

    /// What a client gets who trusts the certificate.
    #[track_caller]
    fn ask(&self, host: &str, path: &str, arguments: &[&str]) -> Response {
        let address = self.program.address;
        let there = format!("{host}:443:{address}");
        let trusted = self.made.secrets().join("tls-certificate");
        let own = ["--connect-to", &there, "--cacert", trusted.to_str().unwrap()];
        fetch(&format!("https://{host}{path}"), own.iter().chain(arguments))
    }

    #[track_caller]
    pub(super) fn status(&self, path: &str, arguments: &[&str]) -> u16 {
        self.ask("api.example.com", path, arguments).status
    }
}

/// A node, and an upstream that gets its requests alone.
struct Node {
    server: Server,
    upstream: Upstream,
}

impl Node {
    fn start() -> Self {
        let upstream = Upstream::start();
        let configuration = CONFIGURATION.replace("UPSTREAM", &upstream.url());
        Self { server: Installation::new(&configuration).set_up().start(), upstream }
    }

    fn listeners(&self) -> Listeners {
        [self.server.main, self.server.gateway]
    }
}

#[test]
fn requests_go_to_every_node_which_learns_where_they_come_from() {
    let nodes = [(); NODES].map(|()| Node::start());
    let front = Front::before(nodes.each_ref().map(Node::listeners));
    let lies = [
        "X-Forwarded-For: 198.51.100.7",
        "X-Forwarded-Proto: http",
        "X-Forwarded-Host: elsewhere.example.com",
        "Upgrade: h2c",
    ];
    let lies: Vec<_> = lies.iter().flat_map(|line| ["--header", *line]).collect();
    let target = "/orders/a%20b/7?x=y&z=//";
    for _ in 0..NODES * 2 {
        assert_eq!(front.status(target, &lies), 200);
    }
    for node in &nodes {
        let received = node.upstream.take();
        assert!(!received.is_empty(), "a node that gets nothing");
        for request in received {
            assert_eq!(request.target, "/a%20b/7?x=y&z=//");
            // The client as nginx says, and nginx.
            assert_eq!(request.values("x-forwarded-for"), ["127.0.0.1, 127.0.0.1"]);
            assert_eq!(request.values("x-forwarded-proto"), ["https"]);
            assert_eq!(request.values("x-forwarded-host"), ["api.example.com"]);
            assert!(request.values("upgrade").is_empty(), "{request:?}");
        }
    }

    // A WebSocket is asked for as the client asks for it.
    let asks = [
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ];
    let asks: Vec<_> = asks.iter().flat_map(|line| ["--header", *line]).collect();
    front.status("/orders/7", &asks);
    let received: Vec<Received> = nodes.iter().flat_map(|node| node.upstream.take()).collect();
    assert_eq!(received[0].values("upgrade"), ["websocket"], "{received:?}");

    // By another name it is another listener.
    let ready = front.ask("tokens.example.com", "/readyz", &[]);
    assert_eq!((ready.status, ready.text()), (200, "ready\n"));
    let page = front.ask("tokens.example.com", "/sign-in", &[]);
    assert_eq!(page.status, 200, "{page:?}");
    assert_eq!(front.status("/readyz", &[]), 404);
}

#[test]
fn a_node_that_has_gone_is_not_missed() {
    let nodes = [(); NODES].map(|()| Node::start());
    let mut listeners = nodes.each_ref().map(Node::listeners);
    listeners[1] = [NOBODY; 2];
    let front = Front::before(listeners);
    for arguments in [&[][..], &["--data", "hello"]] {
        for _ in 0..NODES * 2 {
            assert_eq!(front.status("/orders/7", arguments), 200, "{arguments:?}");
            assert_eq!(front.ask("tokens.example.com", "/healthz", &[]).status, 200);
        }
    }
    let made: usize = nodes.iter().map(|node| node.upstream.take().len()).sum();
    assert_eq!(made, NODES * 4);
}

/// A node without a lease answers everything with 503; so does whoever stands in for one here.
#[test]
fn a_node_that_may_not_verify_is_passed_over_where_that_is_safe() {
    let stale = Upstream::answering(|_| {
        let mut response = http::Response::new(Full::from(r#"{"code":"node_stale"}"#));
        *response.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
        response.headers_mut().insert("retry-after", "1".parse().unwrap());
        response
    });
    let nodes = [Node::start(), Node::start()];
    let [first, second] = nodes.each_ref().map(Node::listeners);
    let front = Front::before([first, [stale.address; 2], second]);
    for _ in 0..NODES * 2 {
        assert_eq!(front.status("/orders/7", &[]), 200);
        assert_eq!(front.ask("tokens.example.com", "/readyz", &[]).status, 200);
    }
    assert!(!stale.take().is_empty(), "it was never asked");

    // What may not be sent twice is not.
    let passed = || nodes.iter().map(|node| node.upstream.take().len()).sum::<usize>();
    passed();
    let mut statuses = BTreeMap::<u16, usize>::new();
    for _ in 0..NODES * 2 {
        *statuses.entry(front.status("/orders/7", &["--data", "hello"])).or_default() += 1;
    }
    let refused = stale.take().len();
    assert_eq!(statuses, BTreeMap::from([(200, passed()), (503, refused)]));
    assert_eq!(statuses[&200] + refused, NODES * 2);
}
