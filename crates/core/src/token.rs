//! The token string, its secret and its digest.
//!
//! `<prefix>_<33 base62 digits: 24 random bytes><6 base62 digits: CRC-32 of all before them>`,
//! 55 bytes at most, so that SHA-256 needs one block.

use crate::{
    Timestamp,
    id::{AccountId, OrganizationId, TokenId},
    network::Network,
    scope::Scope,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256, block_api::compress256};
use zeroize::Zeroizing;

/// Entropy for one secret: 192 bits.
pub type Entropy = [u8; 24];

/// The longest prefix; one more character would cost SHA-256 a second block.
const PREFIX_MAX: usize = 15;
const BODY: usize = 33;
const CHECKSUM: usize = 6;
/// 2^192 − 1 in 33 base62 digits. Digits sort as their ASCII codes do, so that
/// comparing texts compares numbers.
const BODY_MAX: &[u8; BODY] = b"2lFA6LboL2xx0ldQH2K1TdSrwuqMMiME3";

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// What an API's tokens begin with: `[a-z][a-z0-9_]*`, 15 characters at most, no
/// underscore at the end.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Prefix(Box<str>);

/// Why a text cannot be a prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a prefix is 1 to 15 characters of a-z, 0-9 and _, begins with a letter and does not end with _"
)]
pub struct NotAPrefix;

impl Prefix {
    /// The prefix without the underscore that follows it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `secret` is sound as far as this prefix goes: it begins with
    /// another prefix, or with none, or its digits and checksum are right.
    ///
    /// This is what rejects typing errors before any look-up. Tokens that were
    /// imported keep a form of their own.
    pub fn is_plausible(&self, secret: &str) -> bool {
        if !self.begins(secret) {
            return true;
        }
        let secret = secret.as_bytes();
        let prefix = self.0.as_bytes();
        let digits = &secret[prefix.len() + 1..];
        // A longer prefix that begins like this one has another underscore.
        is_sound(secret, digits) || digits.contains(&b'_')
    }

    /// Whether `secret` begins with this prefix, mistyped behind it or not.
    #[inline]
    pub fn begins(&self, secret: &str) -> bool {
        let (secret, prefix) = (secret.as_bytes(), self.0.as_bytes());
        secret.len() > prefix.len()
            && secret[prefix.len()] == b'_'
            && &secret[..prefix.len()] == prefix
    }
}

/// Whether the digits at the end of `secret` are a body and the checksum of all before it.
fn is_sound(secret: &[u8], digits: &[u8]) -> bool {
    let Some((body, checksum)) = digits.split_first_chunk::<BODY>() else { return false };
    let Ok(checksum) = <&[u8; CHECKSUM]>::try_from(checksum) else { return false };
    let covered = &secret[..secret.len() - CHECKSUM];
    // Without a branch for each byte: every request comes by here.
    let is_text =
        |body: &[u8; BODY]| body.iter().fold(true, |all, b| all & b.is_ascii_alphanumeric());
    decode_checksum(*checksum) == Some(crc32fast::hash(covered))
        && is_text(body)
        && body[..] <= BODY_MAX[..]
}

impl TryFrom<String> for Prefix {
    type Error = NotAPrefix;

    fn try_from(text: String) -> Result<Self, NotAPrefix> {
        let sound = (1..=PREFIX_MAX).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && !text.ends_with('_')
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if sound { Ok(Self(text.into())) } else { Err(NotAPrefix) }
    }
}

impl From<Prefix> for String {
    fn from(prefix: Prefix) -> String {
        prefix.0.into()
    }
}

