//! Organizations and who belongs to them.

use super::{Caller, Service, ServiceError, accounts::AccountName, check_text};
use crate::{
    clock, entropy,
    store::{MembershipFilter, Page, StoredMembership, StoredOrganization},
};
use counterfoil_core::{
    account::{AccountKind, Rank},
    id::{AccountId, OrganizationId},
    ledger::Change,
};

/// The longest name, in characters.
const NAME: usize = 100;

impl Service {
    /// Makes an organization.
    pub(crate) async fn create_organization(
        &self,
        caller: Caller,
        name: &str,
    ) -> Result<StoredOrganization, ServiceError> {
        let (organization, created) = new_organization(name)?;
        self.commit(caller, [created]).await?;
        self.organization(organization).await
    }

    /// One organization.
    pub(crate) async fn organization(
        &self,
        id: OrganizationId,
    ) -> Result<StoredOrganization, ServiceError> {
        let found = self.store.organization(id).await?;
        found.ok_or_else(|| ServiceError::NotFound("there is no such organization".into()))
    }

    /// Organizations; only those of this name, where one is given.
    pub(crate) async fn organizations(
        &self,
        _caller: Caller,
        name: Option<String>,
        page: Page<OrganizationId>,
    ) -> Result<Vec<StoredOrganization>, ServiceError> {
        Ok(self.store.organizations(name, page).await?)
    }

    /// Closes an organization for good; all its tokens stop at once.
    pub(crate) async fn close_organization(
        &self,
        caller: Caller,
        id: OrganizationId,
    ) -> Result<StoredOrganization, ServiceError> {
        self.settle(caller, || async {
            let organization = self.organization(id).await?;
            let change = Change::OrganizationClosed { organization: id };
            Ok(organization.closed_at.is_none().then_some(change))
        })
        .await?;
        self.organization(id).await
    }

    /// Makes an account a member of an organization, or gives it another rank there.
    pub(crate) async fn set_membership(
        &self,
        caller: Caller,
        organization: OrganizationId,
        account: &AccountName,
        rank: Rank,
    ) -> Result<StoredMembership, ServiceError> {
        let account = self.account(account).await?;
        self.settle(caller, || async {
            if self.organization(organization).await?.closed_at.is_some() {
                return Err(ServiceError::Conflict("the organization is closed".into()));
            }
            let account = account.id;
            Ok(match self.membership(organization, account).await? {
                Some(membership) if membership.rank == rank => None,
                Some(_) => Some(Change::MembershipRankChanged { organization, account, rank }),
                None => {
                    self.check_only_home(account).await?;
                    Some(Change::MembershipAdded { organization, account, rank })
                }
            })
        })
        .await?;
        let found = self.membership(organization, account.id).await?;
        found.ok_or_else(no_membership)
    }

    /// Ends a membership; the account's tokens in that organization stop at once.
    pub(crate) async fn end_membership(
        &self,
        caller: Caller,
        organization: OrganizationId,
        account: &AccountName,
    ) -> Result<(), ServiceError> {
        let account = self.account(account).await?.id;
        self.settle(caller, || async {
            match self.membership(organization, account).await? {
                Some(_) => Ok(Some(Change::MembershipEnded { organization, account })),
                None => Err(no_membership()),
            }
        })
        .await
    }

    /// Memberships that have not ended.
    pub(crate) async fn memberships(
        &self,
        _caller: Caller,
        filter: MembershipFilter,
        page: Page<(OrganizationId, AccountId)>,
    ) -> Result<Vec<StoredMembership>, ServiceError> {
        Ok(self.store.memberships(filter, page).await?)
    }

    pub(super) async fn membership(
        &self,
        organization: OrganizationId,
        account: AccountId,
    ) -> Result<Option<StoredMembership>, ServiceError> {
        let filter = MembershipFilter { organization: Some(organization), account: Some(account) };
        Ok(self.store.memberships(filter, Page { after: None, limit: 1 }).await?.pop())
    }

    /// A service account lives in one organization, for ever.
    async fn check_only_home(&self, account: AccountId) -> Result<(), ServiceError> {
        if self.account(&AccountName::Id(account)).await?.kind == AccountKind::Service {
            return Err(ServiceError::Conflict(
                "a service account belongs to the organization that it was made in, and to no other"
                    .into(),
            ));
        }
        Ok(())
    }
}

pub(super) fn new_organization(name: &str) -> Result<(OrganizationId, Change), ServiceError> {
    let organization = OrganizationId::new(clock::now(), entropy::bytes());
    let name = check_text("name", name, NAME, false)?;
    Ok((organization, Change::OrganizationCreated { organization, name }))
}

fn no_membership() -> ServiceError {
    ServiceError::NotFound("the account is not a member of that organization".into())
}
