//! A PostgreSQL cluster of a test's own, and databases in it.

use crate::{
    certificates::Pair,
    process::{Outcome, PATIENCE, Running, run},
};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs::{self, Permissions},
    net::TcpListener,
    os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _, chown},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    time::Instant,
};

/// Who asks, in every cluster.
const USER: &str = "counterfoil";

/// Makes a cluster and serves it until nobody holds the other end of standard input, then
/// leaves nothing behind: so it ends with the test, however that ends.
const SERVE: &str = r#"
set -e
cd "$1"
if [ -n "$6" ]; then
    "$2/pg_basebackup" -D data -R -X stream -c fast -d "$6"
else
    "$2/initdb" -D data -U "$3" -A trust --encoding "$4" --locale C --no-sync > initdb.log
fi
cat settings >> data/postgresql.conf
"$2/postgres" -D data 2> server.log &
until "$2/pg_isready" -q -h "$1" -p "$5"; do kill -0 $!; sleep 0.05; done
echo ready
cat > rest
if kill -QUIT "$(head -n 1 data/postmaster.pid)" 2> rest; then
    while [ -e data/postmaster.pid ]; do sleep 0.05; done
fi
cd /
rm -rf "$1"
"#;

/// A cluster that can be killed, paused and started again.
#[derive(Debug)]
pub struct Postgres {
    directory: PathBuf,
    port: u16,
    databases: AtomicU32,
    // It ends when this goes.
    _script: Running,
}

impl Postgres {
    /// One that forgets what it was told last, if the machine stops: it is much faster.
    pub fn start() -> Self {
        Self::with(&["fsync = off", "full_page_writes = off"])
    }

    /// One with these settings.
    pub fn with(settings: &[&str]) -> Self {
        Self::encoded("UTF8", settings)
    }

    /// One whose texts are written so.
    pub fn encoded(encoding: &str, settings: &[&str]) -> Self {
        Self::made(encoding, settings, "")
    }

    /// A copy of this one, which follows it under this name.
    #[must_use]
    pub fn standby(&self, name: &str) -> Self {
        let directory = self.directory.display();
        let from =
            format!("host={directory} port={} user={USER} application_name={name}", self.port);
        Self::made("UTF8", &["fsync = off"], &from)
    }

    fn made(encoding: &str, settings: &[&str], from: &str) -> Self {
        let directory = tempfile::tempdir().unwrap().keep();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let usual = format!(
            "listen_addresses = '127.0.0.1'\nport = {port}\nmax_connections = 200\n\
             unix_socket_directories = '{}'\nshared_buffers = 64MB\n",
            directory.display()
        );
        fs::write(directory.join("settings"), usual + &settings.join("\n") + "\n").unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", SERVE, "sh"]).arg(&directory).arg(programs());
        command.args([USER, encoding, &port.to_string(), from]);
        if let Some((user, group)) = unprivileged() {
            chown(&directory, Some(user), Some(group)).unwrap();
            command.uid(user).gid(group);
        }
        let script = Running::start(&mut command);
        script.wait_for_printed(|line| (line == "ready").then_some(()));
        Self { directory, port, databases: AtomicU32::new(0), _script: script }
    }

