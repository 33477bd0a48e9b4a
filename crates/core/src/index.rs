//! The index: a node's memory of everything that verification needs.
//!
//! Readers never wait for a writer, and see one version of everything: each change shows
//! to a reader by one store, and the number of changes, read before and after, tells
//! whether one came in between. Then the reader looks again.

mod denied;
pub(crate) mod hash;
mod holders;
mod locators;
mod slab;
mod space;
mod table;
mod terms;

pub(crate) use holders::{Address, Holder, Standing};
pub(crate) use terms::Terms;

use crate::{
    Timestamp,
    account::{Email, Rank},
    id::{AccountId, OrganizationId, TokenId},
    ledger::Change,
    network::Network,
    token::{Digest, Grant, Mark, Previous, State, Token},
};
use denied::Denied;
use hash::ByTail;
use holders::{Addresses, Registry, RegistryContents};
use locators::Locators;
use slab::Slab;
use space::{Free, Space};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering, fence},
    },
};
use table::{Found, Life, Relations, Row, Tables, leading};
use terms::TermsRegistry;

/// Everything that verification needs to know, found by digest and by id.
#[derive(Default)]
pub struct Index {
    version: Version,
    space: Space,
    tables: Tables,
    locators: Locators,
    holders: Slab<Holder>,
    addresses: Addresses,
    terms: Slab<Terms>,
    tokens: AtomicUsize,
    /// Beside all that follows the ledger.
    denied: Denied,
    writer: Mutex<Writer>,
}

/// How many changes there have been. Every look-up reads it, so it has a cache line to itself.
#[derive(Default)]
#[repr(align(128))]
struct Version(AtomicU64);

/// What only changes need to know.
#[derive(Default)]
struct Writer {
    registry: Registry,
    terms: TermsRegistry,
    free: Free,
    /// The secrets before the last rotations.
    previous: HashMap<TokenId, Previous, ByTail>,
}

/// A token as verification sees it, all of it from one version of the index.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'i> {
    id: TokenId,
    life: Life,
    terms: &'i Terms,
    holder: &'i Holder,
    standing: Standing,
}

impl<'i> Entry<'i> {
    /// The token's id.
    pub fn id(&self) -> TokenId {
        self.id
    }

    /// The API that it is for.
    pub fn api(&self) -> &'i str {
        &self.terms.api
    }

    /// Active, paused or revoked.
    pub fn state(&self) -> State {
        self.life.state()
    }

    /// From when on this secret is refused: the token's end or, of a secret before the last
    /// rotation, its own where that is earlier.
    pub fn ends_at(&self) -> Option<Timestamp> {
        self.life.ends_at()
    }

    /// Whether this is the secret before the last rotation.
    pub fn is_previous(&self) -> bool {
        self.life.is_previous()
    }

    pub(crate) fn terms(&self) -> &'i Terms {
        self.terms
    }

    pub(crate) fn holder(&self) -> &'i Holder {
        self.holder
    }

    pub(crate) fn standing(&self) -> Standing {
        self.standing
    }
}

/// A token as the store has it: as much of it as the index keeps.
#[derive(Debug, Clone, Copy)]
pub struct Loaded<'a> {
    /// Its id.
    pub id: TokenId,
    /// Its API.
    pub api: &'a str,
    /// Its organization.
    pub organization: OrganizationId,
    /// Its owner.
    pub owner: AccountId,
    /// What it may do.
    pub grant: &'a Grant,
    /// From when on it is refused.
    pub expires_at: Option<Timestamp>,
    /// Where it may be used from.
    pub allowed_networks: &'a [Network],
    /// Active, paused or revoked.
    pub state: State,
    /// The digest of its secret.
    pub digest: Digest,
    /// The secret before.
    pub previous: Option<Previous>,
}

impl<'a> Loaded<'a> {
    /// As much of `token` as the index keeps.
    pub fn of(token: &'a Token, state: State, previous: Option<Previous>) -> Self {
        Self {
            id: token.id,
            api: &token.api,
            organization: token.organization,
            owner: token.owner,
            grant: &token.grant,
            expires_at: token.expires_at,
            allowed_networks: &token.allowed_networks,
            state,
            digest: token.digest,
            previous,
        }
    }
}

/// A change that refers to something that the index has never heard of, makes what there is
/// already, or finds no room: it and the ledger are out of step, and it can't be trusted any
/// more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a change refers to something unknown")]
pub struct OutOfStep;

