//! `/v1/audit`: who changed what, and when.

use super::{Asking, List, Moment, bounded, lines};
use crate::{
    http::{extract::Query, problem::Problem},
    service::{Caller, Service},
    store::{EntryFilter, StoredEntry},
};
use axum::{
    Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::get,
};
use counterfoil_core::{
    id::{AccountId, OrganizationId, RequestId, TokenId},
    ledger::{Actor, Change, Subject},
    scope::Scope,
    token::{Grant, Token},
};
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;

pub(super) fn routes() -> Router<Arc<Service>> {
    Router::new().route("/v1/audit", get(audit))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AuditQuery {
    /// The `seq` of the last entry that is known already.
    #[serde(alias = "cursor", default)]
    after: u64,
    organization: Option<OrganizationId>,
    /// The id of what the entries are to be about.
    subject: Option<RequestId>,
    limit: Option<u32>,
}

#[derive(Debug, Serialize)]
struct EntryView {
    seq: u64,
    at: Moment,
    actor: ActorView,
    kind: Box<str>,
    organization: Option<OrganizationId>,
    subject: SubjectView,
    /// What the change was in full, but for secrets' digests and passwords'
    /// hashes; null once it has been erased.
    details: Option<Value>,
}

#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum ActorView {
    Operator,
    LeakReport,
    Token { account: AccountId, token: TokenId },
}

#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum SubjectView {
    Organization { id: OrganizationId },
    Account { id: AccountId },
    Token { id: TokenId },
}

impl From<StoredEntry> for EntryView {
    fn from(stored: StoredEntry) -> Self {
        let entry = stored.entry;
        Self {
            seq: entry.number,
            at: Moment(entry.at),
            actor: match entry.actor {
                Actor::Operator => ActorView::Operator,
                Actor::LeakReport => ActorView::LeakReport,
                Actor::Token { account, token } => ActorView::Token { account, token },
            },
            kind: entry.kind,
            organization: entry.organization,
            subject: match entry.subject {
                Subject::Organization(id) => SubjectView::Organization { id },
                Subject::Account(id) => SubjectView::Account { id },
                Subject::Token(id) => SubjectView::Token { id },
            },
            details: stored.change.as_ref().map(details),
        }
    }
}

/// What may be told of a change. Fields are named one by one: a digest finds
/// its token, and a password's hash can be guessed at.
fn details(change: &Change) -> Value {
    match change {
        Change::OrganizationCreated { name, external_id, .. }
        | Change::OrganizationChanged { name, external_id, .. }
        | Change::AccountChanged { name, external_id, .. } => {
            json!({"name": name, "external_id": external_id})
        }
        Change::AccountCreated { account_kind, email, name, external_id, .. } => json!({
            "account_kind": account_kind,
            "email": email,
            "name": name,
            "external_id": external_id,
        }),
        Change::OrganizationClosed { .. }
        | Change::AccountDisabled { .. }
        | Change::AccountEnabled { .. }
        | Change::PasswordSet { .. }
        | Change::MembershipEnded { .. }
        | Change::TokenPaused { .. }
        | Change::TokenResumed { .. } => json!({}),
        Change::MembershipAdded { rank, .. } | Change::MembershipRankChanged { rank, .. } => {
            json!({"rank": rank})
        }
        Change::TokenIssued(token) => issued(token),
        Change::TokenChanged {
            name,
            note,
            grant,
            expires_at,
            allowed_networks,
            external_id,
            metadata,
            ..
        } => {
            let (role, scopes) = role_and_scopes(grant);
            json!({
                "name": name,
                "note": note,
                "role": role,
                "scopes": scopes,
                "expires_at": expires_at.map(Moment),
                "allowed_networks": allowed_networks,
                "external_id": external_id,
                "metadata": metadata,
            })
        }
        Change::TokenRotated { previous_until, prefix, last_four, .. } => json!({
            "previous_secret_until": previous_until.map(Moment),
            "prefix": prefix,
            "last_four": last_four,
        }),
        Change::TokenRevoked { reason, .. } => json!({"reason": reason}),
    }
}

fn issued(token: &Token) -> Value {
    let (role, scopes) = role_and_scopes(&token.grant);
    json!({
        "api": token.api,
        "owner": token.owner,
        "name": token.name,
        "note": token.note,
        "role": role,
        "scopes": scopes,
        "expires_at": token.expires_at.map(Moment),
        "allowed_networks": token.allowed_networks,
        "external_id": token.external_id,
        "metadata": token.metadata,
        "prefix": token.prefix,
        "last_four": token.last_four,
    })
}

fn role_and_scopes(grant: &Grant) -> (Option<&str>, Option<Vec<&str>>) {
    match grant {
        Grant::Any => (None, None),
        Grant::Role(role) => (Some(role), None),
        Grant::Scopes(scopes) => (None, Some(scopes.iter().map(Scope::as_str).collect())),
    }
}

/// A list, or, where lines are accepted, all there is, a line each.
async fn audit(
    State(service): State<Arc<Service>>,
    Asking(caller): Asking,
    headers: HeaderMap,
    Query(query): Query<AuditQuery>,
) -> Result<Response, Problem> {
    let filter = EntryFilter {
        organization: query.organization,
        subject: query.subject.map(|id| *id.as_bytes()),
    };
    let limit = bounded(query.limit);
    let rows = service.audit(&caller, filter, query.after, limit + 1).await?;
    if !lines::are_accepted(&headers) {
        let cursor = |row: &StoredEntry| row.entry.number.to_string();
        return Ok(axum::Json(List::of(rows, limit, cursor, EntryView::from)).into_response());
    }
    let (lines, answer) = lines::answer();
    tokio::spawn(send(service, caller, filter, query.limit, rows, lines));
    Ok(answer.into_response())
}

/// Sends entries until there are no more, or as many as were asked for.
async fn send(
    service: Arc<Service>,
    caller: Caller,
    filter: EntryFilter,
    most: Option<u32>,
    mut rows: Vec<StoredEntry>,
    mut lines: lines::Lines,
) {
    let mut left = most.map_or(u64::MAX, u64::from);
    while let Some(last) = rows.last() {
        let after = last.entry.number;
        for row in rows {
            if left == 0 {
                return;
            }
            left -= 1;
            let line = serde_json::to_value(EntryView::from(row)).unwrap_or_default();
            if !lines.send(&line).await {
                return;
            }
        }
        rows = match service.audit(&caller, filter, after, super::MOST).await {
            Ok(rows) => rows,
            Err(error) => {
                tracing::error!(%error, "the audit log broke off");
                return lines.break_off();
            }
        };
    }
}
