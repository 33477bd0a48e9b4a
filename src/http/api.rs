//! The management API, `/v1`: thin handlers over the operations.

pub(crate) mod access_tokens;
pub(crate) mod accounts;
pub(crate) mod audit;
mod backups;
pub(crate) mod denials;
mod field;
pub(crate) mod import;
mod invitations;
pub(crate) mod ledger;
mod lines;
mod nodes;
pub(crate) mod organizations;
mod refusals;
pub(crate) mod signing_keys;
pub(crate) mod tokens;
pub(crate) mod usage;

use super::{
    calls::{Calls, Operation, Takes},
    client_address,
    console::{self, visitor},
    desk::Desk,
    door::{self, Door, Seen},
    extract, openapi,
    problem::{self, Problem},
    seen,
    verify::{self, Verifier},
};
use crate::{
    clock,
    denials::Denials,
    entropy,
    replica::Replica,
    service::{Caller, Member, Service, Via, sessions::Client},
};
use axum::{
    Extension, Router,
    extract::{FromRequestParts, Request, State},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
};
use counterfoil_core::{
    Admitted, Code, Refusal, Timestamp, account::Rank, id::TokenId, network::Network,
    route::Requirement, verify::Identity,
};
use http::{HeaderMap, Method, StatusCode, header, request::Parts};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};
use zeroize::Zeroizing;

/// The operator's management API: whoever reaches it may do everything.
pub(crate) fn for_operator(
    service: Arc<Service>,
    verifier: Arc<Verifier>,
    desk: Arc<Desk>,
    denials: Arc<Denials>,
    replica: Arc<Replica>,
) -> Router {
    changing(service)
        .merge(verify::calls().with_state(verifier))
        .merge(access_tokens::calls().with_state(desk))
        .merge(denials::calls().with_state(denials))
        .layer(Extension(Caller::Operator))
        .merge(openapi::calls().with_state(()))
        .fallback(problem::no_such_path)
        .method_not_allowed_fallback(problem::wrong_method)
        .layer(middleware::from_fn_with_state(replica, problem::name_answers))
}

/// The management API for whoever has a token of it, or is signed in to the console.
pub(crate) fn for_tokens(
    service: Arc<Service>,
    verifier: Arc<Verifier>,
    desk: Arc<Desk>,
    denials: Arc<Denials>,
    protection: Arc<Protection>,
    public_url: String,
) -> Router {
    let routes = changing(service.clone())
        .merge(verify::calls().with_state(verifier))
        .merge(access_tokens::calls().with_state(desk))
        .merge(denials::calls().with_state(denials));
    let entrance = Arc::new(Entrance { protection, service, public_url });
    routes.layer(middleware::from_fn_with_state(entrance, authenticate))
}

/// What changes things, and tells of them.
fn changing(service: Arc<Service>) -> Router {
    let seen = middleware::from_fn_with_state(service.clone(), seen::everywhere);
    calls().with_state::<()>(service).layer(seen)
}

/// All that both reach.
pub(crate) fn calls() -> Calls<Arc<Service>> {
    Calls::new()
        .merge(tokens::calls())
        .merge(import::calls())
        .merge(accounts::calls())
        .merge(organizations::calls())
        .merge(invitations::calls())
        .merge(refusals::calls())
        .merge(ledger::calls())
        .merge(backups::calls())
        .merge(signing_keys::calls())
        .merge(nodes::calls())
        .merge(audit::calls())
        .merge(usage::calls())
}

/// What protects the management API: the same door that protects any other.
pub(crate) struct Protection {
    pub(crate) door: Door,
    pub(crate) trusted_proxies: Vec<Network>,
}

impl Protection {
    /// Whether a request may go on. What comes of it is not counted yet.
    pub(crate) fn judge(&self, seen: Seen<'_>) -> Result<Admitted<'_>, Refusal> {
        self.door.judge(seen, Requirement::Any)
    }

    /// Who acts in a request that may go on.
    pub(crate) fn acting<'a>(
        admitted: &'a Admitted<'_>,
    ) -> Result<(Identity<'a>, TokenId, Rank), Refusal> {
        let acting = admitted
            .identity()
            .and_then(|identity| Some((identity, identity.token()?, identity.rank()?)));
        // The membership may end between two looks.
        acting.ok_or_else(|| Refusal::new(Code::AccountDisabled))
    }

    fn member(&self, seen: Seen<'_>) -> Result<Member, Refusal> {
        let admitted = self.judge(seen)?;
        let (identity, token, rank) = Self::acting(&admitted)?;
        self.door.let_through(&admitted, seen);
        Ok(Member {
            account: identity.account(),
            organization: identity.organization(),
            rank,
            via: Via::Token(token),
            scopes: identity.scopes(&self.door.api).cloned().collect(),
            expires_at: identity.expires_at(),
            allowed_networks: identity.allowed_networks().to_vec(),
        })
    }
}

