//! What this node has seen of all nodes, itself included: for people who look after them, and for
//! metrics. Nothing is decided by it.

use crate::store::{ConfigurationDigest, ListedNode, Roster};
use counterfoil_core::lease::{BootTime, Lengths, NodeId, RowId};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::Notify;

/// What one process knows of all nodes.
#[derive(Debug, Default)]
pub(crate) struct Sight {
    state: Mutex<State>,
    /// Notified when this node's configuration is another than it was.
    reconfigured: Notify,
}

#[derive(Debug, Default)]
struct State {
    configuration: Option<ConfigurationDigest>,
    /// Which one this process is, if it is one.
    own: Option<NodeId>,
    /// The clock when this node last renewed.
    renewed: Option<BootTime>,
    /// The furthest head that it has heard of.
    heard: u64,
    /// What was read last, and the clock before it was asked for.
    last: Option<(BootTime, Roster)>,
    seen: BTreeMap<RowId, Seen>,
    /// Those of another configuration than this node's.
    differing: BTreeSet<RowId>,
}

/// What is known of how a row was renewed.
#[derive(Debug, Clone, Copy)]
struct Seen {
    renewals: u64,
    /// The clock once this number had been read for the first time.
    since: BootTime,
    /// Whether it was another before.
    has_moved: bool,
}

/// All nodes, as they were seen last.
#[derive(Debug, Clone)]
pub(crate) struct View {
    /// By name.
    pub(crate) nodes: Vec<NodeView>,
    pub(crate) lengths: Lengths,
    /// The number of the ledger's last entry.
    pub(crate) head: u64,
    /// How long ago that was.
    pub(crate) age: Duration,
}

/// One node, as it was seen last.
#[derive(Debug, Clone)]
pub(crate) struct NodeView {
    pub(crate) listed: ListedNode,
    pub(crate) is_this: bool,
    /// How many entries of the ledger it has not acknowledged.
    pub(crate) lag: u64,
    pub(crate) sign: Sign,
    /// How long ago a renewal of it was seen that was new, by this node's own clock.
    pub(crate) renewed: Option<Duration>,
    /// Whether it judges by another configuration than this one.
    pub(crate) differs: bool,
}

/// A node's signs of life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sign {
    /// It renews its lease.
    Renewing,
    /// It has not been watched for long enough.
    Unknown,
    /// It was due to renew twice, and has not.
    Silent,
}

impl Sight {
    /// Says which one this process is.
    pub(crate) fn is(&self, own: NodeId) {
        self.lock().own = Some(own);
    }

    /// Says by which configuration it judges.
    pub(crate) fn configure(&self, configuration: ConfigurationDigest) {
        let mut state = self.lock();
        let before = state.configuration.replace(configuration);
        state.compare();
        drop(state);
        if before.is_some_and(|before| before != configuration) {
            self.reconfigured.notify_one();
        }
    }

    /// By which configuration this node judges.
    pub(crate) fn configuration(&self) -> ConfigurationDigest {
        self.lock().configuration.unwrap_or(ConfigurationDigest([0; 32]))
    }

    /// Waits until the configuration is another.
    pub(super) async fn reconfigured(&self) {
        self.reconfigured.notified().await;
    }

    /// This node has renewed, and the head was this.
    pub(super) fn renewed(&self, head: u64, now: BootTime) {
        let mut state = self.lock();
        state.renewed = Some(now);
        state.heard = state.heard.max(head);
    }

    /// The furthest head that this process has heard of.
    pub(crate) fn heard(&self) -> u64 {
        self.lock().heard
    }

    /// Takes in what a statement returned that was sent when the clock showed `asked`.
    pub(crate) fn see(&self, roster: Roster, asked: BootTime, now: BootTime) {
        let mut state = self.lock();
        // Of two that were asked side by side the later one counts.
        if state.last.as_ref().is_some_and(|(before, _)| asked < *before) {
            return;
        }
        let before = std::mem::take(&mut state.seen);
        let seen = |node: &ListedNode| {
            let renewals = node.row.renewals;
            let seen = match before.get(&node.row.id) {
                Some(same) if same.renewals == renewals => *same,
                other => Seen { renewals, since: now, has_moved: other.is_some() },
            };
            (node.row.id, seen)
        };
        state.seen = roster.nodes.iter().map(seen).collect();
        state.heard = state.heard.max(roster.head);
        state.last = Some((asked, roster));
        state.compare();
    }

