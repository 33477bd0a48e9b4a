//! One schedule: what there is, what happens next, and what has to hold after each step.

use crate::{
    database::{Database, Named, Request, Tokens},
    mutation::Mutation,
    network::Network,
    process::{ChangeStage, Driver, Machine, Process},
    random::Random,
};
use counterfoil_core::lease::{Length, NodeId, RowId};

/// A second of true time. Clocks make eight, nine or ten steps in one of these.
pub(crate) const SECOND: u64 = 1_000_000_000 / 9;
/// How many tokens there are, but for some that are kept for the end.
pub(crate) const TOKENS: u32 = 60;

/// What must not happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Violation {
    /// A token was accepted whose revocation had been answered when the request arrived.
    Accepted,
    /// A lease is held, and its index lacks what has been answered.
    Uncovered,
    /// More is acknowledged than is applied.
    AcknowledgedAhead,
    /// The index is not what a replay of the ledger through its head would give.
    NotAReplay,
    /// A node knows that it has no row, and holds a lease.
    LeaseWithoutRow,
    /// Something waits for longer than it may.
    Stalled,
}

/// A kind of trouble. A schedule has some, so that each is met with and without others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    Crashes,
    Stops,
    Losses,
    Outages,
    Leaving,
    Lengths,
    Kinds,
    Restores,
}

/// Of six schedules so many have it.
const TROUBLE: [(Trouble, u64); 8] = [
    (Trouble::Crashes, 3),
    (Trouble::Stops, 4),
    (Trouble::Losses, 3),
    (Trouble::Outages, 3),
    (Trouble::Leaving, 2),
    (Trouble::Lengths, 2),
    (Trouble::Kinds, 1),
    (Trouble::Restores, 1),
];

pub(crate) struct World {
    pub(crate) random: Random,
    pub(crate) mutation: Mutation,
    /// True time.
    pub(crate) time: u64,
    pub(crate) database: Database,
    pub(crate) network: Network,
    pub(crate) processes: Vec<Process>,
    /// The tokens whose revocation has been answered.
    pub(crate) answered: Tokens,
    pub(crate) violation: Option<(Violation, String)>,
    /// Which violations end the schedule.
    watched: &'static [Violation],
    trouble: Vec<Trouble>,
    pub(crate) is_up: bool,
    pub(crate) is_calm: bool,
    pub(crate) restored_at: Option<u64>,
    trace: Option<Vec<String>>,
}

/// A schedule's length of lease, from which nine eighths are whole seconds, too.
const LENGTHS: [u64; 3] = [8, 16, 24];

/// What may take long in a schedule.
const SLOW: [Option<Request>; 7] = [
    Some(Request::StrikeOff { row: ANY, renewals: 0 }),
    Some(Request::Renew { row: ANY, wall: 0 }),
    Some(Request::Acknowledge { row: ANY, applied: 0 }),
    Some(Request::Join { row: ANY, applied: 0, knows: 0, wall: 0 }),
    Some(Request::Rows),
    Some(Request::Entries { after: 0, through: None, batch: 0 }),
    Some(Request::Revoke { tokens: 0, kind: 0 }),
];
/// Some mistakes show only when this takes long, and then hardly ever.
fn shows_when_slow(mutation: Mutation) -> Option<Request> {
    match mutation {
        Mutation::SameRowAgain | Mutation::UnconditionalStrikeOff => {
            Some(Request::StrikeOff { row: ANY, renewals: 0 })
        }
        Mutation::SilenceFromBeforeRead => Some(Request::Rows),
        Mutation::GroupWaitsForFirst => {
            Some(Request::Entries { after: 0, through: None, batch: 0 })
        }
        Mutation::HeadBeforeRow => Some(Request::Join { row: ANY, applied: 0, knows: 0, wall: 0 }),
        _ => None,
    }
}

/// Some show only in this trouble.
fn shows_in(mutation: Mutation) -> Option<Trouble> {
    match mutation {
        Mutation::RestoredAtOnce => Some(Trouble::Restores),
        Mutation::HeadBeforeRow => Some(Trouble::Crashes),
        _ => None,
    }
}

const ANY: RowId = RowId { node: NodeId([0; 16]), joined: 0 };

fn length(seconds: u64) -> Length {
    Length::from_seconds(seconds).unwrap()
}

