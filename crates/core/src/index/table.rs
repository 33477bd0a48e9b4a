//! Tokens by their digests: one cache line each, found where the digest says.
//!
//! The first bits of a digest's key name one of [`PARTS`] parts, the next ones a line in that
//! part's table, and what is not there stands in a line behind it.
//!
//! Whoever reads loads atomic words and waits for nobody. Whoever writes changes what a
//! reader sees by one store: of a line's [`LIFE`], of its [`RELATIONS`], or of the place
//! where a whole part stands. So whatever else a reader loads before and after, it sees all
//! of a change or none.

use super::{
    OutOfStep,
    space::{Free, Line, Pair, Place, Run, Space},
};
use crate::{
    Timestamp,
    id::TokenId,
    token::{Digest, State},
};
use std::sync::atomic::{AtomicU64, Ordering};

/// Many, so that writing one anew takes microseconds even of a large index.
const PARTS: usize = 1 << PART_BITS;
const PART_BITS: u32 = 12;
/// Bits behind a part's that say where in its table a key has its line.
const PLACE_BITS: u32 = 32;
/// How many first bits of a key find it: those of the part and of the place.
pub(super) const LEADING_BITS: u32 = PART_BITS + PLACE_BITS;

/// A line's first four words are the digest, the next two the id. They are there before
/// the [`LIFE`] says so, and stay.
const ID: usize = 4;
/// The word that is [`VACANT`], [`GONE`] or a [`Life`].
const LIFE: usize = 6;
/// The word with [`Relations`].
const RELATIONS: usize = 7;

const VACANT: u64 = 0;
/// The digest is no token's any more. The line is not used again: searches go on behind it.
const GONE: u64 = 1;

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
    parts: Box<[Part]>,
}

/// One part's table.
#[derive(Default)]
struct Part {
    place: Place,
    /// How many lines are not vacant. Only whoever writes looks.
    taken: AtomicU64,
}

impl Default for Tables {
    fn default() -> Self {
        Self { parts: (0..PARTS).map(|_| Part::default()).collect() }
    }
}

impl Tables {
    /// Makes room for so many rows in all, where nothing is yet.
    pub(super) fn expect(
        &self,
        space: &Space,
        free: &mut Free,
        rows: usize,
    ) -> Result<(), OutOfStep> {
        for part in self.parts.iter().filter(|part| part.place.run() == Run::default()) {
            part.place.set(space.take(free, pairs_for(rows.div_ceil(PARTS))).ok_or(OutOfStep)?);
        }
        Ok(())
    }

    /// What this digest leads to. Every request comes by here.
    #[inline]
    pub(super) fn find(&self, space: &Space, digest: &Digest) -> Option<Found> {
        let words = words_of(digest);
        find(self.part(key(&words)).pairs(space), &words).and_then(read)
    }

    /// The row of this id among those whose digests' keys have these first [`LEADING_BITS`];
    /// what has been rotated away is no longer what the id leads to.
    pub(super) fn find_by_id(&self, space: &Space, leading: u64, id: TokenId) -> Option<Row> {
        let first = leading << (64 - LEADING_BITS);
        let wanted = id_words(id);
        let lines = lines(self.part(first).pairs(space), first);
        let taken = lines.take_while(|line| line.0[LIFE].load(Ordering::Acquire) != VACANT);
        let mut its =
            taken.filter(|line| [relaxed(&line.0[ID]), relaxed(&line.0[ID + 1])] == wanted);
        its.find_map(|line| row(line).filter(|row| !row.life.is_previous()))
    }

    /// Takes in a row whose digest is not there yet.
    pub(super) fn insert(
        &self,
        space: &Space,
        free: &mut Free,
        row: &Row,
    ) -> Result<(), OutOfStep> {
        let part = self.part(key(&words_of(&row.digest)));
        let taken = part.taken.load(Ordering::Relaxed) + 1;
        // At most three quarters are taken.
        if taken * 4 > part.pairs(space).len() as u64 * 2 * 3 {
            part.again(space, free, 1, |_| {})?;
        }
        part.put(space, row);
        Ok(())
    }

