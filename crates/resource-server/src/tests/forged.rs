//! Forged tokens, of every known kind.

use super::issuer::{SigningKey, base64, sign, sign_text};
use super::{AUDIENCE, NOW, World, header};
use crate::Refused;
use proptest::prelude::*;
use ring::{digest::SHA256, hmac};
use serde_json::{Value, json};

/// A token whose signature is an HMAC with `key`.
fn hmac(header: &Value, claims: &Value, key: &[u8]) -> String {
    let signed = format!(
        "{}.{}",
        base64(header.to_string().as_bytes()),
        base64(claims.to_string().as_bytes())
    );
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), signed.as_bytes());
    format!("{signed}.{}", base64(tag.as_ref()))
}

impl World {
    async fn refuses(&self, token: &str, why: Refused) {
        assert_eq!(self.verify(token).await, Err(why), "{token}");
    }
}

#[tokio::test]
async fn no_signature() {
    let world = World::new().await;
    let claims = base64(world.claims().to_string().as_bytes());
    for alg in ["none", "None", "NONE", "nOnE", ""] {
        let header = base64(header(alg, "ed").to_string().as_bytes());
        for signature in ["", "AA"] {
            let token = format!("{header}.{claims}.{signature}");
            world.refuses(&token, Refused::WrongAlgorithm).await;
        }
    }
    let header = base64(header("EdDSA", "ed").to_string().as_bytes());
    world.refuses(&format!("{header}.{claims}."), Refused::WrongSignature).await;
    world.refuses(&format!("{header}.{claims}"), Refused::Malformed).await;
}

#[tokio::test]
async fn the_public_key_as_a_secret() {
    let world = World::new().await;
    for (key, kid) in [(&world.ed, "ed"), (&world.ec, "ec")] {
        let jwk = key.jwk(kid).to_string();
        let x = key.jwk(kid)["x"].as_str().unwrap().to_owned();
        for secret in [key.public(), jwk.as_bytes(), x.as_bytes(), b""] {
            for alg in ["HS256", "HS384", "HS512"] {
                let token = hmac(&header(alg, kid), &world.claims(), secret);
                world.refuses(&token, Refused::WrongAlgorithm).await;
            }
            let token = hmac(&header(key.algorithm(), kid), &world.claims(), secret);
            world.refuses(&token, Refused::WrongSignature).await;
        }
    }
}

#[tokio::test]
async fn another_algorithm_than_the_keys() {
    let world = World::new().await;
    let claims = world.claims();
    for (alg, kid, signer) in [
        ("ES256", "ed", &world.ec),
        ("ES256", "ed", &world.ed),
        ("EdDSA", "ec", &world.ed),
        ("EdDSA", "ec", &world.ec),
        ("RS256", "ed", &world.ed),
        ("Ed25519", "ed", &world.ed),
        ("eddsa", "ed", &world.ed),
        ("ES384", "ec", &world.ec),
    ] {
        let token = sign(&header(alg, kid), &claims, signer);
        world.refuses(&token, Refused::WrongAlgorithm).await;
    }
}

#[tokio::test]
async fn another_keys_signature() {
    let world = World::new().await;
    let claims = world.claims();
    for (alg, kid, key) in
        [("EdDSA", "ed", SigningKey::ed25519()), ("ES256", "ec", SigningKey::p256())]
    {
        world.refuses(&sign(&header(alg, kid), &claims, &key), Refused::WrongSignature).await;
    }
    world.refuses(&sign(&header("EdDSA", "ed"), &claims, &world.ec), Refused::WrongSignature).await;
}

#[tokio::test]
async fn a_signature_of_zeros() {
    let world = World::new().await;
    for kid in ["ed", "ec"] {
        let alg = if kid == "ed" { "EdDSA" } else { "ES256" };
        let token = sign(&header(alg, kid), &world.claims(), &world.ed);
        let (signed, _) = token.rsplit_once('.').unwrap();
        for length in [0, 1, 63, 64, 65, 96] {
            let token = format!("{signed}.{}", base64(&vec![0; length]));
            world.refuses(&token, Refused::WrongSignature).await;
        }
    }
}

