//! `counterfoil ledger`.

use super::{Failure, Global, operator::Operator, output};
use anyhow::anyhow;
use clap::Subcommand;
use http::Method;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Recompute the chain of hashes and hold it against the database
    Verify,
    /// Print the chain of hashes, a line of JSON for each entry: a copy to keep elsewhere
    Export {
        /// Only what comes behind the entry of this number
        #[arg(long, value_name = "NUMBER", default_value_t = 0)]
        after: u64,
    },
}

pub(crate) async fn run(global: &Global, command: &Command) -> Result<(), Failure> {
    let operator = Operator::reach_ledger(global).await?;
    match command {
        Command::Verify => verify(global, operator).await,
        Command::Export { after } => {
            let path = format!("/v1/ledger?after={after}");
            let print =
                |line: &[u8]| Ok(output::print(format_args!("{}", String::from_utf8_lossy(line)))?);
            let exported = operator.read_lines(Method::GET, &path, print).await;
            operator.close().await;
            exported
        }
    }
}

async fn verify(global: &Global, operator: Operator) -> Result<(), Failure> {
    let bar = progress_bar("entries");
    let progress = |step: &Value| {
        bar.set_length(step["of"].as_u64().unwrap_or_default());
        bar.set_position(step["checked"].as_u64().unwrap_or_default());
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

/// A bar on the terminal; nothing where there is none.
pub(crate) fn progress_bar(what: &'static str) -> ProgressBar {
    let bar = ProgressBar::no_length();
    let template = format!("{{bar:30}} {{human_pos}} of {{human_len}} {what}, {{eta}} to go");
    if let Ok(style) = ProgressStyle::with_template(&template) {
        bar.set_style(style);
    }
    bar
}
