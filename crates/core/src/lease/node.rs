//! One node: loads, follows the ledger, joins, renews, acknowledges, watches, leaves.

use super::{
    BootTime, Lease, Lengths, NodeId, RowId, Rows,
    rows::Vigil,
    step::{
        Acknowledge, Epoch, Join, Leave, Load, Loaded, Next, Renew, Renewed, Step, StrikeOff, Tail,
        Tailed, Turn, Watch,
    },
};
use crate::ledger::Head;
use std::{sync::Arc, time::Duration};

/// How long a node rests after a step that failed.
const AFTER_FAILURE: Duration = Duration::from_millis(200);
/// How often it looks for entries that nobody told it of.
const POLL: Duration = Duration::from_millis(500);

/// The state of one node. See the [module](super) for how it is driven.
#[derive(Debug, Clone)]
pub struct Node {
    id: NodeId,
    lease: Arc<Lease>,
    stage: Stage,
    turn: Turn,
    copy: Option<Copied>,
    /// How often it has tried to join. Each try makes a row of its own, so that a statement
    /// about an earlier one, however late it runs, does nothing to this one.
    tries: u32,
    /// What its row says for certain.
    acknowledged: u64,
    /// Renewals whose head is not applied yet, the oldest first.
    pending: Vec<Pending>,
    vigil: Vigil,
    woken: bool,
    due: Due,
}

/// What a node is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It has to load.
    Empty,
    /// It has to catch up.
    Behind,
    /// It has to join.
    Outside,
    /// It has a row, as far as it knows.
    Inside,
    /// It has to delete its row.
    Leaving,
    /// It has left.
    Gone,
    /// It waits for the operator.
    Halted(Alarm),
}

/// Why a node waits for its operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Alarm {
    /// The database has lost entries.
    #[error(
        "the database's ledger ends at {head}, but this node has applied {applied}: the database lost what was committed; nothing is verified here until this node is restarted, which believes the database as it is now"
    )]
    HeadBehind {
        /// What was applied.
        applied: u64,
        /// Where the ledger ends.
        head: u64,
    },
    /// The database has other entries.
    #[error(
        "entry {number} of the database's ledger is not the one that this node has applied: the database is another, or its history was changed; nothing is verified here until this node is restarted, which believes the database as it is now"
    )]
    OtherLedger {
        /// Which entry is another.
        number: u64,
    },
    /// The database was restored.
    #[error(
        "the database was restored while this node was running; nothing is verified here until this node is restarted"
    )]
    Restored,
    /// An entry could not be applied.
    #[error(
        "the ledger's entry {number} does not follow from what this node has applied; nothing is verified here until this node is restarted"
    )]
    Broken {
        /// Which one.
        number: u64,
    },
    /// A newer program has written an entry.
    #[error(
        "the ledger's entry {number} is of a kind that this program does not know; once its lease has ended nothing is verified here until a newer program is started"
    )]
    UnknownKind {
        /// Which one.
        number: u64,
    },
}

impl Alarm {
    /// Whether what is in the index may be wrong, and has to be dropped at once. Else it is
    /// good for as long as the lease.
    pub fn distrusts_index(&self) -> bool {
        !matches!(self, Alarm::UnknownKind { .. })
    }
}

/// How a node is, for whoever looks after it.
#[derive(Debug, Clone, Copy)]
pub struct Report {
    /// What it is about.
    pub stage: Stage,
    /// Its row, if it has one.
    pub row: Option<RowId>,
    /// What its index includes.
    pub applied: Option<Head>,
    /// What its row says.
    pub acknowledged: u64,
    /// The furthest head that a renewal has told of and that is not applied.
    pub target: Option<u64>,
    /// L.
    pub lengths: Option<Lengths>,
    /// Until when it holds its lease.
    pub until: BootTime,
}

/// What the index includes, and what else was read with it.
#[derive(Debug, Clone, Copy)]
struct Copied {
    applied: Head,
    epoch: Epoch,
    lengths: Lengths,
}

