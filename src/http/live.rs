//! What is served under one configuration. It is exchanged whole when the
//! configuration is read again; a request that has begun ends with what it began.

use super::{
    api::{self, Protection},
    console::{self, Console, live::EventStreams},
    desk::Desk,
    door::{Common, Door},
    forward_auth::ForwardAuth,
    gateway::Gateway,
    leaks::{self, Leaks},
    oauth::{self, Exchange, OAuth},
    openapi, problem,
    server::Server,
    status,
    unproven::Unproven,
    verify::Verifier,
};
use crate::{app::App, config::Config, telemetry::Metrics};
use arc_swap::ArcSwap;
use axum::{Router, middleware};
use std::sync::Arc;
use tokio_util::sync::DropGuard;

/// The doors and interfaces of one configuration.
pub(crate) struct Live {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) forward_auth: ForwardAuth,
    /// What the server's own listener answers.
    pub(crate) server: Arc<Server>,
    /// What the operator's socket answers.
    pub(crate) operator: Router,
    unproven: Option<Arc<Unproven>>,
    /// What goes on by itself ends with this.
    _retires: DropGuard,
}

/// What is served now. Reading it takes no lock.
pub(crate) type Current = Arc<ArcSwap<Live>>;

impl Live {
    /// What `config` asks for, on what `app` has, and in place of what was `before`.
    pub(crate) fn new(
        config: &Config,
        app: &App,
        metrics: &Arc<Metrics>,
        before: Option<&Self>,
    ) -> anyhow::Result<Self> {
        let replica = &app.replica;
        let unproven = before.and_then(|before| before.unproven.clone());
        let common = Common::of(config, app, metrics, unproven);
        let retires = common.retired.clone().drop_guard();
        let exchange = Arc::new(Exchange::new(config, &common, app.service.clone()));
        let gateway = Gateway::new(config, &common, exchange.clone())?;
        let verifier = Arc::new(Verifier::new(config, &common));
        let desk = Arc::new(Desk::new(config, &common, app.service.clone()));
        let api = App::management(config)?;
        let protection = Protection {
            door: Door::new("management", &api, &common),
            trusted_proxies: config.server.trusted_proxies.clone(),
        };
        let protection = Arc::new(protection);
        let proxies = config.server.trusted_proxies.clone();
        let oauth = OAuth::new(config, &common, app.service.clone(), protection.clone());
        let leaks = Leaks::new(app.service.clone(), replica.clone(), proxies);
        let console = Arc::new(Console {
            service: app.service.clone(),
            desk: desk.clone(),
            replica: replica.clone(),
            metrics: metrics.clone(),
            apis: config.apis.clone(),
            public_url: config.server.public_url.clone(),
            gateway_url: config.gateway.public_url.clone(),
            events: EventStreams::new(app.stop.clone()),
            trusted_proxies: config.server.trusted_proxies.clone(),
            operators: config.console.operators.clone(),
            docs: config.console.docs,
        });
        let is_secure = console.is_secure();
        let router = Router::new()
            .merge(console::routes(console))
            .merge(status::calls().with_state(replica.clone()))
            .merge(openapi::calls().with_state(()))
            .merge(leaks::routes(Arc::new(leaks)))
            .merge(oauth::exchange_calls().with_state(exchange))
            .merge(oauth::calls().with_state(Arc::new(oauth)))
            .merge(api::for_tokens(
                app.service.clone(),
                verifier.clone(),
                desk.clone(),
                app.denials.clone(),
                protection.clone(),
                config.server.public_url.clone(),
            ))
            .fallback(console::no_such_page)
            .method_not_allowed_fallback(problem::wrong_method)
            .layer(middleware::from_fn_with_state(is_secure, console::tell_browsers))
            .layer(middleware::from_fn_with_state(replica.clone(), problem::name_answers));
        Ok(Self {
            gateway: Arc::new(gateway),
            forward_auth: ForwardAuth::new(config, &common),
            server: Arc::new(Server {
                router,
                verifier: verifier.clone(),
                protection,
                replica: replica.clone(),
            }),
            operator: api::for_operator(
                app.service.clone(),
                verifier,
                desk,
                app.denials.clone(),
                replica.clone(),
            ),
            unproven: common.unproven.clone(),
            _retires: retires,
        })
    }
}
