//! The stylesheet, the scripts and the icon: part of the program, named after what is in
//! them, so that browsers may keep them for good.
//!
//! They are sent compressed. Pages are not: how long a page with a secret and with somebody
//! else's words in it becomes, would tell about the secret.

use axum::{
    Router,
    response::{IntoResponse, Response},
    routing::get,
};
use bytes::Bytes;
use counterfoil_core::token::Digest;
use flate2::{Compression, write::GzEncoder};
use http::{HeaderMap, HeaderValue, header};
use std::{io::Write as _, sync::LazyLock};

/// A file that pages use.
struct Asset {
    stem: &'static str,
    extension: &'static str,
    content_type: &'static str,
    content: &'static str,
}

const STYLE: Asset = Asset {
    stem: "console",
    extension: "css",
    content_type: "text/css; charset=utf-8",
    content: include_str!("../../../assets/console.css"),
};
const SCRIPT: Asset = Asset {
    stem: "console",
    extension: "js",
    content_type: "text/javascript; charset=utf-8",
    content: include_str!("../../../assets/console.js"),
};
const LEAK_DESK: Asset = Asset {
    stem: "leak_desk",
    extension: "js",
    content_type: "text/javascript; charset=utf-8",
    content: include_str!("../../../assets/leak_desk.js"),
};
const ICON: Asset = Asset {
    stem: "icon",
    extension: "svg",
    content_type: "image/svg+xml",
    content: include_str!("../../../assets/icon.svg"),
};

/// Where the stylesheet is.
pub(crate) static STYLE_PATH: LazyLock<String> = LazyLock::new(|| STYLE.path());
/// Where the script is.
pub(crate) static SCRIPT_PATH: LazyLock<String> = LazyLock::new(|| SCRIPT.path());
/// Where the leak desk's script is.
pub(crate) static LEAK_DESK_PATH: LazyLock<String> = LazyLock::new(|| LEAK_DESK.path());
/// Where the icon is.
pub(crate) static ICON_PATH: LazyLock<String> = LazyLock::new(|| ICON.path());

impl Asset {
    fn path(&self) -> String {
        let digest = Digest::of(self.content);
        let start =
            digest.as_bytes().iter().take(8).fold(0_u64, |n, byte| n << 8 | u64::from(*byte));
        format!("/assets/{}.{start:016x}.{}", self.stem, self.extension)
    }

    /// Nothing where it cannot be compressed.
    fn compressed(&self) -> Option<Bytes> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(self.content.as_bytes()).ok()?;
        encoder.finish().ok().map(Bytes::from)
    }

    fn response(&self, compressed: Option<Bytes>) -> Response {
        let headers = [
            (header::CONTENT_TYPE, HeaderValue::from_static(self.content_type)),
            (
                header::CACHE_CONTROL,
                HeaderValue::from_static("public, max-age=31536000, immutable"),
            ),
            // A cache between must not give one who cannot read it what is compressed.
            (header::VARY, HeaderValue::from_name(header::ACCEPT_ENCODING)),
        ];
        let gzip = HeaderValue::from_static("gzip");
        match compressed {
            Some(bytes) => (headers, [(header::CONTENT_ENCODING, gzip)], bytes).into_response(),
            None => (headers, self.content).into_response(),
        }
    }
}

pub(crate) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let assets = [
        (&STYLE_PATH, &STYLE),
        (&SCRIPT_PATH, &SCRIPT),
        (&LEAK_DESK_PATH, &LEAK_DESK),
        (&ICON_PATH, &ICON),
    ];
    assets.into_iter().fold(Router::new(), |router, (path, asset)| {
        let compressed = asset.compressed();
        let respond = async move |headers: HeaderMap| {
            asset.response(compressed.filter(|_| takes_gzip(&headers)))
        };
        router.route(path, get(respond))
    })
}

/// Whether a client says that it reads gzip (RFC 9110 §12.5.3).
fn takes_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|v| v.to_str().ok());
    let mut codings = values.flat_map(|value| value.split(','));
    codings.any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let refused = weight.trim().strip_prefix("q=").and_then(|q| q.parse().ok()) == Some(0.0);
        name.trim().eq_ignore_ascii_case("gzip") && !refused
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_reads_gzip_says_so() {
        for (says, takes) in [
            ("gzip", true),
            ("br, GZIP;q=0.5", true),
            ("gzip;q=1.0, identity; q=0.5", true),
            ("", false),
            ("br", false),
            ("gzip;q=0", false),
            ("gzip; q=0.000", false),
            ("x-gzip-like", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(says));
            assert_eq!(takes_gzip(&headers), takes, "{says}");
        }
        assert!(!takes_gzip(&HeaderMap::new()));
    }
}
