//! The nodes' rows, and connections that are one's own.

use super::{
    Postgres,
    connect::{Alone, PLANNED_ONCE, USUAL},
    error::{Error, describe},
    lengths, load,
};
use crate::store::{
    Aimed, ConfigurationDigest, Followed, Heard, Joining, Line, ListedNode, Nodes, Progress,
    Roster, StoreError,
};
use async_trait::async_trait;
use counterfoil_core::{
    Timestamp,
    index::Index,
    lease::{Epoch, Length, Lengths, Loaded, NodeId, Renewed, Row, RowId},
    ledger::{EntryHash, Head},
};
use std::{future::poll_fn, sync::Arc};
use tokio_postgres::{
    AsyncMessage, Client, Statement,
    error::SqlState,
    types::{ToSql, Type},
};
use tokio_util::task::AbortOnDropHandle;

type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

/// Nobody waits long for a row that somebody else has locked and does not let go of; and what is
/// sent again and again is not planned again and again, which was a third of the server's work
/// for whoever follows.
const BEGINNING: &str = "SET lock_timeout = '1s'; SET statement_timeout = '10s'";
const LISTEN: &str = "LISTEN counterfoil_entries";

/// Tells everybody that there are new entries, once those are committed. Within the
/// transaction it would hold a lock that all who notify share, until the disk has answered. It
/// waits for no disk itself: what nobody hears of is looked for. A database that cannot do it
/// says so, to nobody.
pub(super) const TELL_OF_ENTRIES: &str = "SELECT pg_notify('counterfoil_entries', ''),
     set_config('synchronous_commit', 'off', true)";

/// Nobody joins while an epoch begins.
const JOIN: &str = "INSERT INTO node
         (node, joined, renewals, acknowledged, knows, name, configuration, joined_at, version)
     SELECT $1, $2, 0, $3, $4, $5, $6, $7, $8 FROM cluster FOR SHARE
     ON CONFLICT (node) DO UPDATE SET joined = excluded.joined, renewals = excluded.renewals,
         acknowledged = excluded.acknowledged, knows = excluded.knows, name = excluded.name,
         configuration = excluded.configuration, joined_at = excluded.joined_at,
         version = excluded.version
     WHERE node.joined < excluded.joined";

/// Head and lengths are as they were when the statement began, which is after the clock was
/// noted; that the row is there holds when it is written.
const RENEW: &str = "WITH renewed AS
         (UPDATE node SET renewals = renewals + 1, configuration = $3
          WHERE node = $1 AND joined = $2 RETURNING node)
     SELECT head.number, head.hash, cluster.epoch, cluster.lease_seconds, cluster.wait_seconds
     FROM renewed, head, cluster";

/// This waits for neither disk nor standby: a database that forgets it in a crash makes others
/// wait longer, and is told anew.
const ACKNOWLEDGE: &str = "UPDATE node SET acknowledged = greatest(acknowledged, $3)
     WHERE node = $1 AND joined = $2 AND set_config('synchronous_commit', 'off', true) = 'off'";

const ALL_ROWS: &str = "SELECT cluster.lease_seconds, cluster.wait_seconds,
         node.node, node.joined, node.renewals, node.acknowledged, node.knows
     FROM cluster LEFT JOIN node ON true";

const ROSTER: &str = "SELECT cluster.lease_seconds, cluster.wait_seconds,
         node.node, node.joined, node.renewals, node.acknowledged, node.knows,
         node.name, node.version, node.joined_at, node.configuration, head.number
     FROM cluster CROSS JOIN head LEFT JOIN node ON true
     ORDER BY node.name, node.node";

const STRIKE_OFF: &str = "DELETE FROM node WHERE node = $1 AND joined = $2 AND renewals = $3";

const LEAVE: &str = "DELETE FROM node WHERE node = $1 AND joined <= $2";

const BEGIN_EPOCH: &str =
    "UPDATE cluster SET epoch = epoch + 1, revision = revision + 1 RETURNING epoch";