    /// Changes what a digest leads to, all at once.
    pub(super) fn change(&self, space: &Space, free: &mut Free, to: &Row) -> Result<(), OutOfStep> {
        let words = words_of(&to.digest);
        let part = self.part(key(&words));
        let line = find(part.pairs(space), &words).ok_or(OutOfStep)?;
        if line.0[RELATIONS].load(Ordering::Relaxed) == to.relations.0 {
            line.0[LIFE].store(to.life.0, Ordering::Release);
        } else if line.0[LIFE].load(Ordering::Relaxed) == to.life.0 {
            line.0[RELATIONS].store(to.relations.0, Ordering::Release);
        } else {
            // Two words would be two stores. A part can be exchanged by one.
            part.again(space, free, 0, |row| {
                if row.digest == to.digest {
                    *row = *to;
                }
            })?;
        }
        Ok(())
    }

    /// Has a digest lead nowhere.
    pub(super) fn remove(&self, space: &Space, digest: &Digest) -> Result<(), OutOfStep> {
        let words = words_of(digest);
        let line = find(self.part(key(&words)).pairs(space), &words).ok_or(OutOfStep)?;
        line.0[LIFE].store(GONE, Ordering::Release);
        Ok(())
    }

    /// Every row, in no order.
    pub(super) fn rows(&self, space: &Space) -> impl Iterator<Item = Row> {
        self.parts.iter().flat_map(|part| part.rows(space))
    }

    fn part(&self, first: u64) -> &Part {
        // Twelve bits name a part that is there.
        &self.parts[(first >> (64 - PART_BITS)) as usize % PARTS]
    }
}

/// The first [`LEADING_BITS`] of a digest's key, which [`Tables::find_by_id`] begins with.
pub(super) fn leading(digest: &Digest) -> u64 {
    key(&words_of(digest)) >> (64 - LEADING_BITS)
}

/// What says where a digest stands: a mixture of all its words, for digests that somebody
/// made up, as in a test of an import, may differ in their last digits alone.
fn key(words: &[u64; 4]) -> u64 {
    let [a, b, c, d] = words;
    (a ^ b.rotate_left(16) ^ c.rotate_left(32) ^ d.rotate_left(48))
        .wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// A new table is two thirds full.
fn pairs_for(rows: usize) -> usize {
    (rows * 3).div_ceil(4)
}

impl Part {
    fn pairs<'s>(&self, space: &'s Space) -> &'s [Pair] {
        space.pairs(self.place.run())
    }

    fn rows<'s>(&self, space: &'s Space) -> impl Iterator<Item = Row> + use<'s> {
        self.pairs(space).iter().flat_map(|pair| &pair.0).filter_map(row)
    }

    /// Writes the table anew: the same rows, each as `edit` leaves it, with room for so
    /// many more.
    fn again(
        &self,
        space: &Space,
        free: &mut Free,
        more: usize,
        edit: impl Fn(&mut Row),
    ) -> Result<(), OutOfStep> {
        let live = self.rows(space).count();
        let run = space.take(free, pairs_for(live + more)).ok_or(OutOfStep)?;
        let pairs = space.pairs(run);
        for mut row in self.rows(space) {
            edit(&mut row);
            put(pairs, &row);
        }
        let before = self.place.run();
        self.place.set(run);
        self.taken.store(live as u64, Ordering::Relaxed);
        free.give_up(before);
        Ok(())
    }

    fn put(&self, space: &Space, row: &Row) {
        put(self.pairs(space), row);
        self.taken.fetch_add(1, Ordering::Relaxed);
    }
}

/// The lines in the order in which a digest whose key begins with `first` looks for a place:
/// as far into the table as its bits are into their range; then the other line of that pair,
/// which is fetched with it; then the next pair, and round.
fn lines(pairs: &[Pair], first: u64) -> impl Iterator<Item = &Line> {
    let bits = (first << PART_BITS) >> (64 - PLACE_BITS);
    // Less than there are lines, whatever the bits.
    let line = ((bits * (pairs.len() as u64 * 2)) >> PLACE_BITS) as usize;
    let (before, behind) = pairs.split_at(line / 2);
    let order = [line % 2, 1 - line % 2];
    behind.iter().chain(before).flat_map(move |pair| order.map(|line| &pair.0[line]))
}

