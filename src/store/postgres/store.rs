//! What is kept, as the trait has it: each method asks the module that knows.

use super::{
    Postgres, find_tokens, inspect, invitations,
    ledger::{self, Direction},
    list_tokens, once, read, refusals, row, usage,
};
use crate::{
    refusals::StoredRefusal,
    store::{
        AccountFilter, EntryFilter, Inspection, InvitationFilter, Link, MembershipFilter, Nodes,
        Once, Order, OrganizationFilter, OriginKind, Page, Progress, Store, StoreError,
        StoredAccount, StoredEntry, StoredInvitation, StoredMembership, StoredOrganization,
        StoredToken, TokenFilter, TokenList, UsageFilter, UsageKey,
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
    async fn commit(&self, order: Order) -> Result<Head, StoreError> {
        self.writer.commit(order, None).await
    }

    async fn commit_large(&self, order: Order, progress: Progress) -> Result<Head, StoreError> {
        self.writer.commit(order, Some(progress)).await
    }

    async fn load(&self, index: Arc<Index>, progress: Progress) -> Result<Head, StoreError> {
        self.load_all(index, progress).await.map(|loaded| loaded.head)
    }

    fn nodes(self: Arc<Self>) -> Option<Arc<dyn Nodes>> {
        Some(self)
    }

    async fn organization(
        &self,
        id: OrganizationId,
    ) -> Result<Option<StoredOrganization>, StoreError> {
        self.ask(move |client| Box::pin(async move { read::organization(client, id).await })).await
    }

    async fn organizations(
        &self,
        filter: OrganizationFilter,
        page: Page<OrganizationId>,
    ) -> Result<Vec<StoredOrganization>, StoreError> {
        self.ask(move |client| {
            Box::pin(async move {
                read::organizations(&filter, page).all(client, read::organization_row).await
            })
        })
        .await
    }

    async fn account(&self, id: AccountId) -> Result<Option<StoredAccount>, StoreError> {
        self.ask(move |client| Box::pin(async move { read::account(client, id).await })).await
    }

    async fn account_by_email(&self, email: Email) -> Result<Option<StoredAccount>, StoreError> {
        self.ask(move |client| {
            Box::pin(async move { read::account_by_email(client, &email).await })
        })
        .await
    }

    async fn accounts(
        &self,
        filter: AccountFilter,
        page: Page<AccountId>,
    ) -> Result<Vec<StoredAccount>, StoreError> {
        self.ask(move |client| {
            Box::pin(
                async move { read::accounts(filter, page).all(client, read::account_row).await },
            )
        })
        .await
    }

    async fn memberships(
        &self,
        filter: MembershipFilter,
        page: Page<(OrganizationId, AccountId)>,
    ) -> Result<Vec<StoredMembership>, StoreError> {
        self.ask(move |client| {
            Box::pin(async move {
                read::memberships(filter, page).all(client, read::membership_row).await
            })
        })
        .await
    }

    async fn organizations_of(
        &self,
        account: AccountId,
    ) -> Result<Vec<(StoredOrganization, Rank)>, StoreError> {
        self.ask(move |client| {
            Box::pin(async move { read::organizations_of(client, account).await })
        })
        .await
    }

    async fn invitation(&self, id: InvitationId) -> Result<Option<StoredInvitation>, StoreError> {
        self.ask(move |client| Box::pin(async move { invitations::find(client, id).await })).await
    }

    async fn invitation_by_digest(
        &self,
        digest: Digest,
    ) -> Result<Option<StoredInvitation>, StoreError> {
        self.ask(move |client| {
            Box::pin(async move { invitations::find_by_digest(client, digest).await })
        })
        .await
    }

    async fn invitations(
        &self,
        filter: InvitationFilter,
        page: Page<InvitationId>,
    ) -> Result<Vec<StoredInvitation>, StoreError> {
        self.ask(move |client| {
            Box::pin(
                async move { invitations::list(filter, page).all(client, invitations::row).await },
            )
        })
        .await
    }

    async fn token(&self, id: TokenId) -> Result<Option<StoredToken>, StoreError> {
        self.ask(move |client| Box::pin(async move { read::token(client, id).await })).await
    }

    async fn tokens(
        &self,
        filter: TokenFilter,
        page: Page<TokenId>,
    ) -> Result<Vec<StoredToken>, StoreError> {
        self.ask(move |client| {
            Box::pin(
                async move { find_tokens::tokens(&filter, page).all(client, row::token).await },
            )
        })
        .await
    }

    async fn list_tokens(&self, list: TokenList) -> Result<Vec<StoredToken>, StoreError> {
        self.ask(move |client| Box::pin(async move { list_tokens::list(client, &list).await }))
            .await
    }

    async fn known_digests(
        &self,
        digests: Vec<Digest>,
        now: Timestamp,
    ) -> Result<HashMap<Digest, Option<TokenId>>, StoreError> {
        self.ask(move |client| {
            Box::pin(async move { read::known_digests(client, &digests, now).await })
        })
        .await
    }

    async fn head(&self) -> Result<Head, StoreError> {
        self.ask(move |client| Box::pin(async move { ledger::head(client).await })).await
    }

    async fn entries(
        &self,
        filter: EntryFilter,
        after: u64,
        limit: u32,
    ) -> Result<Vec<StoredEntry>, StoreError> {
        self.ask(move |client| {
            Box::pin(async move {
                ledger::entries(client, filter, Direction::Onwards, after, limit).await
            })
        })
        .await
    }

    async fn entries_before(
        &self,
        filter: EntryFilter,
        before: u64,
        limit: u32,
    ) -> Result<Vec<StoredEntry>, StoreError> {
        self.ask(move |client| {
            Box::pin(async move {
                ledger::entries(client, filter, Direction::Backwards, before, limit).await
            })
        })
        .await
    }

    async fn chain(&self, after: u64, limit: u32) -> Result<Vec<Link>, StoreError> {
        self.ask(move |client| Box::pin(async move { ledger::chain(client, after, limit).await }))
            .await
    }

    async fn once(&self, key: Digest) -> Result<Option<Once>, StoreError> {
        self.ask(move |client| Box::pin(async move { once::find(client, key).await })).await
    }

    async fn forget_once(&self, end: Timestamp, most: u32) -> Result<bool, StoreError> {
        self.ask(move |client| Box::pin(async move { once::forget(client, end, most).await })).await
    }

    async fn keep_refusals(&self, refusals: Vec<StoredRefusal>) -> Result<(), StoreError> {
        self.ask(move |client| Box::pin(async move { refusals::keep(client, &refusals).await }))
            .await
    }

    async fn refusal(&self, id: RequestId) -> Result<Option<StoredRefusal>, StoreError> {
        self.ask(move |client| Box::pin(async move { refusals::find(client, id).await })).await
    }

    async fn forget_refusals(&self, end: Timestamp, most: u32) -> Result<(), StoreError> {
        self.ask(move |client| Box::pin(async move { refusals::forget(client, end, most).await }))
            .await
    }

    async fn keep_usage(&self, usage: Arc<[(TokenId, TokenUsage)]>) -> Result<(), StoreError> {
        self.together(move |transaction| {
            Box::pin(async move { usage::keep(transaction, &usage).await })
        })
        .await
    }

    async fn usage(
        &self,
        filter: UsageFilter,
        page: Page<UsageKey>,
    ) -> Result<Vec<StoredCount>, StoreError> {
        self.ask(move |client| {
            Box::pin(
                async move { usage::counts(&filter, page).all(client, usage::count_row).await },
            )
        })
        .await
    }

    async fn origins(
        &self,
        token: TokenId,
        kind: OriginKind,
        since: Timestamp,
    ) -> Result<Vec<Origin<String>>, StoreError> {
        self.ask(move |client| {
            Box::pin(async move { usage::origins(client, token, kind, since).await })
        })
        .await
    }

    async fn forget_usage(&self, end: Timestamp, most: u32) -> Result<bool, StoreError> {
        self.ask(move |client| Box::pin(async move { usage::forget(client, end, most).await }))
            .await
    }

    async fn inspect_ledger(&self, progress: Progress) -> Result<Inspection, StoreError> {
        let mut client = self.client().await?;
        Ok(inspect::inspect(&mut client, progress).await?)
    }

    async fn close(&self) {
        self.writer.close().await;
        self.pool.close();
    }
}
