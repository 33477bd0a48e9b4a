//! What each change does to the tables, and under which condition.

use super::sessions;
use crate::store::{
    Standing,
    written::{kind_name, rank_name, to_sql},
};
use counterfoil_core::{
    Timestamp,
    account::{Email, Rank},
    id::{AccountId, OrganizationId},
    ledger::{Actor, Change},
    token::Token,
};
use rusqlite::{Connection, ToSql, params};

/// Why a change cannot be made.
pub(super) enum ApplyError {
    /// Its condition does not hold (any more).
    Conflict,
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for ApplyError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::ConstraintViolation) => Self::Conflict,
            _ => Self::Sqlite(error),
        }
    }
}

/// Makes one change to the state. Each statement carries the condition under
/// which the change makes sense, so that two decisions that were taken side by
/// side cannot both be carried out.
pub(super) fn apply(
    connection: &Connection,
    at: Timestamp,
    actor: Actor,
    change: &Change,
) -> Result<(), ApplyError> {
    let at = at.as_millis();
    let by_operator = actor == Actor::Operator;
    let rows = match change {
        Change::OrganizationCreated { organization, name, external_id } => run(
            connection,
            "INSERT INTO organization (id, name, external_id, created_at) VALUES (?, ?, ?, ?)",
            params![organization.as_bytes(), name, external_id, at],
        ),
        Change::OrganizationChanged { organization, revision, name, external_id } => run(
            connection,
            "UPDATE organization SET name = ?2, external_id = ?3, revision = ?4
             WHERE id = ?1 AND closed_at IS NULL AND revision = ?4 - 1",
            params![organization.as_bytes(), name, external_id, to_sql(*revision)],
        ),
        Change::OrganizationClosed { organization } => run(
            connection,
            "UPDATE organization SET closed_at = ?2 WHERE id = ?1 AND closed_at IS NULL",
            params![organization.as_bytes(), at],
        ),
        Change::AccountCreated { account, account_kind, email, name, external_id } => run(
            connection,
            "INSERT INTO account (id, kind, email, name, external_id, created_at, address_proven)
             VALUES (?, ?, ?, ?, ?, ?, ?)",
            params![
                account.as_bytes(),
                kind_name(*account_kind),
                email.as_ref().map(Email::as_str),
                name,
                external_id,
                at,
                // Whoever else makes one has an address of their own choice.
                by_operator && email.is_some(),
            ],
        ),
        Change::AccountChanged { account, revision, name, external_id } => run(
            connection,
            "UPDATE account SET name = ?2, external_id = ?3, revision = ?4
             WHERE id = ?1 AND revision = ?4 - 1",
            params![account.as_bytes(), name, external_id, to_sql(*revision)],
        ),
        Change::EmailSet { account, email } => {
            // They were mailed to the address before, and whoever reads that is somebody else.
            sessions::end_links(connection, *account)?;
            run(
                connection,
                "UPDATE account SET email = ?2, address_proven = ?3
                 WHERE id = ?1 AND email IS NOT ?2",
                params![account.as_bytes(), email.as_str(), by_operator],
            )
        }
        Change::AccountDisabled { account } => {
            // Who is enabled again signs in again.
            sessions::end_all(connection, *account, None)?;
            run(
                connection,
                "UPDATE account SET disabled_at = ?2 WHERE id = ?1 AND disabled_at IS NULL",
                params![account.as_bytes(), at],
            )
        }
        Change::AccountEnabled { account } => run(
            connection,
            "UPDATE account SET disabled_at = NULL WHERE id = ?1 AND disabled_at IS NOT NULL",
            params![account.as_bytes()],
        ),
        Change::PasswordSet { account, hash, by_mail } => {
            // With it, so that nothing can come between: whoever is in with the old one is out.
            sessions::end_all(connection, *account, None)?;
            run(
                connection,
                "UPDATE account SET password_hash = ?2,
                    address_proven = address_proven OR (?3 AND email IS NOT NULL) WHERE id = ?1",
                params![account.as_bytes(), hash, by_operator || *by_mail],
            )
        }
        // The factor itself is kept beside the ledger, and what became of it may have to be
        // said once more: see `SignInStore::keep_second_factor`.
        Change::SecondFactorSet { account } => {
            // Who is in without it is out.
            sessions::end_all(connection, *account, None)?;
            run(
                connection,
                "UPDATE account SET second_factor_at = ?2 WHERE id = ?1",
                params![account.as_bytes(), at],
            )
        }
        Change::SecondFactorRemoved { account } => run(
            connection,
            "UPDATE account SET second_factor_at = NULL WHERE id = ?1",
            params![account.as_bytes()],
        ),
        Change::MembershipAdded { .. }
        | Change::MembershipRankChanged { .. }
        | Change::MembershipEnded { .. } => apply_to_membership(connection, at, change),
        Change::InvitationMade { .. }
        | Change::InvitationWithdrawn { .. }
        | Change::InvitationAccepted { .. } => {
            return apply_to_invitation(connection, at, change);
        }
        _ => return apply_to_token(connection, at, change),
    }?;
    if rows == 1 { Ok(()) } else { Err(ApplyError::Conflict) }
}

