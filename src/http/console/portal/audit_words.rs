//! Changes in words.

use counterfoil_core::{Timestamp, account::Rank, id::AccountId, ledger::Change, token::Token};

/// Every kind of change that an organization's part of the ledger can have, in words.
pub(super) const KINDS: [(&str, &str); 26] = [
    ("token_issued", "Token generated"),
    ("token_changed", "Token changed"),
    ("token_rotated", "Token rotated"),
    ("token_previous_ended", "Old secret ended"),
    ("token_paused", "Token paused"),
    ("token_resumed", "Token resumed"),
    ("token_revoked", "Token revoked"),
    ("token_handed_over", "Token handed over"),
    ("token_imported", "Token imported"),
    ("membership_added", "Joined"),
    ("membership_rank_changed", "Rank changed"),
    ("membership_ended", "Left"),
    ("invitation_made", "Invited"),
    ("invitation_withdrawn", "Invitation withdrawn"),
    ("invitation_accepted", "Invitation accepted"),
    ("account_created", "Account made"),
    ("account_changed", "Account renamed"),
    ("email_set", "E-mail address changed"),
    ("account_disabled", "Account disabled"),
    ("account_enabled", "Account enabled"),
    ("password_set", "Password set"),
    ("second_factor_set", "Second factor set"),
    ("second_factor_removed", "Second factor removed"),
    ("organization_created", "Organization made"),
    ("organization_changed", "Organization renamed"),
    ("organization_closed", "Organization closed"),
];

/// A change in words.
pub(super) struct Words {
    pub(super) what: String,
    /// What there is to say beyond that.
    pub(super) details: String,
    /// Whose name belongs behind it.
    pub(super) account: Option<AccountId>,
}

impl Words {
    pub(super) fn of(kind: &str, change: Option<&Change>) -> Self {
        let known = KINDS.iter().find(|(name, _)| *name == kind);
        let what = known.map_or_else(|| kind.replace('_', " "), |(_, words)| (*words).to_owned());
        let details = change.map_or_else(|| "What it was has been erased".into(), details);
        let account = match change {
            Some(Change::TokenHandedOver { owner, .. }) => Some(*owner),
            Some(Change::InvitationAccepted { account, .. }) => Some(*account),
            _ => None,
        };
        Self { what, details, account }
    }
}

/// What a line has room for; the rest stands in the export.
fn details(change: &Change) -> String {
    match change {
        Change::OrganizationCreated { name, .. }
        | Change::OrganizationChanged { name, .. }
        | Change::AccountCreated { name, .. }
        | Change::AccountChanged { name, .. } => format!("Called {name}"),
        Change::EmailSet { email, .. } => format!("To {email}"),
        Change::OrganizationClosed { .. }
        | Change::AccountDisabled { .. }
        | Change::AccountEnabled { .. }
        | Change::PasswordSet { .. }
        | Change::SecondFactorSet { .. }
        | Change::SecondFactorRemoved { .. }
        | Change::InvitationWithdrawn { .. }
        | Change::MembershipEnded { .. }
        | Change::TokenPreviousEnded { .. }
        | Change::TokenPaused { .. }
        | Change::TokenResumed { .. } => String::new(),
        Change::MembershipAdded { rank, .. } | Change::MembershipRankChanged { rank, .. } => {
            format!("As {}", rank_word(*rank))
        }
        Change::InvitationMade { email: Some(email), rank, .. } => {
            format!("{email}, as {}", rank_word(*rank))
        }
        Change::InvitationMade { rank, .. } => format!("As {}", rank_word(*rank)),
        Change::InvitationAccepted { .. } => "By".into(),
        Change::TokenHandedOver { .. } => "To".into(),
        Change::TokenIssued(token) | Change::TokenImported { token, .. } => issued(token),
        Change::TokenChanged { name, expires_at, .. } => {
            format!("Called {name}, {}", end(*expires_at))
        }
        Change::TokenRotated { last_four, previous_until, .. } => match previous_until {
            Some(until) => format!("To …{last_four}; the old secret until {}", day(*until)),
            None => format!("To …{last_four}; the old secret at once"),
        },
        Change::TokenRevoked { reason, .. } if reason.is_empty() => String::new(),
        Change::TokenRevoked { reason, .. } => format!("Reason: {reason}"),
    }
}

fn issued(token: &Token) -> String {
    format!("For {}, {}", token.api, end(token.expires_at))
}

fn end(at: Option<Timestamp>) -> String {
    at.map_or_else(|| "never expires".into(), |at| format!("until {}", day(at)))
}

fn day(at: Timestamp) -> String {
    crate::http::console::when::day(at)
}

fn rank_word(rank: Rank) -> &'static str {
    match rank {
        Rank::Administrator => "administrator",
        Rank::Member => "member",
    }
}
