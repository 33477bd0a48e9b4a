//! How often somebody did something in a window of time, in constant memory.

use crate::entropy;
use std::{
    hash::{DefaultHasher, Hash, Hasher as _},
    sync::atomic::{AtomicU64, Ordering},
};

/// However many are counted: they share slots, and nobody can know with whom.
const SLOTS: usize = 1 << 16;

/// What was counted in a window, twice: who shares a slot with somebody in one table
/// shares none with them in the other.
pub(crate) struct Tally {
    most: u32,
    tables: [Table; 2],
}

struct Table {
    key: [u8; 16],
    /// The window's number in the upper half, its count in the lower.
    slots: Box<[AtomicU64]>,
}

impl Tally {
    /// Counts up to `most`.
    pub(crate) fn new(most: u32) -> Self {
        let table = |()| {
            let slots = (0..SLOTS).map(|_| AtomicU64::new(0)).collect();
            Table { key: entropy::bytes(), slots }
        };
        Self { most, tables: [(), ()].map(table) }
    }

    /// Counts one in both tables. None where both are full.
    pub(crate) fn add(&self, whom: &impl Hash, window: u64) -> Option<Added> {
        self.add_up_to(self.most, whom, window)
    }

    /// The same up to so many.
    pub(crate) fn add_up_to(&self, most: u32, whom: &impl Hash, window: u64) -> Option<Added> {
        let added = self.tables.each_ref().map(|table| {
            table.change(whom, |kept| {
                let count = count(kept, window);
                (count < u64::from(most)).then_some(window << 32 | (count + 1))
            })
        });
        added.contains(&true).then_some(Added(added))
    }

    /// Takes back what was added in this window; only where it was, since a full slot holds
    /// what others have added.
    pub(crate) fn take_back(&self, whom: &impl Hash, window: u64, Added(added): Added) {
        for (table, _) in self.tables.iter().zip(added).filter(|(_, added)| *added) {
            table.change(whom, |kept| (count(kept, window) > 0).then(|| kept - 1));
        }
    }

    /// Whether there are so many that there is no more to add.
    pub(crate) fn has(&self, most: u32, whom: &impl Hash, window: u64) -> bool {
        self.tables.iter().all(|table| {
            let kept = table.slots[table.slot(whom)].load(Ordering::Acquire);
            count(kept, window) >= u64::from(most)
        })
    }
}

/// In which of the tables one was added.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Added([bool; 2]);

/// What a slot has counted in this window.
fn count(kept: u64, window: u64) -> u64 {
    if kept >> 32 == window { kept & u64::from(u32::MAX) } else { 0 }
}

impl Table {
    fn change(&self, whom: &impl Hash, to: impl Fn(u64) -> Option<u64>) -> bool {
        let slot = &self.slots[self.slot(whom)];
        slot.fetch_update(Ordering::AcqRel, Ordering::Acquire, to).is_ok()
    }

    fn slot(&self, whom: &impl Hash) -> usize {
        let mut hasher = DefaultHasher::new();
        (self.key, whom).hash(&mut hasher);
        usize::try_from(hasher.finish() % SLOTS as u64).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_back_can_be_added_again() {
        let tally = Tally::new(2);
        let first = tally.add(&"ada", 7).unwrap();
        assert!(!tally.has(2, &"ada", 7));
        let second = tally.add(&"ada", 7).unwrap();
        assert!(tally.has(2, &"ada", 7) && tally.add(&"ada", 7).is_none());
        assert!(!tally.has(2, &"ada", 8));
        tally.take_back(&"ada", 7, first);
        assert!(tally.add(&"ada", 7).is_some() && tally.add(&"ada", 7).is_none());
        // Of another window there is nothing to take.
        tally.take_back(&"ada", 8, second);
        assert!(tally.has(2, &"ada", 7));
    }

    #[test]
    fn nobody_takes_back_what_another_has_added() {
        let tally = Tally::new(1);
        let shares_one = |name: &u32| {
            let same = tally.tables.each_ref().map(|table| table.slot(name) == table.slot(&0_u32));
            same == [true, false]
        };
        let other = (1..u32::MAX).find(shares_one).unwrap();
        tally.add(&0_u32, 7).unwrap();
        let added = tally.add(&other, 7).unwrap();
        tally.take_back(&other, 7, added);
        assert!(tally.has(1, &0_u32, 7) && !tally.has(1, &other, 7));
    }
}
