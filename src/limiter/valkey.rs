//! Limits that several nodes share: what counts is kept by one server, Valkey or Redis, and
//! each decision is one call of a script there.
//!
//! While that server is gone, each node keeps to its part of every limit. For that, what the
//! server grants is counted here as well: so a node that has granted its part already grants no
//! more when the server goes. When the server comes back, it is told of all slots that are held;
//! and one that has forgotten everything is no reason to grant anything alone until all nodes
//! have had time for that.

mod claims;
mod line;
mod script;
#[cfg(test)]
mod tests;

use self::{
    claims::{Claimed, Claims, LASTS, millis},
    line::{Line, Order, Owed, Reach},
    script::{Scripts, Unexpected, member},
};
use crate::{clock, config, entropy};
use anyhow::Context as _;
use counterfoil_core::{
    Timestamp,
    id::SlotId,
    limit::{
        Ask, Claim, Granted, Holds, Key, Limiter as Here, Limits, NoSuchSlot, Owner, Refused, Slot,
    },
};
use redis::{Client, Cmd, TlsCertificates, Value};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::{mpsc, oneshot};

/// How long what was said last may take when the server stops.
const CLOSING: Duration = Duration::from_secs(1);

/// Why nothing became of a slot by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SlotError {
    /// There is none.
    #[error(transparent)]
    NoSuchSlot(#[from] NoSuchSlot),
    /// The server that knows it cannot be asked.
    #[error("slots are shared by a server that cannot be reached")]
    Unreachable,
}

/// There is no answer, and there may never be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Gone;

impl From<Unexpected> for Gone {
    fn from(_: Unexpected) -> Self {
        Self
    }
}

/// For how long at most rates are asked here too, after something was granted of which the
/// server does not know. Milliseconds. Over a whole day few tokens have requests at all nodes.
const MEMORY: i64 = 10 * 60 * 1000;

/// Whether the server is there, and may decide.
#[derive(Debug, Default)]
struct Health {
    is_up: AtomicBool,
    /// Until when the server may not know of all that is held. Milliseconds.
    settled_at: AtomicI64,
    /// When the server was reached, and this node had granted what that did not know of; zero:
    /// never. Milliseconds.
    apart_at: AtomicI64,
    /// How often this node decided alone.
    alone: AtomicU64,
}

impl Health {
    fn went_up(&self, settled_at: Timestamp, apart_at: Option<Timestamp>) {
        self.settled_at.store(settled_at.as_millis(), Ordering::Relaxed);
        if let Some(apart_at) = apart_at {
            self.apart_at.store(apart_at.as_millis(), Ordering::Relaxed);
        }
        self.is_up.store(true, Ordering::Release);
    }

    fn went_down(&self) {
        self.is_up.store(false, Ordering::Release);
    }

    fn is_up(&self) -> bool {
        self.is_up.load(Ordering::Acquire)
    }

    fn is_settled(&self, now: Timestamp) -> bool {
        now.as_millis() >= self.settled_at.load(Ordering::Relaxed)
    }

    /// Whether requests may count here of which the server does not know.
    fn knows_more(&self, limits: &Limits, now: Timestamp) -> bool {
        let memory = limits.memory_millis().min(MEMORY);
        now.as_millis() < self.apart_at.load(Ordering::Relaxed).saturating_add(memory)
    }
}

/// What is shared with the other nodes.
pub(crate) struct Shared(Arc<Parts>);

struct Parts {
    scripts: Arc<Scripts>,
    claims: Arc<Claims>,
    health: Arc<Health>,
    orders: mpsc::UnboundedSender<Order>,
    nodes: u32,
    /// Who takes the slots of requests here: this process, as no other was or will be.
    owner: Owner,
    /// Names for them.
    names: AtomicU64,
}

/// What a request holds: a slot of this node, and one of all nodes.
#[derive(Debug)]
#[must_use = "a slot that nobody keeps is given back at once"]
pub(crate) struct Taken {
    _here: Option<Slot>,
    _there: Option<There>,
}

/// A slot that the server may know of. Whoever drops it gives it back.
struct There {
    parts: Arc<Parts>,
    whose: Key,
    claim: Claim,
    is_named: bool,
    /// Whether the server was asked for it, and has not refused it.
    is_asked: bool,
    /// Whether it is a service's now.
    is_left: bool,
}

