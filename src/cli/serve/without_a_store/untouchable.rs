//! A store that nobody may touch.

use crate::{
    refusals::StoredRefusal,
    store::{
        AccountFilter, Credentials, EntryFilter, Inspection, InvitationFilter, Link,
        MembershipFilter, Once, Order, OrganizationFilter, OriginKind, Page, Progress, Shown,
        SignInStore, Store, StoreError, StoredAccount, StoredEntry, StoredInvitation, StoredLink,
        StoredMembership, StoredOrganization, StoredSecondFactor, StoredSession, StoredToken,
        TokenFilter, TokenList, UsageFilter, UsageKey,
    },
    usage::{Origin, StoredCount, TokenUsage},
};
use async_trait::async_trait;
use counterfoil_core::{
    Timestamp,
    account::{Email, Rank},
    id::{AccountId, InvitationId, OrganizationId, RequestId, SessionId, TokenId},
    index::Index,
    ledger::Head,
    token::Digest,
};
use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

/// Panics at every touch, and counts them: a panic in a task of its own would
/// be nobody's to see.
#[derive(Default)]
pub(super) struct Untouchable(pub(super) Arc<AtomicUsize>);

impl Untouchable {
    fn touched<T>(&self, method: &str) -> Result<T, StoreError> {
        self.0.fetch_add(1, Ordering::SeqCst);
        panic!("the store was touched: {method}");
    }
}

#[async_trait]
impl Store for Untouchable {
    async fn commit(&self, _: Order) -> Result<Head, StoreError> {
        self.touched("commit")
    }

    async fn commit_large(&self, _: Order, _: Progress) -> Result<Head, StoreError> {
        self.touched("commit_large")
    }

    async fn list_tokens(&self, _: TokenList) -> Result<Vec<StoredToken>, StoreError> {
        self.touched("list_tokens")
    }

    async fn known_digests(
        &self,
        _: Vec<Digest>,
        _: Timestamp,
    ) -> Result<HashMap<Digest, Option<TokenId>>, StoreError> {
        self.touched("known_digests")
    }

    async fn load(&self, _: Arc<Index>, _: Progress) -> Result<Head, StoreError> {
        self.touched("load")
    }

    async fn organization(
        &self,
        _: OrganizationId,
    ) -> Result<Option<StoredOrganization>, StoreError> {
        self.touched("organization")
    }

    async fn organizations(
        &self,
        _: OrganizationFilter,
        _: Page<OrganizationId>,
    ) -> Result<Vec<StoredOrganization>, StoreError> {
        self.touched("organizations")
    }

    async fn account(&self, _: AccountId) -> Result<Option<StoredAccount>, StoreError> {
        self.touched("account")
    }

    async fn account_by_email(&self, _: Email) -> Result<Option<StoredAccount>, StoreError> {
        self.touched("account_by_email")
    }

    async fn accounts(
        &self,
        _: AccountFilter,
        _: Page<AccountId>,
    ) -> Result<Vec<StoredAccount>, StoreError> {
        self.touched("accounts")
    }

    async fn memberships(
        &self,
        _: MembershipFilter,
        _: Page<(OrganizationId, AccountId)>,
    ) -> Result<Vec<StoredMembership>, StoreError> {
        self.touched("memberships")
    }

    async fn token(&self, _: TokenId) -> Result<Option<StoredToken>, StoreError> {
        self.touched("token")
    }

    async fn tokens(
        &self,
        _: TokenFilter,
        _: Page<TokenId>,
    ) -> Result<Vec<StoredToken>, StoreError> {
        self.touched("tokens")
    }

    async fn head(&self) -> Result<Head, StoreError> {
        self.touched("head")
    }

    async fn entries(
        &self,
        _: EntryFilter,
        _: u64,
        _: u32,
    ) -> Result<Vec<StoredEntry>, StoreError> {
        self.touched("entries")
    }

    async fn chain(&self, _: u64, _: u32) -> Result<Vec<Link>, StoreError> {
        self.touched("chain")
    }

    async fn once(&self, _: Digest) -> Result<Option<Once>, StoreError> {
        self.touched("once")
    }

    async fn forget_once(&self, _: Timestamp, _: u32) -> Result<bool, StoreError> {
        self.touched("forget_once")
    }

    async fn keep_usage(&self, _: Arc<[(TokenId, TokenUsage)]>) -> Result<(), StoreError> {
        self.touched("keep_usage")
    }

    async fn usage(
        &self,
        _: UsageFilter,
        _: Page<UsageKey>,
    ) -> Result<Vec<StoredCount>, StoreError> {
        self.touched("usage")
    }

    async fn origins(
        &self,
        _: TokenId,
        _: OriginKind,
        _: Timestamp,
    ) -> Result<Vec<Origin<String>>, StoreError> {
        self.touched("origins")
    }

    async fn forget_usage(&self, _: Timestamp, _: u32) -> Result<bool, StoreError> {
        self.touched("forget_usage")
    }

    async fn keep_refusals(&self, _: Vec<StoredRefusal>) -> Result<(), StoreError> {
        self.touched("keep_refusals")
    }

