//! The targets as a program, for `cargo xtask fuzz`: names them, writes their seeds, runs them.
//!
//! Random inputs know nothing of the code; where there is libFuzzer, use that.

#![expect(clippy::print_stdout, reason = "this is a command for a person at a terminal")]

use counterfoil_fuzz::{TARGETS, Target, run, target};
use std::{
    error::Error,
    path::Path,
    process::ExitCode,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

const USAGE: &str = "\
Usage: counterfoil-fuzz list | seeds TARGET DIRECTORY | run SECONDS TARGET";

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["list"] => TARGETS.iter().for_each(|target| println!("{}", target.name)),
        ["seeds", name, directory] => write_seeds(find(name)?, Path::new(directory))?,
        ["run", seconds, name] => return feed(find(name)?, Duration::from_secs(seconds.parse()?)),
        _ => return Err(USAGE.into()),
    }
    Ok(ExitCode::SUCCESS)
}

fn find(name: &str) -> Result<&'static Target, String> {
    target(name).ok_or_else(|| format!("there is no target {name}"))
}

fn write_seeds(target: &Target, directory: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(directory)?;
    for (number, seed) in (target.seeds)().iter().enumerate() {
        std::fs::write(directory.join(format!("seed-{number:03}")), seed)?;
    }
    Ok(())
}

/// Prints how many inputs there were, or the one that broke the target.
#[expect(clippy::disallowed_methods, reason = "every run is to draw other inputs")]
fn feed(target: &'static Target, time: Duration) -> Result<ExitCode, Box<dyn Error>> {
    let seed = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos() % (1 << 63))?;
    let start = Instant::now();
    // A look at the clock costs as much as a short input.
    match run(target, seed, |number| number % 64 != 0 || start.elapsed() < time) {
        Ok(inputs) => {
            println!("inputs: {inputs}");
            Ok(ExitCode::SUCCESS)
        }
        Err(failure) => {
            println!("{failure}");
            Ok(ExitCode::FAILURE)
        }
    }
}
