//! The rows over HTTP: by turns, what counterfoil is compared with and counterfoil.

use super::access_tokens::{Authenticating, List};
use super::load::{self, Contestant, Request, Sample};
use super::servers::{self, Pinning};
use super::subject::{self, Started, Subject, question_of_a_proxy, secrets};
use super::table::{Bar, Row};
use super::{Options, What};
use anyhow::{Result, bail};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// How many questions a batch has, and how many batches are asked one after the other.
const BATCH: usize = 100;
const BATCHES: usize = 100;
const CONNECTIONS: u32 = 32;

/// Two that are compared, and how.
struct Pair<'a> {
    what: What,
    floor: Contestant<'a>,
    ours: Contestant<'a>,
    lines: Vec<Line>,
    /// What is done before each round, which has so many seconds.
    prepare: Option<&'a dyn Fn(u64) -> Result<()>>,
}

/// A line of the table that a pair gives.
struct Line {
    name: &'static str,
    unit: &'static str,
    of: fn(&Sample) -> f64,
    bar: Bar,
}

fn cpu(name: &'static str, unit: &'static str, most: f64) -> Line {
    Line { name, unit, of: |sample| sample.cpu, bar: Bar::RatioAtMost(most) }
}

fn rate(name: &'static str, least: f64) -> Line {
    let of = |sample: &Sample| sample.per_second;
    Line { name, unit: "requests/s", of, bar: Bar::RatioAtLeast(least) }
}

/// Measures the rows that are asked for on one running counterfoil.
pub(crate) fn run(
    options: &Options,
    directory: &Path,
    pinning: &Pinning,
    subject: &Subject,
    upstream: u16,
) -> Result<Vec<Row>> {
    let started = subject.start()?;
    let questions = Questions::new(directory, subject, &started)?;
    let plain = servers::plain_proxy(directory, pinning, upstream)?;
    let empty = servers::least(directory, pinning, "empty", &[])?;
    let asking = servers::asking_proxy(directory, pinning, upstream, empty.port)?;
    let signature = servers::least(directory, pinning, "signature", &[])?;
    let tokens = options.tokens().to_string();
    let json = servers::least(
        directory,
        pinning,
        "json",
        &[questions.answer.as_os_str(), tokens.as_ref()],
    )?;

    let ours = |port, request| Contestant {
        name: "counterfoil",
        port,
        processes: vec![&started.running],
        request,
    };
    let fill = |seconds| questions.access_tokens.fill(&started, &questions.secret, seconds);
    let pairs = [
        Pair {
            what: What::ForwardAuth,
            floor: Contestant::of("empty handler", &empty, &questions.forward_auth),
            ours: ours(started.forward_auth, &questions.forward_auth),
            lines: vec![cpu("forward auth / empty handler", "CPU µs a request", 1.15)],
            prepare: None,
        },
        Pair {
            what: What::AccessTokenHttp,
            floor: Contestant::of("empty handler", &empty, &questions.again),
            ours: ours(started.forward_auth, &questions.again),
            lines: vec![cpu("access token, again / empty handler", "CPU µs a request", 1.15)],
            prepare: None,
        },
        Pair {
            what: What::AccessTokenHttp,
            floor: Contestant::of("one signature", &signature, &questions.first_time),
            ours: ours(started.forward_auth, &questions.first_time),
            lines: vec![cpu("access token, first time / one signature", "CPU µs a request", 1.15)],
            prepare: Some(&fill),
        },
        Pair {
            what: What::Verify,
            floor: Contestant::of("JSON mover", &json, &questions.verify),
            ours: ours(started.server, &questions.verify),
            lines: vec![cpu("POST /v1/verify / JSON mover", "CPU µs a request", 1.25)],
            prepare: None,
        },
        Pair {
            what: What::Batch,
            floor: Contestant::of("JSON, hash, look up", &json, &questions.batch),
            ours: ours(started.server, &questions.batch),
            lines: vec![cpu("batch of 100 / JSON, hash, look up", "CPU µs a token", 1.5)],
            prepare: None,
        },
        Pair {
            what: What::Gateway,
            floor: Contestant::of("nginx", &plain, &questions.proxied),
            ours: ours(started.gateway, &questions.proxied),
            lines: vec![cpu("gateway / nginx", "CPU µs a request", 1.35)],
            prepare: None,
        },
        Pair {
            what: What::AuthRequest,
            floor: Contestant {
                name: "nginx with auth_request",
                port: asking.port,
                processes: vec![&asking.running, &empty.running],
                request: &questions.proxied,
            },
            ours: ours(started.gateway, &questions.proxied),
            lines: vec![rate("gateway / nginx with auth_request", 1.6)],
            prepare: None,
        },
    ];

    let mut rows = Vec::new();
    for pair in pairs.iter().filter(|pair| options.has(pair.what)) {
        rows.extend(pair.measure(options, pinning)?);
    }
    started.stop()?;
    Ok(rows)
}

