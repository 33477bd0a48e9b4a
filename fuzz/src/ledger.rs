//! Stored entries and their details.

use crate::{
    input::{line, seeds, text},
    scene,
};
use counterfoil_core::{
    Timestamp,
    account::{AccountKind, Rank},
    id::{InvitationId, SessionId},
    ledger::{Actor, Broken, Change, Head, append, check},
    token::Digest,
};
use sha2::{Digest as _, Sha256};

const SALT: [u8; 16] = [7; 16];
/// Stands in an entry for the commitment that would be right.
const COMMITMENT: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// An entry and a detail, a line each.
pub(crate) fn ledger(input: &[u8]) {
    let (entry, detail) = line(input);
    let commitment = hex(&hash(&SALT, detail));
    let entry = text(entry).replace(COMMITMENT, &commitment).into_bytes();
    let chained = hash(&[0; 32], &entry);
    let mut wrong = chained;
    wrong[0] ^= 1;
    assert_eq!(check(Head::EMPTY, &entry, &wrong, None), Err(Broken::Chain));

    let alone = check(Head::EMPTY, &entry, &chained, None);
    let whole = check(Head::EMPTY, &entry, &chained, Some((&SALT, detail)));
    let Ok((head, read, None)) = alone else {
        use Broken::{Number, UnknownKind, Unreadable};
        assert!(whole.is_err() && matches!(alone, Err(Unreadable | UnknownKind | Number)));
        return;
    };
    assert_eq!((read.number, head.number, head.hash.0), (1, 1, chained));
    let Ok((_, _, change)) = whole else { return };
    let change = change.unwrap();
    assert_eq!((change.kind(), change.subject()), (&*read.kind, read.subject));
    assert_eq!(change.organization(), read.organization);
    let shorter = check(Head::EMPTY, &entry, &chained, Some((&SALT[1..], detail)));
    assert_eq!(shorter, Err(Broken::Commitment));
    is_kept_whole(read.at, read.actor, &change);
}

/// A change reads back as it was written: so does a replay come to the same state.
pub(crate) fn is_kept_whole(at: Timestamp, actor: Actor, change: &Change) {
    let stored = append(Head::EMPTY, at, actor, change, SALT).unwrap();
    let detail = Some((&stored.salt[..], &stored.detail[..]));
    let (head, entry, read) =
        check(Head::EMPTY, &stored.entry, &stored.head.hash.0, detail).unwrap();
    assert_eq!((head, read.as_ref()), (stored.head, Some(change)));
    assert_eq!((entry.at, entry.actor), (at, actor));
}

fn hash(before: &[u8], bytes: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(before).chain_update(bytes).finalize().into()
}

fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(nibble.into(), 16).unwrap();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

pub(crate) fn ledger_seeds() -> Vec<Vec<u8>> {
    let token = scene::token();
    let (organization, account, id) = (token.organization, token.owner, token.id);
    let invitation = InvitationId::from_bytes([4; 16]);
    let metadata = serde_json::json!({"a": [1, -2.5e-7, null, true, "b"], "c": {"d": 1e300}});
    let changes = [
        Change::OrganizationCreated { organization, name: "Acme".into(), external_id: None },
        Change::AccountCreated {
            account,
            account_kind: AccountKind::Person,
            email: Some(scene::EMAIL.parse().unwrap()),
            name: "Ada".into(),
            external_id: Some("crm-7".into()),
        },
        Change::AccountChanged { account, revision: 1, name: "Ada L.".into(), external_id: None },
        Change::EmailSet { account, email: scene::EMAIL.parse().unwrap() },
        Change::PasswordSet {
            account,
            hash: "$argon2id$v=19$m=8,t=1,p=1$c2FsdA$aGFzaA".into(),
            by_mail: false,
        },
        Change::SecondFactorSet { account },
        Change::SecondFactorRemoved { account },
        Change::MembershipAdded { organization, account, rank: Rank::Administrator },
        Change::InvitationMade {
            invitation,
            organization,
            email: Some(scene::EMAIL.parse().unwrap()),
            rank: Rank::Member,
            digest: Digest::of("link"),
            expires_at: Timestamp::from_millis(9),
        },
        Change::InvitationWithdrawn { invitation, organization },
        Change::InvitationAccepted { invitation, organization, account },
        Change::TokenHandedOver { token: id, organization, owner: account },
        Change::TokenChanged {
            revision: 1,
            token: id,
            organization,
            name: token.name.clone(),
            note: "for\nthe night".into(),
            grant: token.grant.clone(),
            expires_at: Some(Timestamp::MAX),
            allowed_networks: token.allowed_networks.clone(),
            external_id: Some("x-1".into()),
            metadata: Some(metadata),
        },
        Change::TokenIssued(Box::new(token)),
        Change::TokenRotated {
            revision: 0,
            token: id,
            organization,
            replaces: Digest::of("a"),
            previous_until: Some(Timestamp::from_millis(7)),
            digest: Digest::of("b"),
            prefix: "acme".into(),
            last_four: "abcd".into(),
        },
        Change::TokenPreviousEnded { token: id, organization, previous: Digest::of("a") },
        Change::TokenRevoked { token: id, organization, reason: "leaked".into() },
    ];
    let session = SessionId::from_bytes([5; 16]);
    let actors =
        [Actor::Operator, Actor::Token { account, token: id }, Actor::Session { account, session }];
    seeds(changes.iter().zip(actors.into_iter().cycle()).map(|(change, actor)| {
        let stored = append(Head::EMPTY, Timestamp::from_millis(2), actor, change, SALT).unwrap();
        let detail = String::from_utf8(stored.detail).unwrap();
        let commitment = hex(&hash(&SALT, detail.as_bytes()));
        let entry = String::from_utf8(stored.entry).unwrap().replace(&commitment, COMMITMENT);
        format!("{entry}\n{detail}")
    }))
}
