//! Sessions: who is signed in to the console.

use super::{
    Caller, Member, Service, ServiceError,
    caller::{self, Via},
    passwords::Verified,
    second_factor::{RecoveryCode, TotpSecret},
};
use crate::{
    clock, config, entropy,
    store::{Credentials, MembershipFilter, Page, Shown, StoredAccount, StoredSession},
};
use counterfoil_core::{
    Timestamp,
    account::{AccountKind, Email, Rank},
    id::{AccountId, OrganizationId, SessionId},
    ledger::Actor,
    time::Seconds,
    token::Digest,
};
use std::{fmt::Write as _, net::IpAddr, time::Duration};
use zeroize::Zeroizing;

/// How long somebody has to show the second factor.
const HALF: Seconds = Seconds(600);
/// How often it is written down that a session is used.
const SEEN_EVERY: Seconds = Seconds(60);
/// How many organizations somebody chooses from.
const CHOICES: u32 = 100;
/// How many sessions somebody is shown.
const SHOWN: u32 = 100;
/// How many sessions and links are forgotten at a time, and how often in a row.
const FORGOTTEN: u32 = 1000;
const ROUNDS: u32 = 100;

/// How long sessions last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lifetimes {
    /// Without being used.
    pub(crate) idle: Seconds,
    /// At most.
    pub(crate) longest: Seconds,
}

impl From<&config::Console> for Lifetimes {
    fn from(console: &config::Console) -> Self {
        Self { idle: console.session, longest: console.session_max }
    }
}

impl Lifetimes {
    /// Whether a session is over because nobody has used it.
    fn has_lapsed(self, session: &StoredSession, now: Timestamp) -> bool {
        now >= session.last_seen_at.plus(self.idle)
    }

    /// Whether to write down that a session is used: often enough that it does not lapse
    /// meanwhile.
    fn is_to_be_seen(self, session: &StoredSession, now: Timestamp) -> bool {
        now >= session.last_seen_at.plus(SEEN_EVERY.min(Seconds(self.idle.0 / 2)))
    }
}

/// What is known of the browser.
#[derive(Debug, Clone, Default)]
pub(crate) struct Client {
    pub(crate) address: Option<IpAddr>,
    pub(crate) user_agent: Option<String>,
}

/// A session that was begun: the one time that its secret is there.
pub(crate) struct Begun {
    pub(crate) secret: Zeroizing<String>,
    pub(crate) session: StoredSession,
}

/// Somebody who is signed in, or half so.
#[derive(Debug, Clone)]
pub(crate) struct Here {
    pub(crate) session: StoredSession,
    pub(crate) account: StoredAccount,
    pub(crate) memberships: Vec<Home>,
}

/// An organization that somebody belongs to.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    pub(crate) organization: OrganizationId,
    pub(crate) organization_name: String,
    pub(crate) rank: Rank,
    pub(crate) joined_at: Timestamp,
}

impl Here {
    /// The organization that is looked at: the chosen one, else the first.
    pub(crate) fn home(&self) -> Option<&Home> {
        let chosen = self
            .memberships
            .iter()
            .find(|home| Some(home.organization) == self.session.organization);
        chosen.or(self.memberships.first())
    }

    /// As operations know them.
    pub(crate) fn caller(&self) -> Option<Caller> {
        let home = self.home()?;
        Some(Caller::Member(Member {
            account: self.account.id,
            organization: home.organization,
            rank: home.rank,
            via: Via::Session(self.session.id),
            scopes: caller::of_a_session(),
            expires_at: None,
            allowed_networks: Vec::new(),
        }))
    }

    /// As the ledger knows them, with or without an organization.
    pub(crate) fn actor(&self) -> Actor {
        Actor::Session { account: self.account.id, session: self.session.id }
    }
}

/// How far somebody has come.
pub(crate) enum SignedIn {
    /// They are in.
    Wholly(Begun),
    /// The second factor is still to come.
    Half(Begun),
    /// They are not: what they showed is wrong.
    Wrong,
    /// They are not, and have to start over.
    Over,
    /// Nothing was looked at: it was wrong too often. So long is there to wait.
    Later(Duration),
}

