//! `cargo xtask test`: everything that must hold before a change is merged.

use crate::packages::{self, CARGO_DENY, FOR_TESTS};
use crate::process::{answer_within, cargo, name, root, succeeds};
use crate::{earlier, node, python, rules};
use anyhow::{Context, Result};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Of members, what is not built unless it is asked for.
const FEATURES: [&str; 2] = ["--features", "counterfoil-resource-server/axum"];
/// A database that has not come by then will not come.
const FETCH: Duration = Duration::from_mins(2);

/// Runs all steps, also after one that fails; whether everything passed.
pub(crate) fn run() -> Result<bool> {
    packages::ensure(FOR_TESTS)?;
    packages::ensure_components()?;

    let mut report = Report::default();
    report.step("format", || succeeds(&mut cargo(&["fmt", "--all", "--check"])));
    report.step("house rules", rules::run);
    report.step("clippy", || {
        let mut clippy = cargo(&["clippy", "--workspace", "--all-targets"]);
        succeeds(clippy.args(FEATURES).args(["--", "-D", "warnings"]))
    });
    report.step("documentation", || {
        let mut doc = cargo(&["doc", "--workspace", "--no-deps"]);
        doc.arg("--document-private-items").args(FEATURES);
        succeeds(doc.env("RUSTDOCFLAGS", "-D warnings"))
    });
    dependencies(&mut report);
    report.step("programs of Python", python::ensure);
    report.step("programs of npm", node::ensure);
    // Before the present one, which is to be what cargo leaves behind.
    report.step("the release before", earlier::ensure);
    report.tests();
    Ok(report.print())
}

fn dependencies(report: &mut Report) {
    let cargo_deny = match packages::ensure_tool(&CARGO_DENY) {
        Ok(program) => program,
        Err(error) => return report.step("cargo-deny", || Err(error)),
    };
    report.step("licences, bans, sources", || {
        let mut deny = deny(&cargo_deny, "Cargo.toml", "deny.toml");
        succeeds(
            deny.args(["check", "--hide-inclusion-graph"]).args(["licenses", "bans", "sources"]),
        )
    });
    report.step("core's layering", || {
        let mut deny = deny(&cargo_deny, "crates/core/Cargo.toml", "crates/core/deny.toml");
        succeeds(deny.args(["check", "bans"]))
    });
    report.advisories(&cargo_deny);
}

fn deny(program: &Path, manifest: &str, configuration: &str) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root()).args(["--manifest-path", manifest, "--config", configuration]);
    // A root package hides the other members; core's rule is about core alone.
    if manifest == "Cargo.toml" {
        command.arg("--workspace");
    }
    command
}

#[derive(Default)]
struct Report {
    rows: Vec<Row>,
    counts: Counts,
}

struct Row {
    name: &'static str,
    outcome: &'static str,
    time: Duration,
}

#[derive(Default, Debug, PartialEq)]
struct Counts {
    passed: u64,
    failed: u64,
    skipped: u64,
}

impl Report {
    fn step(&mut self, name: &'static str, step: impl FnOnce() -> Result<bool>) {
        heading(name);
        let start = Instant::now();
        let passed = step().unwrap_or_else(|error| {
            println!("{error:#}");
            false
        });
        if passed {
            self.counts.passed += 1;
        } else {
            self.counts.failed += 1;
        }
        self.row(name, if passed { "passed" } else { "FAILED" }, start);
    }

    /// Advisories need the world; where it is not to be had, that is said and nothing fails.
    fn advisories(&mut self, cargo_deny: &Path) {
        let configured = || deny(cargo_deny, "Cargo.toml", "deny.toml");
        let start = Instant::now();
        let fetched = answer_within(FETCH, configured().args(["fetch", "db"]));
        if fetched.is_ok_and(|answer| answer.success) {
            self.step("advisories", || {
                succeeds(configured().args(["check", "--hide-inclusion-graph", "advisories"]))
            });
        } else {
            heading("advisories");
            println!("advisories: database not to be had here, not checked");
            self.row("advisories", "not checked", start);
        }
    }

    fn tests(&mut self) {
        heading("tests");
        let start = Instant::now();
        let outcome = tests().unwrap_or_else(|error| {
            println!("{error:#}");
            Counts { failed: 1, ..Counts::default() }
        });
        self.counts.add(&outcome);
        let passed = outcome.failed == 0;
        self.row("tests", if passed { "passed" } else { "FAILED" }, start);
    }

    fn row(&mut self, name: &'static str, outcome: &'static str, start: Instant) {
        let time = start.elapsed();
        println!("-- {name}: {outcome}, {:.1} s", time.as_secs_f64());
        self.rows.push(Row { name, outcome, time });
    }

    /// Prints the summary; whether nothing failed.
    fn print(&self) -> bool {
        heading("summary");
        for row in &self.rows {
            let seconds = row.time.as_secs_f64();
            println!("{:<26}{:<12}{seconds:>8.1} s", row.name, row.outcome);
        }
        println!("\n{}", self.counts.sentence());
        self.counts.failed == 0
    }
}

impl Counts {
    fn add(&mut self, other: &Counts) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }

    /// Adds what a line like `test result: ok. 5 passed; 0 failed; 1 ignored; …` says.
    fn read(&mut self, line: &str) {
        let Some(result) = line.strip_prefix("test result: ") else {
            return;
        };
        let result = result.split_once(". ").map_or(result, |(_, counts)| counts);
        for part in result.split(';') {
            let Some((number, what)) = part.trim().split_once(' ') else {
                continue;
            };
            let Ok(number) = number.parse::<u64>() else {
                continue;
            };
            match what {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.skipped += number,
                _ => {}
            }
        }
    }

    fn sentence(&self) -> String {
        let skipped = match self.skipped {
            0 => String::new(),
            skipped => format!(", {skipped} skipped"),
        };
        format!("{} passed, {} failed{skipped}", self.passed, self.failed)
    }
}

/// Runs the tests, passing their output on line by line.
fn tests() -> Result<Counts> {
    let mut command = cargo(&["test", "--workspace", "--no-fail-fast"]);
    command.args(FEATURES);
    // Many tests wait for a lease, a browser or a database: one more than there are processors
    // keeps those busy.
    let threads = thread::available_parallelism().map_or(2, |processors| processors.get() + 1);
    let mut child = command
        .env("RUST_TEST_THREADS", threads.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {}", name(&command)))?;
    let mut counts = Counts::default();
    if let Some(output) = child.stdout.take() {
        let mut terminal = std::io::stdout();
        for line in BufReader::new(output).split(b'\n') {
            let mut line = line?;
            counts.read(&String::from_utf8_lossy(&line));
            line.push(b'\n');
            terminal.write_all(&line)?;
        }
    }
    // What did not compile, or died, has no line that says so.
    if !child.wait()?.success() && counts.failed == 0 {
        counts.failed = 1;
    }
    Ok(counts)
}

fn heading(name: &str) {
    println!("\n== {name}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_counted() {
        let mut counts = Counts::default();
        counts.read("running 3 tests");
        counts.read("test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 7 filtered out; finished in 0.00s");
        counts.read("test result: FAILED. 2 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.23s");
        let expected = Counts { passed: 7, failed: 3, skipped: 1 };
        assert_eq!(counts, expected);
        assert_eq!(counts.sentence(), "7 passed, 3 failed, 1 skipped");
    }

    #[test]
    fn what_is_not_skipped_is_not_mentioned() {
        assert_eq!(Counts::default().sentence(), "0 passed, 0 failed");
    }
}