impl Index {
    /// The token that this digest, present or previous, belongs to.
    #[inline]
    pub fn find(&self, digest: &Digest) -> Option<Entry<'_>> {
        self.in_one_version(|| self.entry(self.tables.find(&self.space, digest)?))
    }

    /// The token of this id.
    pub fn find_by_id(&self, id: TokenId) -> Option<Entry<'_>> {
        self.in_one_version(|| self.entry(self.row(id)?.into()))
    }

    /// The token of this id, as the secret with this mark leads to it: the present one or the
    /// one before. For what was obtained with a secret, and does not hold it.
    ///
    /// Readers wait for no writer, with one exception: the secret before the last rotation is
    /// known to writers alone, so that who asks for it may wait for a change to be made.
    pub fn find_secret(&self, id: TokenId, mark: Mark) -> Option<Entry<'_>> {
        let is_meant = |row: &Row| row.digest.mark() == mark;
        let present = self.in_one_version(|| self.entry(self.row(id).filter(is_meant)?.into()));
        present.or_else(|| {
            let previous = self.write().previous.get(&id).copied()?;
            // It may go meanwhile, and then it leads nowhere.
            self.find(&previous.digest).filter(|_| previous.digest.mark() == mark)
        })
    }

    /// Where an account belongs or has belonged, and whether it may act there, all of it at
    /// one moment. Who asks may wait for a change to be made: only writers know it.
    pub(crate) fn find_account(&self, account: AccountId) -> Vec<(&Holder, Standing)> {
        let writer = self.write();
        let known = writer.registry.holders_of(account);
        let holders = known.filter_map(|number| self.holders.get(number));
        holders.map(|holder| (holder, holder.standing())).collect()
    }

    /// The address of this number; none where there is none.
    pub(crate) fn email(&self, address: Address) -> Option<&Email> {
        address.of(&self.addresses)
    }

    /// Whether both are the same, or no address.
    pub(crate) fn is_one_address(&self, one: Address, other: Address) -> bool {
        one == other || self.email(one) == self.email(other)
    }

    /// How many tokens it holds, whatever their state.
    pub fn len(&self) -> usize {
        self.tokens.load(Ordering::Acquire)
    }

    /// Whether it holds no token.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Makes room for so many tokens at once, where nothing is loaded yet.
    pub fn expect(&self, tokens: usize) {
        let mut writer = self.write();
        let free = &mut writer.free;
        // Where there is no room, the tokens that find none will say so.
        let _ = self.tables.expect(&self.space, free, tokens);
        let _ = self.locators.expect(&self.space, free, tokens);
    }

    /// Takes in an organization as the store has it.
    pub fn load_organization(&self, id: OrganizationId, open: bool) {
        self.write().registry.add_organization(id, open);
    }

    /// Takes in an account as the store has it.
    pub fn load_account(
        &self,
        id: AccountId,
        email: Option<Email>,
        active: bool,
    ) -> Result<(), OutOfStep> {
        self.write().registry.add_account(&self.addresses, id, email, active)
    }

    /// Takes in a membership as the store has it, once its two ends are there;
    /// without a rank where it has ended.
    pub fn load_membership(
        &self,
        organization: OrganizationId,
        account: AccountId,
        rank: Option<Rank>,
    ) -> Result<(), OutOfStep> {
        self.write().registry.add_membership(&self.holders, organization, account, rank)
    }

    /// Takes in a token as the store has it, once its owner's membership is there.
    pub fn load_token(&self, token: &Loaded<'_>) -> Result<(), OutOfStep> {
        let mut writer = self.write();
        let added = self.add(&mut writer, token);
        self.turn(&mut writer);
        added
    }

    /// Follows one change of the ledger. Changes come in the ledger's order,
    /// from one thread.
    pub fn apply(&self, change: &Change) -> Result<(), OutOfStep> {
        let mut writer = self.write();
        let made = self.make(&mut writer, change);
        self.turn(&mut writer);
        made
    }

    fn make(&self, writer: &mut Writer, change: &Change) -> Result<(), OutOfStep> {
        let holders = &self.holders;
        match change {
            Change::OrganizationCreated { organization, .. } => {
                writer.registry.add_organization(*organization, true);
            }
            Change::OrganizationClosed { organization } => {
                writer.registry.close(holders, *organization)?;
            }
            Change::AccountCreated { account, email, .. } => {
                writer.registry.add_account(&self.addresses, *account, email.clone(), true)?;
            }
            Change::EmailSet { account, email } => {
                let addresses = &self.addresses;
                writer.registry.set_email(holders, addresses, *account, email.clone())?;
            }
            Change::AccountDisabled { account } => {
                writer.registry.set_active(holders, *account, false)?;
            }
            Change::AccountEnabled { account } => {
                writer.registry.set_active(holders, *account, true)?;
            }
            // Names are for people; verification needs none. Nor does it ask who is invited.
            Change::PasswordSet { .. }
            | Change::SecondFactorSet { .. }
            | Change::SecondFactorRemoved { .. }
            | Change::InvitationMade { .. }
            | Change::InvitationWithdrawn { .. }
            | Change::InvitationAccepted { .. }
            | Change::AccountChanged { .. }
            | Change::OrganizationChanged { .. } => {}
            Change::MembershipRankChanged { organization, account, rank } => {
                writer.registry.set_rank(holders, *organization, *account, Some(*rank))?;
            }
            Change::MembershipAdded { organization, account, rank } => {
                let rank = Some(*rank);
                writer.registry.add_membership(holders, *organization, *account, rank)?;
            }
            Change::MembershipEnded { organization, account } => {
                writer.registry.set_rank(holders, *organization, *account, None)?;
            }
            Change::TokenIssued(token) => {
                self.add(writer, &Loaded::of(token, State::Active, None))?;
            }
            Change::TokenImported { token, paused, .. } => {
                let state = if *paused { State::Paused } else { State::Active };
                self.add(writer, &Loaded::of(token, state, None))?;
            }
            Change::TokenChanged { token, grant, expires_at, allowed_networks, .. } => {
                let row = self.live(*token)?;
                let api = &self.terms.get(row.relations.terms()).ok_or(OutOfStep)?.api;
                let terms = writer.terms.number(&self.terms, api, grant, allowed_networks)?;
                let life = Life::new(row.life.state(), false, *expires_at);
                let relations = Relations::new(terms, row.relations.holder());
                self.put(writer, &Row { life, relations, ..row })?;
            }
            Change::TokenPaused { token, .. } => self.set_state(writer, *token, State::Paused)?,
            Change::TokenResumed { token, .. } => self.set_state(writer, *token, State::Active)?,
            Change::TokenRevoked { token, .. } => {
                self.set_state(writer, *token, State::Revoked)?;
                // It is refused for good.
                self.denied.remove(*token);
            }
            Change::TokenHandedOver { token, organization, owner } => {
                self.hand_over(writer, *token, *organization, *owner)?;
            }
            Change::TokenRotated { token, replaces, digest, previous_until, .. } => {
                let row = self.live(*token)?;
                if row.digest != *replaces {
                    return Err(OutOfStep);
                }
                self.rotate(writer, &row, *digest, *previous_until)?;
            }
            Change::TokenPreviousEnded { token, previous, .. } => {
                self.live(*token)?;
                if writer.previous.get(token).is_none_or(|kept| kept.digest != *previous) {
                    return Err(OutOfStep);
                }
                self.tables.remove(&self.space, previous)?;
                writer.previous.remove(token);
            }
        }
        Ok(())
    }

    /// Has this node refuse a token, known or not, from now on and whatever the ledger says;
    /// whether it did not yet.
    ///
    /// It is for the operator, on a day on which nothing can be revoked: it only takes away, it
    /// holds here alone, and it ends when the ledger says that the token is revoked.
    pub fn deny(&self, token: TokenId) -> bool {
        self.denied.add(token)
    }

    /// Takes that back; whether there was anything to take back.
    pub fn lift(&self, token: TokenId) -> bool {
        self.denied.remove(token)
    }

    /// Whether this node is to refuse a token.
    #[inline]
    pub fn denies(&self, token: TokenId) -> bool {
        self.denied.holds(token)
    }

    /// The tokens that it is to refuse.
    pub fn denied(&self) -> Vec<TokenId> {
        self.denied.all()
    }

    /// How many those are.
    pub fn denied_count(&self) -> usize {
        self.denied.count()
    }

    /// Everything that it holds of the ledger, in a form that can be compared with another's.
    pub fn contents(&self) -> Contents {
        let writer = self.write();
        let rows: Vec<Row> = self.tables.rows(&self.space).collect();
        let told = |row: &Row| match self.entry(Found::from(*row)) {
            Some(Entry { id, life, terms, holder, .. }) => {
                format!("{id} {life:?} {terms:?} {:?} {:?}", holder.organization, holder.account)
            }
            None => "a token of nobody's".to_owned(),
        };
        Contents {
            registry: writer.registry.contents(&self.holders, &self.addresses),
            tokens: self.len(),
            digests: rows.iter().map(|row| (row.digest, told(row))).collect(),
            ids: rows.iter().map(|row| (row.id, self.row(row.id).map(|r| r.digest))).collect(),
            previous: writer.previous.iter().map(|(id, p)| (*id, (p.digest, p.until))).collect(),
        }
    }

    /// What `look` sees while nothing changes.
    fn in_one_version<T>(&self, look: impl Fn() -> T) -> T {
        loop {
            let version = self.version.0.load(Ordering::Acquire);
            let seen = look();
            // One change at most has begun since, and it shows by one store: all of it has been
            // seen, or nothing. Whoever has seen a word of a later one, or of what was recycled
            // after this one, sees here that the version has changed: this fence and the one in
            // `turn` have it so.
            fence(Ordering::Acquire);
            if self.version.0.load(Ordering::Relaxed) == version {
                return seen;
            }
        }
    }

    fn entry(&self, found: Found) -> Option<Entry<'_>> {
        let Found { id, life, relations } = found;
        let terms = self.terms.get(relations.terms())?;
        let holder = self.holders.get(relations.holder())?;
        Some(Entry { id, life, terms, holder, standing: holder.standing() })
    }

    fn row(&self, id: TokenId) -> Option<Row> {
        let look = |leading| self.tables.find_by_id(&self.space, leading, id);
        self.locators.find(&self.space, id, look)
    }

    fn write(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that a change is made. From then on nobody who is led to what it gave up
    /// believes what is there.
    fn turn(&self, writer: &mut Writer) {
        self.version.0.fetch_add(1, Ordering::Release);
        // Before everything that is stored from now on, in whatever order.
        fence(Ordering::Release);
        self.space.recycle(&mut writer.free);
    }

    fn add(&self, writer: &mut Writer, token: &Loaded<'_>) -> Result<(), OutOfStep> {
        let holder = writer.registry.holder(token.organization, token.owner).ok_or(OutOfStep)?;
        let is_known = |digest: &Digest| self.tables.find(&self.space, digest).is_some();
        let previous = token.previous;
        if self.row(token.id).is_some()
            || is_known(&token.digest)
            || previous.is_some_and(|p| p.digest == token.digest || is_known(&p.digest))
        {
            return Err(OutOfStep);
        }
        let Loaded { api, grant, allowed_networks, .. } = token;
        let terms = writer.terms.number(&self.terms, api, grant, allowed_networks)?;
        let row = Row {
            digest: token.digest,
            id: token.id,
            life: Life::new(token.state, false, token.expires_at),
            relations: Relations::new(terms, holder),
        };
        let free = &mut writer.free;
        self.tables.insert(&self.space, free, &row)?;
        if let Some(previous) = previous {
            self.tables.insert(&self.space, free, &before(&row, previous))?;
            writer.previous.insert(row.id, previous);
        }
        self.locators.insert(&self.space, free, row.id, leading(&row.digest))?;
        // Who counts this one finds it.
        self.tokens.fetch_add(1, Ordering::Release);
        Ok(())
    }

    /// Changes what a token's digests lead to; each shows by itself, and a request has one.
    fn put(&self, writer: &mut Writer, row: &Row) -> Result<(), OutOfStep> {
        self.tables.change(&self.space, &mut writer.free, row)?;
        if let Some(previous) = writer.previous.get(&row.id) {
            self.tables.change(&self.space, &mut writer.free, &before(row, *previous))?;
        }
        Ok(())
    }

    fn set_state(
        &self,
        writer: &mut Writer,
        token: TokenId,
        state: State,
    ) -> Result<(), OutOfStep> {
        let row = self.live(token)?;
        self.put(writer, &Row { life: row.life.with_state(state), ..row })
    }

    fn hand_over(
        &self,
        writer: &mut Writer,
        token: TokenId,
        organization: OrganizationId,
        owner: AccountId,
    ) -> Result<(), OutOfStep> {
        let row = self.live(token)?;
        let before = self.holders.get(row.relations.holder()).ok_or(OutOfStep)?;
        if before.organization != organization {
            return Err(OutOfStep);
        }
        let holder = writer.registry.holder(organization, owner).ok_or(OutOfStep)?;
        let relations = Relations::new(row.relations.terms(), holder);
        self.put(writer, &Row { relations, ..row })
    }

    fn rotate(
        &self,
        writer: &mut Writer,
        old: &Row,
        digest: Digest,
        previous_until: Option<Timestamp>,
    ) -> Result<(), OutOfStep> {
        if self.tables.find(&self.space, &digest).is_some() {
            return Err(OutOfStep);
        }
        let new = Row { digest, ..*old };
        self.tables.insert(&self.space, &mut writer.free, &new)?;
        self.locators.change(&self.space, new.id, leading(&old.digest), leading(&new.digest))?;
        // Whoever was on the way from the id to the old digest looks again.
        self.turn(writer);
        let earlier = if let Some(until) = previous_until {
            let previous = Previous { digest: old.digest, until };
            self.tables.change(&self.space, &mut writer.free, &before(&new, previous))?;
            writer.previous.insert(new.id, previous)
        } else {
            self.tables.remove(&self.space, &old.digest)?;
            writer.previous.remove(&new.id)
        };
        if let Some(earlier) = earlier {
            self.tables.remove(&self.space, &earlier.digest)?;
        }
        Ok(())
    }

    /// A token that can still change. Whatever went wrong elsewhere: nothing
    /// brings a revoked one back.
    fn live(&self, token: TokenId) -> Result<Row, OutOfStep> {
        self.row(token).filter(|row| row.life.state() != State::Revoked).ok_or(OutOfStep)
    }
}

