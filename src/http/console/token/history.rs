//! A token's history in words.

use super::super::when::{When, when};
use crate::service::token_history::{By, Event};
use counterfoil_core::{
    Timestamp,
    ledger::{Change, ImportSource},
    network::Network,
    token::Grant,
};
use serde_json::Value;

/// A line of the history.
pub(super) struct Row {
    pub(super) what: String,
    /// Why, in somebody's own words.
    pub(super) why: String,
    pub(super) who: String,
    pub(super) at: When,
    pub(super) entry: u64,
}

/// A rotation: when it was, and how the secret that it replaced ended.
pub(super) struct Rotation {
    pub(super) at: Timestamp,
    pub(super) replaced: String,
}

/// What can be changed about a token, as it was after some change.
#[derive(PartialEq)]
struct Terms<'e> {
    name: &'e str,
    note: &'e str,
    grant: &'e Grant,
    expires_at: Option<Timestamp>,
    networks: &'e [Network],
    external_id: Option<&'e str>,
    metadata: Option<&'e Value>,
}

/// Events, the latest first, as lines.
pub(super) fn rows(events: &[Event], now: Timestamp) -> Vec<Row> {
    let mut before = None;
    let mut rows: Vec<Row> = Vec::with_capacity(events.len());
    for event in events.iter().rev() {
        let after = event.change.as_ref().and_then(terms);
        let (what, why) = match &event.change {
            Some(change) => in_words(change, before.as_ref(), after.as_ref()),
            None => (format!("{} (its details were erased)", event.kind), String::new()),
        };
        before = after.or(before);
        rows.push(Row {
            what,
            why,
            who: who(&event.by),
            at: when(event.at, now),
            entry: event.number,
        });
    }
    rows.reverse();
    rows
}

/// The rotations among events, the latest first.
pub(super) fn rotations(events: &[Event]) -> Vec<Rotation> {
    let mut last_four = "";
    let mut found = Vec::new();
    for event in events.iter().rev() {
        match &event.change {
            Some(Change::TokenIssued(token) | Change::TokenImported { token, .. }) => {
                last_four = &token.last_four;
            }
            Some(Change::TokenRotated { last_four: new, .. }) => {
                found.push(Rotation { at: event.at, replaced: last_four.to_owned() });
                last_four = new;
            }
            _ => {}
        }
    }
    found.reverse();
    found
}

/// Who did it.
pub(super) fn who(by: &By) -> String {
    match by {
        By::Operator => "the operator".into(),
        By::LeakReport => "a leak report".into(),
        By::Account(account) => account.name.clone(),
    }
}

fn in_words(
    change: &Change,
    before: Option<&Terms<'_>>,
    after: Option<&Terms<'_>>,
) -> (String, String) {
    let what = match change {
        Change::TokenIssued(_) => "Issued".into(),
        Change::TokenImported { from, .. } => format!("Imported from {}", source(*from)),
        Change::TokenChanged { .. } => changed(before, after),
        Change::TokenPaused { .. } => "Paused".into(),
        Change::TokenResumed { .. } => "Resumed".into(),
        Change::TokenRotated { previous_until: None, last_four, .. } => {
            format!("Rotated to …{last_four}; the old secret ended at once")
        }
        Change::TokenRotated { previous_until: Some(until), last_four, .. } => {
            let until = when(*until, *until).exact;
            format!("Rotated to …{last_four}; the old secret could be used until {until}")
        }
        Change::TokenPreviousEnded { .. } => "Old secret ended".into(),
        Change::TokenHandedOver { .. } => "Handed over to another owner".into(),
        Change::TokenRevoked { reason, .. } => return ("Revoked".into(), reason.clone()),
        other => other.kind().replace('_', " "),
    };
    (what, String::new())
}

/// Which of its terms a change changed.
fn changed(before: Option<&Terms<'_>>, after: Option<&Terms<'_>>) -> String {
    let (Some(before), Some(after)) = (before, after) else { return "Changed".into() };
    let parts = [
        (before.name != after.name, "name"),
        (before.note != after.note, "note"),
        (before.grant != after.grant, "permissions"),
        (before.expires_at != after.expires_at, "expiry"),
        (before.networks != after.networks, "networks"),
        (before.external_id != after.external_id, "external id"),
        (before.metadata != after.metadata, "metadata"),
    ];
    let parts: Vec<&str> =
        parts.iter().filter(|(is_other, _)| *is_other).map(|(_, part)| *part).collect();
    format!("Changed: {}", parts.join(", "))
}

