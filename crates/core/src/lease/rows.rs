//! The nodes' rows in the database, and who of them shows no sign of life.

use super::{BootTime, Lengths, NodeId};

/// Which row is meant: each time that a node joins it has another, so that what was said of an
/// earlier one says nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowId {
    /// The node.
    pub node: NodeId,
    /// How often it had tried to join, with this time.
    pub joined: u32,
}

/// What a node's row says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Whose it is.
    pub id: RowId,
    /// How often it was renewed.
    pub renewals: u64,
    /// The number of the last entry that the node's index includes for certain.
    pub acknowledged: u64,
    /// Which kinds of entries the node can apply: those of this version of the list of kinds.
    pub knows: u32,
}

/// All rows, as one statement read them.
#[derive(Debug, Clone)]
pub struct Rows {
    asked: BootTime,
    all: Box<[Row]>,
    lengths: Lengths,
}

impl Rows {
    /// What a statement returned that was sent after the clock showed `asked`.
    pub fn new(asked: BootTime, rows: impl Into<Box<[Row]>>, lengths: Lengths) -> Self {
        Self { asked, all: rows.into(), lengths }
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Row> {
        self.all.iter()
    }

    /// What the same statement read of L.
    pub fn lengths(&self) -> Lengths {
        self.lengths
    }

    /// Whether every node can apply entries of this version: only then are they written.
    pub fn all_know(&self, version: u32) -> bool {
        self.all.iter().all(|row| row.knows >= version)
    }

    /// The clock before they were asked for.
    pub(super) fn asked(&self) -> BootTime {
        self.asked
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// How many have acknowledged less.
    pub(super) fn behind(&self, number: u64) -> usize {
        self.all.iter().filter(|row| row.acknowledged < number).count()
    }
}

/// What one node has seen of the others' signs of life, by its own clock.
#[derive(Debug, Clone, Default)]
pub(super) struct Vigil {
    seen: Vec<Seen>,
    silent: Vec<(RowId, u64)>,
}

#[derive(Debug, Clone)]
struct Seen {
    row: RowId,
    renewals: u64,
    /// The clock once this number had been read for the first time: no renewal with it began later.
    since: BootTime,
}

impl Vigil {
    /// Takes in what has been read. The clock was read after that.
    pub(super) fn see(&mut self, own: NodeId, rows: &Rows, now: BootTime) {
        let before = std::mem::take(&mut self.seen);
        self.seen.extend(rows.iter().filter(|row| row.id.node != own).map(|row| {
            let same = |seen: &&Seen| seen.row == row.id && seen.renewals == row.renewals;
            let since = before.iter().find(same).map_or(now, |seen| seen.since);
            Seen { row: row.id, renewals: row.renewals, since }
        }));
        let length = rows.lengths().wait().whole();
        let silent = self.seen.iter().filter(|seen| now >= seen.since.plus(length));
        self.silent = silent.map(|seen| (seen.row, seen.renewals)).collect();
    }

    /// A row that nobody has renewed for L, as of the last time that rows were read.
    pub(super) fn silent(&self) -> Option<(RowId, u64)> {
        self.silent.last().copied()
    }

    /// That row is dealt with.
    pub(super) fn struck_off(&mut self, row: RowId) {
        self.silent.retain(|(silent, _)| *silent != row);
    }
}

#[cfg(test)]
mod tests {
    use super::super::Length;
    use super::*;
    use std::time::Duration;

    const OWN: NodeId = NodeId([0; 16]);

    fn row(node: u8, joined: u32, renewals: u64) -> Row {
        let id = RowId { node: NodeId([node; 16]), joined };
        Row { id, renewals, acknowledged: 0, knows: 1 }
    }

    fn at(seconds: u64) -> BootTime {
        BootTime::default().plus(Duration::from_secs(seconds))
    }

    fn see(vigil: &mut Vigil, rows: &[Row], seconds: u64) -> Option<(RowId, u64)> {
        let lengths = Lengths::of(Length::DEFAULT);
        vigil.see(OWN, &Rows::new(BootTime::default(), rows, lengths), at(seconds));
        vigil.silent()
    }

    #[test]
    fn who_is_not_renewed_for_l_is_silent() {
        let mut vigil = Vigil::default();
        let rows = [row(0, 1, 0), row(1, 1, 5), row(2, 1, 1)];
        assert_eq!(see(&mut vigil, &rows, 100), None);
        assert_eq!(see(&mut vigil, &[row(0, 1, 0), row(1, 1, 5), row(2, 1, 2)], 120), None);
        // Its own row is not a node's to judge.
        let silent = row(1, 1, 5).id;
        let rows = [row(0, 1, 0), row(1, 1, 5), row(2, 1, 2)];
        assert_eq!(see(&mut vigil, &rows, 130), Some((silent, 5)));
        vigil.struck_off(silent);
        assert_eq!(vigil.silent(), None);
        // It is there still: someone else renewed it, or the statement failed.
        assert_eq!(see(&mut vigil, &[row(1, 1, 6)], 131), None);
        // The other was away meanwhile, and is new.
        assert_eq!(see(&mut vigil, &[row(1, 1, 6), row(2, 1, 2)], 150), None);
        assert_eq!(see(&mut vigil, &[row(1, 2, 6), row(2, 1, 2)], 161), None);
    }
}
