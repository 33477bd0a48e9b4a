//! Forms, as OAuth has them (RFC 6749 §3.2, appendix B): read strictly, for they hold secrets.

use super::{
    Arrived, OAuth,
    answer::{Error, Kind, No},
};
use crate::http::{
    calls::{Operation, Takes},
    extract,
};
use axum::extract::{FromRequest, Request};
use http::{HeaderMap, StatusCode, header};
use schemars::JsonSchema;
use std::{collections::BTreeSet, marker::PhantomData, sync::Arc};
use zeroize::Zeroizing;

/// How large a form may be, in bytes.
const MOST: usize = 16 * 1024;

const CONTENT_TYPE: &str = "application/x-www-form-urlencoded";

/// What has no place in a URL, which is written down wherever it comes by.
const NEVER_IN_A_QUERY: [&str; 5] =
    ["access_token", "client_assertion", "client_id", "client_secret", "token"];

/// What may come more than once (RFC 8707 §2).
const REPEATABLE: [&str; 2] = ["audience", "resource"];

/// The parameters that have a value; wiped when dropped.
#[derive(Debug)]
pub(crate) struct Form(Vec<(Zeroizing<String>, Zeroizing<String>)>);

impl Form {
    /// Takes a form apart. A parameter without a value counts as absent.
    ///
    /// # Errors
    /// Where it cannot be read, or could be read in two ways.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, &'static str> {
        let mut parameters = Vec::new();
        for pair in bytes.split(|byte| *byte == b'&') {
            let (name, value) = split(pair, b'=').unwrap_or((pair, b""));
            if value.is_empty() {
                continue;
            }
            let (Some(name), Some(value)) = (decode(name), decode(value)) else {
                return Err("the body is no form: it has to be UTF-8, percent-encoded");
            };
            parameters.push((name, value));
        }
        let mut seen = BTreeSet::new();
        let mut names = parameters.iter().map(|(name, _)| name.as_str());
        if names.any(|name| !seen.insert(name) && !REPEATABLE.contains(&name)) {
            return Err("a parameter was sent more than once");
        }
        Ok(Self(parameters))
    }

    /// The value of a parameter, where it has one.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// Every value of a parameter.
    pub(crate) fn all<'f>(&'f self, name: &str) -> impl Iterator<Item = &'f str> {
        self.0.iter().filter(move |(other, _)| **other == *name).map(|(_, value)| value.as_str())
    }
}

/// What stands before the first `at`, and what behind it.
pub(super) fn split(bytes: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let place = bytes.iter().position(|byte| *byte == at)?;
    Some((&bytes[..place], &bytes[place + 1..]))
}

/// A name or a value of a form; none where that is not what the bytes are.
pub(super) fn decode(bytes: &[u8]) -> Option<Zeroizing<String>> {
    let mut text = Zeroizing::new(Vec::with_capacity(bytes.len()));
    let mut rest = bytes.iter();
    while let Some(byte) = rest.next() {
        text.push(match byte {
            b'+' => b' ',
            b'%' => digit(rest.next())? << 4 | digit(rest.next())?,
            other => *other,
        });
    }
    std::str::from_utf8(&text).ok().map(|text| Zeroizing::new(text.to_owned()))
}

fn digit(byte: Option<&u8>) -> Option<u8> {
    let digit = char::from(*byte?).to_digit(16)?;
    u8::try_from(digit).ok()
}

/// A request with a form, whose parameters are those of a `T`.
pub(super) struct Asked<T> {
    pub(super) arrived: Arrived,
    pub(super) form: Form,
    what: PhantomData<fn() -> T>,
}

impl<T> FromRequest<Arc<OAuth>> for Asked<T> {
    type Rejection = No;

    async fn from_request(request: Request, oauth: &Arc<OAuth>) -> Result<Self, No> {
        let (head, body) = request.into_parts();
        let wrong = |description: &str| Error::new(Kind::InvalidRequest, description);
        let query = head.uri.query().unwrap_or_default();
        let mut names = form_urlencoded::parse(query.as_bytes()).map(|(name, _)| name);
        if names.any(|name| NEVER_IN_A_QUERY.contains(&&*name)) {
            let description = "parameters belong in the body, not in the URL, which is logged \
                               wherever it comes by; rotate a secret that was in it";
            return Err(wrong(description).into());
        }
        if !is_form(&head.headers) {
            return Err(wrong("send a form: Content-Type application/x-www-form-urlencoded").into());
        }
        let body = extract::in_time(extract::collect(body, MOST), extract::BODY_TIME).await;
        let body = body.map_err(|problem| match problem.status {
            StatusCode::BAD_REQUEST => No::OAuth(wrong("the body did not arrive whole")),
            _ => problem.into(),
        })?;
        let form = Form::read(&body).map_err(wrong)?;
        let arrived = Arrived::of(head, &oauth.trusted_proxies);
        Ok(Self { arrived, form, what: PhantomData })
    }
}

fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next());
    kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case(CONTENT_TYPE))
}

impl<T: JsonSchema> Takes for Asked<T> {
    fn describe(operation: &mut Operation<'_>) {
        operation.takes_form::<T>(CONTENT_TYPE);
        operation.shows_a_client();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(body: &str) -> Result<Vec<(String, String)>, &'static str> {
        let form = Form::read(body.as_bytes())?;
        Ok(form.0.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect())
    }

    #[test]
    fn forms() {
        for (body, pairs) in [
            ("", &[][..]),
            ("&&", &[]),
            ("a=1&b=2", &[("a", "1"), ("b", "2")]),
            ("a=b=c", &[("a", "b=c")]),
            ("a+b=%20+%2B%c3%a9", &[("a b", "  +é")]),
            // Without a value it is as if it were not there (RFC 6749 §3.2).
            ("a=&a=1&b&c=", &[("a", "1")]),
            ("=1", &[("", "1")]),
            ("resource=x&resource=y", &[("resource", "x"), ("resource", "y")]),
        ] {
            let expected = pairs.iter().map(|(name, value)| ((*name).into(), (*value).into()));
            assert_eq!(read(body), Ok(expected.collect::<Vec<_>>()), "{body}");
        }
        for wrong in ["a=%", "a=%4", "a=%zz", "%g0=a", "a=%ff", "a=%c3", "a=1&a=1", "x=1&%78=2"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(pairs in prop::collection::btree_map(".{0,9}", ".{1,9}", 0..5)) {
            let mut written = form_urlencoded::Serializer::new(String::new());
            let pairs: Vec<(String, String)> = pairs.into_iter().collect();
            let body = written.extend_pairs(&pairs).finish();
            prop_assert_eq!(read(&body).unwrap(), pairs);
        }
    }
}
