//! Writing: groups of orders, each group one transaction of two round trips. The first locks
//! what the orders rest on and makes what they change; the second appends to the ledger and
//! commits. The head is locked in the second alone, and by nobody who might stand still there.

use super::{
    connect,
    error::{Error, Fault, OpenError},
    group::{Attempt, Group, Made},
    ledger,
    mark::{self, Mark},
};
use crate::store::{Order, Progress, StoreError};
use counterfoil_core::ledger::{Head, KNOWS};
use deadpool_postgres::{Client, Object, Pool};
use futures_util::future::{Either, select};
use std::{
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::{sleep, timeout},
};
use tokio_util::task::TaskTracker;

/// How many orders share one commit at most.
const GROUP: usize = 256;
/// How many orders wait at most before whoever brings the next one has to wait too.
const QUEUE: usize = 1024;
/// How many groups are under way at most.
const AT_ONCE: usize = 2;
/// How long the next group is gathered while one is made: it is the larger for it, and what a
/// group costs the database, and all nodes that follow, hardly depends on how many are in it. But
/// nobody waits for long behind a group that others are in the way of.
const TURN: Duration = Duration::from_millis(20);

/// How long the database may take over a round trip.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often a group is tried, where others were in the way: each of them is for a second.
const TRIES: usize = 5;
/// How long what became of a commit is asked for, and how often.
const ASKING: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(50);

/// Those who do not know all kinds, for people.
const OLDER_NODES: &str =
    "SELECT string_agg(coalesce(name, encode(node, 'hex')), ', ' ORDER BY name)
     FROM node WHERE knows < $1";

type Answer = oneshot::Sender<Result<Head, StoreError>>;

/// An order, and whom to tell what came of it.
struct Job {
    order: Order,
    answer: Answer,
    /// For one of many changes, which has a transaction of its own: what fails for their
    /// number is nobody else's failure.
    progress: Option<Progress>,
}

/// The way to those who write.
pub(super) struct Writer {
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    tasks: TaskTracker,
}

impl Writer {
    pub(super) async fn start(settings: &connect::Settings) -> Result<Self, OpenError> {
        let pool = connect::writers(settings, AT_ONCE)?;
        let client = connect::first(&pool).await?;
        let head =
            ledger::head(&client).await.map_err(|error| OpenError::Tables(error.to_string()))?;
        mark::forget(&client).await?;
        drop(client);
        let (jobs, queue) = mpsc::channel(QUEUE);
        let desk = Arc::new(Desk {
            queue: tokio::sync::Mutex::new(queue),
            pool,
            known: AtomicU64::new(head.number),
        });
        let tasks = TaskTracker::new();
        for _ in 0..AT_ONCE {
            tasks.spawn(desk.clone().run());
        }
        tasks.close();
        Ok(Self { jobs: Mutex::new(Some(jobs)), tasks })
    }

    pub(super) async fn commit(
        &self,
        order: Order,
        progress: Option<Progress>,
    ) -> Result<Head, StoreError> {
        let closed = || StoreError::Unavailable("the server is stopping".into());
        let (answer, answered) = oneshot::channel();
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let job = Job { order, answer, progress };
        jobs.ok_or_else(closed)?.send(job).await.map_err(|_| closed())?;
        // The order was taken; what became of it nobody can say.
        answered.await.map_err(|_| StoreError::Unknown)?
    }

    /// Lets the queue run dry.
    pub(super) async fn close(&self) {
        drop(self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take());
        self.tasks.wait().await;
    }
}

/// What those who write have in common.
struct Desk {
    queue: tokio::sync::Mutex<mpsc::Receiver<Job>>,
    pool: Pool,
    /// The number of an entry that was there before anything that is still under way.
    known: AtomicU64,
}

impl Desk {
    async fn run(self: Arc<Self>) {
        let mut mark = Mark::of_a_writer();
        loop {
            let mut queue = self.queue.lock().await;
            let mut jobs = Vec::new();
            if queue.recv_many(&mut jobs, GROUP).await == 0 {
                return;
            }
            let (large, small): (Vec<_>, Vec<_>) =
                jobs.into_iter().partition(|job| job.progress.is_some());
            let turn = async {
                sleep(TURN).await;
                drop(queue);
            };
            match select(pin!(self.make(small, None, &mut mark)), pin!(turn)).await {
                Either::Left(_) => {}
                Either::Right(((), making)) => making.await,
            }
            for mut job in large {
                let progress = job.progress.take();
                self.make(vec![job], progress, &mut mark).await;
            }
        }
    }

