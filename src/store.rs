//! The store: what is kept, and how it changes. All SQL lives below this module.
//!
//! State is a function of the ledger: the one way to change anything is
//! [`Store::commit`], which appends a ledger entry for each change in the
//! transaction that makes it.

mod loading;
mod nodes;
pub(crate) mod postgres;
mod sign_in;
pub(crate) mod sqlite;
mod token_list;
mod written;

pub(crate) use nodes::{
    Aimed, ConfigurationDigest, Followed, Heard, Joining, Line, ListedNode, Nodes, Roster,
};
pub(crate) use sign_in::{
    Credentials, LinkPurpose, MOST_SESSIONS, Shown, SignInStore, StoredLink, StoredSecondFactor,
    StoredSession,
};
pub(crate) use token_list::{LEAKED, TokenAfter, TokenList, TokenOrder};

#[cfg(test)]
pub(crate) mod conformance;

use crate::{
    refusals::StoredRefusal,
    usage::{LastUse, LastUses, Origin, StoredCount, TokenUsage},
};
use async_trait::async_trait;
use counterfoil_core::{
    Timestamp,
    account::{AccountKind, Email, Rank},
    id::{AccountId, InvitationId, OrganizationId, RequestId, TokenId},
    index::Index,
    ledger::{Actor, Change, Entry, EntryHash, Head, Salt},
    token::{Digest, Previous, Token},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{collections::HashMap, fmt, path::PathBuf, sync::Arc};

/// Changes that are made together or not at all.
#[derive(Debug)]
pub(crate) struct Order {
    /// When they are made.
    pub(crate) at: Timestamp,
    /// Who asks for them.
    pub(crate) actor: Actor,
    /// What somebody still has to be when they are made.
    pub(crate) standing: Option<Standing>,
    /// What else still has to be so.
    pub(crate) grounds: Vec<Ground>,
    /// The changes, each with the entropy of its commitment.
    pub(crate) changes: Vec<(Change, Salt)>,
    /// What is remembered with them, so that nobody asks twice for the same.
    pub(crate) once: Option<Once>,
}

impl Order {
    /// Which version of the list of kinds has to be known for what it changes to be applied.
    fn needs(&self) -> u32 {
        self.changes.iter().map(|(change, _)| change.since()).max().unwrap_or_default()
    }
}

/// Somebody's rank in an organization, on which a decision rests: they are a live member there
/// who may do as much as this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) organization: OrganizationId,
    pub(crate) account: AccountId,
    pub(crate) rank: Rank,
}

/// What an order rests on beside who asks for it: where it is not so any more, whichever node has
/// changed it, nothing is made, and that is a conflict.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Ground {
    /// There is no organization. Of several orders that rest on it one is made.
    NoOrganization,
    /// The hash of an account's password is still this one.
    Password(AccountId, String),
    /// A link with this secret works. With the order it is used up.
    Link(Digest),
}

impl fmt::Debug for Ground {
    /// Without the hash.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoOrganization => "NoOrganization",
            Self::Password(..) => "Password",
            Self::Link(_) => "Link",
        })
    }
}

/// A token that was asked for under a key: whoever asks again under that key is
/// told of this one. Kept beside the ledger, for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Once {
    /// Digest of the key and of who used it.
    pub(crate) key: Digest,
    /// Digest of what was asked for.
    pub(crate) request: Digest,
    /// What came of it.
    pub(crate) token: TokenId,
}

/// What the database said no with.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum StoreError {
    /// What the change was decided on is no longer so: look again, decide again.
    #[error("what the change was based on has changed in the meantime")]
    Conflict,
    /// Whoever decided may not do so any more: see [`Standing`].
    #[error("whoever asks for the change may not make it any more")]
    Outranked,
    /// Whether it was done is not known.
    #[error("whether the change was made is unknown")]
    Unknown,
    /// Nothing was changed: not every node could have applied it.
    #[error("a node that shares the database is of an older version, and could not apply this")]
    OlderNodes,
    /// Nothing was changed, and it is not the caller's fault.
    #[error("the database cannot do this now: {0}")]
    Unavailable(String),
}

