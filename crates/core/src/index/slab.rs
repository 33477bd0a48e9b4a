//! A list that only grows, read without waiting while it does.

use std::sync::OnceLock;

/// The first part has so many places; each further one has twice as many as all before it
/// plus one first part, so that a number's place follows from its bits.
const FIRST: usize = 32;
/// 2^32 numbers, without what the first part's places take off.
const PARTS: usize = 28;

type Part<T> = Box<[OnceLock<T>]>;

/// Values that are numbered as they come and never move.
pub(super) struct Slab<T> {
    parts: [OnceLock<Part<T>>; PARTS],
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { parts: [const { OnceLock::new() }; PARTS] }
    }
}

impl<T> Slab<T> {
    /// The value with this number.
    pub(super) fn get(&self, number: u32) -> Option<&T> {
        let (part, place) = place(number);
        self.parts.get(part)?.get()?.get(place)?.get()
    }

    /// Takes a value in under the next number, which whoever writes counts.
    pub(super) fn put(&self, number: u32, value: T) {
        let (part, place) = place(number);
        let part =
            self.parts[part].get_or_init(|| (0..FIRST << part).map(|_| OnceLock::new()).collect());
        let taken = part[place].set(value).is_err();
        debug_assert!(!taken, "{number} is taken");
    }
}

/// In which part a number stands, and where there.
fn place(number: u32) -> (usize, usize) {
    let counted = number as usize + FIRST;
    let part = (counted / FIRST).ilog2() as usize;
    (part, counted - (FIRST << part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_a_place_of_its_own() {
        let mut expected = (0, 0);
        for number in 0..100_000 {
            assert_eq!(place(number), expected, "{number}");
            expected.1 += 1;
            if expected.1 == FIRST << expected.0 {
                expected = (expected.0 + 1, 0);
            }
        }
        let (part, place) = place(u32::MAX);
        assert!(part < PARTS && place < FIRST << part);
    }

    #[test]
    fn what_is_put_in_is_found() {
        let slab = Slab::default();
        for number in 0..1000u32 {
            assert_eq!(slab.get(number), None);
            slab.put(number, number * 3);
        }
        assert!((0..1000).all(|number| slab.get(number) == Some(&(number * 3))));
    }
}