/// Where the digest of these words stands.
#[inline]
fn find<'s>(pairs: &'s [Pair], words: &[u64; 4]) -> Option<&'s Line> {
    for line in lines(pairs, key(words)) {
        let state = line.0[LIFE].load(Ordering::Acquire);
        if state > GONE && (0..4).all(|n| relaxed(&line.0[n]) == words[n]) {
            return Some(line);
        }
        if state == VACANT {
            break;
        }
    }
    None
}

/// Writes a row into the first vacant line that its digest may have.
fn put(pairs: &[Pair], row: &Row) {
    let words = words_of(&row.digest);
    let mut lines = lines(pairs, key(&words));
    let Some(line) = lines.find(|line| line.0[LIFE].load(Ordering::Relaxed) == VACANT) else {
        debug_assert!(false, "whoever writes sees to it that there is room");
        return;
    };
    for (at, word) in words.into_iter().chain(id_words(row.id)).enumerate() {
        line.0[at].store(word, Ordering::Relaxed);
    }
    line.0[RELATIONS].store(row.relations.0, Ordering::Relaxed);
    // Who sees this sees the rest.
    line.0[LIFE].store(row.life.0, Ordering::Release);
}

/// What stands in a line, unless nothing does.
fn read(line: &Line) -> Option<Found> {
    let words = &line.0;
    let state = Life::read(words[LIFE].load(Ordering::Acquire))?;
    let relations = Relations(words[RELATIONS].load(Ordering::Acquire));
    let id = u128::from(relaxed(&words[ID])) << 64 | u128::from(relaxed(&words[ID + 1]));
    Some(Found { id: TokenId::from_bytes(id.to_be_bytes()), life: state, relations })
}

fn row(line: &Line) -> Option<Row> {
    let Found { id, life, relations } = read(line)?;
    let mut digest = [0; 32];
    for (bytes, word) in digest.chunks_exact_mut(8).zip(&line.0) {
        bytes.copy_from_slice(&relaxed(word).to_be_bytes());
    }
    Some(Row { digest: Digest::from_bytes(digest), id, life, relations })
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

/// A word that does not change once [`LIFE`] says that it is there, until the line is
/// recycled; whoever reads it then finds that the version has changed.
fn relaxed(word: &AtomicU64) -> u64 {
    word.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_made_up_is_spread_too() {
        // As the digests in somebody's test of an import might be.
        let places = (0..4096u64).map(|n| {
            let mut bytes = [0; 32];
            bytes[24..].copy_from_slice(&n.to_be_bytes());
            leading(&Digest::from_bytes(bytes)) >> PLACE_BITS
        });
        let parts: std::collections::BTreeSet<u64> = places.collect();
        assert!(parts.len() > 2000, "{} parts", parts.len());
    }

    proptest! {
        #[test]
        fn a_life_says_what_it_was_made_of(
            end in proptest::option::of(any::<i64>()),
            is_previous: bool,
            which in 0..3usize,
        ) {
            let states = [State::Active, State::Paused, State::Revoked];
            let ends_at = end.map(Timestamp::from_millis);
            let life = Life::new(states[which], is_previous, ends_at);
            prop_assert_eq!(Life::read(life.0), Some(life));
            prop_assert_eq!((life.state(), life.is_previous()), (states[which], is_previous));
            // What lies before 1970 has ended, what lies beyond all calendars has not.
            let kept = end.map(|end| end.clamp(0, (Life::NEVER - 1).cast_signed()));
            prop_assert_eq!(life.ends_at().map(Timestamp::as_millis), kept);
            let changed = life.with_state(states[(which + 1) % 3]);
            prop_assert_eq!(changed.ends_at(), life.ends_at());
        }
    }
}
