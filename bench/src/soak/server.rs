//! The server that is soaked.

use super::free_port;
use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// How often its configuration is changed and reloaded.
pub(crate) const RELOAD: Duration = Duration::from_secs(5);
/// How long it may take to end.
const END: Duration = Duration::from_secs(40);
const EMAIL: &str = "soak@example.com";

/// A server that runs; ended with this value.
pub(crate) struct Server {
    child: Child,
    program: PathBuf,
    directory: PathBuf,
    pub(crate) ports: Ports,
    pub(crate) reloads: usize,
}

/// Where it listens, and where its upstream does.
pub(crate) struct Ports {
    pub(crate) main: u16,
    pub(crate) gateway: u16,
    pub(crate) forward_auth: u16,
    metrics: u16,
    upstream: u16,
}

impl Ports {
    /// Writes its configuration, whose realm has a number.
    fn configure(&self, directory: &Path, realm: usize) -> Result<()> {
        let Self { main, gateway, forward_auth, metrics, upstream } = self;
        let text = format!(
            "[server]\nlisten = \"127.0.0.1:{main}\"\n\
             [gateway]\nlisten = \"127.0.0.1:{gateway}\"\n\
             [forward_auth]\nlisten = \"127.0.0.1:{forward_auth}\"\nproxy = \"nginx\"\n\
             [metrics]\nlisten = \"127.0.0.1:{metrics}\"\n\
             [api.soak]\nupstream = \"http://127.0.0.1:{upstream}\"\nrealm = \"soak {realm}\"\n\
             [api.soak.scopes]\nread = \"Read\"\nwrite = \"Write\"\n\
             [api.soak.roles]\nreader = [\"read\"]\n"
        );
        Ok(fs::write(directory.join("counterfoil.toml"), text)?)
    }
}

impl Server {
    /// Starts it; it may take a moment until it listens.
    pub(crate) fn start(program: &Path, directory: &Path, upstream: u16) -> Result<Self> {
        // A copy stays what it is while somebody builds.
        let copy = directory.join("counterfoil");
        fs::copy(program, &copy)?;
        let mut init = Command::new(&copy);
        init.arg("--data").arg(directory.join("data")).args(["init", "--email", EMAIL]);
        said(init.current_dir(directory))?;
        let (main, gateway) = (free_port()?, free_port()?);
        let (forward_auth, metrics) = (free_port()?, free_port()?);
        let log = File::create(directory.join("log"))?;
        let mut serve = Command::new(&copy);
        serve.current_dir(directory).args(["--config", "counterfoil.toml", "--data", "data"]);
        serve.arg("serve").stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let ports = Ports { main, gateway, forward_auth, metrics, upstream };
        ports.configure(directory, 0)?;
        let child = serve.spawn().context("cannot start the server")?;
        let directory = directory.to_owned();
        Ok(Self { child, program: copy, directory, ports, reloads: 0 })
    }

    /// A token of the operator's making.
    pub(crate) fn caller(&self, scope: &str) -> Result<String> {
        let mut create = Command::new(&self.program);
        create.current_dir(&self.directory).args(["--config", "counterfoil.toml"]);
        create.args(["--data", "data", "token", "create", "--api", "counterfoil"]);
        said(create.args(["--scope", scope, "--owner", EMAIL, "--quiet"]))
    }

    pub(crate) fn runs(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Changes the configuration and has it read again.
    pub(crate) fn reload(&mut self) -> Result<()> {
        self.reloads += 1;
        self.ports.configure(&self.directory, self.reloads)?;
        self.signal(Signal::HUP)
    }

    /// The bytes of memory that it has.
    pub(crate) fn resident(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        Ok(kib.context("VmRSS in /proc")? * 1024)
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }

    pub(crate) fn stop(&mut self) -> Result<()> {
        self.signal(Signal::TERM)?;
        let begin = Instant::now();
        while self.runs()? {
            if begin.elapsed() > END {
                bail!("the server did not end when it was asked to");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let id = Pid::from_raw(self.child.id().try_into()?).context("no process")?;
        Ok(kill_process(id, signal)?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if matches!(self.runs(), Ok(true)) && self.stop().is_err() {
            // Both fail only where it has ended in between.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// What a command that succeeds says.
fn said(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output()?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
