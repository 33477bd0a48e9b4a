//! Signing and opening without files, for fuzzing and benchmarks.

use super::{claims::Claims, key::Key, published::Published, schedule::Policy};
use counterfoil_core::{Timestamp, access_token::Algorithm, time::Seconds};
use std::sync::Arc;

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// Keys that sign access tokens, and what they have signed.
#[derive(Debug)]
pub struct AccessTokens(Published);

impl AccessTokens {
    /// With one key for each algorithm, in PKCS#8: of Ed25519, and of P-256.
    pub fn new(keys: [&[u8]; 2]) -> Option<Self> {
        let policy =
            Policy { rotate_every: Seconds(0), lead: Seconds(0), longest_lifetime: Seconds(0) };
        let keys = Algorithm::ALL.into_iter().zip(keys);
        let keys = keys.map(|(algorithm, key)| Key::from_pkcs8(algorithm, NOW, key).ok());
        let keys = keys.map(|key| key.map(Arc::new)).collect::<Option<_>>()?;
        Some(Self(Published::new(keys, policy, None)))
    }

    /// With keys that are made for it.
    pub fn fresh() -> Option<Self> {
        let [one, other] = Algorithm::ALL.map(|algorithm| Key::generate(algorithm).ok());
        Self::new([one?.as_ref(), other?.as_ref()])
    }

    /// The key set.
    pub fn jwks(&self) -> &[u8] {
        &self.0.jwks
    }

    /// Signs whatever payload, with the algorithm of this name.
    pub fn sign(&self, algorithm: &str, payload: &[u8]) -> Option<String> {
        let algorithm = Algorithm::ALL.into_iter().find(|known| known.name() == algorithm)?;
        self.0.sign(algorithm, payload, NOW).ok()
    }

    /// Whether this is a token of these keys.
    pub fn opens(&self, text: &str) -> bool {
        self.0.open(text).is_some()
    }

    /// What a token of these keys says, as JSON.
    pub fn open(&self, text: &str) -> Option<String> {
        serde_json::to_string(&Claims::from(&*self.0.open(text)?)).ok()
    }

    /// A payload that says what access tokens say, written again.
    pub fn claims(payload: &[u8]) -> Option<String> {
        let claims: Claims = serde_json::from_slice(payload).ok()?;
        serde_json::to_string(&claims).ok()
    }
}
