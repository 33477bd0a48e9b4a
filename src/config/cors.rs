//! `[api.NAME.cors]`: which web pages may call an API.

use super::{
    api::read_span,
    key_path::KeyPath,
    mistake::{Noted, Report},
    settings, url,
};
use counterfoil_core::{credential::Schemes, time::Seconds};
use http::{HeaderName, Method};

/// The longest time that browsers may remember an answer; most of them cut it shorter.
const LONGEST: Seconds = Seconds::days(1);

/// Which web pages may call an API from a browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cors {
    /// Where the pages come from.
    pub(crate) origins: Origins,
    /// With which methods.
    pub(crate) methods: Vec<Method>,
    /// With which header fields.
    pub(crate) headers: Vec<HeaderName>,
    /// Which fields of a response they may read.
    pub(crate) expose: Vec<HeaderName>,
    /// Whether cookies come along.
    pub(crate) credentials: bool,
    /// How long browsers may remember this.
    pub(crate) max_age: Seconds,
}

/// Where pages come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origins {
    /// Anywhere, but for `null`.
    Any,
    /// From one of these, to the byte.
    Listed(Vec<String>),
}

/// What `settings` say of an API with these schemes.
pub(super) fn read(
    settings: &settings::Cors,
    schemes: &Result<Schemes, Noted>,
    at: &KeyPath,
    report: &mut Report<'_>,
) -> Result<Cors, Noted> {
    let origins = origins(settings, at, report);
    let methods = each(&settings.methods, &at.key("methods"), report, |text| {
        let method = Method::from_bytes(text.as_bytes()).ok();
        // Browsers compare to the byte, and change the case of none but the usual ones.
        method
            .filter(|_| text.bytes().all(|b| !b.is_ascii_lowercase()) && text != "*")
            .ok_or("expected the name of a method in capitals, as in \"GET\"")
    });
    let headers = match &settings.headers {
        Some(names) => each(names, &at.key("headers"), report, field),
        None => schemes.as_ref().map(usual).map_err(|noted| *noted),
    };
    let expose = each(&settings.expose, &at.key("expose"), report, field);
    let max_age = report.accept(&at.key("max_age"), read_span(&settings.max_age));
    if max_age.is_ok_and(|max_age| max_age > LONGEST) {
        return Err(report.add(&at.key("max_age"), format_args!("expected {LONGEST} at most")));
    }
    Ok(Cors {
        origins: origins?,
        methods: methods?,
        headers: headers?,
        expose: expose?,
        credentials: settings.credentials,
        max_age: max_age?,
    })
}

fn origins(
    settings: &settings::Cors,
    at: &KeyPath,
    report: &mut Report<'_>,
) -> Result<Origins, Noted> {
    let path = at.key("origins");
    if settings.origins.is_empty() {
        let message = "expected the origins of the pages that may call this API, or \"*\"";
        return Err(report.add(&path, message));
    }
    if settings.origins == ["*"] {
        if settings.credentials {
            let message = "with \"*\", any page could act with its visitors' cookies: list the \
                           origins that may";
            return Err(report.add(&at.key("credentials"), message));
        }
        return Ok(Origins::Any);
    }
    each(&settings.origins, &path, report, url::origin).map(Origins::Listed)
}

fn field(name: &str) -> Result<HeaderName, &'static str> {
    match name.parse() {
        // With credentials it is a name like any other, and never means Authorization.
        Ok(_) if name == "*" => Err("expected names of header fields, for * is no such name here"),
        Ok(name) => Ok(name),
        Err(_) => Err("expected the name of a header field"),
    }
}

fn usual(schemes: &Schemes) -> Vec<HeaderName> {
    use counterfoil_core::credential::Scheme;
    let own = schemes.header.iter().chain(schemes.header_pair.iter().flatten());
    let mut names: Vec<HeaderName> = own.filter_map(|name| name.parse().ok()).collect();
    if schemes.accepted.iter().any(|it| !matches!(it, Scheme::Header | Scheme::HeaderPair)) {
        names.push(http::header::AUTHORIZATION);
    }
    names.push(http::header::CONTENT_TYPE);
    names
}

