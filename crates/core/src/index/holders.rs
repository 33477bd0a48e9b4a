//! Who holds tokens: an account in an organization, and whether it may act.

use super::{OutOfStep, hash::ByTail, slab::Slab};
use crate::{
    account::{Email, Rank},
    id::{AccountId, OrganizationId},
};
use std::{
    collections::{BTreeMap, HashMap},
    sync::atomic::{AtomicU8, Ordering},
};

/// An account in an organization.
#[derive(Debug)]
pub(crate) struct Holder {
    /// The account.
    pub(crate) account: AccountId,
    /// The organization.
    pub(crate) organization: OrganizationId,
    /// The account's address.
    pub(crate) email: Option<Email>,
    standing: AtomicU8,
}

/// Whether a holder may act, at one moment. One byte, so that a reader sees all of it at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing(u8);

const OPEN: u8 = 1;
const ACTIVE: u8 = 2;
const MEMBER: u8 = 4;
const ADMINISTRATOR: u8 = 8;

impl Standing {
    fn new(is_open: bool, is_active: bool, rank: Option<Rank>) -> Self {
        let rank = match rank {
            None => 0,
            Some(Rank::Member) => MEMBER,
            Some(Rank::Administrator) => ADMINISTRATOR,
        };
        Self(if is_open { OPEN } else { 0 } | if is_active { ACTIVE } else { 0 } | rank)
    }

    /// Whether the organization has not been closed.
    pub(crate) fn is_open(self) -> bool {
        self.0 & OPEN != 0
    }

    /// Whether the account may act in the organization: it belongs to it and is not disabled.
    pub(crate) fn is_live(self) -> bool {
        self.0 & ACTIVE != 0 && self.rank().is_some()
    }

    /// What the account is in the organization; none once it has left.
    pub(crate) fn rank(self) -> Option<Rank> {
        match self.0 & (MEMBER | ADMINISTRATOR) {
            0 => None,
            ADMINISTRATOR => Some(Rank::Administrator),
            _ => Some(Rank::Member),
        }
    }
}

impl Holder {
    /// Whether the account has this address.
    pub(crate) fn is_reached_at(&self, email: &str) -> bool {
        self.email.as_ref().is_some_and(|own| own.is(email))
    }

    pub(super) fn standing(&self) -> Standing {
        Standing(self.standing.load(Ordering::Acquire))
    }
}

/// What whoever writes knows of organizations, accounts and who belongs where.
#[derive(Default)]
pub(super) struct Registry {
    organizations: HashMap<OrganizationId, Organization, ByTail>,
    accounts: HashMap<AccountId, Account, ByTail>,
    memberships: HashMap<(OrganizationId, AccountId), Membership, ByTail>,
}

struct Organization {
    is_open: bool,
    members: Vec<AccountId>,
}

struct Account {
    email: Option<Email>,
    is_active: bool,
    organizations: Vec<OrganizationId>,
}

#[derive(Clone, Copy)]
struct Membership {
    /// Its holder's.
    number: u32,
    rank: Option<Rank>,
}

/// What a registry holds, comparable.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RegistryContents {
    organizations: BTreeMap<OrganizationId, bool>,
    accounts: BTreeMap<AccountId, (Option<Email>, bool)>,
    /// What is known of each, and what readers see of it.
    memberships: BTreeMap<(OrganizationId, AccountId), (Option<Rank>, Standing)>,
}

impl Registry {
    /// Adds an organization, unless it is known.
    pub(super) fn add_organization(&mut self, id: OrganizationId, is_open: bool) {
        let new = || Organization { is_open, members: Vec::new() };
        self.organizations.entry(id).or_insert_with(new);
    }

    /// Adds an account, unless it is known.
    pub(super) fn add_account(&mut self, id: AccountId, email: Option<Email>, is_active: bool) {
        let new = || Account { email, is_active, organizations: Vec::new() };
        self.accounts.entry(id).or_insert_with(new);
    }

