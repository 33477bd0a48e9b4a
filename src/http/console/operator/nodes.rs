//! The nodes on the operator's page.

use super::super::{
    Console,
    live::{Events, Gone},
    when::{When, when},
};
use crate::{
    clock,
    replica::sight::{NodeView, Sign},
    service::nodes::{LeaseView, Overview},
};
use std::{collections::BTreeSet, time::Duration};

/// How much of a digest or an id tells one from another.
const TELLING: usize = 8;

/// A node, in words.
pub(super) struct NodeRow {
    /// Names its parts of the page.
    pub(super) part: String,
    pub(super) name: String,
    pub(super) is_this: bool,
    pub(super) id: String,
    pub(super) state: &'static str,
    pub(super) word: String,
    pub(super) applied: u64,
    pub(super) behind: u64,
    pub(super) version: String,
    pub(super) joined: Option<When>,
    pub(super) configuration: String,
    pub(super) differs: bool,
}

/// What the page says of L.
pub(super) struct Length {
    pub(super) seconds: u64,
    /// Longer while it is lowered.
    pub(super) wait: u64,
}

impl Length {
    pub(super) fn of(lease: &LeaseView) -> Self {
        let (seconds, wait) = (lease.lengths.lease().seconds(), lease.lengths.wait().seconds());
        Self { seconds, wait }
    }
}

/// Above all of them, in a sentence.
pub(super) fn lead(overview: Option<&Overview>) -> String {
    match overview {
        Some(Overview { lease: None, .. }) => "One node, with its database inside.".into(),
        Some(overview) => match overview.nodes.len() {
            1 => "One node has this database.".into(),
            many => format!("{many} nodes share this database."),
        },
        None => "The database does not answer, and no node has been seen yet.".into(),
    }
}

impl Console {
    /// The nodes as they are; where the database cannot be asked and nothing was seen, this one.
    pub(super) fn node_rows(&self, overview: Option<&Overview>) -> Vec<NodeRow> {
        match overview {
            Some(overview) if overview.lease.is_some() => {
                overview.nodes.iter().map(|node| self.node_row(node)).collect()
            }
            _ => vec![self.alone()],
        }
    }

    fn alone(&self) -> NodeRow {
        let head = self.replica.head().number;
        let (state, word) = self.own_state();
        NodeRow {
            part: "this".into(),
            name: "This one".into(),
            is_this: false,
            id: String::new(),
            state,
            word,
            applied: head,
            behind: self.replica.sight.heard().saturating_sub(head),
            version: env!("CARGO_PKG_VERSION").into(),
            joined: None,
            configuration: String::new(),
            differs: false,
        }
    }

    fn node_row(&self, node: &NodeView) -> NodeRow {
        let listed = &node.listed;
        let id: String = listed.row.id.node.to_string().chars().take(TELLING).collect();
        let (state, word) = if node.is_this { self.own_state() } else { others_state(node) };
        let configuration = listed.configuration.map(|digest| digest.to_string());
        NodeRow {
            part: id.clone(),
            name: listed.name.clone(),
            is_this: node.is_this,
            id,
            state,
            word,
            applied: listed.row.acknowledged,
            behind: node.lag,
            version: listed.version.clone().unwrap_or_else(|| "an earlier one".into()),
            joined: listed.joined_at.map(|at| when(at, clock::now())),
            configuration: configuration.unwrap_or_default().chars().take(TELLING).collect(),
            differs: node.differs,
        }
    }

    fn own_state(&self) -> (&'static str, String) {
        if self.replica.index().is_some() {
            ("live", "Verifies".into())
        } else if self.replica.lease_left().is_some() {
            ("revoked", "Has no lease; verifies nothing".into())
        } else {
            ("revoked", "Does not verify; restart it".into())
        }
    }

    /// Tells a page of the nodes that it shows.
    pub(super) async fn tell_nodes(
        &self,
        events: &Events,
        shown: &BTreeSet<String>,
        overview: Option<&Overview>,
    ) -> Result<(), Gone> {
        let rows = self.node_rows(overview);
        for row in rows.iter().filter(|row| shown.contains(&row.part)) {
            let (applied, behind) = (row.applied.to_string(), row.behind.to_string());
            let differs = if row.differs { "differs" } else { "" };
            let fields = [
                ("applied", &*applied),
                ("behind", &*behind),
                ("configuration", &*row.configuration),
                ("differs", differs),
            ];
            events.part(&format!("node-{}", row.part), "", &fields).await?;
            let fields = [("word", &*row.word)];
            events.part(&format!("sign-{}", row.part), row.state, &fields).await?;
        }
        let here: BTreeSet<String> = rows.into_iter().map(|row| row.part).collect();
        for gone in shown.difference(&here) {
            let fields = [("word", "Gone")];
            events.part(&format!("sign-{gone}"), "expired", &fields).await?;
        }
        let others = match here.difference(shown).count() {
            0 => String::new(),
            1 => "Another node has joined since. Load the page again to see it.".into(),
            many => {
                format!("{many} more nodes have joined since. Load the page again to see them.")
            }
        };
        events.part("joined", "", &[("words", &others)]).await
    }
}

fn others_state(node: &NodeView) -> (&'static str, String) {
    match (node.sign, node.renewed) {
        (Sign::Renewing, Some(ago)) => ("live", format!("Renewed {} ago", seconds(ago))),
        (Sign::Silent, Some(ago)) => ("revoked", format!("Silent for {}", seconds(ago))),
        (Sign::Silent, None) => ("revoked", "Silent".into()),
        _ => ("paused", "Not seen to renew yet".into()),
    }
}

/// A span that need not be told more precisely.
pub(super) fn seconds(span: Duration) -> String {
    format!("{} s", span.as_secs())
}
