//! What tokens did: how often and with which outcome, from where, and when last.
//!
//! Doors tell of each request once it has been judged. It is added up in
//! memory, and a job writes the sums to the store in batches.

use crate::{
    loggable::{self, loggable},
    store::{Store, forget_bit_by_bit},
};
use counterfoil_core::{Code, Timestamp, id::TokenId, time::Seconds};
use std::{
    borrow::{Borrow, Cow},
    collections::{HashMap, hash_map::Entry},
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
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
/// In how many parts tokens wait for the store: two requests seldom want the same one.
const SHARDS: usize = 64;
/// How many tokens wait in one part at most.
const TOKENS: usize = 2_048;
/// How many sums of one token wait at most: then the oldest hour's go.
const COUNTS: usize = 200;
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
}

/// What one token did that is not written yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TokenUsage {
    pub(crate) counts: Vec<Count>,
    pub(crate) addresses: Vec<Origin<IpAddr>>,
    pub(crate) user_agents: Vec<Origin<String>>,
    pub(crate) last: Option<LastUse>,
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

type Shard = HashMap<TokenId, TokenUsage>;
type Batch = Arc<[(TokenId, TokenUsage)]>;

/// What is not written yet.
pub(crate) struct Usage {
    /// A lock is held for one addition, or to take the whole part away.
    shards: [Mutex<Shard>; SHARDS],
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
            shards: std::array::from_fn(|_| Mutex::default()),
            under_way: Mutex::default(),
            forgotten: AtomicU64::new(0),
            flushing: tokio::sync::Mutex::default(),
            begun: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            store,
        }
    }

    /// Takes in a request with this token.
    pub(crate) fn record(&self, token: TokenId, outcome: Outcome, request: &Use<'_>) {
        self.with(token, 1, |usage| usage.add(outcome, request));
    }

    /// The last use of a token, as far as it is not written yet. Asked before the
    /// store is, the two miss nothing.
    pub(crate) fn last_use(&self, token: TokenId) -> Option<LastUse> {
        let waiting = lock(self.shard(token)).get(&token).and_then(|usage| usage.last.clone());
        let under_way = lock(&self.under_way);
        let ends_before = |batch: &Batch| batch.last().is_some_and(|(last, _)| *last < token);
        let batch = under_way.get(under_way.partition_point(ends_before));
        let written = batch.and_then(|batch| {
            let place = batch.binary_search_by_key(&token, |(id, _)| *id).ok()?;
            batch[place].1.last.clone()
        });
        written.into_iter().chain(waiting).max_by_key(|last| last.at)
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
                    self.with(token, usage.requests(), |newer| newer.absorb(usage));
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
        let mut taken = Vec::new();
        for shard in &self.shards {
            // Room is made outside the lock: it will be wanted again.
            let room = HashMap::with_capacity(lock(shard).len());
            let shard = std::mem::replace(&mut *lock(shard), room);
            taken.extend(shard);
        }
        taken.sort_unstable_by_key(|(token, _)| *token);
        let mut rest = taken.into_iter();
        let batches = std::iter::from_fn(|| {
            let batch: Batch = rest.by_ref().take(BATCH).collect();
            (!batch.is_empty()).then_some(batch)
        });
        *under_way = batches.collect();
        under_way.clone()
    }

    fn shard(&self, token: TokenId) -> &Mutex<Shard> {
        let [.., last] = token.as_bytes();
        &self.shards[usize::from(*last) % SHARDS]
    }

    /// Does `work`, which is about so many requests, on what waits of a token.
    fn with(&self, token: TokenId, requests: u64, work: impl FnOnce(&mut TokenUsage)) {
        let mut shard = lock(self.shard(token));
        let has_room = shard.len() < TOKENS;
        match shard.entry(token) {
            Entry::Occupied(entry) => work(entry.into_mut()),
            Entry::Vacant(entry) if has_room => work(entry.insert(TokenUsage::default())),
            Entry::Vacant(_) => {
                self.forgotten.fetch_add(requests, Ordering::Relaxed);
            }
        }
    }
}

impl TokenUsage {
    fn requests(&self) -> u64 {
        self.counts.iter().map(|count| count.requests).sum()
    }

