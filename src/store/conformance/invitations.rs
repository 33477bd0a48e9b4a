//! Invitations, and what else the ledger tells of for the console.

use super::*;
use crate::store::{InvitationFilter, StoredInvitation};
use counterfoil_core::id::InvitationId;

fn invitation(n: u8) -> InvitationId {
    InvitationId::new(at(i64::from(n)), [n; 10])
}

pub(super) fn invite(n: u8, o: u8) -> Change {
    Change::InvitationMade {
        invitation: invitation(n),
        organization: organization(o),
        email: n.is_multiple_of(2).then(|| format!("guest{n}@example.com").parse().unwrap()),
        rank: if n.is_multiple_of(2) { Rank::Member } else { Rank::Administrator },
        digest: digest(n, 200),
        // What is changed here is changed at 1000.
        expires_at: at(1000 + i64::from(n)),
    }
}

pub(super) fn withdraw(n: u8, o: u8) -> Change {
    Change::InvitationWithdrawn { invitation: invitation(n), organization: organization(o) }
}

pub(super) fn accept(n: u8, o: u8, a: u8) -> Change {
    let (invitation, organization, account) = (invitation(n), organization(o), account(a));
    Change::InvitationAccepted { invitation, organization, account }
}

async fn an_invitation_is_used_once(kind: Kind) {
    let house = House::with_member(kind).await;
    house.made(create_organization(2)).await;
    house.refused(invite(1, 9)).await;
    for n in 0..=5 {
        house.made(invite(n, 1)).await;
    }
    house.refused(invite(1, 1)).await;
    house.made(invite(6, 2)).await;
    let find = async |n: u8| house.store.invitation_by_digest(digest(n, 200)).await.unwrap();
    assert_eq!(
        find(2).await,
        Some(StoredInvitation {
            id: invitation(2),
            organization: organization(1),
            email: Some("guest2@example.com".parse().unwrap()),
            rank: Rank::Member,
            digest: digest(2, 200),
            created_at: at(1000),
            expires_at: at(1002),
            accepted: None,
            withdrawn_at: None,
        })
    );
    assert_eq!(find(9).await, None);
    assert_eq!(house.store.invitation(invitation(2)).await.unwrap(), find(2).await);

    // Number 0 has ended; another organization's is not theirs; nobody is nobody.
    house.refused(accept(0, 1, 1)).await;
    house.refused(accept(1, 2, 1)).await;
    house.refused(accept(1, 1, 9)).await;
    house.refused(withdraw(1, 2)).await;
    house.made(accept(1, 1, 1)).await;
    house.refused(accept(1, 1, 1)).await;
    house.refused(withdraw(1, 1)).await;
    house.made(withdraw(2, 1)).await;
    house.refused(withdraw(2, 1)).await;
    house.refused(accept(2, 1, 1)).await;
    let (accepted, withdrawn) = (find(1).await.unwrap(), find(2).await.unwrap());
    assert_eq!(accepted.accepted, Some((at(1000), account(1))));
    assert_eq!(withdrawn.withdrawn_at, Some(at(1000)));
    let open = [accepted, withdrawn, find(3).await.unwrap()].map(|found| found.is_open(at(1002)));
    assert_eq!(open, [false, false, true]);
    assert!(!find(3).await.unwrap().is_open(at(1003)));

    let list = async |open_at, after, limit| -> Vec<InvitationId> {
        let filter = InvitationFilter { organization: organization(1), open_at };
        let found = house.store.invitations(filter, Page { after, limit }).await.unwrap();
        found.iter().map(|found| found.id).collect()
    };
    let ids = |numbers: &[u8]| numbers.iter().map(|n| invitation(*n)).collect::<Vec<_>>();
    assert_eq!(list(None, None, 9).await, ids(&[5, 4, 3, 2, 1, 0]));
    assert_eq!(list(None, Some(invitation(4)), 2).await, ids(&[3, 2]));
    assert_eq!(list(Some(at(1003)), None, 9).await, ids(&[5, 4]));

    house.made(Change::AccountDisabled { account: account(1) }).await;
    house.refused(accept(3, 1, 1)).await;
    house.made(Change::AccountEnabled { account: account(1) }).await;
    house.made(Change::OrganizationClosed { organization: organization(1) }).await;
    house.refused(accept(3, 1, 1)).await;
    house.refused(invite(7, 1)).await;
    house.is_sound().await;
}

