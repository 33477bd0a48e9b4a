//! Verification: who is this, and may they.
//!
//! [`verify`] is a pure function: the same index, request and `now` give the same answer.

use crate::{
    Code, Refusal, Timestamp,
    access_token::{self, AccessToken, AccessTokens},
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
use std::{net::IpAddr, sync::Arc};

/// What is asked about.
pub struct Question<'a, H> {
    /// The request's header fields.
    pub headers: &'a H,
    /// What opens access tokens.
    pub access_tokens: &'a dyn AccessTokens,
    /// Where the request comes from, where that is known.
    pub client: Option<IpAddr>,
    /// What the request needs.
    pub requirement: Requirement<'a>,
}

/// Leave to go on to the upstream. Only [`verify`] makes one.
#[derive(Debug, Clone)]
pub struct Admitted<'i> {
    proven: Option<Proven<'i>>,
}

/// What a request has proven.
#[derive(Debug, Clone)]
struct Proven<'i> {
    entry: Entry<'i>,
    secret: Mark,
    /// What was presented instead of the secret.
    access_token: Option<Arc<AccessToken>>,
}

impl Admitted<'_> {
    /// Whose request it is; nobody's, on a route that allows that.
    pub fn identity(&self) -> Option<Identity<'_>> {
        let Proven { entry, secret, access_token } = self.proven.as_ref()?;
        Some(Identity { entry: *entry, secret: *secret, access_token: access_token.as_deref() })
    }
}

/// The token behind a request.
#[derive(Debug, Clone, Copy)]
pub struct Identity<'a> {
    entry: Entry<'a>,
    secret: Mark,
    access_token: Option<&'a AccessToken>,
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

    /// Its role, where it has one that `api` still knows; an access token has it only with
    /// all that the role allows.
    pub fn role(self, api: &'a Api) -> Option<&'a str> {
        let grant = &self.entry.terms().grant;
        let whole = |access_token: &AccessToken| {
            api.scopes_of(grant).all(|scope| access_token.covers(scope.as_need()))
        };
        match grant {
            Grant::Role(name) if self.access_token.is_none_or(whole) => {
                api.role(name).map(|role| &*role.name)
            }
            _ => None,
        }
    }

    /// What it may do, as `api` defines it now.
    pub fn scopes(self, api: &'a Api) -> impl Iterator<Item = &'a Scope> {
        let grant = &self.entry.terms().grant;
        // An access token has what it says, as long as its token has it too.
        let said = self.access_token.map(|access_token| {
            let has =
                move |scope: &&Scope| api.scopes_of(grant).any(|own| own.covers(scope.as_need()));
            access_token.scopes.iter().filter(has)
        });
        let own = said.is_none().then(|| api.scopes_of(grant));
        said.into_iter().flatten().chain(own.into_iter().flatten())
    }

    /// The access token that was presented instead of the secret.
    pub fn access_token(self) -> Option<&'a AccessToken> {
        self.access_token
    }

    /// The mark of the secret that was presented, or that the access token was obtained with.
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
        let ends = [self.access_token.map(|it| it.expires_at), self.entry.ends_at()];
        ends.into_iter().flatten().min()
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
            Requirement::Anonymous => Ok(Admitted { proven: None }),
            _ => Err(Refusal::new(Code::MissingCredential)),
        };
    };
    let secret = credential.secret();
    if api.access_tokens.is_some()
        && matches!(credential, Credential::Bearer(_))
        && access_token::is_plausible(secret)
    {
        return verify_access_token(api, index, question, &credential, now);
    }
    if !api.tokens.prefix.is_plausible(secret) {
        return Err(Refusal::new(Code::UnknownToken));
    }
    let digest = Digest::of(secret);
    let entry = index.find(&digest).ok_or_else(|| Refusal::new(Code::UnknownToken))?;

    prove(api, &entry, &credential, now)
        .and_then(|()| allow(api, &entry, None, question))
        .map_err(|refusal| of(refusal, &entry))?;
    Ok(Admitted { proven: Some(Proven { entry, secret: digest.mark(), access_token: None }) })
}

/// Judges an access token: what it says, and then the token behind it, as it is now.
fn verify_access_token<'i, H>(
    api: &Api,
    index: &'i Index,
    question: &Question<'_, H>,
    credential: &Credential<'_>,
    now: Timestamp,
) -> Result<Admitted<'i>, Refusal> {
    let refuse = |code| Err(Refusal::new(code));
    let Some(access_token) = question.access_tokens.open(credential.secret()) else {
        return refuse(Code::UnknownToken);
    };
    if *access_token.audience != *api.name {
        return refuse(Code::WrongApi);
    }
    // A secret that was rotated away has taken what was obtained with it along.
    let entry = index.find_secret(access_token.token, access_token.secret);
    let entry = entry.filter(|entry| entry.holder().account == access_token.account);
    let Some(entry) = entry else { return refuse(Code::Revoked) };
    if now >= access_token.expires_at {
        return Err(of(Refusal::new(Code::Expired), &entry));
    }
    prove(api, &entry, credential, now)
        .and_then(|()| allow(api, &entry, Some(&access_token), question))
        .map_err(|refusal| of(refusal, &entry))?;
    let secret = access_token.secret;
    Ok(Admitted { proven: Some(Proven { entry, secret, access_token: Some(access_token) }) })
}

/// A refusal of a token that is known.
fn of(refusal: Refusal, entry: &Entry<'_>) -> Refusal {
    Refusal { matched: Some((entry.id(), entry.holder().organization)), ..refusal }
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
fn allow<H>(
    api: &Api,
    entry: &Entry<'_>,
    access_token: Option<&AccessToken>,
    question: &Question<'_, H>,
) -> Result<(), Refusal> {
    let terms = entry.terms();
    if !terms.allowed_networks.is_empty() {
        let inside = |address| terms.allowed_networks.iter().any(|n| n.contains(address));
        if !question.client.is_some_and(inside) {
            return Err(Refusal::new(Code::NetworkNotAllowed));
        }
    }
    if let Requirement::Scope(need) = question.requirement
        && !(api.scopes_of(&terms.grant).any(|scope| scope.covers(need))
            && access_token.is_none_or(|it| it.covers(need)))
    {
        return Err(Refusal {
            about: About::Scope(need.to_string()),
            ..Refusal::new(Code::InsufficientScope)
        });
    }
    Ok(())
}
