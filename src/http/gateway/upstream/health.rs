//! Whether an upstream is up.
//!
//! One that takes no connection is down, and so is one that does not answer its check. Where
//! there is a check, the check alone brings it back; else a connection does, and one is tried
//! now and then, ever more rarely.

use super::{super::failure::Failure, Upstream, connect::Connector, link::HEAD};
use crate::{config::HealthCheck, telemetry::UpGauge};
use bytes::Bytes;
use http::{HeaderValue, Request, header};
use http_body_util::Empty;
use hyper::client::conn::http1::Builder;
use hyper_util::rt::TokioIo;
use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
    time::Duration,
};
use tokio::time::{sleep, timeout};

/// After how long a connection is tried to one that is down, for the first time.
const FIRST: Duration = Duration::from_secs(1);
/// How long the pauses between such trials grow.
const LONGEST: Duration = Duration::from_secs(30);
/// How long one check may take.
const CHECK: Duration = Duration::from_secs(10);
/// How many checks in a row fail before an upstream is down. One may be an accident.
const ENOUGH: u32 = 2;

/// Whether an upstream is up, and since when it is not.
pub(super) struct Health {
    /// Zero: it is up. Else the lower, the longer it has been down.
    down: AtomicU64,
    gauge: Arc<UpGauge>,
    /// Whether a check decides.
    is_checked: bool,
}

impl Health {
    pub(super) fn new(gauge: Arc<UpGauge>, is_checked: bool) -> Self {
        Self { down: AtomicU64::new(0), gauge, is_checked }
    }

    /// Zero where it is up; else the lower, the longer it has been down.
    pub(super) fn down(&self) -> u64 {
        self.down.load(Ordering::Relaxed)
    }
}

impl Upstream {
    /// It took a connection.
    pub(super) fn has_connected(&self) {
        if !self.health.is_checked {
            self.rise();
        }
    }

    fn rise(&self) {
        if self.health.down() != 0 && self.health.down.swap(0, Ordering::Relaxed) != 0 {
            self.health.gauge.set(true);
            tracing::info!(api = self.api, upstream = self.name, "an upstream is up again");
        }
    }

    /// It is down, and this is why.
    pub(super) fn fall(self: &Arc<Self>, why: &str) {
        static FALLS: AtomicU64 = AtomicU64::new(0);
        let fall = FALLS.fetch_add(1, Ordering::Relaxed) + 1;
        let was = self.health.down.compare_exchange(0, fall, Ordering::Relaxed, Ordering::Relaxed);
        if was.is_err() {
            return;
        }
        self.health.gauge.set(false);
        tracing::warn!(api = self.api, upstream = self.name, why, "an upstream is down");
        if !self.health.is_checked {
            tokio::spawn(bring_back(Arc::downgrade(self), fall));
        }
    }
}

/// Tries to connect to an upstream until it is up, or nobody wants it any more.
async fn bring_back(upstream: Weak<Upstream>, fall: u64) {
    let mut pause = FIRST;
    loop {
        sleep(pause).await;
        let Some(upstream) = upstream.upgrade() else { return };
        if upstream.health.down() != fall {
            return;
        }
        if upstream.connector.connect().await.is_ok() {
            return upstream.rise();
        }
        pause = (2 * pause).min(LONGEST);
    }
}

/// Asks an upstream whether it is well, for as long as anybody wants it.
pub(super) async fn check(upstream: Weak<Upstream>, check: HealthCheck) {
    let mut failed = 0;
    loop {
        {
            let Some(upstream) = upstream.upgrade() else { return };
            let patience = CHECK.min(check.interval);
            let asked = ask(&upstream.connector, upstream.host.clone(), &check);
            let answered = timeout(patience, asked).await;
            match answered.unwrap_or(Err(Failure::Silent)) {
                Ok(()) => {
                    failed = 0;
                    upstream.rise();
                }
                // That tells of this process, and not of the upstream.
                Err(Failure::NoPlace) => {}
                Err(why) => {
                    failed += 1;
                    tracing::debug!(api = upstream.api, upstream = upstream.name, %why, "unwell");
                    if failed >= ENOUGH {
                        upstream.fall(&format!("its check has failed: {why}"));
                    }
                }
            }
        }
        sleep(check.interval).await;
    }
}

async fn ask(connector: &Connector, host: HeaderValue, check: &HealthCheck) -> Result<(), Failure> {
    let io = connector.connect().await?;
    let handshake = Builder::new().max_buf_size(HEAD).handshake(TokioIo::new(io));
    let (mut requests, mut connection) = handshake.await.map_err(|error| Failure::of(&error))?;
    let mut request = Request::new(Empty::<Bytes>::new());
    *request.uri_mut() = check.path.clone();
    let headers = request.headers_mut();
    headers.insert(header::HOST, host);
    headers.insert(header::USER_AGENT, HeaderValue::from_static("counterfoil"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    let mut answer = pin!(requests.send_request(request));
    let mut is_over = false;
    let response = poll_fn(|cx| {
        is_over = is_over || Pin::new(&mut connection).poll(cx).is_ready();
        match answer.as_mut().poll(cx) {
            // Polled on, it would panic; it has said all that it will.
            Poll::Pending if is_over => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
            Poll::Ready(answered) => Poll::Ready(Some(answered)),
        }
    });
    let closed = || Failure::Closed("it closed the connection".to_owned());
    let response = response.await.ok_or_else(closed)?.map_err(|error| Failure::of(&error))?;
    if check.expect.contains(&response.status().as_u16()) {
        Ok(())
    } else {
        Err(Failure::Unwell(response.status()))
    }
}
