//! A running server.

use crate::{
    installation::Installation,
    process::Running,
    response::{self, Response},
    wire::Wire,
};
use std::{
    ffi::OsStr,
    fs,
    io::Result,
    net::{SocketAddr, TcpStream},
    ops::Deref,
    os::unix::net::UnixStream,
    process::ExitStatus,
};

/// A running server, with its installation; killed when the test lets go of it.
#[derive(Debug)]
pub struct Server {
    // Before the home, so that it ends before its files go.
    process: Running,
    installation: Installation,
    /// The listener of the console and the management API.
    pub main: SocketAddr,
    pub gateway: SocketAddr,
    pub forward_auth: SocketAddr,
    pub metrics: SocketAddr,
}

impl Server {
    /// Starts it and waits until it listens.
    pub fn start(installation: Installation) -> Self {
        let process = Running::start(&mut installation.command(["serve"]));
        let listening = process.wait_for_message("listening");
        let address = |listener: &str| listening[listener].as_str().unwrap().parse().unwrap();
        Self {
            main: address("server"),
            gateway: address("gateway"),
            forward_auth: address("forward_auth"),
            metrics: address("metrics"),
            process,
            installation,
        }
    }

    pub fn process(&self) -> &Running {
        &self.process
    }

    /// What `curl` gets from the gateway.
    #[track_caller]
    pub fn curl(&self, path: &str, arguments: impl IntoIterator<Item: AsRef<OsStr>>) -> Response {
        response::curl(self.gateway, path, arguments)
    }

    /// A connection to the gateway.
    pub fn connect(&self) -> Result<Wire<TcpStream>> {
        Wire::connect(self.gateway)
    }

    /// A connection to the operator's socket.
    pub fn operator(&self) -> Result<Wire<UnixStream>> {
        Wire::connect_operator(&self.data())
    }

    /// What the metrics say.
    pub fn scrape(&self) -> String {
        let arguments: [&str; 0] = [];
        let response = response::curl(self.metrics, "/metrics", arguments);
        assert_eq!(response.status, 200);
        response.text().to_owned()
    }

    /// How much memory it has, in bytes.
    pub fn memory(&self) -> u64 {
        self.kibibytes("VmRSS:") << 10
    }

    /// The most that it has had so far.
    pub fn most_memory(&self) -> u64 {
        self.kibibytes("VmHWM:") << 10
    }

    fn kibibytes(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Asks it to stop and waits until it has.
    #[track_caller]
    pub fn stop(self) -> Installation {
        self.process.terminate();
        let (status, log, installation) = self.wait();
        assert!(status.success(), "{status}\n{log}");
        installation
    }

    /// How it ended, and what it had logged, once it has.
    #[track_caller]
    pub fn wait(mut self) -> (ExitStatus, String, Installation) {
        let status = self.process.wait();
        let said = self.process.output();
        let is_link = |line: &str| line.contains("/set-up/");
        assert!(said.lines().all(is_link), "what a server says, it logs: {said}");
        (status, self.process.log(), self.installation)
    }

    /// Kills it, without a warning.
    pub fn kill(mut self) -> Installation {
        self.process.kill();
        self.process.wait();
        self.installation
    }
}

/// Whatever can be done with an installation can be done while its server runs.
impl Deref for Server {
    type Target = Installation;

    fn deref(&self) -> &Installation {
        &self.installation
    }
}
