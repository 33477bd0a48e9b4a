//! What tokens did: how often and with which outcome, from where, and when last.
//!
//! Doors tell of each request once it has been judged. It is added up in
//! memory, and a job writes the sums to the store in batches.

mod parts;
mod sums;

use crate::store::{Store, forget_bit_by_bit};
use counterfoil_core::{Code, Timestamp, id::TokenId, time::Seconds, token::Mark};
use parts::{Parts, lock};
use std::{
    borrow::Cow,
    net::IpAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// How often sums are written.
pub(crate) const FLUSH_EVERY: Duration = Duration::from_secs(5);
/// How long they are kept.
const KEPT: Seconds = Seconds::days(90);
/// How many addresses, and how many user agents, are told apart for a token and day.
pub(crate) const ORIGINS: u32 = 20;
/// How many tokens are written in one transaction: changes have to come in between.
const BATCH: usize = 250;

/// What came of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Admitted,
    Refused(Code),
}

impl Outcome {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Admitted => "admitted",
            Self::Refused(code) => code.as_str(),
        }
    }
}

/// A request with a token, as a door saw it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Use<'a> {
    pub(crate) at: Timestamp,
    pub(crate) door: &'static str,
    pub(crate) client: Option<IpAddr>,
    pub(crate) user_agent: Option<&'a str>,
    pub(crate) method: &'a str,
    /// Empty where it is not known.
    pub(crate) path: &'a str,
    /// Where the request was admitted.
    pub(crate) secret: Option<Presented>,
}

/// Which of a token's secrets was presented.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Presented {
    pub(crate) mark: Mark,
    /// Whether it is the one before the last rotation.
    pub(crate) is_previous: bool,
}

/// The last request with a token that was admitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LastUse {
    pub(crate) at: Timestamp,
    pub(crate) door: Cow<'static, str>,
    pub(crate) address: Option<IpAddr>,
    pub(crate) user_agent: Option<String>,
    /// Method and path.
    pub(crate) route: Option<String>,
    /// With which secret, where that is known.
    pub(crate) secret: Option<Mark>,
}

/// The last uses of a token.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LastUses {
    /// With the secret that was the present one then.
    pub(crate) present: Option<LastUse>,
    /// With one that a rotation has replaced.
    pub(crate) previous: Option<Box<LastUse>>,
}

/// What one token did that is not written yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TokenUsage {
    pub(crate) counts: Vec<Count>,
    pub(crate) addresses: Vec<Origin<IpAddr>>,
    pub(crate) user_agents: Vec<Origin<String>>,
    /// The last use with the secret that was the present one then.
    pub(crate) last: Option<LastUse>,
    /// With one that a rotation has replaced: few tokens have such a use.
    pub(crate) previous: Option<Box<LastUse>>,
}

/// How many requests of one hour had one outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Count {
    /// When the hour began.
    pub(crate) hour: Timestamp,
    pub(crate) outcome: Outcome,
    pub(crate) requests: u64,
}

/// Requests of one day from one address, or with one user agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin<T> {
    /// When the day began.
    pub(crate) day: Timestamp,
    /// None where it is not known, and for all beyond the first [`ORIGINS`].
    pub(crate) value: Option<T>,
    pub(crate) admitted: u64,
    pub(crate) refused: u64,
    pub(crate) first_at: Timestamp,
    pub(crate) last_at: Timestamp,
}

/// A [`Count`] as it is read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredCount {
    pub(crate) token: TokenId,
    /// The token's.
    pub(crate) api: String,
    pub(crate) hour: Timestamp,
    pub(crate) outcome: String,
    pub(crate) count: u64,
}

impl LastUses {
    /// Notes what may be later.
    fn add(&mut self, usage: &TokenUsage) {
        keep_later(&mut self.present, &mut self.previous, usage.last.clone());
        let at = |last: &LastUse| last.at;
        if usage.previous.as_deref().map(at) > self.previous.as_deref().map(at) {
            self.previous.clone_from(&usage.previous);
        }
    }
}

