//! What holds wherever requests are checked.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct Doors {
    /// How many credentials one address may show that prove nothing, as in `"600/60s"`: of an
    /// unknown token, say, or one that is revoked or malformed. One more is answered 429, and
    /// is not written down. What is proven is not counted and passes all the same. Counted
    /// from one span of this length to the next, at all doors together.
    #[schemars(extend("x-default" = "none: as many as come"))]
    pub(in crate::config) unproven: Option<String>,
}
