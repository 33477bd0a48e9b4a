//! What can change, and who asks for it.

use crate::{
    Timestamp,
    account::{AccountKind, Email, Rank},
    id::{AccountId, InvitationId, OrganizationId, SessionId, TokenId},
    network::Network,
    token::{Digest, Grant, Token},
};
use serde::{Deserialize, Serialize};

/// One change to what Counterfoil knows, in full.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Change {
    /// A customer began.
    OrganizationCreated {
        /// Which.
        organization: OrganizationId,
        /// What it is called.
        name: String,
        /// What somebody else's system calls it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        external_id: Option<Box<str>>,
    },
    /// What an organization is called was changed: both of it as it is now.
    OrganizationChanged {
        /// Which.
        organization: OrganizationId,
        /// How often it has been changed so, this time included: what was decided on
        /// anything older is not made.
        revision: u64,
        /// What it is called.
        name: String,
        /// What somebody else's system calls it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        external_id: Option<Box<str>>,
    },
    /// A customer ended; its tokens end with it.
    OrganizationClosed {
        /// Which.
        organization: OrganizationId,
    },
    /// An account began.
    AccountCreated {
        /// Which.
        account: AccountId,
        /// Person or program. The kind of the change itself takes the name `kind`.
        account_kind: AccountKind,
        /// Its address; without one it cannot sign in, nor use `basic`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        email: Option<Email>,
        /// What it is called.
        name: String,
        /// What somebody else's system calls it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        external_id: Option<Box<str>>,
    },
    /// What an account is called was changed: both of it as it is now.
    AccountChanged {
        /// Which.
        account: AccountId,
        /// How often it has been changed so, this time included: what was decided on
        /// anything older is not made.
        revision: u64,
        /// What it is called.
        name: String,
        /// What somebody else's system calls it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        external_id: Option<Box<str>>,
    },
    /// An account has another address from now on.
    EmailSet {
        /// Which.
        account: AccountId,
        /// Its address.
        email: Email,
    },
    /// An account, and every token it owns, stopped.
    AccountDisabled {
        /// Which.
        account: AccountId,
    },
    /// A disabled account came back, its tokens too.
    AccountEnabled {
        /// Which.
        account: AccountId,
    },
    /// An account's password was set.
    PasswordSet {
        /// Which account's.
        account: AccountId,
        /// The Argon2id hash, in PHC string form.
        hash: String,
        /// Whether by a link that was mailed to the account's address: whoever did it reads
        /// the mail there.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        by_mail: bool,
    },
    /// An account has a second factor from now on. Its secret is not in the ledger.
    SecondFactorSet {
        /// Which account.
        account: AccountId,
    },
    /// An account has no second factor any more.
    SecondFactorRemoved {
        /// Which account.
        account: AccountId,
    },
    /// An account joined an organization.
    MembershipAdded {
        /// Which organization.
        organization: OrganizationId,
        /// Which account.
        account: AccountId,
        /// As what.
        rank: Rank,
    },
    /// A member's rank changed.
    MembershipRankChanged {
        /// In which organization.
        organization: OrganizationId,
        /// Whose.
        account: AccountId,
        /// To what.
        rank: Rank,
    },
    /// An account left an organization; its tokens there stop.
    MembershipEnded {
        /// Which organization.
        organization: OrganizationId,
        /// Which account.
        account: AccountId,
    },
    /// Whoever has the link's secret may join an organization.
    InvitationMade {
        /// Which.
        invitation: InvitationId,
        /// Into which organization.
        organization: OrganizationId,
        /// For whom, where that was said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        email: Option<Email>,
        /// As what.
        rank: Rank,
        /// The digest of the link's secret.
        digest: Digest,
        /// From when on it is refused.
        expires_at: Timestamp,
    },
    /// An invitation that nobody has accepted was taken back.
    InvitationWithdrawn {
        /// Which.
        invitation: InvitationId,
        /// Into which organization.
        organization: OrganizationId,
    },
    /// An invitation was used up. That the account joined is a change of its own.
    InvitationAccepted {
        /// Which.
        invitation: InvitationId,
        /// Into which organization.
        organization: OrganizationId,
        /// By whom.
        account: AccountId,
    },
    /// A token began.
    TokenIssued(Box<Token>),
    /// A token that somebody else had issued goes on here, under its old secret.
    TokenImported {
        /// The token.
        token: Box<Token>,
        /// Where it comes from.
        from: ImportSource,
        /// How many bits of entropy its secret has, in the word of whoever imported it.
        entropy_bits: u16,
        /// Whether it is held back from its first moment here on.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        paused: bool,
    },
    /// What is not the secret of a token was changed: all of it as it is now.
    TokenChanged {
        /// Which.
        token: TokenId,
        /// Whose.
        organization: OrganizationId,
        /// How often it has been changed so, this time included: what was decided on
        /// anything older is not made.
        revision: u64,
        /// What people call it.
        name: String,
        /// What it is for.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        note: String,
        /// What it may do.
        grant: Grant,
        /// When it ends.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_at: Option<Timestamp>,
        /// Where it may be used from.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        allowed_networks: Vec<Network>,
        /// What somebody else's system calls it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        external_id: Option<Box<str>>,
        /// What somebody else's system keeps with it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        metadata: Option<serde_json::Value>,
    },
    /// A token is held back.
    TokenPaused {
        /// Which.
        token: TokenId,
        /// Whose.
        organization: OrganizationId,
    },
    /// A paused token is accepted again.
    TokenResumed {
        /// Which.
        token: TokenId,
        /// Whose.
        organization: OrganizationId,
    },
    /// A token has a new secret.
    TokenRotated {
        /// Which.
        token: TokenId,
        /// Whose.
        organization: OrganizationId,
        /// How often it had been changed when this was decided.
        #[serde(default)]
        revision: u64,
        /// The digest that was current before.
        replaces: Digest,
        /// Until when the secret before works; at once refused, when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        previous_until: Option<Timestamp>,
        /// The new digest.
        digest: Digest,
        /// What the new secret begins with; the API's prefix may have changed.
        prefix: Box<str>,
        /// What the new secret ends with.
        last_four: Box<str>,
    },
    /// The secret before a token's last rotation ended earlier than it would have.
    TokenPreviousEnded {
        /// Which.
        token: TokenId,
        /// Whose.
        organization: OrganizationId,
        /// The digest of the secret that ended.
        previous: Digest,
    },
    /// A token has another owner, of the same organization.
    TokenHandedOver {
        /// Which.
        token: TokenId,
        /// Whose.
        organization: OrganizationId,
        /// Who owns it from now on.
        owner: AccountId,
    },
    /// A token ended.
    TokenRevoked {
        /// Which.
        token: TokenId,
        /// Whose.
        organization: OrganizationId,
        /// Why, in somebody's words.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        reason: String,
    },
}

