//! An API behind each of other people's proxies: the real program, with the configuration that
//! the documentation shows. Of Traefik there is a stand-in.

use super::{APIS, Proxy, programs, programs::Place, programs::Program};
use crate::{
    installation::{Installation, Token},
    response::{Response, curl},
    rows::{Outcome, Row, rows},
    server::Server,
    upstream::{Identity, Received, Upstream},
    wire::Wire,
};
use http_body_util::Full;
use std::net::SocketAddr;

/// Each scene behind each proxy, all of them side by side.
macro_rules! behind {
    ($($proxy:ident $name:ident),*; $scenes:tt) => { $(behind!(@ $proxy $name $scenes);)* };
    (@ $proxy:ident $name:ident [$($scene:ident),* $(,)?]) => {
        mod $name {
            $(#[test]
            fn $scene() {
                super::$scene(super::Proxy::$proxy);
            })*
        }
    };
}

behind!(Nginx nginx, Caddy caddy, Haproxy haproxy, Envoy envoy, Traefik traefik; [
    the_documentation_is_sound,
    a_request_passes_and_the_upstream_hears_whose_it_is,
    bodies_go_past_the_question,
    the_question_is_the_head_of_what_passes,
    nobody_speaks_for_the_proxy,
    nobody_speaks_for_counterfoil,
    no_field_makes_another_request_of_it,
    a_refusal_of_the_upstreams_is_its_own,
    revoked_at_once,
    without_an_answer_nothing_passes,
    every_refusal_arrives_as_the_gateway_would_send_it,
    every_challenge_arrives_once,
]);

/// An API behind a proxy.
struct Stage {
    program: Program,
    server: Server,
    upstream: Upstream,
    token: Token,
}

/// The proxies have the APIs where the gateway would have them.
fn under_mounts(mut installation: Installation, proxy: Proxy) -> Installation {
    installation.set("COUNTERFOIL_FORWARD_AUTH_STRIP_MOUNTS", "true");
    installation.set("COUNTERFOIL_FORWARD_AUTH_PROXY", proxy.name());
    installation
}

fn place<'a>(server: &Server, upstream: &Upstream, api: &'a str) -> Place<'a> {
    let upstream = upstream.address;
    Place { api, counterfoil: server.forward_auth, upstream, credential: None }
}

impl Stage {
    fn set(proxy: Proxy) -> Self {
        Self::before(proxy, Upstream::start())
    }

    fn before(proxy: Proxy, upstream: Upstream) -> Self {
        let orders =
            "[api.orders]\nroutes = [\"GET /public/** -> anonymous\", \"* /** -> {access}\"]";
        let apis = APIS.replace("[api.finout]", orders).replace("finout", "orders");
        let server = under_mounts(Installation::new(&apis), proxy).set_up().start();
        let token = server.issue("orders", &["--role", "viewer"]);
        let program = Program::start(proxy, &place(&server, &upstream, "orders"));
        Self { program, server, upstream, token }
    }

    fn curl(&self, path: &str, arguments: &[&str]) -> Response {
        curl(self.program.address, path, arguments)
    }

    fn bearer(&self) -> String {
        format!("Authorization: Bearer {}", self.token.secret)
    }

    #[track_caller]
    fn passes(&self, path: &str, arguments: &[&str]) -> Received {
        let bearer = self.bearer();
        let response = self.curl(path, &[&["--header", &bearer], arguments].concat());
        assert_eq!(response.status, 200, "{response:?}");
        let received = self.upstream.take_one();
        assert!(!received.holds(&self.token.secret), "{received:?}");
        received
    }

    /// Whom the token makes the caller.
    fn viewer(&self) -> Identity {
        Identity {
            token: self.token.id.clone(),
            account: self.token.owner.clone(),
            organization: self.token.organization.clone(),
            role: "viewer".into(),
            scopes: "read".into(),
        }
    }
}

fn the_documentation_is_sound(proxy: Proxy) {
    programs::is_sound(proxy);
}

fn a_request_passes_and_the_upstream_hears_whose_it_is(proxy: Proxy) {
    let stage = Stage::set(proxy);
    for target in ["/orders/7", "/orders/7?x=y&z=//", "/orders/%C3%A9?%2e%2e", "/orders/"] {
        let received = stage.passes(target, &[]);
        assert_eq!((&*received.method, &*received.target), ("GET", target));
        assert_eq!(received.identity(), stage.viewer());
    }
    let received = stage.passes("/orders/7", &["--head"]);
    assert_eq!((received.method.as_str(), received.identity()), ("HEAD", stage.viewer()));
}

