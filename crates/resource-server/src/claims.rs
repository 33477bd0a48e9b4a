//! The claims of an access token (RFC 9068 §2.2), and which of them have to be what.

use crate::{json, refused::Refused};
use serde::de::{Error, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;
use std::time::Duration;

/// The year 9999 ends here. What is later is no time that anybody meant.
const LAST_TIME: u64 = 253_402_300_799;

/// What is kept of a token: all that its user may see, and nothing that could be used again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claims {
    pub(crate) id: Box<str>,
    pub(crate) account: Box<str>,
    pub(crate) client_id: Box<str>,
    pub(crate) organization: Box<str>,
    pub(crate) role: Option<Box<str>>,
    pub(crate) scope: Box<str>,
    pub(crate) issued_at: u64,
    pub(crate) expires_at: u64,
    not_before: u64,
}

/// How far clocks may differ.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Leeway {
    pub(crate) start: Duration,
    pub(crate) expiry: Duration,
}

#[derive(Deserialize)]
struct Written {
    iss: Box<str>,
    aud: Audience,
    exp: u64,
    iat: u64,
    nbf: Option<u64>,
    jti: Box<str>,
    sub: Box<str>,
    client_id: Box<str>,
    scope: Option<Box<str>>,
    organization: Box<str>,
    role: Option<Box<str>>,
}

impl Claims {
    /// Reads what the issuer has signed. An audience that is one of several is another one: a
    /// token for two APIs lets each of them act at the other.
    pub(crate) fn read(payload: &[u8], issuer: &str, audience: &str) -> Result<Self, Refused> {
        let written: Written = json::object(payload).ok_or(Refused::BadClaims)?;
        if *written.iss != *issuer {
            return Err(Refused::WrongIssuer);
        }
        if *written.aud.0 != *audience {
            return Err(Refused::WrongAudience);
        }
        let names = [&written.jti, &written.sub, &written.client_id, &written.organization];
        let times = [written.exp, written.iat, written.nbf.unwrap_or(0)];
        let scope = written.scope.unwrap_or_default();
        let sound = names.into_iter().chain(&written.role).all(|name| is_name(name))
            && times.into_iter().all(|time| time <= LAST_TIME)
            && is_scope(&scope);
        if !sound {
            return Err(Refused::BadClaims);
        }
        Ok(Self {
            id: written.jti,
            account: written.sub,
            client_id: written.client_id,
            organization: written.organization,
            role: written.role,
            scope,
            issued_at: written.iat,
            expires_at: written.exp,
            not_before: written.nbf.unwrap_or(0),
        })
    }

    /// Whether the token is valid at `now`, since 1970. At `exp` it is not any more
    /// (RFC 7519 §4.1.4).
    pub(crate) fn check_times(&self, now: Duration, leeway: Leeway) -> Result<(), Refused> {
        if now >= Duration::from_secs(self.expires_at) + leeway.expiry {
            return Err(Refused::Expired);
        }
        let begins = Duration::from_secs(self.not_before.max(self.issued_at));
        if now + leeway.start < begins { Err(Refused::NotYetValid) } else { Ok(()) }
    }
}

/// Names go into logs and header fields.
fn is_name(text: &str) -> bool {
    !text.is_empty() && !text.chars().any(char::is_control)
}

/// RFC 6749 §3.3.
fn is_scope(text: &str) -> bool {
    text.bytes().all(|b| matches!(b, b' '..=b'~') && b != b'"' && b != b'\\')
}

/// `aud`: a string, or an array of one.
struct Audience(Box<str>);

impl<'de> Deserialize<'de> for Audience {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneAudience)
    }
}

struct OneAudience;

