//! Writing: one thread, groups of orders, one transaction a group.

use super::{Follower, describe};
use crate::store::{Order, StoreError};
use counterfoil_core::{
    Timestamp,
    account::{AccountKind, Rank},
    ledger::{self, Change, EntryHash, Head},
    token::Token,
};
use rusqlite::{Connection, OptionalExtension as _, ToSql, params};
use std::sync::Mutex;
use tokio::sync::{mpsc, oneshot};

/// How many orders share one commit at most.
const GROUP: usize = 256;
/// How many orders wait at most before whoever brings the next one has to wait too.
const QUEUE: usize = 1024;

type Answer = oneshot::Sender<Result<Head, StoreError>>;

/// The way to the one thread that writes.
pub(super) struct Writer {
    orders: Mutex<Option<mpsc::Sender<(Order, Answer)>>>,
    ended: tokio::sync::Mutex<Option<oneshot::Receiver<()>>>,
}

/// Why the writer cannot start.
pub(super) enum StartError {
    Sqlite(rusqlite::Error),
    Thread(std::io::Error),
}

impl Writer {
    pub(super) fn start(connection: Connection, follower: Follower) -> Result<Self, StartError> {
        let head = head(&connection).map_err(StartError::Sqlite)?;
        let (orders, queue) = mpsc::channel(QUEUE);
        let (end, ended) = oneshot::channel();
        std::thread::Builder::new()
            .name("sqlite-writer".into())
            .spawn(move || {
                WriterThread { connection, follower, head }.run(queue);
                // Nobody may be waiting for the end.
                let _ = end.send(());
            })
            .map_err(StartError::Thread)?;
        Ok(Self { orders: Mutex::new(Some(orders)), ended: tokio::sync::Mutex::new(Some(ended)) })
    }

    pub(super) async fn commit(&self, order: Order) -> Result<Head, StoreError> {
        let closed = || StoreError::Unavailable("the server is stopping".into());
        let orders = self
            .orders
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone()
            .ok_or_else(closed)?;
        let (answer, answered) = oneshot::channel();
        orders.send((order, answer)).await.map_err(|_| closed())?;
        answered.await.map_err(|_| closed())?
    }

    /// Lets the queue run dry and waits for the thread.
    pub(super) async fn close(&self) {
        drop(self.orders.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take());
        if let Some(ended) = self.ended.lock().await.take() {
            let _ = ended.await;
        }
    }
}

struct WriterThread {
    connection: Connection,
    follower: Follower,
    head: Head,
}

impl WriterThread {
    fn run(mut self, mut queue: mpsc::Receiver<(Order, Answer)>) {
        let mut group = Vec::with_capacity(GROUP);
        while let Some(first) = queue.blocking_recv() {
            group.push(first);
            while group.len() < GROUP
                && let Ok(next) = queue.try_recv()
            {
                group.push(next);
            }
            self.commit(std::mem::take(&mut group));
        }
        // Leaves one file behind instead of three; losing the race for it loses nothing.
        let _ = self.connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
    }

    fn commit(&mut self, group: Vec<(Order, Answer)>) {
        let (orders, answers): (Vec<Order>, Vec<Answer>) = group.into_iter().unzip();
        let mut results = Vec::with_capacity(orders.len());
        match transact(&mut self.connection, self.head, &orders, &mut results) {
            Ok(()) => {}
            Err(error) if self.was_made_after_all(&results) => {
                tracing::warn!(%error, "a commit failed, but its changes are in the database");
            }
            Err(error) => {
                tracing::error!(%error, orders = orders.len(), "changes could not be committed");
                let text = describe(&error);
                for answer in answers {
                    let _ = answer.send(Err(StoreError::Unavailable(text.clone())));
                }
                return;
            }
        }
        for ((order, answer), result) in orders.iter().zip(answers).zip(results) {
            if let Ok(head) = result {
                self.head = head;
                order.changes.iter().for_each(|(change, _)| (self.follower)(change));
            }
            // Whoever asked may have gone.
            let _ = answer.send(result);
        }
    }

    /// A failed COMMIT may have worked. Only the database knows: all of a
    /// group is in it or nothing.
    fn was_made_after_all(&self, results: &[Result<Head, StoreError>]) -> bool {
        let expected = results.iter().rev().find_map(|result| result.as_ref().ok());
        expected
            .is_some_and(|expected| head(&self.connection).is_ok_and(|found| found == *expected))
    }
}