#[derive(Debug, Clone, Copy)]
struct Pending {
    head: Head,
    until: BootTime,
}

/// When what is to be done again.
#[derive(Debug, Clone, Copy, Default)]
struct Due {
    /// Nothing before this.
    anything: BootTime,
    renewal: BootTime,
    tail: BootTime,
    watch: BootTime,
}

impl Node {
    /// A node that knows nothing yet.
    pub fn new(id: NodeId) -> Self {
        Self {
            id,
            lease: Arc::new(Lease::new()),
            stage: Stage::Empty,
            turn: Turn::default(),
            copy: None,
            tries: 0,
            acknowledged: 0,
            pending: Vec::new(),
            vigil: Vigil::default(),
            woken: false,
            due: Due::default(),
        }
    }

    /// Its lease, for the doors to read.
    pub fn lease(&self) -> Arc<Lease> {
        self.lease.clone()
    }

    /// How it is.
    pub fn report(&self) -> Report {
        Report {
            stage: self.stage,
            row: (self.stage == Stage::Inside).then_some(self.row()),
            applied: self.copy.map(|copy| copy.applied),
            acknowledged: self.acknowledged,
            target: self.pending.last().map(|pending| pending.head.number),
            lengths: self.copy.map(|copy| copy.lengths),
            until: self.lease.term().ends(),
        }
    }

    /// What to do next. The clock has to be read before the call, and what is to be run, after
    /// it: a lease that comes of it begins at `now`.
    pub fn next(&mut self, now: BootTime) -> Next {
        // What was asked for before and has not been answered is given up.
        self.turn.0 += 1;
        match self.stage {
            Stage::Halted(alarm) => return Next::Halt(alarm),
            Stage::Gone => return Next::Gone,
            _ if now < self.due.anything => return Next::Rest(self.due.anything),
            _ => {}
        }
        let turn = self.turn;
        let Some(copy) = self.copy else {
            // However much there is to load: whoever does it knows whether it goes on.
            return Next::Run(Step::Load(Load { turn }), BootTime::MAX);
        };
        let step = match self.stage {
            Stage::Leaving => Step::Leave(Leave { turn, row: self.row() }),
            Stage::Inside => match self.inside(&copy, now) {
                Ok(step) => step,
                Err(rest) => return Next::Rest(rest),
            },
            Stage::Outside => {
                self.tries += 1;
                Step::Join(Join { turn, row: self.row(), applied: copy.applied.number })
            }
            _ => self.tail(&copy, now),
        };
        Next::Run(step, now.plus(copy.lengths.lease().patience()))
    }

    /// What a node with a row does, the most urgent first; else until when it rests.
    fn inside(&mut self, copy: &Copied, now: BootTime) -> Result<Step, BootTime> {
        let (turn, row, due) = (self.turn, self.row(), self.due);
        if now >= due.renewal {
            return Ok(Step::Renew(Renew { turn, noted: now, row }));
        }
        if copy.applied.number > self.acknowledged {
            let applied = copy.applied.number;
            return Ok(Step::Acknowledge(Acknowledge { turn, row, applied }));
        }
        if let Some((row, renewals)) = self.vigil.silent() {
            return Ok(Step::StrikeOff(StrikeOff { turn, row, renewals }));
        }
        if now >= due.watch {
            return Ok(Step::Watch(Watch { turn, asked: now }));
        }
        if self.woken || !self.pending.is_empty() || now >= due.tail {
            return Ok(self.tail(copy, now));
        }
        Err(due.renewal.min(due.watch).min(due.tail))
    }

    fn tail(&mut self, copy: &Copied, now: BootTime) -> Step {
        // Who is woken while it reads looks once more.
        self.woken = false;
        let through = self.pending.first().map(|pending| pending.head.number);
        Step::Tail(Tail { turn: self.turn, asked: now, after: copy.applied, through })
    }

    /// There may be new entries.
    pub fn wake(&mut self) {
        self.woken = true;
    }

    /// Renews before that is due: what others learn from a renewal is not what it was.
    pub fn renew_soon(&mut self) {
        self.due.renewal = BootTime::default();
    }

