//! Where an API's requests go: its upstreams, and what the gateway expects of them.

use super::{
    api,
    key_path::KeyPath,
    mistake::{Noted, Report},
    settings::{self, OneOrMore},
    url,
};
use crate::named_file;
use counterfoil_core::time::Seconds;
use http::Uri;
use rustls::{
    RootCertStore,
    crypto::ring::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
    sign::CertifiedKey,
};
use std::{ops::RangeInclusive, sync::Arc, time::Duration};

/// How many upstreams an API may have.
const MOST: usize = 32;
/// How long a connection may take at most, whoever says so.
const CONNECT: Seconds = Seconds(60);
/// The longest of the other times.
const LONGEST: Seconds = Seconds::days(1);

/// An API's upstreams: one, or several that are alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Upstream {
    /// Where they are; at least one. They have scheme and path in common, and no query.
    pub(crate) urls: Vec<Uri>,
    /// How their certificates are checked, where they are not like everybody's.
    pub(crate) tls: UpstreamTls,
    /// How long each step may take.
    pub(crate) timeouts: Timeouts,
    /// How they are asked whether they are well, if they are.
    pub(crate) health: Option<HealthCheck>,
}

/// How the certificates of upstreams are checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct UpstreamTls {
    /// What they are checked against; none: the system's certificates.
    pub(crate) authorities: Option<Vec<CertificateDer<'static>>>,
    /// The name that they have to have; none: the URL's host.
    pub(crate) server_name: Option<ServerName<'static>>,
    /// What we show of ourselves.
    pub(crate) own: Option<(Vec<CertificateDer<'static>>, Arc<PrivateKeyDer<'static>>)>,
}

/// How long each step of a request may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timeouts {
    /// A connection: name, TCP and TLS.
    pub(crate) connect: Duration,
    /// From the end of a request to the head of the response.
    pub(crate) response: Duration,
    /// To the next piece of a request's body.
    pub(crate) upload: Duration,
    /// To the next piece of a response's body.
    pub(crate) download: Duration,
}

/// How upstreams are asked whether they are well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HealthCheck {
    /// What is asked for.
    pub(crate) path: Uri,
    /// How long after one answer the next question is.
    pub(crate) interval: Duration,
    /// What a well one answers.
    pub(crate) expect: RangeInclusive<u16>,
}

impl Upstream {
    /// The one at `url`, with the usual patience.
    pub(crate) fn at(url: Uri) -> Self {
        Self {
            urls: vec![url],
            tls: UpstreamTls::default(),
            timeouts: Timeouts::default(),
            health: None,
        }
    }
}

impl Default for Timeouts {
    /// Those of the settings' defaults.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            response: Duration::from_mins(1),
            upload: Duration::from_mins(1),
            download: Duration::from_mins(10),
        }
    }
}

/// The upstreams of the API whose settings stand at `at`.
pub(super) fn read(
    settings: &settings::Api,
    at: &KeyPath,
    report: &mut Report<'_>,
) -> Result<Upstream, Noted> {
    let urls = urls(&settings.upstream, &at.key("upstream"), report);
    let tls = match &settings.upstream_tls {
        None => Ok(UpstreamTls::default()),
        Some(tls) => {
            let at = at.key("upstream_tls");
            if urls.as_ref().is_ok_and(|urls| urls[0].scheme_str() != Some("https")) {
                report.add_key(&at, "only an https upstream has a certificate", None);
            }
            read_tls(tls, &at, report)
        }
    };
    let timeouts = timeouts(&settings.timeouts, &at.key("timeouts"), report);
    let health = settings
        .health
        .as_ref()
        .map(|settings| health(settings, &at.key("health"), report))
        .transpose();
    Ok(Upstream { urls: urls?, tls: tls?, timeouts: timeouts?, health: health? })
}

