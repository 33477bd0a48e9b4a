//! The connection to the server: one task says everything, in the order in which it came up,
//! and all that came up meanwhile at once.
//!
//! Where the connection fails, whoever waits for an answer is told so at once, and so is
//! whoever asks until there is one again.

use super::{
    Health,
    claims::{Claims, Due, LASTS, Which, millis},
    script::{Member, Scripts, remembers},
};
use crate::{clock, loggable::loggable};
use counterfoil_core::{Timestamp, id::SlotId, limit::Key, time::Seconds};
use redis::{
    AsyncConnectionConfig, Client, Cmd, Pipeline, RedisError, ServerError, Value,
    aio::MultiplexedConnection,
};
use std::{
    pin::pin,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::{MissedTickBehavior, interval, timeout},
};

/// How long it may take to reach the server, and then for each part of what it is told.
const REACH: Duration = Duration::from_secs(1);
/// The shortest and the longest that is waited before the server is tried again.
const WAIT: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(1)];
/// A connection that held for so long was none that fails again and again.
const HELD: Duration = Duration::from_secs(10);
/// How often it is looked whether the server is there, and still knows what it was told.
const BEAT: Duration = Duration::from_secs(1);
/// How often slots are renewed: three times before they end.
const RENEW: Duration = Duration::from_secs(LASTS.0 / 3);
/// For how long a server that remembers nothing does not decide alone: by then every node that
/// reaches it has told it what it holds.
pub(super) const SETTLES: Seconds = Seconds(3);
/// How much is said at once.
const AT_ONCE: usize = 256;
/// How many tokens' slots are renewed at once.
const RENEWED_AT_ONCE: usize = 64;
/// How many slots are remembered that were given back while the server was away. More end by
/// themselves.
const OWED: usize = 65_536;

/// What is to be said.
#[derive(Debug)]
pub(super) enum Order {
    /// What somebody waits for.
    Ask { call: Cmd, answer: oneshot::Sender<Value> },
    /// What is forgotten when the server is away.
    Tell(Cmd),
    /// A slot that is given back.
    LetGo(Owed),
    /// All that was said before is said, and nothing after it.
    Close(oneshot::Sender<()>),
}

/// A slot that the server may still think is held.
#[derive(Debug, Clone, Copy)]
pub(super) struct Owed {
    pub(super) whose: Key,
    pub(super) slot: Member,
    /// The name, where it is a service's.
    pub(super) named: Option<SlotId>,
}

