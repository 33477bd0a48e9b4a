//! Organizations and who belongs to them.

use super::{
    Caller, Service, ServiceError, Update, accounts::AccountName, check_external_id, check_name,
};
use crate::{
    clock, entropy,
    store::{MembershipFilter, OrganizationFilter, Page, StoredMembership, StoredOrganization},
};
use counterfoil_core::{
    Timestamp,
    account::{AccountKind, Rank},
    id::{AccountId, OrganizationId},
    ledger::Change,
};

/// The longest name, in characters.
pub(crate) const NAME: usize = 100;

/// What is to be different about an organization; what is absent stays.
#[derive(Debug, Default)]
pub(crate) struct OrganizationChanges {
    pub(crate) name: Option<String>,
    pub(crate) external_id: Update<String>,
}

impl OrganizationChanges {
    /// Whether anything is to be different.
    pub(crate) fn is_something(&self) -> bool {
        self.name.is_some() || self.external_id != Update::Keep
    }
}

impl Service {
    /// Makes an organization.
    pub(crate) async fn create_organization(
        &self,
        caller: &Caller,
        name: &str,
        external_id: Option<&str>,
    ) -> Result<StoredOrganization, ServiceError> {
        caller.is_operator()?;
        let created_at = clock::now();
        let organization = new_organization(created_at, name, external_id)?;
        self.commit(caller, created_at, [organization.created()]).await?;
        Ok(organization)
    }

    /// One organization.
    pub(crate) async fn organization(
        &self,
        caller: &Caller,
        id: OrganizationId,
    ) -> Result<StoredOrganization, ServiceError> {
        caller.may("accounts:read")?;
        if !caller.reaches(id) {
            return Err(no_such_organization());
        }
        self.stored_organization(id).await
    }

    pub(super) async fn stored_organization(
        &self,
        id: OrganizationId,
    ) -> Result<StoredOrganization, ServiceError> {
        self.store.organization(id).await?.ok_or_else(no_such_organization)
    }

    /// Organizations in the order of their making.
    pub(crate) async fn organizations(
        &self,
        caller: &Caller,
        filter: OrganizationFilter,
        page: Page<OrganizationId>,
    ) -> Result<Vec<StoredOrganization>, ServiceError> {
        caller.may("accounts:read")?;
        let Some(home) = caller.home() else {
            return Ok(self.store.organizations(filter, page).await?);
        };
        let own = self.stored_organization(home).await?;
        let wanted = filter.name.is_none_or(|name| name == own.name)
            && filter.external_id.is_none_or(|id| Some(&*id) == own.external_id.as_deref())
            && page.after.is_none_or(|after| after < own.id);
        Ok(wanted.then_some(own).into_iter().collect())
    }

    /// Changes what an organization is called.
    pub(crate) async fn change_organization(
        &self,
        caller: &Caller,
        id: OrganizationId,
        changes: &OrganizationChanges,
    ) -> Result<StoredOrganization, ServiceError> {
        caller.is_operator()?;
        self.settle(caller, async |_| {
            let stored = self.stored_organization(id).await?;
            if stored.closed_at.is_some() {
                return Err(ServiceError::Conflict("the organization is closed".into()));
            }
            let mut organization = stored.clone();
            if let Some(name) = &changes.name {
                organization.name = check_name(name, NAME)?;
            }
            changes.external_id.apply(&mut organization.external_id, |id| check_external_id(id))?;
            if organization == stored {
                return Ok((None, stored));
            }
            organization.revision += 1;
            let change = Change::OrganizationChanged {
                organization: id,
                revision: organization.revision,
                name: organization.name.clone(),
                external_id: organization.external_id.clone(),
            };
            Ok((Some(change), organization))
        })
        .await
    }

    /// Closes an organization for good; all its tokens stop at once.
    pub(crate) async fn close_organization(
        &self,
        caller: &Caller,
        id: OrganizationId,
    ) -> Result<StoredOrganization, ServiceError> {
        caller.is_operator()?;
        self.settle(caller, async |at| {
            let organization = self.stored_organization(id).await?;
            if organization.closed_at.is_some() {
                return Ok((None, organization));
            }
            let change = Change::OrganizationClosed { organization: id };
            Ok((Some(change), StoredOrganization { closed_at: Some(at), ..organization }))
        })
        .await
    }

