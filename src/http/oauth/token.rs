//! `POST /oauth2/token`: an access token for a token, as standard clients ask for it
//! (RFC 6749 §4.4).

use super::{
    OAuth,
    answer::{Error, Kind, No, NotKept},
    form::{Asked, Form},
};
use crate::{
    clock, entropy,
    http::calls::{self, Call},
    service::access_tokens::NotIssued,
};
use axum::{Json, extract::State};
use counterfoil_core::{api::Api, scope::Scope, verify::Identity};
use schemars::JsonSchema;
use serde::Serialize;
use std::sync::Arc;

pub(super) const PATH: &str = "/oauth2/token";

pub(super) const CALL: Call = calls::post(PATH, "obtain_access_token")
    .does("Obtain an access token")
    .about(
        "RFC 6749 §4.4: an access token of the API that the client's token is for, which ends no \
         later than that. An access token is no client's secret.",
    )
    .for_clients();

/// What is asked for.
#[derive(JsonSchema)]
#[schemars(rename = "AccessTokenRequest", extend("examples" = [
    {"grant_type": "client_credentials", "scope": "read"},
]))]
#[expect(dead_code, reason = "it describes a form, which is read by name")]
pub(super) struct Parameters {
    #[schemars(extend("const" = "client_credentials"))]
    grant_type: String,
    /// Scopes with a space between them; where absent, all that the token has.
    scope: Option<String>,
    /// The name of the token's API, should the client want to be sure (RFC 8707).
    resource: Option<String>,
    /// The same, as some clients call it.
    audience: Option<String>,
    /// The token's id, where no `Authorization` has it.
    client_id: Option<String>,
    /// The token's secret, likewise.
    client_secret: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AccessTokenIssued")]
pub(super) struct Issued {
    /// A JWT (RFC 9068).
    access_token: String,
    #[schemars(extend("const" = "Bearer"))]
    token_type: &'static str,
    /// In how many seconds it ends.
    expires_in: u64,
    /// Its scopes, with a space between them; absent where the API has none.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(default)]
    scope: String,
}

pub(super) async fn obtain(
    State(oauth): State<Arc<OAuth>>,
    Asked { arrived, form, .. }: Asked<Parameters>,
) -> Result<NotKept<Json<Issued>>, No> {
    let now = clock::now();
    let request_id = entropy::request_id_at(now);
    let client = oauth.clients.identify(&arrived, &form, request_id, now)?;
    let api = &*client.door.api;
    let wrong = |kind, description: &str| Err(Error::new(kind, description).into());
    let Some(identity) = client.admitted.identity() else {
        return wrong(Kind::InvalidClient, "nobody is known by that");
    };
    match form.get("grant_type") {
        Some("client_credentials") => {}
        Some(_) => {
            return wrong(Kind::UnsupportedGrantType, "grant_type can be client_credentials only");
        }
        None => return wrong(Kind::InvalidRequest, "grant_type is missing: client_credentials"),
    }
    let none = || {
        let description = format!("the API {} has no access tokens: send the secret", api.name);
        No::from(Error::new(Kind::UnauthorizedClient, description))
    };
    if api.access_tokens.is_none() {
        return Err(none());
    }
    check_audience(api, &form)?;
    let wanted = scopes(api, identity, &form)?;
    let issued = oauth.service.issue_access_token(api, identity, wanted, now);
    let issued = issued.map_err(|error| match error {
        NotIssued::None(_) => none(),
        NotIssued::Scope(_) => not_held(api, identity).into(),
        error @ NotIssued::TooLong => Error::new(Kind::InvalidScope, error.to_string()).into(),
        NotIssued::Service(error) => error.into(),
    })?;
    Ok(NotKept(Json(Issued {
        access_token: issued.text.to_string(),
        token_type: "Bearer",
        expires_in: issued.expires_in.0,
        scope: in_words(issued.scopes.iter()),
    })))
}

/// An access token is for the one API that its token is for.
fn check_audience(api: &Api, form: &Form) -> Result<(), Error> {
    let mut named = form.all("resource").chain(form.all("audience"));
    if named.all(|name| *name == *api.name) {
        return Ok(());
    }
    let description = format!("this token is for the API {} alone: name that, or none", api.name);
    Err(Error::new(Kind::InvalidTarget, description))
}

/// The scopes that are asked for; none where all are.
fn scopes(api: &Api, identity: Identity<'_>, form: &Form) -> Result<Option<Vec<Scope>>, Error> {
    let Some(text) = form.get("scope") else { return Ok(None) };
    let mut scopes: Vec<Scope> = Vec::new();
    for word in text.split(' ') {
        let scope = word.parse().map_err(|_| not_held(api, identity))?;
        // A sensible client asks for few; looked through so, many take no time worth mentioning.
        if !scopes.contains(&scope) {
            scopes.push(scope);
        }
    }
    Ok(Some(scopes))
}

fn not_held(api: &Api, identity: Identity<'_>) -> Error {
    let held = in_words(identity.scopes(api));
    let held = if held.is_empty() { "none".into() } else { held };
    let description = format!("a scope is not one that this token has; it has: {held}");
    Error::new(Kind::InvalidScope, description)
}

/// Scopes as OAuth writes them (RFC 6749 §3.3).
pub(super) fn in_words<'a>(scopes: impl Iterator<Item = &'a Scope>) -> String {
    scopes.map(Scope::as_str).collect::<Vec<_>>().join(" ")
}
