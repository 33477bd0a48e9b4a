//! `counterfoil audit`.

use super::{
    Failure, Global, Listing,
    operator::{Operator, with_query},
    output,
};
use clap::Args;
use http::Method;
use serde_json::Value;

#[derive(Debug, Args)]
pub(crate) struct Audit {
    /// Only what is about this token, account or organization: its id
    #[arg(long, value_name = "ID")]
    subject: Option<String>,
    /// Only what was asked for with this token of the management API: its id
    #[arg(long, value_name = "ID")]
    actor: Option<String>,
    /// Only what concerns this organization: an id or a name
    #[arg(long)]
    organization: Option<String>,
    /// Only what comes behind the entry of this number
    #[arg(long, value_name = "NUMBER")]
    after: Option<u64>,
    /// How many, up to 1000
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
}

pub(crate) async fn run(global: &Global, audit: Audit) -> Result<(), Failure> {
    let operator = Operator::reach(global).await?;
    let found = find(&operator, audit).await;
    operator.close().await;
    let listing = Listing {
        empty: "Nothing has changed there.",
        headings: &["seq", "when", "what", "about", "by", "details"],
        id: "seq",
        row: |item: &Value| {
            vec![
                output::text(&item["seq"]),
                output::text(&item["at"]),
                output::text(&item["kind"]),
                output::text(&item["subject"]["id"]),
                by(&item["actor"]),
                details(&item["details"]),
            ]
        },
        more: "--after",
    };
    listing.print(global, &found?)
}

async fn find(operator: &Operator, audit: Audit) -> Result<Value, Failure> {
    let organization = match &audit.organization {
        Some(name) => Some(super::organizations::resolve(operator, name).await?),
        None => None,
    };
    let parameters = [
        ("subject", audit.subject),
        ("actor", audit.actor),
        ("organization", organization),
        ("after", audit.after.map(|after| after.to_string())),
        ("limit", Some(audit.limit.to_string())),
    ];
    operator.call(Method::GET, &with_query("/v1/audit", &parameters), None).await
}

fn by(actor: &Value) -> String {
    match actor["kind"].as_str() {
        Some("token" | "session") => output::text(&actor["account"]),
        Some(kind) => kind.replace('_', " "),
        None => String::new(),
    }
}

/// What is there, as `name=value`.
fn details(details: &Value) -> String {
    let Some(details) = details.as_object() else { return "erased".to_owned() };
    // What is not there says something too: no end, no networks.
    details
        .iter()
        .map(|(name, value)| match output::text(value) {
            text if text.is_empty() => format!("{name}=none"),
            text => format!("{name}={text}"),
        })
        .collect::<Vec<_>>()
        .join(" ")
}
