//! The index: a node's memory of everything that verification needs.
//!
//! Readers never wait for a writer. Tokens point to the records of their owner
//! and organization, so that disabling an account is one store of one flag.

use crate::{
    Timestamp,
    account::{Email, Rank},
    id::{AccountId, OrganizationId, TokenId},
    ledger::Change,
    network::Network,
    token::{Digest, Grant, Previous, State, Token},
};
use papaya::HashMap;
use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{BuildHasherDefault, Hash, Hasher},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
};

type Map<K, V> = HashMap<K, Arc<V>, BuildHasherDefault<TailHasher>>;

/// Everything that verification needs to know, found by digest and by id.
#[derive(Default)]
pub struct Index {
    by_digest: HashMap<DigestKey, Arc<Record>, BuildHasherDefault<TailHasher>>,
    by_id: Map<TokenId, Record>,
    accounts: Map<AccountId, Account>,
    organizations: Map<OrganizationId, Organization>,
    memberships: Map<(OrganizationId, AccountId), Membership>,
    /// The names of APIs, each kept once.
    names: Mutex<BTreeSet<Arc<str>>>,
}

/// A token, as verification sees it. Replaced whole when it changes.
#[derive(Debug)]
pub struct Record {
    /// Its id.
    pub id: TokenId,
    /// Its API.
    pub api: Arc<str>,
    /// Its owner, in its organization.
    pub holder: Arc<Membership>,
    /// What it may do.
    pub grant: Grant,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// Active, paused or revoked.
    pub state: State,
    /// Where it may be used from.
    pub allowed_networks: Box<[Network]>,
    /// The digest of its secret.
    pub digest: Digest,
    /// The secret before.
    pub previous: Option<Previous>,
}

/// An account in an organization.
#[derive(Debug)]
pub struct Membership {
    /// The account.
    pub account: Arc<Account>,
    /// The organization.
    pub organization: Arc<Organization>,
    /// A [`Rank`] as [`encode`] has it.
    rank: AtomicU8,
}

/// An account.
#[derive(Debug)]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// Its address.
    pub email: Option<Email>,
    active: AtomicBool,
}

/// An organization.
#[derive(Debug)]
pub struct Organization {
    /// Its id.
    pub id: OrganizationId,
    open: AtomicBool,
}

impl Membership {
    /// Whether the account may act in the organization: it belongs to it and is not disabled.
    pub fn is_live(&self) -> bool {
        self.rank().is_some() && self.account.active.load(Ordering::Acquire)
    }

    /// What the account is in the organization; none once it has left.
    pub fn rank(&self) -> Option<Rank> {
        decode(self.rank.load(Ordering::Acquire))
    }

    fn set_rank(&self, rank: Option<Rank>) {
        self.rank.store(encode(rank), Ordering::Release);
    }
}

impl Organization {
    /// Whether it has not been closed.
    pub fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }
}

/// A change that refers to something that the index has never heard of: it and
/// the ledger are out of step, and it can't be trusted any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a change refers to something unknown")]
pub struct OutOfStep;

impl Index {
    /// The token that this digest, present or previous, belongs to.
    pub fn find(&self, digest: &Digest) -> Option<Arc<Record>> {
        self.by_digest.pin().get(&DigestKey(*digest)).cloned()
    }

    /// The token of this id.
    pub fn find_by_id(&self, id: TokenId) -> Option<Arc<Record>> {
        self.by_id.pin().get(&id).cloned()
    }

    /// How many tokens it holds, whatever their state.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether it holds no token.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Takes in an organization as the store has it.
    pub fn load_organization(&self, id: OrganizationId, open: bool) {
        let record = Organization { id, open: AtomicBool::new(open) };
        self.organizations.pin().insert(id, Arc::new(record));
    }

    /// Takes in an account as the store has it.
    pub fn load_account(&self, id: AccountId, email: Option<Email>, active: bool) {
        let record = Account { id, email, active: AtomicBool::new(active) };
        self.accounts.pin().insert(id, Arc::new(record));
    }

