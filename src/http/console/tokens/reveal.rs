//! The one page with a secret in it, and the one that says that it is gone.

use super::{
    List,
    example::{self, Example},
    facts, way_out,
};
use crate::{
    clock,
    config::{ProtectedApi, Words},
    http::console::{Console, Frame, Page, Trouble, Visitor, access_tokens::About, when::When},
    service::{
        ServiceError,
        tokens::{Issued, NewToken},
    },
    store::{StoredAccount, StoredToken},
};
use askama::Template;
use axum::response::{IntoResponse as _, Response};
use counterfoil_core::account::Email;

/// The ticket.
#[derive(Template)]
#[template(path = "pages/token_reveal.html")]
struct RevealPage<'a> {
    page: Frame,
    list: List,
    words: &'a Words,
    token: Stub,
    secret: &'a str,
    /// Empty where no scheme of the API has one.
    client_id: String,
    examples: Vec<Example>,
    /// Of its access tokens, where its API has some.
    access: Option<About>,
    /// Where the list is.
    done: String,
}

/// What is looked up before there is a token.
pub(super) struct Before {
    owner: Option<StoredAccount>,
    list: List,
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
    /// What the reveal needs besides the token. It is looked up before there is one: what
    /// failed afterwards would take the secret with it.
    pub(super) async fn before_reveal(
        &self,
        visitor: &Visitor,
        api: &ProtectedApi,
        wanted: &NewToken,
    ) -> Result<Before, Trouble> {
        let owner = match &wanted.owner {
            Some(name) => {
                let found = self.service.account(visitor.caller()?, name).await;
                found.map(Some).or_else(|error| match error {
                    // The operation will say so.
                    ServiceError::NotFound(_) => Ok(None),
                    error => Err(error),
                })?
            }
            None => Some(visitor.here.account.clone()),
        };
        Ok(Before { owner, list: self.behind(visitor, api).await? })
    }

    /// The answer that shows the secret. There is no other.
    pub(super) fn reveal(
        &self,
        visitor: &Visitor,
        api: &ProtectedApi,
        issued: &Issued,
        before: Before,
    ) -> Response {
        let Issued { token: stored, secret, .. } = issued;
        let id = stored.token.id.to_string();
        let is_own = stored.token.owner == visitor.here.account.id;
        let owner = before.owner.as_ref();
        let credentials = example::Credentials {
            secret: secret.reveal(),
            client_id: &id,
            email: owner.and_then(|owner| owner.email.as_ref()).map(Email::as_str),
        };
        let page = RevealPage {
            page: self.frame(visitor, "tokens"),
            list: before.list,
            words: &api.words,
            token: stub(stored, owner.map(|owner| owner.name.clone()).unwrap_or_default()),
            secret: secret.reveal(),
            examples: example::all(api, &self.gateway_url, &stored.token.grant, &credentials),
            access: self.about_access_tokens(api),
            done: if is_own { format!("{}#{id}", way_out(api)) } else { format!("/tokens/{id}") },
            client_id: if example::has_client_id(api) { id } else { String::new() },
        };
        Page(page).into_response()
    }

    /// The answer to whoever asks for a secret that was shown.
    pub(super) fn was_shown(&self, visitor: &Visitor, stored: &StoredToken) -> Response {
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
        Page(page).into_response()
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
