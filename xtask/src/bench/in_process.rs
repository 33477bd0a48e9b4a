//! The in-process benchmarks of `benches/`, by turns.

use super::table::Row;
use super::{Options, What};
use crate::process::{answer_within, cargo};
use anyhow::{Result, bail};
use std::time::Duration;

/// Long enough for ten million tokens on a busy machine.
const AN_HOUR: Duration = Duration::from_hours(1);

/// One set for all of them, so that they are built once.
pub(crate) const FEATURES: &str = "fuzzing";

/// Builds what is asked for, so that nothing is measured while something is built.
pub(crate) fn benches(options: &Options) -> Vec<&'static str> {
    let of = |what, bench| options.has(what).then_some(bench);
    [
        of(What::InProcess, "verify"),
        of(What::AccessToken, "access_token"),
        of(What::IndexMemory, "memory"),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Runs one and reads the lines that begin with `figure:`.
pub(crate) fn run(options: &Options, bench: &str) -> Result<Vec<Row>> {
    let features = ["--features", FEATURES];
    let mut command =
        cargo(&[&["bench", "--quiet"], &features[..], &["--bench", bench, "--", "turns"]].concat());
    if options.quick {
        command.arg("--quick");
    }
    if let Some(tokens) = options.tokens {
        command.args(["--tokens", &tokens.to_string()]);
    }
    let answer = answer_within(AN_HOUR, &mut command)?;
    if !answer.success {
        bail!("the benchmark `{bench}` failed:\n{}", answer.stderr);
    }
    let rows: Vec<Row> = answer.stdout.lines().filter_map(Row::read).collect();
    if rows.is_empty() {
        bail!("the benchmark `{bench}` printed no figures:\n{}", answer.stdout);
    }
    Ok(rows)
}