fn bodies_go_past_the_question(proxy: Proxy) {
    let mut stage = Stage::set(proxy);
    stage.token = stage.server.issue("orders", &["--role", "editor"]);
    let large = "0123456789abcdef".repeat(10_000);
    let file = stage.server.home().join("body");
    std::fs::write(&file, &large).unwrap();
    let from_file = format!("@{}", file.display());
    for (body, arguments) in [
        ("hello", &["--data", "hello"][..]),
        ("hello", &["--data", "hello", "--header", "Transfer-Encoding: chunked"]),
        (&large, &["--data-binary", &from_file]),
        ("", &["--request", "DELETE"]),
    ] {
        let received = stage.passes("/orders/7", arguments);
        assert_eq!(received.body, body);
        assert_eq!(received.identity().scopes, "read write");
        // A refusal does not mind it either.
        let refused = stage.curl("/orders/7", arguments);
        assert_eq!((refused.status, &refused.json()["code"]), (401, &"missing_credential".into()));
        assert!(stage.upstream.take().is_empty());
    }
}

/// What two programs read in two ways, and what they read alike.
const TARGETS: [&str; 28] = [
    "/orders/7",
    "/orders/7?a=b/../c&d=//&e=%2e%2e%2f;f",
    "/orders/%37",
    "/%6frders/7",
    "/orders/a%20b",
    "/orders/%e9",
    "/orders/public/../private",
    "/orders/public/..",
    "/orders/../private",
    "/x/../orders/7",
    "/./orders/./7",
    "//orders//7",
    "/orders//public//../7",
    "/orders/%2e%2e/private",
    "/orders/%2E%2e%2Fprivate",
    "/orders/public/..%2fprivate",
    "/orders%2f7",
    "/orders/public%2f7",
    "/orders/public/..;/private",
    "/orders/7;x=/../y",
    "/orders/public\\..\\private",
    "/orders/%5c..%5cprivate",
    "/orders/%252e%252e/private",
    "/orders/7%00",
    "/orders/7%0d%0aX-A:%20b",
    "/orders/7#/../public",
    "/orders/7%23/../public",
    "/ORDERS/7",
];

fn the_question_is_the_head_of_what_passes(proxy: Proxy) {
    // Somebody who lets everything pass, and remembers what was asked.
    let asked = Upstream::answering(|_| {
        let mut response = http::Response::new(Full::default());
        for name in ["token-id", "account", "organization", "role", "scopes"] {
            let name: http::HeaderName = format!("x-counterfoil-{name}").parse().unwrap();
            response.headers_mut().insert(name, "1".parse().unwrap());
        }
        response.headers_mut().insert("x-request-id", "1".parse().unwrap());
        response
    });
    let upstream = Upstream::start();
    let (counterfoil, there) = (asked.address, upstream.address);
    let place = Place { api: "orders", counterfoil, upstream: there, credential: None };
    let program = Program::start(proxy, &place);
    let mut passed = 0;
    for target in TARGETS {
        for line in ["", "Connection: X-Forwarded-Uri, X-Original-URI, X-Forwarded-Method\r\n"] {
            let request = format!(
                "POST {target} HTTP/1.1\r\nhost: proxy\r\nx-original-uri: /orders/public\r\n\
                 x-forwarded-uri: /orders/public\r\nx-original-method: GET\r\n\
                 x-forwarded-method: GET\r\n{line}content-length: 5\r\n\r\nhello"
            );
            let mut wire = Wire::connect(program.address).unwrap();
            // What is not for the API may be answered by anything.
            let _ = wire.exchange(request).unwrap();
            let (asked, received) = (asked.take(), upstream.take());
            assert!(asked.len() <= 1 && received.len() <= asked.len(), "{target}: {received:?}");
            let (Some(asked), Some(received)) = (asked.first(), received.first()) else { continue };
            passed += 1;
            // What is behind a hash is not recorded there. We refuse it.
            let (method, about) = said(proxy, asked);
            let about = about.split('#').next().unwrap();
            assert_eq!((&*method, about), ("POST", &*received.target));
            assert_eq!((&*received.method, &received.body[..]), ("POST", &b"hello"[..]));
            assert!(asked.body.is_empty(), "{asked:?}");
            assert!(asked.values("content-length").iter().all(|length| *length == "0"));
            assert!(asked.values("transfer-encoding").is_empty(), "{asked:?}");
        }
    }
    assert!(passed >= 8, "{passed}");
}

