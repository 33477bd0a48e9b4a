//! The stylesheet, the script and the icon: part of the program, named after what is in
//! them, so that browsers may keep them for good.

use axum::{
    Router,
    response::{IntoResponse, Response},
    routing::get,
};
use counterfoil_core::token::Digest;
use http::{HeaderValue, header};
use std::sync::LazyLock;

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

    fn response(&self) -> Response {
        let headers = [
            (header::CONTENT_TYPE, HeaderValue::from_static(self.content_type)),
            (
                header::CACHE_CONTROL,
                HeaderValue::from_static("public, max-age=31536000, immutable"),
            ),
        ];
        (headers, self.content).into_response()
    }
}

pub(crate) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route(&STYLE_PATH, get(async || STYLE.response()))
        .route(&SCRIPT_PATH, get(async || SCRIPT.response()))
        .route(&LEAK_DESK_PATH, get(async || LEAK_DESK.response()))
        .route(&ICON_PATH, get(async || ICON.response()))
}
