//! The console: pages for people, written on the server.
//!
//! Every page works without a script; the one there is makes some of them pleasanter.

mod access_tokens;
mod account;
pub(crate) mod assets;
mod authenticate;
mod browser;
pub(crate) mod chart;
pub(crate) mod examples;
pub(crate) mod form;
mod guard;
pub(crate) mod live;
mod menu;
pub(crate) mod nonce;
mod operator;
mod page;
mod portal;
mod profile;
mod reset;
mod set_up;
mod settings;
mod sign_in;
mod token;
mod tokens;
pub(crate) mod visitor;
pub(crate) mod when;

pub(crate) use form::Form;
pub(crate) use guard::{is_from_here, tell_browsers};
pub(crate) use page::{Again, Page, Trouble, to};
pub(crate) use visitor::{Frame, Outside, Visitor};

use super::{desk::Desk, problem, seen};
use crate::{
    config::{ProtectedApi, Readers},
    replica::Replica,
    service::Service,
    store::StoredAccount,
    telemetry::Metrics,
};
use axum::{
    Router, middleware,
    response::{IntoResponse as _, Response},
    routing::get,
};
use counterfoil_core::{account::Email, id::SessionId, network::Network};
use http::{HeaderMap, header};
use std::sync::Arc;

/// What pages are made from.
pub(crate) struct Console {
    pub(crate) service: Arc<Service>,
    pub(crate) desk: Arc<Desk>,
    pub(crate) replica: Arc<Replica>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) apis: Vec<ProtectedApi>,
    /// Where browsers find this console: scheme, host and port.
    pub(crate) public_url: String,
    /// Where clients find the gateway: the same.
    pub(crate) gateway_url: String,
    /// Pages that are kept up to date.
    pub(crate) events: live::EventStreams<SessionId>,
    pub(crate) trusted_proxies: Vec<Network>,
    /// Who may see the operator's page.
    pub(crate) operators: Vec<Email>,
    /// Who may read how to authenticate.
    pub(crate) docs: Readers,
}

impl Console {
    /// Whether browsers come over TLS.
    pub(crate) fn is_secure(&self) -> bool {
        self.public_url.starts_with("https://")
    }

    /// Whether somebody may see the operator's page. An address alone is not enough: it can
    /// be invited by somebody who then opens the link themselves.
    fn is_operator(&self, account: &StoredAccount) -> bool {
        let email = account.email.as_ref().filter(|_| account.address_proven);
        email.is_some_and(|email| self.operators.contains(email))
    }

    /// Does work to its end, even where whoever asked has gone meanwhile: one half of it is
    /// not to be done without the other.
    pub(super) async fn wholly<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Trouble> {
        let work = self.service.under_way.spawn(work);
        work.await.map_err(|error| Trouble::Unavailable(error.to_string()))
    }

    /// The API of this name, where one is configured.
    pub(crate) fn api(&self, name: &str) -> Result<&ProtectedApi, Trouble> {
        self.apis.iter().find(|api| *api.api.name == *name).ok_or(Trouble::NotFound)
    }
}

/// All pages.
pub(crate) fn routes(console: Arc<Console>) -> Router {
    let seen = middleware::from_fn_with_state(console.service.clone(), seen::everywhere);
    Router::new()
        .route("/", get(home))
        .merge(sign_in::routes())
        .merge(portal::routes())
        .merge(set_up::routes())
        .merge(reset::routes())
        .merge(account::routes())
        .merge(profile::routes())
        .merge(settings::routes())
        .merge(tokens::routes())
        .merge(authenticate::routes())
        .merge(operator::routes())
        .merge(token::routes())
        .merge(access_tokens::routes())
        .merge(assets::routes())
        // Only where something can be changed: what is not there costs the database nothing.
        .route_layer(seen)
        .layer(middleware::from_fn_with_state(console.clone(), guard::changes_from_here))
        .with_state(console)
}

/// The first page is that of one's tokens.
async fn home(_visitor: Visitor) -> Response {
    to("/tokens")
}

/// What is answered where there is nothing: a page for people, a problem for programs.
pub(crate) async fn no_such_page(headers: HeaderMap) -> Response {
    let accepted = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    if accepted.is_some_and(|accept| accept.contains("text/html")) {
        Trouble::NotFound.into_response()
    } else {
        problem::no_such_path().await.into_response()
    }
}