/// Which request a proxy asked about.
fn said(proxy: Proxy, asked: &Received) -> (String, String) {
    let Some([method, target]) = proxy.says_request_in() else {
        let target = asked.target.strip_prefix("/auth/orders").unwrap();
        return (asked.method.clone(), target.to_owned());
    };
    let said = |name: &str| asked.values(&name.to_ascii_lowercase()).join("|");
    (said(method), said(target))
}

fn nobody_speaks_for_the_proxy(proxy: Proxy) {
    let stage = Stage::set(proxy);
    let bearer = stage.bearer();
    for line in [
        "X-Original-Method: GET",
        "X-Original-URI: /orders/public/x",
        "X_Original_Method: GET",
        "X-Forwarded-Method: GET",
        "X-Forwarded-Uri: /orders/public/x",
        "Connection: X-Original-Method, X-Original-URI, X-Forwarded-Method, X-Forwarded-Uri",
    ] {
        let write = ["--header", &bearer, "--header", line, "--request", "POST"];
        let refused = stage.curl("/orders/7", &write);
        assert_eq!((refused.status, &refused.json()["code"]), (403, &"insufficient_scope".into()));
        assert!(stage.upstream.take().is_empty());
        assert_eq!(stage.passes("/orders/7", &["--header", line]).identity(), stage.viewer());
    }
    let bound = ["--role", "viewer", "--allowed-network", "198.51.100.0/24"];
    let bound = stage.server.issue("orders", &bound);
    let bearer = format!("Authorization: Bearer {}", bound.secret);
    for line in [
        "X-Real-IP: 198.51.100.1",
        "X-Forwarded-For: 198.51.100.1",
        "Forwarded: for=198.51.100.1",
        "X_Forwarded_For: 198.51.100.1",
        "X-Envoy-External-Address: 198.51.100.1",
    ] {
        let refused = stage.curl("/orders/7", &["--header", &bearer, "--header", line]);
        assert_eq!((refused.status, &refused.json()["code"]), (403, &"network_not_allowed".into()));
    }
    assert!(stage.upstream.take().is_empty());
}

fn nobody_speaks_for_counterfoil(proxy: Proxy) {
    let stage = Stage::set(proxy);
    for lines in [
        &["X-Counterfoil-Role: king"][..],
        &["x-counterfoil-role: king", "X-COUNTERFOIL-ROLE: king"],
        &["X_Counterfoil_Role: king", "X_Counterfoil_Account: king"],
        &["X-Counterfoil_Role: king", "x_counterfoil-scopes: king"],
        &["X.Counterfoil.Account: king"],
        &["X-Counterfoil-Account;", "X-Counterfoil-Account: king"],
        // With these a proxy would remove what it has set itself.
        &["Connection: X-Counterfoil-Account, X-Counterfoil-Role"],
        &["Connection: close, x-counterfoil-scopes", "X-Counterfoil-Scopes: king"],
        &["Proxy-Connection: X-Counterfoil-Role", "Keep-Alive: X-Counterfoil-Role"],
        &["TE: trailers, x-counterfoil-role", "Trailer: X-Counterfoil-Role"],
    ] {
        let arguments: Vec<&str> = lines.iter().flat_map(|line| ["--header", line]).collect();
        let received = stage.passes("/orders/7", &arguments);
        assert_eq!(received.identity(), stage.viewer(), "{lines:?}");
        let king = received.headers.values().any(|value| value.as_bytes() == b"king");
        assert!(!king, "{received:?}");
        for value in received.values("connection") {
            assert!(!value.to_ascii_lowercase().contains("counterfoil"), "{received:?}");
        }

        // Where nobody is known, the client is nobody.
        let response = stage.curl("/orders/public/7", &arguments);
        assert_eq!(response.status, 200, "{lines:?} {response:?}");
        let received = stage.upstream.take_one();
        let said = said_identity(&received);
        // nginx does not send a field that is empty.
        let expected = if proxy == Proxy::Nginx { 0 } else { 5 };
        assert_eq!(said.len(), expected, "{lines:?} {received:?}");
        assert!(said.iter().all(|(_, value)| value.is_empty()), "{lines:?} {received:?}");
    }
}

