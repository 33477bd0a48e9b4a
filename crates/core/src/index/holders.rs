//! Who holds tokens: an account in an organization, and whether it may act.

use super::{OutOfStep, hash::ByTail, slab::Slab};
use crate::{
    account::{Email, Rank},
    id::{AccountId, OrganizationId},
};
use std::{
    collections::{BTreeMap, HashMap},
    sync::atomic::{AtomicU64, Ordering},
};

/// An account in an organization.
#[derive(Debug)]
pub(crate) struct Holder {
    /// The account.
    pub(crate) account: AccountId,
    /// The organization.
    pub(crate) organization: OrganizationId,
    standing: AtomicU64,
}

/// Whether a holder may act, and at which address its account is, at one moment. One word, so
/// that a reader sees all of it at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing(u64);

/// The number of an address among those that the index has heard of; none of an account without
/// one. Whoever has two of them has been told of two addresses, or of one twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Address(Option<u32>);

/// Every address that the index has heard of. They are kept until a restart, for a reader may
/// still be led to one that an account has no more.
pub(super) type Addresses = Slab<Email>;

const OPEN: u64 = 1;
const ACTIVE: u64 = 2;
const MEMBER: u64 = 4;
const ADMINISTRATOR: u64 = 8;
/// From here on stands the address's number and one, or nothing.
const ADDRESS: u32 = 32;

impl Standing {
    fn new(is_open: bool, account: &Account, rank: Option<Rank>) -> Self {
        let is_active = account.is_active;
        let address = account.address.0.map_or(0, |number| u64::from(number) + 1) << ADDRESS;
        let rank = match rank {
            None => 0,
            Some(Rank::Member) => MEMBER,
            Some(Rank::Administrator) => ADMINISTRATOR,
        };
        let flags = if is_open { OPEN } else { 0 } | if is_active { ACTIVE } else { 0 } | rank;
        Self(address | flags)
    }

    /// Where the account is reached.
    pub(crate) fn address(self) -> Address {
        let after = u32::try_from(self.0 >> ADDRESS).unwrap_or_default();
        Address(after.checked_sub(1))
    }

    /// The same whatever the address is.
    fn without_address(self) -> Self {
        Self(self.0 & ((1 << ADDRESS) - 1))
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
    pub(super) fn standing(&self) -> Standing {
        Standing(self.standing.load(Ordering::Acquire))
    }
}

impl Address {
    /// The address itself.
    pub(super) fn of(self, addresses: &Addresses) -> Option<&Email> {
        addresses.get(self.0?)
    }
}

/// What whoever writes knows of organizations, accounts and who belongs where.
#[derive(Default)]
pub(super) struct Registry {
    /// How many addresses there are.
    addresses: u32,
    organizations: HashMap<OrganizationId, Organization, ByTail>,
    accounts: HashMap<AccountId, Account, ByTail>,
    memberships: HashMap<(OrganizationId, AccountId), Membership, ByTail>,
}

struct Organization {
    is_open: bool,
    members: Vec<AccountId>,
}

struct Account {
    address: Address,
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
    memberships: BTreeMap<(OrganizationId, AccountId), MembershipContents>,
}

/// What is known of a membership, and what readers see of it.
#[derive(Debug, PartialEq, Eq)]
struct MembershipContents {
    rank: Option<Rank>,
    seen: Standing,
    email_seen: Option<Email>,
}

impl Registry {
    /// Adds an organization, unless it is known.
    pub(super) fn add_organization(&mut self, id: OrganizationId, is_open: bool) {
        let new = || Organization { is_open, members: Vec::new() };
        self.organizations.entry(id).or_insert_with(new);
    }

    /// Adds an account, unless it is known.
    pub(super) fn add_account(
        &mut self,
        addresses: &Addresses,
        id: AccountId,
        email: Option<Email>,
        is_active: bool,
    ) -> Result<(), OutOfStep> {
        if !self.accounts.contains_key(&id) {
            let address = email.map(|email| self.number(addresses, email)).transpose()?;
            let address = address.unwrap_or(Address(None));
            self.accounts.insert(id, Account { address, is_active, organizations: Vec::new() });
        }
        Ok(())
    }

    fn number(&mut self, addresses: &Addresses, email: Email) -> Result<Address, OutOfStep> {
        let number = self.addresses;
        self.addresses = number.checked_add(1).ok_or(OutOfStep)?;
        addresses.put(number, email);
        Ok(Address(Some(number)))
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
        let standing = Standing::new(of_organization.is_open, of_account, rank);
        of_organization.members.push(account);
        of_account.organizations.push(organization);
        let standing = AtomicU64::new(standing.0);
        holders.put(number, Holder { account, organization, standing });
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
        self.tell_all(holders, id);
        Ok(())
    }

    /// Has an account be at another address: whoever holds tokens is, in each organization.
    pub(super) fn set_email(
        &mut self,
        holders: &Slab<Holder>,
        addresses: &Addresses,
        id: AccountId,
        email: Email,
    ) -> Result<(), OutOfStep> {
        if !self.accounts.contains_key(&id) {
            return Err(OutOfStep);
        }
        let address = self.number(addresses, email)?;
        self.accounts.get_mut(&id).ok_or(OutOfStep)?.address = address;
        self.tell_all(holders, id);
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

    pub(super) fn contents(
        &self,
        holders: &Slab<Holder>,
        addresses: &Addresses,
    ) -> RegistryContents {
        let membership = |membership: &Membership| {
            let seen = holders.get(membership.number).map_or(Standing(0), Holder::standing);
            let email_seen = seen.address().of(addresses).cloned();
            MembershipContents { rank: membership.rank, seen: seen.without_address(), email_seen }
        };
        RegistryContents {
            organizations: self.organizations.iter().map(|(id, o)| (*id, o.is_open)).collect(),
            accounts: self
                .accounts
                .iter()
                .map(|(id, a)| (*id, (a.address.of(addresses).cloned(), a.is_active)))
                .collect(),
            memberships: self.memberships.iter().map(|(key, m)| (*key, membership(m))).collect(),
        }
    }

    /// Lets readers see what is known of an account, wherever it belongs or has belonged: each
    /// holder shows by itself, and a request has one.
    fn tell_all(&self, holders: &Slab<Holder>, account: AccountId) {
        let known = self.accounts.get(&account).into_iter();
        for organization in known.flat_map(|known| &known.organizations) {
            self.tell(holders, *organization, account);
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
            let standing = Standing::new(organization.is_open, account, membership.rank);
            holder.standing.store(standing.0, Ordering::Release);
        }
    }
}
