//! `cargo xtask fuzz`: every parser of outside input, fed for so many seconds.
//!
//! By libFuzzer, which looks at what the code does, where there is a nightly
//! compiler; else by mutations at random.

use crate::packages::{self, CARGO_FUZZ};
use crate::process::{Answer, answer_within, cargo, output_within, root, succeeds, target_dir};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// What a run takes beside the time that it was given: to start, and to finish its last input.
const BESIDE: Duration = Duration::from_mins(2);

/// What to fuzz, and how long.
#[derive(Debug, PartialEq)]
pub(crate) struct Options {
    seconds: u64,
    /// All, when empty.
    targets: Vec<String>,
}

impl Options {
    pub(crate) fn parse(arguments: &[&str]) -> Result<Self> {
        let mut options = Options { seconds: 60, targets: Vec::new() };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match *argument {
                "--seconds" => {
                    options.seconds = arguments
                        .next()
                        .and_then(|text| text.parse().ok())
                        .filter(|seconds| (1..=86_400).contains(seconds))
                        .context("a number from 1 to 86400 belongs there")?;
                }
                other if other.starts_with('-') => bail!("cannot make sense of `{other}`"),
                name => options.targets.push(name.to_owned()),
            }
        }
        Ok(options)
    }
}

/// Whether no target broke.
pub(crate) fn run(options: &Options) -> Result<bool> {
    if !succeeds(&mut cargo(&["build", "--package", "counterfoil-fuzz"]))? {
        bail!("the targets do not build");
    }
    let targets = chosen(options)?;
    let guided = match libfuzzer() {
        Ok(cargo_fuzz) => Some(cargo_fuzz),
        Err(error) => {
            println!("{error:#}; inputs are random ones instead, which reach less");
            None
        }
    };
    let mut rows = Vec::new();
    for name in &targets {
        println!("== {name}, {} s", options.seconds);
        let row = match &guided {
            Some(cargo_fuzz) => search(cargo_fuzz, name, options.seconds)?,
            None => feed(name, options.seconds)?,
        };
        rows.push((name.as_str(), row));
    }
    let how = if guided.is_some() { "libFuzzer" } else { "random inputs" };
    print!("\n{}", table(how, options.seconds, &rows));
    Ok(rows.iter().all(|(_, row)| row.broken.is_none()))
}

/// What became of one target.
struct Row {
    inputs: Option<u64>,
    /// How many edges of the code were reached, where that is known.
    reached: Option<u64>,
    /// What broke it.
    broken: Option<String>,
}

fn targets() -> Command {
    Command::new(target_dir().join("debug/counterfoil-fuzz"))
}

fn chosen(options: &Options) -> Result<Vec<String>> {
    let listed = output_within(BESIDE, targets().arg("list"))?;
    let all: Vec<String> = listed.lines().map(str::to_owned).collect();
    if let Some(unknown) = options.targets.iter().find(|name| !all.contains(name)) {
        bail!("there is no target {unknown}; there are {}", all.join(", "));
    }
    Ok(if options.targets.is_empty() { all } else { options.targets.clone() })
}

/// cargo-fuzz, once it has built the targets for libFuzzer; or why that cannot be.
fn libfuzzer() -> Result<PathBuf> {
    if !packages::has_nightly() {
        bail!("no nightly toolchain (`rustup toolchain install nightly` gets one)");
    }
    let cargo_fuzz = packages::ensure_tool(&CARGO_FUZZ)?;
    // The same versions of everything as in the workspace.
    let lock = crate_of_libfuzzer().join("Cargo.lock");
    std::fs::copy(root().join("Cargo.lock"), lock).context("cannot copy Cargo.lock")?;
    if !succeeds(&mut nightly(&cargo_fuzz, "build"))? {
        bail!("the targets do not build for libFuzzer");
    }
    Ok(cargo_fuzz)
}

fn crate_of_libfuzzer() -> PathBuf {
    root().join("fuzz/libfuzzer")
}

fn nightly(cargo_fuzz: &Path, subcommand: &str) -> Command {
    let mut command = Command::new(cargo_fuzz);
    command
        .args([subcommand, "--fuzz-dir"])
        .arg(crate_of_libfuzzer())
        .arg("--target-dir")
        .arg(target_dir().join("fuzz"))
        .arg("target")
        .current_dir(root())
        // cargo tells its children which cargo it is; this one is to be another.
        .env_remove("CARGO")
        .env("RUSTUP_TOOLCHAIN", "nightly");
    command
}

