//! The second factor: time-based codes (RFC 6238), and recovery codes for whoever has lost
//! what shows them.
//!
//! Pure: the time is an argument, and what has been used is for the store to know. The
//! algorithm is forty lines on HMAC; totp-rs tells that a code is right, but not of which
//! step, which is what keeps one from being used twice.

use crate::entropy;
use counterfoil_core::Timestamp;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use std::fmt::{self, Write as _};
use zeroize::Zeroizing;

/// How long one code is shown, in seconds.
const STEP: u64 = 30;
/// How many digits a code has.
const DIGITS: usize = 6;
/// By how many steps a clock may be wrong.
const SKEW: u64 = 1;
/// Who issues the codes, as an authenticator lists them.
const ISSUER: &str = "Counterfoil";
/// The letters of base32 (RFC 4648 §6).
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// How many recovery codes there are at a time.
pub(crate) const RECOVERY_CODES: usize = 10;
/// How many letters a recovery code has: 80 bits.
const LETTERS: usize = 16;
/// How many of them stand together.
const GROUP: usize = 4;

/// What server and authenticator share.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct TotpSecret(Zeroizing<[u8; 20]>);

impl TotpSecret {
    /// A fresh one.
    pub(crate) fn new() -> Self {
        Self::from_bytes(entropy::bytes())
    }

    /// The one with these bytes.
    pub(crate) fn from_bytes(bytes: [u8; 20]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes, to be kept.
    pub(crate) fn bytes(&self) -> &[u8; 20] {
        &self.0
    }

    /// In base32, for whoever types it.
    pub(crate) fn base32(&self) -> Zeroizing<String> {
        base32(&*self.0)
    }

    /// The one that a form brings back, as [`Self::base32`] wrote it.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let mut bytes = Zeroizing::new([0; 20]);
        if text.len() != 32 {
            return None;
        }
        for (letters, five) in text.as_bytes().chunks(8).zip(bytes.chunks_mut(5)) {
            let mut bits = 0_u64;
            for letter in letters {
                let value = BASE32.iter().position(|known| known == letter)?;
                bits = bits << 5 | u64::try_from(value).ok()?;
            }
            five.copy_from_slice(&bits.to_be_bytes()[3..]);
        }
        Some(Self(bytes))
    }

    /// The URI that a QR code holds, for the account of this e-mail address.
    pub(crate) fn uri(&self, email: &str) -> Zeroizing<String> {
        let secret = self.base32();
        let mut uri = Zeroizing::new(String::with_capacity(256 + 3 * email.len()));
        let _ = write!(uri, "otpauth://totp/{ISSUER}:");
        for byte in email.bytes() {
            // RFC 3986 §2.3.
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                uri.push(byte.into());
            } else {
                let _ = write!(uri, "%{byte:02X}");
            }
        }
        let _ = write!(uri, "?secret={}&issuer={ISSUER}", &*secret);
        let _ = write!(uri, "&algorithm=SHA1&digits={DIGITS}&period={STEP}");
        uri
    }

    /// The step of which `code` is, read at `now`, if it is later than `used`, the step of
    /// the last code that was taken. The store must record it under that condition: a code
    /// is good for one sign-in.
    pub(crate) fn verify(&self, code: &str, now: Timestamp, used: Option<u64>) -> Option<u64> {
        let code = digits(code)?;
        let current = u64::try_from(now.as_millis()).ok()? / 1000 / STEP;
        let mut found = None;
        // All of them, whichever is right: how long it takes tells nothing.
        for step in current.saturating_sub(SKEW)..=current + SKEW {
            let is_right = same(self.code(step), code);
            if is_right & used.is_none_or(|used| step > used) {
                found = Some(step);
            }
        }
        found
    }

    /// What an authenticator shows at `now`.
    #[cfg(test)]
    pub(super) fn shown_at(&self, now: Timestamp) -> String {
        let step = u64::try_from(now.as_millis()).unwrap() / 1000 / STEP;
        String::from_utf8(self.code(step).to_vec()).unwrap()
    }

    /// The code of a step (RFC 4226 §5.3).
    fn code(&self, step: u64) -> [u8; DIGITS] {
        let mac =
            Hmac::<Sha1>::new_from_slice(&*self.0).map(|mac| mac.chain_update(step.to_be_bytes()));
        let mac: [u8; 20] = mac.map(|mac| mac.finalize().into_bytes().into()).unwrap_or_default();
        let at = usize::from(mac[19] & 0x0f);
        let number = [mac[at] & 0x7f, mac[at + 1], mac[at + 2], mac[at + 3]];
        let mut number = u32::from_be_bytes(number);
        let mut code = [b'0'; DIGITS];
        for digit in code.iter_mut().rev() {
            *digit += u8::try_from(number % 10).unwrap_or_default();
            number /= 10;
        }
        code
    }
}

