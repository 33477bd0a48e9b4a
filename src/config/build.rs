//! The settings become a [`Config`]: each value its type, and all of them together consistent.

use super::{
    Config, Console, Doors, ForwardAuth, Gateway, Log, Metrics, Mistakes, Server, Signing, api,
    database, digest,
    document::Document,
    key_path::KeyPath,
    limiter, mail,
    mistake::{Noted, Report, likeness, nearest},
    settings::{self, Settings},
    tls, url,
};
use counterfoil_core::{network::Network, time::Seconds};
use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};
use tracing_subscriber::EnvFilter;

/// The configuration that `settings`, which were read from `document`, describe.
pub(super) fn build(settings: Settings, document: &Document<'_>) -> Result<Config, Mistakes> {
    let mut report = Report::new(document);
    let config = read(settings, &mut report);
    report.finish(config)
}

fn read(settings: Settings, report: &mut Report<'_>) -> Result<Config, Noted> {
    let [server, gateway, forward_auth, metrics] = listeners(&settings, report);
    let before_server = networks(&settings.server.trusted_proxies, "server", report);
    let in_front = networks(&settings.gateway.trusted_proxies, "gateway", report);
    let asking = networks(&settings.forward_auth.trusted_proxies, "forward_auth", report);
    let server_tls = tls::read("server", settings.server.tls.as_ref(), report);
    let gateway_tls = tls::read("gateway", settings.gateway.tls.as_ref(), report);
    let asking_tls = tls::read("forward_auth", settings.forward_auth.tls.as_ref(), report);
    let server_url = public_url("server", settings.server.public_url.as_deref(), server, report);
    let gateway_url =
        public_url("gateway", settings.gateway.public_url.as_deref(), gateway, report);
    let database = database::read(&settings.database, report);
    let level = level(settings.log.level, report);
    let console = console(&settings.console, report);
    let doors = doors(&settings.doors, report);
    let signing = signing(&settings.signing, report);
    let limiter = limiter::read(settings.limiter, report);
    let mail = mail::read(settings.mail, report);
    unique_prefixes(&settings.api, report);
    unique_mounts(&settings.api, report);
    let apis_digest = digest::of(&settings.api);
    let apis =
        settings.api.into_iter().filter_map(|(name, api)| api::read(&name, api, report).ok());
    let apis = apis.collect();
    Ok(Config {
        server: Server {
            listen: server?,
            public_url: server_url?,
            trusted_proxies: before_server?,
            tls: server_tls?,
        },
        gateway: Gateway {
            listen: gateway?,
            public_url: gateway_url?,
            trusted_proxies: in_front?,
            forwarded: settings.gateway.forwarded,
            tls: gateway_tls?,
        },
        forward_auth: ForwardAuth {
            listen: forward_auth?,
            proxy: settings.forward_auth.proxy,
            trusted_proxies: asking?,
            strip_mounts: settings.forward_auth.strip_mounts,
            tls: asking_tls?,
        },
        metrics: Metrics { listen: metrics? },
        doors: doors?,
        database: database?,
        limiter: limiter?,
        log: Log { format: settings.log.format, level: level? },
        console: console?,
        signing: signing?,
        mail: mail?,
        apis,
        apis_digest,
    })
}

fn listeners(settings: &Settings, report: &mut Report<'_>) -> [Result<SocketAddr, Noted>; 4] {
    const NAMES: [&str; 4] = ["server", "gateway", "forward_auth", "metrics"];
    let texts = [
        &settings.server.listen,
        &settings.gateway.listen,
        &settings.forward_auth.listen,
        &settings.metrics.listen,
    ];
    let path = |at: usize| KeyPath::of([NAMES[at], "listen"]);
    let mut found = [Err(Noted); 4];
    for (at, text) in texts.into_iter().enumerate() {
        let read = text.parse().map_err(
            |_| "expected an IP address and a port, as in \"127.0.0.1:8080\" or \"[::]:8080\"",
        );
        found[at] = report.accept(&path(at), read);
        for before in 0..at {
            if let (Ok(one), Ok(other)) = (found[before], found[at])
                && overlap(one, other)
            {
                // One of the two may be a default: the mistake is where somebody wrote.
                let (here, there) =
                    if report.document.has(&path(at)) { (at, before) } else { (before, at) };
                report.add(&path(here), format_args!("the same port as {}.listen", NAMES[there]));
            }
        }
    }
    found
}

fn networks(texts: &[String], table: &str, report: &mut Report<'_>) -> Result<Vec<Network>, Noted> {
    let path = KeyPath::of([table, "trusted_proxies"]);
    let mut found = Ok(Vec::new());
    for (index, text) in texts.iter().enumerate() {
        let read = report.accept(&path.index(index), text.parse());
        match (&mut found, read) {
            (Ok(networks), Ok(network)) => networks.push(network),
            (_, Err(noted)) => found = Err(noted),
            (Err(_), Ok(_)) => {}
        }
    }
    found
}

/// Whether the system would refuse the second of two listeners.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let all = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() != 0 && one.port() == other.port() && (all || one.ip() == other.ip())
}

