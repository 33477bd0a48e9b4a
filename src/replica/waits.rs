//! Answers that wait until no node judges without the change that they tell of.

use super::counted::Counted;
use crate::{
    clock,
    store::{Line, Nodes},
};
use counterfoil_core::lease::{BootTime, Lengths, Reach, Reached, Row, Rows, Wait};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{Notify, oneshot},
    task::JoinHandle,
    time::timeout,
};

/// How soon rows are read again, at first and at last. Nobody tells that they have changed: with
/// many nodes that would be most of what the database does, for each tells all others of it.
const SOON: Duration = Duration::from_millis(1);
const LATER: Duration = Duration::from_millis(100);
/// How long a statement may take before its connection is given up.
const ANSWER: Duration = Duration::from_secs(1);

/// How far a change has come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spread {
    pub(crate) reached: Reached,
    /// How long it takes from now on, at worst, until no node judges without it.
    pub(crate) left: Duration,
}

impl Spread {
    /// That of a change at whose only node it is.
    pub(crate) const HERE: Self = Self {
        reached: Reached { reach: Reach::Applied, nodes: 1, applied: 1, waited: Duration::ZERO },
        left: Duration::ZERO,
    };

    /// Whether no node judges without the change.
    pub(crate) fn is_everywhere(&self) -> bool {
        self.reached.is_everywhere()
    }

    fn of(reached: Reached, wait: &Wait, now: BootTime) -> Self {
        let left =
            if reached.is_everywhere() { Duration::ZERO } else { wait.deadline().since(now) };
        Self { reached, left }
    }
}

/// The waits of this process: one poller reads the rows for all of them.
pub(crate) struct Waits {
    /// None where this process has the database to itself.
    shared: Option<Arc<Shared>>,
    poller: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    nodes: Arc<dyn Nodes>,
    counted: Arc<Counted>,
    waiting: Mutex<Waiting>,
    /// Somebody waits.
    stirred: Arc<Notify>,
}

#[derive(Default)]
struct Waiting {
    next: u64,
    waits: BTreeMap<u64, (Wait, oneshot::Sender<Spread>)>,
}

impl Waits {
    pub(crate) fn new(nodes: Option<Arc<dyn Nodes>>, counted: Arc<Counted>) -> Self {
        let shared = nodes.map(|nodes| {
            let waiting = Mutex::default();
            Arc::new(Shared { nodes, counted, waiting, stirred: Arc::new(Notify::new()) })
        });
        Self { shared, poller: Mutex::new(None) }
    }

    /// Whether there may be other nodes.
    pub(crate) fn are_shared(&self) -> bool {
        self.shared.is_some()
    }

    /// Waits until no node judges without the change of this number, which has been committed,
    /// or read, before the call; for `most` at most, where that is said.
    pub(crate) async fn wait(&self, number: u64, most: Option<Duration>) -> Spread {
        // What is committed has reached this index, and where nobody shares it there is no other.
        let Some(shared) = &self.shared else { return Spread::HERE };
        let wait = Wait::begin(number, clock::boot());
        let (place, mut reached) = shared.enter(wait);
        self.have_polled(shared);
        let all = async { (&mut reached).await.ok() };
        let came = match most {
            Some(most) => timeout(most, all).await.ok().flatten(),
            None => all.await,
        };
        // It may have come at the last moment.
        let spread = came.or_else(|| reached.try_recv().ok()).unwrap_or_else(|| place.give_up());
        shared.counted.waits.observe(spread.reached.waited.as_secs_f64());
        spread
    }

    fn have_polled(&self, shared: &Arc<Shared>) {
        let mut poller = self.poller.lock().unwrap_or_else(PoisonError::into_inner);
        if poller.as_ref().is_none_or(JoinHandle::is_finished) {
            *poller = Some(tokio::spawn(Poller { shared: shared.clone(), line: None }.run()));
        }
        drop(poller);
        shared.stirred.notify_one();
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        let poller = self.poller.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(poller) = poller.take() {
            poller.abort();
        }
    }
}

impl Shared {
    fn enter(self: &Arc<Self>, wait: Wait) -> (Place, oneshot::Receiver<Spread>) {
        let (tell, told) = oneshot::channel();
        let mut waiting = self.lock();
        let number = waiting.next;
        waiting.next += 1;
        waiting.waits.insert(number, (wait.clone(), tell));
        drop(waiting);
        self.counted.waiting.inc();
        (Place { shared: self.clone(), number, wait }, told)
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells those that have waited long enough, by `judge`.
    fn tell(&self, now: BootTime, mut judge: impl FnMut(&mut Wait) -> Option<Reached>) {
        let mut waiting = self.lock();
        for (number, (mut wait, tell)) in std::mem::take(&mut waiting.waits) {
            match judge(&mut wait) {
                // Whoever waited may have gone.
                Some(reached) => drop(tell.send(Spread::of(reached, &wait, now))),
                None => drop(waiting.waits.insert(number, (wait, tell))),
            }
        }
    }
}

/// One wait among those of the process; whoever drops it does not wait any more.
struct Place {
    shared: Arc<Shared>,
    number: u64,
    wait: Wait,
}

impl Place {
    fn give_up(&self) -> Spread {
        let kept = self.shared.lock().waits.remove(&self.number);
        let wait = kept.map_or_else(|| self.wait.clone(), |(wait, _)| wait);
        let now = clock::boot();
        Spread::of(wait.give_up(now), &wait, now)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.lock().waits.remove(&self.number);
        self.shared.counted.waiting.dec();
    }
}

/// The one task that reads rows, while anybody waits.
struct Poller {
    shared: Arc<Shared>,
    line: Option<Box<dyn Line>>,
}

impl Poller {
    async fn run(mut self) {
        let (mut rest, mut known) = (SOON, 0);
        loop {
            let Some(deadline) = self.deadline() else {
                self.shared.stirred.notified().await;
                continue;
            };
            let newest = self.shared.lock().next;
            rest = if newest == known { (rest * 3 / 2).min(LATER) } else { SOON };
            known = newest;
            // The clock first: rows that were asked for before a change tell nothing of it.
            let asked = clock::boot();
            if let Ok(Some((rows, lengths))) = timeout(ANSWER, self.read()).await {
                let rows = Rows::new(asked, rows, lengths);
                let now = clock::boot();
                self.shared.tell(now, |wait| wait.read(&rows, now));
            } else {
                self.line = None;
                let now = clock::boot();
                self.shared.tell(now, |wait| wait.passed(now));
            }
            // Whoever has just come is in no greater hurry than this.
            tokio::time::sleep(SOON).await;
            let more = rest.saturating_sub(SOON).min(deadline.since(clock::boot()));
            let _ = timeout(more, self.shared.stirred.notified()).await;
        }
    }

    /// When the first of those that wait has waited for L; none, where nobody waits.
    fn deadline(&self) -> Option<BootTime> {
        self.shared.lock().waits.values().map(|(wait, _)| wait.deadline()).min()
    }

    async fn read(&mut self) -> Option<(Vec<Row>, Lengths)> {
        if self.line.is_none() {
            self.line = self.shared.nodes.line(None).await.ok();
        }
        self.line.as_mut()?.rows().await.ok()
    }
}
