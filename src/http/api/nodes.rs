//! `/v1/nodes`, the operator's.

use super::{Asking, Moment, lines::Lines};
use crate::{
    http::{
        calls::{self, Calls},
        extract::Json,
        problem::Problem,
    },
    replica::sight::{NodeView, Sign},
    service::{
        Service,
        nodes::{LeaseView, Overview},
    },
};
use axum::extract::State;
use counterfoil_core::lease::Length;
use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::{sync::Arc, time::Duration};

pub(super) fn calls() -> Calls<Arc<Service>> {
    Calls::new()
        .on(
            calls::get("/v1/nodes", "list_nodes")
                .does("List the nodes that share the database, and how each of them is")
                .about(
                    "As the node that is asked sees them. While the database does not answer, what \
                     it has seen last; `lease.seen_ms_ago` says how long ago that is. With SQLite \
                     there is one node, this one, and no lease.",
                )
                .for_the_operator(),
            list,
        )
        .on(
            calls::post("/v1/nodes/lease", "set_lease")
                .does("Set L, the length of leases")
                .about(
                    "To make it longer is done at once. To make it shorter takes as long as it was: \
                     leases that are out there have to end before answers to changes wait for less. \
                     Answers in lines of JSON: `{\"passed\", \"of\"}`, in seconds, while it waits, \
                     then `{\"lease_seconds\", \"was_seconds\"}`, or `{\"error\"}`. Who goes away \
                     stops nothing; who asks again while it waits does no harm.",
                )
                .for_the_operator()
                .fails(&[StatusCode::CONFLICT]),
            set_lease,
        )
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Nodes")]
struct NodesView {
    /// By name.
    items: Vec<Node>,
    /// The number of the ledger's last entry.
    head: u64,
    /// The digest of what the configuration of the node that answers says of APIs.
    configuration: String,
    /// Null with SQLite: nothing is leased there.
    lease: Option<Lease>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Node {
    /// One start of a server; null with SQLite.
    id: Option<String>,
    /// Where it runs, and as which process.
    name: Option<String>,
    /// Whether it is the one that answers.
    is_this: bool,
    state: NodeState,
    /// Of which release it is; null where that did not say.
    version: Option<String>,
    /// When it joined, by its own clock.
    joined_at: Option<Moment>,
    /// The number of the last entry that it has applied for certain.
    acknowledged: u64,
    /// How many entries it is behind the ledger's head.
    lag: u64,
    /// How long ago a renewal of its lease was seen that was new, by the clock of the node that
    /// answers; null where none was yet.
    renewed_ms_ago: Option<u64>,
    /// Which kinds of entries it can apply: those of this version of the list of kinds.
    knows: Option<u32>,
    /// The digest of what its configuration says of APIs.
    configuration: Option<String>,
    /// Whether that is another than that of the node which answers.
    configuration_differs: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum NodeState {
    /// It renews its lease, or needs none.
    Renewing,
    /// It has not been watched for long enough to say.
    Unknown,
    /// It was due to renew twice, and has not. Its row is struck off once it has not for L.
    Silent,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Lease {
    /// L: how long leases are that begin now.
    seconds: u64,
    /// How long the answer to a change may wait at worst: longer than L while that is being
    /// lowered.
    wait_seconds: u64,
    /// For how much longer the node that answers may verify as things are; null where no server
    /// runs.
    left_ms: Option<u64>,
    /// Whether the database has answered just now.
    database_answers: bool,
    /// How long ago it was asked what stands here.
    seen_ms_ago: u64,
    /// How long it took to answer the last renewal of this node's lease, in milliseconds.
    round_trip_ms: Option<f64>,
}

fn milliseconds(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

impl From<Overview> for NodesView {
    fn from(overview: Overview) -> Self {
        let Overview { nodes, head, lease, configuration } = overview;
        let configuration = configuration.to_string();
        let items = if lease.is_some() {
            nodes.into_iter().map(Node::from).collect()
        } else {
            vec![Node::alone(head, &configuration)]
        };
        Self { items, head, configuration, lease: lease.map(Lease::from) }
    }
}

impl Node {
    /// The only one, on a database of its own.
    fn alone(head: u64, configuration: &str) -> Self {
        Self {
            id: None,
            name: None,
            is_this: true,
            state: NodeState::Renewing,
            version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            joined_at: None,
            acknowledged: head,
            lag: 0,
            renewed_ms_ago: None,
            knows: None,
            configuration: Some(configuration.to_owned()),
            configuration_differs: false,
        }
    }
}

impl From<NodeView> for Node {
    fn from(node: NodeView) -> Self {
        let NodeView { listed, is_this, lag, sign, renewed, differs } = node;
        Self {
            id: Some(listed.row.id.node.to_string()),
            name: Some(listed.name),
            is_this,
            state: match sign {
                Sign::Renewing => NodeState::Renewing,
                Sign::Unknown => NodeState::Unknown,
                Sign::Silent => NodeState::Silent,
            },
            version: listed.version,
            joined_at: listed.joined_at.map(Moment),
            acknowledged: listed.row.acknowledged,
            lag,
            renewed_ms_ago: renewed.map(milliseconds),
            knows: Some(listed.row.knows),
            configuration: listed.configuration.map(|digest| digest.to_string()),
            configuration_differs: differs,
        }
    }
}

impl From<LeaseView> for Lease {
    fn from(lease: LeaseView) -> Self {
        Self {
            seconds: lease.lengths.lease().seconds(),
            wait_seconds: lease.lengths.wait().seconds(),
            left_ms: lease.left.map(milliseconds),
            database_answers: lease.answers,
            seen_ms_ago: milliseconds(lease.age),
            round_trip_ms: lease.round_trip.map(|took| took.as_secs_f64() * 1e3),
        }
    }
}

async fn list(
    State(service): State<Arc<Service>>,
    Asking(caller): Asking,
) -> Result<axum::Json<NodesView>, Problem> {
    Ok(axum::Json(service.nodes(&caller).await?.into()))
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "SetLease", extend("examples" = [{"seconds": 60}]))]
pub(crate) struct LeaseBody {
    #[schemars(range(min = Length::MIN.seconds(), max = Length::MAX.seconds()))]
    seconds: u64,
}

async fn set_lease(
    State(service): State<Arc<Service>>,
    Asking(caller): Asking,
    Json(body): Json<LeaseBody>,
) -> Result<Lines, Problem> {
    let length = service.lease_length(&caller, body.seconds)?;
    Ok(Lines::of_work(move |steps| async move {
        let report = move |passed, of| {
            // Who passes it on stays until the work is done.
            let _ = steps.send(json!({"passed": passed, "of": of}));
        };
        match service.set_lease(&caller, length, Box::new(report)).await {
            Ok(before) => json!({
                "lease_seconds": length.seconds(),
                "was_seconds": before.wait().seconds(),
            }),
            Err(error) => json!({"error": error.to_string()}),
        }
    }))
}
