//! What became of a token, as the ledger tells it, for whoever sees the token.

use super::{Caller, MOMENT, Service, ServiceError};
use crate::store::{EntryFilter, StoredEntry};
use counterfoil_core::{
    Timestamp,
    account::{AccountKind, Email},
    id::{AccountId, TokenId},
    lease::Reached,
    ledger::{Actor, Change, EntryHash},
};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// How many revocations are remembered with the time that they took.
const REMEMBERED: usize = 1000;

/// Something that was done to a token.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    /// The number of the ledger's entry.
    pub(crate) number: u64,
    pub(crate) at: Timestamp,
    pub(crate) by: By,
    /// None once that is erased.
    pub(crate) change: Option<Change>,
    pub(crate) kind: Box<str>,
}

/// Who did it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum By {
    Operator,
    LeakReport,
    /// A person or a service account: its name, and its address where it has one.
    Account(Named),
}

/// An account as people know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) id: AccountId,
    pub(crate) name: String,
    pub(crate) email: Option<Email>,
    pub(crate) is_service: bool,
    pub(crate) is_disabled: bool,
    /// Is no member of the token's organization any more.
    pub(crate) has_left: bool,
}

/// How a token was ended.
#[derive(Debug, Clone)]
pub(crate) struct Revocation {
    pub(crate) event: Event,
    pub(crate) reason: String,
    /// The entry's, which chains it to all before it.
    pub(crate) hash: Option<EntryHash>,
    /// How long it took until no node accepted the token, where this server did it not too
    /// long ago.
    pub(crate) took: Option<Duration>,
    /// Which nodes had heard of it then; else, which have now.
    pub(crate) reached: Reached,
}

/// How long revocations took, and which nodes they reached: of the last ones that this server made.
#[derive(Debug, Default)]
pub(crate) struct Took(Mutex<VecDeque<(TokenId, Duration, Reached)>>);

impl Took {
    /// Notes how the end of a token was told. What was noted first stays.
    pub(crate) fn note(&self, token: TokenId, took: Duration, reached: Reached) {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.iter().any(|(known, ..)| *known == token) {
            return;
        }
        if noted.len() == REMEMBERED {
            noted.pop_front();
        }
        noted.push_back((token, took, reached));
    }

    fn of(&self, token: TokenId) -> Option<(Duration, Reached)> {
        let noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = noted.iter().find(|(known, ..)| *known == token);
        found.map(|(_, took, reached)| (*took, *reached))
    }
}

impl Service {
    /// What was done to a token, the latest first.
    pub(crate) async fn token_history(
        &self,
        caller: &Caller,
        id: TokenId,
        limit: u32,
    ) -> Result<Vec<Event>, ServiceError> {
        let token = self.token(caller, id).await?.token;
        let filter = EntryFilter { subject: Some(*token.id.as_bytes()), ..EntryFilter::default() };
        let entries = self.store.entries_before(filter, u64::MAX, limit).await?;
        let mut people = BTreeMap::new();
        let mut events = Vec::with_capacity(entries.len());
        for entry in entries {
            events.push(self.event(entry, &mut people).await?);
        }
        Ok(events)
    }

    /// How a token was ended; none while it was not.
    pub(crate) async fn revocation(
        &self,
        caller: &Caller,
        id: TokenId,
    ) -> Result<Option<Revocation>, ServiceError> {
        let stored = self.token(caller, id).await?;
        if stored.revoked_at.is_none() {
            return Ok(None);
        }
        // Nothing can be done to a revoked token: its end is the last that there is.
        let last = self.token_history(caller, id, 1).await?.pop();
        let Some(event) = last.filter(|event| &*event.kind == "token_revoked") else {
            return Ok(None);
        };
        let links = self.store.chain(event.number.saturating_sub(1), 1).await?;
        let link = links.into_iter().find(|link| link.number == event.number);
        let (took, reached) = match self.took.of(id) {
            Some((took, reached)) => (Some(took), reached),
            None => (None, self.waits.wait(event.number, Some(MOMENT)).await.reached),
        };
        Ok(Some(Revocation {
            event,
            reason: stored.revoke_reason,
            hash: link.map(|link| link.hash),
            took,
            reached,
        }))
    }

    /// Who owns a token that the caller sees.
    pub(crate) async fn owner_of(
        &self,
        caller: &Caller,
        id: TokenId,
    ) -> Result<Named, ServiceError> {
        let token = self.token(caller, id).await?.token;
        let membership = self.membership(token.organization, token.owner).await?;
        Ok(Named { has_left: membership.is_none(), ..self.named(token.owner).await? })
    }

    async fn event(
        &self,
        StoredEntry { entry, change }: StoredEntry,
        people: &mut BTreeMap<AccountId, Named>,
    ) -> Result<Event, ServiceError> {
        let by = match entry.actor {
            Actor::Operator => By::Operator,
            Actor::LeakReport => By::LeakReport,
            Actor::Token { account, .. } | Actor::Session { account, .. } => {
                let known = match people.get(&account) {
                    Some(known) => Named::clone(known),
                    None => self.named(account).await?,
                };
                people.insert(account, known.clone());
                By::Account(known)
            }
        };
        Ok(Event { number: entry.number, at: entry.at, by, change, kind: entry.kind })
    }

    /// An account's name, for whoever sees what it did.
    async fn named(&self, id: AccountId) -> Result<Named, ServiceError> {
        Ok(match self.store.account(id).await? {
            Some(account) => Named {
                id,
                name: account.name,
                email: account.email,
                is_service: account.kind == AccountKind::Service,
                is_disabled: account.disabled_at.is_some(),
                has_left: false,
            },
            None => Named {
                id,
                name: id.to_string(),
                email: None,
                is_service: false,
                is_disabled: false,
                has_left: false,
            },
        })
    }
}