    /// Takes in a membership as the store has it, once its two ends are there;
    /// without a rank where it has ended.
    pub fn load_membership(
        &self,
        organization: OrganizationId,
        account: AccountId,
        rank: Option<Rank>,
    ) -> Result<(), OutOfStep> {
        let key = (organization, account);
        let record = Membership {
            account: self.accounts.pin().get(&account).ok_or(OutOfStep)?.clone(),
            organization: self.organizations.pin().get(&organization).ok_or(OutOfStep)?.clone(),
            rank: AtomicU8::new(encode(rank)),
        };
        self.memberships.pin().insert(key, Arc::new(record));
        Ok(())
    }

    /// Takes in a token as the store has it, once its owner's membership is there.
    pub fn load_token(
        &self,
        token: &Token,
        state: State,
        previous: Option<Previous>,
    ) -> Result<(), OutOfStep> {
        let key = (token.organization, token.owner);
        let record = Arc::new(Record {
            id: token.id,
            api: self.name(&token.api),
            holder: self.memberships.pin().get(&key).ok_or(OutOfStep)?.clone(),
            grant: token.grant.clone(),
            expires_at: token.expires_at,
            state,
            allowed_networks: token.allowed_networks.clone().into(),
            digest: token.digest,
            previous,
        });
        self.put(&record);
        Ok(())
    }

    /// Follows one change of the ledger. Changes come in the ledger's order,
    /// from one thread.
    pub fn apply(&self, change: &Change) -> Result<(), OutOfStep> {
        match change {
            Change::OrganizationCreated { organization, .. } => {
                self.load_organization(*organization, true);
            }
            Change::OrganizationClosed { organization } => {
                let organizations = self.organizations.pin();
                let record = organizations.get(organization).ok_or(OutOfStep)?;
                record.open.store(false, Ordering::Release);
            }
            Change::AccountCreated { account, email, .. } => {
                self.load_account(*account, email.clone(), true);
            }
            Change::AccountDisabled { account } => self.set_active(*account, false)?,
            Change::AccountEnabled { account } => self.set_active(*account, true)?,
            // Names are for people; verification needs none.
            Change::PasswordSet { .. }
            | Change::AccountChanged { .. }
            | Change::OrganizationChanged { .. } => {}
            Change::MembershipRankChanged { organization, account, rank } => {
                self.set_rank(*organization, *account, Some(*rank))?;
            }
            Change::MembershipAdded { organization, account, rank } => {
                let memberships = self.memberships.pin();
                match memberships.get(&(*organization, *account)) {
                    // Somebody came back: the tokens of before point to this very record.
                    Some(record) => record.set_rank(Some(*rank)),
                    None => self.load_membership(*organization, *account, Some(*rank))?,
                }
            }
            Change::MembershipEnded { organization, account } => {
                self.set_rank(*organization, *account, None)?;
            }
            Change::TokenIssued(token) => self.load_token(token, State::Active, None)?,
            Change::TokenImported { token, paused, .. } => {
                let state = if *paused { State::Paused } else { State::Active };
                self.load_token(token, state, None)?;
            }
            Change::TokenChanged { token, grant, expires_at, allowed_networks, .. } => {
                let old = self.live(*token)?;
                self.put(&Arc::new(Record {
                    grant: grant.clone(),
                    expires_at: *expires_at,
                    allowed_networks: allowed_networks.clone().into(),
                    ..copy(&old)
                }));
            }
            Change::TokenPaused { token, .. } => self.set_state(*token, State::Paused)?,
            Change::TokenResumed { token, .. } => self.set_state(*token, State::Active)?,
            Change::TokenRevoked { token, .. } => self.set_state(*token, State::Revoked)?,
            Change::TokenRotated { token, replaces, digest, previous_until, .. } => {
                let old = self.live(*token)?;
                if old.digest != *replaces {
                    return Err(OutOfStep);
                }
                let previous = previous_until.map(|until| Previous { digest: old.digest, until });
                self.put(&Arc::new(Record { digest: *digest, previous, ..copy(&old) }));
                let by_digest = self.by_digest.pin();
                if previous.is_none() {
                    by_digest.remove(&DigestKey(old.digest));
                }
                if let Some(before) = old.previous {
                    by_digest.remove(&DigestKey(before.digest));
                }
            }
        }
        Ok(())
    }

