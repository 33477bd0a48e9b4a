//! What entries had taken away that a database no longer has, since an older state was put back.
//!
//! An entry tells ids and its kind, no more. So what cannot be done anew exactly is taken away
//! altogether: a token that was given a new secret, say, whose old one would work again. What
//! entries had given stays lost, and is counted.

use super::{Entry, Subject};
use crate::id::{AccountId, InvitationId, OrganizationId, TokenId};
use std::collections::{BTreeMap, BTreeSet};

/// Something to take away again, unless it is so already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Take {
    /// What is to be done.
    pub what: Taking,
    /// What had happened, in words that follow "because".
    pub because: &'static str,
}

/// What is to be done, and to whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taking {
    /// End a customer.
    CloseOrganization(OrganizationId),
    /// Stop an account.
    DisableAccount(AccountId),
    /// Have an account's password work no more.
    TakePassword(AccountId),
    /// Have an account leave an organization.
    EndMembership(OrganizationId, AccountId),
    /// Have an administrator be a member.
    Demote(OrganizationId, AccountId),
    /// Take an invitation back.
    WithdrawInvitation(InvitationId),
    /// End a token.
    RevokeToken(TokenId),
    /// Hold a token back.
    PauseToken(TokenId),
    /// End the secret before a token's last rotation.
    EndPreviousSecret(TokenId),
}

/// An entry of a kind that this program does not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "entry {number} is of the kind {kind}, which this version does not know: use the one that wrote it"
)]
pub struct UnknownKind {
    /// The entry's number.
    pub number: u64,
    /// Its kind.
    pub kind: Box<str>,
}

/// What became of an account.
#[derive(Debug, Default)]
struct LostAccount {
    is_disabled: Option<bool>,
    /// Whoever is at the address before would be taken for it again.
    has_moved: bool,
    password: Option<&'static str>,
}

/// What became of a membership.
#[derive(Debug, Default)]
struct LostMembership {
    has_ended: Option<bool>,
    rank: Option<&'static str>,
}

/// What became of a token.
#[derive(Debug, Default)]
struct LostToken {
    revoked: Option<&'static str>,
    is_paused: Option<bool>,
    previous_ended: bool,
}

/// What a ledger has lost, entry by entry.
#[derive(Debug, Default)]
pub struct Undone {
    organizations: BTreeSet<OrganizationId>,
    accounts: BTreeMap<AccountId, LostAccount>,
    memberships: BTreeMap<(OrganizationId, AccountId), LostMembership>,
    invitations: BTreeMap<InvitationId, &'static str>,
    tokens: BTreeMap<TokenId, LostToken>,
    lost: BTreeMap<&'static str, u64>,
    entries: u64,
}

impl Undone {
    /// Takes note of the next entry that was lost.
    ///
    /// # Errors
    /// [`UnknownKind`]: nobody can say what it had taken away.
    pub fn note(&mut self, entry: &Entry) -> Result<(), UnknownKind> {
        let unknown = || UnknownKind { number: entry.number, kind: entry.kind.clone() };
        let known = match entry.subject {
            Subject::Organization(organization) => self.organization(&entry.kind, organization),
            Subject::Account(account) => self.account(&entry.kind, account, entry.organization),
            Subject::Invitation(invitation) => self.invitation(&entry.kind, invitation),
            Subject::Token(token) => self.token(&entry.kind, token),
        };
        known.ok_or_else(unknown)?;
        self.entries += 1;
        Ok(())
    }

    fn organization(&mut self, kind: &str, organization: OrganizationId) -> Option<()> {
        match kind {
            "organization_closed" => {
                self.organizations.insert(organization);
            }
            "organization_created" => self.lose("organization_created"),
            "organization_changed" => self.lose("organization_changed"),
            _ => return None,
        }
        Some(())
    }

    fn account(
        &mut self,
        kind: &str,
        account: AccountId,
        organization: Option<OrganizationId>,
    ) -> Option<()> {
        if let Some(organization) = organization {
            let membership = self.memberships.entry((organization, account)).or_default();
            match kind {
                "membership_added" => {
                    membership.has_ended = Some(false);
                    membership.rank = Some("they had left and joined anew, as what is not known");
                    self.lose("membership_added");
                }
                "membership_rank_changed" => {
                    membership.rank = Some("their rank was changed, to which is not known");
                }
                "membership_ended" => membership.has_ended = Some(true),
                _ => return None,
            }
            return Some(());
        }
        let lost = self.accounts.entry(account).or_default();
        match kind {
            "account_disabled" => lost.is_disabled = Some(true),
            "account_enabled" => {
                lost.is_disabled = Some(false);
                self.lose("account_enabled");
            }
            "email_set" => lost.has_moved = true,
            "password_set" => lost.password = Some("it was set anew, and the old one works again"),
            "second_factor_set" => {
                lost.password = Some("the second factor that was set is not known any more");
                self.lose("second_factor_set");
            }
            "second_factor_removed" => self.lose("second_factor_removed"),
            "account_created" => self.lose("account_created"),
            "account_changed" => self.lose("account_changed"),
            _ => return None,
        }
        Some(())
    }