/// What shows who asks: a token, or a session of the console.
struct Entrance {
    protection: Arc<Protection>,
    service: Arc<Service>,
    /// Where the console's pages are, as browsers' `Origin` has it.
    public_url: String,
}

async fn authenticate(
    State(entrance): State<Arc<Entrance>>,
    mut request: Request,
    next: Next,
) -> Response {
    let protection = &entrance.protection;
    let peer = request.extensions().get::<Peer>().map(|peer| peer.0.ip());
    let client = peer.and_then(|peer| {
        client_address::forwarded_for(peer, request.headers(), &protection.trusted_proxies)
    });
    if let Some(secret) = entrance.session_shown(&request) {
        // Judged once more when all of the request is here, as tokens are.
        let asked = async {
            let (method, headers) = (request.method().clone(), request.headers().clone());
            entrance.signed_in(&secret, &method, &headers, client).await?;
            let mut request = extract::whole(request).await?;
            let caller = entrance.signed_in(&secret, &method, &headers, client).await?;
            request.extensions_mut().insert(caller);
            Ok::<_, Problem>(request)
        };
        return match asked.await {
            Ok(request) => next.run(request).await,
            Err(problem) => problem.into_response(),
        };
    }
    // Strangers get no memory. What a caller may is judged once more when all of
    // the request is here: a body that is held back must not hold back a revocation.
    let judged = match protection.judge(seen(&request, client)) {
        Ok(_) => {
            request = match extract::whole(request).await {
                Ok(request) => request,
                Err(problem) => return problem.into_response(),
            };
            protection.member(seen(&request, client))
        }
        Err(refusal) => Err(refusal),
    };
    let refusal = match judged {
        Ok(member) => {
            request.extensions_mut().insert(Caller::Member(member));
            return next.run(request).await;
        }
        Err(refusal) => refusal,
    };
    let seen = seen(&request, client);
    door::response(protection.door.refuse(&refusal, entropy::request_id(), seen))
}

impl Entrance {
    /// The session's secret, where a request shows that and no token.
    fn session_shown(&self, request: &Request) -> Option<Zeroizing<String>> {
        let has_token = request.headers().contains_key(header::AUTHORIZATION);
        let is_secure = self.public_url.starts_with("https://");
        if has_token { None } else { visitor::cookie(request.headers(), is_secure) }
    }

    /// Who is signed in and asks. A browser shows the cookie whoever made it ask: only a
    /// page of the console may, and only for what no form can send.
    async fn signed_in(
        &self,
        secret: &str,
        method: &Method,
        headers: &HeaderMap,
        address: Option<IpAddr>,
    ) -> Result<Caller, Problem> {
        let forbidden = |detail: &str| Problem::new(StatusCode::FORBIDDEN, "forbidden", detail);
        if !console::is_from_here(headers, &self.public_url) {
            let detail = format!(
                "with a session this may be asked from a page of {} only; from anywhere else, \
                 use a token",
                self.public_url
            );
            return Err(forbidden(&detail));
        }
        let kind = headers.get(header::CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).and_then(|kind| kind.split(';').next());
        let is_json = kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"));
        if !method.is_safe() && !is_json {
            return Err(forbidden("with a session, say `Content-Type: application/json`"));
        }
        let client = Client { address, user_agent: None };
        let here = self.service.session(secret, &client, clock::now()).await?;
        let here = here.filter(|here| here.session.is_complete);
        let here = here.ok_or_else(|| forbidden("the session has ended; sign in again"))?;
        here.caller().ok_or_else(|| forbidden("you belong to no organization"))
    }
}

fn seen(request: &Request, client: Option<IpAddr>) -> Seen<'_> {
    Seen::now(request.method().as_str(), request.uri().path(), client, request.headers())
}

/// Who is at the other end of the connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// Who asks.
pub(crate) struct Asking(pub(crate) Caller);

impl<S: Send + Sync> FromRequestParts<S> for Asking {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        // Every way to the routes puts one there.
        parts.extensions.get().cloned().map(Self).ok_or_else(|| {
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "nobody seems to ask")
        })
    }
}

impl Takes for Asking {
    fn describe(operation: &mut Operation<'_>) {
        operation.shows_a_token();
    }
}

/// A part of a list.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "{T}List")]
struct List<T> {
    items: Vec<T>,
    /// Where the next part begins; none at the end.
    next_cursor: Option<String>,
}

