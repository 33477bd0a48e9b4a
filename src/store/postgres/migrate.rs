//! The steps that bring a database from empty to what this program expects.

use super::{
    check,
    error::{Error, Newer, OpenError, describe},
};
use crate::clock;
use counterfoil_core::ledger::KNOWS;
use deadpool_postgres::{Client, GenericClient, Transaction};
use std::{borrow::Cow, time::Duration};
use tokio::time::sleep;
use tokio_postgres::error::SqlState;

/// Which of the steps have been made.
const STEPS: &str = "CREATE TABLE IF NOT EXISTS schema_step
    (step integer NOT NULL PRIMARY KEY, made_at bigint NOT NULL)";

const MIGRATIONS: &[&str] = &[
    include_str!("../../../migrations/postgres/0001_begin.sql"),
    include_str!("../../../migrations/postgres/0002_nodes_for_people.sql"),
    include_str!("../../../migrations/postgres/0003_email_set.sql"),
    include_str!("../../../migrations/postgres/0004_attempts.sql"),
];

/// The step that came with each version of the list of kinds: a program that does not know a
/// kind must not load what has come of it, and it is the step that keeps it out.
const CAME_WITH_KINDS: [usize; KNOWS as usize] = [1, 3];
const _: () = assert!(CAME_WITH_KINDS[KNOWS as usize - 1] <= MIGRATIONS.len());

/// Says of texts that they are ordered by their bytes.
const BY_BYTES: &str = " COLLATE \"C\"";

/// How often a step is tried, where somebody holds a lock: each time it waits for a second, in
/// which whoever comes later waits behind it.
const TRIES: usize = 30;
const PAUSE: Duration = Duration::from_secs(1);

/// Applies what is missing. Of several programs that begin at once one does it, and the others
/// wait for that.
pub(super) async fn migrate(client: &mut Client) -> Result<(), OpenError> {
    bring_to(client, MIGRATIONS).await
}

async fn bring_to(client: &mut Client, migrations: &[&str]) -> Result<(), OpenError> {
    if made(client, migrations.len()).await? == migrations.len() {
        return Ok(());
    }
    check::may_create(client).await?;
    create(client).await?;
    let mut tries = 1;
    loop {
        match make(client, migrations).await {
            Err(Error::Postgres(error))
                if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) && tries < TRIES =>
            {
                tracing::warn!(error = %describe(&error), "the database is to be brought up to date, and somebody has a lock there; trying again");
                tries += 1;
                sleep(PAUSE).await;
            }
            done => return Ok(done?),
        }
    }
}

/// How many steps have been made there; fails where that is more than are known.
async fn made(client: &Client, known: usize) -> Result<usize, Error> {
    let exists = client.query_one("SELECT to_regclass('schema_step') IS NOT NULL", &[]).await?;
    if exists.try_get(0)? { steps(client, known).await } else { Ok(0) }
}

/// Refuses a database that has been brought further than this program knows.
pub(super) async fn knows_all(client: &impl GenericClient) -> Result<(), Error> {
    steps(client, MIGRATIONS.len()).await.map(drop)
}

async fn steps(client: &impl GenericClient, known: usize) -> Result<usize, Error> {
    let row = client.query_one("SELECT count(*) FROM schema_step", &[]).await?;
    let found = usize::try_from(row.try_get::<_, i64>(0)?).unwrap_or(usize::MAX);
    if found > known { Err(Newer { found, known }.into()) } else { Ok(found) }
}

async fn create(client: &Client) -> Result<(), Error> {
    let made = client.batch_execute(STEPS).await;
    // Who makes it at the same moment is told that it is there.
    let is_there =
        [SqlState::UNIQUE_VIOLATION, SqlState::DUPLICATE_TABLE, SqlState::DUPLICATE_OBJECT];
    made.or_else(|error| match error.code() {
        Some(code) if is_there.contains(code) => Ok(()),
        _ => Err(error.into()),
    })
}

