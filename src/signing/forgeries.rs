//! Tokens that are not ours, of every known kind.

use super::{
    claims::tests::{access_token, claims},
    tests::{NOW, fresh},
    *,
};
use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE, BASE64_URL_SAFE_NO_PAD as BASE64},
};
use hmac::{Hmac, KeyInit as _, Mac as _};
use proptest::prelude::*;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use sha2::Sha256;
use std::sync::LazyLock;
use tempfile::TempDir;

/// One installation, and a token of it for each algorithm.
struct Scene {
    _data: TempDir,
    keys: SigningKeys,
    tokens: [String; 2],
}

static SCENE: LazyLock<Scene> = LazyLock::new(|| {
    let (data, keys) = fresh();
    let tokens =
        Algorithm::ALL.map(|algorithm| keys.sign(algorithm, &access_token(), NOW).unwrap());
    Scene { _data: data, keys, tokens }
});

/// The segments of a token.
fn parts(token: &str) -> [&str; 3] {
    token.split('.').collect::<Vec<_>>().try_into().unwrap()
}

fn joined(header: &str, payload: &str, signature: &str) -> String {
    format!("{header}.{payload}.{signature}")
}

fn json(segment: &str) -> serde_json::Value {
    serde_json::from_slice(&BASE64.decode(segment).unwrap()).unwrap()
}

/// Refused, and not remembered either.
#[track_caller]
fn refused(token: &str) {
    for _ in 0..2 {
        assert!(SCENE.keys.open(token).is_none(), "{token}");
        // The two that are ours, if anybody has looked at them.
        assert!(SCENE.keys.published.load().remembered() <= 2);
    }
}

#[test]
fn ours_are_taken() {
    assert!(SCENE.tokens.iter().all(|token| SCENE.keys.open(token).is_some()));
}

#[test]
fn no_algorithm() {
    for token in &SCENE.tokens {
        let [header, payload, signature] = parts(token);
        for alg in ["none", "None", "NONE", "nOnE", ""] {
            let mut forged = json(header);
            forged["alg"] = alg.into();
            let forged = BASE64.encode(forged.to_string());
            for signature in ["", signature] {
                refused(&joined(&forged, payload, signature));
            }
            refused(&format!("{forged}.{payload}"));
        }
        refused(&joined(header, payload, ""));
        refused(&format!("{header}.{payload}"));
        refused(&joined(header, payload, &BASE64.encode([0; 64])));
    }
}

/// Signed with what everybody knows, in whatever form they have it.
#[test]
fn a_public_key_as_a_secret() {
    let published = SCENE.keys.published.load();
    for (key, token) in published.keys.iter().zip(&SCENE.tokens) {
        let [header, payload, _] = parts(token);
        let jwk: serde_json::Value = serde_json::from_str(&key.jwk).unwrap();
        let x = jwk["x"].as_str().unwrap();
        let raw = BASE64.decode(x).unwrap();
        for secret in [raw.as_slice(), x.as_bytes(), key.jwk.as_bytes(), key.kid.as_bytes()] {
            let mut symmetric = json(header);
            symmetric["alg"] = "HS256".into();
            for header in [BASE64.encode(symmetric.to_string()), header.to_owned()] {
                let signed = format!("{header}.{payload}");
                let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap();
                mac.update(signed.as_bytes());
                let tag = mac.finalize().into_bytes();
                refused(&format!("{signed}.{}", BASE64.encode(tag)));
                refused(&format!("{signed}.{}", BASE64.encode([&tag[..], &tag[..]].concat())));
            }
        }
    }
}

