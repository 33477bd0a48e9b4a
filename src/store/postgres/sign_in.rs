//! What signing in needs, on PostgreSQL.

use super::{Postgres, second_factors, sessions};
use crate::store::{
    Credentials, Page, Shown, SignInStore, StoreError, StoredLink, StoredSecondFactor,
    StoredSession,
};
use async_trait::async_trait;
use counterfoil_core::{
    Timestamp,
    account::Email,
    id::{AccountId, OrganizationId, SessionId},
    token::Digest,
};
use std::net::IpAddr;

#[async_trait]
impl SignInStore for Postgres {
    async fn credentials(&self, account: AccountId) -> Result<Option<Credentials>, StoreError> {
        self.ask(move |client| {
            Box::pin(async move { sessions::credentials(client, account).await })
        })
        .await
    }

    async fn credentials_by_email(&self, email: Email) -> Result<Option<Credentials>, StoreError> {
        self.ask(move |client| {
            Box::pin(async move { sessions::credentials_by_email(client, &email).await })
        })
        .await
    }

    async fn keep_session(
        &self,
        session: StoredSession,
        shown: Option<Shown>,
    ) -> Result<bool, StoreError> {
        self.together(move |transaction| {
            Box::pin(async move { sessions::keep(transaction, &session, shown.as_ref()).await })
        })
        .await
    }

    async fn replace_session(
        &self,
        ended: SessionId,
        session: StoredSession,
    ) -> Result<bool, StoreError> {
        self.together(move |transaction| {
            Box::pin(async move { sessions::replace(transaction, ended, &session).await })
        })
        .await
    }

    async fn session(
        &self,
        digest: Digest,
        now: Timestamp,
    ) -> Result<Option<StoredSession>, StoreError> {
        self.ask(move |client| Box::pin(async move { sessions::find(client, digest, now).await }))
            .await
    }

    async fn session_by_id(
        &self,
        id: SessionId,
        now: Timestamp,
    ) -> Result<Option<StoredSession>, StoreError> {
        self.ask(move |client| Box::pin(async move { sessions::find_by_id(client, id, now).await }))
            .await
    }

    async fn sessions(
        &self,
        account: AccountId,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<StoredSession>, StoreError> {
        self.ask(move |client| {
            Box::pin(async move {
                sessions::of_account(account, now, limit).all(client, sessions::row).await
            })
        })
        .await
    }

    async fn sessions_of_members(
        &self,
        organization: OrganizationId,
        now: Timestamp,
        page: Page<(AccountId, SessionId)>,
    ) -> Result<Vec<StoredSession>, StoreError> {
        self.ask(move |client| {
            Box::pin(async move {
                sessions::of_members(organization, now, page).all(client, sessions::row).await
            })
        })
        .await
    }

    async fn see_session(
        &self,
        id: SessionId,
        at: Timestamp,
        address: Option<IpAddr>,
    ) -> Result<(), StoreError> {
        self.ask(move |client| {
            Box::pin(async move { sessions::see(client, id, at, address).await })
        })
        .await
    }

    async fn set_session_organization(
        &self,
        id: SessionId,
        organization: Option<OrganizationId>,
    ) -> Result<(), StoreError> {
        self.ask(move |client| {
            Box::pin(async move { sessions::set_organization(client, id, organization).await })
        })
        .await
    }

    async fn end_session(&self, id: SessionId) -> Result<bool, StoreError> {
        self.ask(move |client| Box::pin(async move { sessions::end(client, id).await })).await
    }

    async fn end_sessions(
        &self,
        account: AccountId,
        kept: Option<SessionId>,
    ) -> Result<u64, StoreError> {
        self.together(move |transaction| {
            Box::pin(async move { sessions::end_all(transaction, account, kept).await })
        })
        .await
    }

    async fn forget_sessions(&self, now: Timestamp, most: u32) -> Result<bool, StoreError> {
        self.ask(move |client| Box::pin(async move { sessions::forget(client, now, most).await }))
            .await
    }

    async fn end_all_sessions(&self) -> Result<(), StoreError> {
        self.ask(|client| {
            Box::pin(async move { Ok(client.batch_execute(sessions::END_EVERYBODYS).await?) })
        })
        .await
    }

    async fn keep_link(
        &self,
        link: StoredLink,
        mailed_to: Option<Email>,
    ) -> Result<bool, StoreError> {
        self.together(move |transaction| {
            Box::pin(
                async move { sessions::keep_link(transaction, &link, mailed_to.as_ref()).await },
            )
        })
        .await
    }

    async fn link(&self, digest: Digest, now: Timestamp) -> Result<Option<StoredLink>, StoreError> {
        self.ask(move |client| Box::pin(async move { sessions::link(client, digest, now).await }))
            .await
    }

    async fn take_link(
        &self,
        digest: Digest,
        now: Timestamp,
    ) -> Result<Option<StoredLink>, StoreError> {
        self.ask(move |client| {
            Box::pin(async move { sessions::take_link(client, digest, now).await })
        })
        .await
    }

    async fn second_factor(
        &self,
        account: AccountId,
    ) -> Result<Option<StoredSecondFactor>, StoreError> {
        self.ask(move |client| Box::pin(async move { second_factors::find(client, account).await }))
            .await
    }

    async fn keep_second_factor(&self, factor: StoredSecondFactor) -> Result<bool, StoreError> {
        self.together(move |transaction| {
            Box::pin(async move { second_factors::keep(transaction, &factor).await })
        })
        .await
    }

    async fn renew_recovery(
        &self,
        account: AccountId,
        secret: Vec<u8>,
        recovery: Vec<Digest>,
    ) -> Result<bool, StoreError> {
        self.together(move |transaction| {
            Box::pin(async move {
                second_factors::renew(transaction, account, &secret, &recovery).await
            })
        })
        .await
    }

    async fn remove_second_factor(&self, account: AccountId) -> Result<(), StoreError> {
        self.together(move |transaction| {
            Box::pin(async move { second_factors::remove(transaction, account).await })
        })
        .await
    }

    async fn use_step(&self, account: AccountId, step: u64) -> Result<bool, StoreError> {
        self.ask(move |client| {
            Box::pin(async move { second_factors::use_step(client, account, step).await })
        })
        .await
    }

    async fn use_recovery(&self, account: AccountId, code: Digest) -> Result<bool, StoreError> {
        self.ask(move |client| {
            Box::pin(async move { second_factors::use_recovery(client, account, code).await })
        })
        .await
    }
}
