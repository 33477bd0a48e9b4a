//! Refusals of late, with their true reasons, under the names that the answers carried.
//!
//! A bounded ring in memory, off the path of admitted requests; a job writes
//! what is new to the store in batches.

use crate::store::{Store, StoreError};
use counterfoil_core::{
    Timestamp,
    id::{OrganizationId, RequestId, TokenId},
};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// How many wait for the store at most. A flood of refusals must not become a
/// flood of writes: what comes on top is counted, and forgotten.
const WAITING: usize = 1_000;
/// How often they are written.
pub(crate) const FLUSH_EVERY: Duration = Duration::from_secs(2);
/// How long they are kept.
const KEPT: Duration = Duration::from_hours(7 * 24);
/// How many are kept, so that nobody can fill the disk with them.
const MOST: u32 = 200_000;

/// A refusal as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredRefusal {
    pub(crate) request_id: RequestId,
    pub(crate) at: Timestamp,
    /// At which door.
    pub(crate) door: String,
    pub(crate) api: String,
    /// The true reason.
    pub(crate) code: String,
    /// What there is to say beyond the code.
    pub(crate) about: String,
    pub(crate) method: String,
    pub(crate) path: String,
    /// The client's address, where that is known.
    pub(crate) client: Option<String>,
    /// What the client called its request.
    pub(crate) client_request_id: Option<String>,
    /// The token that the secret belongs to, and its organization, where one matched.
    pub(crate) matched: Option<(TokenId, OrganizationId)>,
}

/// The refusals that wait to be written.
pub(crate) struct Refusals {
    waiting: Mutex<Waiting>,
    /// One batch at a time.
    flushing: tokio::sync::Mutex<()>,
    store: Arc<dyn Store>,
}

#[derive(Default)]
struct Waiting {
    refusals: VecDeque<StoredRefusal>,
    /// What is being written.
    under_way: Arc<Vec<StoredRefusal>>,
    forgotten: u64,
}

impl Refusals {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self { waiting: Mutex::default(), flushing: tokio::sync::Mutex::default(), store }
    }

    /// Takes one in.
    pub(crate) fn record(&self, refusal: StoredRefusal) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.refusals.len() >= WAITING {
            // One that concerns a token is somebody's to see: it goes last.
            let nobodys = waiting.refusals.iter().position(|kept| kept.matched.is_none());
            waiting.refusals.remove(nobodys.unwrap_or(0));
            waiting.forgotten += 1;
        }
        waiting.refusals.push_back(refusal);
    }

    /// The refusal that an answer of this name was.
    pub(crate) async fn find(&self, id: RequestId) -> Result<Option<StoredRefusal>, StoreError> {
        let waiting = {
            let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            let mut all = waiting.refusals.iter().chain(waiting.under_way.iter());
            all.find(|refusal| refusal.request_id == id).cloned()
        };
        match waiting {
            Some(found) => Ok(Some(found)),
            None => self.store.refusal(id).await,
        }
    }

    /// Writes what waits. What cannot be written waits on.
    pub(crate) async fn flush(&self) {
        let _alone = self.flushing.lock().await;
        let (batch, forgotten) = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.under_way = Arc::new(std::mem::take(&mut waiting.refusals).into());
            (waiting.under_way.clone(), std::mem::take(&mut waiting.forgotten))
        };
        if forgotten > 0 {
            tracing::warn!(
                forgotten,
                "more refusals than can be kept: their reasons are only in the log"
            );
        }
        if batch.is_empty() {
            return;
        }
        // Copied here, where no request waits for it.
        let written = self.store.keep_refusals(batch.to_vec()).await;
        let again = match written {
            Ok(()) => Vec::new(),
            Err(error) => {
                tracing::warn!(%error, "refusals could not be written down");
                batch.to_vec()
            }
        };
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.under_way = Arc::default();
        let room = WAITING.saturating_sub(waiting.refusals.len());
        let latest = again.into_iter().rev().take(room);
        latest.for_each(|refusal| waiting.refusals.push_front(refusal));
    }

    /// Forgets those that are too old, or too many.
    pub(crate) async fn forget(&self, now: Timestamp) {
        let kept = i64::try_from(KEPT.as_millis()).unwrap_or(i64::MAX);
        let end = Timestamp::from_millis(now.as_millis().saturating_sub(kept));
        if let Err(error) = self.store.forget_refusals(end, MOST).await {
            tracing::warn!(%error, "old refusals could not be deleted");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::{DataDirectory, Sqlite};
    use std::path::Path;

    fn refusals(directory: &Path) -> Refusals {
        let locked = Arc::new(DataDirectory::lock(directory).unwrap());
        let store = Sqlite::open(locked, Path::new("test.db"), Box::new(|_, _| {})).unwrap();
        Refusals::new(Arc::new(store))
    }

    fn name(n: usize) -> RequestId {
        let mut entropy = [0; 10];
        // Behind the version and the variant, whose bits are not entropy.
        entropy[3..7].copy_from_slice(&u32::try_from(n).unwrap().to_le_bytes());
        RequestId::new(Timestamp::from_millis(1), entropy)
    }

    fn refusal(n: usize, somebodys: bool) -> StoredRefusal {
        let now = Timestamp::from_millis(1);
        StoredRefusal {
            request_id: name(n),
            at: now,
            door: "gateway".into(),
            api: "orders".into(),
            code: "expired".into(),
            about: String::new(),
            method: "GET".into(),
            path: "/".into(),
            client: None,
            client_request_id: None,
            matched: somebodys
                .then(|| (TokenId::new(now, [1; 10]), OrganizationId::new(now, [2; 10]))),
        }
    }

    #[tokio::test]
    async fn a_flood_displaces_what_is_nobodys_first() {
        let directory = tempfile::tempdir().unwrap();
        let refusals = refusals(directory.path());
        refusals.record(refusal(0, true));
        for n in 1..=2 * WAITING {
            refusals.record(refusal(n, false));
        }
        refusals.record(refusal(2 * WAITING + 1, true));
        let found = async |n| refusals.find(name(n)).await.unwrap().is_some();
        for kept in [0, 2 * WAITING, 2 * WAITING + 1] {
            assert!(found(kept).await, "{kept}");
        }
        assert!(!found(1).await);
        refusals.flush().await;
        assert!(found(0).await && found(2 * WAITING + 1).await && !found(1).await);
    }

    #[tokio::test]
    async fn two_flushes_at_once_write_everything_once() {
        let directory = tempfile::tempdir().unwrap();
        let refusals = refusals(directory.path());
        for n in 0..100 {
            refusals.record(refusal(n, true));
        }
        tokio::join!(refusals.flush(), refusals.flush());
        assert!(refusals.waiting.lock().unwrap().refusals.is_empty());
        for n in 0..100 {
            assert_eq!(refusals.find(name(n)).await.unwrap(), Some(refusal(n, true)));
        }
    }

    #[tokio::test]
    async fn what_cannot_be_written_waits() {
        let directory = tempfile::tempdir().unwrap();
        let refusals = refusals(directory.path());
        refusals.record(refusal(1, true));
        refusals.store.close().await;
        refusals.flush().await;
        assert_eq!(refusals.waiting.lock().unwrap().refusals.len(), 1);
    }
}
