//! `counterfoil token deny`.

use super::{
    Failure, Global, Listing,
    operator::{Operator, segment},
    output,
    tokens::read_whole_secret,
};
use anyhow::anyhow;
use counterfoil_core::token::Digest;
use http::Method;
use serde_json::{Value, json};
use std::path::PathBuf;

/// The token that is meant: one of the two.
pub(super) struct Which {
    pub(super) id: Option<String>,
    pub(super) secret_file: Option<PathBuf>,
}

pub(super) async fn run(
    global: &Global,
    which: Which,
    takes_back: bool,
    lists: bool,
) -> Result<(), Failure> {
    let operator = Operator::of_server(global).await?;
    match which {
        _ if lists => list(global, &operator).await,
        Which { id: Some(id), .. } if takes_back => lift(global, &operator, &id).await,
        which => deny(global, &operator, which).await,
    }
}

async fn deny(global: &Global, operator: &Operator, which: Which) -> Result<(), Failure> {
    let denied = match which {
        Which { id: Some(id), .. } => operator.call(Method::PUT, &path(&id), None).await?,
        Which { secret_file: Some(file), .. } => {
            // What leaves this process is a digest.
            let digest = Digest::of(&read_whole_secret(&file)?);
            let body = json!({ "digest": digest });
            operator.call(Method::POST, "/v1/denied-tokens", Some(&body)).await?
        }
        Which { .. } => {
            return Err(Failure::Wrong(anyhow!("name the token: its id, or --secret-file")));
        }
    };
    if global.json {
        return Ok(output::json(&denied)?);
    }
    let id = output::text(&denied["token"]);
    if denied["revoked"] == json!(true) {
        output::note(format_args!("{id} is revoked already; there is nothing to deny."));
        return Ok(());
    }
    if global.quiet {
        return Ok(output::print(format_args!("{id}"))?);
    }
    output::note(format_args!("{id}: denied at this node from now on. It is not revoked."));
    if denied["known"] == json!(false) {
        output::note(format_args!(
            "This node knows no token with this id: see that it is the right one."
        ));
    }
    if denied["kept"] == json!(false) {
        output::note(format_args!(
            "It could not be written to the data directory; the server's log says why. A restart \
             would forget it."
        ));
    }
    output::note(format_args!(
        "Other nodes know nothing of it. Run this at each of them:\n\n  counterfoil token deny {id}\n\n\
         and revoke it once the database answers; that ends this, too:\n\n  \
         counterfoil token revoke {id}"
    ));
    Ok(())
}

async fn lift(global: &Global, operator: &Operator, id: &str) -> Result<(), Failure> {
    operator.call(Method::DELETE, &path(id), None).await?;
    if !global.json && !global.quiet {
        output::note(format_args!(
            "{id}: no longer denied at this node. Unless it is refused for another reason, it is \
             accepted again."
        ));
    }
    Ok(())
}

/// Whether the server that is asked denies a token by itself.
pub(super) async fn has(operator: &Operator, id: &str) -> Result<bool, Failure> {
    let found = operator.call(Method::GET, "/v1/denied-tokens", None).await?;
    Ok(found["items"].as_array().into_iter().flatten().any(|item| item["token"] == id))
}

async fn list(global: &Global, operator: &Operator) -> Result<(), Failure> {
    let found = operator.call(Method::GET, "/v1/denied-tokens", None).await?;
    let listing = Listing {
        empty: "This node denies no token by itself.",
        headings: &["token"],
        id: "token",
        row: |item: &Value| vec![output::text(&item["token"])],
        more: "",
    };
    listing.print(global, &found)
}

fn path(id: &str) -> String {
    format!("/v1/denied-tokens/{}", segment(id))
}
