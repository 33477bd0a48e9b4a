//! Reading: rows become the domain's types.

use super::usage::last_use;
use crate::{
    store::{
        AccountFilter, MembershipFilter, OrganizationFilter, Page, StoredAccount, StoredMembership,
        StoredOrganization, StoredToken,
        written::{self, kind_name},
    },
    usage::LastUses,
};
use counterfoil_core::{
    Timestamp,
    account::{AccountKind, Email, Rank},
    id::{AccountId, OrganizationId, TokenId},
    token::{Digest, Previous, Token},
};
use rusqlite::{
    Connection, Error, OptionalExtension as _, Row, ToSql, params,
    types::{Type, ValueRef},
};
use std::{collections::HashMap, fmt::Write as _};

const ORGANIZATION: &str = "SELECT id, name, created_at, closed_at, external_id, revision \
     FROM organization";
const ACCOUNT: &str = "SELECT id, kind, email, name, password_hash IS NOT NULL, created_at, \
     disabled_at, external_id, revision, second_factor_at IS NOT NULL, address_proven FROM account";
const MEMBERSHIP: &str = "SELECT organization, account, rank, joined_at, ended_at FROM membership";
pub(super) const TOKEN: &str = "SELECT id, api, organization, owner, name, note, granted, \
     allowed_networks, prefix, last_four, digest, previous_digest, previous_until, created_at, \
     expires_at, paused_at, revoked_at, revoke_reason, external_id, metadata, last_use.at, \
     last_use.door, last_use.address, last_use.user_agent, last_use.route, last_use.secret, \
     previous_use.at, previous_use.door, previous_use.address, previous_use.user_agent, \
     previous_use.route, previous_use.secret, revision FROM token \
     LEFT JOIN last_use ON last_use.token = token.id \
     LEFT JOIN previous_use ON previous_use.token = token.id";

pub(super) fn organization(
    connection: &Connection,
    id: OrganizationId,
) -> Result<Option<StoredOrganization>, Error> {
    one(connection, &format!("{ORGANIZATION} WHERE id = ?"), &[id.as_bytes()], organization_row)
}

pub(super) fn organizations(
    connection: &Connection,
    filter: OrganizationFilter,
    page: Page<OrganizationId>,
) -> Result<Vec<StoredOrganization>, Error> {
    organizations_query(filter, page).all(connection, organization_row)
}

fn organizations_query(filter: OrganizationFilter, page: Page<OrganizationId>) -> Query {
    let mut query = Query::new(ORGANIZATION);
    query.and_if("name = ?", filter.name);
    query.and_if("external_id = ?", filter.external_id);
    query.page(page, |id| id.as_bytes().to_vec());
    query
}