#[test]
fn one_algorithm_for_the_other_and_one_key_for_another() {
    let (_data, other) = fresh();
    let published = SCENE.keys.published.load();
    for algorithm in Algorithm::ALL {
        let theirs = other.sign(algorithm, &access_token(), NOW).unwrap();
        refused(&theirs);
        let [_, payload, signature] = parts(&theirs);
        for key in &published.keys {
            refused(&joined(&key.header, payload, signature));
            // Signed over our header, with their key.
            let signed = format!("{}.{payload}", key.header);
            let their_key = &other.published.load().of(algorithm)[0].clone();
            let signature = BASE64.encode(their_key.sign(signed.as_bytes()).unwrap());
            refused(&format!("{signed}.{signature}"));
        }
    }
    // With a key of ours, over the header of the other one.
    let [one, other] = [&published.keys[0], &published.keys[1]];
    for (key, of) in [(one, other), (other, one)] {
        let [_, payload, _] = parts(&SCENE.tokens[0]);
        let signed = format!("{}.{payload}", of.header);
        let signature = BASE64.encode(key.sign(signed.as_bytes()).unwrap());
        refused(&format!("{signed}.{signature}"));
        let mut header = json(&of.header);
        header["kid"] = (*key.kid).into();
        let signed = format!("{}.{payload}", BASE64.encode(header.to_string()));
        let signature = BASE64.encode(key.sign(signed.as_bytes()).unwrap());
        refused(&format!("{signed}.{signature}"));
    }
}