/// Makes a group of orders in one transaction and tells how each ended. An
/// error means that none of them was made, if the database says so too.
fn transact(
    connection: &mut Connection,
    mut head: Head,
    orders: &[Order],
    results: &mut Vec<Result<Head, StoreError>>,
) -> Result<(), rusqlite::Error> {
    let mut transaction =
        connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    for order in orders {
        // One that is dropped is rolled back.
        let savepoint = transaction.savepoint()?;
        match make(&savepoint, head, order) {
            Ok(after) => {
                savepoint.commit()?;
                head = after;
                results.push(Ok(after));
            }
            Err(ApplyError::Conflict) => {
                savepoint.finish()?;
                results.push(Err(StoreError::Conflict));
            }
            Err(ApplyError::Sqlite(error)) => return Err(error),
        }
    }
    transaction.commit()
}

fn make(connection: &Connection, mut head: Head, order: &Order) -> Result<Head, ApplyError> {
    for (change, salt) in &order.changes {
        let stored = ledger::append(head, order.at, order.actor, change, *salt)
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
        let number = to_sql(stored.head.number);
        run(
            connection,
            "INSERT INTO ledger (number, entry, hash) VALUES (?, ?, ?)",
            params![number, stored.entry, stored.head.hash.0],
        )?;
        run(
            connection,
            "INSERT INTO ledger_detail (number, salt, detail) VALUES (?, ?, ?)",
            params![number, stored.salt, stored.detail],
        )?;
        apply(connection, order.at, change)?;
        head = stored.head;
    }
    Ok(head)
}

/// Why a change cannot be made.
pub(super) enum ApplyError {
    /// Its condition does not hold (any more).
    Conflict,
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for ApplyError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::ConstraintViolation) => Self::Conflict,
            _ => Self::Sqlite(error),
        }
    }
}

/// The last entry's number and hash.
pub(super) fn head(connection: &Connection) -> Result<Head, rusqlite::Error> {
    let last = connection
        .query_row("SELECT number, hash FROM ledger ORDER BY number DESC LIMIT 1", [], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, [u8; 32]>(1)?))
        })
        .optional()?;
    Ok(last.map_or(Head::EMPTY, |(number, hash)| Head {
        number: number.unsigned_abs(),
        hash: EntryHash(hash),
    }))
}

