//! Connections: how they are made, and how many there are.

use super::error::{OpenError, describe};
use deadpool_postgres::{
    Client, Hook, HookError, Manager, ManagerConfig, Pool, PoolError, RecyclingMethod, Runtime,
    Timeouts,
};
use rustls::{ClientConfig, RootCertStore};
use std::time::Duration;
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

/// What every connection begins with: nothing that is asked takes forever, and whoever stands
/// still within a transaction keeps nobody else from theirs.
const BEGINNING: &str = "SET statement_timeout = '30s'; \
     SET lock_timeout = '5s'; \
     SET idle_in_transaction_session_timeout = '5s'";

/// The same for those who write to the ledger, whom others wait for.
const WRITING: &str = "SET statement_timeout = '5s'; \
     SET lock_timeout = '1s'; \
     SET idle_in_transaction_session_timeout = '1s'";

/// Where the database is, and how it is spoken with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    /// The server, the database there, who asks and how they prove it.
    pub(crate) server: tokio_postgres::Config,
    pub(crate) tls: TlsMode,
    /// The certificates that the server's is checked against, in PEM; none: the system's.
    pub(crate) authorities: Option<Vec<u8>>,
    /// How many connections there are at most.
    pub(crate) connections: usize,
    /// How long one may take until it stands.
    pub(crate) patience: Duration,
}

/// How a connection is protected, as other programs name it, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TlsMode {
    Disable,
    /// With TLS where the server has it, whoever the server is.
    Prefer,
    /// With TLS, whoever the server is.
    Require,
    /// With TLS, and with the server that is meant.
    VerifyFull,
}

/// The connections of those who look.
pub(super) fn readers(settings: &Settings) -> Result<Pool, OpenError> {
    pool(settings, settings.connections, BEGINNING)
}

/// The connections of those who write to the ledger.
pub(super) fn writers(settings: &Settings, count: usize) -> Result<Pool, OpenError> {
    pool(settings, count, WRITING)
}

fn pool(
    settings: &Settings,
    connections: usize,
    beginning: &'static str,
) -> Result<Pool, OpenError> {
    let mut server = settings.server.clone();
    server.application_name("counterfoil").connect_timeout(settings.patience);
    server.ssl_mode(match settings.tls {
        TlsMode::Disable => SslMode::Disable,
        TlsMode::Prefer => SslMode::Prefer,
        TlsMode::Require | TlsMode::VerifyFull => SslMode::Require,
    });
    let tls = MakeRustlsConnect::new(
        ClientConfig::builder()
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth(),
    );
    let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let begin = Hook::async_fn(move |client: &mut deadpool_postgres::ClientWrapper, _| {
        Box::pin(async move { client.batch_execute(beginning).await.map_err(HookError::Backend) })
    });
    let patience = Some(settings.patience);
    Pool::builder(Manager::from_config(server, tls, recycling))
        .max_size(connections)
        .runtime(Runtime::Tokio1)
        .timeouts(Timeouts { wait: patience, create: patience, recycle: patience })
        .post_create(begin)
        .build()
        .map_err(|error| OpenError::Settings(error.to_string()))
}

/// The first connection, which is to say why there is none.
pub(super) async fn first(pool: &Pool) -> Result<Client, OpenError> {
    pool.get().await.map_err(|error| {
        OpenError::Unreachable(match &error {
            PoolError::Backend(error) => describe(error),
            _ => error.to_string(),
        })
    })
}