/// Why there is no connection, or no longer.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error("{0}")]
    Failed(#[from] RedisError),
    #[error("{0}")]
    Refused(ServerError),
    #[error("it did not answer within {0:?}")]
    Slow(Duration),
    #[error("{0}")]
    Unexpected(#[from] super::script::Unexpected),
    #[error("it has forgotten what it was told")]
    Forgot,
}

/// Nobody will ask any more.
struct Closed;

/// What is needed to reach the server.
#[derive(Clone)]
pub(super) struct Reach {
    pub(super) client: Client,
    /// What the log calls it.
    pub(super) name: String,
    pub(super) patience: Duration,
    pub(super) scripts: Arc<Scripts>,
    pub(super) claims: Arc<Claims>,
}

/// A server that was reached.
struct Reached {
    connection: MultiplexedConnection,
    /// Since when it remembers, by its own clock.
    since: u64,
    /// Until when it does not decide alone.
    settled_at: Timestamp,
}

/// The task.
pub(super) struct Line {
    pub(super) reach: Reach,
    pub(super) health: Arc<Health>,
    pub(super) orders: mpsc::UnboundedReceiver<Order>,
    pub(super) nodes: u32,
    owed: Vec<Owed>,
    /// What the server said last of since when it remembers.
    known: Option<u64>,
    /// How often this node had decided alone by then.
    alone: u64,
}

impl Line {
    pub(super) fn new(
        reach: Reach,
        health: Arc<Health>,
        orders: mpsc::UnboundedReceiver<Order>,
        nodes: u32,
    ) -> Self {
        Self { reach, health, orders, nodes, owed: Vec::new(), known: None, alone: 0 }
    }

    /// Until nobody asks any more. `tried` hears once the server was reached, or was not.
    pub(super) async fn run(mut self, tried: oneshot::Sender<()>) {
        let (mut tried, mut wait, mut complained) = (Some(tried), WAIT[0], false);
        loop {
            let reach = self.reach.clone();
            let Ok(reached) = self.meanwhile(reach.reach()).await else { return };
            let lost = match reached {
                Ok(reached) => {
                    self.tell_of_success(complained, &reached);
                    complained = false;
                    tried.take();
                    let began = clock::steady();
                    let Err(lost) = self.serve(reached).await else { return };
                    self.health.went_down();
                    if clock::steady().saturating_duration_since(began) >= HELD {
                        wait = WAIT[0];
                    }
                    lost
                }
                Err(lost) => lost,
            };
            if complained {
                tracing::debug!(server = self.reach.name, error = said(&lost), "still gone");
            } else {
                tracing::warn!(
                    server = self.reach.name,
                    error = said(&lost),
                    nodes = self.nodes,
                    "the server of shared limits is gone; until it is back, this node grants its \
                     part of every limit by itself"
                );
                complained = true;
            }
            tried.take();
            let Ok(()) = self.meanwhile(tokio::time::sleep(wait)).await else { return };
            wait = (wait * 2).min(WAIT[1]);
        }
    }

    fn tell_of_success(&mut self, is_back: bool, reached: &Reached) {
        let alone = self.health.alone.load(Ordering::Relaxed);
        let has_forgotten = self.known.is_some_and(|known| known != reached.since);
        let is_apart = has_forgotten || alone != self.alone;
        (self.known, self.alone) = (Some(reached.since), alone);
        self.health.went_up(reached.settled_at, is_apart.then(clock::counting));
        let (server, nodes) = (&self.reach.name, self.nodes);
        if is_back {
            tracing::info!(
                server,
                nodes,
                "the server of shared limits is back; all nodes keep to one limit again"
            );
        } else {
            tracing::info!(server, nodes, "limits are shared");
        }
    }

    /// Waits for something, and tells whoever asks meanwhile that the server is gone.
    async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Closed> {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return Ok(done),
                order = self.orders.recv() => match order {
                    Some(Order::LetGo(owed)) if self.owed.len() < OWED => self.owed.push(owed),
                    // Whoever waits for an answer hears that there is none.
                    Some(Order::Ask { .. } | Order::Tell(_) | Order::LetGo(_)) => {}
                    Some(Order::Close(_)) | None => return Err(Closed),
                },
            }
        }
    }

    /// Says what comes up, until the connection fails or nobody asks any more.
    async fn serve(&mut self, reached: Reached) -> Result<(), Lost> {
        let Reached { mut connection, since, .. } = reached;
        let mut batch: Vec<_> = self.owed.drain(..).map(Order::LetGo).collect();
        let mut beats = interval(BEAT);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut renewed_at = clock::steady();
        let mut due = Vec::new().into_iter();
        loop {
            if batch.is_empty() && due.len() == 0 {
                tokio::select! {
                    biased;
                    _ = beats.tick() => {
                        let now = self.still_remembers(&mut connection, since).await?;
                        if now.saturating_duration_since(renewed_at) >= RENEW {
                            renewed_at = now;
                            let now = clock::counting();
                            due = self.reach.claims.due(Which::OfRequests, now).into_iter();
                        }
                        continue;
                    }
                    count = self.orders.recv_many(&mut batch, AT_ONCE) => {
                        if count == 0 {
                            return Ok(());
                        }
                    }
                }
            }
            // What is renewed must not hold up who waits.
            while batch.len() < AT_ONCE
                && let Ok(order) = self.orders.try_recv()
            {
                batch.push(order);
            }
            let mut said = Said::default();
            let mut closes = None;
            let rest = batch.split_off(batch.len().min(AT_ONCE));
            for order in std::mem::replace(&mut batch, rest) {
                if let Order::Close(closed) = order {
                    closes = Some(closed);
                    break;
                }
                said.add(order, &self.reach.scripts);
            }
            for mut due in due.by_ref().take(RENEWED_AT_ONCE) {
                // What has been given back since was said before, and is not to be taken again.
                due.slots.retain(|slot| self.reach.claims.holds(slot));
                if !due.slots.is_empty() {
                    said.renew(&due, &self.reach.scripts);
                }
            }
            if let Err(lost) = self.reach.say(&mut connection, &mut said).await {
                self.owed.append(&mut said.owed);
                self.owed.extend(batch.into_iter().filter_map(|order| match order {
                    Order::LetGo(owed) => Some(owed),
                    _ => None,
                }));
                return Err(lost);
            }
            if closes.is_some() {
                return Ok(());
            }
        }
    }

    /// Whether the server still knows what it was told, and takes what it is told.
    async fn still_remembers(
        &self,
        connection: &mut MultiplexedConnection,
        since: u64,
    ) -> Result<Instant, Lost> {
        let (before, _) = self.reach.since(connection).await?;
        if before == since { Ok(clock::steady()) } else { Err(Lost::Forgot) }
    }
}

