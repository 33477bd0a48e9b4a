//! What every store has to do, said once and run over each of them.

mod audit;
mod by_hand;
mod changes;
mod grounds;
mod house;
mod import;
mod invitations;
mod lists;
mod once;
mod sign_in;
mod standing;
mod usage;

use super::{
    AccountFilter, EntryFilter, Ground, MembershipFilter, Once, Order, OrganizationFilter, Page,
    Standing, StoreError, StoredToken, TokenFilter, TokenState,
};
use crate::refusals::StoredRefusal;
use counterfoil_core::{
    Timestamp,
    account::{AccountKind, Rank},
    id::{AccountId, OrganizationId, RequestId, TokenId},
    ledger::{self, Actor, Change, Head, ImportSource},
    network::Network,
    token::{Digest, Grant, Previous, State, Token},
};
pub(crate) use house::replayed;
use house::{House, Kind};
use proptest::prelude::*;
use std::sync::Arc;

/// Runs tests over every store, each under its name.
macro_rules! on_every_store {
    ($($test:ident),* $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test(super::Kind::Sqlite).await;
            })*
        }

        mod on_postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test(super::Kind::Postgres).await;
            })*
        }

        mod on_a_lookalike {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test(super::Kind::Lookalike).await;
            })*
        }
    };
}
use on_every_store;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn organization(n: u8) -> OrganizationId {
    OrganizationId::new(at(1), [n; 10])
}

fn account(n: u8) -> AccountId {
    AccountId::new(at(1), [n; 10])
}

fn token_id(n: u8) -> TokenId {
    TokenId::new(at(i64::from(n)), [n; 10])
}

fn digest(n: u8, rotation: u8) -> Digest {
    Digest::of(&format!("{n}.{rotation}"))
}

fn create_organization(n: u8) -> Change {
    Change::OrganizationCreated {
        organization: organization(n),
        name: format!("o{n}"),
        external_id: None,
    }
}

fn named(name: &str) -> OrganizationFilter {
    OrganizationFilter { name: Some(name.into()), external_id: None }
}

fn rename_account(n: u8, external_id: Option<String>) -> Change {
    let external_id = external_id.map(Into::into);
    Change::AccountChanged {
        account: account(n),
        revision: 1,
        name: format!("renamed {n}"),
        external_id,
    }
}

fn rename_organization(n: u8, external_id: Option<String>) -> Change {
    let (organization, name) = (organization(n), format!("renamed {n}"));
    Change::OrganizationChanged {
        organization,
        revision: 1,
        name,
        external_id: external_id.map(Into::into),
    }
}

fn create_account(n: u8) -> Change {
    Change::AccountCreated {
        account: account(n),
        account_kind: if n.is_multiple_of(2) { AccountKind::Service } else { AccountKind::Person },
        email: (!n.is_multiple_of(2)).then(|| format!("a{n}@example.com").parse().unwrap()),
        name: format!("a{n}"),
        external_id: None,
    }
}

fn set_email(n: u8, email: &str) -> Change {
    Change::EmailSet { account: account(n), email: email.parse().unwrap() }
}

fn join(o: u8, a: u8) -> Change {
    Change::MembershipAdded {
        organization: organization(o),
        account: account(a),
        rank: Rank::Member,
    }
}

fn token(n: u8, o: u8, a: u8) -> Token {
    Token {
        id: token_id(n),
        api: if n.is_multiple_of(2) { "even" } else { "odd" }.into(),
        organization: organization(o),
        owner: account(a),
        name: format!("t{n}"),
        note: "a note".into(),
        grant: match n % 3 {
            0 => Grant::Any,
            1 => Grant::Role("viewer".into()),
            _ => Grant::Scopes(["a:read".parse().unwrap(), "write".parse().unwrap()].into()),
        },
        created_at: at(i64::from(n)),
        expires_at: n.is_multiple_of(2).then(|| at(5000)),
        allowed_networks: vec!["10.0.0.0/8".parse::<Network>().unwrap()],
        external_id: None,
        metadata: None,
        prefix: "acme".into(),
        last_four: "abcd".into(),
        digest: digest(n, 0),
    }
}