impl World {
    pub(crate) fn new(
        seed: u64,
        mutation: Mutation,
        watched: &'static [Violation],
        traced: bool,
    ) -> Self {
        let mut random = Random::new(seed);
        let nodes = random.pick(&[2, 2, 2, 3, 3, 4]);
        let first = length(random.pick(&LENGTHS));
        let machine = |random: &mut Random| Machine {
            offset: random.below(1_000_000_000_000),
            rate: random.pick(&[8, 8, 8, 9, 10, 10, 10]),
            wall: random.below(200_000_000_000) as i64 - 100_000_000_000,
            sleeps: false,
            slept: 0,
        };
        let processes = (0..nodes).map(|_| Process::new(machine(&mut random))).collect();
        let mut trouble = Vec::new();
        for (kind, odds) in TROUBLE {
            let shows = shows_in(mutation) == Some(kind);
            if random.below(6) < odds || shows {
                trouble.push(kind);
            }
        }
        let slow = if random.one_in(2) { random.pick(&SLOW) } else { None };
        let slow = shows_when_slow(mutation).or(slow);
        let mut world = Self {
            random,
            mutation,
            // Long after every clock's beginning, so that what is subtracted from one fits.
            time: 1000 * SECOND,
            database: Database::new(first, mutation),
            network: Network::new(slow),
            processes,
            answered: 0,
            violation: None,
            watched,
            trouble,
            is_up: true,
            is_calm: false,
            restored_at: None,
            trace: traced.then(Vec::new),
        };
        for p in 0..nodes {
            let knows =
                if world.has(Trouble::Kinds) { 1 + world.random.below(2) as u32 } else { 1 };
            world.processes[p].start(p, knows);
            if !world.random.one_in(4) {
                world.rush(p, 60);
            }
        }
        world
    }

    /// Runs the schedule to its end, or to what must not happen.
    pub(crate) fn run(&mut self, steps: u32) {
        for _ in 0..steps {
            self.step();
            self.check();
            if self.violation.is_some() {
                return;
            }
        }
        if self.random.one_in(8) {
            self.calm_down();
        }
    }

    pub(crate) fn violated(&mut self, violation: Violation, told: String) {
        if self.violation.is_none() && self.watched.contains(&violation) {
            self.say(|| told.clone());
            self.violation = Some((violation, told));
        }
    }

    pub(crate) fn say(&mut self, text: impl FnOnce() -> String) {
        let time = self.time as f64 / SECOND as f64;
        // What comes after it does not explain it.
        if let (Some(trace), None) = (&mut self.trace, &self.violation) {
            trace.push(format!("{time:>12.6} {}", text()));
        }
    }

    pub(crate) fn trace(&self) -> &[String] {
        self.trace.as_deref().unwrap_or_default()
    }

    /// One thing happens.
    fn step(&mut self) {
        if self.restored_at.is_some_and(|at| self.time >= at) {
            self.restore();
        }
        let p = self.random.index(self.processes.len());
        match self.random.below(100) {
            0..16 => self.pass_time(),
            16..48 => self.act(p),
            48..70 => self.serve(None),
            70..78 => {
                let steps = 4 + self.random.below(20) as u32;
                self.rush(p, steps);
            }
            78..84 => self.client_revokes(p),
            84..92 => self.client_calls(p),
            92 => self.wake(p),
            93 if self.random.one_in(3) => self.let_be(),
            93 if self.random.one_in(2) => self.hurry_through(p),
            _ => self.make_trouble(p),
        }
    }

    /// Something in a process that runs goes one step further.
    pub(crate) fn act(&mut self, p: usize) {
        if !self.processes[p].is_active() {
            return;
        }
        let (changes, requests) =
            (self.processes[p].changes.len(), self.processes[p].requests.len());
        match self.random.below(10) {
            0..5 => {
                self.drive(p);
            }
            5..7 if changes > 0 => {
                let change = self.random.index(changes);
                self.go_on(p, change);
            }
            7 => {
                self.poll(p);
            }
            _ if requests > 0 => {
                let request = self.random.index(requests);
                self.judge(p, request);
            }
            _ => {
                self.drive(p);
            }
        }
    }

    /// One process gets on with its work, and the database with what it is asked for by it.
    pub(crate) fn rush(&mut self, p: usize, steps: u32) {
        for _ in 0..steps {
            if !self.processes[p].is_active() {
                return;
            }
            let idle = !self.drive(p);
            if idle && matches!(self.processes[p].driver, Driver::Rests(_) | Driver::Halted) {
                return;
            }
            if idle {
                self.serve(Some(p));
            }
        }
    }

