//! `counterfoil verify`.

use super::{
    Failure, Global,
    operator::{Operator, read_file, read_secret},
    output,
};
use anyhow::anyhow;
use clap::Args;
use http::Method;
use serde_json::{Map, Value, json};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// The API that was asked
    #[arg(long)]
    api: String,
    /// A file with the secret alone (its first line); - reads standard input
    #[arg(long, value_name = "FILE", required_unless_present_any = ["header", "headers_file"])]
    secret_file: Option<PathBuf>,
    /// A file with the request's header lines; - reads standard input
    #[arg(long, value_name = "FILE", conflicts_with = "secret_file")]
    headers_file: Option<PathBuf>,
    /// A header line, as in "Name: value"; others on this machine can see a command line
    #[arg(long, value_name = "LINE", conflicts_with = "secret_file")]
    header: Vec<String>,
    /// The request's method
    #[arg(long)]
    method: Option<String>,
    /// The request's path, as the API's routes call it
    #[arg(long)]
    path: Option<String>,
    /// The client's address
    #[arg(long, value_name = "ADDRESS")]
    client_address: Option<String>,
    /// A scope that it needs besides
    #[arg(long)]
    scope: Option<String>,
}

pub(crate) async fn run(global: &Global, verify: Verify) -> Result<(), Failure> {
    let question = question(verify)?;
    let operator = Operator::reach_to_verify(global).await?;
    let answer = operator.call(Method::POST, "/v1/verify", Some(&question)).await;
    operator.close().await;
    let answer = answer?;
    let is_active = answer["active"] == json!(true);
    if global.json {
        output::json(&answer)?;
    } else if is_active {
        let name = if global.quiet { "token" } else { "" };
        output::print(format_args!("{}", told(&answer, name)))?;
    }
    if is_active {
        return Ok(());
    }
    Err(Failure::Failed(anyhow!(
        "refused: {} (the API would answer {})",
        output::text(&answer["code"]),
        answer["refusal"]["status"]
    )))
}

fn told(answer: &Value, only: &str) -> String {
    let fact = |name: &str| output::text(&answer[name]);
    if !only.is_empty() {
        return fact(only);
    }
    output::facts(&[
        ("token", fact("token")),
        ("account", fact("account")),
        ("organization", fact("organization")),
        ("role", fact("role")),
        ("scopes", fact("scopes")),
        ("expires", fact("expires_at")),
    ])
}

fn question(verify: Verify) -> Result<Value, Failure> {
    let mut question = Map::from_iter([("api".to_owned(), json!(verify.api))]);
    let others = [
        ("method", verify.method),
        ("path", verify.path),
        ("client_address", verify.client_address),
        ("scope", verify.scope),
    ];
    for (name, value) in others {
        if let Some(value) = value {
            question.insert(name.to_owned(), json!(value));
        }
    }
    if let Some(file) = &verify.secret_file {
        question.insert("secret".to_owned(), json!(read_secret(file)?));
        return Ok(Value::Object(question));
    }
    let mut lines = verify.header;
    if let Some(file) = &verify.headers_file {
        lines.extend(read_file(file)?.lines().filter(|l| !l.is_empty()).map(str::to_owned));
    }
    let mut headers = Map::new();
    for (number, line) in lines.iter().enumerate() {
        // Not repeated: it may have a secret in it.
        let (name, value) = line.split_once(':').ok_or_else(|| {
            Failure::Wrong(anyhow!("header line {}: expected \"Name: value\"", number + 1))
        })?;
        let values = headers.entry(name.trim()).or_insert_with(|| json!([]));
        if let Some(values) = values.as_array_mut() {
            values.push(json!(value.trim()));
        }
    }
    question.insert("headers".to_owned(), Value::Object(headers));
    Ok(Value::Object(question))
}
