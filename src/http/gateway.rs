//! The gateway: a reverse proxy that lets a request through once it is admitted.
//!
//! Order matters here. What could be read in two ways is refused, then the
//! token is verified, then everything is removed that the upstream must not
//! see, and only then is it told who the caller is.

mod fields;
mod mounts;

use crate::{
    config::Config,
    entropy,
    http::{
        client_address, door,
        problem::{Problem, REQUEST_ID},
    },
    replica::Replica,
    telemetry::Metrics,
};
use bytes::Bytes;
use counterfoil_core::{
    Admitted, Refusal,
    id::RequestId,
    network::Network,
    path::{self, Ambiguous},
};
use fields::Fields;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version, header};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use mounts::{Mounted, Mounts};
use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

/// How long the upstream may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the upstream may take from a request to the head of its response.
const RESPONSE_TIMEOUT: Duration = Duration::from_mins(1);
/// How long an unused connection to the upstream is kept.
const IDLE: Duration = Duration::from_secs(30);

/// The body of an answer: the upstream's, or a short one of our own.
type Body = Either<Full<Bytes>, Incoming>;

/// The gateway. One value serves every connection.
pub(crate) struct Gateway {
    mounts: Mounts,
    fields: Fields,
    trusted_proxies: Vec<Network>,
    replica: Arc<Replica>,
    metrics: Arc<Metrics>,
    upstream: Client<HttpConnector, Incoming>,
}

/// A request that may go on, and where to.
struct Passage<'a> {
    mounted: &'a Mounted,
    client: Option<IpAddr>,
    admitted: Admitted,
    upstream_uri: Uri,
}

/// Why a request may not go on.
enum Stop<'a> {
    /// The request itself is at fault, or no API is meant.
    Problem(Problem),
    /// The API says no.
    Refused(&'a Mounted, Refusal),
}

impl Gateway {
    pub(crate) fn new(
        config: &Config,
        replica: Arc<Replica>,
        metrics: Arc<Metrics>,
    ) -> anyhow::Result<Self> {
        let apis = &config.apis;
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let upstream = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .build(connector);
        Ok(Self {
            mounts: Mounts::new(apis, &metrics)?,
            fields: Fields::new(apis),
            trusted_proxies: config.gateway.trusted_proxies.clone(),
            replica,
            metrics,
            upstream,
        })
    }

    /// Answers one request from `peer`.
    pub(crate) async fn answer(
        self: Arc<Self>,
        peer: SocketAddr,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Infallible> {
        let request_id = entropy::request_id();
        let passage = self.admit(peer, &request);
        let mut response = match passage {
            Ok(passage) => self.forward(request_id, request, passage).await,
            Err(stop) => self.explain(peer, request_id, &request, &stop),
        };
        if let Ok(value) = HeaderValue::try_from(request_id.to_string()) {
            response.headers_mut().insert(REQUEST_ID, value);
        }
        Ok(response)
    }

    /// Everything that is decided before a byte goes to the upstream. Reads memory only.
    fn admit<'a>(
        &'a self,
        peer: SocketAddr,
        request: &Request<Incoming>,
    ) -> Result<Passage<'a>, Stop<'a>> {
        let host = host_of(request).map_err(Stop::Problem)?;
        let path = path::canonical(request.uri().path()).map_err(ambiguous)?;
        let (mounted, inner_path) = self.mounts.find(host, &path).ok_or_else(|| {
            Stop::Problem(Problem::new(
                StatusCode::NOT_FOUND,
                "unknown_api",
                "no API is mounted at this host and path",
            ))
        })?;
        let api = &*mounted.door.api;
        let client = self.client(peer, request.headers());
        let requirement = api.requirement(request.method().as_str(), inner_path);
        let admitted = mounted
            .door
            .judge(&self.replica, request.headers(), client, requirement)
            .map_err(|refusal| Stop::Refused(mounted, refusal))?;
        let upstream_uri = mounted
            .upstream_uri(inner_path, request.uri().query())
            .ok_or_else(|| Stop::Problem(Problem::bad_request("the path is too long")))?;
        Ok(Passage { mounted, client, admitted, upstream_uri })
    }

    /// Where the request comes from, as far as that is known.
    fn client(&self, peer: SocketAddr, headers: &HeaderMap) -> Option<IpAddr> {
        client_address::forwarded_for(peer.ip(), headers, &self.trusted_proxies)
    }

