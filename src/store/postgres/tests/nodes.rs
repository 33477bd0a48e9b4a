//! What nodes' rows say for people, how L is changed, and how an epoch begins.

use super::{Postgres, order, settings};
use crate::store::{ConfigurationDigest, Joining, Nodes, Store as _, StoreError};
use counterfoil_core::{
    Timestamp,
    id::OrganizationId,
    index::Index,
    lease::{Length, Lengths, NodeId, RowId},
    ledger::Change,
};
use counterfoil_support::{lookalike::Lookalike, postgres::Postgres as Cluster};
use std::sync::Arc;

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
    assert_eq!((again.before, again.revision), (half_way, lowered.revision));
    // Raised and lowered in between: there are leases of sixty seconds that began later.
    store.aim_for(length(60)).await.unwrap();
    let later = store.aim_for(length(10)).await.unwrap();
    let settled = Lengths::of(length(10));
    assert_eq!(store.settle(&lowered, settled).await.unwrap(), half_way);
    assert_eq!(stored(), "10|60");
    assert_eq!(store.settle(&later, settled).await.unwrap(), settled);
    assert_eq!(stored(), "10|10");
    assert_eq!(store.settle(&later, settled).await.unwrap(), settled);
    // An epoch, too.
    let lowered = store.aim_for(length(5)).await.unwrap();
    store.begin_epoch(Vec::new()).await.unwrap().unwrap();
    let half_way = Lengths::new(length(5), length(10)).unwrap();
    assert_eq!(store.settle(&lowered, Lengths::of(length(5))).await.unwrap(), half_way);
    assert_eq!(stored(), "5|10");
    cluster.kill();
    let gone = store.aim_for(length(60)).await.unwrap_err();
    assert!(matches!(gone, StoreError::Unknown | StoreError::Unavailable(_)), "{gone:?}");
}

fn joining(row: RowId) -> Joining<'static> {
    let at = Timestamp::from_millis(1_000);
    Joining { row, applied: 0, knows: 1, name: "a/1", at, configuration: OURS }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_joins_while_an_epoch_begins() {
    // However the database has it for others: whoever has waited sees what was made meanwhile.
    let cluster = Cluster::with(&["default_transaction_isolation = 'repeatable read'"]);
    let (database, store) = opened(&cluster).await;
    let [first, second] = [1, 2].map(|n| RowId { node: NodeId([n; 16]), joined: 1 });
    let mut line = store.line(None).await.unwrap();
    line.join(joining(first)).await.unwrap();
    // Whoever has renewed since, or was not seen, may have a lease.
    assert_eq!(store.begin_epoch(Vec::new()).await.unwrap(), None);
    let (seen, _) = line.rows().await.unwrap();
    let before = line.renew(first, OURS).await.unwrap().unwrap().epoch;
    assert_eq!(store.begin_epoch(seen).await.unwrap(), None);
    let (seen, _) = line.rows().await.unwrap();

    let mut holder = store.client().await.unwrap();
    let held = holder.transaction().await.unwrap();
    held.batch_execute("SELECT 1 FROM node FOR UPDATE").await.unwrap();
    let store = Arc::new(store);
    let beginning = store.clone();
    let beginning = tokio::spawn(async move { beginning.begin_epoch(seen).await });
    let waiting = |who: usize| {
        let sql = "SELECT count(*) FROM pg_locks WHERE NOT granted";
        cluster.run(&database, sql).parse::<usize>().unwrap() >= who
    };
    while !waiting(1) {}
    let joined = tokio::spawn(async move {
        line.join(joining(second)).await.unwrap();
        line.renew(second, OURS).await.unwrap().unwrap().epoch
    });
    while !waiting(2) {}
    held.commit().await.unwrap();
    let begun = beginning.await.unwrap().unwrap().unwrap();
    assert_eq!(begun.0, before.0 + 1);
    // It has a lease, and knows that what it was told of before may be undone.
    assert_eq!(joined.await.unwrap(), begun);
    let roster = store.roster().await.unwrap();
    assert_eq!(roster.nodes.iter().map(|node| node.row.id).collect::<Vec<_>>(), [second]);

    // Whoever was joining as it was to begin is seen.
    let seen = roster.nodes.iter().map(|node| node.row).collect();
    let held = holder.transaction().await.unwrap();
    let join = "SELECT 1 FROM cluster FOR SHARE;
        INSERT INTO node (node, joined, renewals, acknowledged, knows)
        VALUES (decode(repeat('03', 16), 'hex'), 1, 0, 0, 1)";
    held.batch_execute(join).await.unwrap();
    let beginning = store.clone();
    let beginning = tokio::spawn(async move { beginning.begin_epoch(seen).await });
    while !waiting(1) {}
    held.commit().await.unwrap();
    assert_eq!(beginning.await.unwrap().unwrap(), None);
}

#[tokio::test]
async fn nodes_need_nothing_that_other_databases_do_not_know() {
    let cluster = Cluster::start();
    let database = Lookalike::create_database(&cluster);
    let lookalike = Lookalike::of(&cluster);
    let mut settings = settings(&cluster, &database, cluster.user());
    let mut server = tokio_postgres::Config::new();
    server.host("127.0.0.1").port(lookalike.port()).user(cluster.user()).dbname(&database);
    settings.server = server;
    let store = Postgres::open(&settings).await.unwrap();
    let loaded =
        Nodes::load(&store, Arc::new(Index::default()), Box::new(|_, _| {})).await.unwrap();
    // It is not told of entries.
    let mut line = store.line(Some(Arc::new(|| {}))).await.unwrap();
    let row = RowId { node: NodeId([1; 16]), joined: 1 };
    line.join(joining(row)).await.unwrap();
    let renewed = line.renew(row, OURS).await.unwrap().unwrap();
    assert_eq!((renewed.head, renewed.epoch), (loaded.head, loaded.epoch));
    let organization = OrganizationId::new(Timestamp::from_millis(1), [1; 10]);
    let change = Change::OrganizationCreated { organization, name: "a".into(), external_id: None };
    let head = store.commit(order(1, change)).await.unwrap();
    assert_eq!(line.entries(0, None, 9).await.unwrap().len(), 1);
    assert!(line.acknowledge(row, head.number).await.unwrap());
    let (rows, _) = line.rows().await.unwrap();
    assert_eq!((rows[0].id, rows[0].acknowledged), (row, 1));
    let aimed = store.aim_for(length(60)).await.unwrap();
    let settled = Lengths::of(length(60));
    assert_eq!(store.settle(&aimed, settled).await.unwrap(), settled);
    assert_eq!(line.roster().await.unwrap().nodes.len(), 1);
    assert!(store.begin_epoch(rows).await.unwrap().is_some());
    line.strike_off(row, 1).await.unwrap();
    line.leave(row).await.unwrap();
    store.close().await;
}
