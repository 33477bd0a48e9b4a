//! Access tokens over HTTP: `POST /authenticate`, and the keys that verify them.

use super::{
    api::Peer,
    client_address,
    door::{self, Common, Door, Doors, Seen},
    problem::Problem,
};
use crate::{
    clock,
    config::Config,
    entropy,
    service::{Service, access_tokens::NotIssued},
};
use axum::{
    Router,
    extract::{Extension, Request, State},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use counterfoil_core::{
    Code, Refusal,
    access_token::{self, AccessTokens as _},
    api::Api,
    credential::{self, Credential, Scheme, Schemes},
    error_format,
    id::RequestId,
    network::Network,
    route::Requirement,
    token::Digest,
};
use http::{HeaderValue, StatusCode, header};
use serde_json::json;
use std::sync::Arc;

/// Where a token is exchanged for an access token.
pub(crate) const EXCHANGE: &str = "/authenticate";

/// What exchanges tokens for access tokens.
pub(crate) struct Exchange {
    doors: Doors,
    common: Common,
    service: Arc<Service>,
    trusted_proxies: Vec<Network>,
    /// The APIs that have access tokens.
    speaking: Vec<Arc<Api>>,
    /// How a secret comes to `/authenticate`.
    schemes: Schemes,
}

impl Exchange {
    pub(crate) fn new(config: &Config, common: &Common, service: Arc<Service>) -> Self {
        let has = |protected: &&crate::config::ProtectedApi| protected.api.access_tokens.is_some();
        Self {
            doors: Doors::new("authenticate", config, common),
            common: common.clone(),
            service,
            trusted_proxies: config.server.trusted_proxies.clone(),
            speaking: config.apis.iter().filter(has).map(|it| it.api.clone()).collect(),
            schemes: Schemes {
                accepted: vec![Scheme::Bearer],
                header: None,
                header_pair: None,
                exact_token_keyword: false,
            },
        }
    }

    /// Exchanges a token, which comes as a bearer token, for an access token of its API; an
    /// access token for itself. `mounted` is the API that was asked for, where one was.
    pub(crate) fn authenticate(
        &self,
        mounted: Option<&str>,
        seen: Seen<'_>,
        request_id: RequestId,
    ) -> Result<http::Response<String>, Problem> {
        let none = || {
            Problem::new(
                StatusCode::NOT_FOUND,
                "no_access_tokens",
                "no API here has short-lived tokens",
            )
        };
        let presented = match credential::read(&self.schemes, &seen.headers) {
            Ok(Some(Credential::Bearer(text))) => Some(text),
            _ => None,
        };
        let named = |name: &str| self.doors.find(name);
        let speaks = mounted.or_else(|| self.words_for(presented)).and_then(named);
        let speaks = speaks.ok_or_else(none)?;
        let door = match (mounted, presented) {
            (None, Some(text)) => self.door_of(text).unwrap_or(speaks),
            _ => speaks,
        };
        let judged = door.judge(seen, Requirement::Any);
        let outcome = judged.and_then(|admitted| {
            // Nobody is let in without: this is no route of the API's.
            let Some(identity) = admitted.identity() else {
                return Err(Refusal::new(Code::MissingCredential));
            };
            door.let_through(&admitted, seen);
            // One is never exchanged for a longer life.
            if identity.access_token().is_some() {
                return Ok(Ok(presented.unwrap_or_default().to_owned().into()));
            }
            let issued = self.service.issue_access_token(&door.api, identity, None, seen.at);
            Ok(issued.map(|issued| issued.text))
        });
        match outcome {
            Ok(Ok(text)) => Ok(no_store(json!({"token": text.as_str()}).to_string())),
            Ok(Err(NotIssued::None(_) | NotIssued::Scope(_))) => Err(none()),
            Ok(Err(NotIssued::Service(error))) => Err(error.into()),
            Err(refusal) => {
                let answer = door.refuse(&refusal, request_id, seen);
                // The words of the one that is known would tell that it is known.
                let answer = if door.api.name == speaks.api.name {
                    answer
                } else {
                    error_format::answer(&speaks.api, &refusal, request_id)
                };
                Ok(door::response(answer))
            }
        }
    }

    /// The door of the API that a secret or an access token is for, where that has some.
    fn door_of(&self, text: &str) -> Option<&Door> {
        let door = if access_token::is_plausible(text) {
            self.doors.find(&self.common.access_tokens.open(text)?.audience)
        } else {
            self.doors.find(self.common.replica.index()?.find(&Digest::of(text))?.api())
        };
        door.filter(|door| door.api.access_tokens.is_some())
    }

    /// The API in whose words this is refused: the one that everybody can tell from it, by a
    /// signature of ours or by how secrets begin; else the first.
    fn words_for(&self, presented: Option<&str>) -> Option<&str> {
        let has = |text: &str, api: &Api| {
            text.strip_prefix(api.tokens.prefix.as_str()).is_some_and(|rest| rest.starts_with('_'))
        };
        let told = presented.and_then(|text| {
            if access_token::is_plausible(text) {
                return self.door_of(text).map(|door| &*door.api.name);
            }
            self.speaking.iter().find(|api| has(text, api)).map(|api| &*api.name)
        });
        told.or_else(|| self.speaking.first().map(|api| &*api.name))
    }
}

/// The calls of the server's own listener.
pub(crate) fn routes(exchange: Arc<Exchange>) -> Router {
    Router::new()
        .route(EXCHANGE, post(authenticate))
        .route("/.well-known/jwks.json", get(jwks))
        .with_state(exchange)
}

async fn authenticate(
    State(exchange): State<Arc<Exchange>>,
    Extension(Peer(peer)): Extension<Peer>,
    request: Request,
) -> Result<Response, Problem> {
    let (head, _) = request.into_parts();
    let proxies = &exchange.trusted_proxies;
    let client = client_address::forwarded_for(peer.ip(), &head.headers, proxies);
    let now = clock::now();
    let seen = Seen::at(now, head.method.as_str(), head.uri.path(), client, &head.headers);
    let answer = exchange.authenticate(None, seen, entropy::request_id_at(now))?;
    Ok(answer.map(axum::body::Body::from))
}

async fn jwks(State(exchange): State<Arc<Exchange>>) -> Response {
    let fields = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        // A key is published a day before it signs.
        (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300")),
    ];
    (fields, exchange.common.access_tokens.jwks()).into_response()
}

/// An answer with a secret in it.
fn no_store(json: String) -> http::Response<String> {
    let mut response = http::Response::new(json);
    let fields = response.headers_mut();
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
