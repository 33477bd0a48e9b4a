//! Sessions and one-time links: kept beside the ledger, for as long as they last.

use super::{
    change::run,
    read::{Query, kind, one, time, unreadable},
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
use rusqlite::{Connection, Error, Row, params};
use std::net::IpAddr;

const CREDENTIALS: &str = "SELECT id, kind, disabled_at IS NOT NULL, password_hash, \
     second_factor_at IS NOT NULL FROM account";
const SESSION: &str = "SELECT session.digest, session.id, session.account, session.organization, \
     created_at, last_seen_at, expires_at, address, user_agent, is_complete FROM session";

pub(super) fn credentials(
    connection: &Connection,
    account: AccountId,
) -> Result<Option<Credentials>, Error> {
    let sql = format!("{CREDENTIALS} WHERE id = ?");
    one(connection, &sql, &[account.as_bytes()], credentials_row)
}

pub(super) fn credentials_by_email(
    connection: &Connection,
    email: &Email,
) -> Result<Option<Credentials>, Error> {
    let sql = format!("{CREDENTIALS} WHERE email = ?");
    one(connection, &sql, &[&email.as_str()], credentials_row)
}

fn credentials_row(row: &Row<'_>) -> Result<Credentials, Error> {
    Ok(Credentials {
        account: AccountId::from_bytes(row.get(0)?),
        kind: kind(row, 1)?,
        is_disabled: row.get(2)?,
        password_hash: row.get(3)?,
        has_second_factor: row.get(4)?,
    })
}

pub(super) fn keep(
    connection: &Connection,
    session: &StoredSession,
    shown: Option<&Shown>,
) -> Result<bool, Error> {
    let lacks_code = session.is_complete && shown.is_some_and(|shown| !shown.code);
    let kept = run(
        connection,
        "INSERT INTO session (digest, id, account, organization, created_at, last_seen_at,
            expires_at, address, user_agent, is_complete)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10 WHERE EXISTS (SELECT 1 FROM account
            WHERE id = ?3 AND disabled_at IS NULL AND password_hash IS coalesce(?11, password_hash))
            AND NOT (?12 AND EXISTS (SELECT 1 FROM second_factor
                WHERE account = ?3 AND is_confirmed))",
        params![
            session.digest.as_bytes(),
            session.id.as_bytes(),
            session.account.as_bytes(),
            session.organization.map(|id| *id.as_bytes()),
            session.created_at.as_millis(),
            session.last_seen_at.as_millis(),
            session.expires_at.as_millis(),
            session.address.map(|address| address.to_string()),
            session.user_agent,
            session.is_complete,
            shown.map(|shown| &shown.password_hash),
            lacks_code,
        ],
    )?;
    // A half one takes no whole one's place: whoever knows the password alone would end them.
    run(
        connection,
        "DELETE FROM session WHERE account = ?1 AND is_complete = ?2 AND id IN (
            SELECT id FROM session WHERE account = ?1 AND is_complete = ?2
            ORDER BY id DESC LIMIT -1 OFFSET ?3)",
        params![session.account.as_bytes(), session.is_complete, MOST_SESSIONS],
    )?;
    Ok(kept == 1)
}

pub(super) fn replace(
    connection: &Connection,
    ended: SessionId,
    session: &StoredSession,
) -> Result<bool, Error> {
    let found = run(
        connection,
        "DELETE FROM session WHERE id = ? AND account = ?",
        params![ended.as_bytes(), session.account.as_bytes()],
    )?;
    // A disabled account loses the session that it had, too.
    Ok(found == 1 && keep(connection, session, None)?)
}

pub(super) fn find(
    connection: &Connection,
    digest: Digest,
    now: Timestamp,
) -> Result<Option<StoredSession>, Error> {
    let sql = format!("{SESSION} WHERE digest = ? AND expires_at > ?");
    one(connection, &sql, params![digest.as_bytes(), now.as_millis()], row)
}

pub(super) fn find_by_id(
    connection: &Connection,
    id: SessionId,
    now: Timestamp,
) -> Result<Option<StoredSession>, Error> {
    let sql = format!("{SESSION} WHERE id = ? AND expires_at > ?");
    one(connection, &sql, params![id.as_bytes(), now.as_millis()], row)
}

pub(super) fn of_account(account: AccountId, now: Timestamp, limit: u32) -> Query {
    let mut query = Query::new(SESSION);
    query.and_if("account = ?", Some(*account.as_bytes()));
    query.and_if("expires_at > ?", Some(now.as_millis()));
    query.end("ORDER BY id DESC", limit);
    query
}

pub(super) fn of_members(
    organization: OrganizationId,
    now: Timestamp,
    page: Page<(AccountId, SessionId)>,
) -> Query {
    let mut query = Query::new(&SESSION.replacen(
        "FROM session",
        "FROM membership CROSS JOIN session ON session.account = membership.account",
        1,
    ));
    query.and_if("membership.organization = ?", Some(*organization.as_bytes()));
    query.and("ended_at IS NULL");
    query.and_if("expires_at > ?", Some(now.as_millis()));
    if let Some((account, id)) = page.after {
        query.and_if("membership.account >= ?", Some(*account.as_bytes()));
        query.and("(membership.account, session.id) > (?, ?)");
        query.give(*account.as_bytes());
        query.give(*id.as_bytes());
    }
    query.end("ORDER BY membership.account, session.id", page.limit);
    query
}

