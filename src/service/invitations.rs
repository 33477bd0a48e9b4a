//! Invitations: how people come to belong to an organization.
//!
//! An administrator makes one and hands its link over, or has it sent by mail. Whoever has
//! the link may use it once, as the person it is for.

use super::{
    Asker, Caller, Service, ServiceError, check_name,
    links::MADE,
    organizations::no_such_organization,
    sessions::{Begun, Client, Here, new_secret},
};
use crate::{
    clock, entropy,
    service::accounts::NAME,
    store::{EntryFilter, InvitationFilter, Page, Shown, Standing, StoreError, StoredInvitation},
};
use counterfoil_core::{
    Timestamp,
    account::{AccountKind, Email, Rank},
    id::{AccountId, InvitationId, OrganizationId},
    ledger::{Actor, Change},
    time::Seconds,
    token::Digest,
};
use zeroize::Zeroizing;

/// How long an invitation can be accepted.
pub(crate) const LIFETIME: Seconds = Seconds::days(7);
/// How many of an organization can be open at a time.
const OPEN: u32 = 500;

/// An invitation that has just been made: the one time that its link's secret is there.
pub(crate) struct Invited {
    pub(crate) invitation: StoredInvitation,
    pub(crate) secret: Zeroizing<String>,
}

/// What whoever has the link sees of an invitation.
#[derive(Debug, Clone)]
pub(crate) struct Opened {
    pub(crate) invitation: StoredInvitation,
    pub(crate) organization: String,
    /// Who invites; nobody by name, where that is the operator.
    pub(crate) by: Option<String>,
    /// What they have to be when it is accepted.
    standing: Option<Standing>,
    /// Whether there is an account of that address: then it is that person who accepts.
    pub(crate) is_known: bool,
}

impl Service {
    /// Invites somebody to an organization. Whatever link there was for the same address is
    /// good for nothing from then on.
    pub(crate) async fn invite(
        &self,
        caller: &Caller,
        organization: Option<OrganizationId>,
        email: Email,
        rank: Rank,
    ) -> Result<Invited, ServiceError> {
        caller.may("accounts:write")?;
        caller.administers()?;
        let organization = organization_meant(caller, organization)?;
        if self.stored_organization(organization).await?.closed_at.is_some() {
            return Err(ServiceError::Conflict("the organization is closed".into()));
        }
        if let Some(account) = self.store.account_by_email(email.clone()).await?
            && self.membership(organization, account.id).await?.is_some()
        {
            return Err(ServiceError::Conflict(format!("{email} is a member already")));
        }
        let at = clock::now();
        let filter = InvitationFilter { organization, open_at: Some(at) };
        let open = self.store.invitations(filter, Page { after: None, limit: OPEN }).await?;
        let (same, others): (Vec<_>, Vec<_>) =
            open.iter().partition(|open| open.email.as_ref() == Some(&email));
        if others.len() >= OPEN as usize {
            return Err(ServiceError::Conflict(format!(
                "{OPEN} invitations are open already; withdraw some of them first"
            )));
        }
        if caller.is_operator().is_err() {
            self.requests.to_invite(organization, clock::steady()).map_err(|wait| {
                let why = format!(
                    "your organization has made {MADE} invitations within an hour, and makes no \
                     more before it is over; nothing was changed"
                );
                ServiceError::TooOften { why, wait }
            })?;
        }
        let secret = new_secret();
        let invitation = StoredInvitation {
            id: InvitationId::new(at, entropy::bytes()),
            organization,
            email: Some(email),
            rank,
            digest: Digest::of(&secret),
            created_at: at,
            expires_at: at.plus(LIFETIME),
            accepted: None,
            withdrawn_at: None,
        };
        let change = Change::InvitationMade {
            invitation: invitation.id,
            organization,
            email: invitation.email.clone(),
            rank,
            digest: invitation.digest,
            expires_at: invitation.expires_at,
        };
        let before = same
            .iter()
            .map(|open| Change::InvitationWithdrawn { invitation: open.id, organization });
        self.commit(caller, at, before.chain([change])).await?;
        Ok(Invited { invitation, secret })
    }

