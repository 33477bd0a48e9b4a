//! What became of a commit that was not answered: a row for each connection that writes says what
//! it has tried last, and is locked until that is decided.

use super::error::{Error, Fault};
use crate::{clock, entropy};
use deadpool_postgres::{Client, GenericClient};
use tokio_postgres::Statement;

/// How long the rows of those who write no more are kept, in milliseconds: by no clock have they
/// just been written. A row that is missed is made anew.
const KEPT: i64 = 30 * 24 * 60 * 60 * 1000;

/// For [`Mark::make`].
pub(super) const MAKE: &str = "INSERT INTO attempt (writer, number, at) VALUES ($1, $2, $3)
     ON CONFLICT (writer) DO UPDATE SET number = excluded.number, at = excluded.at";

/// Waits for whoever makes the row, too, as a question would not.
const ASK: &str = "INSERT INTO attempt (writer, number, at) VALUES ($1, 0, $2)
     ON CONFLICT (writer) DO UPDATE SET at = excluded.at RETURNING number";

/// Names one attempt, of one who makes them one after another.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    writer: [u8; 16],
    number: i64,
}

impl Mark {
    /// Nobody's yet.
    pub(super) fn of_a_writer() -> Self {
        Self { writer: entropy::bytes(), number: 0 }
    }

    /// That of the writer's next attempt.
    pub(super) fn next(&mut self) -> Self {
        self.number += 1;
        *self
    }

    /// Marks the transaction that has begun on this connection.
    pub(super) async fn make(self, client: &Client, sql: &Statement) -> Result<(), Fault> {
        let made = client.execute(sql, &[&self.writer.as_slice(), &self.number, &now()]).await;
        made.map(drop).map_err(Fault::of)
    }

    /// Whether the transaction was committed; waits until that is decided, for as long as the
    /// connection waits for a lock.
    pub(super) async fn is_committed(self, client: &Client) -> Result<bool, Fault> {
        let row = client.query_one(ASK, &[&self.writer.as_slice(), &now()]).await;
        let number: i64 = row.and_then(|row| row.try_get(0)).map_err(Fault::of)?;
        Ok(number == self.number)
    }
}

/// Forgets those who have written nothing for long.
pub(super) async fn forget(client: &impl GenericClient) -> Result<(), Error> {
    // Whoever writes now is not waited for.
    let sql = "DELETE FROM attempt WHERE writer = ANY (ARRAY (
            SELECT writer FROM attempt WHERE at < $1 FOR UPDATE SKIP LOCKED))";
    client.execute(sql, &[&(now() - KEPT)]).await?;
    Ok(())
}

fn now() -> i64 {
    clock::now().as_millis()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{
        Store as _,
        postgres::{Postgres, tests::settings},
    };
    use counterfoil_support::postgres::Postgres as Cluster;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_became_of_a_commit_is_told_once_it_is_decided() {
        let cluster = Cluster::start();
        let database = cluster.create_database();
        let settings = settings(&cluster, &database, cluster.user());
        let store = Postgres::open(&settings).await.unwrap();
        let writer = store.client().await.unwrap();
        let sql = writer.prepare(MAKE).await.unwrap();
        let mut mark = Mark::of_a_writer();
        // The first of all makes the row, which nobody else sees yet.
        for (end, is_committed) in
            [("COMMIT", true), ("ROLLBACK", false), ("COMMIT", true), ("COMMIT", true)]
        {
            let mark = mark.next();
            writer.batch_execute("BEGIN").await.unwrap();
            mark.make(&writer, &sql).await.unwrap();
            let client = store.client().await.unwrap();
            let asking = tokio::spawn(async move { mark.is_committed(&client).await });
            let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted";
            while cluster.run(&database, waiting) == "0" {
                assert!(!asking.is_finished());
            }
            writer.batch_execute(end).await.unwrap();
            assert_eq!(asking.await.unwrap().unwrap(), is_committed);
        }
        let unmade = mark.next();
        assert!(!unmade.is_committed(&store.client().await.unwrap()).await.unwrap());

        let kept = || cluster.run(&database, "SELECT count(*) FROM attempt");
        assert_eq!(kept(), "1");
        forget(&writer).await.unwrap();
        assert_eq!(kept(), "1");
        cluster.run(&database, &format!("UPDATE attempt SET at = at - {KEPT} - 1"));
        forget(&writer).await.unwrap();
        assert_eq!(kept(), "0");
        drop(writer);
        store.close().await;
    }
}