impl std::fmt::Debug for There {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("There").field("claim", &self.claim).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Shared").field(&self.0.health).finish()
    }
}

impl Drop for There {
    fn drop(&mut self) {
        if self.is_left {
            return;
        }
        let claimed = self.parts.claims.remove(self.claim.id);
        if claimed.map_or(self.is_asked, |claimed| claimed.is_known) {
            self.parts.let_go(self.whose, &self.claim, self.is_named);
        }
    }
}

impl Shared {
    /// Shares limits by the server that `config` names, from when it was reached, or could not
    /// be: then a line of the log says so, and this node goes on alone until it can.
    pub(crate) async fn open(config: &config::Limiter) -> anyhow::Result<Self> {
        let connection = config.connection().context("limiter.url")?;
        let client = match &config.authorities {
            Some(pem) => {
                let root_cert = Some(pem.clone());
                Client::build_with_tls(connection, TlsCertificates { client_tls: None, root_cert })?
            }
            None => Client::open(connection)?,
        };
        let (scripts, claims) = (Arc::new(Scripts::new(&config.prefix)), Arc::<Claims>::default());
        let (health, nodes) = (Arc::<Health>::default(), config.nodes);
        let (orders, received) = mpsc::unbounded_channel();
        let reach = Reach {
            client,
            name: config.server.to_string(),
            patience: config.patience,
            scripts: scripts.clone(),
            claims: claims.clone(),
        };
        let (tried, hears) = oneshot::channel();
        tokio::spawn(Line::new(reach, health.clone(), received, nodes).run(tried));
        // It is dropped unused.
        let _ = hears.await;
        let (owner, names) = (Owner(entropy::bytes()), AtomicU64::new(0));
        Ok(Self(Arc::new(Parts { scripts, claims, health, orders, nodes, owner, names })))
    }

    /// Says what is still to be said, and nothing more.
    pub(crate) async fn close(&self) {
        let (closed, hears) = oneshot::channel();
        if self.0.orders.send(Order::Close(closed)).is_ok() {
            let _ = tokio::time::timeout(CLOSING, hears).await;
        }
    }

    /// Whether the server is there.
    pub(crate) fn is_up(&self) -> bool {
        self.0.health.is_up()
    }

    /// How often this node has decided alone.
    pub(crate) fn decided_alone(&self) -> u64 {
        self.0.health.alone.load(Ordering::Relaxed)
    }

    /// Decides without the server, where it is gone.
    pub(crate) fn decide_alone(
        &self,
        here: &Here,
        ask: &Ask<'_>,
    ) -> Option<Result<Granted<Taken>, Refused>> {
        (!self.is_up()).then(|| self.alone(here, ask, self.there(ask)))
    }

    /// Decides about a request, and counts it if it is granted.
    pub(crate) async fn decide(
        &self,
        here: &Here,
        ask: &Ask<'_>,
    ) -> Result<Granted<Taken>, Refused> {
        if let Some(decided) = self.decide_alone(here, ask) {
            return decided;
        }
        // Before it could know of all that is held, the server may only say no.
        let now = clock::counting();
        let limits = if !self.0.health.is_settled(now) {
            Some(ask.limits.divided(self.0.nodes))
        } else if self.0.health.knows_more(ask.limits, now) {
            Some(ask.limits.rates_divided(self.0.nodes))
        } else {
            None
        };
        let part = match limits {
            Some(limits) => Some(here.decide(&Ask { limits: &limits, ..*ask }, now)?),
            None => None,
        };
        let mut there = self.there(ask);
        let decided = self.ask(ask, there.as_mut()).await;
        match (decided, part) {
            (Ok(Ok(standings)), part) => {
                if let Some(there) = &mut there {
                    there.keep_up();
                }
                // It is counted here for the time when the server is gone. Whether there is
                // room for it is the server's to say, and was said.
                let part = part.or_else(|| here.decide(ask, now).ok());
                let slot = part.and_then(|part| part.slot);
                Ok(Granted { slot: taken(ask, slot, there), standings })
            }
            (Ok(Err(refused)), part) => {
                if let Some(there) = &mut there {
                    there.is_asked = false;
                }
                if let (Some(_), Holds::Named(claim)) = (part, ask.holds) {
                    // Who counts them has none of this name then, which is as well.
                    let _ = here.give_back(claim.id, claim.owner, now);
                }
                Err(refused)
            }
            (Err(Gone), Some(part)) => {
                self.0.health.alone.fetch_add(1, Ordering::Relaxed);
                if let Some(there) = &mut there {
                    there.keep_up();
                }
                Ok(Granted { slot: taken(ask, part.slot, there), standings: part.standings })
            }
            (Err(Gone), None) => self.alone(here, ask, there),
        }
    }

