//! Where a request comes from and what it was, as trusted proxies tell it, and as upstreams
//! are told.
//!
//! What a proxy of the operator's says is kept, and what we see is added; of anybody else
//! nothing is. In front of the client there is hearsay only, which ends here.

use super::fields;
use crate::{
    config::{self, ForwardedBy},
    http::{
        client_address::{self, FORWARDED_FOR},
        identity,
    },
};
use counterfoil_core::network::Network;
use http::{HeaderMap, HeaderName, HeaderValue, Version, header, request::Parts};
use std::{
    fmt::{self, Write as _},
    io::Write as _,
    net::IpAddr,
};

const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// What is believed, and what we speak.
pub(super) struct Forwarding {
    trusted: Vec<Network>,
    by: ForwardedBy,
    /// The scheme by which clients reach this gateway.
    proto: HeaderValue,
}

/// What the upstream is told of a request.
pub(super) struct Told {
    chain: Option<HeaderValue>,
    /// The host, where a proxy in front has heard another one than we have.
    host: Option<HeaderValue>,
    proto: HeaderValue,
    /// Whom `Forwarded` tells of; none, where it is not written.
    hops: Option<Vec<IpAddr>>,
    via: HeaderValue,
}

/// What one element of a `Forwarded` field says (RFC 7239 §4).
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Element {
    whom: Option<String>,
    host: Option<String>,
    proto: Option<String>,
}

/// What proxies in front have said: from the client on to the one before us.
#[derive(Debug, Default)]
struct Said {
    /// None where one of them said something that is no address.
    hops: Option<Vec<IpAddr>>,
    host: Option<String>,
    proto: Option<String>,
}

impl Forwarding {
    pub(super) fn new(config: &config::Gateway) -> Self {
        let is_secure = config.tls.is_some() || config.public_url.starts_with("https:");
        Self {
            trusted: config.trusted_proxies.clone(),
            by: config.forwarded,
            proto: HeaderValue::from_static(if is_secure { "https" } else { "http" }),
        }
    }

    /// The client's address, for a request that `peer` brought; none where a trusted proxy
    /// said something that is no address.
    pub(super) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> Option<IpAddr> {
        match self.by {
            ForwardedBy::XForwarded => client_address::forwarded_for(peer, headers, &self.trusted),
            ForwardedBy::Forwarded => {
                let peer = peer.to_canonical();
                if !self.trusts(peer) {
                    return Some(peer);
                }
                self.said(peer, headers).hops?.first().copied()
            }
        }
    }