/// What the secret before the last rotation leads to.
fn before(row: &Row, previous: Previous) -> Row {
    let ends_at = row.life.ends_at().map_or(previous.until, |end| end.min(previous.until));
    let life = Life::new(row.life.state(), true, Some(ends_at));
    Row { digest: previous.digest, life, ..*row }
}

/// What an index holds, comparable.
#[derive(Debug, PartialEq, Eq)]
pub struct Contents {
    registry: RegistryContents,
    tokens: usize,
    /// What each leads to.
    digests: BTreeMap<Digest, String>,
    /// To which digest each leads.
    ids: BTreeMap<TokenId, Option<Digest>>,
    previous: BTreeMap<TokenId, (Digest, Timestamp)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endless_change_takes_no_more_memory() {
        let index = Index::default();
        let (organization, owner) =
            (OrganizationId::from_bytes([1; 16]), AccountId::from_bytes([2; 16]));
        index.load_organization(organization, true);
        index.load_account(owner, None, true).unwrap();
        index.load_membership(organization, owner, Some(Rank::Member)).unwrap();
        let token = TokenId::from_bytes([3; 16]);
        let secret = |n: u32| Digest::of(&n.to_string());
        let loaded = Loaded {
            id: token,
            api: "orders",
            organization,
            owner,
            grant: &Grant::Any,
            expires_at: None,
            allowed_networks: &[],
            state: State::Active,
            digest: secret(0),
            previous: None,
        };
        index.load_token(&loaded).unwrap();
        for n in 0..30_000 {
            let end = Timestamp::from_millis(n.into());
            let rotated = Change::TokenRotated {
                revision: 0,
                token,
                organization,
                replaces: secret(n),
                previous_until: n.is_multiple_of(2).then_some(end),
                digest: secret(n + 1),
                prefix: "acme".into(),
                last_four: "0000".into(),
            };
            let networks: &[&str] = if n.is_multiple_of(2) { &[] } else { &["10.0.0.0/8"] };
            let changed = Change::TokenChanged {
                revision: 0,
                token,
                organization,
                name: String::new(),
                note: String::new(),
                grant: Grant::Any,
                expires_at: Some(end),
                allowed_networks: networks.iter().map(|n| n.parse().unwrap()).collect(),
                external_id: None,
                metadata: None,
            };
            index.apply(&rotated).unwrap();
            index.apply(&changed).unwrap();
        }
        assert_eq!(index.write().free.chunks(), 1);
        assert_eq!(index.len(), 1);
        assert!(index.find(&secret(30_000)).is_some() && index.find(&secret(29_000)).is_none());
    }
}
