//! Accounts: who people and programs are.

use super::{
    Caller, Service, ServiceError, Update, check_external_id, check_name,
    organizations::{new_organization, no_such_organization},
};
use crate::{
    clock, entropy,
    mail::letters,
    store::{AccountFilter, Ground, OrganizationFilter, Page, StoreError, StoredAccount},
};
use counterfoil_core::{
    Timestamp,
    account::{AccountKind, Email, Rank},
    id::{AccountId, OrganizationId},
    ledger::Change,
};
use schemars::JsonSchema;
use zeroize::Zeroizing;

/// The longest name, in characters.
pub(crate) const NAME: usize = 100;

/// An account as people name it: by id, or by e-mail address.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[schemars(try_from = "String", into = "String", extend(
    "anyOf" = [{"format": "uuid"}, {"format": "email"}],
    "examples" = ["01890a5b-3c1d-7d2e-9f60-51c2a47be813", "ada@example.com"],
))]
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
pub(crate) struct NewAccount {
    pub(crate) kind: AccountKind,
    pub(crate) email: Option<Email>,
    /// The e-mail address, when absent.
    pub(crate) name: Option<String>,
    pub(crate) external_id: Option<String>,
    pub(crate) password: Option<Zeroizing<String>>,
    /// Where it is to be a member; a service account needs one.
    pub(crate) organization: Option<(OrganizationId, Rank)>,
}

/// What is to be different about an account; what is absent stays.
#[derive(Debug, Default)]
pub(crate) struct AccountChanges {
    pub(crate) name: Option<String>,
    pub(crate) external_id: Update<String>,
}