/// A token's whole string. It cannot be printed or serialised, and is wiped
/// from memory when dropped: [`Secret::reveal`] is the one way to the text.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// A new secret of the form that the module describes.
    pub fn mint(prefix: &Prefix, entropy: &Entropy) -> Self {
        let mut text = Zeroizing::new(String::with_capacity(PREFIX_MAX + 1 + BODY + CHECKSUM));
        text.push_str(prefix.as_str());
        text.push('_');
        for digit in encode_body(entropy) {
            text.push(digit.into());
        }
        for digit in encode_checksum(crc32fast::hash(text.as_bytes())) {
            text.push(digit.into());
        }
        Self(text)
    }

    /// The text, for the one response that shows it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What is kept of the secret.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.0)
    }

    /// The last four characters, which are part of the checksum.
    pub fn last_four(&self) -> &str {
        &self.0[self.0.len() - 4..]
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

/// How a digest begins: enough to tell which of a token's secrets it is of.
pub type Mark = [u8; 8];

/// SHA-256 of a whole token string: all that is kept of a secret.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of a presented secret.
    pub fn of(secret: &str) -> Self {
        Self::of_bytes(secret.as_bytes())
    }

    /// The digest of anything else.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        // What any request may bring is made into one block here: the hasher's buffer and
        // its bookkeeping would cost a third of the whole.
        match one_block(bytes) {
            Some(block) => Self::of_block(&block),
            None => Self(Sha256::digest(bytes).into()),
        }
    }

    fn of_block(block: &[u8; 64]) -> Self {
        let mut state = INITIAL;
        compress256(&mut state, std::slice::from_ref(block));
        let mut digest = [0; 32];
        for (bytes, word) in digest.chunks_exact_mut(4).zip(state) {
            bytes.copy_from_slice(&word.to_be_bytes());
        }
        Self(digest)
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// What tells a token's secrets apart.
    pub fn mark(&self) -> Mark {
        // There are 32.
        self.0.first_chunk().copied().unwrap_or_default()
    }

    /// From the 32 bytes of [`Digest::as_bytes`].
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl std::fmt::Debug for Digest {
    // A digest finds its token; a log has no use for all of it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Digest({:02x}{:02x}…)", self.0[0], self.0[1])
    }
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut hex = String::with_capacity(64);
        for byte in self.0 {
            for nibble in [byte >> 4, byte & 15] {
                hex.push(char::from_digit(nibble.into(), 16).unwrap_or('0'));
            }
        }
        serializer.serialize_str(&hex)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        let wrong = || serde::de::Error::custom("expected 64 hexadecimal digits");
        if text.len() != 64 {
            return Err(wrong());
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let digit = |b: u8| char::from(b).to_digit(16).ok_or_else(wrong);
            *byte = u8::try_from(digit(pair[0])? << 4 | digit(pair[1])?).map_err(|_| wrong())?;
        }
        Ok(Self(bytes))
    }
}

/// What SHA-256 begins with (FIPS 180-4 §5.3.3).
const INITIAL: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// A message with what SHA-256 puts behind it (FIPS 180-4 §5.1.1), where that is one block.
fn one_block(message: &[u8]) -> Option<[u8; 64]> {
    let mut block = [0; 64];
    // A bit and the length in eight bytes come behind it.
    block.get_mut(..55)?.get_mut(..message.len())?.copy_from_slice(message);
    block[message.len()] = 0x80;
    block[56..].copy_from_slice(&(message.len() as u64 * 8).to_be_bytes());
    Some(block)
}

/// What a token may do: everything its API offers to any token, what a role
/// names, or a set of scopes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grant {
    /// No scopes at all: the grant of an API that declares none.
    Any,
    /// The role of this name, with the scopes that the configuration gives it now.
    Role(Box<str>),
    /// These scopes.
    Scopes(Box<[Scope]>),
}

