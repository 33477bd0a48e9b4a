//! The three doors, as somebody with a token meets them, and the management API.

use super::server::Server;
use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};
use std::time::Duration;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A place where a token is presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    Gateway,
    ForwardAuth,
    Verify,
}

pub(crate) const DOORS: [Door; 3] = [Door::Gateway, Door::ForwardAuth, Door::Verify];

/// A way to all of them.
pub(crate) struct Doors {
    client: Client<HttpConnector, Full<Bytes>>,
    gateway: String,
    forward_auth: String,
    main: String,
    /// Who asks at `/v1/verify`; none before the server is there.
    caller: std::sync::OnceLock<String>,
}

impl Doors {
    pub(crate) fn new(server: &Server) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let at = |port: u16, path: &str| format!("http://127.0.0.1:{port}{path}");
        Self {
            client: Client::builder(TokioExecutor::new()).build(connector),
            gateway: at(server.ports.gateway, "/soak/things"),
            forward_auth: at(server.ports.forward_auth, "/auth/soak"),
            main: at(server.ports.main, ""),
            caller: std::sync::OnceLock::new(),
        }
    }

    /// Waits until the server is ready, and has its caller made.
    pub(crate) async fn wait(&self, server: &Server) -> Result<()> {
        let mut left = 100;
        loop {
            let request = Request::get(format!("{}/readyz", self.main)).body(Full::default())?;
            match self.answer(request).await {
                Ok((StatusCode::OK, _)) => break,
                outcome if left == 0 => bail!("it does not become ready: {outcome:?}"),
                _ => left -= 1,
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        // Nobody else sets it.
        let _ = self.caller.set(server.caller("soak:verify")?);
        Ok(())
    }

    /// Presents a secret; whether it is admitted.
    pub(crate) async fn admits(&self, door: Door, secret: &str) -> Result<bool> {
        let credential = format!("Bearer {secret}");
        let request = match door {
            Door::Gateway => Request::get(&self.gateway).header("authorization", credential),
            Door::ForwardAuth => Request::get(&self.forward_auth)
                .header("authorization", credential)
                .header("x-original-method", "GET")
                .header("x-original-uri", "/things")
                .header("x-real-ip", "203.0.113.9"),
            Door::Verify => {
                let caller = self.caller.get().context("there is no caller yet")?;
                let question = json!({
                    "api": "soak",
                    "headers": {"authorization": credential},
                    "method": "GET",
                    "path": "/things",
                });
                let answer = self.call("/v1/verify", caller, &question).await?;
                return answer["active"].as_bool().context("it does not say whether it is active");
            }
        };
        match self.answer(request.body(Full::default())?).await? {
            (StatusCode::OK, _) => Ok(true),
            (StatusCode::UNAUTHORIZED, _) => Ok(false),
            (status, body) => bail!("{status}: {}", String::from_utf8_lossy(&body)),
        }
    }

    /// Calls the management API with JSON, for JSON.
    pub(crate) async fn call(&self, path: &str, caller: &str, body: &Value) -> Result<Value> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("{}{path}", self.main))
            .header("authorization", format!("Bearer {caller}"))
            .header("content-type", "application/json")
            .body(Full::from(serde_json::to_vec(body)?))?;
        let (status, body) = self.answer(request).await?;
        if !status.is_success() {
            bail!("{path}: {status}: {}", String::from_utf8_lossy(&body));
        }
        serde_json::from_slice(&body).with_context(|| format!("the answer of {path}"))
    }

    async fn answer(&self, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes)> {
        let answer = async {
            let response = self.client.request(request).await?;
            let status = response.status();
            Ok((status, response.into_body().collect().await?.to_bytes()))
        };
        tokio::time::timeout(PATIENCE, answer).await.context("no answer")?
    }
}
