//! A mail server, aiosmtpd, that shows what it was sent.

use crate::{
    certificates::{Authority, Good},
    installation::built,
    process::Running,
};
use serde_json::Value;
use std::{
    cell::Cell,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;

/// Who may send mail where somebody has to sign in.
pub const USER: &str = "ada";
pub const PASSWORD: &str = "correct horse battery staple";

/// How mail is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// From everybody, as it is.
    Plain,
    /// From [`USER`], behind STARTTLS (RFC 3207).
    StartTls,
    /// From [`USER`], over TLS from the beginning (RFC 8314).
    Tls,
}

/// A mail server on a port of its own, until the test lets go of it.
pub struct MailServer {
    // Before its files, so that it ends before they go.
    process: Running,
    pub address: SocketAddr,
    files: TempDir,
    /// How many messages have been read.
    read: Cell<usize>,
}

/// A message as it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    pub from: String,
    pub to: Vec<String>,
    /// Its header fields, an empty line, and its body.
    pub text: String,
}

impl MailServer {
    pub fn start(security: Security) -> Self {
        let files = tempfile::tempdir().unwrap();
        Authority::new(files.path()).issue("server", Good::Days(2));
        let mode = match security {
            Security::Plain => "plain",
            Security::StartTls => "starttls",
            Security::Tls => "tls",
        };
        let mut command = Command::new(built("tools/python/bin/python"));
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("mail.py"));
        command.args(["server.pem", "server.key", mode]).current_dir(files.path());
        command.env("COUNTERFOIL_TEST_PASSWORD", PASSWORD);
        let process = Running::start(&mut command);
        let port: u16 = process.wait_for_printed(|line| line.parse().ok());
        Self { process, address: ([127, 0, 0, 1], port).into(), files, read: Cell::new(0) }
    }

    /// Whom a client has to trust: the certificate authority, in PEM. What the server shows
    /// is for `localhost` and `127.0.0.1`.
    pub fn authority(&self) -> PathBuf {
        self.files.path().join("authority.pem")
    }

    /// The next message, waiting for it if need be.
    #[track_caller]
    pub fn next(&self) -> Mail {
        let read = self.read.get();
        // The port comes first.
        let lines = self.process.wait_for_output(read + 2);
        self.read.set(read + 1);
        let message: Value = serde_json::from_str(&lines[read + 1]).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        Mail {
            from: text(&message["from"]),
            to: message["to"].as_array().unwrap().iter().map(text).collect(),
            text: text(&message["text"]),
        }
    }

    /// How many messages have come so far.
    pub fn taken(&self) -> usize {
        self.process.output().lines().count() - 1
    }
}