    /// Where its socket is.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// A database that nothing is in, by its name.
    pub fn create_database(&self) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.run("postgres", &format!("CREATE DATABASE {name}"));
        name
    }

    /// A new database, over TCP.
    pub fn url(&self) -> String {
        self.url_of(&self.create_database())
    }

    /// A database by its name, over TCP.
    pub fn url_of(&self, database: &str) -> String {
        format!("postgres://{USER}@127.0.0.1:{}/{database}", self.port)
    }

    /// Who is asked for.
    pub fn user(&self) -> &'static str {
        USER
    }

    pub fn drop_database(&self, name: &str) {
        self.run("postgres", &format!("DROP DATABASE {name} WITH (FORCE)"));
    }

    /// Runs statements by hand; what they return, a line for each row.
    #[track_caller]
    pub fn run(&self, database: &str, sql: &str) -> String {
        run(&mut self.psql(database), sql.as_bytes()).done().out.trim_end().to_owned()
    }

    /// Runs statements within a transaction that goes on, with all that they lock, until what is
    /// returned goes.
    #[must_use]
    pub fn hold(&self, database: &str, sql: &str) -> Running {
        let mut holding = Running::start(&mut self.psql(database));
        holding.say(&format!("BEGIN;\n{sql};\nSELECT 'held';\n"));
        holding.wait_for_printed(|line| (line == "held").then_some(()));
        holding
    }

    fn psql(&self, database: &str) -> Command {
        let mut command = Command::new(programs().join("psql"));
        command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", USER, "-d", database]);
        command.arg("-h").arg(&self.directory).args(["-p", &self.port.to_string(), "-f", "-"]);
        command
    }

    /// Has it speak TLS, and show this.
    pub fn show(&self, pair: &Pair) {
        for (from, name) in [(&pair.certificate, "server.crt"), (&pair.key, "server.key")] {
            let to = self.directory.join("data").join(name);
            fs::copy(from, &to).unwrap();
            fs::set_permissions(&to, Permissions::from_mode(0o600)).unwrap();
            if let Some((user, group)) = unprivileged() {
                chown(&to, Some(user), Some(group)).unwrap();
            }
        }
        self.run("postgres", "ALTER SYSTEM SET ssl = on");
        self.restart();
    }

    /// Has it ask everybody who comes over TCP for their password.
    pub fn ask_for_passwords(&self) {
        let file = self.directory.join("data/pg_hba.conf");
        let ways = fs::read_to_string(&file).unwrap();
        fs::write(&file, format!("host all all 127.0.0.1/32 scram-sha-256\n{ways}")).unwrap();
        self.restart();
    }

    /// Has all of it stand still: it takes connections, and answers nothing.
    pub fn pause(&self) {
        for process in self.processes() {
            kill_process(process, Signal::STOP).unwrap();
        }
    }

    /// Has it go on.
    pub fn go_on(&self) {
        for process in self.processes() {
            kill_process(process, Signal::CONT).unwrap();
        }
    }

    /// Kills it, without a warning, and waits until all of it is gone.
    pub fn kill(&self) {
        let processes = self.processes();
        for process in &processes {
            // One of them may have ended meanwhile.
            let _ = kill_process(*process, Signal::KILL);
        }
        let is_there = |process: &Pid| state(*process).is_some_and(|(state, _)| state != 'Z');
        while processes.iter().any(is_there) {
            std::thread::yield_now();
        }
    }

    /// Starts it again, once the last process of before has noticed its end.
    pub fn start_again(&self) {
        let deadline = Instant::now() + PATIENCE;
        while self.try_control(&["start"]).code != Some(0) {
            assert!(Instant::now() < deadline, "the database does not start");
        }
    }

    /// Stops it in order, whoever is connected, and starts it again.
    pub fn restart(&self) {
        self.control(&["restart", "-m", "fast"]);
    }

    /// Has a copy take changes itself.
    pub fn promote(&self) {
        self.control(&["promote"]);
    }

    fn control(&self, what: &[&str]) {
        self.try_control(what).done();
    }

    fn try_control(&self, what: &[&str]) -> Outcome {
        let mut command = Command::new(programs().join("pg_ctl"));
        let data = self.directory.join("data");
        command.args(what).arg("-w").arg("-D").arg(&data);
        if what[0] != "promote" {
            command.arg("-l").arg(self.directory.join("server.log"));
        }
        if let Some((user, group)) = unprivileged() {
            command.uid(user).gid(group);
        }
        command.current_dir(&self.directory);
        run(&mut command, &[])
    }

    /// The server, and all that it has started.
    fn processes(&self) -> Vec<Pid> {
        let file = fs::read_to_string(self.directory.join("data/postmaster.pid"));
        // Where it has been stopped there is none.
        let Ok(file) = file else { return Vec::new() };
        let server = file.lines().next().and_then(|line| line.parse().ok()).and_then(Pid::from_raw);
        let server = server.unwrap();
        let entries = fs::read_dir("/proc").unwrap().flatten();
        let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let all = ids.filter_map(Pid::from_raw);
        let started =
            all.filter(|id| state(*id).is_some_and(|(_, parent)| parent == server.as_raw_pid()));
        [server].into_iter().chain(started).collect()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.kill();
        // The script would do it, but is killed as well.
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Whether a process runs, and whose child it is.
fn state(process: Pid) -> Option<(char, i32)> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.as_raw_pid())).ok()?;
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

/// Where the newest of its programs are.
fn programs() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let version = |path: &PathBuf| {
        path.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok()).unwrap_or(0)
    };
    let newest = versions.map(|entry| entry.path()).max_by_key(version);
    newest.map(|newest| newest.join("bin")).expect("PostgreSQL is not installed")
}

/// Who serves it, since it does not serve root: user and group, where it has to be another.
fn unprivileged() -> Option<(u32, u32)> {
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let mut fields = users.lines().find(|line| line.starts_with("postgres:"))?.split(':').skip(2);
    let mut next = || fields.next()?.parse().ok();
    Some((next()?, next()?))
}
