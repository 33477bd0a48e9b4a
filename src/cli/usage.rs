//! `counterfoil usage`.

use super::{
    Failure, Global, Listing, Part,
    operator::{Operator, with_query},
    output,
};
use clap::Args;
use http::Method;
use serde_json::Value;

#[derive(Debug, Args)]
pub(crate) struct Usage {
    /// Only of this token: its id
    #[arg(long, value_name = "ID")]
    token: Option<String>,
    /// Only of tokens of this API
    #[arg(long, value_name = "NAME")]
    api: Option<String>,
    /// Only of tokens of this organization: an id or a name
    #[arg(long)]
    organization: Option<String>,
    /// From when on, as in 2027-01-31T12:00:00Z [default: a day before --to]
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Until when [default: now]
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    #[command(flatten)]
    part: Part,
}

pub(crate) async fn run(global: &Global, usage: Usage) -> Result<(), Failure> {
    let operator = Operator::reach(global).await?;
    let result = list(global, &operator, usage).await;
    operator.close().await;
    result
}

async fn list(global: &Global, operator: &Operator, usage: Usage) -> Result<(), Failure> {
    let organization = match &usage.organization {
        Some(name) => Some(super::organizations::resolve(operator, name).await?),
        None => None,
    };
    let [cursor, limit] = usage.part.parameters();
    let query = with_query(
        "/v1/usage",
        &[
            ("token", usage.token),
            ("api", usage.api),
            ("organization", organization),
            ("from", usage.from),
            ("to", usage.to),
            cursor,
            limit,
        ],
    );
    let found = operator.call(Method::GET, &query, None).await?;
    let columns = ["hour", "token", "api", "outcome", "count"];
    let listing = Listing {
        empty: "No requests with a token in that time.",
        headings: &columns,
        id: "token",
        row: |item: &Value| columns.map(|column| output::text(&item[column])).to_vec(),
        more: "--cursor",
    };
    listing.print(global, &found)
}