/// What came of looking at a password.
pub(super) enum Proof {
    /// It is this person's, whose hash this is.
    Right {
        person: Credentials,
        hash: String,
    },
    Wrong,
    Later(Duration),
}

/// What came of looking at a code.
pub(super) enum CodeProof {
    Right,
    Wrong,
    Later(Duration),
    /// The session was wrong too often, and has ended.
    Over,
}

impl Service {
    /// Signs somebody in; nobody, where the address or the password is wrong, and nothing
    /// tells which: the same work is done.
    pub(crate) async fn sign_in(
        &self,
        email: &str,
        password: Zeroizing<String>,
        client: &Client,
    ) -> Result<SignedIn, ServiceError> {
        let (person, hash) = match self.prove(email, password, client).await? {
            Proof::Right { person, hash } => (person, hash),
            Proof::Wrong => return Ok(SignedIn::Wrong),
            Proof::Later(left) => return Ok(SignedIn::Later(left)),
        };
        let Some(begun) = self.prepare_session(&person, client).await? else {
            return Ok(SignedIn::Wrong);
        };
        self.keep(begun, Shown { password_hash: hash, code: false }).await
    }

    /// Whether this is the password of the person with this address.
    pub(super) async fn prove(
        &self,
        email: &str,
        password: Zeroizing<String>,
        client: &Client,
    ) -> Result<Proof, ServiceError> {
        let attempt = match self.attempts.password(email, client.address, clock::steady()) {
            Ok(attempt) => attempt,
            Err(left) => return Ok(Proof::Later(left)),
        };
        match self.compare(email, password).await {
            Ok(Some((person, hash))) => {
                attempt.succeeded();
                Ok(Proof::Right { person, hash })
            }
            Ok(None) => Ok(Proof::Wrong),
            Err(error) => {
                attempt.undecided();
                Err(error)
            }
        }
    }

    async fn compare(
        &self,
        email: &str,
        password: Zeroizing<String>,
    ) -> Result<Option<(Credentials, String)>, ServiceError> {
        let found = match email.parse::<Email>() {
            Ok(email) => self.store.credentials_by_email(email).await?,
            Err(_) => None,
        };
        let person = found.filter(|found| found.kind == AccountKind::Person && !found.is_disabled);
        let hash = person.as_ref().and_then(|person| person.password_hash.clone());
        let verified = self.passwords.verify(password, hash.clone()).await?;
        Ok(person.zip(hash).filter(|_| verified != Verified::Wrong))
    }

    /// A session that nobody has kept yet; none, where nobody may get in.
    pub(super) async fn prepare_session(
        &self,
        person: &Credentials,
        client: &Client,
    ) -> Result<Option<Begun>, ServiceError> {
        let factor = self.store.second_factor(person.account).await?;
        let is_asked = factor.is_some_and(|factor| factor.is_confirmed);
        if person.has_second_factor && !is_asked {
            // The ledger tells of one, and it is lost: whoever knows the password alone
            // does not get in.
            tracing::error!(account = %person.account, "a second factor is set, and is not there");
            return Ok(None);
        }
        Ok(Some(self.new_session(clock::now(), person.account, client, !is_asked)))
    }

    /// Keeps a session that begins with what was shown.
    pub(super) async fn keep(&self, begun: Begun, shown: Shown) -> Result<SignedIn, ServiceError> {
        if !self.store.keep_session(begun.session.clone(), Some(shown)).await? {
            return Ok(SignedIn::Wrong);
        }
        Ok(if begun.session.is_complete { SignedIn::Wholly(begun) } else { SignedIn::Half(begun) })
    }

    /// Lets somebody in whole who is half in and shows a code: one of the authenticator's,
    /// or a recovery code.
    pub(crate) async fn show_code(
        &self,
        secret: &str,
        code: &str,
        client: &Client,
    ) -> Result<SignedIn, ServiceError> {
        let Some(half) = self.half_session(secret).await? else { return Ok(SignedIn::Over) };
        match self.prove_code(half.account, half.id, code).await? {
            CodeProof::Right => {}
            CodeProof::Wrong => return Ok(SignedIn::Wrong),
            CodeProof::Later(left) => return Ok(SignedIn::Later(left)),
            CodeProof::Over => return Ok(SignedIn::Over),
        }
        let begun = self.new_session(clock::now(), half.account, client, true);
        let is_kept = self.store.replace_session(half.id, begun.session.clone()).await?;
        Ok(if is_kept { SignedIn::Wholly(begun) } else { SignedIn::Over })
    }

