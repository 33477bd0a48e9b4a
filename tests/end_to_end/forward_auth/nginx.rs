//! A real nginx, with the configuration that the documentation shows, in front of an upstream.

use super::APIS;
use crate::{
    installation::{Installation, Token},
    process::{Running, run},
    response::{Response, curl},
    rows::{Outcome, Row, rows},
    server::Server,
    upstream::{Identity, Received, Upstream},
    wire::Wire,
};
use std::{
    net::{SocketAddr, TcpListener},
    path::Path,
    process::Command,
};
use tempfile::TempDir;

/// A running nginx, which is ended with this value.
struct Nginx {
    // Before the directory, so that it ends before its files go.
    _process: Running,
    _directory: TempDir,
    address: SocketAddr,
}

impl Nginx {
    /// One that protects `api` as the documentation protects `orders`.
    fn start(server: &Server, upstream: &Upstream, api: &str) -> Self {
        let site = documented()
            .replace("127.0.0.1:8082", &server.forward_auth.to_string())
            .replace("127.0.0.1:9000", &upstream.address.to_string())
            .replace("orders", api);
        // It cannot choose a port itself, and one that was free may be taken meanwhile.
        loop {
            let directory = tempfile::tempdir().unwrap();
            let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            write(directory.path(), &site.replace("listen 80;", &format!("listen {address};")));
            let process = Running::start(&mut nginx(directory.path()));
            let listens = process.wait_for_line(|line| {
                // What it says once it listens, and what it says when it cannot.
                let listens = line.contains("getrlimit(RLIMIT_NOFILE)");
                (listens || line.contains("Address already in use")).then_some(listens)
            });
            if listens {
                return Self { _process: process, _directory: directory, address };
            }
        }
    }

    fn send(&self, row: &Row) -> Response {
        let (path, lines) = (row.mounted(), row.lines());
        let request = format!("{} {path} HTTP/1.1\r\nhost: nginx\r\n{lines}\r\n", row.method);
        Wire::connect(self.address).unwrap().exchange(request).unwrap()
    }
}

/// nginx, about to be called, with its files in this directory.
fn nginx(directory: &Path) -> Command {
    // Debian keeps servers where only root's PATH leads.
    let ours = Path::new("/usr/sbin/nginx");
    let mut command = Command::new(if ours.exists() { ours } else { Path::new("nginx") });
    command.arg("-p").arg(directory).arg("-c").arg(directory.join("nginx.conf"));
    command.args(["-e", "stderr"]);
    command
}

/// The configuration that the documentation shows.
fn documented() -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/forward-auth.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (_, rest) = page.split_once("```nginx\n").unwrap();
    rest.split_once("```\n").unwrap().0.to_owned()
}

/// Writes a whole configuration: one process, which changes no user and keeps its
/// files in this directory.
fn write(directory: &Path, site: &str) {
    let configuration = format!(
        "daemon off;
         master_process off;
         pid nginx.pid;
         error_log stderr notice;
         events {{}}
         http {{
             access_log off;
             client_body_temp_path body;
             proxy_temp_path proxy;
             fastcgi_temp_path fastcgi;
             uwsgi_temp_path uwsgi;
             scgi_temp_path scgi;
             {site}
         }}\n"
    );
    std::fs::write(directory.join("nginx.conf"), configuration).unwrap();
}

/// An API behind nginx.
struct Stage {
    nginx: Nginx,
    server: Server,
    upstream: Upstream,
    token: Token,
}

/// nginx has the APIs where the gateway would have them.
fn under_mounts(mut installation: Installation) -> Installation {
    installation.set("COUNTERFOIL_FORWARD_AUTH_STRIP_MOUNTS", "true");
    installation
}

impl Stage {
    fn set() -> Self {
        Self::before(Upstream::start())
    }

    fn before(upstream: Upstream) -> Self {
        let apis = APIS.replace("finout", "orders");
        let server = under_mounts(Installation::new(&apis)).set_up().start();
        let token = server.issue("orders", &["--role", "viewer"]);
        let nginx = Nginx::start(&server, &upstream, "orders");
        Self { nginx, server, upstream, token }
    }

