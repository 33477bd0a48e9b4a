//! The loop that drives a node, step by step as the real one goes, and the mistakes it can make.

use crate::{
    database::{Answer, Entry, Request, StoredRow, Tokens},
    mutation::Mutation,
    network::Fate,
    process::{Driver, Index},
    world::{Violation, World},
};
use counterfoil_core::{
    lease::{
        BootTime, Length, Lengths, Loaded, Next, Renew, Renewed, Row, RowId, Rows, Step, Tail,
        Tailed, Watch,
    },
    ledger::Head,
};
use std::time::Duration;

/// Half of all tokens.
const EVEN: Tokens = 0x5555_5555_5555_5555;

/// How far behind a row's wall clock may be before the mistake with wall clocks takes it for dead.
fn wall_span(lengths: Lengths) -> i64 {
    lengths.wait().whole().as_nanos() as i64
}

impl World {
    /// The next little thing that the driver of process `p` does; whether there was one.
    pub(crate) fn drive(&mut self, p: usize) -> bool {
        if self.processes[p].told_to_leave {
            self.tell_to_leave(p);
        }
        let now = self.clock(p);
        match std::mem::replace(&mut self.processes[p].driver, Driver::Ready) {
            Driver::Ready => {
                self.processes[p].cached_clock = now;
                self.processes[p].driver = Driver::Noted(now);
                true
            }
            Driver::Noted(noted) => {
                self.next_step(p, noted);
                true
            }
            Driver::Waits { step, by, ticket } => match self.network.fate(ticket) {
                Fate::Answered(answer) => {
                    self.say(|| format!("node {p} hears {answer:?}"));
                    self.take(p, step, by, answer);
                    true
                }
                Fate::UnderWay if now < by => {
                    self.processes[p].driver = Driver::Waits { step, by, ticket };
                    false
                }
                fate => {
                    let gave_up = matches!(fate, Fate::UnderWay);
                    self.say(|| format!("node {p} gives up {step:?} (itself: {gave_up})"));
                    self.network.abandon(ticket);
                    let process = &mut self.processes[p];
                    process.early_head = None;
                    match step {
                        Step::Tail(tail) => {
                            process.node.tailed(tail, process.index.applied, Tailed::Lost);
                        }
                        _ => process.node.failed(now),
                    }
                    true
                }
            },
            Driver::Applies { tail, entries, done, more, lost } => {
                self.apply(p, tail, entries, done, more, lost);
                true
            }
            Driver::Rests(until) => {
                let rested = now >= until;
                if !rested {
                    self.processes[p].driver = Driver::Rests(until);
                }
                rested
            }
            still @ (Driver::Halted | Driver::Gone) => {
                self.processes[p].driver = still;
                false
            }
        }
    }

    /// SIGTERM has come.
    fn tell_to_leave(&mut self, p: usize) {
        self.processes[p].told_to_leave = false;
        self.say(|| format!("node {p} leaves"));
        if let Driver::Waits { ticket, .. } = self.processes[p].driver {
            self.network.abandon(ticket);
        }
        if self.mutation == Mutation::LeftBeforeDropping {
            // The row goes first; the loop ends, and the lease is thought of at the end.
            if let Some(row) = self.processes[p].node.report().row {
                self.network.send(p, Request::Leave { row });
            }
            self.processes[p].driver = Driver::Halted;
            return;
        }
        self.processes[p].node.leave();
        self.processes[p].driver = Driver::Ready;
    }

    fn next_step(&mut self, p: usize, noted: BootTime) {
        if self.mutation == Mutation::ClockAfterStatement {
            self.processes[p].node_before = Some(self.processes[p].node.clone());
        }
        let next = self.processes[p].node.next(noted);
        match next {
            Next::Run(step, by) => {
                self.say(|| format!("node {p} asks {step:?}"));
                let early = self.mutation == Mutation::HeadBeforeRow
                    && matches!(step, Step::Join(_))
                    && self.processes[p].early_head.is_none();
                let request = if early { Request::Head } else { self.request(p, &step) };
                let ticket = self.network.send(p, request);
                self.processes[p].driver = Driver::Waits { step, by, ticket };
            }
            Next::Rest(until) => self.processes[p].driver = Driver::Rests(until),
            Next::Halt(alarm) => {
                self.say(|| format!("node {p} halts: {alarm:?}"));
                if alarm.distrusts_index() {
                    self.processes[p].index = Index::EMPTY;
                }
                self.processes[p].driver = Driver::Halted;
            }
            Next::Gone => {
                self.say(|| format!("node {p} is gone"));
                self.network.abandon_all(p);
                self.processes[p].end();
            }
        }
    }

