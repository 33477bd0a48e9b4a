//! `[limiter]`: the server by which several nodes share limits.

use super::Secret;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in super::super) struct Limiter {
    /// The server, Valkey or Redis: `redis://host:port`, `rediss://host:port` with TLS, or
    /// `unix:/path/of/socket`; `valkey` and `valkeys` mean the same. A number after the last
    /// slash (`/1`) names one of its databases. A user and a password may stand before the host.
    #[schemars(extend("x-default" = "none: each node counts by itself"))]
    pub(in super::super) url: Option<Secret>,
    /// The file that holds the password instead, in one line.
    #[schemars(extend("x-default" = "none"))]
    pub(in super::super) password_file: Option<String>,
    /// The file with the certificates, in PEM, that the server's is checked against.
    #[schemars(extend("x-default" = "the system's certificates"))]
    pub(in super::super) ca_file: Option<String>,
    /// What the server's keys begin with. Nodes that share limits have the same; a copy of an
    /// installation that uses the same server, as for tests, needs another.
    pub(in super::super) prefix: String,
    /// How many nodes share limits. While the server is gone, each grants this part of them.
    #[schemars(extend("x-default" = "**required** with `url`"))]
    pub(in super::super) nodes: Option<u64>,
    /// How many milliseconds an answer of the server may take, 5 to 1000, before it counts as
    /// gone.
    pub(in super::super) patience_ms: u64,
}

impl Default for Limiter {
    fn default() -> Self {
        Self {
            url: None,
            password_file: None,
            ca_file: None,
            prefix: "counterfoil".into(),
            nodes: None,
            patience_ms: 50,
        }
    }
}
