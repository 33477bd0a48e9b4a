//! Who belongs to an organization, as its administrators look at them: with how many tokens,
//! and when they were here last.

use super::{
    Caller, Service, ServiceError, accounts::AccountName, organizations::no_such_organization,
};
use crate::{
    clock,
    store::{AccountFilter, Page, StoredAccount, StoredSession, TokenList, TokenOrder, TokenState},
};
use counterfoil_core::{
    Timestamp,
    account::{AccountKind, Rank},
    id::{AccountId, OrganizationId, SessionId},
};

/// How far somebody's tokens are counted; whoever has more has many.
pub(crate) const COUNTED: u32 = 50;
/// How many of somebody's sessions are looked at for the last time that they were here.
const SESSIONS: u32 = 20;

/// Somebody, at a glance.
#[derive(Debug)]
pub(crate) struct Glance {
    pub(crate) account: StoredAccount,
    pub(crate) rank: Rank,
    /// How many tokens work that they own here, counted to one more than [`COUNTED`].
    pub(crate) live: usize,
    /// When they were last signed in, as far as the session is still there.
    pub(crate) last_seen: Option<Timestamp>,
    /// When a token that they own here was used last.
    pub(crate) last_used: Option<Timestamp>,
}

/// A member's session.
#[derive(Debug)]
pub(crate) struct Presence {
    pub(crate) session: StoredSession,
    pub(crate) account: StoredAccount,
    /// Whether the account belongs to this organization alone. Else the session is another
    /// one's as well: from where they come, and how long they stay, is not this one's to know
    /// or to say.
    pub(crate) is_only_here: bool,
}

impl Service {
    /// People, or service accounts, that belong to the caller's organization, in the order in
    /// which they were made.
    pub(crate) async fn members(
        &self,
        caller: &Caller,
        kind: AccountKind,
        search: Option<String>,
        page: Page<AccountId>,
    ) -> Result<Vec<Glance>, ServiceError> {
        let organization = administered(caller)?;
        let filter = AccountFilter {
            organization: Some(organization),
            kind: Some(kind),
            search,
            ..AccountFilter::default()
        };
        let mut members = Vec::new();
        for account in self.store.accounts(filter, page).await? {
            members.extend(self.glance(organization, account).await?);
        }
        Ok(members)
    }

    /// One of them.
    pub(crate) async fn member(
        &self,
        caller: &Caller,
        account: AccountId,
    ) -> Result<Glance, ServiceError> {
        let organization = administered(caller)?;
        let account = self.seen_account(caller, &AccountName::Id(account)).await?;
        let gone = || ServiceError::NotFound("the account is not a member any more".into());
        self.glance(organization, account).await?.ok_or_else(gone)
    }

    async fn glance(
        &self,
        organization: OrganizationId,
        account: StoredAccount,
    ) -> Result<Option<Glance>, ServiceError> {
        let now = clock::now();
        // It may end between two looks.
        let Some(membership) = self.membership(organization, account.id).await? else {
            return Ok(None);
        };
        let sessions = match account.kind {
            AccountKind::Person => self.store.sessions(account.id, now, SESSIONS).await?,
            AccountKind::Service => Vec::new(),
        };
        let last = TokenList {
            owner: Some(account.id),
            ..TokenList::all(organization, TokenOrder::LastUse, 1)
        };
        let last = self.store.list_tokens(last).await?;
        Ok(Some(Glance {
            live: self.live_tokens(organization, account.id).await?,
            rank: membership.rank,
            last_seen: sessions.iter().map(|session| session.last_seen_at).max(),
            last_used: last.first().and_then(|last| last.last_used.as_ref()).map(|used| used.at),
            account,
        }))
    }

    async fn live_tokens(
        &self,
        organization: OrganizationId,
        owner: AccountId,
    ) -> Result<usize, ServiceError> {
        let list = TokenList {
            owner: Some(owner),
            state: Some((TokenState::Active, clock::now())),
            ..TokenList::all(organization, TokenOrder::Newest, COUNTED + 1)
        };
        Ok(self.store.list_tokens(list).await?.len())
    }

    /// How many tokens somebody left behind who belongs here no more, counted likewise: none
    /// of them works.
    pub(crate) async fn left_behind(
        &self,
        caller: &Caller,
        account: AccountId,
    ) -> Result<usize, ServiceError> {
        let organization = administered(caller)?;
        if self.membership(organization, account).await?.is_some() {
            return Err(ServiceError::NotFound("the account has not left".into()));
        }
        self.live_tokens(organization, account).await
    }

    /// What accounts are called that have to do with the caller's organization, now or once.
    pub(crate) async fn name_of(
        &self,
        caller: &Caller,
        account: AccountId,
    ) -> Result<Option<String>, ServiceError> {
        let organization = administered(caller)?;
        let filter = crate::store::MembershipFilter {
            organization: Some(organization),
            account: Some(account),
            with_past: true,
        };
        let ever = self.store.memberships(filter, Page { after: None, limit: 1 }).await?;
        if ever.is_empty() {
            return Ok(None);
        }
        Ok(self.store.account(account).await?.map(|account| account.name))
    }

    /// The sessions of those who belong to the caller's organization.
    pub(crate) async fn sessions_of_members(
        &self,
        caller: &Caller,
        page: Page<(AccountId, SessionId)>,
    ) -> Result<Vec<Presence>, ServiceError> {
        let organization = administered(caller)?;
        let mut found = Vec::new();
        for session in self.store.sessions_of_members(organization, clock::now(), page).await? {
            let Some(account) = self.store.account(session.account).await? else { continue };
            let is_only_here = self.is_only_here(organization, account.id).await?;
            found.push(Presence { session, account, is_only_here });
        }
        Ok(found)
    }

    /// Ends a session of somebody who belongs to the caller's organization and to no other.
    pub(crate) async fn end_session_of_member(
        &self,
        caller: &Caller,
        session: SessionId,
    ) -> Result<(), ServiceError> {
        let organization = administered(caller)?;
        caller.may("accounts:write")?;
        let none = || ServiceError::NotFound("there is no such session".into());
        let found = self.store.session_by_id(session, clock::now()).await?.ok_or_else(none)?;
        if self.membership(organization, found.account).await?.is_none() {
            return Err(none());
        }
        if !self.is_only_here(organization, found.account).await? {
            return Err(ServiceError::Forbidden(
                "who signs in belongs to another organization as well, and the session is one \
                 for both; end the membership here instead, or ask them to sign out"
                    .into(),
            ));
        }
        self.store.end_session(session).await?;
        Ok(())
    }

    async fn is_only_here(
        &self,
        organization: OrganizationId,
        account: AccountId,
    ) -> Result<bool, ServiceError> {
        let homes = self.store.organizations_of(account).await?;
        Ok(homes.iter().all(|(home, _)| home.id == organization))
    }
}

/// The organization that the caller administers.
fn administered(caller: &Caller) -> Result<OrganizationId, ServiceError> {
    caller.may("accounts:read")?;
    caller.administers()?;
    // The operator has none.
    caller.home().ok_or_else(no_such_organization)
}
