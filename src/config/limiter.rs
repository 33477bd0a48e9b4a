//! `[limiter]` becomes a [`Limiter`].

use super::{
    key_path::KeyPath,
    mail::{certificates, one_line},
    mistake::{Noted, Report},
    settings::{self, Secret},
};
use crate::named_file;
use redis::{
    ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _, ProtocolVersion, RedisConnectionInfo,
};
use std::{fmt, path::PathBuf, time::Duration};

/// The most nodes that share limits.
const MOST_NODES: u64 = 1000;

/// The server by which several nodes share limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Limiter {
    /// Where it is.
    pub(crate) server: LimiterServer,
    /// As whom to sign in; the server's default user, where there is none.
    pub(crate) user: Option<String>,
    /// With which password.
    pub(crate) password: Option<Secret>,
    /// Which of its databases.
    pub(crate) database: i64,
    /// The certificates that the server's is checked against, in PEM; none: the system's.
    pub(crate) authorities: Option<Vec<u8>>,
    /// What its keys begin with.
    pub(crate) prefix: String,
    /// How many nodes there are.
    pub(crate) nodes: u32,
    /// How long an answer may take.
    pub(crate) patience: Duration,
}

/// Where a server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LimiterServer {
    /// On the network.
    Host {
        /// Its name or address, without brackets.
        host: String,
        /// Its port.
        port: u16,
        /// Whether it is reached by TLS.
        tls: bool,
    },
    /// On this machine.
    Socket(PathBuf),
}

impl fmt::Display for LimiterServer {
    /// As the log has it: without a user or a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host { host, port, .. } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Host { host, port, .. } => write!(f, "{host}:{port}"),
            Self::Socket(path) => path.display().fmt(f),
        }
    }
}

impl Limiter {
    /// How to reach the server.
    pub(crate) fn connection(&self) -> Option<ConnectionInfo> {
        let addr = match self.server.clone() {
            LimiterServer::Host { host, port, tls: false } => ConnectionAddr::Tcp(host, port),
            LimiterServer::Host { host, port, tls: true } => {
                ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
            }
            LimiterServer::Socket(path) => ConnectionAddr::Unix(path),
        };
        let mut settings = RedisConnectionInfo::default()
            .set_db(self.database)
            // It would be one more command to be allowed.
            .set_skip_set_lib_name()
            .set_protocol(ProtocolVersion::RESP2);
        if let Some(user) = &self.user {
            settings = settings.set_username(user);
        }
        if let Some(password) = &self.password {
            settings = settings.set_password(password.reveal());
        }
        let connection = addr.into_connection_info().ok()?.set_redis_settings(settings);
        let tcp = connection.tcp_settings().clone().set_nodelay(true);
        Some(connection.set_tcp_settings(tcp))
    }
}