fn issue(n: u8, o: u8, a: u8) -> Change {
    Change::TokenIssued(Box::new(token(n, o, a)))
}

fn first_page<Id>() -> Page<Id> {
    Page { after: None, limit: 100 }
}

async fn what_is_written_is_read_back(kind: Kind) {
    let house = House::with_member(kind).await;
    for n in 1..=6 {
        house.made(issue(n, 1, 1)).await;
    }
    for n in 1..=6 {
        let stored = house.store.token(token_id(n)).await.unwrap().unwrap();
        assert_eq!(stored, StoredToken::new(token(n, 1, 1)));
    }
    let found = house.store.account_by_email("A1@example.com".parse().unwrap()).await.unwrap();
    assert_eq!(found.unwrap().id, account(1));
    assert_eq!(house.store.token(token_id(9)).await.unwrap(), None);
    house.is_sound().await;
}

async fn a_change_needs_its_ground(kind: Kind) {
    let house = House::with_member(kind).await;
    house.refused(create_organization(1)).await;
    house.refused(create_account(1)).await;
    house.refused(join(1, 1)).await;
    house.refused(join(1, 9)).await;
    house.refused(join(9, 1)).await;
    house.refused(issue(1, 1, 9)).await;
    house.refused(issue(1, 9, 1)).await;

    house.made(issue(1, 1, 1)).await;
    house.refused(issue(1, 1, 1)).await;
    let mut same_digest = token(2, 1, 1);
    same_digest.digest = digest(1, 0);
    house.refused(Change::TokenIssued(Box::new(same_digest))).await;

    let (token, organization) = (token_id(1), organization(1));
    house.made(change_token(1)).await;
    house.refused(change_token(1)).await;
    house.made(decided_on(1, change_token(1))).await;
    house.refused(Change::TokenResumed { token, organization }).await;
    house.made(Change::TokenPaused { token, organization }).await;
    house.refused(Change::TokenPaused { token, organization }).await;
    house.made(Change::TokenResumed { token, organization }).await;
    let revoked = Change::TokenRevoked { token, organization, reason: "leaked".into() };
    house.made(revoked.clone()).await;
    house.refused(revoked).await;
    house.refused(Change::TokenPaused { token, organization }).await;
    house.refused(rotate(1, 0, None)).await;
    house.refused(change_token(1)).await;

    let account = account(1);
    house.refused(Change::AccountEnabled { account }).await;
    house.made(Change::AccountDisabled { account }).await;
    house.refused(Change::AccountDisabled { account }).await;
    house.refused(issue(3, 1, 1)).await;
    house.made(Change::AccountEnabled { account }).await;
    house.made(Change::MembershipEnded { organization, account }).await;
    house.refused(Change::MembershipEnded { organization, account }).await;
    house.refused(issue(3, 1, 1)).await;
    house.made(join(1, 1)).await;
    house.made(issue(3, 1, 1)).await;
    house.made(Change::OrganizationClosed { organization }).await;
    house.refused(Change::OrganizationClosed { organization }).await;
    house.refused(issue(5, 1, 1)).await;
    house.is_sound().await;
}

/// Another organization's id changes nothing, whoever decided on it.
async fn nothing_crosses_organizations(kind: Kind) {
    let house = House::with_member(kind).await;
    house.made(create_organization(2)).await;
    house.made(issue(1, 1, 1)).await;
    let (token, organization) = (token_id(1), organization(2));
    house.refused(Change::TokenPaused { token, organization }).await;
    house.refused(Change::TokenRevoked { token, organization, reason: String::new() }).await;
    house.is_sound().await;
}

fn rotate(n: u8, from: u8, previous_until: Option<Timestamp>) -> Change {
    Change::TokenRotated {
        token: token_id(n),
        organization: organization(1),
        revision: 0,
        replaces: digest(n, from),
        previous_until,
        digest: digest(n, from + 1),
        prefix: "new".into(),
        last_four: "efgh".into(),
    }
}

/// A change of a token as it is decided when the token has been changed `times` times.
fn decided_on(times: u64, mut change: Change) -> Change {
    match &mut change {
        Change::TokenChanged { revision, .. } => *revision = times + 1,
        Change::TokenRotated { revision, .. } => *revision = times,
        _ => {}
    }
    change
}

