//! Writing: one thread, groups of orders, one transaction a group.

use super::{
    Follower,
    change::{ApplyError, apply, run, stands},
    describe,
    grounds::holds,
    once, refusals,
};
use crate::refusals::StoredRefusal;
use crate::store::{Order, Progress, StoreError};
use counterfoil_core::{
    Timestamp,
    ledger::{self, EntryHash, Head},
};
use rusqlite::{Connection, OptionalExtension as _};
use std::sync::{Mutex, PoisonError};
use tokio::sync::{mpsc, oneshot};

/// How many orders share one commit at most.
const GROUP: usize = 256;
/// How many orders wait at most before whoever brings the next one has to wait too.
const QUEUE: usize = 1024;

/// How much of the database the writer holds in memory, in KiB: enough for the upper
/// levels of every index, however many tokens there are.
const CACHE: u32 = 32 << 10;
/// The same while it makes a large order, all of whose pages should fit: one that does
/// not is written to the log whenever a row has touched it.
const LARGE_CACHE: u32 = 512 << 10;

/// How often a large order tells how much of it is made.
const PROGRESS_EVERY: u64 = 1_000;

type Answer = oneshot::Sender<Result<Head, StoreError>>;

/// Something that is written in one transaction.
type Work = Box<dyn FnOnce(&Connection) -> Result<(), rusqlite::Error> + Send>;

/// An order, and whom to tell how much of it is made.
struct Watched {
    order: Order,
    progress: Progress,
}

/// What the writer is asked for.
enum Job {
    /// Changes, in the ledger.
    Order(Watched, Answer),
    /// Many changes, in a transaction of their own: what fails for their number,
    /// as on a full disk, is nobody else's failure.
    Large(Watched, Answer),
    /// Something beside the ledger, in a transaction of its own.
    Beside(Work, oneshot::Sender<Result<(), StoreError>>),
}

/// The way to the one thread that writes.
pub(super) struct Writer {
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
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
        let cached = set_cache(&connection, CACHE);
        // What a savepoint would restore is little, and would otherwise go to a file.
        let kept = cached.and_then(|()| connection.pragma_update(None, "temp_store", "memory"));
        kept.map_err(StartError::Sqlite)?;
        let (jobs, queue) = mpsc::channel(QUEUE);
        let (end, ended) = oneshot::channel();
        std::thread::Builder::new()
            .name("sqlite-writer".into())
            .spawn(move || {
                WriterThread { connection, follower, head, broken: false }.run(queue);
                // Nobody may be waiting for the end.
                let _ = end.send(());
            })
            .map_err(StartError::Thread)?;
        Ok(Self { jobs: Mutex::new(Some(jobs)), ended: tokio::sync::Mutex::new(Some(ended)) })
    }

    pub(super) async fn commit(&self, order: Order) -> Result<Head, StoreError> {
        let watched = Watched { order, progress: Box::new(|_, _| {}) };
        self.commit_as(|answer| Job::Order(watched, answer)).await
    }

    pub(super) async fn commit_large(
        &self,
        order: Order,
        progress: Progress,
    ) -> Result<Head, StoreError> {
        let watched = Watched { order, progress };
        self.commit_as(|answer| Job::Large(watched, answer)).await
    }

    async fn commit_as(&self, job: impl FnOnce(Answer) -> Job) -> Result<Head, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.ask(job(answer)).await?;
        // The order was taken; what became of it nobody can say.
        answered.await.map_err(|_| StoreError::Unknown)?
    }

    pub(super) async fn keep_refusals(
        &self,
        refusals: Vec<StoredRefusal>,
    ) -> Result<(), StoreError> {
        self.beside(Box::new(move |connection| refusals::keep(connection, &refusals))).await
    }

    pub(super) async fn forget_refusals(
        &self,
        end: Timestamp,
        most: u32,
    ) -> Result<(), StoreError> {
        self.beside(Box::new(move |connection| refusals::forget(connection, end, most))).await
    }

    /// Writes something that is no part of the ledger.
    pub(super) async fn beside(&self, work: Work) -> Result<(), StoreError> {
        let (answer, answered) = oneshot::channel();
        self.ask(Job::Beside(work, answer)).await?;
        answered.await.map_err(|_| StoreError::Unknown)?
    }

    async fn ask(&self, job: Job) -> Result<(), StoreError> {
        let closed = || StoreError::Unavailable("the server is stopping".into());
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner).clone();
        jobs.ok_or_else(closed)?.send(job).await.map_err(|_| closed())
    }

    /// Lets the queue run dry and waits for the thread.
    pub(super) async fn close(&self) {
        drop(self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take());
        if let Some(ended) = self.ended.lock().await.take() {
            let _ = ended.await;
        }
    }
}