#[tokio::test]
async fn another_tokens_parts() {
    let world = World::new().await;
    let ours = world.token();
    let theirs = world.signed(&world.claims_with("sub", json!("somebody else")));
    let ours: Vec<_> = ours.split('.').collect();
    let theirs: Vec<_> = theirs.split('.').collect();
    let token = [ours[0], theirs[1], ours[2]].join(".");
    world.refuses(&token, Refused::WrongSignature).await;
    let header =
        base64(json!({"typ": "at+jwt", "alg": "EdDSA", "kid": "ed"}).to_string().as_bytes());
    let token = [&*header, ours[1], ours[2]].join(".");
    world.refuses(&token, Refused::WrongSignature).await;
}

#[tokio::test]
async fn a_kid_that_is_something_else() {
    let world = World::new().await;
    for kid in [
        "unknown",
        "",
        "ED",
        "ed ",
        "ed\0",
        "../../../../dev/null",
        "ed' OR '1'='1",
        "https://evil.example/key",
        "$(id)",
    ] {
        let token = sign(&header("EdDSA", kid), &world.claims(), &world.ed);
        world.refuses(&token, Refused::UnknownKey).await;
    }
    for kid in [json!(null), json!(0), json!(["ed"]), json!({"ed": 1})] {
        let header = json!({"alg": "EdDSA", "kid": kid, "typ": "at+jwt"});
        world.refuses(&sign(&header, &world.claims(), &world.ed), Refused::Malformed).await;
    }
    let without = json!({"alg": "EdDSA", "typ": "at+jwt"});
    world.refuses(&sign(&without, &world.claims(), &world.ed), Refused::Malformed).await;
}

#[tokio::test]
async fn a_key_that_comes_with_the_token() {
    let world = World::new().await;
    let evil = SigningKey::ed25519();
    let place = format!("{}/other/keys", world.issuer.url());
    let asked = world.issuer.asked();
    for (name, value) in [
        ("jwk", evil.jwk("ed")),
        ("jku", json!(place)),
        ("x5u", json!(place)),
        ("x5c", json!([base64(evil.public())])),
        ("x5t", json!(base64(evil.public()))),
    ] {
        let mut header = header("EdDSA", "ed");
        header[name] = value;
        world.refuses(&sign(&header, &world.claims(), &evil), Refused::WrongSignature).await;
        // They are not looked at, so they do no harm either.
        assert!(world.verify(&sign(&header, &world.claims(), &world.ed)).await.is_ok());
        header["kid"] = json!("evil");
        world.refuses(&sign(&header, &world.claims(), &evil), Refused::UnknownKey).await;
    }
    assert_eq!(world.issuer.asked(), asked);
}

#[tokio::test]
async fn extensions_that_are_critical() {
    let world = World::new().await;
    for crit in [json!(["exp"]), json!(["b64"]), json!([]), json!(null), json!("x")] {
        let mut header = header("EdDSA", "ed");
        header["crit"] = crit;
        header["b64"] = json!(false);
        let token = sign(&header, &world.claims(), &world.ed);
        world.refuses(&token, Refused::CriticalExtension).await;
    }
}

#[tokio::test]
async fn another_type() {
    let world = World::new().await;
    for typ in ["JWT", "jwt", "dpop+jwt", "logout+jwt", "secevent+jwt", "at+jwt ", "at+jwt;v=1", ""]
    {
        let header = json!({"alg": "EdDSA", "kid": "ed", "typ": typ});
        world.refuses(&sign(&header, &world.claims(), &world.ed), Refused::WrongType).await;
    }
    let header = json!({"alg": "EdDSA", "kid": "ed"});
    world.refuses(&sign(&header, &world.claims(), &world.ed), Refused::WrongType).await;
}