    /// Makes an account a member of an organization, or gives it another rank there.
    pub(crate) async fn set_membership(
        &self,
        caller: &Caller,
        organization: OrganizationId,
        account: &AccountName,
        rank: Rank,
    ) -> Result<StoredMembership, ServiceError> {
        caller.may("accounts:write")?;
        caller.administers()?;
        if !caller.reaches(organization) {
            return Err(no_such_organization());
        }
        let account = self.seen_account(caller, account).await?;
        self.settle(caller, async |joined_at| {
            if self.stored_organization(organization).await?.closed_at.is_some() {
                return Err(ServiceError::Conflict("the organization is closed".into()));
            }
            let (kind, account) = (account.kind, account.id);
            let joined =
                StoredMembership { organization, account, rank, joined_at, ended_at: None };
            Ok(match self.membership(organization, account).await? {
                Some(membership) if membership.rank == rank => (None, membership),
                Some(membership) => (
                    Some(Change::MembershipRankChanged { organization, account, rank }),
                    StoredMembership { rank, ..membership },
                ),
                None => {
                    // Whom an administrator does not see yet is invited, not added.
                    caller.is_operator()?;
                    if kind == AccountKind::Service {
                        self.check_home(account, organization).await?;
                    }
                    (Some(Change::MembershipAdded { organization, account, rank }), joined)
                }
            })
        })
        .await
    }

    /// Ends a membership; the account's tokens in that organization stop at once.
    pub(crate) async fn end_membership(
        &self,
        caller: &Caller,
        organization: OrganizationId,
        account: &AccountName,
    ) -> Result<(), ServiceError> {
        caller.may("accounts:write")?;
        caller.administers()?;
        if !caller.reaches(organization) {
            return Err(no_such_organization());
        }
        let account = self.seen_account(caller, account).await?.id;
        self.settle(caller, async |_| match self.membership(organization, account).await? {
            Some(_) => Ok((Some(Change::MembershipEnded { organization, account }), ())),
            None => Err(no_membership()),
        })
        .await
    }

    /// Memberships that have not ended.
    pub(crate) async fn memberships(
        &self,
        caller: &Caller,
        mut filter: MembershipFilter,
        page: Page<(OrganizationId, AccountId)>,
    ) -> Result<Vec<StoredMembership>, ServiceError> {
        caller.may("accounts:read")?;
        let elsewhere = filter.organization.is_some_and(|asked| !caller.reaches(asked));
        let somebody_else = match (caller.confined_to(), filter.account) {
            (Some(own), Some(asked)) => own != asked,
            _ => false,
        };
        if elsewhere || somebody_else {
            return Ok(Vec::new());
        }
        filter.organization = caller.home().or(filter.organization);
        filter.account = caller.confined_to().or(filter.account);
        Ok(self.store.memberships(filter, page).await?)
    }

    pub(super) async fn membership(
        &self,
        organization: OrganizationId,
        account: AccountId,
    ) -> Result<Option<StoredMembership>, ServiceError> {
        let filter = MembershipFilter {
            organization: Some(organization),
            account: Some(account),
            with_past: false,
        };
        Ok(self.store.memberships(filter, Page { after: None, limit: 1 }).await?.pop())
    }

    /// A service account lives in one organization, for ever; it may come back there.
    async fn check_home(
        &self,
        account: AccountId,
        organization: OrganizationId,
    ) -> Result<(), ServiceError> {
        let filter =
            MembershipFilter { organization: None, account: Some(account), with_past: true };
        let ever = self.store.memberships(filter, Page { after: None, limit: 2 }).await?;
        if ever.iter().any(|membership| membership.organization != organization) {
            return Err(ServiceError::Conflict(
                "a service account belongs to the organization that it was made in, and to no other"
                    .into(),
            ));
        }
        Ok(())
    }
}

pub(super) fn new_organization(
    created_at: Timestamp,
    name: &str,
    external_id: Option<&str>,
) -> Result<StoredOrganization, ServiceError> {
    Ok(StoredOrganization {
        id: OrganizationId::new(created_at, entropy::bytes()),
        name: check_name(name, NAME)?,
        external_id: external_id.map(check_external_id).transpose()?,
        created_at,
        closed_at: None,
        revision: 0,
    })
}

impl StoredOrganization {
    /// The change that makes it.
    pub(super) fn created(&self) -> Change {
        Change::OrganizationCreated {
            organization: self.id,
            name: self.name.clone(),
            external_id: self.external_id.clone(),
        }
    }
}

pub(super) fn no_such_organization() -> ServiceError {
    ServiceError::NotFound("there is no such organization".into())
}

fn no_membership() -> ServiceError {
    ServiceError::NotFound("the account is not a member of that organization".into())
}