impl<'de> Visitor<'de> for OneAudience {
    type Value = Audience;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("one audience")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Audience, E> {
        Ok(Audience(text.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut several: A) -> Result<Audience, A::Error> {
        let one = several.next_element()?.ok_or_else(|| A::Error::invalid_length(0, &self))?;
        if several.next_element::<Box<str>>()?.is_none() {
            return Ok(Audience(one));
        }
        // Not an error of form: it is signed, and for others too.
        while several.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Audience("".into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn claims() -> serde_json::Value {
        json!({
            "iss": "https://i", "aud": "orders", "exp": 200, "iat": 100, "nbf": 110, "jti": "j",
            "sub": "a", "client_id": "t", "scope": "read costs:write", "organization": "o",
            "role": "viewer", "something": "else",
        })
    }

    fn read(claims: &serde_json::Value) -> Result<Claims, Refused> {
        Claims::read(claims.to_string().as_bytes(), "https://i", "orders")
    }

    fn with(name: &str, value: serde_json::Value) -> Result<Claims, Refused> {
        let mut claims = claims();
        claims[name] = value;
        read(&claims)
    }

    #[test]
    fn claims_are_read() {
        let read = read(&claims()).unwrap();
        assert_eq!((&*read.account, &*read.client_id, &*read.organization), ("a", "t", "o"));
        assert_eq!((read.role.as_deref(), &*read.scope), (Some("viewer"), "read costs:write"));
        assert!(with("aud", json!(["orders"])).is_ok());
    }

    #[test]
    fn each_claim_is_needed_and_of_its_type() {
        for name in ["iss", "aud", "exp", "iat", "jti", "sub", "client_id", "organization"] {
            let mut without = claims();
            without.as_object_mut().unwrap().remove(name);
            assert_eq!(read(&without), Err(Refused::BadClaims), "without {name}");
            for wrong in [json!(null), json!({}), json!([]), json!(true), json!(-1), json!(1.5)] {
                assert_eq!(with(name, wrong.clone()), Err(Refused::BadClaims), "{name}: {wrong}");
            }
        }
        for name in ["nbf", "scope", "role"] {
            let mut without = claims();
            without.as_object_mut().unwrap().remove(name);
            assert!(read(&without).is_ok(), "without {name}");
            assert_eq!(with(name, json!([1])), Err(Refused::BadClaims), "{name}");
        }
        for name in ["jti", "sub", "client_id", "organization", "role"] {
            for wrong in ["", "a\nb"] {
                assert_eq!(with(name, json!(wrong)), Err(Refused::BadClaims), "{name}");
            }
        }
        assert_eq!(with("scope", json!("a\u{e9}")), Err(Refused::BadClaims));
        assert_eq!(with("exp", json!(u64::MAX)), Err(Refused::BadClaims));
    }

    #[test]
    fn issuer_and_audience_are_compared_exactly() {
        for issuer in ["https://i/", "https://I", "", "https://i "] {
            assert_eq!(with("iss", json!(issuer)), Err(Refused::WrongIssuer), "{issuer}");
        }
        for audience in [json!("Orders"), json!(""), json!("orders "), json!(["orders", "x"])] {
            assert_eq!(with("aud", audience.clone()), Err(Refused::WrongAudience), "{audience}");
        }
        assert_eq!(with("aud", json!(["orders", "x", "y"])), Err(Refused::WrongAudience));
        assert_eq!(with("aud", json!(["orders", 1])), Err(Refused::BadClaims));
    }

    #[test]
    fn times_have_sharp_edges() {
        let claims = read(&claims()).unwrap();
        let at = |seconds, start, expiry| {
            let leeway =
                Leeway { start: Duration::from_secs(start), expiry: Duration::from_secs(expiry) };
            claims.check_times(Duration::from_secs_f64(seconds), leeway)
        };
        assert_eq!(at(199.9, 0, 0), Ok(()));
        assert_eq!(at(200.0, 9, 0), Err(Refused::Expired));
        assert_eq!(at(204.9, 0, 5), Ok(()));
        assert_eq!(at(205.0, 0, 5), Err(Refused::Expired));
        assert_eq!(at(110.0, 0, 0), Ok(()));
        assert_eq!(at(109.9, 0, 9), Err(Refused::NotYetValid));
        assert_eq!(at(105.0, 5, 0), Ok(()));
        assert_eq!(at(104.9, 5, 0), Err(Refused::NotYetValid));
    }

    #[test]
    fn what_is_issued_in_the_future_is_not_valid_yet() {
        let future = with("iat", json!(150)).unwrap();
        let none = Leeway { start: Duration::ZERO, expiry: Duration::ZERO };
        assert_eq!(future.check_times(Duration::from_secs(149), none), Err(Refused::NotYetValid));
    }
}
