//! Passwords: hashed with Argon2id, a few at a time, away from the threads that answer requests.

use super::ServiceError;
use argon2::{
    Argon2,
    password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash},
};
use std::sync::{Arc, LazyLock};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

/// The shortest password that is accepted, in characters.
pub(crate) const SHORTEST: usize = 8;
/// The longest, in characters: enough for any passphrase, and no work for an attacker to cause.
pub(crate) const LONGEST: usize = 1024;
/// How many may wait for each one that is at work.
const WAITING: usize = 16;

/// A hash that no password is looked up for.
static NOBODYS: LazyLock<String> = LazyLock::new(|| {
    let hashed = Argon2::default().hash_password(b"nobody's");
    hashed.map(|hash| hash.to_string()).unwrap_or_default()
});

/// A bounded pool. One hash takes about 18 ms of a core and 19 MiB.
pub(crate) struct Passwords {
    working: Arc<Semaphore>,
    waiting: Semaphore,
}

impl Passwords {
    /// A pool that works on `at_once` passwords at once.
    pub(crate) fn new(at_once: usize) -> Self {
        Self {
            working: Arc::new(Semaphore::new(at_once)),
            waiting: Semaphore::new(at_once * (WAITING + 1)),
        }
    }

    /// The Argon2id hash of a new password, as a PHC string.
    pub(crate) async fn hash(&self, password: Zeroizing<String>) -> Result<String, ServiceError> {
        let invalid = |message: String| ServiceError::Invalid { field: "password", message };
        let length = password.chars().count();
        if length < SHORTEST {
            return Err(invalid(format!("must have at least {SHORTEST} characters")));
        }
        if length > LONGEST {
            return Err(invalid(format!("must not be longer than {LONGEST} characters")));
        }
        // The defaults are what OWASP asks for: 19 MiB, two passes, one lane.
        self.work(move || Argon2::default().hash_password(password.as_bytes()))
            .await?
            .map(|hash| hash.to_string())
            .map_err(|error| ServiceError::Unavailable(error.to_string()))
    }

    /// Whether a password is the one of `hash`. Without a hash nothing is, after the same
    /// work.
    pub(crate) async fn verify(
        &self,
        password: Zeroizing<String>,
        hash: Option<&str>,
    ) -> Result<bool, ServiceError> {
        let known = hash.is_some();
        // Made before it is known whether it is needed: to make it takes time.
        let nobodys = NOBODYS.as_str();
        let hash = hash.unwrap_or(nobodys).to_owned();
        let matches = self
            .work(move || {
                let hash = PasswordHash::new(&hash)?;
                Argon2::default().verify_password(password.as_bytes(), &hash)
            })
            .await?;
        Ok(known && matches.is_ok())
    }

    /// Does work of this kind, when its turn comes.
    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ServiceError> {
        let busy =
            || ServiceError::Busy("too many passwords are being worked on; try again".into());
        let _place = self.waiting.try_acquire().map_err(|_| busy())?;
        let permit = self.working.clone().acquire_owned().await.map_err(|_| busy())?;
        let done = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        });
        done.await.map_err(|error| ServiceError::Unavailable(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_hash_proves_its_password_and_no_other() {
        let passwords = Passwords::new(1);
        let hash = passwords.hash(Zeroizing::new("correct horse".into())).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        let parsed = PasswordHash::new(&hash).unwrap();
        assert!(Argon2::default().verify_password(b"correct horse", &parsed).is_ok());
        assert!(Argon2::default().verify_password(b"correct mule", &parsed).is_err());
    }

    #[tokio::test]
    async fn lengths() {
        let passwords = Passwords::new(1);
        for wrong in ["", "sevenly", &"x".repeat(1025), &"ö".repeat(1025)] {
            let error = passwords.hash(Zeroizing::new(wrong.to_owned())).await.unwrap_err();
            assert!(matches!(error, ServiceError::Invalid { field: "password", .. }));
        }
    }

    #[tokio::test]
    async fn no_more_than_so_many_wait() {
        let passwords = Passwords::new(1);
        let one = || passwords.hash(Zeroizing::new("correct horse".into()));
        let _all = passwords.waiting.acquire_many(17).await.unwrap();
        assert!(matches!(one().await, Err(ServiceError::Busy(_))));
    }
}
