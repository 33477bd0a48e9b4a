//! Signing keys: made, published before they sign, retired, and withdrawn when one has leaked.
//! And what they are for: access tokens are signed here, and opened.
//!
//! What changes keys writes files: call it where blocking is allowed.

#[cfg(feature = "fuzzing")]
mod bare;
mod claims;
mod files;
#[cfg(test)]
mod forgeries;
mod key;
mod opened;
mod published;
mod schedule;
mod shared;
#[cfg(test)]
mod tests;

#[cfg(feature = "fuzzing")]
pub use bare::AccessTokens;
pub(crate) use files::{KeyFileError, KeyFiles};
pub(crate) use published::CannotSign;
pub(crate) use schedule::{Policy, Standing};
pub(crate) use shared::{MadeKeys, make_due};

use arc_swap::ArcSwap;
use bytes::Bytes;
use claims::Claims;
use counterfoil_core::{
    Timestamp,
    access_token::{AccessToken, Algorithm},
};
use key::Key;
use published::Published;
use shared::SharedKeys;
use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

/// The keys of this installation, in memory and on the disk. Signing and opening read one
/// snapshot of them, and wait for nobody.
#[derive(Debug)]
pub(crate) struct SigningKeys {
    source: Source,
    published: ArcSwap<Published>,
    /// Held by whoever changes them.
    changing: Mutex<Told>,
    /// How many files of shared keys cannot be used. Whoever asks does not wait for a disk.
    mistakes: AtomicUsize,
}

/// Where keys come from.
#[derive(Debug)]
enum Source {
    /// They are made here, and nobody else has them.
    Own(KeyFiles),
    /// The operator makes them, for several nodes.
    Shared(SharedKeys),
}

/// What the log has been told of shared keys.
#[derive(Debug, Default)]
struct Told {
    complaints: Vec<String>,
    at: Option<Timestamp>,
}

/// Something that was done to a key, for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Done {
    pub(crate) what: What,
    pub(crate) algorithm: Algorithm,
    pub(crate) kid: Box<str>,
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// It was made, and is published.
    Made,
    /// It is not published any more, and its file is gone.
    Removed,
    /// The operator has put it there, and it is published.
    Found,
    /// The operator has removed it, or it has done its work: it is not published any more.
    Gone,
}

/// A published key, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) algorithm: Algorithm,
    pub(crate) kid: Box<str>,
    pub(crate) made_at: Timestamp,
    pub(crate) standing: Standing,
    /// Until when it is what it is; as the schedule has it, where the next key is not made yet.
    pub(crate) until: Timestamp,
}

impl SigningKeys {
    /// Reads the keys, and does what is due: at the first start that is to make one for each
    /// algorithm.
    pub(crate) fn load(
        files: KeyFiles,
        now: Timestamp,
        policy: Policy,
    ) -> Result<(Self, Vec<Done>), KeyFileError> {
        let keys = files.load()?.into_iter().map(Arc::new).collect();
        let published = Published::new(keys, policy, None);
        let source = Source::Own(files);
        Self::of(source, published).begin(now, policy)
    }

    fn of(source: Source, published: Published) -> Self {
        let published = ArcSwap::from_pointee(published);
        Self { source, published, changing: Mutex::default(), mistakes: AtomicUsize::new(0) }
    }

    /// Where each algorithm has a key, a full disk is no reason to stop: the next tick tells.
    fn begin(self, now: Timestamp, policy: Policy) -> Result<(Self, Vec<Done>), KeyFileError> {
        let done = match self.tick(now, policy) {
            Ok(done) => done,
            Err(error) => {
                let published = self.published.load();
                if Algorithm::ALL.into_iter().any(|algorithm| published.of(algorithm).is_empty()) {
                    return Err(error);
                }
                Vec::new()
            }
        };
        Ok((self, done))
    }

    /// Does what is due by now: makes next keys, removes those that have done their work. What
    /// could be done has been done, also where something else has failed. Keys that are shared
    /// are the operator's to make and to remove.
    pub(crate) fn tick(&self, now: Timestamp, policy: Policy) -> Result<Vec<Done>, KeyFileError> {
        let Source::Own(files) = &self.source else { return Ok(Vec::new()) };
        let _changing = self.change();
        let before = self.published.load_full();
        let (mut keys, mut over, mut made) = (Vec::new(), Vec::new(), Vec::new());
        let mut failure = None;
        for key in before.keys.iter().filter(|key| schedule::is_astray(key.made_at, now)) {
            let (algorithm, kid) = (key.algorithm.name(), &key.kid);
            tracing::warn!(
                algorithm, %kid, millis = key.made_at.as_millis(),
                "a signing key is dated later than it is now: the clock was wrong then, or is \
                 now; others are made as if it were not there, and `counterfoil keys rotate \
                 --at-once` removes it"
            );
        }
        for algorithm in Algorithm::ALL {
            let times = before.made(algorithm);
            let due = schedule::due(&times, now, policy);
            let (old, rest) = before.of(algorithm).split_at(due.over);
            over.extend_from_slice(old);
            keys.extend_from_slice(rest);
            if due.make {
                match files.make(algorithm, schedule::next(&times, now)) {
                    Ok(key) => made.push(Arc::new(key)),
                    Err(error) => failure = Some(error),
                }
            }
        }
        keys.extend_from_slice(&made);
        if !made.is_empty() || !over.is_empty() || policy != before.policy {
            self.published.store(Arc::new(Published::new(keys, policy, Some(&before))));
        }
        // An old copy that is put back after a leak would have them back.
        let withdrawn = if over.is_empty() { Ok(()) } else { files.withdraw(&over) };
        remove(files, &over).and(withdrawn).and(failure.map_or(Ok(()), Err))?;
        Ok(told(What::Made, &made).chain(told(What::Removed, &over)).collect())
    }

