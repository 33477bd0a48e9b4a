//! What is done once an older state of the database was put back: what had been taken away since
//! is taken away again, by changes of their own.

use super::{ServiceError, passwords::Passwords};
use crate::{
    clock, entropy,
    store::{MembershipFilter, Order, Page, Progress, Store, StoreError},
};
use base64::{Engine as _, prelude::BASE64_STANDARD as BASE64};
use counterfoil_core::{
    account::Rank,
    id::{AccountId, OrganizationId, TokenId},
    ledger::{Actor, Change, Take, Taking, Undone},
};
use std::fmt::Display;
use zeroize::Zeroizing;

/// What stands in the ledger as the reason of a token's end.
const REASON: &str = "ended again, for the database was put back to an older state: ";

/// What is to be done anew.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    changes: Vec<Change>,
    /// What to tell of each.
    pub(crate) told: Vec<Told>,
}

/// One thing that is done anew, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told {
    /// What it is done to: `token`, say.
    pub(crate) what: &'static str,
    /// Its id.
    pub(crate) id: String,
    /// What people call it.
    pub(crate) name: String,
    /// What is done.
    pub(crate) done: &'static str,
    /// Why.
    pub(crate) because: &'static str,
}

impl Plan {
    /// Decides by what the store has now.
    pub(crate) async fn of(store: &dyn Store, undone: &Undone) -> Result<Self, ServiceError> {
        let mut planner = Planner { store, plan: Self::default(), nobodys_password: None };
        for take in undone.takes() {
            planner.add(take).await?;
        }
        Ok(planner.plan)
    }

    /// Makes all changes or none; and ends every session and link, for those that had ended
    /// have come back, too.
    pub(crate) async fn carry_out(
        self,
        store: &dyn Store,
        progress: Progress,
    ) -> Result<(), StoreError> {
        // First, so that whoever has to begin anew can: the ledger is as it was.
        store.end_all_sessions().await?;
        if !self.changes.is_empty() {
            let changes =
                self.changes.into_iter().map(|change| (change, entropy::bytes())).collect();
            let (at, actor) = (clock::now(), Actor::Operator);
            let order =
                Order { at, actor, standing: None, grounds: Vec::new(), changes, once: None };
            store.commit_large(order, progress).await?;
        }
        Ok(())
    }
}

struct Planner<'s> {
    store: &'s dyn Store,
    plan: Plan,
    /// The hash of a password that nobody knows.
    nobodys_password: Option<String>,
}

