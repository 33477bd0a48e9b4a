//! `/v1/denied-tokens`, the operator's: what this node refuses by itself, without the database.
//!
//! Nothing here waits for anything but this node's own disk.

use super::{Asking, List};
use crate::{
    denials::{Denials, Denied},
    http::{
        calls::{self, Calls},
        extract::{Json, Path},
        problem::Problem,
    },
};
use axum::{extract::State, response::NoContent};
use counterfoil_core::{id::TokenId, token::Digest};
use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

pub(crate) fn calls() -> Calls<Arc<Denials>> {
    Calls::new()
        .on(
            calls::get("/v1/denied-tokens", "list_denied_tokens")
                .does("List the tokens that this node denies by itself")
                .for_the_operator(),
            list,
        )
        .on(
            calls::put("/v1/denied-tokens/{id}", "deny_token")
                .does("Have this node deny a token")
                .about(
                    "For the day on which nothing can be revoked: no database is asked. It is \
                     refused as a revoked token is, at this node alone, until it is lifted or the \
                     token is revoked; a restart forgets nothing.",
                )
                .for_the_operator(),
            deny,
        )
        .on(
            calls::post("/v1/denied-tokens", "deny_token_by_digest")
                .does("Have this node deny the token of a secret")
                .about("As by its id, which is answered.")
                .for_the_operator()
                .fails(&[StatusCode::NOT_FOUND]),
            deny_by_digest,
        )
        .on(
            calls::delete("/v1/denied-tokens/{id}", "lift_denial")
                .does("Have this node deny a token no more")
                .for_the_operator()
                .fails(&[StatusCode::SERVICE_UNAVAILABLE]),
            lift,
        )
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "DeniedToken")]
struct ItemView {
    token: TokenId,
}

async fn list(
    State(denials): State<Arc<Denials>>,
    Asking(caller): Asking,
) -> Result<axum::Json<List<ItemView>>, Problem> {
    caller.is_operator()?;
    let items = denials.all().into_iter().map(|token| ItemView { token }).collect();
    Ok(axum::Json(List { items, next_cursor: None }))
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Denial")]
struct DenialView {
    token: TokenId,
    /// Whether this node knows the token; one that it does not know is denied all the same.
    known: bool,
    /// Whether the token is revoked, as this node knows: then nothing was done, and none is needed.
    revoked: bool,
    /// Whether a restart will remember it; not, where this node's disk could not be written.
    kept: bool,
}

impl From<Denied> for DenialView {
    fn from(denied: Denied) -> Self {
        let Denied { token, is_known, is_revoked, is_kept } = denied;
        Self { token, known: is_known, revoked: is_revoked, kept: is_kept }
    }
}

async fn deny(
    State(denials): State<Arc<Denials>>,
    Asking(caller): Asking,
    Path(token): Path<TokenId>,
) -> Result<axum::Json<DenialView>, Problem> {
    caller.is_operator()?;
    Ok(axum::Json(denials.deny(token).into()))
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "DenyByDigest")]
pub(crate) struct DigestBody {
    /// SHA-256 of the whole secret, in hexadecimal digits.
    #[schemars(with = "String", regex(pattern = "^[0-9A-Fa-f]{64}$"))]
    digest: Digest,
}

async fn deny_by_digest(
    State(denials): State<Arc<Denials>>,
    Asking(caller): Asking,
    Json(body): Json<DigestBody>,
) -> Result<axum::Json<DenialView>, Problem> {
    caller.is_operator()?;
    let unknown = || {
        let detail = "no token that this node knows has this secret; of the secrets that a \
                      rotation has replaced it knows the last alone, while that works";
        Problem::new(StatusCode::NOT_FOUND, "not_found", detail)
    };
    let token = denials.token_of(&body.digest).ok_or_else(unknown)?;
    Ok(axum::Json(denials.deny(token).into()))
}

async fn lift(
    State(denials): State<Arc<Denials>>,
    Asking(caller): Asking,
    Path(token): Path<TokenId>,
) -> Result<NoContent, Problem> {
    caller.is_operator()?;
    match denials.lift(token) {
        Ok(true) => Ok(NoContent),
        Ok(false) => {
            let detail = format!("this node does not deny the token {token}");
            Err(Problem::new(StatusCode::NOT_FOUND, "not_found", detail))
        }
        Err(error) => {
            let detail = format!(
                "the token is denied as before: that it is not could not be written down ({error})"
            );
            Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail))
        }
    }
}
