//! A JWS in its compact form (RFC 7515 §7.1), taken apart but not believed.

use crate::{json, keys::Key, refused::Refused};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde::de::IgnoredAny;

/// A token as it was presented. Until its signature is verified it says nothing but which key
/// to verify it with.
pub(crate) struct Jws<'a> {
    header: Header,
    payload: &'a str,
    /// What is signed: the first two parts with the dot between them.
    signed: &'a str,
    signature: &'a str,
}

/// The members that count. All others, `jku`, `x5u`, `jwk` and `x5c` among them, are the
/// sender's word on which key to believe, and are not looked at.
#[derive(Deserialize)]
struct Header {
    alg: Box<str>,
    kid: Box<str>,
    typ: Option<Box<str>>,
    #[serde(default, deserialize_with = "present")]
    crit: bool,
}

impl<'a> Jws<'a> {
    pub(crate) fn read(token: &'a str) -> Result<Self, Refused> {
        let (signed, signature) = token.rsplit_once('.').ok_or(Refused::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(Refused::Malformed)?;
        if payload.contains('.') {
            return Err(Refused::Malformed);
        }
        let header: Header = json::object(&decoded(header)?).ok_or(Refused::Malformed)?;
        if header.crit {
            return Err(Refused::CriticalExtension);
        }
        let jws = Self { header, payload, signed, signature };
        if jws.is_access_token() { Ok(jws) } else { Err(Refused::WrongType) }
    }

    /// The id of the key that the sender says it is signed with.
    pub(crate) fn kid(&self) -> &str {
        &self.header.kid
    }

    /// What was signed with `key`.
    pub(crate) fn payload(&self, key: &Key) -> Result<Vec<u8>, Refused> {
        // The key knows its algorithm. That the header says the same is a matter of form.
        if *self.header.alg != *key.algorithm() {
            return Err(Refused::WrongAlgorithm);
        }
        let signature = decoded(self.signature)?;
        if !key.has_signed(self.signed.as_bytes(), &signature) {
            return Err(Refused::WrongSignature);
        }
        decoded(self.payload)
    }

    /// RFC 9068 §4; media types are compared without regard to case (RFC 2045 §5.1).
    fn is_access_token(&self) -> bool {
        self.header.typ.as_deref().is_some_and(|typ| {
            typ.eq_ignore_ascii_case("at+jwt") || typ.eq_ignore_ascii_case("application/at+jwt")
        })
    }
}

/// Base64url without padding, in the one form that there is of each sequence of bytes.
fn decoded(part: &str) -> Result<Vec<u8>, Refused> {
    BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| Refused::Malformed)
}

/// Whatever stands there, `null` too.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|IgnoredAny| true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(header: &str) -> Result<String, Refused> {
        let token = format!("{}.e30.AA", BASE64_URL_SAFE_NO_PAD.encode(header));
        Jws::read(&token).map(|jws| jws.kid().to_owned())
    }

    #[test]
    fn headers_are_read() {
        for typ in ["at+jwt", "application/at+jwt", "AT+JWT"] {
            let header = format!(r#"{{"alg":"EdDSA","kid":"1","typ":"{typ}","jku":"https://x"}}"#);
            assert_eq!(read(&header).as_deref(), Ok("1"));
        }
    }

    #[test]
    fn other_headers_are_refused() {
        for (header, why) in [
            (r#"{"alg":"EdDSA","kid":"1"}"#, Refused::WrongType),
            (r#"{"alg":"EdDSA","kid":"1","typ":"JWT"}"#, Refused::WrongType),
            (r#"{"alg":"EdDSA","kid":"1","typ":"text/at+jwt"}"#, Refused::WrongType),
            (r#"{"alg":"EdDSA","typ":"at+jwt"}"#, Refused::Malformed),
            (r#"{"kid":"1","typ":"at+jwt"}"#, Refused::Malformed),
            (r#"{"alg":"EdDSA","kid":1,"typ":"at+jwt"}"#, Refused::Malformed),
            (r#"{"alg":"EdDSA","kid":"1","kid":"2","typ":"at+jwt"}"#, Refused::Malformed),
            (r#"{"alg":"EdDSA","kid":"1","typ":"at+jwt","crit":null}"#, Refused::CriticalExtension),
            (r#"{"alg":"EdDSA","kid":"1","typ":"at+jwt","crit":[]}"#, Refused::CriticalExtension),
            (r#"["EdDSA","1","at+jwt"]"#, Refused::Malformed),
            ("", Refused::Malformed),
        ] {
            assert_eq!(read(header), Err(why), "{header}");
        }
    }

    #[test]
    fn there_are_three_parts() {
        for token in ["", ".", "..", "...", "a", "e30", "e30.e30", "e30.e30.AA.AA", "e30.e30.AA."] {
            assert_eq!(Jws::read(token).err(), Some(Refused::Malformed), "{token}");
        }
    }

    #[test]
    fn bytes_are_written_in_one_way() {
        for part in ["AB", "AA==", "AA=", "A", "A A", "AA\n", "A+", "A/", "Ã"] {
            assert_eq!(decoded(part), Err(Refused::Malformed), "{part}");
        }
        assert_eq!(decoded("-_8"), Ok(vec![0xfb, 0xff]));
    }
}
