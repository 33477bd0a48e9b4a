//! What Traefik's documentation says that it does with the middlewares `forwardAuth` and
//! `headers`. The program itself is not to be had where the tests run.

use crate::{response::Response as Answer, wire::Wire};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use std::{convert::Infallible, net::SocketAddr, sync::Arc};
use tokio::{net::TcpListener, runtime::Runtime};

/// The one expression that is understood here.
const FIELDS: &str = "(?i)^X[^a-z0-9](Counterfoil|HTTP[^a-z0-9]Method|Method[^a-z0-9]Override|\
                      Original|Rewrite)";

/// The same, for a name in small letters.
fn matches(name: &str) -> bool {
    let plain = name.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    let begins = ["counterfoil", "http-method", "method-override", "original", "rewrite"];
    plain.strip_prefix("x-").is_some_and(|rest| begins.iter().any(|begin| rest.starts_with(begin)))
}

/// What ends at each hop.
const HOP_BY_HOP: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "content-length",
];

/// A stand-in for Traefik on a port of its own, until the test lets go of it.
pub struct Traefik {
    pub address: SocketAddr,
    _runtime: Runtime,
}

struct Settings {
    /// Whom to ask.
    asked: SocketAddr,
    path: String,
    /// What does not go on to the upstream.
    removed: Vec<HeaderName>,
    upstream: SocketAddr,
}

impl Traefik {
    /// One with this dynamic configuration, of which it knows what it needs.
    pub fn start(configuration: &str) -> Self {
        let settings = Arc::new(Settings::read(configuration));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(async move {
            loop {
                let (stream, peer) = listener.accept().await.unwrap();
                let settings = settings.clone();
                let service = service_fn(move |request| {
                    let settings = settings.clone();
                    async move {
                        let (head, body) = Request::<Incoming>::into_parts(request);
                        let body = body.collect().await;
                        let body =
                            body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
                        let request = Request::from_parts(head, body);
                        let answered =
                            tokio::task::spawn_blocking(move || settings.pass(peer, request));
                        Ok::<_, Infallible>(answered.await.unwrap())
                    }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { address, _runtime: runtime }
    }
}

impl Settings {
    fn read(configuration: &str) -> Self {
        let lines = || configuration.lines().map(str::trim);
        let value = |key: &str| {
            let mut values = lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix(": "));
            values.next().unwrap_or_else(|| panic!("{key} is not said"))
        };
        assert_eq!(value("authResponseHeadersRegex"), FIELDS);
        assert_eq!(value("trustForwardHeader"), "false");
        let (asked, path) = authority(value("address"));
        let (upstream, _) = authority(value("- url"));
        let removed = lines().filter_map(|line| line.strip_suffix(": \"\""));
        Self { asked, path, upstream, removed: removed.map(|name| name.parse().unwrap()).collect() }
    }

    fn pass(&self, client: SocketAddr, mut request: Request<Bytes>) -> Response<Full<Bytes>> {
        // Before the middlewares.
        let upgrades = remove_hop_by_hop(request.headers_mut());
        assert!(!upgrades, "this stand-in knows no upgrades");
        let Some(answer) = self.ask(client, &request) else {
            let mut response = Response::new(Full::default());
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            return response;
        };
        if !(200..300).contains(&answer.status) {
            return passed_on(answer);
        }

        let headers = request.headers_mut();
        let spoofed: Vec<HeaderName> =
            headers.keys().filter(|name| matches(name.as_str())).cloned().collect();
        for name in &spoofed {
            headers.remove(name);
        }
        for (name, value) in answer.headers.iter().filter(|(name, _)| matches(name)) {
            headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        for name in &self.removed {
            headers.remove(name);
        }
        let forwarded = client.ip().to_string();
        headers.insert("x-forwarded-for", forwarded.parse().unwrap());
        let method = request.method().as_str();
        let written = text(request.body(), method, target(&request), request.headers());
        let mut upstream = Wire::connect(self.upstream).unwrap();
        upstream.send(written).unwrap();
        passed_on(if method == "HEAD" {
            Answer::parse(&upstream.read_head().unwrap(), Vec::new())
        } else {
            upstream.read_response().unwrap()
        })
    }

    /// The question; nothing where nobody answers.
    fn ask(&self, client: SocketAddr, request: &Request<Bytes>) -> Option<Answer> {
        let mut headers = request.headers().clone();
        let host = headers.get(header::HOST).cloned();
        let said = [
            ("x-forwarded-method", request.method().as_str()),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-uri", target(request)),
            ("x-forwarded-for", &client.ip().to_string()),
        ];
        for (name, value) in said {
            headers.insert(name, HeaderValue::from_str(value).unwrap());
        }
        if let Some(host) = host {
            headers.insert("x-forwarded-host", host);
        }
        headers.insert(header::HOST, self.asked.to_string().parse().unwrap());
        let question = text(&Bytes::new(), "GET", &self.path, &headers);
        Wire::connect(self.asked).ok()?.exchange(question).ok()
    }
}

fn target(request: &Request<Bytes>) -> &str {
    request.uri().path_and_query().map_or("/", |target| target.as_str())
}

fn authority(url: &str) -> (SocketAddr, String) {
    let rest = url.strip_prefix("http://").unwrap();
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    (authority.parse().unwrap(), format!("/{path}"))
}

/// A request as it is written.
fn text(body: &Bytes, method: &str, target: &str, headers: &HeaderMap) -> Vec<u8> {
    let mut text = format!("{method} {target} HTTP/1.1\r\n").into_bytes();
    for (name, value) in headers {
        text.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    if !body.is_empty() {
        text.extend(format!("content-length: {}\r\n", body.len()).into_bytes());
    }
    text.extend(b"\r\n");
    text.extend(body);
    text
}

/// Whether it asks for another protocol.
fn remove_hop_by_hop(headers: &mut HeaderMap) -> bool {
    let upgrades = headers.contains_key(header::UPGRADE);
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
    upgrades
}

fn passed_on(answer: Answer) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap();
    for (name, value) in &answer.headers {
        if !HOP_BY_HOP.contains(&name.as_str()) {
            let name: HeaderName = name.parse().unwrap();
            response.headers_mut().append(name, value.parse().unwrap());
        }
    }
    response
}
