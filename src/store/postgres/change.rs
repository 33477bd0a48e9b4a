//! What each change does to the tables, and under which condition.
//!
//! Each is statements that nobody has to look at in between: they are sent one behind the
//! other, and what they have concerned is counted afterwards.

use super::error::Error;
use crate::store::{
    Standing, StoreError,
    written::{kind_name, rank_name, to_sql},
};
use counterfoil_core::{
    Timestamp,
    account::Email,
    id::AccountId,
    ledger::{Actor, Change},
};
use tokio_postgres::types::ToSql;

/// A statement, and how many rows it concerns if what it rests on still is so.
pub(super) struct Statement {
    pub(super) sql: &'static str,
    pub(super) given: Vec<Box<dyn ToSql + Send + Sync>>,
    pub(super) rows: Rows,
    /// What is told where that is another number.
    pub(super) otherwise: StoreError,
}

/// How many rows a statement has to concern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rows {
    Exactly(u64),
    Any,
}

/// What a statement is given.
macro_rules! given {
    ($($value:expr),* $(,)?) => {
        vec![$(Box::new($value) as Box<dyn tokio_postgres::types::ToSql + Send + Sync>),*]
    };
}
pub(super) use given;

impl Statement {
    /// One that has to change one row.
    fn one(sql: &'static str, given: Vec<Box<dyn ToSql + Send + Sync>>) -> Self {
        Self::of(Rows::Exactly(1), sql, given)
    }

    pub(super) fn of(
        rows: Rows,
        sql: &'static str,
        given: Vec<Box<dyn ToSql + Send + Sync>>,
    ) -> Self {
        Self { sql, given, rows, otherwise: StoreError::Conflict }
    }
}

/// What makes one change to the state, if it is none that issues a token: see
/// [`super::plan`]. Each statement carries the condition under which the change makes sense, so
/// that two decisions that were taken side by side cannot both be carried out.
pub(super) fn statements(
    at: Timestamp,
    actor: Actor,
    change: &Change,
) -> Result<Vec<Statement>, Error> {
    let at = at.as_millis();
    let by_operator = actor == Actor::Operator;
    let alone = match change {
        Change::OrganizationCreated { organization, name, external_id } => Statement::one(
            "INSERT INTO organization (id, name, external_id, created_at) VALUES ($1, $2, $3, $4)",
            given![bytes(organization.as_bytes()), name.clone(), text(external_id.as_deref()), at],
        ),
        Change::OrganizationChanged { organization, revision, name, external_id } => {
            Statement::one(
                "UPDATE organization SET name = $2, external_id = $3, revision = $4::bigint
                 WHERE id = $1 AND closed_at IS NULL AND revision = $4::bigint - 1",
                given![
                    bytes(organization.as_bytes()),
                    name.clone(),
                    text(external_id.as_deref()),
                    to_sql(*revision),
                ],
            )
        }
        Change::OrganizationClosed { organization } => Statement::one(
            "UPDATE organization SET closed_at = $2 WHERE id = $1 AND closed_at IS NULL",
            given![bytes(organization.as_bytes()), at],
        ),
        Change::AccountCreated { account, account_kind, email, name, external_id } => {
            Statement::one(
                "INSERT INTO account (id, kind, email, name, external_id, created_at,
                    address_proven)
                 VALUES ($1, $2, $3, $4, $5, $6, $7)",
                given![
                    bytes(account.as_bytes()),
                    kind_name(*account_kind),
                    text(email.as_ref().map(Email::as_str)),
                    name.clone(),
                    text(external_id.as_deref()),
                    at,
                    // Whoever else makes one has an address of their own choice.
                    by_operator && email.is_some(),
                ],
            )
        }
        Change::AccountChanged { .. }
        | Change::EmailSet { .. }
        | Change::AccountDisabled { .. }
        | Change::AccountEnabled { .. }
        | Change::PasswordSet { .. }
        | Change::SecondFactorSet { .. }
        | Change::SecondFactorRemoved { .. } => return Ok(of_account(at, by_operator, change)),
        Change::MembershipAdded { .. }
        | Change::MembershipRankChanged { .. }
        | Change::MembershipEnded { .. } => return Ok(of_membership(at, change)),
        Change::InvitationMade { .. }
        | Change::InvitationWithdrawn { .. }
        | Change::InvitationAccepted { .. } => return Ok(of_invitation(at, change)),
        _ => return of_token(at, change),
    };
    Ok(vec![alone])
}

