//! The issuer's public keys (RFC 7517), each with the one algorithm that it is for.

use crate::json;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use ring::signature::{ECDSA_P256_SHA256_FIXED, ED25519, UnparsedPublicKey};
use serde::Deserialize;

/// More keys than any issuer has at a time.
const MOST_KEYS: usize = 100;

/// A public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Key {
    /// RFC 8037: `EdDSA` on Ed25519.
    Ed25519([u8; 32]),
    /// RFC 7518 §3.4: `ES256`. An uncompressed point.
    P256([u8; 65]),
}

impl Key {
    /// The only `alg` that goes with it.
    pub(crate) fn algorithm(&self) -> &'static str {
        match self {
            Self::Ed25519(_) => "EdDSA",
            Self::P256(_) => "ES256",
        }
    }

    pub(crate) fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Ed25519(key) => {
                UnparsedPublicKey::new(&ED25519, key).verify(message, signature).is_ok()
            }
            Self::P256(key) => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key)
                .verify(message, signature)
                .is_ok(),
        }
    }
}

/// The keys of one document, each found by its `kid`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct KeySet(Vec<(Box<str>, Key)>);

/// Why a document is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotAKeySet {
    #[error("it is not a JWK set")]
    Form,
    #[error("it has more than {MOST_KEYS} keys")]
    TooMany,
    #[error("two of its keys have one kid")]
    Ambiguous,
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: Box<str>,
    kid: Box<str>,
    crv: Box<str>,
    x: Box<str>,
    y: Option<Box<str>>,
    d: Option<serde_json::Value>,
    alg: Option<Box<str>>,
    #[serde(rename = "use")]
    purpose: Option<Box<str>>,
    key_ops: Option<Vec<Box<str>>>,
}

impl KeySet {
    /// Reads a JWK set. What is not a key to verify access tokens with is passed over
    /// (RFC 7517 §5); a set without any is a set, for the issuer may have withdrawn them all.
    pub(crate) fn read(document: &[u8]) -> Result<Self, NotAKeySet> {
        let Document { keys } = json::object(document).ok_or(NotAKeySet::Form)?;
        if keys.len() > MOST_KEYS {
            return Err(NotAKeySet::TooMany);
        }
        let mut set: Vec<(Box<str>, Key)> = Vec::with_capacity(keys.len());
        for jwk in keys.into_iter().filter_map(|value| Jwk::deserialize(value).ok()) {
            let Some(key) = jwk.key() else { continue };
            if set.iter().any(|(kid, _)| *kid == jwk.kid) {
                return Err(NotAKeySet::Ambiguous);
            }
            set.push((jwk.kid, key));
        }
        Ok(Self(set))
    }

    pub(crate) fn find(&self, kid: &str) -> Option<&Key> {
        self.0.iter().find(|(known, _)| **known == *kid).map(|(_, key)| key)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

impl Jwk {
    fn key(&self) -> Option<Key> {
        // A private key that is published is everybody's.
        if self.d.is_some() || !self.is_for_signatures() {
            return None;
        }
        let x: [u8; 32] = coordinate(&self.x)?;
        let key = match (&*self.kty, &*self.crv, &self.y) {
            ("OKP", "Ed25519", None) => Key::Ed25519(x),
            ("EC", "P-256", Some(y)) => {
                let mut point = [4; 65];
                point[1..33].copy_from_slice(&x);
                point[33..].copy_from_slice(&coordinate(y)?);
                Key::P256(point)
            }
            _ => return None,
        };
        match &self.alg {
            Some(alg) if **alg != *key.algorithm() => None,
            _ => Some(key),
        }
    }

    fn is_for_signatures(&self) -> bool {
        self.purpose.as_deref().is_none_or(|purpose| purpose == "sig")
            && self.key_ops.as_ref().is_none_or(|ops| ops.iter().any(|op| **op == *"verify"))
    }
}

fn coordinate(text: &str) -> Option<[u8; 32]> {
    BASE64_URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn ed25519(kid: &str) -> Value {
        let x = BASE64_URL_SAFE_NO_PAD.encode([7; 32]);
        json!({"kty": "OKP", "crv": "Ed25519", "x": x, "kid": kid, "use": "sig", "alg": "EdDSA"})
    }

    fn p256(kid: &str) -> Value {
        let (x, y) = ([1; 32], [2; 32]);
        let [x, y] = [x, y].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part));
        json!({"kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": kid})
    }

    fn read(keys: &Value) -> Result<KeySet, NotAKeySet> {
        KeySet::read(json!({"keys": keys}).to_string().as_bytes())
    }

    #[test]
    fn keys_are_found_by_their_id() {
        let set = read(&json!([ed25519("a"), p256("b")])).unwrap();
        assert_eq!(set.find("a"), Some(&Key::Ed25519([7; 32])));
        assert_eq!(set.find("b").map(Key::algorithm), Some("ES256"));
        assert_eq!((set.find(""), set.find("A"), set.len()), (None, None, 2));
    }

    #[test]
    fn what_is_for_something_else_is_passed_over() {
        for (name, value) in [
            ("use", json!("enc")),
            ("key_ops", json!(["sign"])),
            ("alg", json!("ES256")),
            ("alg", json!("HS256")),
            ("crv", json!("X25519")),
            ("kty", json!("EC")),
            ("kty", json!("oct")),
            ("x", json!("AAAA")),
            ("x", json!(null)),
            ("y", json!("AAAA")),
            ("d", json!(BASE64_URL_SAFE_NO_PAD.encode([9; 32]))),
            ("kid", json!(null)),
            ("kid", json!(1)),
        ] {
            let mut key = ed25519("a");
            key[name] = value;
            let set = read(&json!([key, 1, {}, ed25519("b")])).unwrap();
            assert_eq!((set.find("a"), set.len()), (None, 1), "{key}");
        }
        assert!(read(&json!([])).unwrap().is_empty());
    }

    #[test]
    fn what_is_ambiguous_or_too_large_is_not_taken() {
        assert_eq!(read(&json!([ed25519("a"), p256("a")])), Err(NotAKeySet::Ambiguous));
        let many: Vec<_> = (0..=MOST_KEYS).map(|kid| ed25519(&kid.to_string())).collect();
        assert_eq!(read(&json!(many)), Err(NotAKeySet::TooMany));
        for document in ["", "{}", "[]", r#"{"keys":{}}"#, r#"{"keys":[],"keys":[]}"#] {
            assert_eq!(KeySet::read(document.as_bytes()), Err(NotAKeySet::Form), "{document}");
        }
    }
}
