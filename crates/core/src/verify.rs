//! Verification: who is this, and may they.
//!
//! [`verify`] is a pure function: the same index, request and `now` give the same answer.

use crate::{
    Code, Refusal, Timestamp,
    access_token::{self, AccessToken, AccessTokens},
    account::{Email, Rank},
    api::{Api, Issuers},
    credential::{self, Credential, EmailAndSecret, Headers, Scheme},
    id::{AccountId, OrganizationId, TokenId},
    index::{Address, Entry, Holder, Index, Standing},
    network::Network,
    refusal::About,
    route::Requirement,
    scope::{Need, Scope},
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
    /// The account whose password this very request has proven, where somebody has looked at
    /// what [`password_shown`] found in it.
    pub password: Option<AccountId>,
}

/// Leave to go on to the upstream. Only [`verify`] makes one.
#[derive(Debug, Clone)]
pub struct Admitted<'i> {
    proven: Option<Proven<'i>>,
}

/// What a request has proven.
#[derive(Debug, Clone)]
enum Proven<'i> {
    /// A token.
    Token {
        entry: Entry<'i>,
        secret: Mark,
        /// What was presented instead of the secret.
        access_token: Option<Arc<AccessToken>>,
        /// Whether its owner's address was presented beside it.
        names_owner: bool,
    },
    /// An account's own password.
    Password { holder: &'i Holder, standing: Standing, issuers: Issuers },
}

impl Admitted<'_> {
    /// Whose request it is; nobody's, on a route that allows that.
    pub fn identity(&self) -> Option<Identity<'_>> {
        self.proven.as_ref().map(Identity)
    }

    /// What the request was admitted on: for whoever goes on with it for a while.
    pub fn grounds(&self) -> Grounds {
        Grounds(match &self.proven {
            None => Basis::Nothing,
            Some(Proven::Token { entry, secret, access_token, names_owner }) => Basis::Token {
                token: entry.id(),
                secret: *secret,
                owner: names_owner.then_some((entry.holder().account, entry.standing().address())),
                access_token: access_token
                    .as_ref()
                    .map(|access_token| (access_token.account, access_token.expires_at)),
            },
            Some(Proven::Password { holder, standing, issuers }) => Basis::Password {
                account: holder.account,
                address: standing.address(),
                issuers: *issuers,
            },
        })
    }
}

/// What a request was admitted on, small enough to be kept for as long as it goes on.
/// Whether it [`holds`](Self::holds) can be asked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grounds(Basis);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Basis {
    /// Anybody may.
    Nothing,
    Token {
        token: TokenId,
        secret: Mark,
        /// Whose it has to be, and where they have to be reached, where the credential said so.
        owner: Option<(AccountId, Address)>,
        /// Whose an access token is, and when it ends.
        access_token: Option<(AccountId, Timestamp)>,
    },
    Password {
        account: AccountId,
        address: Address,
        issuers: Issuers,
    },
}

impl Grounds {
    /// Whether [`verify`] would still know the credential at the moment `now`, or why not. What
    /// it may be used for, and from where, was asked when the request came.
    ///
    /// Somebody's password that has changed since is not known here.
    pub fn holds(&self, index: &Index, now: Timestamp) -> Result<(), Refusal> {
        let refuse = |code| Err(Refusal::new(code));
        let (token, secret, owner, access_token) = match self.0 {
            Basis::Nothing => return Ok(()),
            Basis::Password { account, address, issuers } => {
                let belongs = index.find_account(account);
                let has_moved =
                    |standing: Standing| !index.is_one_address(address, standing.address());
                if belongs.iter().any(|(_, standing)| has_moved(*standing)) {
                    return refuse(Code::OwnerMismatch);
                }
                return member(&belongs, issuers).map(|_| ());
            }
            Basis::Token { token, secret, owner, access_token } => {
                (token, secret, owner, access_token)
            }
        };
        let entry = index.find_secret(token, secret);
        if let Some((account, expires_at)) = access_token {
            let entry = entry.filter(|entry| entry.holder().account == account);
            let Some(entry) = entry else { return refuse(Code::Revoked) };
            if now >= expires_at {
                return Err(of(Refusal::new(Code::Expired), &entry));
            }
            return accept(index, &entry, now, || Ok(())).map_err(|refusal| of(refusal, &entry));
        }
        let Some(entry) = entry else { return refuse(Code::UnknownToken) };
        accept(index, &entry, now, || match owner {
            Some((owner, address))
                if owner != entry.holder().account
                    || !index.is_one_address(address, entry.standing().address()) =>
            {
                refuse(Code::OwnerMismatch)
            }
            _ => Ok(()),
        })
        .map_err(|refusal| of(refusal, &entry))
    }
}

/// Who is behind a request: a token, or an account by its own password.
#[derive(Debug, Clone, Copy)]
pub struct Identity<'a>(&'a Proven<'a>);

impl<'a> Identity<'a> {
    /// The token; none behind a password.
    pub fn token(self) -> Option<TokenId> {
        self.entry().map(Entry::id)
    }

    /// The account: the token's owner, or whose password it is.
    pub fn account(self) -> AccountId {
        self.holder().account
    }

