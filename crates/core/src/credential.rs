//! Credentials: what a request presents, for each of the six schemes.
//!
//! A scheme that the API does not accept is ignored as evidence. Where the
//! request could mean two things, it is [`Malformed`].

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// How a credential travels (RFC 9110 §11).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scheme {
    /// `Authorization: Basic`, e-mail and token (RFC 7617).
    Basic,
    /// `Authorization: Bearer` (RFC 6750).
    Bearer,
    /// `Authorization: Token`, as Django REST framework has it.
    Token,
    /// A header of its own.
    Header,
    /// Two headers: client ID and secret.
    HeaderPair,
    /// `Authorization: Basic`, e-mail and password.
    Password,
}

/// A request's header fields, whatever holds them.
pub trait Headers {
    /// The values of every field line named `name` (in lower case), in order.
    fn values<'h>(&'h self, name: &str) -> impl Iterator<Item = &'h [u8]>;
}

/// The schemes that an API accepts, with what they need to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schemes {
    /// Which, in the order in which challenges are sent.
    pub accepted: Vec<Scheme>,
    /// The field of [`Scheme::Header`], in lower case.
    pub header: Option<String>,
    /// The fields of [`Scheme::HeaderPair`], in lower case: client ID, secret.
    pub header_pair: Option<[String; 2]>,
    /// Whether the word `Token` is read case-sensitively, as SimpleJWT does
    /// (RFC 9110 §11.1 has scheme names in either case).
    pub exact_token_keyword: bool,
}

impl Schemes {
    fn accepts(&self, scheme: Scheme) -> bool {
        self.accepted.contains(&scheme)
    }
}

/// What a request presented.
pub enum Credential<'h> {
    /// [`Scheme::Basic`].
    Basic(EmailAndSecret),
    /// [`Scheme::Password`].
    Password(EmailAndSecret),
    /// [`Scheme::Bearer`].
    Bearer(&'h str),
    /// [`Scheme::Token`].
    Token(&'h str),
    /// [`Scheme::Header`].
    Header(&'h str),
    /// [`Scheme::HeaderPair`].
    HeaderPair {
        /// Which token this claims to be.
        client_id: &'h str,
        /// The token's secret.
        secret: &'h str,
    },
}

impl Credential<'_> {
    /// How it travelled.
    pub fn scheme(&self) -> Scheme {
        match self {
            Self::Basic(_) => Scheme::Basic,
            Self::Password(_) => Scheme::Password,
            Self::Bearer(_) => Scheme::Bearer,
            Self::Token(_) => Scheme::Token,
            Self::Header(_) => Scheme::Header,
            Self::HeaderPair { .. } => Scheme::HeaderPair,
        }
    }

    /// The secret part.
    pub fn secret(&self) -> &str {
        match self {
            Self::Basic(pair) | Self::Password(pair) => pair.secret(),
            Self::Bearer(secret)
            | Self::Token(secret)
            | Self::Header(secret)
            | Self::HeaderPair { secret, .. } => secret,
        }
    }

    /// The e-mail address that came with the secret, where the scheme has one.
    pub fn email(&self) -> Option<&str> {
        match self {
            Self::Basic(pair) | Self::Password(pair) => Some(pair.email()),
            _ => None,
        }
    }
}

impl std::fmt::Debug for Credential<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}(redacted)", self.scheme())
    }
}

/// What `Basic` carries, decoded; wiped when dropped.
pub struct EmailAndSecret {
    text: Zeroizing<String>,
    colon: usize,
}

impl EmailAndSecret {
    /// What stands before the first colon.
    pub fn email(&self) -> &str {
        &self.text[..self.colon]
    }

    /// What stands after it.
    pub fn secret(&self) -> &str {
        &self.text[self.colon + 1..]
    }
}

