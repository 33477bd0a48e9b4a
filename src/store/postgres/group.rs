//! A group of orders, and one attempt to make it.

use super::{
    change::{Rows, Statement},
    error::{Error, Fault},
    ledger::{self, APPEND, Filed, LOCK_HEAD},
    lock::locks,
    mark::{MAKE, Mark},
    nodes::TELL_OF_ENTRIES,
    plan::plan,
};
use crate::store::{Order, Progress, StoreError};
use counterfoil_core::ledger::Head;
use deadpool_postgres::{Client, GenericClient as _};
use futures_util::future::join_all;
use std::sync::{Mutex, PoisonError};
use tokio::join;
use tokio_postgres::types::ToSql;

/// How many statements are sent before their answers are looked at.
const WINDOW: usize = 256;
/// How many entries one statement appends.
const APPENDED: usize = 500;

/// Orders that share a transaction, each with its entries.
pub(super) struct Group {
    pub(super) orders: Vec<(Order, Vec<Filed>)>,
    /// Whom to tell how much is made, of a large order.
    pub(super) progress: Option<Mutex<Progress>>,
}

impl Group {
    /// Tells how many entries of all are made.
    fn tell(&self, done: usize, all: usize) {
        if let Some(progress) = &self.progress {
            let progress = progress.lock().unwrap_or_else(PoisonError::into_inner);
            progress(done as u64, all as u64);
        }
    }
}

/// What came of each order, and the head behind those that were made.
pub(super) struct Made {
    pub(super) results: Vec<Result<Head, StoreError>>,
    pub(super) head: Option<Head>,
}

/// One attempt to make a group.
pub(super) struct Attempt<'g> {
    group: &'g Group,
    /// The number of an entry that was there before.
    known: u64,
    mark: Mark,
    /// What is told of those that are not made.
    refused: Vec<Option<StoreError>>,
    /// The head before the first entry.
    before: Head,
}

impl<'g> Attempt<'g> {
    pub(super) fn new(group: &'g Group, known: u64, mark: Mark) -> Self {
        let refused = group.orders.iter().map(|_| None).collect();
        Self { group, known, mark, refused, before: Head::EMPTY }
    }

    /// Whether there is nothing to append.
    pub(super) fn is_empty(&self) -> bool {
        self.refused.iter().all(Option::is_some)
    }

    /// Begins a transaction in which all that can be made is made.
    pub(super) async fn begin(&mut self, client: &Client) -> Result<(), Fault> {
        let orders = || self.group.orders.iter().map(|(order, _)| order);
        let mut statements = locks(orders());
        statements.extend(plan(orders()).map_err(Fault::Lasting)?);
        let done = self.open(client, &statements).await;
        match done {
            Err(Fault::Refused(error)) if self.group.orders.len() == 1 => {
                self.refused = vec![Some(error)];
                Ok(())
            }
            Err(Fault::Refused(_) | Fault::Lasting(Error::Postgres(_)))
                if self.group.orders.len() > 1 =>
            {
                self.one_by_one(client).await
            }
            done => done,
        }
    }

    /// Begins a transaction with these statements.
    async fn open(&self, client: &Client, statements: &[Statement]) -> Result<(), Fault> {
        let make_mark = client.prepare_cached(MAKE).await.map_err(Fault::of)?;
        let all = self.group.orders.iter().map(|(order, _)| order.changes.len()).sum();
        // The other half of it is to append.
        let progress = |done| self.group.tell(share(done, statements.len(), all) / 2, all);
        let (begun, marked, done) = join!(
            client.batch_execute("BEGIN"),
            self.mark.make(client, &make_mark),
            run_all(client, statements, progress),
        );
        begun.map_err(Fault::of)?;
        marked?;
        done
    }

    /// Makes each order in a savepoint of its own, so that one that cannot be made is in
    /// nobody's way.
    async fn one_by_one(&mut self, client: &Client) -> Result<(), Fault> {
        client.batch_execute("ROLLBACK").await.map_err(Fault::of)?;
        self.open(client, &locks(self.group.orders.iter().map(|(order, _)| order))).await?;
        // What ends one savepoint goes with what begins the next.
        let mut end = "";
        for (place, (order, _)) in self.group.orders.iter().enumerate() {
            let statements = plan([order]).map_err(Fault::Lasting)?;
            let next = format!("{end}SAVEPOINT alone");
            let (begun, done) =
                join!(client.batch_execute(&next), run_all(client, &statements, |_| {}));
            begun.map_err(Fault::of)?;
            self.refused[place] = match done {
                Ok(()) => None,
                Err(Fault::Refused(error)) => Some(error),
                Err(Fault::Lasting(error @ Error::Postgres(_))) => Some(error.into()),
                Err(fault) => return Err(fault),
            };
            end = if self.refused[place].is_some() {
                "ROLLBACK TO alone; RELEASE alone; "
            } else {
                "RELEASE alone; "
            };
        }
        client.batch_execute(end).await.map_err(Fault::of)
    }

