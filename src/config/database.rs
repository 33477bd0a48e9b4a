//! `[database]` becomes a [`Database`].

use super::{
    Database,
    key_path::KeyPath,
    mail::{certificates, one_line},
    mistake::{Noted, Report},
    settings,
};
use crate::{
    named_file,
    store::postgres::{Settings, TlsMode},
};
use std::path::PathBuf;

/// How many connections there may be at most.
const MOST_CONNECTIONS: u64 = 1000;

/// The file, or the server.
pub(super) fn read(
    settings: &settings::Database,
    report: &mut Report<'_>,
) -> Result<Database, Noted> {
    let at = KeyPath::of(["database"]);
    let path = at.key("url");
    let url = settings.url.as_ref().map_or("sqlite:counterfoil.db", |url| url.reveal());
    if url.starts_with("postgres:") || url.starts_with("postgresql:") {
        let read = report.accept(&path, Settings::of_url(url));
        let server = with_files(read, settings, report)?;
        return Ok(Database { file: PathBuf::new(), server: Some(server) });
    }
    for key in ["password_file", "ca_file"] {
        if report.document.has(&at.key(key)) {
            let message = "expected a url of PostgreSQL beside it, as in \
                           \"postgres://counterfoil@db.example.com/counterfoil\"";
            return Err(report.add(&at.key(key), message));
        }
    }
    match url.strip_prefix("sqlite:") {
        // A path would let two data directories, each with a lock of its own,
        // share one database.
        Some(file) if is_file_name(file) => Ok(Database { file: file.into(), server: None }),
        _ => {
            let message = "expected sqlite: and the name of a file in the data directory, as in \
                           \"sqlite:counterfoil.db\", or a server's URL, as in \
                           \"postgres://counterfoil@db.example.com/counterfoil\"";
            Err(report.add(&path, message))
        }
    }
}

fn is_file_name(text: &str) -> bool {
    const TAKEN: [&str; 2] = ["lock", "operator.sock"];
    text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && !TAKEN.contains(&text)
}

/// What the URL says, with what stands in files of its own.
fn with_files(
    read: Result<Settings, Noted>,
    settings: &settings::Database,
    report: &mut Report<'_>,
) -> Result<Settings, Noted> {
    let at = KeyPath::of(["database"]);
    let password = settings.password_file.as_deref().map(|file| {
        report.accept(&at.key("password_file"), named_file::read(file).and_then(one_line))
    });
    let authorities = settings.ca_file.as_deref().map(|file| {
        let path = at.key("ca_file");
        let pem = report.accept(&path, named_file::read(file))?;
        report.accept(&path, certificates(&pem)).map(|()| pem)
    });
    let connections = if (1..=MOST_CONNECTIONS).contains(&settings.connections) {
        Ok(usize::try_from(settings.connections).unwrap_or(1))
    } else {
        let message = format_args!("expected a number from 1 to {MOST_CONNECTIONS}");
        Err(report.add(&at.key("connections"), message))
    };
    let mut server = read?;
    if let Some(password) = password.transpose()? {
        if server.has_password() {
            let message = "expected a password in the url or in password_file, not in both";
            return Err(report.add(&at.key("password_file"), message));
        }
        server.set_password(password.reveal());
    }
    let authorities = authorities.transpose()?;
    if authorities.is_some() && server.tls != TlsMode::VerifyFull {
        let message = "certificates are checked with sslmode=verify-full in the url";
        return Err(report.add(&at.key("ca_file"), message));
    }
    Ok(Settings { authorities, connections: connections?, ..server })
}

#[cfg(test)]
mod tests {
    use super::super::{Config, Environment, Source};
    use super::*;
    use std::time::Duration;

    fn load(lines: &str) -> Result<Database, String> {
        let source = Source { name: "c.toml".into(), text: format!("[database]\n{lines}\n") };
        Config::load(Some(&source), &Environment::default())
            .map(|loaded| loaded.config.database)
            .map_err(|mistakes| mistakes.to_string())
    }

    #[test]
    fn a_server_is_read() {
        let mode = |url: &str| {
            let server = load(&format!("url = \"{url}\"")).unwrap().server.unwrap();
            assert!(!format!("{server:?}").contains("hunter2"));
            server.tls
        };
        assert_eq!(mode("postgres://ada:hunter2@a/b"), TlsMode::Prefer);
        assert_eq!(mode("postgresql://ada@a:1/b?sslmode=disable"), TlsMode::Disable);
        assert_eq!(mode("postgres://ada@a,c/b?sslmode=require"), TlsMode::Require);
        let verified = "postgres://ada@a/b?connect_timeout=7&sslmode=verify-full";
        assert_eq!(mode(verified), TlsMode::VerifyFull);
        let server = load(&format!("url = \"{verified}\"\nconnections = 3")).unwrap().server;
        let server = server.unwrap();
        assert_eq!((server.patience, server.connections), (Duration::from_secs(7), 3));
    }

    #[test]
    fn what_is_wrong_is_said_without_the_password() {
        for (lines, message) in [
            ("url = \"postgres://\"", "database.url: expected a URL, as in"),
            ("url = \"postgres://ada:hunter2@a:x/b\"", "database.url: expected a URL, as in"),
            ("url = \"postgres://a/b\"", "database.url: expected a user before the host"),
            (
                "url = \"postgres://ada:hunter2@a/b?sslmode=verify-ca\"",
                "database.url: expected sslmode to be",
            ),
            ("url = \"postgres://ada:hunter2@a/b?x=y\"", "database.url: expected a URL, as in"),
            ("url = \"postgres://ada@a/b\"\nconnections = 0", "database.connections: expected a"),
            (
                "url = \"postgres://ada@a/b\"\npassword_file = \"/no\"",
                "database.password_file: cannot read",
            ),
            (
                "url = \"postgres://ada@a/b?sslmode=verify-full\"\nca_file = \"Cargo.toml\"",
                "database.ca_file: expected a file of certificates",
            ),
            ("password_file = \"/no\"", "database.password_file: expected a url of PostgreSQL"),
        ] {
            let found = load(lines).unwrap_err();
            assert!(found.contains(message) && !found.contains("hunter2"), "{lines}: {found}");
        }
    }

    #[test]
    fn a_password_may_stand_in_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("password");
        std::fs::write(&file, "hunter2\n").unwrap();
        let lines = |url| format!("url = \"{url}\"\npassword_file = {file:?}");
        let read = load(&lines("postgres://ada@a/b")).unwrap().server.unwrap();
        assert!(read.has_password() && !format!("{read:?}").contains("hunter2"));
        let found = load(&lines("postgres://ada:hunter3@a/b")).unwrap_err();
        assert!(found.contains("in the url or in password_file") && !found.contains("hunter"));
    }
}
