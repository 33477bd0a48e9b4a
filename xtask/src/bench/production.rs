//! The gateway as it is run: with every check and all limits on, beside nginx that only proxies.
//! What a request costs, how long it is waited for at half load, and what connections take that
//! are only held.

use super::Options;
use super::What;
use super::load::{self, Contestant};
use super::over_http::Questions;
use super::servers::{self, Pinning, Server, bench_program};
use super::subject::{Started, Subject, get, secrets};
use super::table::{Bar, Row};
use crate::process::{Running, output_within};
use anyhow::{Result, bail};
use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, Instant};

/// How many connections rest, and how many read slowly.
const RESTING: u32 = 10_000;
const SLOW: u32 = 1_000;
/// What all of them together may take, in MB.
const MOST_MB: f64 = 300.0;
/// How long opening them may take, and how long they are held, in seconds.
const OPENING: Duration = Duration::from_mins(2);
const HOLDING: u64 = 12;

pub(crate) fn run(
    options: &Options,
    directory: &Path,
    pinning: &Pinning,
    subject: &Subject,
    upstream: u16,
) -> Result<Vec<Row>> {
    // The rows over HTTP have a proxy of the same name.
    let directory = &directory.join("production");
    fs::create_dir(directory)?;
    let started = subject.start()?;
    let questions = Questions::new(directory, subject, &started)?;
    let plain = servers::plain_proxy(directory, pinning, upstream)?;
    let secret = &secrets(0, 1)?[0];
    let mut rows = Vec::new();
    if options.has(What::Limits) {
        let nginx = Contestant::of("nginx", &plain, &questions.proxied);
        let ours = Contestant {
            name: "counterfoil, limits on",
            port: started.gateway,
            processes: vec![&started.running],
            request: &questions.proxied,
        };
        rows.push(cost(options, pinning, &nginx, &ours)?);
    }
    if options.has(What::Latency) {
        let request = directory.join("request");
        let head = get(questions.proxied.path, &[format!("Authorization: Bearer {secret}")]);
        fs::write(&request, head)?;
        rows.extend(latency(options, pinning, &plain, &started, &questions, &request)?);
    }
    if options.has(What::Connections) {
        rows.push(connections(options, pinning, directory, &started, secret)?);
    }
    started.stop()?;
    Ok(rows)
}

fn cost(
    options: &Options,
    pinning: &Pinning,
    nginx: &Contestant,
    ours: &Contestant,
) -> Result<Row> {
    for contestant in [nginx, ours] {
        load::run(pinning, 1, contestant)?;
    }
    let mut rounds = Vec::new();
    for round in 1..=options.rounds {
        let mut cpu = [0.0; 2];
        for (cpu, contestant) in cpu.iter_mut().zip([nginx, ours]) {
            let sample = load::run(pinning, options.seconds, contestant)?;
            println!("round {round}, {}: {sample}", contestant.name);
            *cpu = sample.cpu;
        }
        rounds.push((cpu[0], cpu[1]));
    }
    let bar = Bar::RatioAtMost(1.35);
    Ok(Row::by_turns("gateway with limits / nginx", "CPU µs a request", &rounds, bar))
}

/// The 50th and 99th percentile at half of what the slower of the two can do.
fn latency(
    options: &Options,
    pinning: &Pinning,
    plain: &Server,
    started: &Started,
    questions: &Questions,
    request: &Path,
) -> Result<Vec<Row>> {
    let contestants = [("nginx", plain.port), ("counterfoil", started.gateway)];
    let mut most = f64::INFINITY;
    for (name, port) in contestants {
        let contestant = Contestant { name, port, processes: vec![], request: &questions.proxied };
        most = most.min(load::run(pinning, options.seconds, &contestant)?.per_second);
    }
    let rate = format!("{:.0}", most / 2.0);
    println!("half load: {rate} requests a second");
    let (mut p50, mut p99) = (Vec::new(), Vec::new());
    for round in 1..=options.rounds {
        let mut times = [(0.0, 0.0); 2];
        for (times, (name, port)) in times.iter_mut().zip(contestants) {
            let mut steady = load::steady(pinning, port, request, &rate, options.seconds);
            let limit = Duration::from_secs(options.seconds + 30);
            let said = output_within(limit, &mut steady)?;
            println!("round {round}, {name}, µs p50 p99 p99.9: {}", said.trim());
            *times = load::two(&said)?;
        }
        let [nginx, ours] = times;
        p50.push((nginx.0, ours.0));
        p99.push((nginx.1, ours.1));
    }
    Ok(vec![
        Row::by_turns("gateway / nginx at half load, p50", "µs", &p50, Bar::RatioAtMost(2.0)),
        Row::by_turns("gateway / nginx at half load, p99", "µs", &p99, Bar::RatioAtMost(2.0)),
    ])
}

/// What the server has more in memory while connections are held: before, that is its index.
fn connections(
    options: &Options,
    pinning: &Pinning,
    directory: &Path,
    started: &Started,
    secret: &str,
) -> Result<Row> {
    let before = started.resident()? / 1e6;
    let mut figures = Vec::new();
    for round in 1..=options.rounds.min(3) {
        let said = directory.join("held.out");
        let mut held = pinning.beside(&bench_program());
        held.arg("held").arg(started.gateway.to_string()).args(["/bench/hello", "/bench/large"]);
        held.arg(secret).arg(RESTING.to_string()).arg(SLOW.to_string()).arg(HOLDING.to_string());
        held.stdout(File::create(&said)?);
        let mut held = Running::start(&mut held)?;
        let begin = Instant::now();
        while !fs::read_to_string(&said)?.contains("held") {
            if let Some(status) = held.ended()? {
                bail!("the connections could not be held ({status})");
            }
            if begin.elapsed() > OPENING {
                bail!("the connections were not there in time");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let mut most: f64 = 0.0;
        let status = loop {
            most = most.max(started.resident()? / 1e6);
            if let Some(status) = held.wait_within(Duration::from_millis(500))? {
                break status;
            }
            if begin.elapsed() > OPENING + Duration::from_secs(2 * HOLDING + 30) {
                bail!("the connections were not let go");
            }
        };
        if !status.success() {
            bail!("the connections were not held ({status})");
        }
        println!("round {round}: {most:.0} MB; {before:.0} MB before the first");
        figures.push(most - before);
    }
    let name = format!("{RESTING} connections at rest, {SLOW} slow readers");
    Ok(Row::alone(&name, "MB beside the index", &figures, Some(Bar::AtMost(MOST_MB))))
}
