//! What is decided with a rank is made with that rank, or not at all.

use super::*;

fn standing(a: u8, rank: Rank) -> Standing {
    Standing { organization: organization(1), account: account(a), rank }
}

fn rank(a: u8, rank: Rank) -> Change {
    Change::MembershipRankChanged { organization: organization(1), account: account(a), rank }
}

fn end(a: u8) -> Change {
    Change::MembershipEnded { organization: organization(1), account: account(a) }
}

/// An organization with three people in it, the first two of them administrators.
async fn council(kind: Kind) -> House {
    let house = House::with_member(kind).await;
    for n in [3, 5] {
        house.made(create_account(n)).await;
        house.made(join(1, n)).await;
    }
    for n in [1, 3] {
        house.made(rank(n, Rank::Administrator)).await;
    }
    house
}

async fn of_two_administrators_who_demote_each_other_one_stays(kind: Kind) {
    for change in [|n| rank(n, Rank::Member), end] {
        let house = council(kind).await;
        let (ada, zoe) = ([change(3)], [change(1)]);
        let made = tokio::join!(
            house.make_as(Some(standing(1, Rank::Administrator)), &ada),
            house.make_as(Some(standing(3, Rank::Administrator)), &zoe),
        );
        assert!(
            matches!(
                made,
                (Ok(_), Err(StoreError::Outranked)) | (Err(StoreError::Outranked), Ok(_))
            ),
            "{made:?}"
        );
        let head = made.0.or(made.1).unwrap();
        assert_eq!(head, house.store.head().await.unwrap());
        house.is_sound().await;
    }
}

async fn whoever_is_no_administrator_any_more_changes_nothing_as_one(kind: Kind) {
    let house = council(kind).await;
    house.made(issue(1, 1, 5)).await;
    let (token, organization) = (token_id(1), organization(1));
    let as_ada =
        async |change| house.make_as(Some(standing(1, Rank::Administrator)), &[change]).await;
    as_ada(rank(5, Rank::Administrator)).await.unwrap();
    // One's own rank goes with what it allows.
    as_ada(rank(1, Rank::Member)).await.unwrap();
    for change in [
        rank(1, Rank::Administrator),
        end(5),
        invitations::invite(1, 1),
        rename_organization(1, None),
        create_account(2),
        Change::TokenRevoked { token, organization, reason: String::new() },
        Change::TokenHandedOver { token, organization, owner: account(3) },
    ] {
        let made = as_ada(change.clone()).await;
        assert!(matches!(made, Err(StoreError::Outranked)), "{change:?}: {made:?}");
    }
    let as_member =
        async |n| house.make_as(Some(standing(1, Rank::Member)), &[issue(n, 1, 1)]).await;
    as_member(3).await.unwrap();
    // Nor does who has left, or is disabled, change anything.
    let disabled = [Change::AccountDisabled { account: account(1) }, end(1)];
    for change in disabled {
        house.made(change).await;
        assert!(matches!(as_member(5).await, Err(StoreError::Outranked)));
        if house.make(&[Change::AccountEnabled { account: account(1) }]).await.is_ok() {
            as_member(4).await.unwrap();
        }
    }
    // Who leads another organization leads it alone.
    let other = Standing { organization: super::organization(2), ..standing(3, Rank::Member) };
    house.made(create_organization(2)).await;
    assert!(matches!(house.make_as(Some(other), &[end(5)]).await, Err(StoreError::Outranked)));
    house.is_sound().await;
}

on_every_store!(
    of_two_administrators_who_demote_each_other_one_stays,
    whoever_is_no_administrator_any_more_changes_nothing_as_one,
);