/// Why a credential cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Malformed {
    /// A header that may come once came twice.
    #[error("a credential header was sent more than once")]
    Repeated,
    /// Two schemes that the API accepts came together.
    #[error("two kinds of credential were sent in one request")]
    TwoSchemes,
    /// The scheme's name came alone.
    #[error("the Authorization header names a scheme but carries no credential")]
    NoCredential,
    /// More than two words came.
    #[error("the credential contains white space")]
    Spaces,
    /// A byte that has no place in a credential.
    #[error("the credential contains a character that is not allowed")]
    Characters,
    /// `Basic` was not followed by canonical base64.
    #[error("what follows Basic is not canonical base64")]
    Base64,
    /// What `Basic` carried is not text with a colon in it.
    #[error("what follows Basic is not an e-mail address, a colon and a token in UTF-8")]
    NotAPair,
    /// One header of the pair is missing.
    #[error("only one of the two credential headers was sent")]
    HalfAPair,
}

/// The credential that `headers` present to an API with these `schemes`; none
/// when there is nothing that the API accepts.
pub fn read<'h, H: Headers>(
    schemes: &Schemes,
    headers: &'h H,
) -> Result<Option<Credential<'h>>, Malformed> {
    let mut found = match only(headers, "authorization")? {
        Some(value) => read_authorization(schemes, value)?,
        None => None,
    };
    if schemes.accepts(Scheme::Header)
        && let Some(name) = &schemes.header
        && let Some(value) = only(headers, name)?
    {
        if found.is_some() {
            return Err(Malformed::TwoSchemes);
        }
        found = Some(Credential::Header(visible(value)?));
    }
    if schemes.accepts(Scheme::HeaderPair)
        && let Some([id_name, secret_name]) = &schemes.header_pair
    {
        let pair = match (only(headers, id_name)?, only(headers, secret_name)?) {
            (None, None) => None,
            (Some(client_id), Some(secret)) => Some(Credential::HeaderPair {
                client_id: visible(client_id)?,
                secret: visible(secret)?,
            }),
            _ => return Err(Malformed::HalfAPair),
        };
        if pair.is_some() {
            if found.is_some() {
                return Err(Malformed::TwoSchemes);
            }
            found = pair;
        }
    }
    Ok(found)
}

/// The one value of a field, without white space around it; an empty one counts as absent.
fn only<'h, H: Headers>(headers: &'h H, name: &str) -> Result<Option<&'h [u8]>, Malformed> {
    let mut values = headers.values(name);
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Malformed::Repeated);
    }
    let value = value.trim_ascii();
    Ok((!value.is_empty()).then_some(value))
}

fn read_authorization<'h>(
    schemes: &Schemes,
    value: &'h [u8],
) -> Result<Option<Credential<'h>>, Malformed> {
    let end = value.iter().position(u8::is_ascii_whitespace).unwrap_or(value.len());
    let (keyword, rest) = (&value[..end], value[end..].trim_ascii());
    let is = |name: &str| keyword.eq_ignore_ascii_case(name.as_bytes());

    let scheme = if is("Basic") && schemes.accepts(Scheme::Basic) {
        Scheme::Basic
    } else if is("Basic") && schemes.accepts(Scheme::Password) {
        Scheme::Password
    } else if is("Bearer") && schemes.accepts(Scheme::Bearer) {
        Scheme::Bearer
    } else if schemes.accepts(Scheme::Token)
        && (keyword == b"Token" || (is("Token") && !schemes.exact_token_keyword))
    {
        Scheme::Token
    } else {
        return Ok(None);
    };

    if rest.is_empty() {
        return Err(Malformed::NoCredential);
    }
    Ok(Some(match scheme {
        Scheme::Basic => Credential::Basic(read_basic(rest)?),
        Scheme::Password => Credential::Password(read_basic(rest)?),
        Scheme::Bearer => Credential::Bearer(token68(rest)?),
        _ => Credential::Token(visible(rest)?),
    }))
}

