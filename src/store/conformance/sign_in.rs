//! Sessions, one-time links, second factors.

use super::*;
use crate::store::{
    LinkPurpose, MOST_SESSIONS, Shown, StoredLink, StoredSecondFactor, StoredSession,
};
use counterfoil_core::id::SessionId;
use futures_util::future::join_all;

#[expect(clippy::cast_possible_truncation, reason = "a number of sessions that a byte holds")]
const MOST: u8 = MOST_SESSIONS as u8;

fn session_id(n: u8) -> SessionId {
    SessionId::new(at(i64::from(n)), [n; 10])
}

/// One that is over at 2000 and `n`.
fn session(n: u8, a: u8) -> StoredSession {
    StoredSession {
        digest: digest(n, 100),
        id: session_id(n),
        account: account(a),
        organization: None,
        created_at: at(1000),
        last_seen_at: at(1000),
        expires_at: at(2000 + i64::from(n)),
        address: (n > 1).then(|| "2001:db8::7".parse().unwrap()),
        user_agent: (n > 1).then(|| "a browser".into()),
        is_complete: n > 1,
    }
}

impl House {
    async fn begins(&self, session: StoredSession) -> bool {
        self.store.keep_session(session, None).await.unwrap()
    }

    async fn session(&self, n: u8) -> Option<StoredSession> {
        self.store.session(digest(n, 100), at(2000)).await.unwrap()
    }

    async fn sessions_of(&self, a: u8) -> Vec<SessionId> {
        let found = self.store.sessions(account(a), at(2000), 9).await.unwrap();
        found.iter().map(|session| session.id).collect()
    }
}

async fn sessions_are_kept_found_and_ended(kind: Kind) {
    let house = House::with_member(kind).await;
    house.made(create_account(3)).await;
    let head = house.replica.head();
    for n in 1..=4 {
        assert!(house.begins(session(n, if n == 4 { 3 } else { 1 })).await);
    }
    assert_eq!(house.session(2).await, Some(session(2, 1)));
    assert_eq!(house.session(9).await, None);
    let by_id = async |n, now| house.store.session_by_id(session_id(n), at(now)).await.unwrap();
    assert_eq!(by_id(1, 2000).await, Some(session(1, 1)));
    // Over is over, however long it is still kept.
    assert_eq!(by_id(1, 2001).await, None);
    assert_eq!(house.store.session(digest(1, 100), at(2001)).await.unwrap(), None);
    assert_eq!(house.sessions_of(1).await, [3, 2, 1].map(session_id));
    assert_eq!(house.store.sessions(account(1), at(2002), 9).await.unwrap(), [session(3, 1)]);
    assert_eq!(house.store.sessions(account(1), at(2000), 1).await.unwrap(), [session(3, 1)]);

    house.store.see_session(session_id(2), at(1500), None).await.unwrap();
    let elsewhere = Some("192.0.2.1".parse().unwrap());
    house.store.see_session(session_id(1), at(1500), elsewhere).await.unwrap();
    house.store.see_session(session_id(1), at(1400), None).await.unwrap();
    let here = Some(organization(1));
    house.store.set_session_organization(session_id(2), here).await.unwrap();
    let seen = StoredSession { last_seen_at: at(1500), organization: here, ..session(2, 1) };
    assert_eq!(house.session(2).await, Some(seen));
    let seen = StoredSession { last_seen_at: at(1500), address: elsewhere, ..session(1, 1) };
    assert_eq!(house.session(1).await, Some(seen));
    house.store.set_session_organization(session_id(2), None).await.unwrap();
    assert_eq!(house.session(2).await.unwrap().organization, None);

    assert!(house.store.end_session(session_id(3)).await.unwrap());
    assert!(!house.store.end_session(session_id(3)).await.unwrap());
    assert_eq!(house.session(3).await, None);
    assert!(house.begins(session(3, 1)).await);
    assert_eq!(house.store.end_sessions(account(1), Some(session_id(2))).await.unwrap(), 2);
    assert_eq!(house.sessions_of(1).await, [session_id(2)]);
    assert_eq!(house.store.end_sessions(account(1), None).await.unwrap(), 1);
    assert_eq!(house.sessions_of(3).await, [session_id(4)]);
    assert_eq!(house.replica.head(), head);
    house.is_sound().await;
}

