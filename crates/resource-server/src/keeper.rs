//! Keeps the issuer's keys: fetches them anew before they age, and when a token names one that
//! is not known.
//!
//! One task fetches, so there is one request at a time, and none is given up because whoever
//! caused it has gone away: otherwise clients could keep new keys from being found.

use crate::clock::{Clock, Moment};
use crate::fetch::{Fetched, Fetcher};
use crate::keys::KeySet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;

/// However short the issuer says that its keys may be kept.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(30);
/// After a failure, doubled with each further one.
const FIRST_RETRY: Duration = Duration::from_secs(5);
const LAST_RETRY: Duration = Duration::from_mins(1);

/// When keys are fetched, and how long they are relied on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rhythm {
    pub(crate) refresh_within: Duration,
    pub(crate) unknown_key_pause: Duration,
    pub(crate) reliable_for: Duration,
}

/// Keys as the issuer had them at a moment.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) keys: Arc<KeySet>,
    /// Another number where the keys are others.
    pub(crate) generation: u64,
    fetched: Moment,
}

#[derive(Debug, Clone)]
struct Status {
    known: Option<Known>,
    /// How many attempts have ended.
    attempts: u64,
    /// When the last one ended, by the steady clock.
    ended: Duration,
    running: bool,
}

/// The keys, and the task that fetches them, which ends with this.
pub(crate) struct Keeper {
    status: watch::Receiver<Status>,
    wanted: Arc<Notify>,
    clock: Clock,
    rhythm: Rhythm,
    task: AbortHandle,
}

struct Task {
    fetcher: Fetcher,
    status: watch::Sender<Status>,
    wanted: Arc<Notify>,
    clock: Clock,
    rhythm: Rhythm,
    /// In a row.
    failures: u32,
}

impl Keeper {
    /// Begins with what was fetched already, if that is so.
    pub(crate) fn start(
        fetcher: Fetcher,
        first: Option<Fetched>,
        clock: Clock,
        rhythm: Rhythm,
    ) -> Self {
        let mut due = clock.steady();
        let status = match first {
            Some(Fetched { keys, max_age }) => {
                let known = Known { keys: keys.into(), generation: 1, fetched: clock.moment() };
                let ended = due;
                due += rhythm.interval(max_age);
                Status { known: Some(known), attempts: 1, ended, running: false }
            }
            None => Status { known: None, attempts: 0, ended: due, running: false },
        };
        let (sender, status) = watch::channel(status);
        let wanted = Arc::new(Notify::new());
        let task = Task {
            fetcher,
            status: sender,
            wanted: wanted.clone(),
            clock: clock.clone(),
            rhythm,
            failures: 0,
        };
        let task = tokio::spawn(task.run(due)).abort_handle();
        Self { status, wanted, clock, rhythm, task }
    }

    /// What is known and may be relied on.
    pub(crate) fn known(&self) -> Option<Known> {
        let known = self.status.borrow().known.clone()?;
        (self.clock.since(known.fetched) < self.rhythm.reliable_for).then_some(known)
    }

    /// The same, after the keys have been fetched, unless that was done just now.
    pub(crate) async fn fresher(&self) -> Option<Known> {
        let mut status = self.status.clone();
        let (attempts, running, just_now) = {
            let status = status.borrow_and_update();
            let just_now = self.rhythm.is_just_now(&status, &self.clock);
            (status.attempts, status.running, just_now)
        };
        if running || !just_now {
            if !running {
                self.wanted.notify_one();
            }
            // An error: the task has ended with its runtime, and what is known stays as it is.
            let _ = status.wait_for(|status| status.attempts > attempts).await;
        }
        self.known()
    }
}

#[cfg(test)]
impl Keeper {
    pub(crate) async fn attempted(&self, times: usize) {
        let mut status = self.status.clone();
        status.wait_for(|status| status.attempts >= times as u64).await.unwrap();
    }

    pub(crate) fn task(&self) -> AbortHandle {
        self.task.clone()
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Task {
    async fn run(mut self, mut due: Duration) {
        loop {
            tokio::select! {
                () = self.clock.sleep_until(due) => {}
                () = self.wanted.notified() => {
                    // Asked for by somebody who did not see that it was under way already.
                    if self.rhythm.is_just_now(&self.status.borrow(), &self.clock) {
                        continue;
                    }
                }
            }
            due = self.attempt().await;
        }
    }

    /// Fetches once; when to do so again.
    async fn attempt(&mut self) -> Duration {
        self.status.send_modify(|status| status.running = true);
        // What the issuer says is true of when it was asked.
        let asked = self.clock.moment();
        let (fetched, pause) = match self.fetcher.fetch().await {
            Ok(Fetched { keys, max_age }) => {
                self.failures = 0;
                (Some(keys), self.rhythm.interval(max_age))
            }
            Err(error) => {
                tracing::warn!(%error, "the issuer's keys could not be fetched");
                let pause = FIRST_RETRY.saturating_mul(1 << self.failures.min(8));
                self.failures = self.failures.saturating_add(1);
                (None, pause.min(LAST_RETRY).min(self.rhythm.refresh_within))
            }
        };
        let now = self.clock.steady();
        self.status.send_modify(|status| {
            if let Some(keys) = fetched {
                status.known = Some(Known::after(status.known.as_ref(), keys, asked));
            }
            status.attempts += 1;
            status.ended = now;
            status.running = false;
        });
        now + pause
    }
}

impl Known {
    fn after(before: Option<&Self>, keys: KeySet, fetched: Moment) -> Self {
        match before {
            Some(before) if *before.keys == keys => Self { fetched, ..before.clone() },
            _ => {
                tracing::info!(keys = keys.len(), "the issuer's keys are others");
                let generation = before.map_or(1, |before| before.generation + 1);
                Self { keys: keys.into(), generation, fetched }
            }
        }
    }
}

impl Rhythm {
    /// How long to wait after a success: a fifth of the time is left for a first failure.
    fn interval(&self, max_age: Option<Duration>) -> Duration {
        let age = max_age.unwrap_or(self.refresh_within).max(SHORTEST_INTERVAL);
        age.min(self.refresh_within) * 4 / 5
    }

    fn is_just_now(&self, status: &Status, clock: &Clock) -> bool {
        status.attempts > 0 && clock.steady() < status.ended + self.unknown_key_pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_fetched_before_they_age() {
        let seconds = Duration::from_secs;
        let rhythm = Rhythm {
            refresh_within: seconds(300),
            unknown_key_pause: seconds(10),
            reliable_for: seconds(3600),
        };
        for (max_age, interval) in
            [(None, 240), (Some(100), 80), (Some(0), 24), (Some(31_536_000), 240)]
        {
            assert_eq!(rhythm.interval(max_age.map(seconds)), seconds(interval), "{max_age:?}");
        }
        let often = Rhythm { refresh_within: seconds(10), ..rhythm };
        assert_eq!(often.interval(Some(seconds(3600))), seconds(8));
    }
}