fn no_field_makes_another_request_of_it(proxy: Proxy) {
    let stage = Stage::set(proxy);
    for name in [
        "X-HTTP-Method-Override",
        "X_HTTP_Method_Override",
        "X-HTTP-Method",
        "X-Method-Override",
        "X-Original-URL",
        "X_Original_URL",
        "X-Original-URI",
        "X-Original-Method",
        "X-Rewrite-URL",
    ] {
        let received = stage.passes("/orders/7", &["--header", &format!("{name}: /DELETE")]);
        assert!(!received.holds("/DELETE"), "{received:?}");
    }
}

fn a_refusal_of_the_upstreams_is_its_own(proxy: Proxy) {
    let answer = |received: &Received| {
        let status = received.target.rsplit('/').next().unwrap().parse().unwrap();
        let mut response = http::Response::new(Full::from("not today"));
        *response.status_mut() = http::StatusCode::from_u16(status).unwrap();
        response.headers_mut().insert("www-authenticate", "Custom".parse().unwrap());
        response
    };
    let stage = Stage::before(proxy, Upstream::answering(answer));
    for status in [401, 403, 404, 500] {
        let path = format!("/orders/{status}");
        let response = stage.curl(&path, &["--header", &stage.bearer()]);
        assert_eq!((response.status, response.text()), (status, "not today"));
        assert_eq!(response.header("www-authenticate"), "Custom");
    }
}

fn revoked_at_once(proxy: Proxy) {
    let stage = Stage::set(proxy);
    stage.passes("/orders/7", &[]);
    stage.server.cli(["token", "revoke", &stage.token.id]).done();
    let refused = stage.curl("/orders/7", &["--header", &stage.bearer()]);
    assert_eq!((refused.status, &refused.json()["code"]), (401, &"unknown_token".into()));
    assert!(stage.upstream.take().is_empty());
}

fn without_an_answer_nothing_passes(proxy: Proxy) {
    let stage = Stage::set(proxy);
    stage.passes("/orders/7", &[]);
    let bearer = stage.bearer();
    let Stage { program, server, upstream, .. } = stage;
    let _home = server.stop();
    for path in ["/orders/7", "/orders/public/7"] {
        let refused = curl(program.address, path, ["--header", &bearer]);
        assert!((500..=504).contains(&refused.status), "{refused:?}");
    }
    assert!(upstream.take().is_empty());
    drop(program);

    // Nor where somebody else answers, or nothing that is one.
    let strange = [
        http::StatusCode::OK,
        http::StatusCode::CREATED,
        http::StatusCode::NO_CONTENT,
        http::StatusCode::NOT_MODIFIED,
        http::StatusCode::FOUND,
        http::StatusCode::INTERNAL_SERVER_ERROR,
    ];
    for status in strange {
        if status.is_success() && ![Proxy::Caddy, Proxy::Haproxy].contains(&proxy) {
            // To the others, 2xx is a yes, of whom they asked.
            continue;
        }
        let asked = Upstream::answering(move |_| {
            let mut response = http::Response::new(Full::default());
            *response.status_mut() = status;
            response
        });
        let (counterfoil, there) = (asked.address, upstream.address);
        let place = Place { api: "orders", counterfoil, upstream: there, credential: None };
        let program = Program::start(proxy, &place);
        let refused = curl(program.address, "/orders/7", ["--header", &bearer]);
        assert_ne!(refused.status, 200, "{status}");
        assert!(upstream.take().is_empty(), "{status}");
    }
}

