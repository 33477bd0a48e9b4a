//! The counterfoil that is measured: its data, its start, what its doors are asked.

use super::servers::{Pinning, bench_program, free_port, wait};
use crate::process::{Running, name, output_within, target_dir};
use anyhow::{Context, Result, bail};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const ADMINISTRATION: Duration = Duration::from_mins(15);
/// How many rows one import takes at most.
const IMPORT: u64 = 200_000;
pub(crate) const EMAIL: &str = "bench@example.com";
/// The answer is all that comes on its connection.
const LAST: &str = "Connection: close";

/// An installation that can be started, again and again.
pub(crate) struct Subject<'a> {
    program: PathBuf,
    directory: PathBuf,
    pinning: &'a Pinning,
    upstream: u16,
    takes_passwords: bool,
    is_limited: bool,
    /// The database that it shares with others, where it has none of its own.
    database: Option<String>,
}

/// One that runs.
pub(crate) struct Started {
    pub(crate) running: Running,
    /// The management API's listener.
    pub(crate) server: u16,
    pub(crate) gateway: u16,
    pub(crate) forward_auth: u16,
    pub(crate) times: Times,
}

/// How long a start took, in seconds from the program's start.
#[derive(Clone, Copy)]
pub(crate) struct Times {
    /// To the first 200 from `/readyz`.
    pub(crate) ready: f64,
    /// To the first admitted request.
    pub(crate) admitted: f64,
}

impl<'a> Subject<'a> {
    /// One with `tokens` tokens, which are made once, and copied from where they are kept.
    pub(crate) fn new(
        program: &Path,
        directory: &Path,
        pinning: &'a Pinning,
        upstream: u16,
        tokens: u64,
    ) -> Result<Self> {
        let kept = kept(tokens)?;
        let directory = directory.join(format!("counterfoil-{tokens}"));
        let (takes_passwords, is_limited) = (false, false);
        let program = program.to_owned();
        let database = None;
        let subject = Subject {
            program,
            directory,
            pinning,
            upstream,
            takes_passwords,
            is_limited,
            database,
        };
        if !kept.exists() {
            subject.make(tokens, &kept)?;
        }
        if !subject.data().exists() {
            fs::create_dir_all(&subject.directory)?;
            let mut copy = Command::new("cp");
            copy.arg("-a").arg(&kept).arg(subject.data());
            output_within(ADMINISTRATION, &mut copy)?;
        }
        Ok(subject)
    }

    /// A node on a database that others may be on as well; nothing is in it that it did not find.
    pub(crate) fn node(
        program: &Path,
        directory: &Path,
        pinning: &'a Pinning,
        upstream: u16,
        database: &str,
    ) -> Result<Self> {
        fs::create_dir_all(directory)?;
        let (program, directory) = (program.to_owned(), directory.to_owned());
        let (takes_passwords, is_limited) = (false, false);
        let database = Some(database.to_owned());
        Ok(Subject { program, directory, pinning, upstream, takes_passwords, is_limited, database })
    }

    /// The same, whose API takes passwords too, and whose clients may be anywhere.
    pub(crate) fn taking_passwords(self) -> Self {
        Subject { takes_passwords: true, ..self }
    }

