//! Accounts: who people and programs are.

use super::{
    Caller, Service, ServiceError, check_text,
    organizations::{new_organization, no_such_organization},
};
use crate::{
    clock, entropy,
    store::{MembershipFilter, Page, StoredAccount},
};
use counterfoil_core::{
    account::{AccountKind, Email, Rank},
    id::{AccountId, OrganizationId},
    ledger::Change,
};
use zeroize::Zeroizing;

/// The longest name, in characters.
const NAME: usize = 100;

/// An account as people name it: by id, or by e-mail address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AccountName {
    Id(AccountId),
    Email(Email),
}

impl std::str::FromStr for AccountName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.contains('@') {
            text.parse().map(Self::Email).map_err(|_| "that is not an e-mail address")
        } else {
            text.parse().map(Self::Id).map_err(|_| "expected an account's id or e-mail address")
        }
    }
}

impl std::fmt::Display for AccountName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Email(email) => email.fmt(f),
        }
    }
}

/// What a new account is to be.
#[derive(Debug)]
pub(crate) struct NewAccount {
    pub(crate) kind: AccountKind,
    pub(crate) email: Option<Email>,
    /// The e-mail address, when absent.
    pub(crate) name: Option<String>,
    /// Where it is to be a member; a service account needs one.
    pub(crate) organization: Option<(OrganizationId, Rank)>,
}

/// What a first set-up makes.
#[derive(Debug)]
pub(crate) struct Initialised {
    pub(crate) organization: OrganizationId,
    pub(crate) account: StoredAccount,
}

impl Service {
    /// Makes the first organization and its administrator, once.
    pub(crate) async fn initialise(
        &self,
        caller: &Caller,
        organization: &str,
        email: Email,
        password: Option<Zeroizing<String>>,
    ) -> Result<Initialised, ServiceError> {
        caller.is_operator()?;
        let _alone = self.initialising.lock().await;
        let any = self.store.organizations(None, Page { after: None, limit: 1 }).await?;
        if let Some(first) = any.first() {
            return Err(ServiceError::Conflict(format!(
                "this installation has been set up already, with the organization {:?}; \
                 use `account create` to add people",
                first.name
            )));
        }
        let (organization, organization_created) = new_organization(organization)?;
        let new = NewAccount {
            kind: AccountKind::Person,
            email: Some(email),
            name: None,
            organization: None,
        };
        let (account, account_created) = new_account(&new)?;
        let mut changes = vec![
            organization_created,
            account_created,
            Change::MembershipAdded { organization, account, rank: Rank::Administrator },
        ];
        if let Some(password) = password {
            let hash = self.passwords.hash(password).await?;
            changes.push(Change::PasswordSet { account, hash });
        }
        self.commit(caller, changes).await?;
        Ok(Initialised {
            organization,
            account: self.stored_account(&AccountName::Id(account)).await?,
        })
    }

    /// Makes an account, and its membership where one is asked for.
    pub(crate) async fn create_account(
        &self,
        caller: &Caller,
        new: &NewAccount,
    ) -> Result<StoredAccount, ServiceError> {
        caller.may("accounts:write")?;
        caller.administers()?;
        if new.kind == AccountKind::Person || new.email.is_some() {
            // Otherwise one organization could take an address that is another's person.
            caller.is_operator()?;
        }
        if let Some(email) = &new.email
            && self.store.account_by_email(email.clone()).await?.is_some()
        {
            return Err(ServiceError::Conflict(format!("there is an account for {email} already")));
        }
        if new.kind == AccountKind::Service && new.organization.is_none() {
            return Err(ServiceError::Invalid {
                field: "organization",
                message: "a service account needs the organization that it belongs to".into(),
            });
        }
        let (account, created) = new_account(new)?;
        let mut changes = vec![created];
        if let Some((organization, rank)) = new.organization {
            if !caller.reaches(organization) {
                return Err(no_such_organization());
            }
            if self.stored_organization(organization).await?.closed_at.is_some() {
                return Err(ServiceError::Conflict("the organization is closed".into()));
            }
            changes.push(Change::MembershipAdded { organization, account, rank });
        }
        self.commit(caller, changes).await?;
        self.stored_account(&AccountName::Id(account)).await
    }