struct WriterThread {
    connection: Connection,
    follower: Follower,
    head: Head,
    /// Whether a commit has ended unknown.
    broken: bool,
}

impl WriterThread {
    fn run(mut self, mut queue: mpsc::Receiver<Job>) {
        let mut group = Vec::with_capacity(GROUP);
        while let Some(first) = queue.blocking_recv() {
            let mut next = Some(first);
            while let Some(job) = next.take() {
                match job {
                    Job::Order(order, answer) => group.push((order, answer)),
                    Job::Large(order, answer) => {
                        self.commit(std::mem::take(&mut group));
                        self.commit_large(order, answer);
                    }
                    Job::Beside(work, answer) => {
                        let done = self.beside(work);
                        let _ = answer.send(done);
                    }
                }
                if group.len() < GROUP {
                    next = queue.try_recv().ok();
                }
            }
            self.commit(std::mem::take(&mut group));
        }
        // Closing the last connection folds the log into the database.
    }

    fn beside(&mut self, work: Work) -> Result<(), StoreError> {
        let attempt = |connection: &mut Connection| {
            let transaction = connection.transaction()?;
            work(&transaction)?;
            transaction.commit()
        };
        attempt(&mut self.connection).map_err(|error| StoreError::Unavailable(describe(&error)))
    }

    fn commit_large(&mut self, order: Watched, answer: Answer) {
        self.hold(LARGE_CACHE);
        self.commit(vec![(order, answer)]);
        self.hold(CACHE);
    }

    fn hold(&self, size: u32) {
        if let Err(error) = set_cache(&self.connection, size) {
            // It is only slower.
            tracing::warn!(%error, "the database's cache keeps its size");
        }
    }

    fn commit(&mut self, group: Vec<(Watched, Answer)>) {
        if group.is_empty() {
            return;
        }
        if self.broken {
            // What the database holds may not be what the index has followed.
            let why = "an earlier commit ended unknown; restart the server".to_owned();
            for (_, answer) in group {
                let _ = answer.send(Err(StoreError::Unavailable(why.clone())));
            }
            return;
        }
        let (orders, answers): (Vec<Watched>, Vec<Answer>) = group.into_iter().unzip();
        let mut results = Vec::with_capacity(orders.len());
        if let Err(error) = transact(&mut self.connection, self.head, &orders, &mut results) {
            tracing::error!(%error, orders = orders.len(), "changes could not be committed");
            let refused = match self.made_after_all(&results) {
                Some(true) => None,
                Some(false) => Some(StoreError::Unavailable(describe(&error))),
                None => {
                    self.broken = true;
                    Some(StoreError::Unknown)
                }
            };
            if let Some(refused) = refused {
                for answer in answers {
                    let _ = answer.send(Err(refused.clone()));
                }
                return;
            }
        }
        for ((watched, answer), result) in orders.iter().zip(answers).zip(results) {
            if let Ok(head) = result {
                self.head = head;
                (self.follower)(&watched.order, head);
            }
            // Whoever asked may have gone.
            let _ = answer.send(result);
        }
    }

    /// A failed COMMIT may have worked. Only the database knows, and all of a
    /// group is in it or nothing; none where it does not answer either.
    fn made_after_all(&self, results: &[Result<Head, StoreError>]) -> Option<bool> {
        // Inside a transaction that would not end, its own rows prove nothing.
        if !self.connection.is_autocommit() {
            return None;
        }
        let found = head(&self.connection).ok()?;
        let expected = results.iter().rev().find_map(|result| result.as_ref().ok());
        match expected {
            _ if found == self.head => Some(false),
            Some(expected) if found == *expected => Some(true),
            _ => None,
        }
    }
}

/// Makes a group of orders in one transaction and tells how each ended. An
/// error means that none of them was made, if the database says so too.
fn transact(
    connection: &mut Connection,
    mut head: Head,
    orders: &[Watched],
    results: &mut Vec<Result<Head, StoreError>>,
) -> Result<(), rusqlite::Error> {
    let transaction =
        connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    if let [alone] = orders {
        // The transaction is all that there is to undo.
        return match make(&transaction, head, alone) {
            Ok(after) => {
                results.push(Ok(after));
                transaction.commit()
            }
            Err(error) => {
                results.push(Err(refused(error)?));
                transaction.rollback()
            }
        };
    }
    for watched in orders {
        run(&transaction, "SAVEPOINT alone", &[])?;
        match make(&transaction, head, watched) {
            Ok(after) => {
                head = after;
                results.push(Ok(after));
            }
            Err(error) => {
                results.push(Err(refused(error)?));
                run(&transaction, "ROLLBACK TO alone", &[])?;
            }
        }
        run(&transaction, "RELEASE alone", &[])?;
    }
    transaction.commit()
}