pub(super) fn see(
    connection: &Connection,
    id: SessionId,
    at: Timestamp,
    address: Option<IpAddr>,
) -> Result<(), Error> {
    run(
        connection,
        "UPDATE session SET last_seen_at = ?2, address = coalesce(?3, address)
         WHERE id = ?1 AND last_seen_at <= ?2",
        params![id.as_bytes(), at.as_millis(), address.map(|address| address.to_string())],
    )
    .map(drop)
}

pub(super) fn set_organization(
    connection: &Connection,
    id: SessionId,
    organization: Option<OrganizationId>,
) -> Result<(), Error> {
    run(
        connection,
        "UPDATE session SET organization = ?2 WHERE id = ?1",
        params![id.as_bytes(), organization.map(|id| *id.as_bytes())],
    )
    .map(drop)
}

pub(super) fn end(connection: &Connection, id: SessionId) -> Result<bool, Error> {
    Ok(run(connection, "DELETE FROM session WHERE id = ?", params![id.as_bytes()])? == 1)
}

pub(super) fn end_all(
    connection: &Connection,
    account: AccountId,
    kept: Option<SessionId>,
) -> Result<u64, Error> {
    end_links(connection, account)?;
    let ended = run(
        connection,
        "DELETE FROM session WHERE account = ? AND id IS NOT ?",
        params![account.as_bytes(), kept.map(|id| *id.as_bytes())],
    )?;
    Ok(ended as u64)
}

/// Ends the links that reset an account's password.
pub(super) fn end_links(connection: &Connection, account: AccountId) -> Result<(), Error> {
    let sql = "DELETE FROM link WHERE account = ?";
    run(connection, sql, params![account.as_bytes()]).map(drop)
}

/// Every session and every link.
pub(super) const END_EVERYBODYS: &str = "DELETE FROM session; DELETE FROM link";

pub(super) fn forget(connection: &Connection, now: Timestamp, most: u32) -> Result<bool, Error> {
    let mut more = false;
    for sql in [
        "DELETE FROM session WHERE digest IN (
            SELECT digest FROM session WHERE expires_at <= ? LIMIT ?)",
        "DELETE FROM link WHERE digest IN (
            SELECT digest FROM link WHERE expires_at <= ? LIMIT ?)",
    ] {
        more |= run(connection, sql, params![now.as_millis(), most])? >= most as usize;
    }
    Ok(more)
}

pub(super) fn row(row: &Row<'_>) -> Result<StoredSession, Error> {
    let organization: Option<[u8; 16]> = row.get(3)?;
    let address: Option<String> = row.get(7)?;
    Ok(StoredSession {
        digest: Digest::from_bytes(row.get(0)?),
        id: SessionId::from_bytes(row.get(1)?),
        account: AccountId::from_bytes(row.get(2)?),
        organization: organization.map(OrganizationId::from_bytes),
        created_at: time(row, 4)?,
        last_seen_at: time(row, 5)?,
        expires_at: time(row, 6)?,
        address: address.map(|text| text.parse()).transpose().map_err(|_| unreadable(7))?,
        user_agent: row.get(8)?,
        is_complete: row.get(9)?,
    })
}

pub(super) fn keep_link(
    connection: &Connection,
    link: &StoredLink,
    mailed_to: Option<&Email>,
) -> Result<bool, Error> {
    let (kind, account) = purpose_name(link.purpose);
    let account = account.map(|id| *id.as_bytes());
    if let Some(email) = mailed_to {
        let sql = "SELECT id FROM account WHERE id = ? AND email = ?";
        if one(connection, sql, params![account, email.as_str()], |_| Ok(()))?.is_none() {
            return Ok(false);
        }
    }
    run(connection, "DELETE FROM link WHERE kind = ? AND account IS ?", params![kind, account])?;
    run(
        connection,
        "INSERT INTO link (digest, kind, account, expires_at) VALUES (?, ?, ?, ?)",
        params![link.digest.as_bytes(), kind, account, link.expires_at.as_millis()],
    )?;
    Ok(true)
}

pub(super) fn link(
    connection: &Connection,
    digest: Digest,
    now: Timestamp,
) -> Result<Option<StoredLink>, Error> {
    let sql = "SELECT digest, kind, account, expires_at FROM link
         WHERE digest = ? AND expires_at > ?";
    one(connection, sql, params![digest.as_bytes(), now.as_millis()], link_row)
}

pub(super) fn take_link(
    connection: &Connection,
    digest: Digest,
    now: Timestamp,
) -> Result<Option<StoredLink>, Error> {
    let found = link(connection, digest, now)?;
    run(connection, "DELETE FROM link WHERE digest = ?", params![digest.as_bytes()])?;
    Ok(found)
}

fn link_row(row: &Row<'_>) -> Result<StoredLink, Error> {
    let (kind, account): (String, Option<[u8; 16]>) = (row.get(1)?, row.get(2)?);
    let purpose = parse_purpose(&kind, account.map(AccountId::from_bytes));
    Ok(StoredLink {
        digest: Digest::from_bytes(row.get(0)?),
        purpose: purpose.ok_or_else(|| unreadable(1))?,
        expires_at: time(row, 3)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::migrate;

    #[test]
    fn sessions_are_found_in_their_order() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        let now = Timestamp::from_millis(1);
        let (account, organization) =
            (AccountId::new(now, [1; 10]), OrganizationId::new(now, [2; 10]));
        let after = Some((account, SessionId::new(now, [3; 10])));
        for query in [
            of_account(account, now, 9),
            of_members(organization, now, Page { after: None, limit: 9 }),
            of_members(organization, now, Page { after, limit: 9 }),
        ] {
            let plan = query.plan(&connection);
            assert!(plan.iter().all(|step| step.starts_with("SEARCH")), "{plan:?}");
        }
    }
}
