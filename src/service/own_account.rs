//! What people change about their own accounts.
//!
//! What proves who somebody is can be changed by whoever proves it once more: a session
//! alone, which may be somebody else's by now, is not enough.

use super::{
    Caller, Service, ServiceError,
    accounts::{AccountName, NAME, check_may_have_password, names},
    check_name, organizations,
    second_factor::{RecoveryCode, TotpSecret},
    sessions::{Begun, Client, CodeProof, Here, Proof, SignedIn},
};
use crate::{
    clock,
    mail::letters,
    store::{Ground, Shown, StoreError, StoredAccount, StoredOrganization, StoredSecondFactor},
};
use counterfoil_core::{ledger::Change, token::Digest};
use std::time::Duration;
use zeroize::Zeroizing;

/// Why something about an account was not changed.
#[derive(Debug)]
pub(crate) enum Unproven {
    /// The password is wrong.
    Password,
    /// The code is wrong.
    Code,
    /// One of them was wrong too often; so long is there to wait.
    Later(Duration),
    /// The code was wrong too often, and the session has ended.
    SessionOver,
    /// Something else.
    Other(ServiceError),
}

impl From<ServiceError> for Unproven {
    fn from(error: ServiceError) -> Self {
        Self::Other(error)
    }
}

impl From<StoreError> for Unproven {
    fn from(error: StoreError) -> Self {
        Self::Other(error.into())
    }
}

/// What somebody's second factor is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Factor {
    /// How many recovery codes are left.
    pub(crate) left: usize,
}

impl Service {
    /// Changes somebody's own password. All their sessions end, and a new one begins; how
    /// many ended beside this one.
    pub(crate) async fn change_own_password(
        &self,
        here: &Here,
        current: Zeroizing<String>,
        new: Zeroizing<String>,
        client: &Client,
    ) -> Result<(SignedIn, usize), Unproven> {
        let account = &here.account;
        check_may_have_password(account)?;
        let before = self.prove_own_password(here, current, client).await?;
        let names: Vec<&str> = names(account).collect();
        let hash = self.passwords.hash(new, &names).await?;
        let others = self.own_sessions(here, clock::now()).await?.len().saturating_sub(1);
        let begun = self.new_session(clock::now(), account.id, client, true);
        let change =
            Change::PasswordSet { account: account.id, hash: hash.clone(), by_mail: false };
        let ground = Ground::Password(account.id, before);
        let number = self.append_on(ground, here.actor(), clock::now(), [change]).await?;
        self.send_later(account.email.as_ref().map(letters::password_changed));
        let kept = self.keep(begun, Shown { password_hash: hash, code: true }).await;
        self.waits.wait(number, None).await;
        Ok((kept?, others))
    }

    /// The hash of somebody's own password, if they show it.
    async fn prove_own_password(
        &self,
        here: &Here,
        password: Zeroizing<String>,
        client: &Client,
    ) -> Result<String, Unproven> {
        let email = here.account.email.as_ref().map(ToString::to_string).unwrap_or_default();
        match self.prove(&email, password, client).await? {
            Proof::Right { person, hash } if person.account == here.account.id => Ok(hash),
            Proof::Right { .. } | Proof::Wrong => Err(Unproven::Password),
            Proof::Later(left) => Err(Unproven::Later(left)),
        }
    }

    async fn prove_own_code(&self, here: &Here, code: &str) -> Result<(), Unproven> {
        match self.prove_code(here.account.id, here.session.id, code).await? {
            CodeProof::Right => Ok(()),
            CodeProof::Wrong => Err(Unproven::Code),
            CodeProof::Later(left) => Err(Unproven::Later(left)),
            CodeProof::Over => Err(Unproven::SessionOver),
        }
    }

    /// Changes what somebody is called.
    pub(crate) async fn rename_oneself(&self, here: &Here, name: &str) -> Result<(), ServiceError> {
        let name = check_name(name, NAME)?;
        self.settle(here.actor(), async |_| {
            let stored = self.stored_account(&AccountName::Id(here.account.id)).await?;
            if stored.name == name {
                return Ok((None, ()));
            }
            let change = Change::AccountChanged {
                account: stored.id,
                revision: stored.revision + 1,
                name: name.clone(),
                external_id: stored.external_id,
            };
            Ok((Some(change), ()))
        })
        .await
    }

    /// Changes what the organization is called that somebody administers.
    pub(crate) async fn rename_own_organization(
        &self,
        caller: &Caller,
        name: &str,
    ) -> Result<StoredOrganization, ServiceError> {
        caller.may("accounts:write")?;
        caller.administers()?;
        let Some(id) = caller.home() else {
            return Err(organizations::no_such_organization());
        };
        let name = check_name(name, organizations::NAME)?;
        self.settle(caller, async |_| {
            let stored = self.stored_organization(id).await?;
            if stored.closed_at.is_some() {
                return Err(ServiceError::Conflict("the organization is closed".into()));
            }
            if stored.name == name {
                return Ok((None, stored));
            }
            let revision = stored.revision + 1;
            let change = Change::OrganizationChanged {
                organization: id,
                revision,
                name: name.clone(),
                external_id: stored.external_id.clone(),
            };
            Ok((Some(change), StoredOrganization { name: name.clone(), revision, ..stored }))
        })
        .await
    }