/// An organization as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredOrganization {
    pub(crate) id: OrganizationId,
    pub(crate) name: String,
    pub(crate) external_id: Option<Box<str>>,
    pub(crate) created_at: Timestamp,
    pub(crate) closed_at: Option<Timestamp>,
    /// How often it has been changed.
    pub(crate) revision: u64,
}

/// An account as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredAccount {
    pub(crate) id: AccountId,
    pub(crate) kind: AccountKind,
    pub(crate) email: Option<Email>,
    pub(crate) name: String,
    pub(crate) external_id: Option<Box<str>>,
    pub(crate) has_password: bool,
    /// As the ledger says.
    pub(crate) has_second_factor: bool,
    /// Whether the address is known to be theirs: the operator made the account or set its
    /// password, or that was set by a link mailed there. An administrator can have an account
    /// made of any address.
    pub(crate) address_proven: bool,
    pub(crate) created_at: Timestamp,
    pub(crate) disabled_at: Option<Timestamp>,
    /// How often it has been changed.
    pub(crate) revision: u64,
}

/// A membership as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredMembership {
    pub(crate) organization: OrganizationId,
    pub(crate) account: AccountId,
    pub(crate) rank: Rank,
    pub(crate) joined_at: Timestamp,
    pub(crate) ended_at: Option<Timestamp>,
}

/// An invitation as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredInvitation {
    pub(crate) id: InvitationId,
    pub(crate) organization: OrganizationId,
    /// For whom, where that was said.
    pub(crate) email: Option<Email>,
    pub(crate) rank: Rank,
    /// Of the link's secret.
    pub(crate) digest: Digest,
    pub(crate) created_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    /// When, and by whom.
    pub(crate) accepted: Option<(Timestamp, AccountId)>,
    pub(crate) withdrawn_at: Option<Timestamp>,
}

impl StoredInvitation {
    /// Whether it can still be accepted at the moment `now`, as far as it is up to itself:
    /// its organization may have been closed.
    pub(crate) fn is_open(&self, now: Timestamp) -> bool {
        self.accepted.is_none() && self.withdrawn_at.is_none() && now < self.expires_at
    }
}

/// A token as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredToken {
    pub(crate) token: Token,
    pub(crate) previous: Option<Previous>,
    pub(crate) paused_at: Option<Timestamp>,
    pub(crate) revoked_at: Option<Timestamp>,
    pub(crate) revoke_reason: String,
    /// As far as it is written down, or told of with [`StoredToken::used`].
    pub(crate) last_used: Option<LastUse>,
    /// The same, with the present secret.
    pub(crate) present_last_used: Option<LastUse>,
    /// The same, with the secret before the last rotation, of which it may be from before.
    pub(crate) previous_last_used: Option<LastUse>,
    /// How often it has been changed.
    pub(crate) revision: u64,
}

impl StoredToken {
    /// A token that has just been issued.
    pub(crate) fn new(token: Token) -> Self {
        Self {
            token,
            previous: None,
            paused_at: None,
            revoked_at: None,
            revoke_reason: String::new(),
            last_used: None,
            present_last_used: None,
            previous_last_used: None,
            revision: 0,
        }
    }

    /// Notes uses that may be later than the last that are known.
    pub(crate) fn used(&mut self, uses: LastUses) {
        let present = self.token.digest.mark();
        let previous = self.previous.map(|previous| previous.digest.mark());
        for found in uses.present.into_iter().chain(uses.previous.map(|last| *last)) {
            let half = match found.secret {
                Some(secret) if secret == present => Some(&mut self.present_last_used),
                Some(secret) if Some(secret) == previous => Some(&mut self.previous_last_used),
                _ => None,
            };
            for kept in half.into_iter().chain([&mut self.last_used]) {
                if kept.as_ref().is_none_or(|kept| kept.at < found.at) {
                    *kept = Some(found.clone());
                }
            }
        }
    }

    /// What the token is at the moment `now`.
    pub(crate) fn state_at(&self, now: Timestamp) -> TokenState {
        if self.revoked_at.is_some() {
            TokenState::Revoked
        } else if self.token.expires_at.is_some_and(|end| now >= end) {
            TokenState::Expired
        } else if self.paused_at.is_some() {
            TokenState::Paused
        } else {
            TokenState::Active
        }
    }
}

