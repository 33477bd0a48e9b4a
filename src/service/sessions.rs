//! Sessions: who is signed in to the console.

use super::{
    Caller, Member, Service, ServiceError,
    caller::{self, Via},
    passwords::Verified,
};
use crate::{
    clock, entropy,
    store::{MembershipFilter, Page, StoredAccount, StoredSession},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use counterfoil_core::{
    Timestamp,
    account::{AccountKind, Email, Rank},
    id::{AccountId, OrganizationId, SessionId},
    time::Seconds,
    token::Digest,
};
use std::net::IpAddr;
use zeroize::Zeroizing;

/// How long a session lives without being used.
const IDLE: Seconds = Seconds(12 * 3_600);
/// How long it lives at most.
pub(crate) const LONGEST: Seconds = Seconds::days(30);
/// How long somebody has to show the second factor.
const HALF: Seconds = Seconds(600);
/// How often it is written down that a session is used.
const SEEN_EVERY: Seconds = Seconds(60);
/// How many organizations somebody chooses from.
const CHOICES: u32 = 100;

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
}

/// How far somebody has come who showed the right password.
pub(crate) enum SignedIn {
    /// They are in.
    Wholly(Begun),
    /// The second factor is still to come.
    Half(Begun),
}

impl Service {
    /// Signs somebody in; nobody, where the address or the password is wrong, and nothing
    /// tells which: the same work is done.
    pub(crate) async fn sign_in(
        &self,
        email: &str,
        password: Zeroizing<String>,
        client: &Client,
    ) -> Result<Option<SignedIn>, ServiceError> {
        let found = match email.parse::<Email>() {
            Ok(email) => self.store.credentials_by_email(email).await?,
            Err(_) => None,
        };
        let person = found.filter(|found| found.kind == AccountKind::Person && !found.is_disabled);
        let hash = person.as_ref().and_then(|person| person.password_hash.clone());
        let is_right = self.passwords.verify(password, hash.clone()).await? != Verified::Wrong;
        let (Some(person), Some(hash), true) = (person, hash, is_right) else { return Ok(None) };
        let factor = self.store.second_factor(person.account).await?;
        let is_asked = factor.is_some_and(|factor| factor.is_confirmed);
        if person.has_second_factor && !is_asked {
            // The ledger tells of one, and it is lost: whoever knows the password alone
            // does not get in.
            tracing::error!(account = %person.account, "a second factor is set, and is not there");
            return Ok(None);
        }
        let begun = Self::new_session(clock::now(), person.account, client, !is_asked);
        if !self.store.keep_session(begun.session.clone(), Some(hash)).await? {
            return Ok(None);
        }
        Ok(Some(if is_asked { SignedIn::Half(begun) } else { SignedIn::Wholly(begun) }))
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
        now: Timestamp,
        account: AccountId,
        client: &Client,
        is_complete: bool,
    ) -> Begun {
        let secret = Zeroizing::new(BASE64_URL_SAFE_NO_PAD.encode(entropy::bytes::<32>()));
        let session = StoredSession {
            digest: Digest::of(&secret),
            id: SessionId::new(now, entropy::bytes()),
            account,
            organization: None,
            created_at: now,
            last_seen_at: now,
            expires_at: now.plus(if is_complete { LONGEST } else { HALF }),
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
        let Some(mut session) = self.store.session(Digest::of(secret), now).await? else {
            return Ok(None);
        };
        if now >= session.last_seen_at.plus(IDLE) {
            return Ok(None);
        }
        let Some(account) = self.store.account(session.account).await? else { return Ok(None) };
        if account.disabled_at.is_some() {
            return Ok(None);
        }
        if now >= session.last_seen_at.plus(SEEN_EVERY) {
            session.last_seen_at = now;
            session.address = client.address;
            self.store.see_session(session.id, now, client.address).await?;
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
            });
        }
        Ok(homes)
    }
}
