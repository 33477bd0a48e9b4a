//! How commands reach the server: through its socket, or, where none runs, by
//! opening the data directory themselves and asking the same API in-process.

use super::{Failure, Global, configuration};
use crate::{
    app::App,
    http::{api, operator},
    store::sqlite::{DataDirectory, DirectoryError},
};
use anyhow::{Context as _, anyhow};
use axum::{Router, body::Body};
use http_body_util::BodyExt as _;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::Arc,
};
use tower::ServiceExt as _;

/// A way to the management API, as the operator.
pub(crate) enum Operator {
    /// A server runs; it is asked.
    Server(PathBuf),
    /// No server runs; this process has the data directory.
    Here(Router, App),
}

impl Operator {
    /// Finds the server that runs on the data directory, or opens that directory.
    pub(crate) async fn reach(global: &Global) -> Result<Self, Failure> {
        Self::reach_or_make(global, false).await
    }

    /// The same, but the database may not be there yet.
    pub(crate) async fn reach_or_make(global: &Global, make: bool) -> Result<Self, Failure> {
        let data = global.data();
        match operator::connect(&data).await {
            Ok(_) => return Ok(Self::Server(data)),
            // None was there ever, or none is there now.
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {}
            Err(error) => {
                let reached = format!("the server on {} cannot be reached", data.display());
                return Err(anyhow::Error::from(error).context(reached).into());
            }
        }
        Self::open(global, &data, make).await
    }

    async fn open(global: &Global, data: &Path, make: bool) -> Result<Self, Failure> {
        let config = configuration::load(global)?;
        if !make && !data.join(&config.database.file).exists() {
            return Err(Failure::Failed(anyhow!(
                "there is no database in {} and no server runs on it; start one with \
                 `counterfoil serve`, set one up with `counterfoil init`, or name another \
                 directory with --data",
                data.display()
            )));
        }
        let directory = match DataDirectory::lock(data) {
            Err(DirectoryError::InUse { path, by }) => {
                return Err(Failure::Failed(anyhow!(
                    "another counterfoil process{by} has {} but does not answer; \
                     if it is just starting or stopping, try again",
                    path.display()
                )));
            }
            other => other.map_err(anyhow::Error::from)?,
        };
        let app = App::open(&config, Arc::new(directory), Box::new(|_, _| {})).await?;
        Ok(Self::Here(api::for_operator(app.service.clone()), app))
    }

    /// One call: its answer, or what the server said was wrong.
    pub(crate) async fn call(
        &self,
        method: http::Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Failure> {
        let response = self.send(method, path, body).await?;
        let (head, body) = response.into_parts();
        let bytes = body.collect().await.context("the server's answer broke off")?.to_bytes();
        if head.status.is_success() {
            return Ok(serde_json::from_slice(&bytes).unwrap_or(Value::Null));
        }
        let problem: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        let detail = problem["detail"].as_str().unwrap_or("the server gave no reason");
        let error = anyhow!("{detail}");
        Err(match problem["code"].as_str() {
            Some("invalid_request" | "invalid_json") => Failure::Wrong(error),
            _ => Failure::Failed(error),
        })
    }

    /// A call whose answer comes in lines of JSON, each handed to `line`.
    pub(crate) async fn stream(
        &self,
        path: &str,
        mut line: impl FnMut(Value),
    ) -> Result<(), Failure> {
        let mut body = self.send(http::Method::POST, path, None).await?.into_body();
        let mut rest = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.context("the server's answer broke off")?;
            rest.extend_from_slice(&frame.into_data().unwrap_or_default());
            while let Some(end) = rest.iter().position(|b| *b == b'\n') {
                let text: Vec<u8> = rest.drain(..=end).collect();
                line(serde_json::from_slice(&text).context("the server's answer is not JSON")?);
            }
        }
        Ok(())
    }

    /// Lets go of the data directory, where this process has it.
    pub(crate) async fn close(self) {
        if let Self::Here(_, app) = self {
            app.close().await;
        }
    }

    async fn send(
        &self,
        method: http::Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<http::Response<Body>, Failure> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            .header(http::header::HOST, "operator")
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(Body::from(body))
            .context("the request cannot be written")?;
        match self {
            Self::Here(router, _) => {
                let Ok(response) = router.clone().oneshot(request).await;
                Ok(response)
            }
            Self::Server(data) => {
                let stream = operator::connect(data).await.context("the server has gone away")?;
                let (mut sender, connection) =
                    hyper::client::conn::http1::handshake(TokioIo::new(stream))
                        .await
                        .context("the server does not speak HTTP")?;
                tokio::spawn(connection);
                let response =
                    sender.send_request(request).await.context("the server did not answer")?;
                Ok(response.map(Body::new))
            }
        }
    }
}

/// `path` with a query string of the parameters that are there.
pub(crate) fn with_query(path: &str, parameters: &[(&str, Option<String>)]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in parameters {
        if let Some(value) = value {
            query.append_pair(name, value);
        }
    }
    format!("{path}?{}", query.finish())
}

/// `text` as one segment of a path.
pub(crate) fn segment(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// Reads a secret's file: its first line.
pub(crate) fn read_secret(file: &Path) -> Result<String, Failure> {
    let read = if file == Path::new("-") {
        std::io::read_to_string(std::io::stdin())
    } else {
        std::fs::read_to_string(file)
    };
    let text = read.map_err(|error| {
        Failure::Wrong(anyhow!("the password file {} cannot be read: {error}", file.display()))
    })?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}
