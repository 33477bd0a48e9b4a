//! What a node asks of a database that several nodes share.

use super::{Progress, StoreError};
use async_trait::async_trait;
use counterfoil_core::{
    Timestamp,
    index::Index,
    lease::{Epoch, Length, Lengths, Loaded, Renewed, Row, RowId},
};
use std::{fmt, sync::Arc};

/// A database that several nodes share. What is asked here is what `counterfoil_core::lease`
/// says of statements.
#[async_trait]
pub(crate) trait Nodes: Send + Sync {
    /// Fills an empty index, all of it from one snapshot, and tells what else that snapshot had.
    async fn load(&self, index: Arc<Index>, progress: Progress) -> Result<Loaded, StoreError>;

    /// Begins a new epoch and forgets every node, as long as their rows are `seen`; whether they
    /// were. Nobody may hold a lease of the epoch before any more.
    async fn begin_epoch(&self, seen: Vec<Row>) -> Result<Option<Epoch>, StoreError>;

    /// A connection of one's own. Where `heard` is given it is called each time that there may be
    /// new entries; some may also go by unheard.
    async fn line(&self, heard: Option<Heard>) -> Result<Box<dyn Line>, StoreError>;

    /// All rows with what they say for people.
    async fn roster(&self) -> Result<Roster, StoreError>;

    /// Commits what leads from L as it is to `length`. Where it fails, it may be done.
    async fn aim_for(&self, length: Length) -> Result<Aimed, StoreError>;

    /// Commits what a lowering ends with, if nothing was committed since `aimed`, and tells L as it is
    /// then. Where it fails, it may be done.
    async fn settle(&self, aimed: &Aimed, settled: Lengths) -> Result<Lengths, StoreError>;
}

/// Called when there may be new entries.
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
    /// Others learn by it under which configuration the node judges.
    async fn renew(
        &mut self,
        row: RowId,
        configuration: ConfigurationDigest,
    ) -> Result<Option<Renewed>, StoreError>;

    /// Writes what is applied into a row, unless more stands there; whether the row is there.
    async fn acknowledge(&mut self, row: RowId, applied: u64) -> Result<bool, StoreError>;

    /// All rows and L, from one statement.
    async fn rows(&mut self) -> Result<(Vec<Row>, Lengths), StoreError>;

    /// The same, with what the rows say for people, and the head.
    async fn roster(&mut self) -> Result<Roster, StoreError>;

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
    /// By the node's own clock, for people alone.
    pub(crate) at: Timestamp,
    pub(crate) configuration: ConfigurationDigest,
}

/// SHA-256 of what a node's configuration says of APIs: where two are the same, so are the two
/// configurations.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ConfigurationDigest(pub(crate) [u8; 32]);

impl fmt::Display for ConfigurationDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ConfigurationDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// All rows, as one statement read them.
#[derive(Debug, Clone)]
pub(crate) struct Roster {
    /// By name.
    pub(crate) nodes: Vec<ListedNode>,
    pub(crate) lengths: Lengths,
    /// The number of the ledger's last entry.
    pub(crate) head: u64,
}

/// A row, with what it says for people. A node of a release that did not say all of it leaves
/// out what is none here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListedNode {
    pub(crate) row: Row,
    pub(crate) name: String,
    pub(crate) version: Option<String>,
    /// By the node's own clock.
    pub(crate) joined_at: Option<Timestamp>,
    pub(crate) configuration: Option<ConfigurationDigest>,
}

/// What was committed on the way to another L.
#[derive(Debug, Clone)]
pub(crate) struct Aimed {
    pub(crate) before: Lengths,
    pub(crate) lengths: Lengths,
    /// Of what was committed: whatever is committed later has another.
    pub(crate) revision: i64,
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
