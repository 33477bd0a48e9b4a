//! Whether a database is one that Counterfoil can rely on, found out at the start.

use super::{
    error::{Error, OpenError},
    migrate,
};
use deadpool_postgres::Client;

/// The oldest version whose SQL is spoken here.
const OLDEST: i32 = 130_000;

const FACTS: &str = "SELECT current_setting('server_version_num')::integer AS number,
    current_setting('server_version') AS version,
    current_setting('server_encoding') AS encoding,
    current_setting('synchronous_commit') AS synchronous,
    current_setting('fsync', true) AS fsync,
    current_setting('transaction_read_only') = 'on' AS is_read_only";

/// Refuses what would break a promise.
pub(super) async fn server(client: &Client) -> Result<(), OpenError> {
    let facts = client.query_one(FACTS, &[]).await.map_err(Error::from)?;
    let text = |name: &str| facts.try_get::<_, String>(name).map_err(Error::from);
    let number: i32 = facts.try_get("number").map_err(Error::from)?;
    is_new_enough(number, text("version")?)?;
    if facts.try_get("is_read_only").map_err(Error::from)? {
        return Err(OpenError::ReadOnly);
    }
    let encoding = text("encoding")?;
    if encoding != "UTF8" {
        return Err(OpenError::Encoding(encoding));
    }
    if text("synchronous")? == "off" {
        return Err(OpenError::Asynchronous);
    }
    let fsync: Option<String> = facts.try_get("fsync").map_err(Error::from)?;
    if fsync.as_deref() == Some("off") {
        tracing::warn!(
            "the database runs with fsync = off: a power failure can lose or damage everything"
        );
    }
    Ok(())
}

fn is_new_enough(number: i32, version: String) -> Result<(), OpenError> {
    if number < OLDEST {
        return Err(OpenError::TooOld { version, oldest: OLDEST / 10_000 });
    }
    Ok(())
}

/// Refuses a schema in which no tables can be made.
pub(super) async fn may_create(client: &Client) -> Result<(), OpenError> {
    let sql = "SELECT current_user::text, current_schema()::text,
        coalesce(has_schema_privilege(current_schema(), 'CREATE'), false)";
    let row = client.query_one(sql, &[]).await.map_err(Error::from)?;
    let (user, schema): (String, Option<String>) =
        (row.try_get(0).map_err(Error::from)?, row.try_get(1).map_err(Error::from)?);
    if row.try_get(2).map_err(Error::from)? {
        return Ok(());
    }
    let schema = schema.unwrap_or_else(|| "public".into());
    Err(OpenError::MayNotCreate { user, schema })
}

/// Refuses tables that cannot be written to, if they are there.
pub(super) async fn may_write(client: &Client) -> Result<(), OpenError> {
    let sql = "SELECT current_user::text, relname::text FROM pg_class
        WHERE relnamespace = current_schema()::regnamespace AND relname::text = ANY ($1) AND NOT (
            has_table_privilege(oid, 'SELECT') AND has_table_privilege(oid, 'INSERT')
            AND has_table_privilege(oid, 'UPDATE') AND has_table_privilege(oid, 'DELETE'))
        ORDER BY relname LIMIT 1";
    let tables: Vec<&str> = migrate::tables().collect();
    match client.query_opt(sql, &[&tables]).await.map_err(Error::from)? {
        None => Ok(()),
        Some(row) => Err(OpenError::MayNotWrite {
            user: row.try_get(0).map_err(Error::from)?,
            table: row.try_get(1).map_err(Error::from)?,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_server_is_named_and_what_to_do() {
        let of = |number, version: &str| is_new_enough(number, version.into());
        let told = of(120_018, "12.18 (Debian 12.18-1)").unwrap_err().to_string();
        assert_eq!(
            told,
            "the database server is PostgreSQL 12.18 (Debian 12.18-1), and Counterfoil needs 13 or \
             newer; upgrade the server"
        );
        assert!(of(130_000, "13.0").is_ok() && of(180_001, "18.1").is_ok());
    }
}
