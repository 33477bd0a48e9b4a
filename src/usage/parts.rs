//! Where sums wait: in parts, one for each thread, so that no request waits for another.

use super::{LastUses, TokenUsage};
use counterfoil_core::id::TokenId;
use std::{
    collections::{HashMap, hash_map::Entry},
    hash::{BuildHasherDefault, Hasher},
    num::NonZero,
    sync::{
        Mutex, MutexGuard, PoisonError, TryLockError,
        atomic::{AtomicUsize, Ordering},
    },
};

/// How many tokens wait in all parts together at most. One that several threads meet
/// counts once for each.
pub(super) const TOKENS: usize = 131_072;

pub(super) type Sums = HashMap<TokenId, TokenUsage, BuildHasherDefault<TailHasher>>;

/// What is not written yet. Threads keep to a part of their own, and go on to the next
/// while somebody is at it, or where it is full.
pub(super) struct Parts {
    parts: Box<[Part]>,
    /// How many tokens wait in one part at most.
    room: usize,
}

/// On cache lines of its own. Its lock is held for one addition, or to take the whole away.
#[derive(Default)]
#[repr(align(128))]
struct Part(Mutex<Sums>);

impl Parts {
    pub(super) fn new() -> Self {
        // One for each thread that answers requests, and some to go on to.
        let threads = std::thread::available_parallelism().map_or(4, NonZero::get);
        let parts = (2 * threads).next_power_of_two().clamp(8, 64);
        let room = TOKENS / parts;
        Self { parts: (0..parts).map(|_| Part::default()).collect(), room }
    }

    /// Does `work` on what waits of a token; says whether there was room for it.
    pub(super) fn with(&self, token: TokenId, work: impl FnOnce(&mut TokenUsage)) -> bool {
        let (mut next, mut full) = (own(), 0);
        while full < self.parts.len() {
            let Part(part) = &self.parts[next % self.parts.len()];
            next = next.wrapping_add(1);
            let mut sums = match part.try_lock() {
                Ok(sums) => sums,
                Err(TryLockError::Poisoned(sums)) => sums.into_inner(),
                Err(TryLockError::WouldBlock) => continue,
            };
            let has_room = sums.len() < self.room;
            match sums.entry(token) {
                Entry::Occupied(entry) => {
                    work(entry.into_mut());
                    return true;
                }
                Entry::Vacant(entry) if has_room => {
                    work(entry.insert(TokenUsage::default()));
                    return true;
                }
                Entry::Vacant(_) => full += 1,
            }
        }
        false
    }

    /// The last uses of a token among those that wait.
    pub(super) fn last_uses(&self, token: TokenId) -> LastUses {
        let mut latest = LastUses::default();
        for Part(part) in &self.parts {
            if let Some(usage) = lock(part).get(&token) {
                latest.add(usage);
            }
        }
        latest
    }

    /// Takes away all that waits.
    pub(super) fn take(&self) -> Sums {
        let mut taken = Sums::default();
        for Part(part) in &self.parts {
            // Room is made outside the lock: it will be wanted again.
            let many = lock(part).len();
            let room = Sums::with_capacity_and_hasher(many, BuildHasherDefault::new());
            let sums = std::mem::replace(&mut *lock(part), room);
            if taken.is_empty() {
                taken = sums;
                continue;
            }
            for (token, usage) in sums {
                match taken.entry(token) {
                    Entry::Occupied(entry) => entry.into_mut().absorb(usage),
                    Entry::Vacant(entry) => drop(entry.insert(usage)),
                }
            }
        }
        taken
    }

    /// How many tokens wait, each counted in every part that it waits in.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.parts.iter().map(|Part(part)| lock(part).len()).sum()
    }

    /// What waits of a token.
    #[cfg(test)]
    pub(super) fn of(&self, token: TokenId) -> Option<TokenUsage> {
        let waiting = self.parts.iter().filter_map(|Part(part)| lock(part).get(&token).cloned());
        waiting.reduce(|mut sum, more| {
            sum.absorb(more);
            sum
        })
    }
}

/// The number of this thread's part: threads count themselves as they come.
fn own() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static OWN: usize = THREADS.fetch_add(1, Ordering::Relaxed);
    }
    OWN.with(|own| *own)
}

/// Hashes an id by the random bytes at its end.
#[derive(Default)]
pub(super) struct TailHasher(u64);

impl Hasher for TailHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        let Some(tail) = bytes.last_chunk::<8>() else { return };
        // The first two bits are the same in all ids; multiplied, the others reach the top.
        self.0 = u64::from_be_bytes(*tail).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }

    // The length of an id says nothing.
    fn write_usize(&mut self, _: usize) {}
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::{
        Outcome,
        tests::{request, token},
    };

    fn record(parts: &Parts, id: TokenId, hours: i64) -> bool {
        parts.with(id, |usage| {
            usage.add(Outcome::Admitted, &request(hours), &|text| text.into());
        })
    }

    #[test]
    fn what_is_busy_or_full_is_passed_by() {
        let mut parts = Parts::new();
        parts.room = 1;
        let all = parts.parts.len();
        let own_part = lock(&parts.parts[own() % all].0);
        assert!(record(&parts, token(0), 1));
        drop(own_part);
        // Its part is known to nobody: it is found again where it is, or begun anew.
        for n in 0..u32::try_from(all).unwrap() - 1 {
            assert!(record(&parts, token(n + 1), 2), "{n}");
        }
        assert_eq!(parts.len(), all);
        assert!(!record(&parts, token(99), 3));
        assert!(record(&parts, token(0), 4));
        assert_eq!(parts.last_uses(token(0)).present.unwrap().at, request(4).at);
        assert_eq!(parts.take().len(), all);
        assert_eq!(parts.len(), 0);
    }

    #[test]
    fn a_token_that_waits_in_two_parts_is_taken_once() {
        let parts = Parts::new();
        assert!(record(&parts, token(1), 2));
        let own_part = lock(&parts.parts[own() % parts.parts.len()].0);
        assert!(record(&parts, token(1), 1));
        drop(own_part);
        assert_eq!(parts.len(), 2);
        assert_eq!(parts.last_uses(token(1)).present.unwrap().at, request(2).at);
        let taken = parts.take();
        assert_eq!(taken.len(), 1);
        assert_eq!(taken[&token(1)].requests(), 2);
        assert_eq!(taken[&token(1)].last.as_ref().unwrap().at, request(2).at);
    }
}
