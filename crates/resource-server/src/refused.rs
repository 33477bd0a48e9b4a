//! Why a token is not accepted.

/// Why [`Verifier::verify`](crate::Verifier::verify) does not accept a token.
///
/// It says which check failed, for logs and for tests, and holds nothing of the token itself.
/// A client should be told less: see [`Guard`](crate::Guard).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// It is longer than 16 KiB. Nothing of it was read.
    #[error("the token is longer than 16 KiB")]
    TooLarge,
    /// It is not three parts in base64url, or its header is not a sound JSON object with
    /// `alg` and `kid`.
    #[error("this is not a signed JWT in its compact form")]
    Malformed,
    /// Its header's `typ` is not `at+jwt`: it may be signed by the issuer, but for another
    /// purpose (RFC 9068 §4).
    #[error("the token is of another type than at+jwt")]
    WrongType,
    /// Its header has `crit`: it relies on an extension, and none is understood here
    /// (RFC 7515 §4.1.11).
    #[error("the token relies on an extension (crit), and none is understood")]
    CriticalExtension,
    /// The issuer has no key of that `kid`.
    #[error("the issuer has no key of that kid")]
    UnknownKey,
    /// Its `alg` is not that of its key.
    #[error("the token names another algorithm than that of its key")]
    WrongAlgorithm,
    /// The signature is not that key's.
    #[error("the signature does not match")]
    WrongSignature,
    /// It is signed by the issuer's key, but its claims are not those of Counterfoil's access
    /// tokens: one is missing, stands twice or is of another type.
    #[error("the claims are not those of an access token")]
    BadClaims,
    /// It names another issuer.
    #[error("the token is another issuer's")]
    WrongIssuer,
    /// It is meant for another API.
    #[error("the token is meant for another audience")]
    WrongAudience,
    /// It has ended.
    #[error("the token has expired")]
    Expired,
    /// It has not begun, or says that it was issued in the future.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// There are no keys to verify with, or only such as are too old to be relied on: the
    /// issuer has not been reached for too long. It says nothing about the token.
    #[error("the issuer's keys are not known at present")]
    NoKeys,
}

impl Refused {
    /// Whether the same token may be accepted a little later, without anything wrong with it
    /// now: to be answered with 503, not with 401.
    pub fn is_temporary(self) -> bool {
        matches!(self, Self::NoKeys)
    }
}
