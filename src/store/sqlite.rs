//! The store on SQLite: one process, one writer, readers beside it.
//!
//! A commit is one fsync, so the writer makes whatever has queued up while the
//! last one ran in one transaction, each order in a savepoint of its own. Only a
//! large order has its transaction for itself.

mod change;
mod copy;
mod data_directory;
mod find_tokens;
mod grounds;
mod inspect;
mod invitations;
mod ledger;
mod list_tokens;
mod load;
mod look;
mod once;
mod read;
mod refusals;
pub(super) mod replay;
mod restore;
mod second_factors;
mod sessions;
mod sign_in;
mod usage;
mod write;

pub(crate) use data_directory::{DataDirectory, DirectoryError};
pub(crate) use restore::{Candidate, check_whole, remove_leftovers};

use super::{
    AccountFilter, Copied, EntryFilter, Follower, Inspection, InvitationFilter, Link,
    MembershipFilter, Once, Order, OrganizationFilter, OriginKind, Page, Progress, Store,
    StoreError, StoredAccount, StoredEntry, StoredInvitation, StoredMembership, StoredOrganization,
    StoredToken, TokenFilter, TokenList, UsageFilter, UsageKey,
};
use crate::{
    refusals::StoredRefusal,
    usage::{Origin, StoredCount, TokenUsage},
};
use async_trait::async_trait;
use counterfoil_core::{
    Timestamp,
    account::{Email, Rank},
    id::{AccountId, InvitationId, OrganizationId, RequestId, TokenId},
    index::Index,
    ledger::{Head, KNOWS},
    token::Digest,
};
use rusqlite::{Connection, OpenFlags, config::DbConfig};
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::oneshot;

/// The steps that bring a database from empty to what this program expects.
const MIGRATIONS: &[&str] = &[
    include_str!("../../migrations/sqlite/0001_begin.sql"),
    include_str!("../../migrations/sqlite/0002_refusals.sql"),
    include_str!("../../migrations/sqlite/0003_names_elsewhere.sql"),
    include_str!("../../migrations/sqlite/0004_usage.sql"),
    include_str!("../../migrations/sqlite/0005_import.sql"),
    include_str!("../../migrations/sqlite/0006_once.sql"),
    include_str!("../../migrations/sqlite/0007_audit.sql"),
    include_str!("../../migrations/sqlite/0008_revisions.sql"),
    include_str!("../../migrations/sqlite/0009_ways.sql"),
    include_str!("../../migrations/sqlite/0010_console.sql"),
    include_str!("../../migrations/sqlite/0011_halves.sql"),
    include_str!("../../migrations/sqlite/0012_addresses.sql"),
    include_str!("../../migrations/sqlite/0013_email_set.sql"),
];

/// The step that came with each version of the list of kinds: it keeps programs out that do not
/// know them.
const CAME_WITH_KINDS: [usize; KNOWS as usize] = [12, 13];
const _: () = assert!(CAME_WITH_KINDS[KNOWS as usize - 1] <= MIGRATIONS.len());

/// A SQLite database in a data directory that this process alone has.
pub(crate) struct Sqlite {
    path: PathBuf,
    idle_readers: Mutex<Vec<Connection>>,
    lookout: look::Lookout,
    writer: write::Writer,
    directory: Arc<DataDirectory>,
}

/// Why a database cannot be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error("{0} must be the name of a file in the data directory, without a path")]
    NotAName(PathBuf),
    #[error("the database {path} cannot be opened: {why}")]
    Sqlite { path: PathBuf, why: rusqlite::Error },
    #[error(
        "the database {path} was made by a newer version of Counterfoil (schema {found}; this one knows {known})"
    )]
    Newer { path: PathBuf, found: usize, known: usize },
    #[error("a thread of the database cannot be started: {0}")]
    Thread(std::io::Error),
}