    fn add(&mut self, outcome: Outcome, request: &Use<'_>) {
        let at = request.at;
        let admitted = outcome == Outcome::Admitted;
        self.count(Count { hour: at.beginning(Seconds::HOUR), outcome, requests: 1 });
        let (day, agent) =
            (at.beginning(Seconds::DAY), request.user_agent.filter(|text| !text.is_empty()));
        origin(&mut self.addresses, day, request.client.as_ref(), at).add(at, admitted);
        // What is fit to be kept is kept as it came, so that this mostly needs no new text.
        let known = position(&self.user_agents, day, agent).is_some();
        let shown = agent.filter(|_| !known).map(loggable);
        origin(&mut self.user_agents, day, shown.as_deref().or(agent), at).add(at, admitted);
        if admitted {
            self.used(request, agent);
        }
    }

    /// Notes the last request, in the texts that are there already.
    fn used(&mut self, request: &Use<'_>, agent: Option<&str>) {
        let Use { at, door, client: address, method, path, .. } = *request;
        let door = Cow::Borrowed(door);
        let first = LastUse { at, door: door.clone(), address, user_agent: None, route: None };
        let last = self.last.get_or_insert(first);
        if at < last.at {
            return;
        }
        (last.at, last.door, last.address) = (at, door, address);
        if last.user_agent.as_deref() != agent {
            rewrite(&mut last.user_agent, agent.as_slice());
        }
        let route = last.route.as_deref().and_then(|route| route.split_once(' '));
        if path.is_empty() {
            last.route = None;
        } else if route != Some((method, path)) {
            rewrite(&mut last.route, &[method, path]);
        }
    }

    fn count(&mut self, more: Count) {
        let same = |kept: &&mut Count| kept.hour == more.hour && kept.outcome == more.outcome;
        if let Some(kept) = self.counts.iter_mut().rev().find(same) {
            kept.requests += more.requests;
            return;
        }
        self.counts.push(more);
        if self.counts.len() > COUNTS
            && let Some(oldest) = self.counts.iter().map(|count| count.hour).min()
        {
            self.counts.retain(|count| count.hour != oldest);
        }
    }

    /// Takes in what was taken away and could not be written.
    fn absorb(&mut self, older: Self) {
        older.counts.into_iter().for_each(|count| self.count(count));
        for from in older.addresses {
            origin(&mut self.addresses, from.day, from.value.as_ref(), from.first_at).absorb(&from);
        }
        for from in older.user_agents {
            origin(&mut self.user_agents, from.day, from.value.as_deref(), from.first_at)
                .absorb(&from);
        }
        let at = |last: &Option<LastUse>| last.as_ref().map(|last| last.at);
        if at(&older.last) > at(&self.last) {
            self.last = older.last;
        }
    }
}

impl<T> Origin<T> {
    fn add(&mut self, at: Timestamp, admitted: bool) {
        self.admitted += u64::from(admitted);
        self.refused += u64::from(!admitted);
        self.first_at = self.first_at.min(at);
        self.last_at = self.last_at.max(at);
    }

    fn absorb(&mut self, other: &Self) {
        self.admitted += other.admitted;
        self.refused += other.refused;
        self.first_at = self.first_at.min(other.first_at);
        self.last_at = self.last_at.max(other.last_at);
    }
}

/// What is known of this origin, which may be nothing yet; where there is no
/// room for one more, what is known of the others.
fn origin<'o, T, Q>(
    origins: &'o mut Vec<Origin<T>>,
    day: Timestamp,
    value: Option<&Q>,
    at: Timestamp,
) -> &'o mut Origin<T>
where
    T: Borrow<Q>,
    Q: ?Sized + PartialEq + ToOwned<Owned = T>,
{
    let mut found = (position(origins, day, value), value);
    if found.0.is_none() && origins.len() >= ORIGINS as usize {
        found = (position(origins, day, None), None);
    }
    let (place, value) = found;
    let place = place.unwrap_or(origins.len());
    if place == origins.len() {
        let value = value.map(ToOwned::to_owned);
        origins.push(Origin { day, value, admitted: 0, refused: 0, first_at: at, last_at: at });
    }
    &mut origins[place]
}

fn position<T: Borrow<Q>, Q: ?Sized + PartialEq>(
    origins: &[Origin<T>],
    day: Timestamp,
    value: Option<&Q>,
) -> Option<usize> {
    let is =
        |origin: &Origin<T>| origin.day == day && origin.value.as_ref().map(T::borrow) == value;
    origins.iter().position(is)
}