    /// Has a named slot last for so long from now on.
    pub(crate) async fn renew(&self, here: &Here, claim: &Claim) -> Result<(), SlotError> {
        let now = clock::counting();
        match self.renew_there(claim).await {
            Ok(Some(whose)) => {
                let claimed = Claimed {
                    whose,
                    owner: claim.owner,
                    ends_at: Some(now.plus(claim.lasts)),
                    is_known: true,
                };
                self.0.claims.insert(claim.id, claimed);
                // It may have been taken at another node.
                let _ = here.renew(claim, now);
                Ok(())
            }
            Ok(None) => {
                self.0.claims.remove_of(claim.id, claim.owner);
                let _ = here.give_back(claim.id, claim.owner, now);
                Err(NoSuchSlot.into())
            }
            Err(Gone) => {
                let claimed = self.0.claims.find(claim.id, claim.owner);
                let claimed = claimed.ok_or(SlotError::Unreachable)?;
                here.renew(claim, now)?;
                let ends_at = Some(now.plus(claim.lasts));
                self.0.claims.insert(claim.id, Claimed { ends_at, ..claimed });
                Ok(())
            }
        }
    }

    async fn renew_there(&self, claim: &Claim) -> Result<Option<Key>, Gone> {
        let parts = &*self.0;
        let taken_here = parts.claims.find(claim.id, claim.owner);
        let whose = match taken_here {
            Some(claimed) => claimed.whose,
            None => match script::found(parts.ask(parts.scripts.whose(claim.id)).await?)? {
                Some(whose) => whose,
                None => return Ok(None),
            },
        };
        let (slot, lasts) = (member(claim.owner, claim.id), millis(claim.lasts));
        // What was granted alone is the server's to learn of.
        let must_exist = taken_here.is_none_or(|claimed| claimed.is_known);
        let renew = parts.scripts.renew(whose, &[slot], lasts, must_exist);
        let renewed = script::counted(&parts.ask(renew).await?)? > 0 || !must_exist;
        if renewed {
            parts.tell(parts.scripts.note(claim.id, whose, lasts));
        }
        Ok(renewed.then_some(whose))
    }

    /// Gives back a named slot.
    pub(crate) async fn give_back(
        &self,
        here: &Here,
        id: SlotId,
        owner: Owner,
    ) -> Result<(), SlotError> {
        let now = clock::counting();
        let given_back = self.give_back_there(id, owner).await;
        let claimed = self.0.claims.remove_of(id, owner);
        let Ok(was_known) = given_back else {
            let claimed = claimed.ok_or(SlotError::Unreachable)?;
            if claimed.is_known {
                let claim = Claim { id, owner, lasts: LASTS };
                self.0.let_go(claimed.whose, &claim, true);
            }
            return Ok(here.give_back(id, owner, now)?);
        };
        let taken_here = here.give_back(id, owner, now);
        // What was granted alone, the server need not have heard of.
        let is_known = claimed.is_none_or(|claimed| claimed.is_known);
        if was_known || (!is_known && taken_here.is_ok()) { Ok(()) } else { Err(NoSuchSlot.into()) }
    }

    async fn give_back_there(&self, id: SlotId, owner: Owner) -> Result<bool, Gone> {
        let parts = &*self.0;
        let whose = match parts.claims.find(id, owner) {
            Some(claimed) => Some(claimed.whose),
            None => script::found(parts.ask(parts.scripts.whose(id)).await?)?,
        };
        let Some(whose) = whose else { return Ok(false) };
        let give_back = parts.scripts.give_back(whose, &member(owner, id));
        let was_there = script::counted(&parts.ask(give_back).await?)? > 0;
        if was_there {
            parts.tell(parts.scripts.forget(id));
        }
        Ok(was_there)
    }

