//! Confinement: whatever anybody tries, in whatever order, nothing crosses
//! organizations or APIs, and nobody hands out more than they have.

mod last_use;
mod operations;
mod rank;
mod world;

use crate::{
    service::{Caller, Member, ServiceError},
    store::StoredToken,
};
use counterfoil_core::{
    account::{AccountKind, Rank},
    id::{AccountId, TokenId},
    network::Network,
    token::Grant,
};
use operations::{Answered, KINDS, Names, Operation, Outcome, View, any_operation};
use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, RngSeed, TestRunner},
};
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};
use world::{ADDRESSES, Rows, World};

/// Who tries: the operator, or whoever has the secret of this number.
#[derive(Debug, Clone)]
enum Actor {
    Operator,
    Holder(usize),
}

/// What has happened over a whole run, so that a test of nothing fails.
#[derive(Debug, Default)]
struct Seen {
    /// By kind of operation: how often it was done, and how often refused.
    kinds: BTreeMap<&'static str, (u32, u32)>,
    /// What members have done, by whether they administer, and by kind.
    by_members: BTreeMap<(bool, &'static str), u32>,
    /// The words of refusals.
    why: BTreeSet<String>,
    /// How often something that the caller must not see was asked for by its name.
    unseen: u32,
    /// How often a token of the management API came of what a member did.
    handed_out: u32,
}

#[test]
fn whatever_anybody_tries() {
    let actor = prop_oneof![
        1 => Just(Actor::Operator),
        3 => (0..1000_usize).prop_map(Actor::Holder),
    ];
    // The same sequences every time: that all of it happens must not be a matter of luck.
    let rng_seed = RngSeed::Fixed(20_270_131);
    let config = Config { cases: 56, failure_persistence: None, rng_seed, ..Config::default() };
    let mut runner = TestRunner::new(config);
    let seen = RefCell::<Seen>::default();
    let result = runner.run(&vec((actor, any_operation()), 20..100), |steps| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(play(steps, &mut seen.borrow_mut()));
        Ok(())
    });
    result.unwrap();
    seen.into_inner().is_enough();
}

/// Plays one sequence, looking after each step whether all is in order.
async fn play(steps: Vec<(Actor, Operation)>, seen: &mut Seen) {
    let mut world = World::new().await;
    seen.kinds.entry("initialise").or_default().0 += 1;
    let mut rows = world.rows().await;
    for (actor, operation) in steps {
        let caller = match actor {
            Actor::Operator => Some(Caller::Operator),
            Actor::Holder(pick) => {
                let managing: Vec<_> = world
                    .secrets
                    .iter()
                    .filter(|(id, _)| *rows.tokens[id].token.api == *"counterfoil")
                    .collect();
                let (_, secret) = managing[pick % managing.len()];
                world.caller(secret)
            }
        };
        // Somebody whose token is not good gets no further than the door.
        let Some(caller) = caller else { continue };
        let view = View { caller: &caller, rows: &rows };
        let names = Names::true_ones(&world, &view);
        let head = world.app.replica.head();
        let outcome = operation.perform(&world, &caller, &names).await;
        let after = world.rows().await;
        seen.note(&caller, &operation, &outcome);

        if let Err(error) = &outcome {
            assert_eq!(after, rows, "{operation:?} was refused: {error}");
        }
        if let Ok((answered, _)) = &outcome {
            check_sight(&View { caller: &caller, rows: &after }, answered);
        }
        if names.include_unseen() {
            seen.unseen += 1;
            check_like_unknown(&world, &view, &operation, &outcome).await;
            assert_eq!(world.rows().await, after, "{operation:?} of what is not there");
        }
        if let Caller::Member(member) = &caller {
            check_confined(member, &rows, &after);
            seen.handed_out += check_handed_out(member, &rows, &after);
        }

        for id in after.organizations.keys().filter(|id| !rows.organizations.contains_key(id)) {
            world.organizations.push(*id);
        }
        for id in after.accounts.keys().filter(|id| !rows.accounts.contains_key(id)) {
            world.accounts.push(*id);
        }
        if let Ok((_, Some(issued))) = outcome {
            world.keep(issued);
        }
        if world.app.replica.head() == head {
            assert_eq!(after, rows, "{operation:?} is not in the ledger");
            continue;
        }
        rows = after;
        world.is_in_step().await;
        world.doors_agree(&rows);
    }
    world.is_sound().await;
}