    async fn make(&self, jobs: Vec<Job>, progress: Option<Progress>, mark: &mut Mark) {
        let (mut orders, mut answers) = (Vec::new(), Vec::new());
        for Job { order, answer, .. } in jobs {
            match ledger::filed(&order) {
                Ok(entries) => {
                    orders.push((order, entries));
                    answers.push(answer);
                }
                Err(error) => {
                    tracing::error!(%error, "a change was refused");
                    // Whoever asked may have gone.
                    let _ = answer.send(Err(StoreError::Unavailable(error.to_string())));
                }
            }
        }
        if orders.is_empty() {
            return;
        }
        let group = Group { orders, progress: progress.map(Mutex::new) };
        let results = self.make_group(&group, mark).await;
        for (answer, result) in answers.into_iter().zip(results) {
            let _ = answer.send(result);
        }
    }

    async fn make_group(&self, group: &Group, mark: &mut Mark) -> Vec<Result<Head, StoreError>> {
        let mut tries = 1;
        let error = loop {
            match self.attempt(group, mark.next()).await {
                Ok(Made { results, head }) => {
                    if let Some(head) = head {
                        self.known.fetch_max(head.number, Ordering::Relaxed);
                    }
                    if results.iter().any(|made| matches!(made, Err(StoreError::OlderNodes))) {
                        self.tell_of_older_nodes().await;
                    }
                    return results;
                }
                Err(Fault::Passing(error)) if tries < TRIES => {
                    tracing::debug!(%error, "changes are tried again");
                    tries += 1;
                    sleep(PAUSE).await;
                }
                Err(Fault::Unknown) => break StoreError::Unknown,
                Err(Fault::Refused(error)) => break error,
                Err(Fault::Passing(error) | Fault::Lasting(error)) => break error.into(),
            }
        };
        tracing::error!(%error, orders = group.orders.len(), "changes could not be committed");
        group.orders.iter().map(|_| Err(error.clone())).collect()
    }

    /// Says in the log which nodes are in the way of a kind that is new.
    async fn tell_of_older_nodes(&self) {
        let Ok(client) = self.pool.get().await else { return };
        let asked = async { client.query_one(OLDER_NODES, &[&i64::from(KNOWS)]).await };
        let Ok(Ok(row)) = timeout(PATIENCE, asked).await else { return };
        let nodes = row.try_get::<_, Option<String>>(0).ok().flatten().unwrap_or_default();
        tracing::error!(
            nodes,
            "a change was refused, which these nodes of an older version could not apply; upgrade them first"
        );
    }

    /// Makes the group, or nothing of it.
    async fn attempt(&self, group: &Group, mark: Mark) -> Result<Made, Fault> {
        let client = self.pool.get().await.map_err(Fault::of_pool)?;
        let mut attempt = Attempt::new(group, self.known.load(Ordering::Relaxed), mark);
        let begun = timeout(PATIENCE, attempt.begin(&client)).await;
        if let Err(fault) = begun.unwrap_or(Err(Fault::Lasting(Error::Silent))) {
            // Nothing can come of it any more.
            self.let_go(client, &fault).await;
            return Err(fault);
        }
        if attempt.is_empty() {
            self.roll_back(client).await;
            return Ok(attempt.made());
        }
        if client.is_closed() {
            return Err(Fault::Passing(Error::Silent));
        }
        let finished = timeout(PATIENCE, attempt.finish(&client)).await;
        match finished.unwrap_or(Err(Fault::Unknown)) {
            Ok(()) => Ok(attempt.made()),
            Err(Fault::Unknown) => {
                drop(Object::take(client));
                self.look_up(attempt).await
            }
            Err(fault) => {
                self.let_go(client, &fault).await;
                Err(fault)
            }
        }
    }

    /// Asks what became of a commit that was not answered.
    async fn look_up(&self, mut attempt: Attempt<'_>) -> Result<Made, Fault> {
        let decided = timeout(ASKING, async {
            loop {
                if let Ok(client) = self.pool.get().await
                    && let Ok(is_made) = attempt.look_up(&client).await
                {
                    return is_made;
                }
                sleep(PAUSE).await;
            }
        });
        match decided.await {
            Ok(true) => Ok(attempt.made()),
            Ok(false) => Err(Fault::Passing(Error::Silent)),
            Err(_) => Err(Fault::Unknown),
        }
    }

    /// Gives a connection back as it was, unless it does not answer.
    async fn let_go(&self, client: Client, fault: &Fault) {
        if fault.spares_connection() {
            self.roll_back(client).await;
        } else {
            drop(Object::take(client));
        }
    }

    async fn roll_back(&self, client: Client) {
        if !matches!(timeout(PATIENCE, client.batch_execute("ROLLBACK")).await, Ok(Ok(()))) {
            drop(Object::take(client));
        }
    }
}
