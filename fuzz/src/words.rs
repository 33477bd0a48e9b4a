//! Single words: scopes, networks, e-mail addresses, ids, spans and moments.

use crate::input::{line, seeds, text};
use counterfoil::fuzzing;
use counterfoil_core::{
    Timestamp, account::Email, id::TokenId, network::Network, scope::Scope, time::Seconds,
};
use std::net::IpAddr;

/// Two scopes, a line each.
pub(crate) fn scope(input: &[u8]) {
    let (one, other) = line(input);
    let read = |bytes| {
        let text = text(bytes);
        let scope = text.parse::<Scope>().ok()?;
        assert_eq!(scope.as_str(), text);
        assert_eq!(scope.to_string().parse(), Ok(scope.clone()));
        assert_eq!(scope.as_need().to_string(), text);
        let sound = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-.:".contains(&b);
        assert!(text.len() <= 100 && text.bytes().all(sound));
        assert!(scope.covers(scope.as_need()));
        Some(scope)
    };
    let (Some(one), Some(other)) = (read(one), read(other)) else { return };
    let held = one.as_str();
    let needed = other.as_str();
    let enough = held == needed
        || (!held.contains(':')
            && needed.split_once(':').is_some_and(|(_, action)| action == held));
    assert_eq!(one.covers(other.as_need()), enough, "{held} for {needed}");
}

pub(crate) fn scope_seeds() -> Vec<Vec<u8>> {
    seeds([
        "read\nmetadata:read",
        "metadata:read\nmetadata:read",
        "write\nread",
        "a.b-c_0:d\nd",
        &format!("{}\n{}:{}", "a".repeat(100), "b".repeat(50), "c".repeat(49)),
    ])
}

/// Two networks, a line each.
pub(crate) fn network(input: &[u8]) {
    let (one, other) = line(input);
    let (one, other) = (text(one), text(other));
    let Ok(network) = one.parse::<Network>() else { return };
    let printed = network.to_string();
    assert_eq!(printed.parse(), Ok(network));
    let (address, length) = printed.split_once('/').unwrap();
    let address: IpAddr = address.parse().unwrap();
    let length: usize = length.parse().unwrap();
    assert_eq!(address, address.to_canonical());
    assert!(network.contains(address) && network.covers(&network));
    let Ok(within) = other.parse::<Network>() else { return };
    let printed = within.to_string();
    let (first, narrower) = printed.split_once('/').unwrap();
    let first: IpAddr = first.parse().unwrap();
    let inside = bits(address).len() == bits(first).len()
        && bits(address)[..length] == bits(first)[..length];
    assert_eq!(network.contains(first), inside, "{first} in {network}");
    assert_eq!(network.covers(&within), inside && length <= narrower.parse().unwrap());
}

/// The bits of an address, most significant first.
fn bits(address: IpAddr) -> Vec<bool> {
    let bytes = match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    };
    bytes.into_iter().flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1 == 1)).collect()
}

pub(crate) fn network_seeds() -> Vec<Vec<u8>> {
    seeds([
        "10.0.0.0/8\n10.255.0.1",
        "192.0.2.7\n192.0.2.6/32",
        "::ffff:10.0.0.0/104\n10.1.2.3",
        "::ffff:0:0/96\n2001:db8::1",
        "0.0.0.0/0\n203.0.113.9",
        "::/0\n2001:db8::1",
        "2001:db8::/32\n2001:db8:1::/48",
    ])
}

pub(crate) fn email(input: &[u8]) {
    let text = text(input);
    let Ok(email) = text.parse::<Email>() else { return };
    assert!(email.is(&text));
    assert_eq!(email.to_string().parse(), Ok(email.clone()));
    let json = serde_json::to_string(&email).unwrap();
    assert_eq!(serde_json::from_str::<Email>(&json).unwrap(), email);
    let printed = email.as_str();
    assert!(printed.len() <= 254 && !printed.ends_with('@'));
    assert!(!printed.contains(|c: char| c.is_whitespace() || c.is_control() || c == ':'));
    assert!(!printed.contains(|c: char| c.is_ascii_uppercase()));
}