/// An answer holds nothing but what the caller is entitled to see.
fn check_sight(view: &View<'_>, answered: &Answered) {
    let Answered {
        tokens,
        accounts,
        organizations,
        memberships,
        refusals,
        entries,
        counts,
        origins,
    } = answered;
    let sees_token = |id: &TokenId| view.sees_token(&view.rows.tokens[id]);
    assert!(tokens.iter().all(|token| view.sees_token(token)), "{answered:?}");
    assert!(accounts.iter().all(|account| view.sees_account(account.id)), "{answered:?}");
    assert!(organizations.iter().all(|o| view.sees_organization(o.id)), "{answered:?}");
    for membership in memberships {
        assert!(view.sees_organization(membership.organization), "{answered:?}");
        assert!(view.sees_account(membership.account), "{answered:?}");
    }
    for refusal in refusals {
        let (token, _) = refusal.matched.unwrap();
        assert!(sees_token(&token), "{answered:?}");
    }
    assert!(entries.iter().all(|entry| view.sees_entry(entry)), "{answered:?}");
    assert!(counts.iter().all(|count| sees_token(&count.token)), "{answered:?}");
    assert!(origins.iter().all(|(token, _)| sees_token(token)), "{answered:?}");
}

/// What the caller must not see is answered as if it were not there.
async fn check_like_unknown(
    world: &World,
    view: &View<'_>,
    operation: &Operation,
    outcome: &Outcome,
) {
    let caller = view.caller;
    let names = Names::unknown_ones(world, view);
    match outcome {
        Err(error) => {
            let other = operation.perform(world, caller, &names).await.unwrap_err();
            let said = names.translated(error);
            assert_eq!(said, format!("{other:?}"), "{operation:?} by {caller:?}");
        }
        // A list of nothing.
        Ok((told, issued)) => {
            assert!(issued.is_none(), "{operation:?} by {caller:?}");
            assert_eq!(*told, Answered::default(), "{operation:?} by {caller:?}");
            assert!(operation.lists(), "{operation:?} by {caller:?}");
        }
    }
}

/// What a member does changes nothing outside the organization, and inside it
/// no more than one thing, which has to be theirs to change.
fn check_confined(member: &Member, before: &Rows, after: &Rows) {
    let home = member.organization;
    let administers = member.rank == Rank::Administrator;
    assert_eq!(before.organizations, after.organizations);
    for account in changed(&before.accounts, &after.accounts) {
        assert!(administers, "{account:?} by {member:?}");
        assert_eq!(account.kind, AccountKind::Service, "{account:?} by {member:?}");
        // An address could be somebody else's.
        let old = before.accounts.get(&account.id).and_then(|old| old.email.as_ref());
        assert_eq!(account.email.as_ref(), old, "{account:?} by {member:?}");
        assert!(after.belongs(home, account.id).is_some(), "{account:?} by {member:?}");
    }
    for membership in changed(&before.memberships, &after.memberships) {
        assert!(administers, "{membership:?} by {member:?}");
        assert_eq!(membership.organization, home);
    }
    let tokens = changed(&before.tokens, &after.tokens);
    assert!(tokens.len() <= 1, "{tokens:?} by {member:?}");
    for stored in tokens {
        assert_eq!(stored.token.organization, home);
        assert!(administers || stored.token.owner == member.account, "{stored:?} by {member:?}");
        let (token, old) = (&stored.token, before.tokens.get(&stored.token.id));
        if let Some(old) = old.filter(|old| old.token.owner != token.owner) {
            // A program has it now, which can do no more with it than whoever knew the secret.
            assert_eq!(after.accounts[&token.owner].kind, AccountKind::Service, "{stored:?}");
            let rank = |rows: &Rows, owner| rows.belongs(home, owner);
            let is_raised = rank(after, token.owner) == Some(Rank::Administrator)
                && rank(before, old.token.owner) != Some(Rank::Administrator);
            assert!(*token.api != *"counterfoil" || !is_raised, "{stored:?} by {member:?}");
        }
    }
}

/// Whatever a token can do that came of what a member did, the member could do
/// too. Tells how many such tokens there are.
fn check_handed_out(member: &Member, before: &Rows, after: &Rows) -> u32 {
    let mut handed_out = 0;
    for stored in changed(&before.tokens, &after.tokens) {
        let token = &stored.token;
        let old = before.tokens.get(&token.id).map(|stored| &stored.token);
        let new_secret = old.is_none_or(|old| old.digest != token.digest);
        let new_powers = old.is_none_or(|old| {
            (&old.grant, old.expires_at, &old.allowed_networks)
                != (&token.grant, token.expires_at, &token.allowed_networks)
        });
        if new_secret {
            // A secret is seen by nobody but its owner; a program has nobody else.
            let own = token.owner == member.account;
            assert!(own || after.accounts[&token.owner].kind == AccountKind::Service);
        }
        if *token.api == *"costs" && new_powers {
            assert_eq!(member.rank, Rank::Administrator, "{stored:?}");
        }
        if *token.api == *"counterfoil" && (new_secret || new_powers) {
            check_within(member, after, stored);
            handed_out += 1;
        }
    }
    handed_out
}

