//! Second factors: kept beside the ledger, which says only that there is one.

use super::{
    error::Error,
    query::{one, run},
    row::{get, number},
};
use crate::store::{StoredSecondFactor, written::to_sql};
use counterfoil_core::{id::AccountId, token::Digest};
use deadpool_postgres::{GenericClient, Transaction};

/// None takes the place of a confirmed one of another secret, nor one that is not confirmed of
/// one that is; and a password that was used stays used. Whoever comes second waits for the row, and then looks at what is there.
pub(super) async fn keep(
    transaction: &Transaction<'_>,
    factor: &StoredSecondFactor,
) -> Result<bool, Error> {
    let account = factor.account.as_bytes().as_slice();
    let kept = run(
        transaction,
        "INSERT INTO second_factor AS kept (account, secret, is_confirmed, last_step)
         VALUES ($1, $2, $3, $4)
         ON CONFLICT (account) DO UPDATE SET secret = excluded.secret,
            is_confirmed = excluded.is_confirmed,
            last_step = CASE WHEN kept.secret = excluded.secret
                THEN greatest(kept.last_step, excluded.last_step) ELSE excluded.last_step END
         WHERE NOT kept.is_confirmed
            OR (excluded.is_confirmed AND kept.secret = excluded.secret)",
        &[&account, &factor.secret, &factor.is_confirmed, &to_sql(factor.last_step)],
    )
    .await?;
    if kept == 0 {
        return Ok(false);
    }
    keep_recovery(transaction, factor.account, &factor.recovery).await?;
    Ok(true)
}

pub(super) async fn renew(
    transaction: &Transaction<'_>,
    account: AccountId,
    secret: &[u8],
    recovery: &[Digest],
) -> Result<bool, Error> {
    let sql = "SELECT 1 FROM second_factor WHERE account = $1 AND secret = $2 AND is_confirmed
         FOR NO KEY UPDATE";
    let is_there = run(transaction, sql, &[&account.as_bytes().as_slice(), &secret]).await? == 1;
    if is_there {
        keep_recovery(transaction, account, recovery).await?;
    }
    Ok(is_there)
}

async fn keep_recovery(
    transaction: &Transaction<'_>,
    account: AccountId,
    codes: &[Digest],
) -> Result<(), Error> {
    let account = account.as_bytes().as_slice();
    run(transaction, "DELETE FROM recovery_code WHERE account = $1", &[&account]).await?;
    let codes: Vec<&[u8]> = codes.iter().map(|code| code.as_bytes().as_slice()).collect();
    let sql = "INSERT INTO recovery_code (account, digest) SELECT $1, unnest($2::bytea[])";
    run(transaction, sql, &[&account, &codes]).await.map(drop)
}

pub(super) async fn find(
    client: &impl GenericClient,
    account: AccountId,
) -> Result<Option<StoredSecondFactor>, Error> {
    // One statement is one snapshot.
    let sql = "SELECT secret, is_confirmed, last_step, ARRAY (
            SELECT digest FROM recovery_code WHERE account = $1 ORDER BY digest) AS recovery
         FROM second_factor WHERE account = $1";
    one(client, sql, &[&account.as_bytes().as_slice()], |row| {
        let recovery: Vec<&[u8]> = get(row, "recovery")?;
        let digests = recovery.into_iter().map(<[u8; 32]>::try_from);
        Ok(StoredSecondFactor {
            account,
            secret: get(row, "secret")?,
            is_confirmed: get(row, "is_confirmed")?,
            last_step: number(row, "last_step")?,
            recovery: digests
                .map(|digest| digest.map(Digest::from_bytes))
                .collect::<Result<_, _>>()
                .map_err(|_| Error::Unreadable("recovery"))?,
        })
    })
    .await
}

/// First the row that [`keep`] locks.
pub(super) async fn remove(transaction: &Transaction<'_>, account: AccountId) -> Result<(), Error> {
    for sql in [
        "DELETE FROM second_factor WHERE account = $1",
        "DELETE FROM recovery_code WHERE account = $1",
    ] {
        run(transaction, sql, &[&account.as_bytes().as_slice()]).await?;
    }
    Ok(())
}

pub(super) async fn use_step(
    client: &impl GenericClient,
    account: AccountId,
    step: u64,
) -> Result<bool, Error> {
    let sql = "UPDATE second_factor SET last_step = $2 WHERE account = $1 AND last_step < $2";
    Ok(run(client, sql, &[&account.as_bytes().as_slice(), &to_sql(step)]).await? == 1)
}

pub(super) async fn use_recovery(
    client: &impl GenericClient,
    account: AccountId,
    code: Digest,
) -> Result<bool, Error> {
    let sql = "DELETE FROM recovery_code WHERE account = $1 AND digest = $2";
    let parameters = (account.as_bytes().as_slice(), code.as_bytes().as_slice());
    Ok(run(client, sql, &[&parameters.0, &parameters.1]).await? == 1)
}
