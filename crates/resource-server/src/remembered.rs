//! Tokens that were verified a short while ago, so that a repeat costs no signature.

use crate::access_token::AccessToken;
use quick_cache::sync::Cache;
use ring::digest::{SHA256, digest};

/// The whole token, signature included, as nobody else's token could have it.
pub(crate) type Digest = [u8; 32];

/// As many as there is room for; what is used more stays longer.
pub(crate) struct Remembered(Option<Cache<Digest, Entry>>);

#[derive(Clone)]
struct Entry {
    token: AccessToken,
    /// That of the keys by which it was verified.
    generation: u64,
}

impl Remembered {
    pub(crate) fn new(room: usize) -> Self {
        Self((room > 0).then(|| Cache::new(room)))
    }

    /// What to find `token` by. Its text is not kept.
    pub(crate) fn digest(token: &str) -> Digest {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
        bytes
    }

    /// The token, if it was verified by these keys. Its times are to be checked again.
    pub(crate) fn find(&self, digest: &Digest, generation: u64) -> Option<AccessToken> {
        let entry = self.0.as_ref()?.get(digest)?;
        (entry.generation == generation).then_some(entry.token)
    }

    pub(crate) fn keep(&self, digest: Digest, generation: u64, token: AccessToken) {
        if let Some(cache) = &self.0 {
            cache.insert(digest, Entry { token, generation });
        }
    }

    pub(crate) fn forget(&self, digest: &Digest) {
        if let Some(cache) = &self.0 {
            cache.remove(digest);
        }
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, Cache::len)
    }
}