/// A token's state as people name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TokenState {
    /// It works.
    Active,
    /// It is held back until it is resumed.
    Paused,
    /// Its time is over.
    Expired,
    /// It was ended for good.
    Revoked,
}

/// A part of a list, in the order of ids: at most `limit` items behind `after`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Page<Id> {
    pub(crate) after: Option<Id>,
    pub(crate) limit: u32,
}

/// Which tokens to list; what is absent does not matter.
#[derive(Debug, Clone, Default)]
pub(crate) struct TokenFilter {
    pub(crate) api: Option<String>,
    pub(crate) external_id: Option<String>,
    /// A field of the metadata, by its name, and what it is: a text, or as JSON writes it.
    pub(crate) metadata: Option<(String, String)>,
    /// Whose secret this is of, or was before a rotation.
    pub(crate) digest: Option<Digest>,
    pub(crate) organization: Option<OrganizationId>,
    pub(crate) owner: Option<AccountId>,
    /// What [`StoredToken::state_at`] this moment gives.
    pub(crate) state: Option<(TokenState, Timestamp)>,
    /// Made before this moment, and not used since.
    pub(crate) unused_since: Option<Timestamp>,
    pub(crate) expires_before: Option<Timestamp>,
}

/// Which counts to list.
#[derive(Debug, Clone)]
pub(crate) struct UsageFilter {
    pub(crate) token: Option<TokenId>,
    pub(crate) api: Option<String>,
    pub(crate) organization: Option<OrganizationId>,
    pub(crate) owner: Option<AccountId>,
    /// Only hours that begin then or later.
    pub(crate) from: Timestamp,
    /// Only hours that begin before.
    pub(crate) to: Timestamp,
}

/// What counts are ordered by: token, hour and outcome.
pub(crate) type UsageKey = (TokenId, Timestamp, String);

/// What tells where a request came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OriginKind {
    Address,
    UserAgent,
    /// Method and path: some of them, seen when usage is written.
    Route,
}

/// Which organizations to list; what is absent does not matter.
#[derive(Debug, Clone, Default)]
pub(crate) struct OrganizationFilter {
    pub(crate) name: Option<String>,
    pub(crate) external_id: Option<String>,
}

/// Which accounts to list; what is absent does not matter.
#[derive(Debug, Clone, Default)]
pub(crate) struct AccountFilter {
    pub(crate) external_id: Option<String>,
    /// Members of this organization.
    pub(crate) organization: Option<OrganizationId>,
    /// This one alone.
    pub(crate) account: Option<AccountId>,
    pub(crate) kind: Option<AccountKind>,
    /// Part of the name or the address, ASCII case aside.
    pub(crate) search: Option<String>,
}

/// Which memberships to list.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct MembershipFilter {
    pub(crate) organization: Option<OrganizationId>,
    pub(crate) account: Option<AccountId>,
    /// Ended ones, and those in closed organizations, too.
    pub(crate) with_past: bool,
}

/// Which invitations to list.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InvitationFilter {
    pub(crate) organization: OrganizationId,
    /// Only those that can be accepted at this moment.
    pub(crate) open_at: Option<Timestamp>,
}

/// An entry of the ledger as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredEntry {
    pub(crate) entry: Entry,
    /// The change in full; none once that is erased.
    pub(crate) change: Option<Change>,
}

/// A link of the ledger's chain, as it is stored: nobody has to be able to read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) number: u64,
    /// What is chained: the entry's very bytes.
    pub(crate) entry: Vec<u8>,
    pub(crate) hash: EntryHash,
}

/// Which entries of the ledger to list; what is absent does not matter.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct EntryFilter {
    /// Those that concern this organization: its own part, and what became of its
    /// service accounts and members as accounts. Their passwords and second factors
    /// are theirs.
    pub(crate) organization: Option<OrganizationId>,
    /// The id of what they are about.
    pub(crate) subject: Option<[u8; 16]>,
    /// The token with which they were asked for.
    pub(crate) actor: Option<TokenId>,
}

