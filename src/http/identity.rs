//! Who the caller is, as doors tell it to the upstream.

use counterfoil_core::{Admitted, api::Api, id::RequestId};
use http::{HeaderMap, HeaderName, HeaderValue};

const TOKEN_ID: HeaderName = HeaderName::from_static("x-counterfoil-token-id");
const ACCOUNT: HeaderName = HeaderName::from_static("x-counterfoil-account");
const ORGANIZATION: HeaderName = HeaderName::from_static("x-counterfoil-organization");
const ROLE: HeaderName = HeaderName::from_static("x-counterfoil-role");
const SCOPES: HeaderName = HeaderName::from_static("x-counterfoil-scopes");

const EMPTY: HeaderValue = HeaderValue::from_static("");

/// Sets every identity field, empty where there is nothing: an upstream that
/// reads a field which nobody set would read what a client wrote.
pub(crate) fn set(headers: &mut HeaderMap, api: &Api, admitted: &Admitted) {
    let Some(identity) = admitted.identity() else {
        for name in [TOKEN_ID, ACCOUNT, ORGANIZATION, ROLE, SCOPES] {
            headers.insert(name, EMPTY);
        }
        return;
    };
    // Behind a password there is no token.
    let token = identity.token();
    headers.insert(TOKEN_ID, token.map_or(EMPTY, |id| value(id.write_to(&mut [0; 36]))));
    headers.insert(ACCOUNT, value(identity.account().write_to(&mut [0; 36])));
    headers.insert(ORGANIZATION, value(identity.organization().write_to(&mut [0; 36])));
    headers.insert(ROLE, identity.role(api).map_or(EMPTY, value));
    let mut scopes = identity.scopes(api);
    let scopes = match (scopes.next(), scopes.next()) {
        (None, _) => EMPTY,
        (Some(only), None) => value(only.as_str()),
        (Some(first), Some(second)) => {
            let mut text = format!("{first} {second}");
            for scope in scopes {
                text.push(' ');
                text.push_str(scope.as_str());
            }
            value(&text)
        }
    };
    headers.insert(SCOPES, scopes);
}

/// The name of an answer.
pub(crate) fn request_id(id: RequestId) -> HeaderValue {
    value(id.write_to(&mut [0; 36]))
}

/// Ids, addresses, roles and scopes are visible ASCII.
pub(crate) fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(EMPTY)
}
