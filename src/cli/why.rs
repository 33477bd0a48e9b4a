//! `counterfoil why`.

use super::{
    Failure, Global,
    operator::{Operator, segment},
    output,
};
use http::Method;

pub(crate) async fn run(global: &Global, request_id: &str) -> Result<(), Failure> {
    let operator = Operator::reach(global).await?;
    let path = format!("/v1/refusals/{}", segment(request_id));
    let found = operator.call(Method::GET, &path, None).await;
    operator.close().await;
    let refusal = found?;
    if global.json {
        return Ok(output::json(&refusal)?);
    }
    if global.quiet {
        return Ok(output::print(format_args!("{}", output::text(&refusal["code"])))?);
    }
    let fact = |name| output::text(&refusal[name]);
    Ok(output::print(format_args!(
        "{}",
        output::facts(&[
            ("reason", fact("code")),
            ("", fact("about")),
            ("when", fact("at")),
            ("door", fact("door")),
            ("API", fact("api")),
            ("request", format!("{} {}", fact("method"), fact("path"))),
            ("from", fact("client")),
            ("their name for it", fact("client_request_id")),
            ("token", fact("token")),
            ("organization", fact("organization")),
        ])
    ))?)
}