/// What an inspection of the ledger found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Inspection {
    /// The head, as far as the chain could be followed.
    pub(crate) head: Head,
    /// What is wrong; nothing, when chain and state agree.
    pub(crate) findings: Vec<String>,
}

/// A copy of all that is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Copied {
    pub(crate) file: PathBuf,
    /// The ledger's head there.
    pub(crate) head: Head,
}

/// Called now and then with how much is done, and of how much.
pub(crate) type Progress = Box<dyn Fn(u64, u64) + Send>;

/// Told of every order once it is durable, with the ledger's head behind it, in
/// the ledger's order and before whoever asked is answered.
pub(crate) type Follower = Box<dyn FnMut(&Order, Head) + Send>;

/// What is kept. One conformance suite runs over every implementation.
#[async_trait]
pub(crate) trait Store: SignInStore {
    /// Makes changes, durably, and tells the ledger's head behind them. They
    /// have reached this node's index when this returns.
    async fn commit(&self, order: Order) -> Result<Head, StoreError>;

    /// The same for an order of many changes, telling now and then how many of
    /// them are made.
    async fn commit_large(&self, order: Order, progress: Progress) -> Result<Head, StoreError>;

    /// Fills an empty index with the state, all of it from one snapshot.
    async fn load(&self, index: Arc<Index>, progress: Progress) -> Result<Head, StoreError>;

    /// One organization.
    async fn organization(
        &self,
        id: OrganizationId,
    ) -> Result<Option<StoredOrganization>, StoreError>;
    /// Organizations in the order of their ids.
    async fn organizations(
        &self,
        filter: OrganizationFilter,
        page: Page<OrganizationId>,
    ) -> Result<Vec<StoredOrganization>, StoreError>;

    /// One account.
    async fn account(&self, id: AccountId) -> Result<Option<StoredAccount>, StoreError>;
    /// The account with this address.
    async fn account_by_email(&self, email: Email) -> Result<Option<StoredAccount>, StoreError>;
    /// Accounts in the order of their ids.
    async fn accounts(
        &self,
        filter: AccountFilter,
        page: Page<AccountId>,
    ) -> Result<Vec<StoredAccount>, StoreError>;

    /// Memberships in the order of organization and account.
    async fn memberships(
        &self,
        filter: MembershipFilter,
        page: Page<(OrganizationId, AccountId)>,
    ) -> Result<Vec<StoredMembership>, StoreError>;

    /// The organizations that an account belongs to and that are open, by name.
    async fn organizations_of(
        &self,
        account: AccountId,
    ) -> Result<Vec<(StoredOrganization, Rank)>, StoreError>;

    /// One invitation.
    async fn invitation(&self, id: InvitationId) -> Result<Option<StoredInvitation>, StoreError>;
    /// The invitation whose link has this secret.
    async fn invitation_by_digest(
        &self,
        digest: Digest,
    ) -> Result<Option<StoredInvitation>, StoreError>;
    /// Invitations, the newest first: those behind `page.after` are older.
    async fn invitations(
        &self,
        filter: InvitationFilter,
        page: Page<InvitationId>,
    ) -> Result<Vec<StoredInvitation>, StoreError>;

    /// One token.
    async fn token(&self, id: TokenId) -> Result<Option<StoredToken>, StoreError>;
    /// Tokens in the order of their ids: that of their making, to the millisecond.
    async fn tokens(
        &self,
        filter: TokenFilter,
        page: Page<TokenId>,
    ) -> Result<Vec<StoredToken>, StoreError>;

    /// An organization's tokens, in some order.
    async fn list_tokens(&self, list: TokenList) -> Result<Vec<StoredToken>, StoreError>;

    /// Those of `digests` that are a token's, whatever its state, or once were; with
    /// the token, where it has not ended at `now`.
    async fn known_digests(
        &self,
        digests: Vec<Digest>,
        now: Timestamp,
    ) -> Result<HashMap<Digest, Option<TokenId>>, StoreError>;