    /// What the upstream is to be told of a request that `peer` brought for `client`.
    pub(super) fn told(&self, peer: IpAddr, client: Option<IpAddr>, request: &Parts) -> Told {
        let headers = &request.headers;
        // Over HTTP/2 the host is none of the fields.
        let host = match (headers.contains_key(header::HOST), request.uri.authority()) {
            (false, Some(host)) => HeaderValue::try_from(host.as_str()).ok(),
            _ => None,
        };
        let via = HeaderValue::from_static(match request.version {
            Version::HTTP_2 => "2.0 counterfoil",
            Version::HTTP_10 => "1.0 counterfoil",
            _ => "1.1 counterfoil",
        });
        let peer = peer.to_canonical();
        let proto = self.proto.clone();
        let writes_forwarded = self.by == ForwardedBy::Forwarded;
        if !self.trusts(peer) {
            let hops = writes_forwarded.then(|| vec![peer]);
            return Told { chain: client.map(address), host, proto, hops, via };
        }
        let said = self.said(peer, headers);
        let chain = said.hops.as_ref().map(|hops| {
            let hops: Vec<String> = hops.iter().map(IpAddr::to_string).collect();
            identity::value(&hops.join(", "))
        });
        let proto = match said.proto.as_deref() {
            Some("http") => HeaderValue::from_static("http"),
            Some("https") => HeaderValue::from_static("https"),
            _ => proto,
        };
        let theirs = said.host.filter(|host| super::is_host(host));
        let host = theirs.and_then(|host| HeaderValue::try_from(host).ok()).or(host);
        let hops = writes_forwarded.then(|| said.hops.unwrap_or_default());
        Told { chain, host, proto, hops, via }
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(address))
    }

    /// What is said by trusted proxies, of which `peer` is the last.
    fn said(&self, peer: IpAddr, headers: &HeaderMap) -> Said {
        match self.by {
            ForwardedBy::XForwarded => {
                let lines = headers.get_all(&FORWARDED_FOR).iter();
                let lines: Option<Vec<&str>> = lines.map(|line| line.to_str().ok()).collect();
                let entries = lines.map(|lines| lines.into_iter().flat_map(|line| line.split(',')));
                let entries: Option<Vec<&str>> = entries.map(Iterator::collect);
                let text = |name| {
                    fields::only(headers, name)
                        .and_then(|it| Some(std::str::from_utf8(it).ok()?.to_owned()))
                };
                Said {
                    hops: entries.and_then(|entries| {
                        self.hops(peer, entries.into_iter().rev().map(client_address::address))
                    }),
                    host: text(&FORWARDED_HOST),
                    proto: text(&FORWARDED_PROTO),
                }
            }
            ForwardedBy::Forwarded => {
                let lines = headers.get_all(header::FORWARDED).iter();
                let lines: Option<Vec<&str>> = lines.map(|line| line.to_str().ok()).collect();
                let Some(elements) = lines.and_then(|lines| elements(&lines.join(", "))) else {
                    return Said::default();
                };
                let whom =
                    |element: &Element| element.whom.as_deref().and_then(client_address::address);
                let hops = self.hops(peer, elements.iter().rev().map(whom));
                // What the request was, whoever met the client knows.
                let first = hops.as_ref().and_then(|hops| {
                    elements.len().checked_sub(hops.len() - 1).and_then(|at| elements.get(at))
                });
                let first = first.cloned().unwrap_or_default();
                Said { hops, host: first.host, proto: first.proto }
            }
        }
    }

    /// The addresses from the client's on, ours last, where `before` tells them from the last
    /// to the first.
    fn hops(
        &self,
        peer: IpAddr,
        before: impl Iterator<Item = Option<IpAddr>>,
    ) -> Option<Vec<IpAddr>> {
        let mut hops = vec![peer];
        for address in before {
            let address = address?;
            hops.push(address);
            if !self.trusts(address) {
                break;
            }
        }
        hops.reverse();
        Some(hops)
    }
}

impl Told {
    /// Says it. `host` is what the request was for.
    pub(super) fn say(self, headers: &mut HeaderMap, host: Option<HeaderValue>) {
        let host = self.host.or(host);
        if let Some(hops) = self.hops {
            let text = forwarded(&hops, host.as_ref(), &self.proto);
            headers.insert(header::FORWARDED, identity::value(&text));
        }
        if let Some(host) = host {
            headers.insert(FORWARDED_HOST, host);
        }
        if let Some(chain) = self.chain {
            headers.insert(FORWARDED_FOR, chain);
        }
        headers.insert(FORWARDED_PROTO, self.proto);
        headers.append(header::VIA, self.via);
    }
}

/// A `Forwarded` field: the client, what it asked for, and whoever came after it.
fn forwarded(hops: &[IpAddr], host: Option<&HeaderValue>, proto: &HeaderValue) -> String {
    let mut text = String::from("for=");
    // Writing to a text does not fail.
    let _ = match hops.first() {
        Some(client) => write!(text, "{}", Node(*client)),
        None => write!(text, "unknown"),
    };
    // It has no character that would need another one before it: see `is_host`.
    if let Some(host) = host.and_then(|host| host.to_str().ok()).filter(|h| super::is_host(h)) {
        let _ = write!(text, ";host=\"{host}\"");
    }
    let _ = write!(text, ";proto={}", proto.to_str().unwrap_or_default());
    for hop in hops.iter().skip(1) {
        let _ = write!(text, ", for={}", Node(*hop));
    }
    text
}

/// An address as `Forwarded` has it (RFC 7239 §6).
struct Node(IpAddr);

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(address) => write!(f, "{address}"),
            IpAddr::V6(address) => write!(f, "\"[{address}]\""),
        }
    }
}

