//! Reading the ledger, by whom it concerns.

use super::*;
use crate::store::Link;
use serde_json::json;

async fn an_organization_reads_its_part_of_the_ledger(kind: Kind) {
    let house = House::with_member(kind).await; // entries 1 to 3
    for change in [
        create_organization(2), // 4
        create_account(2),      // 5, a service account
        create_account(3),      // 6
        join(2, 2),             // 7
        join(1, 3),             // 8
        issue(7, 1, 1),         // 9
        Change::PasswordSet { account: account(1), hash: "h".into(), by_mail: false }, // 10
        Change::AccountDisabled { account: account(3) }, // 11
        Change::AccountDisabled { account: account(2) }, // 12
    ] {
        house.made(change).await;
    }
    let numbers = async |organization: Option<u8>, subject, after, limit| {
        let organization = organization.map(self::organization);
        let filter = EntryFilter { organization, subject, actor: None };
        let found = house.store.entries(filter, after, limit).await.unwrap();
        found.iter().map(|found| found.entry.number).collect::<Vec<u64>>()
    };
    assert_eq!(numbers(None, None, 0, 100).await, (1..=12).collect::<Vec<_>>());
    assert_eq!(numbers(None, None, 10, 1).await, [11]);
    assert_eq!(numbers(None, None, u64::MAX, 9).await, [0_u64; 0]);
    assert_eq!(numbers(Some(1), None, 0, 100).await, [1, 2, 3, 6, 8, 9, 11]);
    assert_eq!(numbers(Some(1), None, 2, 3).await, [3, 6, 8]);
    assert_eq!(numbers(Some(2), None, 0, 100).await, [4, 5, 7, 12]);
    let third = Some(*account(3).as_bytes());
    assert_eq!(numbers(Some(1), third, 0, 100).await, [6, 8, 11]);
    assert_eq!(numbers(Some(2), third, 0, 100).await, [0_u64; 0]);
    assert_eq!(numbers(None, Some(*token_id(7).as_bytes()), 0, 100).await, [9]);
    let before = async |organization: Option<u8>, subject, before, limit| {
        let organization = organization.map(self::organization);
        let filter = EntryFilter { organization, subject, actor: None };
        let found = house.store.entries_before(filter, before, limit).await.unwrap();
        found.iter().map(|found| found.entry.number).collect::<Vec<u64>>()
    };
    assert_eq!(before(None, None, u64::MAX, 100).await, (1..=12).rev().collect::<Vec<_>>());
    assert_eq!(before(None, None, 3, 1).await, [2]);
    assert_eq!(before(None, None, 1, 9).await, [0_u64; 0]);
    assert_eq!(before(Some(1), None, u64::MAX, 100).await, [11, 9, 8, 6, 3, 2, 1]);
    assert_eq!(before(Some(1), None, 9, 3).await, [8, 6, 3]);
    assert_eq!(before(Some(1), third, 11, 9).await, [8, 6]);
    assert_eq!(before(Some(2), third, 99, 9).await, [0_u64; 0]);
    assert_eq!(before(None, third, 99, 1).await, [11]);
    // A person who has left is nothing to the organization; a program stays its own.
    for (o, a) in [(1, 3), (2, 2)] {
        let (organization, account) = (organization(o), account(a));
        house.made(Change::MembershipEnded { organization, account }).await;
    }
    assert_eq!(numbers(Some(1), None, 0, 100).await, [1, 2, 3, 8, 9, 13]);
    assert_eq!(numbers(Some(2), None, 0, 100).await, [4, 5, 7, 12, 14]);
    // By which address its member is known is its matter, too.
    house.made(set_email(1, "b1@example.com")).await; // 15
    assert_eq!(numbers(Some(1), None, 9, 100).await, [13, 15]);
    assert_eq!(numbers(Some(2), None, 9, 100).await, [12, 14]);
}

async fn what_could_not_be_read_again_is_refused_alone(kind: Kind) {
    let house = House::with_member(kind).await; // entries 1 to 3
    let deep = (0..200).fold(json!(1), |inner, _| json!([inner]));
    let unfit = Token { metadata: Some(json!({"deep": deep})), ..token(2, 1, 1) };
    let unfit = Change::TokenIssued(Box::new(unfit));
    // Side by side, so that they may share a commit.
    let orders = [vec![issue(1, 1, 1)], vec![issue(4, 1, 1), unfit], vec![issue(3, 1, 1)]];
    let [before, refused, after] = orders.each_ref().map(|changes| house.make(changes));
    let (before, refused, after) = tokio::join!(before, refused, after);
    // Whichever comes first.
    let mut numbers = [before, after].map(|made| made.unwrap().number);
    numbers.sort_unstable();
    assert_eq!(numbers, [4, 5]);
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    assert_eq!(house.store.token(token_id(4)).await.unwrap(), None);
    assert_eq!(house.store.entries(EntryFilter::default(), 0, 9).await.unwrap().len(), 5);
    house.is_sound().await;
}

async fn the_chain_can_be_copied_whatever_the_details_are(kind: Kind) {
    let house = House::with_member(kind).await; // entries 1 to 3
    house.by_hand(match kind {
        Kind::Sqlite => "UPDATE ledger_detail SET detail = x'00' WHERE number = 2",
        Kind::Postgres | Kind::Lookalike => {
            r"UPDATE ledger_detail SET detail = '\x00' WHERE number = 2"
        }
    });
    assert!(house.store.entries(EntryFilter::default(), 0, 9).await.is_err());
    let chain = house.store.chain(0, 9).await.unwrap();
    let head = chain.iter().fold(Head::EMPTY, |head, link| {
        assert_eq!(link.number, head.number + 1);
        ledger::check(head, &link.entry, &link.hash.0, None).unwrap().0
    });
    assert_eq!(head, house.replica.head());
    let numbers = |chain: Vec<Link>| chain.iter().map(|link| link.number).collect::<Vec<u64>>();
    assert_eq!(numbers(house.store.chain(1, 1).await.unwrap()), [2]);
    assert_eq!(numbers(house.store.chain(u64::MAX, 9).await.unwrap()), [0_u64; 0]);
}

on_every_store!(
    an_organization_reads_its_part_of_the_ledger,
    what_could_not_be_read_again_is_refused_alone,
    the_chain_can_be_copied_whatever_the_details_are,
);
