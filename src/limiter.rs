//! Limits as this node enforces them: one value for the process, whatever configuration holds.
//!
//! What decides is `counterfoil_core::limit`. Here is the clock that it is asked with, how
//! much it may remember, and what is known of it outside.

use crate::clock;
use counterfoil_core::{
    id::SlotId,
    limit::{Ask, Claim, Granted, Limiter as Here, NoSuchSlot, Owner, Refused, Slot},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio_util::sync::CancellationToken;

/// How many tokens may be active at once: one more is refused with 503. Each takes some 150
/// bytes, and 140 more for each rate, for as long as anything counts against it. Only tokens
/// that are admitted get here, so that nobody fills it who has none.
const ACTIVE: usize = 4_000_000;

/// How often what is over is let go of where nobody asks any more.
const LOOK_EVERY: Duration = Duration::from_mins(1);

/// Decides what goes beyond the limits of APIs.
#[derive(Debug)]
pub(crate) struct Limiter {
    here: Here,
    in_use: Arc<AtomicUsize>,
}

/// A slot that a request holds. Whoever drops it gives it back.
#[derive(Debug)]
#[must_use = "a slot that nobody keeps is given back at once"]
pub(crate) enum Held {
    /// One of this node's.
    Here(#[expect(dead_code, reason = "that it is there is what counts")] Slot, InUse),
}

/// One of the slots that are counted as in use.
#[derive(Debug)]
pub(crate) struct InUse(Arc<AtomicUsize>);

impl Drop for InUse {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Default for Limiter {
    fn default() -> Self {
        Self { here: Here::new(ACTIVE), in_use: Arc::default() }
    }
}

impl Limiter {
    /// Decides about a request and counts it if it is granted, where nobody else has to be
    /// asked for that. For whoever cannot wait.
    pub(crate) fn decide_here(&self, ask: &Ask<'_>) -> Option<Result<Granted<Held>, Refused>> {
        let decided = self.here.decide(ask, clock::counting());
        Some(decided.map(|Granted { slot, standings }| {
            let slot = slot.map(|slot| {
                self.in_use.fetch_add(1, Ordering::Relaxed);
                Held::Here(slot, InUse(self.in_use.clone()))
            });
            Granted { slot, standings }
        }))
    }

    /// Decides about a request, and counts it if it is granted. One that is refused counts
    /// nowhere.
    pub(crate) async fn decide(&self, ask: &Ask<'_>) -> Result<Granted<Held>, Refused> {
        match self.decide_here(ask) {
            Some(decided) => decided,
            // Nothing is shared yet.
            None => Err(Refused::Full),
        }
    }

    /// Has a named slot last for so long from now on.
    pub(crate) async fn renew(&self, claim: &Claim) -> Result<(), NoSuchSlot> {
        self.here.renew(claim, clock::counting())
    }

    /// Gives back a named slot.
    pub(crate) async fn give_back(&self, id: SlotId, owner: Owner) -> Result<(), NoSuchSlot> {
        self.here.give_back(id, owner, clock::counting())
    }

    /// How many tokens are remembered because something counts against them.
    pub(crate) fn active(&self) -> usize {
        self.here.active()
    }

    /// How many slots are held by requests at the gateway.
    pub(crate) fn in_use(&self) -> usize {
        self.in_use.load(Ordering::Relaxed)
    }

    /// How many slots are held by services.
    pub(crate) fn named(&self) -> usize {
        self.here.named()
    }

    /// Lets go of what is over, as long as anybody may ask.
    pub(crate) async fn keep(self: Arc<Self>, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        loop {
            tokio::select! {
                _ = ticks.tick() => self.here.look_through_all(clock::counting()),
                () = stop.cancelled() => return,
            }
        }
    }
}