async fn no_session_begins_on_what_is_no_longer_so(kind: Kind) {
    let house = House::with_member(kind).await;
    let account = account(1);
    let set = |hash: &str| Change::PasswordSet { account, hash: hash.into(), by_mail: false };
    house.made(set("old")).await;
    let keep = async |n, hash: &str| {
        let shown = Shown { password_hash: hash.to_owned(), code: false };
        house.store.keep_session(session(n, 1), Some(shown)).await.unwrap()
    };
    assert!(keep(1, "old").await);
    house.made(set("new")).await;
    // Whoever was in is out, with the very change.
    assert_eq!(house.session(1).await, None);
    // The old password had been found right just before.
    assert!(!keep(2, "old").await);
    assert!(keep(3, "new").await);
    // Nor may one begin on the password alone where there is a second factor by now.
    let twin = house.twin().await;
    assert!(twin.keep_second_factor(factor(1, true, 7)).await.unwrap());
    let with_code = async |n, code| {
        let shown = Shown { password_hash: "new".into(), code };
        house.store.keep_session(session(n, 1), Some(shown)).await.unwrap()
    };
    assert!(!with_code(5, false).await && with_code(5, true).await);
    let half = StoredSession { is_complete: false, ..session(6, 1) };
    let shown = Shown { password_hash: "new".into(), code: false };
    assert!(house.store.keep_session(half, Some(shown)).await.unwrap());
    twin.remove_second_factor(account).await.unwrap();
    for n in [5, 6] {
        assert!(house.store.end_session(session_id(n)).await.unwrap());
    }

    let replace =
        async |n, by: StoredSession| house.store.replace_session(session_id(n), by).await.unwrap();
    assert!(replace(3, session(4, 1)).await);
    assert_eq!((house.session(3).await, house.session(4).await), (None, Some(session(4, 1))));
    // Who is in without the second factor is out once there is one.
    house.made(Change::SecondFactorSet { account }).await;
    assert_eq!(house.session(4).await, None);
    assert!(keep(4, "new").await);
    // Ended meanwhile, or somebody else's.
    house.made(create_account(3)).await;
    assert!(!replace(3, session(5, 1)).await);
    assert!(!replace(4, session(5, 3)).await);
    assert_eq!(house.session(4).await, Some(session(4, 1)));
    house.made(Change::AccountDisabled { account }).await;
    assert!(!house.begins(session(5, 1)).await);
    assert!(!replace(4, session(5, 1)).await);
    assert!(!house.begins(session(5, 9)).await);
    assert_eq!(house.session(5).await, None);
    house.is_sound().await;
}

async fn an_organization_sees_the_sessions_of_its_members(kind: Kind) {
    let house = House::with_member(kind).await;
    house.made(create_organization(2)).await;
    for (o, a) in [(1, 3), (1, 5), (2, 7)] {
        house.made(create_account(a)).await;
        house.made(join(o, a)).await;
    }
    for (n, a) in [(1, 3), (2, 1), (3, 3), (4, 7), (5, 5), (6, 1)] {
        assert!(house.begins(session(n, a)).await);
    }
    let (organization, account) = (organization(1), account(5));
    house.made(Change::MembershipEnded { organization, account }).await;
    let list = async |now, after: Option<(u8, u8)>, limit| {
        let after = after.map(|(a, n)| (self::account(a), session_id(n)));
        let page = Page { after, limit };
        let found = house.store.sessions_of_members(organization, at(now), page).await.unwrap();
        found.iter().map(|session| session.id).collect::<Vec<_>>()
    };
    assert_eq!(list(2000, None, 9).await, [2, 6, 1, 3].map(session_id));
    assert_eq!(list(2000, None, 2).await, [2, 6].map(session_id));
    assert_eq!(list(2000, Some((1, 6)), 1).await, [1].map(session_id));
    assert_eq!(list(2000, Some((1, 2)), 9).await, [6, 1, 3].map(session_id));
    assert_eq!(list(2001, Some((1, 2)), 9).await, [6, 3].map(session_id));
}