pub(crate) fn email_seeds() -> Vec<Vec<u8>> {
    seeds(["Ada@Example.COM", "a@b", "ÄDA@example.com", "\"a@b\"@example.com", "a b@c", "a:b@c"])
}

pub(crate) fn id(input: &[u8]) {
    let text = text(input);
    let Ok(id) = text.parse::<TokenId>() else { return };
    assert_eq!(id.to_string(), text.to_ascii_lowercase());
    assert_eq!(TokenId::from_bytes(*id.as_bytes()), id);
    let json = serde_json::to_string(&id).unwrap();
    assert_eq!(serde_json::from_str::<TokenId>(&json).unwrap(), id);
}

pub(crate) fn id_seeds() -> Vec<Vec<u8>> {
    seeds([
        "018bcfe5-6800-7101-8101-010101010101",
        "018BCFE5-6800-7101-8101-010101010101",
        "{018bcfe5-6800-7101-8101-0101010101}",
        "urn:uuid:018bcfe5-6800-7101-8101-010101010101",
        "018bcfe56800710181010101010101010000",
    ])
}

/// An id or an e-mail address, or where a list goes on.
pub(crate) fn account_name(input: &[u8]) {
    let text = text(input);
    if let Some(printed) = fuzzing::account_name(&text) {
        assert_eq!(printed, text.to_ascii_lowercase());
        assert_eq!(fuzzing::account_name(&printed), Some(printed));
    }
    if let Some(printed) = fuzzing::cursor(&text) {
        assert_eq!(printed, text.to_ascii_lowercase());
    }
}

pub(crate) fn account_name_seeds() -> Vec<Vec<u8>> {
    let id = "018bcfe5-6800-7101-8101-010101010101";
    seeds([id, "Ada@Example.com", &format!("{id}.{id}"), "acme_0123456789"])
}

pub(crate) fn span(input: &[u8]) {
    let text = text(input);
    let Ok(span) = text.parse::<Seconds>() else { return };
    assert_eq!(span.to_string().parse(), Ok(span));
    let now = Timestamp::from_millis(1_700_000_000_000);
    let then = now.plus(span);
    assert!(now <= then && then <= Timestamp::MAX);
    let whole = i64::try_from(span.0).ok().and_then(|seconds| seconds.checked_mul(1000));
    let end = whole.and_then(|span| span.checked_add(now.as_millis()));
    let end = end.map_or(Timestamp::MAX, |end| Timestamp::from_millis(end).min(Timestamp::MAX));
    assert_eq!(then, end);
}

pub(crate) fn span_seeds() -> Vec<Vec<u8>> {
    seeds(["90d", "24h", "15m", "30s", "61", "0", "18446744073709551615s", "213503982334601d"])
}

/// RFC 3339 in JSON.
pub(crate) fn moment(input: &[u8]) {
    let Some((moment, printed)) = fuzzing::moment(input) else { return };
    // Beyond the year 9999 there is no way to write it; no token lives as long.
    if (Timestamp::from_millis(-62_135_596_800_000)..=Timestamp::MAX).contains(&moment) {
        assert_eq!(fuzzing::moment(printed.as_bytes()), Some((moment, printed)));
    }
}

pub(crate) fn moment_seeds() -> Vec<Vec<u8>> {
    seeds([
        "\"2027-01-31T12:00:00Z\"",
        "\"2027-01-31t12:00:00.123456789+01:00\"",
        "\"9999-12-31T23:59:59.999Z\"",
        "\"-000044-03-15T12:00:00Z\"",
        "\"2016-12-31T23:59:60Z\"",
        "\"2027-01-31T12:00:00+02:00[Europe/Athens]\"",
    ])
}
