//! One snapshot, and its rows by the million.

use super::error::Error;
use deadpool_postgres::{GenericClient as _, Transaction};
use futures_util::TryStreamExt as _;
use std::pin::Pin;
use tokio_postgres::{
    Row, RowStream,
    types::{FromSql, ToSql},
};

/// What a SELECT returns, row by row: the next is sent once there is room for it.
pub(super) struct Rows(Pin<Box<RowStream>>);

impl Rows {
    /// `select` is made of this directory's own words.
    pub(super) async fn of(transaction: &Transaction<'_>, select: &str) -> Result<Self, Error> {
        let none: [&(dyn ToSql + Sync); 0] = [];
        Ok(Self(Box::pin(transaction.query_raw(select, none).await?)))
    }

    pub(super) async fn next(&mut self) -> Result<Option<Row>, Error> {
        Ok(self.0.try_next().await?)
    }
}

/// What stands in a column.
pub(super) fn at<'r, T: FromSql<'r>>(row: &'r Row, column: usize) -> Result<T, Error> {
    Ok(row.try_get(column)?)
}

/// The same, of so many bytes.
pub(super) fn bytes_at<const N: usize>(
    row: &Row,
    column: usize,
    name: &'static str,
) -> Result<[u8; N], Error> {
    at::<&[u8]>(row, column)?.try_into().map_err(|_| Error::Unreadable(name))
}

/// Has a transaction be one snapshot, for as long as it takes to read.
pub(super) async fn snapshot(
    client: &mut deadpool_postgres::Client,
) -> Result<Transaction<'_>, Error> {
    let transaction = client
        .build_transaction()
        .isolation_level(tokio_postgres::IsolationLevel::RepeatableRead)
        .read_only(true)
        .start()
        .await?;
    transaction
        .batch_execute(
            "SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0",
        )
        .await?;
    Ok(transaction)
}