    /// The step failed, or was given up: whether it was done is not known, and nothing rests on it.
    pub fn failed(&mut self, now: BootTime) {
        self.due.anything = now.plus(AFTER_FAILURE);
    }

    /// The index holds what one snapshot had.
    #[expect(clippy::needless_pass_by_value, reason = "a step is answered once")]
    pub fn loaded(&mut self, load: Load, loaded: Loaded) {
        if load.turn != self.turn || self.stage != Stage::Empty {
            return;
        }
        let Loaded { head, epoch, lengths } = loaded;
        self.copy = Some(Copied { applied: head, epoch, lengths });
        self.stage = Stage::Behind;
    }

    /// The index includes everything through `applied`, in every structure, and `how` says why no more.
    #[expect(clippy::needless_pass_by_value, reason = "a step is answered once")]
    pub fn tailed(&mut self, tail: Tail, applied: Head, how: Tailed) {
        let Some(copy) = &mut self.copy else { return };
        if tail.turn != self.turn {
            return;
        }
        copy.applied = applied;
        self.due.tail = tail.asked.plus(POLL);
        self.settle();
        if matches!(self.stage, Stage::Halted(_)) {
            return;
        }
        let number = applied.number + 1;
        match how {
            Tailed::End if self.stage == Stage::Behind => self.stage = Stage::Outside,
            // The entries that a renewal told of are not there. Whatever that is, it takes time.
            Tailed::End if !self.pending.is_empty() => self.failed(tail.asked),
            Tailed::End => {}
            Tailed::More => self.woken = true,
            Tailed::Lost => self.failed(tail.asked),
            Tailed::UnknownKind => self.halt(Alarm::UnknownKind { number }),
            Tailed::Broken => self.halt(Alarm::Broken { number }),
        }
    }

    /// The row is committed. Only now may it be renewed.
    #[expect(clippy::needless_pass_by_value, reason = "a step is answered once")]
    pub fn joined(&mut self, join: Join) {
        if join.turn != self.turn || self.stage != Stage::Outside {
            return;
        }
        self.stage = Stage::Inside;
        self.acknowledged = join.applied;
        self.due = Due::default();
    }

    /// What the renewal's statement returned; none, if there was no such row.
    #[expect(clippy::needless_pass_by_value, reason = "a step is answered once")]
    pub fn renewed(&mut self, renew: Renew, answer: Option<Renewed>) {
        let (Stage::Inside, Some(copy)) = (self.stage, &mut self.copy) else { return };
        if renew.turn != self.turn {
            return;
        }
        let Some(Renewed { head, epoch, lengths }) = answer else { return self.without_a_row() };
        let applied = copy.applied.number;
        if epoch != copy.epoch {
            return self.halt(Alarm::Restored);
        }
        if head.number < applied {
            return self.halt(Alarm::HeadBehind { applied, head: head.number });
        }
        copy.lengths = lengths;
        self.due.renewal = renew.noted.plus(lengths.lease().third());
        // What has ended before it was reached is of no use, nor what the database has lost.
        self.pending.retain(|pending| {
            pending.until > renew.noted
                && (pending.head.number < head.number || pending.head == head)
        });
        self.pending.push(Pending { head, until: renew.noted.plus(lengths.lease().trusted()) });
        self.settle();
    }

    /// Extends the lease by those renewals whose head is applied.
    fn settle(&mut self) {
        let Some(copy) = self.copy else { return };
        while let Some(first) = self.pending.first().copied() {
            if first.head.number > copy.applied.number {
                return;
            }
            // No tail goes beyond the first head, so they meet.
            if first.head != copy.applied {
                return self.halt(Alarm::OtherLedger { number: first.head.number });
            }
            self.pending.remove(0);
            self.lease.extend(first.until);
        }
    }

    /// The row says what is applied; or it was not found.
    #[expect(clippy::needless_pass_by_value, reason = "a step is answered once")]
    pub fn acknowledged(&mut self, acknowledge: Acknowledge, found: bool) {
        if acknowledge.turn != self.turn || self.stage != Stage::Inside {
            return;
        }
        if found {
            self.acknowledged = acknowledge.applied;
        } else {
            self.without_a_row();
        }
    }