async fn what_is_over_is_forgotten_bit_by_bit(kind: Kind) {
    let house = House::with_member(kind).await;
    for n in 1..=5 {
        assert!(house.begins(session(n, 1)).await);
    }
    house.store.keep_link(link(1, LinkPurpose::SetUp), None).await.unwrap();
    for more in [true, true, false] {
        assert_eq!(house.store.forget_sessions(at(2004), 2).await.unwrap(), more);
    }
    assert_eq!(house.sessions_of(1).await, [session_id(5)]);
    assert_eq!(house.store.link(digest(1, 101), at(0)).await.unwrap(), None);
}

/// One that is over at 2000 and `n`.
fn link(n: u8, purpose: LinkPurpose) -> StoredLink {
    StoredLink { digest: digest(n, 101), purpose, expires_at: at(2000 + i64::from(n)) }
}

async fn a_link_works_once(kind: Kind) {
    let house = House::with_member(kind).await;
    let reset = LinkPurpose::Reset;
    let links =
        [link(1, LinkPurpose::SetUp), link(2, reset(account(1))), link(3, reset(account(3)))];
    for link in links {
        house.store.keep_link(link, None).await.unwrap();
    }
    let find = async |n| house.store.link(digest(n, 101), at(2000)).await.unwrap();
    for (n, link) in (1..).zip(links) {
        assert_eq!(find(n).await, Some(link));
    }
    // A new one takes the place of those for the same account alone.
    let again = [link(4, LinkPurpose::SetUp), link(5, reset(account(1)))];
    for link in again {
        house.store.keep_link(link, None).await.unwrap();
    }
    for (n, found) in (1..).zip([None, None, Some(links[2]), Some(again[0]), Some(again[1])]) {
        assert_eq!(find(n).await, found, "{n}");
    }
    assert_eq!(house.store.link(digest(3, 101), at(2003)).await.unwrap(), None);
    assert_eq!(house.store.take_link(digest(3, 101), at(2003)).await.unwrap(), None);
    let takers = (0..8).map(|_| {
        let store = house.store.clone();
        tokio::spawn(async move { store.take_link(digest(4, 101), at(2000)).await.unwrap() })
    });
    let mut taken = Vec::new();
    for taker in takers.collect::<Vec<_>>() {
        taken.extend(taker.await.unwrap());
    }
    assert_eq!(taken, [again[0]]);
    assert_eq!(find(4).await, None);
    // With the sessions go the links, or one who has read a mail would begin anew.
    house.store.end_sessions(account(1), None).await.unwrap();
    assert_eq!(find(5).await, None);
}

fn factor(secret: u8, is_confirmed: bool, last_step: u64) -> StoredSecondFactor {
    let mut recovery = vec![digest(1, 102), digest(2, 102)];
    recovery.sort_unstable();
    let (account, secret) = (account(1), vec![secret; 20]);
    StoredSecondFactor { account, secret, is_confirmed, last_step, recovery }
}

