//! This node among others: what the lease's state machine asks for is done here, step by step.

use super::Replica;
use crate::{
    clock, entropy,
    store::{Followed, Heard, Joining, Line, Nodes, Progress, Roster, StoreError},
};
use counterfoil_core::{
    lease::{Alarm, BootTime, Next, NodeId, Renewed, Rows, Step, Tailed},
    ledger::KNOWS,
};
use std::{
    sync::{Arc, atomic::Ordering},
    thread,
    time::Duration,
};
use tokio::{
    sync::{Notify, watch},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// How many entries are read at once: few enough that a renewal does not come late for them.
const BATCH: u32 = 1_000;

/// A node that is driven by a thread of its own, which nothing else that the process does
/// holds up.
pub(crate) struct Node {
    state: watch::Receiver<State>,
    leaving: CancellationToken,
}

/// How far a node is, for whoever waits.
#[derive(Debug, Clone)]
enum State {
    /// Its index is being loaded.
    Loading,
    /// It could not be loaded.
    Failed(StoreError),
    /// It goes on by itself.
    Running {
        /// Whether it has had a lease.
        leased: bool,
    },
    /// It has left, or is as good as gone.
    Gone,
}

impl Node {
    /// Starts a node, which loads the index and follows the ledger from then on.
    pub(crate) fn start(
        nodes: Arc<dyn Nodes>,
        replica: Arc<Replica>,
        progress: Progress,
    ) -> std::io::Result<Self> {
        let leaving = CancellationToken::new();
        let (tell, state) = watch::channel(State::Loading);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let id = NodeId(entropy::bytes());
        replica.sight.is(id);
        let machine = counterfoil_core::lease::Node::new(id);
        // Doors see it from its beginning, when it is not held.
        let lease = replica.lease.get_or_init(|| machine.lease());
        debug_assert!(Arc::ptr_eq(lease, &machine.lease()), "a replica is one node's");
        let driver = Driver {
            machine,
            nodes,
            name: name(),
            replica,
            line: None,
            woken: Arc::new(Notify::new()),
            leaving: leaving.clone(),
            progress: Some(progress),
            tell,
            complained: None,
        };
        // It ends with the process, at the latest.
        thread::Builder::new().name("node".into()).spawn(move || runtime.block_on(driver.run()))?;
        Ok(Self { state, leaving })
    }

    /// Waits until the index is loaded, and a moment longer for the lease.
    pub(crate) async fn ready(&self) -> Result<(), StoreError> {
        let mut state = self.state.clone();
        let is_loaded = |state: &State| !matches!(state, State::Loading);
        match state.wait_for(is_loaded).await.map(|state| state.clone()) {
            Ok(State::Failed(error)) => return Err(error),
            Ok(_) => {}
            Err(_) => return Err(StoreError::Unavailable("the node's thread has ended".into())),
        }
        let holds = |state: &State| match state {
            State::Running { leased } => *leased,
            _ => true,
        };
        // Without one it answers 503, and says so at `/readyz`.
        let _ = timeout(FIRST_LEASE, state.wait_for(holds)).await;
        Ok(())
    }

    /// Ends the lease, and has the row deleted; waits for that a while. Nobody can be told to
    /// wait for this node any more, and it vouches for nothing.
    pub(crate) async fn leave(&self) {
        self.leaving.cancel();
        let mut state = self.state.clone();
        let gone = state.wait_for(|state| matches!(state, State::Gone | State::Failed(_)));
        // Where the database is out of reach, others find out by themselves.
        let _ = timeout(LEAVING, gone).await;
    }
}

/// What people call this node: where it runs, and as which process.
fn name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{}/{}", host.trim(), std::process::id())
}

/// How long a start waits for its first lease.
const FIRST_LEASE: Duration = Duration::from_secs(3);

/// How long a node that leaves tries to say so.
const LEAVING: Duration = Duration::from_secs(3);

/// What runs in the node's thread.
struct Driver {
    machine: counterfoil_core::lease::Node,
    nodes: Arc<dyn Nodes>,
    /// What people call it.
    name: String,
    replica: Arc<Replica>,
    /// Its connection, while there is one.
    line: Option<Box<dyn Line>>,
    woken: Arc<Notify>,
    leaving: CancellationToken,
    /// Whom to tell how much is loaded.
    progress: Option<Progress>,
    tell: watch::Sender<State>,
    /// Since when the database has not answered.
    complained: Option<BootTime>,
}