/// Has a text say something else, without what could be a secret.
fn rewrite(kept: &mut Option<String>, parts: &[&str]) {
    if parts.is_empty() {
        *kept = None;
        return;
    }
    let text = kept.get_or_insert_default();
    text.clear();
    for (n, part) in parts.iter().enumerate() {
        if n > 0 {
            text.push(' ');
        }
        loggable::write(text, part);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{
        OriginKind,
        sqlite::{DataDirectory, Sqlite},
    };
    use std::path::Path;

    const SECRET: &str = "acme_live_0123456789012345678901234567890123456789";

    fn usage(directory: &Path) -> Arc<Usage> {
        let locked = Arc::new(DataDirectory::lock(directory).unwrap());
        let store = Sqlite::open(locked, Path::new("test.db"), Box::new(|_, _| {})).unwrap();
        Arc::new(Usage::new(Arc::new(store)))
    }

    fn token(n: u32) -> TokenId {
        let mut entropy = [0; 10];
        entropy[6..].copy_from_slice(&n.to_be_bytes());
        TokenId::new(Timestamp::from_millis(1), entropy)
    }

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_millis(hours * 3_600_000 + 7)
    }

    fn request(hours: i64) -> Use<'static> {
        Use {
            at: at(hours),
            door: "gateway",
            client: Some(IpAddr::from([192, 0, 2, 1])),
            user_agent: Some("curl/8"),
            method: "GET",
            path: "/a",
        }
    }

    fn refused(code: Code) -> Outcome {
        Outcome::Refused(code)
    }

    fn waiting(usage: &Usage, token: TokenId) -> Option<TokenUsage> {
        usage.shards.iter().find_map(|shard| lock(shard).get(&token).cloned())
    }

    #[test]
    fn requests_are_added_up() {
        let mut usage = TokenUsage::default();
        for hours in [23, 23, 24] {
            usage.add(Outcome::Admitted, &request(hours));
        }
        usage.add(refused(Code::InsufficientScope), &Use { path: "/b", ..request(25) });
        let count = |hours, outcome, requests| Count {
            hour: at(hours).beginning(Seconds::HOUR),
            outcome,
            requests,
        };
        let expected = [
            count(23, Outcome::Admitted, 2),
            count(24, Outcome::Admitted, 1),
            count(25, refused(Code::InsufficientScope), 1),
        ];
        assert_eq!(usage.counts, expected);
        assert_eq!(usage.requests(), 4);
        let origin = |hours, admitted, refused, first, last| Origin {
            day: at(hours).beginning(Seconds::DAY),
            value: Some("curl/8".to_owned()),
            admitted,
            refused,
            first_at: at(first),
            last_at: at(last),
        };
        assert_eq!(usage.user_agents, [origin(0, 2, 0, 23, 23), origin(24, 1, 1, 24, 25)]);
        assert_eq!(usage.addresses.len(), 2);
        // What was refused is no use.
        let last = usage.last.unwrap();
        assert_eq!((last.at, last.route.as_deref()), (at(24), Some("GET /a")));
    }

    #[test]
    fn the_last_use_is_the_last() {
        let mut usage = TokenUsage::default();
        let nowhere =
            Use { client: None, user_agent: None, path: "", door: "verify", ..request(2) };
        for (request, address, agent, route) in [
            (request(1), true, Some("curl/8"), Some("GET /a")),
            (
                Use { path: "/a/b", method: "PUT", ..request(1) },
                true,
                Some("curl/8"),
                Some("PUT /a/b"),
            ),
            (nowhere, false, None, None),
            (Use { user_agent: Some(""), ..request(3) }, true, None, Some("GET /a")),
        ] {
            usage.add(Outcome::Admitted, &request);
            let last = usage.last.clone().unwrap();
            assert_eq!((last.at, &*last.door), (request.at, request.door));
            assert_eq!(last.address.is_some(), address);
            assert_eq!((last.user_agent.as_deref(), last.route.as_deref()), (agent, route));
        }
        let before = usage.last.clone();
        usage.add(Outcome::Admitted, &request(2));
        assert_eq!(usage.last, before);
    }

    #[test]
    fn a_secret_is_left_out() {
        let mut usage = TokenUsage::default();
        let agent = format!("tool/1 ({SECRET})");
        let path = format!("/x/{SECRET}/y");
        for _ in 0..2 {
            let request =
                Use { user_agent: Some(&agent), path: &path, method: SECRET, ..request(1) };
            usage.add(Outcome::Admitted, &request);
        }
        assert_eq!(usage.user_agents.len(), 1);
        let last = usage.last.as_ref().unwrap();
        assert_eq!(last.user_agent.as_deref(), Some("tool/1 (…)"));
        assert_eq!(last.route.as_deref(), Some("… /x/…/y"));
        assert!(!format!("{usage:?}").contains("0123456789"));
    }

    #[test]
    fn whatever_is_sent_memory_is_bounded() {
        let mut usage = TokenUsage::default();
        let long = "x ".repeat(10_000);
        for n in 0..1_000_u32 {
            let (agent, client) = (format!("{n} {long}"), Some(IpAddr::from(n.to_be_bytes())));
            let request =
                Use { user_agent: Some(&agent), client, path: &long, ..request(i64::from(n)) };
            usage.add(Outcome::Admitted, &request);
        }
        assert_eq!(usage.counts.len(), COUNTS);
        let oldest = usage.counts.iter().map(|count| count.hour).min();
        assert_eq!(oldest, Some(at(800).beginning(Seconds::HOUR)));
        assert!(usage.user_agents.iter().all(|o| o.value.as_ref().is_none_or(|v| v.len() < 300)));
        // Those that are told apart, and one for the others of each of 42 days.
        assert!(usage.addresses.len() <= ORIGINS as usize + 42, "{}", usage.addresses.len());
        assert_eq!(usage.addresses.iter().map(|o| o.admitted).sum::<u64>(), 1_000);
        assert!(usage.last.unwrap().route.unwrap().len() < 300);
    }

    #[tokio::test]
    async fn more_tokens_than_there_is_room_for_are_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        let usage = usage(directory.path());
        for n in 0..u32::try_from(2 * TOKENS * SHARDS).unwrap() {
            usage.record(token(n), Outcome::Admitted, &request(1));
        }
        let waiting: usize = usage.shards.iter().map(|shard| lock(shard).len()).sum();
        assert_eq!(waiting, TOKENS * SHARDS);
        assert_eq!(usage.forgotten.load(Ordering::Relaxed), (TOKENS * SHARDS) as u64);
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
                        usage.record(token(n % 7), Outcome::Admitted, &request(1));
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
            usage.record(token(n), Outcome::Admitted, &request(i64::from(n)));
        }
        let all_are_known = || {
            for n in 0..many {
                assert_eq!(usage.last_use(token(n)).unwrap().at, at(i64::from(n)));
            }
            assert_eq!(usage.last_use(token(many)), None);
        };
        all_are_known();
        assert_eq!(usage.take().len(), 3);
        assert_eq!(waiting(&usage, token(0)), None);
        all_are_known();
        // The later of two, whichever was taken in first.
        usage.record(token(5), Outcome::Admitted, &request(4));
        usage.record(token(6), Outcome::Admitted, &request(7));
        assert_eq!(usage.last_use(token(5)).unwrap().at, at(5));
        assert_eq!(usage.last_use(token(6)).unwrap().at, at(7));
        let before = usage.flushes();
        usage.flush().await;
        assert_eq!(usage.flushes(), before + 1);
        assert_eq!(usage.last_use(token(6)), None);
    }

    #[tokio::test]
    async fn those_who_wait_share_a_flush() {
        let directory = tempfile::tempdir().unwrap();
        let usage = usage(directory.path());
        usage.record(token(1), Outcome::Admitted, &request(1));
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
        usage.record(id, Outcome::Admitted, &request(1));
        usage.record(id, refused(Code::Paused), &request(2));
        let before = waiting(&usage, id).unwrap();
        usage.store.close().await;
        usage.flush().await;
        assert_eq!(waiting(&usage, id), Some(before));
        // What came in the meantime stays what came last.
        let mut newer = TokenUsage::default();
        newer.add(Outcome::Admitted, &Use { path: "/b", ..request(3) });
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
        usage.record(token(1), Outcome::Admitted, &request(1));
        usage.record(token(1), Outcome::Admitted, &request(24 * 91));
        usage.flush().await;
        usage.forget(at(24 * 100)).await;
        let left = usage.store.origins(token(1), OriginKind::Address, at(-1)).await.unwrap();
        assert_eq!(left.iter().map(|o| o.last_at).collect::<Vec<_>>(), [at(24 * 91)]);
    }
}
