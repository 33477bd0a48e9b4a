//! Ending a token, and the receipt for it.

use super::{
    super::{
        Again, Console, Form, Frame, Page, Trouble, Visitor, to,
        tokens::example,
        when::{When, when},
    },
    Id, history,
    view::TokenView,
};
use crate::{
    clock,
    config::Words,
    service::{ServiceError, tokens::REASON},
};
use askama::Template;
use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};
use counterfoil_core::{id::TokenId, token};
use std::sync::Arc;

#[derive(Template)]
#[template(path = "pages/token_revoke.html")]
pub(super) struct RevokePage {
    page: Frame,
    token: TokenView,
    reason: String,
    longest: usize,
    error: String,
}

/// Asks whether it is meant, and shows who will notice.
pub(super) async fn ask(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
    Id(id): Id,
) -> Result<Response, Trouble> {
    let page = page(&console, &visitor, id).await?;
    if !page.token.may.revoke {
        return Ok(to(&format!("/tokens/{id}/receipt")));
    }
    Ok(Page(page).into_response())
}

/// Ends it. When this is answered, no node accepts it any more.
pub(super) async fn revoke(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
    Id(id): Id,
    form: Form,
) -> Result<Response, Trouble> {
    let reason = form.text("reason");
    let began = clock::steady();
    match console.service.revoke_token(visitor.caller()?, id, reason).await {
        Ok(_) => {
            console.service.took.note(id, began.elapsed());
            Ok(to(&format!("/tokens/{id}/receipt")))
        }
        Err(ServiceError::Invalid { message, .. }) => {
            let page = page(&console, &visitor, id).await?;
            let (reason, error) = (reason.to_owned(), format!("The reason {message}."));
            Ok(Again(RevokePage { reason, error, ..page }).into_response())
        }
        Err(error) => Err(error.into()),
    }
}

async fn page(console: &Console, visitor: &Visitor, id: TokenId) -> Result<RevokePage, Trouble> {
    let token = console.look_at_token(visitor, id).await?;
    let page = console.frame(visitor, "tokens");
    let (reason, error) = (String::new(), String::new());
    Ok(RevokePage { page, token, reason, longest: REASON, error })
}

#[derive(Template)]
#[template(path = "pages/token_receipt.html")]
pub(super) struct ReceiptPage {
    page: Frame,
    words: Words,
    id: TokenId,
    name: String,
    api: String,
    prefix: String,
    last_four: String,
    verdict: String,
    nodes: Vec<Node>,
    at: When,
    by: String,
    reason: String,
    /// Until when others may accept its access tokens by themselves.
    offline: Option<When>,
    entry: u64,
    hash: String,
    check: String,
}

/// A server that tokens are shown to.
struct Node {
    name: &'static str,
    state: &'static str,
    words: &'static str,
}

impl Console {
    /// A command that uses a token of this API, while it is there.
    pub(super) fn command(&self, api: &str) -> String {
        let api = self.api(api).ok();
        api.map(|api| example::to_come(api, &self.gateway_url, None)).unwrap_or_default()
    }
}

/// What the ledger says of the end, and what the node itself does.
pub(super) async fn receipt(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
    Id(id): Id,
) -> Result<Response, Trouble> {
    let caller = visitor.caller()?;
    let stored = console.service.token(caller, id).await?;
    let Some(revocation) = console.service.revocation(caller, id).await? else {
        return Ok(to(&format!("/tokens/{id}")));
    };
    let entry = console.replica.index().and_then(|index| index.find_by_id(id));
    // A node whose index may not be trusted accepts nothing at all.
    let is_refused = entry.is_none_or(|entry| entry.state() == token::State::Revoked);
    let node = Node {
        name: "this server",
        state: if is_refused { "done" } else { "waiting" },
        words: if is_refused { "refuses it" } else { "has not heard of it yet" },
    };
    let took = match revocation.took {
        Some(took) if is_refused => match took.as_millis() {
            0 => " in less than 1 ms".to_owned(),
            millis => format!(" in {millis} ms"),
        },
        _ => String::new(),
    };
    let offline = console.offline(&stored, clock::now());
    let token = stored.token;
    let receipt = ReceiptPage {
        page: console.frame(&visitor, "tokens"),
        words: console.words(&token.api),
        id,
        name: token.name,
        verdict: format!("Refused on {} of 1{took}", u8::from(is_refused)),
        check: console.command(&token.api),
        api: token.api.into(),
        prefix: token.prefix.into(),
        last_four: token.last_four.into(),
        nodes: vec![node],
        at: when(revocation.event.at, clock::now()),
        by: history::who(&revocation.event.by),
        reason: revocation.reason,
        offline,
        entry: revocation.event.number,
        hash: revocation.hash.map(|hash| hash.to_string()).unwrap_or_default(),
    };
    Ok(Page(receipt).into_response())
}
