//! Reading organizations, accounts, memberships and single tokens.

use super::{
    error::Error,
    query::{Query, all, one},
    row::{
        TOKEN, USES, bytes, email, get, kind, number, optional_text, optional_time, rank, time,
        token as token_row,
    },
};
use crate::store::{
    AccountFilter, MembershipFilter, OrganizationFilter, Page, StoredAccount, StoredMembership,
    StoredOrganization, StoredToken, written::kind_name,
};
use counterfoil_core::{
    Timestamp,
    account::{Email, Rank},
    id::{AccountId, OrganizationId, TokenId},
    token::Digest,
};
use deadpool_postgres::GenericClient;
use std::collections::HashMap;
use tokio_postgres::Row;

const ORGANIZATION: &str =
    "SELECT id, name, created_at, closed_at, external_id, revision FROM organization";
const ACCOUNT: &str = "SELECT id, kind, email, name, password_hash IS NOT NULL AS has_password, \
     created_at, disabled_at, external_id, revision, \
     second_factor_at IS NOT NULL AS has_second_factor, address_proven FROM account";
const MEMBERSHIP: &str = "SELECT organization, account, rank, joined_at, ended_at FROM membership";

pub(super) async fn organization(
    client: &impl GenericClient,
    id: OrganizationId,
) -> Result<Option<StoredOrganization>, Error> {
    let sql = format!("{ORGANIZATION} WHERE id = $1");
    one(client, &sql, &[&id.as_bytes().as_slice()], organization_row).await
}

pub(super) fn organizations(filter: &OrganizationFilter, page: Page<OrganizationId>) -> Query {
    let mut query = Query::new(ORGANIZATION);
    query.and_if("name = ?", filter.name.as_deref().map(sought));
    query.and_if("external_id = ?", filter.external_id.as_deref().map(sought));
    query.page(page, |id| id.as_bytes().to_vec());
    query
}

/// They are few.
pub(super) async fn organizations_of(
    client: &impl GenericClient,
    account: AccountId,
) -> Result<Vec<(StoredOrganization, Rank)>, Error> {
    let sql = "SELECT id, name, created_at, closed_at, external_id, revision, rank
         FROM membership JOIN organization ON id = membership.organization
         WHERE account = $1 AND ended_at IS NULL AND closed_at IS NULL ORDER BY name, id";
    let read = |row: &Row| Ok((organization_row(row)?, rank(row, "rank")?));
    all(client, sql, &[&account.as_bytes().as_slice()], read).await
}

pub(super) async fn account(
    client: &impl GenericClient,
    id: AccountId,
) -> Result<Option<StoredAccount>, Error> {
    let sql = format!("{ACCOUNT} WHERE id = $1");
    one(client, &sql, &[&id.as_bytes().as_slice()], account_row).await
}

pub(super) async fn account_by_email(
    client: &impl GenericClient,
    email: &Email,
) -> Result<Option<StoredAccount>, Error> {
    let sql = format!("{ACCOUNT} WHERE email = $1");
    one(client, &sql, &[&email.as_str()], account_row).await
}

pub(super) fn accounts(filter: AccountFilter, page: Page<AccountId>) -> Query {
    let mut query = Query::new(ACCOUNT);
    query.and_if("external_id = ?", filter.external_id.as_deref().map(sought));
    query.and_if("id = ?", filter.account.map(|id| id.as_bytes().to_vec()));
    query.and_if(
        "id IN (SELECT account FROM membership WHERE organization = ? AND ended_at IS NULL)",
        filter.organization.map(|id| id.as_bytes().to_vec()),
    );
    query.and_if("kind = ?", filter.kind.map(kind_name));
    if let Some(text) = filter.search {
        let text = sought(&text).to_ascii_lowercase();
        query.and("(strpos(lower(name), ?) > 0 OR strpos(lower(email), ?) > 0)");
        query.give(text.clone());
        query.give(text);
    }
    query.page(page, |id| id.as_bytes().to_vec());
    query
}