    fn invitation(&mut self, kind: &str, invitation: InvitationId) -> Option<()> {
        let because = match kind {
            "invitation_withdrawn" => "it was withdrawn",
            "invitation_accepted" => "it was used up",
            "invitation_made" => {
                self.lose("invitation_made");
                return Some(());
            }
            _ => return None,
        };
        self.invitations.insert(invitation, because);
        Some(())
    }

    fn token(&mut self, kind: &str, token: TokenId) -> Option<()> {
        let lost = self.tokens.entry(token).or_default();
        let mut revoke = |because| {
            // The first of them is what has to be known, unless it was revoked at last.
            lost.revoked.get_or_insert(because);
        };
        match kind {
            "token_rotated" => revoke("it was rotated, and the old secret works again"),
            "token_changed" => revoke("it was changed, to what is not known"),
            "token_handed_over" => revoke("it was handed over, to whom is not known"),
            "token_revoked" => lost.revoked = Some("it was revoked"),
            "token_paused" => lost.is_paused = Some(true),
            "token_resumed" => {
                lost.is_paused = Some(false);
                self.lose("token_resumed");
            }
            "token_previous_ended" => lost.previous_ended = true,
            "token_issued" => self.lose("token_issued"),
            "token_imported" => self.lose("token_imported"),
            _ => return None,
        }
        Some(())
    }

    fn lose(&mut self, kind: &'static str) {
        *self.lost.entry(kind).or_default() += 1;
    }

    /// How many entries were lost.
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// How many there were of each kind that is not done anew: what they had given is lost.
    pub fn lost(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.lost.iter().map(|(kind, count)| (*kind, *count))
    }

    /// What is to be taken away again; whatever is unknown by now is away already.
    pub fn takes(&self) -> impl Iterator<Item = Take> {
        let take = |what, because| Take { what, because };
        let organizations = self.organizations.iter();
        let organizations =
            organizations.map(move |id| take(Taking::CloseOrganization(*id), "it was closed"));
        let accounts = self.accounts.iter().flat_map(move |(id, lost)| {
            let disable = match lost {
                LostAccount { is_disabled: Some(true), .. } => Some("it was disabled"),
                LostAccount { has_moved: true, .. } => {
                    Some("its e-mail address was changed, to which is not known")
                }
                _ => None,
            };
            let disable = disable.map(|because| take(Taking::DisableAccount(*id), because));
            let password = lost.password.map(|because| take(Taking::TakePassword(*id), because));
            disable.into_iter().chain(password)
        });
        let memberships = self.memberships.iter().filter_map(move |(&(home, id), lost)| {
            if lost.has_ended == Some(true) {
                return Some(take(Taking::EndMembership(home, id), "they had left"));
            }
            lost.rank.map(|because| take(Taking::Demote(home, id), because))
        });
        let invitations = self.invitations.iter();
        let invitations =
            invitations.map(move |(id, because)| take(Taking::WithdrawInvitation(*id), *because));
        let tokens = self.tokens.iter().flat_map(move |(id, lost)| {
            let revoke = lost.revoked.map(|because| take(Taking::RevokeToken(*id), because));
            let is_live = revoke.is_none();
            let pause = (is_live && lost.is_paused == Some(true))
                .then(|| take(Taking::PauseToken(*id), "it was paused"));
            let end = (is_live && lost.previous_ended).then(|| {
                take(Taking::EndPreviousSecret(*id), "the secret before its rotation was ended")
            });
            revoke.into_iter().chain(pause).chain(end)
        });
        organizations.chain(accounts).chain(memberships).chain(invitations).chain(tokens)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Timestamp, ledger::Actor, token::Digest};

    const TOKEN: TokenId = TokenId::from_bytes([1; 16]);
    const ACCOUNT: AccountId = AccountId::from_bytes([2; 16]);
    const HOME: OrganizationId = OrganizationId::from_bytes([3; 16]);
    const INVITATION: InvitationId = InvitationId::from_bytes([4; 16]);

