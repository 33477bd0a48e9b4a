//! Replay: an index that followed the changes holds what one loaded from the resulting state holds.

use crate::scene::{account, email, organization, scope, token, token_id};
use counterfoil_core::{
    Timestamp,
    account::{AccountKind, Email, Rank},
    id::{AccountId, InvitationId, OrganizationId, TokenId},
    index::{Index, Loaded, OutOfStep},
    ledger::{self, Actor, Change, Head, ImportSource, Stored},
    token::{Digest, Grant, Previous, State, Token},
};
use proptest::{collection::vec, prelude::*};
use std::collections::BTreeMap;

/// The state as a store has it, in the plainest form.
#[derive(Default)]
pub(crate) struct Plain {
    organizations: BTreeMap<OrganizationId, bool>,
    accounts: BTreeMap<AccountId, (Option<Email>, bool)>,
    memberships: BTreeMap<(OrganizationId, AccountId), Option<Rank>>,
    tokens: BTreeMap<TokenId, (Token, State, Option<Previous>)>,
    /// Every digest that there ever was, and its token.
    pub(crate) digests: Vec<(Digest, TokenId)>,
}

/// Something that somebody tries; small numbers name what it is about.
#[derive(Debug, Clone)]
pub(crate) enum Attempt {
    CreateOrganization(u32),
    CloseOrganization(u32),
    CreateAccount(u32, bool),
    Disable(u32),
    Enable(u32),
    SetPassword(u32),
    /// To one of a few addresses.
    SetEmail(u32, u8),
    Join(u32, u32),
    ChangeRank(u32, u32),
    Leave(u32, u32),
    Issue(u32, u32, u32),
    Pause(u32),
    Resume(u32),
    Rotate(u32, Option<i64>),
    EndPrevious(u32),
    Revoke(u32),
    /// Other terms, another end.
    Patch(u32, u8, Option<i64>),
    HandOver(u32, u32),
    /// What verification has no use for.
    Else(u32, u32, u8),
}

/// About one of so many tokens.
pub(crate) fn attempt_on(tokens: u32) -> impl Strategy<Value = Attempt> {
    use Attempt::*;
    let organization = 0..2u32;
    let account = 0..3u32;
    let token = 0..tokens;
    let both = || (0..2u32, 0..3u32);
    prop_oneof![
        1 => organization.clone().prop_map(CreateOrganization),
        1 => organization.prop_map(CloseOrganization),
        2 => (account.clone(), any::<bool>()).prop_map(|(a, with_email)| CreateAccount(a, with_email)),
        1 => account.clone().prop_map(Disable),
        1 => account.clone().prop_map(Enable),
        1 => account.clone().prop_map(SetPassword),
        2 => (account, 0..4u8).prop_map(|(a, n)| SetEmail(a, n)),
        3 => both().prop_map(|(o, a)| Join(o, a)),
        1 => both().prop_map(|(o, a)| ChangeRank(o, a)),
        1 => both().prop_map(|(o, a)| Leave(o, a)),
        6 => (token.clone(), both()).prop_map(|(t, (o, a))| Issue(t, o, a)),
        2 => token.clone().prop_map(Pause),
        2 => token.clone().prop_map(Resume),
        4 => (token.clone(), proptest::option::of(0..10_000i64)).prop_map(|(t, o)| Rotate(t, o)),
        2 => token.clone().prop_map(EndPrevious),
        1 => token.clone().prop_map(Revoke),
        4 => (token, 0..4u8, proptest::option::of(0..10_000i64))
            .prop_map(|(t, terms, end)| Patch(t, terms, end)),
        4 => (0..tokens, 0..3u32).prop_map(|(t, a)| HandOver(t, a)),
        1 => (both(), 0..5u8).prop_map(|((o, a), kind)| Else(o, a, kind)),
    ]
}

fn attempt() -> impl Strategy<Value = Attempt> {
    attempt_on(4)
}

/// The secret that is made as the one of this number.
pub(crate) fn made_secret(number: usize) -> String {
    format!("secret-{number}")
}

/// A beginning, so that most of what follows is possible.
pub(crate) fn beginning() -> impl Iterator<Item = Attempt> {
    use Attempt::*;
    [
        CreateOrganization(0),
        CreateAccount(0, true),
        CreateAccount(1, false),
        Join(0, 0),
        Join(0, 1),
        Issue(0, 0, 0),
    ]
    .into_iter()
}

