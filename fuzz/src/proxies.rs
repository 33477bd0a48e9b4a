//! What proxies say of a request, and what goes on to an upstream.

use crate::input::{Lines, choice, chosen, line, seeds, text};
use counterfoil::fuzzing;
use counterfoil_core::network::Network;
use http::{HeaderMap, Method, Request, Uri, header};
use std::{net::IpAddr, sync::LazyLock};

const OUR_COOKIES: [&str; 2] = ["counterfoil_session", "__host-counterfoil_session"];

const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "expect",
    "keep-alive",
    "proxy-authenticate",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

static TRUSTED: LazyLock<[Network; 2]> =
    LazyLock::new(|| ["10.0.0.0/8", "::1"].map(|text| text.parse().unwrap()));

fn peer(choice: u8) -> IpAddr {
    const PEERS: [&str; 4] = ["10.0.0.1", "::1", "203.0.113.9", "::ffff:10.0.0.2"];
    PEERS[usize::from(choice) % PEERS.len()].parse().unwrap()
}

fn is_trusted(address: IpAddr) -> bool {
    TRUSTED.iter().any(|network| network.contains(address))
}

/// Who brought the request, then the lines of `X-Forwarded-For`.
pub(crate) fn client_address(input: &[u8]) {
    let (choice, rest) = choice(input);
    let whole = text(rest);
    if let Some(address) = fuzzing::address(&whole) {
        assert_eq!(address, address.to_canonical());
        assert_eq!(fuzzing::address(&address.to_string()), Some(address));
    }
    let lines = rest.split(|byte| *byte == b'\n');
    let lines = lines.map(|line| [b"x-forwarded-for:", line].concat()).collect::<Vec<_>>();
    let headers = Lines::read(&lines.join(&b'\n')).to_map();
    let peer = peer(choice).to_canonical();
    let found = fuzzing::forwarded_for(peer, &headers, &*TRUSTED);
    if !is_trusted(peer) {
        assert_eq!(found, Some(peer), "a stranger's word counts for nothing");
        return;
    }
    // From the right, the first that is not a trusted proxy's.
    let said = headers.get_all("x-forwarded-for").into_iter().map(|line| line.to_str().ok());
    let entries: Vec<Option<IpAddr>> = said
        .flat_map(|line| match line {
            Some(line) => line.split(',').map(fuzzing::address).collect(),
            None => vec![None],
        })
        .collect();
    let trail = entries.iter().rev().take_while(|entry| entry.is_some_and(is_trusted)).count();
    let expected = match entries.len().checked_sub(trail + 1) {
        Some(first) => entries[first],
        None => Some(entries.first().copied().flatten().unwrap_or(peer)),
    };
    assert_eq!(found, expected);
}

pub(crate) fn client_address_seeds() -> Vec<Vec<u8>> {
    chosen([
        (0, "198.51.100.1"),
        (0, "1.2.3.4, 198.51.100.1, 10.0.0.2"),
        (1, "1.2.3.4\n198.51.100.1\n10.0.0.2"),
        (3, "198.51.100.1:4711"),
        (1, "[2001:db8::1]:80,[::1]"),
        (2, "198.51.100.1"),
        (0, "198.51.100.1, unknown, 10.1.1.1"),
        (0, "::ffff:198.51.100.1, 10.0.0.3"),
        (0, "fe80::1%eth0"),
    ])
}