    /// Somebody's own second factor; none, where nothing is asked for beside the password.
    pub(crate) async fn own_factor(&self, here: &Here) -> Result<Option<Factor>, ServiceError> {
        let factor = self.store.second_factor(here.account.id).await?;
        let factor = factor.filter(|factor| factor.is_confirmed);
        Ok(factor.map(|factor| Factor { left: factor.recovery.len() }))
    }

    /// A fresh secret for somebody's authenticator. It is kept once a code was made with it:
    /// until then it is known to the page alone that shows it.
    pub(crate) async fn new_second_factor(&self, here: &Here) -> Result<TotpSecret, ServiceError> {
        check_may_have_password(&here.account)?;
        match self.own_factor(here).await? {
            None => Ok(TotpSecret::new()),
            Some(_) => Err(has_one()),
        }
    }

    /// Has codes of this secret asked for from now on, since somebody has one, and shows the
    /// password: whoever has the session alone could lock its owner out. All their sessions
    /// end; the recovery codes, and a new session, as far as it could be begun.
    pub(crate) async fn confirm_second_factor(
        &self,
        here: &Here,
        secret: &TotpSecret,
        password: Zeroizing<String>,
        code: &str,
        client: &Client,
    ) -> Result<(Vec<RecoveryCode>, Option<Begun>), Unproven> {
        let account = here.account.id;
        if self.own_factor(here).await?.is_some() {
            return Err(has_one().into());
        }
        let hash = self.prove_own_password(here, password, client).await?;
        // Whoever tries has the secret before their eyes: there is nothing to guess.
        let Some(step) = secret.verify(code, clock::now(), None) else {
            return Err(Unproven::Code);
        };
        let codes = RecoveryCode::set();
        let factor = StoredSecondFactor {
            account,
            secret: secret.bytes().to_vec(),
            is_confirmed: true,
            last_step: step,
            recovery: codes.iter().map(|code| Digest::from_bytes(code.digest())).collect(),
        };
        // The order: see `SignInStore::keep_second_factor`.
        if !self.store.keep_second_factor(factor).await? {
            return Err(has_one().into());
        }
        let begun = self.new_session(clock::now(), account, client, true);
        let ground = Ground::Password(account, hash.clone());
        let change = Change::SecondFactorSet { account };
        let made = self.append_on(ground, here.actor(), clock::now(), [change]).await;
        if matches!(made, Err(StoreError::Conflict)) {
            // Whoever has set another password is not asked for what was set with this one.
            self.store.remove_second_factor(account).await?;
        }
        let number = made?;
        self.send_later(here.account.email.as_ref().map(letters::second_factor_set));
        // Without one the codes are shown all the same: this is the one time.
        let begun = match self.keep(begun, Shown { password_hash: hash, code: true }).await {
            Ok(SignedIn::Wholly(begun)) => Some(begun),
            _ => None,
        };
        self.waits.wait(number, None).await;
        Ok((codes.into(), begun))
    }

    /// New recovery codes instead of those before, for whoever shows a code.
    pub(crate) async fn renew_recovery_codes(
        &self,
        here: &Here,
        code: &str,
    ) -> Result<Vec<RecoveryCode>, Unproven> {
        self.prove_own_code(here, code).await?;
        let account = here.account.id;
        let factor = self.store.second_factor(account).await?;
        let Some(factor) = factor.filter(|factor| factor.is_confirmed) else {
            return Err(has_none().into());
        };
        let codes = RecoveryCode::set();
        let recovery = codes.iter().map(|code| Digest::from_bytes(code.digest())).collect();
        if !self.store.renew_recovery(account, factor.secret, recovery).await? {
            return Err(has_none().into());
        }
        Ok(codes.into())
    }

    /// Removes somebody's own second factor, for whoever shows the password and a code.
    pub(crate) async fn remove_own_factor(
        &self,
        here: &Here,
        password: Zeroizing<String>,
        code: &str,
        client: &Client,
    ) -> Result<(), Unproven> {
        if self.own_factor(here).await?.is_none() {
            return Err(has_none().into());
        }
        let hash = self.prove_own_password(here, password, client).await?;
        self.prove_own_code(here, code).await?;
        let account = here.account.id;
        let change = Change::SecondFactorRemoved { account };
        let ground = Ground::Password(account, hash);
        let number = self.append_on(ground, here.actor(), clock::now(), [change]).await?;
        let removed = self.store.remove_second_factor(account).await;
        self.send_later(here.account.email.as_ref().map(letters::second_factor_removed));
        self.waits.wait(number, None).await;
        Ok(removed?)
    }

