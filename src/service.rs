//! Operations: one function for each, used by every interface alike.
//!
//! A function here authorises, decides and commits. What it decided on may
//! have changed by the time it commits; the store notices, and it decides again.

pub(crate) mod accounts;
mod caller;
pub(crate) mod management_api;
pub(crate) mod organizations;
pub(crate) mod passwords;
pub(crate) mod tokens;

pub(crate) use caller::{Caller, Member};

use crate::{
    clock, entropy,
    store::{Inspection, Order, Progress, Store, StoreError},
};
use counterfoil_core::{
    api::Api,
    ledger::{Change, Head},
};
use std::{collections::BTreeMap, sync::Arc};

/// What operations work on.
pub(crate) struct Service {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) apis: BTreeMap<Box<str>, Arc<Api>>,
    pub(crate) passwords: passwords::Passwords,
    /// Two first organizations made side by side would both be the first.
    pub(crate) initialising: tokio::sync::Mutex<()>,
}

/// Why an operation was not done. Nothing was changed.
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
    /// Too much is going on; later it may work.
    #[error("{0}")]
    Busy(String),
    /// The store cannot do it now; later it may.
    #[error("{0}")]
    Unavailable(String),
}

impl From<StoreError> for ServiceError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict => Self::Conflict(
                "something else changed at the same moment; look again and try again".into(),
            ),
            StoreError::Unavailable(why) => {
                Self::Unavailable(format!("nothing was changed, because {why}"))
            }
        }
    }
}

/// How often a decision is taken anew when the ground has shifted under it.
const DECISIONS: usize = 3;

impl Service {
    async fn commit(
        &self,
        caller: &Caller,
        changes: impl IntoIterator<Item = Change>,
    ) -> Result<Head, StoreError> {
        let changes = changes.into_iter().map(|change| (change, entropy::bytes())).collect();
        self.store.commit(Order { at: clock::now(), actor: caller.actor(), changes }).await
    }

    /// Decides and commits, again if need be, until both agree. `decide` gives
    /// the change, or none when there is nothing to do.
    async fn settle<F: Future<Output = Result<Option<Change>, ServiceError>>>(
        &self,
        caller: &Caller,
        decide: impl Fn() -> F,
    ) -> Result<(), ServiceError> {
        for _ in 0..DECISIONS {
            let Some(change) = decide().await? else { return Ok(()) };
            match self.commit(caller, [change]).await {
                Ok(_) => return Ok(()),
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// Recomputes the ledger's chain and holds it against the state.
    pub(crate) async fn inspect_ledger(
        &self,
        caller: &Caller,
        progress: Progress,
    ) -> Result<Inspection, ServiceError> {
        caller.is_operator()?;
        Ok(self.store.inspect_ledger(progress).await?)
    }

    fn api(&self, name: &str) -> Result<&Arc<Api>, ServiceError> {
        self.apis.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.apis.keys().map(|name| &**name).collect();
            let hint = if known.is_empty() {
                "the configuration has none".to_owned()
            } else {
                format!("the configuration has {}", known.join(", "))
            };
            ServiceError::NotFound(format!("there is no API {name:?}; {hint}"))
        })
    }
}

/// A text that people gave something as its name: not empty, not a page long,
/// nothing in it that would upset a terminal.
fn check_text(
    field: &'static str,
    text: &str,
    longest: usize,
    may_be_empty: bool,
) -> Result<String, ServiceError> {
    let text = text.trim();
    let invalid = |message: String| Err(ServiceError::Invalid { field, message });
    if text.is_empty() && !may_be_empty {
        return invalid("must not be empty".into());
    }
    if text.chars().count() > longest {
        return invalid(format!("must not be longer than {longest} characters"));
    }
    if text.chars().any(|c| c.is_control() && !(may_be_empty && c == '\n')) {
        return invalid("must not contain control characters".into());
    }
    Ok(text.to_owned())
}
