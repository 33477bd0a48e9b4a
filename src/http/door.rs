//! What all doors have in common: an API, the replica, and one way to judge a request.

use super::{hush::Hush, loggable::loggable, unproven::Unproven};
use crate::{
    access_tokens::AccessTokenKeys,
    app::App,
    clock,
    config::Config,
    latency::Latency,
    limiter::{Held, Limiter},
    refusals::{Refusals, StoredRefusal},
    replica::Replica,
    service::door_passwords::{DoorPasswords, Looked, PasswordShown},
    telemetry::{ApiCounters, Metrics},
    usage::{Outcome, Presented, Usage, Use},
    watch::{self, Watches},
};
use counterfoil_core::{
    Admitted, Code, Refusal, Timestamp,
    api::Api,
    credential::{self, Headers, Scheme},
    error_format::{self, Answer},
    id::{AccountId, RequestId, TokenId},
    limit::{Ask, Granted, Holds, Key, Refused},
    route::Requirement,
    token::Digest,
    verify::{self, Identity, Question},
};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use std::{collections::BTreeMap, net::IpAddr, sync::Arc};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// One API at one door.
pub(crate) struct Door {
    name: &'static str,
    pub(crate) api: Arc<Api>,
    replica: Arc<Replica>,
    hush: Hush,
    counters: ApiCounters,
    latency: Arc<Latency>,
    refusals: Arc<Refusals>,
    usage: Arc<Usage>,
    watches: Arc<Watches>,
    access_tokens: Arc<AccessTokenKeys>,
    unproven: Option<Arc<Unproven>>,
    limiter: Arc<Limiter>,
    /// Whether the API takes passwords.
    takes_passwords: bool,
}

/// What all doors have in common.
#[derive(Clone)]
pub(crate) struct Common {
    pub(crate) replica: Arc<Replica>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) refusals: Arc<Refusals>,
    pub(crate) usage: Arc<Usage>,
    pub(crate) watches: Arc<Watches>,
    pub(crate) access_tokens: Arc<AccessTokenKeys>,
    pub(crate) passwords: Arc<DoorPasswords>,
    /// Where there is a limit to what one address may show that proves nothing.
    pub(crate) unproven: Option<Arc<Unproven>>,
    pub(crate) limiter: Arc<Limiter>,
    pub(crate) stop: CancellationToken,
    /// Ends what goes on by itself under one configuration.
    pub(crate) retired: CancellationToken,
    pub(crate) tunnels: TaskTracker,
}

impl Common {
    /// `unproven` is what has counted so far.
    pub(crate) fn of(
        config: &Config,
        app: &App,
        metrics: &Arc<Metrics>,
        unproven: Option<Arc<Unproven>>,
    ) -> Self {
        let service = &app.service;
        Self {
            replica: app.replica.clone(),
            metrics: metrics.clone(),
            refusals: service.refusals.clone(),
            usage: service.usage.clone(),
            watches: service.watches.clone(),
            access_tokens: service.access_tokens.clone(),
            passwords: service.door_passwords.clone(),
            unproven: Unproven::kept(unproven, config.doors.unproven),
            limiter: app.limiter.clone(),
            stop: app.stop.clone(),
            retired: CancellationToken::new(),
            tunnels: app.tunnels.clone(),
        }
    }
}

/// What a door saw of a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen<'a, H = Lines<'a>> {
    /// When it was judged.
    pub(crate) at: Timestamp,
    pub(crate) method: &'a str,
    /// Without a query string: that may hold anything, a token too.
    pub(crate) path: &'a str,
    pub(crate) client: Option<IpAddr>,
    pub(crate) headers: H,
}

/// The doors of all APIs at one kind of place, by the APIs' names.
pub(crate) struct Doors(BTreeMap<Box<str>, Door>);

impl Doors {
    pub(crate) fn new(place: &'static str, config: &Config, common: &Common) -> Self {
        Self::of(place, config.apis.iter().map(|protected| protected.api.clone()), common)
    }

