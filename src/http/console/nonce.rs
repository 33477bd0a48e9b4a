//! A form that does something once: whoever sends it again, as a reload does, is told of
//! what came of it.

use crate::entropy;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use counterfoil_core::{
    Timestamp,
    id::{AccountId, OrganizationId},
    time::Seconds,
    token::Digest,
};
use std::fmt::{self, Write as _};

/// How long a form can be sent: less than the keys of idempotency are remembered, so that no
/// reload, however late, does it a second time.
const WORKS: Seconds = Seconds(12 * 3_600);

/// What makes one form different from all others: when it was made, at random, and for whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Nonce(String);

/// Whose form it is. In another organization, or by another account, it does nothing.
pub(crate) type Whose = (OrganizationId, AccountId);

impl Nonce {
    /// For a new form.
    pub(crate) fn new(whose: Whose, now: Timestamp) -> Self {
        let random = BASE64_URL_SAFE_NO_PAD.encode(entropy::bytes::<16>());
        let made = format!("{:x}.{random}", now.as_millis());
        let mark = mark(whose, &made);
        Self(format!("{made}.{mark}"))
    }

    /// The one that a form was sent with, where it can still be sent and is theirs.
    pub(crate) fn read(text: &str, whose: Whose, now: Timestamp) -> Option<Self> {
        let (made, found) = text.rsplit_once('.')?;
        let at = i64::from_str_radix(made.split_once('.')?.0, 16).ok()?;
        let at = Timestamp::from_millis(at);
        let is_theirs = found == mark(whose, made);
        (is_theirs && at <= now && now < at.plus(WORKS)).then(|| Self(text.to_owned()))
    }

    /// Under which the operation remembers what came of it.
    pub(crate) fn key(&self) -> String {
        format!("form {}", self.0)
    }
}

impl fmt::Display for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Tells forms of one person from another's. It keeps nobody from making one up: that would
/// be a form of their own.
fn mark((organization, account): Whose, made: &str) -> String {
    let digest = Digest::of(&format!("{organization} {account} {made}"));
    digest.as_bytes()[..8].iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_for_one_person_in_one_organization_and_for_a_while() {
        let now = Timestamp::from_millis(1_800_000_000_000);
        let ada = (OrganizationId::new(now, [1; 10]), AccountId::new(now, [2; 10]));
        let elsewhere = (OrganizationId::new(now, [3; 10]), ada.1);
        let bob = (ada.0, AccountId::new(now, [4; 10]));
        let nonce = Nonce::new(ada, now);
        let text = nonce.to_string();
        assert_ne!(Nonce::new(ada, now), nonce);
        assert_eq!(Nonce::read(&text, ada, now), Some(nonce.clone()));
        assert_eq!(Nonce::read(&text, ada, now.plus(Seconds(43_199))), Some(nonce));
        for whose in [elsewhere, bob] {
            assert_eq!(Nonce::read(&text, whose, now), None);
        }
        // From the future, and too old.
        assert_eq!(Nonce::read(&text, ada, now.minus(Seconds(1))), None);
        assert_eq!(Nonce::read(&text, ada, now.plus(Seconds(43_200))), None);
        for wrong in ["", ".", "..", "x.y.z", &text[1..], &text[..text.len() - 1]] {
            assert_eq!(Nonce::read(wrong, ada, now), None, "{wrong}");
        }
    }
}