fn read_basic(encoded: &[u8]) -> Result<EmailAndSecret, Malformed> {
    if classes(encoded) & SPACE != 0 {
        return Err(Malformed::Spaces);
    }
    let mut bytes = Zeroizing::new(vec![0; encoded.len().div_ceil(4) * 3]);
    let length =
        BASE64_STANDARD.decode_slice(encoded, &mut bytes).map_err(|_| Malformed::Base64)?;
    let text = std::str::from_utf8(&bytes[..length]).map_err(|_| Malformed::NotAPair)?;
    if text.contains(char::is_control) {
        return Err(Malformed::Characters);
    }
    let colon = text.find(':').ok_or(Malformed::NotAPair)?;
    Ok(EmailAndSecret { text: Zeroizing::new(text.to_owned()), colon })
}

/// RFC 6750 §2.1, `b64token`.
fn token68(value: &[u8]) -> Result<&str, Malformed> {
    if is_plain(value) {
        return text(value);
    }
    let seen = classes(value);
    if seen & SPACE != 0 {
        return Err(Malformed::Spaces);
    }
    // Padding is rare enough to be looked at twice.
    let padded_well = seen & PADDING == 0
        || value.iter().skip_while(|b| **b != b'=').all(|b| *b == b'=') && value[0] != b'=';
    if seen & !(TOKEN68 | PADDING) == 0 && padded_well {
        text(value)
    } else {
        Err(Malformed::Characters)
    }
}

fn visible(value: &[u8]) -> Result<&str, Malformed> {
    if is_plain(value) {
        return text(value);
    }
    let seen = classes(value);
    if seen & SPACE != 0 {
        Err(Malformed::Spaces)
    } else if seen & OTHER != 0 {
        Err(Malformed::Characters)
    } else {
        text(value)
    }
}

fn text(value: &[u8]) -> Result<&str, Malformed> {
    std::str::from_utf8(value).map_err(|_| Malformed::Characters)
}

/// Whether there is nothing but letters, digits, underscores, hyphens and dots, as in every
/// secret and every access token that was made here: without a branch or a table, so that many
/// bytes are looked at at once.
fn is_plain(value: &[u8]) -> bool {
    value.iter().fold(true, |all, byte| {
        all & (byte.is_ascii_alphanumeric() | matches!(*byte, b'_' | b'-' | b'.'))
    })
}

/// `A-Za-z0-9-._~+/`.
const TOKEN68: u8 = 1;
/// `=`.
const PADDING: u8 = 2;
/// What else is visible in ASCII.
const VISIBLE: u8 = 4;
/// White space in ASCII.
const SPACE: u8 = 8;
/// Everything else.
const OTHER: u8 = 16;

/// Which kinds of bytes occur. Every request comes by here, so it is one pass
/// without a branch.
fn classes(value: &[u8]) -> u8 {
    value.iter().fold(0, |seen, byte| seen | CLASS[usize::from(*byte)])
}

