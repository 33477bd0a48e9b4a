//! Access tokens: short-lived credentials that say what a token may do, signed, and that
//! never outlive the token that they were obtained with.
//!
//! What is signed how is no business of the domain: [`AccessTokens`] opens them. What an
//! opened one is worth is decided by [`mod@crate::verify`], beside the token behind it.

use crate::{
    Timestamp,
    id::{AccountId, OrganizationId, TokenId},
    scope::{Need, Scope},
    time::Seconds,
    token::Mark,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// How an API's access tokens are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccessTokenPolicy {
    /// How long one lives, where its token lives as long.
    pub lifetime: Seconds,
    /// How it is signed.
    pub algorithm: Algorithm,
}

/// How an access token is signed (RFC 7518 §3.1, RFC 8037 §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Algorithm {
    /// Ed25519.
    #[serde(rename = "EdDSA")]
    EdDsa,
    /// ECDSA with P-256 and SHA-256, for clients that do not know the other.
    #[serde(rename = "ES256")]
    Es256,
}

impl Algorithm {
    /// Each of them.
    pub const ALL: [Self; 2] = [Self::EdDsa, Self::Es256];

    /// What JOSE calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Es256 => "ES256",
        }
    }
}

/// An access token whose signature is one of ours: what it says (RFC 9068 §2.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessToken {
    /// Who issued it, as a URL.
    pub issuer: Box<str>,
    /// Its own name.
    pub id: Box<str>,
    /// The one API that it is for.
    pub audience: Box<str>,
    /// The token that it was obtained with.
    pub token: TokenId,
    /// Which of that token's secrets it was obtained with.
    pub secret: Mark,
    /// Whose that token was.
    pub account: AccountId,
    /// That token's organization.
    pub organization: OrganizationId,
    /// What it may do at most; all that its token may, where that API has no scopes.
    pub scopes: Box<[Scope]>,
    /// The role that its token had.
    pub role: Option<Box<str>>,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// From when on it is refused.
    pub expires_at: Timestamp,
}

impl AccessToken {
    /// Whether it covers a need, as far as it is concerned.
    pub fn covers(&self, need: Need<'_>) -> bool {
        self.scopes.iter().any(|scope| scope.covers(need))
    }
}

/// What opens access tokens.
pub trait AccessTokens {
    /// What is in one that this installation signed; nothing, of everything else.
    fn open(&self, text: &str) -> Option<Arc<AccessToken>>;
}

/// Where there are none.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoAccessTokens;

impl AccessTokens for NoAccessTokens {
    fn open(&self, _: &str) -> Option<Arc<AccessToken>> {
        None
    }
}

/// Whether a credential has the form of a JWT (RFC 7519 §3): a JSON object and two more parts.
pub fn is_plausible(text: &str) -> bool {
    // In parts whose count fits into a byte, so that many bytes are looked at at once.
    let dots = |part: &[u8]| part.iter().map(|byte| u8::from(*byte == b'.')).sum::<u8>();
    text.starts_with("eyJ")
        && text.as_bytes().chunks(255).map(|part| u32::from(dots(part))).sum::<u32>() == 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_one() {
        for (text, looks) in [
            ("eyJhbGciOiJFZERTQSJ9.e30.AAAA", true),
            ("eyJ..", true),
            ("eyJhbGciOiJFZERTQSJ9.e30", false),
            ("tog_live_2CT4av136Dob3MBgBrMZbPWauKz5IR6ny3emq0X", false),
            ("", false),
            (&format!("eyJ{}", ".".repeat(258)), false),
            (&format!("eyJ{0}.{0}.{0}", "A".repeat(254)), true),
        ] {
            assert_eq!(is_plausible(text), looks, "{text}");
        }
    }
}
