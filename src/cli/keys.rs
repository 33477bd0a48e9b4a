//! `counterfoil keys`.

use super::{Failure, Global, Listing, operator::Operator, output};
use crate::{
    access_tokens, clock, config,
    http::api::signing_keys::KeyView,
    signing::{self, MadeKeys},
};
use clap::Subcommand;
use counterfoil_core::time::Seconds;
use http::Method;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the keys that sign access tokens: the next ones, those that sign, retired ones
    List,
    /// Have the next keys sign access tokens, from tomorrow on or at once
    #[command(after_help = ROTATE)]
    Rotate {
        /// Withdraw the present keys now: somebody may have them
        #[arg(long)]
        at_once: bool,
    },
    /// Make keys that nodes share, as far as they are due, in a directory; no server is asked
    #[command(after_help = MAKE)]
    Make {
        /// Where to; made where it is missing
        directory: PathBuf,
        /// Make the next ones, too, though they are not due
        #[arg(long)]
        early: bool,
        /// How long after one key the next is due: what signing.rotate is at the nodes
        #[arg(long, value_name = "SPAN", default_value = "30d", value_parser = config::rotation)]
        every: Seconds,
    },
}

const MAKE: &str = "\
Where several nodes share a database, the keys are files that you hand to each of them \
(signing.keys_directory). This makes the first keys, of each algorithm one, and later the next ones, \
once they are due; at other times it does nothing, so that it may run every day. It reads no \
configuration, removes no key, and names those that have done their work.

The first keys sign at once. Each later one signs a day after it was made: have it at every node by \
then. Nodes read the directory every minute, and on SIGHUP.

On the day on which a key has leaked remove all of them, make new ones, and hand those out, with the \
old ones gone: whatever these have signed is refused by each node from then on.";

const ROTATE: &str = "\
A new key of each algorithm is published now and signs a day later, when whoever keeps the list \
of keys has read it again. What was signed before stays good until it ends. Where a key waits for \
its day already, none is made. The server does this by itself, as signing.rotate in the \
configuration says.

With --at-once new keys sign now and all others are withdrawn: every access token out there is \
refused at this installation's doors when this returns, and elsewhere once the list of keys has \
been read again, which may be kept for five minutes. It is for the day on which a key has leaked. \
Programs exchange their tokens anew; the tokens themselves stay as they are.

Keys that several nodes share (signing.keys_directory) are files that no server changes: see \
`counterfoil keys make`.";

pub(crate) async fn run(global: &Global, command: &Command) -> Result<(), Failure> {
    let rotation = match command {
        Command::Make { directory, early, every } => {
            return make(global, directory, *early, *every);
        }
        Command::List => None,
        Command::Rotate { at_once } => Some(*at_once),
    };
    let operator = Operator::reach(global).await?;
    let result = match rotation {
        None => list(global, &operator).await,
        Some(at_once) => rotate(global, &operator, at_once).await,
    };
    operator.close().await;
    result
}

async fn list(global: &Global, operator: &Operator) -> Result<(), Failure> {
    let found = operator.call(Method::GET, "/v1/signing-keys", None).await?;
    let listing = Listing {
        empty: "No keys: no API here has access tokens. [api.NAME.access_tokens] in the \
                configuration gives an API some.",
        headings: &HEADINGS,
        id: "kid",
        row,
        more: "",
    };
    listing.print(global, &found)
}

const HEADINGS: [&str; 5] = ["kid", "algorithm", "state", "published", "until"];

fn row(key: &Value) -> Vec<String> {
    ["kid", "algorithm", "state", "since", "until"].map(|name| output::text(&key[name])).into()
}

async fn rotate(global: &Global, operator: &Operator, at_once: bool) -> Result<(), Failure> {
    let body = json!({ "at_once": at_once });
    let rotated = operator.call(Method::POST, "/v1/signing-keys/rotate", Some(&body)).await?;
    if global.json {
        return Ok(output::json(&rotated)?);
    }
    let made: Vec<&Value> = rotated["made"].as_array().into_iter().flatten().collect();
    if global.quiet {
        for kid in made {
            output::print(format_args!("{}", output::text(kid)))?;
        }
        return Ok(());
    }
    let keys: Vec<&Value> = rotated["keys"].as_array().into_iter().flatten().collect();
    output::table(&HEADINGS, keys.iter().map(|key| row(key)))?;
    let said = if at_once && made.is_empty() {
        "\nAll keys are withdrawn. No API has access tokens now; when one has, new ones are made."
    } else if at_once {
        "\nNew keys sign. All others are withdrawn: the access tokens that they have signed are \
         refused here from now on, and elsewhere once the list of keys has been read again."
    } else if made.is_empty() {
        "\nThe next keys are published already, and sign when it is time; nothing was done. If \
         one has leaked, withdraw them with --at-once."
    } else {
        "\nThe next keys are published. The present ones sign until then, and what they have \
         signed stays good until it ends."
    };
    output::note(format_args!("{said}"));
    Ok(())
}

fn make(global: &Global, directory: &Path, early: bool, every: Seconds) -> Result<(), Failure> {
    let policy = access_tokens::policy(every);
    let done = signing::make_due(directory, policy, early, clock::now());
    let MadeKeys { made, keys, over } = done.map_err(anyhow::Error::from)?;
    let keys: Vec<KeyView> = keys.into_iter().map(KeyView::from).collect();
    let keys = json!(keys);
    let over: Vec<String> = over.iter().map(|path| path.display().to_string()).collect();
    if global.json {
        return Ok(output::json(&json!({ "made": made, "keys": keys, "over": over }))?);
    }
    if global.quiet {
        for kid in made {
            output::print(format_args!("{kid}"))?;
        }
        return Ok(());
    }
    output::table(&HEADINGS, keys.as_array().into_iter().flatten().map(row))?;
    let directory = directory.display();
    if made.is_empty() {
        output::note(format_args!("\nNo key is due; nothing was made."));
    } else {
        output::note(format_args!(
            "\nMade in {directory}: {}. Hand the same files to every node; a key that follows \
             another one signs a day after it was made.",
            made.join(" ")
        ));
    }
    if !over.is_empty() {
        output::note(format_args!(
            "These have done their work, and may be removed:\n{}",
            over.join("\n")
        ));
    }
    Ok(())
}