/// The kind of proxy, the peer, the target that it asks with, and header lines.
pub(crate) fn forward_auth(input: &[u8]) {
    let (kind, rest) = choice(input);
    let (from, rest) = choice(rest);
    let (target, rest) = line(rest);
    let Ok(uri) = text(target).parse::<Uri>() else { return };
    let headers = Lines::read(rest).to_map();
    let kind = usize::from(kind) % fuzzing::PROXIES.len();
    let ask = |headers: &HeaderMap| {
        let mut request = Request::new(());
        *request.method_mut() = Method::PUT;
        *request.uri_mut() = uri.clone();
        *request.headers_mut() = headers.clone();
        let below = uri.path().strip_prefix("/auth/orders").unwrap_or_default();
        fuzzing::original(kind, &*TRUSTED, peer(from), &request, below)
            .map_err(|said| (said.status, said.detail))
    };
    let name = fuzzing::PROXIES[kind];
    let own: &[&str] = match name {
        "nginx" | "haproxy" => &["x-original-method", "x-original-uri", "x-real-ip"],
        "traefik" | "caddy" => &["x-forwarded-method", "x-forwarded-uri", "x-forwarded-for"],
        _ => &["x-forwarded-for"],
    };
    let heard = ask(&headers);
    // Fields of another kind could be the client's own.
    let mut without = headers.clone();
    for name in headers.keys().filter(|name| !own.contains(&name.as_str())) {
        without.remove(name);
    }
    assert_eq!(heard, ask(&without), "{name}");

    let said = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let once = |name: &&str| headers.get_all(*name).iter().count() <= 1;
    match heard {
        Ok((method, target, client)) => {
            assert!(own.iter().all(once), "{name}");
            if name == "envoy" {
                assert_eq!(method, "PUT");
                assert!(target.starts_with('/') || !uri.path().starts_with("/auth/orders/"));
            } else {
                assert_eq!(said(own[0]), Some(&*method));
                assert_eq!(said(own[1]), Some(&*target));
                assert!(!method.is_empty() && !target.is_empty());
            }
            let from = own[own.len() - 1];
            assert!(client.is_none() || headers.contains_key(from), "{name}: {client:?}");
        }
        Err((status, detail)) => assert!(status == 400 && !detail.is_empty()),
    }
}

pub(crate) fn forward_auth_seeds() -> Vec<Vec<u8>> {
    let nginx = "x-original-method: GET\nx-original-uri: /v1/costs?x=1\nx-real-ip: 198.51.100.1";
    let traefik = "x-forwarded-method: POST\nx-forwarded-uri: /v1/costs\nx-forwarded-for: 1.2.3.4";
    let all = format!("{nginx}\n{traefik}");
    chosen([
        (0, format!("\0/auth/orders\n{nginx}")),
        (1, format!("\0/auth/orders\n{traefik}")),
        (2, format!("\u{1}/auth/orders\n{all}")),
        (3, "\0/auth/orders/v1/costs?x=1\nx-forwarded-for: 1.2.3.4, 10.0.0.2".into()),
        (4, format!("\u{2}/auth/orders\n{all}")),
        (3, "\u{3}/auth/orders\nauthorization: Bearer a".into()),
    ])
}

