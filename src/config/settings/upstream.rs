//! Settings of how the gateway reaches an API's upstreams.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct UpstreamTls {
    /// The file with the certificates, in PEM, that the upstream's is checked against.
    #[schemars(extend("x-default" = "the system's certificates"))]
    pub(in crate::config) ca_file: Option<String>,
    /// The name that the upstream's certificate has to have.
    #[schemars(extend("x-default" = "the URL's host"))]
    pub(in crate::config) server_name: Option<String>,
    /// The file with our certificate, in PEM, and those that lead to it, for an upstream that
    /// wants one.
    #[schemars(extend("x-default" = "none"))]
    pub(in crate::config) certificate_file: Option<String>,
    /// The file with the key that belongs to it, in PEM.
    #[schemars(extend("x-default" = "**required** with `certificate_file`"))]
    pub(in crate::config) key_file: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct Timeouts {
    /// How long a connection may take: the name's address, TCP, and TLS; `"1m"` at most. With
    /// several upstreams the next is tried then.
    pub(in crate::config) connect: String,
    /// How long the upstream may take from the end of a request to the head of its response.
    pub(in crate::config) response: String,
    /// How long the client may take to the next piece of a request's body.
    pub(in crate::config) upload: String,
    /// How long the upstream may take to the next piece of a response's body.
    pub(in crate::config) download: String,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: "5s".into(),
            response: "1m".into(),
            upload: "1m".into(),
            // Streams of events are quiet for minutes.
            download: "10m".into(),
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct Health {
    /// What is asked for, as in `"/healthz"`: the whole path, also where the upstream's URL
    /// has one.
    #[schemars(extend("x-default" = "**required** with this table"))]
    pub(in crate::config) path: Option<String>,
    /// How long after one answer the next question is; `"1h"` at most.
    pub(in crate::config) interval: String,
    /// The status of an upstream that is well: one, as in `"204"`, or `"2xx"` for all of that
    /// kind.
    pub(in crate::config) expect: String,
}

impl Default for Health {
    fn default() -> Self {
        Self { path: None, interval: "10s".into(), expect: "2xx".into() }
    }
}
