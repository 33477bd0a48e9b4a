//! `[signing]`: how access tokens are signed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in super::super) struct Signing {
    /// How long after one key the next is made; `"2d"` at least. A key is published a day
    /// before it signs, and until nothing is alive that it has signed.
    pub(in super::super) rotate: String,
    /// The directory with the keys, for several nodes: you make them with
    /// `counterfoil keys make`, and hand the same files to each node. They are only read
    /// there, at the start, on SIGHUP and every minute.
    #[schemars(extend("x-default" = "none: the server makes and removes keys of its own, in the data directory"))]
    pub(in super::super) keys_directory: Option<String>,
}

impl Default for Signing {
    fn default() -> Self {
        Self { rotate: "30d".into(), keys_directory: None }
    }
}
