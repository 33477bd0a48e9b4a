//! Certificates that our listeners show: read, checked, and exchanged while they serve.

mod validity;

use crate::named_file;
use arc_swap::ArcSwap;
use counterfoil_core::Timestamp;
use rustix::fs::Stat;
use rustls::{
    Error, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
pub(crate) use validity::Validity;
use zeroize::Zeroizing;

/// What is spoken within TLS, the preferred one first.
pub(crate) const HTTP2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

/// From how many days before its end on a certificate is a matter of concern.
const SOON: i64 = 14;
/// From when on it is an urgent one.
const URGENT: i64 = 3;

const DAY: i64 = 86_400_000;

const KEY_IS_OPEN: &str =
    "everybody on this machine may read this key, chmod 600 would change that";

/// Where a certificate and its key lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Files {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// One of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Setting {
    Certificate,
    Key,
}

impl Setting {
    /// What the configuration calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Certificate => "certificate_file",
            Self::Key => "key_file",
        }
    }
}

/// Why files cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unusable {
    /// Which one is at fault.
    pub(crate) setting: Setting,
    pub(crate) why: String,
}

/// What handshakes are made with.
pub(crate) struct Shown {
    chain: Vec<CertificateDer<'static>>,
    pub(crate) validity: Validity,
    tls: Arc<ServerConfig>,
}

impl fmt::Debug for Shown {
    /// Without what the key is in.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shown").field("validity", &self.validity).finish_non_exhaustive()
    }
}

impl Files {
    /// A certificate and its key, which fit together. How long it is good is not asked here:
    /// a file that was in order yesterday must not keep a server from starting.
    pub(crate) fn read(&self) -> Result<Shown, Unusable> {
        let wrong = |setting| move |why: String| Unusable { setting, why };
        let of_certificate = wrong(Setting::Certificate);
        let chain = named_file::read(&self.certificate).and_then(|pem| certificates(&pem));
        let chain = chain.map_err(of_certificate)?;
        let key = named_file::read(&self.key).map(Zeroizing::new).and_then(|pem| one_key(&pem));
        let key = key.map_err(wrong(Setting::Key))?;
        let validity = chain.first().and_then(|first| Validity::of(first));
        let validity =
            validity.ok_or_else(|| of_certificate("this is not a certificate".to_owned()))?;
        let tls = server(chain.clone(), key).map_err(|error| match error {
            Error::InconsistentKeys(_) => wrong(Setting::Key)(
                "this is not the key of the certificate in certificate_file".to_owned(),
            ),
            Error::InvalidCertificate(error) => {
                of_certificate(format!("this certificate cannot be used: {error}"))
            }
            error => wrong(Setting::Key)(format!("this key cannot be used: {error}")),
        })?;
        Ok(Shown { chain, validity, tls: Arc::new(tls) })
    }

    /// What the operator should know of files that can be used, each with the setting.
    pub(crate) fn concerns(&self, now: Timestamp) -> Vec<(Setting, String)> {
        let validity = self.read().ok().map(|shown| shown.validity);
        let not_good = validity.filter(|validity| !is_good(*validity, now)).map(not_now);
        let open = self.is_key_open().then(|| KEY_IS_OPEN.to_owned());
        let not_good = not_good.map(|why| (Setting::Certificate, why));
        not_good.into_iter().chain(open.map(|why| (Setting::Key, why))).collect()
    }

    /// Whether everybody on this machine may read the key. Orchestrators hand keys to a
    /// container in that way, where nobody else is; so it is not refused.
    pub(crate) fn is_key_open(&self) -> bool {
        rustix::fs::stat(&self.key).is_ok_and(|stat| stat.st_mode & 0o007 != 0)
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        Ok(_) if matches!(keys(pem), Ok(keys) if !keys.is_empty()) => {
            Err("there is no certificate in this file, but a private key".into())
        }
        Ok(_) => Err("there is no certificate in this file: expected one in PEM".into()),
        Err(error) => Err(format!("expected certificates in PEM: {error}")),
    }
}

fn one_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    let found = keys(pem).map_err(|error| format!("expected a private key in PEM: {error}"))?;
    match <[_; 1]>::try_from(found) {
        Ok([key]) => Ok(key),
        Err(found) if !found.is_empty() => {
            Err(format!("there are {} private keys in this file: expected one", found.len()))
        }
        Err(_) if contains(pem, b"ENCRYPTED") => {
            Err("the private key has a passphrase, which nobody could enter at a start: expected \
                 one without"
                .into())
        }
        Err(_) => Err("there is no private key in this file: expected one in PEM".into()),
    }
}