/// They are few.
pub(super) fn organizations_of(
    connection: &Connection,
    account: AccountId,
) -> Result<Vec<(StoredOrganization, Rank)>, Error> {
    let sql = format!(
        "{}, rank FROM membership CROSS JOIN organization ON id = membership.organization
         WHERE account = ? AND ended_at IS NULL AND closed_at IS NULL ORDER BY name, id",
        ORGANIZATION.trim_end_matches(" FROM organization")
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement
        .query_map([account.as_bytes()], |row| Ok((organization_row(row)?, parse_rank(row, 6)?)))?;
    rows.collect()
}

pub(super) fn account(
    connection: &Connection,
    id: AccountId,
) -> Result<Option<StoredAccount>, Error> {
    one(connection, &format!("{ACCOUNT} WHERE id = ?"), &[id.as_bytes()], account_row)
}

pub(super) fn account_by_email(
    connection: &Connection,
    email: &Email,
) -> Result<Option<StoredAccount>, Error> {
    one(connection, &format!("{ACCOUNT} WHERE email = ?"), &[&email.as_str()], account_row)
}

pub(super) fn accounts(
    connection: &Connection,
    filter: AccountFilter,
    page: Page<AccountId>,
) -> Result<Vec<StoredAccount>, Error> {
    accounts_query(filter, page).all(connection, account_row)
}

fn accounts_query(filter: AccountFilter, page: Page<AccountId>) -> Query {
    let mut query = Query::new(ACCOUNT);
    query.and_if("external_id = ?", filter.external_id);
    query.and_if("id = ?", filter.account.map(|id| id.as_bytes().to_vec()));
    query.and_if(
        "id IN (SELECT account FROM membership WHERE organization = ? AND ended_at IS NULL)",
        filter.organization.map(|id| id.as_bytes().to_vec()),
    );
    query.and_if("kind = ?", filter.kind.map(kind_name));
    if let Some(text) = filter.search {
        query.and("(instr(lower(name), lower(?)) > 0 OR instr(lower(email), lower(?)) > 0)");
        query.give(text.clone());
        query.give(text);
    }
    query.page(page, |id| id.as_bytes().to_vec());
    query
}

pub(super) fn memberships(
    connection: &Connection,
    filter: MembershipFilter,
    page: Page<(OrganizationId, AccountId)>,
) -> Result<Vec<StoredMembership>, Error> {
    memberships_query(filter, page).all(connection, membership_row)
}

fn memberships_query(filter: MembershipFilter, page: Page<(OrganizationId, AccountId)>) -> Query {
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
        query.give(*organization.as_bytes());
        query.give(*account.as_bytes());
    }
    query.end("ORDER BY organization, account", page.limit);
    query
}

pub(super) fn token(connection: &Connection, id: TokenId) -> Result<Option<StoredToken>, Error> {
    one(connection, &format!("{TOKEN} WHERE id = ?"), &[id.as_bytes()], token_row)
}

/// Those of `digests` that are a token's, or were, with those tokens that have not ended.
pub(super) fn known_digests(
    connection: &mut Connection,
    digests: &[Digest],
    now: Timestamp,
) -> Result<HashMap<Digest, Option<TokenId>>, Error> {
    // One transaction for all of them: to begin one costs more than to look.
    let snapshot = connection.transaction()?;
    let mut statement = snapshot.prepare_cached(
        "SELECT token.id, revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?2)
             AND closed_at IS NULL
         FROM token JOIN organization ON organization.id = token.organization
         WHERE token.id = coalesce(
             (SELECT id FROM token WHERE digest = ?1),
             (SELECT token FROM replaced_digest WHERE digest = ?1))",
    )?;
    let mut known = HashMap::new();
    for digest in digests {
        let found = statement
            .query_row(params![digest.as_bytes(), now.as_millis()], |row| {
                Ok((TokenId::from_bytes(row.get(0)?), row.get::<_, bool>(1)?))
            })
            .optional()?;
        if let Some((token, alive)) = found {
            known.insert(*digest, alive.then_some(token));
        }
    }
    Ok(known)
}

/// A SELECT that grows by conditions. The parts are literals of this directory.
pub(super) struct Query {
    sql: String,
    parameters: Vec<Box<dyn ToSql>>,
}

impl Query {
    pub(super) fn new(select: &str) -> Self {
        Self { sql: format!("{select} WHERE true"), parameters: Vec::new() }
    }

    pub(super) fn and(&mut self, condition: &'static str) {
        self.sql.push_str(" AND ");
        self.sql.push_str(condition);
    }

