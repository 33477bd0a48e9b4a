//! Who waits for the first request with a secret: a page that has just shown it. It is told
//! when that request came or, where it was refused, what was wrong with it.
//!
//! A secret is known here by its digest only. Doors ask [`Watches::any`] of every request,
//! and look no further while nobody waits.

mod find;
mod lesson;

pub(crate) use lesson::Lesson;
#[cfg(test)]
pub(crate) use lesson::Mistake;

use counterfoil_core::{
    Refusal, Timestamp,
    api::Api,
    credential::Headers,
    id::{AccountId, RequestId, TokenId},
    token::Digest,
};
use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
    pin::Pin,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU16, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{sync::watch, time::Sleep};

/// How many one account may have.
const EACH: usize = 64;
/// How many there may be.
const MOST: usize = 1_000;
/// How long one waits at most.
const LONGEST: Duration = Duration::from_mins(15);
/// Into how many kinds tokens are told apart before anybody is asked for one.
const KINDS: usize = 1024;

/// Who waits.
pub(crate) struct Watches {
    count: Count,
    /// How many wait for a token of each kind.
    kinds: Box<[AtomicU16]>,
    waiting: RwLock<Waiting>,
}

/// How many wait. Every request reads it, so it has a cache line to itself.
#[derive(Default)]
#[repr(align(128))]
struct Count(AtomicUsize);

#[derive(Default)]
struct Waiting {
    /// By the digest of what they wait for.
    entries: HashMap<Digest, Vec<Entry>>,
    /// The header fields in which any of them may be sent. There are as many as APIs have.
    fields: BTreeSet<Box<str>>,
    /// The number of the next one.
    next: u64,
}

struct Entry {
    number: u64,
    watched: Arc<Watched>,
    told: watch::Sender<Option<Event>>,
}

/// What is waited for.
#[derive(Debug, Clone)]
pub(crate) struct Watched {
    /// The secret's.
    pub(crate) digest: Digest,
    pub(crate) token: TokenId,
    /// Who waits.
    pub(crate) account: AccountId,
    /// The token's.
    pub(crate) api: Arc<Api>,
    /// A line that works, with `TOKEN` where the secret stands.
    pub(crate) line: String,
}

/// What came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// The first request that was let through. Nothing comes after it.
    Admitted(Request),
    /// One that was refused.
    Refused { request: Request, request_id: RequestId, lesson: Lesson },
}

/// A request, in texts that are fit to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) at: Timestamp,
    /// At which door.
    pub(crate) door: &'static str,
    pub(crate) client: Option<IpAddr>,
    pub(crate) method: String,
    /// Empty where it is not known.
    pub(crate) path: String,
}

/// There is no room for one more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many pages wait for a first request; close some of them")]
pub(crate) struct Full;

/// One who waits, until it is dropped.
pub(crate) struct Watch {
    watches: Arc<Watches>,
    digest: Digest,
    number: u64,
    told: watch::Receiver<Option<Event>>,
    end: Pin<Box<Sleep>>,
}

impl Default for Watches {
    fn default() -> Self {
        Self {
            count: Count::default(),
            kinds: (0..KINDS).map(|_| AtomicU16::new(0)).collect(),
            waiting: RwLock::default(),
        }
    }
}

impl Watches {
    /// Waits for the first request with this secret.
    pub(crate) fn begin(self: &Arc<Self>, watched: Watched) -> Result<Watch, Full> {
        let mut waiting = self.waiting.write().unwrap_or_else(PoisonError::into_inner);
        let all = || waiting.entries.values().flatten();
        let own = all().filter(|entry| entry.watched.account == watched.account).count();
        if own >= EACH || all().count() >= MOST {
            return Err(Full);
        }
        let (told, events) = watch::channel(None);
        let (number, digest) = (waiting.next, watched.digest);
        waiting.next += 1;
        let schemes = &watched.api.schemes;
        let fields = schemes.header.iter().chain(schemes.header_pair.iter().flatten());
        waiting.fields.extend(fields.map(|field| field.as_str().into()));
        self.kinds[kind(watched.token)].fetch_add(1, Ordering::Relaxed);
        self.count.0.fetch_add(1, Ordering::Relaxed);
        let entry = Entry { number, watched: Arc::new(watched), told };
        waiting.entries.entry(digest).or_default().push(entry);
        drop(waiting);
        let end = Box::pin(tokio::time::sleep(LONGEST));
        Ok(Watch { watches: self.clone(), digest, number, told: events, end })
    }

    /// Whether anybody waits.
    #[inline]
    pub(crate) fn any(&self) -> bool {
        self.count.0.load(Ordering::Relaxed) != 0
    }

    /// Whether somebody may wait for this token.
    pub(crate) fn may_concern(&self, token: TokenId) -> bool {
        self.kinds[kind(token)].load(Ordering::Relaxed) != 0
    }

    /// Tells those who wait for this secret that a request with it was let through.
    pub(crate) fn admitted(&self, digest: &Digest, request: impl FnOnce() -> Request) {
        let mut waiting = self.waiting.write().unwrap_or_else(PoisonError::into_inner);
        let Some(entries) = waiting.entries.remove(digest) else { return };
        let request = request();
        for entry in entries {
            self.forget(&entry);
            entry.told.send_replace(Some(Event::Admitted(request.clone())));
        }
    }

    /// Tells those who wait for a secret that a refused request carried, in whatever way,
    /// what was wrong with it. `api` is the door's.
    pub(crate) fn refused<H: Headers>(
        &self,
        api: &Api,
        refusal: &Refusal,
        headers: &H,
        request: &Request,
        request_id: RequestId,
    ) {
        let waiting = self.waiting.read().unwrap_or_else(PoisonError::into_inner);
        let is_known = |digest: &Digest| waiting.entries.contains_key(digest);
        let Some(found) = find::find(headers, &waiting.fields, is_known) else { return };
        for entry in waiting.entries.get(&found.digest).into_iter().flatten() {
            let lesson = Lesson::of(&entry.watched, api, refusal, &found, request.client);
            let event = Event::Refused { request: request.clone(), request_id, lesson };
            entry.told.send_replace(Some(event));
        }
    }

    /// Counts one less.
    fn forget(&self, entry: &Entry) {
        self.kinds[kind(entry.watched.token)].fetch_sub(1, Ordering::Relaxed);
        self.count.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Watch {
    /// What came last and has not been told yet, once there is such a thing; none when
    /// nothing more will come.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        tokio::select! {
            biased;
            changed = self.told.changed() => {
                changed.ok()?;
                self.told.borrow_and_update().clone()
            }
            () = &mut self.end => None,
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut waiting = self.watches.waiting.write().unwrap_or_else(PoisonError::into_inner);
        let Some(entries) = waiting.entries.get_mut(&self.digest) else { return };
        if let Some(place) = entries.iter().position(|entry| entry.number == self.number) {
            self.watches.forget(&entries.swap_remove(place));
        }
        if entries.is_empty() {
            waiting.entries.remove(&self.digest);
        }
    }
}

/// Of which kind a token is: by the random bytes at the end of its id.
fn kind(token: TokenId) -> usize {
    let tail = token.as_bytes().last_chunk::<2>().copied().unwrap_or_default();
    usize::from(u16::from_be_bytes(tail)) % KINDS
}

#[cfg(test)]
mod tests;