    fn curl(&self, path: &str, arguments: &[&str]) -> Response {
        curl(self.nginx.address, path, arguments)
    }

    fn bearer(&self) -> String {
        format!("Authorization: Bearer {}", self.token.secret)
    }

    #[track_caller]
    fn passes(&self, path: &str, arguments: &[&str]) -> Received {
        let bearer = self.bearer();
        let response = self.curl(path, &[&["--header", &bearer], arguments].concat());
        assert_eq!(response.status, 200, "{response:?}");
        self.upstream.take_one()
    }
}

#[test]
fn the_documentation_is_sound() {
    let directory = tempfile::tempdir().unwrap();
    let site = documented().replace("listen 80;", "listen 127.0.0.1:1;");
    write(directory.path(), &site);
    run(nginx(directory.path()).arg("-t"), &[]).done();
}

#[test]
fn a_request_passes_and_the_upstream_hears_whose_it_is() {
    let stage = Stage::set();
    let identity = Identity {
        token: stage.token.id.clone(),
        account: stage.token.owner.clone(),
        organization: stage.token.organization.clone(),
        role: "viewer".into(),
        scopes: "read".into(),
    };
    for target in ["/orders/7", "/orders/7?x=y&z=//", "/orders/%73ecret/%C3%A9?%2e%2e", "/orders/"]
    {
        let received = stage.passes(target, &[]);
        assert_eq!((&*received.method, &*received.target), ("GET", target));
        assert_eq!(received.identity(), identity);
        assert!(!received.holds(&stage.token.secret), "{received:?}");
    }
    let received = stage.passes("/orders/7", &["--head"]);
    assert_eq!((received.method.as_str(), received.identity()), ("HEAD", identity));
}

