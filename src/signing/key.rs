//! One signing key: what it signs, what it has signed, and how others know it.

use crate::entropy;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use counterfoil_core::{Timestamp, access_token::Algorithm, token::Digest};
use ring::{
    error::KeyRejected,
    pkcs8::Document,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair,
        Ed25519KeyPair, KeyPair, UnparsedPublicKey,
    },
};

/// A signature, of either algorithm.
pub(super) type Signature = [u8; 64];

/// The system gave no randomness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system's random generator failed")]
pub(crate) struct NoRandomness;

/// A key and everything about it that every token and every list of keys says again. What is
/// secret of it is in `ring`'s memory, which that does not wipe.
#[derive(Debug)]
pub(crate) struct Key {
    pub(super) algorithm: Algorithm,
    pub(super) made_at: Timestamp,
    /// The thumbprint of RFC 7638.
    pub(super) kid: Box<str>,
    /// What each token of this key begins with, up to the first dot.
    pub(super) header: Box<str>,
    /// The public key as JSON (RFC 7517).
    pub(super) jwk: Box<str>,
    pair: Pair,
    public: UnparsedPublicKey<Box<[u8]>>,
}

#[derive(Debug)]
enum Pair {
    EdDsa(Ed25519KeyPair),
    Es256(EcdsaKeyPair),
}

