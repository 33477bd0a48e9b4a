//! A store under test, of whichever kind.

use crate::{
    replica::Replica,
    store::{
        EntryFilter, Order, Standing, Store, StoreError,
        postgres::{Postgres, Settings, TlsMode},
        sqlite::{DataDirectory, Sqlite},
    },
};
use counterfoil_core::{
    index::Index,
    ledger::{self, Actor, Change, Head},
};
use counterfoil_support::{lookalike, postgres as support};
use std::{
    path::Path,
    sync::{Arc, LazyLock},
    time::Duration,
};
use tempfile::TempDir;

/// The stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Sqlite,
    Postgres,
    /// What speaks its protocol, and has less.
    Lookalike,
}

/// One for all tests of this process; it ends with the process.
static CLUSTER: LazyLock<support::Postgres> = LazyLock::new(support::Postgres::start);
static LOOKALIKE: LazyLock<lookalike::Lookalike> =
    LazyLock::new(|| lookalike::Lookalike::of(&CLUSTER));

/// What is there before a store is opened, and once it is closed.
enum Ground {
    Sqlite(TempDir),
    Postgres(Database),
}

/// A database in the cluster.
pub(super) struct Database {
    name: String,
    kind: Kind,
}

impl Database {
    pub(super) fn new(kind: Kind) -> Self {
        let name = match kind {
            Kind::Lookalike => lookalike::Lookalike::create_database(&CLUSTER),
            _ => CLUSTER.create_database(),
        };
        Self { name, kind }
    }

    pub(super) fn run(&self, sql: &str) -> String {
        CLUSTER.run(&self.name, sql)
    }

    pub(super) fn settings(&self) -> Settings {
        let mut server = tokio_postgres::Config::new();
        match self.kind {
            Kind::Lookalike => server.host("127.0.0.1").port(LOOKALIKE.port()),
            _ => server.host_path(CLUSTER.directory()).port(CLUSTER.port()),
        };
        server.user(CLUSTER.user()).dbname(&self.name);
        Settings {
            server,
            tls: TlsMode::Disable,
            authorities: None,
            connections: 4,
            patience: Duration::from_secs(30),
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        CLUSTER.drop_database(&self.name);
    }
}

/// A store under test, with the index that follows it.
pub(super) struct House {
    pub(super) store: Arc<dyn Store>,
    pub(super) replica: Arc<Replica>,
    /// Where several tell of what they have made, one after the other follows.
    following: tokio::sync::Mutex<()>,
    // Behind the store, which lets go of it first.
    ground: Ground,
}

impl House {
    pub(super) async fn new(kind: Kind) -> Self {
        Self::open(match kind {
            Kind::Sqlite => Ground::Sqlite(tempfile::tempdir().unwrap()),
            Kind::Postgres | Kind::Lookalike => Ground::Postgres(Database::new(kind)),
        })
        .await
    }

    async fn open(ground: Ground) -> Self {
        let replica = Arc::new(Replica::default());
        let follower = replica.clone();
        let store: Arc<dyn Store> = match &ground {
            Ground::Sqlite(directory) => {
                let locked = Arc::new(DataDirectory::lock(directory.path()).unwrap());
                let follow = Box::new(move |order: &Order, head| follower.follow(order, head));
                Arc::new(Sqlite::open(locked, Path::new("test.db"), follow).unwrap())
            }
            Ground::Postgres(database) => {
                let settings = database.settings();
                Arc::new(Postgres::open(&settings).await.unwrap())
            }
        };
        replica.load(&*store, Box::new(|_, _| {})).await.unwrap();
        Self { store, replica, following: tokio::sync::Mutex::default(), ground }
    }

    pub(super) async fn reopened(self) -> Self {
        self.store.close().await;
        let Self { ground, store, .. } = self;
        drop(store);
        Self::open(ground).await
    }

    pub(super) async fn make(&self, changes: &[Change]) -> Result<Head, StoreError> {
        self.make_as(None, changes).await
    }

    /// Makes what somebody has decided on who was this then.
    pub(super) async fn make_as(
        &self,
        standing: Option<Standing>,
        changes: &[Change],
    ) -> Result<Head, StoreError> {
        let changes = changes.iter().map(|change| (change.clone(), [7; 16])).collect();
        let (at, grounds) = (super::at(1000), Vec::new());
        let order = Order { at, actor: Actor::Operator, standing, grounds, changes, once: None };
        let made = self.store.commit(order).await;
        self.follow().await;
        made
    }

    /// What another node has: a store of its own on the same database. Where one process has
    /// that to itself, the same one.
    pub(super) async fn twin(&self) -> Arc<dyn Store> {
        match &self.ground {
            Ground::Sqlite(_) => self.store.clone(),
            Ground::Postgres(database) => {
                let settings = database.settings();
                Arc::new(Postgres::open(&settings).await.unwrap())
            }
        }
    }

