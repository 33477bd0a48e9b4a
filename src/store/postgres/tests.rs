//! What is told of a database that cannot be used, or that older nodes use, too.

mod nodes;

use super::{OpenError, Postgres, Settings, TlsMode};
use crate::store::{
    LinkPurpose, Nodes, Order, SignInStore as _, Store as _, StoreError, StoredLink,
};
use counterfoil_core::{
    Timestamp,
    account::AccountKind,
    id::{AccountId, OrganizationId},
    index::Index,
    ledger::{Actor, Change},
    token::Digest,
};
use counterfoil_support::postgres::Postgres as Cluster;
use std::{sync::Arc, time::Duration};

pub(super) fn settings(cluster: &Cluster, database: &str, user: &str) -> Settings {
    let mut server = tokio_postgres::Config::new();
    server.host("127.0.0.1").port(cluster.port()).user(user).dbname(database);
    Settings {
        server,
        tls: TlsMode::Disable,
        authorities: None,
        connections: 2,
        patience: Duration::from_secs(30),
    }
}

async fn opened(settings: &Settings) -> Result<(), OpenError> {
    Postgres::open(settings).await.map(drop)
}

#[track_caller]
fn told(opened: Result<(), OpenError>) -> String {
    opened.unwrap_err().to_string()
}

#[tokio::test]
async fn what_is_missing_is_named_with_what_to_do() {
    let cluster = Cluster::start();
    let database = cluster.create_database();
    let owner = settings(&cluster, &database, cluster.user());
    cluster.run("postgres", "CREATE ROLE weak LOGIN");
    let weak = settings(&cluster, &database, "weak");
    let no_tables = told(opened(&weak).await);
    assert!(no_tables.contains("GRANT CREATE ON SCHEMA public TO weak"), "{no_tables}");

    opened(&owner).await.unwrap();
    let no_rows = told(opened(&weak).await);
    assert!(no_rows.contains("may not write to the table account"), "{no_rows}");
    // Others' tables are none of ours, and a step may be made by somebody else.
    cluster.run(
        &database,
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO weak",
    );
    opened(&weak).await.unwrap();

    let set = |value: &str| cluster.run("postgres", &format!("ALTER ROLE weak SET {value}"));
    set("default_transaction_read_only = on");
    let replica = told(opened(&weak).await);
    assert!(replica.contains("only lets itself be read"), "{replica}");
    cluster.run("postgres", "ALTER ROLE weak RESET default_transaction_read_only");

    set("synchronous_commit = off");
    let asynchronous = told(opened(&weak).await);
    assert!(asynchronous.contains("synchronous_commit = off"), "{asynchronous}");

    cluster.run(&database, "INSERT INTO schema_step VALUES (1000, 1)");
    let newer = told(opened(&owner).await);
    assert!(newer.contains("made by a newer version"), "{newer}");

    let nowhere = told(opened(&settings(&cluster, "nowhere", cluster.user())).await);
    assert!(nowhere.contains("database \"nowhere\" does not exist"), "{nowhere}");
    let nobody = told(opened(&settings(&cluster, &database, "nobody")).await);
    assert!(nobody.contains("refuses this user"), "{nobody}");

    let options = "ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0";
    cluster.run("postgres", &format!("CREATE DATABASE ascii {options}"));
    let ascii = told(opened(&settings(&cluster, "ascii", cluster.user())).await);
    assert!(ascii.contains("written in SQL_ASCII"), "{ascii}");

    cluster.kill();
    let gone = told(opened(&owner).await);
    assert!(gone.contains("cannot be reached"), "{gone}");
}

