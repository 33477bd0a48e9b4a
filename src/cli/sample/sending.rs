//! Batches on their way: over a few connections, within bounds, and no more once they are refused.

use crate::{clock, loggable::loggable};
use anyhow::{Context as _, anyhow};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, Uri, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{task::JoinSet, time};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is said how far it is.
const TOLD_EVERY: Duration = Duration::from_millis(200);

/// How long, how much, and how much at a time.
pub(super) struct Bounds {
    pub(super) time: Duration,
    pub(super) requests: Option<u64>,
    pub(super) connections: u64,
}

/// The API at the gateway, and the batch that it is sent.
pub(super) struct Gateway {
    client: Client<HttpConnector, Full<Bytes>>,
    url: String,
    batch: Bytes,
    events: u64,
}

/// How far it is.
pub(super) struct So {
    pub(super) events: u64,
    pub(super) refused: u64,
    pub(super) took: Duration,
}

/// What has become of what was sent.
#[derive(Debug, Default)]
pub(super) struct Sent {
    pub(super) events: u64,
    pub(super) took: Duration,
    /// Of each request that was taken, in microseconds.
    pub(super) times: Vec<u32>,
    /// How many were refused with which status.
    pub(super) refused: BTreeMap<u16, u64>,
    /// Why it ended before its time.
    pub(super) ended: Option<String>,
}

/// A request that was refused.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) status: u16,
    request_id: String,
    /// In how many seconds to ask again, where it says so.
    retry_after: Option<u64>,
}

impl Gateway {
    pub(super) fn new(url: &Uri, events: u64) -> Arc<Self> {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let now = clock::now().as_millis();
        let event = |number: u64| {
            json!({
                "schemaName": "api_call",
                "accountId": format!("customer-{}", number % 10),
                "timestamp": now,
                "attributes": [{"name": "calls", "value": "1"}],
            })
        };
        Arc::new(Self {
            client: Client::builder(TokioExecutor::new()).build(connector),
            url: url.to_string().trim_end_matches('/').to_owned(),
            batch: (0..events).map(event).collect::<Value>().to_string().into(),
            events,
        })
    }

    /// A short-lived token for a secret.
    pub(super) async fn authenticate(
        &self,
        secret: HeaderValue,
    ) -> anyhow::Result<Result<String, Refused>> {
        let answer = self.post("/authenticate", &secret, Bytes::new()).await?;
        if !answer.status().is_success() {
            return Ok(Err(Refused::of(&answer)));
        }
        let body: Value = serde_json::from_slice(&answer.into_body())?;
        Ok(Ok(body["token"].as_str().context("/authenticate answered no token")?.to_owned()))
    }

    async fn post(
        &self,
        path: &str,
        credential: &HeaderValue,
        body: Bytes,
    ) -> anyhow::Result<Response<Bytes>> {
        let request = Request::post(format!("{}{path}", self.url))
            .header(header::AUTHORIZATION, credential)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::from(body))?;
        let exchange = async {
            let (head, body) = self.client.request(request).await?.into_parts();
            let body = Incoming::collect(body).await?.to_bytes();
            anyhow::Ok(Response::from_parts(head, body))
        };
        match time::timeout(PATIENCE, exchange).await {
            Ok(answer) => answer.with_context(|| format!("{} cannot be reached", self.url)),
            Err(_) => Err(anyhow!("{} did not answer for {} s", self.url, PATIENCE.as_secs())),
        }
    }

    /// Sends batches with this credential, telling now and then how far it is.
    pub(super) async fn send(
        self: &Arc<Self>,
        credential: HeaderValue,
        bounds: &Bounds,
        mut tell: impl FnMut(&So),
    ) -> Sent {
        let begun = clock::steady();
        let run = Arc::new(Run {
            gateway: self.clone(),
            credential,
            begun,
            end: begun + bounds.time,
            left: AtomicU64::new(bounds.requests.unwrap_or(u64::MAX)),
            is_over: AtomicBool::new(false),
            events: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        });
        // The first is alone: a password that is wrong is tried once, not by all at a time.
        let mut all = run.clone().connection(1).await;
        let mut connections = JoinSet::new();
        for _ in 0..bounds.connections {
            connections.spawn(run.clone().connection(u64::MAX));
        }
        let mut ticks = time::interval(TOLD_EVERY);
        loop {
            tokio::select! {
                ended = connections.join_next() => match ended {
                    Some(Ok(sent)) => all.add(sent),
                    Some(Err(error)) => all.ended = Some(error.to_string()),
                    None => break,
                },
                _ = ticks.tick() => tell(&run.so()),
            }
        }
        all.took = begun.elapsed();
        all
    }
}