    /// Makes what rests on something else.
    pub(super) async fn make_on(
        &self,
        ground: crate::store::Ground,
        changes: &[Change],
    ) -> Result<Head, StoreError> {
        self.make_at(&self.store, ground, changes).await
    }

    /// The same at a node.
    pub(super) async fn make_at(
        &self,
        store: &Arc<dyn Store>,
        ground: crate::store::Ground,
        changes: &[Change],
    ) -> Result<Head, StoreError> {
        let changes = changes.iter().map(|change| (change.clone(), [7; 16])).collect();
        let (at, actor, grounds) = (super::at(1000), Actor::Operator, vec![ground]);
        let order = Order { at, actor, standing: None, grounds, changes, once: None };
        let made = store.commit(order).await;
        self.follow().await;
        made
    }

    /// Has the index take in what the ledger has, where the store does not see to that.
    pub(super) async fn follow(&self) {
        if matches!(self.ground, Ground::Sqlite(_)) {
            return;
        }
        let _alone = self.following.lock().await;
        loop {
            let after = self.replica.head().number;
            let links = self.store.chain(after, 1000).await;
            let Ok(links) = links else { return };
            let entries = self.store.entries(EntryFilter::default(), after, 1000).await.unwrap();
            for (link, stored) in links.iter().zip(&entries) {
                let order = Order {
                    at: stored.entry.at,
                    actor: stored.entry.actor,
                    standing: None,
                    grounds: Vec::new(),
                    changes: vec![(stored.change.clone().unwrap(), [0; 16])],
                    once: None,
                };
                self.replica.follow(&order, Head { number: link.number, hash: link.hash });
            }
            if links.is_empty() {
                return;
            }
        }
    }

    /// Makes what must be possible.
    pub(super) async fn made(&self, change: Change) {
        self.make(std::slice::from_ref(&change))
            .await
            .unwrap_or_else(|error| panic!("{change:?}: {error}"));
    }

    /// Asks for what must not be possible now.
    pub(super) async fn refused(&self, change: Change) {
        match self.make(std::slice::from_ref(&change)).await {
            Err(StoreError::Conflict) => {}
            other => panic!("{change:?}: {other:?}"),
        }
    }

    pub(super) async fn is_sound(&self) {
        self.follow().await;
        let inspection = self.store.inspect_ledger(Box::new(|_, _| {})).await.unwrap();
        assert_eq!(inspection.findings, Vec::<String>::new());
        assert_eq!(inspection.head.number, self.replica.head().number);
        let loaded = Arc::new(Index::default());
        let head = self.store.load(loaded.clone(), Box::new(|_, _| {})).await.unwrap();
        assert_eq!(head, inspection.head);
        let contents = self.replica.index().unwrap().contents();
        assert_eq!(loaded.contents(), contents);
        if let Ground::Sqlite(directory) = &self.ground {
            assert_eq!(replayed(&directory.path().join("test.db")).contents(), contents);
        }
    }

    /// Runs statements past the store.
    pub(super) fn by_hand(&self, sql: &str) {
        match &self.ground {
            Ground::Sqlite(directory) => {
                let file = directory.path().join("test.db");
                rusqlite::Connection::open(file).unwrap().execute_batch(sql).unwrap();
            }
            Ground::Postgres(database) => drop(database.run(sql)),
        }
    }

    /// An organization with one member.
    pub(super) async fn with_member(kind: Kind) -> Self {
        let house = Self::new(kind).await;
        house.made(super::create_organization(1)).await;
        house.made(super::create_account(1)).await;
        house.made(super::join(1, 1)).await;
        house
    }
}

/// The index that follows from the ledger in a database, and from nothing else.
pub(crate) fn replayed(database: &Path) -> Index {
    let connection = rusqlite::Connection::open(database).unwrap();
    let mut entries = connection
        .prepare(
            "SELECT entry, hash, salt, detail FROM ledger
             JOIN ledger_detail ON ledger_detail.number = ledger.number ORDER BY ledger.number",
        )
        .unwrap();
    let mut rows = entries.query([]).unwrap();
    let (index, mut head) = (Index::default(), Head::EMPTY);
    while let Some(row) = rows.next().unwrap() {
        let [entry, hash, salt, detail] =
            [0, 1, 2, 3].map(|column| row.get::<_, Vec<u8>>(column).unwrap());
        let (next, _, change) = ledger::check(head, &entry, &hash, Some((&salt, &detail))).unwrap();
        index.apply(&change.unwrap()).unwrap();
        head = next;
    }
    index
}
