//! How commands reach the server: through its socket, or, where none runs, by
//! opening the data directory themselves and asking the same API in-process.

use super::{Failure, Global, configuration, progress::progress};
use crate::{
    app::App,
    http::{api, desk::Desk, door::Common, operator, verify::Verifier},
    store::sqlite::{DataDirectory, DirectoryError},
    telemetry::Metrics,
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
    time::Duration,
};
use tower::ServiceExt as _;
use zeroize::Zeroizing;

/// What a command needs, where it opens the data directory itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    /// Every operation, on a database that is there.
    Operations,
    /// Every operation, on a database that may have to be made.
    SetUp,
    /// To have tokens verified, too, for which all of them are read.
    Verification,
}

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
        Self::reach_for(global, Need::Operations).await
    }

    /// The same, but the database may not be there yet.
    pub(crate) async fn reach_or_make(global: &Global) -> Result<Self, Failure> {
        Self::reach_for(global, Need::SetUp).await
    }

    /// The same, and tokens can be verified.
    pub(crate) async fn reach_to_verify(global: &Global) -> Result<Self, Failure> {
        Self::reach_for(global, Need::Verification).await
    }

    /// The server that runs on the data directory: for what only a server can do.
    pub(crate) async fn of_server(global: &Global) -> Result<Self, Failure> {
        let data = global.data();
        if runs_on(&data).await? {
            return Ok(Self::Server(data));
        }
        Err(Failure::Failed(anyhow!(
            "no server runs on {}; name another directory with --data",
            data.display()
        )))
    }

    async fn reach_for(global: &Global, need: Need) -> Result<Self, Failure> {
        let data = global.data();
        if runs_on(&data).await? {
            return Ok(Self::Server(data));
        }
        Self::open(global, data, need).await
    }

    async fn open(global: &Global, data: PathBuf, need: Need) -> Result<Self, Failure> {
        let config = configuration::load(global)?;
        let is_here = config.database.server.is_none();
        if need != Need::SetUp && is_here && !data.join(&config.database.file).exists() {
            return Err(Failure::Failed(anyhow!(
                "there is no database in {} and no server runs on it; start one with \
                 `counterfoil serve`, set one up with `counterfoil init`, or name another \
                 directory with --data",
                data.display()
            )));
        }
        let directory = match lock(&data).await {
            Err(DirectoryError::InUse { path, by }) => {
                if runs_on(&data).await? {
                    return Ok(Self::Server(data));
                }
                return Err(Failure::Failed(anyhow!(
                    "another counterfoil process{by} has {} but does not answer; \
                     if it is just starting or stopping, try again",
                    path.display()
                )));
            }
            other => Arc::new(other.map_err(anyhow::Error::from)?),
        };
        let app = match need {
            Need::Operations | Need::SetUp => App::open_unloaded(&config, directory).await?,
            Need::Verification => {
                let (bar, moved) = progress("tokens", |_, _| {});
                let app = App::open(&config, directory, moved).await;
                bar.finish_and_clear();
                app?
            }
        };
        let metrics = Arc::new(Metrics::new(app.replica.clone(), app.limiter.clone()));
        let common = Common::of(&config, &app, &metrics, None);
        let verifier = Arc::new(Verifier::new(&config, &common));
        let desk = Arc::new(Desk::new(&config, &common, app.service.clone()));
        let (service, replica) = (app.service.clone(), app.replica.clone());
        let denials = app.denials.clone();
        let operator = api::for_operator(service, verifier, desk, denials, replica);
        Ok(Self::Here(operator, app))
    }

    /// One call: its answer, or what the server said was wrong.
    pub(crate) async fn call(
        &self,
        method: http::Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Failure> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let body = self.send(method, path, body.into()).await?;
        let bytes = body.collect().await.context(BROKEN_OFF)?.to_bytes();
        Ok(serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    /// A call whose answer comes in lines of JSON: those that say `of` how much
    /// something is done, for `progress`, and at last the outcome.
    pub(crate) async fn follow(
        &self,
        path: &str,
        body: Vec<u8>,
        mut progress: impl FnMut(&Value),
    ) -> Result<Value, Failure> {
        let mut last = None;
        let read = |line: &[u8]| {
            let line: Value =
                serde_json::from_slice(line).context("the server's answer is not JSON")?;
            if let Some(error) = line["error"].as_str() {
                return Err(Failure::Failed(anyhow!("{error}")));
            }
            if line.get("of").is_some() {
                progress(&line);
            } else {
                last = Some(line);
            }
            Ok(())
        };
        let answer = self.send(http::Method::POST, path, body.into()).await?;
        take_lines(answer, read).await?;
        last.ok_or_else(|| Failure::Failed(anyhow!(BROKEN_OFF)))
    }

    /// A call whose answer comes in lines, each of which goes to `take`.
    pub(crate) async fn read_lines(
        &self,
        method: http::Method,
        path: &str,
        take: impl FnMut(&[u8]) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        take_lines(self.send(method, path, Body::empty()).await?, take).await
    }

    /// Lets go of the data directory, where this process has it.
    pub(crate) async fn close(self) {
        if let Self::Here(_, app) = self {
            app.close().await;
        }
    }

    /// The body of the answer, where the server did what it was asked.
    async fn send(&self, method: http::Method, path: &str, body: Body) -> Result<Body, Failure> {
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            .header(http::header::HOST, "operator")
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(body)
            .context("the request cannot be written")?;
        let (head, body) = match self {
            Self::Here(router, _) => {
                let Ok(response) = router.clone().oneshot(request).await;
                response.into_parts()
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
                response.map(Body::new).into_parts()
            }
        };
        if head.status.is_success() {
            return Ok(body);
        }
        let bytes = body.collect().await.context(BROKEN_OFF)?.to_bytes();
        Err(refusal(&serde_json::from_slice(&bytes).unwrap_or(Value::Null)))
    }
}

async fn take_lines(
    mut body: Body,
    mut take: impl FnMut(&[u8]) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut rest = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.context(BROKEN_OFF)?;
        rest.extend_from_slice(&frame.into_data().unwrap_or_default());
        let whole = rest.iter().rposition(|b| *b == b'\n').map_or(0, |end| end + 1);
        rest[..whole]
            .split_inclusive(|b| *b == b'\n')
            .try_for_each(|line| take(line.trim_ascii_end()))?;
        rest.drain(..whole);
    }
    if rest.is_empty() { Ok(()) } else { Err(Failure::Failed(anyhow!(BROKEN_OFF))) }
}