#[test]
fn bodies_go_past_the_question() {
    let mut stage = Stage::set();
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

#[test]
fn nobody_speaks_for_nginx() {
    let stage = Stage::set();
    // What nginx says to the door, and what it says to the upstream.
    for line in [
        "X-Original-Method: GET",
        "X-Original-URI: /public/x",
        "X_Original_Method: GET",
        "X-Forwarded-Method: GET",
    ] {
        let bearer = stage.bearer();
        let write = ["--header", &bearer, "--header", line, "--request", "POST"];
        let refused = stage.curl("/orders/7", &write);
        assert_eq!((refused.status, &refused.json()["code"]), (403, &"insufficient_scope".into()));
        assert!(stage.upstream.take().is_empty());
        assert_eq!(stage.passes("/orders/7", &["--header", line]).identity().role, "viewer");
    }
    for name in ["X-Counterfoil-Role", "x-counterfoil-role", "X_Counterfoil_Role"] {
        let received = stage.passes("/orders/7", &["--header", &format!("{name}: king")]);
        assert_eq!(received.identity().role, "viewer", "{name}");
        assert!(!received.holds("king"));
    }
    let bound = ["--role", "viewer", "--allowed-network", "192.0.2.0/24"];
    let bound = stage.server.issue("orders", &bound);
    let bearer = format!("Authorization: Bearer {}", bound.secret);
    for line in ["X-Real-IP: 192.0.2.1", "X-Forwarded-For: 192.0.2.1"] {
        let refused = stage.curl("/orders/7", &["--header", &bearer, "--header", line]);
        assert_eq!((refused.status, &refused.json()["code"]), (403, &"network_not_allowed".into()));
    }
}

#[test]
fn what_is_ambiguous_goes_no_further() {
    let stage = Stage::set();
    let bearer = stage.bearer();
    for target in ["/orders/a/../7", "/orders//7", "/orders/a%2fb", "/orders/7;x", "/x/../orders/7"]
    {
        let response = stage.curl(target, &["--header", &bearer]);
        let told = (response.status, &response.json()["code"]);
        assert_eq!(told, (400, &"ambiguous_path".into()), "{target}");
        assert!(stage.upstream.take().is_empty());
    }
}

#[test]
fn a_refusal_of_the_upstreams_is_its_own() {
    let answer = |received: &Received| {
        let status = received.target.rsplit('/').next().unwrap().parse().unwrap();
        let mut response = http::Response::new(http_body_util::Full::from("not today"));
        *response.status_mut() = http::StatusCode::from_u16(status).unwrap();
        response.headers_mut().insert("www-authenticate", "Custom".parse().unwrap());
        response
    };
    let stage = Stage::before(Upstream::answering(answer));
    for status in [401, 403, 404, 500] {
        let path = format!("/orders/{status}");
        let response = stage.curl(&path, &["--header", &stage.bearer()]);
        assert_eq!((response.status, response.text()), (status, "not today"));
        assert_eq!(response.header("www-authenticate"), "Custom");
    }
}

#[test]
fn revoked_at_once() {
    let stage = Stage::set();
    stage.passes("/orders/7", &[]);
    stage.server.cli(["token", "revoke", &stage.token.id]).done();
    let refused = stage.curl("/orders/7", &["--header", &stage.bearer()]);
    assert_eq!((refused.status, &refused.json()["code"]), (401, &"unknown_token".into()));
    assert!(stage.upstream.take().is_empty());
}

#[test]
fn every_refusal_arrives_as_the_gateway_would_send_it() {
    let upstream = Upstream::start();
    let server = under_mounts(Installation::of_examples(&upstream)).set_up().start();
    let mut nginx = None;
    for row in rows(&server) {
        if nginx.as_ref().is_none_or(|(api, _)| *api != row.api) {
            nginx = Some((row.api, Nginx::start(&server, &upstream, row.api)));
        }
        let (_, nginx) = nginx.as_ref().unwrap();
        let of_gateway = row.at_the_gateway(&server);
        let gateways = upstream.take();
        let of_nginx = nginx.send(&row);
        let nginxs = upstream.take();
        match &row.outcome {
            Outcome::Passes(identity) => {
                assert_eq!((of_nginx.status, nginxs.len()), (200, 1), "{row:?} {of_nginx:?}");
                assert_eq!(nginxs[0].target, row.mounted());
                // nginx does not send a field that is empty.
                let said = said(&nginxs[0]);
                let expected = identity_fields(identity);
                let expected: Vec<_> =
                    expected.into_iter().filter(|(_, value)| !value.is_empty()).collect();
                assert_eq!(said, expected, "{row:?}");
            }
            Outcome::Refused(..) if row.authorization_lines() > 1 => {
                // nginx itself does not take two Authorization lines.
                assert_eq!((of_nginx.status, nginxs.len()), (400, 0), "{row:?}");
            }
            Outcome::Refused(status, _) => {
                assert!(gateways.is_empty() && nginxs.is_empty(), "{row:?}");
                assert_eq!(of_nginx.status, *status, "{row:?} {of_nginx:?}");
                assert_eq!(face(&of_nginx), face(&of_gateway), "{row:?}");
            }
        }
    }
}

#[test]
fn every_challenge_arrives_once() {
    let upstream = Upstream::start();
    let apis =
        "[api.orders]\nupstream = \"UPSTREAM\"\nschemes = [\"token\", \"basic\", \"bearer\"]";
    let apis = apis.replace("UPSTREAM", &upstream.url());
    let server = under_mounts(Installation::new(&apis)).set_up().start();
    let nginx = Nginx::start(&server, &upstream, "orders");
    let challenges = [
        r#"Token realm="orders""#,
        r#"Basic realm="orders", charset="UTF-8""#,
        r#"Bearer realm="orders""#,
    ];
    for address in [nginx.address, server.gateway] {
        let nothing: [&str; 0] = [];
        let refused = curl(address, "/orders/7", nothing);
        assert_eq!(refused.values("www-authenticate"), challenges);
    }
}

/// A response without what every server writes in its own way.
fn face(response: &Response) -> String {
    let mut response = response.clone();
    let own = ["server", "connection", "content-length"];
    response.headers.retain(|(name, _)| !own.contains(&name.as_str()));
    response.headers.sort();
    response.face()
}

/// The identity fields that reached the upstream.
fn said(received: &Received) -> Vec<(&str, &str)> {
    let fields = received.headers.iter().map(|(name, value)| (name.as_str(), value));
    let mut fields: Vec<_> = fields
        .filter(|(name, _)| name.starts_with("x-counterfoil"))
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