impl fmt::Debug for TotpSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TotpSecret")
    }
}

/// A code that signs in once instead of one of the authenticator's.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct RecoveryCode(Zeroizing<String>);

impl RecoveryCode {
    /// Fresh ones.
    pub(crate) fn set() -> [Self; RECOVERY_CODES] {
        std::array::from_fn(|_| Self::from_bytes(entropy::bytes()))
    }

    /// The one with these bits.
    pub(crate) fn from_bytes(bytes: [u8; 10]) -> Self {
        let bytes = Zeroizing::new(bytes);
        let mut letters = base32(&*bytes);
        letters.make_ascii_lowercase();
        Self(letters)
    }

    /// The one that somebody typed: in whatever case, with whatever spaces and hyphens.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let is_between = |c: &char| c.is_whitespace() || *c == '-';
        let mut letters = Zeroizing::new(String::with_capacity(LETTERS));
        for c in text.chars().filter(|c| !is_between(c)) {
            let is_letter = BASE32.contains(&u8::try_from(c).ok()?.to_ascii_uppercase());
            if !is_letter || letters.len() == LETTERS {
                return None;
            }
            letters.push(c.to_ascii_lowercase());
        }
        (letters.len() == LETTERS).then_some(Self(letters))
    }

    /// As it is shown, once.
    pub(crate) fn shown(&self) -> Zeroizing<String> {
        let mut shown = Zeroizing::new(String::with_capacity(LETTERS + LETTERS / GROUP));
        for (at, letter) in self.0.chars().enumerate() {
            if at > 0 && at % GROUP == 0 {
                shown.push('-');
            }
            shown.push(letter);
        }
        shown
    }

    /// What is kept of it. 80 random bits need no slow hash.
    pub(crate) fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.0.as_bytes()).into()
    }
}

impl fmt::Debug for RecoveryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryCode")
    }
}

/// Six digits; authenticators show them in two groups.
fn digits(text: &str) -> Option<[u8; DIGITS]> {
    let mut code = [0; DIGITS];
    let mut count = 0;
    for c in text.chars().filter(|c| !c.is_whitespace()) {
        let digit = c.is_ascii_digit().then_some(c)?;
        *code.get_mut(count)? = u8::try_from(digit).ok()?;
        count += 1;
    }
    (count == DIGITS).then_some(code)
}

