//! Forward auth: another proxy asks about each request before it passes it on.
//!
//! `/auth/{api}` and everything under it, any method. The answer is 200 with
//! the identity fields, or the refusal. Which fields say what the request was
//! depends on the kind of proxy, which is configured: a field of another kind
//! could be the client's own.

mod replays;

use super::{
    client_address::{self, FORWARDED_FOR},
    door::{self, Common, Doors, Seen},
    head, hush, identity,
    loggable::loggable,
    problem::{Problem, REQUEST_ID},
};
use crate::{
    clock,
    config::{Config, ProxyKind},
    entropy,
    replica::Replica,
    service::door_passwords::{DoorPasswords, Looked, PasswordShown},
};
use bytes::Bytes;
use counterfoil_core::{
    Code, Timestamp, error_format::Answer, id::RequestId, limit::Holds, network::Network,
    path::canonical,
};
use http::{HeaderMap, HeaderName, Method, Request, Response, StatusCode};
use http_body_util::Full;
use replays::Replays;
use std::{
    borrow::Cow,
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

type Body = Full<Bytes>;

const ORIGINAL_METHOD: HeaderName = HeaderName::from_static("x-original-method");
const ORIGINAL_URI: HeaderName = HeaderName::from_static("x-original-uri");
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
const FORWARDED_METHOD: HeaderName = HeaderName::from_static("x-forwarded-method");
const FORWARDED_URI: HeaderName = HeaderName::from_static("x-forwarded-uri");

/// The code of what a peer outside the trusted proxies is told.
const UNTRUSTED: &str = "untrusted_peer";

/// The door. One value serves every connection.
pub(crate) struct ForwardAuth {
    proxy: ProxyKind,
    trusted_proxies: Vec<Network>,
    doors: Doors,
    /// The mounts that are taken off paths.
    stripped: BTreeMap<Box<str>, String>,
    replica: Arc<Replica>,
    replays: Replays,
    passwords: Arc<DoorPasswords>,
}

/// Why a question has no answer yet.
enum Stop {
    /// Something about the question itself is wrong.
    Problem(Problem),
    /// Something has to be waited for.
    Later(Later),
}

/// What an answer has to wait for.
pub(crate) enum Later {
    /// Somebody has to look at this password.
    Password(Box<PasswordShown>),
    /// What counts against the token is not known to this node alone.
    Limits,
}

impl From<Problem> for Stop {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

/// The request that is asked about.
pub(crate) struct Original<'a> {
    pub(crate) method: Cow<'a, str>,
    /// Path and query, as the client sent them.
    pub(crate) target: Cow<'a, str>,
    pub(crate) client: Option<IpAddr>,
}

impl ForwardAuth {
    pub(crate) fn new(config: &Config, common: &Common) -> Self {
        let mounts = config.apis.iter().filter_map(|protected| {
            let mount = protected.mount.stripped().filter(|_| config.forward_auth.strip_mounts)?;
            Some((protected.api.name.clone(), mount.to_owned()))
        });
        Self {
            stripped: mounts.collect(),
            proxy: config.forward_auth.proxy,
            trusted_proxies: config.forward_auth.trusted_proxies.clone(),
            doors: Doors::new("forward_auth", config, common),
            replica: common.replica.clone(),
            replays: Replays::default(),
            passwords: common.passwords.clone(),
        }
    }

    /// Answers one question from `peer`, where nothing is to be waited for.
    pub(crate) fn answer<B>(
        &self,
        peer: SocketAddr,
        request: &Request<B>,
    ) -> Result<Response<Body>, Later> {
        let answering = pin!(self.answer_looked(peer, request, None, false));
        match answering.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(answered) => answered,
            // It waits for nothing that it has not named.
            Poll::Pending => Err(Later::Limits),
        }
    }

    /// The same, where there is something.
    pub(crate) async fn answer_in_time<B>(
        &self,
        peer: SocketAddr,
        request: Request<B>,
        mut later: Later,
    ) -> Response<Body> {
        let deadline = DoorPasswords::deadline();
        loop {
            let looked = match later {
                Later::Password(shown) => Some(self.passwords.look(*shown, deadline).await),
                Later::Limits => None,
            };
            match self.answer_looked(peer, &request, looked, true).await {
                Ok(response) => return response,
                Err(again) => later = again,
            }
        }
    }

    async fn answer_looked<B>(
        &self,
        peer: SocketAddr,
        request: &Request<B>,
        looked: Option<Looked<'_>>,
        may_wait: bool,
    ) -> Result<Response<Body>, Later> {
        let now = clock::now();
        let request_id = entropy::request_id_at(now);
        let judged = self.judge(peer.ip(), now, request_id, request, looked, may_wait);
        let mut response = match judged.await {
            Ok(response) => response,
            Err(Stop::Later(later)) => return Err(later),
            Err(Stop::Problem(problem)) => {
                tracing::info!(%request_id, %peer, path = loggable(&hush::hushed(&self.replica, request.uri().path())), code = problem.code, detail = loggable(&problem.detail), "rejected");
                let answer = Answer {
                    status: problem.status.as_u16(),
                    headers: vec![
                        ("content-type", "application/problem+json".to_owned()),
                        ("x-request-id", request_id.to_string()),
                    ],
                    body: problem.to_json(request_id),
                };
                // Strangers get no memory.
                if problem.code == UNTRUSTED {
                    door::response(answer)
                } else {
                    self.refuse(answer, request_id)
                }
            }
        };
        // A replay keeps the name of the answer that it repeats.
        let fields = response.headers_mut();
        fields.entry(REQUEST_ID).or_insert_with(|| identity::request_id(request_id));
        Ok(response)
    }

    async fn judge<B>(
        &self,
        peer: IpAddr,
        at: Timestamp,
        request_id: RequestId,
        request: &Request<B>,
        looked: Option<Looked<'_>>,
        may_wait: bool,
    ) -> Result<Response<Body>, Stop> {
        let peer = peer.to_canonical();
        if !self.trusted_proxies.iter().any(|network| network.contains(peer)) {
            let detail = "only the proxies in forward_auth.trusted_proxies may ask here";
            return Err(Problem::new(StatusCode::FORBIDDEN, UNTRUSTED, detail).into());
        }
        head::check(request)?;
        let path = request.uri().path();
        let asked = path.strip_prefix("/auth/").ok_or_else(no_such_api)?;
        let (name, below) = match asked.find('/') {
            Some(at) => asked.split_at(at),
            None => (asked, ""),
        };
        if name == "refusals" {
            return Ok(self.replay(request.method(), below)?);
        }
        let door = self.doors.find(name).ok_or_else(no_such_api)?;

        let original = Self::original(self.proxy, &self.trusted_proxies, peer, request, below)?;
        let path = original.target.split('?').next().unwrap_or_default();
        let path = canonical(path).map_err(|error| {
            Problem::new(StatusCode::BAD_REQUEST, "ambiguous_path", error.to_string())
        })?;
        let requirement = door.api.requirement(&original.method, self.within(name, &path)?);
        let seen = Seen::at(at, &original.method, &path, original.client, request.headers());
        let is_first = looked.is_none();
        let judged = match looked {
            None => door.judge(seen, requirement),
            Some(looked) => door.judge_looked(seen, requirement, looked),
        };
        // Nobody says here when a request has ended: so rates count, and no slot is taken.
        let judged = match judged {
            Ok(admitted) => {
                let limited = if may_wait {
                    door.limit(&admitted, Holds::Nothing).await
                } else {
                    let limited = door.limit_here(&admitted, Holds::Nothing);
                    limited.ok_or(Stop::Later(Later::Limits))?
                };
                limited.map(|_| admitted)
            }
            refused => refused,
        };
        match judged {
            Ok(admitted) => {
                door.let_through(&admitted, seen);
                let mut response = Response::new(Body::default());
                identity::set(response.headers_mut(), &door.api, &admitted);
                Ok(response)
            }
            Err(refusal) => {
                if is_first
                    && refusal.code == Code::UnknownToken
                    && let Some(shown) = door.password_shown(&seen)
                {
                    return Err(Stop::Later(Later::Password(Box::new(shown))));
                }
                Ok(self.refuse(door.refuse(&refusal, request_id, seen), request_id))
            }
        }
    }

    /// The path as the API's routes see it. Which of the two readings holds is
    /// configured: guessing would let a path that begins like the mount go by
    /// another route's rules.
    fn within<'a>(&self, api: &str, path: &'a str) -> Result<&'a str, Problem> {
        let Some(mount) = self.stripped.get(api) else { return Ok(path) };
        match path.strip_prefix(mount.as_str()) {
            Some("") => Ok("/"),
            Some(rest) if rest.starts_with('/') => Ok(rest),
            _ => Err(Problem::bad_request(format!(
                "the path is not under the API's mount {mount}, and forward_auth.strip_mounts says \
                 that it is"
            ))),
        }
    }

    /// The original request, from the one source that this kind of proxy has.
    pub(crate) fn original<'a, B>(
        proxy: ProxyKind,
        trusted: &[Network],
        peer: IpAddr,
        request: &'a Request<B>,
        below: &'a str,
    ) -> Result<Original<'a>, Problem> {
        let headers = request.headers();
        let (method, target, client) = match proxy {
            ProxyKind::Nginx | ProxyKind::Haproxy => (
                said(headers, &ORIGINAL_METHOD)?.into(),
                said(headers, &ORIGINAL_URI)?.into(),
                match once(headers, &REAL_IP)? {
                    Some(text) => client_address::address(text),
                    None => None,
                },
            ),
            ProxyKind::Traefik | ProxyKind::Caddy => (
                said(headers, &FORWARDED_METHOD)?.into(),
                said(headers, &FORWARDED_URI)?.into(),
                forwarded_for(trusted, peer, headers)?,
            ),
            ProxyKind::Envoy => {
                let query = request.uri().query().map(|q| format!("?{q}")).unwrap_or_default();
                let path = if below.is_empty() { "/" } else { below };
                (
                    request.method().as_str().into(),
                    format!("{path}{query}").into(),
                    forwarded_for(trusted, peer, headers)?,
                )
            }
        };
        Ok(Original { method, target, client })
    }

    /// nginx turns every status of a subrequest but 401 and 403 into 500.
    fn passable(&self, status: StatusCode) -> StatusCode {
        match self.proxy {
            ProxyKind::Nginx if status != StatusCode::UNAUTHORIZED => StatusCode::FORBIDDEN,
            _ => status,
        }
    }

    fn refuse(&self, answer: Answer, request_id: RequestId) -> Response<Body> {
        if self.proxy == ProxyKind::Nginx {
            self.replays.keep(request_id, answer.clone());
        }
        let mut response = door::response::<Body>(answer);
        *response.status_mut() = self.passable(response.status());
        response
    }

    /// The whole of a refusal, for an `error_page` that could pass on its status only.
    fn replay(&self, method: &Method, below: &str) -> Result<Response<Body>, Problem> {
        if method != Method::GET && method != Method::HEAD {
            return Err(Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "a refusal is fetched with GET",
            ));
        }
        below
            .strip_prefix('/')
            .and_then(|id| id.parse().ok())
            .and_then(|id| self.replays.find(id))
            .map(door::response)
            .ok_or_else(|| {
                Problem::new(
                    StatusCode::NOT_FOUND,
                    "not_found",
                    "there is no such refusal, or it is too long ago",
                )
            })
    }
}

/// The proxy itself is no client: what it does not say is not known.
fn forwarded_for(
    trusted: &[Network],
    peer: IpAddr,
    headers: &HeaderMap,
) -> Result<Option<IpAddr>, Problem> {
    Ok(match once(headers, &FORWARDED_FOR)? {
        Some(_) => client_address::forwarded_for(peer, headers, trusted),
        None => None,
    })
}

fn once<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Problem> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Problem::bad_request(format!("{name} was sent more than once")));
    }
    value.to_str().map(Some).map_err(|_| Problem::bad_request(format!("{name} is not text")))
}

fn said<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<&'a str, Problem> {
    once(headers, name)?.filter(|value| !value.is_empty()).ok_or_else(|| {
        Problem::bad_request(format!(
            "the proxy does not say {name}; see the page on forward auth for its configuration"
        ))
    })
}

fn no_such_api() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "unknown_api", "there is no API of this name under /auth/")
}
