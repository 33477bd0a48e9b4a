//! Secrets that only the index can tell: imported ones may look like anything.

use crate::{entropy, replica::Replica};
use counterfoil_core::token::Digest;
use std::{
    borrow::Cow,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::atomic::{AtomicU64, Ordering},
};

/// The least length of a secret that may be imported, with some to spare.
const SHORTEST: usize = 16;
/// A word that is longer is left out whatever it is: looking it up costs too much.
const LONGEST: usize = 512;
/// How many words are looked up in one text. `loggable` shows none that stands behind so many.
const WORDS: usize = 64;
/// How many texts are remembered.
const SLOTS: usize = 1024;

/// Texts that were looked through and hid nothing: the same ones come again and again,
/// and admitted requests are to cost no more digests than their credentials do.
pub(crate) struct Hush {
    key: [u8; 16],
    harmless: Box<[AtomicU64]>,
}

impl Default for Hush {
    fn default() -> Self {
        let harmless = (0..SLOTS).map(|_| AtomicU64::new(0)).collect();
        Self { key: entropy::bytes(), harmless }
    }
}

impl Hush {
    /// As [`hushed`].
    pub(crate) fn hushed<'t>(&self, replica: &Replica, text: &'t str) -> Cow<'t, str> {
        if !has_long_word(text) {
            return text.into();
        }
        let mut hasher = DefaultHasher::new();
        // What hid nothing may be a secret once another token is imported.
        (self.key, replica.tokens(), text).hash(&mut hasher);
        let hash = hasher.finish();
        let slot = &self.harmless[usize::try_from(hash % SLOTS as u64).unwrap_or_default()];
        if slot.load(Ordering::Relaxed) == hash && replica.index().is_some() {
            return text.into();
        }
        let hushed = hushed(replica, text);
        if matches!(hushed, Cow::Borrowed(_)) {
            slot.store(hash, Ordering::Relaxed);
        }
        hushed
    }
}

/// `text` without the words that are a token's secret, or were until lately; without
/// all long ones where the index cannot tell.
pub(crate) fn hushed<'t>(replica: &Replica, text: &'t str) -> Cow<'t, str> {
    let is_secret = |word: &str| match replica.index() {
        Some(index) if word.len() <= LONGEST => {
            hides(word, |text| index.find(&Digest::of(text)).is_some())
        }
        _ => true,
    };
    let mut shown: Option<String> = None;
    // All before this is in `shown`, once there is one.
    let mut done = 0;
    let long = words(text).filter(|(_, word)| word.len() >= SHORTEST);
    for (n, (at, word)) in long.enumerate() {
        let is_last = n == WORDS;
        if is_last || is_secret(word) {
            let shown = shown.get_or_insert_default();
            shown.push_str(&text[done..at]);
            shown.push('…');
            done = if is_last { text.len() } else { at + word.len() };
        }
        if is_last {
            break;
        }
    }
    match shown {
        Some(mut shown) => {
            shown.push_str(&text[done..]);
            shown.into()
        }
        None => text.into(),
    }
}

/// Whether there is a word that could be a secret. Most texts have none, and all come by
/// here: a word that is long enough lies on one of the bytes that are looked at first.
fn has_long_word(text: &str) -> bool {
    let bytes = text.as_bytes();
    // A byte of a character that is not ASCII is in no word, whatever it is by itself.
    let is_in_word = |byte: &&u8| is_in_word(char::from(**byte));
    (SHORTEST - 1..bytes.len()).step_by(SHORTEST).any(|at| {
        let before = bytes[..at].iter().rev().take_while(is_in_word).count();
        let behind = bytes[at..].iter().take_while(is_in_word).count();
        behind > 0 && before + behind >= SHORTEST
    })
}

/// Runs of what secrets are made of, encoded or not, and where they stand.
fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut next = 0;
    text.split(|c: char| !is_in_word(c)).map(move |word| {
        let (at, end) = (next, next + word.len());
        next = end + text[end..].chars().next().map_or(0, char::len_utf8);
        (at, word)
    })
}

fn is_in_word(c: char) -> bool {
    is_part(c) || c == '%'
}

fn is_part(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '~' | '+' | '=' | '-')
}

/// Whether `word` is a secret as it stands, decoded, or in a part of either.
fn hides(word: &str, is_secret: impl Fn(&str) -> bool) -> bool {
    let is_secret = |text: &str| text.len() >= SHORTEST && is_secret(text);
    let hides = |text: &str| {
        text.split(|c| !is_part(c)).any(|part| {
            let value = part.split_once('=').map(|(_, value)| value);
            let mut parts = part.split(['=', '.', '~', '+']);
            is_secret(part)
                || value.is_some_and(is_secret)
                || parts.any(|less| less.len() < part.len() && is_secret(less))
        })
    };
    hides(word) || (word.contains('%') && (is_secret(word) || hides(&decoded(word))))
}

