//! Passwords at the doors of APIs that take them: looked at one at a time, by a thread that
//! gives way to every other.
//!
//! It is apart from where people sign in, so that a flood of passwords at an API keeps nobody
//! out of the console. What is wrong at one counts at the other, for guessing is guessing
//! (see `attempts`). Nothing is remembered of a password that was right: whatever was could
//! be stolen, and be good for a while after the password has changed.

use super::{
    attempts::{Attempt, Attempts},
    passwords::{self, Verified},
};
use crate::{
    clock,
    store::{Credentials, Store, StoreError},
};
use counterfoil_core::{
    Code, Refusal,
    account::{AccountKind, Email},
    credential::EmailAndSecret,
    id::AccountId,
    refusal::About,
    time::Seconds,
};
use std::{
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError, mpsc},
    time::{Duration, Instant},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// How many wait at most, the one that is looked at among them.
const PLACES: usize = 16;
/// How long one waits at most.
const PATIENCE: Duration = Duration::from_secs(5);
/// When to come back where there was no place.
const LATER: Seconds = Seconds(2);
/// As far behind all others as a thread can be.
const LOWEST: i32 = 19;

/// A password that a request shows, and where that comes from.
pub(crate) struct PasswordShown {
    pub(crate) pair: EmailAndSecret,
    pub(crate) client: Option<IpAddr>,
}

/// What looks at them.
pub(crate) struct DoorPasswords {
    store: Arc<dyn Store>,
    attempts: Arc<Attempts>,
    places: Arc<Semaphore>,
    /// The way to the thread, once there is one.
    thread: Mutex<Option<mpsc::Sender<Job>>>,
}

/// What came of looking at a password, for the one request that has shown it.
pub(crate) type Looked<'a> = Result<Proof<'a>, Refusal>;

/// The password is this account's. Until the request is judged the attempt counts as wrong.
#[must_use]
pub(crate) struct Proof<'a> {
    pub(crate) account: AccountId,
    attempt: Attempt<'a>,
}

/// One to look at. It has its place until it is dropped, whether anybody waits for it or not.
struct Job {
    pair: EmailAndSecret,
    hash: Option<String>,
    answer: oneshot::Sender<Verified>,
    _place: OwnedSemaphorePermit,
}

/// Whose address it is, as the database has it at one moment.
#[derive(PartialEq, Eq)]
struct Known {
    credentials: Option<Credentials>,
    has_second_factor: bool,
}

/// Why nobody can say whether a password is right.
struct Unknown(&'static str);

impl From<StoreError> for Unknown {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "passwords cannot be looked up");
        Self("the database could not be read")
    }
}

impl DoorPasswords {
    pub(crate) fn new(store: Arc<dyn Store>, attempts: Arc<Attempts>) -> Self {
        let places = Arc::new(Semaphore::new(PLACES));
        Self { store, attempts, places, thread: Mutex::default() }
    }

    /// Until when somebody waits who asks now.
    pub(crate) fn deadline() -> Instant {
        clock::steady() + PATIENCE
    }