async fn a_second_factor_is_not_taken_away_by_another_that_nobody_has_used(kind: Kind) {
    let house = House::with_member(kind).await;
    let find = async || house.store.second_factor(account(1)).await.unwrap();
    let keep = async |factor| house.store.keep_second_factor(factor).await.unwrap();
    assert_eq!(find().await, None);
    assert!(keep(factor(1, false, 0)).await);
    assert!(keep(factor(2, false, 0)).await);
    assert_eq!(find().await, Some(factor(2, false, 0)));
    assert!(keep(factor(2, true, 7)).await);
    assert!(!keep(factor(3, false, 0)).await);
    assert_eq!(find().await, Some(factor(2, true, 7)));
    // New recovery codes do not let a password be used again.
    let fewer = StoredSecondFactor { recovery: vec![digest(3, 102)], ..factor(2, true, 5) };
    assert!(keep(fewer.clone()).await);
    assert_eq!(find().await, Some(StoredSecondFactor { last_step: 7, ..fewer.clone() }));
    // Of two who confirm at once, each another one, the first has it.
    assert!(!keep(factor(4, true, 5)).await);
    let other = vec![4; 20];
    let renew = async |secret: &[u8]| {
        let codes = vec![digest(4, 102)];
        house.store.renew_recovery(account(1), secret.to_vec(), codes).await.unwrap()
    };
    assert!(!renew(&other).await);
    assert!(renew(&fewer.secret).await);
    let renewed = StoredSecondFactor { recovery: vec![digest(4, 102)], last_step: 7, ..fewer };
    assert_eq!(find().await, Some(renewed.clone()));
    house.store.remove_second_factor(account(1)).await.unwrap();
    assert!(!renew(&renewed.secret).await, "it is not brought back");
    assert_eq!(find().await, None);
    assert!(!house.store.use_recovery(account(1), digest(4, 102)).await.unwrap());
    assert!(!format!("{:?}", factor(77, true, 5)).contains("77"));
}

async fn of_a_second_factor_everything_is_used_once(kind: Kind) {
    let house = House::with_member(kind).await;
    house.made(create_account(3)).await;
    assert!(!house.store.use_step(account(1), 9).await.unwrap());
    house.store.keep_second_factor(factor(1, true, 7)).await.unwrap();
    for (step, works) in [(6, false), (7, false), (9, true), (9, false), (8, false), (10, true)] {
        assert_eq!(house.store.use_step(account(1), step).await.unwrap(), works, "{step}");
    }
    assert!(!house.store.use_recovery(account(3), digest(1, 102)).await.unwrap());
    let users = (0..8).map(|_| {
        let store = house.store.clone();
        tokio::spawn(async move {
            let code = store.use_recovery(account(1), digest(1, 102)).await.unwrap();
            let step = store.use_step(account(1), 11).await.unwrap();
            (u8::from(code), u8::from(step))
        })
    });
    let mut used = (0, 0);
    for user in users.collect::<Vec<_>>() {
        let (code, step) = user.await.unwrap();
        used = (used.0 + code, used.1 + step);
    }
    assert_eq!(used, (1, 1));
    let left = house.store.second_factor(account(1)).await.unwrap().unwrap();
    assert_eq!((left.last_step, left.recovery), (11, vec![digest(2, 102)]));
}

async fn who_signs_in_is_found_with_what_proves_it(kind: Kind) {
    let house = House::with_member(kind).await;
    let account = account(1);
    let by_email =
        async |email: &str| house.store.credentials_by_email(email.parse().unwrap()).await.unwrap();
    let found = by_email("A1@Example.com").await.unwrap();
    assert_eq!((found.account, found.kind), (account, AccountKind::Person));
    assert!(!found.is_disabled && !found.has_second_factor && found.password_hash.is_none());
    house.made(Change::PasswordSet { account, hash: "$argon2id$".into(), by_mail: false }).await;
    house.made(Change::SecondFactorSet { account }).await;
    house.made(Change::AccountDisabled { account }).await;
    let found = by_email("a1@example.com").await.unwrap();
    assert!(found.is_disabled && found.has_second_factor);
    assert_eq!(found.password_hash.as_deref(), Some("$argon2id$"));
    assert!(house.store.credentials(account).await.unwrap() == Some(found));
    assert!(by_email("a9@example.com").await.is_none());
    assert!(house.store.credentials(self::account(9)).await.unwrap().is_none());
}

