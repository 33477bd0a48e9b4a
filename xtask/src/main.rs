//! What the project does to itself: its tests, its house rules, its benchmarks, its
//! soak, its fuzzing, its pictures.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "these are commands for a person at a terminal"
)]

mod bench;
mod earlier;
mod fill;
mod fuzz;
mod node;
mod packages;
mod process;
mod python;
mod rules;
mod screenshots;
mod simulate;
mod soak;
mod source;
mod test;

use std::process::ExitCode;

const USAGE: &str = "\
Usage: cargo xtask <command>

  test                  install what is missing, then check and test everything
  rules                 check the house rules alone
  earlier               build the release before this one, whose nodes tests have replaced by
                        those of the present one; `test` does it, too
  bench [row...] [options]
                        measure, and print one table
      row               in-process, access-token, index-memory, forward-auth,
                        access-token-http, verify, batch, gateway, auth-request, start,
                        memory, issue, password-flood, limits, latency, connections,
                        join, revoke, issue-shared; http for the six that load a
                        server with wrk, nodes for the last three; all (the default)
      --rounds N        rounds, of which medians are taken (default 5)
      --seconds N       seconds of load a round and server (default 5)
      --tokens N        tokens of the servers (default 1000000); made once and
                        kept in target/bench-data
      --program FILE    the counterfoil to measure, instead of this one
      --quick           one round of two seconds, 10000 tokens
  soak [options]        load one server, with tokens issued, rotated and revoked and
                        with reloads; every change is tried out; a verdict at last
      --minutes N       how long (default 60), with a line every minute
      --quick           one minute, with a line every five seconds
  fill DIRECTORY TOKENS [PROGRAM]
                        make a data directory with so many tokens, to measure on
  fuzz [options] [TARGET...]
                        feed parsers until they break or the time is over; all
                        targets, where none is named
      --seconds N       seconds a target (default 60)
  simulate [options]    run random schedules of the lease's protocol, until one breaks it
      --schedules N     how many (default 1000000)
      --seed N          the first one's seed (default 1); a schedule is a function of its own
  screenshots [NAME...] take pictures of the console's pages, light, dark and on a
                        phone, into target/screenshots; of all, where none is named";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments.as_slice() {
        ["test"] => test::run(),
        ["rules"] => rules::run(),
        ["earlier"] => earlier::ensure(),
        ["bench", options @ ..] => match bench::Options::parse(options) {
            Ok(options) => bench::run(&options).map(|()| true),
            Err(error) => return misused(&error.to_string()),
        },
        ["soak", options @ ..] => match soak::Options::parse(options) {
            Ok(options) => soak::run(&options).map(|never| match never {}),
            Err(error) => return misused(&error.to_string()),
        },
        ["fill", options @ ..] => match fill::Options::parse(options) {
            Ok(options) => fill::run(&options).map(|()| true),
            Err(error) => return misused(&error.to_string()),
        },
        ["fuzz", options @ ..] => match fuzz::Options::parse(options) {
            Ok(options) => fuzz::run(&options),
            Err(error) => return misused(&error.to_string()),
        },
        ["simulate", options @ ..] => match simulate::Options::parse(options) {
            Ok(options) => simulate::run(&options),
            Err(error) => return misused(&error.to_string()),
        },
        ["screenshots", names @ ..] => screenshots::run(names),
        ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        [] => return misused("which command?"),
        [other, ..] => return misused(&format!("cannot make sense of `{other}`")),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn misused(complaint: &str) -> ExitCode {
    eprintln!("xtask: {complaint}\n\n{USAGE}");
    ExitCode::from(2)
}
