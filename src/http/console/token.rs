//! One token: its page, and what is done there with it.

mod activity;
mod edit;
mod history;
mod live;
mod revoke;
mod rotate;
#[cfg(test)]
mod tests;
mod view;

pub(super) use view::scope_in_words;

use super::{Console, Frame, Page, Trouble, Visitor, to};
use askama::Template;
use axum::{
    Router,
    extract::{FromRequestParts, Query, RawPathParams, State, rejection::QueryRejection},
    response::Response,
    routing::{get, post},
};
use counterfoil_core::id::TokenId;
use http::request::Parts;
use serde::Deserialize;
use std::sync::Arc;
use view::TokenView;

pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new()
        .route("/tokens/{id}", get(show))
        .route("/tokens/{id}/edit", get(edit::ask).post(edit::change))
        .route("/tokens/{id}/rotate", get(rotate::ask).post(rotate::rotate))
        .route("/tokens/{id}/rotate/end", post(rotate::end_previous))
        .route("/tokens/{id}/pause", post(pause))
        .route("/tokens/{id}/resume", post(resume))
        .route("/tokens/{id}/revoke", get(revoke::ask).post(revoke::revoke))
        .route("/tokens/{id}/live", get(live::events))
        .route("/tokens/{id}/receipt", get(revoke::receipt))
}

#[derive(Template)]
#[template(path = "pages/token.html")]
struct TokenPage {
    page: Frame,
    token: TokenView,
}

/// The id in the path; what cannot be one is none.
struct Id(TokenId);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Trouble;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Trouble> {
        let path = RawPathParams::from_request_parts(parts, state).await;
        let path = path.map_err(|_| Trouble::NotFound)?;
        let id = path.iter().find(|(name, _)| *name == "id").map(|(_, id)| id.parse());
        id.and_then(Result::ok).map(Self).ok_or(Trouble::NotFound)
    }
}

/// What was just done.
#[derive(Debug, Default, Deserialize)]
struct Done {
    #[serde(default)]
    done: String,
}

async fn show(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
    Id(id): Id,
    done: Result<Query<Done>, QueryRejection>,
) -> Result<Page<TokenPage>, Trouble> {
    let token = console.look_at_token(&visitor, id).await?;
    let done = done.map(|Query(Done { done })| done).unwrap_or_default();
    let page = console.frame(&visitor, "tokens");
    let page = match notice(&done, &token) {
        Some((kind, text)) => page.saying(kind, text),
        None => page,
    };
    Ok(Page(TokenPage { page, token }))
}

/// What is said of what was just done, if it is still so.
fn notice(done: &str, token: &TokenView) -> Option<(&'static str, String)> {
    Some(match done {
        "paused" if token.may.resume => {
            ("good", "Paused. Every request with it is refused until you resume it.".into())
        }
        "resumed" if token.may.pause => ("good", "Resumed. It is accepted again.".into()),
        "changed" => ("good", "Changed. It holds for the very next request.".into()),
        "ended" if token.rotation.is_none() => {
            ("good", "The old secret is refused from now on.".into())
        }
        "rotated" => {
            let when = token.rotated.as_ref().map(|at| format!(" {}, at {}", at.words, at.exact));
            (
                "warning",
                format!(
                    "This token was rotated{}. The new secret, which ends in {}, was shown that \
                     once and is not shown again. If nobody saved it, rotate again.",
                    when.unwrap_or_default(),
                    token.last_four
                ),
            )
        }
        _ => return None,
    })
}

async fn pause(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
    Id(id): Id,
) -> Result<Response, Trouble> {
    console.service.set_token_paused(visitor.caller()?, id, true).await?;
    Ok(to(&format!("/tokens/{id}?done=paused")))
}

async fn resume(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
    Id(id): Id,
) -> Result<Response, Trouble> {
    console.service.set_token_paused(visitor.caller()?, id, false).await?;
    Ok(to(&format!("/tokens/{id}?done=resumed")))
}