    fn request(&mut self, p: usize, step: &Step) -> Request {
        let wall = self.wall(p);
        let knows = self.processes[p].knows;
        let batch = 1 + self.random.index(4);
        // A mistake says the same of every row that a node has had.
        let same = self.mutation == Mutation::SameRowAgain;
        let this = |row: RowId| RowId { joined: if same { 1 } else { row.joined }, ..row };
        match step {
            Step::Load(_) => Request::Load,
            Step::Tail(tail) => {
                Request::Entries { after: tail.after().number, through: tail.through(), batch }
            }
            Step::Join(join) => {
                Request::Join { row: this(join.row()), applied: join.applied(), knows, wall }
            }
            Step::Renew(renew) => Request::Renew { row: this(renew.row()), wall },
            Step::Acknowledge(acknowledge) => Request::Acknowledge {
                row: this(acknowledge.row()),
                applied: acknowledge.applied(),
            },
            Step::Watch(_) => Request::Rows,
            Step::StrikeOff(strike) => {
                Request::StrikeOff { row: strike.row(), renewals: strike.renewals() }
            }
            Step::Leave(leave) => Request::Leave { row: this(leave.row()) },
        }
    }

    fn take(&mut self, p: usize, step: Step, by: BootTime, answer: Answer) {
        let now = self.clock(p);
        match (step, answer) {
            (Step::Load(load), Answer::Loaded { loaded, revoked, kind }) => {
                let early = self.processes[p].early_state;
                let partly = match (self.mutation, early) {
                    (Mutation::LaggingSnapshot | Mutation::TornSnapshot, None) => {
                        self.processes[p].early_state = Some(revoked);
                        let ticket = self.network.send(p, Request::Load);
                        let step = Step::Load(load);
                        self.processes[p].driver = Driver::Waits { step, by, ticket };
                        return;
                    }
                    (Mutation::LaggingSnapshot, Some(early)) => early,
                    (Mutation::TornSnapshot, Some(early)) => (early & EVEN) | (revoked & !EVEN),
                    _ => revoked,
                };
                let Loaded { head, .. } = loaded;
                let process = &mut self.processes[p];
                if kind > process.knows {
                    // An old program does not start on what a newer one has written.
                    self.network.abandon_all(p);
                    process.end();
                    return;
                }
                process.early_state = None;
                process.index = Index { is_loaded: true, revoked: partly, applied: head };
                process.node.loaded(load, loaded);
            }
            (Step::Tail(tail), Answer::Entries { entries, more }) => {
                self.entries_came(p, tail, entries, more);
            }
            (Step::Join(join), Answer::Head(head)) => {
                self.processes[p].early_head = Some(head);
                let step = Step::Join(join);
                let request = self.request(p, &step);
                let ticket = self.network.send(p, request);
                self.processes[p].driver = Driver::Waits { step, by, ticket };
            }
            (Step::Join(join), _) => self.processes[p].node.joined(join),
            (Step::Renew(renew), Answer::Renewed(renewed)) => self.renewed(p, renew, renewed),
            (Step::Renew(_), _) if self.mutation == Mutation::NeverJoinsAnew => {
                self.processes[p].driver = Driver::Rests(BootTime::MAX);
            }
            (Step::Renew(renew), _) => {
                self.processes[p].node.renewed(renew, None);
                self.no_row(p);
            }
            (Step::Acknowledge(acknowledge), answer) => {
                let found =
                    matches!(answer, Answer::Done) || self.mutation == Mutation::NoRowIgnored;
                self.processes[p].node.acknowledged(acknowledge, found);
                if !found {
                    self.no_row(p);
                }
            }
            (Step::Watch(watch), Answer::Rows { rows, lengths }) => {
                self.watched(p, watch, &rows, lengths, by);
            }
            (Step::StrikeOff(strike), _) => self.processes[p].node.struck_off(strike),
            (Step::Leave(leave), _) => self.processes[p].node.left(leave),
            (step, answer) => {
                unreachable!("{step:?} was answered by {answer:?} at {now:?}")
            }
        }
    }

    fn renewed(&mut self, p: usize, renew: Renew, mut renewed: Renewed) {
        let now = self.clock(p);
        let process = &mut self.processes[p];
        match self.mutation {
            Mutation::ClockAfterStatement => {
                // As if the step had been asked for only now.
                if let Some(before) = process.node_before.take() {
                    process.node = before;
                    if let Next::Run(Step::Renew(renew), _) = process.node.next(now) {
                        process.node.renewed(renew, Some(renewed));
                    }
                    return;
                }
            }
            Mutation::SmallerMargin => {
                // Nine tenths of L are four fifths of this.
                let seconds = renewed.lengths.lease().seconds() * 9 / 8;
                renewed.lengths = Lengths::of(Length::from_seconds(seconds).unwrap());
            }
            Mutation::HeadBeforeRow => {
                if let Some(early) = process.early_head.take() {
                    renewed.head = early;
                }
            }
            Mutation::HeadBehindIgnored if renewed.head.number <= process.index.applied.number => {
                renewed.head = process.index.applied;
            }
            _ => {}
        }
        process.node.renewed(renew, Some(renewed));
    }

