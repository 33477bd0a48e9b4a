//! Operations: one function for each, used by every interface alike.
//!
//! A function here authorises, decides and commits. What it decided on may
//! have changed by the time it commits; the store notices, and it decides again.

pub(crate) mod access_tokens;
pub(crate) mod accounts;
pub(crate) mod attempts;
mod audit;
mod backups;
mod caller;
pub(crate) mod door_passwords;
pub(crate) mod idempotency;
pub(crate) mod import;
pub(crate) mod inspections;
pub(crate) mod invitations;
mod leaks;
pub(crate) mod leavers;
pub(crate) mod links;
pub(crate) mod management_api;
pub(crate) mod members;
mod metadata;
pub(crate) mod nodes;
pub(crate) mod organizations;
pub(crate) mod own_account;
pub(crate) mod passwords;
pub(crate) mod restore;
pub(crate) mod rotation;
pub(crate) mod second_factor;
pub(crate) mod sessions;
mod signing_keys;
mod streams;
pub(crate) mod token_history;
pub(crate) mod token_lists;
pub(crate) mod tokens;
pub(crate) mod usage;

pub(crate) use caller::{Caller, Member, Via};
pub(crate) use leaks::Leaked;
pub(crate) use streams::Streams;

use crate::{
    access_tokens::AccessTokenKeys,
    clock, entropy,
    loggable::loggable,
    mail::{Letter, Post},
    refusals::{Refusals, StoredRefusal},
    replica::{
        Replica,
        waits::{Spread, Waits},
    },
    store::{Ground, Once, Order, Standing, Store, StoreError},
    usage::Usage,
    watch::Watches,
};
use arc_swap::ArcSwap;
use counterfoil_core::{
    Timestamp,
    account::is_invisible,
    api::Api,
    id::RequestId,
    ledger::{Actor, Change},
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio_util::task::TaskTracker;

/// The protected APIs by their names, the management API among them.
pub(crate) type Apis = BTreeMap<Box<str>, Arc<Api>>;

/// What operations work on.
pub(crate) struct Service {
    pub(crate) store: Arc<dyn Store>,
    /// Whose lease and sight of others operators are told of; operations decide by the store.
    pub(crate) replica: Arc<Replica>,
    /// What every answer to a change waits for.
    pub(crate) waits: Waits,
    pub(crate) apis: ArcSwap<Apis>,
    pub(crate) refusals: Arc<Refusals>,
    pub(crate) usage: Arc<Usage>,
    pub(crate) watches: Arc<Watches>,
    pub(crate) passwords: passwords::Passwords,
    pub(crate) attempts: Arc<attempts::Attempts>,
    pub(crate) door_passwords: Arc<door_passwords::DoorPasswords>,
    pub(crate) requests: links::Requests,
    pub(crate) lifetimes: ArcSwap<sessions::Lifetimes>,
    pub(crate) post: Arc<Post>,
    pub(crate) streams: Streams,
    pub(crate) leaked: Leaked,
    pub(crate) took: token_history::Took,
    pub(crate) access_tokens: Arc<AccessTokenKeys>,
    pub(crate) inspections: inspections::Inspections,
    /// Work that nobody waits for until the end.
    pub(crate) under_way: TaskTracker,
}

/// Why an operation was not done. Nothing was changed, but perhaps where it is
/// [`Self::Unknown`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ServiceError {
    /// Something that was asked for makes no sense: which field, and what would be right.
    #[error("{field}: {message}")]
    Invalid { field: &'static str, message: String },
    /// It does not exist, or not for this caller.
    #[error("{0}")]
    NotFound(String),
    /// The caller may not do it.
    #[error("{0}")]
    Forbidden(String),
    /// It cannot be done as things are.
    #[error("{0}")]
    Conflict(String),
    /// The key of idempotency has been used for something else.
    #[error("this Idempotency-Key was used for another request; use a new key for a new request")]
    KeyReused,
    /// Too much is going on; later it may work.
    #[error("{0}")]
    Busy(String),
    /// It was done too often; so long is there to wait.
    #[error("{why}")]
    TooOften { why: String, wait: Duration },
    /// The store cannot do it now; later it may.
    #[error("{0}")]
    Unavailable(String),
    /// Not every node could apply it.
    #[error(
        "nothing was changed: at least one node that shares the database runs an older version \
         of Counterfoil, which does not know this kind of change; upgrade all nodes first, the \
         log names those that are older"
    )]
    OlderNodes,
    /// Whether it was done nobody can say.
    #[error("whether this was done is unknown; look before you try again")]
    Unknown,
}

impl From<StoreError> for ServiceError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict => Self::Conflict(
                "something else changed at the same moment; look again and try again".into(),
            ),
            StoreError::Outranked => Self::Forbidden(
                "what you may do here has just changed, and does not allow this any more; nothing \
                 was changed"
                    .into(),
            ),
            StoreError::Unavailable(why) => {
                Self::Unavailable(format!("nothing was changed, because {why}"))
            }
            StoreError::OlderNodes => Self::OlderNodes,
            StoreError::Unknown => Self::Unknown,
        }
    }
}