impl Plain {
    /// Makes the change, if it is possible now.
    pub(crate) fn make(&mut self, attempt: &Attempt) -> Option<Change> {
        match *attempt {
            Attempt::CreateOrganization(n) => {
                let organization = organization(n);
                self.organizations.insert_new(organization, true)?;
                let (name, external_id) = (format!("{n}"), None);
                Some(Change::OrganizationCreated { organization, name, external_id })
            }
            Attempt::CloseOrganization(n) => {
                let organization = organization(n);
                turn(self.organizations.get_mut(&organization)?, false)?;
                Some(Change::OrganizationClosed { organization })
            }
            Attempt::CreateAccount(n, with_email) => {
                let account = account(n);
                let email = with_email.then(|| email(&format!("{n}@example.com")));
                self.accounts.insert_new(account, (email.clone(), true))?;
                let account_kind =
                    if with_email { AccountKind::Person } else { AccountKind::Service };
                let (name, external_id) = (format!("{n}"), None);
                Some(Change::AccountCreated { account, account_kind, email, name, external_id })
            }
            Attempt::Disable(n) => {
                turn(&mut self.accounts.get_mut(&account(n))?.1, false)?;
                Some(Change::AccountDisabled { account: account(n) })
            }
            Attempt::Enable(n) => {
                turn(&mut self.accounts.get_mut(&account(n))?.1, true)?;
                Some(Change::AccountEnabled { account: account(n) })
            }
            Attempt::SetPassword(n) => {
                self.accounts.get(&account(n))?;
                Some(Change::PasswordSet {
                    account: account(n),
                    hash: "$argon2id$".into(),
                    by_mail: false,
                })
            }
            Attempt::SetEmail(a, n) => {
                let (account, email) = (account(a), email(&format!("moved-{n}@example.com")));
                let is_free = |(other, _): &(Option<Email>, bool)| other.as_ref() != Some(&email);
                self.accounts.values().all(is_free).then_some(())?;
                self.accounts.get_mut(&account)?.0 = Some(email.clone());
                Some(Change::EmailSet { account, email })
            }
            Attempt::Join(o, a) => {
                let (organization, account) = (organization(o), account(a));
                self.accounts.get(&account)?;
                self.organizations.get(&organization).filter(|open| **open)?;
                let kept = self.memberships.entry((organization, account)).or_insert(None);
                let rank = Rank::Member;
                kept.is_none().then(|| *kept = Some(rank))?;
                Some(Change::MembershipAdded { organization, account, rank })
            }
            Attempt::ChangeRank(o, a) => {
                let (organization, account) = (organization(o), account(a));
                let kept = self.memberships.get_mut(&(organization, account))?;
                let rank = Rank::Administrator;
                (*kept == Some(Rank::Member)).then(|| *kept = Some(rank))?;
                Some(Change::MembershipRankChanged { organization, account, rank })
            }
            Attempt::Leave(o, a) => {
                let (organization, account) = (organization(o), account(a));
                self.memberships.get_mut(&(organization, account))?.take()?;
                Some(Change::MembershipEnded { organization, account })
            }
            Attempt::Else(o, a, kind) => {
                let (organization, account) = (organization(o), account(a));
                (*self.memberships.get(&(organization, account))?)?;
                let invitation = InvitationId::from_bytes([kind; 16]);
                Some(match kind {
                    0 => Change::SecondFactorSet { account },
                    1 => Change::SecondFactorRemoved { account },
                    2 => Change::InvitationMade {
                        invitation,
                        organization,
                        email: Some(email("guest@example.com")),
                        rank: Rank::Member,
                        digest: Digest::of("link"),
                        expires_at: Timestamp::MAX,
                    },
                    3 => Change::InvitationWithdrawn { invitation, organization },
                    _ => Change::InvitationAccepted { invitation, organization, account },
                })
            }
            _ => self.make_of_token(attempt),
        }
    }