fn urls(settings: &OneOrMore, at: &KeyPath, report: &mut Report<'_>) -> Result<Vec<Uri>, Noted> {
    const NONE: &str = "this API needs one, as in \"http://127.0.0.1:9000\"";
    let OneOrMore(texts) = settings;
    if texts.is_empty() {
        return Err(report.add(at, NONE));
    }
    // One may stand without a list around it.
    let has_list = report.document.has(&at.index(0));
    if texts.len() > MOST {
        return Err(report.add(at, format_args!("expected {MOST} at most")));
    }
    let mut urls: Vec<Uri> = Vec::new();
    let mut sound = Ok(());
    for (index, text) in texts.iter().enumerate() {
        let at = if has_list { at.index(index) } else { at.clone() };
        let Ok(url) = report.accept(&at, url::upstream(text)) else {
            sound = Err(Noted);
            continue;
        };
        let first = urls.first().unwrap_or(&url);
        let objection = if urls.iter().any(|other| other.authority() == url.authority()) {
            "this upstream is listed twice"
        } else if url.scheme() != first.scheme() {
            "expected http for all upstreams or https for all"
        } else if url.path() != first.path() {
            "expected the same path for all upstreams: one request may go to any"
        } else {
            urls.push(url);
            continue;
        };
        sound = Err(report.add(&at, objection));
    }
    sound.map(|()| urls)
}

fn read_tls(
    settings: &settings::UpstreamTls,
    at: &KeyPath,
    report: &mut Report<'_>,
) -> Result<UpstreamTls, Noted> {
    let authorities = settings.ca_file.as_deref().map(|file| {
        let read = certificates(file).and_then(|certificates| {
            let mut trusted = RootCertStore::empty();
            for certificate in &certificates {
                trusted.add(certificate.clone()).map_err(|error| error.to_string())?;
            }
            Ok(certificates)
        });
        report.accept(&at.key("ca_file"), read)
    });
    let server_name = settings.server_name.clone().map(|name| {
        let read = ServerName::try_from(name);
        let read = read.map_err(|_| "expected a host name or an address, without a port");
        report.accept(&at.key("server_name"), read)
    });
    let own = match (&settings.certificate_file, &settings.key_file) {
        (None, None) => Ok(None),
        (Some(_), None) => {
            Err(report.add(&at.key("key_file"), "certificate_file needs a key that belongs to it"))
        }
        (None, Some(_)) => {
            Err(report.add(&at.key("certificate_file"), "key_file needs a certificate"))
        }
        (Some(certificate), Some(key)) => {
            let certificates =
                report.accept(&at.key("certificate_file"), certificates(certificate));
            let key = report.accept(&at.key("key_file"), private_key(key));
            let (certificates, key) = (certificates?, key?);
            let pair =
                CertifiedKey::from_der(certificates.clone(), key.clone_key(), &default_provider());
            report.accept(&at.key("key_file"), pair).map(|_| Some((certificates, Arc::new(key))))
        }
    };
    Ok(UpstreamTls {
        authorities: authorities.transpose()?,
        server_name: server_name.transpose()?,
        own: own?,
    })
}

fn certificates(file: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    const FORM: &str = "expected a file of certificates in PEM";
    let pem = named_file::read(file)?;
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    read.ok().filter(|certificates| !certificates.is_empty()).ok_or_else(|| FORM.to_owned())
}

fn private_key(file: &str) -> Result<PrivateKeyDer<'static>, String> {
    let pem = named_file::read(file)?;
    // What is wrong with it may quote it.
    PrivateKeyDer::from_pem_slice(&pem).map_err(|_| "expected a private key in PEM".to_owned())
}

fn timeouts(
    settings: &settings::Timeouts,
    at: &KeyPath,
    report: &mut Report<'_>,
) -> Result<Timeouts, Noted> {
    let settings::Timeouts { connect, response, upload, download } = settings;
    let mut read = |key: &str, text: &str, most| time(text, most, &at.key(key), report);
    let connect = read("connect", connect, CONNECT);
    let response = read("response", response, LONGEST);
    let upload = read("upload", upload, LONGEST);
    let download = read("download", download, LONGEST);
    Ok(Timeouts { connect: connect?, response: response?, upload: upload?, download: download? })
}

