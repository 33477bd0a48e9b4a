//! One `[api.NAME]` becomes a [`ProtectedApi`].

use super::{
    Dialog, Mount, ProtectedApi, access,
    key_path::KeyPath,
    limits,
    mistake::{Noted, Report},
    schemes,
    settings::{self, Ask},
    url,
};
use counterfoil_core::{
    access_token::AccessTokenPolicy,
    api::{Api, TokenPolicy},
    credential::{Scheme, Schemes},
    time::{NotASpan, Seconds},
    token::Prefix,
};
use std::sync::Arc;

/// The API that Counterfoil itself is; no other has this name or prefix.
pub(super) const MANAGEMENT: &str = "counterfoil";

/// Names that mean something else where the name of an API may stand in a path.
const RESERVED: [&str; 2] = ["refusals", MANAGEMENT];

const PREFIX_MAX: usize = 15;

/// The API that `settings` describe.
pub(super) fn read(
    name: &str,
    settings: settings::Api,
    report: &mut Report<'_>,
) -> Result<ProtectedApi, Noted> {
    let at = KeyPath::of(["api", name]);
    // Other settings default to the name: it comes first, and alone if it is wrong.
    check_name(name, &at, report)?;
    let upstream =
        match &settings.upstream {
            Some(text) => report.accept(&at.key("upstream"), url::upstream(text)),
            None => Err(report
                .add(&at.key("upstream"), "this API needs one, as in \"http://127.0.0.1:9000\"")),
        };
    let mount = mount(name, &settings.mount, &at.key("mount"), report);
    let schemes = schemes::read(&settings, &at, report);
    let limits = limits::read(&settings, &at, report);
    let realm = realm(name, settings.realm, &at, report);
    let scopes = access::scopes(&settings.scopes, &at.key("scopes"), report);
    let roles = access::roles(&settings.roles, &scopes, &at.key("roles"), report);
    let routes = access::routes(&settings.routes, &scopes, &at.key("routes"), report);
    let tokens = tokens(name, settings.tokens, &at.key("tokens"), report);
    let access_tokens = settings
        .access_tokens
        .map(|settings| access_tokens(&settings, &schemes, &at.key("access_tokens"), report))
        .transpose();
    if let (Ok(mount), Ok(Some(_))) = (&mount, &access_tokens) {
        check_exchange(&settings.routes, &mount.exchange(), &at.key("routes"), report);
    }
    let has = Has { roles: !settings.roles.is_empty(), scopes: !settings.scopes.is_empty() };
    let console = console(settings.console, &has, &at.key("console"), report);
    if settings.words.menu.is_empty() {
        report.add(&at.key("words").key("menu"), "expected at least one entry");
    }
    let api = Api {
        name: name.into(),
        schemes: schemes?,
        errors: settings.errors.into(),
        realm: realm?,
        routes,
        scopes,
        roles,
        issuers: settings.issuers.into(),
        tokens: tokens?,
        access_tokens: access_tokens?,
        limits: limits?,
    };
    Ok(ProtectedApi {
        api: Arc::new(api),
        upstream: upstream?,
        mount: mount?,
        console: console?,
        words: settings.words,
    })
}

/// The prefix of an API that sets none.
pub(super) fn prefix_from(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).take(PREFIX_MAX).collect()
}

fn check_name(name: &str, at: &KeyPath, report: &mut Report<'_>) -> Result<(), Noted> {
    let sound = name.len() <= 63
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !sound {
        return Err(report.add_key(
            at,
            "the name of an API is 1 to 63 characters of a-z, 0-9 and -, and begins with a letter",
            None,
        ));
    }
    if RESERVED.contains(&name) {
        return Err(report.add_key(at, "this name is taken, choose another", None));
    }
    Ok(())
}

fn mount(
    name: &str,
    settings: &settings::Mount,
    at: &KeyPath,
    report: &mut Report<'_>,
) -> Result<Mount, Noted> {
    if let Some(host) = &settings.host {
        if settings.path.is_some() {
            return Err(report.add(at, "expected a path or a host, not both"));
        }
        if settings.strip.is_some() {
            return Err(report.add(&at.key("strip"), "with a host, there is no path to strip"));
        }
        return report.accept(&at.key("host"), url::host(host)).map(Mount::Host);
    }
    let strip = settings.strip.unwrap_or(true);
    match &settings.path {
        None => Ok(Mount::Path { path: format!("/{name}"), strip }),
        Some(path) => {
            report.accept(&at.key("path"), url::path(path))?;
            Ok(Mount::Path { path: path.clone(), strip })
        }
    }
}

fn realm(
    name: &str,
    realm: Option<String>,
    at: &KeyPath,
    report: &mut Report<'_>,
) -> Result<String, Noted> {
    let Some(realm) = realm else { return Ok(name.to_owned()) };
    // It is sent as a quoted string, without escapes (RFC 9110 §5.6.4).
    if realm.bytes().all(|b| (b' '..=b'~').contains(&b) && b != b'"' && b != b'\\') {
        return Ok(realm);
    }
    Err(report.add(&at.key("realm"), "expected printable ASCII without quotes and backslashes"))
}

