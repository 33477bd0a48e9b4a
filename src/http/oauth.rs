//! OAuth over HTTP: access tokens for tokens, the keys that verify them, and what standard
//! clients ask about either.

mod answer;
mod client;
mod exchange;
mod form;
mod introspect;
mod metadata;
mod revoke;
mod token;

#[cfg(feature = "fuzzing")]
pub(crate) use client::{Shown, read as read_client};
pub(crate) use exchange::{Exchange, calls as exchange_calls};
#[cfg(feature = "fuzzing")]
pub(crate) use form::Form;

use super::{
    api::{Peer, Protection},
    calls::{Calls, Operation, Takes},
    client_address,
    door::{Common, Seen},
};
use crate::{config::Config, service::Service};
use axum::extract::{FromRequest, Request};
use client::Clients;
use counterfoil_core::{Timestamp, network::Network};
use http::request::Parts;
use introspect::Inspector;
use std::{convert::Infallible, net::IpAddr, sync::Arc};

/// What answers `/oauth2/…`.
pub(crate) struct OAuth {
    clients: Clients,
    inspector: Inspector,
    common: Common,
    service: Arc<Service>,
    /// What judges those who ask with a token of the management API.
    protection: Arc<Protection>,
    trusted_proxies: Vec<Network>,
    metadata: String,
}

impl OAuth {
    pub(crate) fn new(
        config: &Config,
        common: &Common,
        service: Arc<Service>,
        protection: Arc<Protection>,
    ) -> Self {
        Self {
            clients: Clients::new(config, common, &protection.door.api),
            inspector: Inspector::new(config),
            common: common.clone(),
            service,
            protection,
            trusted_proxies: config.server.trusted_proxies.clone(),
            metadata: metadata::written(config),
        }
    }
}

/// What standard clients ask.
pub(crate) fn calls() -> Calls<Arc<OAuth>> {
    Calls::new()
        .on(token::CALL, token::obtain)
        .on(introspect::CALL, introspect::introspect)
        .on(revoke::CALL, revoke::revoke)
        .on(metadata::CALL, metadata::tell)
}

/// A request's head, and where it comes from.
pub(crate) struct Arrived {
    head: Parts,
    client: Option<IpAddr>,
}

impl Arrived {
    fn of(head: Parts, proxies: &[Network]) -> Self {
        let peer = head.extensions.get::<Peer>().map(|peer| peer.0.ip());
        let told = |peer| client_address::forwarded_for(peer, &head.headers, proxies);
        let client = peer.and_then(told);
        Self { head, client }
    }

    /// What doors see of it.
    fn seen(&self, at: Timestamp) -> Seen<'_> {
        let Self { head, client } = self;
        Seen::at(at, head.method.as_str(), head.uri.path(), *client, &head.headers)
    }
}

/// Whose request it may be is told by these proxies.
pub(crate) trait Behind {
    fn proxies(&self) -> &[Network];
}

impl<S: Behind + Send + Sync> FromRequest<Arc<S>> for Arrived {
    type Rejection = Infallible;

    async fn from_request(request: Request, state: &Arc<S>) -> Result<Self, Infallible> {
        Ok(Self::of(request.into_parts().0, state.proxies()))
    }
}

impl Takes for Arrived {
    fn describe(_: &mut Operation<'_>) {}
}
