//! Other programs: where they are, running them within a time, and ending those we started.

use anyhow::{Context, Result, bail};
use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

const POLL: Duration = Duration::from_millis(20);
/// How long a program may take to end once it is asked to.
const END: Duration = Duration::from_secs(40);

/// The workspace's directory.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// Where cargo puts what it builds.
pub(crate) fn target_dir() -> PathBuf {
    // A relative CARGO_TARGET_DIR counts from where cargo was called; every cargo of ours is called in the root.
    root().join(environment("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}

/// A cargo command, to be run in the workspace's directory.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command.args(arguments).current_dir(root()).env("CARGO_TARGET_DIR", target_dir());
    command
}

/// The file that would be run for a program's name.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = environment("PATH").unwrap_or_default();
    // Debian keeps servers where only root's PATH leads.
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .map(|directory| directory.join(program))
        .find(|file| file.is_file())
}

/// Runs a command that talks to the terminal itself; whether it succeeded.
pub(crate) fn succeeds(command: &mut Command) -> Result<bool> {
    let status = command.status().with_context(|| format!("cannot run {}", name(command)))?;
    Ok(status.success())
}

/// Runs a command silently; whether it exists and succeeded.
pub(crate) fn quietly(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// What a command that ran to its end said on both its streams.
pub(crate) struct Answer {
    pub(crate) success: bool,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs a command and keeps what it says; ends it when it takes longer than `limit`.
pub(crate) fn answer_within(limit: Duration, command: &mut Command) -> Result<Answer> {
    let name = name(command);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {name}"))?;
    let stdout = child.stdout.take().map(collect);
    let stderr = child.stderr.take().map(collect);
    let status = Running(child)
        .wait_within(limit)?
        .with_context(|| format!("{name} was not done after {} s", limit.as_secs()))?;
    Ok(Answer { success: status.success(), stdout: collected(stdout), stderr: collected(stderr) })
}

/// As [`answer_within`], where anything but success is an error that quotes the program.
pub(crate) fn output_within(limit: Duration, command: &mut Command) -> Result<String> {
    let answer = answer_within(limit, command)?;
    if !answer.success {
        bail!("{} failed: {}{}", name(command), answer.stdout, answer.stderr);
    }
    Ok(answer.stdout)
}

/// A process of ours, which does not outlive this value.
pub(crate) struct Running(Child);

impl Running {
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let child = command
            .stdin(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {}", name(command)))?;
        Ok(Running(child))
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.0.try_wait().context("cannot ask after a process")
    }

    /// How it ended, if it has within this time.
    pub(crate) fn wait_within(&mut self, limit: Duration) -> Result<Option<ExitStatus>> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.ended()? {
                return Ok(Some(status));
            }
            if start.elapsed() >= limit {
                return Ok(None);
            }
            thread::sleep(POLL);
        }
    }
}

impl Running {
    /// Asks it to end, and waits until it has; ends it outright where it does not.
    pub(crate) fn stop(&mut self) -> Result<()> {
        // A master process that is killed outright leaves its workers behind; asked, it takes them along.
        let id = self.id().to_string();
        quietly(Command::new("sh").args(["-c", "kill -TERM \"$1\"", "sh", &id]));
        if self.wait_within(END)?.is_none() {
            self.0.kill()?;
            self.0.wait()?;
            bail!("process {id} did not end when it was asked to");
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.ended(), Ok(None)) {
            // What did not end when asked has been killed.
            let _ = self.stop();
        }
    }
}

/// A directory of our own among what is built, removed with this value.
pub(crate) struct Directory(PathBuf);

impl Directory {
    /// On a disk, which the system's temporary directory need not be.
    pub(crate) fn new(purpose: &str) -> Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        let name = format!("counterfoil-{purpose}-{}", std::process::id());
        std::fs::create_dir_all(target_dir())?;
        remove_left_behind(purpose);
        let path = target_dir().join(name);
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Directory(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // What cannot be removed, goes with all else that is built.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Removes what processes left behind that were interrupted.
fn remove_left_behind(purpose: &str) {
    let prefix = format!("counterfoil-{purpose}-");
    for entry in std::fs::read_dir(target_dir()).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let process =
            name.to_str().and_then(|name| name.strip_prefix(&prefix)?.parse::<u32>().ok());
        if process.is_some_and(|id| !Path::new(&format!("/proc/{id}")).exists()) {
            // It is in nobody's way.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// Reads beside the program, so that neither waits for the other.
fn collect(mut stream: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // A stream that breaks off has said what it said.
        let _ = stream.read_to_end(&mut bytes);
        bytes
    })
}

fn collected(stream: Option<JoinHandle<Vec<u8>>>) -> String {
    let bytes = stream.and_then(|reader| reader.join().ok());
    String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned()
}

pub(crate) fn name(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}

#[expect(
    clippy::disallowed_methods,
    reason = "tools take PATH and cargo's own variables from the environment"
)]
fn environment(variable: &str) -> Option<OsString> {
    std::env::var_os(variable)
}
