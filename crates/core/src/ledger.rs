//! The ledger: every change, numbered without gaps and chained by hashes.
//!
//! An [`Entry`] holds ids, a kind and a commitment; what the change was in
//! full lies in a detail beside it, which can be erased without breaking the chain.

mod change;
mod undone;

pub use change::{Actor, Change, ImportSource, Subject};
pub use undone::{Take, Taking, Undone, UnknownKind};

use crate::{Timestamp, id::OrganizationId, token::Digest};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The version of the entries' form that this program writes.
const FORM: u8 = 1;

/// Which kinds of changes this program can take in: the version of their list. A kind that is
/// new makes it one more, and so does anything about a kind that earlier programs would read
/// past: those apply what they can read.
pub const KNOWS: u32 = 2;

/// Entropy that keeps a commitment from being guessed.
pub type Salt = [u8; 16];

/// What is chained: who did what to what, when, and a commitment to the detail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The version of this form.
    pub form: u8,
    /// Its place, from 1 on, without gaps.
    pub number: u64,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: Actor,
    /// What.
    pub kind: Box<str>,
    /// In whose part of the ledger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<OrganizationId>,
    /// To what.
    pub subject: Subject,
    /// SHA-256 of the salt and the detail.
    pub commitment: Digest,
}

/// An entry's hash: SHA-256 of the hash before it and the entry's stored bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EntryHash(pub [u8; 32]);

/// The last entry's number and hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// How many entries there are.
    pub number: u64,
    /// The last one's hash.
    pub hash: EntryHash,
}

impl Head {
    /// The head of an empty ledger.
    pub const EMPTY: Head = Head { number: 0, hash: EntryHash([0; 32]) };

    fn next(self, entry: &[u8]) -> Head {
        let mut hasher = Sha256::new();
        hasher.update(self.hash.0);
        hasher.update(entry);
        Head { number: self.number + 1, hash: EntryHash(hasher.finalize().into()) }
    }
}

impl std::fmt::Display for EntryHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// An entry as it is stored, the detail beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The entry's bytes; what is hashed.
    pub entry: Vec<u8>,
    /// The head once it is appended.
    pub head: Head,
    /// The commitment's salt.
    pub salt: Salt,
    /// The change in full.
    pub detail: Vec<u8>,
}

/// Why a change has no place in the ledger: whatever is chained stays, and has to
/// be read for as long.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// It cannot be written as JSON, or what was written cannot be read. What
    /// serde says of it may hold a part of it and is not shown.
    #[error("what changes could not be read again from the ledger")]
    Unreadable(#[source] serde_json::Error),
    /// It reads as another change.
    #[error("what changes would read differently in the ledger")]
    Altered,
}

/// An entry without its place: who appends it need not know the one before it. Between the two
/// parts of it goes its number, in decimal digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// The entry's bytes before the number.
    pub before: Vec<u8>,
    /// Those behind it.
    pub after: Vec<u8>,
    /// The commitment's salt.
    pub salt: Salt,
    /// The change in full.
    pub detail: Vec<u8>,
}

impl Draft {
    /// The entry, behind `head`.
    #[must_use]
    pub fn behind(self, head: Head) -> Stored {
        let number = (head.number + 1).to_string();
        let entry = [&*self.before, number.as_bytes(), &self.after].concat();
        Stored { head: head.next(&entry), entry, salt: self.salt, detail: self.detail }
    }
}

/// Puts `change` behind `head`.
///
/// # Errors
/// As [`draft`] has them.
pub fn append(
    head: Head,
    at: Timestamp,
    actor: Actor,
    change: &Change,
    salt: Salt,
) -> Result<Stored, Unfit> {
    draft(at, actor, change, salt).map(|draft| draft.behind(head))
}

/// Writes `change` as the ledger has it, but for its place.
///
/// # Errors
/// [`Unfit`], where what is to be stored does not read as the same change. Of
/// what comes from outside only metadata could: nested deeper than JSON is read.
pub fn draft(at: Timestamp, actor: Actor, change: &Change, salt: Salt) -> Result<Draft, Unfit> {
    const NUMBER: &[u8] = b"\"number\":";
    debug_assert!((1..=KNOWS).contains(&change.since()), "{} is of no version", change.kind());
    let detail = serde_json::to_vec(change).map_err(Unfit::Unreadable)?;
    let entry = Entry {
        form: FORM,
        number: 0,
        at,
        actor,
        kind: change.kind().into(),
        organization: change.organization(),
        subject: change.subject(),
        commitment: commitment(&salt, &detail),
    };
    let mut before = serde_json::to_vec(&entry).map_err(Unfit::Unreadable)?;
    if reads::<Change>(&detail)? != *change || reads::<Entry>(&before)? != entry {
        return Err(Unfit::Altered);
    }
    // Nothing but the form is before it.
    let place = before.windows(NUMBER.len()).position(|part| part == NUMBER);
    let place = place.ok_or(Unfit::Altered)? + NUMBER.len();
    let after = before.split_off(place)[1..].to_vec();
    Ok(Draft { before, after, salt, detail })
}