/// How many bytes of JSON a part of a list has before it ends early.
const ENOUGH: usize = 1 << 20;

impl<T: Serialize> List<T> {
    /// From up to `limit + 1` rows: the one too many only says that there is more.
    fn of<Row>(
        rows: Vec<Row>,
        limit: u32,
        cursor: impl Fn(&Row) -> String,
        view: impl Fn(Row) -> T,
    ) -> Self {
        let (mut items, mut bytes) = (Vec::new(), 0);
        let mut rows = rows.into_iter().peekable();
        while let Some(row) = rows.next() {
            let behind = cursor(&row);
            let item = view(row);
            bytes += serde_json::to_vec(&item).map_or(0, |written| written.len());
            items.push(item);
            let full = items.len() == limit as usize || bytes >= ENOUGH;
            if full && rows.peek().is_some() {
                return Self { items, next_cursor: Some(behind) };
            }
        }
        Self { items, next_cursor: None }
    }
}

/// What no body has: a state, and names beside it.
fn state_and_names() -> Value {
    let text = json!({"type": "string"});
    json!({
        "required": ["state"],
        "properties": {"state": text},
        "anyOf": [
            {"required": ["name"], "properties": {"name": text}},
            {"required": ["external_id"]},
        ],
    })
}

/// One call is one change: half of it must not fail.
fn state_changes_alone() -> Problem {
    Problem::bad_request("state: changes alone, not with other fields").about("state")
}

/// How many items a part of a list has, when nobody says.
const LIMIT: u32 = 50;
/// How many it may have.
const MOST: u32 = 1000;

/// How many items a part of a list is to have.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(try_from = "u32")]
#[schemars(inline, extend("minimum" = 1, "maximum" = MOST, "default" = LIMIT))]
struct Limit(u32);

impl TryFrom<u32> for Limit {
    type Error = String;

    fn try_from(limit: u32) -> Result<Self, String> {
        let fits = (1..=MOST).contains(&limit);
        fits.then_some(Self(limit)).ok_or_else(|| format!("expected 1 to {MOST}"))
    }
}

/// How many items to send.
fn bounded(limit: Option<Limit>) -> u32 {
    limit.map_or(LIMIT, |limit| limit.0)
}

/// A time, as RFC 3339 has it; ours are UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
#[schemars(try_from = "String", into = "String", extend(
    "format" = "date-time",
    "examples" = ["2027-01-31T12:00:00Z"],
))]
pub(crate) struct Moment(pub(crate) Timestamp);

impl Serialize for Moment {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match jiff::Timestamp::from_millisecond(self.0.as_millis()) {
            Ok(moment) => serializer.collect_str(&moment),
            Err(_) => serializer.serialize_none(),
        }
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        let moment: jiff::Timestamp = text.parse().map_err(|_| {
            serde::de::Error::custom("expected a time as in \"2027-01-31T12:00:00Z\"")
        })?;
        Ok(Self(Timestamp::from_millis(moment.as_millisecond())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The parts that rows of these sizes are listed in: how many items each has.
    fn parts(mut rows: Vec<usize>, limit: u32) -> Vec<usize> {
        let all = rows.len();
        let mut parts = Vec::new();
        loop {
            let first: Vec<(usize, usize)> =
                rows.iter().copied().enumerate().take(limit as usize + 1).collect();
            let part = List::of(first, limit, |row| row.0.to_string(), |row| "x".repeat(row.1));
            parts.push(part.items.len());
            let Some(cursor) = part.next_cursor else { break };
            rows.drain(..=cursor.parse::<usize>().unwrap());
        }
        assert_eq!(parts.iter().sum::<usize>(), all);
        parts
    }

    #[test]
    fn a_part_of_a_list_is_bounded_in_number_and_in_bytes() {
        assert_eq!(parts(vec![], 3), [0]);
        assert_eq!(parts(vec![1; 3], 3), [3]);
        assert_eq!(parts(vec![1; 7], 3), [3, 3, 1]);
        assert_eq!(parts(vec![ENOUGH / 2; 5], 3), [2, 2, 1]);
        assert_eq!(parts(vec![ENOUGH; 3], 3), [1, 1, 1]);
        assert_eq!(parts(vec![1, 1, 2 * ENOUGH, 1], 3), [3, 1]);
    }

    #[test]
    fn the_end_of_time_is_written_and_read() {
        let written = serde_json::to_string(&Moment(Timestamp::MAX)).unwrap();
        assert_eq!(written, "\"9999-12-30T22:00:00Z\"");
        assert_eq!(serde_json::from_str::<Moment>(&written).unwrap(), Moment(Timestamp::MAX));
    }
}
