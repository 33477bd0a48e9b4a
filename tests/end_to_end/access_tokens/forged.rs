//! Forged access tokens, of every known kind, at every door: each is refused as a secret is that
//! nobody knows, and none of them makes the server ask anybody for a key.

use super::{Answer, DOORS, Door, Stage, parts, published, says};
use crate::upstream::Upstream;
use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD as BASE64},
};
use hmac::{Hmac, KeyInit as _, Mac as _};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};
use sha2::Sha256;

/// Secrets that nobody knows: one that looks like one of `ingest`, and one that looks like none.
const UNKNOWN: [&str; 2] = ["ing_0000000000000000000000000000000000000000", "somebody"];

/// Whoever forges: with a genuine token, keys of their own and, at the worst, ours.
struct Forger {
    header: Value,
    claims: Value,
    genuine: String,
    public: Vec<u8>,
    theirs: Ed25519KeyPair,
    ours: Ed25519KeyPair,
}

impl Forger {
    fn new(stage: &Stage) -> Self {
        let genuine = stage.access_token(&stage.ingest.secret);
        let [header, claims, _] = parts(&genuine);
        let (header, claims) = (says(header), says(claims));
        let keys = published(stage.server.main);
        let key = keys.iter().find(|key| key["kid"] == header["kid"]).unwrap();
        let public = BASE64.decode(key["x"].as_str().unwrap()).unwrap();
        let files = std::fs::read_dir(stage.server.data().join("keys")).unwrap();
        let pairs = files.filter_map(|file| {
            Ed25519KeyPair::from_pkcs8(&std::fs::read(file.unwrap().path()).unwrap()).ok()
        });
        let ours = pairs.into_iter().find(|pair| pair.public_key().as_ref() == public).unwrap();
        let theirs = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        Self { header, claims, genuine, public, theirs, ours }
    }

    /// The header and the claims, with something else in them.
    fn header_with(&self, name: &str, value: Value) -> Value {
        with(&self.header, name, value)
    }

    fn claims_with(&self, name: &str, value: Value) -> Value {
        with(&self.claims, name, value)
    }
}

fn with(object: &Value, name: &str, value: Value) -> Value {
    let mut object = object.clone();
    object[name] = value;
    object
}

fn unsigned(header: &Value, claims: &str) -> String {
    format!("{}.{}", BASE64.encode(header.to_string()), BASE64.encode(claims))
}

fn signed(key: &Ed25519KeyPair, header: &Value, claims: &str) -> String {
    let text = unsigned(header, claims);
    let signature = BASE64.encode(key.sign(text.as_bytes()));
    format!("{text}.{signature}")
}

/// What each door says to each of the secrets that nobody knows.
struct Faces([[Answer; 4]; 2]);

impl Faces {
    fn of(stage: &Stage) -> Self {
        Self(UNKNOWN.map(|unknown| DOORS.map(|door| stage.ask(door, unknown))))
    }

    /// Checks that all doors refuse, as they refuse what nobody knows, for this true reason.
    #[track_caller]
    fn are_shown(&self, stage: &Stage, what: &str, forged: &str, code: &str) {
        // Whose signature is ours is known to everybody.
        let unknown = &self.0[usize::from(code == "unknown_token")];
        for (door, unknown) in DOORS.into_iter().zip(unknown) {
            let answer = stage.ask(door, forged);
            assert_eq!(answer.status, 401, "{door:?}, {what}: {forged}");
            assert_eq!(answer.face, unknown.face, "{door:?}, {what}: {forged}");
            assert_eq!(stage.true_code(&answer), code, "{door:?}, {what}: {forged}");
        }
    }
}

