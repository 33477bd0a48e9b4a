//! `cargo xtask bench`: builds, starts, loads, compares and prints.
//!
//! Absolute figures move from machine to machine and from run to run, so what
//! counts is the ratio to something measured in the same round.

mod load;
mod servers;
mod table;

use crate::packages::{self, FOR_BENCHMARKS};
use crate::process::{Directory, answer_within, cargo, succeeds};
use anyhow::{Result, bail};
use load::{Contestant, Sample};
use std::time::Duration;

/// Long enough for a quiet machine to build everything, or to run the in-process benchmark.
const HALF_AN_HOUR: Duration = Duration::from_mins(30);

/// What to measure, and how long.
#[derive(Debug, PartialEq)]
pub(crate) struct Options {
    process: bool,
    http: bool,
    gateway: bool,
    rounds: usize,
    seconds: u64,
}

impl Options {
    pub(crate) fn parse(arguments: &[&str]) -> Result<Self> {
        let mut options =
            Options { process: true, http: true, gateway: true, rounds: 5, seconds: 5 };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match *argument {
                "all" => {}
                "process" => options.http = false,
                "http" => options.process = false,
                "nginx" => (options.process, options.gateway) = (false, false),
                "--rounds" => options.rounds = number(arguments.next(), 100)?,
                "--seconds" => options.seconds = number(arguments.next(), 600)? as u64,
                other => bail!("cannot make sense of `{other}`"),
            }
        }
        Ok(options)
    }
}

pub(crate) fn run(options: &Options) -> Result<()> {
    if options.http {
        packages::ensure(FOR_BENCHMARKS)?;
    }
    // Everything is built before anything is measured.
    if options.process {
        build(&["bench", "--bench", "verify", "--no-run"])?;
    }
    if options.http && options.gateway {
        build(&["build", "--release", "--package", "counterfoil"])?;
    }
    if options.process {
        in_process()?;
    }
    if options.http {
        over_http(options)?;
    }
    Ok(())
}

fn build(arguments: &[&str]) -> Result<()> {
    if !succeeds(&mut cargo(arguments))? {
        bail!("cargo {} failed", arguments.join(" "));
    }
    Ok(())
}

/// The in-process benchmark prints `figure: NAME<TAB>NANOSECONDS` for each of its rows.
fn in_process() -> Result<()> {
    println!("\n== in process");
    let mut bench = cargo(&["bench", "--quiet", "--bench", "verify"]);
    let answer = answer_within(HALF_AN_HOUR, &mut bench)?;
    if !answer.success {
        bail!("the in-process benchmark failed:\n{}", answer.stderr);
    }
    let figures: Vec<(&str, f64)> = answer.stdout.lines().filter_map(figure).collect();
    if figures.is_empty() {
        bail!("the in-process benchmark printed no figures");
    }
    print!("{}", table::figures(&figures));
    Ok(())
}

fn figure(line: &str) -> Option<(&str, f64)> {
    let (name, nanoseconds) = line.strip_prefix("figure:")?.split_once('\t')?;
    Some((name.trim(), nanoseconds.trim().parse().ok()?))
}

/// Loads each contestant in turn, round after round, so that what changes on
/// the machine meanwhile changes for all of them.
fn over_http(options: &Options) -> Result<()> {
    println!("\n== over HTTP");
    let directory = Directory::new("bench")?;
    let pinning = servers::Pinning::of_this_machine();
    println!("{pinning}");

    let upstream = servers::upstream(directory.path(), &pinning)?;
    let nginx = servers::plain_proxy(directory.path(), &pinning, upstream.port)?;
    let gateway = if options.gateway {
        Some(servers::gateway(directory.path(), &pinning, upstream.port)?)
    } else {
        None
    };
    let token = gateway.as_ref().map_or("none", |(_, token)| token.as_str());
    let mut contestants = vec![Contestant::new("nginx, plain proxy", &nginx)];
    contestants.extend(
        gateway.as_ref().map(|(server, _)| Contestant::new("counterfoil, gateway", server)),
    );

    let load = load::Load { pinning: &pinning, seconds: options.seconds, token };
    // Connections, caches and clocks of the processor warm up in rounds that do not count.
    for contestant in &contestants {
        load::Load { seconds: 1, ..load }.run(contestant)?;
    }
    let mut samples: Vec<Vec<Sample>> = vec![Vec::new(); contestants.len()];
    for round in 1..=options.rounds {
        for (contestant, samples) in contestants.iter().zip(&mut samples) {
            let sample = load.run(contestant)?;
            println!("round {round}, {}: {sample}", contestant.name);
            samples.push(sample);
        }
    }
    let names = contestants.iter().map(|contestant| contestant.name);
    let rows: Vec<(&str, Vec<Sample>)> = names.zip(samples).collect();
    print!("\n{}", table::samples(&rows));
    Ok(())
}

fn number(argument: Option<&&str>, most: usize) -> Result<usize> {
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
        assert!(all.process && all.http && all.gateway);
        let nginx = Options::parse(&["nginx", "--rounds", "2", "--seconds", "1"]).unwrap();
        let expected =
            Options { process: false, http: true, gateway: false, rounds: 2, seconds: 1 };
        assert_eq!(nginx, expected);
        for wrong in [&["--rounds"][..], &["--rounds", "0"], &["everything"]] {
            assert!(Options::parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn figures_are_read() {
        assert_eq!(
            figure("figure: verify 10k hot of 1M\t123.4"),
            Some(("verify 10k hot of 1M", 123.4))
        );
        assert_eq!(figure("running 1 test"), None);
    }
}
