//! `counterfoil serve`: everything is opened, then served until a signal comes.

mod certificates;
#[cfg(test)]
mod without_a_store;

use super::{Failure, Global, configuration, demo, operator::lock, output, progress::progress};
use crate::{
    app::App,
    clock,
    config::{Config, Upstream},
    http::{
        api::Peer,
        listen,
        live::{Current, Live},
        operator,
        places::{Bounded, Places},
        sample_upstream, status,
    },
    jobs,
    store::sqlite::{DataDirectory, DirectoryError},
    telemetry::{self, Metrics},
    tls::Certificate,
};
use anyhow::{Context as _, anyhow};
use arc_swap::ArcSwap;
use axum::Router;
use certificates::Certificates;
use hyper::{body::Incoming, service::service_fn};
use std::{
    convert::Infallible, future::ready, io::ErrorKind, net::SocketAddr, path::PathBuf, sync::Arc,
};
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
    task::JoinSet,
};
use tokio_util::{either::Either, sync::CancellationToken};
use tower::ServiceExt as _;

/// What kind of serving is asked for.
enum Mode {
    /// What the configuration says.
    Configured,
    /// Nothing is configured: the sample API, and a word on how to go on.
    Sample,
    /// The demonstration.
    Demo,
}

/// The sockets, all open before anything is served on one of them.
struct Listeners {
    server: Bounded,
    gateway: Bounded,
    forward_auth: Bounded,
    metrics: Bounded,
    /// For the sample API and the demonstration.
    sample: Option<TcpListener>,
}

pub(crate) async fn run(global: &Global, demo: bool) -> Result<(), Failure> {
    let mode = if demo {
        // Whatever configuration lies about is not the demonstration's.
        Mode::Demo
    } else if configuration::is_sample(global)? {
        Mode::Sample
    } else {
        Mode::Configured
    };
    let mut config = match mode {
        Mode::Demo => demo::configuration()?,
        Mode::Sample | Mode::Configured => configuration::load(global)?,
    };
    telemetry::start_logs(&config.log).map_err(Failure::Wrong)?;
    // Before anything is served: from then on a signal has to find its reader.
    let mut signals = Signals::listen()?;
    let hang_ups = if demo { None } else { Some(signal(SignalKind::hangup())?) };

    let throw_away = if demo { demo::directory(global.data.as_deref())? } else { None };
    let data = throw_away.as_ref().map_or_else(|| global.data(), |dir| dir.path().to_owned());
    let directory = Arc::new(lock(&data).await.map_err(|error| match error {
        DirectoryError::InUse { .. } => Failure::Failed(anyhow!(
            "{error}; stop that one, or give this one another directory with --data"
        )),
        _ => Failure::Failed(error.into()),
    })?);

    let certificates = Arc::new(Certificates::open(&config).map_err(Failure::Wrong)?);
    let with_sample = !matches!(mode, Mode::Configured);
    let listeners = Listeners::open(&config, &certificates, with_sample).await?;
    if let Some(sample) = &listeners.sample {
        let upstream: ::http::Uri = format!("http://{}", sample.local_addr()?)
            .parse()
            .context("the sample upstream's address")?;
        config.apis.iter_mut().for_each(|api| api.upstream = Upstream::at(upstream.clone()));
    }
    // With port 0 nobody could know before where they would be.
    let bound = listeners.server.listener.local_addr()?;
    say_where(&mut config.server.public_url, config.server.listen, bound);
    let bound = listeners.gateway.listener.local_addr()?;
    say_where(&mut config.gateway.public_url, config.gateway.listen, bound);
    let app = Arc::new(open(&config, directory).await?);
    if let Some(limiter) = &config.limiter {
        app.limiter.share(limiter).await.map_err(Failure::Failed)?;
    }
    let metrics = Metrics::new(app.replica.clone(), app.limiter.clone());
    let metrics = metrics.watching(certificates.all()).signing(app.service.access_tokens.clone());
    let metrics = Arc::new(metrics);
    let live = Arc::new(ArcSwap::from_pointee(Live::new(&config, &app, &metrics, None)?));
    let socket = operator::bind(&data)
        .with_context(|| format!("the operator's socket in {} cannot be made", data.display()))?;
    let gateway_address = listeners.gateway.listener.local_addr()?;

    let (stop, stop_operator) = (app.stop.clone(), CancellationToken::new());
    listeners.announce(config.apis.len())?;
    let mut serving = start(&live, metrics.clone(), listeners, &stop);
    serving.spawn(jobs::log_head(app.replica.clone(), stop.clone()));
    serving.spawn(jobs::keep_books(app.service.clone(), stop.clone()));
    serving.spawn(jobs::keep_usage(app.service.usage.clone(), stop.clone()));
    serving.spawn(jobs::keep_keys(app.service.clone(), stop.clone()));
    serving.spawn(app.limiter.clone().keep(stop.clone()));
    serving.spawn(jobs::keep_certificates(certificates.all(), stop.clone()));
    let current = live.clone();
    let router = move || current.load().operator.clone();
    let operator = tokio::spawn(operator::serve(socket, stop_operator.clone(), router));

    match mode {
        Mode::Demo => demo::introduce(&app, &config, gateway_address, &data).await?,
        Mode::Sample => {
            introduce_set_up(&app, &config).await?;
            introduce_sample(global, &config.gateway.public_url)?;
        }
        Mode::Configured => introduce_set_up(&app, &config).await?,
    }
    if let Some(hang_ups) = hang_ups {
        let file = global.config.clone();
        let app = app.clone();
        let reloading = Reloading { started_with: config, file, app, metrics, live, certificates };
        tokio::spawn(reloading.run(hang_ups));
    }
    signals.next().await;
    tracing::info!("stopping; requests that are under way may end");
    stop.cancel();
    let ended = async {
        while serving.join_next().await.is_some() {}
        app.tunnels.close();
        app.tunnels.wait().await;
        // The last: while a request is under way, its token can still be revoked.
        stop_operator.cancel();
        let _ = operator.await;
    };
    tokio::select! {
        () = ended => {}
        () = signals.next() => {
            stop_operator.cancel();
            tracing::warn!("stopping at once");
        }
    }
    app.limiter.close().await;
    app.close().await;
    operator::remove(&data);
    let head = app.replica.head();
    tracing::info!(ledger_head = head.number, head_hash = %head.hash, "stopped");
    Ok(())
}