#[test]
fn by_whoever_has_no_key_of_ours() {
    let stage = Stage::set();
    let faces = Faces::of(&stage);
    let thief = Forger::new(&stage);
    let bait = Upstream::start();
    let claims = thief.claims.to_string();
    let [header, payload, signature] = parts(&thief.genuine);
    let mut forged: Vec<(&str, String)> = Vec::new();

    for alg in ["none", "None", "NONE", "nOnE", ""] {
        let bare = unsigned(&thief.header_with("alg", json!(alg)), &claims);
        forged.push(("alg none, nothing behind it", format!("{bare}.")));
        forged.push(("alg none, with a signature", format!("{bare}.{signature}")));
    }
    forged.push(("no signature", format!("{header}.{payload}.")));
    forged
        .push(("zeros for a signature", format!("{header}.{payload}.{}", BASE64.encode([0; 64]))));

    // What everybody knows, taken for a shared secret.
    let keys = published(stage.server.main);
    let prefix = BASE64_STANDARD.decode("MCowBQYDK2VwAyEA").unwrap();
    let der = [prefix, thief.public.clone()].concat();
    let pem = format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        BASE64_STANDARD.encode(&der)
    );
    for secret in [&thief.public[..], pem.as_bytes(), keys[0].to_string().as_bytes(), b""] {
        let text = unsigned(&thief.header_with("alg", json!("HS256")), &claims);
        let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap();
        mac.update(text.as_bytes());
        forged.push((
            "the public key as a secret",
            format!("{text}.{}", BASE64.encode(mac.finalize().into_bytes())),
        ));
    }

    // A key of their own, brought along or to be fetched.
    let x = BASE64.encode(thief.theirs.public_key());
    let certificate = BASE64_STANDARD.encode(thief.theirs.public_key());
    let at = |path: &str| json!(format!("{}/{path}", bait.url()));
    for (name, value) in [
        ("jwk", json!({"kty": "OKP", "crv": "Ed25519", "x": x})),
        ("jku", at("jwks.json")),
        ("x5u", at("chain.pem")),
        ("x5c", json!([certificate])),
        ("crit", json!(["exp"])),
        ("kid", json!("../../../../dev/null")),
        ("kid", json!("' OR '1'='1")),
        ("kid", json!("")),
        ("kid", Value::Null),
        ("kid", at("jwks.json")),
        ("iss", at("")),
    ] {
        let header = thief.header_with(name, value);
        forged.push((name, signed(&thief.theirs, &header, &claims)));
    }
    forged.push(("their key under our name", signed(&thief.theirs, &thief.header, &claims)));

    // The other algorithm's name and key.
    let billing = stage.access_token(&stage.billing.secret);
    let [other_header, other_payload, other_signature] = parts(&billing);
    forged.push(("the other's header", format!("{other_header}.{payload}.{signature}")));
    forged.push(("the other's signature", format!("{header}.{payload}.{other_signature}")));
    forged.push(("the other's claims", format!("{header}.{other_payload}.{signature}")));
    let header_of_other = thief.header_with("alg", json!("ES256"));
    forged.push(("another algorithm", signed(&thief.ours, &header_of_other, &claims)));

    // Another installation, of the same name.
    let elsewhere = Stage::set();
    let theirs = elsewhere.access_token(&elsewhere.ingest.secret);
    forged.push(("another installation's", theirs));

    // No tokens at all.
    let deep = format!("{}{}", r#"{"alg":"#.repeat(1_000), "}".repeat(1_000));
    forged.push(("a deep header", format!("{}.{payload}.{signature}", BASE64.encode(deep))));
    let long = BASE64.encode(format!("{}{claims}", " ".repeat(9_000)));
    forged.push(("a long one", format!("{header}.{long}.{signature}")));
    forged.push(("five parts", format!("{header}..{payload}.{signature}.AA")));
    forged.push(("no JSON", format!("eyJ.{payload}.{signature}")));
    forged.push(("nothing", "eyJ..".into()));

    for (what, forged) in forged {
        faces.are_shown(&stage, what, &forged, "unknown_token");
    }
    // The genuine one is good all the while; nothing else got through or was fetched.
    stage.upstream.take();
    for door in DOORS {
        assert_eq!(stage.ask(door, &thief.genuine).status, 200, "{door:?}");
    }
    assert_eq!(stage.upstream.take().len(), 1);
    assert!(bait.take().is_empty());
}

/// Even a signature of ours is not enough: what it signs has to be an access token of ours.
#[test]
fn with_our_own_key() {
    let stage = Stage::set();
    let faces = Faces::of(&stage);
    let thief = Forger::new(&stage);
    let says = |claims: &Value| signed(&thief.ours, &thief.header, &claims.to_string());
    // It does forge well.
    let sound = says(&thief.claims);
    assert_eq!(sound, thief.genuine);

    for (what, header) in [
        ("another type", thief.header_with("typ", json!("JWT"))),
        ("no type", thief.header_with("typ", Value::Null)),
        ("more in the header", thief.header_with("cty", json!("JWT"))),
    ] {
        let forged = signed(&thief.ours, &header, &thief.claims.to_string());
        faces.are_shown(&stage, what, &forged, "unknown_token");
    }
    let now = thief.claims["iat"].as_u64().unwrap();
    let deep = format!("{}{}", "[".repeat(2_500), "]".repeat(2_500));
    let deep = thief.claims.to_string().replace("\"ingest\"", &deep);
    faces.are_shown(
        &stage,
        "deep claims",
        &signed(&thief.ours, &thief.header, &deep),
        "unknown_token",
    );
    for (name, value, code) in [
        ("iss", json!("https://tokens.example.org"), "unknown_token"),
        ("iss", json!("https://tokens.example.com/"), "unknown_token"),
        ("aud", json!(["ingest"]), "unknown_token"),
        ("aud", json!(["ingest", "billing"]), "unknown_token"),
        ("aud", Value::Null, "unknown_token"),
        ("exp", json!(now - 60), "expired"),
        ("exp", json!("9999999999"), "unknown_token"),
        ("exp", json!(1e300), "unknown_token"),
        ("exp", Value::Null, "unknown_token"),
        // We sign none that begins later, and know no such claim.
        ("nbf", json!(now + 3600), "unknown_token"),
        ("admin", json!(true), "unknown_token"),
        ("client_id", json!(stage.billing.id), "revoked"),
        ("client_id", json!("../x"), "unknown_token"),
        ("sub", json!("01890a5d-ac96-774b-bcce-b302099a8057"), "revoked"),
        ("secret_mark", json!("0000000000000000"), "revoked"),
    ] {
        let forged = says(&thief.claims_with(name, value));
        faces.are_shown(&stage, &format!("{name} in {forged}"), &forged, code);
    }
    // One of the other API's: good there, and nowhere else.
    let billing = stage.access_token(&stage.billing.secret);
    for (door, unknown) in DOORS.into_iter().zip(&faces.0[0]).take(3) {
        let answer = stage.ask(door, &billing);
        assert_eq!(answer.face, unknown.face, "{door:?}");
        assert_eq!(stage.true_code(&answer), "wrong_api", "{door:?}");
    }
    // More than its token may is no more than its token may.
    stage.upstream.take();
    let more = says(&thief.claims_with("scope", json!("write read")));
    assert_eq!(stage.ask(Door::Gateway, &more).status, 200);
    assert_eq!(stage.upstream.take_one().values("x-counterfoil-scopes"), ["write"]);
}