/// Both tables are bounded, so that whichever way they are joined nothing before is read.
const BEHIND: &str = "SELECT ledger.entry, ledger.hash, ledger_detail.salt, ledger_detail.detail
     FROM ledger LEFT JOIN ledger_detail ON ledger_detail.number = ledger.number
        AND ledger_detail.number > $1 AND ledger_detail.number <= $2
     WHERE ledger.number > $1 AND ledger.number <= $2 ORDER BY ledger.number LIMIT $3";

/// What [`Loaded`] has beside the head, to be read within the snapshot that state is read from.
pub(super) const CLUSTER: &str = "SELECT epoch, lease_seconds, wait_seconds FROM cluster";

#[async_trait]
impl Nodes for Postgres {
    async fn load(&self, index: Arc<Index>, progress: Progress) -> Result<Loaded, StoreError> {
        self.load_all(index, progress).await
    }

    async fn begin_epoch(&self, seen: Vec<Row>) -> Result<Option<Epoch>, StoreError> {
        self.together(move |transaction| {
            Box::pin(async move {
                // Nobody joins meanwhile, and nobody renews.
                let held = "SELECT 1 FROM cluster FOR UPDATE; SELECT 1 FROM node FOR UPDATE";
                transaction.batch_execute(held).await?;
                let found = transaction.query(ALL_ROWS, &[]).await?;
                let found = found.iter().filter_map(|row| node(row).transpose());
                let found = found.collect::<Result<Vec<_>, Error>>()?;
                let is_seen = |row: &Row| {
                    seen.iter().any(|it| (it.id, it.renewals) == (row.id, row.renewals))
                };
                if !found.iter().all(is_seen) {
                    return Ok(None);
                }
                transaction.execute("DELETE FROM node", &[]).await?;
                let begun = transaction.query_one(BEGIN_EPOCH, &[]).await?;
                epoch(&begun, 0).map(Some)
            })
        })
        .await
    }

    async fn line(&self, heard: Option<Heard>) -> Result<Box<dyn Line>, StoreError> {
        Ok(Box::new(PgLine::open(&self.alone, heard).await?))
    }

    async fn roster(&self) -> Result<Roster, StoreError> {
        self.ask(|client| Box::pin(async { roster(&client.query_typed(ROSTER, &[]).await?) })).await
    }

    async fn aim_for(&self, length: Length) -> Result<Aimed, StoreError> {
        let mut client = self.client().await?;
        within_patience(lengths::aim_for(&mut client, length)).await
    }

    async fn settle(&self, aimed: &Aimed, settled: Lengths) -> Result<Lengths, StoreError> {
        let mut client = self.client().await?;
        within_patience(lengths::settle(&mut client, aimed, settled)).await
    }
}

impl Postgres {
    /// Fills an empty index, however long that takes.
    pub(super) async fn load_all(
        &self,
        index: Arc<Index>,
        progress: Progress,
    ) -> Result<Loaded, StoreError> {
        let mut client = self.client().await?;
        let loaded = load::load(&mut client, index, progress).await;
        Ok(loaded?)
    }
}

/// A connection that ends when it is let go of, whatever is under way on it.
struct PgLine {
    client: Client,
    _speaking: AbortOnDropHandle<()>,
    /// What is sent for each group of changes.
    behind: Statement,
    acknowledge: Statement,
    all_rows: Statement,
}

impl PgLine {
    async fn open(alone: &Alone, heard: Option<Heard>) -> Result<Self, Error> {
        let (client, mut connection) = alone.connect().await?;
        let listens = heard.is_some();
        let speaking = AbortOnDropHandle::new(tokio::spawn(async move {
            while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await
            {
                if let (AsyncMessage::Notification(_), Some(heard)) = (message, &heard) {
                    heard();
                }
            }
        }));
        let ((), (), (), behind, acknowledge, all_rows) = tokio::try_join!(
            client.batch_execute(USUAL),
            client.batch_execute(BEGINNING),
            client.batch_execute(PLANNED_ONCE),
            client.prepare(BEHIND),
            client.prepare(ACKNOWLEDGE),
            client.prepare(ALL_ROWS),
        )?;
        if listens {
            listen(&client).await?;
        }
        Ok(Self { client, _speaking: speaking, behind, acknowledge, all_rows })
    }
}