    /// What was seen last; none, where nothing was.
    pub(crate) fn view(&self, now: BootTime) -> Option<View> {
        let state = self.lock();
        let (asked, roster) = state.last.as_ref()?;
        let nodes = roster.nodes.iter().map(|listed| state.view(listed, roster, now));
        Some(View {
            nodes: nodes.collect(),
            lengths: roster.lengths,
            head: roster.head,
            age: now.since(*asked),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn view(&self, listed: &ListedNode, roster: &Roster, now: BootTime) -> NodeView {
        let id = listed.row.id;
        let is_this = self.own == Some(id.node);
        let seen = self.seen.get(&id);
        // Its own renewals a node knows without looking.
        let own = self.renewed.filter(|_| is_this);
        let moved = seen.filter(|seen| seen.has_moved).map(|seen| seen.since);
        let renewed = own.or(moved).map(|since| now.since(since));
        let still = renewed.or_else(|| seen.map(|seen| now.since(seen.since)));
        let two_thirds = roster.lengths.lease().whole() * 2 / 3;
        let sign = match (still, renewed) {
            (Some(still), _) if still > two_thirds => Sign::Silent,
            (_, Some(_)) => Sign::Renewing,
            _ => Sign::Unknown,
        };
        NodeView {
            listed: listed.clone(),
            is_this,
            lag: roster.head.saturating_sub(listed.row.acknowledged),
            sign,
            renewed,
            differs: self.differs(listed),
        }
    }

    /// Of one that does not say what it has, nobody can tell.
    fn differs(&self, listed: &ListedNode) -> bool {
        let is_this = self.own == Some(listed.row.id.node);
        !is_this
            && Option::zip(listed.configuration, self.configuration)
                .is_some_and(|(theirs, ours)| theirs != ours)
    }

    /// Says in the log when a node begins to have another configuration, and when none has
    /// any more.
    fn compare(&mut self) {
        let Some((_, roster)) = &self.last else { return };
        let differing = roster.nodes.iter().filter(|node| self.differs(node));
        let mut now = BTreeSet::new();
        for node in differing {
            now.insert(node.row.id);
            if !self.differing.contains(&node.row.id) {
                tracing::warn!(
                    name = node.name,
                    node = %node.row.id.node,
                    theirs = node.configuration.map(|digest| digest.to_string()),
                    ours = self.configuration.map(|digest| digest.to_string()),
                    "a node has other APIs in its configuration than this one: requests are judged by that of the node they come to"
                );
            }
        }
        if now.is_empty() && !self.differing.is_empty() {
            tracing::info!("all nodes have the same APIs in their configurations again");
        }
        self.differing = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use counterfoil_core::lease::{Length, Row};

    fn at(seconds: u64) -> BootTime {
        BootTime::default().plus(Duration::from_secs(seconds))
    }

    fn node(number: u8, renewals: u64, acknowledged: u64) -> ListedNode {
        let id = RowId { node: NodeId([number; 16]), joined: 1 };
        ListedNode {
            row: Row { id, renewals, acknowledged, knows: 1 },
            name: format!("node-{number}"),
            version: None,
            joined_at: None,
            configuration: Some(ConfigurationDigest([1; 32])),
        }
    }

    fn see(sight: &Sight, seconds: u64, nodes: &[ListedNode]) {
        let lengths = Lengths::of(Length::DEFAULT);
        let roster = Roster { nodes: nodes.to_vec(), lengths, head: 9 };
        sight.see(roster, at(seconds), at(seconds));
    }

    fn signs(sight: &Sight, seconds: u64) -> Vec<(Sign, Option<u64>)> {
        let view = sight.view(at(seconds)).unwrap();
        view.nodes.iter().map(|node| (node.sign, node.renewed.map(|ago| ago.as_secs()))).collect()
    }

    fn sight() -> Sight {
        let sight = Sight::default();
        sight.is(NodeId([0; 16]));
        sight.configure(ConfigurationDigest([1; 32]));
        sight
    }

    #[test]
    fn a_node_renews_when_it_was_seen_to() {
        let sight = sight();
        assert!(sight.view(at(1)).is_none());
        sight.renewed(4, at(98));
        see(&sight, 100, &[node(0, 7, 9), node(1, 3, 9), node(2, 5, 6)]);
        let (renewing, unknown) = (Sign::Renewing, Sign::Unknown);
        assert_eq!(signs(&sight, 104), [(renewing, Some(6)), (unknown, None), (unknown, None)]);
        sight.renewed(9, at(108));
        see(&sight, 110, &[node(0, 8, 9), node(1, 4, 9), node(2, 5, 6)]);
        assert_eq!(signs(&sight, 112)[1..], [(renewing, Some(2)), (unknown, None)]);
        see(&sight, 120, &[node(0, 8, 9), node(1, 5, 9), node(2, 5, 6)]);
        assert_eq!(signs(&sight, 121)[1..], [(renewing, Some(1)), (Sign::Silent, None)]);
        // One that had renewed, too; and this node, which knows of itself.
        let silent = [Some(33), Some(21), None].map(|ago| (Sign::Silent, ago));
        assert_eq!(signs(&sight, 141), silent);
        // What was asked before and came later is passed over.
        see(&sight, 115, &[node(1, 4, 9)]);
        let view = sight.view(at(121)).unwrap();
        assert_eq!((view.nodes.len(), view.age.as_secs(), view.head), (3, 1, 9));
        let lags = view.nodes.iter().map(|node| (node.lag, node.is_this));
        assert_eq!(lags.collect::<Vec<_>>(), [(0, true), (0, false), (3, false)]);
        assert_eq!(sight.heard(), 9);
        // A row that is new says nothing of the one before.
        let mut again = node(1, 5, 9);
        again.row.id.joined = 2;
        see(&sight, 122, &[again]);
        assert_eq!(signs(&sight, 123), [(unknown, None)]);
    }

    #[test]
    fn another_configuration_is_noticed_whoever_has_it_changed() {
        let sight = sight();
        let differ = || {
            let view = sight.view(at(1)).unwrap();
            view.nodes.iter().map(|node| node.differs).collect::<Vec<_>>()
        };
        let mut other = node(1, 1, 1);
        // One of an earlier release, and this one's row, which may be behind.
        let silent = ListedNode { configuration: None, ..node(2, 1, 1) };
        let own = ListedNode { configuration: Some(ConfigurationDigest([9; 32])), ..node(0, 1, 1) };
        see(&sight, 1, &[own.clone(), other.clone(), silent.clone()]);
        assert_eq!(differ(), [false, false, false]);
        other.configuration = Some(ConfigurationDigest([2; 32]));
        see(&sight, 2, &[own, other, silent]);
        assert_eq!(differ(), [false, true, false]);
        sight.configure(ConfigurationDigest([2; 32]));
        assert_eq!(differ(), [false, false, false]);
    }
}
