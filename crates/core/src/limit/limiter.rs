//! The limiter of one node: a bounded table of the tokens that are active.

use super::{
    Ask, Claim, Granted, Holds, Key, Owner, Refused,
    rate::Rate,
    slots::{Slot, Slots},
    steady::Steady,
    window::{self, Window},
};
use crate::{Timestamp, id::SlotId, index::hash::ByTail, time::Seconds};
use std::{
    collections::{HashMap, hash_map},
    hash::BuildHasher,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Two threads seldom want the same.
const SHARDS: usize = 64;

/// How often a shard that is in use looks for what is over.
const LOOKS: Seconds = Seconds(60);
/// How often at most, also when it is full.
const LOOKS_AT_MOST: Seconds = Seconds(1);

/// Counts requests of tokens whose APIs have limits, in memory, for all threads of one node.
///
/// A token is here from its first request until nothing of it counts any more: nothing is in
/// flight, and its windows have passed. What is over is looked for by whoever asks, a shard at
/// a time: once a minute, and when a shard has doubled. There are never more tokens than
/// [`Limiter::new`] was told; one more is refused, and those that are here go on.
#[derive(Debug)]
pub struct Limiter {
    shards: Box<[Mutex<Shard>]>,
    /// Whose the named slots are. Locked after a shard, never before.
    named: Mutex<HashMap<SlotId, Key, ByTail>>,
    /// How many tokens a shard has at most.
    most: usize,
}

/// There is no such slot: it was never taken, has ended, was given back, or is somebody else's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is no such slot, or no longer")]
pub struct NoSuchSlot;

#[derive(Debug)]
struct Shard {
    entries: HashMap<Key, Entry, ByTail>,
    steady: Steady,
    looked_at: Timestamp,
    /// With so many entries, some are likely to be over.
    look_when: usize,
}

/// An active token. With its id, a cache line.
#[derive(Debug)]
struct Entry {
    slots: Slots,
    rates: Arc<Vec<Rate>>,
    windows: Box<[Window]>,
    /// When the windows have nothing left.
    passed_at: Timestamp,
}

impl Limiter {
    /// A limiter for so many active tokens at once.
    pub fn new(most: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::new(Shard::default())).collect(),
            named: Mutex::default(),
            most: most.div_ceil(SHARDS).max(1),
        }
    }

    /// Decides about a request, and counts it if it is granted. One that is refused counts
    /// nowhere.
    pub fn decide(&self, ask: &Ask<'_>, now: Timestamp) -> Result<Granted<Slot>, Refused> {
        let in_flight = ask.in_flight();
        if in_flight.is_none() && ask.limits.rates.is_empty() {
            return Ok(Granted::default());
        }
        let mut shard = self.shard(ask.whose);
        let now = shard.steady.at(now);
        if shard.is_due(now) {
            self.look_through(&mut shard, now);
        }
        let is_full = shard.entries.len() >= self.most;
        let entry = match shard.entries.entry(ask.whose) {
            hash_map::Entry::Occupied(entry) => entry.into_mut(),
            hash_map::Entry::Vacant(_) if is_full => return Err(Refused::Full),
            hash_map::Entry::Vacant(entry) => entry.insert(Entry::new(&ask.limits.rates, now)),
        };
        entry.adopt(&ask.limits.rates, now);

        let judged = window::judge(&entry.rates, &mut entry.windows, now)?;
        if let Some(most) = in_flight
            && entry.slots.in_flight() >= most as usize
        {
            self.forget(&entry.slots.end(now));
            if entry.slots.in_flight() >= most as usize {
                return Err(Refused::TooManyInFlight);
            }
        }
        let standings = window::grant(&entry.rates, &mut entry.windows, judged);
        let memory = entry.rates.iter().map(Rate::memory_millis).max().unwrap_or(0);
        entry.passed_at = Timestamp::from_millis(now.as_millis().saturating_add(memory));
        let slot = match (in_flight, &ask.holds) {
            (None, _) | (_, Holds::Nothing) => None,
            (_, Holds::Slot) => Some(entry.slots.take()),
            (_, Holds::Named(claim)) => {
                entry.slots.keep(claim, now);
                lock(&self.named).insert(claim.id, ask.whose);
                None
            }
        };
        Ok(Granted { slot, standings })
    }

    /// Has a named slot last for so long from now on.
    pub fn renew(&self, claim: &Claim, now: Timestamp) -> Result<(), NoSuchSlot> {
        self.with_named(claim.id, now, |slots, now| slots.renew(claim, now))
    }

    /// Gives back a named slot.
    pub fn give_back(&self, id: SlotId, owner: Owner, now: Timestamp) -> Result<(), NoSuchSlot> {
        self.with_named(id, now, |slots, _| slots.give_back(id, owner))?;
        self.forget(&[id]);
        Ok(())
    }

    /// How many of a token's requests are in flight.
    pub fn in_flight(&self, whose: Key, now: Timestamp) -> usize {
        let mut shard = self.shard(whose);
        let now = shard.steady.at(now);
        let Some(entry) = shard.entries.get_mut(&whose) else { return 0 };
        self.forget(&entry.slots.end(now));
        entry.slots.in_flight()
    }

    /// How many tokens are here.
    pub fn active(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).entries.len()).sum()
    }

    /// How many slots there are by name, those among them that have ended unnoticed.
    pub fn named(&self) -> usize {
        lock(&self.named).len()
    }

    /// Lets go of what is over in all shards, also in those that nobody asks any more.
    pub fn look_through_all(&self, now: Timestamp) {
        for shard in &self.shards {
            let mut shard = lock(shard);
            let now = shard.steady.at(now);
            self.look_through(&mut shard, now);
        }
    }

    fn look_through(&self, shard: &mut Shard, now: Timestamp) {
        shard.entries.retain(|_, entry| {
            self.forget(&entry.slots.end(now));
            now < entry.passed_at || entry.slots.in_flight() > 0
        });
        let left = shard.entries.len();
        if shard.entries.capacity() > 64.max(left * 4) {
            shard.entries.shrink_to(left * 2);
        }
        shard.looked_at = now;
        shard.look_when = 64.max(left * 2).min(self.most);
    }

    /// Does something to the slots among which the one of this name is.
    fn with_named(
        &self,
        id: SlotId,
        now: Timestamp,
        act: impl FnOnce(&mut Slots, Timestamp) -> bool,
    ) -> Result<(), NoSuchSlot> {
        let whose = *lock(&self.named).get(&id).ok_or(NoSuchSlot)?;
        let mut shard = self.shard(whose);
        let now = shard.steady.at(now);
        let slots = &mut shard.entries.get_mut(&whose).ok_or(NoSuchSlot)?.slots;
        self.forget(&slots.end(now));
        if act(slots, now) { Ok(()) } else { Err(NoSuchSlot) }
    }

    fn forget(&self, ended: &[SlotId]) {
        if ended.is_empty() {
            return;
        }
        let mut named = lock(&self.named);
        for id in ended {
            named.remove(id);
        }
        if named.capacity() > 64.max(named.len() * 4) {
            let left = named.len();
            named.shrink_to(left * 2);
        }
    }

    fn shard(&self, whose: Key) -> MutexGuard<'_, Shard> {
        // Not the bits that a shard's map looks at.
        let hash = ByTail::default().hash_one(whose) >> 32;
        lock(&self.shards[hash as usize % SHARDS])
    }
}