/// Changes a membership; how many that were.
fn apply_to_membership(
    connection: &Connection,
    at: i64,
    change: &Change,
) -> Result<usize, rusqlite::Error> {
    match change {
        Change::MembershipAdded { organization, account, rank } => run(
            connection,
            "INSERT INTO membership (organization, account, rank, joined_at)
             SELECT ?1, ?2, ?3, ?4
             WHERE EXISTS (SELECT 1 FROM organization WHERE id = ?1 AND closed_at IS NULL)
             ON CONFLICT (organization, account)
             DO UPDATE SET rank = ?3, joined_at = ?4, ended_at = NULL WHERE ended_at IS NOT NULL",
            params![organization.as_bytes(), account.as_bytes(), rank_name(*rank), at],
        ),
        Change::MembershipRankChanged { organization, account, rank } => run(
            connection,
            "UPDATE membership SET rank = ?3
             WHERE organization = ?1 AND account = ?2 AND ended_at IS NULL AND rank <> ?3",
            params![organization.as_bytes(), account.as_bytes(), rank_name(*rank)],
        ),
        Change::MembershipEnded { organization, account } => run(
            connection,
            "UPDATE membership SET ended_at = ?3
             WHERE organization = ?1 AND account = ?2 AND ended_at IS NULL",
            params![organization.as_bytes(), account.as_bytes(), at],
        ),
        // `apply` makes all others.
        _ => Ok(0),
    }
}

fn apply_to_invitation(
    connection: &Connection,
    at: i64,
    change: &Change,
) -> Result<(), ApplyError> {
    let rows = match change {
        Change::InvitationMade { invitation, organization, email, rank, digest, expires_at } => {
            run(
                connection,
                "INSERT INTO invitation (id, organization, email, rank, digest, created_at,
                    expires_at)
                 SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7
                 WHERE EXISTS (SELECT 1 FROM organization WHERE id = ?2 AND closed_at IS NULL)",
                params![
                    invitation.as_bytes(),
                    organization.as_bytes(),
                    email.as_ref().map(Email::as_str),
                    rank_name(*rank),
                    digest.as_bytes(),
                    at,
                    expires_at.as_millis(),
                ],
            )
        }
        Change::InvitationWithdrawn { invitation, organization } => run(
            connection,
            "UPDATE invitation SET withdrawn_at = ?3 WHERE id = ?1 AND organization = ?2
             AND accepted_at IS NULL AND withdrawn_at IS NULL",
            params![invitation.as_bytes(), organization.as_bytes(), at],
        ),
        Change::InvitationAccepted { invitation, organization, account } => run(
            connection,
            "UPDATE invitation SET accepted_at = ?4, accepted_by = ?3
             WHERE id = ?1 AND organization = ?2 AND accepted_at IS NULL
             AND withdrawn_at IS NULL AND expires_at > ?4
             AND EXISTS (SELECT 1 FROM account WHERE id = ?3 AND disabled_at IS NULL)
             AND EXISTS (SELECT 1 FROM organization WHERE id = ?2 AND closed_at IS NULL)",
            params![invitation.as_bytes(), organization.as_bytes(), account.as_bytes(), at],
        ),
        // `apply` makes all others.
        _ => Ok(0),
    }?;
    if rows == 1 { Ok(()) } else { Err(ApplyError::Conflict) }
}

fn apply_to_token(connection: &Connection, at: i64, change: &Change) -> Result<(), ApplyError> {
    let rows = match change {
        Change::TokenIssued(token) => issue(connection, token, None),
        Change::TokenImported { token, paused, .. } => {
            issue(connection, token, paused.then_some(at))
        }
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
        } => run(
            connection,
            "UPDATE token SET name = ?3, note = ?4, granted = ?5, expires_at = ?6,
             allowed_networks = ?7, external_id = ?8, metadata = ?9, revision = ?10
             WHERE id = ?1 AND organization = ?2 AND revoked_at IS NULL AND revision = ?10 - 1",
            params![
                token.as_bytes(),
                organization.as_bytes(),
                name,
                note,
                json(grant)?,
                expires_at.map(Timestamp::as_millis),
                json(allowed_networks)?,
                external_id,
                metadata.as_ref().map(json).transpose()?,
                to_sql(*revision),
            ],
        ),
        Change::TokenPaused { token, organization } => run(
            connection,
            "UPDATE token SET paused_at = ?3 WHERE id = ?1 AND organization = ?2
             AND paused_at IS NULL AND revoked_at IS NULL",
            params![token.as_bytes(), organization.as_bytes(), at],
        ),
        Change::TokenResumed { token, organization } => run(
            connection,
            "UPDATE token SET paused_at = NULL WHERE id = ?1 AND organization = ?2
             AND paused_at IS NOT NULL AND revoked_at IS NULL",
            params![token.as_bytes(), organization.as_bytes()],
        ),
        Change::TokenRotated { .. } | Change::TokenPreviousEnded { .. } => {
            apply_to_secret(connection, change)
        }
        Change::TokenHandedOver { token, organization, owner } => {
            if !is_live(connection, *organization, *owner)? {
                return Err(ApplyError::Conflict);
            }
            // It counts as a change: what was decided for the owner before is not made, as
            // a rotation would be, whose secret is no longer theirs.
            run(
                connection,
                "UPDATE token SET owner = ?3, revision = revision + 1
                 WHERE id = ?1 AND organization = ?2 AND owner <> ?3 AND revoked_at IS NULL",
                params![token.as_bytes(), organization.as_bytes(), owner.as_bytes()],
            )
        }
        Change::TokenRevoked { token, organization, reason } => run(
            connection,
            "UPDATE token SET revoked_at = ?3, revoke_reason = ?4
             WHERE id = ?1 AND organization = ?2 AND revoked_at IS NULL",
            params![token.as_bytes(), organization.as_bytes(), at, reason],
        ),
        // `apply` makes all others.
        _ => Ok(0),
    }?;
    if rows == 1 { Ok(()) } else { Err(ApplyError::Conflict) }
}

