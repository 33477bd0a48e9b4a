//! One-time links: for the first set-up, and to choose a new password.

use super::{
    Caller, Service, ServiceError,
    accounts::names,
    check_name,
    organizations::NAME,
    sessions::{Begun, Client, SignedIn, new_secret},
};
use crate::{
    clock,
    mail::letters,
    store::{
        Ground, LinkPurpose, OrganizationFilter, Page, Shown, StoreError, StoredAccount, StoredLink,
    },
    tally::Tally,
};
use counterfoil_core::{
    account::{AccountKind, Email},
    id::OrganizationId,
    ledger::{Actor, Change},
    time::Seconds,
    token::Digest,
};
use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use zeroize::Zeroizing;

/// How long a link works.
pub(crate) const WORKS_FOR: Seconds = Seconds::HOUR;
/// How long requests for mail are counted together.
const WINDOW: Duration = Duration::from_mins(15);
/// How many letters one account is sent in that time.
const OF_ACCOUNT: u32 = 3;
/// How often one network may ask in that time.
const OF_NETWORK: u32 = 20;
/// How many invitations are mailed to one address in that time, and how many for one
/// organization. Apart from what people ask for themselves, so that nobody keeps a link from
/// whoever forgot their password.
const INVITED: u32 = 3;
const OF_ORGANIZATION: u32 = 20;
/// How many invitations one organization makes in an hour.
pub(crate) const MADE: u32 = 100;
const HOUR: Duration = Duration::from_hours(1);
/// How many requests may be under way.
const UNDER_WAY: usize = 256;

/// How often mail was asked for, and what may end in mail.
pub(crate) struct Requests {
    began: Instant,
    accounts: Tally,
    networks: Tally,
    invited: Tally,
    inviting: Tally,
    made: Tally,
}

/// Why an invitation is not mailed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unsent {
    /// The address has been sent enough for now.
    Address,
    /// The organization has.
    Organization,
}

impl Requests {
    /// None yet.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            began: now,
            accounts: Tally::new(OF_ACCOUNT),
            networks: Tally::new(OF_NETWORK),
            invited: Tally::new(INVITED),
            inviting: Tally::new(OF_ORGANIZATION),
            made: Tally::new(MADE),
        }
    }

    /// The number of the window, and how much is left of it.
    fn window(&self, now: Instant, length: Duration) -> (u64, Duration) {
        let since = now.saturating_duration_since(self.began).as_secs();
        (since / length.as_secs(), Duration::from_secs(length.as_secs() - since % length.as_secs()))
    }

    /// Counts a request from this address; where it is one too many, how long to wait.
    fn from(&self, client: Option<IpAddr>, now: Instant) -> Result<(), Duration> {
        let (window, left) = self.window(now, WINDOW);
        let network = client.map(|client| match client.to_canonical() {
            IpAddr::V4(address) => u128::from(u32::from(address)),
            // Whoever has one IPv6 address has all of its network.
            IpAddr::V6(address) => u128::from(address) >> 64 << 64,
        });
        self.networks.add(&network, window).map(drop).ok_or(left)
    }

    /// Whether an account may be sent one more letter.
    fn for_account(&self, email: &Email, now: Instant) -> bool {
        self.accounts.add(&email.as_str(), self.window(now, WINDOW).0).is_some()
    }

    /// Counts a letter that invites somebody to an organization, if it may be sent.
    pub(crate) fn for_invitation(
        &self,
        organization: OrganizationId,
        email: &Email,
        now: Instant,
    ) -> Result<(), Unsent> {
        let window = self.window(now, WINDOW).0;
        self.invited.add(&email.as_str(), window).ok_or(Unsent::Address)?;
        self.inviting.add(&organization, window).ok_or(Unsent::Organization).map(drop)
    }

    /// Counts an invitation that an organization makes; where it is one too many, how long
    /// to wait. Its page tells whether the address has an account.
    pub(super) fn to_invite(
        &self,
        organization: OrganizationId,
        now: Instant,
    ) -> Result<(), Duration> {
        let (window, left) = self.window(now, HOUR);
        self.made.add(&organization, window).map(drop).ok_or(left)
    }
}

/// What the first set-up makes.
pub(crate) struct FirstSetUp {
    pub(crate) organization: String,
    pub(crate) name: Option<String>,
    pub(crate) email: Email,
    pub(crate) password: Zeroizing<String>,
}