    /// These are the rows. The clock has to be read once the statement has returned.
    #[expect(clippy::needless_pass_by_value, reason = "a step is answered once")]
    pub fn watched(&mut self, watch: Watch, rows: &Rows, now: BootTime) {
        if watch.turn != self.turn || self.stage != Stage::Inside {
            return;
        }
        let own = rows.iter().find(|row| row.id == self.row());
        let Some(own) = own else { return self.without_a_row() };
        // A database that was put back may have forgotten what it was told.
        self.acknowledged = own.acknowledged;
        self.vigil.see(self.id, rows, now);
        self.due.watch = watch.asked.plus(rows.lengths().lease().third());
    }

    /// The row is deleted, or it was renewed meanwhile.
    #[expect(clippy::needless_pass_by_value, reason = "a step is answered once")]
    pub fn struck_off(&mut self, strike: StrikeOff) {
        if strike.turn == self.turn {
            self.vigil.struck_off(strike.row);
        }
    }

    /// The lease ends now; then the row is to be deleted. What is under way does not count any
    /// more, so it may be cancelled.
    pub fn leave(&mut self) {
        self.lease.end();
        self.pending.clear();
        self.turn.0 += 1;
        self.due.anything = BootTime::default();
        if self.stage != Stage::Gone {
            // Also one whose COMMIT nobody has heard of.
            self.stage = if self.tries > 0 { Stage::Leaving } else { Stage::Gone };
        }
    }

    /// The row is deleted.
    #[expect(clippy::needless_pass_by_value, reason = "a step is answered once")]
    pub fn left(&mut self, leave: Leave) {
        if leave.turn == self.turn && self.stage == Stage::Leaving {
            self.stage = Stage::Gone;
        }
    }

    /// Its row was struck off, so answers do not wait for it. The index is what it was, and may
    /// be trusted again once it has joined anew.
    fn without_a_row(&mut self) {
        self.lease.end();
        self.pending.clear();
        self.vigil = Vigil::default();
        self.stage = Stage::Behind;
    }

    fn halt(&mut self, alarm: Alarm) {
        self.pending.clear();
        if alarm.distrusts_index() {
            self.lease.end();
        }
        self.stage = Stage::Halted(alarm);
    }

    fn row(&self) -> RowId {
        RowId { node: self.id, joined: self.tries }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        lease::{Length, Row},
        ledger::EntryHash,
    };

    const LENGTHS: Lengths = Lengths::of(Length::DEFAULT);

    fn at(seconds: u64) -> BootTime {
        BootTime::default().plus(Duration::from_secs(seconds))
    }

    fn head(number: u64) -> Head {
        Head { number, hash: EntryHash([u8::try_from(number).unwrap(); 32]) }
    }

    fn seen(number: u64) -> Renewed {
        Renewed { head: head(number), epoch: Epoch(1), lengths: LENGTHS }
    }

    macro_rules! step {
        ($node:expr, $seconds:expr, $kind:ident) => {
            match $node.next(at($seconds)) {
                Next::Run(Step::$kind(step), _) => step,
                other => panic!("{other:?}"),
            }
        };
    }

    /// A node that has applied 5 entries and has a row, at 100 s.
    fn inside() -> Node {
        let mut node = Node::new(NodeId([7; 16]));
        let load = step!(node, 100, Load);
        node.loaded(load, Loaded { head: head(4), epoch: Epoch(1), lengths: LENGTHS });
        let tail = step!(node, 100, Tail);
        assert_eq!((tail.after(), tail.through()), (head(4), None));
        node.tailed(tail, head(5), Tailed::End);
        let join = step!(node, 100, Join);
        assert_eq!((join.row().joined, join.applied()), (1, 5));
        node.joined(join);
        node
    }