impl Default for Shard {
    fn default() -> Self {
        Self {
            entries: HashMap::default(),
            steady: Steady::default(),
            looked_at: Timestamp::from_millis(i64::MIN),
            look_when: 0,
        }
    }
}

impl Shard {
    fn is_due(&self, now: Timestamp) -> bool {
        let is_crowded = self.entries.len() >= self.look_when;
        now >= self.looked_at.plus(if is_crowded { LOOKS_AT_MOST } else { LOOKS })
    }
}

impl Entry {
    fn new(rates: &Arc<Vec<Rate>>, now: Timestamp) -> Self {
        Self {
            slots: Slots::default(),
            rates: rates.clone(),
            windows: rates.iter().map(|rate| Window::new(rate, now)).collect(),
            passed_at: now,
        }
    }

    /// Counts by these rates from now on. A window of a length that was there before goes on;
    /// one that is new begins with nothing in it.
    fn adopt(&mut self, rates: &Arc<Vec<Rate>>, now: Timestamp) {
        if Arc::ptr_eq(&self.rates, rates) {
            return;
        }
        if self.rates != *rates {
            let windows = rates.iter().map(|rate| {
                let mut known = self.rates.iter().zip(&self.windows);
                match known.find(|(known, _)| known.per() == rate.per()) {
                    Some((known, window)) if known == rate => window.clone(),
                    Some((_, window)) => window.clone().repaced(),
                    None => Window::new(rate, now),
                }
            });
            self.windows = windows.collect();
        }
        self.rates = rates.clone();
    }
}

/// What a thread that panicked left behind is counters, and each of them is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_active_token_is_small() {
        assert_eq!(size_of::<(Key, Entry)>(), 64);
    }
}
