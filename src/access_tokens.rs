//! Access tokens of this installation: what signs them, what opens them, and how long they live.

mod lifetimes;

use crate::{
    clock,
    config::Config,
    signing::{CannotSign, Done, KeyFileError, KeyFiles, Policy, SigningKeys},
};
use arc_swap::{ArcSwap, ArcSwapOption};
use bytes::Bytes;
use counterfoil_core::{
    Timestamp,
    access_token::{AccessToken, AccessTokens, Algorithm},
    time::Seconds,
};
use lifetimes::Lifetimes;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// What an installation should know whose nodes would each have keys of their own.
pub(crate) const OWN_KEYS_OF_MANY: &str = "\
several nodes can share this database, and each makes signing keys of its own: an access token is \
known at the node that issued it, and refused at all others. Give all of them the same keys \
(signing.keys_directory, docs/many-nodes.md)";

/// How long a key is published before it signs: longer than anybody keeps a list of keys.
const LEAD: Seconds = Seconds::days(1);
/// The longest that any API's access tokens may live.
const LONGEST: Seconds = Seconds::days(7);

/// The keys, from the moment on that some API has access tokens.
#[derive(Debug, Default)]
pub(crate) struct AccessTokenKeys {
    /// The data directory; there is none where nothing is kept.
    directory: Option<PathBuf>,
    ready: ArcSwapOption<Ready>,
    lifetimes: ArcSwap<Lifetimes>,
    /// Held by whoever reads the configuration, or changes keys: what is read while keys are
    /// withdrawn would bring them back.
    configuring: Mutex<()>,
}

/// Keys, and in whose name they sign.
#[derive(Debug)]
struct Ready {
    signing: Arc<SigningKeys>,
    issuer: Box<str>,
    policy: Policy,
}

/// Why there is no access token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoAccessToken {
    #[error("this installation has no access tokens")]
    None,
    #[error(transparent)]
    CannotSign(#[from] CannotSign),
}

impl AccessTokenKeys {
    /// Those of the data directory, once they are needed.
    pub(crate) fn of(directory: Option<PathBuf>) -> Self {
        Self { directory, ..Self::default() }
    }

    /// Reads the keys where an API has access tokens, making the first ones; blocks.
    ///
    /// # Errors
    /// Where the keys cannot be read or made: what they sign would be good for nothing. Where it
    /// cannot be kept how long access tokens live.
    pub(crate) fn configure(&self, config: &Config) -> anyhow::Result<()> {
        let _configuring = self.configure_alone();
        let now = clock::now();
        let policies = config.apis.iter().filter_map(|protected| {
            Some((protected.api.name.clone(), protected.api.access_tokens?.lifetime))
        });
        let policies: BTreeMap<_, _> = policies.collect();
        let Some(directory) = self.directory.as_ref() else { return Ok(()) };
        // Who has never signed anything, is known by its having no keys.
        // Where keys are shared, others have signed.
        let shared = config.signing.keys_directory.as_deref();
        let has_signed = shared.is_some() || KeyFiles::are_in(directory);
        if policies.is_empty() {
            self.keep_lifetimes(directory, has_signed, &policies, now)?;
            self.ready.store(None);
            return Ok(());
        }
        let policy = policy(config.signing.rotate);
        let ready = self.ready.load_full().filter(|ready| ready.signing.are_of(shared));
        let signing = if let Some(ready) = ready {
            // With the keys that there are, a full disk keeps no configuration away.
            keep_up(&ready.signing, policy, now);
            told(&ready.signing.look_again(policy, now));
            ready.signing.clone()
        } else {
            Arc::new(load(config, directory, now)?)
        };
        self.keep_lifetimes(directory, has_signed, &policies, now)?;
        let issuer = config.server.public_url.clone().into();
        self.ready.store(Some(Arc::new(Ready { signing, issuer, policy })));
        Ok(())
    }

    /// Keeps how long access tokens live from now on. The first of them is issued afterwards.
    fn keep_lifetimes(
        &self,
        directory: &Path,
        has_signed: bool,
        configured: &BTreeMap<Box<str>, Seconds>,
        now: Timestamp,
    ) -> anyhow::Result<()> {
        let lifetimes = Lifetimes::followed_by(directory, has_signed, configured, now)?;
        self.lifetimes.store(Arc::new(lifetimes));
        Ok(())
    }

    /// Makes and removes keys as it is time for; blocks.
    pub(crate) fn tick(&self, now: Timestamp) {
        let _configuring = self.configure_alone();
        let Some(ready) = self.ready.load_full() else { return };
        keep_up(&ready.signing, ready.policy, now);
    }

