//! The store on PostgreSQL: any number of processes, one writer in each.
//!
//! Nothing is asked of the database that speaks its protocol alone has: no extension, no
//! advisory lock, no notification that anything depends on.

mod change;
mod check;
mod connect;
mod definitions;
mod error;
mod find_tokens;
mod group;
mod inspect;
mod invitations;
mod ledger;
mod lengths;
mod list_tokens;
mod load;
mod lock;
mod mark;
mod migrate;
mod nodes;
mod once;
mod plan;
#[cfg(test)]
mod plans;
mod query;
mod read;
mod refusals;
mod row;
mod second_factors;
mod sessions;
mod sign_in;
mod snapshot;
mod store;
#[cfg(test)]
mod tests;
mod tls;
mod usage;
mod write;

pub(crate) use connect::{Settings, TlsMode};
pub(crate) use error::OpenError;

use super::StoreError;
use connect::Alone;
use deadpool_postgres::{Client, Object, Pool, Transaction};
use error::Error;
use std::{pin::Pin, sync::Arc, time::Duration};
use write::Writer;

/// How long an answer to a question is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often a database is prepared whose connection breaks meanwhile.
const TRIES: usize = 3;

/// The answer to a question, once the database has given it.
type Answer<'c, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'c>>;

/// Finds a database to be as it has to be, or makes it so.
async fn prepare(pool: &Pool) -> Result<(), OpenError> {
    let mut client = connect::first(pool).await?;
    let prepared = async {
        check::server(&client).await?;
        check::may_write(&client).await?;
        migrate::migrate(&mut client).await
    };
    let prepared = prepared.await;
    if prepared.is_err() {
        drop(Object::take(client));
    }
    prepared
}

/// A PostgreSQL database that other processes may have, too.
pub(crate) struct Postgres {
    pool: Pool,
    alone: Arc<Alone>,
    writer: Writer,
}

impl Postgres {
    /// Opens a database, and makes its tables where there are none.
    pub(crate) async fn open(settings: &Settings) -> Result<Self, OpenError> {
        let pool = connect::readers(settings)?;
        let mut tries = 1;
        while let Err(error) = prepare(&pool).await {
            let OpenError::BrokenOff(why) = &error else { return Err(error) };
            if tries == TRIES {
                return Err(error);
            }
            tracing::warn!(error = why, "the connection to the database broke; trying again");
            tries += 1;
        }
        let writer = Writer::start(settings).await?;
        Ok(Self { pool, alone: Arc::new(Alone::new(settings)?), writer })
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

    /// Does several things, all of them or none.
    async fn together<T: Send + 'static>(
        &self,
        work: impl for<'c> FnOnce(&'c Transaction<'_>) -> Answer<'c, T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.ask(move |client| {
            Box::pin(async move {
                let transaction = client.transaction().await?;
                let done = work(&transaction).await?;
                transaction.commit().await?;
                Ok(done)
            })
        })
        .await
    }
}
