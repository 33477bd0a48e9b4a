//! The start: everything that verification needs, read from one snapshot.

use super::{
    read::{optional_time, parse_email, parse_rank, unreadable},
    write::head,
};
use crate::store::{
    Progress,
    loading::{Known, TokenRow},
};
use counterfoil_core::{
    id::{AccountId, OrganizationId, TokenId},
    index::{Index, OutOfStep},
    ledger::Head,
    token::{Digest, Previous, State},
};
use rusqlite::{Connection, Error, Row, types::Type};
use std::sync::mpsc;

/// How many tokens are handed over at a time, and how many times that may wait.
const BATCH: usize = 4_096;
const AHEAD: usize = 4;

/// Only what verification needs: names and notes are half of a row.
const TOKENS: &str = "SELECT id, api, organization, owner, granted, allowed_networks, digest, \
     previous_digest, previous_until, expires_at, paused_at IS NOT NULL, revoked_at IS NOT NULL \
     FROM token";

pub(super) fn load(
    connection: &mut Connection,
    index: &Index,
    progress: &Progress,
) -> Result<Head, Error> {
    // One transaction is one snapshot.
    let snapshot = connection.transaction()?;
    let head = head(&snapshot)?;
    // The smallest index that has every token.
    let count = "SELECT count(*) FROM token INDEXED BY token_by_api";
    let total = snapshot.query_row(count, [], |row| row.get::<_, i64>(0))?.unsigned_abs();
    each(&snapshot, "SELECT id, closed_at IS NULL FROM organization", |row| {
        index.load_organization(OrganizationId::from_bytes(row.get(0)?), row.get(1)?);
        Ok(())
    })?;
    each(&snapshot, "SELECT id, email, disabled_at IS NULL FROM account", |row| {
        let id = AccountId::from_bytes(row.get(0)?);
        index.load_account(id, parse_email(row, 1)?, row.get(2)?).map_err(out_of_step)
    })?;
    each(
        &snapshot,
        "SELECT organization, account, rank, ended_at IS NULL FROM membership",
        |row| {
            let rank = parse_rank(row, 2)?;
            let (organization, account) = (row.get(0)?, row.get(1)?);
            let lives: bool = row.get(3)?;
            index
                .load_membership(
                    OrganizationId::from_bytes(organization),
                    AccountId::from_bytes(account),
                    lives.then_some(rank),
                )
                .map_err(out_of_step)
        },
    )?;
    index.expect(usize::try_from(total).unwrap_or(usize::MAX));
    tokens(&snapshot, index, total, progress)?;
    Ok(head)
}

/// Reads tokens on this thread, while another puts them where they belong.
fn tokens(
    snapshot: &Connection,
    index: &Index,
    total: u64,
    progress: &Progress,
) -> Result<(), Error> {
    let (batches, read) = mpsc::sync_channel::<Vec<TokenRow>>(AHEAD);
    std::thread::scope(|scope| {
        let fill = move || read.iter().flatten().try_for_each(|token| token.put(index));
        let filling = std::thread::Builder::new()
            .name("index".into())
            .spawn_scoped(scope, fill)
            .map_err(|error| Error::FromSqlConversionFailure(0, Type::Null, Box::new(error)))?;
        let (mut known, mut done) = (Known::default(), 0);
        let mut batch = Vec::with_capacity(BATCH);
        each(snapshot, TOKENS, |row| {
            batch.push(token(&mut known, row)?);
            if batch.len() == BATCH {
                done += BATCH as u64;
                progress(done, total);
                // Nobody takes it any more where something did not fit: that is told below.
                let _ = batches.send(std::mem::replace(&mut batch, Vec::with_capacity(BATCH)));
            }
            Ok(())
        })?;
        done += batch.len() as u64;
        let _ = batches.send(batch);
        drop(batches);
        match filling.join() {
            Ok(filled) => filled.map_err(out_of_step)?,
            Err(panic) => std::panic::resume_unwind(panic),
        }
        progress(done, total);
        Ok(())
    })
}

/// Makes a token of a row.
fn token(known: &mut Known, row: &Row<'_>) -> Result<TokenRow, Error> {
    let previous: Option<[u8; 32]> = row.get(7)?;
    let previous = previous.zip(optional_time(row, 8)?);
    Ok(TokenRow {
        id: TokenId::from_bytes(row.get(0)?),
        api: known.api(text(row, 1)?),
        organization: OrganizationId::from_bytes(row.get(2)?),
        owner: AccountId::from_bytes(row.get(3)?),
        grant: known.grant(text(row, 4)?).map_err(|_| unreadable(4))?,
        allowed_networks: match text(row, 5)? {
            "[]" => Vec::new(),
            networks => serde_json::from_str(networks).map_err(|_| unreadable(5))?,
        },
        digest: Digest::from_bytes(row.get(6)?),
        previous: previous
            .map(|(digest, until)| Previous { digest: Digest::from_bytes(digest), until }),
        expires_at: optional_time(row, 9)?,
        state: match (row.get(11)?, row.get(10)?) {
            (true, _) => State::Revoked,
            (false, true) => State::Paused,
            (false, false) => State::Active,
        },
    })
}

fn text<'a>(row: &'a Row<'_>, column: usize) -> Result<&'a str, Error> {
    row.get_ref(column)?.as_str().map_err(|_| unreadable(column))
}

fn each(
    connection: &Connection,
    sql: &str,
    mut take: impl FnMut(&Row<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        take(row)?;
    }
    Ok(())
}

fn out_of_step(error: OutOfStep) -> Error {
    Error::FromSqlConversionFailure(0, Type::Blob, Box::new(error))
}