fn change_token(n: u8) -> Change {
    Change::TokenChanged {
        token: token_id(n),
        organization: organization(1),
        revision: 1,
        name: "other".into(),
        note: String::new(),
        grant: Grant::Role("editor".into()),
        expires_at: Some(at(7000)),
        allowed_networks: Vec::new(),
        external_id: Some("theirs".into()),
        metadata: Some(serde_json::json!({"team": "a", "n": [1, null]})),
    }
}

async fn what_is_changed_is_read_back(kind: Kind) {
    let house = House::with_member(kind).await;
    house.made(issue(1, 1, 1)).await;
    house.made(issue(2, 1, 1)).await;
    house.made(change_token(1)).await;
    let stored = house.store.token(token_id(1)).await.unwrap().unwrap();
    let expected = Token {
        name: "other".into(),
        note: String::new(),
        grant: Grant::Role("editor".into()),
        expires_at: Some(at(7000)),
        allowed_networks: Vec::new(),
        external_id: Some("theirs".into()),
        metadata: Some(serde_json::json!({"team": "a", "n": [1, null]})),
        ..token(1, 1, 1)
    };
    assert_eq!(stored.token, expected);
    let filter = TokenFilter { external_id: Some("theirs".into()), ..TokenFilter::default() };
    let found = house.store.tokens(filter, first_page()).await.unwrap();
    assert_eq!(found.iter().map(|row| row.token.id).collect::<Vec<_>>(), [token_id(1)]);
    house.is_sound().await;
}

async fn of_two_rotations_of_the_same_secret_one_is_made(kind: Kind) {
    let house = House::with_member(kind).await;
    house.made(issue(1, 1, 1)).await;
    let until = at(9000);
    house.made(rotate(1, 0, Some(until))).await;
    house.refused(rotate(1, 0, None)).await;
    let stored = house.store.token(token_id(1)).await.unwrap().unwrap();
    assert_eq!(stored.previous, Some(Previous { digest: digest(1, 0), until }));
    assert_eq!(stored.token.digest, digest(1, 1));
    assert_eq!((&*stored.token.prefix, &*stored.token.last_four), ("new", "efgh"));
    house.is_sound().await;
    house.made(rotate(1, 1, None)).await;
    let index = house.replica.index().unwrap();
    assert!(index.find(&digest(1, 0)).is_none() && index.find(&digest(1, 1)).is_none());
    assert!(index.find(&digest(1, 2)).is_some());
    house.is_sound().await;
}

async fn the_secret_before_ends_and_no_other(kind: Kind) {
    let house = House::with_member(kind).await;
    house.made(issue(1, 1, 1)).await;
    let ended = |previous| Change::TokenPreviousEnded {
        token: token_id(1),
        organization: organization(1),
        previous,
    };
    house.refused(ended(digest(1, 0))).await;
    house.made(rotate(1, 0, Some(at(9000)))).await;
    // The present one, and one that is nobody's.
    house.refused(ended(digest(1, 1))).await;
    house.refused(ended(digest(2, 0))).await;
    house.made(ended(digest(1, 0))).await;
    house.refused(ended(digest(1, 0))).await;
    let stored = house.store.token(token_id(1)).await.unwrap().unwrap();
    assert_eq!((stored.previous, stored.token.digest), (None, digest(1, 1)));
    let index = house.replica.index().unwrap();
    assert!(index.find(&digest(1, 0)).is_none() && index.find(&digest(1, 1)).is_some());
    house.is_sound().await;
    // It is still one that was replaced: nobody imports it again.
    house.refused(import(5, digest(1, 0))).await;
    house.made(rotate(1, 1, Some(at(9000)))).await;
    let (token, organization) = (token_id(1), organization(1));
    house.made(Change::TokenRevoked { token, organization, reason: String::new() }).await;
    house.refused(ended(digest(1, 1))).await;
    house.is_sound().await;
}

fn import(n: u8, secret: Digest) -> Change {
    let token = Token { digest: secret, prefix: "".into(), last_four: "".into(), ..token(n, 1, 1) };
    let from = ImportSource::Knox;
    Change::TokenImported { token: Box::new(token), from, entropy_bits: 256, paused: n == 5 }
}