/// The elements of a `Forwarded` field, in order; none, where it does not follow its grammar.
fn elements(field: &str) -> Option<Vec<Element>> {
    let mut elements = Vec::new();
    let mut rest = field.trim_start();
    if rest.is_empty() {
        return Some(elements);
    }
    let mut element = Element::default();
    loop {
        let (name, after) = rest.split_once('=')?;
        let is_token = |text: &str| {
            !text.is_empty()
                && text
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
        };
        if !is_token(name) {
            return None;
        }
        let value;
        (value, rest) = if let Some(quoted) = after.strip_prefix('"') {
            let end = quoted.find('"')?;
            // Nothing that we look for has anything to escape.
            if quoted[..end].contains('\\') {
                return None;
            }
            (&quoted[..end], &quoted[end + 1..])
        } else {
            let end = after.find([';', ',', ' ', '\t']).unwrap_or(after.len());
            if !is_token(&after[..end]) {
                return None;
            }
            after.split_at(end)
        };
        let place = match name.to_ascii_lowercase().as_str() {
            "for" => Some(&mut element.whom),
            "host" => Some(&mut element.host),
            "proto" => Some(&mut element.proto),
            _ => None,
        };
        if let Some(place) = place
            && place.replace(value.to_owned()).is_some()
        {
            return None;
        }
        if let Some(next) = rest.strip_prefix(';') {
            rest = next;
            continue;
        }
        elements.push(std::mem::take(&mut element));
        rest = rest.trim_start();
        if rest.is_empty() {
            return Some(elements);
        }
        rest = rest.strip_prefix(',')?.trim_start();
    }
}

