//! Tokens: issue, find, change, pause, revoke.

pub(super) use super::metadata::check_metadata;
use super::{
    Caller, MOMENT, Service, ServiceError, Update, accounts::AccountName, check_external_id,
    check_line, check_name, check_text, idempotency::Idempotency, management_api,
};
use crate::{
    clock, entropy,
    loggable::loggable,
    replica::waits::Spread,
    store::{
        MembershipFilter, Once, Page, StoreError, StoredAccount, StoredToken, TokenFilter,
        TokenState,
    },
};
use counterfoil_core::{
    Timestamp,
    account::AccountKind,
    api::{Api, Issuers},
    id::{AccountId, OrganizationId, TokenId},
    ledger::{Actor, Change},
    network::Network,
    scope::Scope,
    time::Seconds,
    token::{Grant, Secret, Token},
};
use serde_json::Value;
use std::time::Duration;

/// The longest name, in characters.
pub(crate) const NAME: usize = 100;
/// The longest note, in characters.
pub(crate) const NOTE: usize = 1000;
/// The longest reason for a revocation, in characters.
pub(crate) const REASON: usize = 500;
/// What the ledger says of a token that its client gave back.
const GIVEN_BACK: &str = "revoked by its client";
/// How many scopes or networks one token may carry.
pub(crate) const PARTS: usize = 64;

/// What a new token is to be.
#[derive(Debug)]
pub(crate) struct NewToken {
    pub(crate) api: String,
    /// Needed only where the owner belongs to several.
    pub(crate) organization: Option<OrganizationId>,
    /// Today's date, when absent.
    pub(crate) name: Option<String>,
    pub(crate) note: Option<String>,
    pub(crate) owner: Option<AccountName>,
    pub(crate) role: Option<String>,
    pub(crate) scopes: Option<Vec<String>>,
    pub(crate) expiry: Expiry,
    pub(crate) allowed_networks: Vec<String>,
    pub(crate) external_id: Option<String>,
    pub(crate) metadata: Option<Value>,
}

/// What is to be different about a token; what is absent stays.
#[derive(Debug, Default)]
pub(crate) struct TokenChanges {
    pub(crate) name: Option<String>,
    pub(crate) note: Option<String>,
    pub(crate) role: Option<String>,
    pub(crate) scopes: Option<Vec<String>>,
    pub(crate) expiry: Option<Expiry>,
    pub(crate) allowed_networks: Option<Vec<String>>,
    pub(crate) external_id: Update<String>,
    pub(crate) metadata: Update<Value>,
}

impl TokenChanges {
    /// Whether anything is to be different.
    pub(crate) fn is_something(&self) -> bool {
        self.name.is_some()
            || self.note.is_some()
            || self.role.is_some()
            || self.scopes.is_some()
            || self.expiry.is_some()
            || self.allowed_networks.is_some()
            || self.external_id != Update::Keep
            || self.metadata != Update::Keep
    }
}

/// When a new token is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expiry {
    /// As the API's policy has it.
    Default,
    /// Not at all.
    Never,
    /// So long after it is issued.
    In(Seconds),
    /// At this moment.
    At(Timestamp),
}

/// A token that has just been issued or rotated: the one time that its secret is there.
#[derive(Debug)]
pub(crate) struct Issued {
    pub(crate) token: StoredToken,
    pub(crate) secret: Secret,
    /// How far it is known.
    pub(crate) spread: Spread,
}

/// A token that is decided on, but not kept yet.
struct Minted {
    token: Token,
    secret: Secret,
}

/// What came of asking for a token under a key.
#[derive(Debug)]
pub(crate) enum Issuance {
    New(Issued),
    /// It had been asked for before, under the same key; the secret is gone.
    Repeat(StoredToken, Spread),
}

impl Service {
    /// Issues a token.
    pub(crate) async fn issue_token(
        &self,
        caller: &Caller,
        new: &NewToken,
    ) -> Result<Issued, ServiceError> {
        let minted = self.mint_token(caller, new).await?;
        self.keep_token(caller, minted, None).await
    }

