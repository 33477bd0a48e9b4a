//! Passwords: hashed with Argon2id, a few at a time, away from the threads that answer requests.

use super::ServiceError;
use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash},
};
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

    /// The Argon2id hash of a new password, as a PHC string. It must be no name of `about`:
    /// whose it is, and where.
    pub(crate) async fn hash(
        &self,
        password: Zeroizing<String>,
        about: &[&str],
    ) -> Result<String, ServiceError> {
        check(&password, about)?;
        self.work(move || {
            // The defaults are what OWASP asks for: 19 MiB, two passes, one lane.
            let hash = Argon2::default().hash_password(password.as_bytes());
            hash.map(|hash| hash.to_string())
                .map_err(|error| ServiceError::Unavailable(error.to_string()))
        })
        .await?
    }

    /// Whether this is the password of which `hash` is; with no hash it is not, after the
    /// same work, so that how long it takes does not tell whether there is an account.
    pub(crate) async fn verify(
        &self,
        password: Zeroizing<String>,
        hash: Option<String>,
    ) -> Result<Verified, ServiceError> {
        self.work(move || compare(&password, hash.as_deref())).await
    }

    /// Has no place left for anybody, for as long as the answer is kept.
    #[cfg(test)]
    pub(super) fn occupy(&self) -> tokio::sync::SemaphorePermit<'_> {
        let all = u32::try_from(self.waiting.available_permits()).unwrap();
        self.waiting.try_acquire_many(all).unwrap()
    }

    /// Does `work` when it is its turn.
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

/// What came of looking at a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verified {
    /// It is another, or there is none.
    Wrong,
    /// It is the one.
    Right,
    /// It is the one, but its hash is weaker than those made today: make it anew.
    Outdated,
}

/// A hash as they are made today, of 32 random bytes that nobody has kept.
const NOBODYS: &str = "$argon2id$v=19$m=19456,t=2,p=1$9oXTbSFwfNziCvK7R4FMFQ$\
    S0vPhPk5YGYcx+25bZHEmVtNollGm8njExz+KlQe7Sg";

/// The work of [`Passwords::verify`], for whoever has a thread of their own for it.
pub(super) fn compare(password: &str, hash: Option<&str>) -> Verified {
    let nobodys = || PasswordHash::new(NOBODYS);
    // What is too long is nobody's password. It is left out, and the work done all the same.
    let is_short = password.chars().count() <= LONGEST;
    let password = if is_short { password } else { "" };
    let own = hash.and_then(|hash| PasswordHash::new(hash).ok());
    let is_known = own.is_some();
    let Some(hash) = own.or_else(|| nobodys().ok()) else { return Verified::Wrong };
    let is_right = Argon2::default().verify_password(password.as_bytes(), &hash).is_ok();
    match is_right & is_known & is_short {
        false => Verified::Wrong,
        true if is_outdated(&hash) => Verified::Outdated,
        true => Verified::Right,
    }
}

fn is_outdated(hash: &PasswordHash) -> bool {
    let today = Params::default();
    hash.algorithm != Algorithm::Argon2id.ident()
        || hash.version != Some(Version::default().into())
        || Params::try_from(hash).map_or(true, |params| {
            params.m_cost() < today.m_cost() || params.t_cost() < today.t_cost()
        })
}

/// The passwords that are tried first, one a line, in lower case.
const COMMON: &str = include_str!("common_passwords.txt");
/// What we are called.
const PRODUCT: &str = "Counterfoil";

/// Whether somebody may have this password (NIST SP 800-63B §5.1.1.2: long enough, not
/// what everybody has, not what is written beside the field; no more).
fn check(password: &str, about: &[&str]) -> Result<(), ServiceError> {
    let invalid = |message: String| Err(ServiceError::Invalid { field: "password", message });
    let length = password.chars().count();
    if length < SHORTEST {
        return invalid(format!("must have at least {SHORTEST} characters"));
    }
    if length > LONGEST {
        return invalid(format!("must not be longer than {LONGEST} characters"));
    }
    let folded = Zeroizing::new(password.to_lowercase());
    if COMMON.lines().any(|common| common == &**folded) {
        return invalid("is one of the most used; take a few words that only you would".into());
    }
    let names = about.iter().flat_map(|name| {
        // Of an e-mail address, what stands before the @ too.
        [*name, name.rsplit_once('@').map_or(*name, |(local, _)| local)]
    });
    if names.chain([PRODUCT]).any(|name| is_name(&folded, name)) {
        let message = "must not be a name or an e-mail address that belongs to the account; \
                       take a few words that only you would";
        return invalid(message.into());
    }
    Ok(())
}

