//! `counterfoil ledger`.

use super::{Failure, Global, operator::Operator, output, progress::progress};
use anyhow::{Context as _, anyhow};
use clap::Subcommand;
use http::Method;
use serde_json::{Value, json};
use std::{
    io::{BufRead as _, BufReader, BufWriter, Write as _},
    path::{Path, PathBuf},
};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Recompute the chain of hashes and hold it against the database
    Verify {
        /// A copy that `ledger export` made, with which it has to agree, too
        #[arg(long, value_name = "FILE")]
        against: Option<PathBuf>,
    },
    /// Print the chain of hashes, a line of JSON for each entry: a copy to keep elsewhere
    Export {
        /// Only what comes behind the entry of this number
        #[arg(long, value_name = "NUMBER", default_value_t = 0)]
        after: u64,
    },
}

pub(crate) async fn run(global: &Global, command: &Command) -> Result<(), Failure> {
    let operator = Operator::reach(global).await?;
    match command {
        Command::Verify { against } => {
            let agrees = match against {
                Some(file) => compare(&operator, file).await,
                None => Ok(()),
            };
            match agrees {
                Ok(()) => verify(global, operator).await,
                Err(failure) => {
                    operator.close().await;
                    Err(failure)
                }
            }
        }
        Command::Export { after } => {
            let path = format!("/v1/ledger?after={after}");
            // A line may be one of millions.
            let mut out = BufWriter::with_capacity(64 * 1024, std::io::stdout());
            let print = |line: &[u8]| {
                out.write_all(line)?;
                Ok(out.write_all(b"\n")?)
            };
            let exported = operator.read_lines(Method::GET, &path, print).await;
            operator.close().await;
            out.flush()?;
            exported
        }
    }
}

/// Holds a copy of the chain against the ledger as it is now.
async fn compare(operator: &Operator, file: &Path) -> Result<(), Failure> {
    let copy = std::fs::File::open(file).map_err(|error| {
        Failure::Wrong(anyhow!("the copy {} cannot be read: {error}", file.display()))
    })?;
    let mut copy = BufReader::new(copy).lines().enumerate();
    let mut next = || -> Result<Option<(u64, String)>, Failure> {
        let Some((at, line)) = copy.next() else { return Ok(None) };
        let line: Value = serde_json::from_str(&line?).unwrap_or_default();
        match (line["number"].as_u64(), line["hash"].as_str()) {
            (Some(number), Some(hash)) => Ok(Some((number, hash.to_owned()))),
            _ => Err(Failure::Wrong(anyhow!(
                "line {} of {} is none that `ledger export` wrote",
                at + 1,
                file.display()
            ))),
        }
    };
    let Some(first) = next()? else { return Ok(()) };
    let mut wanted = Some(first.clone());
    let path = format!("/v1/ledger?after={}", first.0.saturating_sub(1));
    let take = |line: &[u8]| {
        let Some((number, hash)) = wanted.take() else { return Ok(()) };
        let entry: Value =
            serde_json::from_slice(line).context("the server's answer is no JSON")?;
        if entry["number"] != number || entry["hash"] != hash.as_str() {
            return Err(Failure::Failed(anyhow!(
                "entry {number} is not the one of the copy: the ledger has been written anew, or \
                 the copy is of another one"
            )));
        }
        wanted = next()?;
        Ok(())
    };
    operator.read_lines(Method::GET, &path, take).await?;
    match wanted {
        None => Ok(()),
        Some((number, _)) => Err(Failure::Failed(anyhow!(
            "entry {number} of the copy is not in the ledger any more: it has been cut off, or an \
             older state was put back"
        ))),
    }
}

async fn verify(global: &Global, operator: Operator) -> Result<(), Failure> {
    let quiet = global.quiet;
    let (bar, moved) = progress("entries", move |done, of| {
        if !quiet {
            output::note(format_args!("{done} of {of} entries"));
        }
    });
    let progress = |step: &Value| {
        moved(
            step["checked"].as_u64().unwrap_or_default(),
            step["of"].as_u64().unwrap_or_default(),
        );
    };
    let outcome = operator.follow("/v1/ledger/verify", Vec::new(), progress).await;
    bar.finish_and_clear();
    operator.close().await;
    let outcome = outcome?;
    if global.json {
        output::json(&outcome)?;
    }
    if outcome["agrees"] == json!(true) {
        if !global.json && !global.quiet {
            output::print(format_args!(
                "{} entries, unbroken, and the database is what they say.\nhead {}",
                outcome["entries"],
                output::text(&outcome["head"])
            ))?;
        }
        return Ok(());
    }
    let findings = outcome["findings"].as_array().cloned().unwrap_or_default();
    for finding in &findings {
        output::note(format_args!("{}", output::text(finding)));
    }
    Err(Failure::Failed(anyhow!(
        "the ledger and the database do not agree; everything up to entry {} is sound",
        outcome["entries"]
    )))
}
