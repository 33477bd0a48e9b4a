//! Credentials, the token string, and the judgement on both.

use crate::{
    answers,
    input::{Lines, choice, chosen, line, seeds, text},
    scene::{self, EMAIL, NOW, SCHEMES, prepared, presented},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use counterfoil_core::{
    access_token::NoAccessTokens,
    credential::{self, Credential, Headers as _, Malformed, Scheme, Schemes},
    id::TokenId,
    index::Index,
    path,
    route::Requirement,
    token::{Prefix, Secret},
    verify::{self, Question},
};
use std::{net::IpAddr, sync::LazyLock};

/// Schemes, then header lines.
pub(crate) fn credential(input: &[u8]) {
    let (bits, rest) = choice(input);
    let api = prepared(bits, 0);
    let schemes = &api.schemes;
    let lines = Lines::read(rest);
    let read = credential::read(schemes, &lines);

    // The order of fields means nothing.
    let mut turned = lines.clone();
    turned.0.reverse();
    assert_eq!(outcome(&read), outcome(&credential::read(schemes, &turned)));

    match read {
        Err(_) => {}
        Ok(None) => {
            let silent = |name| lines.values(name).all(|value| value.trim_ascii().is_empty());
            let accepts = |scheme| schemes.accepted.contains(&scheme);
            assert!(!accepts(Scheme::Header) || silent("x-api-key"));
            let pair = ["x-client-id", "x-secret-key"];
            assert!(!accepts(Scheme::HeaderPair) || pair.into_iter().all(silent));
        }
        Ok(Some(found)) => {
            check_found(schemes, &lines, &found);
            // Written down and read again it is the same.
            let written = Lines::read(write(&found).as_bytes());
            let again = credential::read(schemes, &written);
            assert_eq!(outcome(&again), outcome(&Ok(Some(found))));
        }
    }
}

fn check_found(schemes: &Schemes, lines: &Lines, found: &Credential<'_>) {
    assert!(schemes.accepted.contains(&found.scheme()));
    assert_eq!(format!("{found:?}"), format!("{:?}(redacted)", found.scheme()));
    let graphic = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
    match found {
        Credential::Basic(pair) | Credential::Password(pair) => {
            assert!(!pair.email().contains(':'));
            let text = format!("{}:{}", pair.email(), pair.secret());
            assert!(!text.contains(char::is_control));
            let encoded = BASE64_STANDARD.encode(text);
            assert!(lines.values("authorization").all(|v| v.ends_with_trimmed(&encoded)));
        }
        Credential::Bearer(secret) => {
            let stem = secret.trim_end_matches('=');
            let sound = |b: u8| b.is_ascii_alphanumeric() || b"-._~+/".contains(&b);
            assert!(!stem.is_empty() && stem.bytes().all(sound));
        }
        Credential::Token(secret) | Credential::Header(secret) => assert!(graphic(secret)),
        Credential::HeaderPair { client_id, secret } => {
            assert!(graphic(client_id) && graphic(secret));
        }
    }
}

trait EndsWithTrimmed {
    fn ends_with_trimmed(&self, end: &str) -> bool;
}

impl EndsWithTrimmed for [u8] {
    fn ends_with_trimmed(&self, end: &str) -> bool {
        self.trim_ascii().ends_with(end.as_bytes())
    }
}

type Outcome = Result<Option<(Scheme, String, Option<String>)>, Malformed>;

fn outcome(read: &Result<Option<Credential<'_>>, Malformed>) -> Outcome {
    read.as_ref().map_err(|error| *error).map(|found| {
        found.as_ref().map(|found| {
            let beside = match found {
                Credential::HeaderPair { client_id, .. } => Some((*client_id).to_owned()),
                other => other.email().map(str::to_owned),
            };
            (found.scheme(), found.secret().to_owned(), beside)
        })
    })
}

fn write(credential: &Credential<'_>) -> String {
    match credential {
        Credential::Basic(pair) | Credential::Password(pair) => {
            let encoded = BASE64_STANDARD.encode(format!("{}:{}", pair.email(), pair.secret()));
            format!("authorization: Basic {encoded}")
        }
        Credential::Bearer(secret) => format!("authorization: Bearer {secret}"),
        Credential::Token(secret) => format!("authorization: Token {secret}"),
        Credential::Header(secret) => format!("x-api-key: {secret}"),
        Credential::HeaderPair { client_id, secret } => {
            format!("x-client-id: {client_id}\nx-secret-key: {secret}")
        }
    }
}

fn bit(scheme: Scheme) -> u8 {
    SCHEMES.iter().position(|other| *other == scheme).map_or(0, |at| 1 << at)
}

pub(crate) fn credential_seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (scheme, lines) in presented() {
        for bits in [bit(scheme), 0x1f, 0x7f] {
            seeds.extend(chosen([(bits, &lines)]));
        }
    }
    seeds.extend(chosen([
        (0x1f, "authorization: basic YWRhQGV4YW1wbGUuY29tOmE6Yg=="),
        (0x1f, "authorization: Basic Og=="),
        (0x1f, "authorization: BEARER  abc=="),
        (0x44, "authorization: token abc"),
        (0x1f, "authorization: Digest abc\nx-api-key: abc"),
        (0x1f, "x-client-id: a\nx-client-id: b\nx-secret-key:"),
    ]));
    seeds
}

