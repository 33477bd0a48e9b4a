//! What was asked for under a key: kept beside the ledger, for a while.

use super::{
    error::Error,
    query::{one, run},
    row::bytes,
};
use crate::store::Once;
use counterfoil_core::{Timestamp, id::TokenId, token::Digest};
use deadpool_postgres::GenericClient;

pub(super) async fn find(client: &impl GenericClient, key: Digest) -> Result<Option<Once>, Error> {
    let sql = "SELECT request, token FROM once WHERE key = $1";
    one(client, sql, &[&key.as_bytes().as_slice()], |row| {
        Ok(Once {
            key,
            request: Digest::from_bytes(bytes(row, "request")?),
            token: TokenId::from_bytes(bytes(row, "token")?),
        })
    })
    .await
}

/// Whether there may be more to forget.
pub(super) async fn forget(
    client: &impl GenericClient,
    end: Timestamp,
    most: u32,
) -> Result<bool, Error> {
    let deleted = run(
        client,
        "DELETE FROM once WHERE key = ANY (ARRAY (
            SELECT key FROM once WHERE at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED))",
        &[&end.as_millis(), &i64::from(most)],
    )
    .await?;
    Ok(deleted >= u64::from(most))
}