async fn an_account_is_found_by_the_address_that_it_has_now(kind: Kind) {
    let house = House::with_member(kind).await;
    house.made(create_account(2)).await;
    house.made(create_account(3)).await;
    let hash = "$argon2id$".into();
    house.made(Change::PasswordSet { account: account(1), hash, by_mail: false }).await;
    assert!(house.begins(session(1, 1)).await);
    let reset = |n, a| link(n, LinkPurpose::Reset(account(a)));
    for kept in [reset(1, 1), reset(3, 3)] {
        house.store.keep_link(kept, None).await.unwrap();
    }
    let by_email = async |email: &str| {
        let found = house.store.account_by_email(email.parse().unwrap()).await.unwrap();
        let proves = house.store.credentials_by_email(email.parse().unwrap()).await.unwrap();
        assert_eq!(found.as_ref().map(|found| found.id), proves.map(|found| found.account));
        found.map(|found| found.id)
    };
    let before = house.store.credentials(account(1)).await.unwrap();
    house.made(set_email(1, "countess@example.com")).await;
    assert_eq!(by_email("a1@example.com").await, None);
    assert_eq!(by_email("countess@example.com").await, Some(account(1)));
    // Nothing else is another, but for links, which were mailed to where it is no more.
    assert!(house.store.credentials(account(1)).await.unwrap() == before);
    assert_eq!(house.session(1).await, Some(session(1, 1)));
    let find = async |n| house.store.link(digest(n, 101), at(2000)).await.unwrap();
    assert_eq!((find(1).await, find(3).await), (None, Some(reset(3, 3))));
    // It is so already, it is somebody's, there is no such account.
    house.refused(set_email(1, "countess@example.com")).await;
    house.refused(set_email(1, "a3@example.com")).await;
    house.refused(set_email(9, "a9@example.com")).await;
    assert_eq!(by_email("a3@example.com").await, Some(account(3)));
    // What one has left another may have; and whoever has none gets one.
    house.made(set_email(3, "a1@example.com")).await;
    house.made(set_email(2, "a3@example.com")).await;
    assert_eq!(by_email("a1@example.com").await, Some(account(3)));
    assert_eq!(by_email("a3@example.com").await, Some(account(2)));
    house.is_sound().await;
}

async fn no_link_is_kept_for_an_address_that_is_an_accounts_no_more(kind: Kind) {
    let house = House::with_member(kind).await;
    let reset = link(1, LinkPurpose::Reset(account(1)));
    let email = |n: usize| format!("a{n}@example.com").parse().unwrap();
    let keep = async |to: usize| house.store.keep_link(reset, Some(email(to))).await.unwrap();
    let find = async || house.store.link(digest(1, 101), at(2000)).await.unwrap();
    assert!(!keep(2).await);
    assert_eq!(find().await, None);
    assert!(keep(1).await);
    assert_eq!(find().await, Some(reset));
    // Side by side with the change: it ends with it, or is not kept.
    let twin = house.twin().await;
    for n in 1..16 {
        let changes = vec![(set_email(1, &format!("a{}@example.com", n + 1)), [7; 16])];
        let (at, actor) = (at(1000), Actor::Operator);
        let order = Order { at, actor, standing: None, grounds: Vec::new(), changes, once: None };
        let (made, _) = tokio::join!(twin.commit(order), keep(n));
        made.unwrap();
        assert_eq!(find().await, None);
    }
    house.is_sound().await;
}

async fn of_two_who_want_one_address_one_has_it(kind: Kind) {
    let house = House::with_member(kind).await;
    house.made(create_account(3)).await;
    let twin = house.twin().await;
    for n in 0..8 {
        let order = |account| Order {
            at: at(1000),
            actor: Actor::Operator,
            standing: None,
            grounds: Vec::new(),
            changes: vec![(set_email(account, &format!("wanted-{n}@example.com")), [7; 16])],
            once: None,
        };
        let made = tokio::join!(house.store.commit(order(1)), twin.commit(order(3)));
        let lost = |made: &Result<_, _>| matches!(made, Err(StoreError::Conflict));
        assert!(lost(&made.0) != lost(&made.1), "{made:?}");
        assert!(made.0.is_ok() != made.1.is_ok(), "{made:?}");
    }
    house.is_sound().await;
}