    pub(super) fn and_if<T: ToSql + 'static>(
        &mut self,
        condition: &'static str,
        parameter: Option<T>,
    ) {
        if let Some(parameter) = parameter {
            self.and(condition);
            self.give(parameter);
        }
    }

    /// The next parameter of a condition that has several.
    pub(super) fn give(&mut self, parameter: impl ToSql + 'static) {
        self.parameters.push(Box::new(parameter));
    }

    pub(super) fn page<Id: Copy>(&mut self, page: Page<Id>, bytes: impl Fn(Id) -> Vec<u8>) {
        self.and_if("id > ?", page.after.map(bytes));
        self.end("ORDER BY id", page.limit);
    }

    pub(super) fn end(&mut self, order: &'static str, limit: u32) {
        // Writing to a string does not fail.
        let _ = write!(self.sql, " {order} LIMIT {limit}");
    }

    /// How the database would go about it.
    #[cfg(test)]
    pub(super) fn plan(self, connection: &Connection) -> Vec<String> {
        let sql = format!("EXPLAIN QUERY PLAN {}", self.sql);
        let mut statement = connection.prepare(&sql).unwrap();
        let parameters = rusqlite::params_from_iter(self.parameters);
        let steps = statement.query_map(parameters, |row| row.get(3)).unwrap();
        steps.collect::<Result<_, _>>().unwrap()
    }

    pub(super) fn all<T>(
        self,
        connection: &Connection,
        read: impl Fn(&Row<'_>) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        let mut statement = connection.prepare_cached(&self.sql)?;
        let parameters = rusqlite::params_from_iter(self.parameters);
        statement.query_map(parameters, |row| read(row))?.collect()
    }
}