async fn of_two_who_accept_one_does(kind: Kind) {
    let house = House::with_member(kind).await;
    house.made(create_account(3)).await;
    house.made(invite(1, 1)).await;
    let [first, second] = [[accept(1, 1, 1)], [accept(1, 1, 3)]];
    let (first, second) = tokio::join!(house.make(&first), house.make(&second));
    assert!(matches!(
        (first, second),
        (Ok(_), Err(StoreError::Conflict)) | (Err(StoreError::Conflict), Ok(_))
    ));
    house.is_sound().await;
}

async fn whether_there_is_a_second_factor_can_be_said_again(kind: Kind) {
    let house = House::with_member(kind).await;
    let has_one = async || {
        let stored = house.store.account(account(1)).await.unwrap().unwrap();
        stored.has_second_factor
    };
    let account = account(1);
    for (change, expected) in [
        (Change::SecondFactorRemoved { account }, false),
        (Change::SecondFactorSet { account }, true),
        (Change::SecondFactorSet { account }, true),
        (Change::SecondFactorRemoved { account }, false),
    ] {
        house.made(change).await;
        assert_eq!(has_one().await, expected);
    }
    house.refused(Change::SecondFactorSet { account: self::account(9) }).await;
    // What is theirs alone is not in the organization's part of the ledger.
    let filter = EntryFilter { organization: Some(organization(1)), ..EntryFilter::default() };
    let entries = house.store.entries(filter, 3, 9).await.unwrap();
    assert!(entries.is_empty(), "{entries:?}");
    house.is_sound().await;
}

pub(super) fn hand_over(n: u8, o: u8, a: u8) -> Change {
    let (token, organization, owner) = (token_id(n), organization(o), account(a));
    Change::TokenHandedOver { token, organization, owner }
}

async fn a_token_goes_to_a_live_member_of_its_organization(kind: Kind) {
    let house = House::with_member(kind).await;
    for change in [create_organization(2), create_account(2), create_account(3)] {
        house.made(change).await;
    }
    for (o, a) in [(2, 1), (2, 3), (1, 2)] {
        house.made(join(o, a)).await;
    }
    house.made(issue(1, 1, 1)).await;
    house.made(rotate(1, 0, Some(at(9000)))).await;
    house.made(rotate(1, 1, Some(at(9000)))).await;
    let owner = async |digest| {
        let filter = TokenFilter { digest: Some(digest), ..TokenFilter::default() };
        house.store.tokens(filter, first_page()).await.unwrap()[0].token.owner
    };
    // To itself, to nobody, to a member of elsewhere, from elsewhere.
    for change in [hand_over(1, 1, 1), hand_over(1, 1, 9), hand_over(1, 1, 3), hand_over(1, 2, 3)] {
        house.refused(change).await;
    }
    house.made(Change::AccountDisabled { account: account(2) }).await;
    house.refused(hand_over(1, 1, 2)).await;
    house.made(Change::AccountEnabled { account: account(2) }).await;
    house.made(hand_over(1, 1, 2)).await;
    for rotation in 0..3 {
        assert_eq!(owner(digest(1, rotation)).await, account(2), "{rotation}");
    }
    house.is_sound().await;
    // What was decided for the owner before is not made any more.
    house.refused(rotate(1, 2, None)).await;
    house.refused(change_token(1)).await;
    house.made(decided_on(1, rotate(1, 2, None))).await;
    house
        .made(Change::MembershipEnded { organization: organization(1), account: account(1) })
        .await;
    house.refused(hand_over(1, 1, 1)).await;
    house.made(join(1, 1)).await;
    let (token, organization) = (token_id(1), organization(1));
    house.made(Change::TokenRevoked { token, organization, reason: String::new() }).await;
    house.refused(hand_over(1, 1, 1)).await;
    house.is_sound().await;
}

on_every_store!(
    an_invitation_is_used_once,
    of_two_who_accept_one_does,
    whether_there_is_a_second_factor_can_be_said_again,
    a_token_goes_to_a_live_member_of_its_organization,
);