    /// Issues a token, or finds the one that was issued under the same key.
    pub(crate) async fn issue_token_once(
        &self,
        caller: &Caller,
        new: &NewToken,
        idempotency: Idempotency,
    ) -> Result<Issuance, ServiceError> {
        caller.may("tokens:write")?;
        if let Some(before) = self.issued_before(caller, idempotency).await? {
            return Ok(Issuance::Repeat(before, self.see(Some(MOMENT)).await?));
        }
        let minted = self.mint_token(caller, new).await?;
        match self.keep_token(caller, minted, Some(idempotency)).await {
            Ok(issued) => Ok(Issuance::New(issued)),
            // Somebody may have come first with the same key.
            Err(error) => match self.issued_before(caller, idempotency).await {
                Ok(Some(before)) => Ok(Issuance::Repeat(before, self.see(Some(MOMENT)).await?)),
                Err(ServiceError::KeyReused) => Err(ServiceError::KeyReused),
                // What cannot be read now must not tell of a change as if it were not made.
                Ok(None) | Err(_) => Err(error),
            },
        }
    }

    /// A new token that nobody knows of yet.
    async fn mint_token(&self, caller: &Caller, new: &NewToken) -> Result<Minted, ServiceError> {
        caller.may("tokens:write")?;
        let api = self.api(&new.api)?;
        if api.issuers == Issuers::Administrators {
            caller.administers()?;
        }
        let grant = decide_grant(&api, new.role.as_deref(), new.scopes.as_deref())?;
        let now = clock::now();
        let expires_at = decide_expiry(&api, new.expiry, now, now)?;
        let allowed_networks = read_networks(&new.allowed_networks)?;
        check_handed_out(caller, &api, &grant, expires_at, &allowed_networks)?;
        let name = match &new.name {
            Some(name) => check_name(name, NAME)?,
            None => date(now),
        };
        let note = check_text("note", new.note.as_deref().unwrap_or_default(), NOTE)?;
        let external_id = new.external_id.as_deref().map(check_external_id).transpose()?;
        let metadata = new.metadata.clone().map(check_metadata).transpose()?;
        let (organization, owner) = self.decide_owner(caller, new).await?;

        let secret = Secret::mint(&api.tokens.prefix, &entropy::bytes());
        let token = Token {
            id: TokenId::new(now, entropy::bytes()),
            api: api.name.clone(),
            organization,
            owner,
            name,
            note,
            grant,
            created_at: now,
            expires_at,
            allowed_networks,
            external_id,
            metadata,
            prefix: api.tokens.prefix.as_str().into(),
            last_four: secret.last_four().into(),
            digest: secret.digest(),
        };
        Ok(Minted { token, secret })
    }

    async fn keep_token(
        &self,
        caller: &Caller,
        Minted { token, secret }: Minted,
        idempotency: Option<Idempotency>,
    ) -> Result<Issued, ServiceError> {
        let once = idempotency.map(|i| Once { key: i.key, request: i.request, token: token.id });
        let issued = [Change::TokenIssued(Box::new(token.clone()))];
        match self.commit_once(caller, token.created_at, issued, once).await {
            Ok(spread) => Ok(Issued { token: StoredToken::new(token), secret, spread }),
            Err(StoreError::Conflict) => Err(self.why_not_issued(&token).await),
            Err(error) => Err(error.into()),
        }
    }

    /// The token that was issued under this key.
    async fn issued_before(
        &self,
        caller: &Caller,
        Idempotency { key, request }: Idempotency,
    ) -> Result<Option<StoredToken>, ServiceError> {
        match self.store.once(key).await? {
            None => Ok(None),
            Some(once) if once.request != request => Err(ServiceError::KeyReused),
            Some(once) => self.seen_token(caller, once.token).await.map(Some),
        }
    }