/// Whether two codes are the same, in a time that does not tell how much of them is.
fn same(one: [u8; DIGITS], other: [u8; DIGITS]) -> bool {
    one.into_iter().zip(other).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

/// Without padding: what we write fills whole groups.
fn base32(bytes: &[u8]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(bytes.len().div_ceil(5) * 8));
    for group in bytes.chunks(5) {
        let mut bits = [0; 8];
        bits[3..3 + group.len()].copy_from_slice(group);
        let bits = u64::from_be_bytes(bits);
        for at in (0..(group.len() * 8).div_ceil(5)).map(|letter| 35 - 5 * letter) {
            let index = usize::try_from(bits >> at & 0x1f).unwrap_or_default();
            text.push(BASE32[index].into());
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RFC: &[u8; 20] = b"12345678901234567890";

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    /// RFC 6238, appendix B, of which we take the last six digits of eight.
    #[test]
    fn the_vectors_of_the_rfc() {
        let secret = TotpSecret::from_bytes(*RFC);
        for (time, code) in [
            (59, "94287082"),
            (1_111_111_109, "07081804"),
            (1_111_111_111, "14050471"),
            (1_234_567_890, "89005924"),
            (2_000_000_000, "69279037"),
            (20_000_000_000, "65353130"),
        ] {
            let step = u64::try_from(time / 30).unwrap();
            assert_eq!(secret.verify(&code[2..], at(time), None), Some(step), "{code}");
            assert_eq!(secret.verify(code, at(time), None), None, "all eight");
        }
    }

    #[test]
    fn one_step_early_or_late_and_never_twice() {
        let secret = TotpSecret::from_bytes(*RFC);
        let step = 1_111_111_109 / 30;
        let code = String::from_utf8(secret.code(step).into()).unwrap();
        let now = |steps: i64| at((37_037_036 + steps) * 30);
        for (steps, found) in
            [(-2, None), (-1, Some(step)), (0, Some(step)), (1, Some(step)), (2, None)]
        {
            assert_eq!(secret.verify(&code, now(steps), None), found, "{steps}");
        }
        assert_eq!(secret.verify(&code, now(0), Some(step - 1)), Some(step));
        assert_eq!(secret.verify(&code, now(0), Some(step)), None, "used");
        assert_eq!(secret.verify(&code, now(0), Some(step + 1)), None, "a later one was used");
    }

    #[test]
    fn codes_are_read_as_they_are_shown() {
        let secret = TotpSecret::from_bytes(*RFC);
        for right in ["287082", "287 082", " 287082\n"] {
            assert!(secret.verify(right, at(59), None).is_some(), "{right:?}");
        }
        for wrong in ["", "28708", "2870822", "287-082", "28708a", "２８７０８２", "+87082"] {
            assert_eq!(secret.verify(wrong, at(59), None), None, "{wrong:?}");
        }
    }

    #[test]
    fn the_uri_for_authenticators() {
        let secret = TotpSecret::from_bytes(*RFC);
        assert_eq!(*secret.base32(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        assert_eq!(
            *secret.uri("zoë+x&y@example.com"),
            "otpauth://totp/Counterfoil:zo%C3%AB%2Bx%26y%40example.com\
             ?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Counterfoil\
             &algorithm=SHA1&digits=6&period=30"
        );
        assert_eq!(format!("{secret:?}"), "TotpSecret");
        for wrong in
            ["", "GEZDGNBV", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJ1", "gezdgnbvgy3tqojqgezdgnbvgy3tqojq"]
        {
            assert_eq!(TotpSecret::read(wrong), None, "{wrong}");
        }
        let fresh = TotpSecret::new();
        assert_eq!(TotpSecret::read(&fresh.base32()).as_ref(), Some(&fresh));
        assert!(fresh != TotpSecret::new() && TotpSecret::from_bytes(*fresh.bytes()) == fresh);
    }

    /// RFC 4648 §10, without the padding.
    #[test]
    fn base32_as_the_rfc_has_it() {
        for (bytes, text) in [
            ("", ""),
            ("f", "MY"),
            ("fo", "MZXQ"),
            ("foo", "MZXW6"),
            ("foob", "MZXW6YQ"),
            ("fooba", "MZXW6YTB"),
            ("foobar", "MZXW6YTBOI"),
        ] {
            assert_eq!(*base32(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn recovery_codes() {
        let code = RecoveryCode::from_bytes(*b"0123456789");
        let shown = code.shown();
        assert_eq!(*shown, "gayt-emzu-gu3d-oobz");
        for typed in ["gaytemzugu3doobz", "GAYT EMZU GU3D OOBZ", " gayt--emzu gu3d-oobz\t"] {
            let read = RecoveryCode::read(typed).unwrap();
            assert_eq!(read.digest(), code.digest(), "{typed}");
        }
        for wrong in
            ["", "gayt", "gayt-emzu-gu3d-oobz-a", "gayt-emzu-gu3d-oob0", "gayt-emzu-gu3d-oobé"]
        {
            assert_eq!(RecoveryCode::read(wrong), None, "{wrong}");
        }
        let set = RecoveryCode::set();
        for (at, one) in set.iter().enumerate() {
            assert!(set[..at].iter().all(|other| other.digest() != one.digest()));
        }
        assert_eq!(format!("{:?}", set[0]), "RecoveryCode");
    }

    proptest! {
        #[test]
        fn a_recovery_code_is_read_as_it_was_shown(bytes: [u8; 10]) {
            let code = RecoveryCode::from_bytes(bytes);
            prop_assert_eq!(RecoveryCode::read(&code.shown()), Some(code));
        }

        #[test]
        fn no_input_panics(text in ".{0,40}", time: i64, used: Option<u64>) {
            let _ = RecoveryCode::read(&text);
            let secret = TotpSecret::from_bytes(*RFC);
            prop_assert_eq!(secret.verify("x", Timestamp::from_millis(time), used), None);
            let _ = secret.verify(&text, Timestamp::from_millis(time), used);
            let _ = secret.verify("000000", Timestamp::from_millis(time), used);
        }

        #[test]
        fn a_code_is_taken_once(start in 0..4_000_000_000_i64, later in 0..120_i64, bytes: [u8; 20]) {
            let secret = TotpSecret::from_bytes(bytes);
            let step = u64::try_from(start / 30).unwrap();
            let code = String::from_utf8(secret.code(step).into()).unwrap();
            let used = secret.verify(&code, at(start), None);
            prop_assert!(used.is_some());
            // The same digits may be those of a later step, by chance.
            if let Some(again) = secret.verify(&code, at(start + later), used) {
                prop_assert!(again > step && secret.code(again) == secret.code(step));
            }
        }
    }
}
