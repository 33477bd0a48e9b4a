//! Verification: who is this, and may they.
//!
//! [`verify`] is a pure function: the same index, request and `now` give the same answer.

use crate::{
    Code, Refusal, Timestamp,
    account::{Email, Rank},
    api::Api,
    credential::{self, Credential, Headers},
    id::{AccountId, OrganizationId, TokenId},
    index::{Entry, Index},
    network::Network,
    refusal::About,
    route::Requirement,
    scope::Scope,
    token::{Digest, Grant, Mark, State},
};
use std::net::IpAddr;

/// What is asked about.
#[derive(Debug)]
pub struct Question<'a, H> {
    /// The request's header fields.
    pub headers: &'a H,
    /// Where the request comes from, where that is known.
    pub client: Option<IpAddr>,
    /// What the request needs.
    pub requirement: Requirement<'a>,
}

/// Leave to go on to the upstream. Only [`verify`] makes one.
#[derive(Debug, Clone)]
pub struct Admitted<'i> {
    identity: Option<Identity<'i>>,
}

impl<'i> Admitted<'i> {
    /// Whose request it is; nobody's, on a route that allows that.
    pub fn identity(&self) -> Option<Identity<'i>> {
        self.identity
    }
}

/// The token behind a request.
#[derive(Debug, Clone, Copy)]
pub struct Identity<'a> {
    entry: Entry<'a>,
    secret: Mark,
}

impl<'a> Identity<'a> {
    /// The token.
    pub fn token(self) -> TokenId {
        self.entry.id()
    }

    /// Its owner.
    pub fn account(self) -> AccountId {
        self.entry.holder().account
    }

    /// Its owner's address, where the owner has one.
    pub fn email(self) -> Option<&'a Email> {
        self.entry.holder().email.as_ref()
    }

    /// Its organization.
    pub fn organization(self) -> OrganizationId {
        self.entry.holder().organization
    }

    /// What its owner is in its organization.
    pub fn rank(self) -> Option<Rank> {
        self.entry.standing().rank()
    }

    /// Its role, where it has one that `api` still knows.
    pub fn role(self, api: &'a Api) -> Option<&'a str> {
        match &self.entry.terms().grant {
            Grant::Role(name) => api.role(name).map(|role| &*role.name),
            _ => None,
        }
    }

    /// What it may do, as `api` defines it now.
    pub fn scopes(self, api: &'a Api) -> impl Iterator<Item = &'a Scope> {
        api.scopes_of(&self.entry.terms().grant)
    }

    /// The mark of the secret that was presented.
    pub fn secret(self) -> Mark {
        self.secret
    }

    /// Whether what was presented is the secret before the last rotation.
    pub fn is_previous(self) -> bool {
        self.entry.is_previous()
    }

    /// Where it may be used from; anywhere, when empty.
    pub fn allowed_networks(self) -> &'a [Network] {
        &self.entry.terms().allowed_networks
    }

    /// When what was presented ends: the token or, of a secret before the last rotation,
    /// that secret.
    pub fn expires_at(self) -> Option<Timestamp> {
        self.entry.ends_at()
    }
}

/// Judges a request to `api` at the moment `now`.
pub fn verify<'i, H: Headers>(
    api: &Api,
    index: &'i Index,
    question: &Question<'_, H>,
    now: Timestamp,
) -> Result<Admitted<'i>, Refusal> {
    let Some(credential) = credential::read(&api.schemes, question.headers)? else {
        return match question.requirement {
            Requirement::Anonymous => Ok(Admitted { identity: None }),
            _ => Err(Refusal::new(Code::MissingCredential)),
        };
    };
    let secret = credential.secret();
    if !api.tokens.prefix.is_plausible(secret) {
        return Err(Refusal::new(Code::UnknownToken));
    }
    let digest = Digest::of(secret);
    let entry = index.find(&digest).ok_or_else(|| Refusal::new(Code::UnknownToken))?;

    prove(api, &entry, &credential, now).and_then(|()| allow(api, &entry, question)).map_err(
        |refusal| Refusal { matched: Some((entry.id(), entry.holder().organization)), ..refusal },
    )?;
    Ok(Admitted { identity: Some(Identity { entry, secret: digest.mark() }) })
}

/// Whether the credential proves a token of this API that is accepted now.
fn prove(
    api: &Api,
    entry: &Entry<'_>,
    credential: &Credential<'_>,
    now: Timestamp,
) -> Result<(), Refusal> {
    let refuse = |code| Err(Refusal::new(code));

    if *entry.terms().api != *api.name {
        return refuse(Code::WrongApi);
    }
    if !entry.standing().is_open() {
        return refuse(Code::OrganizationClosed);
    }
    match credential {
        Credential::Basic(pair) | Credential::Password(pair) => {
            if !entry.holder().email.as_ref().is_some_and(|email| email.is(pair.email())) {
                return refuse(Code::OwnerMismatch);
            }
        }
        Credential::HeaderPair { client_id, .. } => {
            if client_id.parse() != Ok(entry.id()) {
                return refuse(Code::ClientMismatch);
            }
        }
        Credential::Bearer(_) | Credential::Token(_) | Credential::Header(_) => {}
    }
    match entry.state() {
        State::Revoked => return refuse(Code::Revoked),
        State::Paused => return refuse(Code::Paused),
        State::Active => {}
    }
    if entry.ends_at().is_some_and(|end| now >= end) {
        return refuse(Code::Expired);
    }
    if !entry.standing().is_live() {
        return refuse(Code::AccountDisabled);
    }
    Ok(())
}

/// Whether a proven token may do what the request asks for.
fn allow<H>(api: &Api, entry: &Entry<'_>, question: &Question<'_, H>) -> Result<(), Refusal> {
    let terms = entry.terms();
    if !terms.allowed_networks.is_empty() {
        let inside = |address| terms.allowed_networks.iter().any(|n| n.contains(address));
        if !question.client.is_some_and(inside) {
            return Err(Refusal::new(Code::NetworkNotAllowed));
        }
    }
    if let Requirement::Scope(need) = question.requirement
        && !api.scopes_of(&terms.grant).any(|scope| scope.covers(need))
    {
        return Err(Refusal {
            about: About::Scope(need.to_string()),
            ..Refusal::new(Code::InsufficientScope)
        });
    }
    Ok(())
}