/// Why a step came to nothing.
enum Failed {
    /// It was not done in time.
    Late,
    Store(StoreError),
    /// The node leaves: what was under way does not count.
    Leaving,
}

impl Driver {
    async fn run(mut self) {
        let mut is_leaving = false;
        let mut halted = None;
        loop {
            if self.leaving.is_cancelled() && !is_leaving {
                is_leaving = true;
                self.machine.leave();
            }
            let now = clock::boot();
            match self.machine.next(now) {
                Next::Run(step, by) => {
                    let has_loaded = !matches!(step, Step::Load(_));
                    let outcome = self.take(step, now, by, is_leaving).await;
                    self.note(now, outcome.as_ref().err());
                    if let (Err(Failed::Store(error)), false) = (outcome, has_loaded) {
                        // Half of an index is no index, and nobody relies on this node yet.
                        let _ = self.tell.send(State::Failed(error));
                        return;
                    }
                    let leased = self.machine.report().until > BootTime::default();
                    let _ = self.tell.send(State::Running { leased });
                }
                Next::Rest(until) => {
                    let rest = until.since(clock::boot());
                    tokio::select! {
                        () = tokio::time::sleep(rest) => {}
                        () = self.woken.notified() => self.machine.wake(),
                        // Others are to know of it sooner than when it is due.
                        () = self.replica.sight.reconfigured() => self.machine.renew_soon(),
                        () = self.leaving.cancelled(), if !is_leaving => {}
                    }
                }
                Next::Halt(alarm) => {
                    if halted != Some(alarm) {
                        halted = Some(alarm);
                        self.raise(alarm);
                    }
                    self.leaving.cancelled().await;
                }
                Next::Gone => {
                    let _ = self.tell.send(State::Gone);
                    return;
                }
            }
        }
    }

    /// Says that the operator has to look; the core has ended the lease, if it has to.
    fn raise(&self, alarm: Alarm) {
        tracing::error!(error = %alarm, name = self.name, "this node has stopped following the ledger");
        let _ = self.tell.send(State::Running { leased: true });
    }

    /// Does one step, and tells the machine what came of it.
    async fn take(
        &mut self,
        step: Step,
        now: BootTime,
        by: BootTime,
        is_leaving: bool,
    ) -> Result<(), Failed> {
        if let Step::Load(load) = step {
            let progress = self.progress.take().unwrap_or_else(|| Box::new(|_, _| {}));
            let loading = self.nodes.load(self.replica.index.clone(), progress);
            let loaded = tokio::select! {
                loaded = loading => loaded.map_err(Failed::Store)?,
                () = self.leaving.cancelled() => return Err(Failed::Leaving),
            };
            self.replica.set_head(loaded.head);
            self.machine.loaded(load, loaded);
            return Ok(());
        }
        let leaving = self.leaving.clone();
        let result = {
            let asked = self.ask(&step);
            let in_time = timeout(by.since(now), asked);
            tokio::select! {
                answer = in_time => match answer {
                    Ok(answer) => answer.map_err(Failed::Store),
                    Err(_) => Err(Failed::Late),
                },
                () = leaving.cancelled(), if !is_leaving => Err(Failed::Leaving),
            }
        };
        match result {
            Ok(answer) => {
                self.tell_machine(step, answer);
                Ok(())
            }
            Err(failed) => {
                if matches!(step, Step::Renew(_)) && !matches!(failed, Failed::Leaving) {
                    self.replica.counted.failures.inc();
                }
                // Nothing that is sent on this connection would be answered before that.
                self.line = None;
                match step {
                    Step::Tail(tail) => {
                        self.machine.tailed(tail, self.replica.head(), Tailed::Lost);
                    }
                    _ => self.machine.failed(clock::boot()),
                }
                Err(failed)
            }
        }
    }