/// Whether a password is no more than a name: case, spaces, signs and digits around it aside.
fn is_name(password: &str, name: &str) -> bool {
    let letters = |text: &str| -> Zeroizing<String> {
        Zeroizing::new(text.to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect())
    };
    let core = |text: &str| letters(text.trim_matches(|c: char| !c.is_alphabetic()));
    let is = |password: &str, name: &str| !name.is_empty() && password == name;
    is(&letters(password), &letters(name)) || is(&core(password), &core(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[tokio::test]
    async fn a_hash_proves_its_password_and_no_other() {
        let passwords = Passwords::new(1);
        let hash = passwords.hash(Zeroizing::new("correct horse".into()), &[]).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        for (password, verified) in
            [("correct horse", Verified::Right), ("correct mule", Verified::Wrong)]
        {
            let password = Zeroizing::new(password.to_owned());
            assert_eq!(passwords.verify(password, Some(hash.clone())).await, Ok(verified));
        }
    }

    #[tokio::test]
    async fn without_a_hash_nothing_is_right() {
        let passwords = Passwords::new(1);
        for password in ["correct horse", "", &"x".repeat(2000)] {
            for hash in [None, Some(String::new()), Some("$argon2id$".to_owned())] {
                let password = Zeroizing::new(password.to_owned());
                assert_eq!(passwords.verify(password, hash).await, Ok(Verified::Wrong));
            }
        }
    }

    /// The work is that of the parameters: memory and passes.
    #[test]
    fn the_hash_of_nobody_costs_what_others_cost() {
        let nobodys = PasswordHash::new(NOBODYS).unwrap();
        let todays = Argon2::default().hash_password(b"correct horse").unwrap();
        assert_eq!(nobodys.algorithm, todays.algorithm);
        assert_eq!(nobodys.version, todays.version);
        assert_eq!(Params::try_from(&nobodys), Params::try_from(&todays));
        let length = |hash: &PasswordHash| hash.hash.as_ref().map(|hash| hash.as_bytes().len());
        assert_eq!(length(&nobodys), length(&todays));
        assert!(!is_outdated(&nobodys) && !is_outdated(&todays));
    }

    #[test]
    fn a_password_that_is_too_long_is_wrong_even_where_it_is_not() {
        let long = "x".repeat(LONGEST + 1);
        for password in [long.as_str(), ""] {
            let hash = Argon2::default().hash_password(password.as_bytes()).unwrap().to_string();
            assert_eq!(compare(&long, Some(&hash)), Verified::Wrong);
        }
    }

    #[test]
    fn a_weaker_hash_is_right_and_outdated() {
        let weaker = |algorithm, version, m, t, p| {
            let params = Params::new(m, t, p, None).unwrap();
            let argon2 = Argon2::new(algorithm, version, params);
            argon2.hash_password(b"correct horse").unwrap().to_string()
        };
        let (id, now) = (Algorithm::Argon2id, Version::V0x13);
        for (hash, verified) in [
            (weaker(id, now, 19_456, 2, 1), Verified::Right),
            (weaker(id, now, 20_000, 3, 1), Verified::Right),
            (weaker(id, now, 19_455, 2, 1), Verified::Outdated),
            (weaker(id, now, 65_536, 1, 1), Verified::Outdated),
            (weaker(Algorithm::Argon2i, now, 19_456, 2, 1), Verified::Outdated),
            (weaker(id, Version::V0x10, 19_456, 2, 1), Verified::Outdated),
        ] {
            assert_eq!(compare("correct horse", Some(&hash)), verified, "{hash}");
            assert_eq!(compare("correct mule", Some(&hash)), Verified::Wrong, "{hash}");
        }
    }

    #[test]
    fn what_everybody_has_and_what_stands_beside_the_field() {
        let about = ["ada.lovelace@example.com", "Analytical Engines Ltd.", "Ada", ""];
        for wrong in [
            "password",
            "PassWord1",
            "1q2w3e4r",
            "counterfoil",
            "Counterfoil!2026",
            "ada.lovelace@example.com",
            "Ada.Lovelace@Example.com1",
            "ada-lovelace",
            "AdaLovelace1815",
            "analyticalenginesltd",
            "Analytical Engines Ltd",
            "ada12345",
        ] {
            let error = check(wrong, &about).unwrap_err();
            assert!(matches!(error, ServiceError::Invalid { field: "password", .. }), "{wrong}");
        }
        for right in [
            "correct horse",
            "tr0ub4dor-and-3",
            "ada likes horses",
            "!!!!!!!!",
            "counterfoil token",
        ] {
            assert_eq!(check(right, &about), Ok(()), "{right}");
        }
    }

    #[test]
    fn the_list_is_of_what_could_be_chosen() {
        let list: Vec<&str> = COMMON.lines().collect();
        assert!(list.len() >= 100 && list.is_sorted());
        for common in list {
            assert!(common.len() >= SHORTEST && common == common.to_lowercase(), "{common}");
        }
    }

    proptest! {
        #[test]
        fn no_input_panics(password in ".{0,40}", name in ".{0,40}") {
            if check(&password, &[&name]).is_ok() {
                prop_assert!(password.chars().count() >= SHORTEST && password != name);
            }
        }
    }

    #[tokio::test]
    async fn lengths() {
        let passwords = Passwords::new(1);
        for wrong in ["", "sevenly", &"x".repeat(1025), &"ö".repeat(1025)] {
            let error = passwords.hash(Zeroizing::new(wrong.to_owned()), &[]).await.unwrap_err();
            assert!(matches!(error, ServiceError::Invalid { field: "password", .. }));
        }
    }

    #[tokio::test]
    async fn no_more_than_so_many_wait() {
        let passwords = Passwords::new(1);
        let one = || passwords.hash(Zeroizing::new("correct horse".into()), &[]);
        let _all = passwords.waiting.acquire_many(17).await.unwrap();
        assert!(matches!(one().await, Err(ServiceError::Busy(_))));
    }
}
