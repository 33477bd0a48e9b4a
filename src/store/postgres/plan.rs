//! What a group of orders does, statement by statement, in the order of the orders.
//!
//! Tokens that are issued one behind the other are one statement, however many orders they are
//! of: it is what is asked for by the thousand.

use super::{
    change::{Rows, Statement, bytes, given, json, stand, statements, text},
    error::Error,
};
use crate::store::{Ground, Once, Order, Standing, StoreError};
use counterfoil_core::{Timestamp, account::Rank, ledger::Change, token::Token};
use std::collections::HashSet;

/// How many tokens one statement issues at most.
const TOGETHER: usize = 500;

/// The version of the list of kinds that every node knows which there ever was.
const EVERYBODY_KNOWS: u32 = 1;

/// The statements that make these orders, each if all before it did.
pub(super) fn plan<'o>(
    orders: impl IntoIterator<Item = &'o Order>,
) -> Result<Vec<Statement>, Error> {
    let mut plan = Plan { statements: Vec::new(), pending: Pending::default() };
    for order in orders {
        if order.needs() > EVERYBODY_KNOWS {
            plan.statements.push(all_know(order.needs()));
        }
        // Once for all of them, and before: an administrator may well end their own rank.
        plan.pending.standing.extend(order.standing);
        if !order.grounds.is_empty() {
            plan.issue()?;
            plan.statements.extend(order.grounds.iter().map(|ground| holds(order.at, ground)));
        }
        for (change, _) in &order.changes {
            plan.change(order, change)?;
        }
        if let Some(once) = order.once {
            plan.pending.once.push((once, order.at));
        }
    }
    plan.issue()?;
    Ok(plan.statements)
}

struct Plan<'o> {
    statements: Vec<Statement>,
    pending: Pending<'o>,
}

/// What can be done together, as long as nothing else comes between.
#[derive(Default)]
struct Pending<'o> {
    standing: Vec<Standing>,
    /// Each with the moment from which on it is held back.
    tokens: Vec<(&'o Token, Option<i64>)>,
    once: Vec<(Once, Timestamp)>,
}

impl<'o> Plan<'o> {
    fn change(&mut self, order: &'o Order, change: &'o Change) -> Result<(), Error> {
        let issued = match change {
            Change::TokenIssued(token) => (&**token, None),
            Change::TokenImported { token, paused, .. } => {
                (&**token, paused.then_some(order.at.as_millis()))
            }
            _ => {
                self.issue()?;
                self.statements.extend(statements(order.at, order.actor, change)?);
                return Ok(());
            }
        };
        self.pending.tokens.push(issued);
        if self.pending.tokens.len() == TOGETHER {
            self.issue()?;
        }
        Ok(())
    }

    fn issue(&mut self) -> Result<(), Error> {
        let Pending { standing, tokens, once } = std::mem::take(&mut self.pending);
        if !standing.is_empty() {
            self.statements.push(stand(&distinct(standing), StoreError::Outranked));
        }
        if !tokens.is_empty() {
            let owners = tokens.iter().map(|(token, _)| Standing {
                organization: token.organization,
                account: token.owner,
                rank: Rank::Member,
            });
            self.statements.push(stand(&distinct(owners), StoreError::Conflict));
            self.statements.push(insert(&tokens)?);
            // Behind it, and so once a rotation that goes on beside it is over.
            let digests: Vec<_> =
                tokens.iter().map(|(token, _)| bytes(token.digest.as_bytes())).collect();
            self.statements.push(Statement::of(
                Rows::Exactly(0),
                "SELECT 1 FROM replaced_digest WHERE digest = ANY ($1)",
                given![digests],
            ));
        }
        if !once.is_empty() {
            self.statements.push(keep(&once));
        }
        Ok(())
    }
}

/// No node is older than this. One that comes later, and meets what it does not know, verifies
/// nothing more: what is written is safe then too, and this only spares it that.
fn all_know(version: u32) -> Statement {
    let sql = "SELECT 1 FROM node WHERE knows < $1";
    let otherwise = StoreError::OlderNodes;
    Statement { otherwise, ..Statement::of(Rows::Exactly(0), sql, given![i64::from(version)]) }
}