const CLASS: [u8; 256] = {
    let mut table = [OTHER; 256];
    let mut byte = 0u8;
    while byte < 128 {
        table[byte as usize] = match byte {
            b'-' | b'.' | b'_' | b'~' | b'+' | b'/' => TOKEN68,
            b'=' => PADDING,
            _ if byte.is_ascii_alphanumeric() => TOKEN68,
            _ if byte.is_ascii_graphic() => VISIBLE,
            _ if byte.is_ascii_whitespace() => SPACE,
            _ => OTHER,
        };
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct Lines(Vec<(String, Vec<u8>)>);

    impl Headers for Lines {
        fn values<'h>(&'h self, name: &str) -> impl Iterator<Item = &'h [u8]> {
            self.0.iter().filter(move |(other, _)| other == name).map(|(_, value)| &value[..])
        }
    }

    fn lines(pairs: &[(&str, &str)]) -> Lines {
        Lines(pairs.iter().map(|(n, v)| ((*n).to_owned(), v.as_bytes().to_vec())).collect())
    }

    fn all() -> Schemes {
        Schemes {
            accepted: vec![
                Scheme::Basic,
                Scheme::Bearer,
                Scheme::Token,
                Scheme::Header,
                Scheme::HeaderPair,
            ],
            header: Some("x-api-key".into()),
            header_pair: Some(["x-id".into(), "x-secret".into()]),
            exact_token_keyword: false,
        }
    }

    fn read_all(
        pairs: &[(&str, &str)],
    ) -> Result<Option<(Scheme, String, Option<String>)>, Malformed> {
        let headers = lines(pairs);
        Ok(read(&all(), &headers)?.map(|credential| {
            let beside = match &credential {
                Credential::HeaderPair { client_id, .. } => Some((*client_id).to_owned()),
                other => other.email().map(str::to_owned),
            };
            (credential.scheme(), credential.secret().to_owned(), beside)
        }))
    }

    #[test]
    fn each_scheme() {
        let found = |scheme, secret: &str, beside: Option<&str>| {
            Ok(Some((scheme, secret.to_owned(), beside.map(str::to_owned))))
        };
        // "ada@example.com:a:b"
        assert_eq!(
            read_all(&[("authorization", "basic YWRhQGV4YW1wbGUuY29tOmE6Yg==")]),
            found(Scheme::Basic, "a:b", Some("ada@example.com"))
        );
        assert_eq!(
            read_all(&[("authorization", "BEARER  abc==")]),
            found(Scheme::Bearer, "abc==", None)
        );
        assert_eq!(read_all(&[("authorization", "token abc")]), found(Scheme::Token, "abc", None));
        assert_eq!(read_all(&[("x-api-key", " abc ")]), found(Scheme::Header, "abc", None));
        assert_eq!(
            read_all(&[("x-secret", "s"), ("x-id", "i")]),
            found(Scheme::HeaderPair, "s", Some("i"))
        );
    }

    #[test]
    fn nothing_that_counts() {
        for pairs in [
            &[][..],
            &[("authorization", "")],
            &[("authorization", "Digest abc")],
            &[("authorization", "Bearerabc")],
            &[("x-api-key", "")],
            &[("x-other", "abc")],
        ] {
            assert_eq!(read_all(pairs), Ok(None), "{pairs:?}");
        }
    }

    #[test]
    fn what_cannot_be_read() {
        for (pairs, why) in [
            (
                &[("authorization", "Bearer a"), ("authorization", "Bearer a")][..],
                Malformed::Repeated,
            ),
            (&[("x-api-key", "a"), ("x-api-key", "a")], Malformed::Repeated),
            (&[("x-id", "a"), ("x-id", "a"), ("x-secret", "b")], Malformed::Repeated),
            (&[("authorization", "Bearer a"), ("x-api-key", "a")], Malformed::TwoSchemes),
            (&[("x-api-key", "a"), ("x-id", "a"), ("x-secret", "b")], Malformed::TwoSchemes),
            (&[("authorization", "Token")], Malformed::NoCredential),
            (&[("authorization", "Bearer ")], Malformed::NoCredential),
            (&[("authorization", "Token a b")], Malformed::Spaces),
            (&[("authorization", "Bearer a, Basic b")], Malformed::Spaces),
            (&[("x-api-key", "a b")], Malformed::Spaces),
            (&[("authorization", "Bearer a!b")], Malformed::Characters),
            (&[("authorization", "Bearer ==")], Malformed::Characters),
            (&[("authorization", "Token ä")], Malformed::Characters),
            (&[("authorization", "Basic !")], Malformed::Base64),
            // Trailing bits and padding that a canonical encoder does not write.
            (&[("authorization", "Basic YTpiYh==")], Malformed::Base64),
            (&[("authorization", "Basic YTo")], Malformed::Base64),
            (&[("authorization", "Basic YTpi=")], Malformed::Base64),
            (&[("authorization", "Basic YWRh")], Malformed::NotAPair),
            (&[("authorization", "Basic /zo=")], Malformed::NotAPair),
            (&[("authorization", "Basic YToACg==")], Malformed::Characters),
            (&[("x-id", "a")], Malformed::HalfAPair),
            (&[("x-secret", "a")], Malformed::HalfAPair),
            (&[("x-secret", "a"), ("x-id", " ")], Malformed::HalfAPair),
        ] {
            assert_eq!(read_all(pairs), Err(why), "{pairs:?}");
        }
    }

    #[test]
    fn a_scheme_that_is_not_accepted_is_no_evidence() {
        let mut schemes = all();
        schemes.accepted = vec![Scheme::Token];
        schemes.header = None;
        schemes.header_pair = None;
        for value in ["Bearer abc", "Basic !!", "Bearer"] {
            assert!(
                matches!(read(&schemes, &lines(&[("authorization", value)])), Ok(None)),
                "{value}"
            );
        }
        let ignored = lines(&[("x-api-key", "a"), ("authorization", "Token b")]);
        assert!(matches!(read(&schemes, &ignored), Ok(Some(Credential::Token("b")))));
        schemes.exact_token_keyword = true;
        assert!(matches!(read(&schemes, &lines(&[("authorization", "token abc")])), Ok(None)));
    }

    #[test]
    fn a_header_that_is_named_but_not_accepted_is_no_evidence() {
        let schemes = Schemes { accepted: vec![Scheme::Bearer], ..all() };
        for pairs in [
            &[("x-api-key", "a")][..],
            &[("x-api-key", "a"), ("x-api-key", "b")],
            &[("x-id", "a"), ("x-secret", "b")],
            &[("x-secret", "b")],
        ] {
            assert!(matches!(read(&schemes, &lines(pairs)), Ok(None)), "{pairs:?}");
        }
        let both = lines(&[("x-api-key", "a"), ("authorization", "Bearer b"), ("x-id", "c")]);
        assert!(matches!(read(&schemes, &both), Ok(Some(Credential::Bearer("b")))));
    }

    #[test]
    fn two_authorization_lines_could_mean_two_things_whatever_they_say() {
        let schemes = Schemes { accepted: vec![Scheme::Header], header_pair: None, ..all() };
        for second in ["Digest abc", "", "Bearer a"] {
            let pairs =
                [("authorization", "Digest a"), ("authorization", second), ("x-api-key", "a")];
            assert_eq!(read(&schemes, &lines(&pairs)).err(), Some(Malformed::Repeated), "{second}");
        }
    }

    #[test]
    fn basic_is_a_password_only_where_that_is_accepted() {
        let mut schemes = all();
        schemes.accepted = vec![Scheme::Password];
        let headers = lines(&[("authorization", "Basic YTpi")]);
        assert_eq!(read(&schemes, &headers).unwrap().unwrap().scheme(), Scheme::Password);
        schemes.accepted.push(Scheme::Basic);
        assert_eq!(read(&schemes, &headers).unwrap().unwrap().scheme(), Scheme::Basic);
    }

    #[test]
    fn nothing_prints_a_secret() {
        let headers = lines(&[("authorization", "Bearer hush")]);
        assert_eq!(format!("{:?}", read(&all(), &headers).unwrap().unwrap()), "Bearer(redacted)");
    }

    proptest! {
        #[test]
        fn basic_reads_what_was_written(email in "[^:\\pC]{0,20}", secret in "[^\\pC]{0,60}") {
            let encoded = BASE64_STANDARD.encode(format!("{email}:{secret}"));
            let headers = lines(&[("authorization", &format!("Basic {encoded}"))]);
            let Ok(Some(Credential::Basic(pair))) = read(&all(), &headers) else {
                return Err(TestCaseError::fail("not read"));
            };
            prop_assert_eq!(pair.email(), email);
            prop_assert_eq!(pair.secret(), secret);
        }

        #[test]
        fn no_input_panics(values: Vec<(u8, Vec<u8>)>) {
            let names = ["authorization", "x-api-key", "x-id", "x-secret"];
            let headers = Lines(
                values.into_iter().map(|(n, v)| (names[usize::from(n % 4)].to_owned(), v)).collect(),
            );
            let _ = read(&all(), &headers);
        }

        #[test]
        fn no_authorization_panics(keyword in "(?i)basic|bearer|token|.{0,5}", rest: Vec<u8>) {
            let mut value = keyword.into_bytes();
            value.push(b' ');
            value.extend(rest);
            let _ = read(&all(), &Lines(vec![("authorization".into(), value)]));
        }
    }
}
