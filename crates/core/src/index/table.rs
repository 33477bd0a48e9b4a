//! Tokens by their digests: one cache line each, found where the digest says.
//!
//! The digest's first bits name one of [`PARTS`] parts, the next ones a place in that
//! part's table, and what is not there stands in the places behind it. A digest is as
//! good as random, so that no hash is needed, and every table is filled evenly.
//!
//! Whoever reads loads atomic words and waits for nobody. Whoever writes changes what a
//! reader sees by one store: of a token's `life`, of its `relations`, or of the whole
//! part. So whatever the reader loads before and after, it sees all of a change or none.

use crate::{
    Timestamp,
    id::TokenId,
    token::{Digest, State},
};
use arc_swap::ArcSwap;
use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

/// Many, so that making one part anew takes microseconds even of a large index.
const PARTS: usize = 1 << PART_BITS;
const PART_BITS: u32 = 12;
/// Bits behind a part's that say where in its table a digest has its first place.
const PLACE_BITS: u32 = 32;
/// How many first bits of a digest find it: those of the part and of the place.
pub(super) const LEADING_BITS: u32 = PART_BITS + PLACE_BITS;
/// A table is made anew before more of it than this is taken: three quarters.
const FULL: (usize, usize) = (3, 4);
/// How much of a new table is taken: two thirds.
const FRESH: (usize, usize) = (2, 3);

/// A token, or an earlier secret of one, as a table has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) digest: Digest,
    pub(super) id: TokenId,
    pub(super) life: Life,
    pub(super) relations: Relations,
}

/// A token's state and time, in one word: the state in three bits, whether this is the
/// secret before the last rotation, then the end in milliseconds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Life(u64);

/// The numbers of what a token points to, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Relations(u64);

/// What a reader finds: the parts of a [`Row`] that it does not know already.
#[derive(Clone, Copy)]
pub(super) struct Found {
    pub(super) id: TokenId,
    pub(super) life: Life,
    pub(super) relations: Relations,
}

impl From<Row> for Found {
    fn from(Row { id, life, relations, .. }: Row) -> Self {
        Self { id, life, relations }
    }
}

/// All tables.
pub(super) struct Tables {
    parts: Box<[ArcSwap<Table>]>,
}

/// One part's table.
struct Table {
    /// Places stand in pairs, for memory comes in pairs of cache lines.
    pairs: Box<[Pair]>,
    /// How many places are not vacant. Only whoever writes looks.
    taken: AtomicUsize,
}

#[derive(Default)]
#[repr(align(128))]
struct Pair([Slot; 2]);

/// A place for a [`Row`]. The digest and the id are there before `life` says so, and
/// stay.
#[derive(Default)]
#[repr(align(64))]
struct Slot {
    digest: [AtomicU64; 4],
    id: [AtomicU64; 2],
    /// [`VACANT`], [`GONE`] or a [`Life`].
    life: AtomicU64,
    /// [`Relations`].
    relations: AtomicU64,
}

const VACANT: u64 = 0;
/// The digest is no token's any more. The place is not used again: searches go on behind it.
const GONE: u64 = 1;

impl Default for Tables {
    fn default() -> Self {
        let empty = Arc::new(Table::with_room_for(0));
        Self { parts: (0..PARTS).map(|_| ArcSwap::new(empty.clone())).collect() }
    }
}

impl Tables {
    /// Makes room for so many rows in all, where nothing is yet.
    pub(super) fn expect(&self, rows: usize) {
        for part in &self.parts {
            if part.load().pairs.is_empty() {
                part.store(Arc::new(Table::with_room_for(rows.div_ceil(PARTS))));
            }
        }
    }

    /// What this digest leads to.
    pub(super) fn find(&self, digest: &Digest) -> Option<Found> {
        let words = words_of(digest);
        self.part(words[0]).load().find(&words)?.read()
    }

    /// The row of this id among those whose digests have these first [`LEADING_BITS`].
    pub(super) fn find_by_id(&self, leading: u64, id: TokenId) -> Option<Row> {
        let first = leading << (64 - LEADING_BITS);
        let wanted = id_words(id);
        let table = self.part(first).load();
        let rows = table.from(first).filter_map(|slot| {
            let is_it = slot.id.each_ref().map(relaxed) == wanted;
            is_it.then(|| slot.row())?
        });
        // What has been rotated away counts only where nothing else is there.
        rows.min_by_key(|row| row.life.is_previous())
    }

    /// Takes in a row whose digest is not there yet.
    pub(super) fn insert(&self, row: &Row) {
        let part = self.part(words_of(&row.digest)[0]);
        let table = part.load();
        if table.has_room() {
            table.put(row);
        } else {
            let grown = table.again(1, |_| {});
            grown.put(row);
            part.store(Arc::new(grown));
        }
    }

