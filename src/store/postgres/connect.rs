//! Connections: how they are made, and how many there are.

use super::{error::OpenError, tls};
use deadpool_postgres::{
    Client, Hook, HookError, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime, Timeouts,
};
use std::time::Duration;
use tokio_postgres::{
    Connection, Socket,
    config::{SslMode, TargetSessionAttrs},
    tls::MakeTlsConnect,
};
use tokio_postgres_rustls::MakeRustlsConnect;

/// What every connection begins with, however the database, or who asks, has it otherwise: whoever
/// has waited for a row sees what was made meanwhile, and bytes are written as their digits.
pub(super) const USUAL: &str =
    "SET default_transaction_isolation = 'read committed'; SET bytea_output = 'hex'";

/// Has what is prepared be planned once, where the database has such a setting.
pub(super) const PLANNED_ONCE: &str =
    "SELECT set_config(name, 'force_generic_plan', false) FROM pg_settings
     WHERE name = 'plan_cache_mode'";

/// Nothing that is asked takes forever, and whoever stands still within a transaction keeps nobody
/// else from theirs.
const READING: &str = "SET statement_timeout = '30s'; \
     SET lock_timeout = '5s'; \
     SET idle_in_transaction_session_timeout = '5s'";

/// The same for those who write to the ledger, whom others wait for. What they send is the same
/// again and again with lists of other lengths, for each of which it would be planned anew: that
/// was more than a quarter of the server's work.
const WRITING: &str = "SET statement_timeout = '5s'; \
     SET lock_timeout = '1s'; \
     SET idle_in_transaction_session_timeout = '1s'";

/// How long a network may swallow everything.
const SILENCE: Duration = Duration::from_secs(10);

/// How long a connection may take until it stands, unless the URL says so.
const PATIENCE: Duration = Duration::from_secs(5);

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

impl Settings {
    /// Those of a URL, with what it does not say as it mostly is. What is wrong is said without
    /// what was written, which may hold a password.
    pub(crate) fn of_url(url: &str) -> Result<Self, &'static str> {
        const FORM: &str = "expected a URL, as in \
                            \"postgres://counterfoil@db.example.com/counterfoil\"";
        const MODES: &str = "expected sslmode to be disable, prefer, require or verify-full";
        let (place, options) = url.split_once('?').unwrap_or((url, ""));
        let (modes, others): (Vec<&str>, Vec<&str>) = options
            .split('&')
            .filter(|option| !option.is_empty())
            .partition(|option| option.starts_with("sslmode="));
        let tls = match modes[..] {
            [] | ["sslmode=prefer"] => TlsMode::Prefer,
            ["sslmode=disable"] => TlsMode::Disable,
            ["sslmode=require"] => TlsMode::Require,
            ["sslmode=verify-full"] => TlsMode::VerifyFull,
            _ => return Err(MODES),
        };
        let options = others.join("&");
        let text = if options.is_empty() { place.to_owned() } else { format!("{place}?{options}") };
        let server: tokio_postgres::Config = text.parse().map_err(|_| FORM)?;
        if server.get_hosts().is_empty() {
            return Err(FORM);
        }
        if server.get_user().is_none_or(str::is_empty) {
            return Err("expected a user before the host, as in \
                        \"postgres://counterfoil@db.example.com/counterfoil\"");
        }
        let patience = server.get_connect_timeout().copied().unwrap_or(PATIENCE);
        Ok(Self { server, tls, authorities: None, connections: 8, patience })
    }

    pub(crate) fn has_password(&self) -> bool {
        self.server.get_password().is_some()
    }

    pub(crate) fn set_password(&mut self, password: &str) {
        self.server.password(password);
    }
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
    pool(settings, settings.connections, &[USUAL, READING])
}

/// The connections of those who write to the ledger.
pub(super) fn writers(settings: &Settings, count: usize) -> Result<Pool, OpenError> {
    pool(settings, count, &[USUAL, PLANNED_ONCE, WRITING])
}

/// How connections are made that are in no pool.
pub(super) struct Alone {
    server: tokio_postgres::Config,
    tls: MakeRustlsConnect,
}

impl Alone {
    pub(super) fn new(settings: &Settings) -> Result<Self, OpenError> {
        let (server, tls) = server(settings)?;
        Ok(Self { server, tls })
    }

    /// One, and what has to be driven for anything to be said on it.
    pub(super) async fn connect(
        &self,
    ) -> Result<
        (
            tokio_postgres::Client,
            Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>,
        ),
        tokio_postgres::Error,
    > {
        self.server.connect(self.tls.clone()).await
    }
}

fn server(settings: &Settings) -> Result<(tokio_postgres::Config, MakeRustlsConnect), OpenError> {
    let mut server = settings.server.clone();
    server.application_name("counterfoil").connect_timeout(settings.patience);
    // A copy may not have what has been answered, not even for whoever only looks.
    server.target_session_attrs(TargetSessionAttrs::ReadWrite);
    server.ssl_mode(match settings.tls {
        TlsMode::Disable => SslMode::Disable,
        TlsMode::Prefer => SslMode::Prefer,
        TlsMode::Require | TlsMode::VerifyFull => SslMode::Require,
    });
    // A network that swallows everything is noticed, whoever waits for an answer.
    server.keepalives_idle(SILENCE).tcp_user_timeout(SILENCE);
    let tls = MakeRustlsConnect::new(tls::config(settings)?);
    Ok((server, tls))
}

fn pool(
    settings: &Settings,
    connections: usize,
    beginning: &'static [&'static str],
) -> Result<Pool, OpenError> {
    let (server, tls) = server(settings)?;
    let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let begin = Hook::async_fn(move |client: &mut deadpool_postgres::ClientWrapper, _| {
        Box::pin(async move {
            for sql in beginning {
                client.batch_execute(sql).await.map_err(HookError::Backend)?;
            }
            Ok(())
        })
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
    pool.get().await.map_err(|error| OpenError::of_pool(&error))
}
