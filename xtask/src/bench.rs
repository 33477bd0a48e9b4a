//! `cargo xtask bench`: builds, starts, loads, compares and prints.
//!
//! Absolute figures move from machine to machine and from run to run, so what
//! counts is the ratio to something measured in the same round.

mod access_tokens;
mod flood;
mod in_process;
mod issue;
mod load;
mod nodes;
mod over_http;
mod postgres;
mod production;
mod servers;
mod start;
mod subject;
mod table;

use crate::packages::{self, FOR_BENCHMARKS};
use crate::process::{Directory, cargo, succeeds, target_dir};
use anyhow::{Context, Result, bail};
use servers::Pinning;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use subject::Subject;
use table::Row;

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    InProcess,
    AccessToken,
    IndexMemory,
    ForwardAuth,
    AccessTokenHttp,
    Verify,
    Batch,
    Gateway,
    AuthRequest,
    Start,
    Memory,
    Issue,
    PasswordFlood,
    Limits,
    Latency,
    Connections,
    Join,
    Revoke,
    IssueShared,
}

const NAMES: [(&str, What); 19] = [
    ("in-process", What::InProcess),
    ("access-token", What::AccessToken),
    ("index-memory", What::IndexMemory),
    ("forward-auth", What::ForwardAuth),
    ("access-token-http", What::AccessTokenHttp),
    ("verify", What::Verify),
    ("batch", What::Batch),
    ("gateway", What::Gateway),
    ("auth-request", What::AuthRequest),
    ("start", What::Start),
    ("memory", What::Memory),
    ("issue", What::Issue),
    ("password-flood", What::PasswordFlood),
    ("limits", What::Limits),
    ("latency", What::Latency),
    ("connections", What::Connections),
    ("join", What::Join),
    ("revoke", What::Revoke),
    ("issue-shared", What::IssueShared),
];

const OVER_HTTP: [What; 6] = [
    What::ForwardAuth,
    What::AccessTokenHttp,
    What::Verify,
    What::Batch,
    What::Gateway,
    What::AuthRequest,
];

const NODES: [What; 3] = [What::Join, What::Revoke, What::IssueShared];

const PRODUCTION: [What; 3] = [What::Limits, What::Latency, What::Connections];

/// What to measure, and how long.
#[derive(Debug, PartialEq)]
pub(crate) struct Options {
    what: BTreeSet<What>,
    rounds: usize,
    seconds: u64,
    /// How many tokens there are, where that is said.
    tokens: Option<u64>,
    quick: bool,
    /// The counterfoil to measure; the workspace's, where none is named.
    program: Option<PathBuf>,
}

impl Options {
    pub(crate) fn parse(arguments: &[&str]) -> Result<Self> {
        let mut options = Options {
            what: BTreeSet::new(),
            rounds: 5,
            seconds: 5,
            tokens: None,
            quick: false,
            program: None,
        };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match *argument {
                "all" => options.what.extend(NAMES.map(|(_, what)| what)),
                "http" => options.what.extend(OVER_HTTP),
                "nodes" => options.what.extend(NODES),
                "--rounds" => options.rounds = usize::try_from(number(arguments.next(), 100)?)?,
                "--seconds" => options.seconds = number(arguments.next(), 600)?,
                "--tokens" => options.tokens = Some(number(arguments.next(), 100_000_000)?),
                "--program" => {
                    let path = arguments.next().context("--program names a file")?;
                    options.program =
                        Some(fs::canonicalize(path).with_context(|| (*path).to_owned())?);
                }
                "--quick" => {
                    options.quick = true;
                    (options.rounds, options.seconds) = (1, 2);
                }
                name => match NAMES.iter().find(|(known, _)| *known == name) {
                    Some((_, what)) => _ = options.what.insert(*what),
                    None => bail!("cannot make sense of `{name}`"),
                },
            }
        }
        if options.what.is_empty() {
            options.what.extend(NAMES.map(|(_, what)| what));
        }
        if options.tokens() < 10_000 {
            bail!("the batches ask about 10,000 tokens: --tokens must be as many at least");
        }
        Ok(options)
    }

    /// How many tokens the servers have.
    fn tokens(&self) -> u64 {
        self.tokens.unwrap_or(if self.quick { 10_000 } else { 1_000_000 })
    }

    fn has(&self, what: What) -> bool {
        self.what.contains(&what)
    }

    /// Whether a running server is asked for.
    fn serves(&self) -> bool {
        self.what
            .iter()
            .any(|what| !matches!(what, What::InProcess | What::AccessToken | What::IndexMemory))
    }
}