impl Service {
    /// A new link for the first set-up, while there is something to set up. The one before
    /// is good for nothing any more.
    pub(crate) async fn set_up_link(&self) -> Result<Option<Zeroizing<String>>, ServiceError> {
        if self.is_set_up().await? {
            return Ok(None);
        }
        self.keep_link(LinkPurpose::SetUp, None).await
    }

    async fn keep_link(
        &self,
        purpose: LinkPurpose,
        mailed_to: Option<&Email>,
    ) -> Result<Option<Zeroizing<String>>, ServiceError> {
        let code = new_secret();
        let expires_at = clock::now().plus(WORKS_FOR);
        let link = StoredLink { digest: Digest::of(&code), purpose, expires_at };
        let is_kept = self.store.keep_link(link, mailed_to.cloned()).await?;
        Ok(is_kept.then_some(code))
    }

    async fn is_set_up(&self) -> Result<bool, ServiceError> {
        let one = Page { after: None, limit: 1 };
        Ok(!self.store.organizations(OrganizationFilter::default(), one).await?.is_empty())
    }

    /// Whether this link can be used for the first set-up.
    pub(crate) async fn may_set_up(&self, code: &str) -> Result<bool, ServiceError> {
        let link = self.store.link(Digest::of(code), clock::now()).await?;
        let is_set_up = self.is_set_up().await?;
        Ok(link.is_some_and(|link| link.purpose == LinkPurpose::SetUp) && !is_set_up)
    }

    /// Makes the first organization and its administrator for whoever has the link, and
    /// signs them in. None, where the link does not work.
    pub(crate) async fn set_up(
        &self,
        code: &str,
        new: FirstSetUp,
        client: &Client,
    ) -> Result<Option<Begun>, ServiceError> {
        if !self.may_set_up(code).await? {
            return Ok(None);
        }
        let FirstSetUp { organization, name, email, password } = new;
        if let Err(ServiceError::Invalid { message, .. }) = check_name(&organization, NAME) {
            return Err(ServiceError::Invalid { field: "organization", message });
        }
        // It refuses where there is an organization already: of two who use the link at the
        // same moment one gets through.
        let made =
            self.initialise(&Caller::Operator, &organization, email, name, Some(password)).await?;
        self.store.take_link(Digest::of(code), clock::now()).await?;
        let begun = self.new_session(clock::now(), made.account.id, client, true);
        self.store.keep_session(begun.session.clone(), None).await?;
        Ok(Some(begun))
    }

    /// Has a link mailed to whoever forgot the password. Everything that depends on whether
    /// there is such an account happens later. Where too many ask, how long to wait.
    pub(crate) fn forgotten(
        self: &Arc<Self>,
        email: &str,
        client: Option<IpAddr>,
        public_url: &str,
    ) -> Result<(), Duration> {
        let now = clock::steady();
        self.requests.from(client, now)?;
        if self.under_way.len() >= UNDER_WAY {
            return Err(Duration::from_secs(2));
        }
        let (service, public_url) = (self.clone(), public_url.to_owned());
        let email: Option<Email> = email.trim().parse().ok();
        self.under_way.spawn(async move {
            let Some(email) = email else { return };
            if !service.requests.for_account(&email, now) {
                return;
            }
            if let Err(error) = service.mail_reset(email, &public_url).await {
                tracing::warn!(%error, "no link was mailed to somebody who forgot a password");
            }
        });
        Ok(())
    }

    async fn mail_reset(&self, email: Email, public_url: &str) -> Result<(), ServiceError> {
        let found = self.store.credentials_by_email(email.clone()).await?;
        let person = found.filter(|found| found.kind == AccountKind::Person && !found.is_disabled);
        let Some(person) = person else { return Ok(()) };
        let purpose = LinkPurpose::Reset(person.account);
        let Some(code) = self.keep_link(purpose, Some(&email)).await? else { return Ok(()) };
        let link = Zeroizing::new(format!("{public_url}/reset/{}", *code));
        self.send_later(Some(letters::password_reset(&email, &link, WORKS_FOR)));
        Ok(())
    }

    /// Whose password can be set by this link.
    pub(crate) async fn reset_of(&self, code: &str) -> Result<Option<StoredAccount>, ServiceError> {
        let link = self.store.link(Digest::of(code), clock::now()).await?;
        let Some(LinkPurpose::Reset(account)) = link.map(|link| link.purpose) else {
            return Ok(None);
        };
        let account = self.store.account(account).await?;
        Ok(account.filter(|account| account.disabled_at.is_none()))
    }