async fn make(client: &mut Client, migrations: &[&str]) -> Result<(), Error> {
    let transaction = client.transaction().await?;
    // A step on a large database takes its time, and whoever waits for it does: for the first
    // step's row, which is there before the step is made.
    let patient = "SET LOCAL lock_timeout = 0; SET LOCAL statement_timeout = 0";
    transaction.batch_execute(patient).await?;
    let is_first = note(&transaction, 1).await?;
    transaction.execute("SELECT 1 FROM schema_step WHERE step = 1 FOR UPDATE", &[]).await?;
    let found = if is_first { 0 } else { steps(&transaction, migrations.len()).await? };
    // Other nodes go on meanwhile, and must not be kept from it by whoever keeps this one.
    transaction.batch_execute("SET LOCAL lock_timeout = '1s'").await?;
    let version = version(&transaction).await?;
    for (step, sql) in (1i32..).zip(migrations).skip(found) {
        if found > 0 {
            let of = migrations.len();
            tracing::info!(step, of, "the database is brought up to date");
        }
        transaction.batch_execute(&spoken_by(&version, sql)).await?;
        note(&transaction, step).await?;
    }
    transaction.commit().await?;
    Ok(())
}

async fn version(client: &impl GenericClient) -> Result<String, Error> {
    Ok(client.query_one("SELECT version()", &[]).await?.try_get(0)?)
}

/// A step as the database takes it: `CockroachDB` orders all texts by their bytes, and lets no
/// table say so.
fn spoken_by<'s>(version: &str, sql: &'s str) -> Cow<'s, str> {
    if version.starts_with("CockroachDB") { sql.replace(BY_BYTES, "").into() } else { sql.into() }
}

/// Notes a step; whether it was not noted before.
async fn note(transaction: &Transaction<'_>, step: i32) -> Result<bool, Error> {
    let sql = "INSERT INTO schema_step VALUES ($1, $2) ON CONFLICT DO NOTHING";
    Ok(transaction.execute(sql, &[&step, &clock::now().as_millis()]).await? > 0)
}

/// What the tables are called.
pub(super) fn tables() -> impl Iterator<Item = &'static str> {
    let made = MIGRATIONS.iter().flat_map(|sql| sql.lines());
    let made = made.filter_map(|line| line.strip_prefix("CREATE TABLE ")?.split(' ').next());
    made.chain(["schema_step"])
}

/// Makes everything in the schema that comes first, which is empty.
pub(super) async fn make_all(transaction: &Transaction<'_>) -> Result<(), Error> {
    transaction.batch_execute(STEPS).await?;
    let version = version(transaction).await?;
    for sql in MIGRATIONS {
        transaction.batch_execute(&spoken_by(&version, sql)).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{
        Store as _,
        postgres::{Postgres, tests::settings},
    };
    use counterfoil_support::postgres::Postgres as Cluster;

    #[test]
    fn a_step_names_an_order_only_where_there_are_several() {
        let sql = "CREATE TABLE note (text text COLLATE \"C\" NOT NULL)";
        assert_eq!(spoken_by("PostgreSQL 15.18", sql), sql);
        let cockroach = spoken_by("CockroachDB CCL v26.1.0", sql);
        assert_eq!(cockroach, "CREATE TABLE note (text text NOT NULL)");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn whoever_keeps_a_step_from_being_made_keeps_nobody_else() {
        let cluster = Cluster::start();
        let database = cluster.create_database();
        let settings = settings(&cluster, &database, cluster.user());
        let store = Postgres::open(&settings).await.unwrap();
        let mut holder = store.client().await.unwrap();
        let backup = holder.transaction().await.unwrap();
        let lock = "SET LOCAL idle_in_transaction_session_timeout = 0;
            LOCK TABLE node IN ACCESS SHARE MODE";
        backup.batch_execute(lock).await.unwrap();
        let mut client = store.client().await.unwrap();
        let stepping = tokio::spawn(async move {
            let further = [MIGRATIONS, &["ALTER TABLE node ADD COLUMN further text"]].concat();
            bring_to(&mut client, &further).await
        });
        let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted";
        while cluster.run(&database, waiting) == "0" {
            tokio::task::yield_now().await;
        }
        // Behind the step, which gives way.
        cluster.run(&database, "SET lock_timeout = '1min'; SELECT count(*) FROM node");
        backup.commit().await.unwrap();
        stepping.await.unwrap().unwrap();
        cluster.run(&database, "SELECT further FROM node");
        store.close().await;
    }
}
