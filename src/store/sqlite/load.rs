//! The start: everything that verification needs, read from one snapshot.

use super::{
    read::{optional_time, parse_email, parse_rank, unreadable},
    write::head,
};
use crate::store::Progress;
use counterfoil_core::{
    Timestamp,
    id::{AccountId, OrganizationId, TokenId},
    index::{Index, OutOfStep},
    ledger::Head,
    network::Network,
    token::{Digest, Grant, Previous, State, Token},
};
use rusqlite::{Connection, Error, Row, types::Type};
use std::collections::HashMap;

/// How often it tells how far it is.
const PROGRESS_EVERY: u64 = 20_000;
/// How many different grants are remembered as they were read; most tokens have one of a few.
const GRANTS: usize = 1_000;

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
        index.load_account(AccountId::from_bytes(row.get(0)?), parse_email(row, 1)?, row.get(2)?);
        Ok(())
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
    let (mut done, mut grants) = (0, HashMap::new());
    each(&snapshot, TOKENS, |row| {
        token(row, &mut grants, index)?;
        done += 1;
        if done % PROGRESS_EVERY == 0 {
            progress(done, total);
        }
        Ok(())
    })?;
    progress(done, total);
    Ok(head)
}

fn token(row: &Row<'_>, grants: &mut HashMap<Box<str>, Grant>, index: &Index) -> Result<(), Error> {
    let granted = text(row, 4)?;
    let grant = match grants.get(granted) {
        Some(grant) => grant,
        None => {
            if grants.len() >= GRANTS {
                grants.clear();
            }
            let grant = serde_json::from_str(granted).map_err(|_| unreadable(4))?;
            grants.entry(granted.into()).or_insert(grant)
        }
    };
    let allowed_networks: Vec<Network> = match text(row, 5)? {
        "[]" => Vec::new(),
        networks => serde_json::from_str(networks).map_err(|_| unreadable(5))?,
    };
    let previous: Option<[u8; 32]> = row.get(7)?;
    let previous = previous.zip(optional_time(row, 8)?);
    let state = match (row.get(11)?, row.get(10)?) {
        (true, _) => State::Revoked,
        (false, true) => State::Paused,
        (false, false) => State::Active,
    };
    let token = Token {
        id: TokenId::from_bytes(row.get(0)?),
        api: text(row, 1)?.into(),
        organization: OrganizationId::from_bytes(row.get(2)?),
        owner: AccountId::from_bytes(row.get(3)?),
        name: String::new(),
        note: String::new(),
        grant: grant.clone(),
        created_at: Timestamp::from_millis(0),
        expires_at: optional_time(row, 9)?,
        allowed_networks,
        external_id: None,
        metadata: None,
        prefix: Box::default(),
        last_four: Box::default(),
        digest: Digest::from_bytes(row.get(6)?),
    };
    let previous =
        previous.map(|(digest, until)| Previous { digest: Digest::from_bytes(digest), until });
    index.load_token(&token, state, previous).map_err(out_of_step)
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
