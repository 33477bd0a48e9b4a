//! What holds for every page: where a change may come from, and what browsers are told.

use super::{Console, Trouble};
use crate::http::{extract, verify::Way};
use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use std::sync::Arc;

/// Everything from here, and nothing written into a page: no script or style that
/// somebody smuggled in is run.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; \
     connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
);

/// With `no-referrer` browsers would send `Origin: null` with our own forms.
const REFERRER: HeaderValue = HeaderValue::from_static("same-origin");

const HEADERS: [(HeaderName, HeaderValue); 7] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::REFERRER_POLICY, REFERRER),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static("camera=(), geolocation=(), microphone=()"),
    ),
];

/// A year: whoever was here over TLS once does not come without it.
const TRANSPORT: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// Lets changes in only from our own pages, and only once all of the request is here: who it
/// is from is judged after that, so that one held back does not outlive its session.
pub(super) async fn changes_from_here(
    State(console): State<Arc<Console>>,
    request: Request,
    next: Next,
) -> Response {
    if request.method().is_safe() {
        return next.run(request).await;
    }
    if !is_from_here(request.headers(), &console.public_url) {
        return Trouble::CrossSite { public_url: console.public_url.clone() }.into_response();
    }
    match extract::whole(request).await {
        Ok(request) => next.run(request).await,
        Err(problem) => Trouble::from(problem).into_response(),
    }
}

/// Adds what browsers are told with every answer, but for verify's: no page asks for those,
/// and services do all the time.
pub(crate) async fn tell_browsers(
    State(is_secure): State<bool>,
    request: Request,
    next: Next,
) -> Response {
    let is_for_services = Way::of(&request).is_some();
    let mut response = next.run(request).await;
    if is_for_services {
        return response;
    }
    for (name, value) in &HEADERS {
        response.headers_mut().entry(name).or_insert_with(|| value.clone());
    }
    if is_secure {
        response.headers_mut().insert(header::STRICT_TRANSPORT_SECURITY, TRANSPORT);
    }
    response
}

/// Whether a browser says that a page of ours sent this. Every browser that is kept up
/// says so with `Origin` (Fetch §3.2); what does not say it, is not believed.
pub(crate) fn is_from_here(headers: &HeaderMap, public_url: &str) -> bool {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let origin = (origins.next(), origins.next());
    let ours = matches!(origin, (Some(origin), None) if origin == public_url);
    let sites = headers.get_all("sec-fetch-site");
    ours && sites.iter().all(|site| site == "same-origin")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_pages_change_anything() {
        let url = "https://tokens.example.com";
        for (fields, passes) in [
            (&[("origin", url)][..], true),
            (&[("origin", url), ("sec-fetch-site", "same-origin")], true),
            (&[], false),
            (&[("sec-fetch-site", "same-origin")], false),
            (&[("origin", "null")], false),
            (&[("origin", "https://example.com")], false),
            (&[("origin", "http://tokens.example.com")], false),
            (&[("origin", "https://tokens.example.com:8443")], false),
            (&[("origin", "https://tokens.example.com.evil.example")], false),
            (&[("origin", url), ("origin", url)], false),
            (&[("origin", url), ("sec-fetch-site", "same-site")], false),
            (&[("origin", url), ("sec-fetch-site", "cross-site")], false),
            (&[("origin", url), ("sec-fetch-site", "none")], false),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.append(*name, HeaderValue::from_static(value));
            }
            assert_eq!(is_from_here(&headers, url), passes, "{fields:?}");
        }
    }
}
