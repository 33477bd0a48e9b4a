//! Access tokens: obtained with a token, taken at every door, and gone with that token.

mod ends;
mod exchange;
mod forged;
mod service;

use crate::{
    caller::Caller,
    installation::{ADA, Installation, Token},
    response::Response,
    server::Server,
    upstream::Upstream,
    wire::Wire,
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use serde_json::{Value, json};
use std::net::SocketAddr;

/// Two APIs with access tokens, signed each in its own way.
const APIS: &str = r#"
[api.ingest]
upstream = "http://127.0.0.1:1"
[api.ingest.tokens]
prefix = "ing"
[api.ingest.scopes]
write = "Send events"
read = "Read what was sent"
[api.ingest.roles]
writer = ["read", "write"]
[api.ingest.access_tokens]
lifetime = "24h"

[api.billing]
upstream = "http://127.0.0.1:1"
[api.billing.access_tokens]
lifetime = "24h"
algorithm = "ES256"
"#;

/// A place where access tokens are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    Gateway,
    ForwardAuth,
    Verify,
    Exchange,
}

const DOORS: [Door; 4] = [Door::Gateway, Door::ForwardAuth, Door::Verify, Door::Exchange];

/// What a door answers: the status, and the whole of it without its number; and that number.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    status: u16,
    face: String,
    request_id: String,
}

/// A server with both APIs, and a token for each.
struct Stage {
    server: Server,
    upstream: Upstream,
    service: Caller,
    ingest: Token,
    billing: Token,
}

impl Stage {
    fn set() -> Self {
        let upstream = Upstream::start();
        let mut installation = Installation::new(APIS);
        for api in ["INGEST", "BILLING"] {
            installation.set(&format!("COUNTERFOIL_API_{api}_UPSTREAM"), &upstream.url());
        }
        // In the name of which all of them sign: what tells them apart are their keys.
        installation.set("COUNTERFOIL_SERVER_PUBLIC_URL", "https://tokens.example.com");
        let server = installation.set_up().start();
        let service = Caller::new(&server, ADA, &["ingest:verify", "billing:verify"], &[]);
        let ingest = server.issue("ingest", &["--scope", "write"]);
        let billing = server.issue("billing", &[]);
        Self { server, upstream, service, ingest, billing }
    }

    fn access_token(&self, secret: &str) -> String {
        access_token(self.server.main, secret)
    }

    /// What a door of `ingest` says to this bearer, who wants to write.
    fn ask(&self, door: Door, bearer: &str) -> Answer {
        let line = format!("authorization: Bearer {bearer}\r\n");
        let exchange = |address, request: String| -> Response {
            Wire::connect(address).unwrap().exchange(request).unwrap()
        };
        let response = match door {
            Door::Gateway => {
                let head = "POST /ingest/events HTTP/1.1\r\nhost: api\r\ncontent-length: 0\r\n";
                exchange(self.server.gateway, format!("{head}{line}\r\n"))
            }
            Door::ForwardAuth => {
                let says = "x-original-method: POST\r\nx-original-uri: /events\r\n\
                            x-real-ip: 127.0.0.1\r\n";
                let head = "GET /auth/ingest HTTP/1.1\r\nhost: counterfoil\r\n";
                exchange(self.server.forward_auth, format!("{head}{says}{line}\r\n"))
            }
            Door::Exchange => authenticate(self.server.main, bearer),
            Door::Verify => return self.verify(bearer),
        };
        let request_id = response.request_id().to_owned();
        Answer { status: response.status, face: response.face(), request_id }
    }

    /// What a service is told that asks about such a request.
    fn verify(&self, bearer: &str) -> Answer {
        let question = json!({
            "api": "ingest",
            "headers": {"authorization": format!("Bearer {bearer}")},
            "method": "POST",
            "path": "/events",
            "client_address": "127.0.0.1",
        });
        let answer = self.service.post("/v1/verify", &question);
        assert_eq!(answer.status, 200, "{answer:?}");
        let answer = answer.json();
        if answer["active"] == true {
            return Answer { status: 200, face: answer.to_string(), request_id: String::new() };
        }
        let refusal = &answer["refusal"];
        let request_id = refusal["headers"]["x-request-id"].as_str().unwrap();
        Answer {
            status: refusal["status"].as_u64().unwrap().try_into().unwrap(),
            face: refusal.to_string().replace(request_id, "ID"),
            request_id: request_id.to_owned(),
        }
    }

    /// The true reason of a refusal.
    fn true_code(&self, answer: &Answer) -> String {
        let path = format!("/v1/refusals/{}", answer.request_id);
        let told = self.server.operator().unwrap().call("GET", &path, "").unwrap();
        told.json()["code"].as_str().unwrap_or_else(|| panic!("{answer:?}")).to_owned()
    }
}

/// `POST /authenticate` on the server's listener.
fn authenticate(main: SocketAddr, bearer: &str) -> Response {
    let request = format!(
        "POST /authenticate HTTP/1.1\r\nhost: counterfoil\r\nauthorization: Bearer {bearer}\r\n\
         content-length: 0\r\n\r\n",
    );
    Wire::connect(main).unwrap().exchange(request).unwrap()
}

/// The access token for a secret.
#[track_caller]
fn access_token(main: SocketAddr, secret: &str) -> String {
    let answer = authenticate(main, secret);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("cache-control"), "no-store");
    answer.json()["token"].as_str().unwrap().to_owned()
}

/// The three parts of an access token.
fn parts(access_token: &str) -> [&str; 3] {
    access_token.split('.').collect::<Vec<_>>().try_into().unwrap()
}

/// What a part says.
fn says(part: &str) -> Value {
    serde_json::from_slice(&BASE64.decode(part).unwrap()).unwrap()
}

/// What an access token claims.
fn claims(access_token: &str) -> Value {
    says(parts(access_token)[1])
}

/// The published keys.
fn published(main: SocketAddr) -> Vec<Value> {
    let request = "GET /.well-known/jwks.json HTTP/1.1\r\nhost: counterfoil\r\n\r\n";
    let answer = Wire::connect(main).unwrap().exchange(request).unwrap();
    answer.json()["keys"].as_array().unwrap().clone()
}
