//! What signing in needs to be kept: sessions, one-time links, second factors. All of it
//! stands beside the ledger; who there is to sign in, and with which password, is in it.

use super::{Page, StoreError};
use async_trait::async_trait;
use counterfoil_core::{
    Timestamp,
    account::{AccountKind, Email},
    id::{AccountId, OrganizationId, SessionId},
    token::Digest,
};
use std::{fmt, net::IpAddr};

/// How many sessions of an account there are at most: whole ones, and as many that wait for the
/// second factor.
pub(crate) const MOST_SESSIONS: u32 = 100;

/// What proves that somebody is an account. Nothing prints it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) account: AccountId,
    pub(crate) kind: AccountKind,
    pub(crate) is_disabled: bool,
    /// The Argon2id hash, in PHC string form.
    pub(crate) password_hash: Option<String>,
    /// Whether the ledger says that there is a second factor. Who signs in is asked for the
    /// one that [`SignInStore::second_factor`] finds; where there is none although this says
    /// so, nobody gets in.
    pub(crate) has_second_factor: bool,
}

/// What somebody has shown who begins a session.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Shown {
    /// The hash of the password that was right.
    pub(crate) password_hash: String,
    /// Whether a code of the second factor was right, too, or is not asked for.
    pub(crate) code: bool,
}

/// Somebody's session in the console.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredSession {
    /// Of the secret that opens it.
    pub(crate) digest: Digest,
    pub(crate) id: SessionId,
    pub(crate) account: AccountId,
    /// The organization that is looked at.
    pub(crate) organization: Option<OrganizationId>,
    pub(crate) created_at: Timestamp,
    pub(crate) last_seen_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    pub(crate) address: Option<IpAddr>,
    pub(crate) user_agent: Option<String>,
    /// Where not, the password was right, and the second factor is still to come.
    pub(crate) is_complete: bool,
}

/// What a one-time link is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LinkPurpose {
    /// To make the first organization and its administrator.
    SetUp,
    /// To set this account's password.
    Reset(AccountId),
}

/// A link that works once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StoredLink {
    /// Of its secret.
    pub(crate) digest: Digest,
    pub(crate) purpose: LinkPurpose,
    pub(crate) expires_at: Timestamp,
}

/// An account's second factor: one-time passwords by the clock, and codes for when whatever
/// tells them is lost.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct StoredSecondFactor {
    pub(crate) account: AccountId,
    /// What the passwords are made from.
    pub(crate) secret: Vec<u8>,
    /// Whether it was used once, so that it can be asked for.
    pub(crate) is_confirmed: bool,
    /// The step of the last password that was used: none is used twice, nor an earlier one.
    pub(crate) last_step: u64,
    /// Digests of the recovery codes that are left, in their order.
    pub(crate) recovery: Vec<Digest>,
}

impl fmt::Debug for StoredSecondFactor {
    /// Without the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut factor = f.debug_struct("StoredSecondFactor");
        factor.field("account", &self.account).field("is_confirmed", &self.is_confirmed);
        factor.finish_non_exhaustive()
    }
}