/// Other databases that speak the protocol do not know it.
async fn listen(client: &Client) -> Result<(), Error> {
    let Err(error) = client.batch_execute(LISTEN).await else { return Ok(()) };
    if !error.code().is_some_and(is_unknown) {
        return Err(error.into());
    }
    tracing::warn!(
        error = describe(&error),
        "the database tells nobody of changes; this node looks for them twice a second"
    );
    Ok(())
}

/// Whether the database has no such thing, or nothing to do it with.
fn is_unknown(code: &SqlState) -> bool {
    ["0A", "42"].iter().any(|class| code.code().starts_with(class))
}

#[async_trait]
impl Line for PgLine {
    async fn entries(
        &mut self,
        after: u64,
        through: Option<u64>,
        limit: u32,
    ) -> Result<Vec<Followed>, StoreError> {
        let (after, through) = (number(after), through.map_or(i64::MAX, number));
        let given: &[&(dyn ToSql + Sync)] = &[&after, &through, &i64::from(limit)];
        let rows = self.client.query(&self.behind, given).await.map_err(Error::from)?;
        let followed = |row: &tokio_postgres::Row| {
            let (salt, detail) = (row.try_get(2)?, row.try_get(3)?);
            let detail = Option::zip(salt, detail);
            Ok(Followed { entry: row.try_get(0)?, hash: row.try_get(1)?, detail })
        };
        rows.iter().map(followed).collect::<Result<_, Error>>().map_err(StoreError::from)
    }

    async fn join(&mut self, joining: Joining<'_>) -> Result<(), StoreError> {
        let Joining { row, applied, knows, name, at, configuration } = joining;
        let parameters: &[Parameter<'_>] = &[
            (&&row.node.0[..], Type::BYTEA),
            (&i64::from(row.joined), Type::INT8),
            (&number(applied), Type::INT8),
            (&i64::from(knows), Type::INT8),
            (&name, Type::TEXT),
            (&&configuration.0[..], Type::BYTEA),
            (&at.as_millis(), Type::INT8),
            (&env!("CARGO_PKG_VERSION"), Type::TEXT),
        ];
        self.client.query_typed(JOIN, parameters).await.map_err(Error::from)?;
        Ok(())
    }

    async fn renew(
        &mut self,
        row: RowId,
        configuration: ConfigurationDigest,
    ) -> Result<Option<Renewed>, StoreError> {
        let parameters: &[Parameter<'_>] = &[
            (&&row.node.0[..], Type::BYTEA),
            (&i64::from(row.joined), Type::INT8),
            (&&configuration.0[..], Type::BYTEA),
        ];
        let rows = self.client.query_typed(RENEW, parameters).await.map_err(Error::from)?;
        Ok(rows.first().map(renewed).transpose()?)
    }

    async fn acknowledge(&mut self, row: RowId, applied: u64) -> Result<bool, StoreError> {
        let (node, joined, applied) = (&row.node.0[..], i64::from(row.joined), number(applied));
        let found = self.client.execute(&self.acknowledge, &[&node, &joined, &applied]).await;
        Ok(found.map_err(Error::from)? > 0)
    }

    async fn rows(&mut self) -> Result<(Vec<Row>, Lengths), StoreError> {
        let rows = self.client.query(&self.all_rows, &[]).await.map_err(Error::from)?;
        let first = rows.first().ok_or(Error::Unreadable("cluster"))?;
        let lengths = lengths::read(first, 0)?;
        let rows = rows.iter().filter_map(|row| node(row).transpose());
        Ok((rows.collect::<Result<_, _>>()?, lengths))
    }

    async fn roster(&mut self) -> Result<Roster, StoreError> {
        Ok(roster(&self.client.query_typed(ROSTER, &[]).await.map_err(Error::from)?)?)
    }

    async fn strike_off(&mut self, row: RowId, renewals: u64) -> Result<(), StoreError> {
        let parameters: &[Parameter<'_>] = &[
            (&&row.node.0[..], Type::BYTEA),
            (&i64::from(row.joined), Type::INT8),
            (&number(renewals), Type::INT8),
        ];
        self.client.execute_typed(STRIKE_OFF, parameters).await.map_err(Error::from)?;
        Ok(())
    }