fn public_url(
    listener: &str,
    text: Option<&str>,
    listen: Result<SocketAddr, Noted>,
    report: &mut Report<'_>,
) -> Result<String, Noted> {
    let is_tls = tls::is_wanted(listener, report.document);
    let read = match text {
        Some(text) => url::public(text),
        None if is_tls => url::public(&format!("https://{}", listen?)),
        None => url::public(&format!("http://{}", listen?)),
    };
    let path = KeyPath::of([listener, "public_url"]);
    let url = report.accept(&path, read)?;
    if is_tls && !url.starts_with("https://") {
        return Err(
            report.add(&path, format_args!("expected https, since there is {listener}.tls"))
        );
    }
    Ok(url)
}

fn level(text: String, report: &mut Report<'_>) -> Result<String, Noted> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let path = KeyPath::of(["log", "level"]);
    // A bare word that is no level means "everything of the module of that name".
    // A misspelt level is more likely, and would log everything of nothing.
    for word in text.split(',').map(|word| word.trim().to_ascii_lowercase()) {
        if !LEVELS.contains(&word.as_str())
            && let Some(level) = nearest(&word, LEVELS)
            && (likeness(&word, level) > 0.7 || word.starts_with(level))
            && word.bytes().all(|b| b.is_ascii_alphabetic())
        {
            return Err(report.add_near(&path, "unknown level", Some(level)));
        }
    }
    if EnvFilter::try_new(&text).is_err() {
        let message = "expected a level, or levels by module, as in \"info,hyper=warn\"";
        return Err(report.add(&path, message));
    }
    Ok(text)
}

fn console(settings: &settings::Console, report: &mut Report<'_>) -> Result<Console, Noted> {
    let at = KeyPath::of(["console"]);
    let session = report.accept(&at.key("session"), api::read_span(&settings.session));
    let session_max = report.accept(&at.key("session_max"), api::read_span(&settings.session_max));
    if let (Ok(idle), Ok(most)) = (session, session_max)
        && idle > most
    {
        // One of the two may be a default: the mistake is where somebody wrote.
        let (key, message) = if report.document.has(&at.key("session")) {
            ("session", format!("{idle} is longer than session_max, {most}"))
        } else {
            ("session_max", format!("{most} is shorter than session, {idle}"))
        };
        report.add(&at.key(key), message);
    }
    let path = at.key("operators");
    let operators = settings.operators.iter().enumerate();
    let operators = operators
        .filter_map(|(index, text)| report.accept(&path.index(index), text.parse()).ok())
        .collect();
    Ok(Console { docs: settings.docs, operators, session: session?, session_max: session_max? })
}

fn doors(settings: &settings::Doors, report: &mut Report<'_>) -> Result<Doors, Noted> {
    let path = KeyPath::of(["doors", "unproven"]);
    let unproven = settings.unproven.as_deref().map(|text| report.accept(&path, text.parse()));
    Ok(Doors { unproven: unproven.transpose()? })
}

/// The shortest time between two keys: a key is published a day before it signs.
const ROTATE: Seconds = Seconds::days(2);

/// How long after one key the next is made.
pub(crate) fn rotation(text: &str) -> Result<Seconds, String> {
    let rotate = api::read_span(text)?;
    if rotate < ROTATE {
        return Err(format!("expected {ROTATE} at least"));
    }
    Ok(rotate)
}

fn signing(settings: &settings::Signing, report: &mut Report<'_>) -> Result<Signing, Noted> {
    let at = KeyPath::of(["signing"]);
    let rotate = report.accept(&at.key("rotate"), rotation(&settings.rotate));
    let keys_directory = match settings.keys_directory.as_deref() {
        Some("") => Err(report.add(&at.key("keys_directory"), "expected a directory")),
        directory => Ok(directory.map(PathBuf::from)),
    };
    Ok(Signing { rotate: rotate?, keys_directory: keys_directory? })
}

/// A secret's prefix says which API it is for.
fn unique_prefixes(apis: &BTreeMap<String, settings::Api>, report: &mut Report<'_>) {
    let mut seen = BTreeMap::from([(api::MANAGEMENT.to_owned(), api::MANAGEMENT)]);
    for (name, api) in in_order(apis, report.document) {
        let prefix = api.tokens.prefix.clone().unwrap_or_else(|| api::prefix_from(name));
        if let Some(other) = seen.get(&prefix) {
            let path = KeyPath::of(["api", name, "tokens", "prefix"]);
            report.add(&path, format_args!("the prefix {prefix} is that of the API {other}"));
        } else {
            seen.insert(prefix, name);
        }
    }
}

fn unique_mounts(apis: &BTreeMap<String, settings::Api>, report: &mut Report<'_>) {
    let mut seen = BTreeMap::new();
    for (name, api) in in_order(apis, report.document) {
        let (key, place) = match (&api.mount.host, &api.mount.path) {
            (Some(host), _) => ("host", host.to_ascii_lowercase()),
            (None, Some(path)) => ("path", path.clone()),
            (None, None) => ("path", format!("/{name}")),
        };
        if let Some(other) = seen.get(&place) {
            let path = KeyPath::of(["api", name, "mount", key]);
            report.add(&path, format_args!("the API {other} is mounted there"));
        } else {
            seen.insert(place, name);
        }
    }
}

/// In the order of the file, so that of two that clash the later one is the mistake.
fn in_order<'a>(
    apis: &'a BTreeMap<String, settings::Api>,
    document: &Document<'_>,
) -> impl Iterator<Item = (&'a str, &'a settings::Api)> {
    let names = document.keys_in_order(&KeyPath::of(["api"]), apis.keys());
    names.into_iter().filter_map(|name| Some((name.as_str(), apis.get(name)?)))
}