    /// Changes what a digest leads to, all at once.
    pub(super) fn change(&self, to: &Row) {
        let words = words_of(&to.digest);
        let part = self.part(words[0]);
        let table = part.load();
        let Some(slot) = table.find(&words) else { return };
        let (Life(life), Relations(relations)) = (to.life, to.relations);
        if slot.relations.load(Ordering::Relaxed) == relations {
            slot.life.store(life, Ordering::Release);
        } else if slot.life.load(Ordering::Relaxed) == life {
            slot.relations.store(relations, Ordering::Release);
        } else {
            // Two words would be two stores. A part can be exchanged by one.
            let again = table.again(0, |row| {
                if row.digest == to.digest {
                    *row = *to;
                }
            });
            part.store(Arc::new(again));
        }
    }

    /// Has a digest lead nowhere.
    pub(super) fn remove(&self, digest: &Digest) {
        let words = words_of(digest);
        if let Some(slot) = self.part(words[0]).load().find(&words) {
            slot.life.store(GONE, Ordering::Release);
        }
    }

    /// Every row, in no order.
    pub(super) fn rows(&self) -> Vec<Row> {
        self.parts.iter().flat_map(|part| part.load().rows().collect::<Vec<_>>()).collect()
    }

    fn part(&self, first: u64) -> &ArcSwap<Table> {
        // Twelve bits name a part that is there.
        &self.parts[(first >> (64 - PART_BITS)) as usize % PARTS]
    }
}

/// The first [`LEADING_BITS`] of a digest, which [`Tables::find_by_id`] begins with.
pub(super) fn leading(digest: &Digest) -> u64 {
    words_of(digest)[0] >> (64 - LEADING_BITS)
}

impl Table {
    /// A table that is [`FRESH`] with so many rows.
    fn with_room_for(rows: usize) -> Self {
        let pairs = (rows * FRESH.1).div_ceil(FRESH.0 * 2);
        Self { pairs: (0..pairs).map(|_| Pair::default()).collect(), taken: AtomicUsize::new(0) }
    }

    fn has_room(&self) -> bool {
        (self.taken.load(Ordering::Relaxed) + 1) * FULL.1 <= self.pairs.len() * 2 * FULL.0
    }

    /// All places in the order in which a digest that begins with `first` looks for one.
    fn places(&self, first: u64) -> impl Iterator<Item = &Slot> {
        let bits = (first << PART_BITS) >> (64 - PLACE_BITS);
        // As far into the table as the bits are into their range.
        let start = ((bits * self.pairs.len() as u64) >> PLACE_BITS) as usize;
        let (before, behind) = self.pairs.split_at(start);
        behind.iter().chain(before).flat_map(|pair| &pair.0)
    }

    /// Those where it may stand: up to the first vacant one.
    fn from(&self, first: u64) -> impl Iterator<Item = &Slot> {
        self.places(first).take_while(|slot| slot.life.load(Ordering::Acquire) != VACANT)
    }

    fn find(&self, words: &[u64; 4]) -> Option<&Slot> {
        self.from(words[0]).find(|slot| {
            let [a, b, c, d] = slot.digest.each_ref().map(relaxed);
            let differs = a ^ words[0] | b ^ words[1] | c ^ words[2] | d ^ words[3];
            differs == 0 && slot.life.load(Ordering::Acquire) != GONE
        })
    }

    /// Writes a row into the first vacant place that its digest may have.
    fn put(&self, row: &Row) {
        let mut slots = self.places(words_of(&row.digest)[0]);
        let Some(slot) = slots.find(|slot| slot.life.load(Ordering::Relaxed) == VACANT) else {
            debug_assert!(false, "whoever writes sees to it that there is room");
            return;
        };
        slot.write(row);
        self.taken.fetch_add(1, Ordering::Relaxed);
    }

    /// The same rows, each as `edit` leaves it, with room for so many more.
    fn again(&self, more: usize, edit: impl Fn(&mut Row)) -> Self {
        let live = self.rows().count();
        let table = Self::with_room_for(live + more);
        for mut row in self.rows() {
            edit(&mut row);
            table.put(&row);
        }
        table
    }

    fn rows(&self) -> impl Iterator<Item = Row> {
        let slots = self.pairs.iter().flat_map(|pair| &pair.0);
        slots.filter_map(Slot::row)
    }
}

