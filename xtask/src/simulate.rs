//! `cargo xtask simulate`: random schedules of the lease's protocol, as many as one has time for.
//!
//! The simulation is a test of core; this builds it with optimizations and says how long it is
//! to go on.

use crate::process::{cargo, succeeds};
use anyhow::{Context, Result, bail};

const TEST: &str = "no_schedule_breaks_the_promise";

/// How many, and which.
#[derive(Debug, PartialEq)]
pub(crate) struct Options {
    schedules: u64,
    seed: u64,
}

impl Options {
    pub(crate) fn parse(arguments: &[&str]) -> Result<Self> {
        let mut options = Options { schedules: 1_000_000, seed: 1 };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let place = match *argument {
                "--schedules" => &mut options.schedules,
                "--seed" => &mut options.seed,
                other => bail!("cannot make sense of `{other}`"),
            };
            *place = arguments
                .next()
                .and_then(|text| text.parse().ok())
                .filter(|number| (1..=1_000_000_000_000).contains(number))
                .context("a number from 1 to 1000000000000 belongs there")?;
        }
        Ok(options)
    }
}

/// Whether none broke.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let test = ["test", "--quiet", "--release", "--package", "counterfoil-core", "--test", "lease"];
    let mut command = cargo(&test);
    command.args(["--", "--exact", TEST, "--nocapture"]);
    command.env("COUNTERFOIL_SCHEDULES", options.schedules.to_string());
    command.env("COUNTERFOIL_SEED", options.seed.to_string());
    succeeds(&mut command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_numbers() {
        let options = Options::parse(&["--seed", "7", "--schedules", "20"]).unwrap();
        assert_eq!(options, Options { schedules: 20, seed: 7 });
        for wrong in [&["--seed"][..], &["--schedules", "0"], &["x"], &["--seed", "-1"]] {
            assert!(Options::parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
