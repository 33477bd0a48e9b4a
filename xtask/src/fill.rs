//! `cargo xtask fill`: a data directory with many tokens, to measure on.
//!
//! Token N is the same in every directory: its secret is made from its number.
//! Whoever measures can so present any of them without keeping them all.

use crate::process::{Running, cargo, output_within, succeeds, target_dir};
use anyhow::{Context, Result, bail};
use counterfoil_core::token::{Digest, Prefix, Secret};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

/// How many rows one import has; the server takes no more than 200,000.
const PART: usize = 200_000;
/// One in so many tokens is of the API that has few.
const FEW: usize = 1_000;
/// How many organizations there are; the first has half of all tokens.
const ORGANIZATIONS: usize = 100;
/// How many service accounts each has.
const ACCOUNTS: usize = 10;
const LIMIT: Duration = Duration::from_mins(30);

/// The APIs `orders`, which has nearly all tokens, and `rare`.
const CONFIGURATION: &str = "\
[server]
listen = \"127.0.0.1:0\"
[gateway]
listen = \"127.0.0.1:0\"
[forward_auth]
listen = \"127.0.0.1:0\"
[metrics]
listen = \"127.0.0.1:0\"
[api.orders]
upstream = \"http://127.0.0.1:9\"
[api.orders.tokens]
prefix = \"orders\"
[api.orders.scopes]
read = \"Read orders\"
write = \"Change orders\"
[api.orders.roles]
viewer = [\"read\"]
editor = [\"read\", \"write\"]
[api.rare]
upstream = \"http://127.0.0.1:9\"
[api.rare.tokens]
prefix = \"rare\"
";

/// What to fill, with how many tokens, and by which program: one that is built here, if none is named.
#[derive(Debug, PartialEq)]
pub(crate) struct Options {
    directory: PathBuf,
    tokens: usize,
    program: Option<PathBuf>,
}

impl Options {
    pub(crate) fn parse(arguments: &[&str]) -> Result<Self> {
        let [directory, tokens, program @ ..] = arguments else {
            bail!("fill needs a directory and a number")
        };
        let program = match program {
            [] => None,
            [program] => Some(program.into()),
            _ => bail!("fill takes a directory, a number and a program"),
        };
        let tokens = tokens.parse().ok().filter(|number| *number > 0);
        let tokens = tokens.context("how many tokens has to be a number")?;
        Ok(Options { directory: directory.into(), tokens, program })
    }
}

/// The secret of token `number`, of the API and with the prefix of this name.
fn secret(api: &str, number: usize) -> Result<Secret> {
    let prefix = Prefix::try_from(api.to_owned()).context("a prefix")?;
    let digest = Digest::of(&format!("{api} {number}"));
    let entropy = digest.as_bytes().first_chunk().context("a digest is long enough")?;
    Ok(Secret::mint(&prefix, entropy))
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let program = if let Some(program) = &options.program {
        program.clone()
    } else {
        if !succeeds(&mut cargo(&["build", "--release", "--package", "counterfoil"]))? {
            bail!("the build failed");
        }
        target_dir().join("release/counterfoil")
    };
    let filling = Filling { program, directory: &options.directory };
    fs::create_dir_all(&options.directory)?;
    fs::write(filling.configuration(), CONFIGURATION)?;
    filling.administer(&["init", "--email", "bench@example.com", "--organization", "0"])?;
    let server = filling.serve()?;
    for organization in 0..ORGANIZATIONS {
        let name = organization.to_string();
        if organization > 0 {
            let create = ["organization", "create", "--name", &name, "--external-id", &name];
            filling.administer(&create)?;
        }
        for account in 0..ACCOUNTS {
            let id = format!("{organization}-{account}");
            filling.administer(&[
                "account",
                "create",
                "--service",
                "--name",
                &id,
                "--external-id",
                &id,
                "--organization",
                &name,
            ])?;
        }
    }
    let begin = Instant::now();
    for from in (0..options.tokens).step_by(PART) {
        let to = options.tokens.min(from + PART);
        for api in ["orders", "rare"] {
            filling.import(api, from..to)?;
        }
        println!("{to} tokens after {:.1} s", begin.elapsed().as_secs_f64());
    }
    // Its end folds the log into the database.
    drop(server);
    Ok(())
}

struct Filling<'a> {
    program: PathBuf,
    directory: &'a Path,
}

impl Filling<'_> {
    fn configuration(&self) -> PathBuf {
        self.directory.join("counterfoil.toml")
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--config").arg(self.configuration());
        command.arg("--data").arg(self.directory.join("data"));
        command
    }

    fn administer(&self, arguments: &[&str]) -> Result<String> {
        output_within(LIMIT, self.command().args(arguments))
    }

    fn serve(&self) -> Result<Running> {
        let mut command = self.command();
        command.arg("serve").stderr(File::create(self.directory.join("log"))?);
        let mut running = Running::start(&mut command)?;
        let begin = Instant::now();
        while UnixStream::connect(self.directory.join("data/operator.sock")).is_err() {
            if running.ended()?.is_some() || begin.elapsed() > LIMIT {
                bail!("the server did not start; see {}", self.directory.join("log").display());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(running)
    }

    /// Imports those tokens of a range that are of `api`.
    fn import(&self, api: &str, range: std::ops::Range<usize>) -> Result<()> {
        let path = self.directory.join("part.csv");
        let mut file = BufWriter::new(File::create(&path)?);
        writeln!(file, "digest,owner,state,role,expires_at,allowed_networks,external_id")?;
        let mut rows = 0;
        for number in range.filter(|number| number.is_multiple_of(FEW) == (api == "rare")) {
            writeln!(file, "{}", row(api, number)?)?;
            rows += 1;
        }
        file.into_inner().context("the rows cannot be written")?;
        if rows > 0 {
            let (path, from) = (path.to_string_lossy(), "sha256");
            let import = ["import", &path, "--from", from, "--api", api, "--entropy-bits", "192"];
            self.administer(&import)?;
        }
        Ok(fs::remove_file(path)?)
    }
}

/// A token as it would be imported: most are plain, a few have everything.
fn row(api: &str, number: usize) -> Result<String> {
    let digest = secret(api, number)?.digest();
    let mut row = String::with_capacity(160);
    for byte in digest.as_bytes() {
        write!(row, "{byte:02x}")?;
    }
    let organization =
        if number.is_multiple_of(2) { 0 } else { 1 + number / 2 % (ORGANIZATIONS - 1) };
    write!(row, ",{organization}-{}", number / 7 % ACCOUNTS)?;
    row.push_str(if number % 97 == 3 { ",paused" } else { "," });
    row.push_str(match (api, number % 3) {
        ("rare", _) => ",",
        (_, 0) => ",editor",
        _ => ",viewer",
    });
    match number % 4 {
        0 => row.push(','),
        _ => write!(row, ",20{}-0{}-01T00:00:00Z", 30 + number / 4 % 60, 1 + number % 9)?,
    }
    row.push_str(if number % 16 == 5 { ",10.0.0.0/8" } else { "," });
    match number % 8 {
        1 => write!(row, ",{number}")?,
        _ => row.push(','),
    }
    Ok(row)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_one_secret() {
        let text = |number| secret("orders", number).unwrap().reveal().to_owned();
        assert_eq!(text(7), text(7));
        assert_ne!(text(7), text(8));
        assert!(text(7).starts_with("orders_"));
        assert_eq!(row("rare", 0).unwrap().split(',').count(), 7);
        assert_eq!(row("orders", 5).unwrap().split(',').count(), 7);
    }
}
