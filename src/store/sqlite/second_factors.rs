//! Second factors: kept beside the ledger, which says only that there is one.

use super::change::run;
use crate::store::{StoredSecondFactor, written::to_sql};
use counterfoil_core::{id::AccountId, token::Digest};
use rusqlite::{Connection, Error, OptionalExtension as _, params};

/// None takes the place of a confirmed one of another secret, nor one that is not confirmed of
/// one that is; and a password that was used stays used.
pub(super) fn keep(connection: &Connection, factor: &StoredSecondFactor) -> Result<bool, Error> {
    let account = factor.account.as_bytes();
    let kept = run(
        connection,
        "INSERT INTO second_factor (account, secret, is_confirmed, last_step) VALUES (?, ?, ?, ?)
         ON CONFLICT (account) DO UPDATE SET secret = excluded.secret,
            is_confirmed = excluded.is_confirmed,
            last_step = iif(secret = excluded.secret,
                max(last_step, excluded.last_step), excluded.last_step)
         WHERE NOT second_factor.is_confirmed
            OR (excluded.is_confirmed AND secret = excluded.secret)",
        params![account, factor.secret, factor.is_confirmed, to_sql(factor.last_step)],
    )?;
    if kept == 0 {
        return Ok(false);
    }
    keep_recovery(connection, factor.account, &factor.recovery)?;
    Ok(true)
}

pub(super) fn renew(
    connection: &Connection,
    account: AccountId,
    secret: &[u8],
    recovery: &[Digest],
) -> Result<bool, Error> {
    let is_there = connection
        .prepare_cached(
            "SELECT 1 FROM second_factor WHERE account = ? AND secret = ? AND is_confirmed",
        )?
        .exists(params![account.as_bytes(), secret])?;
    if is_there {
        keep_recovery(connection, account, recovery)?;
    }
    Ok(is_there)
}

fn keep_recovery(
    connection: &Connection,
    account: AccountId,
    codes: &[Digest],
) -> Result<(), Error> {
    let account = account.as_bytes();
    run(connection, "DELETE FROM recovery_code WHERE account = ?", params![account])?;
    for code in codes {
        run(
            connection,
            "INSERT INTO recovery_code (account, digest) VALUES (?, ?)",
            params![account, code.as_bytes()],
        )?;
    }
    Ok(())
}

pub(super) fn find(
    connection: &Connection,
    account: AccountId,
) -> Result<Option<StoredSecondFactor>, Error> {
    let recovery = connection
        .prepare_cached("SELECT digest FROM recovery_code WHERE account = ? ORDER BY digest")?
        .query_map(params![account.as_bytes()], |row| row.get(0).map(Digest::from_bytes))?
        .collect::<Result<Vec<_>, _>>()?;
    connection
        .prepare_cached(
            "SELECT secret, is_confirmed, last_step FROM second_factor WHERE account = ?",
        )?
        .query_row(params![account.as_bytes()], |row| {
            Ok(StoredSecondFactor {
                account,
                secret: row.get(0)?,
                is_confirmed: row.get(1)?,
                last_step: row.get::<_, i64>(2)?.unsigned_abs(),
                recovery,
            })
        })
        .optional()
}

pub(super) fn remove(connection: &Connection, account: AccountId) -> Result<(), Error> {
    for sql in [
        "DELETE FROM second_factor WHERE account = ?",
        "DELETE FROM recovery_code WHERE account = ?",
    ] {
        run(connection, sql, params![account.as_bytes()])?;
    }
    Ok(())
}

pub(super) fn use_step(
    connection: &Connection,
    account: AccountId,
    step: u64,
) -> Result<bool, Error> {
    let used = run(
        connection,
        "UPDATE second_factor SET last_step = ?2 WHERE account = ?1 AND last_step < ?2",
        params![account.as_bytes(), to_sql(step)],
    )?;
    Ok(used == 1)
}

pub(super) fn use_recovery(
    connection: &Connection,
    account: AccountId,
    code: Digest,
) -> Result<bool, Error> {
    let used = run(
        connection,
        "DELETE FROM recovery_code WHERE account = ? AND digest = ?",
        params![account.as_bytes(), code.as_bytes()],
    )?;
    Ok(used == 1)
}
