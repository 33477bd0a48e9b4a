//! Refusals: kept beside the ledger, for a while.

use super::change::run;
use crate::refusals::StoredRefusal;
use counterfoil_core::{
    Timestamp,
    id::{OrganizationId, RequestId, TokenId},
};
use rusqlite::{Connection, Error, OptionalExtension as _, Row, params};

pub(super) fn keep(connection: &Connection, refusals: &[StoredRefusal]) -> Result<(), Error> {
    for refusal in refusals {
        let matched = refusal.matched;
        run(
            connection,
            "INSERT OR REPLACE INTO refusal (request_id, at, door, api, code, about, method, path,
                client, client_request_id, token, organization)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            params![
                refusal.request_id.as_bytes(),
                refusal.at.as_millis(),
                refusal.door,
                refusal.api,
                refusal.code,
                refusal.about,
                refusal.method,
                refusal.path,
                refusal.client,
                refusal.client_request_id,
                matched.map(|(token, _)| *token.as_bytes()),
                matched.map(|(_, organization)| *organization.as_bytes()),
            ],
        )?;
    }
    Ok(())
}

pub(super) fn find(connection: &Connection, id: RequestId) -> Result<Option<StoredRefusal>, Error> {
    connection
        .prepare_cached(
            "SELECT request_id, at, door, api, code, about, method, path, client,
                client_request_id, token, organization
             FROM refusal WHERE request_id = ?",
        )?
        .query_row(params![id.as_bytes()], row)
        .optional()
}

pub(super) fn forget(connection: &Connection, end: Timestamp, most: u32) -> Result<(), Error> {
    run(
        connection,
        "DELETE FROM refusal WHERE at < max(?1, coalesce(
            (SELECT at FROM refusal ORDER BY at DESC LIMIT 1 OFFSET ?2), ?1))",
        params![end.as_millis(), most],
    )
    .map(drop)
}

fn row(row: &Row<'_>) -> Result<StoredRefusal, Error> {
    let token: Option<[u8; 16]> = row.get(10)?;
    let organization: Option<[u8; 16]> = row.get(11)?;
    Ok(StoredRefusal {
        request_id: RequestId::from_bytes(row.get(0)?),
        at: Timestamp::from_millis(row.get(1)?),
        door: row.get(2)?,
        api: row.get(3)?,
        code: row.get(4)?,
        about: row.get(5)?,
        method: row.get(6)?,
        path: row.get(7)?,
        client: row.get(8)?,
        client_request_id: row.get(9)?,
        matched: token.zip(organization).map(|(token, organization)| {
            (TokenId::from_bytes(token), OrganizationId::from_bytes(organization))
        }),
    })
}