fn every_refusal_arrives_as_the_gateway_would_send_it(proxy: Proxy) {
    let upstream = Upstream::start();
    let installation = under_mounts(Installation::of_examples(&upstream), proxy);
    let server = installation.set_up().start();
    let mut program = None;
    let mut rows = rows(&server);
    if proxy == Proxy::Envoy {
        // Of a client on this machine it says the address of another interface.
        rows.retain(|row| !row.what.starts_with("from "));
        // It makes one field of two, and this API takes no credential from it.
        rows.retain(|row| row.api != "finout" || row.what != "two Authorization lines");
        // It takes no method that it does not know.
        rows.retain(|row| row.method != "BREW");
    }
    for row in rows {
        if program.as_ref().is_none_or(|(api, _)| *api != row.api) {
            let place = place(&server, &upstream, row.api);
            let place = Place { credential: Some("x-finout-"), ..place };
            program = Some((row.api, Program::start(proxy, &place)));
        }
        let (_, program) = program.as_ref().unwrap();
        let of_gateway = row.at_the_gateway(&server);
        let gateways = upstream.take();
        let of_proxy = send(program.address, &row);
        let received = upstream.take();
        match &row.outcome {
            Outcome::Passes(identity) => {
                assert_eq!((of_proxy.status, received.len()), (200, 1), "{row:?} {of_proxy:?}");
                assert_eq!(received[0].target, row.mounted());
                let mut expected = identity_fields(identity).to_vec();
                if proxy == Proxy::Nginx {
                    // It does not send a field that is empty.
                    expected.retain(|(_, value)| !value.is_empty());
                }
                assert_eq!(said_identity(&received[0]), expected, "{row:?}");
            }
            Outcome::Refused(..) if row.authorization_lines() > 1 && proxy == Proxy::Nginx => {
                // nginx itself does not take two Authorization lines.
                assert_eq!((of_proxy.status, received.len()), (400, 0), "{row:?}");
            }
            Outcome::Refused(status, _) => {
                assert!(gateways.is_empty() && received.is_empty(), "{row:?}");
                assert_eq!(of_proxy.status, *status, "{row:?} {of_proxy:?}");
                // Envoy makes one field of several, which is refused for another reason.
                if proxy != Proxy::Envoy || !is_repeated(&row) {
                    assert_eq!(face(&of_proxy), face(&of_gateway), "{row:?}");
                }
            }
        }
    }
}

fn is_repeated(row: &Row) -> bool {
    let mut names: Vec<String> =
        row.fields.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    names.sort();
    names.windows(2).any(|two| two[0] == two[1])
}

fn every_challenge_arrives_once(proxy: Proxy) {
    let upstream = Upstream::start();
    let apis =
        "[api.orders]\nupstream = \"UPSTREAM\"\nschemes = [\"token\", \"basic\", \"bearer\"]";
    let apis = apis.replace("UPSTREAM", &upstream.url());
    let server = under_mounts(Installation::new(&apis), proxy).set_up().start();
    let program = Program::start(proxy, &place(&server, &upstream, "orders"));
    let challenges = [
        r#"Token realm="orders""#,
        r#"Basic realm="orders", charset="UTF-8""#,
        r#"Bearer realm="orders""#,
    ];
    for address in [program.address, server.gateway] {
        let nothing: [&str; 0] = [];
        let refused = curl(address, "/orders/7", nothing);
        assert_eq!(refused.values("www-authenticate"), challenges);
    }
}

fn send(address: SocketAddr, row: &Row) -> Response {
    let (path, lines) = (row.mounted(), row.lines());
    let request = format!("{} {path} HTTP/1.1\r\nhost: proxy\r\n{lines}\r\n", row.method);
    Wire::connect(address).unwrap().exchange(request).unwrap()
}

/// A response without what every server writes in its own way.
fn face(response: &Response) -> String {
    let mut response = response.clone();
    let own = ["server", "connection", "content-length", "x-envoy-upstream-service-time"];
    response.headers.retain(|(name, _)| !own.contains(&name.as_str()));
    response.headers.sort();
    response.face()
}

/// The identity fields that reached the upstream.
fn said_identity(received: &Received) -> Vec<(&str, &str)> {
    let fields = received.headers.iter().map(|(name, value)| (name.as_str(), value));
    let mut fields: Vec<_> = fields
        .filter(|(name, _)| name.contains("counterfoil"))
        .map(|(name, value)| (name, value.to_str().unwrap()))
        .collect();
    fields.sort_unstable();
    fields
}

fn identity_fields(identity: &Identity) -> [(&str, &str); 5] {
    [
        ("x-counterfoil-account", &identity.account),
        ("x-counterfoil-organization", &identity.organization),
        ("x-counterfoil-role", &identity.role),
        ("x-counterfoil-scopes", &identity.scopes),
        ("x-counterfoil-token-id", &identity.token),
    ]
}

#[test]
fn nginx_refuses_what_is_ambiguous_with_the_whole_refusal() {
    let stage = Stage::set(Proxy::Nginx);
    let bearer = stage.bearer();
    for target in ["/orders/a/../7", "/orders//7", "/orders/a%2fb", "/orders/7;x", "/x/../orders/7"]
    {
        let response = stage.curl(target, &["--header", &bearer]);
        let told = (response.status, &response.json()["code"]);
        assert_eq!(told, (400, &"ambiguous_path".into()), "{target}");
        assert!(stage.upstream.take().is_empty());
    }
}
