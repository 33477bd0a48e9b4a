//! Who the caller is, as doors tell it to the upstream.

use counterfoil_core::{Admitted, api::Api};
use http::{HeaderMap, HeaderName, HeaderValue};
use std::fmt::Write as _;

const TOKEN_ID: HeaderName = HeaderName::from_static("x-counterfoil-token-id");
const ACCOUNT: HeaderName = HeaderName::from_static("x-counterfoil-account");
const ORGANIZATION: HeaderName = HeaderName::from_static("x-counterfoil-organization");
const ROLE: HeaderName = HeaderName::from_static("x-counterfoil-role");
const SCOPES: HeaderName = HeaderName::from_static("x-counterfoil-scopes");

/// Sets every identity field, empty where there is nothing: an upstream that
/// reads a field which nobody set would read what a client wrote.
pub(crate) fn set(headers: &mut HeaderMap, api: &Api, admitted: &Admitted) {
    let identity = admitted.identity();
    let empty = || HeaderValue::from_static("");
    headers.insert(TOKEN_ID, identity.map_or_else(empty, |i| text(i.token())));
    headers.insert(ACCOUNT, identity.map_or_else(empty, |i| text(i.account())));
    headers.insert(ORGANIZATION, identity.map_or_else(empty, |i| text(i.organization())));
    headers.insert(ROLE, identity.and_then(|i| i.role(api)).map_or_else(empty, text));
    headers.insert(
        SCOPES,
        identity.map_or_else(empty, |i| {
            let mut scopes = String::new();
            for scope in i.scopes(api) {
                let gap = if scopes.is_empty() { "" } else { " " };
                // Writing to a string does not fail.
                let _ = write!(scopes, "{gap}{scope}");
            }
            text(scopes)
        }),
    );
}

/// Ids, addresses, roles and scopes are visible ASCII.
pub(crate) fn text(value: impl std::fmt::Display) -> HeaderValue {
    HeaderValue::try_from(value.to_string()).unwrap_or_else(|_| HeaderValue::from_static(""))
}
