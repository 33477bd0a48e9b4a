//! Sessions and one-time links: kept beside the ledger, for as long as they last.
//!
//! Whoever begins a session, or ends all of an account's, locks the account first of all. So
//! none begins behind a change that ends them: it waits for that, and looks again.

use super::{
    error::Error,
    query::{Query, one, run},
    row::{address, bytes, get, kind, optional_bytes, time},
};
use crate::store::{
    Credentials, MOST_SESSIONS, Page, Shown, StoredLink, StoredSession,
    written::{parse_purpose, purpose_name},
};
use counterfoil_core::{
    Timestamp,
    account::Email,
    id::{AccountId, OrganizationId, SessionId},
    token::Digest,
};
use deadpool_postgres::{GenericClient, Transaction};
use std::net::IpAddr;
use tokio_postgres::{Row, types::ToSql};

const CREDENTIALS: &str = "SELECT id, kind, disabled_at IS NOT NULL AS is_disabled, \
     password_hash, second_factor_at IS NOT NULL AS has_second_factor FROM account";
const SESSION: &str = "SELECT session.digest, session.id, session.account, session.organization, \
     created_at, last_seen_at, expires_at, address, user_agent, is_complete";

pub(super) async fn credentials(
    client: &impl GenericClient,
    account: AccountId,
) -> Result<Option<Credentials>, Error> {
    let sql = format!("{CREDENTIALS} WHERE id = $1");
    one(client, &sql, &[&account.as_bytes().as_slice()], credentials_row).await
}

pub(super) async fn credentials_by_email(
    client: &impl GenericClient,
    email: &Email,
) -> Result<Option<Credentials>, Error> {
    let sql = format!("{CREDENTIALS} WHERE email = $1");
    one(client, &sql, &[&email.as_str()], credentials_row).await
}

fn credentials_row(row: &Row) -> Result<Credentials, Error> {
    Ok(Credentials {
        account: AccountId::from_bytes(bytes(row, "id")?),
        kind: kind(row, "kind")?,
        is_disabled: get(row, "is_disabled")?,
        password_hash: get(row, "password_hash")?,
        has_second_factor: get(row, "has_second_factor")?,
    })
}

pub(super) async fn keep(
    transaction: &Transaction<'_>,
    session: &StoredSession,
    shown: Option<&Shown>,
) -> Result<bool, Error> {
    let account = session.account.as_bytes().as_slice();
    let hash = shown.map(|shown| &shown.password_hash);
    let lacks_code = session.is_complete && shown.is_some_and(|shown| !shown.code);
    // First of all: what is looked at afterwards is as whoever had the lock before has left it.
    lock(transaction, session.account).await?;
    let may_begin = "SELECT 1 FROM account WHERE id = $1 AND disabled_at IS NULL
         AND password_hash IS NOT DISTINCT FROM coalesce($2, password_hash)
         AND NOT ($3 AND EXISTS (SELECT 1 FROM second_factor WHERE account = $1 AND is_confirmed))";
    if one(transaction, may_begin, &[&account, &hash, &lacks_code], |_| Ok(())).await?.is_none() {
        return Ok(false);
    }
    run(
        transaction,
        "INSERT INTO session (digest, id, account, organization, created_at, last_seen_at,
            expires_at, address, user_agent, is_complete)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        &[
            &session.digest.as_bytes().as_slice(),
            &session.id.as_bytes().as_slice(),
            &account,
            &session.organization.as_ref().map(|id| id.as_bytes().as_slice()),
            &session.created_at.as_millis(),
            &session.last_seen_at.as_millis(),
            &session.expires_at.as_millis(),
            &session.address.map(|address| address.to_string()),
            &session.user_agent,
            &session.is_complete,
        ],
    )
    .await?;
    // A half one takes no whole one's place: whoever knows the password alone would end them.
    run(
        transaction,
        "DELETE FROM session WHERE id = ANY (ARRAY (
            SELECT id FROM session WHERE account = $1 AND is_complete = $2
            ORDER BY id DESC OFFSET $3))",
        &[&account, &session.is_complete, &i64::from(MOST_SESSIONS)],
    )
    .await?;
    Ok(true)
}