#[tokio::test]
async fn of_several_that_begin_at_once_one_makes_the_tables() {
    let cluster = Cluster::start();
    let owner = settings(&cluster, &cluster.create_database(), cluster.user());
    let all = (0..8).map(|_| opened(&owner));
    for opened in futures_util::future::join_all(all).await {
        opened.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_breaks_while_tables_are_made_is_made_anew() {
    let cluster = Cluster::start();
    let database = cluster.create_database();
    let owner = settings(&cluster, &database, cluster.user());
    let store = Postgres::open(&owner).await.unwrap();
    let mut holder = store.client().await.unwrap();
    let held = holder.transaction().await.unwrap();
    let lock = "SET LOCAL idle_in_transaction_session_timeout = 0; LOCK TABLE schema_step";
    held.batch_execute(lock).await.unwrap();
    let break_off = || {
        let sql = "SELECT count(pg_terminate_backend(pid)) FROM pg_locks WHERE NOT granted";
        cluster.run(&database, sql) != "0"
    };
    let again_and_again = tokio::spawn({
        let owner = owner.clone();
        async move { told(opened(&owner).await) }
    });
    while !again_and_again.is_finished() {
        break_off();
    }
    let broken = again_and_again.await.unwrap();
    assert!(broken.contains("broke while that was prepared"), "{broken}");
    let once = tokio::spawn(async move { opened(&owner).await });
    while !break_off() {}
    held.commit().await.unwrap();
    once.await.unwrap().unwrap();
    store.close().await;
}

#[tokio::test]
async fn tls_is_required_and_verified() {
    let cluster = Cluster::start();
    let mut wanted = settings(&cluster, &cluster.create_database(), cluster.user());
    wanted.tls = TlsMode::Prefer;
    opened(&wanted).await.unwrap();
    for tls in [TlsMode::Require, TlsMode::VerifyFull] {
        wanted.tls = tls;
        let without = told(opened(&wanted).await);
        assert!(without.contains("does not support TLS"), "{without}");
    }
}

const ACCOUNT: AccountId = AccountId::from_bytes([1; 16]);

fn create_account() -> Order {
    let change = Change::AccountCreated {
        account: ACCOUNT,
        account_kind: AccountKind::Person,
        email: Some("ada@example.com".parse().unwrap()),
        name: "Ada".into(),
        external_id: None,
    };
    order(1, change)
}

/// Of a kind that every node knows.
fn create(n: u8) -> Order {
    let organization = OrganizationId::new(Timestamp::from_millis(1), [n; 10]);
    order(n, Change::OrganizationCreated { organization, name: n.to_string(), external_id: None })
}

/// Of one that came later.
fn set_email(n: u8) -> Order {
    let email = format!("a{n}@example.com").parse().unwrap();
    order(n, Change::EmailSet { account: ACCOUNT, email })
}

fn order(n: u8, change: Change) -> Order {
    let (at, actor) = (Timestamp::from_millis(1), Actor::Operator);
    Order {
        at,
        actor,
        standing: None,
        grounds: Vec::new(),
        changes: vec![(change, [n; 16])],
        once: None,
    }
}

#[tokio::test]
async fn a_new_kind_is_written_once_all_nodes_know_it() {
    let cluster = Cluster::start();
    let database = cluster.create_database();
    let store = Postgres::open(&settings(&cluster, &database, cluster.user())).await.unwrap();
    store.commit(create_account()).await.unwrap();
    let node = |id: u8, knows: u8| {
        let values = format!("('\\x{id:032x}', 1, 0, 0, {knows}, 'node-{id}')");
        cluster.run(&database, &format!("INSERT INTO node VALUES {values}"));
    };
    node(1, 2);
    node(2, 7);
    store.commit(set_email(2)).await.unwrap();
    node(3, 1);
    // One alone, and several in one group; what all of them know is made.
    let refused = store.commit(set_email(3)).await;
    assert!(matches!(refused, Err(StoreError::OlderNodes)), "{refused:?}");
    let several = (3..9).map(|n| if n == 6 { create(n) } else { set_email(n) });
    let all = futures_util::future::join_all(several.map(|order| store.commit(order))).await;
    for (n, made) in (3..9).zip(all) {
        match made {
            Ok(_) => assert_eq!(n, 6),
            refused => assert!(matches!(refused, Err(StoreError::OlderNodes)), "{n}: {refused:?}"),
        }
    }
    let written = || {
        let sql = "SELECT count(*), max(head.number), max(email) FROM ledger, head, account";
        cluster.run(&database, sql)
    };
    assert_eq!(written(), "3|3|a2@example.com");
    cluster.run(&database, "DELETE FROM node WHERE knows = 1");
    store.commit(set_email(3)).await.unwrap();
    assert_eq!(written(), "4|4|a3@example.com");
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_waits_for_whoever_is_changing_the_address_that_it_is_mailed_to() {
    let cluster = Cluster::start();
    let database = cluster.create_database();
    let opened = Postgres::open(&settings(&cluster, &database, cluster.user())).await;
    let store = Arc::new(opened.unwrap());
    store.commit(create_account()).await.unwrap();
    let mut holder = store.client().await.unwrap();
    let changing = holder.transaction().await.unwrap();
    let change = "SET LOCAL idle_in_transaction_session_timeout = 0;
        SELECT FROM account FOR UPDATE; DELETE FROM link;
        UPDATE account SET email = 'countess@example.com'";
    changing.batch_execute(change).await.unwrap();
    let keeping = tokio::spawn({
        let store = store.clone();
        let (purpose, expires_at) = (LinkPurpose::Reset(ACCOUNT), Timestamp::MAX);
        let link = StoredLink { digest: Digest::of("link"), purpose, expires_at };
        async move { store.keep_link(link, Some("ada@example.com".parse().unwrap())).await }
    });
    let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted";
    while !keeping.is_finished() && cluster.run(&database, waiting) == "0" {
        tokio::task::yield_now().await;
    }
    changing.commit().await.unwrap();
    assert!(!keeping.await.unwrap().unwrap());
    assert_eq!(cluster.run(&database, "SELECT count(*) FROM link"), "0");
    store.close().await;
}

#[tokio::test]
async fn nothing_is_loaded_of_what_was_brought_further_meanwhile() {
    let cluster = Cluster::start();
    let database = cluster.create_database();
    let store = Postgres::open(&settings(&cluster, &database, cluster.user())).await.unwrap();
    let load = || Nodes::load(&store, Arc::new(Index::default()), Box::new(|_, _| {}));
    load().await.unwrap();
    cluster.run(&database, "INSERT INTO schema_step VALUES (99, 1)");
    let error = load().await.unwrap_err().to_string();
    assert!(error.contains("made by a newer version"), "{error}");
    store.close().await;
}