/// Makes one change to the state. Each statement carries the condition under
/// which the change makes sense, so that two decisions that were taken side by
/// side cannot both be carried out.
pub(super) fn apply(
    connection: &Connection,
    at: Timestamp,
    change: &Change,
) -> Result<(), ApplyError> {
    let at = at.as_millis();
    let rows = match change {
        Change::OrganizationCreated { organization, name } => run(
            connection,
            "INSERT INTO organization (id, name, created_at) VALUES (?, ?, ?)",
            params![organization.as_bytes(), name, at],
        ),
        Change::OrganizationClosed { organization } => run(
            connection,
            "UPDATE organization SET closed_at = ?2 WHERE id = ?1 AND closed_at IS NULL",
            params![organization.as_bytes(), at],
        ),
        Change::AccountCreated { account, account_kind, email, name } => run(
            connection,
            "INSERT INTO account (id, kind, email, name, created_at) VALUES (?, ?, ?, ?, ?)",
            params![
                account.as_bytes(),
                kind_name(*account_kind),
                email.as_ref().map(counterfoil_core::account::Email::as_str),
                name,
                at
            ],
        ),
        Change::AccountDisabled { account } => run(
            connection,
            "UPDATE account SET disabled_at = ?2 WHERE id = ?1 AND disabled_at IS NULL",
            params![account.as_bytes(), at],
        ),
        Change::AccountEnabled { account } => run(
            connection,
            "UPDATE account SET disabled_at = NULL WHERE id = ?1 AND disabled_at IS NOT NULL",
            params![account.as_bytes()],
        ),
        Change::PasswordSet { account, hash } => run(
            connection,
            "UPDATE account SET password_hash = ?2 WHERE id = ?1",
            params![account.as_bytes(), hash],
        ),
        Change::MembershipAdded { organization, account, rank } => run(
            connection,
            "INSERT INTO membership (organization, account, rank, joined_at)
             SELECT ?1, ?2, ?3, ?4
             WHERE EXISTS (SELECT 1 FROM organization WHERE id = ?1 AND closed_at IS NULL)
             ON CONFLICT (organization, account)
             DO UPDATE SET rank = ?3, joined_at = ?4, ended_at = NULL WHERE ended_at IS NOT NULL",
            params![organization.as_bytes(), account.as_bytes(), rank_name(*rank), at],
        ),
        Change::MembershipRankChanged { organization, account, rank } => run(
            connection,
            "UPDATE membership SET rank = ?3
             WHERE organization = ?1 AND account = ?2 AND ended_at IS NULL AND rank <> ?3",
            params![organization.as_bytes(), account.as_bytes(), rank_name(*rank)],
        ),
        Change::MembershipEnded { organization, account } => run(
            connection,
            "UPDATE membership SET ended_at = ?3
             WHERE organization = ?1 AND account = ?2 AND ended_at IS NULL",
            params![organization.as_bytes(), account.as_bytes(), at],
        ),
        Change::TokenIssued(token) => issue(connection, token),
        Change::TokenPaused { token, organization } => run(
            connection,
            "UPDATE token SET paused_at = ?3 WHERE id = ?1 AND organization = ?2
             AND paused_at IS NULL AND revoked_at IS NULL",
            params![token.as_bytes(), organization.as_bytes(), at],
        ),
        Change::TokenResumed { token, organization } => run(
            connection,
            "UPDATE token SET paused_at = NULL WHERE id = ?1 AND organization = ?2
             AND paused_at IS NOT NULL AND revoked_at IS NULL",
            params![token.as_bytes(), organization.as_bytes()],
        ),
        Change::TokenRotated {
            token,
            organization,
            replaces,
            previous_until,
            digest,
            last_four,
        } => run(
            connection,
            "UPDATE token SET digest = ?4, last_four = ?5, previous_until = ?6,
             previous_digest = CASE WHEN ?6 IS NULL THEN NULL ELSE digest END
             WHERE id = ?1 AND organization = ?2 AND digest = ?3 AND revoked_at IS NULL",
            params![
                token.as_bytes(),
                organization.as_bytes(),
                replaces.as_bytes(),
                digest.as_bytes(),
                last_four,
                previous_until.map(Timestamp::as_millis)
            ],
        ),
        Change::TokenRevoked { token, organization, reason } => run(
            connection,
            "UPDATE token SET revoked_at = ?3, revoke_reason = ?4
             WHERE id = ?1 AND organization = ?2 AND revoked_at IS NULL",
            params![token.as_bytes(), organization.as_bytes(), at, reason],
        ),
    }?;
    if rows == 1 { Ok(()) } else { Err(ApplyError::Conflict) }
}

fn issue(connection: &Connection, token: &Token) -> Result<usize, rusqlite::Error> {
    let json = |error| rusqlite::Error::ToSqlConversionFailure(Box::new(error));
    run(
        connection,
        "INSERT INTO token (id, api, organization, owner, name, note, permission,
            allowed_networks, prefix, last_four, digest, created_at, expires_at)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13
         WHERE EXISTS (
            SELECT 1 FROM membership
            JOIN account ON account.id = membership.account
            JOIN organization ON organization.id = membership.organization
            WHERE membership.organization = ?3 AND membership.account = ?4
            AND membership.ended_at IS NULL AND account.disabled_at IS NULL
            AND organization.closed_at IS NULL)",
        params![
            token.id.as_bytes(),
            token.api,
            token.organization.as_bytes(),
            token.owner.as_bytes(),
            token.name,
            token.note,
            serde_json::to_string(&token.grant).map_err(json)?,
            serde_json::to_string(&token.allowed_networks).map_err(json)?,
            token.prefix,
            token.last_four,
            token.digest.as_bytes(),
            token.created_at.as_millis(),
            token.expires_at.map(Timestamp::as_millis),
        ],
    )
}

fn run(
    connection: &Connection,
    sql: &str,
    parameters: &[&dyn ToSql],
) -> Result<usize, rusqlite::Error> {
    connection.prepare_cached(sql)?.execute(parameters)
}

pub(super) fn kind_name(kind: AccountKind) -> &'static str {
    match kind {
        AccountKind::Person => "person",
        AccountKind::Service => "service",
    }
}

pub(super) fn rank_name(rank: Rank) -> &'static str {
    match rank {
        Rank::Administrator => "administrator",
        Rank::Member => "member",
    }
}

/// SQLite's integers have a sign; a ledger of 2^63 entries does not exist.
pub(super) fn to_sql(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
