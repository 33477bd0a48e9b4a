//! Ending many tokens with one confirmation.

use super::{
    Again, Choice, Console, Form, Frame, Page, Trouble, Visitor, count, id, sentence,
    tokens::{BEHIND, List, Wanted},
    words,
};
use crate::{
    clock,
    http::console::when::{When, when},
    service::Caller,
    store::LEAKED,
};
use askama::Template;
use axum::{
    Router,
    extract::{RawQuery, State},
    response::{IntoResponse as _, Response},
    routing::get,
};
use counterfoil_core::id::TokenId;
use std::{collections::BTreeSet, sync::Arc};

/// How many can be picked: as many as stand on a page, twice.
const MOST: usize = 100;

/// Reasons, as the ledger keeps them, and in words.
const REASONS: [(&str, &str); 5] = [
    ("no longer used", "No longer used"),
    ("the owner has left", "The owner has left"),
    (LEAKED[0], "The secrets have leaked"),
    ("replaced by others", "Replaced by others"),
    ("revoked by an administrator", "Another reason"),
];

pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new().route("/portal/tokens/revoke", get(ask).post(revoke))
}

#[derive(Template)]
#[template(path = "pages/bulk_revoke.html")]
struct AskPage {
    page: Frame,
    list: List,
    picked: Vec<words::Row>,
    heading: String,
    reasons: Vec<Choice>,
    error: String,
}

/// What was done, and what was not.
#[derive(Template)]
#[template(path = "pages/bulk_revoked.html")]
pub(super) struct DonePage {
    page: Frame,
    heading: String,
    done: Vec<words::Row>,
    failed: Vec<Failed>,
    /// Until when others may accept the access tokens of some by themselves.
    offline: Option<When>,
    back: &'static str,
}

/// One that was not ended, and why.
struct Failed {
    name: String,
    why: String,
}

async fn ask(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
    RawQuery(query): RawQuery,
) -> Result<Response, Trouble> {
    let query = query.unwrap_or_default();
    let named = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "token");
    let picked = named.map(|(_, value)| id(&value)).collect::<Result<_, _>>()?;
    let page = console.ask_about(&visitor, picked, "").await?;
    Ok(if page.error.is_empty() { Page(page).into_response() } else { Again(page).into_response() })
}

async fn revoke(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
    form: Form,
) -> Result<Response, Trouble> {
    let caller = visitor.administers()?;
    let picked = picked(&form)?;
    let reason = REASONS.iter().find(|(reason, _)| *reason == form.text("reason"));
    let Some((reason, _)) = reason.filter(|_| (1..=MOST).contains(&picked.len())) else {
        let mut page = console.ask_about(&visitor, picked, form.text("reason")).await?;
        if page.error.is_empty() {
            page.error = "Choose a reason.".into();
        }
        return Ok(Again(page).into_response());
    };
    // Each has to be one of theirs before any is ended.
    for token in &picked {
        console.service.token(caller, *token).await?;
    }
    let picked: Vec<TokenId> = picked.into_iter().collect();
    console.end_all(&visitor, caller, "all_tokens", &picked, reason, "/portal/tokens").await
}

/// The tokens that a form names.
pub(super) fn picked(form: &Form) -> Result<BTreeSet<TokenId>, Trouble> {
    form.all("token").map(id).collect()
}

impl Console {
    async fn ask_about(
        &self,
        visitor: &Visitor,
        picked: BTreeSet<TokenId>,
        reason: &str,
    ) -> Result<AskPage, Trouble> {
        let caller = visitor.administers()?;
        let error = match picked.len() {
            0 => "Pick one token at least.".into(),
            many if many > MOST => format!("Pick {MOST} tokens at most."),
            _ => String::new(),
        };
        let mut tokens = Vec::new();
        for token in picked.into_iter().take(MOST) {
            tokens.push(self.service.token(caller, token).await?);
        }
        Ok(AskPage {
            page: self.frame(visitor, "all_tokens"),
            list: self.all_tokens(visitor, &Wanted::default(), BEHIND).await?,
            heading: format!("Revoke {}?", count(tokens.len(), "token")),
            picked: self.rows(caller, &tokens, clock::now()).await?,
            reasons: REASONS.map(|(value, label)| Choice::new(value, label, reason)).into(),
            error,
        })
    }

    /// Ends tokens, each for itself, and says of each what came of it. To send the form again
    /// finds them ended.
    pub(super) async fn end_all(
        &self,
        visitor: &Visitor,
        caller: &Caller,
        here: &'static str,
        tokens: &[TokenId],
        reason: &str,
        back: &'static str,
    ) -> Result<Response, Trouble> {
        let ended = self.service.revoke_tokens(caller, tokens, reason).await?;
        let mut done = Vec::new();
        for token in &ended.done {
            done.push(self.service.token(caller, *token).await?);
        }
        let mut failed = Vec::new();
        for (token, error) in ended.failed {
            let name = match self.service.token(caller, token).await {
                Ok(stored) => stored.token.name,
                Err(_) => token.to_string(),
            };
            failed.push(Failed { name, why: sentence(&error.to_string()) });
        }
        let now = clock::now();
        let offline = done.iter().filter_map(|stored| {
            self.service.offline_until(stored, stored.revoked_at?).filter(|until| *until > now)
        });
        Ok(Page(DonePage {
            offline: offline.max().map(|until| when(until, now)),
            page: self.frame(visitor, here),
            heading: if failed.is_empty() {
                format!("{} revoked", count(done.len(), "token"))
            } else {
                format!("{} revoked, {} not", count(done.len(), "token"), failed.len())
            },
            done: self.rows(caller, &done, now).await?,
            failed,
            back,
        })
        .into_response())
    }
}