    /// The session that this secret opens, if it waits for the second factor.
    pub(crate) async fn half_session(
        &self,
        secret: &str,
    ) -> Result<Option<StoredSession>, ServiceError> {
        let session = self.store.session(Digest::of(secret), clock::now()).await?;
        Ok(session.filter(|session| !session.is_complete))
    }

    /// Whether a code is right, which uses it up. Who is wrong too often in a session has it
    /// ended.
    pub(super) async fn prove_code(
        &self,
        account: AccountId,
        session: SessionId,
        code: &str,
    ) -> Result<CodeProof, ServiceError> {
        use super::attempts::NoCode;
        let attempt = match self.attempts.code(account, &session, clock::steady()) {
            Ok(attempt) => attempt,
            Err(NoCode::Wait(left)) => return Ok(CodeProof::Later(left)),
            Err(NoCode::SessionOver) => {
                self.store.end_session(session).await?;
                return Ok(CodeProof::Over);
            }
        };
        match self.use_code(account, code).await {
            Ok(true) => {
                attempt.not_wrong();
                Ok(CodeProof::Right)
            }
            Ok(false) if attempt.is_last => {
                self.store.end_session(session).await?;
                Ok(CodeProof::Over)
            }
            Ok(false) => Ok(CodeProof::Wrong),
            Err(error) => {
                attempt.not_wrong();
                Err(error)
            }
        }
    }

    async fn use_code(&self, account: AccountId, code: &str) -> Result<bool, ServiceError> {
        let factor = self.store.second_factor(account).await?;
        let Some(factor) = factor.filter(|factor| factor.is_confirmed) else { return Ok(false) };
        if let Some(code) = RecoveryCode::read(code) {
            let digest = Digest::from_bytes(code.digest());
            return Ok(self.store.use_recovery(account, digest).await?);
        }
        let Ok(bytes) = factor.secret.as_slice().try_into() else { return Ok(false) };
        let secret = TotpSecret::from_bytes(bytes);
        match secret.verify(code, clock::now(), Some(factor.last_step)) {
            Some(step) => Ok(self.store.use_step(account, step).await?),
            None => Ok(false),
        }
    }

    /// Ends the session of whoever shows its secret.
    pub(crate) async fn sign_out(&self, secret: &str) -> Result<(), ServiceError> {
        if let Some(session) = self.store.session(Digest::of(secret), clock::now()).await? {
            self.store.end_session(session.id).await?;
        }
        Ok(())
    }

    /// Looks at another organization from now on.
    pub(crate) async fn look_at(
        &self,
        here: &Here,
        organization: OrganizationId,
    ) -> Result<(), ServiceError> {
        if !here.memberships.iter().any(|home| home.organization == organization) {
            return Err(super::organizations::no_such_organization());
        }
        Ok(self.store.set_session_organization(here.session.id, Some(organization)).await?)
    }

    /// A session of an account that nobody has kept yet. `is_complete`: no second factor is
    /// to come.
    pub(super) fn new_session(
        &self,
        now: Timestamp,
        account: AccountId,
        client: &Client,
        is_complete: bool,
    ) -> Begun {
        let secret = new_secret();
        let longest = self.lifetimes.load().longest;
        let session = StoredSession {
            digest: Digest::of(&secret),
            id: SessionId::new(now, entropy::bytes()),
            account,
            organization: None,
            created_at: now,
            last_seen_at: now,
            expires_at: now.plus(if is_complete { longest } else { HALF }),
            address: client.address,
            user_agent: client.user_agent.clone(),
            is_complete,
        };
        Begun { secret, session }
    }

