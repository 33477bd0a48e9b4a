//! The keys that sign access tokens, which are the operator's.
//!
//! They lie beside the database, and what is done to them is no part of the state that the
//! ledger tells of: it stands in the log.

use super::{Caller, Service, ServiceError};
use crate::{
    clock,
    signing::{Done, KeyFileError, Listed, What},
};

/// What a rotation has done.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct RotatedKeys {
    /// Names of keys that are published from now on.
    pub(crate) made: Vec<Box<str>>,
    /// Names of those that are not any more.
    pub(crate) withdrawn: Vec<Box<str>>,
    /// All that are published now.
    pub(crate) keys: Vec<Listed>,
}

impl Service {
    /// All published keys; none where no API has access tokens.
    pub(crate) fn signing_keys(&self, caller: &Caller) -> Result<Vec<Listed>, ServiceError> {
        caller.is_operator()?;
        let keys = self.access_tokens.signing();
        Ok(keys.map(|keys| keys.list(clock::now())).unwrap_or_default())
    }

    /// Publishes the next keys, which sign after their lead; or, `at_once`, has new ones sign
    /// now and withdraws all others. Where no API has access tokens any more, `at_once` withdraws
    /// those that are left, and makes none.
    pub(crate) async fn rotate_signing_keys(
        &self,
        caller: &Caller,
        at_once: bool,
    ) -> Result<RotatedKeys, ServiceError> {
        caller.is_operator()?;
        let access_tokens = self.access_tokens.clone();
        // It writes files. Whoever goes away meanwhile leaves nothing half done.
        let rotated =
            self.under_way.spawn_blocking(move || access_tokens.rotate(at_once, clock::now()));
        let rotated =
            rotated.await.map_err(|error| ServiceError::Unavailable(error.to_string()))?;
        let done = rotated.ok_or_else(|| {
            ServiceError::Conflict(
                "no API here has access tokens, so there are no keys to rotate; \
                 [api.NAME.access_tokens] in the configuration gives an API some"
                    .into(),
            )
        })?;
        let done = done.map_err(|error| match error {
            KeyFileError::OnlyRead(_) => ServiceError::Conflict(error.to_string()),
            other => ServiceError::Unavailable(other.to_string()),
        })?;
        let of = |wanted| {
            let done = done.iter().filter(move |done: &&Done| done.what == wanted);
            done.map(|done| done.kid.clone()).collect()
        };
        let (made, withdrawn) = (of(What::Made), of(What::Removed));
        Ok(RotatedKeys { made, withdrawn, keys: self.signing_keys(caller)? })
    }
}
