//! What signing in needs, on PostgreSQL.

use super::Postgres;
use crate::store::{
    Credentials, Page, SignInStore, StoreError, StoredLink, StoredSecondFactor, StoredSession,
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
    async fn credentials(&self, _account: AccountId) -> Result<Option<Credentials>, StoreError> {
        unimplemented!()
    }

    async fn credentials_by_email(&self, _email: Email) -> Result<Option<Credentials>, StoreError> {
        unimplemented!()
    }

    async fn keep_session(
        &self,
        _session: StoredSession,
        _password_hash: Option<String>,
    ) -> Result<bool, StoreError> {
        unimplemented!()
    }

    async fn replace_session(
        &self,
        _ended: SessionId,
        _session: StoredSession,
    ) -> Result<bool, StoreError> {
        unimplemented!()
    }

    async fn session(
        &self,
        _digest: Digest,
        _now: Timestamp,
    ) -> Result<Option<StoredSession>, StoreError> {
        unimplemented!()
    }

    async fn session_by_id(
        &self,
        _id: SessionId,
        _now: Timestamp,
    ) -> Result<Option<StoredSession>, StoreError> {
        unimplemented!()
    }

    async fn sessions(
        &self,
        _account: AccountId,
        _now: Timestamp,
        _limit: u32,
    ) -> Result<Vec<StoredSession>, StoreError> {
        unimplemented!()
    }

    async fn sessions_of_members(
        &self,
        _organization: OrganizationId,
        _now: Timestamp,
        _page: Page<(AccountId, SessionId)>,
    ) -> Result<Vec<StoredSession>, StoreError> {
        unimplemented!()
    }

    async fn see_session(
        &self,
        _id: SessionId,
        _at: Timestamp,
        _address: Option<IpAddr>,
    ) -> Result<(), StoreError> {
        unimplemented!()
    }

    async fn set_session_organization(
        &self,
        _id: SessionId,
        _organization: Option<OrganizationId>,
    ) -> Result<(), StoreError> {
        unimplemented!()
    }

    async fn end_session(&self, _id: SessionId) -> Result<bool, StoreError> {
        unimplemented!()
    }

    async fn end_sessions(
        &self,
        _account: AccountId,
        _kept: Option<SessionId>,
    ) -> Result<u64, StoreError> {
        unimplemented!()
    }

    async fn forget_sessions(&self, _now: Timestamp, _most: u32) -> Result<bool, StoreError> {
        unimplemented!()
    }

    async fn keep_link(&self, _link: StoredLink) -> Result<(), StoreError> {
        unimplemented!()
    }

    async fn link(
        &self,
        _digest: Digest,
        _now: Timestamp,
    ) -> Result<Option<StoredLink>, StoreError> {
        unimplemented!()
    }

    async fn take_link(
        &self,
        _digest: Digest,
        _now: Timestamp,
    ) -> Result<Option<StoredLink>, StoreError> {
        unimplemented!()
    }

    async fn second_factor(
        &self,
        _account: AccountId,
    ) -> Result<Option<StoredSecondFactor>, StoreError> {
        unimplemented!()
    }

    async fn keep_second_factor(&self, _factor: StoredSecondFactor) -> Result<bool, StoreError> {
        unimplemented!()
    }

    async fn remove_second_factor(&self, _account: AccountId) -> Result<(), StoreError> {
        unimplemented!()
    }

    async fn use_step(&self, _account: AccountId, _step: u64) -> Result<bool, StoreError> {
        unimplemented!()
    }

    async fn use_recovery(&self, _account: AccountId, _code: Digest) -> Result<bool, StoreError> {
        unimplemented!()
    }
}