/// `text` with its `%41` read as `A`; what is no text then is no secret.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    let (mut decoded, mut at) = (String::new(), 0);
    while let Some(byte) = bytes.get(at) {
        let value = match (byte, digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => char::from_u32(high * 16 + low),
            _ => None,
        };
        decoded.push(value.unwrap_or(char::from(*byte)));
        at += if value.is_some() { 3 } else { 1 };
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use counterfoil_core::{
        Timestamp,
        account::Rank,
        id::{AccountId, OrganizationId, TokenId},
        index::{Index, Loaded},
        token::{Grant, State, Token},
    };
    use proptest::prelude::*;

    const UUID: &str = "0b9d7e5c-2f6a-4c1e-9a51-6d0f3c2b7a18";
    const BASE64: &str = "pT3_x-9Vb~2k.QmZ+a==";

    fn replica(secrets: &[&str]) -> Replica {
        let index = Index::default();
        for secret in secrets {
            know(&index, secret);
        }
        Replica::trusting(index)
    }

    fn know(index: &Index, secret: &str) {
        let now = Timestamp::from_millis(1);
        let (organization, owner) =
            (OrganizationId::new(now, [1; 10]), AccountId::new(now, [2; 10]));
        index.load_organization(organization, true);
        index.load_account(owner, None, true).unwrap();
        index.load_membership(organization, owner, Some(Rank::Administrator)).unwrap();
        let digest = Digest::of(secret);
        let token = Token {
            id: TokenId::new(now, *digest.as_bytes().first_chunk().unwrap()),
            api: "orders".into(),
            organization,
            owner,
            name: String::new(),
            note: String::new(),
            grant: Grant::Any,
            created_at: now,
            expires_at: None,
            allowed_networks: Vec::new(),
            external_id: None,
            metadata: None,
            prefix: "".into(),
            last_four: "".into(),
            digest,
        };
        index.load_token(&Loaded::of(&token, State::Active, None)).unwrap();
    }

    #[test]
    fn what_is_a_secret_is_left_out_wherever_it_stands() {
        let replica = replica(&[UUID, BASE64]);
        let hush = Hush::default();
        let encoded = UUID.bytes().map(|byte| format!("%{byte:02X}")).collect::<Vec<_>>().concat();
        for (text, shown) in [
            (format!("/x/{UUID}/y"), "/x/…/y"),
            (format!("/x/{UUID}.json;v={BASE64}"), "/x/…;…"),
            (format!("/x/{encoded}"), "/x/…"),
            (format!("/x%2f{UUID}%2fy/z"), "/…/z"),
            (format!("é {UUID}:é{BASE64}é"), "é …:é…é"),
            (format!("key={UUID}"), "…"),
            (BASE64.to_owned(), "…"),
            (format!("/x/{}", UUID.replace('0', "1")), "/x/1b9d7e5c-2f6a-4c1e-9a51-6d1f3c2b7a18"),
            ("/a/b%zz?c=%".to_owned(), "/a/b%zz?c=%"),
            (String::new(), ""),
        ] {
            for _ in 0..2 {
                assert_eq!(hush.hushed(&replica, &text), shown);
            }
            assert_eq!(hushed(&replica, &text), shown);
        }
    }

    #[test]
    fn a_text_that_hid_nothing_may_hide_something_later() {
        let replica = replica(&[BASE64]);
        let hush = Hush::default();
        let text = format!("/x/{UUID}");
        for _ in 0..2 {
            assert_eq!(hush.hushed(&replica, &text), text);
        }
        know(replica.index().unwrap(), UUID);
        assert_eq!(hush.hushed(&replica, &text), "/x/…");
    }

    #[test]
    fn without_an_index_no_long_word_is_shown() {
        let (replica, hush) = (Replica::default(), Hush::default());
        assert_eq!(hush.hushed(&replica, &format!("/x/{UUID}/y")), "/x/…/y");
    }

    proptest! {
        #[test]
        fn a_long_word_is_noticed(text in "([a-zA-Z0-9_.~+=%-]{0,20}[/ é\"&]?){0,8}") {
            let is_long = words(&text).any(|(_, word)| word.len() >= SHORTEST);
            prop_assert_eq!(has_long_word(&text), is_long);
        }

        #[test]
        fn nothing_else_is_touched(text in ".{0,400}") {
            let shown = hushed(&replica(&[UUID]), &text);
            prop_assert_eq!(&shown, &text);
        }

        #[test]
        fn a_word_of_its_own_never_gets_through(
            before in "(.{0,100}[/ :&\"é])?",
            after in "([/ :&\"é].{0,100})?",
        ) {
            let replica = replica(&[UUID]);
            let shown = hushed(&replica, &format!("{before}{UUID}{after}")).into_owned();
            prop_assert!(!shown.contains(UUID), "{shown}");
        }
    }
}