impl Sqlite {
    /// Opens or makes the database `file` in `directory`.
    pub(crate) fn open(
        directory: Arc<DataDirectory>,
        file: &Path,
        follower: Follower,
    ) -> Result<Self, OpenError> {
        if file.file_name().is_none_or(|name| name != file.as_os_str()) {
            return Err(OpenError::NotAName(file.to_owned()));
        }
        let path = directory.path().join(file);
        let failed = |why| OpenError::Sqlite { path: path.clone(), why };
        tell_of_recovery(&path);
        let mut connection = Connection::open(&path).map_err(failed)?;
        prepare(&connection).map_err(failed)?;
        let found = migrate(&mut connection).map_err(failed)?;
        if found > MIGRATIONS.len() {
            return Err(OpenError::Newer { path, found, known: MIGRATIONS.len() });
        }
        let writer = write::Writer::start(connection, follower).map_err(|error| match error {
            write::StartError::Sqlite(why) => OpenError::Sqlite { path: path.clone(), why },
            write::StartError::Thread(why) => OpenError::Thread(why),
        })?;
        let lookout = look::Lookout::start(path.clone()).map_err(OpenError::Thread)?;
        let idle_readers = Mutex::new(Vec::new());
        Ok(Self { path, idle_readers, lookout, writer, directory })
    }

    /// Runs `work` on a connection that cannot write, off the async threads.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, rusqlite::Error> + Send + 'static,
    ) -> Result<T, StoreError> {
        let idle = self.idle_readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let path = self.path.clone();
        let (connection, result) = tokio::task::spawn_blocking(move || {
            let mut connection = match idle.map_or_else(|| open_reader(&path), Ok) {
                Ok(connection) => connection,
                Err(error) => return (None, Err(error)),
            };
            let result = work(&mut connection);
            (Some(connection), result)
        })
        .await
        .map_err(|error| StoreError::Unavailable(error.to_string()))?;
        if let (Some(connection), Ok(_)) = (connection, &result) {
            self.idle_readers.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        }
        result.map_err(|error| StoreError::Unavailable(describe(&error)))
    }

    /// Writes something that is no part of the ledger, in one transaction, and tells of it.
    async fn beside<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, rusqlite::Error> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (tell, told) = oneshot::channel();
        let work = move |connection: &Connection| {
            // Whoever asked may have gone.
            let _ = tell.send(work(connection)?);
            Ok(())
        };
        self.writer.beside(Box::new(work)).await?;
        told.await.map_err(|_| StoreError::Unknown)
    }
}

#[async_trait]
impl Store for Sqlite {
    async fn commit(&self, order: Order) -> Result<Head, StoreError> {
        self.writer.commit(order).await
    }

    async fn commit_large(&self, order: Order, progress: Progress) -> Result<Head, StoreError> {
        self.writer.commit_large(order, progress).await
    }

    async fn load(&self, index: Arc<Index>, progress: Progress) -> Result<Head, StoreError> {
        self.read(move |connection| load::load(connection, &index, &progress)).await
    }

    async fn organization(
        &self,
        id: OrganizationId,
    ) -> Result<Option<StoredOrganization>, StoreError> {
        self.lookout.look(move |connection| read::organization(connection, id)).await
    }

    async fn organizations(
        &self,
        filter: OrganizationFilter,
        page: Page<OrganizationId>,
    ) -> Result<Vec<StoredOrganization>, StoreError> {
        self.read(move |connection| read::organizations(connection, filter, page)).await
    }

    async fn account(&self, id: AccountId) -> Result<Option<StoredAccount>, StoreError> {
        self.lookout.look(move |connection| read::account(connection, id)).await
    }

    async fn account_by_email(&self, email: Email) -> Result<Option<StoredAccount>, StoreError> {
        self.lookout.look(move |connection| read::account_by_email(connection, &email)).await
    }

    async fn accounts(
        &self,
        filter: AccountFilter,
        page: Page<AccountId>,
    ) -> Result<Vec<StoredAccount>, StoreError> {
        self.read(move |connection| read::accounts(connection, filter, page)).await
    }

