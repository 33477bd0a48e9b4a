//! What an access token says (RFC 9068 §2.2).

use counterfoil_core::{
    Timestamp,
    access_token::AccessToken,
    id::{AccountId, OrganizationId, TokenId},
    scope::{NotAScope, Scope},
    token::Mark,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;

/// The claims of an access token.
///
/// All of them are ours. One that we do not know is refused with its token: it could narrow what
/// the token is good for, and come from a later version of this program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Claims {
    /// Who issued it: our public URL.
    pub(crate) iss: Box<str>,
    /// The account that its token belongs to.
    pub(crate) sub: AccountId,
    /// The API that it is for.
    pub(crate) aud: Box<str>,
    /// When it ends, in seconds since the epoch.
    pub(crate) exp: u64,
    /// When it was issued.
    pub(crate) iat: u64,
    /// Its own name.
    pub(crate) jti: Box<str>,
    /// The token that it was obtained with.
    pub(crate) client_id: TokenId,
    /// Its scopes, with a space between them; absent where there are none (RFC 6749 §3.3).
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub(crate) scope: Box<str>,
    /// The organization of its token.
    pub(crate) organization: OrganizationId,
    /// Its role, where its token has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) role: Option<Box<str>>,
    /// Which of its token's secrets it was obtained with.
    #[serde(with = "hexadecimal")]
    pub(crate) secret_mark: Mark,
}

impl From<&AccessToken> for Claims {
    fn from(it: &AccessToken) -> Self {
        let scopes: Vec<&str> = it.scopes.iter().map(Scope::as_str).collect();
        Self {
            iss: it.issuer.clone(),
            sub: it.account,
            aud: it.audience.clone(),
            exp: seconds(it.expires_at),
            iat: seconds(it.issued_at),
            jti: it.id.clone(),
            client_id: it.token,
            scope: scopes.join(" ").into(),
            organization: it.organization,
            role: it.role.clone(),
            secret_mark: it.secret,
        }
    }
}

impl TryFrom<Claims> for AccessToken {
    type Error = NotAScope;

    fn try_from(claims: Claims) -> Result<Self, NotAScope> {
        let scopes = claims.scope.split(' ').filter(|scope| !scope.is_empty()).map(str::parse);
        Ok(Self {
            issuer: claims.iss,
            id: claims.jti,
            audience: claims.aud,
            token: claims.client_id,
            secret: claims.secret_mark,
            account: claims.sub,
            organization: claims.organization,
            scopes: scopes.collect::<Result<_, _>>()?,
            role: claims.role,
            issued_at: instant(claims.iat),
            expires_at: instant(claims.exp),
        })
    }
}

/// Whole seconds; it ends no later than was said.
fn seconds(at: Timestamp) -> u64 {
    u64::try_from(at.as_millis() / 1000).unwrap_or_default()
}

fn instant(seconds: u64) -> Timestamp {
    let millis = i64::try_from(seconds.saturating_mul(1000)).unwrap_or(i64::MAX);
    Timestamp::from_millis(millis).min(Timestamp::MAX)
}

/// A mark as sixteen digits, small ones, as [`Digest`](counterfoil_core::token::Digest) is written.
mod hexadecimal {
    use super::{Cow, Deserialize as _, Deserializer, Mark, Serializer};
    use serde::de::Error as _;

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    pub(super) fn serialize<S: Serializer>(mark: &Mark, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("{:016x}", u64::from_be_bytes(*mark)))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Mark, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        let digits =
            text.len() == 16 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let number = u64::from_str_radix(&text, 16).ok().filter(|_| digits);
        number.map(u64::to_be_bytes).ok_or_else(|| D::Error::custom("expected 16 digits"))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Claims as an API without roles has them.
    pub(crate) fn claims() -> Claims {
        let now = Timestamp::from_millis(1_700_000_000_000);
        Claims {
            iss: "https://tokens.example.com".into(),
            sub: AccountId::new(now, [1; 10]),
            aud: "ingest".into(),
            exp: 1_700_086_400,
            iat: 1_700_000_000,
            jti: "018bcfe5-6800-7909-8909-090909090909".into(),
            client_id: TokenId::new(now, [2; 10]),
            scope: "events:write feedback:write".into(),
            organization: OrganizationId::new(now, [3; 10]),
            role: None,
            secret_mark: [0, 1, 2, 3, 4, 5, 6, 0xff],
        }
    }

    /// The same, read.
    pub(crate) fn access_token() -> AccessToken {
        claims().try_into().unwrap()
    }

    #[test]
    fn what_is_written_says_the_same_when_it_is_read() {
        assert_eq!(Claims::from(&access_token()), claims());
        let none = Claims { scope: "".into(), ..claims() };
        assert_eq!(AccessToken::try_from(none).unwrap().scopes.len(), 0);
        let wrong = Claims { scope: "a:b:c".into(), ..claims() };
        assert!(AccessToken::try_from(wrong).is_err());
    }

    #[test]
    fn claims_are_written_and_read() {
        let mut claims = claims();
        let json = serde_json::to_string(&claims).unwrap();
        assert_eq!(
            json,
            r#"{"iss":"https://tokens.example.com","sub":"018bcfe5-6800-7101-8101-010101010101","#
                .to_owned()
                + r#""aud":"ingest","exp":1700086400,"iat":1700000000,"#
                + r#""jti":"018bcfe5-6800-7909-8909-090909090909","#
                + r#""client_id":"018bcfe5-6800-7202-8202-020202020202","#
                + r#""scope":"events:write feedback:write","#
                + r#""organization":"018bcfe5-6800-7303-8303-030303030303","#
                + r#""secret_mark":"00010203040506ff"}"#
        );
        assert_eq!(serde_json::from_str::<Claims>(&json).unwrap(), claims);
        claims.role = Some("writer".into());
        let json = serde_json::to_string(&claims).unwrap();
        assert_eq!(serde_json::from_str::<Claims>(&json).unwrap(), claims);
    }

    #[test]
    fn claims_that_are_not_ours_are_refused() {
        let json = serde_json::to_string(&claims()).unwrap();
        for (from, to) in [
            ("{", r#"{"cnf":{"jkt":"x"},"#),
            (r#""aud":"ingest""#, r#""aud":["ingest"]"#),
            (r#""aud":"ingest""#, r#""aud":"ingest","aud":"orders""#),
            (r#""aud":"ingest","#, ""),
            ("1700086400", "1.7e9"),
            ("1700086400", "-1"),
            ("1700086400", r#""1700086400""#),
            ("00010203040506ff", "00010203040506fF"),
            ("00010203040506ff", "+0010203040506ff"),
            ("00010203040506ff", "00010203040506f"),
        ] {
            let wrong = json.replacen(from, to, 1);
            assert_ne!(wrong, json);
            assert!(serde_json::from_str::<Claims>(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_end_beyond_all_times_is_the_last_of_them() {
        let ends = instant;
        assert_eq!(ends(2), Timestamp::from_millis(2000));
        assert_eq!(ends(u64::MAX), Timestamp::MAX);
    }
}
