//! The settings of `[api.NAME.cors]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct Cors {
    /// The origins of the pages that may, as browsers write them: `"https://app.example.com"`.
    /// `["*"]` is everybody but `"null"`, which counts where it is listed.
    #[schemars(extend("x-default" = "**required**"))]
    pub(in crate::config) origins: Vec<String>,
    /// The methods that such a page may use.
    pub(in crate::config) methods: Vec<String>,
    /// The header fields that such a page may send.
    #[schemars(extend("x-default" = "those that credentials travel in, and `content-type`"))]
    pub(in crate::config) headers: Option<Vec<String>>,
    /// The header fields of a response that such a page may read, beside those that all may.
    pub(in crate::config) expose: Vec<String>,
    /// Whether browsers send the cookies that they have for the API, too. Not with `"*"`.
    pub(in crate::config) credentials: bool,
    /// How long a browser may remember the answer: a number and `s`, `m`, `h` or `d`, one day
    /// at most.
    pub(in crate::config) max_age: String,
}

impl Default for Cors {
    fn default() -> Self {
        Self {
            origins: Vec::new(),
            methods: ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"].map(Into::into).into(),
            headers: None,
            expose: Vec::new(),
            credentials: false,
            max_age: "10m".into(),
        }
    }
}