/// Has the URL of a listener name the port that the system chose.
fn say_where(public_url: &mut String, listen: SocketAddr, bound: SocketAddr) {
    if let Some((scheme, host)) = public_url.split_once("://")
        && host == listen.to_string()
    {
        *public_url = format!("{scheme}://{bound}");
    }
}

async fn open(config: &Config, directory: Arc<DataDirectory>) -> Result<App, Failure> {
    let (bar, moved) = progress("tokens", |done, of| tracing::info!(tokens = done, of, "loading"));
    let app = App::open(config, directory, moved).await;
    bar.finish_and_clear();
    let app = app?;
    let (tokens, head) = (app.replica.tokens(), app.replica.head());
    tracing::info!(tokens, ledger_head = head.number, head_hash = %head.hash, "loaded");
    Ok(app)
}

impl Listeners {
    async fn open(
        config: &Config,
        certificates: &Certificates,
        with_sample: bool,
    ) -> Result<Self, Failure> {
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let places = Places::of_process();
        let private = async |setting, address, certificate: &Option<Arc<Certificate>>| {
            let listener = bind(setting, address).await?;
            let certificate = certificate.clone();
            Ok::<_, Failure>(Bounded { listener, room: places.of_listener(), certificate })
        };
        let Certificates { server, gateway, forward_auth } = certificates;
        let gateway = Bounded {
            listener: bind("gateway.listen", config.gateway.listen).await?,
            room: places.public.clone(),
            certificate: gateway.clone(),
        };
        let asking = config.forward_auth.listen;
        Ok(Self {
            server: private("server.listen", config.server.listen, server).await?,
            gateway,
            forward_auth: private("forward_auth.listen", asking, forward_auth).await?,
            metrics: private("metrics.listen", config.metrics.listen, &None).await?,
            sample: if with_sample {
                Some(bind("the sample upstream", loopback).await?)
            } else {
                None
            },
        })
    }
}

impl Listeners {
    fn announce(&self, apis: usize) -> std::io::Result<()> {
        tracing::info!(
            server = %self.server.listener.local_addr()?,
            gateway = %self.gateway.listener.local_addr()?,
            forward_auth = %self.forward_auth.listener.local_addr()?,
            metrics = %self.metrics.listener.local_addr()?,
            apis,
            "listening"
        );
        Ok(())
    }
}

async fn bind(setting: &str, address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        Failure::Failed(match error.kind() {
            ErrorKind::AddrInUse => anyhow!(
                "{setting}: {address} is in use by another program; stop that one, or set another \
                 address in the configuration or in {}",
                format!("COUNTERFOIL_{}", setting.replace('.', "_")).to_uppercase()
            ),
            _ => anyhow!("{setting}: {address} cannot be listened on: {error}"),
        })
    })
}

