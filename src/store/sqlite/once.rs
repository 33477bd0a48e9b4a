//! What was asked for under a key: kept beside the ledger, for a while.

use super::change::run;
use crate::store::Once;
use counterfoil_core::{Timestamp, id::TokenId, token::Digest};
use rusqlite::{Connection, Error, OptionalExtension as _, params};

/// Fails where the key has been used: whoever did so was first.
pub(super) fn keep(connection: &Connection, at: Timestamp, once: &Once) -> Result<(), Error> {
    run(
        connection,
        "INSERT INTO once (key, request, token, at) VALUES (?, ?, ?, ?)",
        params![
            once.key.as_bytes(),
            once.request.as_bytes(),
            once.token.as_bytes(),
            at.as_millis()
        ],
    )
    .map(drop)
}

pub(super) fn find(connection: &Connection, key: Digest) -> Result<Option<Once>, Error> {
    connection
        .prepare_cached("SELECT request, token FROM once WHERE key = ?")?
        .query_row(params![key.as_bytes()], |row| {
            let (request, token) = (row.get(0)?, row.get(1)?);
            Ok(Once {
                key,
                request: Digest::from_bytes(request),
                token: TokenId::from_bytes(token),
            })
        })
        .optional()
}

/// Whether there may be more to forget.
pub(super) fn forget(connection: &Connection, end: Timestamp, most: u32) -> Result<bool, Error> {
    let deleted = run(
        connection,
        "DELETE FROM once WHERE key IN (SELECT key FROM once WHERE at < ? LIMIT ?)",
        params![end.as_millis(), most],
    )?;
    Ok(deleted >= most as usize)
}