pub(crate) fn run(options: &Options) -> Result<()> {
    // Everything is built before anything is measured.
    let benches = in_process::benches(options);
    for bench in &benches {
        build(&["bench", "--features", in_process::FEATURES, "--bench", bench, "--no-run"])?;
    }
    let mut rows = Vec::new();
    if options.serves() {
        packages::ensure(FOR_BENCHMARKS)?;
        let directory = Directory::new("bench")?;
        let program = programs(options, directory.path())?;
        served(options, &program, directory.path(), &mut rows)?;
    }
    for bench in benches {
        println!("\n== benches/{bench}");
        let found = in_process::run(options, bench)?;
        print!("{}", table::print(&found));
        rows.extend(found);
    }
    print!("\n{}", table::print(&rows));
    Ok(())
}

/// Builds the servers; where the counterfoil is that is to be measured.
fn programs(options: &Options, directory: &Path) -> Result<PathBuf> {
    // One by one: together they would be built with each other's features.
    build(&["build", "--release", "--package", "counterfoil-bench"])?;
    if let Some(program) = &options.program {
        return Ok(program.clone());
    }
    build(&["build", "--release", "--package", "counterfoil"])?;
    // A copy stays what it is while somebody builds.
    let program = directory.join("counterfoil");
    fs::copy(target_dir().join("release/counterfoil"), &program)?;
    Ok(program)
}

/// Whatever wants a running server.
fn served(options: &Options, program: &Path, directory: &Path, rows: &mut Vec<Row>) -> Result<()> {
    let pinning = Pinning::of_this_machine();
    println!("{pinning}");
    let upstream = servers::upstream(directory, &pinning)?;
    let subject = |tokens| Subject::new(program, directory, &pinning, upstream.port, tokens);
    if options.has(What::Start) || options.has(What::Memory) {
        println!("\n== start");
        rows.extend(start::run(options, &subject(options.tokens())?, &subject(1)?)?);
    }
    if OVER_HTTP.iter().any(|what| options.has(*what)) {
        println!("\n== over HTTP");
        let subject = subject(options.tokens())?;
        rows.extend(over_http::run(options, directory, &pinning, &subject, upstream.port)?);
    }
    if options.has(What::Issue) {
        println!("\n== issue");
        rows.extend(issue::run(options, directory, &pinning, &subject(1)?)?);
    }
    if options.has(What::PasswordFlood) {
        println!("\n== password flood");
        let subject = subject(options.tokens())?.taking_passwords();
        rows.extend(flood::run(options, directory, &pinning, &subject)?);
    }
    if PRODUCTION.iter().any(|what| options.has(*what)) {
        println!("\n== the gateway as it is run");
        let subject = subject(options.tokens())?.limited();
        let port = upstream.port;
        rows.extend(production::run(options, directory, &pinning, &subject, port)?);
    }
    if NODES.iter().any(|what| options.has(*what)) {
        println!("\n== nodes");
        rows.extend(nodes::run(options, program, directory, &pinning, upstream.port)?);
    }
    Ok(())
}

fn build(arguments: &[&str]) -> Result<()> {
    if !succeeds(&mut cargo(arguments))? {
        bail!("cargo {} failed", arguments.join(" "));
    }
    Ok(())
}

fn number(argument: Option<&&str>, most: u64) -> Result<u64> {
    let number = argument.and_then(|text| text.parse().ok());
    match number {
        Some(number) if (1..=most).contains(&number) => Ok(number),
        _ => bail!("a number from 1 to {most} belongs there"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read() {
        let all = Options::parse(&[]).unwrap();
        assert!(all.serves() && NAMES.iter().all(|(_, what)| all.has(*what)));
        let some = ["gateway", "batch", "--rounds", "2", "--seconds", "1", "--tokens", "20000"];
        let expected = Options {
            what: [What::Gateway, What::Batch].into(),
            rounds: 2,
            seconds: 1,
            tokens: Some(20_000),
            quick: false,
            program: None,
        };
        assert_eq!(Options::parse(&some).unwrap(), expected);
        assert!(!Options::parse(&["in-process", "--quick"]).unwrap().serves());
        for wrong in [&["--rounds"][..], &["--rounds", "0"], &["everything"], &["--tokens", "9999"]]
        {
            assert!(Options::parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
