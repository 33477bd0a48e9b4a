//! The start: everything that verification needs, read from one snapshot.

use super::{
    error::Error,
    ledger, migrate, nodes,
    snapshot::{Rows, at, bytes_at, snapshot},
};
use crate::store::{
    Progress,
    loading::{Known, TokenRow},
    written::parse_rank,
};
use counterfoil_core::{
    Timestamp,
    account::Email,
    id::{AccountId, OrganizationId, TokenId},
    index::{Index, OutOfStep},
    lease::Loaded,
    token::{Digest, Previous, State},
};
use deadpool_postgres::{Client, Transaction};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_postgres::Row;

/// How many tokens are handed over at a time, and how many times that may wait.
const BATCH: usize = 4_096;
const AHEAD: usize = 4;

/// Only what verification needs: names and notes are half of a row.
const TOKENS: &str = "SELECT id, api, organization, owner, granted, allowed_networks, digest, \
     previous_digest, previous_until, expires_at, paused_at IS NOT NULL, revoked_at IS NOT NULL \
     FROM token";

pub(super) async fn load(
    client: &mut Client,
    index: Arc<Index>,
    progress: Progress,
) -> Result<Loaded, Error> {
    let snapshot = snapshot(client).await?;
    // It may have been brought further since it was opened, and hold what comes of kinds that
    // this program does not know.
    migrate::knows_all(&snapshot).await?;
    let head = ledger::head(&snapshot).await?;
    let loaded = nodes::loaded(&snapshot.query_one(nodes::CLUSTER, &[]).await?, head)?;
    let count = snapshot.query_one("SELECT count(*) FROM token", &[]).await?;
    let total = count.try_get::<_, i64>(0)?.unsigned_abs();
    let mut rows = Rows::of(&snapshot, "SELECT id, closed_at IS NULL FROM organization").await?;
    while let Some(row) = rows.next().await? {
        let id = OrganizationId::from_bytes(bytes_at(&row, 0, "organization.id")?);
        index.load_organization(id, at(&row, 1)?);
    }
    let mut rows =
        Rows::of(&snapshot, "SELECT id, email, disabled_at IS NULL FROM account").await?;
    while let Some(row) = rows.next().await? {
        let email: Option<String> = at(&row, 1)?;
        let email = email.map(Email::try_from).transpose();
        let email = email.map_err(|_| Error::Unreadable("account.email"))?;
        let id = AccountId::from_bytes(bytes_at(&row, 0, "account.id")?);
        index.load_account(id, email, at(&row, 2)?)?;
    }
    let memberships = "SELECT organization, account, rank, ended_at IS NULL FROM membership";
    let mut rows = Rows::of(&snapshot, memberships).await?;
    while let Some(row) = rows.next().await? {
        let rank = parse_rank(at(&row, 2)?).ok_or(Error::Unreadable("membership.rank"))?;
        let lives: bool = at(&row, 3)?;
        index.load_membership(
            OrganizationId::from_bytes(bytes_at(&row, 0, "membership.organization")?),
            AccountId::from_bytes(bytes_at(&row, 1, "membership.account")?),
            lives.then_some(rank),
        )?;
    }
    index.expect(usize::try_from(total).unwrap_or(usize::MAX));
    tokens(&snapshot, index, total, progress).await?;
    snapshot.commit().await?;
    Ok(loaded)
}

/// Reads tokens, while a thread puts them where they belong.
async fn tokens(
    snapshot: &Transaction<'_>,
    index: Arc<Index>,
    total: u64,
    progress: Progress,
) -> Result<(), Error> {
    let (batches, mut read) = mpsc::channel::<Vec<TokenRow>>(AHEAD);
    let filling = tokio::task::spawn_blocking(move || {
        while let Some(batch) = read.blocking_recv() {
            batch.iter().try_for_each(|token| token.put(&index))?;
        }
        Ok::<(), OutOfStep>(())
    });
    let mut rows = Rows::of(snapshot, TOKENS).await?;
    let (mut known, mut done) = (Known::default(), 0);
    let mut batch = Vec::with_capacity(BATCH);
    while let Some(row) = rows.next().await? {
        batch.push(token(&mut known, &row)?);
        if batch.len() == BATCH {
            done += BATCH as u64;
            progress(done, total);
            // Nobody takes it any more where something did not fit: that is told below.
            let _ = batches.send(std::mem::replace(&mut batch, Vec::with_capacity(BATCH))).await;
        }
    }
    done += batch.len() as u64;
    let _ = batches.send(batch).await;
    drop(batches);
    match filling.await {
        Ok(filled) => filled?,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
    progress(done, total);
    Ok(())
}

fn token(known: &mut Known, row: &Row) -> Result<TokenRow, Error> {
    let time = |column| Ok::<_, Error>(at::<Option<i64>>(row, column)?.map(Timestamp::from_millis));
    let previous = at::<Option<&[u8]>>(row, 7)?.map(TryInto::try_into).transpose();
    let previous = previous.map_err(|_| Error::Unreadable("token.previous_digest"))?;
    let grant = known.grant(at(row, 4)?).map_err(|_| Error::Unreadable("token.granted"))?;
    Ok(TokenRow {
        id: TokenId::from_bytes(bytes_at(row, 0, "token.id")?),
        api: known.api(at(row, 1)?),
        organization: OrganizationId::from_bytes(bytes_at(row, 2, "token.organization")?),
        owner: AccountId::from_bytes(bytes_at(row, 3, "token.owner")?),
        grant,
        allowed_networks: match at(row, 5)? {
            "[]" => Vec::new(),
            networks => serde_json::from_str(networks)
                .map_err(|_| Error::Unreadable("token.allowed_networks"))?,
        },
        digest: Digest::from_bytes(bytes_at(row, 6, "token.digest")?),
        previous: previous
            .zip(time(8)?)
            .map(|(digest, until)| Previous { digest: Digest::from_bytes(digest), until }),
        expires_at: time(9)?,
        state: match (at(row, 11)?, at(row, 10)?) {
            (true, _) => State::Revoked,
            (false, true) => State::Paused,
            (false, false) => State::Active,
        },
    })
}
