//! `cargo xtask soak`: an hour under load, with changes and reloads going on.
//!
//! The work is done by the workspace's bench program, which also ends what it has
//! started when somebody interrupts it.

use crate::process::{cargo, succeeds, target_dir};
use anyhow::{Context, Result, bail};
use std::convert::Infallible;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// How long, and how often it tells.
#[derive(Debug, PartialEq)]
pub(crate) struct Options {
    minutes: u64,
    seconds: u64,
}

impl Options {
    pub(crate) fn parse(arguments: &[&str]) -> Result<Self> {
        let number = |text: &str| text.parse().ok().filter(|number| (1..=1440).contains(number));
        match *arguments {
            [] => Ok(Options { minutes: 60, seconds: 60 }),
            ["--quick"] => Ok(Options { minutes: 1, seconds: 5 }),
            ["--minutes", minutes] => match number(minutes) {
                Some(minutes) => Ok(Options { minutes, seconds: 60 }),
                None => bail!("--minutes: a number from 1 to 1440 belongs there"),
            },
            _ => bail!("soak takes --minutes N, or --quick"),
        }
    }
}

/// Does not come back, unless it cannot begin.
pub(crate) fn run(options: &Options) -> Result<Infallible> {
    // One by one: together they would be built with each other's features.
    for package in ["counterfoil-bench", "counterfoil"] {
        if !succeeds(&mut cargo(&["build", "--release", "--package", package]))? {
            bail!("{package} cannot be built");
        }
    }
    let mut soak = Command::new(target_dir().join("release/counterfoil-bench"));
    soak.arg("soak").arg(target_dir().join("release/counterfoil")).arg(target_dir());
    soak.arg(options.minutes.to_string()).arg(options.seconds.to_string());
    // It takes this process's place, so that whoever interrupts it reaches it alone.
    Err(soak.exec()).context("cannot run counterfoil-bench")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read() {
        assert_eq!(Options::parse(&[]).unwrap(), Options { minutes: 60, seconds: 60 });
        let three = Options::parse(&["--minutes", "3"]).unwrap();
        assert_eq!(three, Options { minutes: 3, seconds: 60 });
        for wrong in [&["--minutes"][..], &["--minutes", "0"], &["--hours", "1"]] {
            assert!(Options::parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
