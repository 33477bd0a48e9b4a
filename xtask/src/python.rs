//! Programs from Python's world, of fixed versions, in an environment of their own.

use crate::process::{root, succeeds, target_dir};
use anyhow::{Context, Result};
use std::fs;
use std::process::Command;
use std::time::Instant;

/// What is installed, from whatever index pip is configured with.
const PINNED: &str = include_str!("../python.txt");

/// Sees to it that the environment in `target/tools/python` is there and current.
pub(crate) fn ensure() -> Result<bool> {
    let environment = target_dir().join("tools/python");
    let installed = environment.join("installed.txt");
    if fs::read_to_string(&installed).is_ok_and(|versions| versions == PINNED) {
        return Ok(true);
    }
    println!("missing: what xtask/python.txt names; installing it once");
    let start = Instant::now();
    let mut venv = Command::new("python3");
    let mut pip = Command::new(environment.join("bin/pip"));
    pip.args(["install", "--quiet", "--disable-pip-version-check", "--requirement"]);
    let made = succeeds(venv.args(["-m", "venv", "--clear"]).arg(&environment))?
        && succeeds(pip.arg(root().join("xtask/python.txt")))?;
    if made {
        fs::write(&installed, PINNED).context("cannot note what is installed")?;
        println!("installed in {} s", start.elapsed().as_secs());
    }
    Ok(made)
}
