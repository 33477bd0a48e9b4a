//! The management API, as an API that Counterfoil itself protects.

use counterfoil_core::{
    api::{Api, Issuers, TokenPolicy},
    credential::{Scheme, Schemes},
    error_format::ErrorFormat,
    scope::{NotAScope, Scope},
    token::{NotAPrefix, Prefix},
};

/// What it is called; no other API may be called so.
pub(crate) const NAME: &str = "counterfoil";

/// What members may be given.
pub(super) const SCOPES: [(&str, &str); 5] = [
    ("tokens:read", "See tokens"),
    ("tokens:write", "Issue, change and revoke tokens"),
    ("accounts:read", "See who belongs to the organization"),
    ("accounts:write", "Manage members and service accounts"),
    ("audit:read", "Read the audit log"),
];

/// Why it cannot be put together; its parts are constants and names that the
/// configuration has checked.
#[derive(Debug, thiserror::Error)]
#[error("the management API cannot be put together")]
pub(crate) struct Unsound;

/// The management API, beside these others: for each there is a scope that
/// lets a service ask about its tokens.
pub(crate) fn beside<'a>(others: impl Iterator<Item = &'a Api>) -> Result<Api, Unsound> {
    let mut scopes = Vec::new();
    for (scope, words) in SCOPES {
        scopes.push((scope.parse().map_err(|_: NotAScope| Unsound)?, words.to_owned()));
    }
    for other in others {
        let scope: Scope = verify_scope(&other.name).parse().map_err(|_: NotAScope| Unsound)?;
        scopes.push((scope, format!("Ask about tokens of {}", other.name)));
    }
    Ok(Api {
        name: NAME.into(),
        schemes: Schemes {
            accepted: vec![Scheme::Bearer],
            header: None,
            header_pair: None,
            exact_token_keyword: false,
        },
        errors: ErrorFormat::Problem,
        realm: NAME.into(),
        routes: Vec::new(),
        scopes,
        roles: Vec::new(),
        issuers: Issuers::Members,
        tokens: TokenPolicy {
            prefix: Prefix::try_from(NAME.to_owned()).map_err(|_: NotAPrefix| Unsound)?,
            default_lifetime: None,
            max_lifetime: None,
            never: true,
        },
        access_tokens: None,
        limits: counterfoil_core::limit::Limits::default(),
    })
}

/// The scope that lets a service ask about tokens of `api`.
pub(crate) fn verify_scope(api: &str) -> String {
    format!("{api}:verify")
}

/// Whether only the operator grants this scope: whoever holds it learns whose
/// any token of that API is.
pub(super) fn is_granted_by_the_operator(scope: &Scope) -> bool {
    scope.as_need().action == "verify"
}