fn keys(pem: &[u8]) -> Result<Vec<PrivateKeyDer<'static>>, rustls::pki_types::pem::Error> {
    PrivateKeyDer::pem_slice_iter(pem).collect()
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// TLS 1.2 and 1.3 by the library's own defaults, no early data, and tickets to resume with
/// that end with this certificate.
fn server(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, Error> {
    let mut tls = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    tls.alpn_protocols = [HTTP2, HTTP1].map(<[u8]>::to_vec).into();
    tls.ticketer = ring::Ticketer::new()?;
    Ok(tls)
}

/// What one listener shows, now and after its files have changed.
#[derive(Debug)]
pub(crate) struct Certificate {
    /// The listener's table in the configuration.
    pub(crate) listener: &'static str,
    shown: ArcSwap<Shown>,
    watched: Mutex<Watched>,
}

/// What is looked at now and then.
#[derive(Debug)]
struct Watched {
    files: Files,
    /// As they were when they were read last, whatever came of it.
    seen: [Option<Stamp>; 2],
    /// How many days were left when that was last a concern.
    told: Option<i64>,
}

/// What is different of a file once it is another, or another's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp([i128; 7]);

impl Stamp {
    fn of(file: &Path) -> Option<Self> {
        // Of what a link leads to: whoever renews certificates turns links.
        let Stat {
            st_dev, st_ino, st_size, st_mtime, st_mtime_nsec, st_ctime, st_ctime_nsec, ..
        } = rustix::fs::stat(file).ok()?;
        Some(Self([
            st_dev.into(),
            st_ino.into(),
            st_size.into(),
            st_mtime.into(),
            st_mtime_nsec.into(),
            st_ctime.into(),
            st_ctime_nsec.into(),
        ]))
    }
}

impl Files {
    fn stamps(&self) -> [Option<Stamp>; 2] {
        [&self.certificate, &self.key].map(|file| Stamp::of(file))
    }
}

impl Certificate {
    /// What `files` hold, for `listener`.
    pub(crate) fn open(
        listener: &'static str,
        files: Files,
        now: Timestamp,
    ) -> Result<Self, Unusable> {
        let seen = files.stamps();
        let shown = files.read()?;
        let this = Self {
            listener,
            shown: ArcSwap::from_pointee(shown),
            watched: Mutex::new(Watched { files, seen, told: None }),
        };
        this.introduce(&mut this.watched(), now);
        Ok(this)
    }

    /// For one handshake.
    pub(crate) fn tls(&self) -> Arc<ServerConfig> {
        self.shown.load().tls.clone()
    }

    /// How many days it is good for; less than none once it has ended.
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of some years are exact")]
    pub(crate) fn days_left(&self, now: Timestamp) -> f64 {
        let left = self.shown.load().validity.until.as_millis() - now.as_millis();
        left as f64 / DAY as f64
    }

    /// Reads the files again if they are others than before, and says when the end is near.
    pub(crate) fn look(&self, now: Timestamp) {
        let mut watched = self.watched();
        if watched.files.stamps() != watched.seen {
            self.read(&mut watched, now);
        }
        self.warn(&mut watched, now);
    }

    /// Takes the files from a configuration that was read again, and reads them.
    pub(crate) fn renew(&self, files: &Files, now: Timestamp) {
        let mut watched = self.watched();
        watched.files.clone_from(files);
        self.read(&mut watched, now);
    }

    fn watched(&self) -> MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A mistake changes nothing.
    fn read(&self, watched: &mut Watched, now: Timestamp) {
        // Before they are read: what changes meanwhile is seen the next time.
        watched.seen = watched.files.stamps();
        let before = self.shown.load();
        let read = watched.files.read().and_then(|shown| {
            // What has ended is taken over what has ended, too: it is what the operator has.
            if is_good(shown.validity, now) || !is_good(before.validity, now) {
                return Ok(shown);
            }
            Err(Unusable { setting: Setting::Certificate, why: not_now(shown.validity) })
        });
        match read {
            Ok(shown) if shown.chain == before.chain => {}
            Ok(shown) => {
                self.shown.store(Arc::new(shown));
                self.introduce(watched, now);
            }
            Err(Unusable { setting, why }) => {
                let setting = format!("{}.tls.{}", self.listener, setting.name());
                tracing::error!(setting, why, "the certificate stays as it was");
            }
        }
    }

    fn introduce(&self, watched: &mut Watched, now: Timestamp) {
        let Validity { from, until } = self.shown.load().validity;
        tracing::info!(
            listener = self.listener,
            from = moment(from),
            until = moment(until),
            "certificate"
        );
        if watched.files.is_key_open() {
            let setting = format!("{}.tls.key_file", self.listener);
            tracing::warn!(setting, "{KEY_IS_OPEN}");
        }
        watched.told = None;
        self.warn(watched, now);
    }

    /// Once a day from [`SOON`] on.
    fn warn(&self, watched: &mut Watched, now: Timestamp) {
        let Validity { from, until } = self.shown.load().validity;
        let days_left = (until.as_millis() - now.as_millis()).div_euclid(DAY);
        if (days_left >= SOON && from <= now) || watched.told == Some(days_left) {
            return;
        }
        watched.told = Some(days_left);
        let setting = format!("{}.tls.certificate_file", self.listener);
        let is_refused = !is_good(Validity { from, until }, now);
        let (from, until) = (moment(from), moment(until));
        if is_refused {
            tracing::error!(setting, from, until, "clients refuse this certificate");
        } else if days_left < URGENT {
            tracing::error!(setting, until, days_left, "the certificate ends within days");
        } else {
            tracing::warn!(setting, until, days_left, "the certificate ends soon");
        }
    }
}

fn is_good(validity: Validity, now: Timestamp) -> bool {
    validity.from <= now && now <= validity.until
}

fn not_now(Validity { from, until }: Validity) -> String {
    let (from, until) = (moment(from), moment(until));
    format!("this certificate is good from {from} until {until}, and not now")
}

fn moment(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.as_millis()).unwrap_or_default().to_string()
}

#[cfg(test)]
mod tests;