    async fn memberships(
        &self,
        filter: MembershipFilter,
        page: Page<(OrganizationId, AccountId)>,
    ) -> Result<Vec<StoredMembership>, StoreError> {
        let look = move |connection: &Connection| read::memberships(connection, filter, page);
        if filter.account.is_some() {
            // They are few.
            return self.lookout.look(look).await;
        }
        self.read(move |connection| look(connection)).await
    }

    async fn organizations_of(
        &self,
        account: AccountId,
    ) -> Result<Vec<(StoredOrganization, Rank)>, StoreError> {
        self.lookout.look(move |connection| read::organizations_of(connection, account)).await
    }

    async fn invitation(&self, id: InvitationId) -> Result<Option<StoredInvitation>, StoreError> {
        self.lookout.look(move |connection| invitations::find(connection, id)).await
    }

    async fn invitation_by_digest(
        &self,
        digest: Digest,
    ) -> Result<Option<StoredInvitation>, StoreError> {
        self.lookout.look(move |connection| invitations::find_by_digest(connection, digest)).await
    }

    async fn invitations(
        &self,
        filter: InvitationFilter,
        page: Page<InvitationId>,
    ) -> Result<Vec<StoredInvitation>, StoreError> {
        self.read(move |connection| {
            invitations::list(filter, page).all(connection, invitations::row)
        })
        .await
    }

    async fn token(&self, id: TokenId) -> Result<Option<StoredToken>, StoreError> {
        self.read(move |connection| read::token(connection, id)).await
    }

    async fn tokens(
        &self,
        filter: TokenFilter,
        page: Page<TokenId>,
    ) -> Result<Vec<StoredToken>, StoreError> {
        self.read(move |connection| find_tokens::tokens(connection, &filter, page)).await
    }

    async fn list_tokens(&self, list: TokenList) -> Result<Vec<StoredToken>, StoreError> {
        self.read(move |connection| list_tokens::list(connection, &list)).await
    }

    async fn known_digests(
        &self,
        digests: Vec<Digest>,
        now: Timestamp,
    ) -> Result<HashMap<Digest, Option<TokenId>>, StoreError> {
        self.read(move |connection| read::known_digests(connection, &digests, now)).await
    }

    async fn head(&self) -> Result<Head, StoreError> {
        self.read(move |connection| write::head(connection)).await
    }

    async fn entries(
        &self,
        filter: EntryFilter,
        after: u64,
        limit: u32,
    ) -> Result<Vec<StoredEntry>, StoreError> {
        self.read(move |connection| ledger::entries(connection, filter, after, limit)).await
    }

    async fn entries_before(
        &self,
        filter: EntryFilter,
        before: u64,
        limit: u32,
    ) -> Result<Vec<StoredEntry>, StoreError> {
        self.read(move |connection| ledger::entries_before(connection, filter, before, limit)).await
    }

    async fn chain(&self, after: u64, limit: u32) -> Result<Vec<Link>, StoreError> {
        self.read(move |connection| ledger::chain(connection, after, limit)).await
    }

    async fn once(&self, key: Digest) -> Result<Option<Once>, StoreError> {
        self.lookout.look(move |connection| once::find(connection, key)).await
    }

    async fn forget_once(&self, end: Timestamp, most: u32) -> Result<bool, StoreError> {
        self.beside(move |connection| once::forget(connection, end, most)).await
    }

    async fn keep_refusals(&self, refusals: Vec<StoredRefusal>) -> Result<(), StoreError> {
        self.writer.keep_refusals(refusals).await
    }

    async fn refusal(&self, id: RequestId) -> Result<Option<StoredRefusal>, StoreError> {
        self.read(move |connection| refusals::find(connection, id)).await
    }