    /// Those of these APIs.
    pub(crate) fn of(
        place: &'static str,
        apis: impl Iterator<Item = Arc<Api>>,
        common: &Common,
    ) -> Self {
        Self(apis.map(|api| (api.name.clone(), Door::new(place, &api, common))).collect())
    }

    /// The door of the API of this name.
    pub(crate) fn find(&self, api: &str) -> Option<&Door> {
        self.0.get(api)
    }
}

impl Door {
    /// The place called `name` where requests to `api` are checked.
    pub(crate) fn new(name: &'static str, api: &Arc<Api>, common: &Common) -> Self {
        let common = common.clone();
        let Common { replica, metrics, refusals, usage, watches, access_tokens, .. } = common;
        let Common { limiter, unproven, .. } = common;
        Self {
            name,
            takes_passwords: api.schemes.accepted.contains(&Scheme::Password),
            api: api.clone(),
            replica,
            hush: Hush::default(),
            counters: metrics.of_api(name, &api.name),
            latency: metrics.latency.clone(),
            refusals,
            usage,
            watches,
            access_tokens,
            unproven,
            limiter,
        }
    }

    /// Judges a request. Reads memory only. What comes of it is counted by
    /// [`Self::let_through`] or [`Self::refuse`], once, however often it was judged.
    pub(crate) fn judge<H: Headers + Copy>(
        &self,
        seen: Seen<'_, H>,
        requirement: Requirement<'_>,
    ) -> Result<Admitted<'_>, Refusal> {
        self.judge_as(seen, requirement, None)
    }

    /// Whether anybody may show their password here.
    pub(crate) fn takes_passwords(&self) -> bool {
        self.takes_passwords
    }

    /// The password that a request shows, where that is what is to be looked at. Reads memory
    /// only: what is a token, or is made like one, is none.
    pub(crate) fn password_shown<H: Headers + Copy>(
        &self,
        seen: &Seen<'_, H>,
    ) -> Option<PasswordShown> {
        if !self.takes_passwords {
            return None;
        }
        let pair = verify::password_shown(&self.api, &seen.headers)?;
        let is_token = self.replica.index()?.find(&Digest::of(pair.secret())).is_some();
        (!is_token).then_some(PasswordShown { pair, client: seen.client })
    }

    /// Judges a request whose password somebody has looked at.
    pub(crate) fn judge_looked<H: Headers + Copy>(
        &self,
        seen: Seen<'_, H>,
        requirement: Requirement<'_>,
        looked: Looked<'_>,
    ) -> Result<Admitted<'_>, Refusal> {
        let proof = looked?;
        let judged = self.judge_as(seen, requirement, Some(proof.account));
        proof.settle(&judged);
        judged
    }

    #[inline]
    fn judge_as<H: Headers + Copy>(
        &self,
        seen: Seen<'_, H>,
        requirement: Requirement<'_>,
        password: Option<AccountId>,
    ) -> Result<Admitted<'_>, Refusal> {
        let index = self.replica.index().ok_or_else(|| Refusal::new(Code::NodeStale))?;
        let question = Question {
            access_tokens: &*self.access_tokens,
            headers: &seen.headers,
            client: seen.client,
            requirement,
            password,
        };
        let timed = self.latency.begin();
        let outcome = verify::verify(&self.api, index, &question, seen.at);
        timed.done();
        outcome.map_err(|refusal| self.unless_missed(refusal))
    }

    /// What this node does not know the database may, as long as it cannot be heard: then
    /// nobody can say that there is no such token. Whatever else looks like that from outside
    /// looks like it then, too: else the answer would tell that the string was once a token.
    #[cold]
    pub(crate) fn unless_missed(&self, refusal: Refusal) -> Refusal {
        if refusal.code.outward() == Code::UnknownToken && self.replica.may_miss_tokens() {
            return Refusal::new(Code::NodeStale);
        }
        refusal
    }

    /// What an admitted request asks of the API's limits; nothing, where there are none, or
    /// nobody is known.
    pub(crate) fn ask(&self, admitted: &Admitted<'_>, holds: Holds) -> Option<Ask<'_>> {
        let limits = &self.api.limits;
        if limits.is_empty() {
            return None;
        }
        let identity = admitted.identity()?;
        let whose = identity.token().map_or_else(
            || Key::of_password(identity.account(), &self.api.name),
            // An access token's requests are its token's.
            Key::from,
        );
        Some(Ask { whose, limits, holds })
    }

    /// Whether an admitted request may go on as far as limits are concerned, and what it
    /// holds then.
    pub(crate) async fn limit(
        &self,
        admitted: &Admitted<'_>,
        holds: Holds,
    ) -> Result<Granted<Held>, Refusal> {
        let Some(ask) = self.ask(admitted, holds) else { return Ok(Granted::default()) };
        self.limiter.decide(&ask).await.map_err(|refused| beyond(refused, admitted))
    }

    /// The same, for whoever cannot wait; none, where somebody else has to be asked.
    pub(crate) fn limit_here(
        &self,
        admitted: &Admitted<'_>,
        holds: Holds,
    ) -> Option<Result<Granted<Held>, Refusal>> {
        let Some(ask) = self.ask(admitted, holds) else { return Some(Ok(Granted::default())) };
        let decided = self.limiter.decide_here(&ask)?;
        Some(decided.map_err(|refused| beyond(refused, admitted)))
    }

    /// Counts a request that goes on.
    pub(crate) fn let_through<H: Headers + Copy>(
        &self,
        admitted: &Admitted<'_>,
        seen: Seen<'_, H>,
    ) {
        let Some(identity) = admitted.identity() else {
            self.counters.anonymous.inc();
            return;
        };
        self.counters.admitted.inc();
        // Usage is a token's: behind a password there is none.
        let Some((token, mark)) = identity.token().zip(identity.secret()) else { return };
        let secret = Some(Presented { mark, is_previous: identity.is_previous() });
        self.note_use(token, Outcome::Admitted, secret, &seen);
        if self.watches.any() {
            self.show_use(token, identity, &seen);
        }
    }

    /// A refusal in the API's words; its true reason goes to the log, and to
    /// where it can be looked up under the answer's name.
    pub(crate) fn refuse<H: Headers + Copy>(
        &self,
        refusal: &Refusal,
        request_id: RequestId,
        seen: Seen<'_, H>,
    ) -> Answer {
        self.counters.refused(refusal.code).inc();
        if let Some((token, _)) = refusal.matched {
            self.note_use(token, Outcome::Refused(refusal.code), None, &seen);
        }
        if let Some(unproven) = &self.unproven
            && let Some(instead) = unproven.instead_of(refusal, seen.client)
        {
            self.counters.throttled.inc();
            return error_format::answer(&self.api, &instead, request_id);
        }
        let fit = |text: &str| loggable(&self.hush.hushed(&self.replica, text));
        let theirs = seen.first("x-request-id").and_then(text).map(fit);
        let kept = StoredRefusal {
            request_id,
            at: seen.at,
            door: self.name.to_owned(),
            api: self.api.name.to_string(),
            code: refusal.code.to_string(),
            about: fit(&refusal.about.to_string()),
            method: fit(seen.method),
            path: fit(seen.path),
            client: seen.client.map(|client| client.to_string()),
            client_request_id: theirs,
            matched: refusal.matched,
        };
        let token = kept.matched.map(|(token, _)| token.to_string());
        tracing::info!(%request_id, client_request_id = kept.client_request_id, door = kept.door, client = kept.client, api = kept.api, method = kept.method, path = kept.path, code = kept.code, about = kept.about, token, "refused");
        if self.watches.any() {
            let request = watch::Request {
                at: seen.at,
                door: self.name,
                client: seen.client,
                method: kept.method.clone(),
                path: kept.path.clone(),
            };
            self.watches.refused(&self.api, refusal, &seen.headers, &request, request_id);
        }
        self.refusals.record(kept);
        error_format::answer(&self.api, refusal, request_id)
    }

    /// Tells whoever waits for the first request with this secret. The one before a rotation
    /// is nobody's to wait for.
    #[cold]
    fn show_use<H: Headers + Copy>(
        &self,
        token: TokenId,
        identity: Identity<'_>,
        seen: &Seen<'_, H>,
    ) {
        if identity.is_previous() || !self.watches.may_concern(token) {
            return;
        }
        let Ok(Some(credential)) = credential::read(&self.api.schemes, &seen.headers) else {
            return;
        };
        let fit = |text: &str| loggable(&self.hush.hushed(&self.replica, text));
        self.watches.admitted(&Digest::of(credential.secret()), || watch::Request {
            at: seen.at,
            door: self.name,
            client: seen.client,
            method: fit(seen.method),
            path: fit(seen.path),
        });
    }

    fn note_use<H: Headers + Copy>(
        &self,
        token: TokenId,
        outcome: Outcome,
        secret: Option<Presented>,
        seen: &Seen<'_, H>,
    ) {
        let request = Use {
            at: seen.at,
            door: self.name,
            client: seen.client,
            // One that is not text is at least there.
            user_agent: seen.first("user-agent").map(|value| text(value).unwrap_or("?")),
            method: seen.method,
            path: seen.path,
            secret,
        };
        self.usage.record(token, outcome, &request, |text| self.hush.hushed(&self.replica, text));
    }
}

