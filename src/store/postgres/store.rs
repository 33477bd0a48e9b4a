//! What is kept, as the trait has it: each method asks the module that knows.

use super::Postgres;
use crate::{
    refusals::StoredRefusal,
    store::{
        AccountFilter, EntryFilter, Inspection, InvitationFilter, Link, MembershipFilter, Once,
        Order, OrganizationFilter, OriginKind, Page, Progress, Store, StoreError, StoredAccount,
        StoredEntry, StoredInvitation, StoredMembership, StoredOrganization, StoredToken,
        TokenFilter, TokenList, UsageFilter, UsageKey,
    },
    usage::{Origin, StoredCount, TokenUsage},
};
use async_trait::async_trait;
use counterfoil_core::{
    Timestamp,
    account::{Email, Rank},
    id::{AccountId, InvitationId, OrganizationId, RequestId, TokenId},
    index::Index,
    ledger::Head,
    token::Digest,
};
use std::{collections::HashMap, sync::Arc};

#[async_trait]
impl Store for Postgres {
    async fn commit(&self, _order: Order) -> Result<Head, StoreError> {
        unimplemented!()
    }

    async fn commit_large(&self, _order: Order, _progress: Progress) -> Result<Head, StoreError> {
        unimplemented!()
    }

    async fn load(&self, _index: Arc<Index>, _progress: Progress) -> Result<Head, StoreError> {
        unimplemented!()
    }

    async fn organization(
        &self,
        _id: OrganizationId,
    ) -> Result<Option<StoredOrganization>, StoreError> {
        unimplemented!()
    }

    async fn organizations(
        &self,
        _filter: OrganizationFilter,
        _page: Page<OrganizationId>,
    ) -> Result<Vec<StoredOrganization>, StoreError> {
        unimplemented!()
    }

    async fn account(&self, _id: AccountId) -> Result<Option<StoredAccount>, StoreError> {
        unimplemented!()
    }

    async fn account_by_email(&self, _email: Email) -> Result<Option<StoredAccount>, StoreError> {
        unimplemented!()
    }

    async fn accounts(
        &self,
        _filter: AccountFilter,
        _page: Page<AccountId>,
    ) -> Result<Vec<StoredAccount>, StoreError> {
        unimplemented!()
    }

    async fn memberships(
        &self,
        _filter: MembershipFilter,
        _page: Page<(OrganizationId, AccountId)>,
    ) -> Result<Vec<StoredMembership>, StoreError> {
        unimplemented!()
    }

    async fn organizations_of(
        &self,
        _account: AccountId,
    ) -> Result<Vec<(StoredOrganization, Rank)>, StoreError> {
        unimplemented!()
    }

    async fn invitation(&self, _id: InvitationId) -> Result<Option<StoredInvitation>, StoreError> {
        unimplemented!()
    }

    async fn invitation_by_digest(
        &self,
        _digest: Digest,
    ) -> Result<Option<StoredInvitation>, StoreError> {
        unimplemented!()
    }

    async fn invitations(
        &self,
        _filter: InvitationFilter,
        _page: Page<InvitationId>,
    ) -> Result<Vec<StoredInvitation>, StoreError> {
        unimplemented!()
    }

    async fn token(&self, _id: TokenId) -> Result<Option<StoredToken>, StoreError> {
        unimplemented!()
    }

    async fn tokens(
        &self,
        _filter: TokenFilter,
        _page: Page<TokenId>,
    ) -> Result<Vec<StoredToken>, StoreError> {
        unimplemented!()
    }

    async fn list_tokens(&self, _list: TokenList) -> Result<Vec<StoredToken>, StoreError> {
        unimplemented!()
    }

    async fn known_digests(
        &self,
        _digests: Vec<Digest>,
        _now: Timestamp,
    ) -> Result<HashMap<Digest, Option<TokenId>>, StoreError> {
        unimplemented!()
    }

    async fn head(&self) -> Result<Head, StoreError> {
        unimplemented!()
    }

    async fn entries(
        &self,
        _filter: EntryFilter,
        _after: u64,
        _limit: u32,
    ) -> Result<Vec<StoredEntry>, StoreError> {
        unimplemented!()
    }

    async fn entries_before(
        &self,
        _filter: EntryFilter,
        _before: u64,
        _limit: u32,
    ) -> Result<Vec<StoredEntry>, StoreError> {
        unimplemented!()
    }

    async fn chain(&self, _after: u64, _limit: u32) -> Result<Vec<Link>, StoreError> {
        unimplemented!()
    }

    async fn once(&self, _key: Digest) -> Result<Option<Once>, StoreError> {
        unimplemented!()
    }

    async fn forget_once(&self, _end: Timestamp, _most: u32) -> Result<bool, StoreError> {
        unimplemented!()
    }

    async fn keep_refusals(&self, _refusals: Vec<StoredRefusal>) -> Result<(), StoreError> {
        unimplemented!()
    }

    async fn refusal(&self, _id: RequestId) -> Result<Option<StoredRefusal>, StoreError> {
        unimplemented!()
    }

    async fn forget_refusals(&self, _end: Timestamp, _most: u32) -> Result<(), StoreError> {
        unimplemented!()
    }

    async fn keep_usage(&self, _usage: Arc<[(TokenId, TokenUsage)]>) -> Result<(), StoreError> {
        unimplemented!()
    }

    async fn usage(
        &self,
        _filter: UsageFilter,
        _page: Page<UsageKey>,
    ) -> Result<Vec<StoredCount>, StoreError> {
        unimplemented!()
    }

    async fn origins(
        &self,
        _token: TokenId,
        _kind: OriginKind,
        _since: Timestamp,
    ) -> Result<Vec<Origin<String>>, StoreError> {
        unimplemented!()
    }

    async fn forget_usage(&self, _end: Timestamp, _most: u32) -> Result<bool, StoreError> {
        unimplemented!()
    }

    async fn inspect_ledger(&self, _progress: Progress) -> Result<Inspection, StoreError> {
        unimplemented!()
    }

    async fn close(&self) {
        unimplemented!()
    }
}