    /// The same, whose API has limits that nobody reaches.
    pub(crate) fn limited(self) -> Self {
        Subject { is_limited: true, ..self }
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    /// Starts it on ports of its own and waits until it admits token number 0.
    pub(crate) fn start(&self) -> Result<Started> {
        self.start_with(Some(&secrets(0, 1)?[0]))
    }

    /// Starts it on ports of its own and waits until it is ready, and admits `secret` if there is
    /// one.
    pub(crate) fn start_with(&self, secret: Option<&str>) -> Result<Started> {
        let ports = [free_port()?, free_port()?, free_port()?, free_port()?];
        let [server, gateway, forward_auth, metrics] = ports;
        let (proxies, schemes) = if self.takes_passwords {
            ("trusted_proxies = [\"127.0.0.1\"]\n", "schemes = [\"bearer\", \"password\"]\n")
        } else {
            ("", "")
        };
        let limits = if self.is_limited {
            "in_flight = 100000\nrate = [\"100000000/60s\", \"100000000/24h\"]\n"
        } else {
            ""
        };
        let database = self.database.as_ref();
        let database =
            database.map_or_else(String::new, |url| format!("[database]\nurl = \"{url}\"\n"));
        fs::write(
            self.configuration(),
            format!(
                "[server]\nlisten = \"127.0.0.1:{server}\"\n{database}\
                 [gateway]\nlisten = \"127.0.0.1:{gateway}\"\n{proxies}\
                 [forward_auth]\nlisten = \"127.0.0.1:{forward_auth}\"\nproxy = \"nginx\"\n\
                 [metrics]\nlisten = \"127.0.0.1:{metrics}\"\n\
                 [api.bench]\nupstream = \"http://127.0.0.1:{}\"\n{schemes}{limits}\
                 [api.bench.tokens]\nprefix = \"bench_live\"\n\
                 [api.bench.scopes]\nread = \"Read\"\nwrite = \"Write\"\n\
                 [api.bench.roles]\nreader = [\"read\"]\n\
                 [api.bench.access_tokens]\nlifetime = \"24h\"\n",
                self.upstream
            ),
        )?;
        let log = self.directory.join("counterfoil.log");
        let mut serve = self.pinning.tested(&self.program);
        serve.current_dir(&self.directory).arg("serve");
        serve.arg("--config").arg(self.configuration()).arg("--data").arg(self.data());
        serve.stdout(File::create(self.directory.join("counterfoil.out"))?);
        serve.stderr(File::create(&log)?);
        let begin = Instant::now();
        let mut running = Running::start(&mut serve)?;
        wait(&mut running, &log, || is_ok(server, &get("/readyz", &[LAST.into()])))?;
        let ready = begin.elapsed().as_secs_f64();
        if let Some(secret) = secret {
            let fields = [question_of_a_proxy(secret), vec![LAST.into()]].concat();
            let asking = get("/auth/bench", &fields);
            wait(&mut running, &log, || is_ok(forward_auth, &asking))?;
        }
        let times = Times { ready, admitted: begin.elapsed().as_secs_f64() };
        Ok(Started { running, server, gateway, forward_auth, times })
    }

    /// Runs a command of its own on its data, beside the running server where there is one.
    pub(crate) fn administer(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(&self.program);
        command.arg("--config").arg(self.configuration()).arg("--data").arg(self.data());
        output_within(ADMINISTRATION, command.args(arguments).current_dir(&self.directory))
    }

    /// A token that may call the management API.
    pub(crate) fn caller(&self, scope: &str) -> Result<String> {
        let token = ["token", "create", "--api", "counterfoil", "--scope", scope];
        let secret = self.administer(&[&token[..], &["--owner", EMAIL, "--quiet"]].concat())?;
        Ok(secret.trim().to_owned())
    }

    fn configuration(&self) -> PathBuf {
        self.directory.join("counterfoil.toml")
    }

    /// Makes the data through the product's own commands, and keeps it.
    fn make(&self, tokens: u64, kept: &Path) -> Result<()> {
        println!("making a database of {tokens} tokens, once, for {}", kept.display());
        fs::create_dir_all(&self.directory)?;
        self.administer_unconfigured(&["init", "--email", EMAIL])?;
        let mut started = self.start_with(None)?;
        let file = self.directory.join("digests.csv");
        for first in (0..tokens).step_by(usize::try_from(IMPORT)?) {
            let count = IMPORT.min(tokens - first);
            let made = Command::new(bench_program())
                .args(["digests", &first.to_string(), &count.to_string()])
                .stdout(File::create(&file)?)
                .status()?;
            if !made.success() {
                bail!("the tokens cannot be made");
            }
            let import = ["import", "--from", "sha256", "--entropy-bits", "192", "--api", "bench"];
            let whose = ["--role", "reader", "--owner", EMAIL, "--quiet"];
            let file = file.to_str().context("the directory's name")?;
            self.administer(&[&import[..], &whose, &[file]].concat())?;
            println!("{} of {tokens}", first + count);
        }
        // It folds its log into the database as it ends.
        started.running.stop()?;
        fs::create_dir_all(kept.parent().context("no directory")?)?;
        fs::rename(self.data(), kept)?;
        Ok(fs::remove_dir_all(&self.directory)?)
    }

    fn administer_unconfigured(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(&self.program);
        command.arg("--data").arg(self.data());
        output_within(ADMINISTRATION, command.args(arguments).current_dir(&self.directory))
    }
}

/// Where data of so many tokens is kept: another one for another schema.
fn kept(tokens: u64) -> Result<PathBuf> {
    let schema = fs::read_dir(crate::process::root().join("migrations/sqlite"))?.count();
    Ok(target_dir().join(format!("bench-data/{tokens}-schema-{schema}")))
}

/// The secrets of the tokens from number `first` on.
pub(crate) fn secrets(first: u64, count: u64) -> Result<Vec<String>> {
    let mut command = Command::new(bench_program());
    command.args(["secrets", &first.to_string(), &count.to_string()]);
    let said = output_within(ADMINISTRATION, &mut command)?;
    let secrets: Vec<String> = said.lines().map(str::to_owned).collect();
    if secrets.len() as u64 != count {
        bail!("{} made {} secrets", name(&command), secrets.len());
    }
    Ok(secrets)
}

/// What nginx sends to ask about a request.
pub(crate) fn question_of_a_proxy(secret: &str) -> Vec<String> {
    vec![
        format!("Authorization: Bearer {secret}"),
        "X-Original-Method: GET".to_owned(),
        "X-Original-URI: /v1/things?page=2".to_owned(),
        "X-Real-IP: 203.0.113.9".to_owned(),
    ]
}

/// A request without a body, all of it.
pub(crate) fn get(path: &str, fields: &[String]) -> String {
    let host = "Host: api.example.com".to_owned();
    let fields = [&[host], fields].concat().join("\r\n");
    format!("GET {path} HTTP/1.1\r\n{fields}\r\n\r\n")
}

/// One POST of JSON with a token; the body of an answer of 200.
pub(crate) fn post(port: u16, path: &str, token: &str, body: &str) -> Result<String> {
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let answer = ask(port, &request)?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 200") => Ok(body.to_owned()),
        _ => bail!("{path} answered {answer}"),
    }
}

fn is_ok(port: u16, request: &str) -> bool {
    ask(port, request).is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

fn ask(port: u16, request: &str) -> Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    // It listens before it has loaded, and answers once it has.
    stream.set_read_timeout(Some(Duration::from_mins(1)))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

impl Started {
    /// What it keeps in memory, in bytes.
    pub(crate) fn resident(&self) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.running.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok());
        Ok(kib.context("VmRSS in /proc")? * 1024.0)
    }

    pub(crate) fn stop(mut self) -> Result<()> {
        self.running.stop()
    }
}