/// The server of shared limits, if one is named.
pub(super) fn read(
    settings: settings::Limiter,
    report: &mut Report<'_>,
) -> Result<Option<Limiter>, Noted> {
    let at = KeyPath::of(["limiter"]);
    let Some(url) = &settings.url else {
        for key in ["password_file", "ca_file", "nodes"] {
            if report.document.has(&at.key(key)) {
                let message = "limits are shared by a server, as in \"redis://127.0.0.1:6379\"";
                return Err(report.add(&at.key("url"), message));
            }
        }
        return Ok(None);
    };
    let path = at.key("url");
    let server = report.accept(&path, server(url.reveal()));
    let from_file = settings.password_file.as_deref().map(|file| {
        report.accept(&at.key("password_file"), named_file::read(file).and_then(one_line))
    });
    let authorities = settings.ca_file.as_deref().map(|file| {
        let path = at.key("ca_file");
        let pem = report.accept(&path, named_file::read(file))?;
        report.accept(&path, certificates(&pem)).map(|()| pem)
    });
    let nodes = match settings.nodes {
        Some(nodes @ 1..=MOST_NODES) => Ok(u32::try_from(nodes).unwrap_or(1)),
        Some(_) => {
            let message = format_args!("expected a number from 1 to {MOST_NODES}");
            Err(report.add(&at.key("nodes"), message))
        }
        None => {
            let message = "expected how many nodes share limits: while the server is gone, each \
                           grants that part of them";
            Err(report.add(&at.key("nodes"), message))
        }
    };
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"_-.:".contains(&b);
    let prefix = if settings.prefix.len() <= 64 && settings.prefix.bytes().all(is_plain) {
        Ok(settings.prefix)
    } else {
        let message = "expected up to 64 letters, digits and any of -_.:";
        Err(report.add(&at.key("prefix"), message))
    };
    let patience = if (5..=1000).contains(&settings.patience_ms) {
        Ok(Duration::from_millis(settings.patience_ms))
    } else {
        Err(report.add(&at.key("patience_ms"), "expected milliseconds from 5 to 1000"))
    };
    let (server, user, password, database) = server?;
    let password = match (password, from_file.transpose()?) {
        (Some(_), Some(_)) => {
            let message = "expected a password in the url or in password_file, not in both";
            return Err(report.add(&at.key("password_file"), message));
        }
        (one, other) => one.or(other),
    };
    if user.is_some() && password.is_none() {
        return Err(report.add(&path, "the user needs a password, here or in password_file"));
    }
    let authorities = authorities.transpose()?;
    if authorities.is_some() && !matches!(server, LimiterServer::Host { tls: true, .. }) {
        let message = "certificates are for rediss or valkeys";
        return Err(report.add(&at.key("ca_file"), message));
    }
    Ok(Some(Limiter {
        server,
        user,
        password,
        database,
        authorities,
        prefix: prefix?,
        nodes: nodes?,
        patience: patience?,
    }))
}

