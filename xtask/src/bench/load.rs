//! Loading a server and taking its times.

use super::servers::{Pinning, Server, bench_program};
use crate::process::{Running, answer_within, find};
use anyhow::{Context, Result, bail};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A server under load, with what is asked of it.
pub(crate) struct Contestant<'a> {
    pub(crate) name: &'static str,
    /// Where the requests go.
    pub(crate) port: u16,
    /// Whose processor time counts.
    pub(crate) processes: Vec<&'a Running>,
    pub(crate) request: &'a Request,
}

impl<'a> Contestant<'a> {
    /// A server that is one process.
    pub(crate) fn of(name: &'static str, server: &'a Server, request: &'a Request) -> Self {
        Self { name, port: server.port, processes: vec![&server.running], request }
    }
}

/// A request, the same for both that are compared.
pub(crate) struct Request {
    pub(crate) path: &'static str,
    pub(crate) headers: Vec<String>,
    /// A script of wrk's, where there is a body.
    pub(crate) script: Option<PathBuf>,
    /// How much of what is counted one request asks for.
    pub(crate) units: f64,
    pub(crate) connections: u32,
}

/// What one round showed of one contestant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sample {
    /// Microseconds of processor time, user and system, of all its processes.
    pub(crate) cpu: f64,
    pub(crate) per_second: f64,
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{:.2} µs CPU, {:.0} a second", self.cpu, self.per_second)
    }
}

/// Loads the contestant from the other processor.
pub(crate) fn run(pinning: &Pinning, seconds: u64, contestant: &Contestant) -> Result<Sample> {
    let Contestant { name, port, processes, request } = contestant;
    let wrk = find("wrk").context("there is no wrk")?;
    let mut command = pinning.beside(&wrk);
    command.arg("-t1").arg(format!("-c{}", request.connections)).arg(format!("-d{seconds}s"));
    // Whatever port it has, its request has the same bytes.
    for header in ["Host: api.example.com", "User-Agent: curl/8.14.1"] {
        command.args(["-H", header]);
    }
    for header in &request.headers {
        command.arg("-H").arg(header);
    }
    if let Some(script) = &request.script {
        command.arg("-s").arg(script);
    }
    command.arg(format!("http://127.0.0.1:{port}{}", request.path));

    let time = || processes.iter().map(|process| ticks(process.id())).sum::<Result<u64>>();
    let before = time()?;
    let limit = Duration::from_secs(seconds + 30);
    let answer = answer_within(limit, &mut command)?;
    let after = time()?;
    if !answer.success {
        bail!("wrk failed: {}{}", answer.stdout, answer.stderr);
    }
    let result = Loaded::read(&answer.stdout).context(*name)?;
    #[expect(clippy::cast_precision_loss, reason = "counts of a few seconds are below 2^52")]
    let (ticks, units) = ((after - before) as f64, result.requests as f64 * request.units);
    Ok(Sample {
        cpu: ticks * microseconds_per_tick()? / units,
        per_second: result.requests_per_second * request.units,
    })
}

/// A program that sends the request in a file at a steady pace, for so long.
pub(crate) fn steady(
    pinning: &Pinning,
    port: u16,
    request: &Path,
    per_second: &str,
    seconds: u64,
) -> Command {
    let mut steady = pinning.beside(&bench_program());
    steady.arg("steady").arg(port.to_string()).arg(request).arg(per_second);
    steady.arg(seconds.to_string());
    steady
}

/// The first two of the figures that a program has printed.
pub(crate) fn two(said: &str) -> Result<(f64, f64)> {
    let mut figures = said.split_whitespace().map(str::parse::<f64>);
    let mut next = || figures.next().context("too few figures")?.context("a figure");
    Ok((next()?, next()?))
}

/// What wrk says of a run.
#[derive(Debug, PartialEq)]
struct Loaded {
    requests: u64,
    requests_per_second: f64,
}

impl Loaded {
    fn read(output: &str) -> Result<Self> {
        // A round with refusals or broken connections measured something else.
        let wrong = |line: &&str| line.contains("Non-2xx") || line.contains("Socket errors");
        if let Some(line) = output.lines().find(wrong) {
            bail!("{}", line.trim());
        }
        let requests = output.lines().find_map(|line| {
            let (number, rest) = line.trim().split_once(' ')?;
            rest.starts_with("requests in").then(|| number.parse().ok())?
        });
        let requests_per_second =
            output.lines().find_map(|line| line.strip_prefix("Requests/sec:")?.trim().parse().ok());
        match (requests, requests_per_second) {
            (Some(requests), Some(requests_per_second)) if requests > 0 => {
                Ok(Loaded { requests, requests_per_second })
            }
            _ => bail!("wrk said nothing of its requests:\n{output}"),
        }
    }
}

/// The processor time of a process and its children, in ticks.
fn ticks(process: u32) -> Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(id) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        // Others' processes end while we look.
        let Ok(stat) = fs::read_to_string(format!("/proc/{id}/stat")) else {
            continue;
        };
        if let Some(stat) = Stat::read(&stat)
            && (id == process || stat.parent == process)
        {
            sum += stat.ticks;
        }
    }
    Ok(sum)
}

#[derive(Debug, PartialEq)]
struct Stat {
    parent: u32,
    ticks: u64,
}

impl Stat {
    /// Reads a line of /proc/PID/stat (proc(5)).
    fn read(line: &str) -> Option<Self> {
        // The program's name stands in parentheses and may hold spaces and parentheses.
        let (_, fields) = line.rsplit_once(')')?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
        Some(Stat { parent: fields.get(1)?.parse().ok()?, ticks: number(11)? + number(12)? })
    }
}

fn microseconds_per_tick() -> Result<f64> {
    let mut getconf = Command::new("getconf");
    let answer = answer_within(Duration::from_secs(5), getconf.arg("CLK_TCK"))?;
    let per_second: f64 = answer.stdout.trim().parse().context("getconf CLK_TCK")?;
    Ok(1_000_000.0 / per_second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrk_is_understood() {
        let output = "Running 5s test @ http://127.0.0.1:1/\n  1 threads and 32 connections\n  \
                      219264 requests in 5.10s, 37.22MB read\nRequests/sec:  42993.32\n";
        let expected = Loaded { requests: 219_264, requests_per_second: 42_993.32 };
        assert_eq!(Loaded::read(output).unwrap(), expected);
    }

    #[test]
    fn refusals_and_silence_are_errors() {
        let output =
            "  9 requests in 5.10s, 1B read\n  Non-2xx or 3xx responses: 9\nRequests/sec: 2\n";
        assert!(Loaded::read(output).is_err());
        assert!(Loaded::read("").is_err());
    }

    #[test]
    fn processor_time_is_user_and_system() {
        let line = "42 (a (b) c) S 7 42 42 0 -1 4194560 1 2 3 4 150 25 0 0 20 0 1 0 5 6 7";
        let expected = Stat { parent: 7, ticks: 175 };
        assert_eq!(Stat::read(line), Some(expected));
    }
}