    fn make_of_token(&mut self, attempt: &Attempt) -> Option<Change> {
        // Every secret that is ever made is another.
        let fresh = Digest::of(&made_secret(self.digests.len()));
        match *attempt {
            Attempt::Issue(t, o, a) => {
                let (organization, account) = (organization(o), account(a));
                (*self.memberships.get(&(organization, account))?)?;
                let token = Token { digest: fresh, ..token(t, "orders", organization, account) };
                let (imported, paused) = (!t.is_multiple_of(2), t % 4 == 3);
                let state = if paused { State::Paused } else { State::Active };
                self.tokens.insert_new(token.id, (token.clone(), state, None))?;
                self.digests.push((fresh, token.id));
                let token = Box::new(token);
                let from = ImportSource::Sha256;
                Some(if imported {
                    Change::TokenImported { token, from, entropy_bits: 128, paused }
                } else {
                    Change::TokenIssued(token)
                })
            }
            Attempt::Pause(t) => {
                let (token, organization) = self.move_to(t, &[State::Active], State::Paused)?;
                Some(Change::TokenPaused { token, organization })
            }
            Attempt::Resume(t) => {
                let (token, organization) = self.move_to(t, &[State::Paused], State::Active)?;
                Some(Change::TokenResumed { token, organization })
            }
            Attempt::Revoke(t) => {
                let from = [State::Active, State::Paused];
                let (token, organization) = self.move_to(t, &from, State::Revoked)?;
                Some(Change::TokenRevoked { token, organization, reason: String::new() })
            }
            Attempt::Rotate(t, overlap) => {
                let (token, state, previous) = self.tokens.get_mut(&token_id(t))?;
                if *state == State::Revoked {
                    return None;
                }
                let replaces = token.digest;
                let previous_until = overlap.map(Timestamp::from_millis);
                *previous = previous_until.map(|until| Previous { digest: replaces, until });
                token.digest = fresh;
                self.digests.push((fresh, token.id));
                Some(Change::TokenRotated {
                    revision: 0,
                    token: token.id,
                    organization: token.organization,
                    replaces,
                    previous_until,
                    digest: fresh,
                    prefix: "acme".into(),
                    last_four: "0000".into(),
                })
            }
            Attempt::EndPrevious(t) => {
                let (token, state, previous) = self.tokens.get_mut(&token_id(t))?;
                if *state == State::Revoked {
                    return None;
                }
                Some(Change::TokenPreviousEnded {
                    token: token.id,
                    organization: token.organization,
                    previous: previous.take()?.digest,
                })
            }
            Attempt::Patch(t, terms, end) => {
                let (token, state, _) = self.tokens.get_mut(&token_id(t))?;
                if *state == State::Revoked {
                    return None;
                }
                token.grant = match terms % 2 {
                    0 => Grant::Any,
                    _ => Grant::Scopes([scope("costs:read")].into()),
                };
                let networks: &[&str] = if terms < 2 { &[] } else { &["10.0.0.0/8"] };
                token.allowed_networks = networks.iter().map(|n| n.parse().unwrap()).collect();
                token.expires_at = end.map(Timestamp::from_millis);
                Some(Change::TokenChanged {
                    token: token.id,
                    organization: token.organization,
                    revision: 0,
                    name: token.name.clone(),
                    note: token.note.clone(),
                    grant: token.grant.clone(),
                    expires_at: token.expires_at,
                    allowed_networks: token.allowed_networks.clone(),
                    external_id: None,
                    metadata: None,
                })
            }
            Attempt::HandOver(t, a) => {
                let (token, state, _) = self.tokens.get_mut(&token_id(t))?;
                let (organization, owner) = (token.organization, account(a));
                (*self.memberships.get(&(organization, owner))?)?;
                if *state == State::Revoked || token.owner == owner {
                    return None;
                }
                token.owner = owner;
                Some(Change::TokenHandedOver { token: token.id, organization, owner })
            }
            _ => None,
        }
    }

    fn move_to(&mut self, t: u32, from: &[State], to: State) -> Option<(TokenId, OrganizationId)> {
        let (token, state, _) = self.tokens.get_mut(&token_id(t))?;
        from.contains(state).then_some(())?;
        *state = to;
        Some((token.id, token.organization))
    }