    /// One token.
    pub(crate) async fn token(
        &self,
        caller: &Caller,
        id: TokenId,
    ) -> Result<StoredToken, ServiceError> {
        caller.may("tokens:read")?;
        self.seen_token(caller, id).await
    }

    /// Tokens in the order of their making.
    pub(crate) async fn tokens(
        &self,
        caller: &Caller,
        mut filter: TokenFilter,
        page: Page<TokenId>,
    ) -> Result<Vec<StoredToken>, ServiceError> {
        caller.may("tokens:read")?;
        let elsewhere = filter.organization.is_some_and(|asked| !caller.reaches(asked));
        let somebody_elses = match (caller.confined_to(), filter.owner) {
            (Some(own), Some(asked)) => own != asked,
            _ => false,
        };
        if elsewhere || somebody_elses {
            return Ok(Vec::new());
        }
        filter.organization = caller.home().or(filter.organization);
        filter.owner = caller.confined_to().or(filter.owner);
        self.stored_tokens(filter, page).await
    }

    /// Changes what is not the secret of a token.
    pub(crate) async fn change_token(
        &self,
        caller: &Caller,
        id: TokenId,
        changes: &TokenChanges,
    ) -> Result<StoredToken, ServiceError> {
        caller.may("tokens:write")?;
        self.settle(caller, async |at| {
            let stored = self.seen_token(caller, id).await?;
            if matches!(stored.state_at(at), TokenState::Revoked | TokenState::Expired) {
                return Err(ServiceError::Conflict(
                    "the token has ended; nothing brings it back".into(),
                ));
            }
            let api = self.api(&stored.token.api)?;
            let token = changed(caller, &api, stored.token.clone(), changes, at)?;
            if token == stored.token {
                return Ok((None, stored));
            }
            let revision = stored.revision + 1;
            let change = Change::TokenChanged {
                token: id,
                organization: token.organization,
                revision,
                name: token.name.clone(),
                note: token.note.clone(),
                grant: token.grant.clone(),
                expires_at: token.expires_at,
                allowed_networks: token.allowed_networks.clone(),
                external_id: token.external_id.clone(),
                metadata: token.metadata.clone(),
            };
            Ok((Some(change), StoredToken { token, revision, ..stored }))
        })
        .await
    }

    /// Holds a token back, or accepts it again.
    pub(crate) async fn set_token_paused(
        &self,
        caller: &Caller,
        id: TokenId,
        paused: bool,
    ) -> Result<StoredToken, ServiceError> {
        caller.may("tokens:write")?;
        self.settle(caller, async |at| {
            let stored = self.seen_token(caller, id).await?;
            if stored.revoked_at.is_some() {
                return Err(ServiceError::Conflict(
                    "the token is revoked, and that cannot be undone; issue a new one".into(),
                ));
            }
            let organization = stored.token.organization;
            let change = match (stored.paused_at, paused) {
                (None, true) => Change::TokenPaused { token: id, organization },
                (Some(_), false) => Change::TokenResumed { token: id, organization },
                _ => return Ok((None, stored)),
            };
            Ok((Some(change), StoredToken { paused_at: paused.then_some(at), ..stored }))
        })
        .await
    }

    /// Ends a token for good. A repeat finds it ended and says when that was.
    pub(crate) async fn revoke_token(
        &self,
        caller: &Caller,
        id: TokenId,
        reason: &str,
    ) -> Result<StoredToken, ServiceError> {
        self.revoke_token_within(None, caller, id, reason).await.map(|(stored, _)| stored)
    }

    /// The same, waiting no longer than `most` until no node accepts it, where that is said; and
    /// how far that has come.
    pub(crate) async fn revoke_token_within(
        &self,
        most: Option<Duration>,
        caller: &Caller,
        id: TokenId,
        reason: &str,
    ) -> Result<(StoredToken, Spread), ServiceError> {
        caller.may("tokens:write")?;
        let reason = check_line("reason", reason, REASON)?;
        let end = async |at| Ok(ended(self.seen_token(caller, id).await?, &reason, at));
        self.settle_within(most, caller, end).await
    }