impl Planner<'_> {
    async fn add(&mut self, Take { what, because }: Take) -> Result<(), ServiceError> {
        match what {
            Taking::CloseOrganization(id) => {
                let found = self.store.organization(id).await?;
                if let Some(found) = found.filter(|found| found.closed_at.is_none()) {
                    let change = Change::OrganizationClosed { organization: id };
                    self.make(change, "organization", id, found.name, "closed", because);
                }
            }
            Taking::DisableAccount(id) => self.disable(id, because).await?,
            Taking::TakePassword(id) => self.take_password(id, because).await?,
            Taking::EndMembership(organization, account) => {
                if self.rank(organization, account).await?.is_some() {
                    let change = Change::MembershipEnded { organization, account };
                    let name = self.name_of(account).await?;
                    self.make(
                        change,
                        "account",
                        account,
                        name,
                        "removed from its organization",
                        because,
                    );
                }
            }
            Taking::Demote(organization, account) => {
                if self.rank(organization, account).await? == Some(Rank::Administrator) {
                    let rank = Rank::Member;
                    let change = Change::MembershipRankChanged { organization, account, rank };
                    let name = self.name_of(account).await?;
                    self.make(change, "account", account, name, "made a member", because);
                }
            }
            Taking::WithdrawInvitation(invitation) => {
                let found = self.store.invitation(invitation).await?;
                let is_pending = |found: &_| {
                    let found: &crate::store::StoredInvitation = found;
                    found.accepted.is_none() && found.withdrawn_at.is_none()
                };
                if let Some(found) = found.filter(is_pending) {
                    let organization = found.organization;
                    let change = Change::InvitationWithdrawn { invitation, organization };
                    let name = found.email.map(|email| email.to_string()).unwrap_or_default();
                    self.make(change, "invitation", invitation, name, "withdrawn", because);
                }
            }
            Taking::RevokeToken(id) | Taking::PauseToken(id) | Taking::EndPreviousSecret(id) => {
                self.take_token(id, what, because).await?;
            }
        }
        Ok(())
    }

    async fn take_token(
        &mut self,
        token: TokenId,
        what: Taking,
        because: &'static str,
    ) -> Result<(), ServiceError> {
        let found = self.store.token(token).await?;
        let Some(found) = found.filter(|found| found.revoked_at.is_none()) else { return Ok(()) };
        let organization = found.token.organization;
        let (change, done) = match what {
            Taking::PauseToken(_) if found.paused_at.is_none() => {
                (Change::TokenPaused { token, organization }, "paused")
            }
            Taking::EndPreviousSecret(_) => {
                let Some(previous) = found.previous.map(|previous| previous.digest) else {
                    return Ok(());
                };
                let change = Change::TokenPreviousEnded { token, organization, previous };
                (change, "left with its present secret alone")
            }
            Taking::RevokeToken(_) => {
                let reason = format!("{REASON}{because}");
                (Change::TokenRevoked { token, organization, reason }, "revoked")
            }
            _ => return Ok(()),
        };
        self.make(change, "token", token, found.token.name, done, because);
        Ok(())
    }

    async fn disable(&mut self, id: AccountId, because: &'static str) -> Result<(), ServiceError> {
        let found = self.store.account(id).await?;
        let is_planned = |change: &Change| *change == Change::AccountDisabled { account: id };
        if found.is_some_and(|found| found.disabled_at.is_none())
            && !self.plan.changes.iter().any(is_planned)
        {
            let name = self.name_of(id).await?;
            let change = Change::AccountDisabled { account: id };
            self.make(change, "account", id, name, "disabled", because);
        }
        Ok(())
    }

    /// There is no change that removes a password, so it is set to one that nobody knows. Since
    /// the operator does that, it would prove the address: where that is not proven, the account
    /// is disabled instead.
    async fn take_password(
        &mut self,
        id: AccountId,
        because: &'static str,
    ) -> Result<(), ServiceError> {
        let found = self.store.account(id).await?;
        let Some(found) = found.filter(|found| found.has_password) else { return Ok(()) };
        if found.email.is_some() && !found.address_proven {
            return self.disable(id, because).await;
        }
        let hash = if let Some(hash) = &self.nobodys_password {
            hash.clone()
        } else {
            let password = Zeroizing::new(BASE64.encode(entropy::bytes::<32>()));
            let hash = Passwords::new(1).hash(password, &[]).await?;
            self.nobodys_password.insert(hash).clone()
        };
        let change = Change::PasswordSet { account: id, hash, by_mail: false };
        let name = self.name_of(id).await?;
        self.make(change, "account", id, name, "left without a password", because);
        Ok(())
    }

    /// What an account is in an organization, if it is a member.
    async fn rank(
        &self,
        organization: OrganizationId,
        account: AccountId,
    ) -> Result<Option<Rank>, StoreError> {
        let filter = MembershipFilter {
            organization: Some(organization),
            account: Some(account),
            with_past: true,
        };
        let found = self.store.memberships(filter, Page { after: None, limit: 1 }).await?;
        Ok(found.first().filter(|found| found.ended_at.is_none()).map(|found| found.rank))
    }

    async fn name_of(&self, account: AccountId) -> Result<String, StoreError> {
        let found = self.store.account(account).await?;
        Ok(found.map_or_else(String::new, |found| match found.email {
            Some(email) => email.to_string(),
            None => found.name,
        }))
    }

    fn make(
        &mut self,
        change: Change,
        what: &'static str,
        id: impl Display,
        name: String,
        done: &'static str,
        because: &'static str,
    ) {
        self.plan.changes.push(change);
        self.plan.told.push(Told { what, id: id.to_string(), name, done, because });
    }
}