/// Passes where it is so; a link is used up.
fn holds(at: Timestamp, ground: &Ground) -> Statement {
    match ground {
        Ground::NoOrganization => {
            Statement::of(Rows::Exactly(0), "SELECT 1 FROM organization LIMIT 1", given![])
        }
        Ground::Password(account, hash) => Statement::of(
            Rows::Exactly(1),
            "SELECT 1 FROM account WHERE id = $1 AND password_hash = $2",
            given![bytes(account.as_bytes()), hash.clone()],
        ),
        Ground::Link(digest) => Statement::of(
            Rows::Exactly(1),
            "DELETE FROM link WHERE digest = $1 AND expires_at > $2",
            given![bytes(digest.as_bytes()), at.as_millis()],
        ),
    }
}

/// Each of them once.
fn distinct(all: impl IntoIterator<Item = Standing>) -> Vec<Standing> {
    let mut seen = HashSet::new();
    let key = |standing: &Standing| {
        (standing.organization, standing.account, standing.rank == Rank::Administrator)
    };
    all.into_iter().filter(|standing| seen.insert(key(standing))).collect()
}

fn insert(tokens: &[(&Token, Option<i64>)]) -> Result<Statement, Error> {
    fn column<T>(tokens: &[(&Token, Option<i64>)], value: impl Fn(&Token) -> T) -> Vec<T> {
        tokens.iter().map(|(token, _)| value(token)).collect()
    }
    let metadata = tokens.iter().map(|(token, _)| token.metadata.as_ref().map(json).transpose());
    let grants = tokens.iter().map(|(token, _)| json(&token.grant));
    let networks = tokens.iter().map(|(token, _)| json(&token.allowed_networks));
    Ok(Statement::of(
        Rows::Exactly(tokens.len() as u64),
        "INSERT INTO token (id, api, organization, owner, name, note, granted,
            allowed_networks, prefix, last_four, digest, created_at, expires_at, external_id,
            metadata, paused_at)
         SELECT * FROM unnest($1::bytea[], $2::text[], $3::bytea[], $4::bytea[], $5::text[],
            $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::bytea[],
            $12::bigint[], $13::bigint[], $14::text[], $15::text[], $16::bigint[])",
        given![
            column(tokens, |token| bytes(token.id.as_bytes())),
            column(tokens, |token| token.api.clone()),
            column(tokens, |token| bytes(token.organization.as_bytes())),
            column(tokens, |token| bytes(token.owner.as_bytes())),
            column(tokens, |token| token.name.clone()),
            column(tokens, |token| token.note.clone()),
            grants.collect::<Result<Vec<_>, _>>()?,
            networks.collect::<Result<Vec<_>, _>>()?,
            column(tokens, |token| token.prefix.clone()),
            column(tokens, |token| token.last_four.clone()),
            column(tokens, |token| bytes(token.digest.as_bytes())),
            column(tokens, |token| token.created_at.as_millis()),
            column(tokens, |token| token.expires_at.map(Timestamp::as_millis)),
            column(tokens, |token| text(token.external_id.as_deref())),
            metadata.collect::<Result<Vec<_>, _>>()?,
            tokens.iter().map(|(_, paused_at)| *paused_at).collect::<Vec<_>>(),
        ],
    ))
}

/// Where a key has been used, whoever did so was first.
fn keep(all: &[(Once, Timestamp)]) -> Statement {
    let column =
        |value: fn(&Once) -> Vec<u8>| all.iter().map(|(once, _)| value(once)).collect::<Vec<_>>();
    Statement::of(
        Rows::Exactly(all.len() as u64),
        "INSERT INTO once (key, request, token, at)
         SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::bytea[], $4::bigint[])
         ON CONFLICT (key) DO NOTHING",
        given![
            column(|once| bytes(once.key.as_bytes())),
            column(|once| bytes(once.request.as_bytes())),
            column(|once| bytes(once.token.as_bytes())),
            all.iter().map(|(_, at)| at.as_millis()).collect::<Vec<_>>(),
        ],
    )
}