    /// Sets a new password for whoever has the link, ends all sessions of theirs and begins
    /// one, half where there is a second factor. None, where the link does not work.
    pub(crate) async fn reset(
        &self,
        code: &str,
        password: Zeroizing<String>,
        client: &Client,
    ) -> Result<Option<SignedIn>, ServiceError> {
        let Some(account) = self.reset_of(code).await? else { return Ok(None) };
        let names: Vec<&str> = names(&account).collect();
        let hash = self.passwords.hash(password, &names).await?;
        let Some(person) = self.store.credentials(account.id).await? else { return Ok(None) };
        let begun = self.prepare_session(&person, client).await?;
        let session = begun.as_ref().map(|begun| begun.session.id);
        let actor = session.map(|session| Actor::Session { account: account.id, session });
        let change = Change::PasswordSet { account: account.id, hash: hash.clone(), by_mail: true };
        // Where nobody gets in, nobody of ours acts: the link is the operator's.
        let actor = actor.unwrap_or(Actor::Operator);
        let ground = Ground::Link(Digest::of(code));
        let number = match self.append_on(ground, actor, clock::now(), [change]).await {
            Ok(number) => number,
            // Somebody was quicker, with this link or with another password.
            Err(StoreError::Conflict) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        self.send_later(account.email.as_ref().map(letters::password_changed));
        // Whoever reads their mail is no stranger where they are.
        if let Some(email) = &account.email {
            self.attempts.remember(email.as_str(), client.address);
        }
        let kept = match begun {
            Some(begun) => self.keep(begun, Shown { password_hash: hash, code: false }).await,
            None => Ok(SignedIn::Wrong),
        };
        self.waits.wait(number, None).await;
        kept.map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_flooded_with_mail() {
        let start = Instant::now();
        let requests = Requests::new(start);
        let ada = "ada@example.com".parse().unwrap();
        assert_eq!((0..10).filter(|_| requests.for_account(&ada, start)).count(), 3);
        assert!(requests.for_account(&"bob@example.com".parse().unwrap(), start));
        assert!(requests.for_account(&ada, start + WINDOW));
        let ask = |address: &str, at| requests.from(Some(address.parse().unwrap()), at);
        let asked = (0..100).filter(|n| ask(&format!("2001:db8::{n}"), start).is_ok());
        assert_eq!(asked.count(), 20);
        assert_eq!(
            ask("2001:db8::1", start + Duration::from_mins(5)),
            Err(Duration::from_mins(10))
        );
        assert_eq!(ask("2001:db8:0:1::1", start), Ok(()));
        assert_eq!(ask("192.0.2.1", start), Ok(()));
        assert_eq!(requests.from(None, start), Ok(()));
    }

    #[test]
    fn nobody_is_flooded_with_invitations() {
        let start = Instant::now();
        let requests = Requests::new(start);
        let [acme, other] = [1, 2].map(|n| OrganizationId::from_bytes([n; 16]));
        let email = |n: usize| format!("{n}@example.com").parse::<Email>().unwrap();
        let mail = |organization, n, at| requests.for_invitation(organization, &email(n), at);
        assert_eq!(
            [(); 4].map(|()| mail(acme, 0, start)),
            [Ok(()), Ok(()), Ok(()), Err(Unsent::Address)]
        );
        // Whoever invites: it is the same person who gets it.
        assert_eq!(mail(other, 0, start), Err(Unsent::Address));
        // What they ask for themselves is another thing.
        assert!(requests.for_account(&email(0), start));
        assert_eq!((1..100).filter(|n| mail(acme, *n, start).is_ok()).count(), 17);
        assert_eq!(mail(acme, 100, start), Err(Unsent::Organization));
        assert_eq!(mail(other, 101, start), Ok(()));
        assert_eq!(mail(acme, 0, start + WINDOW), Ok(()));

        let invite = |organization, at| requests.to_invite(organization, at);
        assert_eq!((0..200).filter(|_| invite(acme, start).is_ok()).count(), 100);
        assert_eq!(invite(acme, start + WINDOW), Err(Duration::from_mins(45)));
        assert_eq!((invite(other, start), invite(acme, start + HOUR)), (Ok(()), Ok(())));
    }
}