    /// The ledger's head.
    async fn head(&self) -> Result<Head, StoreError>;
    /// Entries of the ledger behind the one of number `after`, in their order.
    async fn entries(
        &self,
        filter: EntryFilter,
        after: u64,
        limit: u32,
    ) -> Result<Vec<StoredEntry>, StoreError>;
    /// The same in front of the one of number `before`, the latest first.
    async fn entries_before(
        &self,
        filter: EntryFilter,
        before: u64,
        limit: u32,
    ) -> Result<Vec<StoredEntry>, StoreError>;
    /// Links of the chain behind the one of number `after`, in their order.
    async fn chain(&self, after: u64, limit: u32) -> Result<Vec<Link>, StoreError>;

    /// What was asked for under this key, if it was and is not too long ago.
    async fn once(&self, key: Digest) -> Result<Option<Once>, StoreError>;
    /// Forgets what was asked for before `end`, `most` at a time; whether there may be more.
    async fn forget_once(&self, end: Timestamp, most: u32) -> Result<bool, StoreError>;

    /// Keeps refusals; they are no part of the ledger.
    async fn keep_refusals(&self, refusals: Vec<StoredRefusal>) -> Result<(), StoreError>;
    /// One refusal.
    async fn refusal(&self, id: RequestId) -> Result<Option<StoredRefusal>, StoreError>;
    /// Forgets refusals from before `end`, and all but the latest `most`, roughly.
    async fn forget_refusals(&self, end: Timestamp, most: u32) -> Result<(), StoreError>;

    /// Adds to what is known of what tokens did; it is no part of the ledger.
    async fn keep_usage(&self, usage: Arc<[(TokenId, TokenUsage)]>) -> Result<(), StoreError>;
    /// Counts in the order of token, hour and outcome.
    async fn usage(
        &self,
        filter: UsageFilter,
        page: Page<UsageKey>,
    ) -> Result<Vec<StoredCount>, StoreError>;
    /// Where a token's requests came from since that day, the latest first.
    async fn origins(
        &self,
        token: TokenId,
        kind: OriginKind,
        since: Timestamp,
    ) -> Result<Vec<Origin<String>>, StoreError>;
    /// Forgets what is from before `end`, `most` rows of a kind at a time; of a
    /// last use only when it was stays. Whether there may be more.
    async fn forget_usage(&self, end: Timestamp, most: u32) -> Result<bool, StoreError>;

    /// Recomputes the chain and replays it against the state.
    async fn inspect_ledger(&self, progress: Progress) -> Result<Inspection, StoreError>;

    /// Makes a copy of all that is stored, from one snapshot, in a file beside the database; none
    /// of a database that is not this process's to copy.
    async fn copy(&self, _progress: Progress) -> Result<Option<Copied>, StoreError> {
        Ok(None)
    }

    /// What a node asks of it, where several share it.
    fn nodes(self: Arc<Self>) -> Option<Arc<dyn Nodes>> {
        None
    }

    /// Ends it: what was accepted is made, nothing more is accepted.
    async fn close(&self);
}

/// How many rows are deleted in one transaction, and in how many transactions at a time.
const DELETED: u32 = 1_000;
const DELETIONS: usize = 100;

/// Has something forgotten in transactions so small that changes come in between, until
/// there is no more, or enough for now.
pub(crate) async fn forget_bit_by_bit<F>(forget: impl Fn(u32) -> F) -> Result<(), StoreError>
where
    F: Future<Output = Result<bool, StoreError>>,
{
    for _ in 0..DELETIONS {
        if !forget(DELETED).await? {
            break;
        }
        tokio::task::yield_now().await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[tokio::test]
    async fn forgetting_ends_where_there_is_no_more_or_enough() {
        for (left, expected) in [(0, 1), (7, 8), (usize::MAX, DELETIONS)] {
            let left = Cell::new(left);
            let asked = Cell::new(0);
            let forget = async |most| {
                assert_eq!(most, DELETED);
                asked.set(asked.get() + 1);
                Ok(left.replace(left.get().saturating_sub(1)) > 0)
            };
            forget_bit_by_bit(forget).await.unwrap();
            assert_eq!(asked.get(), expected);
        }
    }
}
