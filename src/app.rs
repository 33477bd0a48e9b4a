//! The application: store, index and operations, put together from a configuration.

#[cfg(test)]
mod confinement;

use crate::{
    access_tokens::AccessTokenKeys,
    clock,
    config::Config,
    denials::Denials,
    limiter::Limiter,
    mail::Post,
    refusals::Refusals,
    replica::{Replica, node::Node, waits::Waits},
    service::{
        Apis, Leaked, Service, Streams, attempts::Attempts, door_passwords::DoorPasswords,
        inspections::Inspections, links::Requests, management_api, passwords::Passwords,
        sessions::Lifetimes, token_history,
    },
    store::{
        Progress, Store,
        postgres::Postgres,
        sqlite::{DataDirectory, Sqlite, check_whole, remove_leftovers},
    },
    usage::Usage,
};
use arc_swap::ArcSwap;
use counterfoil_core::api::Api;
use std::{path::PathBuf, sync::Arc};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Everything that the interfaces stand on.
pub(crate) struct App {
    pub(crate) service: Arc<Service>,
    pub(crate) replica: Arc<Replica>,
    /// What the operator has this node deny.
    pub(crate) denials: Arc<Denials>,
    /// What keeps the replica in step with a database that others change, too.
    pub(crate) node: Option<Node>,
    /// What counts goes on counting when the configuration is read again.
    pub(crate) limiter: Arc<Limiter>,
    /// Ends what would go on by itself, when the server stops.
    pub(crate) stop: CancellationToken,
    /// Connections that have become something else than HTTP; they end with `stop`.
    pub(crate) tunnels: TaskTracker,
}

impl App {
    /// Opens the database without loading the index: for all that verifies nothing,
    /// and may have to look into a database that does not load.
    pub(crate) async fn open_unloaded(
        config: &Config,
        directory: Arc<DataDirectory>,
    ) -> anyhow::Result<Self> {
        let replica = Arc::new(Replica::default());
        let (follower, path) = (replica.clone(), directory.path().to_owned());
        if let Some(server) = &config.database.server {
            // Changes come from the ledger, whichever node has made them.
            let store = Arc::new(Postgres::open(server).await?);
            return Self::on(config, store, replica, Some(path));
        }
        check_whole(&directory)?;
        remove_leftovers(&directory);
        let store = Arc::new(Sqlite::open(
            directory,
            &config.database.file,
            Box::new(move |order, head| follower.follow(order, head)),
        )?);
        Self::on(config, store, replica, Some(path))
    }

    /// Everything that stands on this store and this replica of it.
    pub(crate) fn on(
        config: &Config,
        store: Arc<dyn Store>,
        replica: Arc<Replica>,
        directory: Option<PathBuf>,
    ) -> anyhow::Result<Self> {
        let denials = Arc::new(Denials::of(replica.clone(), directory.clone()));
        let at_once = std::thread::available_parallelism().map_or(1, usize::from);
        let attempts = Arc::new(Attempts::new(clock::steady(), replica.nodes.clone()));
        let service = Arc::new(Service {
            waits: Waits::new(store.clone().nodes(), replica.counted.clone()),
            store: store.clone(),
            replica: replica.clone(),
            apis: ArcSwap::from_pointee(Self::apis(config)?),
            refusals: Arc::new(Refusals::new(store.clone())),
            usage: Arc::new(Usage::new(store.clone())),
            watches: Arc::default(),
            passwords: Passwords::new(at_once),
            door_passwords: Arc::new(DoorPasswords::new(store, attempts.clone())),
            attempts,
            requests: Requests::new(clock::steady()),
            lifetimes: ArcSwap::from_pointee(Lifetimes::from(&config.console)),
            post: Arc::new(Post::new(config)?),
            streams: Streams::default(),
            leaked: Leaked::default(),
            took: token_history::Took::default(),
            access_tokens: Arc::new(AccessTokenKeys::of(directory)),
            inspections: Inspections::default(),
            under_way: TaskTracker::new(),
        });
        service.access_tokens.configure(config)?;
        replica.sight.configure(config.apis_digest);
        let (stop, tunnels) = (CancellationToken::new(), TaskTracker::new());
        let limiter = Arc::default();
        Ok(Self { service, replica, denials, node: None, limiter, stop, tunnels })
    }

    /// Has operations know the APIs of a configuration that was read again, the mail server,
    /// and how long sessions last.
    pub(crate) fn configure(&self, config: &Config) -> anyhow::Result<()> {
        let apis = Self::apis(config)?;
        self.service.post.configure(config)?;
        self.service.access_tokens.configure(config)?;
        self.service.apis.store(Arc::new(apis));
        self.replica.sight.configure(config.apis_digest);
        self.service.lifetimes.store(Arc::new(Lifetimes::from(&config.console)));
        Ok(())
    }

    /// The management API, which is one more API to protect.
    pub(crate) fn management(config: &Config) -> anyhow::Result<Arc<Api>> {
        Ok(Arc::new(management_api::beside(config.apis.iter().map(|p| &*p.api))?))
    }

    fn apis(config: &Config) -> anyhow::Result<Apis> {
        let apis = config.apis.iter().map(|protected| protected.api.clone());
        let apis = apis.chain([Self::management(config)?]);
        Ok(apis.map(|api| (api.name.clone(), api)).collect())
    }

    /// Opens the database in `directory` and loads the index from it.
    pub(crate) async fn open(
        config: &Config,
        directory: Arc<DataDirectory>,
        progress: Progress,
    ) -> anyhow::Result<Self> {
        let mut app = Self::open_unloaded(config, directory).await?;
        match app.service.store.clone().nodes() {
            Some(nodes) => {
                let node = Node::start(nodes, app.replica.clone(), progress)?;
                node.ready().await?;
                app.node = Some(node);
            }
            None => app.replica.load(&*app.service.store, progress).await?,
        }
        app.denials.resume()?;
        Ok(app)
    }

    /// Makes what was accepted durable and lets go of the database.
    pub(crate) async fn close(&self) {
        self.service.under_way.close();
        self.service.under_way.wait().await;
        self.service.end_leaked().await;
        self.service.refusals.flush().await;
        self.service.usage.flush().await;
        // Whoever has made a change waited for this node, too, as long as it could judge.
        if let Some(node) = &self.node {
            node.leave().await;
        }
        self.service.store.close().await;
    }
}