fn start(
    live: &Current,
    metrics: Arc<Metrics>,
    listeners: Listeners,
    stop: &CancellationToken,
) -> JoinSet<()> {
    let mut serving = JoinSet::new();
    let current = live.clone();
    serving.spawn(listen::serve(listeners.gateway, stop.clone(), move |peer| {
        let current = current.clone();
        Some(service_fn(move |request| current.load().gateway.clone().answer(peer, request)))
    }));
    let current = live.clone();
    serving.spawn(listen::serve(listeners.forward_auth, stop.clone(), move |peer| {
        let current = current.clone();
        Some(service_fn(move |request| match current.load().forward_auth.answer(peer, &request) {
            Ok(response) => Either::Left(ready(Ok::<_, Infallible>(response))),
            Err(later) => {
                let live = current.load_full();
                Either::Right(Box::pin(async move {
                    Ok(live.forward_auth.answer_in_time(peer, request, later).await)
                }))
            }
        }))
    }));
    let current = live.clone();
    serving.spawn(listen::serve(listeners.server, stop.clone(), move |peer| {
        let current = current.clone();
        Some(service_fn(move |request| current.load().server.clone().answer(peer, request)))
    }));
    let metrics = status::metrics(metrics);
    serving.spawn(serve_router(listeners.metrics, stop, move || metrics.clone()));
    if let Some(sample) = listeners.sample {
        serving.spawn(sample_upstream::serve(sample, stop.clone()));
    }
    serving
}

fn serve_router(
    listener: Bounded,
    stop: &CancellationToken,
    router: impl Fn() -> Router + Clone + Send + 'static,
) -> impl Future<Output = ()> + Send + 'static {
    listen::serve(listener, stop.clone(), move |peer| {
        let router = router.clone();
        Some(service_fn(move |mut request: ::http::Request<Incoming>| {
            request.extensions_mut().insert(Peer(peer));
            router().oneshot(request)
        }))
    })
}

/// What a configuration that is read again is applied to.
struct Reloading {
    /// As it was when the server started: what listens and where data is stays so.
    started_with: Config,
    /// The file that was named, if one was.
    file: Option<PathBuf>,
    app: Arc<App>,
    metrics: Arc<Metrics>,
    live: Current,
    certificates: Arc<Certificates>,
}

impl Reloading {
    /// Reads the configuration again whenever the server is hung up on. A
    /// mistake in it changes nothing.
    async fn run(self, mut hang_ups: Signal) {
        while hang_ups.recv().await.is_some() {
            match self.reload() {
                Ok(apis) => tracing::info!(apis, "reloaded"),
                Err(error) => {
                    tracing::error!(
                        error = format!("{error:#}"),
                        "the configuration stays as it was"
                    );
                    // Whoever renews certificates, or withdraws a key, need not know of the rest.
                    self.certificates.look();
                    self.app.service.access_tokens.look_again(clock::now());
                }
            }
        }
    }

    fn reload(&self) -> anyhow::Result<usize> {
        let mut config = configuration::load_again(self.file.as_deref())?;
        for (setting, same) in config.fixed_settings(&self.started_with) {
            if !same {
                tracing::warn!(setting, "this setting takes effect with a restart only");
            }
        }
        // What is spoken with clients is what was when the listener was opened.
        if config.gateway.tls.is_some() != self.started_with.gateway.tls.is_some() {
            config.gateway.tls.clone_from(&self.started_with.gateway.tls);
        }
        let live = Live::new(&config, &self.app, &self.metrics, Some(&self.live.load()))?;
        self.app.configure(&config)?;
        self.live.store(Arc::new(live));
        self.certificates.renew(&config);
        Ok(config.apis.len())
    }
}

/// The signals that ask the server to stop.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Says where to begin, while there is nobody yet. The link is in no log: whoever has it
/// is the first administrator.
async fn introduce_set_up(app: &App, config: &Config) -> Result<(), Failure> {
    let link = app.service.set_up_link().await.context("the link for the first set-up")?;
    if let Some(code) = link {
        output::note(format_args!(
            "Nobody has set this installation up yet. Open this in a browser; it works once, \
             within an hour:\n"
        ));
        output::print(format_args!("{}/set-up/{}", config.server.public_url, *code))?;
    }
    Ok(())
}

fn introduce_sample(global: &Global, gateway: &str) -> Result<(), Failure> {
    let program = demo::program();
    let data = match &global.data {
        Some(data) => format!(" --data '{}'", data.display()),
        None => String::new(),
    };
    output::note(format_args!(
        "\nThere is no configuration file, so here is an API to try: `sample`, with an upstream \
         of its own.\nSet up an account here instead, if you like (once), and call the API with \
         a new token:\n"
    ));
    output::print(format_args!("{program}{data} init --email you@example.com"))?;
    output::print(format_args!(
        "curl -i -H \"Authorization: Bearer $({program}{data} token create --api sample --owner \
         you@example.com --quiet)\" {gateway}/sample/hello"
    ))?;
    output::note(format_args!("\nFor an API of your own: {program} config init"));
    Ok(())
}
