//! The verifier with a real issuer on this machine, and a clock that is set.

pub(crate) mod clock;
mod forged;
mod guard;
mod issuer;
mod keys;
mod repeated;

use crate::{AccessToken, Builder, Refused, Verifier};
use clock::{NOW, SetClock};
use issuer::{Issuer, SigningKey, sign};
use serde_json::{Value, json};
use std::time::Duration;

const AUDIENCE: &str = "orders";

/// An issuer with a key of either kind, `ed` and `ec`, and a verifier for it.
struct World {
    issuer: Issuer,
    ed: SigningKey,
    ec: SigningKey,
    clock: SetClock,
    verifier: Verifier,
}

impl World {
    async fn new() -> Self {
        Self::with(|builder| builder).await
    }

    async fn with(settings: impl FnOnce(Builder) -> Builder) -> Self {
        let (ed, ec) = (SigningKey::ed25519(), SigningKey::p256());
        let issuer = Issuer::start().await;
        issuer.publish(&[ed.jwk("ed"), ec.jwk("ec")]);
        let clock = SetClock::new();
        let builder = Verifier::builder(issuer.url(), AUDIENCE).clock(clock.as_clock());
        let verifier = settings(builder).build().await.unwrap();
        Self { issuer, ed, ec, clock, verifier }
    }

    async fn verify(&self, token: &str) -> Result<AccessToken, Refused> {
        self.verifier.verify(token).await
    }

    fn claims(&self) -> Value {
        json!({
            "iss": self.issuer.url(),
            "aud": AUDIENCE,
            "exp": NOW + 3600,
            "iat": NOW,
            "jti": "0198a3c4-0000-7000-8000-000000000001",
            "sub": "0198a3c4-0000-7000-8000-000000000002",
            "client_id": "0198a3c4-0000-7000-8000-000000000003",
            "organization": "0198a3c4-0000-7000-8000-000000000004",
            "scope": "read costs:write",
            "role": "editor",
        })
    }

    fn claims_with(&self, name: &str, value: Value) -> Value {
        let mut claims = self.claims();
        claims[name] = value;
        claims
    }

    /// A genuine token.
    fn token(&self) -> String {
        self.signed(&self.claims())
    }

    fn signed(&self, claims: &Value) -> String {
        sign(&header("EdDSA", "ed"), claims, &self.ed)
    }

    /// A genuine token that lives for days.
    fn lasting(&self, key: &SigningKey, kid: &str) -> String {
        let claims = self.claims_with("exp", json!(NOW + 10 * 86_400));
        sign(&header(key.algorithm(), kid), &claims, key)
    }
}

fn header(alg: &str, kid: &str) -> Value {
    json!({"alg": alg, "kid": kid, "typ": "at+jwt"})
}

#[tokio::test]
async fn a_genuine_token_is_accepted() {
    let world = World::new().await;
    let token = world.verify(&world.token()).await.unwrap();
    assert_eq!(token.id(), "0198a3c4-0000-7000-8000-000000000001");
    assert_eq!(token.account(), "0198a3c4-0000-7000-8000-000000000002");
    assert_eq!(token.client_id(), "0198a3c4-0000-7000-8000-000000000003");
    assert_eq!(token.organization(), "0198a3c4-0000-7000-8000-000000000004");
    assert_eq!(token.role(), Some("editor"));
    assert_eq!(token.scopes().collect::<Vec<_>>(), ["read", "costs:write"]);
    let lifetime = token.expires_at().duration_since(token.issued_at()).unwrap();
    assert_eq!(lifetime, Duration::from_hours(1));
    for (needed, enough) in
        [("read", true), ("costs:read", true), ("costs:write", true), ("write", false)]
    {
        assert_eq!(token.allows(&needed.parse().unwrap()), enough, "{needed}");
    }
}

#[tokio::test]
async fn either_algorithm_and_type_will_do() {
    let world = World::new().await;
    let es256 = sign(&header("ES256", "ec"), &world.claims(), &world.ec);
    assert!(world.verify(&es256).await.is_ok());
    let header = json!({"alg": "EdDSA", "kid": "ed", "typ": "application/at+jwt"});
    assert!(world.verify(&sign(&header, &world.claims(), &world.ed)).await.is_ok());
}

#[tokio::test]
async fn nothing_prints_a_token() {
    let world = World::new().await;
    let text = world.token();
    let token = world.verify(&text).await.unwrap();
    let printed = format!("{token:?} {:?} {:?}", world.verifier, world.verifier.guard());
    for part in text.split('.') {
        assert!(!printed.contains(part), "{printed}");
    }
}