impl Reach {
    /// Reaches the server, and tells it what is held.
    async fn reach(self) -> Result<Reached, Lost> {
        let connected = timeout(REACH, self.connect()).await;
        let (mut connection, since, now) = connected.unwrap_or(Err(Lost::Slow(REACH)))?;
        // However much that is: each part of it has its time.
        let due = self.claims.due(Which::All, clock::counting());
        for due in due.chunks(RENEWED_AT_ONCE) {
            let mut said = Said::default();
            for due in due {
                said.renew(due, &self.scripts);
            }
            self.say(&mut connection, &mut said).await?;
        }
        connection.set_response_timeout(self.patience);
        let left = SETTLES.0.saturating_mul(1000).saturating_sub(now.saturating_sub(since));
        let left = i64::try_from(left).unwrap_or(i64::MAX);
        let settled_at = clock::counting().as_millis().saturating_add(left);
        Ok(Reached { connection, since, settled_at: Timestamp::from_millis(settled_at) })
    }

    /// Connects, and asks since when the server remembers, and what time it is there.
    async fn connect(&self) -> Result<(MultiplexedConnection, u64, u64), Lost> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(REACH))
            .set_response_timeout(Some(REACH));
        let mut connection =
            self.client.get_multiplexed_async_connection_with_config(&config).await?;
        self.load(&mut connection).await?;
        // Written before slots are, so that whoever finds them finds it.
        let (since, now) = self.since(&mut connection).await?;
        Ok((connection, since, now))
    }

    async fn load(&self, connection: &mut MultiplexedConnection) -> Result<(), Lost> {
        for answer in send(connection, &self.scripts.load()).await? {
            if let Value::ServerError(error) = answer {
                return Err(Lost::Refused(error));
            }
        }
        Ok(())
    }

    async fn since(&self, connection: &mut MultiplexedConnection) -> Result<(u64, u64), Lost> {
        let mut pipeline = redis::pipe();
        pipeline.add_command(self.scripts.since());
        match self.send_known(connection, &pipeline).await?.pop() {
            Some(Value::ServerError(error)) => Err(Lost::Refused(error)),
            answer => Ok(remembers(answer.unwrap_or_default())?),
        }
    }

    /// Says it, and hands on the answers.
    async fn say(
        &self,
        connection: &mut MultiplexedConnection,
        said: &mut Said,
    ) -> Result<(), Lost> {
        let answers = std::mem::take(&mut said.answers);
        let sent = self.send_known(connection, &said.pipeline).await;
        let sent = sent.map_err(|lost| match lost {
            Lost::Failed(error) if error.is_timeout() => Lost::Slow(self.patience),
            lost => lost,
        })?;
        for (value, answer) in sent.into_iter().zip(answers) {
            match value {
                Value::ServerError(error) if is_about_one_call(&error) => {
                    // Whoever waits hears that there is no answer, and others go on.
                    let error = said_by(&error);
                    tracing::error!(server = self.name, error, "a shared limit cannot be counted");
                }
                Value::ServerError(error) => return Err(Lost::Refused(error)),
                value => {
                    if let Some(answer) = answer {
                        // Whoever has gone gives back what was taken.
                        let _ = answer.send(value);
                    }
                }
            }
        }
        Ok(())
    }

    /// Sends calls, once more those whose script the server did not know.
    async fn send_known(
        &self,
        connection: &mut MultiplexedConnection,
        pipeline: &Pipeline,
    ) -> Result<Vec<Value>, Lost> {
        if pipeline.is_empty() {
            return Ok(Vec::new());
        }
        let mut answers = send(connection, pipeline).await?;
        let is_unknown = |value: &Value| matches!(value, Value::ServerError(error) if error.code() == "NOSCRIPT");
        let unknown: Vec<_> = answers
            .iter()
            .enumerate()
            .filter(|(_, value)| is_unknown(value))
            .map(|(at, _)| at)
            .collect();
        if unknown.is_empty() {
            return Ok(answers);
        }
        self.load(connection).await?;
        let mut again = redis::pipe();
        let calls: Vec<_> = pipeline.cmd_iter().collect();
        for at in &unknown {
            if let Some(call) = calls.get(*at) {
                again.add_command((*call).clone());
            }
        }
        for (at, answer) in unknown.into_iter().zip(send(connection, &again).await?) {
            if let Some(place) = answers.get_mut(at) {
                *place = answer;
            }
        }
        Ok(answers)
    }
}

