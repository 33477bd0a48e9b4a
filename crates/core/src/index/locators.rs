//! Tokens by their ids: for each the first bits of its digest, by which [`Tables`] find it.
//!
//! Built as the tables are, with one word a token: its digest's first bits, a bit that says
//! that something is there, and some bits of the id's hash, so that what is another's is
//! mostly known as such without a look at it.
//!
//! [`Tables`]: super::table::Tables

use super::{hash::ByTail, table::LEADING_BITS};
use crate::id::TokenId;
use arc_swap::ArcSwap;
use std::{
    hash::BuildHasher as _,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

const PARTS: usize = 1 << PART_BITS;
const PART_BITS: u32 = 12;
/// Bits of an id's hash that are kept, which also say where in a table it has its place.
const TAG_BITS: u32 = 63 - LEADING_BITS;
const PRESENT: u64 = 1 << TAG_BITS;
const TAG: u64 = PRESENT - 1;

/// All ids.
pub(super) struct Locators {
    parts: Box<[ArcSwap<Table>]>,
}

struct Table {
    words: Box<[AtomicU64]>,
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
        let empty = Arc::new(Table::with_room_for(0));
        Self { parts: (0..PARTS).map(|_| ArcSwap::new(empty.clone())).collect() }
    }
}

impl Locators {
    /// Makes room for so many ids in all, where nothing is yet.
    pub(super) fn expect(&self, ids: usize) {
        for part in &self.parts {
            if part.load().words.is_empty() {
                part.store(Arc::new(Table::with_room_for(ids.div_ceil(PARTS))));
            }
        }
    }

    /// What `look` finds with the first bits of a digest that may be this id's; of several
    /// the first with which it finds something.
    pub(super) fn find<T>(&self, id: TokenId, mut look: impl FnMut(u64) -> Option<T>) -> Option<T> {
        let key = Key::of(id);
        let table = self.parts[key.part].load();
        table.candidates(key).find_map(|word| look(leading(word.load(Ordering::Acquire))))
    }

    /// Takes in an id that is not there yet.
    pub(super) fn insert(&self, id: TokenId, leading: u64) {
        let key = Key::of(id);
        let part = &self.parts[key.part];
        let table = part.load();
        if table.has_room() {
            table.put(key.word(leading));
        } else {
            let grown = table.again();
            grown.put(key.word(leading));
            part.store(Arc::new(grown));
        }
    }

    /// Has an id lead to another digest than before.
    pub(super) fn change(&self, id: TokenId, from: u64, to: u64) {
        let key = Key::of(id);
        let table = self.parts[key.part].load();
        let mut candidates = table.candidates(key);
        if let Some(word) = candidates.find(|word| leading(word.load(Ordering::Relaxed)) == from) {
            word.store(key.word(to), Ordering::Release);
        }
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

fn leading(word: u64) -> u64 {
    word >> (TAG_BITS + 1)
}

impl Table {
    fn with_room_for(ids: usize) -> Self {
        // Two thirds full, as the tokens' tables are when they are made.
        let words = (ids * 3).div_ceil(2);
        Self { words: (0..words).map(|_| AtomicU64::new(0)).collect(), taken: AtomicUsize::new(0) }
    }

    fn has_room(&self) -> bool {
        (self.taken.load(Ordering::Relaxed) + 1) * 4 <= self.words.len() * 3
    }

    /// All words from a tag's place on.
    fn from(&self, tag: u64) -> impl Iterator<Item = &AtomicU64> {
        // As far into the table as the tag is into its range.
        let start = ((tag * self.words.len() as u64) >> TAG_BITS) as usize;
        let (before, behind) = self.words.split_at(start);
        behind.iter().chain(before)
    }

    /// The words that may be this key's.
    fn candidates(&self, key: Key) -> impl Iterator<Item = &AtomicU64> {
        let words = self.from(key.tag).take_while(|word| word.load(Ordering::Acquire) != 0);
        words.filter(move |word| word.load(Ordering::Relaxed) & TAG == key.tag)
    }

    fn put(&self, word: u64) {
        let mut words = self.from(word & TAG);
        let Some(vacant) = words.find(|word| word.load(Ordering::Relaxed) == 0) else {
            debug_assert!(false, "whoever writes sees to it that there is room");
            return;
        };
        vacant.store(word, Ordering::Release);
        self.taken.fetch_add(1, Ordering::Relaxed);
    }

    /// The same words with room for more.
    fn again(&self) -> Self {
        let table = Self::with_room_for(self.taken.load(Ordering::Relaxed) + 1);
        for word in &self.words {
            let word = word.load(Ordering::Relaxed);
            if word != 0 {
                table.put(word);
            }
        }
        table
    }
}
