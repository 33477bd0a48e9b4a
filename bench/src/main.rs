//! What Counterfoil is measured beside: servers that do as little as can be done.
//!
//! `cargo xtask bench` starts these. Nothing of it is part of the product.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "these are programs for other programs, and for a person at a terminal"
)]

mod flood;
mod held;
mod insert;
mod lists;
mod revoke;
mod servers;
mod soak;
mod steady;

use anyhow::{Context as _, Result, bail};
use std::{path::Path, process::ExitCode, time::Duration};

const USAGE: &str = "\
Usage: counterfoil-bench <command>

  empty PORT                     answer every request with nothing
  signature PORT                 the same, having verified one Ed25519 signature
  json PORT ANSWER TOKENS        read questions to verify as JSON, write as many bytes of
                                 JSON as the answer in the file ANSWER has; in a batch,
                                 hash each secret and look it up among TOKENS
  digests FIRST COUNT            made tokens as a file for `import --from sha256`
  secrets FIRST COUNT            their secrets
  insert DATABASE ROWS NEW       insert the last ROWS tokens of a database into a new one,
                                 in groups of 100; print how many were inserted a second
  flood PORT PATH RATE SECONDS   so many wrong passwords a second, each from an address and for a
                                 person of its own; print how often each status was answered
  steady PORT REQUEST RATE SECONDS
                                 the request in the file REQUEST so many times a second, each at
                                 its time; print p50, p99 and p99.9 of how long they were waited
                                 for, in microseconds
  revoke CALLER BODY COUNT PORT...
                                 issue COUNT tokens as BODY says, then revoke them one by one at
                                 these nodes in turn, as the holder of the token CALLER; print p50,
                                 p99 and the most of how long that took, in microseconds
  held PORT SMALL LARGE SECRET RESTING SLOW SECONDS
                                 hold so many connections that have asked for SMALL, and so many that
                                 read LARGE slowly; print \"held\" once all of them are there
  soak PROGRAM PARENT MINUTES SECONDS
                                 load a server of PROGRAM for so many minutes, with changes and
                                 reloads, in a directory of its own in PARENT; print a line every so many seconds, at last a verdict";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("counterfoil-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[&str]) -> Result<()> {
    match *arguments {
        ["empty", port] => servers::empty(port.parse().context("PORT")?),
        ["signature", port] => servers::signature(port.parse().context("PORT")?),
        ["json", port, answer, tokens] => servers::json(
            port.parse().context("PORT")?,
            Path::new(answer),
            tokens.parse().context("TOKENS")?,
        ),
        ["digests", first, count] => lists::digests(range(first, count)?),
        ["secrets", first, count] => lists::secrets(range(first, count)?),
        ["insert", database, rows, new] => {
            let rows = rows.parse().context("ROWS")?;
            println!("{:.0}", insert::rate(Path::new(database), rows, Path::new(new))?);
            Ok(())
        }
        ["flood", port, path, rate, seconds] => {
            let flood = flood::Flood {
                port: port.parse().context("PORT")?,
                path,
                per_second: rate.parse().context("RATE")?,
                time: Duration::from_secs(seconds.parse().context("SECONDS")?),
            };
            let answers = flood.run()?;
            let told = answers.iter().map(|(status, times)| format!("{times} × {status}"));
            println!("{}", told.collect::<Vec<_>>().join(", "));
            Ok(())
        }
        ["steady", port, request, rate, seconds] => {
            let steady = steady::Steady {
                port: port.parse().context("PORT")?,
                request: &std::fs::read(request).context("REQUEST")?,
                per_second: rate.parse().context("RATE")?,
                time: Duration::from_secs(seconds.parse().context("SECONDS")?),
            };
            let steady::Times { p50, p99, p999 } = steady.run()?;
            println!("{p50} {p99} {p999}");
            Ok(())
        }
        ["revoke", caller, body, count, ref ports @ ..] => {
            let ports = ports.iter().map(|port| port.parse().context("PORT"));
            let revoke = revoke::Revoke {
                caller,
                body,
                count: count.parse().context("COUNT")?,
                ports: ports.collect::<Result<_>>()?,
            };
            let revoke::Times { p50, p99, most } = revoke.run()?;
            println!("{p50} {p99} {most}");
            Ok(())
        }
        ["held", port, small, large, secret, resting, slow, seconds] => {
            let held = held::Held {
                port: port.parse().context("PORT")?,
                small,
                large,
                secret,
                resting: resting.parse().context("RESTING")?,
                slow: slow.parse().context("SLOW")?,
            };
            let time = Duration::from_secs(seconds.parse().context("SECONDS")?);
            held.run(time, || println!("held"))
        }
        ["soak", program, parent, minutes, seconds] => soak::run(&soak::Plan {
            program: program.into(),
            parent: parent.into(),
            whole: Duration::from_mins(minutes.parse().context("MINUTES")?),
            line: Duration::from_secs(seconds.parse().context("SECONDS")?),
        }),
        _ => bail!("that is none of its commands\n\n{USAGE}"),
    }
}

fn range(first: &str, count: &str) -> Result<std::ops::Range<u64>> {
    let (first, count): (u64, u64) =
        (first.parse().context("FIRST")?, count.parse().context("COUNT")?);
    Ok(first..first + count)
}
