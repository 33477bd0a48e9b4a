//! The gateway: a reverse proxy that lets a request through once it is admitted.
//!
//! Order matters here. What could be read in two ways is refused, then the
//! token is verified, then everything is removed that the upstream must not
//! see, and only then is it told who the caller is.

pub(crate) mod fields;
mod held;
mod mounts;
mod paced;
mod upstream;

use crate::{
    clock,
    config::{Config, EXCHANGE},
    entropy,
    http::{
        client_address,
        door::{self, Common, Door, Seen},
        head, hush, identity,
        loggable::loggable,
        oauth::Exchange,
        problem::{Problem, REQUEST_ID},
    },
    limiter::Held,
    replica::Replica,
    service::door_passwords::{DoorPasswords, Looked, PasswordShown},
    telemetry::Metrics,
};
use bytes::Bytes;
use counterfoil_core::{
    Admitted, Code, Refusal, Timestamp,
    id::RequestId,
    limit::{self, Granted, Holds, Standings},
    network::Network,
    path::{self, Ambiguous},
};
use fields::Fields;
use held::Hold;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version,
    header, uri::Authority,
};
use http_body_util::{Either, Full};
use hyper::body::{Body as _, Incoming};
use mounts::{Mounted, Mounts};
use paced::{Interrupted, Paced};
use std::{
    convert::Infallible,
    future::poll_fn,
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::Arc,
    task::Poll,
};

/// The body of an answer: the upstream's, or a short one of our own.
type Body = Either<Full<Bytes>, Paced>;

/// The gateway. One value serves every connection.
pub(crate) struct Gateway {
    mounts: Mounts,
    fields: Fields,
    trusted_proxies: Vec<Network>,
    replica: Arc<Replica>,
    metrics: Arc<Metrics>,
    exchange: Arc<Exchange>,
    passwords: Arc<DoorPasswords>,
}

/// A request that may go on, and where to.
struct Passage<'a> {
    mounted: &'a Mounted,
    client: Option<IpAddr>,
    admitted: Admitted<'a>,
    /// What the upstream is asked for.
    target: Uri,
    /// What it holds, and how the API's rates stand.
    granted: Granted<Held>,
}

