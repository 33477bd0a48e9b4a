//! The keys as they are at a moment: what signs, what is verified with, what the world is told.

use super::{
    Listed,
    claims::Claims,
    key::{Key, NoRandomness, Signature},
    opened::Opened,
    schedule::{self, Policy},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use bytes::Bytes;
use counterfoil_core::{
    Timestamp,
    access_token::{AccessToken, Algorithm},
};
use std::sync::Arc;

/// No token is longer: our own are a tenth of it.
const LONGEST: usize = 8 * 1024;
/// 64 bytes in base64.
const SIGNATURE: usize = 86;

/// Why an access token cannot be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CannotSign {
    /// We would refuse it ourselves.
    #[error("the access token would be longer than {LONGEST} bytes")]
    TooLong,
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// There is none of this algorithm, which no start leaves so.
    #[error("there is no key to sign with")]
    NoKey,
}

/// A set of keys, never changed: another one takes its place.
#[derive(Debug)]
pub(super) struct Published {
    /// Each algorithm's beside each other, the oldest first.
    pub(super) keys: Vec<Arc<Key>>,
    pub(super) policy: Policy,
    pub(super) jwks: Bytes,
    /// What these keys have signed.
    opened: Arc<Opened>,
}

impl Published {
    /// These keys, after others.
    pub(super) fn new(mut keys: Vec<Arc<Key>>, policy: Policy, before: Option<&Self>) -> Self {
        keys.sort_by_key(|key| (key.algorithm, key.made_at));
        let jwks: Vec<&str> = keys.iter().map(|key| &*key.jwk).collect();
        let jwks = format!(r#"{{"keys":[{}]}}"#, jwks.join(",")).into();
        // What was remembered was signed by the keys of then. Once one of them is gone all of it
        // is forgotten, and who is still at it with the keys of then writes where nobody reads.
        let opened = before
            .filter(|before| {
                before.keys.iter().all(|key| keys.iter().any(|other| Arc::ptr_eq(key, other)))
            })
            .map_or_else(|| Arc::new(Opened::new()), |before| before.opened.clone());
        Self { keys, policy, jwks, opened }
    }

    /// The keys of an algorithm, the oldest first.
    pub(super) fn of(&self, algorithm: Algorithm) -> &[Arc<Key>] {
        let first = self.keys.partition_point(|key| key.algorithm < algorithm);
        let end = self.keys.partition_point(|key| key.algorithm <= algorithm);
        &self.keys[first..end]
    }

    /// When they were made.
    pub(super) fn made(&self, algorithm: Algorithm) -> Vec<Timestamp> {
        self.of(algorithm).iter().map(|key| key.made_at).collect()
    }

    /// All of them, and what each is there for.
    pub(super) fn list(&self, now: Timestamp) -> Vec<Listed> {
        let mut list = Vec::new();
        for algorithm in Algorithm::ALL {
            let made = self.made(algorithm);
            let spells = schedule::spells(&made, now, self.policy);
            list.extend(self.of(algorithm).iter().zip(spells).map(|(key, (standing, until))| {
                let (kid, made_at) = (key.kid.clone(), key.made_at);
                Listed { algorithm, kid, made_at, standing, until }
            }));
        }
        list
    }

    /// Signs a payload with the key whose turn it is.
    pub(super) fn sign(
        &self,
        algorithm: Algorithm,
        payload: &[u8],
        now: Timestamp,
    ) -> Result<String, CannotSign> {
        let at = schedule::signing(&self.made(algorithm), now, self.policy);
        let key = at.and_then(|at| self.of(algorithm).get(at)).ok_or(CannotSign::NoKey)?;
        let mut text = format!("{}.", key.header);
        BASE64.encode_string(payload, &mut text);
        if text.len() + 1 + SIGNATURE > LONGEST {
            return Err(CannotSign::TooLong);
        }
        let signature = key.sign(text.as_bytes())?;
        text.push('.');
        BASE64.encode_string(signature, &mut text);
        Ok(text)
    }

    /// What a token says, where it is one that a published key has signed.
    pub(super) fn open(&self, text: &str) -> Option<Arc<AccessToken>> {
        if text.len() > LONGEST {
            return None;
        }
        if let Some(claims) = self.opened.find(text) {
            return Some(claims);
        }
        let claims: Claims = serde_json::from_slice(&self.payload(text)?).ok()?;
        let claims = Arc::new(AccessToken::try_from(claims).ok()?);
        self.opened.remember(text, &claims);
        Some(claims)
    }

    /// What stands in a token that a published key has signed.
    ///
    /// A token of ours begins with the very bytes that we put there, so no header is ever parsed:
    /// whatever another one says of algorithms, keys or where to find them, it is not ours.
    fn payload(&self, text: &str) -> Option<Vec<u8>> {
        let (signed, signature) = text.rsplit_once('.')?;
        let (header, payload) = signed.split_once('.')?;
        let key = self.keys.iter().find(|key| *key.header == *header)?;
        if payload.contains('.') || signature.len() != SIGNATURE {
            return None;
        }
        // Padding and bits that say nothing are refused: a token has one text.
        let signature = BASE64.decode(signature).ok()?;
        let signature = Signature::try_from(signature).ok()?;
        if !key.has_signed(signed.as_bytes(), &signature) {
            return None;
        }
        BASE64.decode(payload).ok()
    }

    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.opened.len()
    }
}