    /// Who shows this secret; nobody, where the session has ended or the account is
    /// disabled.
    pub(crate) async fn session(
        &self,
        secret: &str,
        client: &Client,
        now: Timestamp,
    ) -> Result<Option<Here>, ServiceError> {
        let found = self.store.session(Digest::of(secret), now).await?;
        let Some(mut here) = self.here(found, now).await? else { return Ok(None) };
        let session = &mut here.session;
        if self.lifetimes.load().is_to_be_seen(session, now) {
            session.last_seen_at = now;
            session.address = client.address;
            self.store.see_session(session.id, now, client.address).await?;
        }
        Ok(Some(here))
    }

    /// Whoever was here with this session, if they still are. That somebody looks is no use
    /// of it.
    pub(crate) async fn still_here(
        &self,
        id: SessionId,
        now: Timestamp,
    ) -> Result<Option<Here>, ServiceError> {
        let found = self.store.session_by_id(id, now).await?;
        self.here(found.filter(|session| session.is_complete), now).await
    }

    async fn here(
        &self,
        found: Option<StoredSession>,
        now: Timestamp,
    ) -> Result<Option<Here>, ServiceError> {
        let Some(session) = found else { return Ok(None) };
        if self.lifetimes.load().has_lapsed(&session, now) {
            return Ok(None);
        }
        let Some(account) = self.store.account(session.account).await? else { return Ok(None) };
        if account.disabled_at.is_some() {
            return Ok(None);
        }
        let memberships = self.homes(account.id).await?;
        Ok(Some(Here { session, account, memberships }))
    }

    async fn homes(&self, account: AccountId) -> Result<Vec<Home>, ServiceError> {
        let filter =
            MembershipFilter { organization: None, account: Some(account), with_past: false };
        let page = Page { after: None, limit: CHOICES };
        let mut homes = Vec::new();
        for membership in self.store.memberships(filter, page).await? {
            let organization = self.stored_organization(membership.organization).await?;
            homes.push(Home {
                organization: organization.id,
                organization_name: organization.name,
                rank: membership.rank,
                joined_at: membership.joined_at,
            });
        }
        Ok(homes)
    }

    /// Somebody's own sessions, the newest first.
    pub(crate) async fn own_sessions(
        &self,
        here: &Here,
        now: Timestamp,
    ) -> Result<Vec<StoredSession>, ServiceError> {
        let lifetimes = *self.lifetimes.load_full();
        let mut sessions = self.store.sessions(here.account.id, now, SHOWN).await?;
        sessions.retain(|session| session.is_complete && !lifetimes.has_lapsed(session, now));
        Ok(sessions)
    }

    /// Ends one of somebody's own sessions.
    pub(crate) async fn end_own_session(
        &self,
        here: &Here,
        id: SessionId,
    ) -> Result<(), ServiceError> {
        let found = self.store.session_by_id(id, clock::now()).await?;
        if found.is_none_or(|session| session.account != here.account.id) {
            return Err(ServiceError::NotFound("there is no such session".into()));
        }
        self.store.end_session(id).await?;
        Ok(())
    }

    /// Ends all of somebody's own sessions but this one; how many that were.
    pub(crate) async fn end_other_sessions(&self, here: &Here) -> Result<u64, ServiceError> {
        Ok(self.store.end_sessions(here.account.id, Some(here.session.id)).await?)
    }

    /// Forgets sessions and links that are over.
    pub(crate) async fn forget_sessions(&self, now: Timestamp) {
        for _ in 0..ROUNDS {
            match self.store.forget_sessions(now, FORGOTTEN).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    tracing::warn!(%error, "sessions that are over are kept");
                    return;
                }
            }
        }
    }
}