pub(super) async fn replace(
    transaction: &Transaction<'_>,
    ended: SessionId,
    session: &StoredSession,
) -> Result<bool, Error> {
    lock(transaction, session.account).await?;
    let found = run(
        transaction,
        "DELETE FROM session WHERE id = $1 AND account = $2",
        &[&ended.as_bytes().as_slice(), &session.account.as_bytes().as_slice()],
    )
    .await?;
    // A disabled account loses the session that it had, too.
    Ok(found == 1 && keep(transaction, session, None).await?)
}

/// Has everybody else wait who begins or ends sessions of an account.
async fn lock(transaction: &Transaction<'_>, account: AccountId) -> Result<(), Error> {
    let sql = "SELECT 1 FROM account WHERE id = $1 FOR NO KEY UPDATE";
    run(transaction, sql, &[&account.as_bytes().as_slice()]).await.map(drop)
}

pub(super) async fn find(
    client: &impl GenericClient,
    digest: Digest,
    now: Timestamp,
) -> Result<Option<StoredSession>, Error> {
    let sql = format!("{SESSION} FROM session WHERE digest = $1 AND expires_at > $2");
    one(client, &sql, &[&digest.as_bytes().as_slice(), &now.as_millis()], row).await
}

pub(super) async fn find_by_id(
    client: &impl GenericClient,
    id: SessionId,
    now: Timestamp,
) -> Result<Option<StoredSession>, Error> {
    let sql = format!("{SESSION} FROM session WHERE id = $1 AND expires_at > $2");
    one(client, &sql, &[&id.as_bytes().as_slice(), &now.as_millis()], row).await
}

pub(super) fn of_account(account: AccountId, now: Timestamp, limit: u32) -> Query {
    let mut query = Query::new(&format!("{SESSION} FROM session"));
    query.and_if("account = ?", Some(account.as_bytes().to_vec()));
    query.and_if("expires_at > ?", Some(now.as_millis()));
    query.end("ORDER BY id DESC", limit);
    query
}

pub(super) fn of_members(
    organization: OrganizationId,
    now: Timestamp,
    page: Page<(AccountId, SessionId)>,
) -> Query {
    let mut query = Query::new(&format!(
        "{SESSION} FROM membership JOIN session ON session.account = membership.account"
    ));
    query.and_if("membership.organization = ?", Some(organization.as_bytes().to_vec()));
    query.and("ended_at IS NULL");
    query.and_if("expires_at > ?", Some(now.as_millis()));
    if let Some((account, id)) = page.after {
        let account = account.as_bytes().to_vec();
        // The second says it all; the first is what an index can be asked for.
        query.and_if("membership.account >= ?", Some(account.clone()));
        query.and("(membership.account, session.id) > (?, ?)");
        query.give(account);
        query.give(id.as_bytes().to_vec());
    }
    query.end("ORDER BY membership.account, session.id", page.limit);
    query
}

pub(super) async fn see(
    client: &impl GenericClient,
    id: SessionId,
    at: Timestamp,
    address: Option<IpAddr>,
) -> Result<(), Error> {
    run(
        client,
        "UPDATE session SET last_seen_at = $2, address = coalesce($3, address)
         WHERE id = $1 AND last_seen_at <= $2",
        &[&id.as_bytes().as_slice(), &at.as_millis(), &address.map(|address| address.to_string())],
    )
    .await
    .map(drop)
}

pub(super) async fn set_organization(
    client: &impl GenericClient,
    id: SessionId,
    organization: Option<OrganizationId>,
) -> Result<(), Error> {
    let organization = organization.as_ref().map(|id| id.as_bytes().as_slice());
    let sql = "UPDATE session SET organization = $2 WHERE id = $1";
    run(client, sql, &[&id.as_bytes().as_slice(), &organization]).await.map(drop)
}

pub(super) async fn end(client: &impl GenericClient, id: SessionId) -> Result<bool, Error> {
    let sql = "DELETE FROM session WHERE id = $1";
    Ok(run(client, sql, &[&id.as_bytes().as_slice()]).await? == 1)
}

pub(super) async fn end_all(
    transaction: &Transaction<'_>,
    account: AccountId,
    kept: Option<SessionId>,
) -> Result<u64, Error> {
    lock(transaction, account).await?;
    let account = account.as_bytes().as_slice();
    let kept = kept.as_ref().map(|id| id.as_bytes().as_slice());
    run(transaction, "DELETE FROM link WHERE account = $1", &[&account]).await?;
    let sql = "DELETE FROM session WHERE account = $1 AND id IS DISTINCT FROM $2";
    run(transaction, sql, &[&account, &kept]).await
}