    /// An organization's invitations, the newest first; those that are open, or all.
    pub(crate) async fn invitations(
        &self,
        caller: &Caller,
        organization: Option<OrganizationId>,
        only_open: bool,
        page: Page<InvitationId>,
    ) -> Result<Vec<StoredInvitation>, ServiceError> {
        caller.may("accounts:read")?;
        caller.administers()?;
        let organization = organization_meant(caller, organization)?;
        let open_at = only_open.then(clock::now);
        Ok(self.store.invitations(InvitationFilter { organization, open_at }, page).await?)
    }

    /// One invitation.
    pub(crate) async fn invitation(
        &self,
        caller: &Caller,
        id: InvitationId,
    ) -> Result<StoredInvitation, ServiceError> {
        caller.may("accounts:read")?;
        caller.administers()?;
        self.seen_invitation(caller, id).await
    }

    /// Makes an invitation's link good for nothing.
    pub(crate) async fn withdraw_invitation(
        &self,
        caller: &Caller,
        id: InvitationId,
    ) -> Result<StoredInvitation, ServiceError> {
        caller.may("accounts:write")?;
        caller.administers()?;
        self.settle(caller, async |at| {
            let stored = self.seen_invitation(caller, id).await?;
            if stored.accepted.is_some() {
                return Err(ServiceError::Conflict(
                    "the invitation has been accepted; end the membership instead".into(),
                ));
            }
            if stored.withdrawn_at.is_some() {
                return Ok((None, stored));
            }
            let organization = stored.organization;
            let change = Change::InvitationWithdrawn { invitation: id, organization };
            Ok((Some(change), StoredInvitation { withdrawn_at: Some(at), ..stored }))
        })
        .await
    }

    /// The invitation whose link has this secret, while it can be accepted.
    pub(crate) async fn open_invitation(&self, secret: &str) -> Result<Opened, ServiceError> {
        let found = self.store.invitation_by_digest(Digest::of(secret)).await?;
        let invitation = found.filter(|found| found.is_open(clock::now())).ok_or_else(gone)?;
        let organization = self.stored_organization(invitation.organization).await?;
        if organization.closed_at.is_some() {
            return Err(gone());
        }
        let (by, standing) = self.inviter(&invitation).await?.unzip();
        let is_known = match &invitation.email {
            Some(email) => self.store.account_by_email(email.clone()).await?.is_some(),
            None => false,
        };
        Ok(Opened { invitation, organization: organization.name, by, standing, is_known })
    }

    /// Who has made an invitation, as the ledger says, as long as they may still make one:
    /// what somebody left behind does not bring them back.
    async fn inviter(
        &self,
        invitation: &StoredInvitation,
    ) -> Result<Option<(String, Standing)>, ServiceError> {
        let filter =
            EntryFilter { subject: Some(*invitation.id.as_bytes()), ..EntryFilter::default() };
        let first = self.store.entries(filter, 0, 1).await?.pop().ok_or_else(gone)?;
        let account = match first.entry.actor {
            Actor::Operator => return Ok(None),
            Actor::Token { account, .. } | Actor::Session { account, .. } => account,
            Actor::LeakReport => return Err(gone()),
        };
        let account = self.store.account(account).await?.ok_or_else(gone)?;
        let membership = self.membership(invitation.organization, account.id).await?;
        let may = membership.is_some_and(|held| held.rank == Rank::Administrator);
        if !may || account.disabled_at.is_some() {
            return Err(gone());
        }
        let (organization, rank) = (invitation.organization, Rank::Administrator);
        Ok(Some((account.name, Standing { organization, account: account.id, rank })))
    }

