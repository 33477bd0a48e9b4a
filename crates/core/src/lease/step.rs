//! What a node wants done, one step at a time, and what can come of each.
//!
//! A step can be answered once, and only with what fits it. One that has been given up, or that
//! was under way when the node left, is not believed any more.

use super::{Alarm, BootTime, Lengths, RowId};
use crate::ledger::Head;

/// Which of its steps a node asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Turn(pub(super) u64);

/// What a node does next.
#[derive(Debug)]
#[must_use = "a node goes on only with what comes of its steps"]
pub enum Next {
    /// This, and give it up at that moment.
    Run(Step, BootTime),
    /// Nothing before this moment, unless it is woken.
    Rest(BootTime),
    /// Nothing any more: this is the operator's. See [`Alarm::distrusts_index`].
    Halt(Alarm),
    /// Nothing any more: it has left.
    Gone,
}

/// One step, to be answered by the node's method that takes it.
#[derive(Debug)]
pub enum Step {
    /// Load state, and `Node::loaded`.
    Load(Load),
    /// Apply entries, and `Node::tailed`.
    Tail(Tail),
    /// Commit a row, and `Node::joined`.
    Join(Join),
    /// Count a renewal, and `Node::renewed`.
    Renew(Renew),
    /// Say what is applied, and `Node::acknowledged`.
    Acknowledge(Acknowledge),
    /// Read all rows, and `Node::watched`.
    Watch(Watch),
    /// Delete a row that shows no sign of life, and `Node::struck_off`.
    StrikeOff(StrikeOff),
    /// Delete its own row, and `Node::left`.
    Leave(Leave),
}

/// Loads state and the head from one snapshot into an index that is empty.
#[derive(Debug)]
pub struct Load {
    pub(super) turn: Turn,
}

/// What has been loaded: all from one snapshot.
#[derive(Debug, Clone, Copy)]
pub struct Loaded {
    /// The head of the ledger that the state is that of.
    pub head: Head,
    /// Since when the ledger has gone on without being put back.
    pub epoch: Epoch,
    /// L.
    pub lengths: Lengths,
}

/// How often the database has been restored: what was true before need not be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

/// Applies the entries behind a head, in order and as many as there are, or as many as a batch.
#[derive(Debug)]
pub struct Tail {
    pub(super) turn: Turn,
    pub(super) asked: BootTime,
    pub(super) after: Head,
    pub(super) through: Option<u64>,
}

impl Tail {
    /// Behind this one, by number and by hash.
    pub fn after(&self) -> Head {
        self.after
    }

    /// Not beyond this number: there the hash has to be compared.
    pub fn through(&self) -> Option<u64> {
        self.through
    }
}

/// Where a tail stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tailed {
    /// There is nothing behind it, or nothing that was asked for.
    End,
    /// The batch was full.
    More,
    /// The statement failed, or took too long.
    Lost,
    /// The next entry is of a kind that this program does not know.
    UnknownKind,
    /// The next entry does not follow from the last, or does not fit the index.
    Broken,
}

/// Commits the node's row.
#[derive(Debug)]
pub struct Join {
    pub(super) turn: Turn,
    pub(super) row: RowId,
    pub(super) applied: u64,
}

impl Join {
    /// The row.
    pub fn row(&self) -> RowId {
        self.row
    }

    /// What it acknowledges from the start.
    pub fn applied(&self) -> u64 {
        self.applied
    }
}

/// Counts a renewal in the node's row, and returns what the same statement sees.
#[derive(Debug)]
pub struct Renew {
    pub(super) turn: Turn,
    pub(super) noted: BootTime,
    pub(super) row: RowId,
}

impl Renew {
    /// The row.
    pub fn row(&self) -> RowId {
        self.row
    }
}

/// What a renewal's statement returned.
#[derive(Debug, Clone, Copy)]
pub struct Renewed {
    /// The head.
    pub head: Head,
    /// The epoch.
    pub epoch: Epoch,
    /// L.
    pub lengths: Lengths,
}

/// Writes what is applied into the node's row, unless more stands there.
#[derive(Debug)]
pub struct Acknowledge {
    pub(super) turn: Turn,
    pub(super) row: RowId,
    pub(super) applied: u64,
}

impl Acknowledge {
    /// The row.
    pub fn row(&self) -> RowId {
        self.row
    }

    /// The number of the last entry that is applied.
    pub fn applied(&self) -> u64 {
        self.applied
    }
}

/// Reads all rows.
#[derive(Debug)]
pub struct Watch {
    pub(super) turn: Turn,
    pub(super) asked: BootTime,
}

/// Deletes a row, if it was not renewed meanwhile.
#[derive(Debug)]
pub struct StrikeOff {
    pub(super) turn: Turn,
    pub(super) row: RowId,
    pub(super) renewals: u64,
}

impl StrikeOff {
    /// The row.
    pub fn row(&self) -> RowId {
        self.row
    }

    /// How often it was renewed, if it still is the one that was meant.
    pub fn renewals(&self) -> u64 {
        self.renewals
    }
}

/// Deletes the node's own row.
#[derive(Debug)]
pub struct Leave {
    pub(super) turn: Turn,
    pub(super) row: RowId,
}

impl Leave {
    /// The row, or an earlier one of the same node.
    pub fn row(&self) -> RowId {
        self.row
    }
}