fn reads<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, Unfit> {
    serde_json::from_slice(bytes).map_err(Unfit::Unreadable)
}

/// What is wrong with a stored entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// The stored hash is not that of the hash before it and the entry.
    #[error("its hash does not follow from the entry before it")]
    Chain,
    /// The entry cannot be read.
    #[error("it cannot be read")]
    Unreadable,
    /// It says another number than its place.
    #[error("its number is not that of its place")]
    Number,
    /// The detail is not the one that the entry commits to.
    #[error("its detail is not the one that the entry commits to")]
    Commitment,
    /// It is whole, but of a form or a kind that this program does not know.
    #[error("it is of a kind that this program does not know")]
    UnknownKind,
    /// The detail's kind or subject is not the entry's.
    #[error("its detail does not belong to it")]
    Mismatch,
}

/// What every form of an entry says.
#[derive(Deserialize)]
struct Form {
    form: u8,
}

/// Checks an entry that stands behind `head` and reads its change; none when
/// the detail has been erased.
pub fn check(
    head: Head,
    entry: &[u8],
    hash: &[u8],
    detail: Option<(&[u8], &[u8])>,
) -> Result<(Head, Entry, Option<Change>), Broken> {
    let next = head.next(entry);
    if next.hash.0 != *hash {
        return Err(Broken::Chain);
    }
    let Form { form } = serde_json::from_slice(entry).map_err(|_| Broken::Unreadable)?;
    if form > FORM {
        return Err(Broken::UnknownKind);
    }
    let entry: Entry = serde_json::from_slice(entry).map_err(|_| Broken::Unreadable)?;
    if entry.form != FORM {
        return Err(Broken::Unreadable);
    }
    if entry.number != next.number {
        return Err(Broken::Number);
    }
    let Some((salt, detail)) = detail else { return Ok((next, entry, None)) };
    let salt = salt.try_into().map_err(|_| Broken::Commitment)?;
    if commitment(salt, detail) != entry.commitment {
        return Err(Broken::Commitment);
    }
    // Whoever wrote this could read it.
    let change: Change = serde_json::from_slice(detail).map_err(|_| Broken::UnknownKind)?;
    let belongs = change.kind() == &*entry.kind
        && change.subject() == entry.subject
        && change.organization() == entry.organization;
    if !belongs {
        return Err(Broken::Mismatch);
    }
    Ok((next, entry, Some(change)))
}