impl AccountChanges {
    /// Whether anything is to be different.
    pub(crate) fn is_something(&self) -> bool {
        self.name.is_some() || self.external_id != Update::Keep
    }
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
        name: Option<String>,
        password: Option<Zeroizing<String>>,
    ) -> Result<Initialised, ServiceError> {
        caller.is_operator()?;
        self.check_is_new().await?;
        let at = clock::now();
        let organization = new_organization(at, organization, None)?;
        let new = NewAccount {
            kind: AccountKind::Person,
            email: Some(email),
            name,
            external_id: None,
            password,
            organization: Some((organization.id, Rank::Administrator)),
        };
        let (account, changes) = self.prepare_account(at, new, Some(&organization.name)).await?;
        let changes = [organization.created()].into_iter().chain(changes);
        let made = self.append_on(Ground::NoOrganization, caller, at, changes).await;
        if matches!(made, Err(StoreError::Conflict)) {
            // Perhaps somebody else was first, here or at another node.
            self.check_is_new().await?;
        }
        self.waits.wait(made?, None).await;
        Ok(Initialised { organization: organization.id, account })
    }

    /// Passes where there is no organization yet.
    async fn check_is_new(&self) -> Result<(), ServiceError> {
        let one = Page { after: None, limit: 1 };
        let any = self.store.organizations(OrganizationFilter::default(), one).await?;
        match any.first() {
            None => Ok(()),
            Some(first) => Err(ServiceError::Conflict(format!(
                "this installation has been set up already, with the organization {:?}; \
                 use `account create` to add people",
                first.name
            ))),
        }
    }

    /// Makes an account, and its membership where one is asked for.
    pub(crate) async fn create_account(
        &self,
        caller: &Caller,
        new: NewAccount,
    ) -> Result<StoredAccount, ServiceError> {
        caller.may("accounts:write")?;
        caller.administers()?;
        if new.kind == AccountKind::Person || new.email.is_some() {
            // Otherwise one organization could take an address that is another's person.
            caller.is_operator()?;
        }
        if let Some(email) = &new.email {
            self.check_is_free(email).await?;
        }
        if new.kind == AccountKind::Service && new.organization.is_none() {
            return Err(ServiceError::Invalid {
                field: "organization",
                message: "a service account needs the organization that it belongs to".into(),
            });
        }
        let mut organization_name = None;
        if let Some((organization, _)) = new.organization {
            if !caller.reaches(organization) {
                return Err(no_such_organization());
            }
            let organization = self.stored_organization(organization).await?;
            if organization.closed_at.is_some() {
                return Err(ServiceError::Conflict("the organization is closed".into()));
            }
            organization_name = Some(organization.name);
        }
        let at = clock::now();
        let (account, changes) =
            self.prepare_account(at, new, organization_name.as_deref()).await?;
        self.commit(caller, at, changes).await?;
        Ok(account)
    }

    /// Passes where no account has this address.
    async fn check_is_free(&self, email: &Email) -> Result<(), ServiceError> {
        if self.store.account_by_email(email.clone()).await?.is_some() {
            return Err(ServiceError::Conflict(format!("there is an account for {email} already")));
        }
        Ok(())
    }

    /// A new account in the organization of this name, and the changes that make it.
    async fn prepare_account(
        &self,
        at: Timestamp,
        new: NewAccount,
        organization_name: Option<&str>,
    ) -> Result<(StoredAccount, Vec<Change>), ServiceError> {
        let name = match (&new.name, &new.email) {
            (Some(name), _) => check_name(name, NAME)?,
            (None, Some(email)) => email.to_string(),
            (None, None) => {
                return Err(ServiceError::Invalid {
                    field: "name",
                    message: "an account without an e-mail address needs a name".into(),
                });
            }
        };
        let account = StoredAccount {
            id: AccountId::new(at, entropy::bytes()),
            kind: new.kind,
            // Of those with an address only the operator makes any.
            address_proven: new.email.is_some(),
            email: new.email,
            name,
            external_id: new.external_id.as_deref().map(check_external_id).transpose()?,
            has_password: new.password.is_some(),
            has_second_factor: false,
            created_at: at,
            disabled_at: None,
            revision: 0,
        };
        let mut changes = vec![Change::AccountCreated {
            account: account.id,
            account_kind: account.kind,
            email: account.email.clone(),
            name: account.name.clone(),
            external_id: account.external_id.clone(),
        }];
        if let Some((organization, rank)) = new.organization {
            changes.push(Change::MembershipAdded { organization, account: account.id, rank });
        }
        if let Some(password) = new.password {
            check_may_have_password(&account)?;
            let names: Vec<&str> = names(&account).chain(organization_name).collect();
            let hash = self.passwords.hash(password, &names).await?;
            changes.push(Change::PasswordSet { account: account.id, hash, by_mail: false });
        }
        Ok((account, changes))
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
    pub(crate) async fn seen_account(
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
        external_id: Option<String>,
        page: Page<AccountId>,
    ) -> Result<Vec<StoredAccount>, ServiceError> {
        caller.may("accounts:read")?;
        let (organization, account) = (caller.home(), caller.confined_to());
        let filter =
            AccountFilter { external_id, organization, account, ..AccountFilter::default() };
        Ok(self.store.accounts(filter, page).await?)
    }

    /// Changes what an account is called.
    pub(crate) async fn change_account(
        &self,
        caller: &Caller,
        name: &AccountName,
        changes: &AccountChanges,
    ) -> Result<StoredAccount, ServiceError> {
        caller.may("accounts:write")?;
        caller.administers()?;
        self.settle(caller, async |_| {
            let stored = self.seen_account(caller, name).await?;
            check_may_change(caller, &stored)?;
            let mut account = stored.clone();
            if let Some(name) = &changes.name {
                account.name = check_name(name, NAME)?;
            }
            changes.external_id.apply(&mut account.external_id, |id| check_external_id(id))?;
            if account == stored {
                return Ok((None, stored));
            }
            account.revision += 1;
            let change = Change::AccountChanged {
                account: account.id,
                revision: account.revision,
                name: account.name.clone(),
                external_id: account.external_id.clone(),
            };
            Ok((Some(change), account))
        })
        .await
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
        self.settle(caller, async |at| {
            let stored = self.seen_account(caller, name).await?;
            check_may_change(caller, &stored)?;
            let account = stored.id;
            let change = match (active, stored.disabled_at) {
                (false, None) => Change::AccountDisabled { account },
                (true, Some(_)) => Change::AccountEnabled { account },
                _ => return Ok((None, stored)),
            };
            let disabled_at = (!active).then_some(at);
            Ok((Some(change), StoredAccount { disabled_at, ..stored }))
        })
        .await
    }

    /// Gives a person a new password. All their sessions end.
    pub(crate) async fn set_password(
        &self,
        caller: &Caller,
        name: &AccountName,
        password: Zeroizing<String>,
    ) -> Result<StoredAccount, ServiceError> {
        caller.is_operator()?;
        let account = self.stored_account(name).await?;
        check_may_have_password(&account)?;
        let names: Vec<&str> = names(&account).collect();
        let hash = self.passwords.hash(password, &names).await?;
        let change = Change::PasswordSet { account: account.id, hash, by_mail: false };
        self.commit(caller, clock::now(), [change]).await?;
        self.send_later(account.email.as_ref().map(letters::password_changed));
        Ok(StoredAccount { has_password: true, address_proven: true, ..account })
    }

    /// Has an account be at another address. From then on it is known by that one alone: who
    /// signs in, and whatever shows one of its tokens beside the address. Its sessions go on;
    /// links that were mailed to the address before end.
    pub(crate) async fn set_email(
        &self,
        caller: &Caller,
        name: &AccountName,
        email: &Email,
    ) -> Result<StoredAccount, ServiceError> {
        caller.is_operator()?;
        // Whoever asks by the address before finds nobody there once it is done.
        let id = self.stored_account(name).await?.id;
        let (account, before) = self
            .settle(caller, async |_| {
                let stored = self.stored_account(&AccountName::Id(id)).await?;
                if stored.email.as_ref() == Some(email) {
                    return Ok((None, (stored, None)));
                }
                self.check_is_free(email).await?;
                let change = Change::EmailSet { account: id, email: email.clone() };
                let before = stored.email;
                let (email, address_proven) = (Some(email.clone()), true);
                Ok((Some(change), (StoredAccount { email, address_proven, ..stored }, before)))
            })
            .await?;
        self.send_later(before.as_ref().map(letters::address_changed));
        Ok(account)
    }
}

/// A person may belong to others too; their membership here can be ended.
fn check_may_change(caller: &Caller, account: &StoredAccount) -> Result<(), ServiceError> {
    if account.kind == AccountKind::Person {
        caller.is_operator()?;
    }
    Ok(())
}

/// What a password must not be.
pub(super) fn names(account: &StoredAccount) -> impl Iterator<Item = &str> {
    let email = account.email.as_ref().map(Email::as_str);
    email.into_iter().chain([&*account.name])
}

pub(super) fn check_may_have_password(account: &StoredAccount) -> Result<(), ServiceError> {
    if account.kind == AccountKind::Service || account.email.is_none() {
        return Err(ServiceError::Conflict(
            "only a person with an e-mail address can have a password".into(),
        ));
    }
    Ok(())
}

fn no_such_account(name: &AccountName) -> ServiceError {
    ServiceError::NotFound(format!("there is no account {name}"))
}
