//! A protected API: what it accepts, what it asks for, and how it says no.

use crate::{
    access_token::AccessTokenPolicy,
    credential::Schemes,
    error_format::ErrorFormat,
    limit::Limits,
    route::{Requirement, Route, access},
    scope::{Need, Scope},
    time::Seconds,
    token::{Grant, Prefix},
};
use serde::{Deserialize, Serialize};

/// An API as the operator's configuration defines it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Api {
    /// What it is called in the configuration, in paths and in the management API.
    pub name: Box<str>,
    /// How its credentials travel.
    pub schemes: Schemes,
    /// How it words a refusal.
    pub errors: ErrorFormat,
    /// The realm of its challenges (RFC 9110 §11.5).
    pub realm: String,
    /// Its routes; the first that matches decides. What none matches needs the scope
    /// `{access}` where the API declares scopes, else any token.
    pub routes: Vec<Route>,
    /// The scopes it knows, with the words that say what they allow.
    pub scopes: Vec<(Scope, String)>,
    /// Its roles.
    pub roles: Vec<Role>,
    /// Who may issue its tokens.
    pub issuers: Issuers,
    /// What its tokens look like.
    pub tokens: TokenPolicy,
    /// How its access tokens are made, where there are any.
    pub access_tokens: Option<AccessTokenPolicy>,
    /// What each of its tokens may do at once and in a time.
    pub limits: Limits,
}

/// A named set of scopes of one API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// The name that tokens carry.
    pub name: Box<str>,
    /// What it allows.
    pub scopes: Box<[Scope]>,
}

/// Who may issue tokens of an API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Issuers {
    /// Every member of an organization, for themselves.
    Members,
    /// Administrators only.
    Administrators,
}

/// What an API's tokens look like and how long they live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenPolicy {
    /// What their secrets begin with.
    pub prefix: Prefix,
    /// How long one lives when nobody says: for ever, when absent.
    pub default_lifetime: Option<Seconds>,
    /// The longest that anybody may ask for.
    pub max_lifetime: Option<Seconds>,
    /// Whether anybody may ask for one that never expires.
    pub never: bool,
}

impl Api {
    /// What a request to `path` needs. `path` is canonical and stripped of the mount.
    pub fn requirement<'a>(&'a self, method: &str, path: &'a str) -> Requirement<'a> {
        let own = self.routes.iter().find_map(|route| route.requirement(method, path));
        own.unwrap_or_else(|| {
            if self.scopes.is_empty() {
                Requirement::Any
            } else {
                Requirement::Scope(Need { resource: None, action: access(method) })
            }
        })
    }

    /// The role of this name.
    pub fn role(&self, name: &str) -> Option<&Role> {
        self.roles.iter().find(|role| *role.name == *name)
    }

    /// The scopes that `grant` stands for now. A role or a scope that the
    /// configuration no longer has stands for nothing.
    pub fn scopes_of<'a>(&'a self, grant: &'a Grant) -> impl Iterator<Item = &'a Scope> {
        let granted = match grant {
            Grant::Any => &[],
            Grant::Role(name) => self.role(name).map_or(&[][..], |role| &role.scopes),
            Grant::Scopes(scopes) => scopes,
        };
        granted.iter().filter(|scope| self.scopes.iter().any(|(known, _)| known == *scope))
    }
}