fn tokens(
    name: &str,
    settings: settings::Tokens,
    at: &KeyPath,
    report: &mut Report<'_>,
) -> Result<TokenPolicy, Noted> {
    let prefix = settings.prefix.unwrap_or_else(|| prefix_from(name));
    let prefix = report.accept(&at.key("prefix"), Prefix::try_from(prefix));

    let at = at.key("lifetime");
    let settings::Lifetime { default, max, never } = settings.lifetime;
    let mut span = |key: &str, text: Option<&str>| {
        text.map(|text| report.accept(&at.key(key), read_span(text))).transpose()
    };
    let explicit_never = default.as_deref() == Some("never");
    let max_lifetime = span("max", max.as_deref());
    let default_lifetime = span("default", default.as_deref().filter(|_| !explicit_never));
    let (max_lifetime, default_lifetime) = (max_lifetime?, default_lifetime?);

    let never = never.unwrap_or(max_lifetime.is_none());
    if explicit_never && !never {
        let message = "a token may live for ever only with never = true";
        return Err(report.add(&at.key("default"), message));
    }
    if let (Some(default), Some(max)) = (default_lifetime, max_lifetime)
        && default > max
    {
        let message = format_args!("{default} is longer than max, {max}");
        return Err(report.add(&at.key("default"), message));
    }
    let default_lifetime = match default_lifetime {
        None if !never && max_lifetime.is_none() => {
            return Err(report.add(&at.key("never"), "without never, expected a default or a max"));
        }
        None if !never => max_lifetime,
        given => given,
    };
    Ok(TokenPolicy { prefix: prefix?, default_lifetime, max_lifetime, never })
}

/// How long an access token lives where nobody says, and at most: they cannot be taken back
/// from whoever verifies them elsewhere, and keys stay published as long.
const ACCESS_TOKENS: (Seconds, Seconds) = (Seconds::HOUR, Seconds::days(7));

fn access_tokens(
    settings: &settings::AccessTokens,
    schemes: &Result<Schemes, Noted>,
    at: &KeyPath,
    report: &mut Report<'_>,
) -> Result<AccessTokenPolicy, Noted> {
    if schemes.as_ref().is_ok_and(|schemes| !schemes.accepted.contains(&Scheme::Bearer)) {
        return Err(report.add_key(
            at,
            "access tokens travel as bearer, which schemes does not have",
            None,
        ));
    }
    let (usual, most) = ACCESS_TOKENS;
    let at = at.key("lifetime");
    let lifetime = match &settings.lifetime {
        None => usual,
        Some(text) => report.accept(&at, read_span(text))?,
    };
    if lifetime > most {
        return Err(report.add(&at, format_args!("expected {most} at most")));
    }
    Ok(AccessTokenPolicy { lifetime, algorithm: settings.algorithm.into() })
}

/// A route of the upstream's own that nobody would ever get to.
fn check_exchange(routes: &[String], exchange: &str, at: &KeyPath, report: &mut Report<'_>) {
    for (index, route) in routes.iter().enumerate() {
        let mut words = route.split_whitespace();
        if matches!(words.next(), Some("POST" | "*")) && words.next() == Some(exchange) {
            report.add(
                &at.index(index),
                format_args!(
                    "POST {exchange} is where the gateway exchanges tokens for access tokens; the \
                     upstream needs another path for it, or the API no access_tokens"
                ),
            );
        }
    }
}

pub(super) fn read_span(text: &str) -> Result<Seconds, String> {
    match text.parse() {
        Ok(Seconds(0)) => Err("expected a span longer than zero".into()),
        Ok(span) => Ok(span),
        Err(error @ NotASpan) => Err(error.to_string()),
    }
}

/// What there is to ask for.
struct Has {
    roles: bool,
    scopes: bool,
}

fn console(
    settings: settings::Dialog,
    has: &Has,
    at: &KeyPath,
    report: &mut Report<'_>,
) -> Result<Dialog, Noted> {
    let Some(ask) = settings.ask else {
        // No token of an API with scopes can be issued without an answer to this.
        let ask = match has {
            Has { roles: true, .. } => vec![Ask::Role],
            Has { scopes: true, .. } => vec![Ask::Scopes],
            _ => Vec::new(),
        };
        return Ok(Dialog { ask });
    };
    let at = at.key("ask");
    let mut sound = Ok(());
    for (index, asked) in ask.iter().enumerate() {
        let objection = match asked {
            _ if ask[..index].contains(asked) => "this is asked twice",
            Ask::Role if !has.roles => "this API has no roles",
            Ask::Scopes if !has.scopes => "this API has no scopes",
            Ask::Scopes if ask[..index].contains(&Ask::Role) => "a token has a role or scopes",
            Ask::Role if ask[..index].contains(&Ask::Scopes) => "a token has a role or scopes",
            _ => continue,
        };
        sound = Err(report.add(&at.index(index), objection));
    }
    if has.scopes && !ask.contains(&Ask::Role) && !ask.contains(&Ask::Scopes) {
        sound = Err(report.add(&at, "an API with scopes has to ask for role or scopes"));
    }
    sound.map(|()| Dialog { ask })
}
