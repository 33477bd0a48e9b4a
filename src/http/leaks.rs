//! `POST /v1/revoke`: secrets that have leaked are ended by whoever found them.
//!
//! No credential is asked for, since the secret is one. The answer is the same
//! whether a secret was a token or not, and does not wait for what it asks for.

use super::{
    api::Peer,
    client_address,
    extract::{self, Json},
    problem::Problem,
    throttle::Throttle,
};
use crate::{clock, replica::Replica, service::Service};
use axum::{
    Router,
    extract::{FromRequest as _, Request, State},
    response::{IntoResponse as _, Response},
    routing::post,
};
use counterfoil_core::{
    Timestamp,
    id::TokenId,
    network::Network,
    token::{Digest, State as TokenState},
};
use http::{StatusCode, header};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use zeroize::Zeroizing;

/// How many secrets one report may hold.
const MOST: usize = 100;

/// How many reports one address may make in a minute.
const REPORTS: u32 = 30;

/// What takes reports in.
pub(crate) struct Leaks {
    service: Arc<Service>,
    replica: Arc<Replica>,
    trusted_proxies: Vec<Network>,
    throttle: Throttle,
}

impl Leaks {
    pub(crate) fn new(
        service: Arc<Service>,
        replica: Arc<Replica>,
        trusted_proxies: Vec<Network>,
    ) -> Self {
        let throttle = Throttle::new(REPORTS, clock::steady());
        Self { service, replica, trusted_proxies, throttle }
    }

    /// The tokens that these secrets belong to and that still work. Reads memory only.
    fn find(&self, secrets: &[Zeroizing<String>], now: Timestamp) -> Option<Vec<TokenId>> {
        let index = self.replica.index()?;
        let found = secrets.iter().filter_map(|secret| {
            let digest = Digest::of(secret.trim());
            let record = index.find(&digest)?;
            let works = digest == record.digest
                || record.previous.is_some_and(|p| p.digest == digest && now < p.until);
            let ended = record.state == TokenState::Revoked
                || record.expires_at.is_some_and(|end| now >= end);
            (works && !ended).then_some(record.id)
        });
        Some(found.collect())
    }
}

pub(crate) fn routes(leaks: Arc<Leaks>) -> Router {
    Router::new().route("/v1/revoke", post(revoke)).with_state(leaks)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReportBody {
    secrets: Vec<Zeroizing<String>>,
}

#[derive(Debug, Serialize)]
struct ReportView {
    /// How many strings came; nothing is said of any.
    received: usize,
}

async fn revoke(State(leaks): State<Arc<Leaks>>, request: Request) -> Result<Response, Problem> {
    let peer = request.extensions().get::<Peer>().map(|peer| peer.0.ip());
    let client = peer.and_then(|peer| {
        client_address::forwarded_for(peer, request.headers(), &leaks.trusted_proxies)
    });
    if let Err(wait) = leaks.throttle.admit(client, clock::steady()) {
        let detail = format!("more than {REPORTS} reports in a minute from this address; wait");
        let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", detail);
        return Ok(([(header::RETRY_AFTER, wait.as_secs())], problem).into_response());
    }
    let request = extract::whole(request).await?;
    let Json(report) = Json::<ReportBody>::from_request(request, &()).await?;
    let received = report.secrets.len();
    if !(1..=MOST).contains(&received) {
        let detail = format!("secrets: 1 to {MOST} in one report");
        return Err(Problem::bad_request(detail).about("secrets"));
    }
    let found = leaks.find(&report.secrets, clock::now()).ok_or_else(|| {
        let detail = "this node cannot tell tokens now; nothing was done, try again later";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
    })?;
    tracing::info!(received, found = found.len(), ?client, "a report of leaked secrets");
    leaks.service.clone().revoke_leaked(found);
    Ok((StatusCode::ACCEPTED, axum::Json(ReportView { received })).into_response())
}
