//! What can go wrong with PostgreSQL, in words for whoever can do something about it.

use crate::store::StoreError;
use deadpool_postgres::PoolError;
use tokio_postgres::error::SqlState;

/// Why a statement has no result.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("{}", describe(.0))]
    Postgres(#[from] tokio_postgres::Error),
    /// A value is none that Counterfoil writes.
    #[error("what stands in {0} is not a value that Counterfoil writes")]
    Unreadable(&'static str),
    /// Nothing came back in time.
    #[error("the database does not answer")]
    Silent,
}

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        Self::Unavailable(error.to_string())
    }
}

/// Why a database cannot be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error("the database cannot be reached: {0}")]
    Unreachable(String),
    #[error("the connection to the database cannot be set up: {0}")]
    Settings(String),
    #[error(
        "the database was made by a newer version of Counterfoil (schema {found}; this one knows {known})"
    )]
    Newer { found: usize, known: usize },
    #[error("the tables cannot be made: {0}")]
    Tables(String),
}

/// The error in words for whoever asked, without what a statement was given.
pub(super) fn describe(error: &tokio_postgres::Error) -> String {
    if let Some(said) = error.as_db_error() {
        return match *said.code() {
            SqlState::DISK_FULL => "the disk of the database is full".to_owned(),
            _ => format!("{} ({})", said.message(), said.code().code()),
        };
    }
    let cause = std::error::Error::source(error).map(ToString::to_string);
    cause.map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}

/// What is told of a pool that has no connection to give.
pub(super) fn no_connection(error: &PoolError) -> StoreError {
    StoreError::Unavailable(match error {
        PoolError::Backend(error) => describe(error),
        PoolError::Timeout(_) => "no connection to the database is free".to_owned(),
        _ => "the server is stopping".to_owned(),
    })
}