    /// Reads keys again that are shared; blocks.
    pub(crate) fn look_again(&self, now: Timestamp) {
        let _configuring = self.configure_alone();
        let Some(ready) = self.ready.load_full() else { return };
        told(&ready.signing.look_again(ready.policy, now));
    }

    /// All published keys (RFC 7517), as JSON; none where there are no access tokens.
    pub(crate) fn jwks(&self) -> Bytes {
        self.ready
            .load()
            .as_ref()
            .map_or_else(|| Bytes::from_static(br#"{"keys":[]}"#), |ready| ready.signing.jwks())
    }

    /// The keys themselves, for who has them rotated.
    pub(crate) fn signing(&self) -> Option<Arc<SigningKeys>> {
        self.ready.load().as_ref().map(|ready| ready.signing.clone())
    }

    fn configure_alone(&self) -> MutexGuard<'_, ()> {
        self.configuring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the next keys sign; none where there are no keys. Where no API has access tokens, keys
    /// from when one had are withdrawn `at_once`, and none are made. It blocks.
    pub(crate) fn rotate(
        &self,
        at_once: bool,
        now: Timestamp,
    ) -> Option<Result<Vec<Done>, KeyFileError>> {
        let _configuring = self.configure_alone();
        let ready = self.ready.load_full();
        let left = self.directory.as_ref().filter(|data| at_once && KeyFiles::are_in(data));
        let withdraw = |data| SigningKeys::withdraw_unused(&KeyFiles::open(data)?);
        let done = match (&ready, left) {
            (Some(ready), _) if at_once => ready.signing.rotate_at_once(now),
            (Some(ready), _) => ready.signing.rotate(now),
            (None, left) => withdraw(left?),
        };
        if ready.is_none() && done.as_ref().is_ok_and(Vec::is_empty) {
            return None;
        }
        tracing::info!(at_once, "the operator has the signing keys rotated");
        match &done {
            Ok(done) => told(done),
            Err(error) => tracing::error!(%error, "the signing keys are not rotated"),
        }
        Some(done)
    }

    /// When the last access token of this API has ended that was issued before what was decided
    /// at `at` held; none was, where it has none and had none.
    pub(crate) fn last_end(&self, api: &str, at: Timestamp) -> Option<Timestamp> {
        self.lifetimes.load().last_end(api, at)
    }

    /// For how many algorithms the schedule wants a key that is not there, and how many files of
    /// shared keys cannot be used; none where there are no access tokens.
    pub(crate) fn lacks(&self, now: Timestamp) -> Option<(usize, usize)> {
        let ready = self.ready.load();
        let signing = &ready.as_ref()?.signing;
        Some((signing.due(now), signing.mistakes()))
    }

    /// In whose name they sign.
    pub(crate) fn issuer(&self) -> Option<Box<str>> {
        self.ready.load().as_ref().map(|ready| ready.issuer.clone())
    }

    /// Signs an access token.
    pub(crate) fn sign(
        &self,
        algorithm: Algorithm,
        access_token: &AccessToken,
        now: Timestamp,
    ) -> Result<String, NoAccessToken> {
        let ready = self.ready.load();
        let ready = ready.as_ref().ok_or(NoAccessToken::None)?;
        Ok(ready.signing.sign(algorithm, access_token, now)?)
    }
}

impl AccessTokens for AccessTokenKeys {
    fn open(&self, text: &str) -> Option<Arc<AccessToken>> {
        let ready = self.ready.load();
        let ready = ready.as_ref()?;
        ready.signing.open(text).filter(|access_token| access_token.issuer == ready.issuer)
    }
}

/// How keys follow each other, of which the next is made so long after one.
pub(crate) fn policy(rotate_every: Seconds) -> Policy {
    Policy { rotate_every, lead: LEAD, longest_lifetime: LONGEST }
}

/// The keys of a start, in the log.
fn load(config: &Config, data: &Path, now: Timestamp) -> Result<SigningKeys, KeyFileError> {
    let policy = policy(config.signing.rotate);
    let signing = if let Some(directory) = &config.signing.keys_directory {
        let in_use = config.apis.iter().filter_map(|protected| protected.api.access_tokens);
        let in_use: Vec<_> = in_use.map(|policy| policy.algorithm).collect();
        SigningKeys::share(directory, &in_use, policy, now)?
    } else {
        if config.database.server.is_some() {
            tracing::warn!("{OWN_KEYS_OF_MANY}");
        }
        let (signing, done) = SigningKeys::load(KeyFiles::open(data)?, now, policy)?;
        told(&done);
        signing
    };
    // What was done to keys while no server ran shows in which there are.
    for key in signing.list(now) {
        let algorithm = key.algorithm.name();
        tracing::info!(algorithm, kid = %key.kid, standing = ?key.standing, "signing key");
    }
    Ok(signing)
}

/// Does what is due, or tells why not.
fn keep_up(signing: &SigningKeys, policy: Policy, now: Timestamp) {
    match signing.tick(now, policy) {
        Ok(done) => told(&done),
        Err(error) => tracing::error!(%error, "signing keys cannot be kept up"),
    }
}

fn told(done: &[Done]) {
    for Done { what, algorithm, kid } in done {
        tracing::info!(?what, algorithm = algorithm.name(), %kid, "signing key");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::{Environment, Source},
        signing::What,
    };

    fn config(text: &str) -> Config {
        let source = Source { name: "c.toml".into(), text: text.into() };
        Config::load(Some(&source), &Environment::default()).unwrap().config
    }

    /// An API that has access tokens, and keys that sign for so long.
    fn with_access_tokens(rotate: &str, lifetime: &str) -> Config {
        config(&format!(
            "signing.rotate = \"{rotate}\"\n[api.a]\nupstream = \"http://127.0.0.1:9000\"\n\
             access_tokens.lifetime = \"{lifetime}\"\n"
        ))
    }

    fn configured(data: &Path, config: &Config) -> AccessTokenKeys {
        let keys = AccessTokenKeys::of(Some(data.into()));
        keys.configure(config).unwrap();
        keys
    }

    fn files(data: &Path) -> Vec<PathBuf> {
        data.join("keys").read_dir().unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    #[test]
    fn a_reload_counts_where_a_due_key_cannot_be_made() {
        let data = tempfile::tempdir().unwrap();
        let data = data.path();
        drop(configured(data, &with_access_tokens("30d", "24h")));
        let made_at = clock::now().minus(Seconds::days(40)).as_millis();
        for path in files(data) {
            let name = path.file_name().unwrap().to_str().unwrap();
            let (algorithm, _) = name.split_once('-').unwrap();
            let older = path.with_file_name(format!("{algorithm}-{made_at}.pkcs8"));
            std::fs::rename(&path, older).unwrap();
        }
        let keys = configured(data, &with_access_tokens("90d", "24h"));
        // Moved away, which stops root as well.
        let (at, aside) = (data.join("keys"), data.join("aside"));
        std::fs::rename(&at, &aside).unwrap();
        keys.configure(&with_access_tokens("30d", "1h")).unwrap();
        assert_eq!(keys.ready.load_full().unwrap().policy.rotate_every, Seconds::days(30));
        std::fs::rename(&aside, &at).unwrap();
        assert_eq!(files(data).len(), 2);
        keys.tick(clock::now());
        assert_eq!(files(data).len(), 4);
    }

    #[test]
    fn keys_are_withdrawn_at_once_while_no_api_has_access_tokens() {
        let data = tempfile::tempdir().unwrap();
        let data = data.path();
        let (some, none) = (with_access_tokens("30d", "24h"), config(""));
        let keys = configured(data, &none);
        assert!(keys.rotate(true, clock::now()).is_none(), "there never were any");
        keys.configure(&some).unwrap();
        let before = keys.jwks();
        keys.configure(&none).unwrap();
        assert!(keys.rotate(false, clock::now()).is_none());
        assert_eq!(files(data).len(), 2);
        let done = keys.rotate(true, clock::now()).unwrap().unwrap();
        assert!(done.len() == 2 && done.iter().all(|done| done.what == What::Removed), "{done:?}");
        assert_eq!(files(data), Vec::<PathBuf>::new());
        assert!(keys.rotate(true, clock::now()).is_none());
        keys.configure(&some).unwrap();
        assert_ne!(keys.jwks(), before);
    }

    #[test]
    fn a_reload_during_a_rotation_leaves_no_withdrawn_key_in_use() {
        let data = tempfile::tempdir().unwrap();
        let (some, none) = (with_access_tokens("30d", "24h"), config(""));
        let keys = configured(data.path(), &some);
        for _ in 0..20 {
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    keys.configure(&none).unwrap();
                    keys.configure(&some).unwrap();
                });
                scope.spawn(|| keys.rotate(true, clock::now()).map(Result::unwrap));
            });
            assert_eq!(keys.jwks(), configured(data.path(), &some).jwks());
        }
    }
}
