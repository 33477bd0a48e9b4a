//! Rows by the million, as COPY sends them.

use super::error::Error;
use deadpool_postgres::Transaction;
use futures_util::TryStreamExt as _;
use std::pin::Pin;
use tokio_postgres::{
    binary_copy::{BinaryCopyOutRow, BinaryCopyOutStream},
    types::{FromSql, Type},
};

/// What a SELECT returns, row by row.
pub(super) struct Rows {
    stream: Pin<Box<BinaryCopyOutStream>>,
    pub(super) types: Vec<Type>,
}

impl Rows {
    /// `select` is made of this directory's own words.
    pub(super) async fn of(transaction: &Transaction<'_>, select: &str) -> Result<Self, Error> {
        let statement = transaction.prepare(select).await?;
        let types: Vec<Type> =
            statement.columns().iter().map(|column| column.type_().clone()).collect();
        let copy = format!("COPY ({select}) TO STDOUT (FORMAT binary)");
        let stream = BinaryCopyOutStream::new(transaction.copy_out(&copy).await?, &types);
        Ok(Self { stream: Box::pin(stream), types })
    }

    pub(super) async fn next(&mut self) -> Result<Option<BinaryCopyOutRow>, Error> {
        Ok(self.stream.try_next().await?)
    }
}

/// What stands in a column.
pub(super) fn at<'r, T: FromSql<'r>>(row: &'r BinaryCopyOutRow, column: usize) -> Result<T, Error> {
    Ok(row.try_get(column)?)
}

/// The same, of so many bytes.
pub(super) fn bytes_at<const N: usize>(
    row: &BinaryCopyOutRow,
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