    fn no_row(&mut self, p: usize) {
        let now = self.clock(p);
        if self.processes[p].lease.term().is_held(now) {
            let told = format!("node {p} holds a lease and knows that it has no row");
            self.violated(Violation::LeaseWithoutRow, told);
        }
    }

    fn watched(
        &mut self,
        p: usize,
        watch: Watch,
        rows: &[StoredRow],
        lengths: Lengths,
        by: BootTime,
    ) {
        let wall = self.wall(p);
        if self.mutation == Mutation::WallClockStrikeOff {
            for stored in rows {
                let row = stored.row;
                let own = self.processes[p].is_its_row(row.id.node, p);
                if !own && wall - stored.wall > wall_span(lengths) {
                    let (row, renewals) = (row.id, row.renewals);
                    let ticket = self.network.send(p, Request::StrikeOff { row, renewals });
                    self.network.abandon(ticket);
                }
            }
        }
        let mut now = self.clock(p);
        if self.mutation == Mutation::SilenceFromBeforeRead {
            // When it was asked: the statement's patience before the moment to give it up.
            let patience = self.processes[p].node.report().lengths.map(|l| l.lease().whole() / 6);
            let asked = by.as_nanos() - patience.unwrap_or_default().as_nanos() as u64;
            now = BootTime::from_nanos(asked);
        }
        let mut rows: Vec<_> = rows.iter().map(|stored| stored.row).collect();
        if let (Mutation::NoRowIgnored, Some(id)) =
            (self.mutation, self.processes[p].node.report().row)
        {
            rows.push(Row { id, renewals: 0, acknowledged: 0, knows: 1 });
        }
        self.processes[p].node.watched(watch, &Rows::new(now, rows, lengths), now);
    }

    fn entries_came(&mut self, p: usize, tail: Tail, mut entries: Vec<Entry>, more: bool) {
        let lost = self.random.one_in(30);
        if lost {
            let kept = self.random.index(entries.len() + 1);
            entries.truncate(kept);
        }
        let newest = entries.last().map(|entry| entry.head);
        let process = &mut self.processes[p];
        let mut tail = Some(tail);
        match (self.mutation, newest) {
            (Mutation::AcknowledgedBeforeApply, Some(newest)) => {
                if let Some(row) = process.node.report().row {
                    let request = Request::Acknowledge { row, applied: newest.number };
                    let ticket = self.network.send(p, request);
                    self.network.abandon(ticket);
                }
            }
            (Mutation::TrustBeforeApply, Some(newest)) => {
                if let Some(tail) = tail.take() {
                    let how = if more { Tailed::More } else { Tailed::End };
                    process.node.tailed(tail, newest, how);
                }
            }
            _ => {}
        }
        process.driver = Driver::Applies { tail, entries, done: 0, more, lost };
    }

    fn apply(
        &mut self,
        p: usize,
        tail: Option<Tail>,
        entries: Vec<Entry>,
        done: usize,
        more: bool,
        lost: bool,
    ) {
        let mutation = self.mutation;
        let process = &mut self.processes[p];
        let how = match entries.get(done) {
            Some(entry) if entry.before != process.index.applied.hash => Tailed::Broken,
            Some(entry)
                if entry.kind > process.knows && mutation != Mutation::UnknownKindSkipped =>
            {
                Tailed::UnknownKind
            }
            Some(entry) => {
                if entry.kind <= process.knows {
                    process.index.revoked |= 1 << entry.token;
                }
                process.index.applied = entry.head;
                let head: Head = entry.head;
                process.driver = Driver::Applies { tail, entries, done: done + 1, more, lost };
                self.say(|| format!("node {p} has applied {}", head.number));
                return;
            }
            None if lost => Tailed::Lost,
            None if more => Tailed::More,
            None => Tailed::End,
        };
        if let Some(tail) = tail {
            process.node.tailed(tail, process.index.applied, how);
        }
    }

    /// What the clock of node `p` shows: of a machine that sleeps it goes on.
    pub(crate) fn clock(&self, p: usize) -> BootTime {
        let machine = &self.processes[p].machine;
        let mut nanos = machine.offset + self.time * machine.rate;
        if self.mutation == Mutation::SleepingClock {
            nanos -= machine.slept;
            if let (true, Some(since)) = (machine.sleeps, self.processes[p].stopped) {
                nanos -= (self.time - since) * machine.rate;
            }
        }
        BootTime::from_nanos(nanos)
    }

    fn wall(&self, p: usize) -> i64 {
        self.processes[p].machine.wall + (self.time * 9) as i64
    }

    /// When the clock of node `p` will show this, in true time.
    pub(crate) fn when(&self, p: usize, moment: BootTime) -> u64 {
        let behind = moment.since(self.clock(p));
        if behind > Duration::from_hours(1) {
            return self.time;
        }
        self.time + (behind.as_nanos() as u64).div_ceil(self.processes[p].machine.rate)
    }
}
