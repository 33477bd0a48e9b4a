//! What orders rest on beside who asks for them.

use super::change::run;
use crate::store::Ground;
use counterfoil_core::Timestamp;
use rusqlite::{Connection, Error, params};

/// Whether it is so; a link is used up.
pub(super) fn holds(
    connection: &Connection,
    at: Timestamp,
    ground: &Ground,
) -> Result<bool, Error> {
    match ground {
        Ground::NoOrganization => {
            Ok(!connection.prepare_cached("SELECT 1 FROM organization")?.exists([])?)
        }
        Ground::Password(account, hash) => connection
            .prepare_cached("SELECT 1 FROM account WHERE id = ? AND password_hash = ?")?
            .exists(params![account.as_bytes(), hash]),
        Ground::Link(digest) => {
            let sql = "DELETE FROM link WHERE digest = ? AND expires_at > ?";
            Ok(run(connection, sql, params![digest.as_bytes(), at.as_millis()])? == 1)
        }
    }
}