pub(super) fn one<T>(
    connection: &Connection,
    sql: &str,
    parameters: &[&dyn ToSql],
    read: impl Fn(&Row<'_>) -> Result<T, Error>,
) -> Result<Option<T>, Error> {
    connection.prepare_cached(sql)?.query_row(parameters, |row| read(row)).optional()
}

fn organization_row(row: &Row<'_>) -> Result<StoredOrganization, Error> {
    Ok(StoredOrganization {
        id: OrganizationId::from_bytes(row.get(0)?),
        name: row.get(1)?,
        created_at: time(row, 2)?,
        closed_at: optional_time(row, 3)?,
        external_id: row.get(4)?,
        revision: revision(row, 5)?,
    })
}

fn account_row(row: &Row<'_>) -> Result<StoredAccount, Error> {
    Ok(StoredAccount {
        id: AccountId::from_bytes(row.get(0)?),
        kind: kind(row, 1)?,
        email: parse_email(row, 2)?,
        name: row.get(3)?,
        has_password: row.get(4)?,
        created_at: time(row, 5)?,
        disabled_at: optional_time(row, 6)?,
        external_id: row.get(7)?,
        revision: revision(row, 8)?,
        has_second_factor: row.get(9)?,
        address_proven: row.get(10)?,
    })
}

pub(super) fn kind(row: &Row<'_>, column: usize) -> Result<AccountKind, Error> {
    let kind: String = row.get(column)?;
    written::parse_kind(&kind).ok_or_else(|| unreadable(column))
}

fn membership_row(row: &Row<'_>) -> Result<StoredMembership, Error> {
    Ok(StoredMembership {
        organization: OrganizationId::from_bytes(row.get(0)?),
        account: AccountId::from_bytes(row.get(1)?),
        rank: parse_rank(row, 2)?,
        joined_at: time(row, 3)?,
        ended_at: optional_time(row, 4)?,
    })
}

pub(super) fn token_row(row: &Row<'_>) -> Result<StoredToken, Error> {
    let previous: Option<[u8; 32]> = row.get(11)?;
    let previous_until = optional_time(row, 12)?;
    let mut stored = StoredToken {
        token: Token {
            id: TokenId::from_bytes(row.get(0)?),
            api: row.get(1)?,
            organization: OrganizationId::from_bytes(row.get(2)?),
            owner: AccountId::from_bytes(row.get(3)?),
            name: row.get(4)?,
            note: row.get(5)?,
            grant: json(row, 6)?,
            allowed_networks: json(row, 7)?,
            external_id: row.get(18)?,
            metadata: match row.get_ref(19)? {
                ValueRef::Null => None,
                _ => Some(json(row, 19)?),
            },
            prefix: row.get(8)?,
            last_four: row.get(9)?,
            digest: Digest::from_bytes(row.get(10)?),
            created_at: time(row, 13)?,
            expires_at: optional_time(row, 14)?,
        },
        previous: previous
            .zip(previous_until)
            .map(|(digest, until)| Previous { digest: Digest::from_bytes(digest), until }),
        paused_at: optional_time(row, 15)?,
        revoked_at: optional_time(row, 16)?,
        revoke_reason: row.get(17)?,
        last_used: None,
        present_last_used: None,
        previous_last_used: None,
        revision: revision(row, 32)?,
    };
    stored
        .used(LastUses { present: last_use(row, 20)?, previous: last_use(row, 26)?.map(Box::new) });
    Ok(stored)
}

pub(super) fn parse_email(row: &Row<'_>, column: usize) -> Result<Option<Email>, Error> {
    let email: Option<String> = row.get(column)?;
    email.map(Email::try_from).transpose().map_err(|_| unreadable(column))
}

pub(super) fn parse_rank(row: &Row<'_>, column: usize) -> Result<Rank, Error> {
    let rank: String = row.get(column)?;
    written::parse_rank(&rank).ok_or_else(|| unreadable(column))
}

fn revision(row: &Row<'_>, column: usize) -> Result<u64, Error> {
    row.get(column).map(i64::unsigned_abs)
}

pub(super) fn time(row: &Row<'_>, column: usize) -> Result<Timestamp, Error> {
    row.get(column).map(Timestamp::from_millis)
}

pub(super) fn optional_time(row: &Row<'_>, column: usize) -> Result<Option<Timestamp>, Error> {
    Ok(row.get::<_, Option<i64>>(column)?.map(Timestamp::from_millis))
}

fn json<T: serde::de::DeserializeOwned>(row: &Row<'_>, column: usize) -> Result<T, Error> {
    let text = row.get_ref(column)?.as_str().map_err(|_| unreadable(column))?;
    serde_json::from_str(text).map_err(|_| unreadable(column))
}

pub(super) fn unreadable(column: usize) -> Error {
    Error::FromSqlConversionFailure(
        column,
        Type::Text,
        "not a value that Counterfoil writes".into(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::migrate;

    #[test]
    fn whatever_is_asked_for_is_found_without_a_scan_or_a_sort() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        let (now, entropy) = (Timestamp::from_millis(1), [7; 10]);
        let organization = OrganizationId::new(now, entropy);
        let account = AccountId::new(now, entropy);
        let text = || Some("7".to_owned());
        let mut queries = Vec::new();
        for (name, external_id) in [(text(), None), (None, text()), (text(), text())] {
            for after in [None, Some(organization)] {
                let (name, external_id) = (name.clone(), external_id.clone());
                let filter = OrganizationFilter { name, external_id };
                queries.push(organizations_query(filter, Page { after, limit: 9 }));
            }
        }
        for (external_id, organization) in
            [(text(), None), (None, Some(organization)), (text(), Some(organization))]
        {
            for after in [None, Some(account)] {
                let external_id = external_id.clone();
                let filter =
                    AccountFilter { external_id, organization, ..AccountFilter::default() };
                queries.push(accounts_query(filter, Page { after, limit: 9 }));
            }
        }
        let both = (organization, account);
        for (organization, account) in
            [(Some(organization), None), (None, Some(account)), (Some(organization), Some(account))]
        {
            for (with_past, after) in
                [(false, None), (false, Some(both)), (true, None), (true, Some(both))]
            {
                let filter = MembershipFilter { organization, account, with_past };
                queries.push(memberships_query(filter, Page { after, limit: 9 }));
            }
        }
        for query in queries {
            let plan = query.plan(&connection);
            let wasted = |step: &String| step.starts_with("SCAN") || step.contains("TEMP B-TREE");
            assert!(!plan.iter().any(wasted), "{plan:?}");
        }
    }
}