/// Keeps the later of two uses as the `present`. The other, if it was with another secret,
/// was with one that a rotation has replaced since.
fn keep_later(
    present: &mut Option<LastUse>,
    previous: &mut Option<Box<LastUse>>,
    found: Option<LastUse>,
) {
    let Some(found) = found else { return };
    let Some(kept) = present else {
        *present = Some(found);
        return;
    };
    let earlier = if found.at > kept.at { std::mem::replace(kept, found) } else { found };
    let is_replaced = earlier.secret.is_some() && earlier.secret != kept.secret;
    // Whatever was replaced before that is nothing any more.
    let is_later = |than: &LastUse| than.secret != earlier.secret || than.at < earlier.at;
    if is_replaced && previous.as_deref().is_none_or(is_later) {
        *previous = Some(Box::new(earlier));
    }
}

type Batch = Arc<[(TokenId, TokenUsage)]>;

/// What is not written yet.
pub(crate) struct Usage {
    waiting: Parts,
    /// What is being written, in the order of tokens.
    under_way: Mutex<Vec<Batch>>,
    /// How many requests there was no room for.
    forgotten: AtomicU64,
    /// One flush at a time.
    flushing: tokio::sync::Mutex<()>,
    /// How many flushes have begun, and how many have ended.
    begun: AtomicU64,
    ended: AtomicU64,
    store: Arc<dyn Store>,
}

