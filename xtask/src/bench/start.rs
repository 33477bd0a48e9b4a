//! How long a start takes, and what a token costs in memory.

use super::subject::{Subject, Times};
use super::table::{Bar, Row};
use super::{Options, What};
use anyhow::Result;

/// Starts again and again; `empty` is what a token's memory is counted from.
pub(crate) fn run(options: &Options, subject: &Subject, empty: &Subject) -> Result<Vec<Row>> {
    let mut times: Vec<Times> = Vec::new();
    let mut per_token = Vec::new();
    let mut resident = Vec::new();
    // One more, and first: the database's pages come from the disk.
    for round in 0..=options.rounds {
        let before = empty.start()?;
        let least = before.resident()?;
        before.stop()?;
        let started = subject.start()?;
        let memory = started.resident()?;
        println!(
            "start {round}: ready after {:.2} s, first request after {:.2} s, {:.0} MiB",
            started.times.ready,
            started.times.admitted,
            memory / MIB
        );
        if round > 0 {
            times.push(started.times);
            resident.push(memory / MIB);
            #[expect(clippy::cast_precision_loss, reason = "no database has 2^52 tokens")]
            per_token.push((memory - least) / options.tokens() as f64);
        }
        started.stop()?;
    }
    let tokens = options.tokens();
    let mut rows = Vec::new();
    if options.has(What::Start) {
        let of = |time: fn(&Times) -> f64| times.iter().map(time).collect::<Vec<_>>();
        // The bar is for a million.
        let bar = (tokens == 1_000_000).then_some(Bar::AtMost(2.0));
        let name = format!("start with {tokens} tokens, to /readyz");
        rows.push(Row::alone(&name, "s", &of(|times| times.ready), bar));
        let name = format!("start with {tokens} tokens, to a request");
        rows.push(Row::alone(&name, "s", &of(|times| times.admitted), bar));
    }
    if options.has(What::Memory) {
        let name = format!("server with {tokens} tokens");
        rows.push(Row::alone(&name, "MiB of RSS", &resident, None));
        let name = format!("server with {tokens} tokens, less one without");
        let bar = (tokens >= 1_000_000).then_some(Bar::AtMost(120.0));
        rows.push(Row::alone(&name, "B of RSS a token", &per_token, bar));
    }
    Ok(rows)
}

const MIB: f64 = 1_048_576.0;
