//! The setting `gateway.forwarded`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where trusted proxies write whom they ask for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ForwardedBy {
    /// `X-Forwarded-For`, `X-Forwarded-Host`, `X-Forwarded-Proto`.
    #[default]
    XForwarded,
    /// `Forwarded` (RFC 7239). Upstreams get it as well, beside the others.
    Forwarded,
}
