//! Header fields on their way through: what is removed, and what is set last.

use super::{forwarded::Told, mounts::Mounted, trailers};
use crate::{
    config::ProtectedApi,
    http::identity,
    reserved_fields::{self, folded},
};
use counterfoil_core::{Admitted, id::RequestId};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use std::collections::HashSet;

/// Our session cookie's names; the gateway neither forwards it nor lets an upstream set it.
const COOKIES: [&str; 2] = ["counterfoil_session", "__Host-counterfoil_session"];

/// Fields that end at each hop (RFC 9110 §7.6.1). `Expect` is answered by us:
/// by the time that a body is read here, the client has had its 100.
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

/// Fields that hardly any request has, and that ask for something: noticed in one pass.
#[derive(Debug, Default, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "each is one field, there or not")]
pub(super) struct Unusual {
    pub(super) expect: bool,
    pub(super) upgrade: bool,
    te: bool,
    trailer: bool,
}

impl Unusual {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut found = Self::default();
        for name in headers.keys() {
            match *name {
                header::EXPECT => found.expect = true,
                header::UPGRADE => found.upgrade = true,
                header::TE => found.te = true,
                header::TRAILER => found.trailer = true,
                _ => {}
            }
        }
        found
    }
}

/// What a client has said of trailers.
#[derive(Debug, Default)]
pub(super) struct Trailing {
    /// Whether those of the response may go on.
    pub(super) taken: bool,
    /// Those that the request will have.
    announced: Option<HeaderValue>,
}

/// What the gateway knows of fields.
pub(crate) struct Fields {
    /// The fields that credentials travel in, folded.
    credentials: HashSet<String>,
}

impl Fields {
    /// Credentials are removed for every API: one that was sent to the wrong
    /// place is a credential all the same.
    pub(crate) fn new(apis: &[ProtectedApi]) -> Self {
        let names = apis.iter().flat_map(|protected| {
            let schemes = &protected.api.schemes;
            schemes.header.iter().chain(schemes.header_pair.iter().flatten())
        });
        Self { credentials: names.map(|name| folded(name).into_owned()).collect() }
    }

    /// Makes a client's fields fit for the upstream.
    pub(super) fn for_upstream(
        &self,
        headers: &mut HeaderMap,
        told: Told,
        trailing: &Trailing,
        request_id: RequestId,
        mounted: &Mounted,
        admitted: &Admitted,
    ) {
        self.remove_unwanted(headers);
        let client_host = headers.insert(header::HOST, mounted.upstreams.host(0).clone());
        told.say(headers, client_host);
        headers.insert(super::REQUEST_ID, identity::request_id(request_id));
        if trailing.taken {
            headers.insert(header::TE, HeaderValue::from_static("trailers"));
            headers.insert(header::CONNECTION, HeaderValue::from_static("te"));
        }
        if let Some(names) = &trailing.announced {
            headers.insert(header::TRAILER, names.clone());
        }
        identity::set(headers, &mounted.door.api, admitted);
    }

    /// What a client says of trailers.
    pub(super) fn trailing(
        &self,
        headers: &HeaderMap,
        unusual: Unusual,
        has_body: bool,
    ) -> Trailing {
        let is_credential = |name: &str| self.credentials.contains(name);
        Trailing {
            taken: unusual.te && trailers::are_taken(headers),
            announced: (unusual.trailer && has_body)
                .then(|| trailers::announced(headers, is_credential))
                .flatten(),
        }
    }

    /// Makes what trails a request fit for the upstream.
    pub(super) fn clean_trailers(&self, trailers: &mut HeaderMap) {
        trailers::clean(trailers, |name| self.credentials.contains(name));
    }

    /// Makes an upstream's fields fit for the client.
    pub(crate) fn for_client(headers: &mut HeaderMap) {
        // The body has been read by its coding; a length beside it is wrong (RFC 9112 §6.3).
        if headers.contains_key(header::TRANSFER_ENCODING) {
            headers.remove(header::CONTENT_LENGTH);
        }
        remove_hop_by_hop(headers);
        let ours = |value: &HeaderValue| {
            // Of one without a name browsers send the value back as it is, name and all.
            let is_nothing = |b: &u8| *b == b'=' || b.is_ascii_whitespace();
            let named = value.as_bytes().iter().position(|b| !is_nothing(b)).unwrap_or_default();
            let name = value.as_bytes()[named..].split(|b| *b == b'=').next().unwrap_or_default();
            COOKIES.iter().any(|cookie| name.trim_ascii().eq_ignore_ascii_case(cookie.as_bytes()))
        };
        if headers.get_all(header::SET_COOKIE).iter().any(ours) {
            let kept: Vec<HeaderValue> =
                headers.get_all(header::SET_COOKIE).iter().filter(|v| !ours(v)).cloned().collect();
            headers.remove(header::SET_COOKIE);
            for value in kept {
                headers.append(header::SET_COOKIE, value);
            }
        }
    }

    pub(crate) fn remove_unwanted(&self, headers: &mut HeaderMap) {
        remove_what_connection_names(headers);
        remove_all(headers, |name| HOP_BY_HOP.contains(&name) || self.is_dropped(name));
        remove_own_cookie(headers);
    }