fn address(client: IpAddr) -> HeaderValue {
    // The longest is an IPv6 address with an IPv4 address in it.
    let mut text = [0; 45];
    let mut rest = &mut text[..];
    // It has room.
    let _ = write!(rest, "{client}");
    let left = rest.len();
    identity::value(str::from_utf8(&text[..45 - left]).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_as_they_are_written() {
        for text in ["127.0.0.1", "::1", "1111:2222:3333:4444:5555:6666:7777:8888"] {
            assert_eq!(address(text.parse().unwrap()), text);
        }
    }

    fn forwarding(by: ForwardedBy) -> Forwarding {
        Forwarding {
            trusted: vec!["10.0.0.0/8".parse().unwrap(), "2001:db8::/32".parse().unwrap()],
            by,
            proto: HeaderValue::from_static("http"),
        }
    }

    /// What the upstream is told: addresses, host, scheme, and `Forwarded`.
    fn told(by: ForwardedBy, peer: &str, lines: &[(&'static str, &str)]) -> [String; 4] {
        let forwarding = forwarding(by);
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::try_from(*value).unwrap());
        }
        let peer = peer.parse().unwrap();
        let client = forwarding.client(peer, &headers);
        headers.insert(header::HOST, HeaderValue::from_static("api.test"));
        let mut request = http::Request::new(()).into_parts().0;
        request.headers = headers;
        let told = forwarding.told(peer, client, &request);
        let mut said = HeaderMap::new();
        told.say(&mut said, Some(HeaderValue::from_static("api.test")));
        let first =
            said.get(FORWARDED_FOR).and_then(|chain| chain.to_str().unwrap().split(',').next());
        assert_eq!(first, client.map(|client| client.to_string()).as_deref());
        let names = ["x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "forwarded"];
        names.map(|name| said.get(name).map(|v| v.to_str().unwrap().to_owned()).unwrap_or_default())
    }

    #[test]
    fn the_chain_begins_with_the_client() {
        let by = ForwardedBy::XForwarded;
        for (peer, lines, expected) in [
            (
                "192.0.2.1",
                &[
                    ("x-forwarded-for", "1.1.1.1"),
                    ("x-forwarded-proto", "https"),
                    ("x-forwarded-host", "evil.test"),
                ][..],
                ["192.0.2.1", "api.test", "http", ""],
            ),
            (
                "10.0.0.1",
                &[("x-forwarded-for", "1.1.1.1, 192.0.2.1")],
                ["192.0.2.1, 10.0.0.1", "api.test", "http", ""],
            ),
            (
                "10.0.0.1",
                &[
                    ("x-forwarded-for", "1.1.1.1, 192.0.2.1"),
                    ("x-forwarded-for", "10.0.0.2:80"),
                    ("x-forwarded-proto", "https"),
                    ("x-forwarded-host", "front.test"),
                ],
                ["192.0.2.1, 10.0.0.2, 10.0.0.1", "front.test", "https", ""],
            ),
            (
                "10.0.0.1",
                &[
                    ("forwarded", "for=1.1.1.1;proto=https"),
                    ("x-forwarded-proto", "gopher"),
                    ("x-forwarded-host", "a b"),
                ],
                ["10.0.0.1", "api.test", "http", ""],
            ),
            (
                "10.0.0.1",
                &[("x-forwarded-for", "unknown"), ("x-forwarded-proto", "https, http")],
                ["", "api.test", "http", ""],
            ),
            (
                "::ffff:10.0.0.1",
                &[("x-forwarded-for", "[::2]:80")],
                ["::2, 10.0.0.1", "api.test", "http", ""],
            ),
        ] {
            assert_eq!(told(by, peer, lines), expected, "{peer} {lines:?}");
        }
    }

    #[test]
    fn forwarded_is_read_where_it_is_what_proxies_write() {
        let by = ForwardedBy::Forwarded;
        for (peer, line, expected) in [
            (
                "192.0.2.1",
                "for=1.1.1.1;proto=https;host=evil.test",
                ["192.0.2.1", "api.test", "http", "for=192.0.2.1;host=\"api.test\";proto=http"],
            ),
            (
                "10.0.0.1",
                "for=1.1.1.1;host=hearsay.test;proto=http, For=\"[::2]:80\";PROTO=https;host=\"front.test:8443\"",
                [
                    "::2, 10.0.0.1",
                    "front.test:8443",
                    "https",
                    "for=\"[::2]\";host=\"front.test:8443\";proto=https, for=10.0.0.1",
                ],
            ),
            (
                "10.0.0.1",
                "for=192.0.2.1;host=front.test;by=_x, for=\"[2001:db8::1]\"",
                [
                    "192.0.2.1, 2001:db8::1, 10.0.0.1",
                    "front.test",
                    "http",
                    "for=192.0.2.1;host=\"front.test\";proto=http, for=\"[2001:db8::1]\", for=10.0.0.1",
                ],
            ),
            (
                "10.0.0.1",
                "for=unknown;proto=https",
                ["", "api.test", "http", "for=unknown;host=\"api.test\";proto=http"],
            ),
            (
                "10.0.0.1",
                "for=_hidden",
                ["", "api.test", "http", "for=unknown;host=\"api.test\";proto=http"],
            ),
            (
                "10.0.0.1",
                "for=192.0.2.1;for=1.1.1.1",
                ["", "api.test", "http", "for=unknown;host=\"api.test\";proto=http"],
            ),
            (
                "10.0.0.1",
                "for=\"192.0.2.1",
                ["", "api.test", "http", "for=unknown;host=\"api.test\";proto=http"],
            ),
            (
                "10.0.0.1",
                "proto=https",
                ["", "api.test", "http", "for=unknown;host=\"api.test\";proto=http"],
            ),
            (
                "10.0.0.1",
                "",
                ["10.0.0.1", "api.test", "http", "for=10.0.0.1;host=\"api.test\";proto=http"],
            ),
        ] {
            let lines = [
                ("forwarded", line),
                ("x-forwarded-for", "6.6.6.6"),
                ("x-forwarded-proto", "https"),
            ];
            assert_eq!(told(by, peer, &lines), expected, "{peer} {line}");
        }
    }

    #[test]
    fn a_comma_in_quotes_ends_no_element() {
        let found = elements("for=\"a,b;c\";by=x ,  proto=https").unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].whom.as_deref(), Some("a,b;c"));
        assert_eq!(found[1].proto.as_deref(), Some("https"));
        for wrong in
            ["for", "for=", "for =x", "for=x y", "for=x,", "for=x;", ",for=x", "for=\"a\\\"b\""]
        {
            assert_eq!(elements(wrong), None, "{wrong}");
        }
    }
}