/// A prefix, a token to judge, and entropy to mint one from, a line each.
pub(crate) fn token(input: &[u8]) {
    let (name, rest) = line(input);
    let (candidate, rest) = line(rest);
    let (candidate, name) = (text(candidate), text(name));
    let Ok(prefix) = Prefix::try_from(name.to_string()) else { return };
    assert_eq!(prefix.as_str(), name);
    assert!((1..=15).contains(&name.len()));

    let ours = candidate.strip_prefix(&*name).and_then(|rest| rest.strip_prefix('_'));
    let mintable = match ours {
        // Another prefix's tokens, and those with none, are for a look-up to judge.
        None => true,
        Some(digits) if digits.contains('_') => true,
        Some(digits) => digits
            .get(..33)
            .and_then(decoded)
            .is_some_and(|entropy| Secret::mint(&prefix, &entropy).reveal() == candidate),
    };
    assert_eq!(prefix.is_plausible(&candidate), mintable, "{candidate}");

    let mut entropy = [0; 24];
    entropy.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    let secret = Secret::mint(&prefix, &entropy);
    let minted = secret.reveal();
    assert!(prefix.is_plausible(minted) && minted.ends_with(secret.last_four()));
    assert_eq!(decoded(&minted[name.len() + 1..][..33]), Some(entropy));
    // Any one wrong character behind the prefix is noticed, but for an underscore,
    // which makes it another prefix's.
    let at = name.len() + 1 + usize::from(entropy[0]) % 39;
    let wrong = char::from(b' ' + entropy[1] % 95);
    if wrong != '_' && !minted[at..].starts_with(wrong) {
        let mut mistyped = minted.to_owned();
        mistyped.replace_range(at..=at, wrong.encode_utf8(&mut [0; 4]));
        assert!(!prefix.is_plausible(&mistyped), "{mistyped}");
    }
}

/// What 33 digits of base 62 stand for, where they stand for 24 bytes.
fn decoded(digits: &str) -> Option<[u8; 24]> {
    let mut bytes = [0_u8; 24];
    for digit in digits.bytes() {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'A'..=b'Z' => digit - b'A' + 10,
            b'a'..=b'z' => digit - b'a' + 36,
            _ => return None,
        };
        let mut carry = u32::from(value);
        for byte in bytes.iter_mut().rev() {
            carry += u32::from(*byte) * 62;
            *byte = carry.to_le_bytes()[0];
            carry >>= 8;
        }
        if carry > 0 {
            return None;
        }
    }
    Some(bytes)
}

pub(crate) fn token_seeds() -> Vec<Vec<u8>> {
    let prefix = |name: &str| Prefix::try_from(name.to_owned()).unwrap();
    let minted = |name: &str, entropy| Secret::mint(&prefix(name), entropy).reveal().to_owned();
    let ascending: [u8; 24] = std::array::from_fn(|at| u8::try_from(at * 11 % 256).unwrap());
    // 2^192, with the checksum that belongs to it.
    let too_large = "acme_2lFA6LboL2xx0ldQH2K1TdSrwuqMMiME40TSJfY";
    seeds([
        format!("acme\n{}\n{}", minted("acme", &[0xa5; 24]), "0123456789abcdefghijklmn"),
        format!("a\n{}\n{}", minted("a", &[0xff; 24]), "~".repeat(24)),
        format!("fin_live\n{}\n{}", minted("fin_live", &ascending), "Zz".repeat(12)),
        format!("acme\n{}\n{}", minted("acme_live", &ascending), "\0".repeat(24)),
        format!("abcdefghijklmno\n{}\n", minted("abcdefghijklmno", &[0; 24])),
        format!("acme\n{too_large}\n"),
        "acme_live\nwx1.0123456789abcdef\n".into(),
    ])
}

/// Schemes, error format and place, then method and path, then header lines. Only the
/// one secret, presented as its scheme demands, is let through.
pub(crate) fn verify(input: &[u8]) {
    static INDEX: LazyLock<Index> = LazyLock::new(scene::index);
    let (bits, rest) = choice(input);
    let (format, rest) = choice(rest);
    let (request, rest) = line(rest);
    let request = text(request);
    let (method, raw) = request.split_once(' ').unwrap_or((&request, "/"));
    let Ok(path) = path::canonical(raw) else { return };
    let api = prepared(bits, format);
    let lines = Lines::read(rest);
    let client = (format < 128).then_some(IpAddr::from([10, 1, 2, 3]));
    let requirement = api.requirement(method, &path);
    let question = Question {
        access_tokens: &NoAccessTokens,
        headers: &lines,
        client,
        requirement,
        password: None,
    };
    let read = credential::read(&api.schemes, &lines);
    match verify::verify(api, &INDEX, &question, NOW) {
        Err(refusal) => {
            answers::check(api, &refusal);
        }
        Ok(admitted) => match (admitted.identity(), read) {
            (None, Ok(None)) => assert_eq!(requirement, Requirement::Anonymous),
            (Some(identity), Ok(Some(found))) => {
                assert_eq!(identity.token(), Some(scene::token().id));
                assert_eq!(found.secret(), scene::secret().reveal());
                assert!(client.is_some(), "the token is bound to networks");
                if let Some(email) = found.email() {
                    assert!(email.eq_ignore_ascii_case(EMAIL));
                }
                if let Credential::HeaderPair { client_id, .. } = found {
                    assert_eq!(client_id.parse::<TokenId>().ok(), identity.token());
                }
                if let Requirement::Scope(need) = requirement {
                    assert_eq!(need.to_string(), "costs:read");
                }
            }
            (identity, read) => panic!("{identity:?} for {read:?}"),
        },
    }
}

pub(crate) fn verify_seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (scheme, lines) in presented() {
        for request in ["GET /v1/costs/7", "POST /v1/%63osts", "GET /public/x", "PUT /ping"] {
            for bits in [bit(scheme), 0x1f] {
                seeds.extend(chosen([(bits, format!("\u{1}{request}\n{lines}"))]));
            }
        }
    }
    seeds.extend(chosen([(0x1f, "\0GET /public/x\n"), (0x02, "\x02GET /v1/costs\n")]));
    seeds
}