    /// An index as a node that starts now loads it.
    pub(crate) fn load(&self) -> Index {
        let index = Index::default();
        for (id, open) in &self.organizations {
            index.load_organization(*id, *open);
        }
        for (id, (email, active)) in &self.accounts {
            index.load_account(*id, email.clone(), *active).unwrap();
        }
        for ((organization, account), rank) in &self.memberships {
            index.load_membership(*organization, *account, *rank).unwrap();
        }
        for (token, state, previous) in self.tokens.values() {
            index.load_token(&Loaded::of(token, *state, *previous)).unwrap();
        }
        index
    }

    /// What a digest has to lead to, whether by itself or by the token's id.
    fn check_look_ups(&self, index: &Index) -> Result<(), TestCaseError> {
        prop_assert_eq!(index.len(), self.tokens.len());
        for (digest, id) in &self.digests {
            let (token, state, previous) = &self.tokens[id];
            let works = token.digest == *digest || previous.is_some_and(|p| p.digest == *digest);
            let found = index.find(digest);
            prop_assert_eq!(found.is_some(), works);
            let by_id = index.find_by_id(*id).unwrap();
            prop_assert_eq!(by_id.state(), *state);
            prop_assert!(!by_id.is_previous());
            if let Some(found) = found {
                prop_assert_eq!((found.id(), found.state()), (*id, *state));
                prop_assert_eq!(found.is_previous(), token.digest != *digest);
            }
        }
        Ok(())
    }
}

trait InsertNew<K, V> {
    fn insert_new(&mut self, key: K, value: V) -> Option<()>;
}

impl<K: Ord, V> InsertNew<K, V> for BTreeMap<K, V> {
    fn insert_new(&mut self, key: K, value: V) -> Option<()> {
        if self.contains_key(&key) {
            return None;
        }
        self.insert(key, value);
        Some(())
    }
}

/// Sets a flag that is not yet what it shall be.
fn turn(flag: &mut bool, to: bool) -> Option<()> {
    (*flag != to).then(|| *flag = to)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn at_every_step_the_followed_is_the_loaded(attempts in vec(attempt(), 0..60)) {
        let mut plain = Plain::default();
        let followed = Index::default();
        for attempt in beginning().chain(attempts) {
            if let Some(change) = plain.make(&attempt) {
                prop_assert_eq!(followed.apply(&change), Ok(()));
                prop_assert_eq!(followed.contents(), plain.load().contents());
                plain.check_look_ups(&followed)?;
            }
        }
    }

    /// A node joins in the middle: it loads a snapshot and follows from there.
    #[test]
    fn who_joins_later_knows_the_same(attempts in vec(attempt(), 0..60), joins_at in 0..60usize) {
        let mut plain = Plain::default();
        let mut late = None;
        for (at, attempt) in beginning().chain(attempts).enumerate() {
            if at >= joins_at && late.is_none() {
                late = Some(plain.load());
            }
            if let Some(change) = plain.make(&attempt)
                && let Some(late) = &late
            {
                prop_assert_eq!(late.apply(&change), Ok(()));
            }
        }
        if let Some(late) = late {
            prop_assert_eq!(late.contents(), plain.load().contents());
            plain.check_look_ups(&late)?;
        }
    }

    /// What the ledger keeps of the changes is enough to make them again.
    #[test]
    fn the_ledger_alone_is_enough(attempts in vec(attempt(), 0..60)) {
        let mut plain = Plain::default();
        let mut head = Head::EMPTY;
        let mut entries: Vec<Stored> = Vec::new();
        for attempt in beginning().chain(attempts) {
            if let Some(change) = plain.make(&attempt) {
                let at = Timestamp::from_millis(7);
                let stored = ledger::append(head, at, Actor::Operator, &change, [9; 16]).unwrap();
                head = stored.head;
                entries.push(stored);
            }
        }
        let replayed = Index::default();
        let mut head = Head::EMPTY;
        for entry in &entries {
            let detail = Some((&entry.salt[..], &entry.detail[..]));
            let (next, _, change) =
                ledger::check(head, &entry.entry, &entry.head.hash.0, detail).unwrap();
            head = next;
            prop_assert_eq!(replayed.apply(&change.unwrap()), Ok(()));
        }
        prop_assert_eq!(replayed.contents(), plain.load().contents());
        prop_assert_eq!(head.number, u64::try_from(entries.len()).unwrap());
    }
}