fn time(
    text: &str,
    most: Seconds,
    at: &KeyPath,
    report: &mut Report<'_>,
) -> Result<Duration, Noted> {
    let span = report.accept(at, api::read_span(text))?;
    if span > most {
        return Err(report.add(at, format_args!("expected {most} at most")));
    }
    Ok(Duration::from_secs(span.0))
}

fn health(
    settings: &settings::Health,
    at: &KeyPath,
    report: &mut Report<'_>,
) -> Result<HealthCheck, Noted> {
    let path = match &settings.path {
        None => Err(report.add(&at.key("path"), "a check needs one, as in \"/healthz\"")),
        Some(path) => {
            let read = path.parse().ok().filter(|_| path.starts_with('/') && !path.contains('#'));
            report.accept(&at.key("path"), read.ok_or("expected a path, as in \"/healthz\""))
        }
    };
    let interval = time(&settings.interval, Seconds::HOUR, &at.key("interval"), report);
    let expect = match settings.expect.as_str() {
        "2xx" => Ok(200..=299),
        text => match text.parse() {
            Ok(status @ 200..=599) if text.len() == 3 => Ok(status..=status),
            _ => Err("expected a status, as in \"204\", or \"2xx\""),
        },
    };
    let expect = report.accept(&at.key("expect"), expect);
    Ok(HealthCheck { path: path?, interval: interval?, expect: expect? })
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Config, Environment, Loaded, Source},
        *,
    };

    fn load(lines: &str) -> Result<Upstream, String> {
        let source = Source { name: "c.toml".into(), text: format!("[api.a]\n{lines}\n") };
        let loaded = Config::load(Some(&source), &Environment::default());
        let Loaded { config, .. } = loaded.map_err(|mistakes| mistakes.to_string())?;
        let [api] = <[_; 1]>::try_from(config.apis).unwrap();
        Ok(api.upstream)
    }

    const ONE: &str = "upstream = \"http://a\"\n";
    const SECURE: &str = "upstream = \"https://a\"\n";

    #[test]
    fn one_or_several() {
        assert_eq!(load(ONE).unwrap(), Upstream::at("http://a".parse().unwrap()));
        assert_eq!(load("upstream = [\"http://a\"]").unwrap(), load(ONE).unwrap());
        let several = load("upstream = [\"https://a/b\", \"https://c:9/b\"]").unwrap();
        assert_eq!(several.urls, ["https://a/b", "https://c:9/b"]);
        let many = vec!["\"http://a\""; 33].join(",");
        for (value, mistake) in [
            ("[]", "2:12: api.a.upstream: this API needs one"),
            ("3", "2:12: api.a.upstream: expected a text in quotes, or a list of them, found a"),
            ("[\"http://a\", 3]", "2:25: api.a.upstream[1]: expected a text in quotes, found a"),
            ("[\"http://a\", \"\"]", "2:25: api.a.upstream[1]: expected a text that is not empty"),
            ("[\"http://a\", \"b\"]", "2:25: api.a.upstream[1]: expected an http or https URL"),
            ("[\"http://a\", \"http://a\"]", "2:25: api.a.upstream[1]: this upstream is listed"),
            ("[\"http://a\", \"https://b\"]", "2:25: api.a.upstream[1]: expected http for all"),
            ("[\"http://a\", \"http://b/c\"]", "2:25: api.a.upstream[1]: expected the same path"),
            (&*format!("[{many}]"), "2:12: api.a.upstream: expected 32 at most"),
        ] {
            let found = load(&format!("upstream = {value}")).unwrap_err();
            assert!(found.starts_with(&format!("c.toml:{mistake}")), "{found}");
        }
    }

    #[test]
    fn how_certificates_are_checked() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, content: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, content).unwrap();
            path.display().to_string()
        };
        let ca = file("ca", include_str!("example_ca.pem"));
        let certificate = file("certificate", include_str!("example_client.pem"));
        let key = file("key", include_str!("example_client.key"));
        let text = file("text", "certificate");
        let whole = format!(
            "{SECURE}upstream_tls = {{ ca_file = \"{ca}\", server_name = \"b.internal\", \
             certificate_file = \"{certificate}\", key_file = \"{key}\" }}"
        );
        let tls = load(&whole).unwrap().tls;
        assert_eq!(tls.authorities.map(|certificates| certificates.len()), Some(1));
        assert_eq!(tls.server_name.unwrap().to_str(), "b.internal");
        assert_eq!(tls.own.map(|(certificates, _)| certificates.len()), Some(1));
        assert_eq!(
            load(&format!("{SECURE}[api.a.upstream_tls]")).unwrap().tls,
            UpstreamTls::default()
        );
        for (lines, mistake) in [
            (format!("{ONE}[api.a.upstream_tls]"), "upstream_tls: only an https upstream has"),
            (format!("{SECURE}upstream_tls.ca_file = \"{text}\""), "ca_file: expected a file of"),
            (format!("{SECURE}upstream_tls.ca_file = \"/nowhere\""), "ca_file: cannot read this"),
            (format!("{SECURE}upstream_tls.server_name = \"a:b:c/\""), "server_name: expected a"),
            (format!("{SECURE}upstream_tls.key_file = \"{key}\""), "certificate_file: key_file"),
            (
                format!("{SECURE}upstream_tls.certificate_file = \"{certificate}\""),
                "key_file: certificate_file needs",
            ),
            (whole.replace(&key, &text), "key_file: expected a private key in PEM"),
            (whole.replace(&certificate, &ca), "key_file: "),
        ] {
            let found = load(&lines).unwrap_err();
            assert!(found.contains(mistake), "{found}");
        }
    }

    #[test]
    fn patience_and_checks() {
        let settings = settings::Api::default();
        assert_eq!(settings.timeouts.connect, "5s");
        let upstream = load(&format!(
            "{ONE}timeouts.response = \"2s\"\nhealth = {{ path = \"/well?a=b\", expect = \"204\" }}"
        ));
        let upstream = upstream.unwrap();
        let usual = Timeouts::default();
        assert_eq!(upstream.timeouts, Timeouts { response: Duration::from_secs(2), ..usual });
        let check = upstream.health.unwrap();
        assert_eq!((check.path, check.expect), ("/well?a=b".parse().unwrap(), 204..=204));
        assert_eq!(check.interval, Duration::from_secs(10));
        let any = load(&format!("{ONE}health.path = \"/\"")).unwrap().health.unwrap();
        assert_eq!(any.expect, 200..=299);
        for (line, mistake) in [
            ("timeouts.connect = \"61s\"", "timeouts.connect: expected 1m at most"),
            ("timeouts.connect = \"0s\"", "timeouts.connect: expected a span longer than zero"),
            ("timeouts.download = \"2d\"", "timeouts.download: expected 1d at most"),
            ("timeouts.upload = \"soon\"", "timeouts.upload: "),
            ("health = {}", "health.path: a check needs one"),
            ("health.path = \"healthz\"", "health.path: expected a path"),
            (
                "health = { path = \"/\", interval = \"2h\" }",
                "health.interval: expected 1h at most",
            ),
            ("health = { path = \"/\", expect = \"ok\" }", "health.expect: expected a status"),
            ("health = { path = \"/\", expect = \"100\" }", "health.expect: expected a status"),
        ] {
            let found = load(&format!("{ONE}{line}")).unwrap_err();
            assert!(found.contains(mistake), "{found}");
        }
    }
}
