//! What signing in needs, on SQLite: who looks, and who writes.

use super::{Sqlite, second_factors, sessions};
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
impl SignInStore for Sqlite {
    async fn credentials(&self, account: AccountId) -> Result<Option<Credentials>, StoreError> {
        self.lookout.look(move |connection| sessions::credentials(connection, account)).await
    }

    async fn credentials_by_email(&self, email: Email) -> Result<Option<Credentials>, StoreError> {
        self.lookout
            .look(move |connection| sessions::credentials_by_email(connection, &email))
            .await
    }

    async fn keep_session(
        &self,
        session: StoredSession,
        shown: Option<Shown>,
    ) -> Result<bool, StoreError> {
        self.beside(move |connection| sessions::keep(connection, &session, shown.as_ref())).await
    }

    async fn replace_session(
        &self,
        ended: SessionId,
        session: StoredSession,
    ) -> Result<bool, StoreError> {
        self.beside(move |connection| sessions::replace(connection, ended, &session)).await
    }

    async fn session(
        &self,
        digest: Digest,
        now: Timestamp,
    ) -> Result<Option<StoredSession>, StoreError> {
        self.lookout.look(move |connection| sessions::find(connection, digest, now)).await
    }

    async fn session_by_id(
        &self,
        id: SessionId,
        now: Timestamp,
    ) -> Result<Option<StoredSession>, StoreError> {
        self.lookout.look(move |connection| sessions::find_by_id(connection, id, now)).await
    }

    async fn sessions(
        &self,
        account: AccountId,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<StoredSession>, StoreError> {
        self.read(move |connection| {
            sessions::of_account(account, now, limit).all(connection, sessions::row)
        })
        .await
    }

    async fn sessions_of_members(
        &self,
        organization: OrganizationId,
        now: Timestamp,
        page: Page<(AccountId, SessionId)>,
    ) -> Result<Vec<StoredSession>, StoreError> {
        self.read(move |connection| {
            sessions::of_members(organization, now, page).all(connection, sessions::row)
        })
        .await
    }

    async fn see_session(
        &self,
        id: SessionId,
        at: Timestamp,
        address: Option<IpAddr>,
    ) -> Result<(), StoreError> {
        self.beside(move |connection| sessions::see(connection, id, at, address)).await
    }

    async fn set_session_organization(
        &self,
        id: SessionId,
        organization: Option<OrganizationId>,
    ) -> Result<(), StoreError> {
        self.beside(move |connection| sessions::set_organization(connection, id, organization))
            .await
    }

    async fn end_session(&self, id: SessionId) -> Result<bool, StoreError> {
        self.beside(move |connection| sessions::end(connection, id)).await
    }

    async fn end_sessions(
        &self,
        account: AccountId,
        kept: Option<SessionId>,
    ) -> Result<u64, StoreError> {
        self.beside(move |connection| sessions::end_all(connection, account, kept)).await
    }

    async fn forget_sessions(&self, now: Timestamp, most: u32) -> Result<bool, StoreError> {
        self.beside(move |connection| sessions::forget(connection, now, most)).await
    }

    async fn end_all_sessions(&self) -> Result<(), StoreError> {
        self.beside(|connection| connection.execute_batch(sessions::END_EVERYBODYS)).await
    }

    async fn keep_link(
        &self,
        link: StoredLink,
        mailed_to: Option<Email>,
    ) -> Result<bool, StoreError> {
        self.beside(move |connection| sessions::keep_link(connection, &link, mailed_to.as_ref()))
            .await
    }

    async fn link(&self, digest: Digest, now: Timestamp) -> Result<Option<StoredLink>, StoreError> {
        self.lookout.look(move |connection| sessions::link(connection, digest, now)).await
    }

    async fn take_link(
        &self,
        digest: Digest,
        now: Timestamp,
    ) -> Result<Option<StoredLink>, StoreError> {
        self.beside(move |connection| sessions::take_link(connection, digest, now)).await
    }

    async fn second_factor(
        &self,
        account: AccountId,
    ) -> Result<Option<StoredSecondFactor>, StoreError> {
        self.lookout.look(move |connection| second_factors::find(connection, account)).await
    }

    async fn keep_second_factor(&self, factor: StoredSecondFactor) -> Result<bool, StoreError> {
        self.beside(move |connection| second_factors::keep(connection, &factor)).await
    }

    async fn renew_recovery(
        &self,
        account: AccountId,
        secret: Vec<u8>,
        recovery: Vec<Digest>,
    ) -> Result<bool, StoreError> {
        self.beside(move |connection| {
            second_factors::renew(connection, account, &secret, &recovery)
        })
        .await
    }

    async fn remove_second_factor(&self, account: AccountId) -> Result<(), StoreError> {
        self.beside(move |connection| second_factors::remove(connection, account)).await
    }

    async fn use_step(&self, account: AccountId, step: u64) -> Result<bool, StoreError> {
        self.beside(move |connection| second_factors::use_step(connection, account, step)).await
    }

    async fn use_recovery(&self, account: AccountId, code: Digest) -> Result<bool, StoreError> {
        self.beside(move |connection| second_factors::use_recovery(connection, account, code)).await
    }
}