/// What is told of an order that was not made, where that is the fault of it alone.
fn refused(error: MakeError) -> Result<StoreError, rusqlite::Error> {
    match error {
        MakeError::Conflict => Ok(StoreError::Conflict),
        MakeError::Outranked => Ok(StoreError::Outranked),
        MakeError::Unfit(error) => {
            tracing::error!(%error, "a change was refused");
            Ok(StoreError::Unavailable(error.to_string()))
        }
        MakeError::Sqlite(error) => Err(error),
    }
}

/// How much of the database `connection` holds in memory, in KiB; what is more is let go of.
fn set_cache(connection: &Connection, size: u32) -> Result<(), rusqlite::Error> {
    connection.pragma_update(None, "cache_size", -i64::from(size))?;
    connection.release_memory()
}

/// Why an order cannot be made.
enum MakeError {
    /// A change's condition does not hold (any more).
    Conflict,
    /// Whoever decided may not do so any more.
    Outranked,
    /// The ledger could not tell of a change.
    Unfit(ledger::Unfit),
    Sqlite(rusqlite::Error),
}

impl<E: Into<ApplyError>> From<E> for MakeError {
    fn from(error: E) -> Self {
        match error.into() {
            ApplyError::Conflict => Self::Conflict,
            ApplyError::Sqlite(error) => Self::Sqlite(error),
        }
    }
}

fn make(connection: &Connection, mut head: Head, watched: &Watched) -> Result<Head, MakeError> {
    let Watched { order, progress } = watched;
    // Once for all of them, and before: an administrator may well end their own rank.
    if let Some(standing) = &order.standing
        && !stands(connection, standing)?
    {
        return Err(MakeError::Outranked);
    }
    for ground in &order.grounds {
        if !holds(connection, order.at, ground)? {
            return Err(MakeError::Conflict);
        }
    }
    let total = order.changes.len() as u64;
    for (done, (change, salt)) in (0u64..).zip(&order.changes) {
        if done > 0 && done.is_multiple_of(PROGRESS_EVERY) {
            progress(done, total);
        }
        let stored =
            ledger::append(head, order.at, order.actor, change, *salt).map_err(MakeError::Unfit)?;
        super::ledger::append(connection, order.actor, change, &stored)?;
        apply(connection, order.at, order.actor, change)?;
        head = stored.head;
    }
    if let Some(once) = &order.once {
        once::keep(connection, order.at, once)?;
    }
    Ok(head)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::{migrate, prepare};
    use counterfoil_core::{
        id::OrganizationId,
        ledger::{Actor, Change},
    };

    /// Makes organizations of these numbers, all or none.
    fn order(numbers: &[u8]) -> Watched {
        let at = Timestamp::from_millis(1);
        let change = |number: &u8| Change::OrganizationCreated {
            organization: OrganizationId::new(at, [*number; 10]),
            name: "a name".into(),
            external_id: None,
        };
        let changes = numbers.iter().map(|number| (change(number), [0; 16])).collect();
        let order = Order {
            at,
            actor: Actor::Operator,
            standing: None,
            grounds: Vec::new(),
            changes,
            once: None,
        };
        Watched { order, progress: Box::new(|_, _| {}) }
    }

    #[test]
    fn an_order_is_made_whole_or_not_at_all() {
        let mut connection = Connection::open_in_memory().unwrap();
        prepare(&connection).unwrap();
        migrate(&mut connection).unwrap();
        // Each with what is made of its orders, and how many entries there are then.
        for (group, made, entries) in [
            (vec![order(&[1])], vec![true], 1),
            // Alone, and what it began with is undone.
            (vec![order(&[2, 1])], vec![false], 1),
            // Among others, which stay.
            (vec![order(&[2]), order(&[3, 1]), order(&[4, 5])], vec![true, false, true], 4),
            (vec![order(&[3])], vec![true], 5),
        ] {
            let before = head(&connection).unwrap();
            let mut results = Vec::new();
            transact(&mut connection, before, &group, &mut results).unwrap();
            assert_eq!(results.iter().map(Result::is_ok).collect::<Vec<_>>(), made);
            let refused = results.iter().filter_map(|result| result.as_ref().err());
            assert!(refused.into_iter().all(|error| matches!(error, StoreError::Conflict)));
            let after = head(&connection).unwrap();
            assert_eq!(after.number, u64::from(entries));
            let last = results.iter().rev().find_map(|result| result.as_ref().ok());
            assert_eq!(after, *last.unwrap_or(&before));
            let count = "SELECT count(*) FROM organization";
            assert_eq!(
                connection.query_row(count, [], |row| row.get::<_, u32>(0)).unwrap(),
                entries
            );
        }
    }
}
