//! `/.well-known/oauth-authorization-server`: where clients find what (RFC 8414).
//!
//! It is there whether or not any API has access tokens: what it says of introspection and of
//! revocation holds for secrets as well. The issuer has no path (the configuration takes none),
//! so there is one place for it (§3.1).

use super::{OAuth, exchange, introspect, revoke, token};
use crate::{
    config::{Config, EXCHANGE, Readers},
    http::calls::{self, Answers, Call, Operation},
};
use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::{StatusCode, header};
use schemars::JsonSchema;
use serde::Serialize;
use std::{collections::BTreeSet, sync::Arc};

pub(super) const CALL: Call =
    calls::get("/.well-known/oauth-authorization-server", "describe_authorization_server")
        .does("Where clients find what")
        .about("RFC 8414.");

/// How clients show who they are.
const CLIENT: [&str; 2] = ["client_secret_basic", "client_secret_post"];

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AuthorizationServer")]
pub(super) struct Metadata {
    /// As access tokens name it in `iss`.
    issuer: String,
    token_endpoint: String,
    jwks_uri: String,
    /// Of the APIs that have access tokens; absent where they have none (RFC 8414 §3.2).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    scopes_supported: Vec<String>,
    /// There is no authorization endpoint, so there are none.
    response_types_supported: [&'static str; 0],
    /// Named also where no API has access tokens: who leaves it out speaks of other grants.
    grant_types_supported: [&'static str; 1],
    token_endpoint_auth_methods_supported: [&'static str; 2],
    introspection_endpoint: String,
    introspection_endpoint_auth_methods_supported: [&'static str; 3],
    revocation_endpoint: String,
    revocation_endpoint_auth_methods_supported: [&'static str; 2],
    /// How to authenticate, where everybody may read that.
    #[serde(skip_serializing_if = "Option::is_none")]
    service_documentation: Option<String>,
}

/// The metadata under this configuration, as JSON.
pub(super) fn written(config: &Config) -> String {
    let issuer = &config.server.public_url;
    let at = |path: &str| format!("{issuer}{path}");
    let apis = config.apis.iter().map(|protected| &protected.api);
    let apis: Vec<_> = apis.filter(|api| api.access_tokens.is_some()).collect();
    // The console has that page where the exchange is.
    let is_public = config.console.docs == Readers::Public;
    let scopes: BTreeSet<&str> =
        apis.iter().flat_map(|api| &api.scopes).map(|(scope, _)| scope.as_str()).collect();
    let metadata = Metadata {
        issuer: issuer.clone(),
        token_endpoint: at(token::PATH),
        jwks_uri: at(exchange::JWKS),
        scopes_supported: scopes.into_iter().map(str::to_owned).collect(),
        response_types_supported: [],
        grant_types_supported: ["client_credentials"],
        token_endpoint_auth_methods_supported: CLIENT,
        introspection_endpoint: at(introspect::PATH),
        introspection_endpoint_auth_methods_supported: [CLIENT[0], CLIENT[1], "Bearer"],
        revocation_endpoint: at(revoke::PATH),
        revocation_endpoint_auth_methods_supported: CLIENT,
        service_documentation: is_public.then(|| at(EXCHANGE)),
    };
    // What is made of texts alone is written without fail.
    serde_json::to_string(&metadata).unwrap_or_default()
}

/// The metadata as it is served.
pub(super) struct Served(String);

impl IntoResponse for Served {
    fn into_response(self) -> Response {
        let fields = [
            (header::CONTENT_TYPE, "application/json"),
            (header::CACHE_CONTROL, "public, max-age=300"),
        ];
        (fields, self.0).into_response()
    }
}

impl Answers for Served {
    fn describe(operation: &mut Operation<'_>) {
        operation.answers_json::<Metadata>(StatusCode::OK, "As it is configured now.");
    }
}

pub(super) async fn tell(State(oauth): State<Arc<OAuth>>) -> Served {
    Served(oauth.metadata.clone())
}