#[tokio::test]
async fn another_issuer_or_audience() {
    let world = World::new().await;
    let url = world.issuer.url();
    for issuer in [format!("{url}/"), url.to_uppercase(), String::new(), "https://evil".into()] {
        let token = world.signed(&world.claims_with("iss", json!(issuer)));
        world.refuses(&token, Refused::WrongIssuer).await;
    }
    for audience in
        [json!("other"), json!(""), json!("Orders"), json!([AUDIENCE, "other"]), json!(["other"])]
    {
        let token = world.signed(&world.claims_with("aud", audience));
        world.refuses(&token, Refused::WrongAudience).await;
    }
    for audience in [json!([]), json!(null), json!({AUDIENCE: 1}), json!([[AUDIENCE]])] {
        let token = world.signed(&world.claims_with("aud", audience));
        world.refuses(&token, Refused::BadClaims).await;
    }
}

#[tokio::test]
async fn another_time() {
    let world = World::new().await;
    for (name, value, why) in [
        ("exp", json!(NOW), Refused::Expired),
        ("exp", json!(NOW - 1), Refused::Expired),
        ("exp", json!(0), Refused::Expired),
        ("nbf", json!(NOW + 6), Refused::NotYetValid),
        ("iat", json!(NOW + 6), Refused::NotYetValid),
        ("exp", json!(u64::MAX), Refused::BadClaims),
        ("exp", json!(-1), Refused::BadClaims),
        ("exp", json!(1e300), Refused::BadClaims),
        ("exp", json!("9999999999"), Refused::BadClaims),
        ("exp", json!(null), Refused::BadClaims),
    ] {
        world.refuses(&world.signed(&world.claims_with(name, value)), why).await;
    }
    assert!(world.verify(&world.signed(&world.claims_with("exp", json!(NOW + 1)))).await.is_ok());
    assert!(world.verify(&world.signed(&world.claims_with("nbf", json!(NOW + 5)))).await.is_ok());
}

