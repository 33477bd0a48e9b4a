//! The settings of a listener that speaks TLS.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct Tls {
    /// The certificate in PEM, its own first and behind it those that lead to the authority's.
    /// It is read again when the file is another, and on `SIGHUP`.
    #[schemars(extend("x-default" = "**required** with TLS"))]
    pub(in crate::config) certificate_file: Option<String>,
    /// The key of that certificate in PEM, without a passphrase.
    #[schemars(extend("x-default" = "**required** with TLS"))]
    pub(in crate::config) key_file: Option<String>,
}