/// What kept an imported token before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImportSource {
    /// Somebody's own table, with SHA-256 of each secret.
    Sha256,
    /// Django REST framework's `authtoken`.
    DrfAuthtoken,
    /// django-rest-knox.
    Knox,
    /// better-auth's plugin `api-key`.
    BetterAuth,
}

/// What a change is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// An organization.
    Organization(OrganizationId),
    /// An account.
    Account(AccountId),
    /// A token.
    Token(TokenId),
    /// An invitation.
    Invitation(InvitationId),
}

impl Subject {
    /// The bytes of the id.
    pub fn id(&self) -> &[u8; 16] {
        match self {
            Self::Organization(id) => id.as_bytes(),
            Self::Account(id) => id.as_bytes(),
            Self::Token(id) => id.as_bytes(),
            Self::Invitation(id) => id.as_bytes(),
        }
    }
}

impl Change {
    /// The kind, as the entry names it.
    pub fn kind(&self) -> &'static str {
        self.named().0
    }

    /// Since which version of the list of kinds there is this one: who knows an earlier one
    /// cannot apply it. See [`KNOWS`](super::KNOWS).
    pub fn since(&self) -> u32 {
        self.named().1
    }

    fn named(&self) -> (&'static str, u32) {
        match self {
            Self::OrganizationCreated { .. } => ("organization_created", 1),
            Self::OrganizationChanged { .. } => ("organization_changed", 1),
            Self::OrganizationClosed { .. } => ("organization_closed", 1),
            Self::AccountCreated { .. } => ("account_created", 1),
            Self::AccountChanged { .. } => ("account_changed", 1),
            Self::EmailSet { .. } => ("email_set", 2),
            Self::AccountDisabled { .. } => ("account_disabled", 1),
            Self::AccountEnabled { .. } => ("account_enabled", 1),
            Self::PasswordSet { .. } => ("password_set", 1),
            Self::SecondFactorSet { .. } => ("second_factor_set", 1),
            Self::SecondFactorRemoved { .. } => ("second_factor_removed", 1),
            Self::MembershipAdded { .. } => ("membership_added", 1),
            Self::MembershipRankChanged { .. } => ("membership_rank_changed", 1),
            Self::MembershipEnded { .. } => ("membership_ended", 1),
            Self::InvitationMade { .. } => ("invitation_made", 1),
            Self::InvitationWithdrawn { .. } => ("invitation_withdrawn", 1),
            Self::InvitationAccepted { .. } => ("invitation_accepted", 1),
            Self::TokenIssued(_) => ("token_issued", 1),
            Self::TokenImported { .. } => ("token_imported", 1),
            Self::TokenChanged { .. } => ("token_changed", 1),
            Self::TokenPaused { .. } => ("token_paused", 1),
            Self::TokenResumed { .. } => ("token_resumed", 1),
            Self::TokenRotated { .. } => ("token_rotated", 1),
            Self::TokenPreviousEnded { .. } => ("token_previous_ended", 1),
            Self::TokenHandedOver { .. } => ("token_handed_over", 1),
            Self::TokenRevoked { .. } => ("token_revoked", 1),
        }
    }

    /// The organization whose part of the ledger this belongs to; none for what
    /// concerns an account as such, which is the operator's.
    pub fn organization(&self) -> Option<OrganizationId> {
        match self {
            Self::AccountCreated { .. }
            | Self::AccountChanged { .. }
            | Self::EmailSet { .. }
            | Self::AccountDisabled { .. }
            | Self::AccountEnabled { .. }
            | Self::PasswordSet { .. }
            | Self::SecondFactorSet { .. }
            | Self::SecondFactorRemoved { .. } => None,
            Self::OrganizationCreated { organization, .. }
            | Self::OrganizationChanged { organization, .. }
            | Self::OrganizationClosed { organization }
            | Self::MembershipAdded { organization, .. }
            | Self::MembershipRankChanged { organization, .. }
            | Self::MembershipEnded { organization, .. }
            | Self::InvitationMade { organization, .. }
            | Self::InvitationWithdrawn { organization, .. }
            | Self::InvitationAccepted { organization, .. }
            | Self::TokenChanged { organization, .. }
            | Self::TokenPaused { organization, .. }
            | Self::TokenResumed { organization, .. }
            | Self::TokenRotated { organization, .. }
            | Self::TokenPreviousEnded { organization, .. }
            | Self::TokenHandedOver { organization, .. }
            | Self::TokenRevoked { organization, .. } => Some(*organization),
            Self::TokenIssued(token) | Self::TokenImported { token, .. } => {
                Some(token.organization)
            }
        }
    }

    /// What it is about.
    pub fn subject(&self) -> Subject {
        match self {
            Self::OrganizationCreated { organization, .. }
            | Self::OrganizationChanged { organization, .. }
            | Self::OrganizationClosed { organization } => Subject::Organization(*organization),
            Self::AccountCreated { account, .. }
            | Self::AccountChanged { account, .. }
            | Self::EmailSet { account, .. }
            | Self::AccountDisabled { account }
            | Self::AccountEnabled { account }
            | Self::PasswordSet { account, .. }
            | Self::SecondFactorSet { account }
            | Self::SecondFactorRemoved { account }
            | Self::MembershipAdded { account, .. }
            | Self::MembershipRankChanged { account, .. }
            | Self::MembershipEnded { account, .. } => Subject::Account(*account),
            Self::InvitationMade { invitation, .. }
            | Self::InvitationWithdrawn { invitation, .. }
            | Self::InvitationAccepted { invitation, .. } => Subject::Invitation(*invitation),
            Self::TokenIssued(token) | Self::TokenImported { token, .. } => {
                Subject::Token(token.id)
            }
            Self::TokenChanged { token, .. }
            | Self::TokenPaused { token, .. }
            | Self::TokenResumed { token, .. }
            | Self::TokenRotated { token, .. }
            | Self::TokenPreviousEnded { token, .. }
            | Self::TokenHandedOver { token, .. }
            | Self::TokenRevoked { token, .. } => Subject::Token(*token),
        }
    }
}

/// Who asked for a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    /// Who runs Counterfoil, on its machine.
    Operator,
    /// Whoever showed a secret that had leaked, to have it ended.
    LeakReport,
    /// An account, with a token of the management API.
    Token {
        /// Whose token.
        account: AccountId,
        /// Which.
        token: TokenId,
    },
    /// An account, in the console.
    Session {
        /// Whose session.
        account: AccountId,
        /// Which.
        session: SessionId,
    },
}

impl Actor {
    /// The token with which it was asked for, where it was one.
    pub fn token(&self) -> Option<TokenId> {
        match self {
            Self::Token { token, .. } => Some(*token),
            Self::Operator | Self::LeakReport | Self::Session { .. } => None,
        }
    }
}
