//! The one page with a secret in it, and the one that says that it is gone.

use super::{List, facts, way_out};
use crate::{
    clock,
    config::{ProtectedApi, Words},
    http::console::{
        Console, Frame, Page, Trouble, Visitor,
        examples::{self, Example},
        when::When,
    },
    service::{accounts::AccountName, tokens::Issued},
    store::StoredToken,
};
use askama::Template;
use axum::response::{IntoResponse as _, Response};
use counterfoil_core::token::Secret;

/// The ticket.
#[derive(Template)]
#[template(path = "pages/token_reveal.html")]
struct RevealPage<'a> {
    page: Frame,
    list: List,
    words: &'a Words,
    token: Stub,
    secret: &'a Secret,
    /// Empty where no scheme of the API has one.
    client_id: String,
    examples: Vec<Example>,
    /// Where the list is.
    done: String,
}

/// The part of the ticket that stays.
struct Stub {
    id: String,
    name: String,
    api: String,
    ends: String,
    owner: String,
    may: String,
    expires: Option<When>,
}

/// What whoever comes back finds instead.
#[derive(Template)]
#[template(path = "pages/token_shown.html")]
struct ShownPage {
    page: Frame,
    token: Stub,
    /// What the API calls a secret.
    secret: String,
    /// What its button says that generates another, and where that is.
    generate: Option<(String, String)>,
    done: String,
}

impl Console {
    /// The answer that shows the secret. There is no other.
    pub(super) async fn reveal(
        &self,
        visitor: &Visitor,
        api: &ProtectedApi,
        issued: Issued,
    ) -> Result<Response, Trouble> {
        let Issued { token: stored, secret } = issued;
        let is_own = stored.token.owner == visitor.here.account.id;
        let (owner, email) = if is_own {
            let account = &visitor.here.account;
            (account.name.clone(), account.email.clone())
        } else {
            let name = AccountName::Id(stored.token.owner);
            let account = self.service.account(visitor.caller()?, &name).await?;
            (account.name, account.email)
        };
        let id = stored.token.id.to_string();
        let done = if is_own { format!("{}#{id}", way_out(api)) } else { format!("/tokens/{id}") };
        let credentials = examples::Credentials {
            secret: secret.reveal(),
            client_id: &id,
            email: email.as_ref().map(counterfoil_core::account::Email::as_str),
        };
        let examples = examples::all(api, &self.address(api), &credentials);
        let page = RevealPage {
            page: self.frame(visitor, "tokens"),
            list: self.behind(visitor, api).await?,
            words: &api.words,
            token: stub(&stored, owner),
            secret: &secret,
            client_id: if api.has_client_id() { id } else { String::new() },
            examples,
            done,
        };
        Ok(Page(page).into_response())
    }

    /// The answer to whoever asks for a secret that was shown.
    pub(super) fn shown(
        &self,
        visitor: &Visitor,
        stored: &StoredToken,
    ) -> Result<Response, Trouble> {
        let api = self.issuable(visitor, &stored.token.api).ok();
        let page = ShownPage {
            page: self.frame(visitor, "tokens"),
            token: stub(stored, String::new()),
            secret: api.map_or("secret".into(), |api| api.words.secret.clone()),
            generate: api.map(|api| {
                (api.words.generate.clone(), format!("/tokens/new?api={}", api.api.name))
            }),
            done: api.map_or("/tokens".into(), way_out),
        };
        Ok(Page(page).into_response())
    }
}

fn stub(stored: &StoredToken, owner: String) -> Stub {
    Stub {
        id: stored.token.id.to_string(),
        name: stored.token.name.clone(),
        api: stored.token.api.to_string(),
        ends: format!("{}…{}", stored.token.prefix, stored.token.last_four),
        owner,
        may: facts::may(&stored.token.grant),
        expires: facts::expires(stored, clock::now()),
    }
}
