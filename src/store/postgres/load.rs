//! The start: everything that verification needs, read from one snapshot.

use super::{
    error::Error,
    ledger, nodes,
    row::{bytes, email, get, optional_bytes, optional_time, rank},
};
use crate::store::Progress;
use counterfoil_core::{
    id::{AccountId, OrganizationId, TokenId},
    index::{self, Index},
    lease::Loaded,
    token::{Digest, Previous, State},
};
use deadpool_postgres::{Client, GenericClient};
use futures_util::TryStreamExt as _;
use std::{
    pin::pin,
    sync::{Mutex, PoisonError},
};
use tokio_postgres::{IsolationLevel, Row};

/// How many tokens are loaded between two words of how far that is.
const TELL_EVERY: u64 = 4_096;

const ORGANIZATIONS: &str = "SELECT id, closed_at IS NULL AS is_open FROM organization";
const ACCOUNTS: &str = "SELECT id, email, disabled_at IS NULL AS is_active FROM account";
const MEMBERSHIPS: &str =
    "SELECT organization, account, rank, ended_at IS NULL AS lives FROM membership";
/// Only what verification needs: names and notes are half of a row.
const TOKENS: &str = "SELECT id, api, organization, owner, granted, allowed_networks, digest, \
     previous_digest, previous_until, expires_at, paused_at IS NOT NULL AS is_paused, \
     revoked_at IS NOT NULL AS is_revoked FROM token";

/// Fills an empty index, and tells what else the snapshot had.
pub(super) async fn load(
    client: &mut Client,
    index: &Index,
    progress: &Mutex<Progress>,
) -> Result<Loaded, Error> {
    let snapshot = client
        .build_transaction()
        .isolation_level(IsolationLevel::RepeatableRead)
        .read_only(true)
        .start()
        .await?;
    // However much there is to load.
    snapshot.batch_execute("SET LOCAL statement_timeout = 0").await?;
    let head = ledger::head(&snapshot).await?;
    let loaded = nodes::loaded(&snapshot.query_one(nodes::CLUSTER, &[]).await?, head)?;
    let total = snapshot.query_one("SELECT count(*) FROM token", &[]).await?;
    let total = total.try_get::<_, i64>(0)?.unsigned_abs();
    each(&snapshot, ORGANIZATIONS, |row| {
        let id = OrganizationId::from_bytes(bytes(row, "id")?);
        index.load_organization(id, get(row, "is_open")?);
        Ok(())
    })
    .await?;
    each(&snapshot, ACCOUNTS, |row| {
        let id = AccountId::from_bytes(bytes(row, "id")?);
        index.load_account(id, email(row, "email")?, get(row, "is_active")?);
        Ok(())
    })
    .await?;
    each(&snapshot, MEMBERSHIPS, |row| {
        let organization = OrganizationId::from_bytes(bytes(row, "organization")?);
        let account = AccountId::from_bytes(bytes(row, "account")?);
        let rank = get::<bool>(row, "lives")?.then_some(rank(row, "rank")?);
        let added = index.load_membership(organization, account, rank);
        added.map_err(|_| Error::Unreadable("membership"))
    })
    .await?;
    index.expect(usize::try_from(total).unwrap_or(usize::MAX));
    let tell = |done| progress.lock().unwrap_or_else(PoisonError::into_inner)(done, total);
    let mut done = 0;
    each(&snapshot, TOKENS, |row| {
        token(index, row)?;
        done += 1;
        if done % TELL_EVERY == 0 {
            tell(done);
        }
        Ok(())
    })
    .await?;
    tell(done);
    Ok(loaded)
}

fn token(index: &Index, row: &Row) -> Result<(), Error> {
    let json = |_| Error::Unreadable("granted or allowed_networks");
    let grant = serde_json::from_str(get(row, "granted")?).map_err(json)?;
    let allowed_networks = match get(row, "allowed_networks")? {
        "[]" => Vec::new(),
        networks => serde_json::from_str(networks).map_err(json)?,
    };
    let previous = optional_bytes(row, "previous_digest")?;
    let previous = previous.zip(optional_time(row, "previous_until")?);
    let token = index::Loaded {
        id: TokenId::from_bytes(bytes(row, "id")?),
        api: get(row, "api")?,
        organization: OrganizationId::from_bytes(bytes(row, "organization")?),
        owner: AccountId::from_bytes(bytes(row, "owner")?),
        grant: &grant,
        expires_at: optional_time(row, "expires_at")?,
        allowed_networks: &allowed_networks,
        state: match (get(row, "is_revoked")?, get(row, "is_paused")?) {
            (true, _) => State::Revoked,
            (false, true) => State::Paused,
            (false, false) => State::Active,
        },
        digest: Digest::from_bytes(bytes(row, "digest")?),
        previous: previous
            .map(|(digest, until)| Previous { digest: Digest::from_bytes(digest), until }),
    };
    index.load_token(&token).map_err(|_| Error::Unreadable("token"))
}

/// Each row as it comes: all of them at once might take more memory than the index.
async fn each(
    snapshot: &impl GenericClient,
    sql: &str,
    mut take: impl FnMut(&Row) -> Result<(), Error>,
) -> Result<(), Error> {
    let nothing: [&str; 0] = [];
    let mut rows = pin!(snapshot.query_raw(sql, nothing).await?);
    while let Some(row) = rows.try_next().await? {
        take(&row)?;
    }
    Ok(())
}