fn commitment(salt: &Salt, detail: &[u8]) -> Digest {
    let mut hasher = Sha256::new();
    hasher.update(salt);
    hasher.update(detail);
    Digest::from_bytes(hasher.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        account::{AccountKind, Rank},
        id::{AccountId, InvitationId, SessionId, TokenId},
        token::{Grant, Token},
    };
    use proptest::prelude::*;

    fn change(name: &str) -> Change {
        Change::OrganizationCreated {
            organization: OrganizationId::new(Timestamp::from_millis(1), [1; 10]),
            name: name.into(),
            external_id: None,
        }
    }

    fn stored(head: Head, name: &str) -> Stored {
        append(head, Timestamp::from_millis(2), Actor::Operator, &change(name), [9; 16]).unwrap()
    }

    #[test]
    fn a_chain_is_followed() {
        let first = stored(Head::EMPTY, "one");
        let second = stored(first.head, "two");
        assert_eq!((first.head.number, second.head.number), (1, 2));
        let (head, entry, read) = check(
            first.head,
            &second.entry,
            &second.head.hash.0,
            Some((&second.salt, &second.detail)),
        )
        .unwrap();
        assert_eq!((head, read), (second.head, Some(change("two"))));
        assert_eq!(&*entry.kind, "organization_created");
        // Erasing a detail leaves the chain whole.
        assert_eq!(check(first.head, &second.entry, &second.head.hash.0, None).unwrap().2, None);
    }

    #[test]
    fn a_draft_has_no_place_but_the_one_it_gets() {
        let draft =
            || draft(Timestamp::from_millis(2), Actor::Operator, &change("one"), [9; 16]).unwrap();
        assert_eq!(String::from_utf8(draft().before).unwrap(), r#"{"form":1,"number":"#);
        for number in [0, 8, 9, u64::from(u32::MAX)] {
            let head = Head { number, ..Head::EMPTY };
            let stored = draft().behind(head);
            let detail = Some((&stored.salt[..], &stored.detail[..]));
            let found = check(head, &stored.entry, &stored.head.hash.0, detail).unwrap();
            assert_eq!((found.0, found.1.number), (stored.head, number + 1));
        }
    }

    #[test]
    fn an_entry_names_nobody() {
        let text = String::from_utf8(stored(Head::EMPTY, "a name").entry).unwrap();
        assert!(!text.contains("a name"), "{text}");
    }

    #[test]
    fn every_forgery_is_noticed() {
        let first = stored(Head::EMPTY, "one");
        let hash = first.head.hash.0;
        let detail = Some((&first.salt[..], &first.detail[..]));

        let mut entry = first.entry.clone();
        let last = entry.len() - 2;
        entry[last] ^= 1;
        assert_eq!(check(Head::EMPTY, &entry, &hash, detail), Err(Broken::Chain));
        assert_eq!(check(first.head, &first.entry, &hash, detail), Err(Broken::Chain));
        assert_eq!(check(Head::EMPTY, &first.entry, &[0; 32], detail), Err(Broken::Chain));

        let other = serde_json::to_vec(&change("two")).unwrap();
        assert_eq!(
            check(Head::EMPTY, &first.entry, &hash, Some((&first.salt, &other))),
            Err(Broken::Commitment)
        );
        assert_eq!(
            check(Head::EMPTY, &first.entry, &hash, Some((&[], &first.detail))),
            Err(Broken::Commitment)
        );

        // A wrong number with a hash that fits.
        let skipped = append(
            Head { number: 4, hash: Head::EMPTY.hash },
            Timestamp::from_millis(2),
            Actor::Operator,
            &change("one"),
            [9; 16],
        )
        .unwrap();
        assert_eq!(
            check(Head::EMPTY, &skipped.entry, &skipped.head.hash.0, None),
            Err(Broken::Number)
        );
        let garbage = Head::EMPTY.next(b"{}");
        assert_eq!(check(Head::EMPTY, b"{}", &garbage.hash.0, None), Err(Broken::Unreadable));
    }

    #[test]
    fn what_a_newer_program_wrote_is_told_from_what_is_broken() {
        let detail = br#"{"kind":"invented_later"}"#;
        let salt = [9; 16];
        let entry = |form: u8| {
            let first = stored(Head::EMPTY, "one");
            let mut entry: serde_json::Value = serde_json::from_slice(&first.entry).unwrap();
            entry["form"] = form.into();
            entry["kind"] = "invented_later".into();
            entry["commitment"] = serde_json::to_value(commitment(&salt, detail)).unwrap();
            serde_json::to_vec(&entry).unwrap()
        };
        for form in [FORM, FORM + 1] {
            let entry = entry(form);
            let hash = Head::EMPTY.next(&entry).hash.0;
            let detail = Some((&salt[..], &detail[..]));
            assert_eq!(check(Head::EMPTY, &entry, &hash, detail), Err(Broken::UnknownKind));
        }
    }

    /// A change of every kind, with something personal wherever it can carry it.
    fn every_change() -> Vec<Change> {
        let organization = OrganizationId::new(Timestamp::from_millis(1), [1; 10]);
        let account = AccountId::new(Timestamp::from_millis(1), [2; 10]);
        let token = TokenId::new(Timestamp::from_millis(1), [3; 10]);
        let invitation = InvitationId::new(Timestamp::from_millis(1), [4; 10]);
        let name = || String::from("hush");
        let elsewhere = || Some("hush".into());
        vec![
            Change::OrganizationCreated { organization, name: name(), external_id: None },
            Change::OrganizationChanged {
                organization,
                revision: 1,
                name: name(),
                external_id: elsewhere(),
            },
            Change::OrganizationClosed { organization },
            Change::AccountCreated {
                account,
                account_kind: AccountKind::Person,
                email: Some("hush@example.com".parse().unwrap()),
                name: name(),
                external_id: elsewhere(),
            },
            Change::AccountCreated {
                account,
                account_kind: AccountKind::Service,
                email: None,
                name: name(),
                external_id: None,
            },
            Change::AccountChanged { account, revision: 1, name: name(), external_id: elsewhere() },
            Change::EmailSet { account, email: "hush@example.com".parse().unwrap() },
            Change::AccountDisabled { account },
            Change::AccountEnabled { account },
            Change::PasswordSet { account, hash: name(), by_mail: false },
            Change::SecondFactorSet { account },
            Change::SecondFactorRemoved { account },
            Change::InvitationMade {
                invitation,
                organization,
                email: Some("hush@example.com".parse().unwrap()),
                rank: Rank::Administrator,
                digest: Digest::of("hush"),
                expires_at: Timestamp::MAX,
            },
            Change::InvitationMade {
                invitation,
                organization,
                email: None,
                rank: Rank::Member,
                digest: Digest::of("hush"),
                expires_at: Timestamp::from_millis(3),
            },
            Change::InvitationWithdrawn { invitation, organization },
            Change::InvitationAccepted { invitation, organization, account },
            Change::TokenHandedOver { token, organization, owner: account },
            Change::MembershipAdded { organization, account, rank: Rank::Administrator },
            Change::MembershipRankChanged { organization, account, rank: Rank::Member },
            Change::MembershipEnded { organization, account },
            Change::TokenIssued(Box::new(Token {
                id: token,
                api: "sample".into(),
                organization,
                owner: account,
                name: name(),
                note: name(),
                grant: Grant::Scopes(["costs:read".parse().unwrap()].into()),
                created_at: Timestamp::from_millis(1),
                expires_at: Some(Timestamp::MAX),
                allowed_networks: vec!["10.0.0.0/8".parse().unwrap(), "::/0".parse().unwrap()],
                external_id: None,
                metadata: None,
                prefix: "hush".into(),
                last_four: "hush".into(),
                digest: Digest::of("hush"),
            })),
            Change::TokenPaused { token, organization },
            Change::TokenResumed { token, organization },
            Change::TokenRotated {
                revision: 0,
                token,
                organization,
                replaces: Digest::of("hush"),
                previous_until: Some(Timestamp::from_millis(7)),
                digest: Digest::of("hush too"),
                prefix: "acme".into(),
                last_four: "hush".into(),
            },
            Change::TokenPreviousEnded { token, organization, previous: Digest::of("hush") },
            Change::TokenRevoked { token, organization, reason: name() },
        ]
    }

    #[test]
    fn every_change_is_kept_whole_and_names_nobody() {
        let hex = serde_json::to_string(&Digest::of("hush")).unwrap();
        for change in every_change() {
            let stored =
                append(Head::EMPTY, Timestamp::from_millis(2), Actor::Operator, &change, [9; 16])
                    .unwrap();
            let detail = Some((&stored.salt[..], &stored.detail[..]));
            let (head, entry, read) =
                check(Head::EMPTY, &stored.entry, &stored.head.hash.0, detail).unwrap();
            assert_eq!((head, read.as_ref()), (stored.head, Some(&change)));
            assert_eq!(&*entry.kind, change.kind());
            // Whether it has taken something away is known of every kind.
            Undone::default().note(&entry).unwrap();
            let detail: serde_json::Value = serde_json::from_slice(&stored.detail).unwrap();
            assert_eq!(detail["kind"], change.kind());

            let text = String::from_utf8(stored.entry).unwrap();
            for personal in ["hush", "example.com", &hex[1..65]] {
                assert!(!text.contains(personal), "{text}");
            }
        }
    }

    #[test]
    fn every_actor_is_kept() {
        let account = AccountId::new(Timestamp::from_millis(1), [2; 10]);
        let token = TokenId::new(Timestamp::from_millis(1), [3; 10]);
        let session = SessionId::new(Timestamp::from_millis(1), [5; 10]);
        for (actor, with) in [
            (Actor::Operator, None),
            (Actor::LeakReport, None),
            (Actor::Token { account, token }, Some(token)),
            (Actor::Session { account, session }, None),
        ] {
            let at = Timestamp::from_millis(2);
            let stored = append(Head::EMPTY, at, actor, &change("one"), [9; 16]).unwrap();
            let entry = check(Head::EMPTY, &stored.entry, &stored.head.hash.0, None).unwrap().1;
            assert_eq!((entry.actor, entry.actor.token()), (actor, with));
        }
    }

    fn with_metadata(metadata: serde_json::Value) -> Change {
        Change::TokenChanged {
            revision: 1,
            token: TokenId::from_bytes([1; 16]),
            organization: OrganizationId::from_bytes([2; 16]),
            name: "nightly".into(),
            note: String::new(),
            grant: Grant::Any,
            expires_at: None,
            allowed_networks: Vec::new(),
            external_id: None,
            metadata: Some(metadata),
        }
    }

    #[test]
    fn what_could_not_be_read_again_is_not_chained() {
        let at = Timestamp::from_millis(2);
        let mut metadata = serde_json::json!({});
        let mut read = 0;
        // As deep as JSON is read, and deeper.
        for depth in 1..200 {
            let change = with_metadata(metadata.clone());
            match append(Head::EMPTY, at, Actor::Operator, &change, [9; 16]) {
                Ok(stored) => {
                    let detail = Some((&stored.salt[..], &stored.detail[..]));
                    let hash = stored.head.hash.0;
                    let (.., found) = check(Head::EMPTY, &stored.entry, &hash, detail).unwrap();
                    assert_eq!(found, Some(change));
                    read = depth;
                }
                Err(error) => assert!(matches!(error, Unfit::Unreadable(_)), "{error}"),
            }
            metadata = serde_json::json!({"n": metadata});
        }
        assert_eq!(read, 126);
    }

    proptest! {
        /// Metadata comes from outside; a replay has to come to the very same number.
        #[test]
        fn any_number_is_kept(text in "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?") {
            let Ok(number) = serde_json::from_str::<serde_json::Value>(&text) else {
                return Ok(());
            };
            let change = with_metadata(serde_json::json!({"n": number}));
            let at = Timestamp::from_millis(2);
            let stored = append(Head::EMPTY, at, Actor::Operator, &change, [9; 16]).unwrap();
            prop_assert_eq!(serde_json::from_slice::<Change>(&stored.detail).unwrap(), change);
        }
    }

    #[test]
    fn no_byte_can_be_changed() {
        let first = stored(Head::EMPTY, "one");
        let parts = [&first.entry[..], &first.head.hash.0, &first.salt, &first.detail];
        for part in 0..parts.len() {
            for at in 0..parts[part].len() {
                let mut parts = parts.map(<[u8]>::to_vec);
                parts[part][at] ^= 1;
                let [entry, hash, salt, detail] = parts;
                let found = check(Head::EMPTY, &entry, &hash, Some((&salt, &detail)));
                let why = if part < 2 { Broken::Chain } else { Broken::Commitment };
                assert_eq!(found, Err(why), "part {part}, byte {at}");
            }
        }
    }

    /// What [`check`] says to an entry and a detail whose chain and commitment hold.
    fn forged(detail: &str, spoil: impl Fn(&mut Entry)) -> Result<Option<Change>, Broken> {
        let honest = change("one");
        let mut entry = Entry {
            form: FORM,
            number: 1,
            at: Timestamp::from_millis(2),
            actor: Actor::Operator,
            kind: honest.kind().into(),
            organization: honest.organization(),
            subject: honest.subject(),
            commitment: commitment(&[9; 16], detail.as_bytes()),
        };
        spoil(&mut entry);
        let entry = serde_json::to_vec(&entry).unwrap();
        let hash = Head::EMPTY.next(&entry).hash.0;
        check(Head::EMPTY, &entry, &hash, Some((&[9; 16], detail.as_bytes())))
            .map(|(_, _, change)| change)
    }

    #[test]
    fn a_sound_chain_does_not_make_a_detail_fit() {
        let detail = serde_json::to_string(&change("one")).unwrap();
        let other = OrganizationId::new(Timestamp::from_millis(9), [9; 10]);
        assert_eq!(forged(&detail, |_| {}), Ok(Some(change("one"))));
        assert_eq!(
            forged(&detail, |entry| entry.kind = "organization_closed".into()),
            Err(Broken::Mismatch)
        );
        assert_eq!(
            forged(&detail, |entry| entry.subject = Subject::Organization(other)),
            Err(Broken::Mismatch)
        );
        assert_eq!(forged(&detail, |entry| entry.organization = None), Err(Broken::Mismatch));
    }

    #[test]
    fn what_a_later_version_wrote_is_not_guessed_at() {
        let detail = serde_json::to_string(&change("one")).unwrap();
        assert_eq!(forged(&detail, |entry| entry.form = FORM + 1), Err(Broken::UnknownKind));
        let unknown = detail.replace("organization_created", "organization_merged");
        assert_eq!(forged(&unknown, |_| {}), Err(Broken::UnknownKind));
        assert_eq!(forged("", |_| {}), Err(Broken::UnknownKind));
    }
}
