//! The memory that the index's tables stand in, so that they can grow under their readers.
//!
//! A table is a run of pairs of cache lines. To grow, it is written anew into a longer run,
//! one store leads readers there, and the run before is used again. It is never given
//! back, so whoever still reads it reads memory that is there, although it may by then
//! hold something else; such a reader finds that the version has changed, and looks again.
//! This takes neither a count of readers nor a word that they write.

use std::{
    collections::BTreeMap,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

/// Pairs in a chunk, 4 MiB. No run is longer.
const CHUNK: u32 = 1 << 15;
/// Chunks at most: 64 GiB.
const CHUNKS: usize = 1 << 14;

/// Two cache lines, for processors fetch them in pairs.
#[derive(Default)]
#[repr(align(128))]
pub(super) struct Pair(pub(super) [Line; 2]);

/// A cache line.
#[derive(Default)]
#[repr(align(64))]
pub(super) struct Line(pub(super) [AtomicU64; 8]);

/// Consecutive pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Run {
    start: u32,
    length: u32,
}

/// Where a table stands now.
#[derive(Default)]
pub(super) struct Place(AtomicU64);

impl Place {
    pub(super) fn run(&self) -> Run {
        let word = self.0.load(Ordering::Acquire);
        #[expect(clippy::cast_possible_truncation, reason = "one half of the word")]
        Run { start: (word >> 32) as u32, length: word as u32 }
    }

    pub(super) fn set(&self, run: Run) {
        self.0.store(u64::from(run.start) << 32 | u64::from(run.length), Ordering::Release);
    }
}

/// All pairs that there are.
pub(super) struct Space {
    chunks: Box<[OnceLock<Box<[Pair]>>]>,
}

/// Which pairs are free. Only whoever writes knows.
#[derive(Default)]
pub(super) struct Free {
    /// Starts and lengths. No two touch but where a chunk ends.
    runs: BTreeMap<u32, u32>,
    /// Given up since the version last changed: some reader may have come upon them in this one.
    given_up: Vec<Run>,
    chunks: u32,
}

impl Default for Space {
    fn default() -> Self {
        Self { chunks: (0..CHUNKS).map(|_| OnceLock::new()).collect() }
    }
}

impl Space {
    /// The pairs of a run.
    pub(super) fn pairs(&self, run: Run) -> &[Pair] {
        let (chunk, start) = ((run.start / CHUNK) as usize, (run.start % CHUNK) as usize);
        let chunk = self.chunks.get(chunk).and_then(OnceLock::get);
        chunk.and_then(|chunk| chunk.get(start..start + run.length as usize)).unwrap_or_default()
    }

    /// A run with nothing in it, unless all memory is taken, or none is that long.
    pub(super) fn take(&self, free: &mut Free, length: usize) -> Option<Run> {
        let length = u32::try_from(length).ok().filter(|length| *length <= CHUNK)?;
        let fitting = free.runs.iter().filter(|(_, free)| **free >= length);
        // The shortest that is long enough leaves the long ones whole.
        let found = fitting.min_by_key(|(_, free)| **free).map(|(start, free)| (*start, *free));
        let (start, found) = if let Some(found) = found {
            found
        } else {
            let chunk = self.chunks.get(free.chunks as usize)?;
            chunk.get_or_init(|| (0..CHUNK).map(|_| Pair::default()).collect());
            free.chunks += 1;
            ((free.chunks - 1) * CHUNK, CHUNK)
        };
        free.runs.remove(&start);
        if found > length {
            free.runs.insert(start + length, found - length);
        }
        Some(Run { start, length })
    }

    /// Has what was given up be used again, once the version has changed.
    pub(super) fn recycle(&self, free: &mut Free) {
        for run in std::mem::take(&mut free.given_up) {
            for line in self.pairs(run).iter().flat_map(|pair| &pair.0) {
                line.0.iter().for_each(|word| word.store(0, Ordering::Relaxed));
            }
            free.put(run);
        }
    }
}

impl Free {
    /// Gives up a run that no reader is led to any more.
    pub(super) fn give_up(&mut self, run: Run) {
        if run.length > 0 {
            self.given_up.push(run);
        }
    }

    /// How many chunks have been taken from the machine.
    #[cfg(test)]
    pub(super) fn chunks(&self) -> u32 {
        self.chunks
    }

    fn put(&mut self, run: Run) {
        let Run { mut start, mut length } = run;
        let end = start + length;
        if !end.is_multiple_of(CHUNK)
            && let Some(behind) = self.runs.remove(&end)
        {
            length += behind;
        }
        if !start.is_multiple_of(CHUNK)
            && let Some((before, run)) = self.runs.range(..start).next_back()
            && before + run == start
        {
            (start, length) = (*before, run + length);
        }
        self.runs.insert(start, length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};

    #[test]
    fn what_is_given_up_is_whole_again() {
        let (space, mut free) = (Space::default(), Free::default());
        let runs: Vec<Run> = (1..200).map(|n| space.take(&mut free, n).unwrap()).collect();
        assert_eq!(free.chunks, 1);
        for run in runs {
            free.give_up(run);
        }
        space.recycle(&mut free);
        assert_eq!(free.runs.into_iter().collect::<Vec<_>>(), [(0, CHUNK)]);
        let mut free = Free { runs: BTreeMap::new(), ..Free::default() };
        assert_eq!(space.take(&mut free, CHUNK as usize + 1), None);
    }

    proptest! {
        #[test]
        fn no_two_runs_share_a_pair(steps in vec((1..3000usize, any::<bool>()), 1..200)) {
            let (space, mut free) = (Space::default(), Free::default());
            let mut taken: Vec<Run> = Vec::new();
            for (length, gives_up) in steps {
                if gives_up && !taken.is_empty() {
                    free.give_up(taken.swap_remove(length % taken.len()));
                    space.recycle(&mut free);
                } else {
                    let run = space.take(&mut free, length).unwrap();
                    prop_assert_eq!(space.pairs(run).len(), length);
                    taken.push(run);
                }
                let mut all: Vec<(u32, u32)> = taken.iter().map(|r| (r.start, r.length)).collect();
                all.extend(free.runs.iter().map(|(start, length)| (*start, *length)));
                all.sort_unstable();
                prop_assert!(all.windows(2).all(|w| w[0].0 + w[0].1 <= w[1].0));
                prop_assert_eq!(all.iter().map(|run| run.1).sum::<u32>(), free.chunks * CHUNK);
            }
        }
    }
}
