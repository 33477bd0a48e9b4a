//! Reading the ledger, and filing its entries.

use super::{change::run, write::to_sql};
use crate::store::{EntryFilter, StoredEntry};
use counterfoil_core::ledger::{Change, Entry, EntryHash, Stored};
use rusqlite::{Connection, Error, Row, named_params, params, types::Type};

const ENTRY: &str = "SELECT ledger.number, entry, hash, detail FROM ledger
     LEFT JOIN ledger_detail ON ledger_detail.number = ledger.number";

/// Two lists that an index each has in order, so that a page costs what it holds.
const OF_AN_ORGANIZATION: &str = "ledger.number IN (
        SELECT number FROM (
            SELECT number FROM ledger WHERE organization = :organization AND number > :after
            AND (:subject IS NULL OR subject = :subject) ORDER BY number LIMIT :limit)
        UNION ALL
        SELECT number FROM (
            SELECT number FROM ledger WHERE organization IS NULL AND number > :after
            AND (:subject IS NULL OR subject = :subject)
            AND CAST(entry AS TEXT) ->> '$.kind' <> 'password_set'
            AND subject IN (
                SELECT account FROM membership JOIN account ON account.id = membership.account
                WHERE organization = :organization
                AND (ended_at IS NULL OR account.kind = 'service'))
            ORDER BY number LIMIT :limit))";

pub(super) fn append(
    connection: &Connection,
    change: &Change,
    stored: &Stored,
) -> Result<(), Error> {
    let number = to_sql(stored.head.number);
    run(
        connection,
        "INSERT INTO ledger (number, entry, hash, organization, subject) VALUES (?, ?, ?, ?, ?)",
        params![
            number,
            stored.entry,
            stored.head.hash.0,
            change.organization().map(|id| *id.as_bytes()),
            change.subject().id(),
        ],
    )?;
    run(
        connection,
        "INSERT INTO ledger_detail (number, salt, detail) VALUES (?, ?, ?)",
        params![number, stored.salt, stored.detail],
    )
    .map(drop)
}

pub(super) fn entries(
    connection: &Connection,
    filter: EntryFilter,
    after: u64,
    limit: u32,
) -> Result<Vec<StoredEntry>, Error> {
    let (after, subject) = (to_sql(after), filter.subject);
    match (filter.organization, subject) {
        (Some(organization), _) => all(
            connection,
            OF_AN_ORGANIZATION,
            named_params! {
                ":organization": organization.as_bytes(),
                ":subject": subject,
                ":after": after,
                ":limit": limit,
            },
        ),
        (None, Some(_)) => all(
            connection,
            "subject = :subject AND ledger.number > :after",
            named_params! { ":subject": subject, ":after": after, ":limit": limit },
        ),
        (None, None) => all(
            connection,
            "ledger.number > :after",
            named_params! { ":after": after, ":limit": limit },
        ),
    }
}

fn all(
    connection: &Connection,
    condition: &str,
    parameters: &[(&str, &dyn rusqlite::ToSql)],
) -> Result<Vec<StoredEntry>, Error> {
    let sql = format!("{ENTRY} WHERE {condition} ORDER BY ledger.number LIMIT :limit");
    connection.prepare_cached(&sql)?.query_map(parameters, entry_row)?.collect()
}

fn entry_row(row: &Row<'_>) -> Result<StoredEntry, Error> {
    let bytes: Vec<u8> = row.get(1)?;
    let detail: Option<Vec<u8>> = row.get(3)?;
    Ok(StoredEntry {
        entry: json::<Entry>(1, &bytes)?,
        hash: EntryHash(row.get(2)?),
        change: detail.map(|detail| json(3, &detail)).transpose()?,
        bytes,
    })
}

fn json<T: serde::de::DeserializeOwned>(column: usize, bytes: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(bytes)
        .map_err(|error| Error::FromSqlConversionFailure(column, Type::Blob, Box::new(error)))
}
