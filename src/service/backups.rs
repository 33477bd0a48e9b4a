//! A copy of the database, for the operator to keep elsewhere.

use super::{Caller, Service, ServiceError};
use crate::store::{Copied, Progress};

impl Service {
    /// Makes a copy in a file beside the database, which is the caller's to move or to remove.
    pub(crate) async fn back_up(
        &self,
        caller: &Caller,
        progress: Progress,
    ) -> Result<Copied, ServiceError> {
        caller.is_operator()?;
        let copied = self.store.copy(progress).await?;
        copied.ok_or_else(|| {
            ServiceError::Conflict(
                "the database is PostgreSQL's, and so is copying it: use pg_basebackup with an \
                 archive of the log, or pg_dump; and beside either keep the ledger's chain, \
                 `counterfoil ledger export > chain.jsonl`, which `counterfoil restore` takes"
                    .into(),
            )
        })
    }
}