    /// Adds a membership, or has one that ended begin again: tokens of before point to it.
    pub(super) fn add_membership(
        &mut self,
        holders: &Slab<Holder>,
        organization: OrganizationId,
        account: AccountId,
        rank: Option<Rank>,
    ) -> Result<(), OutOfStep> {
        if self.memberships.contains_key(&(organization, account)) {
            return self.set_rank(holders, organization, account, rank);
        }
        let number = u32::try_from(self.memberships.len()).map_err(|_| OutOfStep)?;
        let of_organization = self.organizations.get_mut(&organization).ok_or(OutOfStep)?;
        let of_account = self.accounts.get_mut(&account).ok_or(OutOfStep)?;
        let standing = Standing::new(of_organization.is_open, of_account.is_active, rank);
        of_organization.members.push(account);
        of_account.organizations.push(organization);
        let email = of_account.email.clone();
        let standing = AtomicU8::new(standing.0);
        holders.put(number, Holder { account, organization, email, standing });
        self.memberships.insert((organization, account), Membership { number, rank });
        Ok(())
    }

    pub(super) fn close(
        &mut self,
        holders: &Slab<Holder>,
        id: OrganizationId,
    ) -> Result<(), OutOfStep> {
        let organization = self.organizations.get_mut(&id).ok_or(OutOfStep)?;
        organization.is_open = false;
        for account in &self.organizations[&id].members {
            self.tell(holders, id, *account);
        }
        Ok(())
    }

    pub(super) fn set_active(
        &mut self,
        holders: &Slab<Holder>,
        id: AccountId,
        is_active: bool,
    ) -> Result<(), OutOfStep> {
        let account = self.accounts.get_mut(&id).ok_or(OutOfStep)?;
        account.is_active = is_active;
        for organization in &self.accounts[&id].organizations {
            self.tell(holders, *organization, id);
        }
        Ok(())
    }

    pub(super) fn set_rank(
        &mut self,
        holders: &Slab<Holder>,
        organization: OrganizationId,
        account: AccountId,
        rank: Option<Rank>,
    ) -> Result<(), OutOfStep> {
        self.memberships.get_mut(&(organization, account)).ok_or(OutOfStep)?.rank = rank;
        self.tell(holders, organization, account);
        Ok(())
    }

    /// The number of the holder that a token of theirs points to.
    pub(super) fn holder(&self, organization: OrganizationId, account: AccountId) -> Option<u32> {
        self.memberships.get(&(organization, account)).map(|membership| membership.number)
    }

    /// The numbers of an account's holders: one for each organization that it belongs or has
    /// belonged to.
    pub(super) fn holders_of(&self, account: AccountId) -> impl Iterator<Item = u32> {
        let known = self.accounts.get(&account).into_iter();
        known
            .flat_map(|known| &known.organizations)
            .filter_map(move |organization| self.holder(*organization, account))
    }

    pub(super) fn contents(&self, holders: &Slab<Holder>) -> RegistryContents {
        let standing = |membership: &Membership| {
            holders.get(membership.number).map_or(Standing(0), Holder::standing)
        };
        RegistryContents {
            organizations: self.organizations.iter().map(|(id, o)| (*id, o.is_open)).collect(),
            accounts: self
                .accounts
                .iter()
                .map(|(id, a)| (*id, (a.email.clone(), a.is_active)))
                .collect(),
            memberships: self
                .memberships
                .iter()
                .map(|(key, m)| (*key, (m.rank, standing(m))))
                .collect(),
        }
    }

    /// Lets readers see what is known of a membership.
    fn tell(&self, holders: &Slab<Holder>, organization: OrganizationId, account: AccountId) {
        let known = (
            self.memberships.get(&(organization, account)),
            self.organizations.get(&organization),
            self.accounts.get(&account),
        );
        if let (Some(membership), Some(organization), Some(account)) = known
            && let Some(holder) = holders.get(membership.number)
        {
            let standing = Standing::new(organization.is_open, account.is_active, membership.rank);
            holder.standing.store(standing.0, Ordering::Release);
        }
    }
}
