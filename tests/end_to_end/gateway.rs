//! The gateway: what it lets through, what it takes away, and how it ends.

mod cors;
mod ended;
mod fields;
mod framing;
mod large;
mod lies;
mod paths;
mod places;
mod request_ids;
mod routing;
mod stopping;
mod streaming;
mod trailers;
mod upstreams;
mod websocket;

use crate::{
    installation::{Installation, Token},
    response::Response,
    server::Server,
    upstream::{Received, Upstream},
};
use std::net::SocketAddr;

/// APIs on one upstream, in all the ways in which they can be mounted.
const APIS: &str = r#"
[api.open]
upstream = "UPSTREAM"
routes = ["* /** -> anonymous"]

[api.orders]
upstream = "UPSTREAM"

[api.guarded]
upstream = "UPSTREAM"
routes = ["* /secret/** -> admin", "* /** -> anonymous"]
[api.guarded.scopes]
admin = "Everything"

[api.keyed]
upstream = "UPSTREAM"
schemes = ["header", "bearer"]
header = "x-orders-key"

[api.paired]
upstream = "UPSTREAM"
schemes = ["header-pair"]
header_pair = ["x-client", "x-secret"]

[api.hosted]
upstream = "UPSTREAM"
mount = { host = "api.example.com" }
routes = ["* /** -> anonymous"]

[api.whole]
upstream = "UPSTREAM"
mount = { path = "/v1/whole", strip = false }
routes = ["* /** -> anonymous"]

[api.based]
upstream = "UPSTREAM/base/path"
routes = ["* /** -> anonymous"]
"#;

/// A gateway with an upstream behind it, and a token for `orders`.
struct Door {
    server: Server,
    upstream: Upstream,
    token: Token,
}

impl Door {
    fn open() -> Self {
        Self::before(Upstream::start())
    }

    fn before(upstream: Upstream) -> Self {
        let server = serve(upstream.address);
        let token = server.issue("orders", &[]);
        Self { server, upstream, token }
    }

    /// What reached the upstream of a request that is let through.
    #[track_caller]
    fn pass(&self, path: &str, arguments: &[&str]) -> Received {
        let response = self.server.curl(path, arguments);
        assert_eq!(response.status, 200, "{response:?}");
        self.upstream.take_one()
    }

    /// The same, with the token and these header lines.
    #[track_caller]
    fn pass_with(&self, lines: &[&str]) -> Received {
        let bearer = self.bearer();
        let mut arguments = vec!["--header", &bearer];
        arguments.extend(lines.iter().flat_map(|line| ["--header", *line]));
        self.pass("/orders/7", &arguments)
    }

    /// The answer to a request that goes no further.
    #[track_caller]
    fn turn_away(&self, path: &str, arguments: &[&str]) -> Response {
        let response = self.server.curl(path, arguments);
        let received = self.upstream.take();
        assert!(received.is_empty(), "{response:?}\n{received:?}");
        response
    }

    /// The header line that admits to `orders`.
    fn bearer(&self) -> String {
        format!("Authorization: Bearer {}", self.token.secret)
    }
}

/// The gateway alone, in front of whatever listens on `upstream`.
fn serve(upstream: SocketAddr) -> Server {
    let configuration = APIS.replace("UPSTREAM", &format!("http://{upstream}"));
    Installation::new(&configuration).set_up().start()
}

/// A gateway in which any request can be given any connection that is kept: each thread keeps
/// its own, and there is one.
fn with_one_thread(configuration: &str) -> Server {
    let mut installation = Installation::new(configuration);
    installation.set("TOKIO_WORKER_THREADS", "1");
    installation.start()
}

/// A whole request without a body.
fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nhost: gateway\r\n\r\n")
}
