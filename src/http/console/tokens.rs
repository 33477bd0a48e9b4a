//! One's own tokens: the list, the dialog that generates one, and the one page that shows
//! its secret.

mod dialog;
mod draft;
pub(super) mod example;
pub(crate) mod facts;
mod list;
mod reveal;
#[cfg(test)]
mod tests;

use super::{
    Again, Console, Form, Frame, Page, Trouble, Visitor,
    menu::{Entry, Place},
    nonce::{Nonce, Whose},
};
use crate::{
    clock,
    config::{Ask, ProtectedApi, Words},
    service::{ServiceError, idempotency::Idempotency, tokens::Issuance},
    store::{StoredAccount, TokenList, TokenOrder},
};
use askama::Template;
use axum::{
    Router,
    extract::{Path, Query, State},
    response::{IntoResponse as _, Response},
    routing::get,
};
use counterfoil_core::{account::AccountKind, id::TokenId};
use dialog::{Dialog, Owners, Scopes};
use draft::{Draft, Errors};
use http::StatusCode;
use list::{BEHIND, Button, List, Row, Wanted, list_of};
use serde::Deserialize;
use std::sync::Arc;

/// How many accounts are looked at for those that a token may be issued to.
const ACCOUNTS: u32 = 500;
/// How many tokens the dialog over the account's page shows.
const TOKENS: u32 = 100;

pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new()
        .route("/tokens", get(list).post(issue))
        .route("/tokens/new", get(ask))
        .route("/tokens/{id}/shown", get(shown))
        .route("/account/tokens", get(over_account))
}

#[derive(Template)]
#[template(path = "pages/tokens.html")]
struct ListPage {
    page: Frame,
    list: List,
}

async fn list(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
    Query(wanted): Query<Wanted>,
) -> Result<Page<ListPage>, Trouble> {
    let list = console.list(&visitor, &wanted, None).await?;
    Ok(Page(ListPage { page: console.frame(&visitor, "tokens"), list }))
}

#[derive(Template)]
#[template(path = "pages/token_new.html")]
struct DialogPage<'a> {
    page: Frame,
    list: List,
    dialog: Dialog<'a>,
}

#[derive(Debug, Default, Deserialize)]
struct Which {
    #[serde(default)]
    api: String,
}

async fn ask(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
    Query(which): Query<Which>,
) -> Result<Response, Trouble> {
    let api = console.issuable(&visitor, &which.api)?;
    let page = console.dialog(&visitor, api, Draft::new(api), Errors::default(), None).await?;
    Ok(Page(page).into_response())
}

async fn issue(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
    form: Form,
) -> Result<Response, Trouble> {
    let api = console.issuable(&visitor, form.text("api"))?;
    let draft = Draft::typed(api, &form);
    let Some(nonce) = Nonce::read(form.text("nonce"), visitor.whose()?, clock::now()) else {
        let errors = Errors::whole(
            "Nothing was made: this page was open for too long, or you have changed the \
             organization or the account since. Look at it once more and send it again.",
        );
        return Ok(Again(console.dialog(&visitor, api, draft, errors, None).await?).into_response());
    };
    let wanted = match draft.wanted(api) {
        Ok(wanted) => wanted,
        Err(errors) => {
            let page = console.dialog(&visitor, api, draft, *errors, Some(nonce)).await?;
            return Ok(Again(page).into_response());
        }
    };
    let caller = visitor.caller()?;
    let before = console.before_reveal(&visitor, api, &wanted).await?;
    let once = Idempotency::new(caller, &nonce.key(), form.digest());
    match console.service.issue_token_once(caller, &wanted, once).await {
        Ok(Issuance::New(issued)) => Ok(console.reveal(&visitor, api, &issued, before)),
        Ok(Issuance::Repeat(token, _)) => Ok(console.was_shown(&visitor, &token)),
        Err(error) => {
            let (status, nonce) = match &error {
                // What was filled in otherwise is another token.
                ServiceError::KeyReused => (StatusCode::CONFLICT, None),
                ServiceError::Conflict(_) => (StatusCode::CONFLICT, Some(nonce)),
                ServiceError::Forbidden(_) => (StatusCode::FORBIDDEN, Some(nonce)),
                ServiceError::Busy(_)
                | ServiceError::TooOften { .. }
                | ServiceError::Unavailable(_)
                | ServiceError::OlderNodes
                | ServiceError::Unknown => (StatusCode::SERVICE_UNAVAILABLE, Some(nonce)),
                ServiceError::Invalid { .. } | ServiceError::NotFound(_) => {
                    (StatusCode::UNPROCESSABLE_ENTITY, Some(nonce))
                }
            };
            let errors = match &error {
                ServiceError::KeyReused => Errors::whole(
                    "This form has made a token already, with something else in it. Send it \
                     again to make another one.",
                ),
                ServiceError::Unknown => Errors::whole(
                    "Whether the token was made is not known. Send this again: it makes one at \
                     most.",
                ),
                error => Errors::of(error, api),
            };
            let page = console.dialog(&visitor, api, draft, errors, nonce).await?;
            let mut response = Again(page).into_response();
            *response.status_mut() = status;
            Ok(response)
        }
    }
}

