//! Passwords: hashed with Argon2id, a few at a time, away from the threads that answer requests.

use super::ServiceError;
use argon2::{Argon2, password_hash::PasswordHasher as _};
use std::sync::Arc;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

/// The shortest password that is accepted, in characters.
pub(crate) const SHORTEST: usize = 8;
/// The longest, in characters: enough for any passphrase, and no work for an attacker to cause.
pub(crate) const LONGEST: usize = 1024;
/// How many may wait for each one that is at work.
const WAITING: usize = 16;

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
        let busy =
            || ServiceError::Busy("too many passwords are being worked on; try again".into());
        let _place = self.waiting.try_acquire().map_err(|_| busy())?;
        let permit = self.working.clone().acquire_owned().await.map_err(|_| busy())?;
        let hashed = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            // The defaults are what OWASP asks for: 19 MiB, two passes, one lane.
            Argon2::default().hash_password(password.as_bytes()).map(|hash| hash.to_string())
        });
        match hashed.await {
            Ok(Ok(hash)) => Ok(hash),
            Ok(Err(error)) => Err(ServiceError::Unavailable(error.to_string())),
            Err(error) => Err(ServiceError::Unavailable(error.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use argon2::password_hash::{PasswordVerifier as _, phc::PasswordHash};

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