    /// Has somebody who is signed in join.
    pub(crate) async fn accept_invitation(
        &self,
        here: &Here,
        secret: &str,
    ) -> Result<OrganizationId, ServiceError> {
        let opened = self.open_invitation(secret).await?;
        let invitation = &opened.invitation;
        let account = &here.account;
        if account.email != invitation.email {
            return Err(ServiceError::Forbidden(
                "the invitation is for somebody else; sign out, and open its link again".into(),
            ));
        }
        let organization = invitation.organization;
        if self.membership(organization, account.id).await?.is_some() {
            return Err(ServiceError::Conflict("you belong to the organization already".into()));
        }
        let actor = Actor::Session { account: account.id, session: here.session.id };
        self.join(actor, clock::now(), &opened, account.id, Vec::new()).await?;
        // It is there that they want to be.
        self.store.set_session_organization(here.session.id, Some(organization)).await?;
        Ok(organization)
    }

    /// Makes the account of somebody who is new, has it join, and begins a session.
    pub(crate) async fn join_as_a_new_person(
        &self,
        secret: &str,
        name: &str,
        password: Zeroizing<String>,
        client: &Client,
    ) -> Result<Begun, ServiceError> {
        let opened = self.open_invitation(secret).await?;
        let Opened { invitation, is_known, organization, .. } = &opened;
        if *is_known || invitation.email.is_none() {
            return Err(ServiceError::Conflict(
                "there is an account of this address already; sign in with it first".into(),
            ));
        }
        let name = check_name(name, NAME)?;
        let at = clock::now();
        let account = AccountId::new(at, entropy::bytes());
        let email = invitation.email.as_ref().map(Email::as_str).unwrap_or_default();
        let hash = self.passwords.hash(password, &[email, &name, organization]).await?;
        let begun = self.new_session(at, account, client, true);
        let actor = Actor::Session { account, session: begun.session.id };
        let first = vec![
            Change::AccountCreated {
                account,
                account_kind: AccountKind::Person,
                email: invitation.email.clone(),
                name,
                external_id: None,
            },
            Change::PasswordSet { account, hash: hash.clone(), by_mail: false },
        ];
        self.join(actor, at, &opened, account, first).await?;
        let shown = Shown { password_hash: hash, code: false };
        if !self.store.keep_session(begun.session.clone(), Some(shown)).await? {
            return Err(ServiceError::Conflict("you belong here now; sign in".into()));
        }
        Ok(begun)
    }

    /// Makes the changes by which somebody joins, with those that come first.
    pub(crate) async fn join(
        &self,
        actor: Actor,
        at: Timestamp,
        Opened { invitation, standing, .. }: &Opened,
        account: AccountId,
        first: Vec<Change>,
    ) -> Result<(), ServiceError> {
        let (organization, rank) = (invitation.organization, invitation.rank);
        let joined = [
            Change::MembershipAdded { organization, account, rank },
            Change::InvitationAccepted { invitation: invitation.id, organization, account },
        ];
        let asker = Asker { actor, standing: *standing };
        match self.commit(asker, at, first.into_iter().chain(joined)).await {
            Ok(()) => Ok(()),
            // Somebody was quicker, or it was withdrawn meanwhile, or is worth nothing any more.
            Err(StoreError::Conflict | StoreError::Outranked) => Err(gone()),
            Err(error) => Err(error.into()),
        }
    }

    async fn seen_invitation(
        &self,
        caller: &Caller,
        id: InvitationId,
    ) -> Result<StoredInvitation, ServiceError> {
        let found = self.store.invitation(id).await?;
        found
            .filter(|found| caller.reaches(found.organization))
            .ok_or_else(|| ServiceError::NotFound("there is no such invitation".into()))
    }
}

/// The caller's own organization, or for the operator the one that is named.
fn organization_meant(
    caller: &Caller,
    named: Option<OrganizationId>,
) -> Result<OrganizationId, ServiceError> {
    match (caller.home(), named) {
        (Some(home), None) => Ok(home),
        (Some(home), Some(named)) if home == named => Ok(home),
        (Some(_), Some(_)) => Err(no_such_organization()),
        (None, Some(named)) => Ok(named),
        (None, None) => Err(ServiceError::Conflict(
            "the operator belongs to no organization; say which with `organization`".into(),
        )),
    }
}

fn gone() -> ServiceError {
    ServiceError::NotFound(
        "this invitation has been used, withdrawn, or is over; ask for another".into(),
    )
}
