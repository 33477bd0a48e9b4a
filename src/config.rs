//! The configuration: one TOML file and the environment become a typed, validated [`Config`].
//!
//! [`settings`] defines every setting once. The file is parsed to a [`document`],
//! in which [`variables`] overrides single values; [`shape`] compares that with the
//! [`schema`] of the settings, and [`build`] turns them into the types of the domain.

mod access;
mod api;
mod build;
mod cors;
mod database;
mod digest;
mod document;
#[cfg(test)]
mod examples;
mod key_path;
mod limiter;
mod limits;
mod mail;
mod mistake;
mod reference;
mod schema;
mod schemes;
mod settings;
mod shape;
#[cfg(test)]
mod tests;
mod tls;
mod upstream;
mod url;
mod variables;

#[cfg(test)]
pub(crate) use self::limiter::LimiterServer;
pub(crate) use self::{
    build::rotation,
    cors::{Cors, Origins},
    limiter::Limiter,
    mistake::Mistakes,
    reference::reference,
    settings::{Ask, ForwardedBy, LogFormat, ProxyKind, Readers, Secret, Words},
    upstream::{HealthCheck, Timeouts, Upstream, UpstreamTls},
};

use self::{document::Document, mistake::Report};
use crate::{
    store::{ConfigurationDigest, postgres},
    tls::Files,
};
use counterfoil_core::{account::Email, api::Api, limit::Rate, network::Network, time::Seconds};
use lettre::message::Mailbox;
use std::{
    collections::BTreeMap,
    fmt,
    io::ErrorKind,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Where the file is looked for when nobody names one.
const PLACES: [&str; 2] = ["counterfoil.toml", "/etc/counterfoil/counterfoil.toml"];

/// All that the operator decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Config {
    /// Console, management API and OAuth.
    pub(crate) server: Server,
    /// The reverse proxy.
    pub(crate) gateway: Gateway,
    /// The answers to other people's proxies.
    pub(crate) forward_auth: ForwardAuth,
    /// `/metrics`.
    pub(crate) metrics: Metrics,
    /// What holds at all doors.
    pub(crate) doors: Doors,
    /// Where the state is kept.
    pub(crate) database: Database,
    /// Where limits are counted that several nodes share.
    pub(crate) limiter: Option<Limiter>,
    /// What is logged, and how.
    pub(crate) log: Log,
    /// The pages for people.
    pub(crate) console: Console,
    /// How mail is sent, if it is.
    pub(crate) mail: Option<Mail>,
    /// How access tokens are signed.
    pub(crate) signing: Signing,
    /// The protected APIs, sorted by name.
    pub(crate) apis: Vec<ProtectedApi>,
    /// By which nodes tell whether their APIs are the same.
    pub(crate) apis_digest: ConfigurationDigest,
}

/// What holds at all doors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Doors {
    /// How many credentials one address may show that prove nothing, where that is limited.
    pub(crate) unproven: Option<Rate>,
}

/// How access tokens are signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Signing {
    /// How long after a key was made the next one is.
    pub(crate) rotate: Seconds,
    /// Where keys are that nodes share; none: they are made in the data directory.
    pub(crate) keys_directory: Option<PathBuf>,
}

/// Console, management API and OAuth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Server {
    /// The listener's address; with port 0 the system chooses one.
    pub(crate) listen: SocketAddr,
    /// Scheme, host and port, as a browser's `Origin` has them.
    pub(crate) public_url: String,
    /// Whose word on where a request comes from is taken.
    pub(crate) trusted_proxies: Vec<Network>,
    /// The certificate, where the listener speaks TLS.
    pub(crate) tls: Option<Files>,
}

/// The reverse proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Gateway {
    /// The listener's address.
    pub(crate) listen: SocketAddr,
    /// Where clients find it: scheme, host and port.
    pub(crate) public_url: String,
    /// Whose word on where a request comes from is taken.
    pub(crate) trusted_proxies: Vec<Network>,
    /// Where they write it.
    pub(crate) forwarded: ForwardedBy,
    /// The certificate, where the listener speaks TLS.
    pub(crate) tls: Option<Files>,
}

