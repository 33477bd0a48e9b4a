//! What can go wrong with PostgreSQL, in words for whoever can do something about it.

use crate::store::StoreError;
use counterfoil_core::index::OutOfStep;
use deadpool_postgres::PoolError;
use std::io;
use tokio_postgres::error::SqlState;

/// Why a statement has no result.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("{}", describe(.0))]
    Postgres(#[from] tokio_postgres::Error),
    /// A value is none that Counterfoil writes.
    #[error("what stands in {0} is not a value that Counterfoil writes")]
    Unreadable(&'static str),
    /// A value cannot be written as JSON.
    #[error("a value cannot be written as JSON")]
    Unwritable,
    /// What is loaded does not fit together.
    #[error(transparent)]
    OutOfStep(#[from] OutOfStep),
    /// The replay of the ledger failed.
    #[error("the ledger cannot be replayed: {0}")]
    Replay(#[from] rusqlite::Error),
    /// A program that knows more has brought it further.
    #[error(transparent)]
    Newer(#[from] Newer),
    /// Nothing came back in time.
    #[error("the database does not answer")]
    Silent,
}

/// A database that this program does not understand any more.
#[derive(Debug, thiserror::Error)]
#[error(
    "the database was made by a newer version of Counterfoil (schema {found}; this one knows \
     {known}); start that version"
)]
pub(crate) struct Newer {
    pub(super) found: usize,
    pub(super) known: usize,
}

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        Self::Unavailable(error.to_string())
    }
}

/// What came in the way of a group of orders.
#[derive(Debug)]
pub(super) enum Fault {
    /// What one of them was decided on is no longer so.
    Refused(StoreError),
    /// Nothing was made; another attempt may well succeed.
    Passing(Error),
    /// Nothing was made.
    Lasting(Error),
    /// Whether it was made is not known.
    Unknown,
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Lasting(error)
    }
}

impl Fault {
    /// For an error before anything was committed.
    pub(super) fn of(error: tokio_postgres::Error) -> Self {
        let Some(code) = error.code() else { return Self::Passing(error.into()) };
        match code.code().get(..2) {
            // A constraint does not hold: somebody else was first.
            Some("23") => Self::Refused(StoreError::Conflict),
            // Another transaction was in the way, or the server is going away.
            Some("40" | "08") => Self::Passing(error.into()),
            _ => match *code {
                SqlState::LOCK_NOT_AVAILABLE
                | SqlState::ADMIN_SHUTDOWN
                | SqlState::CRASH_SHUTDOWN
                | SqlState::CANNOT_CONNECT_NOW
                | SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT
                // It has become a replica: there is another primary.
                | SqlState::READ_ONLY_SQL_TRANSACTION => Self::Passing(error.into()),
                _ => Self::Lasting(error.into()),
            },
        }
    }

    /// For an error once the COMMIT was sent.
    pub(super) fn at_the_end(error: tokio_postgres::Error) -> Self {
        // A server that goes away may have committed before it said so, and one that is many may
        // not know.
        let is_said = error.code().is_some_and(|code| {
            let leaves_open = ["57P", "08", "40003"].iter().any(|is| code.code().starts_with(is));
            !leaves_open
        });
        if is_said { Self::of(error) } else { Self::Unknown }
    }

    pub(super) fn of_pool(error: PoolError) -> Self {
        match error {
            PoolError::Backend(error) => Self::Passing(error.into()),
            _ => Self::Passing(Error::Silent),
        }
    }

    /// Whether the connection can be used again, once the transaction is rolled back.
    pub(super) fn spares_connection(&self) -> bool {
        match self {
            Self::Refused(_) => true,
            Self::Passing(Error::Postgres(error)) | Self::Lasting(Error::Postgres(error)) => {
                error.code().is_some_and(|code| *code != SqlState::READ_ONLY_SQL_TRANSACTION)
            }
            _ => false,
        }
    }
}

