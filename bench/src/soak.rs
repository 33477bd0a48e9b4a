//! A server under load for an hour, with tokens issued, rotated and revoked, and with
//! its configuration reloaded: does anything go wrong, grow, or get slower?

mod changes;
mod doors;
mod live;
mod load;
mod server;
mod verdict;

use crate::servers;
use anyhow::{Result, bail};
use changes::Changes;
use doors::Doors;
use live::Live;
use server::Server;
use std::{
    fs::DirBuilder,
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    signal::unix::{SignalKind, signal},
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval_at},
};
use verdict::{Line, judge};

/// How many tokens there are before anything is counted.
const TOKENS: usize = 1000;
/// How many mistakes are printed; after so many they repeat themselves.
const PRINTED: usize = 20;

/// What is asked for.
pub(crate) struct Plan {
    /// The counterfoil.
    pub(crate) program: PathBuf,
    /// Where there is room for it.
    pub(crate) parent: PathBuf,
    pub(crate) whole: Duration,
    /// How often a line is printed.
    pub(crate) line: Duration,
}

/// What happened since the last line, and what went wrong.
#[derive(Default)]
pub(crate) struct Record {
    pub(crate) latencies: Vec<Duration>,
    pub(crate) changes: u64,
    pub(crate) mistakes: Vec<String>,
}

/// Where everybody writes down what happened.
pub(crate) type Shared = Arc<Mutex<Record>>;

/// Adds to the record.
pub(crate) fn note(record: &Shared, what: impl FnOnce(&mut Record)) {
    what(&mut record.lock().unwrap_or_else(PoisonError::into_inner));
}

pub(crate) fn run(plan: &Plan) -> Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(soak(plan))
}

async fn soak(plan: &Plan) -> Result<()> {
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut terminated = signal(SignalKind::terminate())?;
    let upstream = free_port()?;
    std::thread::spawn(move || servers::empty(upstream));

    let directory = Directory::new(&plan.parent)?;
    let mut server = Server::start(&plan.program, &directory.0, upstream)?;
    let doors = Arc::new(Doors::new(&server));
    doors.wait(&server).await?;
    let live = Arc::new(Live::default());
    let record = Shared::default();
    let changes = Changes::new(&server, doors.clone(), live.clone(), record.clone())?;
    for _ in 0..TOKENS {
        changes.issue().await?;
    }
    note(&record, |record| record.changes = 0);

    let mut work = JoinSet::new();
    load::start(&mut work, &doors, &live, &record);
    changes.start(&mut work);
    let begin = Instant::now();
    let mut ticks = interval_at(begin + plan.line, plan.line);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut reloads = tokio::time::interval(server::RELOAD);
    let mut lines = Vec::new();
    let mut mistakes = 0;
    println!("{}", Line::HEAD);
    let whole = loop {
        tokio::select! {
            _ = interrupted.recv() => break false,
            _ = terminated.recv() => break false,
            _ = reloads.tick() => server.reload()?,
            _ = ticks.tick() => {
                if !server.runs()? {
                    bail!("the server has ended; it said:\n{}", server.log());
                }
                let mut since = Record::default();
                note(&record, |record| since = std::mem::take(record));
                let stretch =
                    Line::of(&mut since, begin.elapsed(), server.resident()?, live.issued());
                println!("{stretch}");
                for mistake in since.mistakes.iter().take(PRINTED.saturating_sub(mistakes)) {
                    println!("  {mistake}");
                }
                mistakes += since.mistakes.len();
                lines.push(stretch);
                if begin.elapsed() >= plan.whole {
                    break true;
                }
            }
        }
    };
    work.shutdown().await;
    let (asked, made) = (server.reloads, server.log().matches("reloaded").count());
    let complaints = server.log().lines().filter(|line| line.contains("ERROR")).count();
    server.stop()?;
    println!("\nreloads: {asked} asked for, {made} made; errors in the server's log: {complaints}");
    let mut found = judge(&lines);
    if asked != made {
        found.push(format!("{asked} reloads were asked for and {made} made"));
    }
    if complaints > 0 {
        found.push(format!("the server logged {complaints} errors"));
    }
    if !whole {
        bail!("interrupted after {} s; until then: {}", begin.elapsed().as_secs(), said(&found));
    }
    println!("verdict: {}", said(&found));
    if found.is_empty() { Ok(()) } else { bail!("it did not pass") }
}

fn said(found: &[String]) -> String {
    if found.is_empty() { "nothing wrong".to_owned() } else { found.join("; ") }
}

/// A directory of our own, removed with this value.
struct Directory(PathBuf);

impl Directory {
    fn new(parent: &Path) -> Result<Self> {
        let path = parent.join(format!("counterfoil-soak-{}", std::process::id()));
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // What cannot be removed, goes with all else that is built.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A port that nobody listened on a moment ago.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