const BROKEN_OFF: &str = "the server's answer broke off";

/// How often a data directory is tried that another process has.
const TRIES: u32 = 40;
const BETWEEN_TRIES: Duration = Duration::from_millis(50);

/// Locks the data directory. A process that has it and does not answer is given
/// two seconds: it is a command that soon ends, or a server that is just
/// starting or stopping. One that answers is a server, and stays.
pub(crate) async fn lock(data: &Path) -> Result<DataDirectory, DirectoryError> {
    let mut tries = 1..TRIES;
    loop {
        let locked = DataDirectory::lock(data);
        let in_use = matches!(locked, Err(DirectoryError::InUse { .. }));
        if !in_use || operator::connect(data).await.is_ok() || tries.next().is_none() {
            return locked;
        }
        tokio::time::sleep(BETWEEN_TRIES).await;
    }
}

/// Whether a server runs on the data directory.
pub(crate) async fn runs_on(data: &Path) -> Result<bool, Failure> {
    match operator::connect(data).await {
        Ok(_) => Ok(true),
        // None was there ever, or none is there now.
        Err(error)
            if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) =>
        {
            Ok(false)
        }
        Err(error) => {
            let reached = format!("the server on {} cannot be reached", data.display());
            Err(anyhow::Error::from(error).context(reached).into())
        }
    }
}

/// What a server says that cannot do anything for want of its database.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unavailable(String);

/// What the server said was wrong.
fn refusal(problem: &Value) -> Failure {
    let detail = problem["detail"].as_str().unwrap_or("the server gave no reason");
    match problem["code"].as_str() {
        Some("invalid_request" | "invalid_json") => Failure::Wrong(anyhow!("{detail}")),
        Some("unavailable" | "outcome_unknown") => {
            Failure::Failed(Unavailable(detail.to_owned()).into())
        }
        _ => Failure::Failed(anyhow!("{detail}")),
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

/// `text` as one segment of a path. A form writes a space as `+`, which in a
/// path is a plus; a plus itself is escaped by then.
pub(crate) fn segment(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

/// Reads a secret's file: its first line.
pub(crate) fn read_secret(file: &Path) -> Result<String, Failure> {
    Ok(read_file(file)?.lines().next().unwrap_or_default().to_owned())
}

/// Reads a file, or standard input for `-`.
pub(crate) fn read_file(file: &Path) -> Result<Zeroizing<String>, Failure> {
    let read = if file == Path::new("-") {
        std::io::read_to_string(std::io::stdin())
    } else {
        std::fs::read_to_string(file)
    };
    let wrong = |error| anyhow!("the file {} cannot be read: {error}", file.display());
    read.map(Zeroizing::new).map_err(|error| Failure::Wrong(wrong(error)))
}
