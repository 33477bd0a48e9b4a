//! Invitations: told by the ledger, and found by their links.

use super::read::{Query, one, optional_time, parse_email, parse_rank, time};
use crate::store::{InvitationFilter, Page, StoredInvitation};
use counterfoil_core::{
    id::{AccountId, InvitationId, OrganizationId},
    token::Digest,
};
use rusqlite::{Connection, Error, Row};

const INVITATION: &str = "SELECT id, organization, email, rank, digest, created_at, expires_at, \
     accepted_at, accepted_by, withdrawn_at FROM invitation";

pub(super) fn find(
    connection: &Connection,
    id: InvitationId,
) -> Result<Option<StoredInvitation>, Error> {
    one(connection, &format!("{INVITATION} WHERE id = ?"), &[id.as_bytes()], row)
}

pub(super) fn find_by_digest(
    connection: &Connection,
    digest: Digest,
) -> Result<Option<StoredInvitation>, Error> {
    one(connection, &format!("{INVITATION} WHERE digest = ?"), &[digest.as_bytes()], row)
}

pub(super) fn list(filter: InvitationFilter, page: Page<InvitationId>) -> Query {
    let mut query = Query::new(INVITATION);
    query.and_if("organization = ?", Some(*filter.organization.as_bytes()));
    if let Some(now) = filter.open_at {
        query.and("accepted_at IS NULL");
        query.and("withdrawn_at IS NULL");
        query.and_if("expires_at > ?", Some(now.as_millis()));
    }
    query.and_if("id < ?", page.after.map(|id| *id.as_bytes()));
    query.end("ORDER BY id DESC", page.limit);
    query
}

pub(super) fn row(row: &Row<'_>) -> Result<StoredInvitation, Error> {
    let accepted_by: Option<[u8; 16]> = row.get(8)?;
    Ok(StoredInvitation {
        id: InvitationId::from_bytes(row.get(0)?),
        organization: OrganizationId::from_bytes(row.get(1)?),
        email: parse_email(row, 2)?,
        rank: parse_rank(row, 3)?,
        digest: Digest::from_bytes(row.get(4)?),
        created_at: time(row, 5)?,
        expires_at: time(row, 6)?,
        accepted: optional_time(row, 7)?.zip(accepted_by.map(AccountId::from_bytes)),
        withdrawn_at: optional_time(row, 9)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::migrate;
    use counterfoil_core::Timestamp;

    #[test]
    fn invitations_are_found_in_their_order() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        let now = Timestamp::from_millis(1);
        let organization = OrganizationId::new(now, [1; 10]);
        for (open_at, index) in
            [(None, "invitation_by_organization"), (Some(now), "invitation_open")]
        {
            for after in [None, Some(InvitationId::new(now, [2; 10]))] {
                let filter = InvitationFilter { organization, open_at };
                let plan = list(filter, Page { after, limit: 9 }).plan(&connection);
                let bound = if after.is_some() { " AND id<?" } else { "" };
                let step = format!("SEARCH invitation USING INDEX {index} (organization=?{bound})");
                assert_eq!(plan, [step], "{plan:?}");
            }
        }
    }
}