    /// What a request would hold at the server.
    fn there(&self, ask: &Ask<'_>) -> Option<There> {
        ask.in_flight()?;
        let (claim, is_named) = match ask.holds {
            Holds::Nothing => return None,
            Holds::Slot => {
                let mut id = [0; 16];
                let number = self.0.names.fetch_add(1, Ordering::Relaxed);
                id[8..].copy_from_slice(&number.to_be_bytes());
                let id = SlotId::from_bytes(id);
                (Claim { id, owner: self.0.owner, lasts: LASTS }, false)
            }
            Holds::Named(claim) => (claim, true),
        };
        let parts = self.0.clone();
        Some(There { parts, whose: ask.whose, claim, is_named, is_asked: false, is_left: false })
    }

    /// Asks the server.
    async fn ask(
        &self,
        ask: &Ask<'_>,
        there: Option<&mut There>,
    ) -> Result<Result<counterfoil_core::limit::Standings, Refused>, Gone> {
        let parts = &*self.0;
        let in_flight = ask.in_flight();
        let (slot, lasts, named) = match there {
            Some(there) => {
                // From here on it may hold it, also if nobody waits for the answer.
                there.is_asked = true;
                let claim = &there.claim;
                let named = there.is_named.then_some(claim.id);
                (member(claim.owner, claim.id), millis(claim.lasts), named)
            }
            None => ([0; 32], 0, None),
        };
        let call = parts.scripts.decide(ask.whose, ask.limits, in_flight, &slot, lasts);
        let answer = parts.send(call)?;
        let noted = match named {
            // Said at once, so that it takes no longer.
            Some(id) => Some(parts.send(parts.scripts.note(id, ask.whose, lasts))?),
            None => None,
        };
        let decided = script::decided(ask.limits, answer.await.map_err(|_| Gone)?)?;
        if let (Some(noted), Some(id)) = (noted, named) {
            if decided.is_err() {
                parts.tell(parts.scripts.forget(id));
            } else {
                noted.await.map_err(|_| Gone)?;
            }
        }
        Ok(decided)
    }

    /// Grants this node's part.
    fn alone(
        &self,
        here: &Here,
        ask: &Ask<'_>,
        there: Option<There>,
    ) -> Result<Granted<Taken>, Refused> {
        self.0.health.alone.fetch_add(1, Ordering::Relaxed);
        let limits = ask.limits.divided(self.0.nodes);
        let part = here.decide(&Ask { limits: &limits, ..*ask }, clock::counting())?;
        if let Some(there) = &there {
            there.keep_up();
        }
        Ok(Granted { slot: taken(ask, part.slot, there), standings: part.standings })
    }
}

/// What a request holds, of which a service's slot is its own to give back.
fn taken(ask: &Ask<'_>, here: Option<Slot>, there: Option<There>) -> Option<Taken> {
    match (ask.holds, there) {
        (Holds::Slot, there @ Some(_)) => Some(Taken { _here: here, _there: there }),
        (Holds::Named(_), Some(there)) => {
            there.leave();
            None
        }
        _ => None,
    }
}

impl There {
    /// Has the slot renewed as long as it is held, and told to a server that forgot it.
    fn keep_up(&self) {
        let ends_at = self.is_named.then(|| clock::counting().plus(self.claim.lasts));
        let claimed = Claimed {
            whose: self.whose,
            owner: self.claim.owner,
            ends_at,
            is_known: self.is_asked,
        };
        self.parts.claims.insert(self.claim.id, claimed);
    }

    /// Leaves the slot to the service whose it is.
    fn leave(mut self) {
        self.is_left = true;
    }
}

impl Parts {
    fn send(&self, call: Cmd) -> Result<oneshot::Receiver<Value>, Gone> {
        let (answer, answered) = oneshot::channel();
        self.orders.send(Order::Ask { call, answer }).map_err(|_| Gone)?;
        Ok(answered)
    }

    async fn ask(&self, call: Cmd) -> Result<Value, Gone> {
        if !self.health.is_up() {
            return Err(Gone);
        }
        self.send(call)?.await.map_err(|_| Gone)
    }

    fn tell(&self, call: Cmd) {
        // Where nobody says anything any more, it ends by itself.
        let _ = self.orders.send(Order::Tell(call));
    }

    fn let_go(&self, whose: Key, claim: &Claim, is_named: bool) {
        let slot = member(claim.owner, claim.id);
        let named = is_named.then_some(claim.id);
        let _ = self.orders.send(Order::LetGo(Owed { whose, slot, named }));
    }
}
