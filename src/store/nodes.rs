//! What a node asks of a database that several nodes share.

use super::{Progress, StoreError};
use async_trait::async_trait;
use counterfoil_core::{
    index::Index,
    lease::{Epoch, Lengths, Loaded, Renewed, Row, RowId},
};
use std::sync::Arc;

/// A database that several nodes share. What is asked here is what `counterfoil_core::lease`
/// says of statements.
#[async_trait]
pub(crate) trait Nodes: Send + Sync {
    /// Fills an empty index, all of it from one snapshot, and tells what else that snapshot had.
    async fn load(&self, index: Arc<Index>, progress: Progress) -> Result<Loaded, StoreError>;

    /// Begins a new epoch and forgets every node, as long as their rows are `seen`; whether they
    /// were. Nobody may hold a lease of the epoch before any more.
    async fn begin_epoch(&self, seen: Vec<Row>) -> Result<Option<Epoch>, StoreError>;

    /// A connection of one's own. Each time that `listens` may have come to pass, `heard` is
    /// called; what comes to pass may also go by unheard.
    async fn line(&self, listens: Hint, heard: Heard) -> Result<Box<dyn Line>, StoreError>;
}

/// What the database tells of without being asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hint {
    /// There are new entries.
    Entries,
    /// A node's row has changed.
    Rows,
}

/// Called when something may have come to pass.
pub(crate) type Heard = Arc<dyn Fn() + Send + Sync>;

/// One connection. Whoever gives a statement up lets go of the whole connection: the next
/// statement would wait for that one.
#[async_trait]
pub(crate) trait Line: Send {
    /// Entries behind the one of number `after`, not beyond `through`, in their order.
    async fn entries(
        &mut self,
        after: u64,
        through: Option<u64>,
        limit: u32,
    ) -> Result<Vec<Followed>, StoreError>;

    /// Makes a row, or replaces an earlier one of the same node.
    async fn join(&mut self, joining: Joining<'_>) -> Result<(), StoreError>;

    /// Counts a renewal, and tells what the same statement sees; none, where the row is not there.
    async fn renew(&mut self, row: RowId) -> Result<Option<Renewed>, StoreError>;

    /// Writes what is applied into a row, unless more stands there; whether the row is there.
    async fn acknowledge(&mut self, row: RowId, applied: u64) -> Result<bool, StoreError>;

    /// All rows and L, from one statement.
    async fn rows(&mut self) -> Result<(Vec<Row>, Lengths), StoreError>;

    /// Deletes a row that was renewed exactly so often.
    async fn strike_off(&mut self, row: RowId, renewals: u64) -> Result<(), StoreError>;

    /// Deletes a row of a node, or an earlier one of the same.
    async fn leave(&mut self, row: RowId) -> Result<(), StoreError>;
}

/// What a new row says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Joining<'a> {
    pub(crate) row: RowId,
    /// The number of the last entry that is applied.
    pub(crate) applied: u64,
    /// The version of the list of kinds that the node can apply.
    pub(crate) knows: u32,
    /// What people call the node.
    pub(crate) name: &'a str,
}

/// An entry as it is stored, for whoever follows the ledger.
#[derive(Debug)]
pub(crate) struct Followed {
    /// What is chained: the entry's very bytes.
    pub(crate) entry: Vec<u8>,
    pub(crate) hash: Vec<u8>,
    /// Salt and detail; none once that is erased.
    pub(crate) detail: Option<(Vec<u8>, Vec<u8>)>,
}
