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
    /// Those with names. Most tokens have none.
    named: Option<Box<Kept>>,
}

#[derive(Debug)]
struct Kept {
    slots: Vec<Named>,
    /// None of them ends before.
    soonest: Timestamp,
}

#[derive(Debug)]
struct Named {
    id: SlotId,
    owner: Owner,
    ends_at: Timestamp,
    _slot: Slot,
}

impl Slots {
    /// How many requests are in flight. Only [`Self::take`] adds to them, so for whoever has
    /// `&mut self` they can only become fewer.
    pub(super) fn in_flight(&self) -> usize {
        let counted = self.counted.as_ref().map_or(0, |counted| Arc::strong_count(counted) - 1);
        // What was done with a slot before it was given back comes before what follows here.
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
        let kept = self
            .named
            .get_or_insert_with(|| Box::new(Kept { slots: Vec::new(), soonest: ends_at }));
        kept.slots.push(Named { id: claim.id, owner: claim.owner, ends_at, _slot: slot });
        kept.soonest = kept.soonest.min(ends_at);
    }

    /// Has the owner's slot last from now on; whether there is one.
    pub(super) fn renew(&mut self, claim: &Claim, now: Timestamp) -> bool {
        let Some(kept) = &mut self.named else { return false };
        let Some(found) = kept.find(claim.id, claim.owner) else { return false };
        let ends_at = now.plus(claim.lasts);
        kept.slots[found].ends_at = ends_at;
        kept.soonest = kept.soonest.min(ends_at);
        true
    }

    /// Gives back the owner's slot; whether there was one.
    pub(super) fn give_back(&mut self, id: SlotId, owner: Owner) -> bool {
        let Some(kept) = &mut self.named else { return false };
        let Some(found) = kept.find(id, owner) else { return false };
        kept.slots.swap_remove(found);
        self.named.take_if(|kept| kept.slots.is_empty());
        true
    }

    /// Gives back the named slots that have ended, and says which they were.
    pub(super) fn end(&mut self, now: Timestamp) -> Vec<SlotId> {
        let Some(kept) = self.named.as_mut().filter(|kept| now >= kept.soonest) else {
            return Vec::new();
        };
        let ended = kept.slots.extract_if(.., |named| now >= named.ends_at);
        let ended = ended.map(|named| named.id).collect();
        match kept.slots.iter().map(|named| named.ends_at).min() {
            Some(soonest) => kept.soonest = soonest,
            None => self.named = None,
        }
        ended
    }
}

impl Kept {
    fn find(&self, id: SlotId, owner: Owner) -> Option<usize> {
        self.slots.iter().position(|named| named.id == id && named.owner == owner)
    }
}