/// A token as the ledger and the store know it; all of it but the secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Public name; the client ID.
    pub id: TokenId,
    /// The API it is for.
    pub api: Box<str>,
    /// The customer it belongs to; never changes.
    pub organization: OrganizationId,
    /// The account that answers for it.
    pub owner: AccountId,
    /// What people call it.
    pub name: String,
    /// What it is for, in its owner's words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// What it may do.
    pub grant: Grant,
    /// When it was issued.
    pub created_at: Timestamp,
    /// From when on it is refused; never, when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Where it may be used from; anywhere, when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_networks: Vec<Network>,
    /// What somebody else's system calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<Box<str>>,
    /// What somebody else's system keeps with it: a JSON object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<serde_json::Value>,
    /// What the secret begins with.
    pub prefix: Box<str>,
    /// What the secret ends with.
    pub last_four: Box<str>,
    /// The digest of the secret.
    pub digest: Digest,
}

/// Whether a token is used, held back or ended. Expiry is a matter of the clock
/// and of [`Token::expires_at`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is accepted until it expires.
    Active,
    /// It is refused until it is resumed.
    Paused,
    /// It is refused for good.
    Revoked,
}

/// The secret before the last rotation, while it still works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Previous {
    /// Its digest.
    pub digest: Digest,
    /// From when on it is refused.
    pub until: Timestamp,
}

/// 24 bytes as one number in base 62, most significant digit first.
fn encode_body(entropy: &Entropy) -> [u8; BODY] {
    let mut limbs = [0u32; 6];
    for (limb, bytes) in limbs.iter_mut().zip(entropy.chunks_exact(4)) {
        *limb = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    }
    let mut text = [b'0'; BODY];
    for digit in text.iter_mut().rev() {
        let mut remainder = 0u64;
        for limb in &mut limbs {
            let value = remainder << 32 | u64::from(*limb);
            #[expect(clippy::cast_possible_truncation, reason = "the remainder is below 62")]
            {
                *limb = (value / 62) as u32;
            }
            remainder = value % 62;
        }
        *digit = digit_of(remainder);
    }
    text
}

fn encode_checksum(crc: u32) -> [u8; CHECKSUM] {
    let mut rest = u64::from(crc);
    let mut text = [b'0'; CHECKSUM];
    for digit in text.iter_mut().rev() {
        *digit = digit_of(rest % 62);
        rest /= 62;
    }
    text
}

/// What [`encode_checksum`] makes into these digits.
fn decode_checksum(text: [u8; CHECKSUM]) -> Option<u32> {
    const SQUARE: u64 = 62 * 62;
    let values = text.map(|digit| u64::from(VALUES[usize::from(digit)]));
    // In pairs, so that one multiplication need not wait for the other.
    let pair = |at: usize| values[at] * 62 + values[at + 1];
    let number = pair(0) * SQUARE * SQUARE + pair(2) * SQUARE + pair(4);
    let all_digits = values.iter().fold(0, |all, value| all | value) < u64::from(NO_DIGIT);
    u32::try_from(number).ok().filter(|_| all_digits)
}

/// Of a byte that is no digit: a bit that no digit's value has.
const NO_DIGIT: u8 = 64;

/// Of every byte the digit's value.
const VALUES: [u8; 256] = {
    let mut values = [NO_DIGIT; 256];
    let mut value = 0;
    while value < DIGITS.len() {
        #[expect(clippy::cast_possible_truncation, reason = "there are 62")]
        {
            values[DIGITS[value] as usize] = value as u8;
        }
        value += 1;
    }
    values
};

