//! The steps that bring a database from empty to what this program expects.

use super::{
    check,
    error::{Error, OpenError},
};
use crate::clock;
use deadpool_postgres::{Client, Transaction};
use tokio_postgres::error::SqlState;

/// Which of the steps have been made.
const STEPS: &str = "CREATE TABLE IF NOT EXISTS schema_step
    (step integer NOT NULL PRIMARY KEY, made_at bigint NOT NULL)";

const MIGRATIONS: &[&str] = &[
    include_str!("../../../migrations/postgres/0001_begin.sql"),
    include_str!("../../../migrations/postgres/0002_nodes_for_people.sql"),
];

/// Applies what is missing. Of several programs that begin at once one does it, and the others
/// wait for that.
pub(super) async fn migrate(client: &mut Client) -> Result<(), OpenError> {
    let found = steps(client).await?;
    if found < MIGRATIONS.len() {
        check::may_create(client).await?;
        return Ok(make(client).await?);
    }
    if found > MIGRATIONS.len() {
        return Err(OpenError::Newer { found, known: MIGRATIONS.len() });
    }
    Ok(())
}

/// How many steps have been made there.
async fn steps(client: &Client) -> Result<usize, Error> {
    let exists = client.query_one("SELECT to_regclass('schema_step') IS NOT NULL", &[]).await?;
    if !exists.try_get::<_, bool>(0)? {
        return Ok(0);
    }
    let row = client.query_one("SELECT count(*) FROM schema_step", &[]).await?;
    Ok(usize::try_from(row.try_get::<_, i64>(0)?).unwrap_or(usize::MAX))
}

async fn make(client: &mut Client) -> Result<(), Error> {
    let made = client.batch_execute(STEPS).await;
    // Who makes it at the same moment is told that it is there.
    let is_there =
        [SqlState::UNIQUE_VIOLATION, SqlState::DUPLICATE_TABLE, SqlState::DUPLICATE_OBJECT];
    made.or_else(|error| match error.code() {
        Some(code) if is_there.contains(code) => Ok(()),
        _ => Err(error),
    })?;
    let transaction = client.transaction().await?;
    // A step on a large database takes its time, and whoever waits for it does.
    transaction
        .batch_execute(
            "SET LOCAL lock_timeout = 0; SET LOCAL statement_timeout = 0;
             LOCK TABLE schema_step IN ACCESS EXCLUSIVE MODE",
        )
        .await?;
    let row = transaction.query_one("SELECT count(*) FROM schema_step", &[]).await?;
    let found = usize::try_from(row.try_get::<_, i64>(0)?).unwrap_or(usize::MAX);
    for (step, sql) in (1i32..).zip(MIGRATIONS).skip(found) {
        apply(&transaction, step, sql).await?;
    }
    transaction.commit().await?;
    Ok(())
}

async fn apply(transaction: &Transaction<'_>, step: i32, sql: &str) -> Result<(), Error> {
    transaction.batch_execute(sql).await?;
    let now = clock::now().as_millis();
    transaction.execute("INSERT INTO schema_step VALUES ($1, $2)", &[&step, &now]).await?;
    Ok(())
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
    for sql in MIGRATIONS {
        transaction.batch_execute(sql).await?;
    }
    Ok(())
}
