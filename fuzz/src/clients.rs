//! OAuth's clients: who asks is shown in one way, or nobody asks.

use crate::input::{could_be_secret, line, seeds, text};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use counterfoil::fuzzing;
use http::{HeaderMap, HeaderValue, header};
use std::fmt::Write as _;

/// What stands behind `Authorization:`, and a form on the next line.
pub(crate) fn client(input: &[u8]) {
    let (value, body) = line(input);
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_bytes(value) {
        headers.insert(header::AUTHORIZATION, value);
    }
    match fuzzing::client(&headers, body) {
        Ok(Some((id, secret))) => check_pair(&headers, body, &id, &secret),
        Ok(None) => {}
        Err(said) => {
            assert!(!said.is_empty() && said.bytes().all(|byte| matches!(byte, b' '..=b'~')));
            assert!(!said.contains(['"', '\\']) && !could_be_secret(&said), "{said}");
        }
    }
}

/// What was shown in one way is read from the other, and never from two.
fn check_pair(headers: &HeaderMap, body: &[u8], id: &str, secret: &str) {
    let pair = || Ok(Some((id.to_owned(), secret.to_owned())));
    let encoded = |text: &str| {
        let write = |mut encoded: String, byte: u8| {
            // Writing to a text cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
            encoded
        };
        text.bytes().fold(String::new(), write)
    };
    let (id, secret) = (encoded(id), encoded(secret));
    let mut basic = HeaderMap::new();
    let line = format!("Basic {}", BASE64_STANDARD.encode(format!("{id}:{secret}")));
    basic.insert(header::AUTHORIZATION, line.parse().unwrap());
    assert_eq!(fuzzing::client(&basic, b""), pair());
    let form = format!("client_id={id}&client_secret={secret}");
    if !id.is_empty() && !secret.is_empty() {
        assert_eq!(fuzzing::client(&HeaderMap::new(), form.as_bytes()), pair());
        assert!(fuzzing::client(&basic, form.as_bytes()).is_err());
    }
    // It was in one of the two places, and not in both.
    let line = headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
    let is_shown = line.is_some_and(|line| !line.trim_ascii().is_empty());
    let is_in_the_body = text(body).split('&').any(|pair| pair == "client_secret=x");
    assert!(!(is_shown && is_in_the_body));
}

pub(crate) fn client_seeds() -> Vec<Vec<u8>> {
    let basic = |pair: &str| BASE64_STANDARD.encode(pair);
    seeds([
        format!("Basic {}\ngrant_type=client_credentials", basic("me:hunter2")),
        format!("Basic {}\nclient_id=me", basic("me:a%2Bb%25+c")),
        format!("Basic {}\nclient_secret=x", basic("me:x")),
        "\nclient_id=me&client_secret=a%2Bb+c&scope=read+write".to_owned(),
        "\nclient_id=me&client_assertion=x&resource=a&resource=b".to_owned(),
        "Bearer x\ntoken=x&token_type_hint=&token=".to_owned(),
        "Basic\n%=%&a=%zz".to_owned(),
    ])
}