fn search(cargo_fuzz: &Path, name: &str, seconds: u64) -> Result<Row> {
    let corpus = target_dir().join("fuzz/corpus").join(name);
    let artifacts = target_dir().join("fuzz/artifacts").join(name);
    std::fs::create_dir_all(&artifacts)?;
    output_within(BESIDE, targets().args(["seeds", name]).arg(&corpus))?;
    let mut run = nightly(cargo_fuzz, "run");
    run.arg(&corpus)
        .arg("--")
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .args(["-max_len=1024", "-timeout=10", "-print_final_stats=1"])
        .env("COUNTERFOIL_FUZZ_TARGET", name);
    let answer = answer_within(BESIDE + Duration::from_secs(seconds), &mut run)?;
    let inputs = number_after(&answer.stderr, "stat::number_of_executed_units:");
    let reached = number_after(&answer.stderr, "cov:");
    let broken = (!answer.success).then(|| artifact(name, &answer));
    Ok(Row { inputs, reached, broken })
}

/// The input that libFuzzer kept, as a line for the regression test; else what it said.
fn artifact(name: &str, answer: &Answer) -> String {
    let kept = answer.stderr.rsplit_once("Test unit written to ");
    let kept = kept.and_then(|(_, rest)| std::fs::read(rest.lines().next()?).ok());
    print!("{}", answer.stderr);
    match kept {
        Some(input) => {
            format!("for fuzz/tests/found.rs:\n    (\"{name}\", b\"{}\"),", input.escape_ascii())
        }
        None => "libFuzzer ended, and kept no input".into(),
    }
}

fn feed(name: &str, seconds: u64) -> Result<Row> {
    let mut run = targets();
    run.args(["run", &seconds.to_string(), name]);
    let answer = answer_within(BESIDE + Duration::from_secs(seconds), &mut run)?;
    let inputs = number_after(&answer.stdout, "inputs:");
    let broken = (!answer.success).then(|| {
        print!("{}", answer.stderr);
        answer.stdout.trim().to_owned()
    });
    Ok(Row { inputs, reached: None, broken })
}

/// The number behind the last `label`.
fn number_after(text: &str, label: &str) -> Option<u64> {
    let (_, rest) = text.rsplit_once(label)?;
    rest.split_whitespace().next()?.parse().ok()
}

fn table(how: &str, seconds: u64, rows: &[(&str, Row)]) -> String {
    let line = |cells: [&str; 5]| {
        let [name, inputs, rate, edges, outcome] = cells;
        let line = format!("{name:<20}{inputs:>14}{rate:>12}{edges:>10}  {outcome}");
        line.trim_end().to_owned()
    };
    let figure = |number: Option<u64>| number.map_or(String::new(), |number| number.to_string());
    let edges = if rows.iter().any(|(_, row)| row.reached.is_some()) { "edges" } else { "" };
    let mut lines = vec![line([how, "inputs", "inputs/s", edges, ""])];
    for (name, row) in rows {
        let rate = row.inputs.filter(|_| row.broken.is_none()).map(|inputs| inputs / seconds);
        let outcome = if row.broken.is_some() { "BROKEN" } else { "" };
        let figures = [row.inputs, rate, row.reached].map(figure);
        lines.push(line([name, &figures[0], &figures[1], &figures[2], outcome]));
    }
    for (name, row) in rows {
        lines.extend(row.broken.iter().map(|broken| format!("\n{name}: {broken}")));
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read() {
        let options = Options::parse(&["route", "--seconds", "5", "path"]).unwrap();
        let targets = vec!["route".to_owned(), "path".to_owned()];
        assert_eq!(options, Options { seconds: 5, targets });
        for wrong in [&["--seconds"][..], &["--seconds", "0"], &["--rounds", "1"]] {
            assert!(Options::parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn what_was_found_is_printed_below_the_table() {
        let sound = Row { inputs: Some(100), reached: None, broken: None };
        let broken = Row { inputs: None, reached: None, broken: Some("an input".into()) };
        let text = table("random inputs", 10, &[("path", sound), ("route", broken)]);
        assert!(text.contains("100          10\n"), "{text}");
        assert!(text.contains("  BROKEN\n"), "{text}");
        assert!(text.ends_with("\nroute: an input\n"), "{text}");
    }

    #[test]
    fn the_last_figure_counts() {
        let said = "#2 INITED cov: 31 ft: 32\n#9 NEW cov: 40 ft: 41\nDone";
        assert_eq!(number_after(said, "cov:"), Some(40));
        assert_eq!(number_after(said, "stat::number_of_executed_units:"), None);
    }
}