/// A token of the management API can do no more than the member who has it made.
fn check_within(member: &Member, rows: &Rows, stored: &StoredToken) {
    let token = &stored.token;
    let Grant::Scopes(scopes) = &token.grant else { panic!("{token:?}") };
    assert!(scopes.iter().all(|scope| member.scopes.contains(scope)), "{token:?} by {member:?}");
    // Only the operator hands these out, though a member may hold one.
    assert!(!scopes.iter().any(|scope| scope.as_str().ends_with(":verify")), "{token:?}");
    if let Some(end) = member.expires_at {
        assert!(token.expires_at.is_some_and(|other| other <= end), "{token:?} by {member:?}");
    }
    for address in ADDRESSES {
        let address: IpAddr = address.parse().unwrap();
        let reaches = |networks: &[Network]| {
            networks.is_empty() || networks.iter().any(|network| network.contains(address))
        };
        assert!(
            reaches(&member.allowed_networks) || !reaches(&token.allowed_networks),
            "{token:?} by {member:?}"
        );
    }
    // A token acts with its owner's rank.
    let acts_as = |owner: AccountId| rows.belongs(token.organization, owner);
    if member.rank == Rank::Member {
        assert_eq!(acts_as(token.owner), Some(Rank::Member), "{token:?} by {member:?}");
    }
}

/// The rows that are new, or not as they were. None goes.
fn changed<'a, K: Ord, V: PartialEq>(
    before: &BTreeMap<K, V>,
    after: &'a BTreeMap<K, V>,
) -> Vec<&'a V> {
    assert!(before.keys().all(|key| after.contains_key(key)));
    after.iter().filter(|(key, row)| before.get(key) != Some(*row)).map(|(_, row)| row).collect()
}

impl Seen {
    fn note(&mut self, caller: &Caller, operation: &Operation, outcome: &Outcome) {
        let (done, refused) = self.kinds.entry(operation.kind()).or_default();
        match outcome {
            Ok(_) => *done += 1,
            Err(_) => *refused += 1,
        }
        match (caller, outcome) {
            (Caller::Member(member), Ok(_)) => {
                let administers = member.rank == Rank::Administrator;
                *self.by_members.entry((administers, operation.kind())).or_default() += 1;
            }
            (Caller::Member(_), Err(ServiceError::Forbidden(why))) => {
                self.why.insert(why.clone());
            }
            _ => {}
        }
    }

    /// Whether what a test of this kind is for has happened at all.
    fn is_enough(&self) {
        for kind in KINDS {
            let counts = self.kinds.get(kind).copied().unwrap_or_default();
            assert!(counts.0 > 0 && counts.1 > 0, "{kind}: {counts:?} done and refused");
        }
        let all = [
            "issue_token",
            "issue_token of the management API",
            "change_token",
            "set_token_paused",
            "rotate_token",
            "end_previous_secret",
            "revoke_token",
            "revoke_tokens",
            "token",
            "tokens",
            "account",
            "accounts",
            "organization",
            "organizations",
            "memberships",
            "refusal",
            "usage",
            "origins",
        ];
        let administrators = [
            "hand_over_token",
            "invite",
            "create_account",
            "change_account",
            "set_account_active",
            "set_membership",
            "end_membership",
            "audit",
        ];
        let by = |administers, kind| self.by_members.contains_key(&(administers, kind));
        for kind in all {
            assert!(by(false, kind), "{kind} by no member");
            assert!(by(true, kind), "{kind} by no administrator");
        }
        for kind in administrators {
            assert!(by(true, kind), "{kind} by no administrator");
        }
        for why in [
            "your token hands out none that outlives it; give an earlier end",
            "your token hands out none for other networks than its own",
            "only its owner rotates a person's token; you may pause or revoke it",
            "your token does not have the scope accounts:write",
            "only the operator may do this, on the machine that Counterfoil runs on",
            "only an administrator may do this",
        ] {
            assert!(self.why.contains(why), "never: {why}");
        }
        assert!(self.unseen > 50, "{} times", self.unseen);
        assert!(self.handed_out > 10, "{} times", self.handed_out);
    }
}
