//! The audit log: the caller's part of the ledger.

use super::{Caller, Service, ServiceError};
use crate::store::{EntryFilter, Link, StoredEntry};
use counterfoil_core::Timestamp;

impl Service {
    /// Entries behind the one of number `after` that concern the caller: an
    /// administrator's organization, for the operator everything.
    pub(crate) async fn audit(
        &self,
        caller: &Caller,
        filter: EntryFilter,
        after: u64,
        limit: u32,
    ) -> Result<Vec<StoredEntry>, ServiceError> {
        let Some(filter) = concerning(caller, filter)? else { return Ok(Vec::new()) };
        Ok(self.store.entries(filter, after, limit).await?)
    }

    /// The same in front of the one of number `before`, the latest first.
    pub(crate) async fn audit_before(
        &self,
        caller: &Caller,
        filter: EntryFilter,
        before: u64,
        limit: u32,
    ) -> Result<Vec<StoredEntry>, ServiceError> {
        let Some(filter) = concerning(caller, filter)? else { return Ok(Vec::new()) };
        Ok(self.store.entries_before(filter, before, limit).await?)
    }

    /// The number of the first entry that was made at `moment` or later, of whoever's; one
    /// more than the last, where there is none. Entries are made in the order of time, but
    /// for moments.
    pub(crate) async fn first_entry_at(&self, moment: Timestamp) -> Result<u64, ServiceError> {
        let (mut before, mut from) = (1, self.last_entry().await? + 1);
        while before < from {
            let middle = before + (from - before) / 2;
            let entry = self.store.entries(EntryFilter::default(), middle - 1, 1).await?;
            if entry.first().is_none_or(|stored| stored.entry.at >= moment) {
                from = middle;
            } else {
                before = middle + 1;
            }
        }
        Ok(from)
    }

    /// The number of the last entry there is. A caller's rights hold for what is up to it:
    /// whatever comes later may be none of theirs.
    pub(crate) async fn last_entry(&self) -> Result<u64, ServiceError> {
        Ok(self.store.head().await?.number)
    }

    /// The chain itself, for a copy elsewhere.
    pub(crate) async fn chain(
        &self,
        caller: &Caller,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Link>, ServiceError> {
        caller.is_operator()?;
        Ok(self.store.chain(after, limit).await?)
    }
}

/// The same filter, for what concerns the caller; none where nothing does.
fn concerning(caller: &Caller, filter: EntryFilter) -> Result<Option<EntryFilter>, ServiceError> {
    caller.may("audit:read")?;
    caller.administers()?;
    if filter.organization.is_some_and(|asked| !caller.reaches(asked)) {
        return Ok(None);
    }
    Ok(Some(EntryFilter { organization: caller.home().or(filter.organization), ..filter }))
}