/// Server, user, password and database. What is wrong is said without what was written, which
/// may hold a password.
#[expect(clippy::type_complexity, reason = "it is taken apart at once")]
fn server(
    text: &str,
) -> Result<(LimiterServer, Option<String>, Option<Secret>, i64), &'static str> {
    const FORM: &str = "expected a URL, as in \"redis://127.0.0.1:6379\", \
                        \"rediss://limits.example.com:6379\" or \"unix:/run/valkey.sock\"";
    if text.contains(['?', '#']) {
        return Err("expected a URL without ? and #; a password that has them writes %3F and %23");
    }
    let connection = text.into_connection_info().map_err(|_| FORM)?;
    let server = match connection.addr() {
        ConnectionAddr::Tcp(host, port) => {
            LimiterServer::Host { host: host.clone(), port: *port, tls: false }
        }
        ConnectionAddr::TcpTls { host, port, insecure: false, .. } => {
            LimiterServer::Host { host: host.clone(), port: *port, tls: true }
        }
        ConnectionAddr::Unix(path) => LimiterServer::Socket(path.clone()),
        _ => return Err(FORM),
    };
    let settings = connection.redis_settings();
    if settings.db() < 0 {
        return Err(FORM);
    }
    let user = settings.username().map(str::to_owned);
    let password = settings.password().filter(|password| !password.is_empty());
    let password = password.map(|password| Secret::new(password.to_owned()));
    Ok((server, user, password, settings.db()))
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Config, Environment, Source},
        *,
    };

    fn load(lines: &str, variables: &[(&str, &str)]) -> Result<Option<Limiter>, String> {
        let source = Source { name: "c.toml".into(), text: format!("[limiter]\n{lines}\n") };
        let variables = variables.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        Config::load(Some(&source), &variables.collect::<Environment>())
            .map(|loaded| loaded.config.limiter)
            .map_err(|mistakes| mistakes.to_string())
    }

    #[test]
    fn nobody_shares_unless_a_server_is_named() {
        assert_eq!(load("", &[]), Ok(None));
        assert_eq!(load("prefix = \"a\"", &[]), Ok(None));
    }

    #[test]
    fn servers() {
        for (url, said, user, database) in [
            ("redis://127.0.0.1", "127.0.0.1:6379", None, 0),
            ("valkey://limits.example.com:7000/3", "limits.example.com:7000", None, 3),
            ("rediss://ada:hunter2@[::1]:6380", "[::1]:6380", Some("ada"), 0),
            ("valkeys://:hunter2@limits", "limits:6379", None, 0),
            ("unix:/run/valkey.sock", "/run/valkey.sock", None, 0),
            ("unix:///run/valkey.sock", "/run/valkey.sock", None, 0),
        ] {
            let read = load(&format!("url = \"{url}\"\nnodes = 3"), &[]).unwrap().unwrap();
            assert_eq!(read.server.to_string(), said, "{url}");
            assert_eq!((read.user.as_deref(), read.database), (user, database), "{url}");
            let password = read.password.as_ref().map(Secret::reveal);
            assert_eq!(password, url.contains("hunter2").then_some("hunter2"));
            assert!(!format!("{read:?}").contains("hunter2"), "{read:?}");
            assert_eq!((read.nodes, read.patience.as_millis()), (3, 50));
            assert!(read.connection().is_some());
        }
        let variables = [
            ("COUNTERFOIL_LIMITER_URL", "redis://:hunter2@127.0.0.1"),
            ("COUNTERFOIL_LIMITER_NODES", "2"),
        ];
        let read = load("", &variables).unwrap().unwrap();
        assert_eq!((read.nodes, read.password.unwrap().reveal()), (2, "hunter2"));
    }

    #[test]
    fn what_is_wrong_is_named_and_no_password_shown() {
        let form = "limiter.url: expected a URL, as in \"redis://127.0.0.1:6379\"";
        for (lines, mistake) in [
            ("url = \"hunter2\"", form),
            ("url = \"http://:hunter2@a\"", form),
            ("url = \"redis://:hunter2@\"", form),
            ("url = \"redis://:hunter2@a/b\"", form),
            ("url = \"redis://:hunter2@a/-1\"", form),
            ("url = \"rediss://:hunter2@a#insecure\"", "limiter.url: expected a URL without ?"),
            ("url = \"redis://:hunter2@a?protocol=resp3\"", "limiter.url: expected a URL without"),
            ("url = \"redis://ada@a\"", "limiter.url: the user needs a password"),
            ("url = \"redis://:hunter2@a\"", "limiter.nodes: expected how many nodes"),
            ("url = \"redis://:hunter2@a\"\nnodes = 0", "limiter.nodes: expected a number from 1"),
            ("url = \"redis://a\"\nnodes = 1001", "limiter.nodes: expected a number from 1"),
            ("url = \"redis://a\"\nprefix = \"a{b}\"", "limiter.prefix: expected up to 64"),
            ("url = \"redis://a\"\npatience_ms = 1", "limiter.patience_ms: expected milliseconds"),
            ("url = \"redis://a\"\npassword_file = \"/no\"", "limiter.password_file: cannot read"),
            ("url = \"rediss://a\"\nca_file = \"Cargo.toml\"", "limiter.ca_file: expected a file"),
            ("nodes = 3", "limiter.url: limits are shared by a server"),
            ("password_file = \"/no\"", "limiter.url: limits are shared by a server"),
        ] {
            let is_whole = ["nodes:", "are shared"].iter().any(|part| mistake.contains(part));
            let rest = if is_whole { "" } else { "\nnodes = 3" };
            let lines = format!("{lines}{rest}");
            let found = load(&lines, &[]).unwrap_err();
            assert!(found.contains(mistake) && !found.contains("hunter2"), "{lines}: {found}");
        }
    }

    #[test]
    fn a_password_may_be_in_a_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "hunter2\n").unwrap();
        let lines = format!("nodes = 3\npassword_file = \"{}\"", file.path().display());
        let read = load(&format!("url = \"redis://ada@a\"\n{lines}"), &[]).unwrap().unwrap();
        assert_eq!(read.password.unwrap().reveal(), "hunter2");
        let found = load(&format!("url = \"redis://:hunter3@a\"\n{lines}"), &[]).unwrap_err();
        assert!(found.contains("in the url or in password_file") && !found.contains("hunter"));
    }
}
