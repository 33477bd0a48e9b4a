//! The console: pages for people, written on the server.
//!
//! Every page works without a script; the one there is makes some of them pleasanter.

pub(crate) mod assets;
pub(crate) mod form;
mod guard;
mod menu;
mod page;
mod portal;
mod sign_in;
pub(crate) mod visitor;
pub(crate) mod when;

pub(crate) use form::Form;
pub(crate) use guard::{is_from_here, tell_browsers};
pub(crate) use page::{Again, Page, Trouble, to};
pub(crate) use visitor::{Frame, Outside, Visitor};

use super::problem;
use crate::{config::ProtectedApi, replica::Replica, service::Service};
use axum::{
    Router, middleware,
    response::{IntoResponse as _, Response},
    routing::get,
};
use counterfoil_core::{account::Email, network::Network};
use http::{HeaderMap, header};
use std::sync::Arc;

/// What pages are made from.
pub(crate) struct Console {
    pub(crate) service: Arc<Service>,
    pub(crate) replica: Arc<Replica>,
    pub(crate) apis: Vec<ProtectedApi>,
    /// Where browsers find this console: scheme, host and port.
    pub(crate) public_url: String,
    pub(crate) trusted_proxies: Vec<Network>,
    /// Who may see the operator's page.
    pub(crate) operators: Vec<Email>,
}

impl Console {
    /// Whether browsers come over TLS.
    pub(crate) fn is_secure(&self) -> bool {
        self.public_url.starts_with("https://")
    }

    fn is_operator(&self, email: &Email) -> bool {
        self.operators.contains(email)
    }

    /// The API of this name, where one is configured.
    pub(crate) fn api(&self, name: &str) -> Result<&ProtectedApi, Trouble> {
        self.apis.iter().find(|api| *api.api.name == *name).ok_or(Trouble::NotFound)
    }
}

/// All pages.
pub(crate) fn routes(console: Arc<Console>) -> Router {
    Router::new()
        .route("/", get(home))
        .merge(sign_in::routes())
        .merge(portal::routes())
        .merge(assets::routes())
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