pub(super) fn memberships(
    filter: MembershipFilter,
    page: Page<(OrganizationId, AccountId)>,
) -> Query {
    let mut query = Query::new(MEMBERSHIP);
    if !filter.with_past {
        query.and("ended_at IS NULL");
        query.and(
            "EXISTS (SELECT 1 FROM organization AS home
                WHERE home.id = membership.organization AND home.closed_at IS NULL)",
        );
    }
    query.and_if("organization = ?", filter.organization.map(|id| id.as_bytes().to_vec()));
    query.and_if("account = ?", filter.account.map(|id| id.as_bytes().to_vec()));
    if let Some((organization, account)) = page.after {
        query.and("(organization, account) > (?, ?)");
        query.give(organization.as_bytes().to_vec());
        query.give(account.as_bytes().to_vec());
    }
    query.end("ORDER BY organization, account", page.limit);
    query
}

pub(super) async fn token(
    client: &impl GenericClient,
    id: TokenId,
) -> Result<Option<StoredToken>, Error> {
    let sql = format!("{TOKEN} FROM token {USES} WHERE token.id = $1");
    one(client, &sql, &[&id.as_bytes().as_slice()], token_row).await
}

/// Those of `digests` that are a token's, or were, with those tokens that have not ended.
pub(super) async fn known_digests(
    client: &impl GenericClient,
    digests: &[Digest],
    now: Timestamp,
) -> Result<HashMap<Digest, Option<TokenId>>, Error> {
    let sql = "SELECT asked.digest, token.id, revoked_at IS NULL
             AND (expires_at IS NULL OR expires_at > $2) AND closed_at IS NULL AS alive
         FROM (SELECT of.digest, coalesce(
                 (SELECT id FROM token WHERE token.digest = of.digest),
                 (SELECT token FROM replaced_digest WHERE replaced_digest.digest = of.digest)
             ) AS token FROM unnest($1::bytea[]) AS of (digest)) AS asked
         JOIN token ON token.id = asked.token
         JOIN organization ON organization.id = token.organization";
    let asked: Vec<&[u8]> = digests.iter().map(|digest| digest.as_bytes().as_slice()).collect();
    let read = |row: &Row| {
        let token = TokenId::from_bytes(bytes(row, "id")?);
        let alive: bool = get(row, "alive")?;
        Ok((Digest::from_bytes(bytes(row, "digest")?), alive.then_some(token)))
    };
    Ok(all(client, sql, &[&asked, &now.as_millis()], read).await?.into_iter().collect())
}

/// What somebody looks for. The database takes no text with a NUL in it, and nothing that is
/// kept has one; nor has it the other that stands here instead.
pub(super) fn sought(text: &str) -> String {
    text.replace('\0', "\u{1}")
}

pub(super) fn organization_row(row: &Row) -> Result<StoredOrganization, Error> {
    Ok(StoredOrganization {
        id: OrganizationId::from_bytes(bytes(row, "id")?),
        name: get(row, "name")?,
        created_at: time(row, "created_at")?,
        closed_at: optional_time(row, "closed_at")?,
        external_id: optional_text(row, "external_id")?,
        revision: number(row, "revision")?,
    })
}

pub(super) fn account_row(row: &Row) -> Result<StoredAccount, Error> {
    Ok(StoredAccount {
        id: AccountId::from_bytes(bytes(row, "id")?),
        kind: kind(row, "kind")?,
        email: email(row, "email")?,
        name: get(row, "name")?,
        has_password: get(row, "has_password")?,
        created_at: time(row, "created_at")?,
        disabled_at: optional_time(row, "disabled_at")?,
        external_id: optional_text(row, "external_id")?,
        revision: number(row, "revision")?,
        has_second_factor: get(row, "has_second_factor")?,
        address_proven: get(row, "address_proven")?,
    })
}

pub(super) fn membership_row(row: &Row) -> Result<StoredMembership, Error> {
    Ok(StoredMembership {
        organization: OrganizationId::from_bytes(bytes(row, "organization")?),
        account: AccountId::from_bytes(bytes(row, "account")?),
        rank: rank(row, "rank")?,
        joined_at: time(row, "joined_at")?,
        ended_at: optional_time(row, "ended_at")?,
    })
}