impl Slot {
    /// What stands here, unless nothing does.
    fn read(&self) -> Option<Found> {
        let life = Life::read(self.life.load(Ordering::Acquire))?;
        let relations = Relations(self.relations.load(Ordering::Acquire));
        let [a, b] = self.id.each_ref().map(relaxed);
        let id = u128::from(a) << 64 | u128::from(b);
        Some(Found { id: TokenId::from_bytes(id.to_be_bytes()), life, relations })
    }

    fn row(&self) -> Option<Row> {
        let Found { id, life, relations } = self.read()?;
        Some(Row { digest: self.digest(), id, life, relations })
    }

    fn digest(&self) -> Digest {
        let mut bytes = [0; 32];
        for (bytes, word) in bytes.chunks_exact_mut(8).zip(&self.digest) {
            bytes.copy_from_slice(&relaxed(word).to_be_bytes());
        }
        Digest::from_bytes(bytes)
    }

    fn write(&self, row: &Row) {
        for (slot, word) in self.digest.iter().zip(words_of(&row.digest)) {
            slot.store(word, Ordering::Relaxed);
        }
        for (slot, word) in self.id.iter().zip(id_words(row.id)) {
            slot.store(word, Ordering::Relaxed);
        }
        self.relations.store(row.relations.0, Ordering::Relaxed);
        // Who sees this sees the rest.
        self.life.store(row.life.0, Ordering::Release);
    }
}

impl Life {
    const ACTIVE: u64 = 2;
    const PAUSED: u64 = 3;
    const REVOKED: u64 = 4;
    const STATE: u64 = 7;
    const IS_PREVIOUS: u64 = 8;
    const END: u32 = 4;
    /// No end: later than any that there is.
    const NEVER: u64 = u64::MAX >> Self::END;

    pub(super) fn new(state: State, is_previous: bool, ends_at: Option<Timestamp>) -> Self {
        let state = match state {
            State::Active => Self::ACTIVE,
            State::Paused => Self::PAUSED,
            State::Revoked => Self::REVOKED,
        };
        let end = match ends_at {
            // Whatever ended before 1970 has ended.
            Some(end) => u64::try_from(end.as_millis()).unwrap_or(0).min(Self::NEVER - 1),
            None => Self::NEVER,
        };
        let is_previous = if is_previous { Self::IS_PREVIOUS } else { 0 };
        Self(end << Self::END | is_previous | state)
    }

    /// What this word says, unless it says that nothing is there.
    fn read(word: u64) -> Option<Self> {
        (word & Self::STATE >= Self::ACTIVE).then_some(Self(word))
    }

    pub(super) fn state(self) -> State {
        match self.0 & Self::STATE {
            Self::ACTIVE => State::Active,
            Self::PAUSED => State::Paused,
            _ => State::Revoked,
        }
    }

    /// Whether the digest is that of the secret before the last rotation.
    pub(super) fn is_previous(self) -> bool {
        self.0 & Self::IS_PREVIOUS != 0
    }

    /// From when on it is refused.
    pub(super) fn ends_at(self) -> Option<Timestamp> {
        let end = self.0 >> Self::END;
        // Sixty bits fit.
        (end != Self::NEVER).then(|| Timestamp::from_millis(end.cast_signed()))
    }

    pub(super) fn with_state(self, state: State) -> Self {
        Self::new(state, self.is_previous(), self.ends_at())
    }
}

impl std::fmt::Debug for Life {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut life = f.debug_struct("Life");
        life.field("state", &self.state());
        life.field("is_previous", &self.is_previous());
        life.field("ends_at", &self.ends_at()).finish()
    }
}

impl Relations {
    pub(super) fn new(terms: u32, holder: u32) -> Self {
        Self(u64::from(terms) << 32 | u64::from(holder))
    }

    pub(super) fn terms(self) -> u32 {
        (self.0 >> 32) as u32
    }

    pub(super) fn holder(self) -> u32 {
        #[expect(clippy::cast_possible_truncation, reason = "the other half of the word")]
        {
            self.0 as u32
        }
    }
}

fn words_of(digest: &Digest) -> [u64; 4] {
    let mut words = [0; 4];
    for (word, bytes) in words.iter_mut().zip(digest.as_bytes().as_chunks().0) {
        *word = u64::from_be_bytes(*bytes);
    }
    words
}

fn id_words(id: TokenId) -> [u64; 2] {
    let id = u128::from_be_bytes(*id.as_bytes());
    #[expect(clippy::cast_possible_truncation, reason = "the two halves of the number")]
    [(id >> 64) as u64, id as u64]
}

/// A word that does not change once [`Slot::life`] says that it is there.
fn relaxed(word: &AtomicU64) -> u64 {
    word.load(Ordering::Relaxed)
}
