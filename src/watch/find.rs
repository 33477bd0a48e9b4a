//! Where a client put a secret: in its place, or where a mistaken client would.

use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use counterfoil_core::{credential::Headers, token::Digest};
use std::collections::BTreeSet;
use zeroize::Zeroizing;

/// What is shorter is no secret of ours, nor one that may be imported.
const SHORTEST: usize = 12;
/// What is longer is none, either.
const LONGEST: usize = 512;
/// The longest value that is looked into.
const VALUE: usize = 2048;
/// How many texts of one request are digested at most.
const TEXTS: usize = 32;
/// How many lines of one field are looked into.
const LINES: usize = 3;
/// The longest word that is shown as it was sent.
const WORD: usize = 16;

/// Fields in which clients send what other APIs call a key.
const COMMON: [&str; 9] = [
    "api-key",
    "apikey",
    "proxy-authorization",
    "token",
    "x-access-token",
    "x-api-key",
    "x-api-token",
    "x-auth-token",
    "x-authorization",
];

/// With or without padding, and whatever the last bits are: what it means is plain.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// A secret that somebody waits for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) digest: Digest,
    pub(super) place: Place,
    pub(super) wrapping: Option<Wrapping>,
}

/// Where it stood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// In `Authorization`, behind this word.
    Word(String),
    /// Alone in `Authorization`.
    NoWord,
    /// As the password of `Basic`.
    Password,
    /// As the user name of `Basic`.
    UserName,
    /// Behind `Basic`, encoded, and nothing else.
    Encoded,
    /// Behind `Basic`, but not encoded.
    NotEncoded,
    /// In another field, alone or behind a word.
    Field { name: String, word: Option<String> },
}

/// What stood around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrapping {
    Quotes,
    Brackets,
    Spaces,
    Newline,
    /// A name and a sign of equality.
    Named,
}

/// The first secret in these header fields that `is_known`.
pub(super) fn find<H: Headers>(
    headers: &H,
    fields: &BTreeSet<Box<str>>,
    is_known: impl Fn(&Digest) -> bool,
) -> Option<Found> {
    let mut search = Search { is_known, left: TEXTS };
    let in_authorization =
        lines(headers, "authorization").find_map(|value| search.authorization(value));
    if in_authorization.is_some() {
        return in_authorization;
    }
    let common = COMMON.into_iter().filter(|name| !fields.contains(*name));
    fields
        .iter()
        .map(|name| &**name)
        .chain(common)
        .find_map(|name| lines(headers, name).find_map(|value| search.field(name, value)))
}

fn lines<'h, H: Headers>(headers: &'h H, name: &str) -> impl Iterator<Item = &'h str> {
    headers.values(name).take(LINES).filter_map(|value| {
        // White space around a value is none of it.
        std::str::from_utf8(value).ok().map(str::trim).filter(|value| value.len() <= VALUE)
    })
}

struct Search<F> {
    is_known: F,
    /// How many texts may still be digested.
    left: usize,
}

impl<F: Fn(&Digest) -> bool> Search<F> {
    fn authorization(&mut self, value: &str) -> Option<Found> {
        let Some((word, rest)) = value.split_once(char::is_whitespace) else {
            return self.at(value, || Place::NoWord);
        };
        let rest = rest.trim();
        if word.eq_ignore_ascii_case("basic") {
            return self.basic(rest);
        }
        self.at(rest, || Place::Word(shown(word))).or_else(|| self.at(value, || Place::NoWord))
    }

    fn basic(&mut self, rest: &str) -> Option<Found> {
        if let Ok(bytes) = BASE64.decode(rest).map(Zeroizing::new)
            && let Ok(text) = std::str::from_utf8(&bytes)
        {
            let found = match text.split_once(':') {
                Some((user, password)) => self
                    .at(password, || Place::Password)
                    .or_else(|| self.at(user, || Place::UserName)),
                None => self.at(text, || Place::Encoded),
            };
            if found.is_some() {
                return found;
            }
        }
        let (before, behind) = rest.split_once(':').unwrap_or_default();
        [rest, behind, before].into_iter().find_map(|text| self.at(text, || Place::NotEncoded))
    }

    fn field(&mut self, name: &str, value: &str) -> Option<Found> {
        let at = |word: Option<&str>| Place::Field { name: name.to_owned(), word: word.map(shown) };
        self.at(value, || at(None)).or_else(|| {
            let (word, rest) = value.split_once(char::is_whitespace)?;
            self.at(rest.trim(), || at(Some(word)))
        })
    }

    /// Whether `text` is a secret, as it stands or in what it is wrapped in.
    fn at(&mut self, text: &str, place: impl FnOnce() -> Place) -> Option<Found> {
        let (inner, wrapping) = unwrapped(text);
        let inner = wrapping.map(|wrapping| (inner, Some(wrapping)));
        for (text, wrapping) in [(text, None)].into_iter().chain(inner) {
            if !(SHORTEST..=LONGEST).contains(&text.len()) || self.left == 0 {
                continue;
            }
            self.left -= 1;
            let digest = Digest::of(text);
            if (self.is_known)(&digest) {
                return Some(Found { digest, place: place(), wrapping });
            }
        }
        None
    }
}

/// What `text` is without what stands around it, and what that is: the innermost of it.
fn unwrapped(mut text: &str) -> (&str, Option<Wrapping>) {
    const QUOTES: [char; 5] = ['"', '\'', '`', '“', '”'];
    const BRACKETS: [char; 8] = ['<', '>', '{', '}', '[', ']', '(', ')'];
    let mut wrapping = None;
    for _ in 0..4 {
        let (inner, found) = match text.trim() {
            trimmed if trimmed.len() < text.len() && text.contains(['\n', '\r']) => {
                (trimmed, Wrapping::Newline)
            }
            trimmed if trimmed.len() < text.len() => (trimmed, Wrapping::Spaces),
            _ if text.trim_matches(QUOTES).len() < text.len() => {
                (text.trim_matches(QUOTES), Wrapping::Quotes)
            }
            _ if text.trim_matches(BRACKETS).len() < text.len() => {
                (text.trim_matches(BRACKETS), Wrapping::Brackets)
            }
            _ => match text.split_once('=') {
                Some((name, value)) if is_word(name) && !value.trim_matches('=').is_empty() => {
                    (value, Wrapping::Named)
                }
                _ => break,
            },
        };
        (text, wrapping) = (inner, Some(found));
    }
    (text, wrapping)
}

/// A word as it was sent, where it cannot be a secret.
fn shown(word: &str) -> String {
    let word = word.trim_end_matches([':', ',']);
    if is_word(word) { word.to_owned() } else { "…".to_owned() }
}

fn is_word(text: &str) -> bool {
    (1..=WORD).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphabetic() || b == b'-' || b == b'_')
}