    pub(crate) fn serve(&mut self, of: Option<usize>) {
        if !self.is_up || self.restored_at.is_some() {
            return;
        }
        let Self { network, database, random, .. } = self;
        let done = network.serve(database, random, of);
        if self.trace.is_some()
            && let Some((sender, request)) = done
        {
            let told = format!("the database does {request:?} of {sender:?}");
            self.say(|| told);
        }
    }

    /// A while passes in which all that run do what they have to.
    fn let_be(&mut self) {
        let length = self.database.lengths().wait().seconds() * SECOND;
        for _ in 0..self.random.below(12) {
            self.time += length / 7;
            for p in 0..self.processes.len() {
                self.rush(p, 24);
            }
        }
    }

    /// A change goes through as fast as it can, while one process comes to nothing.
    fn hurry_through(&mut self, idle: usize) {
        let Some(p) = (0..self.processes.len()).find(|p| *p != idle) else { return };
        self.client_revokes(p);
        for _ in 0..10 {
            for p in (0..self.processes.len()).filter(|p| *p != idle) {
                self.rush(p, 10);
                if !self.processes[p].is_active() {
                    continue;
                }
                for change in (0..self.processes[p].changes.len()).rev() {
                    self.go_on(p, change);
                }
                self.poll(p);
                for _ in 0..3 {
                    self.serve(Some(p));
                }
                self.wake(p);
            }
        }
    }

    fn wake(&mut self, p: usize) {
        if self.processes[p].is_active() {
            self.processes[p].node.wake();
            if let Driver::Rests(_) = self.processes[p].driver {
                self.processes[p].driver = Driver::Ready;
            }
        }
    }

    fn client_revokes(&mut self, p: usize) {
        if !self.processes[p].is_active() || self.processes[p].changes.len() >= 3 {
            return;
        }
        let last = self.database.last_revoked().filter(|_| self.random.one_in(3));
        let tokens = if let Some(last) = last {
            // What has just been changed is what is asked for once more.
            1 << last
        } else {
            let first = self.random.below(u64::from(TOKENS)) as u32;
            let some = self.random.pick(&[1, 1, 0b11, 0b111]);
            (some << first) & ((1 << TOKENS) - 1)
        };
        self.ask_to_revoke(p, tokens);
    }

    fn client_calls(&mut self, p: usize) {
        if !self.processes[p].runs || self.processes[p].requests.len() >= 3 || self.answered == 0 {
            return;
        }
        let nth = self.random.index(self.answered.count_ones() as usize);
        let answered = (0..TOKENS).filter(|token| self.answered & (1 << token) != 0).nth(nth);
        let Some(token) = answered else { return };
        self.arrive(p, token);
        if self.processes[p].is_active() && self.random.one_in(2) {
            while !self.processes[p].requests.is_empty() {
                self.judge(p, 0);
            }
        }
    }

    /// Time passes: a little, much, or until something is due.
    fn pass_time(&mut self) {
        let length = self.database.lengths().wait().seconds() * SECOND;
        let by = match self.random.below(20) {
            0..10 => self.random.below(length / 100),
            10..17 => return self.pass_to_what_is_due(length),
            17..19 => self.random.below(length / 4),
            _ => self.random.below(length),
        };
        self.time += by;
    }

    fn pass_to_what_is_due(&mut self, length: u64) {
        let p = self.random.index(self.processes.len());
        let process = &self.processes[p];
        let moment = match self.random.below(4) {
            0 => process.lease.term().ends(),
            1 => match &process.driver {
                Driver::Rests(until) => *until,
                Driver::Waits { by, .. } => *by,
                _ => return,
            },
            _ => {
                let ends = process.changes.iter().filter_map(|change| match &change.stage {
                    ChangeStage::Waits(wait) => Some(wait.deadline()),
                    ChangeStage::Lowers(lowering, _) => Some(lowering.ends()),
                    _ => None,
                });
                let Some(end) = ends.min() else { return };
                end
            }
        };
        let time = self.when(p, moment);
        if time < self.time + 2 * length {
            // Just before, or just then.
            self.time = self.time.max(time - u64::from(self.random.one_in(3)));
        }
    }