    async fn leave(&mut self, row: RowId) -> Result<(), StoreError> {
        let parameters: &[Parameter<'_>] =
            &[(&&row.node.0[..], Type::BYTEA), (&i64::from(row.joined), Type::INT8)];
        self.client.execute_typed(LEAVE, parameters).await.map_err(Error::from)?;
        Ok(())
    }
}

/// A row of [`CLUSTER`], with the head that the same snapshot has.
pub(super) fn loaded(row: &tokio_postgres::Row, head: Head) -> Result<Loaded, Error> {
    Ok(Loaded { head, epoch: epoch(row, 0)?, lengths: lengths::read(row, 1)? })
}

fn renewed(row: &tokio_postgres::Row) -> Result<Renewed, Error> {
    let hash: &[u8] = row.try_get(1)?;
    let hash = hash.try_into().map_err(|_| Error::Unreadable("head.hash"))?;
    let head = Head { number: count(row, 0, "head.number")?, hash: EntryHash(hash) };
    Ok(Renewed { head, epoch: epoch(row, 2)?, lengths: lengths::read(row, 3)? })
}

/// A node's row; none, where there is none.
fn node(row: &tokio_postgres::Row) -> Result<Option<Row>, Error> {
    let Some(node) = row.try_get::<_, Option<&[u8]>>(2)? else { return Ok(None) };
    let node = node.try_into().map_err(|_| Error::Unreadable("node.node"))?;
    let small = |column, name| {
        u32::try_from(row.try_get::<_, i64>(column)?).map_err(|_| Error::Unreadable(name))
    };
    Ok(Some(Row {
        id: RowId { node: NodeId(node), joined: small(3, "node.joined")? },
        renewals: count(row, 4, "node.renewals")?,
        acknowledged: count(row, 5, "node.acknowledged")?,
        knows: small(6, "node.knows")?,
    }))
}

/// What [`ROSTER`] returned.
fn roster(rows: &[tokio_postgres::Row]) -> Result<Roster, Error> {
    let first = rows.first().ok_or(Error::Unreadable("cluster"))?;
    let listed = |row: &tokio_postgres::Row| {
        let Some(found) = node(row)? else { return Ok(None) };
        let configuration = row
            .try_get::<_, Option<&[u8]>>(10)?
            .map(|digest| digest.try_into().map_err(|_| Error::Unreadable("node.configuration")));
        Ok(Some(ListedNode {
            row: found,
            name: row.try_get::<_, Option<String>>(7)?.unwrap_or_default(),
            version: row.try_get(8)?,
            joined_at: row.try_get::<_, Option<i64>>(9)?.map(Timestamp::from_millis),
            configuration: configuration.transpose()?.map(ConfigurationDigest),
        }))
    };
    Ok(Roster {
        nodes: rows
            .iter()
            .filter_map(|row| listed(row).transpose())
            .collect::<Result<_, Error>>()?,
        lengths: lengths::read(first, 0)?,
        head: count(first, 11, "head.number")?,
    })
}

/// Whatever becomes of it after this long, nobody knows.
async fn within_patience<T>(
    asked: impl Future<Output = Result<T, Error>>,
) -> Result<T, StoreError> {
    // Whichever way it failed, the COMMIT may have been made.
    let answer = tokio::time::timeout(super::PATIENCE, asked).await;
    answer.ok().and_then(Result::ok).ok_or(StoreError::Unknown)
}

fn epoch(row: &tokio_postgres::Row, column: usize) -> Result<Epoch, Error> {
    count(row, column, "cluster.epoch").map(Epoch)
}

pub(super) fn count(
    row: &tokio_postgres::Row,
    column: usize,
    name: &'static str,
) -> Result<u64, Error> {
    u64::try_from(row.try_get::<_, i64>(column)?).map_err(|_| Error::Unreadable(name))
}

/// Numbers of entries stay far below this type's end.
fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
