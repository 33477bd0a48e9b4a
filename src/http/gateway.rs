//! The gateway: a reverse proxy that lets a request through once it is admitted.
//!
//! Order matters here. What could be read in two ways is refused, then the
//! token is verified, then everything is removed that the upstream must not
//! see, and only then is it told who the caller is.

mod cors;
mod failure;
pub(crate) mod fields;
mod forwarded;
mod held;
mod mounts;
mod paced;
mod trailers;
mod tunnel;
mod upstream;
mod watch;
mod websocket;

use crate::{
    clock,
    config::{Config, EXCHANGE},
    entropy,
    http::{
        beat::keeping_deadlines,
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
use cors::Cors;
use counterfoil_core::{
    Admitted, Code, Refusal, Timestamp, error_format,
    id::RequestId,
    limit::{self, Granted, Holds, Standings},
    path::{self, Ambiguous},
};
use failure::Failure;
use fields::{Fields, Unusual};
use forwarded::Forwarding;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version,
    header, uri::Authority,
};
use http_body_util::{Either, Full};
use hyper::{
    body::{Body as _, Incoming},
    upgrade::OnUpgrade,
};
use hyper_util::rt::TokioIo;
use mounts::{Mounted, Mounts};
use paced::{Paced, Patience, Source};
use std::{
    convert::Infallible,
    future::poll_fn,
    net::{IpAddr, SocketAddr},
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use upstream::{Answer, Asked};
use watch::{Admission, Watch};
use websocket::Handshake;

pub(crate) use upstream::is_only_chunked;

/// The body of an answer: the upstream's, or a short one of our own.
type Body = Either<Full<Bytes>, Paced>;

/// The gateway. One value serves every connection.
pub(crate) struct Gateway {
    mounts: Mounts,
    fields: Fields,
    forwarding: Forwarding,
    stop: CancellationToken,
    tunnels: TaskTracker,
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
    unusual: Unusual,
    /// The WebSocket that is asked for.
    handshake: Option<Handshake>,
    /// What the upstream is asked for.
    target: Uri,
    /// What it holds, and how the API's rates stand.
    granted: Granted<Held>,
}

/// A request on its way to an upstream.
struct Asking<'a> {
    request: Box<Request<Paced>>,
    slot: Option<Held>,
    asked: &'a Asked,
    patience: Patience,
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
    /// A browser asks what a page may do.
    Preflight(&'a Mounted),
}

impl<'a> Stop<'a> {
    /// The API that says no.
    fn mounted(&self) -> Option<&'a Mounted> {
        match self {
            // All that there is to say of pages is in the answer to a preflight.
            Self::Problem(_) | Self::Preflight(_) => None,
            Self::Exchange(mounted) => *mounted,
            Self::Refused(mounted, _) | Self::Password(mounted, ..) => Some(mounted),
        }
    }
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
            forwarding: Forwarding::new(&config.gateway),
            stop: common.stop.clone(),
            tunnels: common.tunnels.clone(),
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
        let mounted = passage.as_ref().map_or_else(Stop::mounted, |it| Some(it.mounted));
        let word = mounted.and_then(|it| it.cors.as_ref()).map(|it| it.word(request.headers()));
        let mut admission = None;
        let mut response = match passage {
            Ok(passage) => {
                let (mount, grounds) = (passage.mounted.number, passage.admitted.grounds());
                let admitted = Admission { request_id, mount, grounds };
                admission = Some(admitted);
                self.forward(peer, admitted, request, passage).await
            }
            Err(stop) => self.explain(peer, now, request_id, &request, &stop),
        };
        if let Some(word) = word {
            word.say(response.headers_mut());
        }
        response.headers_mut().insert(REQUEST_ID, identity::request_id(request_id));
        if let (Some(admission), Either::Right(body)) = (admission, response.body_mut()) {
            body.watched_by(|| Watch::new(self, admission));
        }
        Ok(response)
    }

    /// Everything that is decided before a byte goes to the upstream. Reads memory only, but
    /// for limits that nodes share; a password is looked at between two calls.
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
        if mounted.cors.is_some() && Cors::is_preflight(request) {
            return Err(Stop::Preflight(mounted));
        }
        let unusual = Unusual::of(request.headers());
        let handshake =
            if unusual.upgrade { Handshake::of(request).map_err(Stop::Problem)? } else { None };
        if unusual.expect && !expects_only_100(request.headers()) {
            return Err(Stop::Problem(Problem::new(
                StatusCode::EXPECTATION_FAILED,
                "unknown_expectation",
                "the only expectation that is met here is 100-continue",
            )));
        }
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
        Ok(Passage { mounted, client, admitted, unusual, handshake, target, granted })
    }

    /// Where the request comes from, as far as that is known.
    fn client(&self, peer: SocketAddr, headers: &HeaderMap) -> Option<IpAddr> {
        self.forwarding.client(peer.ip(), headers)
    }

    /// What trails a request, as the upstream may see it.
    fn clean_trailers(&self, trailers: &mut HeaderMap) {
        self.fields.clean_trailers(trailers);
    }

    /// Sends a request to the upstream. All that can be done before anything is waited for is
    /// done before there is a future, which is moved, and takes room on each connection.
    fn forward(
        self: &Arc<Self>,
        peer: SocketAddr,
        admission: Admission,
        request: Request<Incoming>,
        passage: Passage<'_>,
    ) -> impl Future<Output = Response<Body>> {
        let Passage { mounted, client, admitted, unusual, handshake, target, granted } = passage;
        let Granted { slot, standings } = granted;
        let request_id = admission.request_id;
        tracing::debug!(%request_id, api = %mounted.door.api.name, "admitted");
        let (mut head, body) = request.into_parts();
        let told = self.forwarding.told(peer.ip(), client, &head);
        let trailing = self.fields.trailing(&head.headers, unusual, !body.is_end_stream());
        let fields = &mut head.headers;
        self.fields.for_upstream(fields, told, &trailing, request_id, mounted, &admitted);
        if !body.is_end_stream() && !head.headers.contains_key(header::CONTENT_LENGTH) {
            // Without it a GET would go on without its body.
            head.headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        let version = std::mem::replace(&mut head.version, Version::HTTP_11);
        head.uri = target;
        let watch = || Watch::new(self.clone(), admission);
        let (body, patience) = Paced::upload(body, mounted.timeouts, watch);
        let watch = patience.is_uploading().then(|| Box::new(watch()));
        let request = Box::new(Request::from_parts(head, body));
        let takes_trailers = trailing.taken;
        async move {
            let asked = Asked::default();
            let answered = if let Some(handshake) = handshake {
                // On the heap, so that other requests need not make room for it.
                let asking = Asking { request, slot, asked: &asked, patience };
                Box::pin(self.tunnel(admission, mounted, &handshake, asking)).await
            } else {
                let asking = pin!(mounted.upstreams.ask(request, slot, &asked));
                let answered = within(asking, &asked, patience, watch).await;
                answered.and_then(|answer| passed_on(answer, mounted, request_id, takes_trailers))
            };
            let mut response = match answered {
                Ok(response) => response,
                Err(Failure::Refused(refusal)) => {
                    let answer = error_format::answer(&mounted.door.api, &refusal, request_id);
                    let mut response = door::response(answer).map(Either::Left);
                    if version < Version::HTTP_2 {
                        // The rest of the request is nobody's to read.
                        let close = HeaderValue::from_static("close");
                        response.headers_mut().insert(header::CONNECTION, close);
                    }
                    return response;
                }
                Err(failure) => {
                    let upstream = mounted.upstreams.name(asked.upstream());
                    failed(&failure, mounted, upstream, request_id)
                }
            };
            tell_rates(response.headers_mut(), &mounted.door, &standings);
            response
        }
    }

    /// Asks for what may become a WebSocket.
    async fn tunnel(
        self: &Arc<Self>,
        admission: Admission,
        mounted: &Mounted,
        handshake: &Handshake,
        asking: Asking<'_>,
    ) -> Result<Response<Body>, Failure> {
        let Asking { mut request, slot, asked, patience } = asking;
        let client = request.extensions_mut().remove::<OnUpgrade>();
        Handshake::ask(request.headers_mut());
        let asking = pin!(mounted.upstreams.switch(*request, slot, asked));
        let answer = within(asking, asked, patience, None).await?;
        self.switched(admission, mounted, handshake, client, answer)
    }

    /// Where both sides have agreed on a WebSocket, their connections become a tunnel. What the
    /// request holds is let go of when that has ended.
    fn switched(
        self: &Arc<Self>,
        admission: Admission,
        mounted: &Mounted,
        handshake: &Handshake,
        client: Option<OnUpgrade>,
        mut answer: Answer,
    ) -> Result<Response<Body>, Failure> {
        let request_id = admission.request_id;
        if answer.response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return passed_on(answer, mounted, request_id, false);
        }
        let client = client.ok_or(Failure::Unfit("this connection can become nothing else"))?;
        let switched = handshake.agreed(&answer.response).map_err(Failure::Unfit)?;
        let upstream = hyper::upgrade::on(&mut answer.response);
        let (watch, stop) = (Watch::new(self.clone(), admission), self.stop.clone());
        self.tunnels.spawn(keeping_deadlines(async move {
            let both = async { Ok::<_, hyper::Error>((client.await?, upstream.await?)) };
            let (client, upstream) = match stop.run_until_cancelled(both).await {
                Some(Ok((client, upstream))) => (TokioIo::new(client), TokioIo::new(upstream)),
                Some(Err(error)) => {
                    tracing::debug!(%request_id, %error, "a WebSocket did not begin");
                    return;
                }
                None => return,
            };
            tracing::debug!(%request_id, "a WebSocket has begun");
            let end = tunnel::pass(client, upstream, watch, stop, answer.hold).await;
            tracing::debug!(%request_id, ?end, "a WebSocket has ended");
        }));
        Ok(switched.map(|()| Either::Left(Full::default())))
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
                let is_unread = [StatusCode::BAD_REQUEST, StatusCode::NOT_IMPLEMENTED];
                if is_unread.contains(&problem.status) && request.version() < Version::HTTP_2 {
                    // What comes next on this connection may be read wrongly too.
                    response
                        .headers_mut()
                        .insert(header::CONNECTION, HeaderValue::from_static("close"));
                }
                if problem.status == StatusCode::UPGRADE_REQUIRED {
                    websocket::name_version(response.headers_mut());
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
            Stop::Preflight(mounted) => {
                let (mut response, word) =
                    (Response::new(Either::Left(Full::default())), mounted.cors.as_ref());
                *response.status_mut() = StatusCode::NO_CONTENT;
                let word = word.map(|cors| cors.word(request.headers()));
                let mut headers = HeaderMap::new();
                if let Some(Err(problem)) = word.map(|word| word.preflight(&mut headers)) {
                    response = problem_response(&problem, request_id);
                }
                response.headers_mut().extend(headers);
                response
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

/// What the upstream answers, where that comes in time, and before the request's own time is up
/// while it is still being sent. Once it is sent, its answer may be waited for.
async fn within(
    mut asking: Pin<&mut impl Future<Output = Result<Answer, Failure>>>,
    asked: &Asked,
    mut patience: Patience,
    mut watch: Option<Box<Watch>>,
) -> Result<Answer, Failure> {
    poll_fn(|cx| {
        if let Poll::Ready(answered) = asking.as_mut().poll(cx) {
            return Poll::Ready(answered);
        }
        if asked.is_connecting() {
            // That has a limit of its own.
            patience.begin_anew();
        } else if patience.is_over() {
            return Poll::Ready(Err(Failure::Silent));
        }
        match watch.as_mut().filter(|_| patience.is_uploading()).and_then(|it| it.refusal()) {
            Some(refusal) => Poll::Ready(Err(Failure::Refused(refusal))),
            None => Poll::Pending,
        }
    })
    .await
}

/// What the client gets in place of a response, and the log of why.
fn failed(
    failure: &Failure,
    mounted: &Mounted,
    upstream: &str,
    request_id: RequestId,
) -> Response<Body> {
    let api = &mounted.door.api.name;
    if matches!(failure, Failure::Client(_)) {
        tracing::info!(%request_id, %api, why = %failure, "the client did not finish its request");
    } else {
        failure.count(&mounted.upstreams.failures);
        tracing::warn!(%request_id, %api, upstream, why = %failure, "the upstream failed");
    }
    problem_response(&failure.problem(), request_id)
}

/// An upstream's response, made fit for the client.
fn passed_on(
    answer: Answer,
    mounted: &Mounted,
    request_id: RequestId,
    takes_trailers: bool,
) -> Result<Response<Body>, Failure> {
    let Answer { mut response, hold, more_from } = answer;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Err(Failure::Unfit("the upstream changed the protocol, which nobody asked for"));
    }
    let trailer = takes_trailers.then(|| trailers::announced(response.headers(), |_| false));
    Fields::for_client(response.headers_mut());
    if let Some(names) = trailer.flatten() {
        response.headers_mut().insert(header::TRAILER, names);
    }
    *response.version_mut() = Version::HTTP_11;
    let source = more_from.map(|upstream| Source { upstream, request_id });
    let timeouts = mounted.timeouts;
    Ok(response.map(|body| Either::Right(Paced::download(body, timeouts, hold, source))))
}

/// Says how the rates stand, in place of whatever the upstream says of its own.
fn tell_rates(headers: &mut HeaderMap, door: &Door, standings: &Standings) {
    for (name, value) in limit::fields(door.api.errors, standings).into_iter().flatten() {
        headers.insert(HeaderName::from_static(name), identity::value(&value));
    }
}

/// Whether all that a client expects is a word before it sends the body (RFC 9110 §10.1.1).
/// It gets that when the body is read for the first time, which is on the way to the upstream:
/// so whoever is refused is refused without.
fn expects_only_100(headers: &HeaderMap) -> bool {
    let mut expected = headers.get_all(header::EXPECT).iter();
    expected.all(|it| it.as_bytes().trim_ascii().eq_ignore_ascii_case(b"100-continue"))
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
    // An authority may name a user, a host may not. What separates things elsewhere is in no
    // name either, though it might be (RFC 3986 §3.2.2): some read a list of hosts.
    let is_usual = |b: u8| b.is_ascii_alphanumeric() || b"-._~:[]".contains(&b);
    is_plain(host) || (host.bytes().all(is_usual) && host.parse::<Authority>().is_ok())
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
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if let Some(seconds) = problem.retry_after {
        headers.insert(header::RETRY_AFTER, seconds.into());
    }
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
