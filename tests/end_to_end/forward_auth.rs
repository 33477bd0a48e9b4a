//! Forward auth: other people's proxies ask about each request, each kind in its own way.

mod addresses;
mod behind;
mod envoy_tokens;
mod paths;
pub(crate) mod programs;
mod proxies;
mod refusals;
mod rows;
mod several_nodes;

use crate::{
    installation::{Installation, Token},
    response::Response,
    rows::CLIENT,
    server::Server,
    upstream::Identity,
    wire::Wire,
};

/// A kind of proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proxy {
    Nginx,
    Haproxy,
    Traefik,
    Caddy,
    Envoy,
}

pub(crate) const PROXIES: [Proxy; 5] =
    [Proxy::Nginx, Proxy::Haproxy, Proxy::Traefik, Proxy::Caddy, Proxy::Envoy];

impl Proxy {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Traefik => "traefik",
            Self::Caddy => "caddy",
            Self::Envoy => "envoy",
        }
    }

    /// The fields in which it says method and target, where it does.
    pub(crate) fn says_request_in(self) -> Option<[&'static str; 2]> {
        match self {
            Self::Nginx | Self::Haproxy => Some(["X-Original-Method", "X-Original-URI"]),
            Self::Traefik | Self::Caddy => Some(["X-Forwarded-Method", "X-Forwarded-Uri"]),
            Self::Envoy => None,
        }
    }

    /// The field in which it says where the request comes from.
    pub(crate) fn says_client_in(self) -> &'static str {
        match self {
            Self::Nginx | Self::Haproxy => "X-Real-IP",
            Self::Traefik | Self::Caddy | Self::Envoy => "X-Forwarded-For",
        }
    }

    /// What it asks about a request to `api`, whose own header lines are `lines`.
    pub(crate) fn question(self, api: &str, method: &str, target: &str, lines: &str) -> String {
        let client = format!("{}: {CLIENT}\r\n", self.says_client_in());
        self.bare_question(api, method, target, &(client + lines))
    }

    /// The same, with no word about where the request comes from.
    fn bare_question(self, api: &str, method: &str, target: &str, lines: &str) -> String {
        let (line, fields) = match self.says_request_in() {
            Some([says_method, says_target]) => (
                format!("GET /auth/{api}"),
                format!("{says_method}: {method}\r\n{says_target}: {target}\r\n"),
            ),
            None => (format!("{method} /auth/{api}{target}"), String::new()),
        };
        format!("{line} HTTP/1.1\r\nhost: counterfoil\r\n{fields}{lines}\r\n")
    }

    /// The status with which it hears of a problem: nginx knows two.
    pub(crate) fn hears(self, status: u16) -> u16 {
        match self {
            Self::Nginx if status != 401 => 403,
            _ => status,
        }
    }
}

/// A server that a kind of proxy asks, and a viewer's token for `finout`.
struct Door {
    proxy: Proxy,
    server: Server,
    token: Token,
}

impl Door {
    fn open(proxy: Proxy) -> Self {
        let mut installation = Installation::new(APIS);
        installation.set("COUNTERFOIL_FORWARD_AUTH_PROXY", proxy.name());
        let server = installation.set_up().start();
        let token = server.issue("finout", &["--role", "viewer"]);
        Self { proxy, server, token }
    }

    /// Those of each kind, one after the other.
    fn each() -> impl Iterator<Item = Self> {
        PROXIES.into_iter().map(Self::open)
    }

    fn ask(&self, question: impl AsRef<[u8]>) -> Response {
        ask(&self.server, question)
    }

    /// The header lines that send a token.
    fn lines(token: &Token) -> String {
        format!("authorization: Bearer {}\r\n", token.secret)
    }

    /// Asks about a request to `finout` with the viewer's token.
    fn about(&self, method: &str, target: &str, lines: &str) -> Response {
        let lines = Self::lines(&self.token) + lines;
        self.ask(self.proxy.question("finout", method, target, &lines))
    }

    /// Checks a problem of the door's own, which is about the question.
    #[track_caller]
    fn says_no(&self, response: &Response, status: u16, code: &str) {
        assert_eq!(response.status, self.proxy.hears(status), "{:?} {response:?}", self.proxy);
        assert_eq!(response.header("content-type"), "application/problem+json");
        let problem = response.json();
        assert_eq!(problem["code"], code, "{:?} {response:?}", self.proxy);
        assert_eq!(problem["request_id"], response.request_id());
        assert!(identity_fields(response).is_empty(), "{response:?}");
    }
}

/// Viewers of `finout` may read, editors also write; a part of `open` is for everybody.
const APIS: &str = r#"
[api.finout]
upstream = "http://127.0.0.1:1"
[api.finout.scopes]
read = "Read"
write = "Write"
[api.finout.roles]
viewer = ["read"]
editor = ["read", "write"]

[api.open]
upstream = "http://127.0.0.1:1"
routes = ["GET /public/** -> anonymous"]
"#;

fn ask(server: &Server, question: impl AsRef<[u8]>) -> Response {
    Wire::connect(server.forward_auth).unwrap().exchange(question).unwrap()
}

pub(crate) fn identity_fields(response: &Response) -> Vec<&str> {
    let names = response.headers.iter().map(|(name, _)| name.as_str());
    names.filter(|name| name.starts_with("x-counterfoil")).collect()
}

/// Whose request a door says it is. All five fields have to be there once.
#[track_caller]
pub(crate) fn identity(response: &Response) -> Identity {
    assert_eq!(response.status, 200, "{response:?}");
    assert_eq!(response.body, b"");
    assert_eq!(identity_fields(response).len(), 5, "{response:?}");
    let field = |name: &str| response.header(&format!("x-counterfoil-{name}")).to_owned();
    Identity {
        token: field("token-id"),
        account: field("account"),
        organization: field("organization"),
        role: field("role"),
        scopes: field("scopes"),
    }
}
