//! A PostgreSQL server: a cluster of its own, on a port of its own.

use crate::process::{Running, run};
use std::{
    fs::Permissions,
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;

/// A server that can be killed, paused and started again, and keeps what it knows.
#[derive(Debug)]
pub struct Postgres {
    // Before its files, so that it ends before they go.
    process: Option<Running>,
    files: TempDir,
    port: u16,
    options: Vec<String>,
}

/// The user as whom it runs: it refuses to be root.
const USER: &str = "postgres";

impl Postgres {
    /// An empty database.
    pub fn start() -> Self {
        let files = directory();
        let data = files.path().join("data");
        let options = ["-A", "trust", "-U", USER, "-E", "UTF8", "--locale", "C", "-N", "-D"];
        run(as_user("initdb").args(options).arg(&data), &[]).done();
        // What a killed server has written the system still has.
        Self::serve(files, vec!["-c".into(), "fsync=off".into()])
    }

    /// A copy of this one, which follows it and says when it has what this one commits.
    pub fn standby(&self, name: &str) -> Self {
        let files = directory();
        let source = format!("{} application_name={name}", self.connection());
        let mut copy = as_user("pg_basebackup");
        copy.args(["-R", "-X", "stream", "-c", "fast", "-d", &source, "-D"]);
        run(copy.arg(files.path().join("data")), &[]).done();
        Self::serve(files, self.options.clone())
    }

    fn serve(files: TempDir, options: Vec<String>) -> Self {
        // Nobody else takes it in the moment until it is ours again.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut this = Self { process: None, files, port, options };
        this.start_again();
        this
    }

    /// Starts it, after it was killed or stopped.
    pub fn start_again(&mut self) {
        let mut command = as_user("postgres");
        command.arg("-D").arg(self.data()).arg("-k").arg(self.files.path());
        command.args(["-h", "127.0.0.1", "-p", &self.port.to_string()]).args(&self.options);
        let process = Running::start(&mut command);
        process.wait_for_line(|line| line.contains("ready to accept").then_some(()));
        self.process = Some(process);
    }

    fn data(&self) -> PathBuf {
        self.files.path().join("data")
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where it is, for our program.
    pub fn url(&self) -> String {
        url(self.port)
    }

    fn connection(&self) -> String {
        format!("host=127.0.0.1 port={} user={USER}", self.port)
    }

    /// What a statement returns, a line each.
    #[track_caller]
    pub fn says(&self, sql: &str) -> String {
        let mut command = Command::new("psql");
        command.args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-d", &self.connection(), "-c", sql]);
        run(&mut command, &[]).done().out.trim().to_owned()
    }

    /// Has it stop at once, as after a power failure, and waits until it has.
    pub fn kill(&mut self) {
        self.signal_all("KILL");
        self.process.take();
    }

    /// Has all of it stand still: connections are taken, and nothing is answered.
    pub fn pause(&self) {
        self.signal_all("STOP");
    }

    /// Has it go on.
    pub fn go_on(&self) {
        self.signal_all("CONT");
    }

    /// Stops it in order, whoever is connected, and starts it again.
    pub fn restart(&mut self) {
        let data = self.data();
        run(as_user("pg_ctl").args(["stop", "-m", "fast", "-w", "-D"]).arg(&data), &[]).done();
        self.process.take();
        self.start_again();
    }

    /// Makes the copy the one that takes changes.
    pub fn promote(&self) {
        run(as_user("pg_ctl").args(["promote", "-w", "-D"]).arg(self.data()), &[]).done();
    }

    /// All of its processes: one for each connection, and some that do its work.
    fn signal_all(&self, signal: &str) {
        let Some(process) = &self.process else { return };
        let first = process.id();
        // The first makes the others: it comes first, or there would be new ones.
        for id in std::iter::once(first).chain(children(first)) {
            run(Command::new("kill").args([&format!("-{signal}"), &id.to_string()]), &[]);
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Where a server on this port is, for our program.
pub fn url(port: u16) -> String {
    format!("postgres://{USER}@127.0.0.1:{port}/{USER}?sslmode=disable")
}

/// One that the server may have its files in.
fn directory() -> TempDir {
    let files = tempfile::tempdir().unwrap();
    if is_root() {
        let chown = Command::new("chown").arg(USER).arg(files.path()).status().unwrap();
        assert!(chown.success());
    }
    std::fs::set_permissions(files.path(), Permissions::from_mode(0o755)).unwrap();
    files
}

fn as_user(program: &str) -> Command {
    let mut command = Command::new(if is_root() { "setpriv" } else { program });
    if is_root() {
        command.args(["--reuid", USER, "--regid", USER, "--clear-groups", program]);
    }
    command.current_dir("/");
    command
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The processes that this one has started.
fn children(of: u32) -> Vec<u32> {
    let parent = |id: u32| -> Option<u32> {
        let stat = std::fs::read_to_string(Path::new("/proc").join(id.to_string()).join("stat"));
        // What stands in brackets is a name, with anything in it.
        stat.ok()?.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
    };
    let all = std::fs::read_dir("/proc").unwrap();
    let ids = all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    ids.filter(|id| parent(*id) == Some(of)).collect()
}
