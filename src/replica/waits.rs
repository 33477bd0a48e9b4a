//! Answers that wait until no node judges without the change that they tell of.

use crate::{
    clock,
    store::{Heard, Hint, Line, Nodes},
};
use counterfoil_core::lease::{Reach, Reached, Rows, Wait};
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

/// How soon rows are read again, at first and at last, where nobody tells that they changed.
const SOON: Duration = Duration::from_millis(4);
const LATER: Duration = Duration::from_millis(100);
/// How long a statement may take before its connection is given up.
const ANSWER: Duration = Duration::from_secs(1);

/// The waits of this process: one poller reads the rows for all of them.
pub(crate) struct Waits {
    /// None where this process has the database to itself.
    shared: Option<Arc<Shared>>,
    poller: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    nodes: Arc<dyn Nodes>,
    waiting: Mutex<Waiting>,
    /// Somebody waits, or a row has changed.
    stirred: Arc<Notify>,
}

#[derive(Default)]
struct Waiting {
    next: u64,
    waits: BTreeMap<u64, (Wait, oneshot::Sender<Reached>)>,
}

impl Waits {
    pub(crate) fn new(nodes: Option<Arc<dyn Nodes>>) -> Self {
        let shared = nodes.map(|nodes| {
            let waiting = Mutex::default();
            Arc::new(Shared { nodes, waiting, stirred: Arc::new(Notify::new()) })
        });
        Self { shared, poller: Mutex::new(None) }
    }

    /// Whether there may be other nodes.
    pub(crate) fn are_shared(&self) -> bool {
        self.shared.is_some()
    }

    /// Waits until no node judges without the change of this number, which has been committed,
    /// or read, before the call; for `most` at most, where that is said.
    pub(crate) async fn wait(&self, number: u64, most: Option<Duration>) -> Reached {
        let Some(shared) = &self.shared else {
            // What is committed has reached this index, and there is no other.
            let waited = Duration::ZERO;
            return Reached { reach: Reach::Applied, nodes: 1, applied: 1, waited };
        };
        let wait = Wait::begin(number, clock::boot());
        if most == Some(Duration::ZERO) {
            return wait.give_up(clock::boot());
        }
        let (place, mut reached) = shared.enter(wait);
        self.have_polled(shared);
        let all = async { (&mut reached).await.ok() };
        let came = match most {
            Some(most) => timeout(most, all).await.ok().flatten(),
            None => all.await,
        };
        // It may have come at the last moment.
        came.or_else(|| reached.try_recv().ok()).unwrap_or_else(|| place.give_up())
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
    fn enter(self: &Arc<Self>, wait: Wait) -> (Place, oneshot::Receiver<Reached>) {
        let (tell, told) = oneshot::channel();
        let mut waiting = self.lock();
        let number = waiting.next;
        waiting.next += 1;
        waiting.waits.insert(number, (wait.clone(), tell));
        drop(waiting);
        (Place { shared: self.clone(), number, wait }, told)
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells those that have waited long enough, by `judge`.
    fn tell(&self, mut judge: impl FnMut(&mut Wait) -> Option<Reached>) {
        let mut waiting = self.lock();
        let done: Vec<_> = waiting
            .waits
            .iter_mut()
            .filter_map(|(number, (wait, _))| Some((*number, judge(wait)?)))
            .collect();
        for (number, reached) in done {
            if let Some((_, tell)) = waiting.waits.remove(&number) {
                // Whoever waited may have gone.
                let _ = tell.send(reached);
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
    fn give_up(&self) -> Reached {
        let kept = self.shared.lock().waits.remove(&self.number);
        kept.map_or_else(|| self.wait.clone(), |(wait, _)| wait).give_up(clock::boot())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.lock().waits.remove(&self.number);
    }
}

/// The one task that reads rows, while anybody waits.
struct Poller {
    shared: Arc<Shared>,
    line: Option<Box<dyn Line>>,
}

impl Poller {
    async fn run(mut self) {
        let mut rest = SOON;
        loop {
            let before = self.shared.lock().next;
            let Some(deadline) = self.deadline() else {
                self.shared.stirred.notified().await;
                rest = SOON;
                continue;
            };
            // The clock first: rows that were asked for before a change tell nothing of it.
            let asked = clock::boot();
            match timeout(ANSWER, self.read()).await {
                Ok(Some((rows, lengths))) => {
                    let rows = Rows::new(asked, rows, lengths);
                    let now = clock::boot();
                    self.shared.tell(|wait| wait.read(&rows, now));
                }
                _ => {
                    self.line = None;
                    let now = clock::boot();
                    self.shared.tell(|wait| wait.passed(now));
                }
            }
            let sleep = rest.min(deadline.since(clock::boot()));
            tokio::select! {
                () = tokio::time::sleep(sleep) => {}
                () = self.shared.stirred.notified() => {}
            }
            let is_new = self.shared.lock().next != before;
            rest = if is_new { SOON } else { (rest * 2).min(LATER) };
        }
    }

    /// When the first of those that wait has waited for L; none, where nobody waits.
    fn deadline(&self) -> Option<counterfoil_core::lease::BootTime> {
        self.shared.lock().waits.values().map(|(wait, _)| wait.deadline()).min()
    }

    async fn read(
        &mut self,
    ) -> Option<(Vec<counterfoil_core::lease::Row>, counterfoil_core::lease::Lengths)> {
        if self.line.is_none() {
            let stirred = self.shared.stirred.clone();
            let heard: Heard = Arc::new(move || stirred.notify_one());
            self.line = self.shared.nodes.line(Hint::Rows, heard).await.ok();
        }
        self.line.as_mut()?.rows().await.ok()
    }
}