/// Why a database cannot be opened: what happened, and what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error(
        "the database cannot be reached: {0}; look whether it runs, and at database.url in the \
         configuration"
    )]
    Unreachable(String),
    #[error("the database refuses this user: {0}; look at user and password in database.url")]
    NotLetIn(String),
    #[error(
        "the database shows a certificate that is not accepted: {0}; look whether \
         database.ca_file has the authority that has issued it, and database.url the host that \
         it names"
    )]
    NotTheServer(rustls::Error),
    #[error("connections to the database cannot be made: {0}")]
    Settings(String),
    #[error(
        "the database server is PostgreSQL {version}, and Counterfoil needs {oldest} or newer; \
         upgrade the server"
    )]
    TooOld { version: String, oldest: i32 },
    #[error(
        "the database only lets itself be read: it is a replica, or default_transaction_read_only \
         is on; name the primary in database.url"
    )]
    ReadOnly,
    #[error(
        "the database is written in {0}, and names need UTF8; make one with \
         CREATE DATABASE counterfoil ENCODING 'UTF8' TEMPLATE template0"
    )]
    Encoding(String),
    #[error(
        "the database runs with synchronous_commit = off and would forget, after a crash, what \
         it has said was done: a token would be live again that was revoked; set it to on, for \
         the server, the database or the user"
    )]
    Asynchronous,
    #[error(
        "the user {user} may not make tables in the database; its owner allows it with \
         GRANT CREATE ON SCHEMA {schema} TO {user}"
    )]
    MayNotCreate { user: String, schema: String },
    #[error(
        "the user {user} may not write to the table {table}; its owner allows it with \
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {user}"
    )]
    MayNotWrite { user: String, table: String },
    #[error(transparent)]
    Newer(Newer),
    #[error(
        "the database has to be brought up to date, and somebody keeps a lock on what has to be \
         changed: {0}; wait for what is under way there, a backup perhaps, and start anew"
    )]
    Locked(String),
    #[error(
        "the connection to the database broke while that was prepared: {0}; look whether it runs"
    )]
    BrokenOff(String),
    #[error("the database cannot be prepared: {0}")]
    Tables(String),
}

impl From<Error> for OpenError {
    fn from(error: Error) -> Self {
        match error {
            Error::Newer(newer) => Self::Newer(newer),
            Error::Postgres(error) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => {
                Self::Locked(describe(&error))
            }
            Error::Postgres(error) if is_broken_off(&error) => Self::BrokenOff(describe(&error)),
            error => Self::Tables(error.to_string()),
        }
    }
}

impl OpenError {
    /// Why there is no first connection.
    pub(super) fn of_pool(error: &PoolError) -> Self {
        let PoolError::Backend(error) = error else {
            return Self::Unreachable("it does not answer".into());
        };
        if let Some(code) = error.code() {
            // Invalid authorization, or no such database.
            return match code.code().get(..2) {
                Some("28" | "3D") => Self::NotLetIn(describe(error)),
                _ => Self::Unreachable(describe(error)),
            };
        }
        let cause = std::error::Error::source(error);
        let cause = cause.and_then(|cause| cause.downcast_ref::<io::Error>());
        let certificate = cause.and_then(|cause| cause.get_ref()?.downcast_ref::<rustls::Error>());
        if let Some(error @ rustls::Error::InvalidCertificate(_)) = certificate {
            return Self::NotTheServer(error.clone());
        }
        // What the client says of a server that takes no changes.
        if cause.is_some_and(|cause| cause.to_string().contains("does not allow writes")) {
            return Self::ReadOnly;
        }
        Self::Unreachable(describe(error))
    }
}

/// Whether nothing more can come of the connection: it has ended, or the server has said that it
/// ends it.
fn is_broken_off(error: &tokio_postgres::Error) -> bool {
    let cause = std::error::Error::source(error);
    let cause = cause.and_then(|cause| cause.downcast_ref::<io::Error>());
    match error.code() {
        None => error.is_closed() || cause.is_some(),
        Some(code) => {
            *code == SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT
                || ["57P", "08"].iter().any(|class| code.code().starts_with(class))
        }
    }
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