/// What is to become of a value that need not be there.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) enum Update<T> {
    #[default]
    Keep,
    Clear,
    Set(T),
}

impl<T> Update<T> {
    /// Changes `value` as is asked for, if what is to be set passes `check`.
    fn apply<U>(
        &self,
        value: &mut Option<U>,
        check: impl FnOnce(&T) -> Result<U, ServiceError>,
    ) -> Result<(), ServiceError> {
        match self {
            Self::Keep => {}
            Self::Clear => *value = None,
            Self::Set(new) => *value = Some(check(new)?),
        }
        Ok(())
    }
}

/// Who asks for changes, and what they still have to be when those are made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asker {
    actor: Actor,
    standing: Option<Standing>,
}

impl From<Actor> for Asker {
    fn from(actor: Actor) -> Self {
        Self { actor, standing: None }
    }
}

impl From<&Caller> for Asker {
    fn from(caller: &Caller) -> Self {
        Self { actor: caller.into(), standing: caller.standing() }
    }
}

/// How long an answer waits that need not tell that a change is everywhere.
const MOMENT: Duration = Duration::from_secs(1);

/// How often a decision is taken anew when the ground has shifted under it.
const DECISIONS: usize = 3;

/// How many changes that are asked for together are under way at once: they share commits, and
/// wait together until no node judges without them.
const TOGETHER: usize = 64;

impl Service {
    /// Makes changes, all of them at the moment `at`, and waits until no node judges without
    /// them. Nothing is read back afterwards: what failed after a commit would be told as if
    /// nothing had been changed.
    async fn commit(
        &self,
        asker: impl Into<Asker>,
        at: Timestamp,
        changes: impl IntoIterator<Item = Change>,
    ) -> Result<(), StoreError> {
        let number = self.append(asker, at, changes, None).await?;
        self.waits.wait(number, None).await;
        Ok(())
    }

    /// The same, remembering under which key they were asked for, and waiting for no longer
    /// than a moment: for what nobody can know yet.
    async fn commit_once(
        &self,
        asker: impl Into<Asker>,
        at: Timestamp,
        changes: impl IntoIterator<Item = Change>,
        once: Option<Once>,
    ) -> Result<Spread, StoreError> {
        let number = self.append(asker, at, changes, once).await?;
        Ok(self.waits.wait(number, Some(MOMENT)).await)
    }

    /// Makes changes, and tells the number of the last. Whoever calls this answers nobody
    /// before they have waited for that number.
    async fn append(
        &self,
        asker: impl Into<Asker>,
        at: Timestamp,
        changes: impl IntoIterator<Item = Change>,
        once: Option<Once>,
    ) -> Result<u64, StoreError> {
        self.order(asker.into(), Vec::new(), at, changes, once).await
    }

    /// The same of a change that rests on something else than who asks for it.
    async fn append_on(
        &self,
        ground: Ground,
        asker: impl Into<Asker>,
        at: Timestamp,
        changes: impl IntoIterator<Item = Change>,
    ) -> Result<u64, StoreError> {
        self.order(asker.into(), vec![ground], at, changes, None).await
    }

    async fn order(
        &self,
        Asker { actor, standing }: Asker,
        grounds: Vec<Ground>,
        at: Timestamp,
        changes: impl IntoIterator<Item = Change>,
        once: Option<Once>,
    ) -> Result<u64, StoreError> {
        let changes = changes.into_iter().map(|change| (change, entropy::bytes())).collect();
        let order = Order { at, actor, standing, grounds, changes, once };
        Ok(self.store.commit(order).await?.number)
    }

    /// Decides and commits, again if need be, until both agree. `decide` gives
    /// the change, or none when there is nothing to do, and what is so then. Waits until no
    /// node judges without that.
    async fn settle<T, F>(
        &self,
        asker: impl Into<Asker>,
        decide: impl Fn(Timestamp) -> F,
    ) -> Result<T, ServiceError>
    where
        F: Future<Output = Result<(Option<Change>, T), ServiceError>>,
    {
        self.settle_within(None, asker, decide).await.map(|(then, _)| then)
    }

