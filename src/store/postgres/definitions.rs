//! What there is in a database beside its rows, and what there should be.

use super::{error::Error, migrate};
use deadpool_postgres::{Client, GenericClient};
use std::collections::BTreeMap;

/// Of everything in the schema that is looked at: what it is, and its definition.
const DEFINITIONS: &str = "
    WITH here AS (
        SELECT pg_class.oid, relname, relkind, relpersistence, relrowsecurity, reloptions
        FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
        WHERE nspname = current_schema()
    )
    SELECT CASE relkind WHEN 'r' THEN 'table ' WHEN 'v' THEN 'view ' ELSE 'relation ' END || relname,
        concat_ws(' ', relkind, relpersistence, relrowsecurity, reloptions)
    FROM here WHERE relkind <> 'i'
    UNION ALL
    SELECT 'index ' || relname,
        replace(pg_get_indexdef(oid), quote_ident(current_schema()) || '.', '')
    FROM here WHERE relkind = 'i'
    UNION ALL
    SELECT concat_ws(' ', 'column', relname, attname),
        concat_ws(' ', format_type(atttypid, atttypmod), attnotnull, attgenerated, attidentity,
            (SELECT collname FROM pg_collation WHERE oid = attcollation), pg_get_expr(adbin, adrelid))
    FROM here JOIN pg_attribute ON attrelid = here.oid AND attnum > 0 AND NOT attisdropped
        LEFT JOIN pg_attrdef ON adrelid = here.oid AND adnum = attnum
    WHERE relkind <> 'i'
    UNION ALL
    SELECT concat_ws(' ', 'constraint', relname, conname), pg_get_constraintdef(pg_constraint.oid)
    FROM here JOIN pg_constraint ON conrelid = here.oid
    UNION ALL
    SELECT concat_ws(' ', 'trigger', relname, tgname), ''
    FROM here JOIN pg_trigger ON tgrelid = here.oid WHERE NOT tgisinternal
    UNION ALL
    SELECT concat_ws(' ', 'rule', relname, rulename), ''
    FROM here JOIN pg_rewrite ON ev_class = here.oid
    UNION ALL
    SELECT concat_ws(' ', 'policy', relname, polname), ''
    FROM here JOIN pg_policy ON polrelid = here.oid";

/// What there is.
pub(super) async fn of(client: &impl GenericClient) -> Result<BTreeMap<String, String>, Error> {
    let rows = client.query(DEFINITIONS, &[]).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// What there should be: made where nobody sees it, and taken back.
pub(super) async fn expected(client: &mut Client) -> Result<BTreeMap<String, String>, Error> {
    let transaction = client.transaction().await?;
    transaction
        .batch_execute(
            "CREATE SCHEMA counterfoil_expected; SET LOCAL search_path TO counterfoil_expected",
        )
        .await?;
    migrate::make_all(&transaction).await?;
    let expected = of(&transaction).await?;
    transaction.rollback().await?;
    Ok(expected)
}
