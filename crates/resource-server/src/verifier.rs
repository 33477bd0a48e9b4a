//! Verifies access tokens.

use crate::access_token::AccessToken;
use crate::builder::Builder;
use crate::claims::{Claims, Leeway};
use crate::clock::Clock;
use crate::guard::Guard;
use crate::jws::Jws;
use crate::keeper::Keeper;
use crate::refused::Refused;
use crate::remembered::Remembered;
use std::fmt;
use std::sync::Arc;

/// The longest token that is read, in bytes. Counterfoil's have less than one KiB, and as much
/// as their scopes take.
pub(crate) const MOST_BYTES: usize = 16 * 1024;

/// Verifies the access tokens of one issuer for one API.
///
/// Made by [`Verifier::builder`]. Cloning it copies a pointer, and clones share keys and what is
/// remembered. A task on the runtime that it was built on keeps the keys fresh, and ends with the
/// last clone.
#[derive(Clone)]
pub struct Verifier(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) issuer: String,
    pub(crate) audience: String,
    pub(crate) leeway: Leeway,
    pub(crate) clock: Clock,
    pub(crate) keeper: Keeper,
    pub(crate) remembered: Remembered,
}

impl Verifier {
    /// A verifier for tokens that `issuer` issues for `audience`.
    ///
    /// The issuer is Counterfoil's `server.public_url`, written as there; tokens have to name it
    /// exactly. The audience is the API's name in Counterfoil's configuration.
    pub fn builder(issuer: impl Into<String>, audience: impl Into<String>) -> Builder {
        Builder::new(issuer.into(), audience.into())
    }

    pub(crate) fn new(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }

    /// Verifies `token`, which is what follows `Bearer ` in the `Authorization` header.
    ///
    /// Reads memory only, but where the token names a key that is not known: then the keys are
    /// fetched, unless that was done just now, and this waits for it.
    pub async fn verify(&self, token: &str) -> Result<AccessToken, Refused> {
        let Inner { issuer, audience, keeper, remembered, .. } = &*self.0;
        if token.len() > MOST_BYTES {
            return Err(Refused::TooLarge);
        }
        let mut known = keeper.known();
        let digest = Remembered::digest(token);
        if let Some(known) = &known
            && let Some(found) = remembered.find(&digest, known.generation)
        {
            return match self.check_times(&found) {
                Ok(()) => Ok(found),
                Err(refused) => {
                    remembered.forget(&digest);
                    Err(refused)
                }
            };
        }
        // What is no access token at all has nothing fetched.
        let jws = Jws::read(token)?;
        if known.as_ref().is_none_or(|known| known.keys.find(jws.kid()).is_none()) {
            known = keeper.fresher().await;
        }
        let known = known.ok_or(Refused::NoKeys)?;
        let key = known.keys.find(jws.kid()).ok_or(Refused::UnknownKey)?;
        let claims = Claims::read(&jws.payload(key)?, issuer, audience)?;
        let token = AccessToken::new(claims);
        self.check_times(&token)?;
        remembered.keep(digest, known.generation, token.clone());
        Ok(token)
    }

    /// Whether there are keys to verify with: for a service's own readiness.
    pub fn is_ready(&self) -> bool {
        self.0.keeper.known().is_some_and(|known| !known.keys.is_empty())
    }

    /// A layer that lets requests with a valid token through.
    pub fn guard(&self) -> Guard {
        Guard::new(self.clone())
    }

    /// The API that tokens have to be for.
    pub fn audience(&self) -> &str {
        &self.0.audience
    }

    fn check_times(&self, token: &AccessToken) -> Result<(), Refused> {
        token.claims().check_times(self.0.clock.unix(), self.0.leeway)
    }
}

#[cfg(test)]
impl Verifier {
    pub(crate) fn remembered(&self) -> usize {
        self.0.remembered.len()
    }

    /// Waits until keys have been asked for that often, and what came of it is known.
    pub(crate) async fn attempted(&self, times: usize) {
        self.0.keeper.attempted(times).await;
    }

    pub(crate) fn task(&self) -> tokio::task::AbortHandle {
        self.0.keeper.task()
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("issuer", &self.0.issuer)
            .field("audience", &self.0.audience)
            .finish_non_exhaustive()
    }
}