    /// The same, waiting no longer than `most`, where that is said.
    async fn settle_within<T, F>(
        &self,
        most: Option<Duration>,
        asker: impl Into<Asker>,
        decide: impl Fn(Timestamp) -> F,
    ) -> Result<(T, Spread), ServiceError>
    where
        F: Future<Output = Result<(Option<Change>, T), ServiceError>>,
    {
        let asker = asker.into();
        for _ in 0..DECISIONS {
            let at = clock::now();
            let (change, then) = decide(at).await?;
            let Some(change) = change else {
                // Who made it so may still be waiting.
                return Ok((then, self.see(most).await?));
            };
            match self.append(asker, at, [change], None).await {
                Ok(number) => return Ok((then, self.waits.wait(number, most).await)),
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// Waits until no node judges without what is in the database now, so that whoever is told
    /// of it finds it everywhere; no longer than `most`, where that is said.
    pub(crate) async fn see(&self, most: Option<Duration>) -> Result<Spread, ServiceError> {
        if !self.waits.are_shared() {
            return Ok(Spread::HERE);
        }
        let head = self.store.head().await?;
        Ok(self.waits.wait(head.number, most).await)
    }

    /// Has a letter sent, or none, without waiting for it.
    pub(crate) fn send_later(&self, letter: Option<Letter>) {
        self.post.send_later(&self.under_way, letter);
    }

    /// Why an answer of this name was a refusal; only for those whom it concerns.
    pub(crate) async fn refusal(
        &self,
        caller: &Caller,
        id: RequestId,
    ) -> Result<StoredRefusal, ServiceError> {
        caller.may("tokens:read")?;
        let unknown = || {
            ServiceError::NotFound("there is no refusal of this name, or it is too long ago".into())
        };
        let refusal = self.refusals.find(id).await?.ok_or_else(unknown)?;
        match (caller, refusal.matched) {
            (Caller::Operator, _) => Ok(refusal),
            // Whoever sees the token sees why it was refused.
            (_, Some((token, _))) => {
                self.token(caller, token).await.map(|_| refusal).map_err(|_| unknown())
            }
            (_, None) => Err(unknown()),
        }
    }

    fn api(&self, name: &str) -> Result<Arc<Api>, ServiceError> {
        let apis = self.apis.load();
        apis.get(name).cloned().ok_or_else(|| {
            let configured = apis.keys().filter(|name| ***name != *management_api::NAME);
            let known: Vec<&str> = configured.map(|name| &**name).collect();
            let hint = if known.is_empty() {
                "the configuration has none".to_owned()
            } else {
                format!("the configuration has {}", known.join(", "))
            };
            ServiceError::NotFound(format!("there is no API {:?}; {hint}", loggable(name)))
        })
    }
}

/// The characters that no text may have, and `\r`, which only a line's end may have.
macro_rules! unfit {
    () => {
        r"\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff"
    };
}

/// What is taken off around a line.
macro_rules! margin {
    () => {
        r"([ \t\n]|\r\n)*"
    };
}

/// What [`check_text`] takes, as a regular expression.
pub(crate) const TEXT: &str = concat!(r"^(\r\n|[^", unfit!(), "])*$");
/// What [`check_line`] takes.
pub(crate) const LINE: &str = concat!("^", margin!(), r"[^\n", unfit!(), "]*", margin!(), "$");
/// What [`check_name`] takes.
pub(crate) const NAME: &str = concat!(
    "^",
    margin!(),
    r"[^\n",
    unfit!(),
    r"]*[^\s",
    unfit!(),
    r"][^\n",
    unfit!(),
    "]*",
    margin!(),
    "$"
);
/// The longest external id, in characters.
pub(crate) const EXTERNAL_ID: usize = 200;

/// A name or a reason: one line, not a page long, nothing in it that would
/// upset a terminal or mislead a reader.
fn check_line(field: &'static str, text: &str, longest: usize) -> Result<String, ServiceError> {
    let text = check_text(field, text, longest)?;
    if text.contains('\n') {
        let message = "must be one line".into();
        return Err(ServiceError::Invalid { field, message });
    }
    Ok(text)
}

/// What somebody else's system calls something.
fn check_external_id(text: &str) -> Result<Box<str>, ServiceError> {
    let (field, id) = ("external_id", check_line("external_id", text, EXTERNAL_ID)?);
    if id.is_empty() {
        return Err(ServiceError::Invalid { field, message: "must not be empty".into() });
    }
    Ok(id.into())
}

/// A name: a line that is not empty.
fn check_name(text: &str, longest: usize) -> Result<String, ServiceError> {
    let name = check_line("name", text, longest)?;
    if name.is_empty() {
        return Err(ServiceError::Invalid { field: "name", message: "must not be empty".into() });
    }
    Ok(name)
}

/// A note: the same, but of several lines if need be.
fn check_text(field: &'static str, text: &str, longest: usize) -> Result<String, ServiceError> {
    let invalid = |message: String| Err(ServiceError::Invalid { field, message });
    if text.chars().count() > longest {
        return invalid(format!("must not be longer than {longest} characters"));
    }
    let text = text.replace("\r\n", "\n").replace('\t', " ");
    if text.chars().any(|c| (c.is_control() && c != '\n') || is_invisible(c)) {
        return invalid("must not contain control characters or invisible ones".into());
    }
    Ok(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        assert_eq!(check_text("note", " a\r\nb\tc ", 10).unwrap(), "a\nb c");
        assert_eq!(check_name("Zoë 日本", 10).unwrap(), "Zoë 日本");
        for wrong in [
            "",
            " ",
            "a\nb",
            "a\u{0}",
            "a\u{1b}[31m",
            "evil\u{202e}txt.exe",
            "a\u{200b}b",
            "12345678901",
            // Nothing is taken off before it is looked at.
            " 1234567890",
            "a\u{b}",
            "a\r",
        ] {
            assert!(check_name(wrong, 10).is_err(), "{wrong:?}");
        }
    }
}
