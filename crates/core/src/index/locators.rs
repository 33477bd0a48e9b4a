//! Tokens by their ids: for each the first bits of its digest's key, by which [`Tables`] find it.
//!
//! Built as the tables are, with one word a token: the key's first bits, a bit that says
//! that something is there, and some bits of the id's hash, so that what is another's is
//! mostly known as such without a look at it.
//!
//! [`Tables`]: super::table::Tables

use super::{
    OutOfStep,
    hash::ByTail,
    space::{Free, Pair, Place, Run, Space},
    table::LEADING_BITS,
};
use crate::id::TokenId;
use std::{
    hash::BuildHasher as _,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
};

const PARTS: usize = 1 << PART_BITS;
const PART_BITS: u32 = 12;
/// Bits of an id's hash that are kept, which also say where in a table it has its place.
const TAG_BITS: u32 = 63 - LEADING_BITS;
const PRESENT: u64 = 1 << TAG_BITS;
const TAG: u64 = PRESENT - 1;
/// Words in a pair.
const WORDS: usize = 16;

/// All ids.
pub(super) struct Locators {
    parts: Box<[Part]>,
}

#[derive(Default)]
struct Part {
    place: Place,
    /// How many words are not vacant: ids come, and stay. Only whoever writes looks.
    taken: AtomicUsize,
}

/// Where a token is looked for.
#[derive(Clone, Copy)]
struct Key {
    part: usize,
    tag: u64,
}

impl Default for Locators {
    fn default() -> Self {
        Self { parts: (0..PARTS).map(|_| Part::default()).collect() }
    }
}

impl Locators {
    /// Makes room for so many ids in all, where nothing is yet.
    pub(super) fn expect(
        &self,
        space: &Space,
        free: &mut Free,
        ids: usize,
    ) -> Result<(), OutOfStep> {
        for part in self.parts.iter().filter(|part| part.place.run() == Run::default()) {
            part.place.set(space.take(free, pairs_for(ids.div_ceil(PARTS))).ok_or(OutOfStep)?);
        }
        Ok(())
    }

    /// What `look` finds with the first bits of a key that may be this id's; of several
    /// the first with which it finds something.
    pub(super) fn find<T>(
        &self,
        space: &Space,
        id: TokenId,
        mut look: impl FnMut(u64) -> Option<T>,
    ) -> Option<T> {
        let key = Key::of(id);
        let mut candidates = candidates(self.parts[key.part].pairs(space), key.tag);
        candidates.find_map(|(_, word)| look(leading(word)))
    }

    /// Takes in an id that is not there yet.
    pub(super) fn insert(
        &self,
        space: &Space,
        free: &mut Free,
        id: TokenId,
        leading: u64,
    ) -> Result<(), OutOfStep> {
        let key = Key::of(id);
        let part = &self.parts[key.part];
        let taken = part.taken.load(Ordering::Relaxed) + 1;
        // At most three quarters are taken.
        if taken * 4 > part.pairs(space).len() * WORDS * 3 {
            part.grow(space, free)?;
        }
        put(part.pairs(space), key.word(leading));
        part.taken.store(taken, Ordering::Relaxed);
        Ok(())
    }

    /// Has an id lead to another digest than before.
    pub(super) fn change(
        &self,
        space: &Space,
        id: TokenId,
        from: u64,
        to: u64,
    ) -> Result<(), OutOfStep> {
        let key = Key::of(id);
        let mut candidates = candidates(self.parts[key.part].pairs(space), key.tag);
        let (place, _) = candidates.find(|(_, word)| leading(*word) == from).ok_or(OutOfStep)?;
        place.store(key.word(to), Ordering::Release);
        Ok(())
    }
}

impl Key {
    fn of(id: TokenId) -> Self {
        let hash = ByTail::default().hash_one(id);
        // Twelve bits name a part that is there.
        let part = (hash >> (64 - PART_BITS)) as usize % PARTS;
        Self { part, tag: hash >> (64 - PART_BITS - TAG_BITS) & TAG }
    }

    fn word(self, leading: u64) -> u64 {
        leading << (TAG_BITS + 1) | PRESENT | self.tag
    }
}

impl Part {
    fn pairs<'s>(&self, space: &'s Space) -> &'s [Pair] {
        space.pairs(self.place.run())
    }

    /// Writes the same words anew, with room for more.
    fn grow(&self, space: &Space, free: &mut Free) -> Result<(), OutOfStep> {
        let taken = self.taken.load(Ordering::Relaxed);
        let run = space.take(free, pairs_for(taken + 1)).ok_or(OutOfStep)?;
        let pairs = space.pairs(run);
        for word in words(self.pairs(space)) {
            let word = word.load(Ordering::Relaxed);
            if word != 0 {
                put(pairs, word);
            }
        }
        let before = self.place.run();
        self.place.set(run);
        free.give_up(before);
        Ok(())
    }
}

fn leading(word: u64) -> u64 {
    word >> (TAG_BITS + 1)
}

/// A new table is two thirds full, as the tokens' tables are.
fn pairs_for(ids: usize) -> usize {
    (ids * 3).div_ceil(WORDS * 2)
}

fn words(pairs: &[Pair]) -> impl Iterator<Item = &AtomicU64> {
    pairs.iter().flat_map(|pair| &pair.0).flat_map(|line| &line.0)
}

/// All words in the order in which a tag looks for a place: from the pair that is as far
/// into the table as the tag is into its range, and round.
fn places(pairs: &[Pair], tag: u64) -> impl Iterator<Item = &AtomicU64> {
    let start = ((tag * pairs.len() as u64) >> TAG_BITS) as usize;
    let (before, behind) = pairs.split_at(start);
    words(behind).chain(words(before))
}

/// The words that may be those of an id with this tag, each with its place.
fn candidates(pairs: &[Pair], tag: u64) -> impl Iterator<Item = (&AtomicU64, u64)> {
    let words = places(pairs, tag).map(|place| (place, place.load(Ordering::Acquire)));
    words.take_while(|(_, word)| *word != 0).filter(move |(_, word)| word & TAG == tag)
}

fn put(pairs: &[Pair], word: u64) {
    let mut words = places(pairs, word & TAG);
    let Some(vacant) = words.find(|word| word.load(Ordering::Relaxed) == 0) else {
        debug_assert!(false, "whoever writes sees to it that there is room");
        return;
    };
    vacant.store(word, Ordering::Release);
}