    /// Has the database asked what a step wants to know.
    async fn ask(&mut self, step: &Step) -> Result<Answer, StoreError> {
        let line = match &mut self.line {
            Some(line) => line,
            none => {
                let woken = self.woken.clone();
                let heard: Heard = Arc::new(move || woken.notify_one());
                let line = self.nodes.line(Some(heard)).await?;
                // What came to pass before was not heard.
                self.woken.notify_one();
                none.insert(line)
            }
        };
        Ok(match step {
            Step::Load(_) => Answer::Done,
            Step::Tail(tail) => {
                Answer::Entries(line.entries(tail.after().number, tail.through(), BATCH).await?)
            }
            Step::Join(join) => {
                let (row, applied) = (join.row(), join.applied());
                let configuration = self.replica.sight.configuration();
                let (name, at) = (&*self.name, clock::now());
                let joining = Joining { row, applied, knows: KNOWS, name, at, configuration };
                line.join(joining).await?;
                Answer::Done
            }
            Step::Renew(renew) => {
                let began = clock::steady();
                let configuration = self.replica.sight.configuration();
                let renewed = line.renew(renew.row(), configuration).await?;
                self.replica.counted.renewed(began.elapsed());
                Answer::Renewed(renewed)
            }
            Step::Acknowledge(acknowledge) => {
                Answer::Found(line.acknowledge(acknowledge.row(), acknowledge.applied()).await?)
            }
            Step::Watch(_) => {
                let asked = clock::boot();
                Answer::Roster(asked, line.roster().await?)
            }
            Step::StrikeOff(strike) => {
                line.strike_off(strike.row(), strike.renewals()).await?;
                Answer::Done
            }
            Step::Leave(leave) => {
                line.leave(leave.row()).await?;
                Answer::Done
            }
        })
    }

    fn tell_machine(&mut self, step: Step, answer: Answer) {
        let machine = &mut self.machine;
        match (step, answer) {
            (Step::Tail(tail), Answer::Entries(entries)) => {
                let (applied, how) = self.replica.tail(tail.after(), &entries);
                let is_full = u32::try_from(entries.len()).is_ok_and(|read| read >= BATCH);
                let how = if how == Tailed::End && is_full { Tailed::More } else { how };
                machine.tailed(tail, applied, how);
            }
            (Step::Join(join), Answer::Done) => {
                tracing::info!(node = %join.row().node, applied = join.applied(), "this node has joined");
                machine.joined(join);
            }
            (Step::Renew(renew), Answer::Renewed(renewed)) => {
                if let Some(renewed) = &renewed {
                    self.replica.sight.renewed(renewed.head.number, clock::boot());
                }
                machine.renewed(renew, renewed);
            }
            (Step::Acknowledge(acknowledge), Answer::Found(found)) => {
                machine.acknowledged(acknowledge, found);
            }
            (Step::Watch(watch), Answer::Roster(asked, roster)) => {
                self.replica.nodes.store(roster.nodes.len(), Ordering::Relaxed);
                let rows: Vec<_> = roster.nodes.iter().map(|node| node.row).collect();
                let (rows, now) = (Rows::new(asked, rows, roster.lengths), clock::boot());
                machine.watched(watch, &rows, now);
                self.replica.sight.see(roster, asked, now);
            }
            (Step::StrikeOff(strike), Answer::Done) => {
                tracing::warn!(node = %strike.row().node, "a node has not renewed its lease, and is not waited for any more");
                self.replica.counted.struck_off.inc();
                machine.struck_off(strike);
            }
            (Step::Leave(leave), Answer::Done) => machine.left(leave),
            // No other answer is made to any of them.
            _ => machine.failed(clock::boot()),
        }
    }

    /// Remembers when the database answered, and says in the log when it begins or ends to be
    /// out of reach.
    fn note(&mut self, asked: BootTime, failed: Option<&Failed>) {
        let error = match failed {
            None => {
                self.replica.heard(asked);
                if let Some(since) = self.complained.take() {
                    let seconds = clock::boot().since(since).as_secs();
                    tracing::info!(seconds, "the database answers this node again");
                }
                return;
            }
            Some(Failed::Leaving) => return,
            Some(Failed::Late) => "it has not answered in time".to_owned(),
            Some(Failed::Store(error)) => error.to_string(),
        };
        if self.complained.is_none() {
            self.complained = Some(asked);
            let until = self.machine.report().until.since(clock::boot()).as_secs();
            tracing::warn!(
                error,
                lease_seconds = until,
                "the database does not answer this node; it verifies until its lease ends"
            );
        }
    }
}

/// What the database answered.
enum Answer {
    Done,
    Found(bool),
    Entries(Vec<Followed>),
    Renewed(Option<Renewed>),
    Roster(BootTime, Roster),
}