    async fn refusal(&self, _: RequestId) -> Result<Option<StoredRefusal>, StoreError> {
        self.touched("refusal")
    }

    async fn forget_refusals(&self, _: Timestamp, _: u32) -> Result<(), StoreError> {
        self.touched("forget_refusals")
    }

    async fn inspect_ledger(&self, _: Progress) -> Result<Inspection, StoreError> {
        self.touched("inspect_ledger")
    }

    async fn organizations_of(
        &self,
        _: AccountId,
    ) -> Result<Vec<(StoredOrganization, Rank)>, StoreError> {
        self.touched("organizations_of")
    }

    async fn invitation(&self, _: InvitationId) -> Result<Option<StoredInvitation>, StoreError> {
        self.touched("invitation")
    }

    async fn invitation_by_digest(
        &self,
        _: Digest,
    ) -> Result<Option<StoredInvitation>, StoreError> {
        self.touched("invitation_by_digest")
    }

    async fn invitations(
        &self,
        _: InvitationFilter,
        _: Page<InvitationId>,
    ) -> Result<Vec<StoredInvitation>, StoreError> {
        self.touched("invitations")
    }

    async fn entries_before(
        &self,
        _: EntryFilter,
        _: u64,
        _: u32,
    ) -> Result<Vec<StoredEntry>, StoreError> {
        self.touched("entries_before")
    }

    async fn close(&self) {
        let _: Result<(), StoreError> = self.touched("close");
    }
}

#[async_trait]
impl SignInStore for Untouchable {
    async fn credentials(&self, _: AccountId) -> Result<Option<Credentials>, StoreError> {
        self.touched("credentials")
    }

    async fn credentials_by_email(&self, _: Email) -> Result<Option<Credentials>, StoreError> {
        self.touched("credentials_by_email")
    }

    async fn keep_session(&self, _: StoredSession, _: Option<Shown>) -> Result<bool, StoreError> {
        self.touched("keep_session")
    }

    async fn replace_session(&self, _: SessionId, _: StoredSession) -> Result<bool, StoreError> {
        self.touched("replace_session")
    }

    async fn session(&self, _: Digest, _: Timestamp) -> Result<Option<StoredSession>, StoreError> {
        self.touched("session")
    }

    async fn session_by_id(
        &self,
        _: SessionId,
        _: Timestamp,
    ) -> Result<Option<StoredSession>, StoreError> {
        self.touched("session_by_id")
    }

    async fn sessions(
        &self,
        _: AccountId,
        _: Timestamp,
        _: u32,
    ) -> Result<Vec<StoredSession>, StoreError> {
        self.touched("sessions")
    }

    async fn sessions_of_members(
        &self,
        _: OrganizationId,
        _: Timestamp,
        _: Page<(AccountId, SessionId)>,
    ) -> Result<Vec<StoredSession>, StoreError> {
        self.touched("sessions_of_members")
    }

    async fn see_session(
        &self,
        _: SessionId,
        _: Timestamp,
        _: Option<IpAddr>,
    ) -> Result<(), StoreError> {
        self.touched("see_session")
    }

    async fn set_session_organization(
        &self,
        _: SessionId,
        _: Option<OrganizationId>,
    ) -> Result<(), StoreError> {
        self.touched("set_session_organization")
    }

    async fn end_session(&self, _: SessionId) -> Result<bool, StoreError> {
        self.touched("end_session")
    }

    async fn end_sessions(&self, _: AccountId, _: Option<SessionId>) -> Result<u64, StoreError> {
        self.touched("end_sessions")
    }

    async fn forget_sessions(&self, _: Timestamp, _: u32) -> Result<bool, StoreError> {
        self.touched("forget_sessions")
    }

    async fn end_all_sessions(&self) -> Result<(), StoreError> {
        self.touched("end_all_sessions")
    }

    async fn keep_link(&self, _: StoredLink, _: Option<Email>) -> Result<bool, StoreError> {
        self.touched("keep_link")
    }

    async fn link(&self, _: Digest, _: Timestamp) -> Result<Option<StoredLink>, StoreError> {
        self.touched("link")
    }

    async fn take_link(&self, _: Digest, _: Timestamp) -> Result<Option<StoredLink>, StoreError> {
        self.touched("take_link")
    }

    async fn second_factor(&self, _: AccountId) -> Result<Option<StoredSecondFactor>, StoreError> {
        self.touched("second_factor")
    }

    async fn keep_second_factor(&self, _: StoredSecondFactor) -> Result<bool, StoreError> {
        self.touched("keep_second_factor")
    }

    async fn renew_recovery(
        &self,
        _: AccountId,
        _: Vec<u8>,
        _: Vec<Digest>,
    ) -> Result<bool, StoreError> {
        self.touched("renew_recovery")
    }

    async fn remove_second_factor(&self, _: AccountId) -> Result<(), StoreError> {
        self.touched("remove_second_factor")
    }

    async fn use_step(&self, _: AccountId, _: u64) -> Result<bool, StoreError> {
        self.touched("use_step")
    }

    async fn use_recovery(&self, _: AccountId, _: Digest) -> Result<bool, StoreError> {
        self.touched("use_recovery")
    }
}
