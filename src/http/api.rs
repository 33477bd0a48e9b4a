//! The management API, `/v1`: thin handlers over the operations.

pub(crate) mod accounts;
mod ledger;
pub(crate) mod organizations;
mod refusals;
pub(crate) mod tokens;

use super::{
    client_address,
    door::{self, Door, Seen},
    extract,
    problem::{self, Problem},
    verify::{self, Verifier},
};
use crate::{
    entropy,
    replica::Replica,
    service::{Caller, Member, Service},
};
use axum::{
    Extension, Router,
    extract::{FromRequestParts, Request, State},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
};
use counterfoil_core::{
    Admitted, Code, Refusal, Timestamp, network::Network, route::Requirement, verify::Identity,
};
use http::{HeaderMap, StatusCode, request::Parts};
use serde::{Deserialize, Serialize};
use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

/// The operator's management API: whoever reaches it may do everything.
pub(crate) fn for_operator(service: Arc<Service>) -> Router {
    routes(service)
        .layer(Extension(Caller::Operator))
        .fallback(problem::no_such_path)
        .method_not_allowed_fallback(problem::wrong_method)
        .layer(middleware::from_fn(problem::name_answers))
}

/// The management API for whoever has a token of it.
pub(crate) fn for_tokens(
    service: Arc<Service>,
    verifier: Arc<Verifier>,
    protection: Arc<Protection>,
) -> Router {
    let routes = routes(service).merge(verify::routes(verifier));
    routes.layer(middleware::from_fn_with_state(protection, authenticate))
}

fn routes(service: Arc<Service>) -> Router {
    Router::new()
        .merge(tokens::routes())
        .merge(accounts::routes())
        .merge(organizations::routes())
        .merge(ledger::routes())
        .merge(refusals::routes())
        .with_state(service)
}

/// What protects the management API: the same door that protects any other.
pub(crate) struct Protection {
    pub(crate) door: Door,
    pub(crate) replica: Arc<Replica>,
    pub(crate) trusted_proxies: Vec<Network>,
}

impl Protection {
    fn judge(&self, headers: &HeaderMap, client: Option<IpAddr>) -> Result<Admitted, Refusal> {
        self.door.judge(&self.replica, headers, client, Requirement::Any)
    }

    /// Who acts with an admitted request.
    fn member(&self, admitted: &Admitted) -> Result<Member, Refusal> {
        let member = admitted.identity().and_then(|identity| member(identity, &self.door));
        // The membership may end between two looks.
        let member = member.ok_or_else(|| Refusal::new(Code::AccountDisabled))?;
        self.door.let_through(admitted);
        Ok(member)
    }
}

async fn authenticate(
    State(protection): State<Arc<Protection>>,
    mut request: Request,
    next: Next,
) -> Response {
    let peer = request.extensions().get::<Peer>().map(|peer| peer.0.ip());
    let client = peer.and_then(|peer| {
        client_address::forwarded_for(peer, request.headers(), &protection.trusted_proxies)
    });
    // Strangers get no memory. What a caller may is judged once more when all of
    // the request is here: a body that is held back must not hold back a revocation.
    let judged = match protection.judge(request.headers(), client) {
        Ok(_) => {
            request = match extract::whole(request).await {
                Ok(request) => request,
                Err(problem) => return problem.into_response(),
            };
            protection.judge(request.headers(), client)
        }
        Err(refusal) => Err(refusal),
    };
    let refusal = match judged.and_then(|admitted| protection.member(&admitted)) {
        Ok(member) => {
            request.extensions_mut().insert(Caller::Member(member));
            return next.run(request).await;
        }
        Err(refusal) => refusal,
    };
    let seen = Seen {
        method: request.method().as_str(),
        path: request.uri().path(),
        client,
        headers: request.headers(),
    };
    door::response(protection.door.refuse(&refusal, entropy::request_id(), seen))
}

fn member(identity: Identity<'_>, door: &Door) -> Option<Member> {
    Some(Member {
        account: identity.account(),
        organization: identity.organization(),
        rank: identity.rank()?,
        token: identity.token(),
        scopes: identity.scopes(&door.api).cloned().collect(),
        expires_at: identity.expires_at(),
        allowed_networks: identity.allowed_networks().to_vec(),
    })
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

/// A part of a list.
#[derive(Debug, Serialize)]
struct List<T> {
    items: Vec<T>,
    /// Where the next part begins; none at the end.
    next_cursor: Option<String>,
}

impl<T> List<T> {
    /// From up to `limit + 1` rows: the one too many only says that there is more.
    fn of<Row>(
        mut rows: Vec<Row>,
        limit: u32,
        cursor: impl Fn(&Row) -> String,
        view: impl Fn(Row) -> T,
    ) -> Self {
        let limit = limit as usize;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next_cursor = rows.last().filter(|_| more).map(cursor);
        Self { items: rows.into_iter().map(view).collect(), next_cursor }
    }
}

/// How many items a part of a list has, when nobody says.
const LIMIT: u32 = 50;
/// How many it may have.
const MOST: u32 = 1000;

/// How many items to send: what was asked for, within bounds.
fn bounded(limit: Option<u32>) -> u32 {
    limit.unwrap_or(LIMIT).clamp(1, MOST)
}

/// RFC 3339, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