impl Key {
    /// A new key, in PKCS#8.
    pub(super) fn generate(algorithm: Algorithm) -> Result<Document, NoRandomness> {
        let random = entropy::for_signing();
        match algorithm {
            Algorithm::EdDsa => Ed25519KeyPair::generate_pkcs8(&random),
            Algorithm::Es256 => {
                EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)
            }
        }
        .map_err(|_| NoRandomness)
    }

    /// Reads a key of this algorithm, whose public half has to belong to it.
    pub(super) fn from_pkcs8(
        algorithm: Algorithm,
        made_at: Timestamp,
        pkcs8: &[u8],
    ) -> Result<Self, KeyRejected> {
        let pair = match algorithm {
            Algorithm::EdDsa => Pair::EdDsa(Ed25519KeyPair::from_pkcs8(pkcs8)?),
            Algorithm::Es256 => Pair::Es256(EcdsaKeyPair::from_pkcs8(
                &ECDSA_P256_SHA256_FIXED_SIGNING,
                pkcs8,
                &entropy::for_signing(),
            )?),
        };
        let public = match &pair {
            Pair::EdDsa(pair) => {
                UnparsedPublicKey::new(&ED25519, pair.public_key().as_ref().into())
            }
            Pair::Es256(pair) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, pair.public_key().as_ref().into())
            }
        };
        let members = members(algorithm, public.as_ref());
        let kid = BASE64.encode(Digest::of(&format!("{{{members}}}")).as_bytes());
        let alg = algorithm.name();
        Ok(Self {
            algorithm,
            made_at,
            header: BASE64
                .encode(format!(r#"{{"alg":"{alg}","kid":"{kid}","typ":"at+jwt"}}"#))
                .into(),
            jwk: format!(r#"{{{members},"alg":"{alg}","use":"sig","kid":"{kid}"}}"#).into(),
            kid: kid.into(),
            pair,
            public,
        })
    }

    /// The one signature of `message` that counts as ours.
    pub(super) fn sign(&self, message: &[u8]) -> Result<Signature, NoRandomness> {
        let signature = match &self.pair {
            Pair::EdDsa(pair) => pair.sign(message),
            Pair::Es256(pair) => {
                pair.sign(&entropy::for_signing(), message).map_err(|_| NoRandomness)?
            }
        };
        let mut signature = Signature::try_from(signature.as_ref()).map_err(|_| NoRandomness)?;
        if matches!(self.pair, Pair::Es256(_)) && !is_low(&signature) {
            negate(&mut signature);
        }
        Ok(signature)
    }

    /// Whether this key has signed `message`.
    ///
    /// Of Ed25519, `ring` refuses an S that is not below the group's order and an R in any other
    /// encoding than the one that it computes, so nobody makes a second signature out of one. It
    /// takes a public key of small order, for which there are signatures that fit everything; ours
    /// are computed from private keys, as none of small order is. Of ECDSA it takes (r, s) and
    /// (r, n − s) alike; we take the lower, so that a token has one text.
    pub(super) fn has_signed(&self, message: &[u8], signature: &Signature) -> bool {
        (self.algorithm == Algorithm::EdDsa || is_low(signature))
            && self.public.verify(message, signature).is_ok()
    }
}

/// What a thumbprint is of: the members that a key needs, in the order of their names.
fn members(algorithm: Algorithm, public: &[u8]) -> String {
    match algorithm {
        Algorithm::EdDsa => {
            format!(r#""crv":"Ed25519","kty":"OKP","x":"{}""#, BASE64.encode(public))
        }
        Algorithm::Es256 => {
            // A byte that says that both coordinates follow.
            let (x, y) = public.get(1..).unwrap_or_default().split_at(public.len() / 2);
            let (x, y) = (BASE64.encode(x), BASE64.encode(y));
            format!(r#""crv":"P-256","kty":"EC","x":"{x}","y":"{y}""#)
        }
    }
}

/// How many points P-256 has (SEC 2 §2.4.2).
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6,
    0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// Whether s is the lower of the two that fit.
fn is_low(signature: &Signature) -> bool {
    let mut other = *signature;
    negate(&mut other);
    signature[32..] < other[32..]
}

/// n − s in the place of s.
fn negate(signature: &mut Signature) {
    let mut borrow = false;
    for (digit, of) in signature[32..].iter_mut().zip(ORDER).rev() {
        let (difference, one) = of.overflowing_sub(*digit);
        let (difference, other) = difference.overflowing_sub(borrow.into());
        (*digit, borrow) = (difference, one || other);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(algorithm: Algorithm) -> Key {
        let pkcs8 = Key::generate(algorithm).unwrap();
        Key::from_pkcs8(algorithm, Timestamp::from_millis(0), pkcs8.as_ref()).unwrap()
    }

    /// RFC 8037 §A.1 to §A.4: its key, its thumbprint, its signature.
    #[test]
    fn the_example_of_rfc_8037() {
        let pair = Ed25519KeyPair::from_seed_unchecked(
            &BASE64.decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").unwrap(),
        )
        .unwrap();
        let members = members(Algorithm::EdDsa, pair.public_key().as_ref());
        assert!(members.ends_with(r#""x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo""#));
        let thumbprint = BASE64.encode(Digest::of(&format!("{{{members}}}")).as_bytes());
        assert_eq!(thumbprint, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
        let message = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
        assert_eq!(
            BASE64.encode(pair.sign(message)),
            "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
        );
    }

    #[test]
    fn keys_are_known_by_their_thumbprint_and_by_what_their_tokens_begin_with() {
        for algorithm in Algorithm::ALL {
            let key = key(algorithm);
            let mut jwk: serde_json::Value = serde_json::from_str(&key.jwk).unwrap();
            let header = BASE64.decode(&*key.header).unwrap();
            let (alg, kid) = (algorithm.name(), &key.kid);
            let expected = format!(r#"{{"alg":"{alg}","kid":"{kid}","typ":"at+jwt"}}"#);
            assert_eq!(String::from_utf8(header).unwrap(), expected);
            let jwk = jwk.as_object_mut().unwrap();
            for (name, value) in [("alg", alg), ("use", "sig"), ("kid", kid)] {
                assert_eq!(jwk.shift_remove(name).unwrap(), value);
            }
            let coordinates: usize = ["x", "y"]
                .iter()
                .filter_map(|name| jwk.get(*name))
                .map(|at| BASE64.decode(at.as_str().unwrap()).unwrap().len())
                .sum();
            assert_eq!(coordinates, if alg == "EdDSA" { 32 } else { 64 });
            // What is left, in the order of its names, is what the thumbprint is of.
            assert!(jwk.keys().is_sorted());
            let rest = serde_json::to_string(jwk).unwrap();
            assert_eq!(BASE64.encode(Digest::of(&rest).as_bytes()), **kid);
        }
    }

    #[test]
    fn a_message_has_one_signature() {
        for algorithm in Algorithm::ALL {
            let (key, other) = (key(algorithm), key(algorithm));
            // Of signatures by chance one in two is low.
            for number in 0..20_u8 {
                let message = [number; 3];
                let mut signature = key.sign(&message).unwrap();
                assert!(key.has_signed(&message, &signature));
                assert!(!other.has_signed(&message, &signature));
                assert!(!key.has_signed(b"another", &signature));
                negate(&mut signature);
                assert!(!key.has_signed(&message, &signature));
            }
        }
    }

    /// Adding the order to S gives the same point.
    #[test]
    fn an_s_beyond_the_order_is_refused() {
        const L: [u8; 32] = [
            0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9,
            0xde, 0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
        ];
        let key = key(Algorithm::EdDsa);
        let mut signature = key.sign(b"message").unwrap();
        let mut carry = 0;
        for (digit, of) in signature[32..].iter_mut().zip(L) {
            let sum = u16::from(*digit) + u16::from(of) + carry;
            *digit = sum.to_le_bytes()[0];
            carry = sum >> 8;
        }
        assert_eq!(carry, 0);
        assert!(!key.has_signed(b"message", &signature));
    }

    #[test]
    fn a_key_is_of_one_algorithm_and_whole() {
        let now = Timestamp::from_millis(0);
        for (algorithm, other) in
            [(Algorithm::EdDsa, Algorithm::Es256), (Algorithm::Es256, Algorithm::EdDsa)]
        {
            let pkcs8 = Key::generate(algorithm).unwrap();
            let pkcs8 = pkcs8.as_ref();
            assert!(Key::from_pkcs8(algorithm, now, pkcs8).is_ok());
            assert!(Key::from_pkcs8(other, now, pkcs8).is_err());
            for length in 0..pkcs8.len() {
                assert!(Key::from_pkcs8(algorithm, now, &pkcs8[..length]).is_err(), "{length}");
            }
            assert!(Key::from_pkcs8(algorithm, now, &[pkcs8, b"\n"].concat()).is_err());
        }
    }
}