    async fn forward(
        &self,
        request_id: RequestId,
        mut request: Request<Incoming>,
        passage: Passage<'_>,
    ) -> Response<Body> {
        let Passage { mounted, client, admitted, upstream_uri } = passage;
        let api = &mounted.door.api.name;
        tracing::debug!(%request_id, %api, "admitted");
        self.fields.for_upstream(request.headers_mut(), client, request_id, mounted, &admitted);
        *request.uri_mut() = upstream_uri;
        *request.version_mut() = Version::HTTP_11;

        let answered = tokio::time::timeout(RESPONSE_TIMEOUT, self.upstream.request(request)).await;
        let (status, code, detail) = match answered {
            Ok(Ok(mut response)) => {
                Fields::for_client(response.headers_mut());
                *response.version_mut() = Version::HTTP_11;
                return response.map(Either::Right);
            }
            Ok(Err(error)) => {
                tracing::warn!(%request_id, %api, error = &error as &dyn std::error::Error, "the upstream failed");
                (StatusCode::BAD_GATEWAY, "upstream_failed", "the upstream could not be reached")
            }
            Err(_) => {
                tracing::warn!(%request_id, %api, "the upstream did not answer in time");
                (
                    StatusCode::GATEWAY_TIMEOUT,
                    "upstream_silent",
                    "the upstream did not answer in time",
                )
            }
        };
        mounted.upstream_failures.inc();
        problem_response(&Problem::new(status, code, detail), request_id)
    }

    fn explain(
        &self,
        peer: SocketAddr,
        request_id: RequestId,
        request: &Request<Incoming>,
        stop: &Stop<'_>,
    ) -> Response<Body> {
        // A query string may hold anything, a token too: it is never logged.
        let path = request.uri().path();
        let theirs = request.headers().get(&REQUEST_ID).and_then(|id| id.to_str().ok());
        match stop {
            Stop::Problem(problem) => {
                self.metrics.rejected.inc();
                tracing::info!(%request_id, client_request_id = theirs, %peer, method = %request.method(), path, code = problem.code, detail = problem.detail, "rejected");
                let mut response = problem_response(problem, request_id);
                if problem.status == StatusCode::BAD_REQUEST {
                    // What comes next on this connection may be read wrongly too.
                    response
                        .headers_mut()
                        .insert(header::CONNECTION, HeaderValue::from_static("close"));
                }
                response
            }
            Stop::Refused(mounted, refusal) => {
                let token = refusal.matched.map(|(token, _)| token.to_string());
                tracing::info!(%request_id, client_request_id = theirs, %peer, api = %mounted.door.api.name, method = %request.method(), path, code = %refusal.code, about = ?refusal.about, token, "refused");
                door::response(mounted.door.answer(refusal, request_id)).map(Either::Left)
            }
        }
    }
}

/// The host that the request is for (RFC 9112 §3.2.2): the target's, where it
/// is in absolute form, and then the field must not say otherwise.
fn host_of(request: &Request<Incoming>) -> Result<Option<&str>, Problem> {
    let wrong = |detail: &str| Err(Problem::bad_request(detail));
    if request.method() == Method::CONNECT {
        return wrong("CONNECT is not for this server");
    }
    let mut fields = request.headers().get_all(header::HOST).iter();
    let field = match fields.next().map(HeaderValue::to_str) {
        None => None,
        Some(Ok(host)) => Some(host),
        Some(Err(_)) => return wrong("the Host field is not text"),
    };
    if fields.next().is_some() {
        return wrong("there is more than one Host field");
    }
    match (request.uri().authority(), field) {
        (Some(target), Some(field)) if !field.eq_ignore_ascii_case(target.as_str()) => {
            wrong("the Host field is not the host of the request's target")
        }
        (Some(target), _) => Ok(Some(target.as_str())),
        (None, None) if request.version() >= Version::HTTP_11 => wrong("there is no Host field"),
        (None, field) => Ok(field),
    }
}

fn ambiguous<'a>(error: Ambiguous) -> Stop<'a> {
    Stop::Problem(Problem::new(StatusCode::BAD_REQUEST, "ambiguous_path", error.to_string()))
}

fn problem_response(problem: &Problem, request_id: RequestId) -> Response<Body> {
    let mut response = Response::new(Either::Left(Full::from(problem.to_json(request_id))));
    *response.status_mut() = problem.status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    response
}
