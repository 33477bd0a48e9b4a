//! An issuer: keys of its own, and a server that publishes them and counts who asks.

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header::CACHE_CONTROL};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub(crate) struct Issuer {
    address: SocketAddr,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

struct Shared {
    answer: Mutex<Answer>,
    asked: watch::Sender<usize>,
    open: watch::Sender<bool>,
}

/// What is answered to whoever asks for keys.
#[derive(Clone)]
pub(crate) enum Answer {
    Keys { document: String, cache_control: String },
    Redirect(String),
    Status(u16),
}

impl Issuer {
    pub(crate) async fn start() -> Self {
        let shared = Arc::new(Shared {
            answer: Mutex::new(Answer::Status(404)),
            asked: watch::Sender::new(0),
            open: watch::Sender::new(true),
        });
        let (address, server) = serve("127.0.0.1:0".parse().unwrap(), shared.clone()).await;
        Self { address, shared, server }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn publish(&self, keys: &[Value]) {
        let document = json!({"keys": keys}).to_string();
        self.answer(Answer::Keys { document, cache_control: "public, max-age=300".into() });
    }

    pub(crate) fn answer(&self, answer: Answer) {
        *self.shared.answer.lock().unwrap() = answer;
    }

    /// How often keys were asked for.
    pub(crate) fn asked(&self) -> usize {
        *self.shared.asked.borrow()
    }

    pub(crate) async fn is_asked(&self, times: usize) {
        self.shared.asked.subscribe().wait_for(|asked| *asked >= times).await.unwrap();
    }

    /// Questions are taken, and answered once [`answers`](Self::answers) is called.
    pub(crate) fn is_silent(&self) {
        self.shared.open.send_replace(false);
    }

    pub(crate) fn answers(&self) {
        self.shared.open.send_replace(true);
    }

    /// Nobody listens any more.
    pub(crate) async fn goes_down(&mut self) {
        self.server.abort();
        let _ = (&mut self.server).await;
    }

    pub(crate) async fn comes_back(&mut self) {
        (_, self.server) = serve(self.address, self.shared.clone()).await;
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(address: SocketAddr, shared: Arc<Shared>) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind(address).await.unwrap();
    let address = listener.local_addr().unwrap();
    let metadata = json!({
        "issuer": format!("http://{address}"),
        "jwks_uri": format!("http://{address}/other/keys"),
    });
    let app = Router::new()
        .route("/.well-known/jwks.json", get(keys))
        .route("/other/keys", get(keys))
        .route(
            "/.well-known/oauth-authorization-server",
            get(|| async move { metadata.to_string() }),
        )
        .with_state(shared);
    (address, tokio::spawn(async { axum::serve(listener, app).await.unwrap() }))
}

async fn keys(State(shared): State<Arc<Shared>>) -> Response {
    shared.asked.send_modify(|asked| *asked += 1);
    shared.open.subscribe().wait_for(|open| *open).await.unwrap();
    let answer = shared.answer.lock().unwrap().clone();
    match answer {
        Answer::Keys { document, cache_control } => {
            ([(CACHE_CONTROL, cache_control)], document).into_response()
        }
        Answer::Redirect(to) => Redirect::temporary(&to).into_response(),
        Answer::Status(status) => StatusCode::from_u16(status).unwrap().into_response(),
    }
}

pub(crate) enum SigningKey {
    Ed25519(Ed25519KeyPair),
    P256(EcdsaKeyPair),
}

impl SigningKey {
    pub(crate) fn ed25519() -> Self {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self::Ed25519(Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap())
    }

    pub(crate) fn p256() -> Self {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        Self::P256(EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).unwrap())
    }

    pub(crate) fn algorithm(&self) -> &'static str {
        match self {
            Self::Ed25519(_) => "EdDSA",
            Self::P256(_) => "ES256",
        }
    }

    pub(crate) fn public(&self) -> &[u8] {
        match self {
            Self::Ed25519(key) => key.public_key().as_ref(),
            Self::P256(key) => key.public_key().as_ref(),
        }
    }

    pub(crate) fn jwk(&self, kid: &str) -> Value {
        let mut jwk = match self {
            Self::Ed25519(_) => json!({"kty": "OKP", "crv": "Ed25519", "x": base64(self.public())}),
            Self::P256(_) => {
                let (x, y) = self.public()[1..].split_at(32);
                json!({"kty": "EC", "crv": "P-256", "x": base64(x), "y": base64(y)})
            }
        };
        jwk["kid"] = kid.into();
        jwk["use"] = "sig".into();
        jwk["alg"] = self.algorithm().into();
        jwk
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Ed25519(key) => key.sign(message).as_ref().to_vec(),
            Self::P256(key) => key.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec(),
        }
    }
}

/// A token with that header and those claims.
pub(crate) fn sign(header: &Value, claims: &Value, key: &SigningKey) -> String {
    sign_text(&header.to_string(), &claims.to_string(), key)
}

/// The same with texts that need not be JSON.
pub(crate) fn sign_text(header: &str, claims: &str, key: &SigningKey) -> String {
    let signed = format!("{}.{}", base64(header.as_bytes()), base64(claims.as_bytes()));
    let signature = key.sign(signed.as_bytes());
    format!("{signed}.{}", base64(&signature))
}

pub(crate) fn base64(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}
