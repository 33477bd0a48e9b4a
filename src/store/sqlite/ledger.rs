//! Reading the ledger, and filing its entries.

use super::{change::run, write::to_sql};
use crate::store::{EntryFilter, StoredEntry};
use counterfoil_core::ledger::{Change, Entry, EntryHash, Stored};
use rusqlite::{Connection, Error, Row, named_params, params, types::Type};

const ENTRY: &str = "SELECT ledger.number, entry, hash, detail FROM ledger
     LEFT JOIN ledger_detail ON ledger_detail.number = ledger.number";

/// Entries about accounts of an organization, but for what is theirs alone.
macro_rules! about_its_accounts {
    () => {
        "organization IS NULL AND CAST(entry AS TEXT) ->> '$.kind' <> 'password_set'
         AND subject IN (
            SELECT account FROM membership JOIN account ON account.id = membership.account
            WHERE membership.organization = :organization
            AND (ended_at IS NULL OR account.kind = 'service'))"
    };
}

/// The first list is in an index as it is wanted; the second is sorted, and has what
/// became of accounts, which is little beside what becomes of tokens.
const OF_AN_ORGANIZATION: &str = concat!(
    "ledger.number IN (
        SELECT number FROM (
            SELECT number FROM ledger WHERE organization = :organization AND number > :after
            ORDER BY number LIMIT :limit)
        UNION ALL
        SELECT number FROM (
            SELECT number FROM ledger WHERE ",
    about_its_accounts!(),
    " AND number > :after ORDER BY number LIMIT :limit))"
);

/// By way of the subject, of which there are few entries.
const OF_AN_ORGANIZATION_ABOUT: &str = concat!(
    "subject = :subject AND ledger.number > :after AND (organization = :organization OR (",
    about_its_accounts!(),
    "))"
);

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
        (Some(organization), None) => all(
            connection,
            OF_AN_ORGANIZATION,
            named_params! {
                ":organization": organization.as_bytes(),
                ":after": after,
                ":limit": limit,
            },
        ),
        (Some(organization), Some(subject)) => all(
            connection,
            OF_AN_ORGANIZATION_ABOUT,
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