async fn an_account_chooses_among_its_open_organizations(kind: Kind) {
    let house = House::with_member(kind).await;
    for n in [3, 2, 4, 5] {
        house.made(create_organization(n)).await;
        house.made(join(n, 1)).await;
    }
    let (organization, account) = (organization(2), account(1));
    house
        .made(Change::MembershipRankChanged { organization, account, rank: Rank::Administrator })
        .await;
    house.made(Change::MembershipEnded { organization: self::organization(4), account }).await;
    house.made(Change::OrganizationClosed { organization: self::organization(5) }).await;
    let found = house.store.organizations_of(account).await.unwrap();
    let found: Vec<_> = found.iter().map(|(found, rank)| (&*found.name, *rank)).collect();
    assert_eq!(found, [("o1", Rank::Member), ("o2", Rank::Administrator), ("o3", Rank::Member)]);
}

async fn of_links_for_the_same_that_are_kept_at_once_one_is_left(kind: Kind) {
    let house = House::with_member(kind).await;
    let purposes = [LinkPurpose::SetUp, LinkPurpose::Reset(account(1))];
    for (first, purpose) in (0..).step_by(4).zip(purposes.repeat(4)) {
        let links: Vec<_> = (first..first + 4).map(|n| link(n, purpose)).collect();
        let kept = join_all(links.iter().map(|link| house.store.keep_link(*link, None))).await;
        for kept in kept {
            assert!(kept.unwrap());
        }
        let left = join_all(links.iter().map(|link| house.store.link(link.digest, at(1)))).await;
        assert_eq!(left.into_iter().filter_map(Result::unwrap).count(), 1);
    }
}

/// Whoever invites somebody chooses the address, and may open the link themselves.
async fn an_address_is_proven_by_the_operator_or_by_mail(kind: Kind) {
    let house = House::new(kind).await;
    let session = |n| Actor::Session { account: account(n), session: session_id(n) };
    let set = |n, by_mail| Change::PasswordSet { account: account(n), hash: "h".into(), by_mail };
    let make = async |actor, change| {
        let changes = vec![(change, [7; 16])];
        let order =
            Order { at: at(1000), actor, standing: None, grounds: Vec::new(), changes, once: None };
        house.store.commit(order).await.unwrap();
    };
    let is_proven =
        async |n| house.store.account(account(n)).await.unwrap().unwrap().address_proven;
    make(Actor::Operator, create_account(1)).await;
    // One without an address.
    make(Actor::Operator, create_account(2)).await;
    for n in [3, 5, 7] {
        make(session(n), create_account(n)).await;
        make(session(n), set(n, false)).await;
        assert!(!is_proven(n).await);
    }
    make(session(5), set(5, true)).await;
    make(Actor::Operator, set(7, false)).await;
    let proven = async || {
        [
            is_proven(1).await,
            is_proven(2).await,
            is_proven(3).await,
            is_proven(5).await,
            is_proven(7).await,
        ]
    };
    assert_eq!(proven().await, [true, false, false, true, true]);
    // It does not go away.
    make(session(5), set(5, false)).await;
    assert_eq!(proven().await, [true, false, false, true, true]);
    // Another address is another matter.
    make(session(1), set_email(1, "b1@example.com")).await;
    make(Actor::Operator, set_email(2, "b2@example.com")).await;
    make(Actor::Operator, set_email(3, "b3@example.com")).await;
    assert_eq!(proven().await, [false, true, true, true, true]);
    house.is_sound().await;
}