/// What happens to an account that there is.
fn of_account(at: i64, by_operator: bool, change: &Change) -> Vec<Statement> {
    match change {
        Change::AccountChanged { account, revision, name, external_id } => vec![Statement::one(
            "UPDATE account SET name = $2, external_id = $3, revision = $4::bigint
             WHERE id = $1 AND revision = $4::bigint - 1",
            given![
                bytes(account.as_bytes()),
                name.clone(),
                text(external_id.as_deref()),
                to_sql(*revision),
            ],
        )],
        // Links were mailed to the address before, and whoever reads that is somebody else.
        Change::EmailSet { account, email } => vec![
            ending_links(*account),
            Statement::one(
                "UPDATE account SET email = $2, address_proven = $3
                 WHERE id = $1 AND email IS DISTINCT FROM $2",
                given![bytes(account.as_bytes()), email.as_str().to_owned(), by_operator],
            ),
        ],
        // Who is enabled again signs in again.
        Change::AccountDisabled { account } => ending_sessions(
            *account,
            Statement::one(
                "UPDATE account SET disabled_at = $2 WHERE id = $1 AND disabled_at IS NULL",
                given![bytes(account.as_bytes()), at],
            ),
        ),
        Change::AccountEnabled { account } => vec![Statement::one(
            "UPDATE account SET disabled_at = NULL WHERE id = $1 AND disabled_at IS NOT NULL",
            given![bytes(account.as_bytes())],
        )],
        // With it, so that nothing can come between: whoever is in with the old one is out.
        Change::PasswordSet { account, hash, by_mail } => ending_sessions(
            *account,
            Statement::one(
                "UPDATE account SET password_hash = $2,
                    address_proven = address_proven OR ($3 AND email IS NOT NULL) WHERE id = $1",
                given![bytes(account.as_bytes()), hash.clone(), by_operator || *by_mail],
            ),
        ),
        // The factor itself is kept beside the ledger, and what became of it may have to be
        // said once more: see `SignInStore::keep_second_factor`. Who is in without it is out.
        Change::SecondFactorSet { account } => ending_sessions(
            *account,
            Statement::one(
                "UPDATE account SET second_factor_at = $2 WHERE id = $1",
                given![bytes(account.as_bytes()), at],
            ),
        ),
        Change::SecondFactorRemoved { account } => vec![Statement::one(
            "UPDATE account SET second_factor_at = NULL WHERE id = $1",
            given![bytes(account.as_bytes())],
        )],
        // `statements` makes all others.
        _ => vec![],
    }
}

/// A change with which all sessions of an account end, and the links that reset its password.
fn ending_sessions(account: AccountId, change: Statement) -> Vec<Statement> {
    let sql = "DELETE FROM session WHERE account = $1";
    let sessions = Statement::of(Rows::Any, sql, given![bytes(account.as_bytes())]);
    vec![ending_links(account), sessions, change]
}

/// Ends the links that reset an account's password.
fn ending_links(account: AccountId) -> Statement {
    let sql = "DELETE FROM link WHERE account = $1";
    Statement::of(Rows::Any, sql, given![bytes(account.as_bytes())])
}

fn of_membership(at: i64, change: &Change) -> Vec<Statement> {
    let alone = match change {
        Change::MembershipAdded { organization, account, rank } => Statement::one(
            "INSERT INTO membership AS held (organization, account, rank, joined_at)
             SELECT $1::bytea, $2::bytea, $3::text, $4::bigint
             WHERE EXISTS (SELECT 1 FROM organization WHERE id = $1 AND closed_at IS NULL)
             ON CONFLICT (organization, account) DO UPDATE
             SET rank = $3, joined_at = $4, ended_at = NULL WHERE held.ended_at IS NOT NULL",
            given![bytes(organization.as_bytes()), bytes(account.as_bytes()), rank_name(*rank), at],
        ),
        Change::MembershipRankChanged { organization, account, rank } => Statement::one(
            "UPDATE membership SET rank = $3
             WHERE organization = $1 AND account = $2 AND ended_at IS NULL AND rank <> $3",
            given![bytes(organization.as_bytes()), bytes(account.as_bytes()), rank_name(*rank)],
        ),
        Change::MembershipEnded { organization, account } => Statement::one(
            "UPDATE membership SET ended_at = $3
             WHERE organization = $1 AND account = $2 AND ended_at IS NULL",
            given![bytes(organization.as_bytes()), bytes(account.as_bytes()), at],
        ),
        // `statements` makes all others.
        _ => return vec![],
    };
    vec![alone]
}

