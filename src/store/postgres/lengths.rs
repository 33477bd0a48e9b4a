//! L in the database, and how it is changed.

use super::{error::Error, nodes::count};
use crate::store::Aimed;
use counterfoil_core::lease::{Length, Lengths};
use deadpool_postgres::{Client, GenericClient};
use tokio_postgres::Row;

/// The row's revisions are counted: two numbers that are what they were before may have been
/// others in between.
const LOCK: &str = "SELECT lease_seconds, wait_seconds, revision FROM cluster FOR UPDATE";

const SET: &str = "UPDATE cluster
     SET lease_seconds = $1, wait_seconds = $2, revision = revision + 1 RETURNING revision";

/// Commits the first step towards `length`; where it was made already, nothing.
pub(super) async fn aim_for(client: &mut Client, length: Length) -> Result<Aimed, Error> {
    let transaction = client.transaction().await?;
    let row = transaction.query_one(LOCK, &[]).await?;
    let before = read(&row, 0)?;
    let lengths = before.toward(length);
    let revision =
        if lengths == before { row.try_get(2)? } else { write(&transaction, lengths).await? };
    transaction.commit().await?;
    Ok(Aimed { before, lengths, revision })
}

/// Commits the last, unless something was committed since the first; L as it is then.
pub(super) async fn settle(
    client: &mut Client,
    aimed: &Aimed,
    settled: Lengths,
) -> Result<Lengths, Error> {
    let transaction = client.transaction().await?;
    let row = transaction.query_one(LOCK, &[]).await?;
    if row.try_get::<_, i64>(2)? != aimed.revision {
        return read(&row, 0);
    }
    write(&transaction, settled).await?;
    transaction.commit().await?;
    Ok(settled)
}

async fn write(client: &impl GenericClient, lengths: Lengths) -> Result<i64, Error> {
    let seconds = |length: Length| i64::try_from(length.seconds()).unwrap_or(i64::MAX);
    let row = client.query_one(SET, &[&seconds(lengths.lease()), &seconds(lengths.wait())]).await?;
    Ok(row.try_get(0)?)
}

/// Two columns, of which this is the first.
pub(super) fn read(row: &Row, column: usize) -> Result<Lengths, Error> {
    let wrong = |_| Error::Unreadable("cluster.lease_seconds or wait_seconds");
    let length = |column| {
        let seconds = count(row, column, "cluster.lease_seconds")?;
        Length::from_seconds(seconds).map_err(wrong)
    };
    Lengths::new(length(column)?, length(column + 1)?).map_err(wrong)
}
