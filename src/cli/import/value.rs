//! Values as exports have them: digests, times, yes and no, lists.

use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use counterfoil_core::token::Digest;
use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use serde_json::Value;

/// Base64 with its padding or without.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A digest as it was written down.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// 32 bytes: SHA-256, in the word of whoever says so.
    Sha256(Digest),
    /// 64 bytes.
    Sha512,
}

/// Reads a digest in hexadecimal digits, as Postgres writes bytes, or in base64
/// of either alphabet.
pub(super) fn digest(text: &str) -> Option<Written> {
    let text = text.trim();
    let hex = text.strip_prefix("\\x").unwrap_or(text);
    let bytes = match hex.len() {
        64 | 128 => from_hex(hex)?,
        43 | 44 | 86 | 88 => {
            let standard = text.replace('-', "+").replace('_', "/");
            BASE64.decode(standard).ok()?
        }
        _ => return None,
    };
    match bytes.len() {
        32 => bytes.try_into().ok().map(|bytes| Written::Sha256(Digest::from_bytes(bytes))),
        64 => Some(Written::Sha512),
        _ => None,
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pairs = text.as_bytes().chunks_exact(2);
    pairs.map(|pair| u8::try_from(digit(pair[0])? << 4 | digit(pair[1])?).ok()).collect()
}

/// From which number on a bare one counts milliseconds; as seconds it would be
/// the year 5138.
const MILLISECONDS: i64 = 100_000_000_000;

/// Reads a time: RFC 3339, as databases print it, or a number since the Unix
/// epoch. Without an offset it is UTC, which is what Django and better-auth store.
pub(super) fn time(value: &Value) -> Option<Timestamp> {
    let text = match value {
        Value::String(text) => text.trim(),
        Value::Number(number) => return from_epoch(number.as_i64()?),
        _ => return None,
    };
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return from_epoch(text.parse().ok()?);
    }
    if let Ok(moment) = text.parse() {
        return Some(moment);
    }
    let moment: DateTime = text.parse().ok()?;
    TimeZone::UTC.to_timestamp(moment).ok()
}

fn from_epoch(number: i64) -> Option<Timestamp> {
    if number < MILLISECONDS {
        Timestamp::from_second(number).ok()
    } else {
        Timestamp::from_millisecond(number).ok()
    }
}

/// Reads yes or no.
pub(super) fn flag(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(flag) => Some(*flag),
        Value::Number(number) => match number.as_i64()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        },
        Value::String(text) => match &*text.trim().to_ascii_lowercase() {
            "true" | "t" | "yes" | "y" | "1" => Some(true),
            "false" | "f" | "no" | "n" | "0" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// Reads texts: an array, one in JSON or in Postgres's own form, or words.
pub(super) fn list(value: &Value) -> Option<Vec<String>> {
    let text = match value {
        Value::Array(items) => {
            return items.iter().map(|item| item.as_str().map(str::to_owned)).collect();
        }
        Value::String(text) => text.trim(),
        _ => return None,
    };
    if text.starts_with('[') {
        return serde_json::from_str(text).ok();
    }
    let inner = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap_or(text);
    let words = inner.split([',', ' ', '\n']).map(|word| word.trim_matches('"'));
    Some(words.filter(|word| !word.is_empty()).map(str::to_owned).collect())
}

/// Reads what is JSON, or is written as a text of it, or, as some programs do,
/// as a text of such a text.
pub(super) fn json(value: Value) -> Option<Value> {
    let mut value = value;
    for _ in 0..2 {
        let Value::String(text) = &value else { break };
        value = serde_json::from_str(text).ok()?;
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE, BASE64_URL_SAFE_NO_PAD};
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn digests_in_every_spelling() {
        // Its base64 has both characters in which the alphabets differ.
        let expected = Digest::of("secret 10");
        let bytes = expected.as_bytes();
        let hex = serde_json::to_value(expected).unwrap().as_str().unwrap().to_owned();
        for text in [
            hex.clone(),
            hex.to_uppercase(),
            format!("\\x{hex}"),
            format!(" {hex}\n"),
            BASE64_STANDARD.encode(bytes),
            BASE64_URL_SAFE.encode(bytes),
            BASE64_URL_SAFE_NO_PAD.encode(bytes),
        ] {
            assert_eq!(digest(&text), Some(Written::Sha256(expected)), "{text}");
        }
        assert_eq!(digest(&"ab".repeat(64)), Some(Written::Sha512));
        assert_eq!(digest(&BASE64_STANDARD.encode([1; 64])), Some(Written::Sha512));
        for wrong in ["", "abc", &"x".repeat(64), &hex[1..], &hex[..32], &"!".repeat(44)] {
            assert_eq!(digest(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn times_as_databases_print_them() {
        for value in [
            json!("2022-10-21T21:19:25Z"),
            json!("2022-10-21T21:19:25.000+00:00"),
            json!("2022-10-21 21:19:25+00"),
            json!("2022-10-21 23:19:25+02"),
            json!("2022-10-22 02:49:25+05:30"),
            json!("2022-10-21 21:19:25"),
            json!("2022-10-21 21:19:25.000000"),
            json!(1_666_387_165),
            json!(1_666_387_165_000_i64),
            json!("1666387165000"),
        ] {
            assert_eq!(time(&value).unwrap().to_string(), "2022-10-21T21:19:25Z", "{value}");
        }
        assert_eq!(time(&json!("2027-01-31")).unwrap().to_string(), "2027-01-31T00:00:00Z");
        for wrong in
            [json!("soon"), json!(""), json!("infinity"), json!(1.5), json!([]), json!("31.1.2027")]
        {
            assert_eq!(time(&wrong), None, "{wrong}");
        }
    }

    #[test]
    fn yes_no_and_lists() {
        for (value, expected) in [
            (json!(true), Some(true)),
            (json!("t"), Some(true)),
            (json!("FALSE"), Some(false)),
            (json!(0), Some(false)),
            (json!("maybe"), None),
            (json!(2), None),
        ] {
            assert_eq!(flag(&value), expected, "{value}");
        }
        for value in [
            json!(["read", "write"]),
            json!(r#"["read", "write"]"#),
            json!("{read,write}"),
            json!(r#"{"read","write"}"#),
            json!("read write"),
            json!("read, write"),
        ] {
            assert_eq!(list(&value).unwrap(), ["read", "write"], "{value}");
        }
        for wrong in [json!([1]), json!("[1]"), json!("[read"), json!(1), json!({})] {
            assert_eq!(list(&wrong), None, "{wrong}");
        }
        for value in [json!({"a": 1}), json!(r#"{"a": 1}"#), json!(r#""{\"a\": 1}""#)] {
            assert_eq!(json(value), Some(json!({"a": 1})));
        }
        assert_eq!(json(json!("{")), None);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,140}") {
            let value = Value::String(text.clone());
            let _ = (digest(&text), time(&value), flag(&value), list(&value), json(value));
        }
    }
}