    /// Appends what was made, and commits.
    pub(super) async fn finish(&mut self, client: &Client) -> Result<(), Fault> {
        let (lock, append) = (
            client.prepare_cached(LOCK_HEAD).await.map_err(Fault::of)?,
            client.prepare_cached(APPEND).await.map_err(Fault::of)?,
        );
        let entries: Vec<&Filed> = self.made_orders().flat_map(|(_, entries)| entries).collect();
        let mut chunks: Vec<_> = entries.chunks(APPENDED).map(ledger::columns).collect();
        let last = chunks.pop().unwrap_or_default();
        if chunks.is_empty() {
            let last = borrowed(&last);
            let (locked, appended, committed, _) = join!(
                client.query_one(&lock, &[]),
                client.query_one(&append, &last),
                client.batch_execute("COMMIT"),
                client.batch_execute(TELL_OF_ENTRIES),
            );
            self.before = ledger::head_row(&locked.map_err(Fault::at_the_end)?)?;
            let appended = ledger::head_row(&appended.map_err(Fault::at_the_end)?)?;
            committed.map_err(Fault::at_the_end)?;
            return self.is_chained(appended);
        }
        let locked = client.query_one(&lock, &[]).await.map_err(Fault::of)?;
        self.before = ledger::head_row(&locked)?;
        for (done, chunk) in chunks.iter().enumerate() {
            client.query_one(&append, &borrowed(chunk)).await.map_err(Fault::of)?;
            let half = share(done + 1, chunks.len() + 1, entries.len()) / 2;
            self.group.tell(entries.len() / 2 + half, entries.len());
        }
        let last = borrowed(&last);
        let (appended, committed, _) = join!(
            client.query_one(&append, &last),
            client.batch_execute("COMMIT"),
            client.batch_execute(TELL_OF_ENTRIES),
        );
        let appended = ledger::head_row(&appended.map_err(Fault::at_the_end)?)?;
        committed.map_err(Fault::at_the_end)?;
        self.is_chained(appended)
    }

    /// What the database has chained is what everybody else will.
    fn is_chained(&self, appended: Head) -> Result<(), Fault> {
        let made = self.made();
        if made.head == Some(appended) {
            return Ok(());
        }
        tracing::error!("the database has not chained the ledger as it should");
        Err(Fault::Lasting(Error::Unreadable("head")))
    }

    fn made_orders(&self) -> impl Iterator<Item = &'g (Order, Vec<Filed>)> {
        let refused = self.refused.iter();
        self.group.orders.iter().zip(refused).filter(|(_, no)| no.is_none()).map(|(made, _)| made)
    }

    /// What came of the orders, once all that could be made is.
    pub(super) fn made(&self) -> Made {
        let mut head = self.before;
        let orders = self.group.orders.iter().zip(&self.refused);
        let results: Vec<_> = orders
            .map(|((_, entries), refused)| {
                if let Some(error) = refused {
                    return Err(error.clone());
                }
                head = ledger::follow(head, entries);
                Ok(head)
            })
            .collect();
        Made { results, head: (!self.is_empty()).then_some(head) }
    }

    /// Whether the transaction was committed; fails while that is not decided.
    pub(super) async fn look_up(&mut self, client: &Client) -> Result<bool, Fault> {
        if !self.mark.is_committed(client).await? {
            return Ok(false);
        }
        let first = self.made_orders().find_map(|(_, entries)| entries.first());
        let Some(first) = first else { return Ok(false) };
        let before = ledger::head_before(client, first, self.known).await?;
        self.before = before.ok_or(Fault::Unknown)?;
        Ok(true)
    }
}

/// Sends statements, each without waiting for the one before it, and looks at what they have
/// concerned: what is wrong with the first that went wrong is told.
async fn run_all(
    client: &Client,
    statements: &[Statement],
    progress: impl Fn(usize),
) -> Result<(), Fault> {
    let mut done = 0;
    for window in statements.chunks(WINDOW) {
        let mut prepared = Vec::with_capacity(window.len());
        for statement in window {
            prepared.push(client.prepare_cached(statement.sql).await.map_err(Fault::of)?);
        }
        let given: Vec<_> = window.iter().map(|statement| borrowed(&statement.given)).collect();
        let sent = prepared.iter().zip(&given).map(|(sql, given)| client.execute(sql, given));
        for (statement, result) in window.iter().zip(join_all(sent).await) {
            let rows = result.map_err(Fault::of)?;
            if statement.rows != Rows::Any && statement.rows != Rows::Exactly(rows) {
                return Err(Fault::Refused(statement.otherwise.clone()));
            }
        }
        done += window.len();
        progress(done);
    }
    Ok(())
}

fn borrowed(given: &[Box<dyn ToSql + Send + Sync>]) -> Vec<&(dyn ToSql + Sync)> {
    given.iter().map(|value| &**value as &(dyn ToSql + Sync)).collect()
}

/// So much of `all` as `done` is of `of`.
fn share(done: usize, of: usize, all: usize) -> usize {
    all * done / of.max(1)
}