    /// Its address, where it has one, as `index` knows it, which has judged the request.
    pub fn email(self, index: &'a Index) -> Option<&'a Email> {
        index.email(self.standing().address())
    }

    /// The organization.
    pub fn organization(self) -> OrganizationId {
        self.holder().organization
    }

    /// What the account is in the organization.
    pub fn rank(self) -> Option<Rank> {
        self.standing().rank()
    }

    /// The token's role, where it has one that `api` still knows; an access token has it only
    /// with all that the role allows.
    pub fn role(self, api: &'a Api) -> Option<&'a str> {
        let grant = &self.entry()?.terms().grant;
        let whole = |access_token: &AccessToken| {
            api.scopes_of(grant).all(|scope| access_token.covers(scope.as_need()))
        };
        match grant {
            Grant::Role(name) if self.access_token().is_none_or(whole) => {
                api.role(name).map(|role| &*role.name)
            }
            _ => None,
        }
    }

    /// What the request may do, as `api` defines it now: whoever shows a password, all that
    /// they could give a token.
    pub fn scopes(self, api: &'a Api) -> impl Iterator<Item = &'a Scope> {
        let grant = self.entry().map(|entry| &entry.terms().grant);
        let of_grant = move || grant.into_iter().flat_map(|grant| api.scopes_of(grant));
        // An access token has what it says, as long as its token has it too.
        let said = self.access_token().map(|access_token| {
            let has = move |scope: &&Scope| of_grant().any(|own| own.covers(scope.as_need()));
            access_token.scopes.iter().filter(has)
        });
        let own = said.is_none().then(of_grant);
        let all = grant.is_none().then(|| api.scopes.iter().map(|(scope, _)| scope));
        let said = said.into_iter().flatten();
        said.chain(own.into_iter().flatten()).chain(all.into_iter().flatten())
    }

    /// The access token that was presented instead of the secret.
    pub fn access_token(self) -> Option<&'a AccessToken> {
        match self.0 {
            Proven::Token { access_token, .. } => access_token.as_deref(),
            Proven::Password { .. } => None,
        }
    }

    /// The mark of the secret that was presented, or that the access token was obtained with.
    pub fn secret(self) -> Option<Mark> {
        match self.0 {
            Proven::Token { secret, .. } => Some(*secret),
            Proven::Password { .. } => None,
        }
    }

    /// Whether what was presented is the secret before the last rotation.
    pub fn is_previous(self) -> bool {
        self.entry().is_some_and(Entry::is_previous)
    }

    /// Where it may be used from; anywhere, when empty.
    pub fn allowed_networks(self) -> &'a [Network] {
        self.entry().map_or(&[], |entry| &entry.terms().allowed_networks)
    }

    /// When what was presented ends: the token or, of a secret before the last rotation,
    /// that secret.
    pub fn expires_at(self) -> Option<Timestamp> {
        let ends = [self.access_token().map(|it| it.expires_at), self.entry()?.ends_at()];
        ends.into_iter().flatten().min()
    }

    fn entry(self) -> Option<&'a Entry<'a>> {
        match self.0 {
            Proven::Token { entry, .. } => Some(entry),
            Proven::Password { .. } => None,
        }
    }

    fn standing(self) -> Standing {
        match self.0 {
            Proven::Token { entry, .. } => entry.standing(),
            Proven::Password { standing, .. } => *standing,
        }
    }

    fn holder(self) -> &'a Holder {
        match self.0 {
            Proven::Token { entry, .. } => entry.holder(),
            Proven::Password { holder, .. } => holder,
        }
    }
}

/// The password that a request shows, which [`verify`] has refused as [`Code::UnknownToken`];
/// none where the API takes no passwords, or what stands in its place has the form of a token.
pub fn password_shown<H: Headers>(api: &Api, headers: &H) -> Option<EmailAndSecret> {
    match credential::read(&api.schemes, headers) {
        Ok(Some(Credential::Password(pair) | Credential::Basic(pair))) => {
            may_be_password(api, &pair).then_some(pair)
        }
        _ => None,
    }
}

/// Whether the API takes passwords, and this could be one: no token, not even a mistyped one.
fn may_be_password(api: &Api, pair: &EmailAndSecret) -> bool {
    api.schemes.accepted.contains(&Scheme::Password) && !api.tokens.prefix.begins(pair.secret())
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
        // What is none may be a token that was imported, which has a form of its own.
        && let Some(access_token) = question.access_tokens.open(secret)
    {
        return verify_access_token(api, index, question, &credential, access_token, now);
    }
    if !api.tokens.prefix.is_plausible(secret) {
        return Err(Refusal::new(Code::UnknownToken));
    }
    let digest = Digest::of(secret);
    let Some(entry) = index.find(&digest) else {
        return verify_password(api, index, question, &credential);
    };

    prove(api, index, &entry, &credential, now)
        .and_then(|()| allow(api, &entry, None, question))
        .map_err(|refusal| of(refusal, &entry))?;
    let names_owner = matches!(credential, Credential::Basic(_) | Credential::Password(_));
    let proven = Proven::Token { entry, secret: digest.mark(), access_token: None, names_owner };
    Ok(Admitted { proven: Some(proven) })
}

