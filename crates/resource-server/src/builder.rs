//! What a verifier is made with.

use crate::claims::Leeway;
use crate::clock::Clock;
use crate::fetch::{Fetcher, Source};
use crate::keeper::{Keeper, Rhythm};
use crate::remembered::Remembered;
use crate::verifier::{Inner, Verifier};
use http::Uri;
use std::error::Error;
use std::net::IpAddr;
use std::time::Duration;

const MOST_LEEWAY: Duration = Duration::from_mins(1);

/// Settings of a [`Verifier`]; the defaults are made for production.
#[derive(Clone)]
#[must_use = "it does nothing until it is built"]
pub struct Builder {
    issuer: String,
    audience: String,
    keys: Place,
    plain_http: bool,
    without_keys: bool,
    leeway: Leeway,
    rhythm: Rhythm,
    timeout: Duration,
    room: usize,
    clock: Clock,
}

#[derive(Clone)]
enum Place {
    WellKnown,
    Metadata,
    At(String),
}

/// Why there is no verifier.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The issuer is not written as Counterfoil writes it.
    #[error("the issuer: {0}")]
    Issuer(&'static str),
    /// The audience cannot be the name of an API.
    #[error("the audience: expected the API's name, in visible ASCII characters but \" and \\")]
    Audience,
    /// The keys cannot be at that URL.
    #[error("where the keys are: {0}")]
    KeysAt(&'static str),
    /// A setting is out of its bounds.
    #[error("{0}")]
    Setting(&'static str),
    /// The system's certificates could not be read.
    #[error("the system's certificates could not be read")]
    Certificates(#[source] std::io::Error),
    /// The issuer's keys could not be fetched.
    #[error("the issuer's keys could not be fetched: {0}")]
    Keys(#[source] Box<dyn Error + Send + Sync>),
    /// The issuer was reached, and has no key that tokens could be verified with.
    #[error("the issuer has no Ed25519 or P-256 key to verify tokens with")]
    NoKeys,
}

impl Builder {
    pub(crate) fn new(issuer: String, audience: String) -> Self {
        Self {
            issuer,
            audience,
            keys: Place::WellKnown,
            plain_http: false,
            without_keys: false,
            leeway: Leeway { start: Duration::from_secs(5), expiry: Duration::ZERO },
            rhythm: Rhythm {
                refresh_within: Duration::from_mins(5),
                unknown_key_pause: Duration::from_secs(10),
                reliable_for: Duration::from_hours(24),
            },
            timeout: Duration::from_secs(5),
            room: 10_000,
            clock: Clock::default(),
        }
    }

    /// How long after `exp` a token is still accepted: 0 unless set, a minute at most.
    ///
    /// Nothing lives longer than its issuer said. A service whose clock runs ahead of the
    /// issuer's refuses tokens that much too early, and clients obtain another; a service that
    /// is lenient takes them too late, and nobody notices.
    pub fn expiry_leeway(mut self, leeway: Duration) -> Self {
        self.leeway.expiry = leeway;
        self
    }

    /// How long before `nbf` and `iat` a token is accepted already: 5 s unless set, a minute at
    /// most.
    ///
    /// A token is used the moment it is issued, so a service whose clock is a little behind
    /// would refuse new ones. What is accepted early ends no later for it.
    pub fn start_leeway(mut self, leeway: Duration) -> Self {
        self.leeway.start = leeway;
        self
    }

    /// Finds the keys by the issuer's metadata (RFC 8414) at
    /// `{issuer}/.well-known/oauth-authorization-server`, in place of
    /// `{issuer}/.well-known/jwks.json`. Its `jwks_uri` has to be the issuer's own.
    pub fn keys_by_metadata(mut self) -> Self {
        self.keys = Place::Metadata;
        self
    }

    /// Fetches the keys from `url`, as where the issuer is reached by another name from inside.
    /// Whoever answers there decides which tokens are valid.
    pub fn keys_at(mut self, url: impl Into<String>) -> Self {
        self.keys = Place::At(url.into());
        self
    }

    /// Allows `http` to other hosts than this one. Whoever can change what is on the way could
    /// then give the service keys of their own.
    pub fn allow_plain_http(mut self) -> Self {
        self.plain_http = true;
        self
    }

    /// Builds a verifier though the issuer cannot be reached: until it can,
    /// [`Refused::NoKeys`](crate::Refused::NoKeys) is all that it answers. Otherwise
    /// [`build`](Self::build) fails, and a wrong issuer shows when the service starts.
    pub fn start_without_keys(mut self) -> Self {
        self.without_keys = true;
        self
    }

    /// Within what time keys are fetched anew, at the latest: 5 minutes unless set, from a
    /// second to a day. A `max-age` of the issuer's that is shorter counts, down to 30 seconds.
    ///
    /// This is how long a key that the issuer has withdrawn is accepted while the issuer can be
    /// reached.
    pub fn refresh_within(mut self, time: Duration) -> Self {
        self.rhythm.refresh_within = time;
        self
    }

    /// How long the keys are relied on while the issuer cannot be reached: 24 hours unless set,
    /// a year at most.
    /// After that all tokens are refused with [`Refused::NoKeys`](crate::Refused::NoKeys).
    ///
    /// Longer than tokens live makes no difference to them; it does to whoever has stolen a key
    /// and keeps the service from hearing that it was withdrawn.
    pub fn rely_on_keys_for(mut self, time: Duration) -> Self {
        self.rhythm.reliable_for = time;
        self
    }

    /// How long keys are not fetched again after they were, however many tokens name keys that
    /// are not known: 10 s unless set, from a second to an hour.
    pub fn unknown_key_pause(mut self, time: Duration) -> Self {
        self.rhythm.unknown_key_pause = time;
        self
    }

    /// How long the issuer has to answer: 5 s unless set, a minute at most.
    pub fn fetch_timeout(mut self, time: Duration) -> Self {
        self.timeout = time;
        self
    }

    /// How many verified tokens are remembered, so that a repeat costs no signature check:
    /// 10,000 unless set; 0 for none. Each takes about as many bytes as its claims.
    pub fn remember(mut self, tokens: usize) -> Self {
        self.room = tokens;
        self
    }

    #[cfg(test)]
    pub(crate) fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Builds the verifier, for which the issuer's keys are fetched.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime with time and I/O.
    pub async fn build(self) -> Result<Verifier, BuildError> {
        let source = self.source()?;
        self.check()?;
        let timeout = self.timeout;
        let fetcher = tokio::task::spawn_blocking(move || Fetcher::new(source, timeout))
            .await
            .map_err(std::io::Error::other)
            .flatten()
            .map_err(BuildError::Certificates)?;
        let first = if self.without_keys {
            None
        } else {
            let first = fetcher.fetch().await.map_err(|error| BuildError::Keys(error.into()))?;
            if first.keys.is_empty() {
                return Err(BuildError::NoKeys);
            }
            Some(first)
        };
        Ok(Verifier::new(Inner {
            keeper: Keeper::start(fetcher, first, self.clock.clone(), self.rhythm),
            remembered: Remembered::new(self.room),
            issuer: self.issuer,
            audience: self.audience,
            leeway: self.leeway,
            clock: self.clock,
        }))
    }

    fn source(&self) -> Result<Source, BuildError> {
        let issuer = issuer(&self.issuer).map_err(BuildError::Issuer)?;
        let within = |path| {
            let text = format!("{}{path}", self.issuer);
            text.parse().map_err(|_| BuildError::Issuer(ISSUER))
        };
        let source = match &self.keys {
            Place::WellKnown => Source::At(within("/.well-known/jwks.json")?),
            Place::Metadata => Source::Metadata {
                at: within("/.well-known/oauth-authorization-server")?,
                issuer: self.issuer.clone(),
            },
            Place::At(url) => {
                let uri = url.parse().map_err(|_| BuildError::KeysAt(URL))?;
                self.check_transport(&uri).map_err(BuildError::KeysAt)?;
                return Ok(Source::At(uri));
            }
        };
        self.check_transport(&issuer).map_err(BuildError::Issuer)?;
        Ok(source)
    }

    fn check_transport(&self, uri: &Uri) -> Result<(), &'static str> {
        let host = uri.host().filter(|host| !host.is_empty()).ok_or(URL)?;
        if uri.authority().is_none_or(|authority| authority.as_str().contains('@')) {
            return Err(URL);
        }
        match uri.scheme_str() {
            Some("https") => Ok(()),
            Some("http") if self.plain_http || is_this_machine(host) => Ok(()),
            Some("http") => Err("expected https: by http whoever is on the way can put keys of \
                                 their own in place of the issuer's (see allow_plain_http)"),
            _ => Err(URL),
        }
    }

    fn check(&self) -> Result<(), BuildError> {
        let audience = self.audience.as_bytes();
        if audience.is_empty()
            || !audience.iter().all(|b| b.is_ascii_graphic() && !b"\"\\".contains(b))
        {
            return Err(BuildError::Audience);
        }
        let Rhythm { refresh_within, unknown_key_pause, reliable_for } = self.rhythm;
        let (second, minute) = (Duration::from_secs(1), Duration::from_mins(1));
        let (hour, day, year) =
            (Duration::from_hours(1), Duration::from_hours(24), Duration::from_hours(24 * 366));
        for (wrong, what) in [
            (self.leeway.expiry > MOST_LEEWAY, "expiry_leeway: a minute at most"),
            (self.leeway.start > MOST_LEEWAY, "start_leeway: a minute at most"),
            (!(second..=day).contains(&refresh_within), "refresh_within: from a second to a day"),
            (
                !(second..=hour).contains(&unknown_key_pause),
                "unknown_key_pause: from a second to an hour",
            ),
            (
                !(refresh_within..=year).contains(&reliable_for),
                "rely_on_keys_for: no less than refresh_within, and a year at most",
            ),
            (
                self.timeout.is_zero() || self.timeout > minute,
                "fetch_timeout: more than nothing, and a minute at most",
            ),
        ] {
            if wrong {
                return Err(BuildError::Setting(what));
            }
        }
        Ok(())
    }
}

const URL: &str = "expected an https URL, as in \"https://tokens.example.com\"";
const ISSUER: &str = "expected Counterfoil's public_url, as in \"https://tokens.example.com\": in \
                      lower case, without a path, a slash at the end or the scheme's own port";

/// An origin as tokens name it. Another spelling of the same would be compared with every token
/// and equal none.
fn issuer(text: &str) -> Result<Uri, &'static str> {
    let uri: Uri = text.parse().map_err(|_| ISSUER)?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(ISSUER);
    };
    let usual = if scheme == "http" { 80 } else { 443 };
    let plain = format!("{scheme}://{authority}");
    let written_otherwise = plain != text
        || authority.as_str().contains(|c: char| c.is_ascii_uppercase())
        || authority.port().is_some_and(|port| port.as_str() == usual.to_string());
    if written_otherwise { Err(ISSUER) } else { Ok(uri) }
}

fn is_this_machine(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(builder: &Builder) -> Result<String, String> {
        match builder.source() {
            Ok(Source::At(uri) | Source::Metadata { at: uri, .. }) => Ok(uri.to_string()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn keys_are_where_they_are_known_to_be() {
        let builder = |issuer: &str| Verifier::builder(issuer, "orders");
        let at = |builder: Builder| source(&builder).unwrap();
        assert_eq!(at(builder("https://t.example")), "https://t.example/.well-known/jwks.json");
        assert_eq!(at(builder("http://[::1]:8080")), "http://[::1]:8080/.well-known/jwks.json");
        assert_eq!(
            at(builder("https://t.example").keys_by_metadata()),
            "https://t.example/.well-known/oauth-authorization-server"
        );
        assert_eq!(
            at(builder("http://t.example").keys_at("https://in.side/k")),
            "https://in.side/k"
        );
        assert!(source(&builder("http://t.example").allow_plain_http()).is_ok());
    }

    #[test]
    fn an_issuer_is_written_as_it_writes_itself() {
        for wrong in [
            "",
            "t.example",
            "/x",
            "https://t.example/",
            "https://t.example/path",
            "https://t.example?x",
            "https://T.example",
            "HTTPS://t.example",
            "https://t.example:443",
            "http://127.0.0.1:80",
            "https://a@t.example",
            "ftp://t.example",
            "http://t.example",
            "http://127.0.0.1.evil.example",
            "http://localhost.evil.example",
        ] {
            assert!(source(&Verifier::builder(wrong, "orders")).is_err(), "{wrong}");
        }
    }

    #[test]
    fn keys_are_not_taken_from_anywhere() {
        for wrong in ["", "/keys", "http://in.side/k", "https://a@in.side/k", "file:///keys"] {
            let builder = Verifier::builder("https://t.example", "orders").keys_at(wrong);
            assert!(source(&builder).is_err(), "{wrong}");
        }
    }

    #[test]
    fn settings_have_bounds() {
        let builder = || Verifier::builder("https://t.example", "orders");
        let (second, hour) = (Duration::from_secs(1), Duration::from_hours(1));
        assert!(builder().check().is_ok());
        for wrong in [
            builder().expiry_leeway(hour),
            builder().start_leeway(hour),
            builder().refresh_within(Duration::ZERO),
            builder().unknown_key_pause(Duration::ZERO),
            builder().rely_on_keys_for(second),
            builder().fetch_timeout(Duration::ZERO),
            builder().refresh_within(Duration::MAX),
            builder().unknown_key_pause(Duration::MAX),
            builder().rely_on_keys_for(Duration::MAX),
            builder().fetch_timeout(Duration::MAX),
        ] {
            assert!(matches!(wrong.check(), Err(BuildError::Setting(_))));
        }
        for audience in ["", "a b", "a\"b", "a\\b", "a\nb", "é"] {
            let builder = Verifier::builder("https://t.example", audience);
            assert!(matches!(builder.check(), Err(BuildError::Audience)), "{audience}");
        }
    }
}
