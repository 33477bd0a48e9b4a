//! Tokens issued, rotated and revoked; each change is tried out once it has been answered.

use super::{
    Shared,
    doors::{DOORS, Doors},
    live::{Live, Token},
    note,
    server::Server,
};
use anyhow::{Context as _, Result, bail};
use counterfoil_bench::made::mix;
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

/// How often one is issued, and one revoked: as many as there were there stay.
const ISSUE: Duration = Duration::from_millis(200);
/// How often one is rotated.
const ROTATE: Duration = Duration::from_millis(500);

#[derive(Clone, Copy)]
enum Kind {
    Issue,
    Rotate,
    Revoke,
}

/// Whoever makes them.
#[derive(Clone)]
pub(crate) struct Changes {
    doors: Arc<Doors>,
    live: Arc<Live>,
    record: Shared,
    caller: Arc<str>,
}

impl Changes {
    pub(crate) fn new(
        server: &Server,
        doors: Arc<Doors>,
        live: Arc<Live>,
        record: Shared,
    ) -> Result<Self> {
        let caller = server.caller("tokens:write")?.into();
        Ok(Self { doors, live, record, caller })
    }

    /// Begins to make them.
    pub(crate) fn start(&self, work: &mut JoinSet<()>) {
        work.spawn(self.clone().every(ISSUE, Kind::Issue));
        work.spawn(self.clone().every(ROTATE, Kind::Rotate));
        work.spawn(self.clone().every(ISSUE, Kind::Revoke));
    }

    async fn every(self, period: Duration, kind: Kind) {
        let mut ticks = interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for turn in 0.. {
            ticks.tick().await;
            let outcome = match kind {
                Kind::Issue => self.issue().await,
                Kind::Rotate => self.rotate(turn).await,
                Kind::Revoke => self.revoke(turn).await,
            };
            note(&self.record, |record| {
                record.changes += 1;
                record.mistakes.extend(outcome.err().map(|error| format!("{error:#}")));
            });
        }
    }

    /// Issues one, which has to be admitted at once.
    pub(crate) async fn issue(&self) -> Result<()> {
        let wanted = json!({"api": "soak", "role": "reader", "name": "soak"});
        let token = issued(&self.doors.call("/v1/tokens", &self.caller, &wanted).await?)?;
        self.is_admitted(&token.secret, "issued").await?;
        self.live.add(token);
        Ok(())
    }

    /// Rotates one: the new secret has to be admitted at once, the old one as long as was asked for.
    async fn rotate(&self, turn: u64) -> Result<()> {
        let overlap = if turn.is_multiple_of(2) { 0 } else { 3600 };
        let Some(old) = self.live.take(place(turn)) else { return Ok(()) };
        if overlap == 0 {
            old.end();
        }
        let path = format!("/v1/tokens/{}/rotate", old.id);
        let wanted = json!({"overlap": overlap});
        let new = issued(&self.doors.call(&path, &self.caller, &wanted).await?)?;
        self.is_admitted(&new.secret, "rotated").await?;
        if overlap == 0 {
            self.is_refused(&old.secret, "rotated away").await?;
        } else {
            self.is_admitted(&old.secret, "rotated with an overlap").await?;
        }
        self.live.put_back(new);
        Ok(())
    }

    /// Revokes one, which has to be refused once that has been answered.
    async fn revoke(&self, turn: u64) -> Result<()> {
        let Some(token) = self.live.take(place(!turn)) else { return Ok(()) };
        token.end();
        let path = format!("/v1/tokens/{}/revoke", token.id);
        self.doors.call(&path, &self.caller, &json!({"reason": "soaked"})).await?;
        self.is_refused(&token.secret, "revoked").await
    }

    async fn is_admitted(&self, secret: &str, what: &str) -> Result<()> {
        for door in DOORS {
            if !self.doors.admits(door, secret).await? {
                bail!("{door:?} refused a token that was {what}");
            }
        }
        Ok(())
    }

    async fn is_refused(&self, secret: &str, what: &str) -> Result<()> {
        for door in DOORS {
            if self.doors.admits(door, secret).await? {
                bail!("{door:?} admitted a token that was {what}");
            }
        }
        Ok(())
    }
}

fn place(turn: u64) -> usize {
    usize::try_from(mix(turn) >> 8).unwrap_or(0)
}

fn issued(answer: &Value) -> Result<Token> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let (id, secret) = (text(&answer["token"]["id"]), text(&answer["secret"]));
    Ok(Token::new(id.context("no id")?, secret.context("no secret")?))
}
