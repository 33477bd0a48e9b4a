//! Smuggling and spoofing: whatever a stranger writes, an upstream reads one request for each
//! that was admitted, and nothing in it about who the caller is that the stranger wrote.
//!
//! [`rows`] are sent, byte by byte, to the gateway, and to forward auth behind each of other
//! people's proxies. Behind them are three upstreams: one that reads by the letter, and two that
//! read as wrongly as servers have been known to.

mod heads;
mod rows;

use crate::{
    byte_upstream::{ByteUpstream, Connection, Reading},
    forward_auth::{
        Proxy,
        programs::{Place, Program},
    },
    installation::{Installation, Token},
    process::PATIENCE,
    server::Server,
};
use rows::{Row, rows};
use std::{
    collections::BTreeMap,
    io::{ErrorKind, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Duration,
};

/// How long a row that is not answered is waited for before no more bytes come. Nothing is
/// asserted of it: that all is over is known by the connections' ends.
const QUIET: Duration = Duration::from_secs(1);

/// Rows that are under way at once.
const AT_ONCE: usize = 40;

const APIS: &str = r#"
[api.orders]
upstream = "UPSTREAM"
[api.orders.scopes]
read = "Read"
write = "Write"
[api.orders.roles]
editor = ["read", "write"]
"#;

/// What stands before the upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Front {
    Gateway,
    Behind(Proxy),
}

impl Front {
    /// Where the API is, as the upstream sees it.
    fn mount(self) -> &'static str {
        match self {
            Self::Gateway => "",
            Self::Behind(_) => "/orders",
        }
    }
}

/// What keeps a front going.
struct Running {
    address: SocketAddr,
    // In the order in which they end.
    _program: Option<Program>,
    _server: Server,
    token: Token,
}

impl Running {
    fn start(front: Front, upstream: SocketAddr) -> Self {
        let apis = APIS.replace("UPSTREAM", &format!("http://{upstream}"));
        let mut installation = Installation::new(&apis);
        installation.set("COUNTERFOIL_FORWARD_AUTH_STRIP_MOUNTS", "true");
        if let Front::Behind(proxy) = front {
            installation.set("COUNTERFOIL_FORWARD_AUTH_PROXY", proxy.name());
        }
        let server = installation.set_up().start();
        let token = server.issue("orders", &["--role", "editor"]);
        let counterfoil = server.forward_auth;
        let program = match front {
            Front::Gateway => None,
            Front::Behind(proxy) => {
                let place = Place { api: "orders", counterfoil, upstream, credential: None };
                Some(Program::start(proxy, &place))
            }
        };
        let address = program.as_ref().map_or(server.gateway, |program| program.address);
        Self { address, _program: program, _server: server, token }
    }
}

/// Sends every row and then looks at what the upstream has made of it.
fn nothing_gets_past(front: Front) {
    for reading in [Reading::Strict, Reading::Lengths, Reading::Chunks] {
        let upstream = ByteUpstream::start(reading);
        let running = Running::start(front, upstream.address);
        let rows = rows(&running.token.secret);
        let next = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..AT_ONCE {
                scope.spawn(|| {
                    while let Some(row) = rows.get(next.fetch_add(1, Ordering::SeqCst)) {
                        play(running.address, row);
                    }
                });
            }
        });
        let token = running.token.clone();
        drop(running);
        let Findings { passed, wrong } = judge(front, reading, &rows, &token, &upstream.finish());
        assert!(wrong.is_empty(), "{front:?} {reading:?} {}\n{}", wrong.len(), wrong.join("\n"));
        // What is in order passes, so that the others were not refused for nothing.
        for row in rows.iter().filter(|row| row.is_in_order) {
            assert!(passed.contains_key(&row.number), "{front:?} {reading:?} {}", row.what);
        }
    }
}

/// Sends a row and reads until the connection ends.
fn play(address: SocketAddr, row: &Row) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    // Whoever has seen enough does not read the rest.
    let _ = stream.write_all(&row.sent);
    let mut answer = Vec::new();
    // What is in order is answered, however slowly.
    let quiet = if row.is_in_order { PATIENCE } else { QUIET };
    stream.set_read_timeout(Some(quiet)).unwrap();
    if let Err(error) = stream.read_to_end(&mut answer)
        && matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
    {
        // It waits for more. There is none, and some do not mind.
        let _ = stream.shutdown(Shutdown::Write);
        let _ = stream.read_to_end(&mut answer);
    }
}