    /// Removes the second factor of somebody who has lost everything that shows codes.
    pub(crate) async fn remove_second_factor(
        &self,
        caller: &Caller,
        name: &AccountName,
    ) -> Result<StoredAccount, ServiceError> {
        caller.is_operator()?;
        let account = self.stored_account(name).await?;
        let factor = self.store.second_factor(account.id).await?;
        let is_asked = factor.is_some_and(|factor| factor.is_confirmed);
        if !is_asked && !account.has_second_factor {
            return Err(has_none());
        }
        let change = Change::SecondFactorRemoved { account: account.id };
        let number = self.append(caller, clock::now(), [change], None).await?;
        let removed = self.store.remove_second_factor(account.id).await;
        self.waits.wait(number, None).await;
        removed?;
        self.send_later(account.email.as_ref().map(letters::second_factor_removed));
        Ok(StoredAccount { has_second_factor: false, ..account })
    }
}

fn has_one() -> ServiceError {
    ServiceError::Conflict("there is a second factor already; turn it off first".into())
}

fn has_none() -> ServiceError {
    ServiceError::Conflict("there is no second factor".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        app::App,
        config::{Config, Environment},
        replica::Replica,
        store::{
            SignInStore as _,
            sqlite::{DataDirectory, Sqlite},
        },
    };
    use std::{path::Path, sync::Arc};

    const ADA: &str = "ada@example.com";
    const PASSWORD: &str = "correct horse";

    /// Two services on one store, as two nodes have it, and Ada's session.
    struct Stage {
        _directory: tempfile::TempDir,
        store: Arc<Sqlite>,
        nodes: [App; 2],
        here: Here,
    }

    impl Stage {
        async fn set() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let locked = Arc::new(DataDirectory::lock(directory.path()).unwrap());
            let store = Sqlite::open(locked, Path::new("test.db"), Box::new(|_, _| {})).unwrap();
            let store = Arc::new(store);
            let config = Config::load(None, &Environment::default()).unwrap().config;
            let node =
                || App::on(&config, store.clone(), Arc::new(Replica::default()), None).unwrap();
            let nodes = [node(), node()];
            let service = &nodes[0].service;
            let (email, password) = (ADA.parse().unwrap(), Some(password()));
            service.initialise(&Caller::Operator, "Acme", email, None, password).await.unwrap();
            let begun = service.sign_in(ADA, self::password(), &Client::default()).await;
            let Ok(SignedIn::Wholly(begun)) = begun else { panic!("not signed in") };
            let here = service.still_here(begun.session.id, clock::now()).await.unwrap().unwrap();
            Self { _directory: directory, store, nodes, here }
        }
    }

    fn password() -> Zeroizing<String> {
        Zeroizing::new(PASSWORD.to_owned())
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn of_two_new_passwords_at_two_nodes_one_is_set() {
        let stage = Stage::set().await;
        let client = Client::default();
        let change = async |node: usize, new: &str| {
            let new = Zeroizing::new(new.to_owned());
            let service = &stage.nodes[node].service;
            service.change_own_password(&stage.here, password(), new, &client).await.is_ok()
        };
        let new = ["a battery staple", "another battery staple"];
        let made = tokio::join!(change(0, new[0]), change(1, new[1]));
        assert!(made.0 != made.1, "{made:?}");
        for (new, is_it) in new.into_iter().zip([made.0, made.1]) {
            let new = Zeroizing::new(new.to_owned());
            let begun = stage.nodes[0].service.sign_in(ADA, new, &client).await.unwrap();
            assert_eq!(matches!(begun, SignedIn::Wholly(_)), is_it);
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn of_two_second_factors_at_two_nodes_one_is_set() {
        let stage = Stage::set().await;
        let client = Client::default();
        let secrets = [TotpSecret::new(), TotpSecret::new()];
        let confirm = async |node: usize| {
            let (service, secret) = (&stage.nodes[node].service, &secrets[node]);
            let code = secret.shown_at(clock::now());
            service.confirm_second_factor(&stage.here, secret, password(), &code, &client).await
        };
        let made = tokio::join!(confirm(0), confirm(1));
        assert!(made.0.is_ok() != made.1.is_ok());
        let kept = stage.store.second_factor(stage.here.account.id).await.unwrap().unwrap();
        let winner = if made.0.is_ok() { &secrets[0] } else { &secrets[1] };
        assert_eq!(kept.secret, winner.bytes());
    }

    /// Whoever has found the password out just before it was changed sets no factor by it.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_second_factor_rests_on_the_password_that_was_shown() {
        let stage = Stage::set().await;
        let client = Client::default();
        let (secret, new) = (TotpSecret::new(), Zeroizing::new("a battery staple".to_owned()));
        let code = secret.shown_at(clock::now());
        let [one, other] = stage.nodes.each_ref().map(|node| &node.service);
        let (changed, set) = tokio::join!(
            one.change_own_password(&stage.here, password(), new, &client),
            other.confirm_second_factor(&stage.here, &secret, password(), &code, &client),
        );
        let factor = stage.store.second_factor(stage.here.account.id).await.unwrap();
        // One after the other is in order, whichever comes first; and whatever was refused has
        // left nothing behind.
        assert!(changed.is_ok() || set.is_ok());
        assert_eq!(factor.is_some(), set.is_ok());
        let account = one.store.account(stage.here.account.id).await.unwrap().unwrap();
        assert_eq!(account.has_second_factor, set.is_ok());
    }
}
