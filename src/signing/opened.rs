//! Access tokens whose signatures have been found right, so that looking again costs no more
//! than what an opaque token costs.

use crate::entropy;
use counterfoil_core::access_token::AccessToken;
use foldhash::{SharedSeed, quality::SeedableRandomState};
use quick_cache::{
    Weighter,
    sync::{Cache, DefaultLifecycle},
};
use std::sync::{Arc, LazyLock};

/// How many are remembered at most, and how much memory they may take.
const MOST: u64 = 100_000;
const BYTES: u64 = 64 << 20;
/// What a token takes beside its texts: the maps' lines and what the allocator keeps.
const BESIDE: usize = 160;

static SEED: LazyLock<SharedSeed> =
    LazyLock::new(|| SharedSeed::from_u64(u64::from_ne_bytes(entropy::bytes())));

/// Tokens, whole texts of them, with what they say. A token is found by a hash that is keyed
/// with random bytes, and is the one that is asked for when all its bytes are.
///
/// Nobody comes in here with what we have not signed: a flood of forgeries evicts nothing.
#[derive(Debug)]
pub(super) struct Opened(Cache<Box<str>, Arc<AccessToken>, ByMemory, SeedableRandomState>);

/// An entry's share of [`BYTES`].
#[derive(Debug, Clone)]
struct ByMemory;

impl Weighter<Box<str>, Arc<AccessToken>> for ByMemory {
    fn weight(&self, text: &Box<str>, claims: &Arc<AccessToken>) -> u64 {
        let bytes = text.len() + size_of::<AccessToken>() + texts(claims) + BESIDE;
        // However small, it is one of so many.
        (bytes as u64).max(BYTES.div_ceil(MOST))
    }
}

/// How many bytes its texts take.
fn texts(it: &AccessToken) -> usize {
    let scopes = it.scopes.iter().map(|scope| size_of_val(scope) + scope.as_str().len());
    let role = it.role.as_ref().map_or(0, |role| role.len());
    it.issuer.len() + it.audience.len() + it.id.len() + role + scopes.sum::<usize>()
}

impl Opened {
    pub(super) fn new() -> Self {
        let hasher = SeedableRandomState::with_seed(u64::from_ne_bytes(entropy::bytes()), &SEED);
        // It begins small, and grows as there are tokens.
        Self(Cache::with(1024, BYTES, ByMemory, hasher, DefaultLifecycle::default()))
    }

    pub(super) fn find(&self, text: &str) -> Option<Arc<AccessToken>> {
        self.0.get(text)
    }

    /// Remembers a token that one of our keys has signed.
    pub(super) fn remember(&self, text: &str, claims: &Arc<AccessToken>) {
        self.0.insert(text.into(), claims.clone());
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::{super::claims::tests::access_token, *};

    #[test]
    fn what_is_remembered_is_found_by_its_whole_text() {
        let opened = Opened::new();
        let claims = Arc::new(access_token());
        opened.remember("a.b.c", &claims);
        assert_eq!(opened.find("a.b.c"), Some(claims));
        for other in ["", "a.b", "a.b.", "a.b.d", "a.b.c.", "A.b.c"] {
            assert_eq!(opened.find(other), None, "{other}");
        }
    }

    #[test]
    fn there_are_so_many_and_they_take_so_much() {
        let claims = Arc::new(access_token());
        for length in [0, 7_000] {
            let opened = Opened::new();
            let padding = "x".repeat(length);
            let count = if length == 0 { 2 * MOST } else { 2 * BYTES / length as u64 };
            for number in 0..count {
                opened.remember(&format!("{number}{padding}"), &claims);
            }
            let (kept, weight) = (opened.len() as u64, opened.0.weight());
            assert!(kept <= MOST && weight <= BYTES, "{kept} of {weight} bytes");
            assert!(kept > count / 4, "{kept} of {count}");
        }
    }
}
