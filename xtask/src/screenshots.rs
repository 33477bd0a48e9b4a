//! `cargo xtask screenshots`: pictures of the console's pages.
//!
//! The work is done by a program of the tests' own, which has their browser.

use crate::packages::{self, FOR_SCREENSHOTS};
use crate::process::{cargo, succeeds, target_dir};
use anyhow::{Result, bail};
use std::process::Command;

/// Whether all pictures were taken.
pub(crate) fn run(names: &[&str]) -> Result<bool> {
    packages::ensure(FOR_SCREENSHOTS)?;
    for package in ["counterfoil", "counterfoil-support"] {
        if !succeeds(&mut cargo(&["build", "--package", package]))? {
            bail!("{package} cannot be built");
        }
    }
    let mut screenshots = Command::new(target_dir().join("debug/screenshots"));
    succeeds(screenshots.arg(target_dir().join("screenshots")).args(names))
}
