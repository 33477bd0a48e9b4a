//! Limits as this node enforces them: one value for the process, whatever configuration holds.
//!
//! What decides is `counterfoil_core::limit`. Here is the clock that it is asked with, how
//! much it may remember, and what is known of it outside.

mod valkey;

pub(crate) use valkey::SlotError;

use self::valkey::{Shared, Taken};
use crate::{clock, config};
use counterfoil_core::{
    id::SlotId,
    limit::{Ask, Claim, Granted, Limiter as Here, Owner, Refused, Slot},
};
use std::{
    sync::{
        Arc, OnceLock,
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
    /// What several nodes share, if this is one of them.
    shared: OnceLock<Shared>,
    in_use: Arc<AtomicUsize>,
}

/// A slot that a request holds. Whoever drops it gives it back.
#[derive(Debug)]
#[must_use = "a slot that nobody keeps is given back at once"]
#[expect(dead_code, reason = "that it is there is what counts")]
pub(crate) enum Held {
    /// One of this node's.
    Here(Slot, InUse),
    /// One of all nodes'.
    Shared(Box<Taken>, InUse),
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
        Self { here: Here::new(ACTIVE), shared: OnceLock::new(), in_use: Arc::default() }
    }
}

impl Limiter {
    /// Has limits shared by the server that `config` names.
    pub(crate) async fn share(&self, config: &config::Limiter) -> anyhow::Result<()> {
        let shared = Shared::open(config).await?;
        // A limiter is shared once, when the server starts.
        let _ = self.shared.set(shared);
        Ok(())
    }

    /// Tells the others that what was held here is held no longer.
    pub(crate) async fn close(&self) {
        if let Some(shared) = self.shared.get() {
            shared.close().await;
        }
    }

    /// Decides about a request and counts it if it is granted, where nobody else has to be
    /// asked for that. For whoever cannot wait.
    pub(crate) fn decide_here(&self, ask: &Ask<'_>) -> Option<Result<Granted<Held>, Refused>> {
        match self.shared_for(ask) {
            None => {
                let decided = self.here.decide(ask, clock::counting());
                Some(decided.map(|granted| self.held(granted, Held::Here)))
            }
            Some(shared) => {
                let decided = shared.decide_alone(&self.here, ask)?;
                Some(decided.map(|granted| {
                    self.held(granted, |taken, in_use| Held::Shared(Box::new(taken), in_use))
                }))
            }
        }
    }

    /// Decides about a request, and counts it if it is granted. One that is refused counts
    /// nowhere.
    pub(crate) async fn decide(&self, ask: &Ask<'_>) -> Result<Granted<Held>, Refused> {
        match self.shared_for(ask) {
            None => {
                let granted = self.here.decide(ask, clock::counting())?;
                Ok(self.held(granted, Held::Here))
            }
            Some(shared) => {
                // On the heap, so that where nothing is shared requests need not make room.
                let granted = Box::pin(shared.decide(&self.here, ask)).await?;
                Ok(self.held(granted, |taken, in_use| Held::Shared(Box::new(taken), in_use)))
            }
        }
    }

    /// What is shared, where this request would count there.
    fn shared_for(&self, ask: &Ask<'_>) -> Option<&Shared> {
        let counts = ask.in_flight().is_some() || !ask.limits.rates().is_empty();
        self.shared.get().filter(|_| counts)
    }

    fn held<S>(&self, granted: Granted<S>, held: fn(S, InUse) -> Held) -> Granted<Held> {
        let Granted { slot, standings } = granted;
        let slot = slot.map(|slot| {
            self.in_use.fetch_add(1, Ordering::Relaxed);
            held(slot, InUse(self.in_use.clone()))
        });
        Granted { slot, standings }
    }

    /// Has a named slot last for so long from now on.
    pub(crate) async fn renew(&self, claim: &Claim) -> Result<(), SlotError> {
        match self.shared.get() {
            Some(shared) => shared.renew(&self.here, claim).await,
            None => Ok(self.here.renew(claim, clock::counting())?),
        }
    }

    /// Gives back a named slot.
    pub(crate) async fn give_back(&self, id: SlotId, owner: Owner) -> Result<(), SlotError> {
        match self.shared.get() {
            Some(shared) => shared.give_back(&self.here, id, owner).await,
            None => Ok(self.here.give_back(id, owner, clock::counting())?),
        }
    }

    /// Whether the server is there by which limits are shared; none, where they are not.
    pub(crate) fn shared_up(&self) -> Option<bool> {
        self.shared.get().map(Shared::is_up)
    }

    /// How often this node decided alone, because that server was not there.
    pub(crate) fn decided_alone(&self) -> u64 {
        self.shared.get().map_or(0, Shared::decided_alone)
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