    /// Makes the next key now, of each algorithm of which none waits already. It signs when it
    /// has been published for as long as the policy says.
    pub(crate) fn rotate(&self, now: Timestamp) -> Result<Vec<Done>, KeyFileError> {
        let files = self.own()?;
        let _changing = self.change();
        let before = self.published.load_full();
        let policy = before.policy;
        let waits = |algorithm| schedule::is_waiting(&before.made(algorithm), now, policy);
        let made = Algorithm::ALL.into_iter().filter(|at| !waits(*at));
        let made = make(files, made, &before, now)?;
        let keys = before.keys.iter().chain(&made).cloned().collect();
        self.published.store(Arc::new(Published::new(keys, policy, Some(&before))));
        Ok(told(What::Made, &made).collect())
    }

    /// Makes keys that sign from now on, and withdraws all others: they lie side by side, so who
    /// has one may have them all. Once this returns, everything that they have signed is refused.
    ///
    /// Where a withdrawn key's file cannot be removed, it is withdrawn all the same, and no start
    /// reads it again: the error is [`KeyFileError::Left`] then.
    pub(crate) fn rotate_at_once(&self, now: Timestamp) -> Result<Vec<Done>, KeyFileError> {
        let files = self.own()?;
        let _changing = self.change();
        let before = self.published.load_full();
        let made = make(files, Algorithm::ALL, &before, now)?;
        // Whatever happens from here on, no start reads the old ones.
        if let Err(error) = files.withdraw(&before.keys) {
            let _ = remove(files, &made);
            return Err(error);
        }
        let published = Published::new(made.clone(), before.policy, Some(&before));
        self.published.store(Arc::new(published));
        remove(files, &before.keys).map_err(KeyFileError::left)?;
        Ok(told(What::Made, &made).chain(told(What::Removed, &before.keys)).collect())
    }

    /// Withdraws all keys that lie there, where none is in use.
    pub(crate) fn withdraw_unused(files: &KeyFiles) -> Result<Vec<Done>, KeyFileError> {
        let keys: Vec<_> = files.load()?.into_iter().map(Arc::new).collect();
        files.withdraw(&keys)?;
        remove(files, &keys).map_err(KeyFileError::left)?;
        Ok(told(What::Removed, &keys).collect())
    }

    /// All published keys (RFC 7517), as JSON.
    pub(crate) fn jwks(&self) -> Bytes {
        self.published.load().jwks.clone()
    }

    /// All published keys, and what each is there for.
    pub(crate) fn list(&self, now: Timestamp) -> Vec<Listed> {
        self.published.load().list(now)
    }

    /// For how many algorithms the schedule wants a key that is not there.
    pub(crate) fn due(&self, now: Timestamp) -> usize {
        let published = self.published.load();
        let is_due = |algorithm: &Algorithm| {
            schedule::due(&published.made(*algorithm), now, published.policy).make
        };
        Algorithm::ALL.iter().filter(|algorithm| is_due(algorithm)).count()
    }

    /// How many files of shared keys cannot be used.
    pub(crate) fn mistakes(&self) -> usize {
        self.mistakes.load(Ordering::Relaxed)
    }

    /// An access token that says this (RFC 9068), signed by the key whose turn it is now.
    pub(crate) fn sign(
        &self,
        algorithm: Algorithm,
        access_token: &AccessToken,
        now: Timestamp,
    ) -> Result<String, CannotSign> {
        // It cannot fail: there is nothing in claims that JSON has no form for.
        let payload =
            serde_json::to_vec(&Claims::from(access_token)).map_err(|_| CannotSign::TooLong)?;
        self.published.load().sign(algorithm, &payload, now)
    }

    /// What an access token says, where a published key has signed exactly this text. Whether it
    /// is meant for somebody, and still alive, is for the reader of its claims to judge.
    pub(crate) fn open(&self, text: &str) -> Option<Arc<AccessToken>> {
        self.published.load().open(text)
    }

    /// The files, where they are this server's to change.
    fn own(&self) -> Result<&KeyFiles, KeyFileError> {
        match &self.source {
            Source::Own(files) => Ok(files),
            Source::Shared(shared) => Err(KeyFileError::OnlyRead(shared.directory().to_owned())),
        }
    }

    fn change(&self) -> MutexGuard<'_, Told> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of each of these algorithms, or none at all.
fn make(
    files: &KeyFiles,
    algorithms: impl IntoIterator<Item = Algorithm>,
    before: &Published,
    now: Timestamp,
) -> Result<Vec<Arc<Key>>, KeyFileError> {
    let mut made = Vec::new();
    for algorithm in algorithms {
        let made_at = schedule::next(&before.made(algorithm), now);
        match files.make(algorithm, made_at) {
            Ok(key) => made.push(Arc::new(key)),
            Err(error) => {
                // The first failure is the one to tell of.
                let _ = remove(files, &made);
                return Err(error);
            }
        }
    }
    Ok(made)
}

/// Removes the files of all of these; the first failure is told of, when all were tried.
fn remove(files: &KeyFiles, keys: &[Arc<Key>]) -> Result<(), KeyFileError> {
    keys.iter().map(|key| files.remove(key)).fold(Ok(()), Result::and)
}

fn told(what: What, keys: &[Arc<Key>]) -> impl Iterator<Item = Done> {
    keys.iter().map(move |key| Done { what, algorithm: key.algorithm, kid: key.kid.clone() })
}
