//! Programs from npm's world, of fixed versions, in a directory of their own.

use crate::process::{root, succeeds, target_dir};
use anyhow::{Context, Result};
use std::fs;
use std::process::Command;
use std::time::Instant;

const PACKAGE: &str = include_str!("../node/package.json");
/// Versions and digests of all that is installed, from whatever registry npm is configured with.
const PINNED: &str = include_str!("../node/package-lock.json");

/// Sees to it that `target/tools/node` is there and current.
pub(crate) fn ensure() -> Result<bool> {
    let directory = target_dir().join("tools/node");
    let installed = directory.join("installed.json");
    if fs::read_to_string(&installed).is_ok_and(|versions| versions == PINNED) {
        return Ok(true);
    }
    println!("missing: what xtask/node/package.json names; installing it once");
    let start = Instant::now();
    fs::create_dir_all(&directory)?;
    fs::write(directory.join("package.json"), PACKAGE)?;
    fs::write(directory.join("package-lock.json"), PINNED)?;
    // `ci` takes what is locked, and nothing else.
    let mut npm = Command::new("npm");
    npm.current_dir(root()).args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix"]);
    let made = succeeds(npm.arg(&directory))?;
    if made {
        fs::write(&installed, PINNED).context("cannot note what is installed")?;
        println!("installed in {} s", start.elapsed().as_secs());
    }
    Ok(made)
}