    /// Everything it holds, in a form that can be compared with another's.
    pub fn contents(&self) -> Contents {
        let organizations = self.organizations.pin();
        let accounts = self.accounts.pin();
        let memberships = self.memberships.pin();
        let by_id = self.by_id.pin();
        let by_digest = self.by_digest.pin();
        Contents {
            organizations: organizations.iter().map(|(id, o)| (*id, o.is_open())).collect(),
            accounts: accounts
                .iter()
                .map(|(id, a)| (*id, (a.email.clone(), a.active.load(Ordering::Acquire))))
                .collect(),
            memberships: memberships.iter().map(|(key, m)| (*key, encode(m.rank()))).collect(),
            tokens: by_id.iter().map(|(id, record)| (*id, format!("{record:?}"))).collect(),
            digests: by_digest
                .iter()
                .map(|(key, record)| {
                    let same =
                        by_id.get(&record.id).is_some_and(|other| Arc::ptr_eq(other, record));
                    (key.0, (record.id, same))
                })
                .collect(),
        }
    }

    fn put(&self, record: &Arc<Record>) {
        self.by_id.pin().insert(record.id, record.clone());
        let by_digest = self.by_digest.pin();
        by_digest.insert(DigestKey(record.digest), record.clone());
        if let Some(previous) = record.previous {
            by_digest.insert(DigestKey(previous.digest), record.clone());
        }
    }

    fn set_state(&self, token: TokenId, state: State) -> Result<(), OutOfStep> {
        let old = self.live(token)?;
        self.put(&Arc::new(Record { state, ..copy(&old) }));
        Ok(())
    }

    /// A token that can still change. Whatever went wrong elsewhere: nothing
    /// brings a revoked one back.
    fn live(&self, token: TokenId) -> Result<Arc<Record>, OutOfStep> {
        self.find_by_id(token).filter(|record| record.state != State::Revoked).ok_or(OutOfStep)
    }

    fn set_rank(
        &self,
        organization: OrganizationId,
        account: AccountId,
        rank: Option<Rank>,
    ) -> Result<(), OutOfStep> {
        let memberships = self.memberships.pin();
        memberships.get(&(organization, account)).ok_or(OutOfStep)?.set_rank(rank);
        Ok(())
    }

    fn set_active(&self, account: AccountId, active: bool) -> Result<(), OutOfStep> {
        let accounts = self.accounts.pin();
        accounts.get(&account).ok_or(OutOfStep)?.active.store(active, Ordering::Release);
        Ok(())
    }

    fn name(&self, name: &str) -> Arc<str> {
        let mut names = self.names.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(known) = names.get(name) {
            return known.clone();
        }
        let name: Arc<str> = name.into();
        names.insert(name.clone());
        name
    }
}

const fn encode(rank: Option<Rank>) -> u8 {
    match rank {
        None => 0,
        Some(Rank::Member) => 1,
        Some(Rank::Administrator) => 2,
    }
}

const fn decode(code: u8) -> Option<Rank> {
    match code {
        1 => Some(Rank::Member),
        2 => Some(Rank::Administrator),
        _ => None,
    }
}

/// What an index holds, comparable.
#[derive(Debug, PartialEq, Eq)]
pub struct Contents {
    organizations: BTreeMap<OrganizationId, bool>,
    accounts: BTreeMap<AccountId, (Option<Email>, bool)>,
    memberships: BTreeMap<(OrganizationId, AccountId), u8>,
    tokens: BTreeMap<TokenId, String>,
    /// To which token each leads, and whether to the record that its id leads to.
    digests: BTreeMap<Digest, (TokenId, bool)>,
}