    fn is_dropped(&self, name: &str) -> bool {
        let plain = folded(name);
        // Framing and hop-by-hop fields in a spelling that we would not see as such.
        let disguised = *plain != *name
            && (HOP_BY_HOP.contains(&&*plain) || matches!(&*plain, "content-length" | "host"));
        disguised || reserved_fields::contains(&plain) || self.credentials.contains(&*plain)
    }
}

/// Whether a field of this name ends at each hop.
pub(super) fn is_hop_by_hop(name: &str) -> bool {
    HOP_BY_HOP.contains(&name)
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    remove_what_connection_names(headers);
    remove_all(headers, |name| HOP_BY_HOP.contains(&name));
}

fn remove_what_connection_names(headers: &mut HeaderMap) {
    if headers.contains_key(header::CONNECTION) {
        let named: Vec<HeaderName> = headers
            .get_all(header::CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(|name| name.trim().parse().ok())
            // Framing is hyper's, and the host is not up for removal.
            .filter(|name| *name != header::CONTENT_LENGTH && *name != header::HOST)
            .collect();
        for name in named {
            headers.remove(name);
        }
    }
}

/// Looks at each name once. Mostly there is one to remove, or none, which takes no memory.
fn remove_all(headers: &mut HeaderMap, is_unwanted: impl Fn(&str) -> bool) {
    let mut unwanted = headers.keys().filter(|name| is_unwanted(name.as_str()));
    let Some(first) = unwanted.next().cloned() else { return };
    let others: Vec<HeaderName> = unwanted.cloned().collect();
    headers.remove(first);
    for name in others {
        headers.remove(name);
    }
}

fn remove_own_cookie(headers: &mut HeaderMap) {
    let is_ours = |pair: &[u8]| {
        let name = pair.split(|b| *b == b'=').next().unwrap_or_default().trim_ascii();
        COOKIES.iter().any(|cookie| name.eq_ignore_ascii_case(cookie.as_bytes()))
    };
    let pairs = |value: &HeaderValue| -> Vec<Vec<u8>> {
        value.as_bytes().split(|b| *b == b';').map(|p| p.trim_ascii().to_vec()).collect()
    };
    let cookies = headers.get_all(header::COOKIE);
    if !cookies.iter().any(|value| pairs(value).iter().any(|pair| is_ours(pair))) {
        return;
    }
    let kept: Vec<Vec<u8>> = cookies.iter().flat_map(pairs).filter(|pair| !is_ours(pair)).collect();
    headers.remove(header::COOKIE);
    if !kept.is_empty()
        && let Ok(value) = HeaderValue::from_bytes(&kept.join(&b"; "[..]))
    {
        headers.insert(header::COOKIE, value);
    }
}

/// The value of a field that stands there once.
pub(super) fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h [u8]> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => Some(value.as_bytes().trim_ascii()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields() -> Fields {
        let mut fields = Fields::new(&[]);
        fields.credentials.insert("x-finout-secret-key".into());
        fields
    }

    #[test]
    fn every_spelling_of_what_is_ours() {
        for name in [
            "Authorization",
            "x-counterfoil-account",
            "X_Counterfoil_Account",
            "x-counterfoil_role",
            "x-counterfoil-anything",
            "x-finout-secret-key",
            "x_finout_secret_key",
            "x.finout.secret.key",
            "Transfer_Encoding",
            "content.length",
            "X-Original-URL",
            "x_original_url",
            "X-HTTP-Method-Override",
            "X-Forwarded-For",
        ] {
            let name: HeaderName = name.parse().unwrap();
            assert!(fields().is_dropped(name.as_str()), "{name}");
        }
        for name in ["accept", "cookie", "x-counterfeit", "x-custom_header", "content-length"] {
            assert!(!fields().is_dropped(name), "{name}");
        }
    }

    #[test]
    fn what_connection_names_is_removed_but_not_the_host() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, X-One"),
            ("connection", "x-two,host, content-length"),
            ("x-one", "1"),
            ("x-two", "2"),
            ("x-three", "3"),
            ("host", "h"),
            ("content-length", "5"),
            ("upgrade", "h2c"),
            ("te", "trailers"),
        ] {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        remove_hop_by_hop(&mut headers);
        let mut left: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["content-length", "host", "x-three"]);
    }

    #[test]
    fn only_our_cookie_is_taken_out() {
        let mut headers = HeaderMap::new();
        for value in ["a=1; counterfoil_session=s; b=2", "__Host-counterfoil_session=t"] {
            headers.append(header::COOKIE, HeaderValue::from_static(value));
        }
        remove_own_cookie(&mut headers);
        assert_eq!(headers.get_all(header::COOKIE).iter().collect::<Vec<_>>(), ["a=1; b=2"]);
    }

    #[test]
    fn an_upstream_cannot_set_our_cookie() {
        let mut headers = HeaderMap::new();
        for value in
            ["a=1; Path=/", "counterfoil_session=x", " __Host-counterfoil_session =x; Path=/"]
        {
            headers.append(header::SET_COOKIE, HeaderValue::from_static(value));
        }
        Fields::for_client(&mut headers);
        assert_eq!(headers.get_all(header::SET_COOKIE).iter().collect::<Vec<_>>(), ["a=1; Path=/"]);
    }
}
