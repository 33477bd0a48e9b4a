//! The slots of one token: requests in flight, each a value that is somewhere, or a promise
//! under a name.

use super::{Claim, Owner};
use crate::{Timestamp, id::SlotId};
use std::sync::{
    Arc,
    atomic::{Ordering, fence},
};

/// A request in flight. Whoever drops it gives the slot back: once, since it cannot be copied.
#[derive(Debug)]
#[must_use = "a slot that nobody keeps is given back at once"]
pub struct Slot(#[expect(dead_code, reason = "that it is there is what counts")] Arc<()>);

/// The slots of one token.
#[derive(Debug, Default)]
pub(super) struct Slots {
    /// Each slot is a reference to it, so that there are as many as are counted. Absent
    /// before the first.
    counted: Option<Arc<()>>,
    named: Vec<Named>,
    /// No named slot ends before.
    soonest: Option<Timestamp>,
}

#[derive(Debug)]
struct Named {
    id: SlotId,
    owner: Owner,
    ends_at: Timestamp,
    _slot: Slot,
}

impl Slots {
    /// How many requests are in flight. Only [`Self::take`] adds to them, so with `&mut self`
    /// they can only have become fewer.
    pub(super) fn in_flight(&self) -> usize {
        let counted = self.counted.as_ref().map_or(0, |counted| Arc::strong_count(counted) - 1);
        // What whoever gave a slot back did before comes before what follows here.
        fence(Ordering::Acquire);
        counted
    }

    /// Takes a slot, whatever the limit.
    pub(super) fn take(&mut self) -> Slot {
        Slot(self.counted.get_or_insert_default().clone())
    }

    /// Takes a slot that is kept here under a name.
    pub(super) fn keep(&mut self, claim: &Claim, now: Timestamp) {
        let ends_at = now.plus(claim.lasts);
        let slot = self.take();
        self.named.push(Named { id: claim.id, owner: claim.owner, ends_at, _slot: slot });
        self.soonest = Some(self.soonest.map_or(ends_at, |soonest| soonest.min(ends_at)));
    }

    /// Has the owner's slot last from now on; whether there is one.
    pub(super) fn renew(&mut self, claim: &Claim, now: Timestamp) -> bool {
        let ends_at = now.plus(claim.lasts);
        let Some(named) = self.named.iter_mut().find(|named| named.is(claim.id, claim.owner))
        else {
            return false;
        };
        named.ends_at = ends_at;
        self.soonest = self.soonest.map(|soonest| soonest.min(ends_at));
        true
    }

    /// Gives back the owner's slot; whether there was one.
    pub(super) fn give_back(&mut self, id: SlotId, owner: Owner) -> bool {
        let found = self.named.iter().position(|named| named.is(id, owner));
        found.map(|found| self.named.swap_remove(found)).is_some()
    }

    /// Gives back the named slots that have ended, and says which they were.
    pub(super) fn end(&mut self, now: Timestamp) -> Vec<SlotId> {
        if self.soonest.is_none_or(|soonest| now < soonest) {
            return Vec::new();
        }
        let ended = self.named.extract_if(.., |named| now >= named.ends_at);
        let ended = ended.map(|named| named.id).collect();
        self.soonest = self.named.iter().map(|named| named.ends_at).min();
        ended
    }
}

impl Named {
    fn is(&self, id: SlotId, owner: Owner) -> bool {
        self.id == id && self.owner == owner
    }
}