    fn undone(subject: Subject, organization: Option<OrganizationId>, kinds: &[&str]) -> Undone {
        let mut undone = Undone::default();
        for (number, kind) in (1..).zip(kinds) {
            let entry = Entry {
                form: 1,
                number,
                at: Timestamp::from_millis(1),
                actor: Actor::Operator,
                kind: (*kind).into(),
                organization,
                subject,
                commitment: Digest::of(""),
            };
            undone.note(&entry).unwrap();
        }
        assert_eq!(undone.entries(), kinds.len() as u64);
        undone
    }

    #[track_caller]
    fn takes(undone: &Undone, expected: &[Taking]) {
        let takes: Vec<Taking> = undone.takes().map(|take| take.what).collect();
        assert_eq!(takes, expected);
    }

    #[test]
    fn what_cannot_be_done_anew_exactly_is_taken_away() {
        let revoke = Taking::RevokeToken(TOKEN);
        for (kinds, expected) in [
            (&["token_revoked"][..], &[revoke][..]),
            (&["token_paused"], &[Taking::PauseToken(TOKEN)]),
            (&["token_paused", "token_resumed"], &[]),
            (&["token_resumed", "token_paused"], &[Taking::PauseToken(TOKEN)]),
            (&["token_rotated", "token_paused"], &[revoke]),
            (&["token_changed"], &[revoke]),
            (&["token_handed_over"], &[revoke]),
            (&["token_previous_ended"], &[Taking::EndPreviousSecret(TOKEN)]),
            (&["token_issued"], &[]),
            (&["token_imported", "token_revoked"], &[revoke]),
        ] {
            takes(&undone(Subject::Token(TOKEN), Some(HOME), kinds), expected);
        }
        let rotated = undone(Subject::Token(TOKEN), None, &["token_rotated", "token_revoked"]);
        assert_eq!(rotated.takes().next().unwrap().because, "it was revoked");
    }

    #[test]
    fn what_an_account_may_no_longer_do_it_may_not_again() {
        let password = Taking::TakePassword(ACCOUNT);
        for (kinds, expected) in [
            (&["account_disabled"][..], &[Taking::DisableAccount(ACCOUNT)][..]),
            (&["account_disabled", "account_enabled"], &[]),
            (&["account_enabled", "account_disabled"], &[Taking::DisableAccount(ACCOUNT)]),
            (&["password_set"], &[password]),
            (&["email_set"], &[Taking::DisableAccount(ACCOUNT)]),
            (&["email_set", "account_disabled"], &[Taking::DisableAccount(ACCOUNT)]),
            // Enabled, it had the new one.
            (&["email_set", "account_enabled"], &[Taking::DisableAccount(ACCOUNT)]),
            (&["second_factor_set"], &[password]),
            (&["second_factor_removed", "account_changed"], &[]),
            (&["account_created", "password_set"], &[password]),
        ] {
            takes(&undone(Subject::Account(ACCOUNT), None, kinds), expected);
        }
        let (end, demote) = (Taking::EndMembership(HOME, ACCOUNT), Taking::Demote(HOME, ACCOUNT));
        for (kinds, expected) in [
            (&["membership_ended"][..], &[end][..]),
            (&["membership_ended", "membership_added"], &[demote]),
            (&["membership_added", "membership_ended"], &[end]),
            (&["membership_rank_changed"], &[demote]),
            (&["membership_rank_changed", "membership_ended"], &[end]),
        ] {
            takes(&undone(Subject::Account(ACCOUNT), Some(HOME), kinds), expected);
        }
        for (kinds, expected) in [
            (&["organization_closed"][..], &[Taking::CloseOrganization(HOME)][..]),
            (&["organization_created", "organization_changed"], &[]),
        ] {
            takes(&undone(Subject::Organization(HOME), Some(HOME), kinds), expected);
        }
        let withdraw = [Taking::WithdrawInvitation(INVITATION)];
        for (kind, expected) in [
            ("invitation_made", &[][..]),
            ("invitation_accepted", &withdraw),
            ("invitation_withdrawn", &withdraw),
        ] {
            takes(&undone(Subject::Invitation(INVITATION), Some(HOME), &[kind]), expected);
        }
    }

    #[test]
    fn what_had_been_given_is_counted() {
        let kinds = ["token_issued", "token_resumed", "token_resumed", "token_revoked"];
        let undone = undone(Subject::Token(TOKEN), None, &kinds);
        let lost: Vec<_> = undone.lost().collect();
        assert_eq!(lost, [("token_issued", 1), ("token_resumed", 2)]);
    }
}
