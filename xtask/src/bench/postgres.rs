//! A PostgreSQL of a benchmark's own, as durable as it is made, and what it does by itself.

use super::servers::{Pinning, free_port};
use crate::process::{Directory, Running, output_within, quietly};
use anyhow::{Context, Result, bail};
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

const USER: &str = "counterfoil";
const LIMIT: Duration = Duration::from_hours(1);
const READY: Duration = Duration::from_mins(1);

/// A cluster with one database.
pub(crate) struct Postgres {
    // Before the directory is gone.
    _running: Running,
    programs: PathBuf,
    directory: Directory,
    port: u16,
}

impl Postgres {
    /// Makes one, and starts it beside what is measured.
    pub(crate) fn start(pinning: &Pinning) -> Result<Self> {
        // Its own: it may have to be another user's.
        let owned = Directory::new("postgres")?;
        let directory = owned.path();
        let (programs, port) = (programs()?, free_port()?);
        let user = unprivileged()?;
        let unprivileged = |command: &mut Command| {
            if let Some((user, group)) = user {
                command.uid(user).gid(group);
            }
        };
        if let Some((user, group)) = user {
            chown(directory, Some(user), Some(group))?;
        }
        let data = directory.join("data");
        let mut make = Command::new(programs.join("initdb"));
        make.arg("-D").arg(&data).args(["-U", USER, "-A", "trust", "-E", "UTF8", "--locale", "C"]);
        make.current_dir(directory);
        unprivileged(&mut make);
        output_within(LIMIT, &mut make).with_context(|| {
            format!("PostgreSQL's own user has to reach {}", directory.display())
        })?;
        let mut serve = pinning.beside(&programs.join("postgres"));
        serve.arg("-D").arg(&data).args(["-p", &port.to_string(), "-h", "127.0.0.1", "-k"]);
        serve.arg(directory).args(["-c", "max_connections=200", "-c", "shared_buffers=512MB"]);
        serve.args(["-c", "max_wal_size=8GB", "-c", "maintenance_work_mem=512MB"]);
        serve.current_dir(directory).stderr(File::create(directory.join("log"))?);
        unprivileged(&mut serve);
        let mut running = Running::start(&mut serve)?;
        let begin = Instant::now();
        let mut asking = Command::new(programs.join("pg_isready"));
        asking.arg("-q").arg("-h").arg(directory).args(["-p", &port.to_string()]);
        while !quietly(&mut asking) {
            if running.ended()?.is_some() || begin.elapsed() > READY {
                bail!("it does not start: {}", fs::read_to_string(directory.join("log"))?);
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(Self { _running: running, programs, directory: owned, port })
    }

    /// Where nodes find it.
    pub(crate) fn url(&self) -> String {
        format!("postgres://{USER}@127.0.0.1:{}/postgres", self.port)
    }

    /// Runs statements; what they return, a line for each row.
    pub(crate) fn run(&self, sql: &str) -> Result<String> {
        let mut psql = self.client("psql");
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", sql]);
        Ok(output_within(LIMIT, &mut psql)?.trim().to_owned())
    }

    /// How often a second so many clients commit this statement, each on its own.
    pub(crate) fn pgbench(&self, clients: u32, seconds: u64, statement: &str) -> Result<f64> {
        let script = self.directory.path().join("statement.sql");
        fs::write(&script, statement)?;
        let mut pgbench = self.client("pgbench");
        pgbench.args(["-n", "-M", "prepared", "-c", &clients.to_string(), "-T"]);
        pgbench.arg(seconds.to_string()).arg("-f").arg(&script);
        let said = output_within(LIMIT, &mut pgbench)?;
        let figure = said.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next());
        Ok(figure.context("pgbench printed no tps")?.parse()?)
    }

    fn client(&self, program: &str) -> Command {
        let mut client = Command::new(self.programs.join(program));
        client.arg("-h").arg(self.directory.path()).args([
            "-p",
            &self.port.to_string(),
            "-U",
            USER,
        ]);
        client.env("PGDATABASE", "postgres");
        client
    }
}

/// Where Debian keeps the newest version's programs.
fn programs() -> Result<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").context("PostgreSQL is not installed")?;
    let version = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
    let newest = versions.flatten().map(|entry| entry.path()).max_by_key(version);
    Ok(newest.context("PostgreSQL is not installed")?.join("bin"))
}

/// Who serves it, since it does not serve root: user and group, where it has to be another.
fn unprivileged() -> Result<Option<(u32, u32)>> {
    if fs::metadata("/proc/self")?.uid() != 0 {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd")?;
    let postgres = users.lines().find(|line| line.starts_with("postgres:"));
    let mut fields = postgres.context("there is no user postgres")?.split(':').skip(2);
    let mut next = || fields.next()?.parse().ok();
    Ok(next().zip(next()))
}
