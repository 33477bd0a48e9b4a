//! Who the client is, when proxies that we trust stand between.

use counterfoil_core::network::Network;
use http::{HeaderMap, HeaderName};
use std::net::IpAddr;

/// Where proxies write whom they ask for.
pub(crate) const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The client's address as `X-Forwarded-For` tells it, for a request that
/// `peer` brought. Only what a trusted proxy wrote counts: read from the right,
/// the first address that is not a trusted proxy's is the client's. None where
/// a trusted proxy said something that is no address.
pub(crate) fn forwarded_for(
    peer: IpAddr,
    headers: &HeaderMap,
    trusted: &[Network],
) -> Option<IpAddr> {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    let peer = peer.to_canonical();
    if !is_trusted(peer) {
        return Some(peer);
    }
    let mut client = peer;
    for line in headers.get_all(&FORWARDED_FOR).iter().rev() {
        for entry in line.to_str().ok()?.rsplit(',') {
            client = address(entry)?;
            if !is_trusted(client) {
                return Some(client);
            }
        }
    }
    Some(client)
}

/// One address as proxies write it: bare, in brackets, with a port or without.
pub(crate) fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address.to_canonical());
    }
    if let Ok(address) = text.parse::<std::net::SocketAddr>() {
        return Some(address.ip().to_canonical());
    }
    let inner = text.strip_prefix('[')?.strip_suffix(']')?;
    inner.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn client(peer: &str, lines: &[&'static str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("x-forwarded-for", HeaderValue::from_static(line));
        }
        let trusted = ["10.0.0.0/8".parse().unwrap(), "::1".parse().unwrap()];
        forwarded_for(peer.parse().unwrap(), &headers, &trusted).map(|ip| ip.to_string())
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        for (peer, lines, expected) in [
            ("203.0.113.9", &["198.51.100.1"][..], Some("203.0.113.9")),
            ("10.0.0.1", &["198.51.100.1"], Some("198.51.100.1")),
            ("10.0.0.1", &["1.2.3.4, 198.51.100.1"], Some("198.51.100.1")),
            ("10.0.0.1", &["1.2.3.4, 198.51.100.1, 10.0.0.2"], Some("198.51.100.1")),
            ("10.0.0.1", &["1.2.3.4", "198.51.100.1", "10.0.0.2"], Some("198.51.100.1")),
            ("::ffff:10.0.0.1", &["198.51.100.1:4711"], Some("198.51.100.1")),
            ("::1", &["[2001:db8::1]:80"], Some("2001:db8::1")),
            ("::1", &["[2001:db8::1]"], Some("2001:db8::1")),
            ("10.0.0.1", &[], Some("10.0.0.1")),
            ("10.0.0.1", &["10.0.0.3"], Some("10.0.0.3")),
            ("10.0.0.1", &["198.51.100.1, unknown"], None),
            ("10.0.0.1", &[""], None),
        ] {
            assert_eq!(client(peer, lines).as_deref(), expected, "{peer} {lines:?}");
        }
    }
}