/// All of `texts` as `read` understands them, or each that it does not.
fn each<T, E: std::fmt::Display>(
    texts: &[String],
    at: &KeyPath,
    report: &mut Report<'_>,
    read: impl Fn(&str) -> Result<T, E>,
) -> Result<Vec<T>, Noted> {
    let mut found = Ok(Vec::with_capacity(texts.len()));
    for (index, text) in texts.iter().enumerate() {
        let read = report.accept(&at.index(index), read(text));
        match (&mut found, read) {
            (Ok(all), Ok(one)) => all.push(one),
            (_, Err(noted)) => found = Err(noted),
            (Err(_), Ok(_)) => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Environment, Source};

    fn load(lines: &str) -> Result<Cors, String> {
        let text = format!(
            "[api.a]\nupstream = \"http://127.0.0.1:9000\"\nschemes = [\"header\", \"bearer\"]\n\
             header = \"X-Key\"\n[api.a.cors]\n{lines}\n"
        );
        let source = Source { name: "c".into(), text };
        let loaded = Config::load(Some(&source), &Environment::default());
        let config = loaded.map_err(|mistakes| mistakes.to_string())?.config;
        Ok(config.apis.into_iter().next().unwrap().cors.unwrap())
    }

    #[test]
    fn what_is_not_said() {
        let cors = load("origins = [\"https://a.example\", \"null\", \"capacitor://localhost\"]");
        let cors = cors.unwrap();
        let origins = ["https://a.example", "null", "capacitor://localhost"].map(Into::into);
        assert_eq!(cors.origins, Origins::Listed(origins.into()));
        assert_eq!(cors.headers, ["x-key", "authorization", "content-type"]);
        assert_eq!(cors.methods.len(), 6);
        assert_eq!((cors.credentials, cors.max_age, cors.expose), (false, Seconds(600), vec![]));
        assert_eq!(load("origins = [\"*\"]").unwrap().origins, Origins::Any);
    }

    #[test]
    fn mistakes() {
        for (lines, mistake) in [
            ("", "api.a.cors.origins: expected the origins of the pages"),
            ("origins = []", "api.a.cors.origins: expected the origins of the pages"),
            (
                "origins = [\"*\"]\ncredentials = true",
                "api.a.cors.credentials: with \"*\", any page",
            ),
            ("origins = [\"*\", \"null\"]", "api.a.cors.origins[0]: \"*\" stands alone"),
            ("origins = [\"https://a.example/\"]", "api.a.cors.origins[0]: expected an origin as"),
            (
                "origins = [\"https://a.example:443\"]",
                "api.a.cors.origins[0]: expected an origin as",
            ),
            ("origins = [\"https://A.example\"]", "api.a.cors.origins[0]: expected an origin as"),
            ("origins = [\"https://*.example\"]", "api.a.cors.origins[0]: expected an origin as"),
            ("origins = [\"a.example\"]", "api.a.cors.origins[0]: expected an origin, as in"),
            ("origins = [\"*\"]\nmethods = [\"get\"]", "api.a.cors.methods[0]: expected the name"),
            ("origins = [\"*\"]\nmethods = [\"*\"]", "api.a.cors.methods[0]: expected the name"),
            ("origins = [\"*\"]\nheaders = [\"*\"]", "api.a.cors.headers[0]: expected names"),
            ("origins = [\"*\"]\nexpose = [\"a b\"]", "api.a.cors.expose[0]: expected the name"),
            ("origins = [\"*\"]\nmax_age = \"2d\"", "api.a.cors.max_age: expected 1d at most"),
        ] {
            let found = load(lines).unwrap_err();
            assert!(found.contains(mistake), "{lines}: {found}");
        }
    }
}