fn terms(change: &Change) -> Option<Terms<'_>> {
    match change {
        Change::TokenIssued(token) | Change::TokenImported { token, .. } => Some(Terms {
            name: &token.name,
            note: &token.note,
            grant: &token.grant,
            expires_at: token.expires_at,
            networks: &token.allowed_networks,
            external_id: token.external_id.as_deref(),
            metadata: token.metadata.as_ref(),
        }),
        Change::TokenChanged {
            name,
            note,
            grant,
            expires_at,
            allowed_networks,
            external_id,
            metadata,
            ..
        } => Some(Terms {
            name,
            note,
            grant,
            expires_at: *expires_at,
            networks: allowed_networks,
            external_id: external_id.as_deref(),
            metadata: metadata.as_ref(),
        }),
        _ => None,
    }
}

fn source(from: ImportSource) -> &'static str {
    match from {
        ImportSource::Sha256 => "a table of digests",
        ImportSource::DrfAuthtoken => "Django REST framework",
        ImportSource::Knox => "django-rest-knox",
        ImportSource::BetterAuth => "better-auth",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use counterfoil_core::{
        id::{AccountId, OrganizationId, TokenId},
        token::{Digest, Token},
    };

    fn event(number: u64, change: Change) -> Event {
        let at = Timestamp::from_millis(i64::try_from(number).unwrap() * 1000);
        let kind = change.kind().into();
        Event { number, at, by: By::Operator, change: Some(change), kind }
    }

    #[test]
    fn what_became_of_a_token() {
        let (token, organization) =
            (TokenId::from_bytes([1; 16]), OrganizationId::from_bytes([2; 16]));
        let issued = Change::TokenIssued(Box::new(Token {
            id: token,
            api: "orders".into(),
            organization,
            owner: AccountId::from_bytes([3; 16]),
            name: "ci".into(),
            note: String::new(),
            grant: Grant::Any,
            created_at: Timestamp::from_millis(0),
            expires_at: None,
            allowed_networks: Vec::new(),
            external_id: None,
            metadata: None,
            prefix: "orders".into(),
            last_four: "aaaa".into(),
            digest: Digest::of("a"),
        }));
        let changed = |name: &str, note: &str| Change::TokenChanged {
            token,
            organization,
            revision: 1,
            name: name.into(),
            note: note.into(),
            grant: Grant::Any,
            expires_at: None,
            allowed_networks: Vec::new(),
            external_id: None,
            metadata: None,
        };
        let rotated = |last_four: &str, previous_until| Change::TokenRotated {
            token,
            organization,
            revision: 1,
            replaces: Digest::of("a"),
            previous_until,
            digest: Digest::of("b"),
            prefix: "orders".into(),
            last_four: last_four.into(),
        };
        let mut events: Vec<Event> = [
            issued,
            changed("nightly", ""),
            rotated("bbbb", None),
            changed("nightly", "for the night"),
            rotated("cccc", Some(Timestamp::from_millis(1_800_000_000_000))),
            Change::TokenPreviousEnded { token, organization, previous: Digest::of("b") },
            Change::TokenRevoked { token, organization, reason: "leaked".into() },
        ]
        .into_iter()
        .zip(1..)
        .map(|(change, number)| event(number, change))
        .collect();
        events.reverse();
        let rows = rows(&events, Timestamp::from_millis(9000));
        let told: Vec<(&str, &str, u64)> =
            rows.iter().map(|row| (&*row.what, &*row.why, row.entry)).collect();
        assert_eq!(
            told,
            [
                ("Revoked", "leaked", 7),
                ("Old secret ended", "", 6),
                (
                    "Rotated to …cccc; the old secret could be used until 2027-01-15 08:00:00 UTC",
                    "",
                    5
                ),
                ("Changed: note", "", 4),
                ("Rotated to …bbbb; the old secret ended at once", "", 3),
                ("Changed: name", "", 2),
                ("Issued", "", 1),
            ]
        );
        let rotations = rotations(&events);
        let replaced: Vec<&str> = rotations.iter().map(|rotation| &*rotation.replaced).collect();
        assert_eq!(replaced, ["bbbb", "aaaa"]);
    }
}