/// Judges what is no token: the account whose password was proven, as it is now.
#[cold]
fn verify_password<'i, H>(
    api: &Api,
    index: &'i Index,
    question: &Question<'_, H>,
    credential: &Credential<'_>,
) -> Result<Admitted<'i>, Refusal> {
    let refuse = |code| Err(Refusal::new(code));
    let (Credential::Password(pair) | Credential::Basic(pair)) = credential else {
        return refuse(Code::UnknownToken);
    };
    let proven = question.password.filter(|_| may_be_password(api, pair));
    let Some(account) = proven else { return refuse(Code::UnknownToken) };
    let belongs = index.find_account(account);
    if belongs.iter().any(|(_, standing)| !is_reached_at(index, *standing, pair.email())) {
        return refuse(Code::OwnerMismatch);
    }
    let (holder, standing) = member(&belongs, api.issuers)?;
    if let Requirement::Scope(need) = question.requirement
        && !api.scopes.iter().any(|(scope, _)| scope.covers(need))
    {
        return Err(lacks(need));
    }
    let proven = Proven::Password { holder, standing, issuers: api.issuers };
    Ok(Admitted { proven: Some(proven) })
}

/// The one place where an account belongs, if it may show its password there.
fn member<'i>(
    belongs: &[(&'i Holder, Standing)],
    issuers: Issuers,
) -> Result<(&'i Holder, Standing), Refusal> {
    let refuse = |code| Err(Refusal::new(code));
    let live = || belongs.iter().filter(|(_, standing)| standing.is_live());
    let mut open = live().filter(|(_, standing)| standing.is_open());
    let (holder, standing) = match (open.next(), open.next()) {
        (Some(only), None) => *only,
        (Some(_), Some(_)) => return refuse(Code::SeveralOrganizations),
        (None, _) if live().next().is_some() => return refuse(Code::OrganizationClosed),
        (None, _) => return refuse(Code::AccountDisabled),
    };
    if issuers == Issuers::Administrators && standing.rank() != Some(Rank::Administrator) {
        return refuse(Code::NotAnIssuer);
    }
    Ok((holder, standing))
}

/// Judges an access token: what it says, and then the token behind it, as it is now.
fn verify_access_token<'i, H>(
    api: &Api,
    index: &'i Index,
    question: &Question<'_, H>,
    credential: &Credential<'_>,
    access_token: Arc<AccessToken>,
    now: Timestamp,
) -> Result<Admitted<'i>, Refusal> {
    let refuse = |code| Err(Refusal::new(code));
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
    prove(api, index, &entry, credential, now)
        .and_then(|()| allow(api, &entry, Some(&access_token), question))
        .map_err(|refusal| of(refusal, &entry))?;
    let secret = access_token.secret;
    let access_token = Some(access_token);
    let proven = Proven::Token { entry, secret, access_token, names_owner: false };
    Ok(Admitted { proven: Some(proven) })
}

/// A refusal of a token that is known.
fn of(refusal: Refusal, entry: &Entry<'_>) -> Refusal {
    Refusal { matched: Some((entry.id(), entry.holder().organization)), ..refusal }
}

/// Whether the credential proves a token of this API that is accepted now.
fn prove(
    api: &Api,
    index: &Index,
    entry: &Entry<'_>,
    credential: &Credential<'_>,
    now: Timestamp,
) -> Result<(), Refusal> {
    let refuse = |code| Err(Refusal::new(code));

    if *entry.terms().api != *api.name {
        return refuse(Code::WrongApi);
    }
    accept(index, entry, now, || match credential {
        Credential::Basic(pair) | Credential::Password(pair)
            if !is_reached_at(index, entry.standing(), pair.email()) =>
        {
            refuse(Code::OwnerMismatch)
        }
        Credential::HeaderPair { client_id, .. } if client_id.parse() != Ok(entry.id()) => {
            refuse(Code::ClientMismatch)
        }
        _ => Ok(()),
    })
}

/// Whether an account is at this address.
fn is_reached_at(index: &Index, standing: Standing, email: &str) -> bool {
    index.email(standing.address()).is_some_and(|own| own.is(email))
}

/// Why a token is refused that the ledger has not revoked.
const DENIED: &str = "the operator has this node deny it";

/// Whether a token is accepted now, by itself and by what the credential `adds`.
#[inline]
fn accept(
    index: &Index,
    entry: &Entry<'_>,
    now: Timestamp,
    adds: impl FnOnce() -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    let refuse = |code| Err(Refusal::new(code));

    if !entry.standing().is_open() {
        return refuse(Code::OrganizationClosed);
    }
    adds()?;
    match entry.state() {
        State::Revoked => return refuse(Code::Revoked),
        _ if index.denies(entry.id()) => return Err(Refusal::known(Code::Revoked, DENIED)),
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
        return Err(lacks(need));
    }
    Ok(())
}

fn lacks(need: Need<'_>) -> Refusal {
    Refusal { about: About::Scope(need.to_string()), ..Refusal::new(Code::InsufficientScope) }
}