    /// Ends a token for whoever has shown its secret as its client, in its owner's name.
    pub(crate) async fn give_token_back(
        &self,
        account: AccountId,
        id: TokenId,
    ) -> Result<StoredToken, ServiceError> {
        self.settle(Actor::Token { account, token: id }, async |at| {
            Ok(ended(self.stored_token(id).await?, GIVEN_BACK, at))
        })
        .await
    }

    /// A token, if the caller can see it; whoever cannot learns nothing of it.
    pub(super) async fn seen_token(
        &self,
        caller: &Caller,
        id: TokenId,
    ) -> Result<StoredToken, ServiceError> {
        let stored = self.stored_token(id).await?;
        let own = caller.confined_to().is_none_or(|account| account == stored.token.owner);
        if caller.reaches(stored.token.organization) && own {
            Ok(stored)
        } else {
            Err(no_such_token())
        }
    }

    /// Who is to own a new token, and in which organization. Whoever asks for one of their own
    /// has just been found to be a member, and to commit rests on that: nothing is looked up.
    async fn decide_owner(
        &self,
        caller: &Caller,
        new: &NewToken,
    ) -> Result<(OrganizationId, AccountId), ServiceError> {
        let invalid =
            |field, message: &str| ServiceError::Invalid { field, message: message.into() };
        if new.organization.is_some_and(|asked| !caller.reaches(asked)) {
            return Err(super::organizations::no_such_organization());
        }
        let owner = match (&new.owner, caller) {
            (Some(owner), _) => self.seen_account(caller, owner).await?,
            (None, Caller::Member(member)) => return Ok((member.organization, member.account)),
            (None, Caller::Operator) => {
                return Err(invalid("owner", "name the account that is to own the token"));
            }
        };
        if let Caller::Member(member) = caller
            && owner.id != member.account
        {
            caller.administers()?;
            if owner.kind == AccountKind::Person {
                return Err(ServiceError::Forbidden(
                    "a person's token is issued by that person; for yourself, or for a service \
                     account, you may"
                        .into(),
                ));
            }
        }
        let organization = caller.home().or(new.organization);
        let filter = MembershipFilter { organization, account: Some(owner.id), with_past: false };
        let memberships = self.store.memberships(filter, Page { after: None, limit: 2 }).await?;
        match &memberships[..] {
            _ if owner.disabled_at.is_some() => Err(is_disabled(&owner)),
            [] => Err(self.why_no_member(organization, &owner).await),
            [only] => Ok((only.organization, owner.id)),
            _ => Err(invalid(
                "organization",
                "the owner belongs to several organizations; say which one the token is for",
            )),
        }
    }

    /// What has become of the owner of a token that could not be kept; or something else has.
    async fn why_not_issued(&self, token: &Token) -> ServiceError {
        match self.stored_account(&AccountName::Id(token.owner)).await {
            Ok(owner) if owner.disabled_at.is_some() => is_disabled(&owner),
            Ok(owner) => match self.membership(token.organization, owner.id).await {
                Ok(None) => self.why_no_member(Some(token.organization), &owner).await,
                Ok(Some(_)) => StoreError::Conflict.into(),
                Err(error) => error,
            },
            Err(error) => error,
        }
    }

    async fn why_no_member(
        &self,
        organization: Option<OrganizationId>,
        owner: &StoredAccount,
    ) -> ServiceError {
        let Some(organization) = organization else { return not_a_member(owner) };
        match self.stored_organization(organization).await {
            Ok(found) if found.closed_at.is_some() => {
                ServiceError::Conflict("the organization is closed".into())
            }
            Ok(_) => not_a_member(owner),
            Err(error) => error,
        }
    }
}