fn of_invitation(at: i64, change: &Change) -> Vec<Statement> {
    let alone = match change {
        Change::InvitationMade { invitation, organization, email, rank, digest, expires_at } => {
            Statement::one(
                "INSERT INTO invitation (id, organization, email, rank, digest, created_at,
                    expires_at)
                 SELECT $1::bytea, $2::bytea, $3::text, $4::text, $5::bytea, $6::bigint, $7::bigint
                 WHERE EXISTS (SELECT 1 FROM organization WHERE id = $2 AND closed_at IS NULL)",
                given![
                    bytes(invitation.as_bytes()),
                    bytes(organization.as_bytes()),
                    text(email.as_ref().map(Email::as_str)),
                    rank_name(*rank),
                    bytes(digest.as_bytes()),
                    at,
                    expires_at.as_millis(),
                ],
            )
        }
        Change::InvitationWithdrawn { invitation, organization } => Statement::one(
            "UPDATE invitation SET withdrawn_at = $3 WHERE id = $1 AND organization = $2
             AND accepted_at IS NULL AND withdrawn_at IS NULL",
            given![bytes(invitation.as_bytes()), bytes(organization.as_bytes()), at],
        ),
        Change::InvitationAccepted { invitation, organization, account } => Statement::one(
            "UPDATE invitation SET accepted_at = $4, accepted_by = $3
             WHERE id = $1 AND organization = $2 AND accepted_at IS NULL
             AND withdrawn_at IS NULL AND expires_at > $4
             AND EXISTS (SELECT 1 FROM account WHERE id = $3 AND disabled_at IS NULL)
             AND EXISTS (SELECT 1 FROM organization WHERE id = $2 AND closed_at IS NULL)",
            given![
                bytes(invitation.as_bytes()),
                bytes(organization.as_bytes()),
                bytes(account.as_bytes()),
                at,
            ],
        ),
        // `statements` makes all others.
        _ => return vec![],
    };
    vec![alone]
}

fn of_token(at: i64, change: &Change) -> Result<Vec<Statement>, Error> {
    let alone = match change {
        Change::TokenChanged {
            token,
            organization,
            revision,
            name,
            note,
            grant,
            expires_at,
            allowed_networks,
            external_id,
            metadata,
        } => Statement::one(
            "UPDATE token SET name = $3, note = $4, granted = $5, expires_at = $6,
             allowed_networks = $7, external_id = $8, metadata = $9, revision = $10::bigint
             WHERE id = $1 AND organization = $2 AND revoked_at IS NULL AND revision = $10::bigint - 1",
            given![
                bytes(token.as_bytes()),
                bytes(organization.as_bytes()),
                name.clone(),
                note.clone(),
                json(grant)?,
                expires_at.map(Timestamp::as_millis),
                json(allowed_networks)?,
                text(external_id.as_deref()),
                metadata.as_ref().map(json).transpose()?,
                to_sql(*revision),
            ],
        ),
        Change::TokenPaused { token, organization } => Statement::one(
            "UPDATE token SET paused_at = $3 WHERE id = $1 AND organization = $2
             AND paused_at IS NULL AND revoked_at IS NULL",
            given![bytes(token.as_bytes()), bytes(organization.as_bytes()), at],
        ),
        Change::TokenResumed { token, organization } => Statement::one(
            "UPDATE token SET paused_at = NULL WHERE id = $1 AND organization = $2
             AND paused_at IS NOT NULL AND revoked_at IS NULL",
            given![bytes(token.as_bytes()), bytes(organization.as_bytes())],
        ),
        Change::TokenRotated { .. } | Change::TokenPreviousEnded { .. } => {
            return Ok(of_secret(change));
        }
        // It counts as a change: what was decided for the owner before is not made, as
        // a rotation would be, whose secret is no longer theirs.
        Change::TokenHandedOver { token, organization, owner } => Statement::one(
            "UPDATE token SET owner = $3, revision = revision + 1
             WHERE id = $1 AND organization = $2 AND owner <> $3 AND revoked_at IS NULL
             AND EXISTS (
                SELECT 1 FROM membership
                JOIN account ON account.id = membership.account
                JOIN organization ON organization.id = membership.organization
                WHERE membership.organization = $2 AND membership.account = $3
                AND membership.ended_at IS NULL AND account.disabled_at IS NULL
                AND organization.closed_at IS NULL)",
            given![
                bytes(token.as_bytes()),
                bytes(organization.as_bytes()),
                bytes(owner.as_bytes())
            ],
        ),
        Change::TokenRevoked { token, organization, reason } => Statement::one(
            "UPDATE token SET revoked_at = $3, revoke_reason = $4
             WHERE id = $1 AND organization = $2 AND revoked_at IS NULL",
            given![bytes(token.as_bytes()), bytes(organization.as_bytes()), at, reason.clone()],
        ),
        // `statements` and the plan make all others.
        _ => return Ok(vec![]),
    };
    Ok(vec![alone])
}