/// The refusal of a request that was admitted, and goes beyond a limit.
fn beyond(refused: Refused, admitted: &Admitted<'_>) -> Refusal {
    let token = admitted.identity().and_then(|identity| {
        let token = identity.token()?;
        Some((token, identity.organization()))
    });
    Refusal { matched: token, ..Refusal::from(refused) }
}

impl<'a> Seen<'a> {
    /// What there is to see now of a request with these header fields.
    pub(crate) fn now(
        method: &'a str,
        path: &'a str,
        client: Option<IpAddr>,
        headers: &'a HeaderMap,
    ) -> Self {
        Self::at(clock::now(), method, path, client, headers)
    }

    /// The same, for whoever knows what time it is.
    pub(crate) fn at(
        at: Timestamp,
        method: &'a str,
        path: &'a str,
        client: Option<IpAddr>,
        headers: &'a HeaderMap,
    ) -> Self {
        Self { at, method, path, client, headers: Lines(headers) }
    }
}

impl<H: Headers> Seen<'_, H> {
    /// The first value of a field, where there is one.
    fn first(&self, field: &str) -> Option<&[u8]> {
        self.headers.values(field).next()
    }
}

/// A header's value, where that is visible ASCII.
fn text(value: &[u8]) -> Option<&str> {
    let is_text = value.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~'));
    std::str::from_utf8(value).ok().filter(|_| is_text)
}

/// An answer as HTTP has it.
pub(crate) fn response<B: From<String>>(answer: Answer) -> Response<B> {
    let mut response = Response::new(B::from(answer.body));
    // The core's statuses are all sound.
    *response.status_mut() =
        StatusCode::from_u16(answer.status).unwrap_or(StatusCode::UNAUTHORIZED);
    for (name, value) in answer.headers {
        if let Ok(value) = HeaderValue::try_from(value) {
            response.headers_mut().append(HeaderName::from_static(name), value);
        }
    }
    response
}

/// The core's view of a request's header fields.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lines<'a>(&'a HeaderMap);

impl Headers for Lines<'_> {
    fn values<'h>(&'h self, name: &str) -> impl Iterator<Item = &'h [u8]> {
        let values = match name {
            // A name that is known beforehand need not be read.
            "authorization" => self.0.get_all(header::AUTHORIZATION),
            "user-agent" => self.0.get_all(header::USER_AGENT),
            _ => self.0.get_all(name),
        };
        values.iter().map(HeaderValue::as_bytes)
    }
}