/// The answers to other people's proxies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ForwardAuth {
    /// The listener's address.
    pub(crate) listen: SocketAddr,
    /// What asks.
    pub(crate) proxy: ProxyKind,
    /// Who may ask.
    pub(crate) trusted_proxies: Vec<Network>,
    /// Whether paths are under the APIs' mounts.
    pub(crate) strip_mounts: bool,
    /// The certificate, where the listener speaks TLS.
    pub(crate) tls: Option<Files>,
}

/// `/metrics`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Metrics {
    /// The listener's address.
    pub(crate) listen: SocketAddr,
}

/// Where the state is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Database {
    /// The file of SQLite; a relative path starts from the data directory.
    pub(crate) file: PathBuf,
    /// The server that several nodes share; none: it is that file.
    pub(crate) server: Option<postgres::Settings>,
}

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Log {
    /// The form of a line.
    pub(crate) format: LogFormat,
    /// Directives that `tracing_subscriber::EnvFilter` has accepted.
    pub(crate) level: String,
}

/// The pages for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Console {
    /// Who may read "How to authenticate".
    pub(crate) docs: Readers,
    /// The accounts that may open the operator's page.
    pub(crate) operators: Vec<Email>,
    /// How long a session lasts without a request.
    pub(crate) session: Seconds,
    /// How long a session lasts at most; not less.
    pub(crate) session_max: Seconds,
}

/// How mail is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mail {
    /// The server's name or address, without brackets.
    pub(crate) host: String,
    /// Its port.
    pub(crate) port: u16,
    /// How the connection is protected.
    pub(crate) security: MailSecurity,
    /// The certificates that the server's is checked against, in PEM; none: the system's.
    pub(crate) authorities: Option<Vec<u8>>,
    /// Name and password to sign in with.
    pub(crate) credentials: Option<(String, Secret)>,
    /// Whom it comes from.
    pub(crate) from: Mailbox,
}

/// How a connection to a mail server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MailSecurity {
    /// TLS from the first byte on.
    Tls,
    /// TLS once the server has greeted, or no mail.
    StartTls,
    /// Not at all.
    Clear,
}

/// A protected API: what the domain knows of it, and what only its doors and the console do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProtectedApi {
    /// The domain's part.
    pub(crate) api: Arc<Api>,
    /// Where admitted requests go.
    pub(crate) upstream: Upstream,
    /// Where the gateway offers it.
    pub(crate) mount: Mount,
    /// Which web pages may call it; none: that is the upstream's to say.
    pub(crate) cors: Option<Cors>,
    /// How the console issues its tokens.
    pub(crate) console: Dialog,
    /// What the console calls things.
    pub(crate) words: Words,
}

/// Where a token is exchanged for an access token, below a mount.
pub(crate) const EXCHANGE: &str = "/authenticate";

impl ProtectedApi {
    /// At which path, as the API's routes have it, the gateway exchanges tokens for access tokens.
    pub(crate) fn exchange(&self) -> Option<String> {
        self.api.access_tokens.map(|_| self.mount.exchange())
    }
}

/// Where the gateway offers an API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mount {
    /// Under a host name or address of its own, in lower case, without a port.
    Host(String),
    /// Under a path.
    Path {
        /// The path, canonical and without a slash at the end (but for `/` itself).
        path: String,
        /// Whether it is taken off before routes are matched and requests forwarded.
        strip: bool,
    },
}

impl Mount {
    /// The path of an exchange, as the routes below this mount have it.
    pub(crate) fn exchange(&self) -> String {
        match self {
            Self::Path { path, strip: false } => {
                format!("{}{EXCHANGE}", path.trim_end_matches('/'))
            }
            _ => EXCHANGE.to_owned(),
        }
    }

    /// The prefix that is taken off a path, where there is one.
    pub(crate) fn stripped(&self) -> Option<&str> {
        match self {
            Self::Path { path, strip: true } if path != "/" => Some(path),
            _ => None,
        }
    }
}

/// How the console issues an API's tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dialog {
    /// What the dialog asks for, in this order; nothing: no dialog.
    pub(crate) ask: Vec<Ask>,
}

/// The text of a configuration.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Source {
    /// What messages call it: its path.
    pub(crate) name: String,
    /// The TOML.
    pub(crate) text: String,
}