/// Changes a token's secrets.
fn of_secret(change: &Change) -> Vec<Statement> {
    match change {
        Change::TokenRotated {
            token,
            organization,
            revision,
            replaces,
            previous_until,
            digest,
            prefix,
            last_four,
        } => vec![
            // Whoever imports tokens later must not bring this secret back.
            Statement::one(
                "INSERT INTO replaced_digest (digest, token) VALUES ($1, $2)",
                given![bytes(replaces.as_bytes()), bytes(token.as_bytes())],
            ),
            Statement::one(
                "UPDATE token SET digest = $4, prefix = $5, last_four = $6, previous_until = $7,
                 previous_digest = CASE WHEN $7::bigint IS NULL THEN NULL ELSE digest END
                 WHERE id = $1 AND organization = $2 AND digest = $3 AND revoked_at IS NULL
                 AND revision = $8",
                given![
                    bytes(token.as_bytes()),
                    bytes(organization.as_bytes()),
                    bytes(replaces.as_bytes()),
                    bytes(digest.as_bytes()),
                    prefix.clone(),
                    last_four.clone(),
                    previous_until.map(Timestamp::as_millis),
                    to_sql(*revision),
                ],
            ),
        ],
        Change::TokenPreviousEnded { token, organization, previous } => vec![Statement::one(
            "UPDATE token SET previous_digest = NULL, previous_until = NULL
             WHERE id = $1 AND organization = $2 AND previous_digest = $3
             AND revoked_at IS NULL",
            given![
                bytes(token.as_bytes()),
                bytes(organization.as_bytes()),
                bytes(previous.as_bytes()),
            ],
        )],
        // `of_token` makes all others.
        _ => vec![],
    }
}

/// That all of these stand; what `otherwise` says is told where one does not.
pub(super) fn stand(all: &[Standing], otherwise: StoreError) -> Statement {
    let column = |value: fn(&Standing) -> Vec<u8>| all.iter().map(value).collect::<Vec<_>>();
    Statement {
        sql: "SELECT 1 FROM unnest($1::bytea[], $2::bytea[], $3::text[])
                AS needed (organization, account, rank)
             JOIN membership ON membership.organization = needed.organization
                AND membership.account = needed.account
             JOIN account ON account.id = membership.account
             JOIN organization ON organization.id = membership.organization
             WHERE membership.ended_at IS NULL AND account.disabled_at IS NULL
             AND organization.closed_at IS NULL
             AND membership.rank IN (needed.rank, 'administrator')",
        given: given![
            column(|standing| bytes(standing.organization.as_bytes())),
            column(|standing| bytes(standing.account.as_bytes())),
            all.iter().map(|standing| rank_name(standing.rank)).collect::<Vec<_>>(),
        ],
        rows: Rows::Exactly(all.len() as u64),
        otherwise,
    }
}

pub(super) fn bytes(bytes: &[u8]) -> Vec<u8> {
    bytes.to_vec()
}

pub(super) fn text(text: Option<&str>) -> Option<String> {
    text.map(str::to_owned)
}

pub(super) fn json(value: &impl serde::Serialize) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|_| Error::Unwritable)
}