/// Whether there may be more to forget.
/// Every session and every link.
pub(super) const END_EVERYBODYS: &str = "DELETE FROM session; DELETE FROM link";

pub(super) async fn forget(
    client: &impl GenericClient,
    now: Timestamp,
    most: u32,
) -> Result<bool, Error> {
    let mut more = false;
    for sql in [
        "DELETE FROM session WHERE digest = ANY (ARRAY (
            SELECT digest FROM session WHERE expires_at <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED))",
        "DELETE FROM link WHERE digest = ANY (ARRAY (
            SELECT digest FROM link WHERE expires_at <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED))",
    ] {
        more |= run(client, sql, &[&now.as_millis(), &i64::from(most)]).await? >= u64::from(most);
    }
    Ok(more)
}

pub(super) fn row(row: &Row) -> Result<StoredSession, Error> {
    Ok(StoredSession {
        digest: Digest::from_bytes(bytes(row, "digest")?),
        id: SessionId::from_bytes(bytes(row, "id")?),
        account: AccountId::from_bytes(bytes(row, "account")?),
        organization: optional_bytes(row, "organization")?.map(OrganizationId::from_bytes),
        created_at: time(row, "created_at")?,
        last_seen_at: time(row, "last_seen_at")?,
        expires_at: time(row, "expires_at")?,
        address: address(row, "address")?,
        user_agent: get(row, "user_agent")?,
        is_complete: get(row, "is_complete")?,
    })
}

pub(super) async fn keep_link(
    transaction: &Transaction<'_>,
    link: &StoredLink,
    mailed_to: Option<&Email>,
) -> Result<bool, Error> {
    let (kind, account) = purpose_name(link.purpose);
    if let Some(email) = mailed_to {
        let account = account.as_ref().map(|id| id.as_bytes().as_slice());
        // Whoever has changed the address had it locked, and this sees what they have made.
        let sql = "SELECT 1 FROM account WHERE id = $1 AND email = $2 FOR SHARE";
        if one(transaction, sql, &[&account, &email.as_str()], |_| Ok(())).await?.is_none() {
            return Ok(false);
        }
    }
    let given: [&(dyn ToSql + Sync); 4] = [
        &link.digest.as_bytes().as_slice(),
        &kind,
        &account.as_ref().map(|id| id.as_bytes().as_slice()),
        &link.expires_at.as_millis(),
    ];
    let replace = "UPDATE link SET digest = $1, expires_at = $4
         WHERE kind = $2 AND coalesce(account, '') = coalesce($3::bytea, '')";
    let keep = "INSERT INTO link (digest, kind, account, expires_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT DO NOTHING";
    // Of two who ask at once for the same, the later one's link is left: in whose way the other's
    // came, waits until that is there, and replaces it.
    for sql in [replace, keep, replace] {
        if run(transaction, sql, &given).await? > 0 {
            return Ok(true);
        }
    }
    // It was used meanwhile.
    Ok(run(transaction, keep, &given).await? > 0)
}

pub(super) async fn link(
    client: &impl GenericClient,
    digest: Digest,
    now: Timestamp,
) -> Result<Option<StoredLink>, Error> {
    let sql = "SELECT digest, kind, account, expires_at FROM link
         WHERE digest = $1 AND expires_at > $2";
    one(client, sql, &[&digest.as_bytes().as_slice(), &now.as_millis()], link_row).await
}

pub(super) async fn take_link(
    client: &impl GenericClient,
    digest: Digest,
    now: Timestamp,
) -> Result<Option<StoredLink>, Error> {
    let sql = "DELETE FROM link WHERE digest = $1 RETURNING digest, kind, account, expires_at";
    let taken = one(client, sql, &[&digest.as_bytes().as_slice()], link_row).await?;
    Ok(taken.filter(|link| now < link.expires_at))
}

fn link_row(row: &Row) -> Result<StoredLink, Error> {
    let account = optional_bytes(row, "account")?.map(AccountId::from_bytes);
    Ok(StoredLink {
        digest: Digest::from_bytes(bytes(row, "digest")?),
        purpose: parse_purpose(get(row, "kind")?, account).ok_or(Error::Unreadable("kind"))?,
        expires_at: time(row, "expires_at")?,
    })
}
