//! The slots that this process has taken of the server, and must keep up.

use super::script::{Member, member};
use counterfoil_core::{
    Timestamp,
    id::SlotId,
    limit::{Key, Owner},
    time::Seconds,
};
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Two threads seldom want the same.
const SHARDS: usize = 32;

/// For how long a slot of a request lasts that is not renewed.
pub(super) const LASTS: Seconds = Seconds(30);

/// A slot that was taken here.
#[derive(Debug, Clone, Copy)]
pub(super) struct Claimed {
    pub(super) whose: Key,
    pub(super) owner: Owner,
    /// When it ends, where its holder is a service that has to renew it; a request's lasts as
    /// long as the request.
    pub(super) ends_at: Option<Timestamp>,
    /// Whether the server may know of it.
    pub(super) is_known: bool,
}

/// Slots of one token, to be renewed for the same time.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) whose: Key,
    pub(super) millis: i64,
    pub(super) slots: Vec<Member>,
    /// The name, where it is a service's.
    pub(super) named: Option<SlotId>,
}

/// Which slots are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    /// All: the server may have forgotten them.
    All,
    /// Those of requests, and whatever the server does not know of.
    OfRequests,
}

/// All slots that were taken here.
#[derive(Debug)]
pub(super) struct Claims {
    shards: [Mutex<HashMap<SlotId, Claimed>>; SHARDS],
}

impl Default for Claims {
    fn default() -> Self {
        Self { shards: std::array::from_fn(|_| Mutex::default()) }
    }
}

impl Claims {
    /// Keeps a slot up from now on.
    pub(super) fn insert(&self, id: SlotId, claimed: Claimed) {
        self.shard(id).insert(id, claimed);
    }

    /// Keeps it up no longer.
    pub(super) fn remove(&self, id: SlotId) -> Option<Claimed> {
        self.shard(id).remove(&id)
    }

    /// Keeps it up no longer, if it is this owner's.
    pub(super) fn remove_of(&self, id: SlotId, owner: Owner) -> Option<Claimed> {
        let mut shard = self.shard(id);
        shard.get(&id).filter(|claimed| claimed.owner == owner)?;
        shard.remove(&id)
    }

    /// A slot of this owner's.
    pub(super) fn find(&self, id: SlotId, owner: Owner) -> Option<Claimed> {
        self.shard(id).get(&id).filter(|claimed| claimed.owner == owner).copied()
    }

    /// Whether this slot is kept up still.
    pub(super) fn holds(&self, slot: &Member) -> bool {
        let (_, id) = slot.split_at(16);
        let Ok(id) = id.try_into().map(SlotId::from_bytes) else { return false };
        self.shard(id).contains_key(&id)
    }

    /// What is to be renewed: from now on the server may know of it. Slots of services that have
    /// ended are forgotten.
    pub(super) fn due(&self, which: Which, now: Timestamp) -> Vec<Due> {
        let mut requests: HashMap<Key, Vec<Member>> = HashMap::new();
        let mut all = Vec::new();
        for shard in &self.shards {
            lock(shard).retain(|id, claimed| {
                let slot = member(claimed.owner, *id);
                match claimed.ends_at {
                    None => requests.entry(claimed.whose).or_default().push(slot),
                    Some(ends_at) if ends_at <= now => return false,
                    Some(_) if which == Which::OfRequests && claimed.is_known => return true,
                    Some(ends_at) => all.push(Due {
                        whose: claimed.whose,
                        millis: ends_at.as_millis().saturating_sub(now.as_millis()),
                        slots: vec![slot],
                        named: Some(*id),
                    }),
                }
                claimed.is_known = true;
                true
            });
        }
        let millis = millis(LASTS);
        let of = |(whose, slots)| Due { whose, millis, slots, named: None };
        all.extend(requests.into_iter().map(of));
        all
    }

    fn shard(&self, id: SlotId) -> MutexGuard<'_, HashMap<SlotId, Claimed>> {
        // Names end in what is drawn, or counted.
        lock(&self.shards[usize::from(id.as_bytes()[15]) % SHARDS])
    }
}

/// So many milliseconds.
pub(super) fn millis(span: Seconds) -> i64 {
    i64::try_from(span.0.saturating_mul(1000)).unwrap_or(i64::MAX)
}

/// Each change to a shard is whole, also where a thread panicked.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use counterfoil_core::id::TokenId;

    const OWNER: Owner = Owner([7; 16]);

    fn slot(number: u8) -> SlotId {
        SlotId::from_bytes([number; 16])
    }

    #[test]
    fn what_is_renewed_and_what_is_told() {
        let claims = Claims::default();
        let whose = Key::from(TokenId::from_bytes([1; 16]));
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1000);
        for (number, ends_at, is_known) in [
            (1, None, true),
            (2, None, false),
            (3, Some(at(60)), true),
            (4, Some(at(60)), false),
            (5, Some(at(10)), false),
        ] {
            let claimed = Claimed { whose, owner: OWNER, ends_at, is_known };
            claims.insert(slot(number), claimed);
        }
        let due = |which| {
            let mut due = claims.due(which, at(20));
            due.sort_by_key(|due| (due.slots.len(), due.named));
            for due in &mut due {
                due.slots.sort_unstable();
            }
            due
        };
        let of = |numbers: &[u8], named, millis| {
            let slots = numbers.iter().map(|&number| member(OWNER, slot(number))).collect();
            Due { whose, millis, slots, named }
        };
        // A service renews its own; the fifth has ended.
        let requests = of(&[1, 2], None, 30_000);
        let unheard = of(&[4], Some(slot(4)), 40_000);
        assert_eq!(due(Which::OfRequests), [unheard, requests]);
        assert!(claims.find(slot(2), OWNER).is_some_and(|claimed| claimed.is_known));
        assert!(claims.find(slot(5), OWNER).is_none());
        // By now the server has heard of the fourth.
        assert_eq!(due(Which::OfRequests), [of(&[1, 2], None, 30_000)]);
        let named = [3, 4].map(|number| of(&[number], Some(slot(number)), 40_000));
        let [third, fourth] = named;
        assert_eq!(due(Which::All), [third, fourth, of(&[1, 2], None, 30_000)]);

        assert!(claims.holds(&member(OWNER, slot(1))));
        assert!(claims.remove_of(slot(1), Owner([8; 16])).is_none(), "it is not theirs");
        assert!(claims.remove(slot(1)).is_some());
        assert!(!claims.holds(&member(OWNER, slot(1))));
        assert!(claims.remove(slot(1)).is_none());
    }
}
