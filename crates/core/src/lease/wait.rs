//! Waiting until no node judges without a change.

use super::{BootTime, Length, Rows};
use std::time::Duration;

/// A wait for every node to have applied the ledger through one number. Every answer to a change
/// is one, also that nothing was changed: what it saw may not have reached the others yet.
#[derive(Debug, Clone)]
pub struct Wait {
    number: u64,
    since: BootTime,
    deadline: BootTime,
    /// How many nodes there were when rows were read last, and how many of them had it.
    nodes: usize,
    reached: usize,
}

/// How the change has reached the nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Every node has applied it.
    Applied,
    /// Those that have not hold no lease any more: until they have, they answer 503.
    Expired,
    /// Nobody knows. The wait was given up.
    Pending,
}

/// What came of a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reached {
    /// In which way.
    pub reach: Reach,
    /// How many nodes there were, when they were counted last.
    pub nodes: usize,
    /// How many of those had applied it.
    pub applied: usize,
    /// How long it took.
    pub waited: Duration,
}

impl Reached {
    /// Whether no node judges without the change.
    pub fn is_everywhere(&self) -> bool {
        self.reach != Reach::Pending
    }
}

impl Wait {
    /// Waits for `number`, that of the last entry of what was committed together, or the head's
    /// as the read that decided saw it. The clock has to be read once the COMMIT, or that read,
    /// has returned.
    pub fn begin(number: u64, now: BootTime) -> Self {
        // Until L has been read after the commit it could be any.
        let deadline = now.plus(Length::MAX.whole());
        Self { number, since: now, deadline, nodes: 0, reached: 0 }
    }

    /// What was reached, as far as these rows tell. Those that were asked for before the wait
    /// began tell nothing.
    pub fn read(&mut self, rows: &Rows, now: BootTime) -> Option<Reached> {
        if rows.asked() > self.since {
            // Each read after the commit says enough: a lease that does not include the change
            // began before it, and L is lowered only once such leases have ended.
            let length = rows.lengths().wait().whole();
            self.deadline = self.deadline.min(self.since.plus(length));
            self.nodes = rows.len();
            self.reached = rows.len() - rows.behind(self.number);
            if self.reached == self.nodes {
                return Some(self.reached(Reach::Applied, now));
            }
        }
        self.passed(now)
    }

    /// What was reached, if L has passed.
    pub fn passed(&self, now: BootTime) -> Option<Reached> {
        (now >= self.deadline).then(|| self.reached(Reach::Expired, now))
    }

    /// When L has passed, as far as is known: rows that are read may make it sooner.
    pub fn deadline(&self) -> BootTime {
        self.deadline
    }

    /// For an answer that does not wait as long.
    pub fn give_up(&self, now: BootTime) -> Reached {
        self.passed(now).unwrap_or_else(|| self.reached(Reach::Pending, now))
    }

    fn reached(&self, reach: Reach, now: BootTime) -> Reached {
        let waited = now.since(self.since);
        Reached { reach, nodes: self.nodes, applied: self.reached, waited }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Lengths, NodeId, Row, RowId};
    use super::*;

    fn at(seconds: u64) -> BootTime {
        BootTime::default().plus(Duration::from_secs(seconds))
    }

    fn rows(asked: u64, acknowledged: &[u64], seconds: u64) -> Rows {
        let row = |acknowledged: &u64| Row {
            id: RowId { node: NodeId([1; 16]), joined: 1 },
            renewals: 0,
            acknowledged: *acknowledged,
            knows: 1,
        };
        let rows: Vec<Row> = acknowledged.iter().map(row).collect();
        Rows::new(at(asked), rows, Lengths::of(Length::from_seconds(seconds).unwrap()))
    }

    #[test]
    fn it_ends_when_all_have_acknowledged() {
        let mut wait = Wait::begin(7, at(100));
        assert_eq!(wait.read(&rows(101, &[7, 6, 9], 30), at(102)), None);
        let reached = wait.read(&rows(102, &[7, 8, 9], 30), at(103)).unwrap();
        assert_eq!((reached.reach, reached.nodes, reached.applied), (Reach::Applied, 3, 3));
        assert_eq!((reached.waited, reached.is_everywhere()), (Duration::from_secs(3), true));
    }

    #[test]
    fn rows_that_were_asked_for_before_say_nothing() {
        let mut wait = Wait::begin(7, at(100));
        for asked in [99, 100] {
            assert_eq!(wait.read(&rows(asked, &[7], 2), at(150)), None);
        }
        assert_eq!(wait.deadline(), at(700));
        assert!(wait.read(&rows(101, &[7], 2), at(101)).is_some());
    }

    #[test]
    fn it_ends_when_l_has_passed() {
        let mut wait = Wait::begin(7, at(100));
        assert_eq!(wait.read(&rows(101, &[7, 6], 30), at(102)), None);
        assert_eq!(wait.deadline(), at(130));
        // A longer one that was said later is that of leases which include the change.
        assert_eq!(wait.read(&rows(103, &[7, 6], 60), at(129)), None);
        assert_eq!(wait.give_up(at(129)).reach, Reach::Pending);
        let reached = wait.passed(at(130)).unwrap();
        assert_eq!((reached.reach, reached.nodes, reached.applied), (Reach::Expired, 2, 1));
        assert_eq!(wait.give_up(at(130)), reached);
    }

    #[test]
    fn without_a_word_of_the_database_it_waits_for_the_longest_l() {
        let wait = Wait::begin(7, at(100));
        assert_eq!(wait.passed(at(699)), None);
        assert!(wait.passed(at(700)).is_some());
    }
}
