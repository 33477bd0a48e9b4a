//! Commands that call an API with a token.

use crate::config::ProtectedApi;
use counterfoil_core::credential::Scheme;

/// What a command has in it.
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
    pub(crate) text: String,
}

/// The first of the API's ways to send a token.
fn scheme(api: &ProtectedApi) -> Option<Scheme> {
    api.api.schemes.accepted.first().copied()
}

/// An example for each of the API's schemes.
pub(crate) fn all(
    api: &ProtectedApi,
    address: &str,
    credentials: &Credentials<'_>,
) -> Vec<Example> {
    let several = api.api.schemes.accepted.len() > 1;
    let example = |scheme: &Scheme| Example {
        id: format!("curl-{}", name(*scheme)),
        label: if several { format!("curl, {}", name(*scheme)) } else { "curl".into() },
        text: curl(api, address, *scheme, credentials),
    };
    let sound = api.api.schemes.accepted.iter().filter(|scheme| **scheme != Scheme::Password);
    sound.map(example).collect()
}

/// What will work once there is a token.
pub(crate) fn to_come(api: &ProtectedApi, address: &str, email: Option<&str>) -> String {
    let credentials = Credentials { secret: "$TOKEN", client_id: "$CLIENT_ID", email };
    scheme(api).map(|scheme| curl(api, address, scheme, &credentials)).unwrap_or_default()
}

fn name(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::Basic => "basic",
        Scheme::Bearer => "bearer",
        Scheme::Token => "token",
        Scheme::Header => "header",
        Scheme::HeaderPair => "header-pair",
        Scheme::Password => "password",
    }
}

fn curl(
    api: &ProtectedApi,
    address: &str,
    scheme: Scheme,
    Credentials { secret, client_id, email }: &Credentials<'_>,
) -> String {
    let schemes = &api.api.schemes;
    let shown = match scheme {
        Scheme::Basic | Scheme::Password => {
            format!("--user \"{}:{secret}\"", email.unwrap_or("EMAIL"))
        }
        Scheme::Bearer => format!("--header \"Authorization: Bearer {secret}\""),
        Scheme::Token => format!("--header \"Authorization: Token {secret}\""),
        Scheme::Header => {
            format!("--header \"{}: {secret}\"", schemes.header.as_deref().unwrap_or_default())
        }
        Scheme::HeaderPair => {
            let [id, key] = schemes.header_pair.clone().unwrap_or_default();
            format!("--header \"{id}: {client_id}\" \\\n  --header \"{key}: {secret}\"")
        }
    };
    format!("curl {shown} \\\n  {address}/")
}

/// Whether any scheme of the API wants the client ID.
pub(crate) fn has_client_id(api: &ProtectedApi) -> bool {
    api.api.schemes.accepted.contains(&Scheme::HeaderPair)
}
