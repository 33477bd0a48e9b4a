//! The nodes that share the database, and L, which are the operator's.
//!
//! L is no part of the state that the ledger tells of: whoever changes it stands in the log.

use super::{Caller, Service, ServiceError};
use crate::{
    clock,
    replica::sight::{NodeView, View},
    store::{Aimed, ConfigurationDigest, Nodes, Progress, StoreError},
};
use counterfoil_core::lease::{Length, Lengths, Lowering};
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;

/// How long the database is asked before what was seen last has to do.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often whoever lowers L is told how far that is.
const TOLD_EVERY: Duration = Duration::from_secs(1);

/// All nodes, as this process sees them.
#[derive(Debug, Clone)]
pub(crate) struct Overview {
    /// By name; on a database that is one process's own, none is listed.
    pub(crate) nodes: Vec<NodeView>,
    /// The number of the ledger's last entry.
    pub(crate) head: u64,
    /// None where the database is one process's own: nothing is leased there.
    pub(crate) lease: Option<LeaseView>,
    /// By which this process judges.
    pub(crate) configuration: ConfigurationDigest,
}

/// L, and this node's lease.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LeaseView {
    pub(crate) lengths: Lengths,
    /// For how much longer this node may verify as things are; none, where this process is no node.
    pub(crate) left: Option<Duration>,
    /// Whether the database has answered just now.
    pub(crate) answers: bool,
    /// How long ago it was asked what is told here.
    pub(crate) age: Duration,
    /// How long it took to answer this node's last renewal.
    pub(crate) round_trip: Option<Duration>,
}

impl Service {
    /// All nodes. While the database does not answer, what this process has seen last.
    pub(crate) async fn nodes(&self, caller: &Caller) -> Result<Overview, ServiceError> {
        caller.is_operator()?;
        let replica = &self.replica;
        let configuration = replica.sight.configuration();
        let Some(nodes) = self.store.clone().nodes() else {
            let head = self.store.head().await?.number;
            return Ok(Overview { nodes: Vec::new(), head, lease: None, configuration });
        };
        let is_node = replica.is_node();
        // Whoever waits for it already knows best that it does not answer.
        let looked = if is_node && replica.may_miss_tokens() {
            Err(StoreError::Unavailable("the database does not answer".into()))
        } else {
            self.look(nodes).await
        };
        let answers = looked.is_ok();
        let now = clock::boot();
        let Some(View { nodes, lengths, head, age }) = replica.sight.view(now) else {
            // What is wrong with it is all that there is to tell.
            looked?;
            return Err(ServiceError::Unavailable("no node has been seen yet".into()));
        };
        let left = if is_node { replica.lease_left() } else { None };
        let round_trip = replica.counted.took();
        let lease = Some(LeaseView { lengths, left, answers, age, round_trip });
        Ok(Overview { nodes, head, lease, configuration })
    }

    async fn look(&self, nodes: Arc<dyn Nodes>) -> Result<(), StoreError> {
        let asked = clock::boot();
        // Who gives it up leaves no connection with half an answer behind.
        let answer = tokio::spawn(async move { nodes.roster().await });
        let silent = || StoreError::Unavailable("the database does not answer".into());
        let roster = timeout(PATIENCE, answer).await.ok().and_then(Result::ok);
        let roster = roster.ok_or_else(silent)??;
        self.replica.sight.see(roster, asked, clock::boot());
        Ok(())
    }

    /// What L is to be, if that is possible here.
    pub(crate) fn lease_length(
        &self,
        caller: &Caller,
        seconds: u64,
    ) -> Result<Length, ServiceError> {
        caller.is_operator()?;
        if self.store.clone().nodes().is_none() {
            return Err(ServiceError::Conflict(
                "there are no leases here: the database is SQLite, which one process has to \
                 itself, and every change is effective at once. Several nodes share a PostgreSQL \
                 database, which database.url in the configuration names"
                    .into(),
            ));
        }
        Length::from_seconds(seconds)
            .map_err(|error| ServiceError::Invalid { field: "seconds", message: error.to_string() })
    }

    /// Makes L this long, and tells what it was. Raising it is one step; lowering it waits for as
    /// long as it was, and tells of each second. Who stops half-way has harmed nobody.
    pub(crate) async fn set_lease(
        &self,
        caller: &Caller,
        length: Length,
        progress: Progress,
    ) -> Result<Lengths, ServiceError> {
        self.lease_length(caller, length.seconds())?;
        let nodes = self.store.clone().nodes().ok_or(ServiceError::Unknown)?;
        let aimed = nodes.aim_for(length).await?;
        let lowering = Lowering::begin(aimed.lengths, clock::boot());
        let Aimed { before, lengths, .. } = &aimed;
        let (lease, wait) = (lengths.lease().seconds(), lengths.wait().seconds());
        let was = before.wait().seconds();
        tracing::info!(
            lease_seconds = lease,
            wait_seconds = wait,
            was,
            "the lease's length is set"
        );
        if lease == wait {
            return Ok(aimed.before);
        }
        let begun = clock::boot();
        let settled = loop {
            let now = clock::boot();
            if let Some(settled) = lowering.settled(now) {
                break settled;
            }
            progress(now.since(begun).as_secs(), wait);
            tokio::time::sleep(lowering.ends().since(now).min(TOLD_EVERY)).await;
        };
        progress(wait, wait);
        let then = nodes.settle(&aimed, settled).await?;
        let (lease, wait) = (then.lease().seconds(), then.wait().seconds());
        if then != settled {
            return Err(ServiceError::Conflict(format!(
                "somebody else has changed L meanwhile: leases are {lease} s now, and answers to \
                 changes wait for {wait} s at most; look at `counterfoil nodes`, and ask again if \
                 it is not what you want"
            )));
        }
        tracing::info!(lease_seconds = lease, wait_seconds = wait, "the lease's length is settled");
        Ok(aimed.before)
    }
}