impl Pair<'_> {
    fn prepare(&self, seconds: u64) -> Result<()> {
        self.prepare.map_or(Ok(()), |prepare| prepare(seconds))
    }

    fn measure(&self, options: &Options, pinning: &Pinning) -> Result<Vec<Row>> {
        let both = [&self.floor, &self.ours];
        // Connections, caches and clocks of the processor warm up in a round that does not count.
        self.prepare(1)?;
        for contestant in both {
            load::run(pinning, 1, contestant)?;
        }
        let mut rounds = Vec::new();
        for round in 1..=options.rounds {
            self.prepare(options.seconds)?;
            let mut samples = Vec::new();
            for contestant in both {
                let sample = load::run(pinning, options.seconds, contestant)?;
                println!("round {round}, {}: {sample}", contestant.name);
                samples.push(sample);
            }
            rounds.push((samples[0], samples[1]));
        }
        let row = |line: &Line| {
            let of = |(floor, ours): &(Sample, Sample)| ((line.of)(floor), (line.of)(ours));
            let rounds: Vec<(f64, f64)> = rounds.iter().map(of).collect();
            Row::by_turns(line.name, line.unit, &rounds, line.bar)
        };
        Ok(self.lines.iter().map(row).collect())
    }
}

/// What is asked, the same of both.
pub(crate) struct Questions {
    forward_auth: Request,
    pub(crate) proxied: Request,
    pub(crate) verify: Request,
    /// With an access token: the same one, and each time another.
    again: Request,
    first_time: Request,
    batch: Request,
    /// A file with what the server answers to one question.
    answer: PathBuf,
    /// What access tokens are obtained with, and where those are that have not been sent yet.
    secret: String,
    access_tokens: List,
}

impl Questions {
    pub(crate) fn new(directory: &Path, subject: &Subject, started: &Started) -> Result<Self> {
        let caller = subject.caller("bench:verify")?;
        let secrets = secrets(0, (BATCH * BATCHES) as u64)?;
        let question = |secret: &String| {
            format!(
                "{{\"api\":\"bench\",\"headers\":{{\"authorization\":\"Bearer {secret}\"}},\
                 \"method\":\"GET\",\"path\":\"/v1/things\",\"client_address\":\"203.0.113.9\"}}"
            )
        };
        let one = question(&secrets[0]);
        let answer = directory.join("answer.json");
        fs::write(&answer, subject::post(started.server, "/v1/verify", &caller, &one)?)?;
        let batches = secrets.chunks(BATCH).map(|secrets| {
            let items: Vec<String> = secrets.iter().map(question).collect();
            format!("{{\"items\":[{}]}}", items.join(","))
        });
        let plain = |path, headers| Request {
            path,
            headers,
            script: None,
            units: 1.0,
            connections: CONNECTIONS,
        };
        let access_token = Authenticating::with(started, &secrets[0])?.obtain()?;
        let access_tokens = List::new(directory)?;
        // The script has the one field that is missing.
        let [_, others @ ..] = &question_of_a_proxy("")[..] else { bail!("no question") };
        Ok(Self {
            again: plain("/auth/bench", question_of_a_proxy(&access_token)),
            first_time: Request {
                script: Some(access_tokens.script.clone()),
                ..plain("/auth/bench", others.to_vec())
            },
            forward_auth: plain("/auth/bench", question_of_a_proxy(&secrets[0])),
            proxied: plain("/bench/hello", vec![format!("Authorization: Bearer {}", secrets[0])]),
            verify: Request {
                script: Some(posting(directory, "verify", &caller, &[one])?),
                ..plain("/v1/verify", vec![])
            },
            batch: Request {
                script: Some(posting(directory, "batch", &caller, &batches.collect::<Vec<_>>())?),
                #[expect(clippy::cast_precision_loss, reason = "a hundred")]
                units: BATCH as f64,
                ..plain("/v1/verify/batch", vec![])
            },
            answer,
            secret: secrets[0].clone(),
            access_tokens,
        })
    }
}

/// A script with which wrk posts the bodies in turn.
pub(crate) fn posting(
    directory: &Path,
    name: &str,
    caller: &str,
    bodies: &[String],
) -> Result<PathBuf> {
    let mut script = format!(
        "wrk.method = \"POST\"\n\
         wrk.headers[\"Content-Type\"] = \"application/json\"\n\
         wrk.headers[\"Authorization\"] = \"Bearer {caller}\"\n"
    );
    if let [body] = bodies {
        // Then wrk itself sends it again and again.
        writeln!(script, "wrk.body = [==[{body}]==]")?;
    } else {
        script.push_str("local requests, next = {}, 0\nfunction init()\n");
        for body in bodies {
            writeln!(
                script,
                "  requests[#requests + 1] = wrk.format(nil, nil, nil, [==[{body}]==])"
            )?;
        }
        script.push_str(
            "end\nfunction request()\n  next = next % #requests + 1\n  return requests[next]\nend\n",
        );
    }
    let file = directory.join(format!("{name}.lua"));
    fs::write(&file, script)?;
    Ok(file)
}