#[tokio::test]
async fn claims_that_stand_twice() {
    let world = World::new().await;
    let genuine = world.claims().to_string();
    for twice in [
        format!(r#"{{"exp":{},{}"#, NOW + 9999, &genuine[1..]),
        format!(r#"{{"sub":"admin",{}"#, &genuine[1..]),
        format!(r#"{{"s\u0075b":"admin",{}"#, &genuine[1..]),
        format!(r#"{{"x":1,"x":2,{}"#, &genuine[1..]),
    ] {
        let token = sign_text(&header("EdDSA", "ed").to_string(), &twice, &world.ed);
        world.refuses(&token, Refused::BadClaims).await;
    }
    let twice = r#"{"alg":"none","alg":"EdDSA","kid":"ed","typ":"at+jwt"}"#;
    world.refuses(&sign_text(twice, &genuine, &world.ed), Refused::Malformed).await;
}

#[tokio::test]
async fn what_is_no_json_object() {
    let world = World::new().await;
    let genuine = world.claims().to_string();
    let sound = header("EdDSA", "ed").to_string();
    let deep = "[".repeat(8000);
    for claims in
        ["", "null", "[]", "{", &deep, &format!("{genuine}x"), &format!("{genuine}{genuine}")]
    {
        world.refuses(&sign_text(&sound, claims, &world.ed), Refused::BadClaims).await;
    }
    for header in ["", "null", "[]", "{", &deep, &format!("{sound}x"), &format!("{sound}{sound}")] {
        world.refuses(&sign_text(header, &genuine, &world.ed), Refused::Malformed).await;
    }
    let deep = format!(r#"{{"x":{}{},{}"#, "[".repeat(3000), "]".repeat(3000), &genuine[1..]);
    // It is skipped, whatever its depth, and takes no stack.
    let token = sign_text(&sound, &deep, &world.ed);
    assert!(token.len() < 16 * 1024 && world.verify(&token).await.is_ok());
    let deep = genuine.replace(r#""orders""#, &format!("{}{}", "[".repeat(3000), "]".repeat(3000)));
    world.refuses(&sign_text(&sound, &deep, &world.ed), Refused::BadClaims).await;
}

#[tokio::test]
async fn what_is_too_large() {
    let world = World::new().await;
    let large = world.signed(&world.claims_with("x", json!("x".repeat(16 * 1024))));
    world.refuses(&large, Refused::TooLarge).await;
    world.refuses(&".".repeat(16 * 1024 + 1), Refused::TooLarge).await;
    world.refuses(&".".repeat(16 * 1024), Refused::Malformed).await;
    let much = world.signed(&world.claims_with("x", json!("x".repeat(11 * 1024))));
    assert!(world.verify(&much).await.is_ok());
}

#[tokio::test]
async fn another_spelling_of_the_same_bytes() {
    let world = World::new().await;
    let token = world.token();
    // An Ed25519 signature has 64 bytes: four bits of its last character mean nothing.
    let last = token.chars().next_back().unwrap();
    for other in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".chars() {
        let changed = format!("{}{other}", &token[..token.len() - 1]);
        if other != last {
            assert!(world.verify(&changed).await.is_err(), "{changed}");
        }
    }
    for changed in [
        format!("{token}="),
        format!("{token}=="),
        format!("{token} "),
        format!(" {token}"),
        format!("{token}\n"),
        format!("{token}."),
        format!("{token}.e30"),
        token.replacen('.', "=.", 1),
        token.replacen('.', "..", 1),
        token.replace('.', " ."),
    ] {
        world.refuses(&changed, Refused::Malformed).await;
    }
}

#[tokio::test]
async fn every_part_of_a_token() {
    let world = World::new().await;
    let token = world.token();
    for length in 0..token.len() {
        assert!(world.verify(&token[..length]).await.is_err(), "{length}");
        assert!(world.verify(&token[length + 1..]).await.is_err(), "{length}");
    }
    assert_eq!(SHA256.output_len(), crate::remembered::Remembered::digest(&token).len());
}

/// A runtime of its own, since the cases are run by proptest.
fn in_world(test: impl FnOnce(&tokio::runtime::Runtime, &World)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let world = runtime.block_on(World::new());
    test(&runtime, &world);
}

fn cases<S: Strategy>(strategy: &S, test: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let mut runner = proptest::test_runner::TestRunner::default();
    runner.run(strategy, test).unwrap();
}

#[test]
fn whatever_arrives_is_answered() {
    in_world(|runtime, world| {
        let text = prop_oneof![any::<String>(), "[A-Za-z0-9_.=-]{0,200}", "(e30|[.]|AA){0,9}"];
        cases(&text, |text| {
            prop_assert!(runtime.block_on(world.verify(&text)).is_err());
            Ok(())
        });
    });
}

#[test]
fn no_change_to_a_token_is_accepted() {
    in_world(|runtime, world| {
        let token = world.token();
        let change = (any::<prop::sample::Index>(), 0..4_u8, any::<char>());
        cases(&change, |(at, kind, character)| {
            let mut changed: Vec<char> = token.chars().collect();
            let at = at.index(changed.len());
            match kind {
                0 => changed[at] = character,
                1 => changed.insert(at, character),
                2 => drop(changed.remove(at)),
                _ => changed.swap(at, token.len() / 2),
            }
            let changed: String = changed.into_iter().collect();
            prop_assert_eq!(runtime.block_on(world.verify(&changed)).is_ok(), changed == token);
            Ok(())
        });
    });
}

#[test]
fn whatever_is_signed_is_answered() {
    let json = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        prop::collection::vec(any::<u8>(), 0..3).prop_map(Value::from),
    ];
    let claim = prop::sample::select(vec![
        "iss",
        "aud",
        "exp",
        "iat",
        "nbf",
        "jti",
        "sub",
        "client_id",
        "scope",
        "organization",
        "role",
    ]);
    in_world(|runtime, world| {
        cases(&(claim, json, any::<String>()), |(claim, value, text)| {
            let changed = world.signed(&world.claims_with(claim, value));
            let _ = runtime.block_on(world.verify(&changed));
            let sound = header("EdDSA", "ed").to_string();
            let token = sign_text(&sound, &text, &world.ed);
            prop_assert!(runtime.block_on(world.verify(&token)).is_err());
            let token = sign_text(&text, &world.claims().to_string(), &world.ed);
            prop_assert!(runtime.block_on(world.verify(&token)).is_err());
            Ok(())
        });
    });
}