/// A token that is ended for this reason, and the change that does it; none where it has been.
pub(super) fn ended(
    stored: StoredToken,
    reason: &str,
    at: Timestamp,
) -> (Option<Change>, StoredToken) {
    if stored.revoked_at.is_some() {
        return (None, stored);
    }
    let change = Change::TokenRevoked {
        token: stored.token.id,
        organization: stored.token.organization,
        reason: reason.to_owned(),
    };
    let revoke_reason = reason.to_owned();
    (Some(change), StoredToken { revoked_at: Some(at), revoke_reason, ..stored })
}

/// The token as it is to be.
pub(crate) fn changed(
    caller: &Caller,
    api: &Api,
    token: Token,
    changes: &TokenChanges,
    now: Timestamp,
) -> Result<Token, ServiceError> {
    let mut token = token;
    if let Some(name) = &changes.name {
        token.name = check_name(name, NAME)?;
    }
    if let Some(note) = &changes.note {
        token.note = check_text("note", note, NOTE)?;
    }
    changes.external_id.apply(&mut token.external_id, |id| check_external_id(id))?;
    changes.metadata.apply(&mut token.metadata, |value| check_metadata(value.clone()))?;
    // From here on it may be used for more than before: that is issuing.
    let grant = changes.role.is_some() || changes.scopes.is_some();
    if grant || changes.expiry.is_some() || changes.allowed_networks.is_some() {
        if api.issuers == Issuers::Administrators {
            caller.administers()?;
        }
        check_whole(caller, api, &token)?;
        if grant {
            token.grant = decide_grant(api, changes.role.as_deref(), changes.scopes.as_deref())?;
        }
        if let Some(expiry) = changes.expiry {
            // The longest life is counted from the beginning of it; but an imported
            // token may have begun long before it came here, and can be cut short.
            let since = if shortens(&token, expiry, now) { now } else { token.created_at };
            token.expires_at = decide_expiry(api, expiry, now, since)?;
        }
        if let Some(networks) = &changes.allowed_networks {
            token.allowed_networks = read_networks(networks)?;
        }
        check_whole(caller, api, &token)?;
    }
    Ok(token)
}

/// Whether a token that is to end as `asked` ends no later than before.
fn shortens(token: &Token, asked: Expiry, now: Timestamp) -> bool {
    let end = match asked {
        Expiry::In(lifetime) => now.plus(lifetime),
        Expiry::At(end) => end,
        Expiry::Default | Expiry::Never => return false,
    };
    token.expires_at.is_none_or(|before| end <= before)
}

/// Nobody hands out more of the management API than they hold.
pub(super) fn check_whole(caller: &Caller, api: &Api, token: &Token) -> Result<(), ServiceError> {
    check_handed_out(caller, api, &token.grant, token.expires_at, &token.allowed_networks)
}

fn check_handed_out(
    caller: &Caller,
    api: &Api,
    grant: &Grant,
    expires_at: Option<Timestamp>,
    networks: &[Network],
) -> Result<(), ServiceError> {
    if *api.name != *management_api::NAME {
        return Ok(());
    }
    if api.scopes_of(grant).any(management_api::is_granted_by_the_operator) {
        caller.is_operator()?;
    }
    caller.reaches_as_far(expires_at, networks)?;
    caller.holds_all(api.scopes_of(grant))
}

pub(super) fn no_such_token() -> ServiceError {
    ServiceError::NotFound("there is no such token".into())
}

fn is_disabled(owner: &StoredAccount) -> ServiceError {
    ServiceError::Conflict(format!("the account {} is disabled", owner.name))
}

fn not_a_member(owner: &StoredAccount) -> ServiceError {
    ServiceError::Conflict(format!(
        "{} is not a member of an organization that the token could belong to",
        owner.name
    ))
}

