//! `counterfoil keys`.

use super::{Failure, Global, Listing, operator::Operator, output};
use clap::Subcommand;
use http::Method;
use serde_json::{Value, json};

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
}

const ROTATE: &str = "\
A new key of each algorithm is published now and signs a day later, when whoever keeps the list \
of keys has read it again. What was signed before stays good until it ends. Where a key waits for \
its day already, none is made. The server does this by itself, as signing.rotate in the \
configuration says.

With --at-once new keys sign now and all others are withdrawn: every access token out there is \
refused at this installation's doors when this returns, and elsewhere once the list of keys has \
been read again, which may be kept for five minutes. It is for the day on which a key has leaked. \
Programs exchange their tokens anew; the tokens themselves stay as they are.";

pub(crate) async fn run(global: &Global, command: &Command) -> Result<(), Failure> {
    let operator = Operator::reach(global).await?;
    let result = match command {
        Command::List => list(global, &operator).await,
        Command::Rotate { at_once } => rotate(global, &operator, *at_once).await,
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
