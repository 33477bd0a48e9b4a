//! The examples of a token: every language, for every scheme of the API.

use crate::{
    config::ProtectedApi,
    http::console::examples::{self, Given},
};
use counterfoil_core::{credential::Scheme, token::Grant};
use zeroize::Zeroizing;

/// What an example has in it.
pub(crate) struct Credentials<'a> {
    pub(crate) secret: &'a str,
    pub(crate) client_id: &'a str,
    pub(crate) email: Option<&'a str>,
}

/// A piece of code that works as it is.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Example {
    pub(crate) id: String,
    pub(crate) label: String,
    /// It may hold the secret.
    pub(crate) text: Zeroizing<String>,
}

/// Examples for each of the API's schemes, at an address that a token with this grant may
/// get, and how it is exchanged for an access token. `gateway` is where clients reach the gateway.
pub(crate) fn all(
    api: &ProtectedApi,
    gateway: &str,
    grant: &Grant,
    credentials: &Credentials<'_>,
) -> Vec<Example> {
    let schemes = &api.api.schemes.accepted;
    // Of a password there is no example.
    let several = schemes.iter().filter(|scheme| **scheme != Scheme::Password).count() > 1;
    let url = examples::url(gateway, api, grant);
    let given = given(&url, credentials);
    let of = |scheme: &Scheme| {
        let name = name(*scheme);
        examples::examples(&api.api, *scheme, &given).into_iter().map(move |example| Example {
            id: format!("{name}-{}", example.id),
            label: if several {
                format!("{}, {name}", example.label)
            } else {
                example.label.into()
            },
            text: example.text,
        })
    };
    let mut all: Vec<Example> = schemes.iter().flat_map(of).collect();
    if api.api.access_tokens.is_some() {
        all.push(Example {
            id: "exchange".into(),
            label: "Exchange".into(),
            text: examples::exchange(&examples::exchange_url(gateway, api), credentials.secret),
        });
    }
    all
}

/// What will work once there is a token.
pub(crate) fn to_come(api: &ProtectedApi, gateway: &str, email: Option<&str>) -> String {
    let scopes = api.api.scopes.iter().map(|(scope, _)| scope.clone());
    let url = examples::url(gateway, api, &Grant::Scopes(scopes.collect()));
    let email = email.or(Some("EMAIL"));
    let credentials = Credentials { secret: examples::PLACEHOLDER, client_id: "CLIENT_ID", email };
    examples::line(&api.api, &given(&url, &credentials)).unwrap_or_default()
}

fn given<'a>(url: &'a str, credentials: &Credentials<'a>) -> Given<'a> {
    let Credentials { secret, client_id, email } = *credentials;
    Given { url, secret, client_id, email }
}

fn name(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::Basic => "Basic",
        Scheme::Bearer => "Bearer",
        Scheme::Token => "Token",
        Scheme::Header => "header",
        Scheme::HeaderPair => "pair",
        Scheme::Password => "password",
    }
}

/// Whether any scheme of the API wants the client ID.
pub(crate) fn has_client_id(api: &ProtectedApi) -> bool {
    api.api.schemes.accepted.contains(&Scheme::HeaderPair)
}