    fn own_row(node: &Node, acknowledged: u64) -> Rows {
        let id = node.report().row.unwrap();
        Rows::new(at(0), [Row { id, renewals: 1, acknowledged, knows: 1 }], LENGTHS)
    }

    #[test]
    fn a_lease_begins_when_the_clock_was_noted_and_what_was_promised_is_applied() {
        let mut node = inside();
        let lease = node.lease();
        let renew = step!(node, 101, Renew);
        node.renewed(renew, Some(seen(8)));
        assert!(!lease.term().is_held(at(101)));
        let rows = own_row(&node, 5);
        let watch = step!(node, 105, Watch);
        node.watched(watch, &rows, at(105));
        // In pieces, and never beyond what the renewal told of.
        let tail = step!(node, 105, Tail);
        assert_eq!((tail.after(), tail.through()), (head(5), Some(8)));
        node.tailed(tail, head(6), Tailed::More);
        let acknowledge = step!(node, 106, Acknowledge);
        assert_eq!(acknowledge.applied(), 6);
        node.acknowledged(acknowledge, true);
        let tail = step!(node, 106, Tail);
        node.tailed(tail, head(8), Tailed::End);
        assert_eq!(lease.term().ends(), at(101 + 24));
        let acknowledge = step!(node, 107, Acknowledge);
        assert_eq!(acknowledge.applied(), 8);
        node.acknowledged(acknowledge, true);
        // Now it rests until it looks for entries; or until it is woken.
        let Next::Rest(until) = node.next(at(106)) else { panic!() };
        assert_eq!(until, at(106).plus(POLL));
        node.wake();
        let tail = step!(node, 106, Tail);
        node.tailed(tail, head(8), Tailed::End);
        assert!(matches!(node.next(at(106)), Next::Rest(_)));
        let renew = step!(node, 111, Renew);
        node.renewed(renew, Some(seen(8)));
        assert_eq!(lease.term().ends(), at(111 + 24));
        // It is not due before 121, but may be had.
        node.renew_soon();
        let renew = step!(node, 112, Renew);
        node.renewed(renew, Some(seen(8)));
        assert_eq!(lease.term().ends(), at(112 + 24));
    }

    #[test]
    fn who_has_no_row_drops_the_lease_and_joins_anew() {
        for how in 0..3 {
            let mut node = inside();
            let lease = node.lease();
            let renew = step!(node, 101, Renew);
            node.renewed(renew, Some(seen(5)));
            assert!(lease.term().is_held(at(101)));
            match how {
                0 => {
                    let watch = step!(node, 101, Watch);
                    node.watched(watch, &Rows::new(at(101), [], LENGTHS), at(101));
                }
                1 => {
                    let renew = step!(node, 111, Renew);
                    node.renewed(renew, None);
                }
                _ => {
                    let rows = own_row(&node, 4);
                    let watch = step!(node, 101, Watch);
                    node.watched(watch, &rows, at(101));
                    let acknowledge = step!(node, 101, Acknowledge);
                    node.acknowledged(acknowledge, false);
                }
            }
            assert!(!lease.term().is_held(at(0)), "{how}");
            let tail = step!(node, 112, Tail);
            node.tailed(tail, head(5), Tailed::End);
            assert_eq!(step!(node, 112, Join).row().joined, 2, "{how}");
            // Nobody knows whether that was committed; the next is another row.
            node.failed(at(112));
            assert!(matches!(node.next(at(112)), Next::Rest(_)));
            assert_eq!(step!(node, 113, Join).row().joined, 3, "{how}");
        }
    }

