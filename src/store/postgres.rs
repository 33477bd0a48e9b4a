//! The store on PostgreSQL: any number of processes, one writer in each.
//!
//! Nothing is asked of the database that speaks its protocol alone has: no extension, no
//! advisory lock, no notification that anything depends on.

mod connect;
mod error;
mod migrate;
mod nodes;
mod query;
mod sign_in;
mod store;

pub(crate) use connect::{Settings, TlsMode};
pub(crate) use error::OpenError;

use super::{Follower, StoreError};
use connect::Alone;
use deadpool_postgres::{Client, Object, Pool};
use error::Error;
use std::{pin::Pin, sync::Arc, time::Duration};

/// How long an answer to a question is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// The answer to a question, once the database has given it.
type Answer<'c, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'c>>;

/// A PostgreSQL database that other processes may have, too.
pub(crate) struct Postgres {
    pool: Pool,
    alone: Arc<Alone>,
}

impl Postgres {
    /// Opens a database, and makes its tables where there are none.
    pub(crate) async fn open(settings: &Settings, follower: Follower) -> Result<Self, OpenError> {
        let pool = connect::pool(settings)?;
        let mut client = connect::first(&pool).await?;
        migrate::migrate(&mut client).await?;
        drop(follower);
        Ok(Self { pool, alone: Arc::new(Alone::new(settings)) })
    }

    /// A connection, for as long as it is held.
    pub(crate) async fn client(&self) -> Result<Client, StoreError> {
        self.pool.get().await.map_err(|error| error::no_connection(&error))
    }

    /// Asks something on a connection of its own; one that does not answer is not used again.
    async fn ask<T>(
        &self,
        work: impl for<'c> FnOnce(&'c mut Client) -> Answer<'c, T> + Send,
    ) -> Result<T, StoreError> {
        let mut client = self.client().await?;
        let answer = tokio::time::timeout(PATIENCE, work(&mut client)).await;
        answer
            .unwrap_or_else(|_| {
                drop(Object::take(client));
                Err(Error::Silent)
            })
            .map_err(StoreError::from)
    }
}