    fn make_trouble(&mut self, p: usize) {
        let is_active = self.processes[p].is_active();
        match self.random.below(16) {
            _ if !self.processes[p].runs => {
                let newer = u32::from(self.has(Trouble::Kinds) && self.random.one_in(2));
                let knows = (self.processes[p].knows + newer).min(2);
                self.say(|| format!("node {p} starts, and knows {knows}"));
                self.processes[p].start(p, knows);
            }
            0..4 if self.has(Trouble::Stops) => self.stop_or_go_on(p),
            4 if self.has(Trouble::Crashes) => {
                self.say(|| format!("node {p} crashes"));
                self.network.abandon_all(p);
                self.processes[p].end();
            }
            5..8 if self.has(Trouble::Losses) => {
                if self.network.lose(&mut self.random) {
                    self.say(|| "a message is lost".into());
                }
            }
            8 if self.has(Trouble::Outages) => {
                self.say(|| "the database goes down and comes up again".into());
                self.network.break_off();
                self.database.crash(&mut self.random);
            }
            9 | 10 if self.has(Trouble::Outages) => {
                self.is_up = !self.is_up;
                let is_up = self.is_up;
                self.say(|| format!("the database answers: {is_up}"));
            }
            11 if self.has(Trouble::Leaving) && is_active => self.processes[p].told_to_leave = true,
            12 | 14
                if self.has(Trouble::Lengths)
                    && is_active
                    && self.processes[p].changes.len() < 3 =>
            {
                let length = length(self.random.pick(&LENGTHS));
                self.ask_for_length(p, length);
            }
            13 if self.has(Trouble::Restores) && self.restored_at.is_none() => {
                if self.random.one_in(2) {
                    self.say(|| "the database is backed up".into());
                    self.database.back_up();
                } else {
                    self.begin_to_restore();
                }
            }
            _ => {
                if !self.is_up {
                    self.is_up = true;
                    self.say(|| "the database answers again".into());
                }
            }
        }
    }

    fn has(&self, trouble: Trouble) -> bool {
        self.trouble.contains(&trouble)
    }

    fn stop_or_go_on(&mut self, p: usize) {
        let (time, random) = (self.time, &mut self.random);
        let process = &mut self.processes[p];
        if let Some(since) = process.stopped.take() {
            if process.machine.sleeps {
                process.machine.slept += (time - since) * process.machine.rate;
            }
            process.machine.sleeps = false;
            self.say(|| format!("node {p} goes on"));
        } else {
            process.stopped = Some(time);
            process.machine.sleeps = random.one_in(2);
            let sleeps = process.machine.sleeps;
            self.say(|| format!("node {p} stops (its machine sleeps: {sleeps})"));
        }
    }

    /// The database is taken away and put back as it was at the last backup. That takes L, so
    /// that no lease is left of before.
    fn begin_to_restore(&mut self) {
        self.say(|| "the database is taken away, to be restored".into());
        self.network.break_off();
        let length = self.database.lengths().wait().seconds() * SECOND;
        let at_once = self.mutation == Mutation::RestoredAtOnce;
        self.restored_at = Some(self.time + if at_once { 0 } else { length });
    }

    pub(crate) fn restore(&mut self) {
        self.restored_at = None;
        let new_epoch = self.random.one_in(2);
        self.database.restore(new_epoch);
        let head = self.database.head().number;
        self.say(|| format!("the database is restored to {head}"));
        // Whoever waits hears of no success; what was answered and is lost is the operator's.
        self.network.break_off();
        self.answered &= self.database.revoked();
        for process in &mut self.processes {
            process.changes.clear();
            for request in &mut process.requests {
                request.answered &= self.answered & (1 << request.token) != 0;
            }
        }
    }

    /// What has to hold at every moment, also of processes that are stopped: they may go on at any.
    pub(crate) fn check(&mut self) {
        for p in 0..self.processes.len() {
            let process = &self.processes[p];
            if !process.runs {
                continue;
            }
            let now = self.clock(p);
            let missing = self.answered & !process.index.revoked;
            let index = process.index;
            if missing != 0 && process.lease.term().is_held(now) {
                let told =
                    format!("node {p} holds a lease, and does not know of {}", Named(missing));
                self.violated(Violation::Uncovered, told);
            }
            if self.database.replay(index.applied) != index.revoked {
                let told = format!("the index of node {p} is not a replay: {index:?}");
                self.violated(Violation::NotAReplay, told);
            }
        }
        let ahead = self.database.rows().iter().find_map(|stored| {
            let row = stored.row;
            let p = usize::from(row.id.node.0[0]);
            let process = &self.processes[p];
            let ahead = process.is_its_row(row.id.node, p)
                && process.node.report().row == Some(row.id)
                && row.acknowledged > process.index.applied.number;
            ahead.then_some((p, row.acknowledged))
        });
        if let Some((p, acknowledged)) = ahead {
            let told = format!("the row of node {p} says {acknowledged}, which it has not applied");
            self.violated(Violation::AcknowledgedAhead, told);
        }
    }
}