/// 256 random bits for a cookie or a link, in hexadecimal digits: one long word, which a log
/// leaves out wherever it stands.
pub(super) fn new_secret() -> Zeroizing<String> {
    let bytes = Zeroizing::new(entropy::bytes::<32>());
    let mut text = Zeroizing::new(String::with_capacity(2 * bytes.len()));
    for byte in *bytes {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        app::App,
        config::{Config, Environment},
        replica::Replica,
        store::sqlite::{DataDirectory, Sqlite},
    };
    use std::{path::Path, sync::Arc};

    const ADA: &str = "ada@example.com";

    async fn house() -> (tempfile::TempDir, App) {
        let directory = tempfile::tempdir().unwrap();
        let locked = Arc::new(DataDirectory::lock(directory.path()).unwrap());
        let store = Sqlite::open(locked, Path::new("test.db"), Box::new(|_, _| {})).unwrap();
        let config = Config::load(None, &Environment::default()).unwrap().config;
        let app = App::on(&config, Arc::new(store), Arc::new(Replica::default()), None).unwrap();
        let password = Some(Zeroizing::new("correct horse".to_owned()));
        let service = &app.service;
        service
            .initialise(&Caller::Operator, "Acme", ADA.parse().unwrap(), None, password)
            .await
            .unwrap();
        (directory, app)
    }

    fn signed_in(outcome: Result<SignedIn, ServiceError>) -> Begun {
        match outcome {
            Ok(SignedIn::Wholly(begun)) => begun,
            _ => panic!("not signed in"),
        }
    }

    /// Where nobody can be worked for, everybody is told so: whoever would be answered
    /// without the work would be told from the others by how long it takes.
    #[tokio::test]
    async fn a_wrong_address_costs_the_work_of_a_wrong_password() {
        let (_directory, app) = house().await;
        let client = Client::default();
        let password = || Zeroizing::new("correct horse".to_owned());
        let _none_left = app.service.passwords.occupy();
        for email in [ADA, "eve@example.com", "no address", ""] {
            let outcome = app.service.sign_in(email, password(), &client).await;
            assert!(matches!(outcome, Err(ServiceError::Busy(_))), "{email}");
        }
    }

    #[tokio::test]
    async fn sessions_lapse_and_end() {
        let (_directory, app) = house().await;
        let (service, client) = (&app.service, Client::default());
        let lifetimes = Lifetimes { idle: Seconds(3600), longest: Seconds(7200) };
        service.lifetimes.store(Arc::new(lifetimes));
        let password = || Zeroizing::new("correct horse".to_owned());
        let begun = signed_in(service.sign_in(ADA, password(), &client).await);
        let start = begun.session.created_at;
        let is_in = async |seconds: u64| {
            let now = start.plus(Seconds(seconds));
            service.session(&begun.secret, &client, now).await.unwrap().is_some()
        };
        assert!(is_in(0).await && !is_in(3600).await);
        assert!(is_in(3599).await && is_in(3600).await, "it was used meanwhile");
        assert!(is_in(7198).await && is_in(7199).await && !is_in(7200).await, "whatever it does");
        // Nor is one shown that has lapsed.
        let here = service.session(&begun.secret, &client, start.plus(Seconds(7199))).await;
        let here = here.unwrap().unwrap();
        let other = signed_in(service.sign_in(ADA, password(), &client).await);
        let shown = async |seconds| {
            let now = start.plus(Seconds(seconds));
            service.own_sessions(&here, now).await.unwrap().iter().map(|s| s.id).collect::<Vec<_>>()
        };
        assert_eq!(shown(1800).await, [other.session.id, begun.session.id]);
        assert_eq!(shown(7000).await, [begun.session.id]);
        service.forget_sessions(other.session.expires_at).await;
        assert!(service.store.sessions(here.account.id, start, 9).await.unwrap().is_empty());
    }

    /// However short a session is: whoever goes on using it stays.
    #[tokio::test]
    async fn a_session_that_is_used_does_not_lapse() {
        let (_directory, app) = house().await;
        let (service, client) = (&app.service, Client::default());
        let lifetimes = Lifetimes { idle: Seconds(30), longest: Seconds(7200) };
        service.lifetimes.store(Arc::new(lifetimes));
        let password = Zeroizing::new("correct horse".to_owned());
        let begun = signed_in(service.sign_in(ADA, password, &client).await);
        for seconds in (0..600).step_by(14) {
            let now = begun.session.created_at.plus(Seconds(seconds));
            assert!(service.session(&begun.secret, &client, now).await.unwrap().is_some());
        }
    }
}
