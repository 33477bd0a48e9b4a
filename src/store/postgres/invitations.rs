//! Invitations: told by the ledger, and found by their links.

use super::{
    error::Error,
    query::{Query, one},
    row::{bytes, email, optional_bytes, optional_time, rank, time},
};
use crate::store::{InvitationFilter, Page, StoredInvitation};
use counterfoil_core::{
    id::{AccountId, InvitationId, OrganizationId},
    token::Digest,
};
use deadpool_postgres::GenericClient;
use tokio_postgres::Row;

const INVITATION: &str = "SELECT id, organization, email, rank, digest, created_at, expires_at, \
     accepted_at, accepted_by, withdrawn_at FROM invitation";

pub(super) async fn find(
    client: &impl GenericClient,
    id: InvitationId,
) -> Result<Option<StoredInvitation>, Error> {
    let sql = format!("{INVITATION} WHERE id = $1");
    one(client, &sql, &[&id.as_bytes().as_slice()], row).await
}

pub(super) async fn find_by_digest(
    client: &impl GenericClient,
    digest: Digest,
) -> Result<Option<StoredInvitation>, Error> {
    let sql = format!("{INVITATION} WHERE digest = $1");
    one(client, &sql, &[&digest.as_bytes().as_slice()], row).await
}

pub(super) fn list(filter: InvitationFilter, page: Page<InvitationId>) -> Query {
    let mut query = Query::new(INVITATION);
    query.and_if("organization = ?", Some(filter.organization.as_bytes().to_vec()));
    if let Some(now) = filter.open_at {
        query.and("accepted_at IS NULL");
        query.and("withdrawn_at IS NULL");
        query.and_if("expires_at > ?", Some(now.as_millis()));
    }
    query.and_if("id < ?", page.after.map(|id| id.as_bytes().to_vec()));
    query.end("ORDER BY id DESC", page.limit);
    query
}

pub(super) fn row(row: &Row) -> Result<StoredInvitation, Error> {
    let accepted_by = optional_bytes(row, "accepted_by")?.map(AccountId::from_bytes);
    Ok(StoredInvitation {
        id: InvitationId::from_bytes(bytes(row, "id")?),
        organization: OrganizationId::from_bytes(bytes(row, "organization")?),
        email: email(row, "email")?,
        rank: rank(row, "rank")?,
        digest: Digest::from_bytes(bytes(row, "digest")?),
        created_at: time(row, "created_at")?,
        expires_at: time(row, "expires_at")?,
        accepted: optional_time(row, "accepted_at")?.zip(accepted_by),
        withdrawn_at: optional_time(row, "withdrawn_at")?,
    })
}
