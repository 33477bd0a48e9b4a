//! `[database]`: where the state is kept.

use super::Secret;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in super::super) struct Database {
    /// `sqlite:` and the name of a file in the data directory; or a PostgreSQL server that
    /// several nodes can share: `postgres://user@host:port/database`. A password may stand
    /// behind the user; `?sslmode=` says how it is reached: `disable`, `prefer`, `require`, or
    /// `verify-full`, which alone makes sure that it is that server.
    #[schemars(extend("x-default" = "`sqlite:counterfoil.db`"))]
    pub(in super::super) url: Option<Secret>,
    /// The file that holds the server's password instead, in one line.
    #[schemars(extend("x-default" = "none"))]
    pub(in super::super) password_file: Option<String>,
    /// The file with the certificates, in PEM, that the server's is checked against.
    #[schemars(extend("x-default" = "the system's certificates"))]
    pub(in super::super) ca_file: Option<String>,
    /// How many connections to the server a node has at most for looking things up. It has
    /// four more for changes and its lease.
    pub(in super::super) connections: u64,
}

impl Default for Database {
    fn default() -> Self {
        Self { url: None, password_file: None, ca_file: None, connections: 8 }
    }
}