#[test]
fn a_change_to_something_unknown_changes_nothing() {
    let mut plain = Plain::default();
    let elsewhere = [Attempt::CreateOrganization(1), Attempt::Join(1, 0)];
    for attempt in beginning().chain(elsewhere) {
        plain.make(&attempt).unwrap();
    }
    let index = plain.load();
    let (nobody, nowhere, nothing) = (account(99), organization(99), token_id(99));
    let (ada, here) = (account(0), organization(0));
    for change in [
        Change::OrganizationClosed { organization: nowhere },
        Change::AccountDisabled { account: nobody },
        Change::AccountEnabled { account: nobody },
        Change::EmailSet { account: nobody, email: email("nobody@example.com") },
        Change::MembershipAdded { organization: nowhere, account: ada, rank: Rank::Member },
        Change::MembershipAdded { organization: here, account: nobody, rank: Rank::Member },
        Change::MembershipEnded { organization: here, account: nobody },
        Change::MembershipEnded { organization: nowhere, account: ada },
        Change::TokenIssued(Box::new(token(9, "orders", here, nobody))),
        Change::TokenIssued(Box::new(token(9, "orders", nowhere, ada))),
        Change::TokenPaused { token: nothing, organization: here },
        Change::TokenResumed { token: nothing, organization: here },
        Change::TokenRevoked { token: nothing, organization: here, reason: String::new() },
        Change::TokenHandedOver { token: nothing, organization: here, owner: ada },
        Change::TokenHandedOver { token: token_id(0), organization: here, owner: nobody },
        // A token stays where it is, whoever else is a member elsewhere.
        Change::TokenHandedOver { token: token_id(0), organization: organization(1), owner: ada },
        Change::TokenPreviousEnded {
            token: nothing,
            organization: here,
            previous: Digest::of("a"),
        },
        // It has been rotated by nobody, and this secret is the one it has.
        Change::TokenPreviousEnded {
            token: token_id(0),
            organization: here,
            previous: plain.digests[0].0,
        },
        Change::TokenRotated {
            revision: 0,
            token: nothing,
            organization: here,
            replaces: Digest::of("a"),
            previous_until: None,
            digest: Digest::of("b"),
            prefix: "acme".into(),
            last_four: "0000".into(),
        },
    ] {
        assert_eq!(index.apply(&change), Err(OutOfStep), "{change:?}");
        assert_eq!(index.contents(), plain.load().contents(), "{change:?}");
    }
}

#[test]
fn indexes_that_differ_in_one_thing_differ() {
    let plain = |attempts: &[Attempt]| {
        let mut plain = Plain::default();
        for attempt in beginning().chain(attempts.iter().cloned()) {
            plain.make(&attempt).unwrap();
        }
        plain.load().contents()
    };
    let contents = [
        plain(&[]),
        plain(&[Attempt::CloseOrganization(0)]),
        plain(&[Attempt::CreateOrganization(1)]),
        plain(&[Attempt::CreateAccount(2, true)]),
        plain(&[Attempt::CreateAccount(2, false)]),
        plain(&[Attempt::Disable(0)]),
        plain(&[Attempt::SetEmail(0, 0)]),
        plain(&[Attempt::SetEmail(0, 1)]),
        plain(&[Attempt::SetEmail(1, 0)]),
        plain(&[Attempt::Leave(0, 0)]),
        plain(&[Attempt::Issue(1, 0, 0)]),
        plain(&[Attempt::Issue(1, 0, 1)]),
        plain(&[Attempt::Pause(0)]),
        plain(&[Attempt::Revoke(0)]),
        plain(&[Attempt::Rotate(0, None)]),
        plain(&[Attempt::Rotate(0, Some(1))]),
        plain(&[Attempt::Rotate(0, Some(2))]),
        plain(&[Attempt::Patch(0, 0, None)]),
        plain(&[Attempt::Patch(0, 1, None)]),
        plain(&[Attempt::Patch(0, 2, None)]),
        plain(&[Attempt::Patch(0, 0, Some(1))]),
        plain(&[Attempt::HandOver(0, 1)]),
    ];
    for (at, one) in contents.iter().enumerate() {
        assert!(!contents[at + 1..].contains(one), "{at}");
    }
}