pub(super) fn decide_grant(
    api: &Api,
    role: Option<&str>,
    scopes: Option<&[String]>,
) -> Result<Grant, ServiceError> {
    let invalid = |field, message| Err(ServiceError::Invalid { field, message });
    match (role, scopes) {
        (Some(_), Some(_)) => invalid("scopes", "give a role or scopes, not both".into()),
        (Some(name), None) => match api.role(name) {
            Some(role) => Ok(Grant::Role(role.name.clone())),
            None if api.roles.is_empty() => {
                invalid("role", format!("the API {} has no roles", api.name))
            }
            None => {
                let known: Vec<&str> = api.roles.iter().map(|role| &*role.name).collect();
                invalid(
                    "role",
                    format!("no role {:?}; the API has {}", loggable(name), known.join(", ")),
                )
            }
        },
        (None, Some(texts)) => {
            if texts.len() > PARTS {
                return invalid("scopes", format!("at most {PARTS} scopes"));
            }
            let mut scopes: Vec<Scope> = Vec::with_capacity(texts.len());
            for text in texts {
                let known = api.scopes.iter().map(|(scope, _)| scope);
                let Some(scope) = known.clone().find(|scope| scope.as_str() == text) else {
                    let known: Vec<&str> = known.map(Scope::as_str).collect();
                    let hint = if known.is_empty() { "none".into() } else { known.join(", ") };
                    return invalid(
                        "scopes",
                        format!("no scope {:?}; the API has {hint}", loggable(text)),
                    );
                };
                if !scopes.contains(scope) {
                    scopes.push(scope.clone());
                }
            }
            if scopes.is_empty() && !api.scopes.is_empty() {
                return invalid("scopes", "a token without scopes could do nothing".into());
            }
            Ok(if scopes.is_empty() { Grant::Any } else { Grant::Scopes(scopes.into()) })
        }
        (None, None) if api.scopes.is_empty() => Ok(Grant::Any),
        (None, None) => {
            let roles: Vec<&str> = api.roles.iter().map(|role| &*role.name).collect();
            let scopes: Vec<&str> = api.scopes.iter().map(|(scope, _)| scope.as_str()).collect();
            if roles.is_empty() {
                return invalid("scopes", format!("needed; the API has {}", scopes.join(", ")));
            }
            invalid(
                "role",
                format!(
                    "a role ({}) or scopes ({}) are needed",
                    roles.join(", "),
                    scopes.join(", ")
                ),
            )
        }
    }
}

pub(super) fn decide_expiry(
    api: &Api,
    asked: Expiry,
    now: Timestamp,
    since: Timestamp,
) -> Result<Option<Timestamp>, ServiceError> {
    let policy = &api.tokens;
    let field = if matches!(asked, Expiry::In(_)) { "expires_in" } else { "expires_at" };
    let invalid = |message: String| Err(ServiceError::Invalid { field, message });
    let end = match asked {
        Expiry::Default => policy.default_lifetime.map(|lifetime| now.plus(lifetime)),
        Expiry::Never => None,
        Expiry::In(lifetime) => Some(now.plus(lifetime)),
        Expiry::At(end) => Some(end),
    };
    match (end, policy.max_lifetime) {
        (None, max) if !policy.never => {
            let hint = max.map(|max| format!(", {max} at most")).unwrap_or_default();
            invalid(format!("tokens of this API have to expire{hint}"))
        }
        (Some(end), _) if end <= now => invalid("must lie in the future".into()),
        (Some(end), _) if end > Timestamp::MAX => invalid("lies too far in the future".into()),
        (Some(end), Some(max)) if end > since.plus(max) => {
            invalid(format!("tokens of this API live {max} at most"))
        }
        _ => Ok(end),
    }
}

pub(super) fn read_networks(texts: &[String]) -> Result<Vec<Network>, ServiceError> {
    let invalid = |message| ServiceError::Invalid { field: "allowed_networks", message };
    if texts.len() > PARTS {
        return Err(invalid(format!("at most {PARTS} networks")));
    }
    texts
        .iter()
        .map(|text| text.parse().map_err(|error| invalid(format!("{:?}: {error}", loggable(text)))))
        .collect()
}

/// The UTC date, which names a token that nobody named.
pub(super) fn date(now: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(now.as_millis())
        .map(|instant| instant.strftime("%Y-%m-%d").to_string())
        .unwrap_or_default()
}
