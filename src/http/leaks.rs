//! `POST /v1/revoke`: secrets that have leaked are ended by whoever found them.
//!
//! No credential is asked for, since the secret is one. The answer is the same
//! whether a secret was a token or not, and takes the same time: long enough for
//! tokens to be ended meanwhile.

use super::{
    api::Peer,
    calls::{self, Answers, Calls, Operation},
    client_address,
    extract::{self, Json},
    problem::Problem,
    throttle::Throttle,
};
use crate::{clock, replica::Replica, service::Service};
use axum::{
    Router,
    extract::{Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use counterfoil_core::{
    Timestamp,
    id::TokenId,
    network::Network,
    token::{Digest, State as TokenState},
};
use http::{StatusCode, header};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::Duration};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

/// How many secrets one report may hold.
const MOST: usize = 100;

/// How long an answer takes. An answer that came when the work was done would tell
/// whether there was any.
const ANSWER_AFTER: Duration = Duration::from_millis(250);

/// How many reports one address may make in a minute.
const REPORTS: u32 = 30;

/// How large the body of one too many may be, in bytes.
const THROTTLED_BODY: usize = 16 * 1024;

/// How many reports are read at once: strangers send them, as slowly as they like.
const READING: usize = 64;

/// How long a report may wait to be read, and how long it may take to arrive.
const BODY_TIME: Duration = Duration::from_secs(5);

/// What takes reports in.
pub(crate) struct Leaks {
    service: Arc<Service>,
    replica: Arc<Replica>,
    trusted_proxies: Vec<Network>,
    throttle: Throttle,
    reading: Semaphore,
}

impl Leaks {
    pub(crate) fn new(
        service: Arc<Service>,
        replica: Arc<Replica>,
        trusted_proxies: Vec<Network>,
    ) -> Self {
        let throttle = Throttle::new(REPORTS, Duration::from_mins(1), clock::steady());
        let reading = Semaphore::new(READING);
        Self { service, replica, trusted_proxies, throttle, reading }
    }

    /// A report all of which is here.
    async fn read(&self, request: Request, most: usize) -> Result<Request, Problem> {
        let Ok(Ok(_place)) = tokio::time::timeout(BODY_TIME, self.reading.acquire()).await else {
            let detail = "too many reports are being sent; nothing was done, try again later";
            return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail));
        };
        extract::whole_within(request, most, BODY_TIME).await
    }

    /// The tokens that these secrets belong to and that still work. Reads memory only.
    fn find(&self, secrets: &[Zeroizing<String>], now: Timestamp) -> Option<Vec<TokenId>> {
        // What a report holds must not be passed over because nobody could tell this node of it.
        let index = self.replica.index().filter(|_| !self.replica.may_miss_tokens())?;
        let found = secrets.iter().filter_map(|secret| {
            let digest = Digest::of(secret.trim());
            let entry = index.find(&digest)?;
            let ended = entry.state() == TokenState::Revoked
                || entry.ends_at().is_some_and(|end| now >= end);
            (!ended).then_some(entry.id())
        });
        Some(found.collect())
    }
}

pub(crate) fn calls() -> Calls<Arc<Leaks>> {
    let call = calls::post("/v1/revoke", "report_leaked_secrets")
        .does("Have the tokens of leaked secrets ended")
        .about(
            "For whoever finds secrets where they should not be. The answer is the same whether \
             any was a token, and takes the same time, in which those that were are ended.",
        )
        .fails(&[StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE]);
    Calls::new().on(call, revoke)
}

/// The call, as far as anybody may make it.
pub(crate) fn routes(leaks: Arc<Leaks>) -> Router {
    let throttled = middleware::from_fn_with_state(leaks.clone(), throttle);
    calls().with_state(leaks).layer(throttled)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "LeakReport", extend("examples" = [{"secrets": ["fin_live_…"]}]))]
pub(crate) struct ReportBody {
    #[schemars(with = "Vec<String>", length(min = 1, max = MOST))]
    secrets: Vec<Zeroizing<String>>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "LeakReportReceived")]
struct ReportView {
    /// How many strings came; nothing is said of any.
    received: usize,
}

/// 202: what is not done yet will be.
struct Accepted(ReportView);

impl IntoResponse for Accepted {
    fn into_response(self) -> Response {
        (StatusCode::ACCEPTED, axum::Json(self.0)).into_response()
    }
}

impl Answers for Accepted {
    fn describe(operation: &mut Operation<'_>) {
        operation.answers_json::<ReportView>(
            StatusCode::ACCEPTED,
            "It is done, or will be as soon as it can be.",
        );
    }
}

async fn throttle(State(leaks): State<Arc<Leaks>>, request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<Peer>().map(|peer| peer.0.ip());
    let client = peer.and_then(|peer| {
        client_address::forwarded_for(peer, request.headers(), &leaks.trusted_proxies)
    });
    let throttled = leaks.throttle.admit(client, clock::steady()).err();
    let most = if throttled.is_some() { THROTTLED_BODY } else { extract::BODY };
    let response = match leaks.read(request, most).await {
        Ok(request) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    // A report is carried out even so: nobody is to use up somebody else's, and be
    // it that all seem to come from one proxy. Where nothing was done it says so.
    match throttled {
        Some(wait) if response.status() != StatusCode::SERVICE_UNAVAILABLE => {
            let detail = format!(
                "more than {REPORTS} reports in a minute from this address; what a report of up \
                 to {THROTTLED_BODY} bytes held is ended even so; wait before you send more"
            );
            let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", detail);
            ([(header::RETRY_AFTER, wait.as_secs())], problem).into_response()
        }
        _ => response,
    }
}

async fn revoke(
    State(leaks): State<Arc<Leaks>>,
    Json(report): Json<ReportBody>,
) -> Result<Accepted, Problem> {
    let answer_at = clock::steady() + ANSWER_AFTER;
    let received = report.secrets.len();
    if !(1..=MOST).contains(&received) {
        let detail = format!("secrets: 1 to {MOST} in one report");
        return Err(Problem::bad_request(detail).about("secrets"));
    }
    let found = leaks.find(&report.secrets, clock::now()).ok_or_else(|| {
        let detail = "this node cannot tell tokens now; nothing was done, try again later";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
    })?;
    tracing::info!(received, found = found.len(), "a report of leaked secrets");
    leaks.service.revoke_leaked(found);
    tokio::time::sleep_until(answer_at.into()).await;
    Ok(Accepted(ReportView { received }))
}
