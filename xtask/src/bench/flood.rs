//! Tokens, verified while wrong passwords come in, beside the same without any.
//!
//! Each wrong password is of an address and a person of its own, so that the throttles let
//! all of them by: what is left to protect tokens is that few wait, and that one thread,
//! which gives way to all others, looks at them.

use super::Options;
use super::load::{self, Contestant, Request, Sample};
use super::over_http::Questions;
use super::servers::{Pinning, bench_program};
use super::subject::Subject;
use super::table::{Bar, Row};
use crate::process::Running;
use anyhow::{Result, bail};
use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

/// Wrong passwords a second: some twenty times as many as one thread looks at.
const PER_SECOND: u32 = 1000;
/// How long the flood comes before tokens do, and goes on after them, in seconds.
const AROUND: u64 = 1;
/// How long its end is waited for: whoever waits for a place does so for seconds.
const END: Duration = Duration::from_secs(30);

pub(crate) fn run(
    options: &Options,
    directory: &Path,
    pinning: &Pinning,
    subject: &Subject,
) -> Result<Vec<Row>> {
    let started = subject.start()?;
    let questions = Questions::new(directory, subject, &started)?;
    let doors: [(_, u16, &Request); 2] = [
        ("the gateway", started.gateway, &questions.proxied),
        ("POST /v1/verify", started.server, &questions.verify),
    ];
    let mut rows = Vec::new();
    for (name, port, request) in doors {
        let contestant = Contestant { name, port, processes: vec![&started.running], request };
        load::run(pinning, 1, &contestant)?;
        let mut rounds = Vec::new();
        for round in 1..=options.rounds {
            let calm = load::run(pinning, options.seconds, &contestant)?;
            println!("round {round}, {name}: {calm}");
            let (flooded, answers) =
                during(options, directory, pinning, started.gateway, &contestant)?;
            println!("round {round}, {name}, flooded: {flooded}; of the flood: {answers}");
            rounds.push((calm.per_second, flooded.per_second));
        }
        let name = format!("tokens at {name}, {PER_SECOND} wrong passwords a second / none");
        rows.push(Row::by_turns(&name, "requests/s", &rounds, Bar::RatioAtLeast(0.8)));
    }
    started.stop()?;
    Ok(rows)
}

/// What tokens come to while the flood lasts, and how that was answered.
fn during(
    options: &Options,
    directory: &Path,
    pinning: &Pinning,
    gateway: u16,
    contestant: &Contestant,
) -> Result<(Sample, String)> {
    let said = directory.join("flood.out");
    let mut flood = pinning.beside(&bench_program());
    flood.arg("flood").arg(gateway.to_string()).arg("/bench/hello");
    flood.arg(PER_SECOND.to_string()).arg((options.seconds + 2 * AROUND).to_string());
    flood.stdout(File::create(&said)?);
    let mut flood = Running::start(&mut flood)?;
    // Until the flood is there.
    load::run(pinning, AROUND, contestant)?;
    let sample = load::run(pinning, options.seconds, contestant)?;
    match flood.wait_within(END)? {
        Some(status) if status.success() => {}
        Some(status) => bail!("the flood ended ({status})"),
        None => bail!("the flood did not end"),
    }
    Ok((sample, fs::read_to_string(said)?.trim().to_owned()))
}