async fn an_order_is_made_whole_or_not_at_all(kind: Kind) {
    let house = House::with_member(kind).await;
    let before = house.replica.head().number;
    let order = [create_account(3), join(1, 3), create_organization(1)];
    assert!(matches!(house.make(&order).await, Err(StoreError::Conflict)));
    assert_eq!(house.store.account(account(3)).await.unwrap(), None);
    assert_eq!(house.replica.head().number, before);
    let head = house.make(&order[..2]).await.unwrap();
    assert_eq!(head.number, before + 2);
    house.is_sound().await;
}

async fn lists_are_filtered_and_paged(kind: Kind) {
    let house = House::with_member(kind).await;
    house.made(create_account(2)).await;
    house.made(join(1, 2)).await;
    for n in 1..=9 {
        house.made(issue(n, 1, if n > 6 { 2 } else { 1 })).await;
    }
    let organization = organization(1);
    house.made(Change::TokenPaused { token: token_id(1), organization }).await;
    let reason = String::new();
    house.made(Change::TokenRevoked { token: token_id(2), organization, reason }).await;

    let ids = async |filter: TokenFilter, page| -> Vec<u8> {
        let found = house.store.tokens(filter, page).await.unwrap();
        (1..=9).filter(|n| found.iter().any(|row| row.token.id == token_id(*n))).collect()
    };
    let all = TokenFilter::default;
    assert_eq!(ids(all(), first_page()).await, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert_eq!(ids(all(), Page { after: Some(token_id(3)), limit: 2 }).await, [4, 5]);
    assert_eq!(
        ids(TokenFilter { api: Some("even".into()), ..all() }, first_page()).await,
        [2, 4, 6, 8]
    );
    assert_eq!(
        ids(TokenFilter { owner: Some(account(2)), ..all() }, first_page()).await,
        [7, 8, 9]
    );
    assert_eq!(
        ids(TokenFilter { organization: Some(self::organization(2)), ..all() }, first_page()).await,
        Vec::<u8>::new()
    );
    let in_state = |state, now| TokenFilter { state: Some((state, at(now))), ..all() };
    assert_eq!(ids(in_state(TokenState::Paused, 0), first_page()).await, [1]);
    assert_eq!(ids(in_state(TokenState::Revoked, 0), first_page()).await, [2]);
    assert_eq!(ids(in_state(TokenState::Expired, 5000), first_page()).await, [4, 6, 8]);
    assert_eq!(ids(in_state(TokenState::Active, 5000), first_page()).await, [3, 5, 7, 9]);
    assert_eq!(ids(in_state(TokenState::Active, 4999), first_page()).await, [3, 4, 5, 6, 7, 8, 9]);

    let names = house.store.organizations(named("o1"), first_page()).await.unwrap();
    assert_eq!(names.len(), 1);
    assert!(house.store.organizations(named("O1"), first_page()).await.unwrap().is_empty());
    let after = Some((organization, account(1)));
    let rest = house.store.memberships(MembershipFilter::default(), Page { after, limit: 9 }).await;
    assert_eq!(rest.unwrap().iter().map(|m| m.account).collect::<Vec<_>>(), [account(2)]);
}

async fn a_secret_leads_to_its_token_also_after_rotations(kind: Kind) {
    let house = House::with_member(kind).await;
    house.made(issue(1, 1, 1)).await;
    house.made(issue(2, 1, 1)).await;
    house.made(rotate(1, 0, None)).await;
    house.made(rotate(1, 1, Some(at(9000)))).await;
    let find = async |digest, organization| {
        let filter = TokenFilter { digest: Some(digest), organization, ..TokenFilter::default() };
        let found = house.store.tokens(filter, first_page()).await.unwrap();
        found.iter().map(|found| found.token.id).collect::<Vec<_>>()
    };
    for rotation in 0..3 {
        assert_eq!(find(digest(1, rotation), None).await, [token_id(1)], "{rotation}");
        assert_eq!(find(digest(1, rotation), Some(organization(1))).await, [token_id(1)]);
        assert_eq!(find(digest(1, rotation), Some(organization(2))).await, []);
    }
    assert_eq!(find(digest(1, 3), None).await, []);
    assert_eq!(find(digest(2, 0), None).await, [token_id(2)]);
    house.is_sound().await;
}

async fn what_was_answered_is_there_after_opening_anew(kind: Kind) {
    let mut house = House::with_member(kind).await;
    for n in 1..=3 {
        house.made(issue(n, 1, 1)).await;
        house = house.reopened().await;
        house.is_sound().await;
    }
    assert_eq!(house.replica.tokens(), 3);
}

async fn many_at_once_are_numbered_without_gaps(kind: Kind) {
    let house = Arc::new(House::with_member(kind).await);
    let before = house.replica.head().number;
    let makers = (0..100u8).map(|n| {
        let house = house.clone();
        // Every tenth asks for what another has already got.
        let n = if n % 10 == 9 { n - 1 } else { n };
        tokio::spawn(async move { house.make(&[issue(n, 1, 1)]).await.map(|head| head.number) })
    });
    let mut numbers = Vec::new();
    for maker in makers.collect::<Vec<_>>() {
        numbers.extend(maker.await.unwrap().ok());
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (before + 1..=before + 90).collect::<Vec<_>>());
    house.is_sound().await;
}

async fn refusals_are_kept_for_a_while(kind: Kind) {
    let house = House::with_member(kind).await;
    let id = |n: u8| RequestId::new(at(1), [n; 10]);
    let refusal = |n: u8| StoredRefusal {
        request_id: id(n),
        at: at(i64::from(n) * 1000),
        door: "gateway".into(),
        api: "odd".into(),
        code: "revoked".into(),
        about: String::new(),
        method: "GET".into(),
        path: "/x".into(),
        client: (n > 2).then(|| "192.0.2.7".into()),
        client_request_id: None,
        matched: (n > 1).then(|| (token_id(1), organization(1))),
    };
    let head = house.replica.head();
    house.store.keep_refusals((1..=6).map(refusal).collect()).await.unwrap();
    house.store.keep_refusals(vec![refusal(6)]).await.unwrap();
    for n in 1..=6 {
        assert_eq!(house.store.refusal(id(n)).await.unwrap(), Some(refusal(n)));
    }
    // By age, then by number; and the ledger knows nothing of it.
    house.store.forget_refusals(at(2000), 100).await.unwrap();
    assert_eq!(house.store.refusal(id(1)).await.unwrap(), None);
    assert_eq!(house.store.refusal(id(2)).await.unwrap(), Some(refusal(2)));
    house.store.forget_refusals(at(2000), 2).await.unwrap();
    let mut left = Vec::new();
    for n in 1..=6 {
        left.extend(house.store.refusal(id(n)).await.unwrap().map(|_| n));
    }
    assert_eq!(left, [4, 5, 6]);
    assert_eq!(house.replica.head(), head);
    house.is_sound().await;
}

async fn after_the_end_nothing_is_accepted(kind: Kind) {
    let house = House::with_member(kind).await;
    house.store.close().await;
    assert!(matches!(house.make(&[create_account(3)]).await, Err(StoreError::Unavailable(_))));
}

/// Something to try; whether it is possible depends on what came before.
fn any_change() -> impl Strategy<Value = Change> {
    let (o, a, t) = (0..3u8, 0..4u8, 0..6u8);
    let ranks = prop_oneof![Just(Rank::Administrator), Just(Rank::Member)];
    prop_oneof![
        o.clone().prop_map(create_organization),
        a.clone().prop_map(create_account),
        (o.clone(), a.clone()).prop_map(|(o, a)| join(o, a)),
        (o.clone(), a.clone(), ranks).prop_map(|(o, a, rank)| Change::MembershipRankChanged {
            organization: organization(o),
            account: account(a),
            rank
        }),
        (o.clone(), a.clone()).prop_map(|(o, a)| Change::MembershipEnded {
            organization: organization(o),
            account: account(a)
        }),
        (a.clone(), proptest::option::of("[a-z]{1,2}")).prop_map(|(a, id)| rename_account(a, id)),
        (o.clone(), proptest::option::of("[a-z]{1,2}"))
            .prop_map(|(o, id)| rename_organization(o, id)),
        o.clone().prop_map(|o| Change::OrganizationClosed { organization: organization(o + 2) }),
        a.clone().prop_map(|a| Change::AccountDisabled { account: account(a) }),
        a.clone().prop_map(|a| Change::AccountEnabled { account: account(a) }),
        (a.clone(), 0..4u8).prop_map(|(a, n)| set_email(a, &format!("a{n}@example.com"))),
        a.clone().prop_map(|a| Change::PasswordSet {
            account: account(a),
            hash: "h".into(),
            by_mail: false
        }),
        (t.clone(), o.clone(), a.clone()).prop_map(|(t, o, a)| issue(t, o, a)),
        (t.clone(), t.clone(), 0..3u8).prop_map(|(t, of, n)| import(t, digest(of, n))),
        (t.clone(), o.clone()).prop_map(|(t, o)| Change::TokenPaused {
            token: token_id(t),
            organization: organization(o)
        }),
        (t.clone(), o.clone()).prop_map(|(t, o)| Change::TokenResumed {
            token: token_id(t),
            organization: organization(o)
        }),
        (t.clone(), 0..3u8, proptest::option::of(Just(at(9000))), 0..2u64)
            .prop_map(|(t, from, until, revision)| decided_on(revision, rotate(t, from, until))),
        (t.clone(), 0..3u64).prop_map(|(t, revision)| decided_on(revision, change_token(t))),
        (t.clone(), o.clone(), a.clone()).prop_map(|(t, o, a)| invitations::hand_over(t, o, a)),
        (t.clone(), o.clone()).prop_map(|(n, o)| invitations::invite(n, o)),
        (t.clone(), o.clone()).prop_map(|(n, o)| invitations::withdraw(n, o)),
        (t.clone(), o.clone(), a.clone()).prop_map(|(n, o, a)| invitations::accept(n, o, a)),
        a.clone().prop_map(|a| Change::SecondFactorSet { account: account(a) }),
        a.prop_map(|a| Change::SecondFactorRemoved { account: account(a) }),
        (t, o).prop_map(|(t, o)| Change::TokenRevoked {
            token: token_id(t),
            organization: organization(o),
            reason: "r".into()
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn index_state_and_ledger_stay_in_step(changes in prop::collection::vec(any_change(), 1..120)) {
        stay_in_step(Kind::Sqlite, changes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn index_state_and_ledger_stay_in_step_on_postgres(
        changes in prop::collection::vec(any_change(), 1..120)
    ) {
        stay_in_step(Kind::Postgres, changes);
    }
}

/// Invariant 5, and that state is a function of the ledger.
fn stay_in_step(kind: Kind, changes: Vec<Change>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let house = House::new(kind).await;
        // A ground on which enough of the changes are possible.
        for change in [create_organization(1), create_account(1), join(1, 1), issue(1, 1, 1)] {
            house.made(change).await;
        }
        for change in changes {
            match house.make(&[change]).await {
                Ok(_) | Err(StoreError::Conflict) => {}
                Err(error) => panic!("{error}"),
            }
        }
        house.is_sound().await;
        let revoked =
            TokenFilter { state: Some((TokenState::Revoked, at(0))), ..TokenFilter::default() };
        for row in house.store.tokens(revoked, first_page()).await.unwrap() {
            let record = house.replica.index().unwrap().find(&row.token.digest).unwrap();
            assert_eq!(record.state(), State::Revoked);
        }
    });
}

on_every_store!(
    what_is_written_is_read_back,
    a_change_needs_its_ground,
    nothing_crosses_organizations,
    what_is_changed_is_read_back,
    of_two_rotations_of_the_same_secret_one_is_made,
    the_secret_before_ends_and_no_other,
    an_order_is_made_whole_or_not_at_all,
    lists_are_filtered_and_paged,
    a_secret_leads_to_its_token_also_after_rotations,
    what_was_answered_is_there_after_opening_anew,
    many_at_once_are_numbered_without_gaps,
    refusals_are_kept_for_a_while,
    after_the_end_nothing_is_accepted,
);