/// Why a request may not go on.
enum Stop<'a> {
    /// The request itself is at fault, or no API is meant.
    Problem(Problem),
    /// The API says no.
    Refused(&'a Mounted, Refusal),
    /// It asks us, and not the upstream, for an access token, of one API or of any.
    Exchange(Option<&'a Mounted>),
    /// The API takes passwords, and nobody has looked at this one.
    Password(&'a Mounted, Refusal, Box<PasswordShown>),
}

impl Gateway {
    pub(crate) fn new(
        config: &Config,
        common: &Common,
        exchange: Arc<Exchange>,
    ) -> anyhow::Result<Self> {
        let apis = &config.apis;
        Ok(Self {
            mounts: Mounts::new(apis, common)?,
            fields: Fields::new(apis),
            trusted_proxies: config.gateway.trusted_proxies.clone(),
            replica: common.replica.clone(),
            metrics: common.metrics.clone(),
            exchange,
            passwords: common.passwords.clone(),
        })
    }

    /// Answers one request from `peer`.
    pub(crate) async fn answer(
        self: Arc<Self>,
        peer: SocketAddr,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Infallible> {
        let now = clock::now();
        let request_id = entropy::request_id_at(now);
        let mut passage = self.admit(peer, now, &request, None).await;
        if let Err(Stop::Password(.., shown)) = passage {
            let looking = self.passwords.look(*shown, DoorPasswords::deadline());
            // On the heap, so that whatever shows a token need not make room for it.
            let looked = Box::pin(looking).await;
            passage = Box::pin(self.admit(peer, clock::now(), &request, Some(looked))).await;
        }
        let mut response = match passage {
            Ok(passage) => self.forward(request_id, request, passage).await,
            Err(stop) => self.explain(peer, now, request_id, &request, &stop),
        };
        response.headers_mut().insert(REQUEST_ID, identity::request_id(request_id));
        Ok(response)
    }

    /// Everything that is decided before a byte goes to the upstream. Reads memory only; a
    /// password is looked at between two calls.
    async fn admit<'a>(
        &'a self,
        peer: SocketAddr,
        at: Timestamp,
        request: &Request<Incoming>,
        looked: Option<Looked<'_>>,
    ) -> Result<Passage<'a>, Stop<'a>> {
        head::check(request).map_err(Stop::Problem)?;
        let host = host_of(request).map_err(Stop::Problem)?;
        if !is_only_chunked(request.headers()) {
            return Err(Stop::Problem(Problem::new(
                StatusCode::NOT_IMPLEMENTED,
                "unknown_coding",
                "the only transfer coding that is understood here is chunked",
            )));
        }
        let path = path::canonical(request.uri().path()).map_err(ambiguous)?;
        let asks_us = |path: &str| path == EXCHANGE && request.method() == Method::POST;
        let (mounted, inner_path) = self.mounts.find(host, &path).ok_or_else(|| {
            if asks_us(&path) {
                return Stop::Exchange(None);
            }
            Stop::Problem(Problem::new(
                StatusCode::NOT_FOUND,
                "unknown_api",
                "no API is mounted at this host and path",
            ))
        })?;
        let api = &*mounted.door.api;
        if mounted.exchange.as_deref() == Some(inner_path) && request.method() == Method::POST {
            return Err(Stop::Exchange(Some(mounted)));
        }
        let client = self.client(peer, request.headers());
        let method = request.method().as_str();
        let requirement = api.requirement(method, inner_path);
        let seen = Seen::at(at, method, &path, client, request.headers());
        let door = &mounted.door;
        let admitted = match looked {
            None => door.judge(seen, requirement).map_err(|refusal| {
                match door.password_shown(&seen).filter(|_| refusal.code == Code::UnknownToken) {
                    None => Stop::Refused(mounted, refusal),
                    Some(shown) => Stop::Password(mounted, refusal, Box::new(shown)),
                }
            })?,
            Some(looked) => door
                .judge_looked(seen, requirement, looked)
                .map_err(|refusal| Stop::Refused(mounted, refusal))?,
        };
        let target = mounted
            .target(inner_path, request.uri())
            .ok_or_else(|| Stop::Problem(Problem::bad_request("the path is too long")))?;
        let granted = door
            .limit(&admitted, Holds::Slot)
            .await
            .map_err(|refusal| Stop::Refused(mounted, refusal))?;
        door.let_through(&admitted, seen);
        Ok(Passage { mounted, client, admitted, target, granted })
    }

    /// Where the request comes from, as far as that is known.
    fn client(&self, peer: SocketAddr, headers: &HeaderMap) -> Option<IpAddr> {
        client_address::forwarded_for(peer.ip(), headers, &self.trusted_proxies)
    }

    async fn forward(
        &self,
        request_id: RequestId,
        request: Request<Incoming>,
        passage: Passage<'_>,
    ) -> Response<Body> {
        let Passage { mounted, client, admitted, target, granted } = passage;
        let Granted { slot, standings } = granted;
        let api = &mounted.door.api.name;
        tracing::debug!(%request_id, %api, "admitted");
        let (mut head, body) = request.into_parts();
        self.fields.for_upstream(&mut head.headers, client, request_id, mounted, &admitted);
        if !body.is_end_stream() && !head.headers.contains_key(header::CONTENT_LENGTH) {
            // Without it a GET would go on without its body.
            head.headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        head.uri = target;
        head.version = Version::HTTP_11;

        let (body, mut patience) = Paced::upload(body);
        let mut asking = pin!(mounted.upstream.ask(Request::from_parts(head, body), slot));
        let answered = poll_fn(|cx| match asking.as_mut().poll(cx) {
            Poll::Ready(answered) => Poll::Ready(Some(answered)),
            Poll::Pending if patience.is_over() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        })
        .await;
        let failure = match answered {
            Some(Ok((response, hold))) => match passed_on(response, hold) {
                Ok(mut response) => {
                    tell_rates(response.headers_mut(), &mounted.door, &standings);
                    return response;
                }
                Err(failure) => failure,
            },
            Some(Err(error)) => Failure::of(&*error),
            None => Failure::Silent,
        };
        let problem = failure.problem();
        if matches!(failure, Failure::Client(_)) {
            tracing::info!(%request_id, %api, why = %failure, "the client did not finish its request");
        } else {
            mounted.upstream_failures.inc();
            tracing::warn!(%request_id, %api, why = %failure, "the upstream failed");
        }
        let mut response = problem_response(&problem, request_id);
        tell_rates(response.headers_mut(), &mounted.door, &standings);
        response
    }

    fn explain(
        &self,
        peer: SocketAddr,
        at: Timestamp,
        request_id: RequestId,
        request: &Request<Incoming>,
        stop: &Stop<'_>,
    ) -> Response<Body> {
        match stop {
            Stop::Problem(problem) => {
                self.metrics.rejected.inc();
                tracing::info!(%request_id, %peer, method = loggable(request.method().as_str()), path = loggable(&hush::hushed(&self.replica, request.uri().path())), code = problem.code, detail = loggable(&problem.detail), "rejected");
                let mut response = problem_response(problem, request_id);
                if problem.status == StatusCode::BAD_REQUEST {
                    // What comes next on this connection may be read wrongly too.
                    response
                        .headers_mut()
                        .insert(header::CONNECTION, HeaderValue::from_static("close"));
                }
                response
            }
            Stop::Exchange(mounted) => {
                let client = self.client(peer, request.headers());
                let (method, path) = (request.method().as_str(), request.uri().path());
                let seen = Seen::at(at, method, path, client, request.headers());
                let api = mounted.map(|mounted| &*mounted.door.api.name);
                match self.exchange.authenticate(api, seen, request_id) {
                    Ok(answer) => answer.map(|text| Either::Left(Full::from(text))),
                    Err(problem) => problem_response(&problem, request_id),
                }
            }
            Stop::Refused(mounted, refusal) | Stop::Password(mounted, refusal, _) => {
                let client = self.client(peer, request.headers());
                let (method, path) = (request.method().as_str(), request.uri().path());
                let seen = Seen::at(at, method, path, client, request.headers());
                door::response(mounted.door.refuse(refusal, request_id, seen)).map(Either::Left)
            }
        }
    }
}

/// Why an admitted request has no answer of its upstream's.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// It could not be reached, or what it answered is not HTTP.
    #[error("{0}")]
    Upstream(String),
    /// It answered something that cannot be passed on.
    #[error("{0}")]
    Unfit(&'static str),
    /// It did not answer in time.
    #[error("it did not answer in time")]
    Silent,
    /// The client did not send all of its request.
    #[error("{0}")]
    Client(String),
}

impl Failure {
    fn of(error: &(dyn std::error::Error + 'static)) -> Self {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(error) = source {
            if let Some(interrupted) = error.downcast_ref::<Interrupted>() {
                return Self::Client(interrupted.to_string());
            }
            text = format!("{text}: {error}");
            source = error.source();
        }
        Self::Upstream(text)
    }

    fn problem(&self) -> Problem {
        let (status, code, detail) = match self {
            Self::Upstream(_) => {
                (StatusCode::BAD_GATEWAY, "upstream_failed", "the upstream did not answer")
            }
            Self::Unfit(why) => (StatusCode::BAD_GATEWAY, "upstream_failed", *why),
            Self::Silent => (
                StatusCode::GATEWAY_TIMEOUT,
                "upstream_silent",
                "the upstream did not answer in time",
            ),
            Self::Client(_) => (
                StatusCode::BAD_REQUEST,
                "request_interrupted",
                "the request's body did not arrive whole",
            ),
        };
        Problem::new(status, code, detail)
    }
}

/// An upstream's response, made fit for the client.
fn passed_on(mut response: Response<Incoming>, hold: Hold) -> Result<Response<Body>, Failure> {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Err(Failure::Unfit("the upstream changed the protocol, which nobody asked for"));
    }
    if !is_only_chunked(response.headers()) {
        return Err(Failure::Unfit("the upstream used a transfer coding that is not understood"));
    }
    Fields::for_client(response.headers_mut());
    *response.version_mut() = Version::HTTP_11;
    Ok(response.map(|body| Either::Right(Paced::download(body, hold))))
}

/// Says how the rates stand, in place of whatever the upstream says of its own.
fn tell_rates(headers: &mut HeaderMap, door: &Door, standings: &Standings) {
    for (name, value) in limit::fields(door.api.errors, standings).into_iter().flatten() {
        headers.insert(HeaderName::from_static(name), identity::value(&value));
    }
}

/// Any other coding would be lost on the way, for it ends here (RFC 9112 §6.1).
pub(crate) fn is_only_chunked(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => true,
        (Some(coding), None) => coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked"),
        _ => false,
    }
}

/// The host that the request is for (RFC 9112 §3.2): the target's, where it is
/// in absolute form, and then the field must not say otherwise.
pub(crate) fn host_of<B>(request: &Request<B>) -> Result<Option<&str>, Problem> {
    let wrong = |detail: &str| Err(Problem::bad_request(detail));
    if request.method() == Method::CONNECT {
        return wrong("CONNECT is not for this server");
    }
    let mut fields = request.headers().get_all(header::HOST).iter();
    let field = match (fields.next().map(HeaderValue::to_str), fields.next()) {
        (_, Some(_)) => return wrong("there is more than one Host field"),
        (Some(Err(_)), None) => return wrong("the Host field is not text"),
        (Some(Ok(host)), None) => Some(host),
        (None, None) if request.version() >= Version::HTTP_11 => {
            return wrong("there is no Host field");
        }
        (None, None) => None,
    };
    match (request.uri().authority().map(Authority::as_str), field) {
        (_, Some(field)) if !is_host(field) => wrong("the Host field does not name a host"),
        (Some(target), _) if !is_host(target) => wrong("the request's target names no host"),
        (Some(target), Some(field)) if !field.eq_ignore_ascii_case(target) => {
            wrong("the Host field is not the host of the request's target")
        }
        (target, field) => Ok(target.or(field)),
    }
}

fn is_host(host: &str) -> bool {
    // An authority may name a user, a host may not.
    is_plain(host) || (host.parse::<Authority>().is_ok() && !host.contains('@'))
}

/// Whether it is a name or an IPv4 address, as nearly all are. That takes no memory to see.
fn is_plain(host: &str) -> bool {
    let (name, port) = host.split_once(':').unwrap_or((host, "80"));
    let is_name = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.';
    !name.is_empty()
        && name.bytes().all(is_name)
        && (1..=5).contains(&port.len())
        && port.bytes().all(|b| b.is_ascii_digit())
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_plainly_a_host_is_an_authority(host in "[a-zA-Z0-9.:-]{0,12}(:[0-9]{0,6})?") {
            prop_assert!(!is_plain(&host) || host.parse::<Authority>().is_ok(), "{}", host);
        }
    }

    #[test]
    fn hosts() {
        for host in ["localhost", "127.0.0.1:8080", "api.example.com", "a:1"] {
            assert!(is_plain(host), "{host}");
        }
        for host in ["", ":80", "a:", "a:b", "a@b", "[::1]", "a b", "a:1:2", "a/b", "a:123456"] {
            assert!(!is_plain(host), "{host}");
        }
        assert!(is_host("[::1]:80") && !is_host("a@b") && !is_host(""));
    }
}
