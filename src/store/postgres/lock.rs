//! What a group of orders rests on is locked before anything else, table by table and in the
//! order of the keys: so no two groups can wait for each other, and what was found to be so
//! still is when the group is committed.

use super::change::{Rows, Statement, bytes, given};
use crate::store::{Ground, Order, Standing};
use counterfoil_core::ledger::Change;
use std::collections::BTreeSet;
use tokio_postgres::types::ToSql;

/// The keys in a table, and whether one of them is changed.
#[derive(Default)]
struct Keys<K> {
    all: BTreeSet<K>,
    changed: bool,
}

impl<K: Ord> Keys<K> {
    fn rest_on(&mut self, key: K) {
        self.all.insert(key);
    }

    fn change(&mut self, key: K) {
        self.all.insert(key);
        self.changed = true;
    }
}

#[derive(Default)]
struct Locks {
    /// Whether something rests on there being nothing yet. The one row of `cluster` stands for
    /// that: what is not there cannot be locked.
    beginning: bool,
    organizations: Keys<[u8; 16]>,
    accounts: Keys<[u8; 16]>,
    memberships: Keys<([u8; 16], [u8; 16])>,
    invitations: Keys<[u8; 16]>,
    tokens: Keys<[u8; 16]>,
}

/// The statements that lock what these orders rest on, and what they change.
pub(super) fn locks<'o>(orders: impl IntoIterator<Item = &'o Order>) -> Vec<Statement> {
    let mut locks = Locks::default();
    for order in orders {
        if let Some(Standing { organization, account, .. }) = order.standing {
            locks.live(*organization.as_bytes(), *account.as_bytes());
        }
        for ground in &order.grounds {
            match ground {
                Ground::NoOrganization => locks.beginning = true,
                Ground::Password(account, _) => locks.accounts.rest_on(*account.as_bytes()),
                // To use it up is to lock it.
                Ground::Link(_) => {}
            }
        }
        for (change, _) in &order.changes {
            locks.change(change);
        }
    }
    locks.statements()
}

impl Locks {
    /// That an account is a live member is relied on.
    fn live(&mut self, organization: [u8; 16], account: [u8; 16]) {
        self.organizations.rest_on(organization);
        self.accounts.rest_on(account);
        self.memberships.rest_on((organization, account));
    }

    fn change(&mut self, change: &Change) {
        match change {
            // Nobody else has it yet.
            Change::OrganizationCreated { .. } | Change::AccountCreated { .. } => {}
            Change::OrganizationChanged { organization, .. }
            | Change::OrganizationClosed { organization } => {
                self.organizations.change(*organization.as_bytes());
            }
            Change::AccountChanged { account, .. }
            | Change::EmailSet { account, .. }
            | Change::AccountDisabled { account }
            | Change::AccountEnabled { account }
            | Change::PasswordSet { account, .. }
            | Change::SecondFactorSet { account }
            | Change::SecondFactorRemoved { account } => {
                self.accounts.change(*account.as_bytes());
            }
            Change::MembershipAdded { organization, account, .. } => {
                self.organizations.rest_on(*organization.as_bytes());
                // What refers to it locks it, too, and would do so in an order of its own.
                self.accounts.rest_on(*account.as_bytes());
                self.memberships.change((*organization.as_bytes(), *account.as_bytes()));
            }
            Change::MembershipRankChanged { organization, account, .. }
            | Change::MembershipEnded { organization, account } => {
                self.organizations.rest_on(*organization.as_bytes());
                self.memberships.change((*organization.as_bytes(), *account.as_bytes()));
            }
            Change::InvitationMade { organization, .. } => {
                self.organizations.rest_on(*organization.as_bytes());
            }
            Change::InvitationWithdrawn { invitation, .. } => {
                self.invitations.change(*invitation.as_bytes());
            }
            Change::InvitationAccepted { invitation, organization, account } => {
                self.organizations.rest_on(*organization.as_bytes());
                self.accounts.rest_on(*account.as_bytes());
                self.invitations.change(*invitation.as_bytes());
            }
            Change::TokenIssued(token) | Change::TokenImported { token, .. } => {
                self.live(*token.organization.as_bytes(), *token.owner.as_bytes());
            }
            Change::TokenHandedOver { token, organization, owner } => {
                self.live(*organization.as_bytes(), *owner.as_bytes());
                self.tokens.change(*token.as_bytes());
            }
            Change::TokenChanged { token, .. }
            | Change::TokenPaused { token, .. }
            | Change::TokenResumed { token, .. }
            | Change::TokenRotated { token, .. }
            | Change::TokenPreviousEnded { token, .. }
            | Change::TokenRevoked { token, .. } => self.tokens.change(*token.as_bytes()),
        }
    }