/// Changes a token's secrets; how many rows that concerned.
fn apply_to_secret(connection: &Connection, change: &Change) -> Result<usize, rusqlite::Error> {
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
        } => {
            // Whoever imports tokens later must not bring this secret back.
            run(
                connection,
                "INSERT INTO replaced_digest (digest, token) VALUES (?, ?)",
                params![replaces.as_bytes(), token.as_bytes()],
            )?;
            run(
                connection,
                "UPDATE token SET digest = ?4, prefix = ?5, last_four = ?6, previous_until = ?7,
                 previous_digest = CASE WHEN ?7 IS NULL THEN NULL ELSE digest END
                 WHERE id = ?1 AND organization = ?2 AND digest = ?3 AND revoked_at IS NULL
                 AND revision = ?8",
                params![
                    token.as_bytes(),
                    organization.as_bytes(),
                    replaces.as_bytes(),
                    digest.as_bytes(),
                    prefix,
                    last_four,
                    previous_until.map(Timestamp::as_millis),
                    to_sql(*revision),
                ],
            )
        }
        Change::TokenPreviousEnded { token, organization, previous } => run(
            connection,
            "UPDATE token SET previous_digest = NULL, previous_until = NULL
             WHERE id = ?1 AND organization = ?2 AND previous_digest = ?3
             AND revoked_at IS NULL",
            params![token.as_bytes(), organization.as_bytes(), previous.as_bytes()],
        ),
        // `apply_to_token` makes all others.
        _ => Ok(0),
    }
}

/// The condition stands beside the statement, not in it: one that selects what it
/// inserts has all pages that it touches copied first.
fn issue(
    connection: &Connection,
    token: &Token,
    paused_at: Option<i64>,
) -> Result<usize, rusqlite::Error> {
    let was_replaced: bool = connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM replaced_digest WHERE digest = ?)")?
        .query_row(params![token.digest.as_bytes()], |row| row.get(0))?;
    if was_replaced || !is_live(connection, token.organization, token.owner)? {
        return Ok(0);
    }
    run(
        connection,
        "INSERT INTO token (id, api, organization, owner, name, note, granted,
            allowed_networks, prefix, last_four, digest, created_at, expires_at, external_id,
            metadata, paused_at)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        params![
            token.id.as_bytes(),
            token.api,
            token.organization.as_bytes(),
            token.owner.as_bytes(),
            token.name,
            token.note,
            json(&token.grant)?,
            json(&token.allowed_networks)?,
            token.prefix,
            token.last_four,
            token.digest.as_bytes(),
            token.created_at.as_millis(),
            token.expires_at.map(Timestamp::as_millis),
            token.external_id,
            token.metadata.as_ref().map(json).transpose()?,
            paused_at,
        ],
    )
}

/// Whether an account may own tokens of an organization now.
fn is_live(
    connection: &Connection,
    organization: OrganizationId,
    account: AccountId,
) -> Result<bool, rusqlite::Error> {
    stands(connection, &Standing { organization, account, rank: Rank::Member })
}

/// Whether somebody is a live member of an organization now, with this rank or more.
pub(super) fn stands(
    connection: &Connection,
    Standing { organization, account, rank }: &Standing,
) -> Result<bool, rusqlite::Error> {
    connection
        .prepare_cached(
            "SELECT EXISTS (
                SELECT 1 FROM membership
                JOIN account ON account.id = membership.account
                JOIN organization ON organization.id = membership.organization
                WHERE membership.organization = ?1 AND membership.account = ?2
                AND membership.ended_at IS NULL AND account.disabled_at IS NULL
                AND organization.closed_at IS NULL AND rank IN (?3, 'administrator'))",
        )?
        .query_row(params![organization.as_bytes(), account.as_bytes(), rank_name(*rank)], |row| {
            row.get(0)
        })
}

fn json(value: &impl serde::Serialize) -> Result<String, rusqlite::Error> {
    serde_json::to_string(value)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

pub(super) fn run(
    connection: &Connection,
    sql: &str,
    parameters: &[&dyn ToSql],
) -> Result<usize, rusqlite::Error> {
    connection.prepare_cached(sql)?.execute(parameters)
}
