//! Access tokens of this installation.

use counterfoil_core::access_token::{AccessToken, AccessTokens};
use std::sync::Arc;

/// What signs them and opens them.
#[derive(Debug, Default)]
pub(crate) struct AccessTokenKeys;

impl AccessTokens for AccessTokenKeys {
    fn open(&self, _: &str) -> Option<Arc<AccessToken>> {
        None
    }
}
