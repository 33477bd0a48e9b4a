//! Trailers: fields that come behind a body, and are passed on where they can do no harm.
//!
//! Over HTTP/1.1 they go on where the sender has named them beforehand in `Trailer`, and a
//! response's where the client has said `TE: trailers`; HTTP wants the latter, and hyper both.

use super::fields::is_hop_by_hop;
use crate::reserved_fields::{self, folded};
use http::{HeaderMap, HeaderName, HeaderValue, header};

/// What a recipient may have acted upon before the trailers come, so that nobody may add it
/// there (RFC 9110 §6.5.1): framing, routing, authentication, conditions, what a body is.
const UNFIT: [&str; 36] = [
    "accept-ranges",
    "age",
    "allow",
    "authentication-info",
    "cache-control",
    "content-encoding",
    "content-length",
    "content-location",
    "content-range",
    "content-type",
    "cookie",
    "date",
    "etag",
    "expires",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "last-modified",
    "location",
    "max-forwards",
    "origin",
    "pragma",
    "proxy-authentication-info",
    "proxy-status",
    "range",
    "referer",
    "retry-after",
    "set-cookie",
    "user-agent",
    "vary",
    "via",
    "warning",
    "www-authenticate",
];

/// Families of the same kind.
const UNFIT_FAMILIES: [&str; 3] = ["access-control-", "sec-", "proxy-"];

/// Whether a field of this name may trail a body; `is_credential` knows the folded names of
/// those that credentials travel in.
pub(super) fn is_fit(name: &str, is_credential: impl Fn(&str) -> bool) -> bool {
    let plain = folded(name);
    !UNFIT.contains(&&*plain)
        && !UNFIT_FAMILIES.iter().any(|family| plain.starts_with(family))
        && !is_hop_by_hop(&plain)
        && !reserved_fields::contains(&plain)
        && !is_credential(&plain)
}

/// Takes out whatever may not trail a body.
pub(super) fn clean(trailers: &mut HeaderMap, is_credential: impl Fn(&str) -> bool) {
    let names: Vec<HeaderName> = trailers.keys().cloned().collect();
    for name in names.into_iter().filter(|name| !is_fit(name.as_str(), &is_credential)) {
        trailers.remove(name);
    }
}

/// The `Trailer` field as it may go on; none, where nothing of it may.
pub(super) fn announced(
    headers: &HeaderMap,
    is_credential: impl Fn(&str) -> bool,
) -> Option<HeaderValue> {
    let lines = headers.get_all(header::TRAILER).iter().filter_map(|line| line.to_str().ok());
    let names: Vec<HeaderName> = lines
        .flat_map(|line| line.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .filter(|name: &HeaderName| is_fit(name.as_str(), &is_credential))
        .collect();
    let names: Vec<&str> = names.iter().map(HeaderName::as_str).collect();
    if names.is_empty() { None } else { HeaderValue::try_from(names.join(", ")).ok() }
}

/// Whether whoever sent these fields takes trailers (RFC 9110 §10.1.4).
pub(super) fn are_taken(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(header::TE).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|word| word.trim().eq_ignore_ascii_case("trailers"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_trail_a_body() {
        let is_credential = |name: &str| name == "x-api-key";
        for name in ["x-checksum", "digest", "grpc-status", "grpc-message", "server-timing"] {
            assert!(is_fit(name, is_credential), "{name}");
        }
        for name in [
            "content-length",
            "transfer-encoding",
            "Transfer_Encoding",
            "trailer",
            "host",
            "authorization",
            "x-api-key",
            "x_api_key",
            "x-counterfoil-account",
            "x_counterfoil_role",
            "x-forwarded-for",
            "set-cookie",
            "access-control-allow-origin",
            "connection",
            "upgrade",
        ] {
            assert!(!is_fit(name, is_credential), "{name}");
        }
    }

    #[test]
    fn what_is_announced_is_cleaned_too() {
        let mut headers = HeaderMap::new();
        assert_eq!(announced(&headers, |_| false), None);
        for line in ["X-Sum, authorization", " x-other ,, content-length, b@d"] {
            headers.append(header::TRAILER, HeaderValue::from_static(line));
        }
        assert_eq!(announced(&headers, |_| false).unwrap(), "x-sum, x-other");
        assert_eq!(announced(&headers, |name| name == "x-sum").unwrap(), "x-other");
        assert_eq!(announced(&headers, |name| name.starts_with('x')), None);
    }

    #[test]
    fn who_takes_them() {
        let takes = |line: &'static str| {
            are_taken(&HeaderMap::from_iter([(header::TE, HeaderValue::from_static(line))]))
        };
        assert!(takes("trailers") && takes("gzip;q=0.5, Trailers"));
        assert!(!takes("gzip") && !takes("trailers;q=1") && !are_taken(&HeaderMap::new()));
    }
}