/// A header that brings a key, says where to get one, or asks for what we do not know: signed by
/// that key, and by ours.
#[test]
fn headers_that_say_more() {
    let seed = [7; 32];
    let theirs = Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
    let x = BASE64.encode(theirs.public_key());
    let published = SCENE.keys.published.load();
    let ours = published.of(Algorithm::EdDsa)[0].clone();
    let [header, payload, _] = parts(&SCENE.tokens[0]);
    for (name, value) in [
        ("jwk", serde_json::json!({"kty": "OKP", "crv": "Ed25519", "x": x})),
        ("jku", "https://evil.example.com/jwks.json".into()),
        ("x5u", "https://evil.example.com/chain.pem".into()),
        ("x5c", serde_json::json!([BASE64_STANDARD.encode(theirs.public_key())])),
        ("crit", serde_json::json!(["exp"])),
        ("b64", false.into()),
        ("zip", "DEF".into()),
        ("typ", "JWT".into()),
        ("typ", "AT+JWT".into()),
        ("kid", "../../dev/null".into()),
        ("kid", "' OR 1=1 --".into()),
        ("kid", serde_json::Value::Null),
    ] {
        let mut forged = json(header);
        forged[name] = value;
        let signed = format!("{}.{payload}", BASE64.encode(forged.to_string()));
        for signature in [
            theirs.sign(signed.as_bytes()).as_ref(),
            ours.sign(signed.as_bytes()).unwrap().as_slice(),
        ] {
            refused(&format!("{signed}.{}", BASE64.encode(signature)));
        }
    }
    // The same members, written otherwise.
    let plain = String::from_utf8(BASE64.decode(header).unwrap()).unwrap();
    let reordered = {
        let json = json(header);
        format!(r#"{{"typ":"at+jwt","alg":{},"kid":{}}}"#, json["alg"], json["kid"])
    };
    for other in [format!("{plain} "), plain.replace(':', ": "), reordered] {
        let signed = format!("{}.{payload}", BASE64.encode(other));
        let signature = BASE64.encode(ours.sign(signed.as_bytes()).unwrap());
        refused(&format!("{signed}.{signature}"));
    }
}

#[test]
fn other_forms_of_the_same() {
    for token in &SCENE.tokens {
        let [header, payload, signature] = parts(token);
        for form in [
            format!("{token}."),
            format!("{token}.x"),
            format!(".{token}"),
            format!(" {token}"),
            format!("{token}\n"),
            format!("{header}..{payload}.{signature}"),
            joined(header, payload, &format!("{signature}=")),
            joined(header, payload, &format!("{signature}==")),
            joined(header, &format!("{payload}="), signature),
            joined(&format!("{header}="), payload, signature),
            joined(header, payload, &format!("{signature}A")),
            joined(header, payload, &signature[..85]),
            // Of encrypted ones there are five.
            format!("{header}.{payload}.{signature}.{payload}.{signature}"),
        ] {
            refused(&form);
        }
        // The last digit of a signature has bits that say nothing.
        let last = signature.chars().last().unwrap();
        for digit in ('A'..='Z').chain('a'..='z').chain('0'..='9').chain(['-', '_', '+', '/']) {
            if digit != last {
                refused(&joined(header, payload, &format!("{}{digit}", &signature[..85])));
            }
        }
        // The alphabet of ordinary base64.
        let bytes = BASE64.decode(signature).unwrap();
        let ordinary = BASE64_STANDARD.encode(&bytes);
        refused(&joined(header, payload, &ordinary));
        refused(&joined(header, payload, &BASE64_URL_SAFE.encode(&bytes)));
    }
}

#[test]
fn payloads_that_are_no_claims_are_refused_however_well_they_are_signed() {
    let published = SCENE.keys.published.load();
    let key = &published.keys[0];
    let deep = format!("{}{}", "[".repeat(2_800), "]".repeat(2_800));
    for payload in ["", "{}", "null", "[]", "\u{0}", &deep, r#"{"sub":{"sub":{}}}"#] {
        let token = published.sign(Algorithm::EdDsa, payload.as_bytes(), NOW).unwrap();
        refused(&token);
        // Padded, so that it says the same in another way.
        let signed = format!("{}.{}==", key.header, BASE64.encode(payload));
        let signature = BASE64.encode(key.sign(signed.as_bytes()).unwrap());
        refused(&format!("{signed}.{signature}"));
    }
    assert!(published.sign(Algorithm::EdDsa, &[b'x'; 7_000], NOW).is_err());
}

#[test]
fn what_is_too_long_is_not_looked_at() {
    let key = SCENE.keys.published.load().keys[0].clone();
    let payload = serde_json::to_string(&claims()).unwrap();
    let payload = BASE64.encode(format!("{payload}{}", " ".repeat(7_000)));
    let signed = format!("{}.{payload}", key.header);
    let token = format!("{signed}.{}", BASE64.encode(key.sign(signed.as_bytes()).unwrap()));
    assert!(token.len() > 8 * 1024);
    refused(&token);
    refused(&".".repeat(1 << 20));
}

proptest! {
    #[test]
    fn whatever_is_no_token_is_refused(text in "\\PC{0,200}|[A-Za-z0-9_.=-]{0,400}") {
        prop_assert!(SCENE.keys.open(&text).is_none());
    }

    #[test]
    fn every_change_of_a_byte_is_refused(
        which in 0_usize..2,
        at in any::<prop::sample::Index>(),
        byte in 0_u8..128,
        kind in 0_u8..3,
    ) {
        let token = &SCENE.tokens[which];
        let mut forged = token.clone().into_bytes();
        let at = at.index(forged.len());
        match kind {
            0 => forged[at] = byte,
            1 => forged.insert(at, byte),
            _ => _ = forged.remove(at),
        }
        let forged = String::from_utf8(forged).unwrap();
        if forged != *token {
            prop_assert!(SCENE.keys.open(&forged).is_none(), "{}", forged);
        }
    }

    #[test]
    fn segments_do_not_mix(one in 0_usize..2, two in 0_usize..2, three in 0_usize..2) {
        let [a, b, c] = [one, two, three].map(|which| parts(&SCENE.tokens[which]));
        // The payload is the same in both.
        if one != three {
            prop_assert!(SCENE.keys.open(&joined(a[0], b[1], c[2])).is_none());
        }
    }
}

#[test]
fn every_single_byte_counts() {
    for token in &SCENE.tokens {
        for at in 0..token.len() {
            let mut forged = token.clone().into_bytes();
            forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
            refused(&String::from_utf8(forged).unwrap());
        }
    }
}