    /// One account.
    pub(crate) async fn account(
        &self,
        caller: &Caller,
        name: &AccountName,
    ) -> Result<StoredAccount, ServiceError> {
        caller.may("accounts:read")?;
        self.seen_account(caller, name).await
    }

    /// An account, if the caller can see it: oneself, and for administrators
    /// everybody in the organization. Whoever cannot learns nothing of it.
    pub(super) async fn seen_account(
        &self,
        caller: &Caller,
        name: &AccountName,
    ) -> Result<StoredAccount, ServiceError> {
        let account = self.stored_account(name).await?;
        let Some(home) = caller.home() else { return Ok(account) };
        let own = caller.confined_to().is_none_or(|own| own == account.id);
        if own && self.membership(home, account.id).await?.is_some() {
            Ok(account)
        } else {
            Err(no_such_account(name))
        }
    }

    pub(super) async fn stored_account(
        &self,
        name: &AccountName,
    ) -> Result<StoredAccount, ServiceError> {
        let found = match name {
            AccountName::Id(id) => self.store.account(*id).await?,
            AccountName::Email(email) => self.store.account_by_email(email.clone()).await?,
        };
        found.ok_or_else(|| no_such_account(name))
    }

    /// Accounts in the order of their making.
    pub(crate) async fn accounts(
        &self,
        caller: &Caller,
        page: Page<AccountId>,
    ) -> Result<Vec<StoredAccount>, ServiceError> {
        caller.may("accounts:read")?;
        let Some(organization) = caller.home() else {
            return Ok(self.store.accounts(page).await?);
        };
        let filter =
            MembershipFilter { organization: Some(organization), account: caller.confined_to() };
        let page = Page { after: page.after.map(|id| (organization, id)), limit: page.limit };
        let mut accounts = Vec::new();
        for membership in self.store.memberships(filter, page).await? {
            accounts.push(self.stored_account(&AccountName::Id(membership.account)).await?);
        }
        Ok(accounts)
    }

    /// Disables an account, whereupon its tokens stop at once, or enables it again.
    pub(crate) async fn set_account_active(
        &self,
        caller: &Caller,
        name: &AccountName,
        active: bool,
    ) -> Result<StoredAccount, ServiceError> {
        caller.may("accounts:write")?;
        caller.administers()?;
        self.settle(caller, || async {
            let StoredAccount { id: account, kind, disabled_at, .. } =
                self.seen_account(caller, name).await?;
            if kind == AccountKind::Person {
                // A person may belong to others too; their membership here can be ended.
                caller.is_operator()?;
            }
            Ok(match (active, disabled_at) {
                (false, None) => Some(Change::AccountDisabled { account }),
                (true, Some(_)) => Some(Change::AccountEnabled { account }),
                _ => None,
            })
        })
        .await?;
        self.stored_account(name).await
    }

    /// Gives a person a new password.
    pub(crate) async fn set_password(
        &self,
        caller: &Caller,
        name: &AccountName,
        password: Zeroizing<String>,
    ) -> Result<StoredAccount, ServiceError> {
        caller.is_operator()?;
        let account = self.stored_account(name).await?;
        if account.kind == AccountKind::Service || account.email.is_none() {
            return Err(ServiceError::Conflict(
                "only a person with an e-mail address can have a password".into(),
            ));
        }
        let hash = self.passwords.hash(password).await?;
        self.commit(caller, [Change::PasswordSet { account: account.id, hash }]).await?;
        self.stored_account(name).await
    }
}

fn no_such_account(name: &AccountName) -> ServiceError {
    ServiceError::NotFound(format!("there is no account {name}"))
}

fn new_account(new: &NewAccount) -> Result<(AccountId, Change), ServiceError> {
    let name = match (&new.name, &new.email) {
        (Some(name), _) => check_text("name", name, NAME, false)?,
        (None, Some(email)) => email.to_string(),
        (None, None) => {
            return Err(ServiceError::Invalid {
                field: "name",
                message: "an account without an e-mail address needs a name".into(),
            });
        }
    };
    let account = AccountId::new(clock::now(), entropy::bytes());
    let email = new.email.clone();
    Ok((account, Change::AccountCreated { account, account_kind: new.kind, email, name }))
}