impl fmt::Debug for Source {
    /// Without the text, which may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A configuration that is in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Loaded {
    /// The configuration.
    pub(crate) config: Config,
    /// What the operator should know all the same, one sentence each.
    pub(crate) warnings: Vec<String>,
}

impl Config {
    /// The settings that a running server cannot change, and whether they are
    /// the same here and in `other`.
    pub(crate) fn fixed_settings(&self, other: &Self) -> [(&'static str, bool); 10] {
        [
            ("server.listen", self.server.listen == other.server.listen),
            ("gateway.listen", self.gateway.listen == other.gateway.listen),
            ("forward_auth.listen", self.forward_auth.listen == other.forward_auth.listen),
            ("metrics.listen", self.metrics.listen == other.metrics.listen),
            ("server.tls", self.server.tls.is_some() == other.server.tls.is_some()),
            ("gateway.tls", self.gateway.tls.is_some() == other.gateway.tls.is_some()),
            (
                "forward_auth.tls",
                self.forward_auth.tls.is_some() == other.forward_auth.tls.is_some(),
            ),
            ("database.url", self.database == other.database),
            ("limiter", self.limiter == other.limiter),
            ("log", self.log == other.log),
        ]
    }

    /// The configuration that `source` and `environment` describe, or whatever is
    /// wrong with it. Without a source everything has its default, and there are no APIs.
    pub(crate) fn load(
        source: Option<&Source>,
        environment: &Environment,
    ) -> Result<Loaded, Mistakes> {
        let schema = schema::root();
        let mut document = Document::parse(source)?;
        let warnings = variables::apply(schema, environment, &mut document);
        let mut report = Report::new(&document);
        shape::check(schema, &mut report);
        report.finish(Ok(()))?;
        let config = build::build(document.settings()?, &document)?;
        Ok(Loaded { config, warnings })
    }
}

/// The environment variables that may concern the configuration.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Environment(BTreeMap<String, String>);

impl fmt::Debug for Environment {
    /// Without the values, which may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Environment {
    /// Whether the tests are to rewrite the generated pages.
    #[cfg(test)]
    pub(crate) fn updates_documentation(&self) -> bool {
        self.0.contains_key(variables::UPDATE_DOCS)
    }

    /// Those of this process whose names begin as ours do.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads it")]
    pub(crate) fn of_process() -> Self {
        // `vars` would panic at any variable that is not UTF-8, whoever it belongs to.
        let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        names
            .filter(|name| name.starts_with(variables::BEGINNING))
            .filter_map(|name| {
                let value = std::env::var_os(&name)?.to_string_lossy().into_owned();
                Some((name, value))
            })
            .collect()
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(pairs: I) -> Self {
        Self(pairs.into_iter().collect())
    }
}

/// Why the file cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FindError {
    /// It is not there, or the system does not let us read it.
    #[error("cannot read the configuration {}: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why the system says so.
        reason: std::io::Error,
    },
    /// It is not text.
    #[error("the configuration {} is not UTF-8, from byte {at} on", path.display())]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// How many bytes of it are.
        at: usize,
    },
}

/// The file that `explicit` names, or else the first there is of `counterfoil.toml`
/// in the working directory and in `/etc/counterfoil`; having none is in order.
pub(crate) fn find(explicit: Option<&Path>) -> Result<Option<Source>, FindError> {
    find_among(explicit, PLACES.map(Path::new))
}

fn find_among<'p>(
    explicit: Option<&Path>,
    places: impl IntoIterator<Item = &'p Path>,
) -> Result<Option<Source>, FindError> {
    if let Some(path) = explicit {
        return read(path).map(Some);
    }
    for path in places {
        match read(path) {
            Err(FindError::Unreadable { reason, .. }) if reason.kind() == ErrorKind::NotFound => {}
            found => return found.map(Some),
        }
    }
    Ok(None)
}

fn read(path: &Path) -> Result<Source, FindError> {
    let bytes = std::fs::read(path)
        .map_err(|reason| FindError::Unreadable { path: path.to_owned(), reason })?;
    let text = String::from_utf8(bytes).map_err(|error| FindError::NotUtf8 {
        path: path.to_owned(),
        at: error.utf8_error().valid_up_to(),
    })?;
    Ok(Source { name: path.display().to_string(), text })
}