/// What an upstream has seen of the rows.
#[derive(Default)]
struct Findings {
    /// Which of them it took for requests, and how often.
    passed: BTreeMap<usize, usize>,
    /// What it should never have seen.
    wrong: Vec<String>,
}

/// Looks at every request that the upstream saw.
fn judge(
    front: Front,
    reading: Reading,
    rows: &[Row],
    token: &Token,
    all: &[Connection],
) -> Findings {
    let identity = [
        ("x-counterfoil-account", &*token.owner),
        ("x-counterfoil-organization", &*token.organization),
        ("x-counterfoil-role", "editor"),
        ("x-counterfoil-scopes", "read write"),
        ("x-counterfoil-token-id", &*token.id),
    ];
    let mut findings = Findings::default();
    for (connection, request) in
        all.iter().flat_map(|connection| connection.requests.iter().map(move |r| (connection, r)))
    {
        let mut words = request.line.split(' ');
        let (method, target) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        let at = target.strip_prefix(front.mount());
        let number = at.and_then(|at| at.strip_prefix("/n-")?.split('-').next()?.parse().ok());
        let row = number.and_then(|number: usize| rows.get(number));
        let mut wrong = |why: &str| {
            let what = row.map_or("nobody's", |row| &row.what);
            let bytes = String::from_utf8_lossy(&connection.bytes);
            let bytes = bytes.chars().take(1500).collect::<String>();
            findings.wrong.push(format!("{why}: {what}\n  {request:?}\n  {bytes:?}"));
        };
        let Some(row) = row else {
            wrong("nobody sent this request");
            continue;
        };
        // HAProxy passes on what stands behind a body as it came, and its page says so.
        let trailers = match front {
            Front::Behind(Proxy::Haproxy) => &[],
            _ => &request.trailers[..],
        };
        let trailers_fault = request.trailers_fault.as_ref().filter(|_| !trailers.is_empty());
        let fault = request.fault.as_ref().or(trailers_fault);
        if let Some(fault) = fault.filter(|_| reading == Reading::Strict) {
            wrong(fault);
        }
        let in_trailers = trailers.iter().any(|(name, _)| name.starts_with("x-counterfoil"));
        if in_trailers || identity.iter().any(|(name, value)| request.values(name) != [*value]) {
            wrong("who it is, is not said once and rightly");
        }
        if request.fields.iter().any(|(_, value)| value.contains(&token.secret)) {
            wrong("the credential");
        }
        for (name, _) in request.fields.iter().chain(trailers) {
            let is_ours = identity.iter().any(|(ours, _)| ours == name);
            // nginx removes fields by their names, and this one means nothing.
            let is_other = front == Front::Behind(Proxy::Nginx) && name == "x-counterfoil-other";
            if !is_ours && !is_other && FAMILIES.iter().any(|family| name.starts_with(family)) {
                wrong(name);
            }
        }
        if front == Front::Gateway {
            let path = target.split('?').next().unwrap_or("").to_ascii_lowercase();
            if ["..", "//", "\\", "%2f", "%5c", "%2e"].iter().any(|other| path.contains(other)) {
                wrong("a path that can be read in two ways");
            }
            // Others may read as it, and come later.
            if !request.values("host").first().is_some_and(|host| host.starts_with("127.0.0.1:")) {
                wrong("a host that is not the upstream's");
            }
            if request.values("x-forwarded-host").len() > 1 {
                wrong("more than one host that was asked for");
            }
        }
        if !target.contains("-last") {
            if method != row.method {
                wrong("another method");
            }
            let times = findings.passed.entry(row.number).or_insert(0);
            *times += 1;
            if *times > 1 {
                findings.wrong.push(format!("it passed more than once: {}", row.what));
            }
        }
    }
    findings
}

/// Fields that speak of the caller, or make another request of the one that was admitted.
const FAMILIES: [&str; 5] =
    ["x-counterfoil", "x-http-method", "x-method-override", "x-original-", "x-rewrite-"];

#[test]
fn past_the_gateway() {
    nothing_gets_past(Front::Gateway);
}

#[test]
fn past_nginx() {
    nothing_gets_past(Front::Behind(Proxy::Nginx));
}

#[test]
fn past_caddy() {
    nothing_gets_past(Front::Behind(Proxy::Caddy));
}

#[test]
fn past_haproxy() {
    nothing_gets_past(Front::Behind(Proxy::Haproxy));
}

#[test]
fn past_envoy() {
    nothing_gets_past(Front::Behind(Proxy::Envoy));
}
