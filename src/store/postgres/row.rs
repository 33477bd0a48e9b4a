//! Rows become the domain's types, by the names of their columns.

use super::error::Error;
use crate::{
    store::{
        StoredToken,
        written::{parse_kind, parse_rank},
    },
    usage::{LastUse, LastUses},
};
use counterfoil_core::{
    Timestamp,
    account::{AccountKind, Email, Rank},
    id::{AccountId, OrganizationId, TokenId},
    token::{Digest, Previous, Token},
};
use std::net::IpAddr;
use tokio_postgres::{Row, types::FromSql};

/// What [`token`] reads, of a token and its two last uses.
pub(super) const TOKEN: &str = "SELECT token.id, api, organization, owner, name, note, granted, \
     allowed_networks, prefix, last_four, digest, previous_digest, previous_until, created_at, \
     expires_at, paused_at, revoked_at, revoke_reason, external_id, metadata, revision, \
     last_use.at AS present_at, last_use.door AS present_door, \
     last_use.address AS present_address, last_use.user_agent AS present_user_agent, \
     last_use.route AS present_route, last_use.secret AS present_secret, \
     previous_use.at AS previous_at, previous_use.door AS previous_door, \
     previous_use.address AS previous_address, previous_use.user_agent AS previous_user_agent, \
     previous_use.route AS previous_route, previous_use.secret AS previous_secret";
/// Where most of it is from.
pub(super) const USES: &str = "LEFT JOIN last_use ON last_use.token = token.id \
     LEFT JOIN previous_use ON previous_use.token = token.id";

pub(super) fn get<'r, T: FromSql<'r>>(row: &'r Row, column: &'static str) -> Result<T, Error> {
    Ok(row.try_get(column)?)
}

pub(super) fn bytes<const N: usize>(row: &Row, column: &'static str) -> Result<[u8; N], Error> {
    get::<&[u8]>(row, column)?.try_into().map_err(|_| Error::Unreadable(column))
}

pub(super) fn optional_bytes<const N: usize>(
    row: &Row,
    column: &'static str,
) -> Result<Option<[u8; N]>, Error> {
    let found: Option<&[u8]> = get(row, column)?;
    found.map(TryInto::try_into).transpose().map_err(|_| Error::Unreadable(column))
}

/// A number that is never negative.
pub(super) fn number(row: &Row, column: &'static str) -> Result<u64, Error> {
    get(row, column).map(i64::unsigned_abs)
}

pub(super) fn time(row: &Row, column: &'static str) -> Result<Timestamp, Error> {
    get(row, column).map(Timestamp::from_millis)
}

pub(super) fn optional_time(row: &Row, column: &'static str) -> Result<Option<Timestamp>, Error> {
    Ok(get::<Option<i64>>(row, column)?.map(Timestamp::from_millis))
}

pub(super) fn kind(row: &Row, column: &'static str) -> Result<AccountKind, Error> {
    parse_kind(get(row, column)?).ok_or(Error::Unreadable(column))
}

pub(super) fn rank(row: &Row, column: &'static str) -> Result<Rank, Error> {
    parse_rank(get(row, column)?).ok_or(Error::Unreadable(column))
}

pub(super) fn email(row: &Row, column: &'static str) -> Result<Option<Email>, Error> {
    let email: Option<String> = get(row, column)?;
    email.map(Email::try_from).transpose().map_err(|_| Error::Unreadable(column))
}

pub(super) fn address(row: &Row, column: &'static str) -> Result<Option<IpAddr>, Error> {
    let address: Option<&str> = get(row, column)?;
    address.map(str::parse).transpose().map_err(|_| Error::Unreadable(column))
}

fn json<T: serde::de::DeserializeOwned>(row: &Row, column: &'static str) -> Result<T, Error> {
    serde_json::from_str(get(row, column)?).map_err(|_| Error::Unreadable(column))
}

fn text<T: From<String>>(row: &Row, column: &'static str) -> Result<T, Error> {
    get::<String>(row, column).map(T::from)
}

pub(super) fn optional_text(row: &Row, column: &'static str) -> Result<Option<Box<str>>, Error> {
    Ok(get::<Option<String>>(row, column)?.map(String::into_boxed_str))
}

pub(super) fn token(row: &Row) -> Result<StoredToken, Error> {
    let previous = optional_bytes(row, "previous_digest")?.map(Digest::from_bytes);
    let previous_until = optional_time(row, "previous_until")?;
    let metadata: Option<&str> = get(row, "metadata")?;
    let mut stored = StoredToken {
        token: Token {
            id: TokenId::from_bytes(bytes(row, "id")?),
            api: text(row, "api")?,
            organization: OrganizationId::from_bytes(bytes(row, "organization")?),
            owner: AccountId::from_bytes(bytes(row, "owner")?),
            name: get(row, "name")?,
            note: get(row, "note")?,
            grant: json(row, "granted")?,
            allowed_networks: json(row, "allowed_networks")?,
            external_id: optional_text(row, "external_id")?,
            metadata: metadata.map(|_| json(row, "metadata")).transpose()?,
            prefix: text(row, "prefix")?,
            last_four: text(row, "last_four")?,
            digest: Digest::from_bytes(bytes(row, "digest")?),
            created_at: time(row, "created_at")?,
            expires_at: optional_time(row, "expires_at")?,
        },
        previous: previous.zip(previous_until).map(|(digest, until)| Previous { digest, until }),
        paused_at: optional_time(row, "paused_at")?,
        revoked_at: optional_time(row, "revoked_at")?,
        revoke_reason: get(row, "revoke_reason")?,
        last_used: None,
        present_last_used: None,
        previous_last_used: None,
        revision: number(row, "revision")?,
    };
    let present = last_use(row, PRESENT)?;
    stored.used(LastUses { present, previous: last_use(row, PREVIOUS)?.map(Box::new) });
    Ok(stored)
}

/// The columns of a last use: when, at which door, from where, with what, which way, and with
/// which secret.
type UseColumns = [&'static str; 6];

const PRESENT: UseColumns = [
    "present_at",
    "present_door",
    "present_address",
    "present_user_agent",
    "present_route",
    "present_secret",
];
const PREVIOUS: UseColumns = [
    "previous_at",
    "previous_door",
    "previous_address",
    "previous_user_agent",
    "previous_route",
    "previous_secret",
];

fn last_use(
    row: &Row,
    [at, door, from, user_agent, route, secret]: UseColumns,
) -> Result<Option<LastUse>, Error> {
    let Some(at) = optional_time(row, at)? else { return Ok(None) };
    Ok(Some(LastUse {
        at,
        door: get::<String>(row, door)?.into(),
        address: address(row, from)?,
        user_agent: get(row, user_agent)?,
        route: get(row, route)?,
        secret: optional_bytes(row, secret)?,
    }))
}