/// What all connections have in common.
struct Run {
    gateway: Arc<Gateway>,
    credential: HeaderValue,
    begun: Instant,
    end: Instant,
    /// How many requests may still be made.
    left: AtomicU64,
    is_over: AtomicBool,
    events: AtomicU64,
    refused: AtomicU64,
}

impl Run {
    fn so(&self) -> So {
        So {
            events: self.events.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            took: self.begun.elapsed(),
        }
    }

    /// Whether there is another request to be made.
    fn goes_on(&self) -> bool {
        let one_less = |left: u64| left.checked_sub(1);
        !self.is_over.load(Ordering::Relaxed)
            && clock::steady() < self.end
            && self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok()
    }

    /// One request after the other, so many at most.
    async fn connection(self: Arc<Self>, most: u64) -> Sent {
        let mut sent = Sent::default();
        let mut left = most;
        while left > 0 && self.goes_on() {
            left -= 1;
            let begun = clock::steady();
            let batch = self.gateway.batch.clone();
            let refused = match self.gateway.post("/ingest", &self.credential, batch).await {
                Ok(answer) if answer.status().is_success() => {
                    let micros = begun.elapsed().as_micros();
                    sent.times.push(u32::try_from(micros).unwrap_or(u32::MAX));
                    sent.events += self.gateway.events;
                    self.events.fetch_add(self.gateway.events, Ordering::Relaxed);
                    continue;
                }
                Ok(answer) => Refused::of(&answer),
                Err(error) => {
                    sent.ended = Some(format!("{error:#}"));
                    break;
                }
            };
            *sent.refused.entry(refused.status).or_default() += 1;
            self.refused.fetch_add(1, Ordering::Relaxed);
            // Told to wait, it waits. What is refused for another reason stays refused, and is
            // not tried again: least of all a password.
            let again = refused.retry_after.map(|after| begun + Duration::from_secs(after.max(1)));
            let Some(again) = again.filter(|again| *again < self.end) else {
                sent.ended = Some(refused.to_string());
                break;
            };
            time::sleep_until(again.into()).await;
        }
        if sent.ended.is_some() {
            self.is_over.store(true, Ordering::Relaxed);
        }
        sent
    }
}

impl Sent {
    pub(super) fn so(&self) -> So {
        So { events: self.events, refused: self.refused.values().sum(), took: self.took }
    }

    fn add(&mut self, other: Sent) {
        self.events += other.events;
        self.times.extend(other.times);
        for (status, count) in other.refused {
            *self.refused.entry(status).or_default() += count;
        }
        self.ended = self.ended.take().or(other.ended);
    }
}

impl So {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "a rate, to be read"
    )]
    pub(super) fn a_second(&self) -> u64 {
        (self.events as f64 / self.took.as_secs_f64().max(0.001)) as u64
    }
}

impl Refused {
    fn of<B>(answer: &Response<B>) -> Self {
        let field = |name| answer.headers().get(name).and_then(|value| value.to_str().ok());
        Self {
            status: answer.status().as_u16(),
            request_id: loggable(field("x-request-id").unwrap_or_default()),
            retry_after: field("retry-after").and_then(|after| after.parse().ok()),
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, request_id, .. } = self;
        write!(f, "it was refused with {status}")?;
        if let Some(after) = self.retry_after {
            write!(f, ", to be tried again in {after} s")?;
        }
        if !request_id.is_empty() {
            write!(f, " (`counterfoil why {request_id}` says why)")?;
        }
        Ok(())
    }
}