fn copy(record: &Record) -> Record {
    Record {
        id: record.id,
        api: record.api.clone(),
        holder: record.holder.clone(),
        grant: record.grant.clone(),
        expires_at: record.expires_at,
        state: record.state,
        allowed_networks: record.allowed_networks.clone(),
        digest: record.digest,
        previous: record.previous,
    }
}

/// A digest that hashes as eight of its own bytes: they are random already.
#[derive(PartialEq, Eq)]
struct DigestKey(Digest);

impl Hash for DigestKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(self.0.as_bytes());
    }
}

/// Hashes a digest, or an id or two, by the random bytes at its end.
#[derive(Default)]
struct TailHasher(u64);

impl Hasher for TailHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        let Some(tail) = bytes.last_chunk::<8>() else { return };
        // The first two bits of an id's tail are the same in all of them. The map takes
        // its slot from the low bits, and a multiplication carries upwards only: so
        // those two go to the top, where all the others reach them.
        self.0 =
            (self.0.rotate_left(5) ^ u64::from_be_bytes(*tail)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }

    // The length of a slice says nothing where all have the same.
    fn write_usize(&mut self, _: usize) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hash::BuildHasher;

    fn hash(key: impl Hash) -> u64 {
        BuildHasherDefault::<TailHasher>::default().hash_one(key)
    }

    /// Ids and digests as random as real ones are, the same in every run.
    fn keys() -> impl Iterator<Item = (TokenId, AccountId, Digest)> {
        (0..4096u32).map(|n| {
            let digest = Digest::of(&n.to_string());
            let mut entropy = [0; 10];
            entropy.copy_from_slice(&digest.as_bytes()[..10]);
            let now = Timestamp::from_millis(1_700_000_000_000);
            (TokenId::new(now, entropy), AccountId::new(now, entropy), digest)
        })
    }

    #[test]
    fn hashes_fill_the_table() {
        let organization = OrganizationId::new(Timestamp::from_millis(1), [7; 10]);
        let ids = keys().map(|(id, ..)| hash(id)).collect::<Vec<_>>();
        let pairs = keys().map(|(_, id, _)| hash((organization, id))).collect::<Vec<_>>();
        let digests = keys().map(|(.., digest)| hash(DigestKey(digest))).collect::<Vec<_>>();
        for (what, hashes) in [("ids", ids), ("pairs", pairs), ("digests", digests)] {
            // As many keys as slots leave 1/e of the slots empty: 2589 of 4096 are taken.
            let slots: BTreeSet<u64> = hashes.iter().map(|hash| hash & 0xfff).collect();
            assert!(slots.len() > 2500, "{what}: {} slots", slots.len());
            // The map compares the first seven bits before it compares keys.
            let tags: BTreeSet<u64> = hashes.iter().map(|hash| hash >> 57).collect();
            assert_eq!(tags.len(), 128, "{what}");
        }
    }

    #[test]
    fn a_record_that_was_left_behind_shows() {
        let index = Index::default();
        let (id, account, digest) = keys().next().unwrap();
        let organization = OrganizationId::new(Timestamp::from_millis(1), [7; 10]);
        index.load_organization(organization, true);
        index.load_account(account, None, true);
        index.load_membership(organization, account, Some(Rank::Member)).unwrap();
        let token = Token {
            id,
            api: "sample".into(),
            organization,
            owner: account,
            name: String::new(),
            note: String::new(),
            grant: Grant::Any,
            created_at: Timestamp::from_millis(1),
            expires_at: None,
            allowed_networks: Vec::new(),
            external_id: None,
            metadata: None,
            prefix: "acme".into(),
            last_four: "0000".into(),
            digest,
        };
        index.load_token(&token, State::Active, None).unwrap();
        let before = index.contents();
        let stray = copy(&index.find(&digest).unwrap());
        index.by_digest.pin().insert(DigestKey(digest), Arc::new(stray));
        assert_ne!(index.contents(), before);
    }
}
