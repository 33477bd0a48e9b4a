//! A real server: its scripts against the limiter of one node, and what nodes do that share it.

mod gone;
mod nodes;
mod scripts;

use super::{Shared, SlotError, Taken};
use crate::{clock, config, entropy};
use counterfoil_core::{
    Timestamp,
    id::{SlotId, TokenId},
    limit::{Ask, Claim, Granted, Holds, Key, Limiter as Here, Limits, Owner, Refused},
    time::Seconds,
};
use counterfoil_support::{process::PATIENCE, redis::Redis};
use std::time::Duration;

/// How many nodes share what is granted.
const NODES: u32 = 3;

/// A node, as far as limits go.
struct Node {
    shared: Shared,
    here: Here,
}

impl Node {
    async fn of(server: &Redis) -> Self {
        Self::with(&settings(server)).await
    }

    async fn with(settings: &config::Limiter) -> Self {
        Self { shared: Shared::open(settings).await.unwrap(), here: Here::new(1000) }
    }

    async fn ask(
        &self,
        whose: Key,
        limits: &Limits,
        holds: Holds,
    ) -> Result<Granted<Taken>, Refused> {
        self.shared.decide(&self.here, &Ask { whose, limits, holds }).await
    }

    /// A request that takes a slot.
    async fn take(&self, whose: Key, limits: &Limits) -> Result<Taken, Refused> {
        self.ask(whose, limits, Holds::Slot).await.map(|granted| granted.slot.unwrap())
    }

    /// As many slots as there are.
    async fn take_all(&self, whose: Key, limits: &Limits) -> Vec<Taken> {
        let mut all = Vec::new();
        while let Ok(taken) = self.take(whose, limits).await {
            all.push(taken);
        }
        all
    }

    async fn keep(&self, whose: Key, limits: &Limits, claim: Claim) -> Result<(), Refused> {
        let granted = self.ask(whose, limits, Holds::Named(claim)).await?;
        assert!(granted.slot.is_none(), "it has a name");
        Ok(())
    }

    async fn renew(&self, claim: &Claim) -> Result<(), SlotError> {
        self.shared.renew(&self.here, claim).await
    }

    async fn give_back(&self, claim: &Claim) -> Result<(), SlotError> {
        self.shared.give_back(&self.here, claim.id, claim.owner).await
    }

    async fn until_up(&self, is_up: bool) {
        until(async || self.shared.is_up() == is_up).await;
    }

    /// Until the server decides alone again.
    async fn until_settled(&self) {
        let health = &self.shared.0.health;
        until(async || health.is_up() && health.is_settled(clock::counting())).await;
    }
}

fn settings(server: &Redis) -> config::Limiter {
    config::Limiter {
        server: config::LimiterServer::Socket(server.socket()),
        user: None,
        password: None,
        database: 0,
        authorities: None,
        prefix: "test".into(),
        nodes: NODES,
        patience: Duration::from_millis(500),
    }
}

/// Waits for what others do.
async fn until(mut is_so: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !is_so().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap();
}

fn token() -> Key {
    TokenId::new(Timestamp::from_millis(1), entropy::bytes()).into()
}

fn in_flight(most: usize) -> Limits {
    Limits::new(Some(u64::try_from(most).unwrap()), Vec::new()).unwrap()
}

fn claim(owner: u8, lasts: u64) -> Claim {
    let id = SlotId::new(Timestamp::from_millis(1), entropy::bytes());
    Claim { id, owner: Owner([owner; 16]), lasts: Seconds(lasts) }
}