async fn shown(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> Result<Response, Trouble> {
    let id: TokenId = id.parse().map_err(|_| Trouble::NotFound)?;
    let token = console.service.token(visitor.caller()?, id).await?;
    Ok(console.was_shown(&visitor, &token))
}

#[derive(Template)]
#[template(path = "pages/token_list_dialog.html")]
struct OverAccountPage<'a> {
    page: Frame,
    sections: Vec<Entry>,
    api: &'a str,
    words: &'a Words,
    button: Button,
    rows: Vec<Row>,
    sentence: String,
}

/// The list of an API whose own documentation has it in Account Settings.
async fn over_account(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
    Query(which): Query<Which>,
) -> Result<Response, Trouble> {
    let api = console.issuable(&visitor, &which.api)?;
    let now = clock::now();
    let wanted = TokenList {
        api: Some(api.api.name.to_string()),
        owner: Some(visitor.here.account.id),
        ..TokenList::all(visitor.organization()?, TokenOrder::Newest, TOKENS)
    };
    let found = console.service.list_tokens(visitor.caller()?, wanted).await?.tokens;
    let frame = console.frame(&visitor, "account");
    let page = OverAccountPage {
        sections: frame.entries.on(Place::Account).cloned().collect(),
        page: frame,
        api: &api.api.name,
        words: &api.words,
        button: Console::button(&visitor, api, now)?,
        // What is over stays in the list of all tokens.
        rows: found
            .into_iter()
            .filter(|stored| stored.revoked_at.is_none())
            .map(|stored| list::row(stored, now))
            .collect(),
        sentence: format!(
            "A token expires: {}.",
            facts::fixed_expiry(&api.api, now).to_lowercase()
        ),
    };
    Ok(Page(page).into_response())
}

impl Console {
    /// The dialog over the list, with the form's nonce if it has one that still works.
    async fn dialog<'a>(
        &'a self,
        visitor: &Visitor,
        api: &'a ProtectedApi,
        draft: Draft,
        errors: Errors,
        nonce: Option<Nonce>,
    ) -> Result<DialogPage<'a>, Trouble> {
        let now = clock::now();
        let nonce = match nonce {
            Some(nonce) => nonce,
            None => Nonce::new(visitor.whose()?, now),
        };
        let others = if api.console.ask.contains(&Ask::Owner) && visitor.is_administrator() {
            self.service_accounts(visitor).await?
        } else {
            Vec::new()
        };
        let owners = Owners { oneself: &visitor.here.account, others };
        let mut dialog = Dialog::new(api, draft, errors, &owners, nonce.to_string(), now);
        dialog.close = way_out(api);
        let list = self.behind(visitor, api).await?;
        Ok(DialogPage { page: self.frame(visitor, "tokens"), list, dialog })
    }

    /// What is seen behind a dialog.
    async fn behind(&self, visitor: &Visitor, api: &ProtectedApi) -> Result<List, Trouble> {
        let wanted = Wanted { api: Some(api.api.name.to_string()), ..Wanted::default() };
        self.list(visitor, &wanted, Some(BEHIND)).await
    }

    async fn service_accounts(&self, visitor: &Visitor) -> Result<Vec<StoredAccount>, Trouble> {
        let page = crate::store::Page { after: None, limit: ACCOUNTS };
        let mut accounts = self.service.accounts(visitor.caller()?, None, page).await?;
        accounts.retain(|a| a.kind == AccountKind::Service && a.disabled_at.is_none());
        Ok(accounts)
    }
}

impl Visitor {
    /// Whose the forms are that they are given.
    pub(crate) fn whose(&self) -> Result<Whose, Trouble> {
        Ok((self.organization()?, self.here.account.id))
    }
}

/// Where the dialogs of an API lead when they are closed: to its list, which for some is one
/// over the account's page.
fn way_out(api: &ProtectedApi) -> String {
    match super::menu::entry(api) {
        Some(Entry { place: Place::Account, href, .. }) => href,
        _ => list_of(api),
    }
}