    fn statements(&self) -> Vec<Statement> {
        let mut statements = Vec::new();
        if self.beginning {
            let sql = "SELECT 1 FROM cluster FOR NO KEY UPDATE";
            statements.push(Statement::of(Rows::Any, sql, given![]));
        }
        lock(
            &mut statements,
            &self.organizations,
            "SELECT 1 FROM organization WHERE id = ANY ($1) ORDER BY id FOR SHARE",
            "SELECT 1 FROM organization WHERE id = ANY ($1) ORDER BY id FOR NO KEY UPDATE",
            |ids| given![ids.iter().map(|id| bytes(id)).collect::<Vec<_>>()],
        );
        lock(
            &mut statements,
            &self.accounts,
            "SELECT 1 FROM account WHERE id = ANY ($1) ORDER BY id FOR SHARE",
            // An address is a key: whoever changes one needs this much, and asks for it at once.
            "SELECT 1 FROM account WHERE id = ANY ($1) ORDER BY id FOR UPDATE",
            |ids| given![ids.iter().map(|id| bytes(id)).collect::<Vec<_>>()],
        );
        lock(
            &mut statements,
            &self.memberships,
            "SELECT 1 FROM membership WHERE (organization, account) IN
                (SELECT * FROM unnest($1::bytea[], $2::bytea[]))
             ORDER BY organization, account FOR SHARE",
            "SELECT 1 FROM membership WHERE (organization, account) IN
                (SELECT * FROM unnest($1::bytea[], $2::bytea[]))
             ORDER BY organization, account FOR NO KEY UPDATE",
            |keys| {
                given![
                    keys.iter().map(|(organization, _)| bytes(organization)).collect::<Vec<_>>(),
                    keys.iter().map(|(_, account)| bytes(account)).collect::<Vec<_>>(),
                ]
            },
        );
        lock(
            &mut statements,
            &self.invitations,
            "SELECT 1 FROM invitation WHERE id = ANY ($1) ORDER BY id FOR SHARE",
            "SELECT 1 FROM invitation WHERE id = ANY ($1) ORDER BY id FOR NO KEY UPDATE",
            |ids| given![ids.iter().map(|id| bytes(id)).collect::<Vec<_>>()],
        );
        lock(
            &mut statements,
            &self.tokens,
            "SELECT 1 FROM token WHERE id = ANY ($1) ORDER BY id FOR SHARE",
            "SELECT 1 FROM token WHERE id = ANY ($1) ORDER BY id FOR NO KEY UPDATE",
            |ids| given![ids.iter().map(|id| bytes(id)).collect::<Vec<_>>()],
        );
        statements
    }
}

/// One mode for all rows of a table: two would be two passes, and the order would be lost.
fn lock<K>(
    statements: &mut Vec<Statement>,
    keys: &Keys<K>,
    shared: &'static str,
    exclusive: &'static str,
    given: impl Fn(&BTreeSet<K>) -> Vec<Box<dyn ToSql + Send + Sync>>,
) {
    if !keys.all.is_empty() {
        let sql = if keys.changed { exclusive } else { shared };
        statements.push(Statement::of(Rows::Any, sql, given(&keys.all)));
    }
}
