//! Fetches the issuer's keys, within bounds of size and time.

use crate::json;
use crate::keys::{KeySet, NotAKeySet};
use bytes::Bytes;
use http::header::{ACCEPT, CACHE_CONTROL};
use http::{HeaderMap, Request, Uri};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use serde::Deserialize;
use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// A hundred keys are less than half of it.
const MOST_BYTES: usize = 64 * 1024;

/// Where the keys are.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// At this URL.
    At(Uri),
    /// Where the issuer's metadata says (RFC 8414).
    Metadata {
        /// Where the metadata is.
        at: Uri,
        /// What it has to name.
        issuer: String,
    },
}

pub(crate) struct Fetcher {
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
    source: Source,
    timeout: Duration,
}

/// What the issuer answered.
pub(crate) struct Fetched {
    pub(crate) keys: KeySet,
    /// How long the issuer says that they may be kept.
    pub(crate) max_age: Option<Duration>,
}

/// Why there are no keys. Redirects are not followed, wherever they lead.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    #[error("no answer: {}", chain(.0))]
    Client(#[from] hyper_util::client::legacy::Error),
    #[error("no whole answer of at most {MOST_BYTES} bytes: {}", chain(&**.0))]
    Body(Box<dyn Error + Send + Sync>),
    #[error("no answer within {0:?}")]
    TooSlow(Duration),
    #[error("answered with status {0}, expected 200")]
    Status(u16),
    #[error("the key set is not one: {0}")]
    Keys(#[from] NotAKeySet),
    #[error("the metadata has no issuer and jwks_uri")]
    Metadata,
    #[error("the metadata is another issuer's")]
    OtherIssuer,
    #[error("the metadata's jwks_uri is not the issuer's own")]
    OtherOrigin,
}

#[derive(Deserialize)]
struct Metadata {
    issuer: Box<str>,
    jwks_uri: Box<str>,
}

impl Source {
    fn is_https(&self) -> bool {
        let (Self::At(uri) | Self::Metadata { at: uri, .. }) = self;
        uri.scheme_str() == Some("https")
    }
}

impl Fetcher {
    /// Reads the system's certificates, where they are needed, which takes some milliseconds.
    pub(crate) fn new(source: Source, timeout: Duration) -> io::Result<Self> {
        let builder = HttpsConnectorBuilder::new();
        let connector = if source.is_https() {
            builder
                .with_provider_and_native_roots(ring::default_provider())?
                .https_only()
                .enable_http1()
                .build()
        } else {
            let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
                .with_safe_default_protocol_versions()
                .map_err(io::Error::other)?
                .with_root_certificates(RootCertStore::empty())
                .with_no_client_auth();
            builder.with_tls_config(config).https_or_http().enable_http1().build()
        };
        // Minutes lie between two requests, so a connection is not kept.
        let client =
            Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
        Ok(Self { client, source, timeout })
    }

    pub(crate) async fn fetch(&self) -> Result<Fetched, FetchError> {
        tokio::time::timeout(self.timeout, self.keys())
            .await
            .map_err(|_| FetchError::TooSlow(self.timeout))?
    }

    async fn keys(&self) -> Result<Fetched, FetchError> {
        let at = match &self.source {
            Source::At(uri) => uri.clone(),
            Source::Metadata { at, issuer } => {
                let (_, body) = self.get(at.clone()).await?;
                jwks_uri(&body, issuer)?
            }
        };
        let (headers, body) = self.get(at).await?;
        Ok(Fetched { keys: KeySet::read(&body)?, max_age: max_age(&headers) })
    }

    async fn get(&self, uri: Uri) -> Result<(HeaderMap, Bytes), FetchError> {
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = uri;
        request.headers_mut().insert(ACCEPT, http::HeaderValue::from_static("application/json"));
        let response = self.client.request(request).await?;
        let status = response.status().as_u16();
        if status != 200 {
            return Err(FetchError::Status(status));
        }
        let (head, body) = response.into_parts();
        let body = Limited::new(body, MOST_BYTES).collect().await.map_err(FetchError::Body)?;
        Ok((head.headers, body.to_bytes()))
    }
}

/// RFC 8414 §3.3. Keys from elsewhere would be the issuer's word too, but Counterfoil's are its
/// own, so whatever names another place is a mistake or an attack.
fn jwks_uri(metadata: &[u8], issuer: &str) -> Result<Uri, FetchError> {
    let metadata: Metadata = json::object(metadata).ok_or(FetchError::Metadata)?;
    if *metadata.issuer != *issuer {
        return Err(FetchError::OtherIssuer);
    }
    let path = metadata.jwks_uri.strip_prefix(issuer);
    if !path.is_some_and(|path| path.starts_with('/')) {
        return Err(FetchError::OtherOrigin);
    }
    metadata.jwks_uri.parse().map_err(|_| FetchError::Metadata)
}

/// How long an answer may be kept (RFC 9111 §5.2.2).
fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let mut age = None;
    for line in headers.get_all(CACHE_CONTROL) {
        for directive in line.to_str().unwrap_or_default().split(',') {
            let directive = directive.trim().to_ascii_lowercase();
            if directive == "no-store" || directive == "no-cache" {
                return Some(Duration::ZERO);
            }
            if let Some(seconds) = directive.strip_prefix("max-age=") {
                age = seconds.parse().ok().map(Duration::from_secs).or(age);
            }
        }
    }
    age
}

/// An error with what led to it: hyper's own says only that something did.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn ages_are_read() {
        for (lines, seconds) in [
            (&["max-age=300"][..], Some(300)),
            (&["public, Max-Age=60, must-revalidate"], Some(60)),
            (&["public", "max-age=7"], Some(7)),
            (&["max-age=300, no-store"], Some(0)),
            (&["no-cache"], Some(0)),
            (&["s-maxage=9"], None),
            (&["max-age=-1"], None),
            (&["max-age=99999999999999999999999"], None),
            (&[], None),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(CACHE_CONTROL, HeaderValue::from_static(line));
            }
            assert_eq!(max_age(&headers), seconds.map(Duration::from_secs), "{lines:?}");
        }
    }

    #[test]
    fn metadata_names_the_issuer_and_a_place_of_its_own() {
        let read = |issuer: &str, jwks_uri: &str| {
            let text = serde_json::json!({"issuer": issuer, "jwks_uri": jwks_uri}).to_string();
            super::jwks_uri(text.as_bytes(), "https://i").map_err(|error| error.to_string())
        };
        assert_eq!(read("https://i", "https://i/keys").unwrap(), "https://i/keys");
        let other = Err(FetchError::OtherOrigin.to_string());
        for place in ["https://i.evil/keys", "https://i@evil/", "http://i/keys", "/keys", ""] {
            assert_eq!(read("https://i", place), other, "{place}");
        }
        let issuer = Err(FetchError::OtherIssuer.to_string());
        assert_eq!(read("https://i/", "https://i/keys"), issuer);
    }
}