/// Calls, and who waits for what they answer.
#[derive(Default)]
struct Said {
    pipeline: Pipeline,
    answers: Vec<Option<oneshot::Sender<Value>>>,
    /// What is given back here, should it have to be said again.
    owed: Vec<Owed>,
}

impl Said {
    fn push(&mut self, call: Cmd, answer: Option<oneshot::Sender<Value>>) {
        self.pipeline.add_command(call);
        self.answers.push(answer);
    }

    fn add(&mut self, order: Order, scripts: &Scripts) {
        match order {
            Order::Ask { call, answer } => self.push(call, Some(answer)),
            Order::Tell(call) => self.push(call, None),
            Order::LetGo(owed) => {
                self.push(scripts.let_go(owed.whose, &owed.slot), None);
                self.owed.push(owed);
                if let Some(id) = owed.named {
                    self.push(scripts.forget(id), None);
                }
            }
            Order::Close(_) => {}
        }
    }

    fn renew(&mut self, due: &Due, scripts: &Scripts) {
        self.push(scripts.renew(due.whose, &due.slots, due.millis, false), None);
        if let Some(id) = due.named {
            self.push(scripts.note(id, due.whose, due.millis.max(millis(Seconds(1)))), None);
        }
    }
}

async fn send(
    connection: &mut MultiplexedConnection,
    pipeline: &Pipeline,
) -> Result<Vec<Value>, RedisError> {
    connection.send_packed_commands(pipeline, 0, pipeline.len()).await
}

/// Whether an error says nothing of the server: of a key that somebody else has written, say.
fn is_about_one_call(error: &ServerError) -> bool {
    matches!(error.code(), "ERR" | "WRONGTYPE")
}

fn said_by(error: &ServerError) -> String {
    loggable(&error.to_string())
}

fn said(lost: &Lost) -> String {
    loggable(&lost.to_string())
}