/// What was made before there was such a thing is told from the ledger.
#[tokio::test]
async fn addresses_from_before_are_proven_by_the_ledger() {
    let kind = Kind::Sqlite;
    let house = House::with_member(kind).await;
    let session = Actor::Session { account: account(3), session: session_id(3) };
    for (actor, change) in [
        (Actor::Operator, create_account(2)),
        (session, create_account(3)),
        (session, create_account(5)),
        (
            Actor::Operator,
            Change::PasswordSet { account: account(5), hash: "h".into(), by_mail: false },
        ),
    ] {
        let changes = vec![(change, [7; 16])];
        let order =
            Order { at: at(1000), actor, standing: None, grounds: Vec::new(), changes, once: None };
        house.store.commit(order).await.unwrap();
    }
    let step = include_str!("../../../migrations/sqlite/0012_addresses.sql");
    let fill = &step[step.find("UPDATE").unwrap()..];
    house.by_hand("UPDATE account SET address_proven = 0");
    let findings = house.store.inspect_ledger(Box::new(|_, _| {})).await.unwrap().findings;
    assert_eq!(findings.len(), 2, "{findings:?}");
    house.by_hand(fill);
    house.is_sound().await;
}

async fn all_sessions_and_links_can_be_ended(kind: Kind) {
    let house = House::with_member(kind).await;
    house.made(create_account(3)).await;
    for (n, a) in [(1, 1), (2, 1), (3, 3)] {
        assert!(house.begins(session(n, a)).await);
    }
    let link = StoredLink {
        digest: digest(7, 7),
        purpose: LinkPurpose::Reset(account(1)),
        expires_at: at(9000),
    };
    house.store.keep_link(link, None).await.unwrap();
    let head = house.replica.head();
    house.store.end_all_sessions().await.unwrap();
    for n in 1..=3 {
        assert_eq!(house.session(n).await, None);
    }
    assert_eq!(house.store.link(digest(7, 7), at(1000)).await.unwrap(), None);
    // Whoever signs in anew begins another.
    assert!(house.begins(session(4, 1)).await);
    assert_eq!(house.replica.head(), head);
}

async fn an_account_has_so_many_sessions_at_most(kind: Kind) {
    let house = House::with_member(kind).await;
    house.made(create_account(3)).await;
    // Number 1 is half, number 2 another account's.
    for n in 1..=MOST + 3 {
        assert!(house.begins(session(n, if n == 2 { 3 } else { 1 })).await);
    }
    let is_there = async |n| house.session(n).await.is_some();
    assert!(is_there(1).await && is_there(2).await);
    assert!(!is_there(3).await && is_there(4).await && is_there(MOST + 3).await);
    // One that takes another's place is one of them.
    let next = session(MOST + 4, 1);
    assert!(house.store.replace_session(session_id(MOST + 3), next).await.unwrap());
    assert!(is_there(4).await);
    // Halves make room among themselves.
    for n in MOST + 5..=2 * MOST + 5 {
        assert!(house.begins(StoredSession { is_complete: false, ..session(n, 1) }).await);
    }
    assert!(!is_there(1).await && !is_there(MOST + 5).await && is_there(MOST + 6).await);
    assert!(is_there(4).await);
}

on_every_store!(
    sessions_are_kept_found_and_ended,
    no_session_begins_on_what_is_no_longer_so,
    an_organization_sees_the_sessions_of_its_members,
    what_is_over_is_forgotten_bit_by_bit,
    a_link_works_once,
    all_sessions_and_links_can_be_ended,
    a_second_factor_is_not_taken_away_by_another_that_nobody_has_used,
    of_a_second_factor_everything_is_used_once,
    who_signs_in_is_found_with_what_proves_it,
    an_account_is_found_by_the_address_that_it_has_now,
    no_link_is_kept_for_an_address_that_is_an_accounts_no_more,
    of_two_who_want_one_address_one_has_it,
    an_account_chooses_among_its_open_organizations,
    of_links_for_the_same_that_are_kept_at_once_one_is_left,
    an_address_is_proven_by_the_operator_or_by_mail,
    an_account_has_so_many_sessions_at_most,
);
