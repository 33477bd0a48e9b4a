//! Access tokens over HTTP: `POST /authenticate`, and the keys that verify them.

use super::{Arrived, Behind, answer::NotKept};
use crate::{
    clock,
    config::{Config, EXCHANGE},
    entropy,
    http::{
        calls::{self, Answers, Call, Calls, Operation},
        door::{self, Common, Door, Doors, Seen},
        problem::Problem,
    },
    service::{Service, ServiceError, access_tokens::NotIssued},
};
use axum::{
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
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
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// Where the keys are.
pub(super) const JWKS: &str = "/.well-known/jwks.json";

const AUTHENTICATE: Call = calls::post(EXCHANGE, "authenticate")
    .does("Exchange a secret for an access token")
    .about(
        "The secret comes as bearer; there need be no body. An access token is exchanged for \
         itself. The gateway does the same.",
    )
    .for_tokens()
    .fails(&[StatusCode::NOT_FOUND, StatusCode::SERVICE_UNAVAILABLE]);

const PUBLISH: Call =
    calls::get(JWKS, "publish_signing_keys").does("The keys that verify access tokens").about(
        "RFC 7517. A key is there a day before it signs, and until nothing is left that it signed.",
    );

pub(crate) fn calls() -> Calls<Arc<Exchange>> {
    Calls::new().on(AUTHENTICATE, authenticate).on(PUBLISH, jwks)
}

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
        let schemes = Schemes {
            accepted: vec![Scheme::Bearer],
            header: None,
            header_pair: None,
            exact_token_keyword: false,
        };
        // A secret comes here in one way, whatever else its API takes.
        let bearers = config.apis.iter().map(|protected| {
            Arc::new(Api { schemes: schemes.clone(), ..(*protected.api).clone() })
        });
        Self {
            doors: Doors::of("authenticate", bearers, common),
            common: common.clone(),
            service,
            trusted_proxies: config.server.trusted_proxies.clone(),
            speaking: config.apis.iter().filter(has).map(|it| it.api.clone()).collect(),
            schemes,
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
        let asked = presented.filter(|_| mounted.is_none());
        let signed = asked.and_then(|text| self.signed_for(text));
        let found = signed.or_else(|| asked.and_then(|text| self.issued_for(text)));
        let told = mounted.or_else(|| signed.map(|door| &*door.api.name));
        let speaks = told.or_else(|| self.words_for(presented));
        let speaks = speaks.and_then(|name| self.doors.find(name)).ok_or_else(none)?;
        let door = found.unwrap_or(speaks);
        // A signature that is not ours is looked at once.
        let is_unknown = found.is_none() && asked.is_some_and(access_token::is_plausible);
        let judged = if is_unknown && self.common.replica.index().is_some() {
            Err(door.unless_missed(Refusal::new(Code::UnknownToken)))
        } else {
            door.judge(seen, Requirement::Any)
        };
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
            Ok(Err(error @ NotIssued::TooLong)) => {
                Err(ServiceError::Unavailable(error.to_string()).into())
            }
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

    /// The door of the API that an access token of ours is for.
    fn signed_for(&self, text: &str) -> Option<&Door> {
        let opened = access_token::is_plausible(text).then(|| self.common.access_tokens.open(text));
        self.door_of(&opened??.audience)
    }

    /// The door of the API that a secret is for.
    fn issued_for(&self, text: &str) -> Option<&Door> {
        self.door_of(self.common.replica.index()?.find(&Digest::of(text))?.api())
    }

    fn door_of(&self, api: &str) -> Option<&Door> {
        self.doors.find(api).filter(|door| door.api.access_tokens.is_some())
    }

    /// The API in whose words this is refused, as far as everybody can tell it from how secrets
    /// begin; else the first. Whether there is such a secret has no say in it.
    fn words_for(&self, presented: Option<&str>) -> Option<&str> {
        let begins = |api: &&Arc<Api>| presented.is_some_and(|text| api.tokens.prefix.begins(text));
        let begun = self.speaking.iter().find(begins).or(self.speaking.first());
        begun.map(|api| &*api.name)
    }
}

impl Behind for Exchange {
    fn proxies(&self) -> &[Network] {
        &self.trusted_proxies
    }
}

async fn authenticate(
    State(exchange): State<Arc<Exchange>>,
    arrived: Arrived,
) -> Result<Exchanged, Problem> {
    let now = clock::now();
    exchange.authenticate(None, arrived.seen(now), entropy::request_id_at(now)).map(Exchanged)
}

async fn jwks(State(exchange): State<Arc<Exchange>>) -> Keys {
    Keys(exchange.common.access_tokens.jwks())
}

/// What came of an exchange: an access token, or a refusal in the API's words.
struct Exchanged(http::Response<String>);

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Exchanged")]
struct ExchangedView {
    /// A JWT (RFC 9068).
    token: String,
}

impl IntoResponse for Exchanged {
    fn into_response(self) -> Response {
        self.0.map(Body::from)
    }
}

impl Answers for Exchanged {
    fn describe(operation: &mut Operation<'_>) {
        NotKept::<axum::Json<ExchangedView>>::describe(operation);
        let anything = || json!({"type": "object"});
        for (status, about) in [
            (StatusCode::UNAUTHORIZED, "No token was shown, or none that is good here."),
            (StatusCode::FORBIDDEN, "The token may not be used from there."),
        ] {
            // An API words its refusals as it is configured to.
            operation.answers(status, about, Some(("application/json", anything())));
            operation.may_answer(status, "application/problem+json", &anything());
        }
    }
}

/// The keys as they are served.
struct Keys(Bytes);

#[derive(JsonSchema)]
#[schemars(rename = "Keys")]
#[expect(dead_code, reason = "it describes what is written elsewhere")]
struct KeysView {
    /// RFC 7517 §4.
    keys: Vec<serde_json::Map<String, Value>>,
}

impl IntoResponse for Keys {
    fn into_response(self) -> Response {
        let fields = [
            (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
            // A key is published a day before it signs.
            (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300")),
        ];
        (fields, self.0).into_response()
    }
}

impl Answers for Keys {
    fn describe(operation: &mut Operation<'_>) {
        operation.answers_json::<KeysView>(StatusCode::OK, "Those that sign, will, or did.");
    }
}

/// An answer with a secret in it.
fn no_store(json: String) -> http::Response<String> {
    let mut response = http::Response::new(json);
    let fields = response.headers_mut();
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