impl Usage {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self {
            waiting: Parts::new(),
            under_way: Mutex::default(),
            forgotten: AtomicU64::new(0),
            flushing: tokio::sync::Mutex::default(),
            begun: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            store,
        }
    }

    /// Takes in a request with this token, and waits for nobody. `hush` leaves secrets out
    /// of a text; it is asked for those that are not kept already.
    pub(crate) fn record(
        &self,
        token: TokenId,
        outcome: Outcome,
        request: &Use<'_>,
        hush: impl for<'t> Fn(&'t str) -> Cow<'t, str>,
    ) {
        if !self.waiting.with(token, |usage| usage.add(outcome, request, &hush)) {
            self.forgotten.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The last uses of a token, as far as they are not written yet. Asked before the
    /// store is, the two miss nothing.
    pub(crate) fn last_uses(&self, token: TokenId) -> LastUses {
        let mut uses = self.waiting.last_uses(token);
        let under_way = lock(&self.under_way);
        let ends_before = |batch: &Batch| batch.last().is_some_and(|(last, _)| *last < token);
        let batch = under_way.get(under_way.partition_point(ends_before));
        let written = batch.and_then(|batch| {
            let place = batch.binary_search_by_key(&token, |(id, _)| *id).ok()?;
            Some(&batch[place].1)
        });
        if let Some(written) = written {
            uses.add(written);
        }
        uses
    }

    /// How many flushes have ended. While that stays the same, nothing goes from here
    /// to the store.
    pub(crate) fn flushes(&self) -> u64 {
        self.ended.load(Ordering::Acquire)
    }

    /// Writes what waits; what cannot be written waits on. When this returns, all that
    /// was taken in before is in the store, or cannot be for now. Those who wait while
    /// another flush is under way share the next one.
    pub(crate) async fn flush(self: &Arc<Self>) {
        let before = self.begun.load(Ordering::Acquire);
        let this = self.clone();
        // A task of its own: a caller that goes away must not leave half of it behind.
        let written = tokio::spawn(async move { this.write(before).await }).await;
        if let Err(error) = written {
            tracing::error!(%error, "usage was not written down");
        }
    }

    /// Forgets what is too old.
    pub(crate) async fn forget(&self, now: Timestamp) {
        let end = now.minus(KEPT);
        if let Err(error) = forget_bit_by_bit(|most| self.store.forget_usage(end, most)).await {
            tracing::warn!(%error, "old usage could not be deleted");
        }
    }

    /// Writes what waits, unless somebody else's flush has begun since there were `before`.
    async fn write(&self, before: u64) {
        let _alone = self.flushing.lock().await;
        if self.begun.load(Ordering::Acquire) != before {
            return;
        }
        self.begun.fetch_add(1, Ordering::AcqRel);
        let forgotten = self.forgotten.swap(0, Ordering::Relaxed);
        if forgotten > 0 {
            tracing::warn!(
                forgotten,
                "more was used than can be kept: some requests are in no count"
            );
        }
        let batches = self.take();
        for (n, batch) in batches.iter().enumerate() {
            if let Err(error) = self.store.keep_usage(batch.clone()).await {
                tracing::warn!(%error, "usage could not be written down");
                for (token, usage) in batches[n..].iter().flat_map(|batch| batch.iter().cloned()) {
                    let requests = usage.requests();
                    if !self.waiting.with(token, |newer| newer.absorb(usage)) {
                        self.forgotten.fetch_add(requests, Ordering::Relaxed);
                    }
                }
                break;
            }
        }
        // In this order: whoever misses it has to see why.
        self.ended.fetch_add(1, Ordering::AcqRel);
        lock(&self.under_way).clear();
    }

    /// Takes away all that waits.
    fn take(&self) -> Vec<Batch> {
        // Held all the time, so that whoever looks finds it in one place or the other.
        let mut under_way = lock(&self.under_way);
        let mut taken: Vec<_> = self.waiting.take().into_iter().collect();
        taken.sort_unstable_by_key(|(token, _)| *token);
        let mut rest = taken.into_iter();
        let batches = std::iter::from_fn(|| {
            let batch: Batch = rest.by_ref().take(BATCH).collect();
            (!batch.is_empty()).then_some(batch)
        });
        *under_way = batches.collect();
        under_way.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{
        OriginKind,
        sqlite::{DataDirectory, Sqlite},
    };
    use parts::TOKENS;
    use std::path::Path;

    fn usage(directory: &Path) -> Arc<Usage> {
        let locked = Arc::new(DataDirectory::lock(directory).unwrap());
        let store = Sqlite::open(locked, Path::new("test.db"), Box::new(|_, _| {})).unwrap();
        Arc::new(Usage::new(Arc::new(store)))
    }

    pub(super) fn token(n: u32) -> TokenId {
        let mut entropy = [0; 10];
        entropy[6..].copy_from_slice(&n.to_be_bytes());
        TokenId::new(Timestamp::from_millis(1), entropy)
    }

    pub(super) fn at(hours: i64) -> Timestamp {
        Timestamp::from_millis(hours * 3_600_000 + 7)
    }

    pub(super) fn request(hours: i64) -> Use<'static> {
        Use {
            at: at(hours),
            door: "gateway",
            client: Some(IpAddr::from([192, 0, 2, 1])),
            user_agent: Some("curl/8"),
            method: "GET",
            path: "/a",
            secret: None,
        }
    }

    pub(super) fn refused(code: Code) -> Outcome {
        Outcome::Refused(code)
    }

    fn record(usage: &Usage, token: TokenId, outcome: Outcome, request: &Use<'_>) {
        usage.record(token, outcome, request, |text| text.into());
    }

    fn waiting(usage: &Usage, token: TokenId) -> Option<TokenUsage> {
        usage.waiting.of(token)
    }

    #[tokio::test]
    async fn more_tokens_than_there_is_room_for_are_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        let usage = usage(directory.path());
        for n in 0..u32::try_from(2 * TOKENS).unwrap() {
            record(&usage, token(n), Outcome::Admitted, &request(1));
        }
        assert_eq!(usage.waiting.len(), TOKENS);
        assert_eq!(usage.forgotten.load(Ordering::Relaxed), TOKENS as u64);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn nothing_is_lost_between_flushes() {
        let directory = tempfile::tempdir().unwrap();
        let usage = usage(directory.path());
        let recorders: Vec<_> = (0..4)
            .map(|_| {
                let usage = usage.clone();
                tokio::task::spawn_blocking(move || {
                    for n in 0..2_000_u32 {
                        record(&usage, token(n % 7), Outcome::Admitted, &request(1));
                    }
                })
            })
            .collect();
        for _ in 0..5 {
            tokio::join!(usage.flush(), usage.flush());
        }
        for recorder in recorders {
            recorder.await.unwrap();
        }
        usage.flush().await;
        let mut total = 0;
        for n in 0..7 {
            let found = usage.store.origins(token(n), OriginKind::Address, at(-1)).await.unwrap();
            total += found.iter().map(|origin| origin.admitted).sum::<u64>();
            assert_eq!(waiting(&usage, token(n)), None);
        }
        assert_eq!(total, 8_000);
    }

    #[tokio::test]
    async fn a_last_use_is_known_wherever_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let usage = usage(directory.path());
        let many = u32::try_from(3 * BATCH).unwrap();
        for n in 0..many {
            record(&usage, token(n), Outcome::Admitted, &request(i64::from(n)));
        }
        let all_are_known = || {
            for n in 0..many {
                assert_eq!(usage.last_uses(token(n)).present.unwrap().at, at(i64::from(n)));
            }
            assert_eq!(usage.last_uses(token(many)), LastUses::default());
        };
        all_are_known();
        assert_eq!(usage.take().len(), 3);
        assert_eq!(waiting(&usage, token(0)), None);
        all_are_known();
        // The later of two, whichever was taken in first.
        record(&usage, token(5), Outcome::Admitted, &request(4));
        record(&usage, token(6), Outcome::Admitted, &request(7));
        assert_eq!(usage.last_uses(token(5)).present.unwrap().at, at(5));
        assert_eq!(usage.last_uses(token(6)).present.unwrap().at, at(7));
        let before = usage.flushes();
        usage.flush().await;
        assert_eq!(usage.flushes(), before + 1);
        assert_eq!(usage.last_uses(token(6)), LastUses::default());
    }

    #[tokio::test]
    async fn those_who_wait_share_a_flush() {
        let directory = tempfile::tempdir().unwrap();
        let usage = usage(directory.path());
        record(&usage, token(1), Outcome::Admitted, &request(1));
        let busy = usage.flushing.lock().await;
        let free = async move { drop(busy) };
        tokio::join!(usage.flush(), usage.flush(), usage.flush(), free);
        assert_eq!(usage.flushes(), 1);
        assert_eq!(waiting(&usage, token(1)), None);
        usage.flush().await;
        assert_eq!(usage.flushes(), 2);
    }

    #[tokio::test]
    async fn what_cannot_be_written_waits_and_is_added_to() {
        let directory = tempfile::tempdir().unwrap();
        let usage = usage(directory.path());
        let id = token(1);
        record(&usage, id, Outcome::Admitted, &request(1));
        record(&usage, id, refused(Code::Paused), &request(2));
        let before = waiting(&usage, id).unwrap();
        usage.store.close().await;
        usage.flush().await;
        assert_eq!(waiting(&usage, id), Some(before));
        // What came in the meantime stays what came last.
        let mut newer = TokenUsage::default();
        newer.add(Outcome::Admitted, &Use { path: "/b", ..request(3) }, &|text| text.into());
        newer.absorb(waiting(&usage, id).unwrap());
        assert_eq!(newer.requests(), 3);
        assert_eq!(newer.last.as_ref().unwrap().route.as_deref(), Some("GET /b"));
        let [address] = &newer.addresses[..] else { panic!("{newer:?}") };
        assert_eq!((address.admitted, address.refused), (2, 1));
        assert_eq!((address.first_at, address.last_at), (at(1), at(3)));
    }

    #[tokio::test]
    async fn what_is_too_old_is_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        let usage = usage(directory.path());
        record(&usage, token(1), Outcome::Admitted, &request(1));
        record(&usage, token(1), Outcome::Admitted, &request(24 * 91));
        usage.flush().await;
        usage.forget(at(24 * 100)).await;
        let left = usage.store.origins(token(1), OriginKind::Address, at(-1)).await.unwrap();
        assert_eq!(left.iter().map(|o| o.last_at).collect::<Vec<_>>(), [at(24 * 91)]);
    }
}
