//! What nodes' rows say for people, and how L is changed.

use super::{Postgres, settings};
use crate::store::{ConfigurationDigest, Joining, Nodes, StoreError};
use counterfoil_core::{
    Timestamp,
    lease::{Length, Lengths, NodeId, RowId},
};
use counterfoil_support::postgres::Postgres as Cluster;

const OURS: ConfigurationDigest = ConfigurationDigest([1; 32]);
const THEIRS: ConfigurationDigest = ConfigurationDigest([2; 32]);

async fn opened(cluster: &Cluster) -> (String, Postgres) {
    let database = cluster.create_database();
    let settings = settings(cluster, &database, cluster.user());
    let opened = Postgres::open(&settings).await;
    (database, opened.unwrap())
}

fn length(seconds: u64) -> Length {
    Length::from_seconds(seconds).unwrap()
}

#[tokio::test]
async fn a_row_says_for_people_what_its_node_has_said_last() {
    let cluster = Cluster::start();
    let (database, store) = opened(&cluster).await;
    assert_eq!(store.roster().await.unwrap().nodes, []);
    let mut line = store.line(None).await.unwrap();
    let row = RowId { node: NodeId([7; 16]), joined: 1 };
    let at = Timestamp::from_millis(1_000);
    let joining = Joining { row, applied: 0, knows: 3, name: "b/1", at, configuration: OURS };
    line.join(joining).await.unwrap();
    // As the first release does, which knows nothing of the columns that came later.
    cluster.run(
        &database,
        "INSERT INTO node (node, joined, renewals, acknowledged, knows, name)
         VALUES ('\\x08080808080808080808080808080808', 1, 0, 0, 1, 'a/1');
         UPDATE node SET renewals = renewals + 1 WHERE name = 'a/1'",
    );
    let roster = store.roster().await.unwrap();
    assert_eq!((roster.head, roster.lengths), (0, Lengths::of(Length::DEFAULT)));
    let [old, new] = &roster.nodes[..] else { panic!("{roster:?}") };
    assert_eq!((&*old.name, old.row.renewals, old.row.knows), ("a/1", 1, 1));
    assert_eq!((&old.version, old.joined_at, old.configuration), (&None, None, None));
    assert_eq!((&*new.name, new.row.id, new.row.knows), ("b/1", row, 3));
    assert_eq!(new.version.as_deref(), Some(env!("CARGO_PKG_VERSION")));
    assert_eq!((new.joined_at, new.configuration), (Some(at), Some(OURS)));

    assert!(line.renew(row, THEIRS).await.unwrap().is_some());
    let roster = line.roster().await.unwrap();
    let new = roster.nodes.last().unwrap();
    assert_eq!((new.row.renewals, new.configuration), (1, Some(THEIRS)));
    // Whoever has no row says nothing.
    let earlier = RowId { joined: 0, ..row };
    assert!(line.renew(earlier, OURS).await.unwrap().is_none());
    assert_eq!(store.roster().await.unwrap().nodes[1].configuration, Some(THEIRS));
    // A row that replaces it says all of it anew.
    let row = RowId { joined: 2, ..row };
    let at = Timestamp::from_millis(2_000);
    let joining = Joining { row, applied: 0, knows: 4, name: "c/1", at, configuration: OURS };
    line.join(joining).await.unwrap();
    let roster = store.roster().await.unwrap();
    let new = roster.nodes.last().unwrap();
    assert_eq!((&*new.name, new.joined_at, new.configuration), ("c/1", Some(at), Some(OURS)));
    assert_eq!((new.row.id, new.row.knows, roster.nodes.len()), (row, 4, 2));
}

#[tokio::test]
async fn l_is_settled_only_where_nobody_has_changed_it_since() {
    let cluster = Cluster::start();
    let (database, store) = opened(&cluster).await;
    let stored = || cluster.run(&database, "SELECT lease_seconds, wait_seconds FROM cluster");
    let raised = store.aim_for(length(60)).await.unwrap();
    assert_eq!((raised.before, raised.lengths), (Lengths::of(length(30)), Lengths::of(length(60))));
    assert_eq!(stored(), "60|60");
    let lowered = store.aim_for(length(10)).await.unwrap();
    let half_way = Lengths::new(length(10), length(60)).unwrap();
    assert_eq!((lowered.lengths, &*stored()), (half_way, "10|60"));
    // Who asks for the same waits for the same.
    let again = store.aim_for(length(10)).await.unwrap();
    assert_eq!((again.before, &again.version), (half_way, &lowered.version));
    // Raised and lowered in between: there are leases of sixty seconds that began later.
    store.aim_for(length(60)).await.unwrap();
    let later = store.aim_for(length(10)).await.unwrap();
    let settled = Lengths::of(length(10));
    assert_eq!(store.settle(&lowered, settled).await.unwrap(), half_way);
    assert_eq!(stored(), "10|60");
    assert_eq!(store.settle(&later, settled).await.unwrap(), settled);
    assert_eq!(stored(), "10|10");
    assert_eq!(store.settle(&later, settled).await.unwrap(), settled);
    // By hand, too.
    let lowered = store.aim_for(length(5)).await.unwrap();
    cluster.run(&database, "UPDATE cluster SET epoch = epoch + 1");
    let half_way = Lengths::new(length(5), length(10)).unwrap();
    assert_eq!(store.settle(&lowered, Lengths::of(length(5))).await.unwrap(), half_way);
    assert_eq!(stored(), "5|10");
    cluster.kill();
    let gone = store.aim_for(length(60)).await.unwrap_err();
    assert!(matches!(gone, StoreError::Unknown | StoreError::Unavailable(_)), "{gone:?}");
}