    /// Whose password this is. Reads the database, which no other request at a door does, and
    /// only once the attempt has been counted and has a place.
    pub(crate) async fn look(&self, shown: PasswordShown, deadline: Instant) -> Looked<'_> {
        let PasswordShown { pair, client } = shown;
        let attempt =
            self.attempts.password(pair.email(), client, clock::steady()).map_err(|left| {
                // Whether there is such an account or not, as at the sign-in.
                come_back(Seconds(left.as_secs().max(1)))
            })?;
        let place = self.places.clone().try_acquire_owned();
        // Of a batch that has used up its time the rest is not even looked up.
        let Some(place) = place.ok().filter(|_| clock::steady() < deadline) else {
            attempt.undecided();
            return Err(come_back(LATER));
        };
        match tokio::time::timeout_at(deadline.into(), self.prove(pair, place)).await {
            Ok(Ok(Ok(account))) => Ok(Proof { account, attempt }),
            Ok(Ok(Err(refusal))) => Err(refusal),
            Ok(Err(Unknown(why))) => {
                attempt.undecided();
                Err(Refusal::known(Code::NodeStale, why))
            }
            Err(_) => {
                attempt.undecided();
                Err(come_back(LATER))
            }
        }
    }

    /// The same work whoever is meant: the same look-ups, and one hash.
    async fn prove(
        &self,
        pair: EmailAndSecret,
        place: OwnedSemaphorePermit,
    ) -> Result<Result<AccountId, Refusal>, Unknown> {
        let email = pair.email().parse::<Email>().ok();
        let before = self.known(email.clone()).await?;
        let (answer, verified) = oneshot::channel();
        let hash = before.hash().map(str::to_owned);
        self.hand_over(Job { pair, hash, answer, _place: place })?;
        let verified =
            verified.await.map_err(|_| Unknown("the thread that looks at passwords has ended"))?;
        // While it waited, the password may have changed, or a second factor come.
        let after = self.known(email).await?;
        if before != after {
            return Ok(Err(Refusal::known(Code::WrongPassword, "the account has just changed")));
        }
        Ok(after.verdict(verified))
    }

    async fn known(&self, email: Option<Email>) -> Result<Known, Unknown> {
        let credentials = match email {
            Some(email) => self.store.credentials_by_email(email).await?,
            None => None,
        };
        // Nobody's is looked for, too: that takes as long.
        let nobody = AccountId::from_bytes([0; 16]);
        let account = credentials.as_ref().map_or(nobody, |found| found.account);
        let factor = self.store.second_factor(account).await?;
        // Either of the two says so: neither is believed when it says that there is none.
        let has_second_factor = factor.is_some_and(|factor| factor.is_confirmed)
            || credentials.as_ref().is_some_and(|found| found.has_second_factor);
        Ok(Known { credentials, has_second_factor })
    }

    /// Gives a password to the thread, and starts one where there is none.
    fn hand_over(&self, mut job: Job) -> Result<(), Unknown> {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(jobs) = &*thread {
            match jobs.send(job) {
                Ok(()) => return Ok(()),
                Err(mpsc::SendError(back)) => job = back,
            }
        }
        let (jobs, queue) = mpsc::channel();
        let started = std::thread::Builder::new()
            .name("passwords".into())
            .spawn(move || work_off(&queue))
            .and_then(|_| jobs.send(job).map_err(std::io::Error::other));
        started.map_err(|error| {
            tracing::error!(%error, "no thread can be started for passwords");
            Unknown("no thread could be started")
        })?;
        *thread = Some(jobs);
        Ok(())
    }

    /// Has no place left for anybody, for as long as the answer is kept.
    #[cfg(test)]
    fn occupy(&self) -> tokio::sync::SemaphorePermit<'_> {
        let all = u32::try_from(self.places.available_permits()).unwrap();
        self.places.try_acquire_many(all).unwrap()
    }
}

impl Proof<'_> {
    /// Counts the attempt by what came of the request. Whatever looks like a wrong password
    /// counts as one: else the throttle would tell that it was right.
    pub(crate) fn settle<T>(self, judged: &Result<T, Refusal>) {
        match judged.as_ref().map_err(|refusal| refusal.code) {
            Ok(_) | Err(Code::InsufficientScope) => self.attempt.succeeded(),
            Err(Code::NodeStale) => self.attempt.undecided(),
            Err(_) => {}
        }
    }
}

impl Known {
    /// The hash of whoever may sign in.
    fn hash(&self) -> Option<&str> {
        let found = self.credentials.as_ref()?;
        let may = found.kind == AccountKind::Person && !found.is_disabled;
        found.password_hash.as_deref().filter(|_| may)
    }

    fn verdict(&self, verified: Verified) -> Result<AccountId, Refusal> {
        let wrong = |what| Err(Refusal::known(Code::WrongPassword, what));
        let Some(found) = &self.credentials else {
            return wrong("no account has this e-mail address");
        };
        if self.hash().is_none() {
            return wrong("the account is disabled, or has no password");
        }
        match verified {
            Verified::Wrong => wrong("the password is another"),
            _ if self.has_second_factor => Err(Refusal::new(Code::SecondFactor)),
            Verified::Right | Verified::Outdated => Ok(found.account),
        }
    }
}

fn come_back(after: Seconds) -> Refusal {
    Refusal { about: About::RetryAfter(after), ..Refusal::new(Code::RateLimited) }
}

/// What the thread does, until nobody can ask any more.
fn work_off(queue: &mpsc::Receiver<Job>) {
    // Of this thread alone: on Linux a priority is a thread's.
    if let Err(error) = rustix::process::setpriority_process(None, LOWEST) {
        tracing::warn!(%error, "the thread that looks at passwords has the priority of all others");
    }
    for job in queue {
        // Whoever asked may have gone.
        if !job.answer.is_closed() {
            let verified = passwords::compare(job.pair.secret(), job.hash.as_deref());
            let _ = job.answer.send(verified);
        }
    }
}

#[cfg(test)]
mod tests;