    #[test]
    fn a_database_that_is_not_what_it_was_is_the_operators() {
        let other = Head { number: 5, hash: EntryHash([99; 32]) };
        for (answer, alarm) in [
            (seen(3), Alarm::HeadBehind { applied: 5, head: 3 }),
            (Renewed { head: other, ..seen(5) }, Alarm::OtherLedger { number: 5 }),
            (Renewed { epoch: Epoch(2), ..seen(5) }, Alarm::Restored),
        ] {
            let mut node = inside();
            let lease = node.lease();
            let renew = step!(node, 101, Renew);
            node.renewed(renew, Some(seen(5)));
            let renew = step!(node, 111, Renew);
            node.renewed(renew, Some(answer));
            assert!(!lease.term().is_held(at(0)), "{alarm}");
            let Next::Halt(halted) = node.next(at(112)) else { panic!("{alarm}") };
            assert_eq!((halted, halted.distrusts_index()), (alarm, true));
            // It still can be stopped, and then takes its row with it.
            node.leave();
            let last = step!(node, 112, Leave);
            node.left(last);
            assert!(matches!(node.next(at(112)), Next::Gone));
        }
    }

    #[test]
    fn an_entry_of_an_unknown_kind_is_neither_acknowledged_nor_renewed_past() {
        let mut node = inside();
        let lease = node.lease();
        let renew = step!(node, 101, Renew);
        node.renewed(renew, Some(seen(5)));
        let renew = step!(node, 111, Renew);
        node.renewed(renew, Some(seen(7)));
        let rows = own_row(&node, 5);
        let watch = step!(node, 111, Watch);
        node.watched(watch, &rows, at(111));
        let tail = step!(node, 111, Tail);
        node.tailed(tail, head(6), Tailed::UnknownKind);
        let Next::Halt(alarm) = node.next(at(200)) else { panic!() };
        assert_eq!((alarm, alarm.distrusts_index()), (Alarm::UnknownKind { number: 7 }, false));
        // What it had is good for as long as it was.
        assert_eq!(lease.term().ends(), at(101 + 24));
    }

    #[test]
    fn what_was_given_up_or_came_after_leaving_is_not_believed() {
        let mut node = inside();
        let lease = node.lease();
        let late = step!(node, 101, Renew);
        node.failed(at(101));
        let again = step!(node, 102, Renew);
        node.renewed(late, Some(seen(5)));
        assert!(!lease.term().is_held(at(101)));
        node.leave();
        node.renewed(again, Some(seen(5)));
        assert!(!lease.term().is_held(at(102)));
        assert_eq!(step!(node, 102, Leave).row().joined, 1);
        // Who has never joined is gone at once.
        let mut node = Node::new(NodeId([1; 16]));
        node.leave();
        assert!(matches!(node.next(at(1)), Next::Gone));
    }

    #[test]
    fn what_a_renewal_told_of_and_the_database_has_lost_is_forgotten() {
        let mut node = inside();
        let lease = node.lease();
        let renew = step!(node, 101, Renew);
        node.renewed(renew, Some(seen(9)));
        let renew = step!(node, 111, Renew);
        node.renewed(renew, Some(seen(6)));
        let rows = own_row(&node, 5);
        let watch = step!(node, 111, Watch);
        node.watched(watch, &rows, at(111));
        let tail = step!(node, 111, Tail);
        assert_eq!(tail.through(), Some(6));
        node.tailed(tail, head(6), Tailed::End);
        assert_eq!(lease.term().ends(), at(111 + 24));
    }

    #[test]
    fn a_silent_row_is_struck_off_as_it_was_seen() {
        let mut node = inside();
        let other = RowId { node: NodeId([8; 16]), joined: 3 };
        for (seconds, silent) in [(101, false), (111, false), (131, true)] {
            let renew = step!(node, seconds, Renew);
            node.renewed(renew, Some(seen(5)));
            let own = node.report().row.unwrap();
            let row = |id, renewals| Row { id, renewals, acknowledged: 5, knows: 1 };
            let rows = Rows::new(at(seconds), [row(own, 2), row(other, 4)], LENGTHS);
            let watch = step!(node, seconds, Watch);
            node.watched(watch, &rows, at(seconds));
            if silent {
                let strike = step!(node, seconds, StrikeOff);
                assert_eq!((strike.row(), strike.renewals()), (other, 4));
                node.struck_off(strike);
            }
            let tail = step!(node, seconds, Tail);
            node.tailed(tail, head(5), Tailed::End);
            assert!(matches!(node.next(at(seconds)), Next::Rest(_)));
        }
    }
}
