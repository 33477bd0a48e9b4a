//! What counterfoil is measured beside: nginx, and servers that do as little as can be done.

use crate::process::{Running, find, target_dir};
use anyhow::{Context, Result, bail};
use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

const READY: Duration = Duration::from_mins(2);

/// How large the upstream's one large answer is, in bytes: more than all buffers on the way.
const LARGE: u64 = 1 << 30;

/// A server that runs, listening on a loopback port.
pub(crate) struct Server {
    pub(crate) running: Running,
    pub(crate) port: u16,
}

/// Which processors the servers under test and everything else may use.
pub(crate) struct Pinning {
    possible: bool,
}

impl Pinning {
    pub(crate) fn of_this_machine() -> Self {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        Pinning { possible: processors > 1 && find("taskset").is_some() }
    }

    /// A command for a server under test.
    pub(crate) fn tested(&self, program: &Path) -> Command {
        self.command("0", program)
    }

    /// A command for what is not measured: the upstream and the load.
    pub(crate) fn beside(&self, program: &Path) -> Command {
        self.command("1", program)
    }

    fn command(&self, processor: &str, program: &Path) -> Command {
        if !self.possible {
            return Command::new(program);
        }
        // taskset becomes the program, so the process id is the program's.
        let mut command = Command::new("taskset");
        command.args(["-c", processor]).arg(program);
        command
    }
}

impl fmt::Display for Pinning {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(if self.possible {
            "servers under test on processor 0; upstream and load on processor 1"
        } else {
            "nothing is pinned to a processor: expect the figures to vary"
        })
    }
}

/// What all proxies forward to: as little as an HTTP server can do.
pub(crate) fn upstream(directory: &Path, pinning: &Pinning) -> Result<Server> {
    // Nothing stands in it, and it takes no room.
    File::create(directory.join("large"))?.set_len(LARGE)?;
    let large = directory.display();
    nginx(
        directory,
        "upstream",
        |program| pinning.beside(program),
        |port| {
            format!(
                "server {{
                     listen 127.0.0.1:{port};
                     location / {{ return 200 \"hello\\n\"; }}
                     location = /large {{ root {large}; }}
                 }}"
            )
        },
    )
}

/// nginx as people run it before an API, without any checks.
pub(crate) fn plain_proxy(directory: &Path, pinning: &Pinning, upstream: u16) -> Result<Server> {
    nginx(
        directory,
        "proxy",
        |program| pinning.tested(program),
        |port| {
            format!(
            "upstream sample {{ server 127.0.0.1:{upstream}; keepalive 64; keepalive_requests 1000000000; }}
             server {{
                 listen 127.0.0.1:{port};
                 location /bench/ {{
                     proxy_pass http://sample/;
                     proxy_http_version 1.1;
                     proxy_set_header Connection \"\";
                 }}
             }}"
        )
        },
    )
}

/// nginx asking an empty server about each request, in the way that the page on forward auth shows.
pub(crate) fn asking_proxy(
    directory: &Path,
    pinning: &Pinning,
    upstream: u16,
    asked: u16,
) -> Result<Server> {
    nginx(
        directory,
        "asking",
        |program| pinning.tested(program),
        |port| {
            format!(
                "upstream sample {{ server 127.0.0.1:{upstream}; keepalive 64; keepalive_requests 1000000000; }}
             upstream asked {{ server 127.0.0.1:{asked}; keepalive 64; keepalive_requests 1000000000; }}
             server {{
                 listen 127.0.0.1:{port};
                 location /bench/ {{
                     auth_request /_asked;
                     proxy_pass http://sample/;
                     proxy_http_version 1.1;
                     proxy_set_header Connection \"\";
                 }}
                 location = /_asked {{
                     internal;
                     proxy_pass http://asked/auth/bench;
                     proxy_http_version 1.1;
                     proxy_pass_request_body off;
                     proxy_set_header Connection \"\";
                     proxy_set_header Content-Length \"\";
                     proxy_set_header X-Original-Method $request_method;
                     proxy_set_header X-Original-URI $request_uri;
                     proxy_set_header X-Real-IP $remote_addr;
                 }}
             }}"
            )
        },
    )
}

/// A server of the bench program's: its command, then the port, then `arguments`.
pub(crate) fn least(
    directory: &Path,
    pinning: &Pinning,
    command: &str,
    arguments: &[&OsStr],
) -> Result<Server> {
    let port = free_port()?;
    let log = directory.join(format!("{command}.log"));
    let mut least = pinning.tested(&bench_program());
    least.arg(command).arg(port.to_string()).args(arguments);
    least.stderr(File::create(&log)?);
    let mut running = Running::start(&mut least)?;
    wait(&mut running, &log, || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok())?;
    Ok(Server { running, port })
}

/// The workspace's program of what is measured beside.
pub(crate) fn bench_program() -> PathBuf {
    target_dir().join("release/counterfoil-bench")
}

/// Starts an nginx with one worker, on a port of its own, that keeps its files in the directory.
fn nginx(
    directory: &Path,
    name: &str,
    command: impl Fn(&Path) -> Command,
    servers: impl Fn(u16) -> String,
) -> Result<Server> {
    let program = find("nginx").context("there is no nginx")?;
    let port = free_port()?;
    let prefix = directory.join(name);
    fs::create_dir(&prefix)?;
    let (configuration, log) = (prefix.join("nginx.conf"), prefix.join("error.log"));
    // Its worker has to read what is here; only root's would be somebody else's.
    let is_root = fs::metadata("/proc/self")?.uid() == 0;
    let user = if is_root { "user root;" } else { "" };
    fs::write(
        &configuration,
        format!(
            "daemon off;
             {user}
             worker_processes 1;
             pid nginx.pid;
             error_log error.log warn;
             events {{ worker_connections 16384; }}
             http {{
                 access_log off;
                 keepalive_requests 1000000000;
                 client_body_temp_path body;
                 proxy_temp_path proxy;
                 fastcgi_temp_path fastcgi;
                 uwsgi_temp_path uwsgi;
                 scgi_temp_path scgi;
                 {}
             }}\n",
            servers(port)
        ),
    )?;
    let mut command = command(&program);
    command.arg("-p").arg(&prefix).arg("-c").arg(&configuration);
    command.arg("-e").arg(&log);
    let mut running = Running::start(&mut command)?;
    wait(&mut running, &log, || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok())?;
    Ok(Server { running, port })
}

/// Waits until a server is ready; says what it logged when it will not be.
pub(crate) fn wait(running: &mut Running, log: &PathBuf, ready: impl Fn() -> bool) -> Result<()> {
    let start = Instant::now();
    while !ready() {
        let ended = running.ended()?;
        if ended.is_some() || start.elapsed() > READY {
            let what = match ended {
                Some(status) => format!("ended ({status})"),
                None => format!("was not ready after {} s", READY.as_secs()),
            };
            let said = fs::read_to_string(log).unwrap_or_default();
            bail!("a server {what}; it said:\n{said}");
        }
        thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

/// A port that nobody listened on a moment ago.
pub(crate) fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}