/// Header lines on their way through the gateway, in either direction.
pub(crate) fn fields(input: &[u8]) {
    let before = Lines::read(input).to_map();
    let mut after = before.clone();
    fuzzing::clean_for_upstream(&mut after);
    let named = named_by_connection(&before);
    for name in after.keys() {
        let folded = folded(name.as_str());
        assert!(!fuzzing::is_reserved(name.as_str()), "{name}");
        assert!(!HOP_BY_HOP.contains(&&*folded), "{name}");
        assert!(!named.contains(&name.as_str().to_owned()), "{name}");
        let framing = ["content-length", "host"].contains(&&*folded);
        assert!(!framing || name.as_str() == folded, "{name}");
    }
    for name in before.keys().filter(|name| !after.contains_key(*name)) {
        let plain = folded(name.as_str());
        let reason = fuzzing::is_reserved(name.as_str())
            || HOP_BY_HOP.contains(&&*plain)
            || named.contains(&name.as_str().to_owned())
            || (plain != name.as_str() && ["content-length", "host"].contains(&&*plain))
            || *name == header::COOKIE;
        assert!(reason, "{name} was removed");
    }
    let pairs = |headers: &HeaderMap| -> Vec<Vec<u8>> {
        let values = headers.get_all(header::COOKIE).into_iter();
        let pairs = values.flat_map(|value| value.as_bytes().split(|b| *b == b';'));
        pairs.map(|pair| pair.trim_ascii().to_vec()).collect()
    };
    if !named.contains(&"cookie".to_owned()) {
        let mut theirs = pairs(&before);
        theirs.retain(|pair| !is_our_cookie(pair));
        let left: Vec<_> = pairs(&after);
        let not_empty = |pairs: Vec<Vec<u8>>| -> Vec<_> {
            pairs.into_iter().filter(|pair| !pair.is_empty()).collect()
        };
        assert_eq!(not_empty(left), not_empty(theirs));
    }
    let cleaned = after.clone();
    fuzzing::clean_for_upstream(&mut after);
    assert_eq!(after, cleaned, "once is enough");

    let mut down = before.clone();
    fuzzing::clean_for_client(&mut down);
    assert!(HOP_BY_HOP.iter().all(|name| !down.contains_key(*name)));
    assert!(down.get_all(header::SET_COOKIE).iter().all(|value| !is_our_cookie(value.as_bytes())));
    let codings = before.get_all(header::TRANSFER_ENCODING).iter().collect::<Vec<_>>();
    let chunked = codings.iter().all(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"));
    assert_eq!(fuzzing::is_only_chunked(&before), codings.len() < 2 && chunked);
}

fn folded(name: &str) -> String {
    name.chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
        .collect()
}

/// The names in `Connection`, but for those that stay all the same.
fn named_by_connection(headers: &HeaderMap) -> Vec<String> {
    let values = headers.get_all(header::CONNECTION).into_iter();
    let values = values.filter_map(|value| value.to_str().ok());
    let names =
        values.flat_map(|value| value.split(',')).map(|name| name.trim().to_ascii_lowercase());
    names.filter(|name| !["content-length", "host"].contains(&&**name)).collect()
}

fn is_our_cookie(pair: &[u8]) -> bool {
    let name = pair.split(|b| *b == b'=').next().unwrap_or_default().trim_ascii();
    OUR_COOKIES.iter().any(|ours| name.eq_ignore_ascii_case(ours.as_bytes()))
}

pub(crate) fn fields_seeds() -> Vec<Vec<u8>> {
    seeds([
        "connection: close, X-One\nx-one: 1\nx-two: 2\nhost: h\ncontent-length: 5\nte: trailers",
        "cookie: a=1; counterfoil_session=s; b=2\ncookie: __Host-counterfoil_session=t",
        "set-cookie: a=1; Path=/\nset-cookie: counterfoil_session =x; Path=/",
        "X_Counterfoil_Account: a\nx.original.url: /b\nauthorization: Bearer c\naccept: */*",
        "Transfer_Encoding: chunked\ntransfer-encoding: Chunked\ncontent.length: 3\nupgrade: h2c",
        "x-forwarded-for: 1.2.3.4\nx-http-method-override: PUT\nx'counterfoil!role: a\nproxy: b",
    ])
}

/// A method and a target, then header lines.
pub(crate) fn host(input: &[u8]) {
    let (request, rest) = line(input);
    let request = text(request);
    let (method, target) = request.split_once(' ').unwrap_or(("GET", &request));
    let (Ok(method), Ok(uri)) = (method.parse::<Method>(), target.parse::<Uri>()) else { return };
    let mut request = Request::new(());
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    *request.headers_mut() = Lines::read(rest).to_map();
    match fuzzing::host(&request) {
        Ok(host) => {
            let host = host.unwrap();
            assert_eq!(request.headers().get_all(header::HOST).iter().count(), 1);
            assert_ne!(request.method(), Method::CONNECT);
            assert!(!host.is_empty() && !host.contains(['@', '/', ' ', '?', '#', '\\']), "{host}");
            let target = request.uri().authority().map_or(&*host, |authority| authority.as_str());
            let field = request.headers()[header::HOST].to_str().unwrap();
            assert!(target == host && field.eq_ignore_ascii_case(&host));
        }
        Err(said) => assert!(said.status == 400 && !said.detail.is_empty()),
    }
}

pub(crate) fn host_seeds() -> Vec<Vec<u8>> {
    seeds([
        "GET /a\nhost: api.example.com",
        "GET http://api.example.com:80/a\nhost: API.example.com:80",
        "GET http://ada@api.example.com/\nhost: api.example.com",
        "GET /\nhost: [::1]:8081",
        "CONNECT a:443\nhost: a:443",
        "GET *\nhost: a\nhost: b",
    ])
}