/// What is kept of those who sign in. The conformance suite runs over every implementation.
#[async_trait]
pub(crate) trait SignInStore: Send + Sync + 'static {
    /// What proves that somebody is this account.
    async fn credentials(&self, account: AccountId) -> Result<Option<Credentials>, StoreError>;
    /// The same for the account with this address.
    async fn credentials_by_email(&self, email: Email) -> Result<Option<Credentials>, StoreError>;

    /// Keeps a new session, unless its account is disabled or, where it is said what was
    /// `shown`, has another password by now, or a second factor of which no code was: what is
    /// set ends all sessions, and none that began without it may come behind that. Of all but
    /// the newest [`MOST_SESSIONS`] of the account, wholly begun or half as this one, it takes
    /// the place. Whether it was kept.
    async fn keep_session(
        &self,
        session: StoredSession,
        shown: Option<Shown>,
    ) -> Result<bool, StoreError>;
    /// Ends a session of the same account and keeps a new one instead, both or neither: not
    /// where it has ended already, or the account is disabled. Whether it was done.
    async fn replace_session(
        &self,
        ended: SessionId,
        session: StoredSession,
    ) -> Result<bool, StoreError>;
    /// The session that this secret opens, unless it is over at `now`.
    async fn session(
        &self,
        digest: Digest,
        now: Timestamp,
    ) -> Result<Option<StoredSession>, StoreError>;
    /// The session of this id, unless it is over at `now`.
    async fn session_by_id(
        &self,
        id: SessionId,
        now: Timestamp,
    ) -> Result<Option<StoredSession>, StoreError>;
    /// An account's sessions that are not over at `now`, the newest first.
    async fn sessions(
        &self,
        account: AccountId,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<StoredSession>, StoreError>;
    /// Those of an organization's members, in the order of account and session.
    async fn sessions_of_members(
        &self,
        organization: OrganizationId,
        now: Timestamp,
        page: Page<(AccountId, SessionId)>,
    ) -> Result<Vec<StoredSession>, StoreError>;
    /// Notes that a session was used, and from where, as far as that is known.
    async fn see_session(
        &self,
        id: SessionId,
        at: Timestamp,
        address: Option<IpAddr>,
    ) -> Result<(), StoreError>;
    /// Has a session look at this organization.
    async fn set_session_organization(
        &self,
        id: SessionId,
        organization: Option<OrganizationId>,
    ) -> Result<(), StoreError>;
    /// Ends a session; whether there was one.
    async fn end_session(&self, id: SessionId) -> Result<bool, StoreError>;
    /// Ends all sessions of an account, but for `kept`, and the links that reset its
    /// password. How many sessions there were.
    async fn end_sessions(
        &self,
        account: AccountId,
        kept: Option<SessionId>,
    ) -> Result<u64, StoreError>;
    /// Forgets sessions and links that are over at `now`, `most` of a kind at a time;
    /// whether there may be more.
    async fn forget_sessions(&self, now: Timestamp, most: u32) -> Result<bool, StoreError>;

    /// Ends every session and every link, of whomever: those that there are have come back with
    /// an older state.
    async fn end_all_sessions(&self) -> Result<(), StoreError>;

    /// Keeps a link; what was kept for the same purpose is good for nothing any more. Where it
    /// is said to which address it is `mailed_to`, only if that is still the account's: what
    /// changes it ends all links, and none may come behind that. Whether it was kept.
    async fn keep_link(
        &self,
        link: StoredLink,
        mailed_to: Option<Email>,
    ) -> Result<bool, StoreError>;
    /// The link with this secret, unless it is over at `now`.
    async fn link(&self, digest: Digest, now: Timestamp) -> Result<Option<StoredLink>, StoreError>;
    /// The same, and it is good for nothing any more: of several who ask one gets it.
    async fn take_link(
        &self,
        digest: Digest,
        now: Timestamp,
    ) -> Result<Option<StoredLink>, StoreError>;

    /// An account's second factor, confirmed or not.
    async fn second_factor(
        &self,
        account: AccountId,
    ) -> Result<Option<StoredSecondFactor>, StoreError>;
    /// Keeps a second factor, unless a confirmed one of another secret is there, or whoever
    /// has a session could take it away; nor is one that is not confirmed kept instead of one
    /// that is. Of the same secret the later last step stays. Whether it was kept.
    ///
    /// A confirmed one is kept before the ledger's change is made, and one that is removed
    /// goes after it. What is asked for is what is kept here: so after a crash in between
    /// somebody may be asked for a factor of which the ledger does not say, or says that it
    /// is gone. Never is one not asked for that the ledger tells of. To set or remove it
    /// once more puts it right, for both changes can be made again.
    async fn keep_second_factor(&self, factor: StoredSecondFactor) -> Result<bool, StoreError>;
    /// Has other recovery codes for the confirmed second factor of this secret, where that is
    /// still there.
    async fn renew_recovery(
        &self,
        account: AccountId,
        secret: Vec<u8>,
        recovery: Vec<Digest>,
    ) -> Result<bool, StoreError>;
    /// Removes an account's second factor, its recovery codes with it.
    async fn remove_second_factor(&self, account: AccountId) -> Result<(), StoreError>;
    /// Uses the password of this step, unless that or a later one has been used.
    async fn use_step(&self, account: AccountId, step: u64) -> Result<bool, StoreError>;
    /// Uses a recovery code, unless it has been used.
    async fn use_recovery(&self, account: AccountId, code: Digest) -> Result<bool, StoreError>;
}