fn digit_of(value: u64) -> u8 {
    usize::try_from(value).ok().and_then(|at| DIGITS.get(at)).copied().unwrap_or(b'0')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn prefix(text: &str) -> Prefix {
        Prefix::try_from(text.to_owned()).unwrap()
    }

    #[test]
    fn digests_are_sha_256() {
        let text: Vec<u8> = (0..130).map(|n: u8| n.wrapping_mul(37)).collect();
        for length in 0..text.len() {
            let message = &text[..length];
            let expected: [u8; 32] = Sha256::digest(message).into();
            assert_eq!(*Digest::of_bytes(message).as_bytes(), expected, "{length} bytes");
        }
    }

    #[test]
    fn the_largest_body_is_what_it_says() {
        assert_eq!(std::str::from_utf8(&encode_body(&[0xff; 24])), std::str::from_utf8(BODY_MAX));
        assert_eq!(&encode_body(&[0; 24]), &[b'0'; BODY]);
    }

    #[test]
    fn the_form_is_fixed() {
        let secret = Secret::mint(&prefix("acme_live"), &[0; 24]);
        assert_eq!(secret.reveal().len(), 9 + 1 + 33 + 6);
        assert!(secret.reveal().starts_with("acme_live_000000000000000000000000000000000"));
        // CRC-32/ISO-HDLC of "123456789" is 0xCBF43926, the value its catalogues give.
        assert_eq!(crc32fast::hash(b"123456789"), 0xCBF4_3926);
        let longest = Secret::mint(&prefix("abcdefghijklmno"), &[0xff; 24]);
        assert_eq!(longest.reveal().len(), 55);
        assert_eq!(format!("{secret:?}"), "Secret(redacted)");
    }

    /// What [`encode_body`] undoes, the slow way: Horner's rule over bytes.
    fn decode_body(text: &str) -> Entropy {
        let mut bytes = [0u8; 24];
        for digit in text.bytes() {
            let mut carry = DIGITS.iter().position(|d| *d == digit).unwrap();
            for byte in bytes.iter_mut().rev() {
                carry += usize::from(*byte) * 62;
                *byte = u8::try_from(carry % 256).unwrap();
                carry /= 256;
            }
            assert_eq!(carry, 0, "2^192 or more");
        }
        bytes
    }

    #[test]
    fn known_strings() {
        let ascending = std::array::from_fn(|at| u8::try_from(at).unwrap());
        for (name, entropy) in [("acme_live", [0; 24]), ("a", [0xff; 24]), ("fin_live", ascending)]
        {
            let secret = Secret::mint(&prefix(name), &entropy);
            let text = secret.reveal();
            let body = &text[name.len() + 1..text.len() - 6];
            assert_eq!(decode_body(body), entropy);
            let crc = text[text.len() - 6..].bytes().fold(0, |number, digit| {
                number * 62 + DIGITS.iter().position(|d| *d == digit).unwrap()
            });
            assert_eq!(
                u32::try_from(crc).unwrap(),
                crc32fast::hash(&text.as_bytes()[..text.len() - 6])
            );
            assert!(text.ends_with(secret.last_four()));
            assert_eq!(secret.last_four().len(), 4);
        }
    }

    #[test]
    fn prefixes_of_prefixes_do_not_judge_each_other() {
        let (short, long) = (prefix("acme"), prefix("acme_live"));
        for (minted, judge) in [(&short, &long), (&long, &short)] {
            let secret = Secret::mint(minted, &[7; 24]);
            assert!(judge.is_plausible(secret.reveal()));
            assert!(minted.is_plausible(secret.reveal()));
        }
        // Case is part of the string.
        let shouted = Secret::mint(&short, &[7; 24]).reveal().replace("acme", "ACME");
        assert!(short.is_plausible(&shouted), "it has not our prefix: a look-up decides");
    }

    #[test]
    fn nothing_prints_what_finds_a_token() {
        let secret = Secret::mint(&prefix("acme"), &[7; 24]);
        let digest = secret.digest();
        assert!(!format!("{secret:?}").contains(secret.last_four()));
        let hex = serde_json::to_string(&digest).unwrap();
        assert_eq!(format!("{digest:?}"), format!("Digest({}…)", &hex[1..5]));
    }

    #[test]
    fn too_large_a_number_is_refused() {
        let mut text = String::from("acme_");
        text.push_str("2lFA6LboL2xx0ldQH2K1TdSrwuqMMiME4");
        let crc = encode_checksum(crc32fast::hash(text.as_bytes()));
        text.push_str(std::str::from_utf8(&crc).unwrap());
        assert!(!prefix("acme").is_plausible(&text));
    }

    #[test]
    fn prefixes() {
        for right in ["a", "acme_live", "abcdefghijklmno", "x9"] {
            prefix(right);
        }
        for wrong in ["", "_a", "a_", "9a", "Acme", "acme-live", "abcdefghijklmnop", "ä"] {
            assert_eq!(Prefix::try_from(wrong.to_owned()), Err(NotAPrefix), "{wrong}");
        }
    }

    #[test]
    fn other_forms_are_left_alone() {
        let acme = prefix("acme");
        for other in ["", "acme", "0123456789abcdef", "other_123", "acme_live_123"] {
            assert!(acme.is_plausible(other), "{other}");
        }
        for ours in ["acme_", "acme_123", "acme_ä"] {
            assert!(!acme.is_plausible(ours), "{ours}");
        }
    }

    #[test]
    fn a_digest_is_hexadecimal_in_json() {
        let digest = Digest::of("abc");
        let json = serde_json::to_string(&digest).unwrap();
        assert_eq!(json, "\"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"");
        assert_eq!(serde_json::from_str::<Digest>(&json).unwrap(), digest);
        for wrong in [
            "\"\"",
            "\"zz\"",
            "7",
            "\"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015aé\"",
        ] {
            assert!(serde_json::from_str::<Digest>(wrong).is_err());
        }
    }

    proptest! {
        #[test]
        fn what_is_minted_is_plausible(entropy: [u8; 24], name in "[a-z][a-z0-9]{0,14}") {
            let prefix = prefix(&name);
            let secret = Secret::mint(&prefix, &entropy);
            prop_assert!(prefix.is_plausible(secret.reveal()));
            prop_assert_eq!(secret.digest(), Digest::of(secret.reveal()));
        }

        #[test]
        fn one_wrong_character_is_noticed(entropy: [u8; 24], at in 5usize..44, to in "[0-9A-Za-z]") {
            let prefix = prefix("acme");
            let secret = Secret::mint(&prefix, &entropy);
            let mut text = secret.reveal().to_owned();
            prop_assume!(&text[at..=at] != to.as_str());
            text.replace_range(at..=at, &to);
            prop_assert!(!prefix.is_plausible(&text));
        }

        #[test]
        fn what_was_drawn_can_be_read_back(entropy: [u8; 24]) {
            let secret = Secret::mint(&prefix("acme"), &entropy);
            prop_assert_eq!(decode_body(&secret.reveal()[5..38]), entropy);
        }

        #[test]
        fn two_neighbours_swapped_are_noticed(entropy: [u8; 24], at in 5usize..43) {
            // Across the border of body and checksum, nothing is promised.
            prop_assume!(at != 37);
            let prefix = prefix("acme");
            let secret = Secret::mint(&prefix, &entropy);
            let mut text = secret.reveal().as_bytes().to_vec();
            prop_assume!(text[at] != text[at + 1]);
            text.swap(at, at + 1);
            prop_assert!(!prefix.is_plausible(std::str::from_utf8(&text).unwrap()));
        }

        #[test]
        fn a_part_or_more_than_the_whole_is_noticed(
            entropy: [u8; 24], kept in 5usize..44, more in "[0-9A-Za-z]{1,9}",
        ) {
            let prefix = prefix("acme");
            let secret = Secret::mint(&prefix, &entropy);
            prop_assert!(!prefix.is_plausible(&secret.reveal()[..kept]));
            let longer = secret.reveal().to_owned() + &more;
            prop_assert!(!prefix.is_plausible(&longer));
        }

        #[test]
        fn a_digest_prints_and_reads(bytes: [u8; 32]) {
            let digest = Digest::from_bytes(bytes);
            let json = serde_json::to_string(&digest).unwrap();
            prop_assert_eq!(serde_json::from_str::<Digest>(&json).unwrap(), digest);
            prop_assert_eq!(digest.as_bytes(), &bytes);
        }

        #[test]
        fn no_input_panics(text in ".*") {
            prefix("a").is_plausible(&text);
            prefix("a").is_plausible(&format!("a_{text}"));
        }
    }
}