    async fn forget_refusals(&self, end: Timestamp, most: u32) -> Result<(), StoreError> {
        self.writer.forget_refusals(end, most).await
    }

    async fn keep_usage(&self, usage: Arc<[(TokenId, TokenUsage)]>) -> Result<(), StoreError> {
        self.beside(move |connection| usage::keep(connection, &usage)).await
    }

    async fn usage(
        &self,
        filter: UsageFilter,
        page: Page<UsageKey>,
    ) -> Result<Vec<StoredCount>, StoreError> {
        self.read(move |connection| usage::counts(connection, &filter, page)).await
    }

    async fn origins(
        &self,
        token: TokenId,
        kind: OriginKind,
        since: Timestamp,
    ) -> Result<Vec<Origin<String>>, StoreError> {
        self.read(move |connection| usage::origins(connection, token, kind, since)).await
    }

    async fn forget_usage(&self, end: Timestamp, most: u32) -> Result<bool, StoreError> {
        self.beside(move |connection| usage::forget(connection, end, most)).await
    }

    async fn inspect_ledger(&self, progress: Progress) -> Result<Inspection, StoreError> {
        self.read(move |connection| inspect::inspect(connection, &progress)).await
    }

    async fn copy(&self, progress: Progress) -> Result<Option<Copied>, StoreError> {
        let directory = self.directory.path().to_owned();
        self.read(move |connection| copy::copy(connection, &directory, &progress)).await.map(Some)
    }

    async fn close(&self) {
        // The writer's connection is to be the last: closing it folds the log in.
        self.lookout.close().await;
        self.idle_readers.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.writer.close().await;
    }
}

fn open_reader(path: &Path) -> Result<Connection, rusqlite::Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    keep_plans(&connection)?;
    Ok(connection)
}

/// Has statements keep the plan that they were prepared with. Otherwise each would be
/// prepared anew whenever its parameters change, which costs more than what most do.
fn keep_plans(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(())
}

fn prepare(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.busy_timeout(Duration::from_secs(5))?;
    keep_plans(connection)?;
    connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
    // In WAL mode only `full` syncs the log at every commit.
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // A large order makes a large log, which is not to stay.
    connection.pragma_update_and_check(None, "journal_size_limit", 64 << 20, |_| Ok(()))?;
    // A row touches a dozen pages, nearly all of which the next rows touch, too: a log
    // that is folded into the database at every commit would have them written twice.
    connection.pragma_update_and_check(None, "wal_autocheckpoint", 8192, |_| Ok(()))?;
    Ok(())
}

/// How large a log has to be for its recovery to take a while, in bytes.
const LARGE_LOG: u64 = 256 << 20;

/// Says so where the database will have to read a large log that a killed process left.
fn tell_of_recovery(database: &Path) {
    let mut log = database.as_os_str().to_owned();
    log.push("-wal");
    let size = std::fs::metadata(&log).map_or(0, |log| log.len());
    if size >= LARGE_LOG {
        let megabytes = size >> 20;
        tracing::info!(
            megabytes,
            "the database was not closed; its log is read, which may take a minute"
        );
    }
}

/// Applies what is missing and tells the version found there, or made.
fn migrate(connection: &mut Connection) -> Result<usize, rusqlite::Error> {
    let found: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let mut version = found;
    for sql in MIGRATIONS.iter().skip(found as usize) {
        version += 1;
        if found > 0 {
            let of = MIGRATIONS.len();
            tracing::info!(
                step = version,
                of,
                "the database is brought up to date, which may take minutes where it is large"
            );
        }
        let transaction = connection.transaction()?;
        transaction.execute_batch(sql)?;
        transaction.pragma_update(None, "user_version", version)?;
        transaction.commit()?;
    }
    Ok(version as usize)
}

/// The error in words for whoever asked; the log has the details.
fn describe(error: &rusqlite::Error) -> String {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DiskFull) => "the disk is full".to_owned(),
        _ => error.to_string(),
    }
}
