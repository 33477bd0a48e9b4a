//! `/v1/audit`: who changed what, and when.

use super::{
    Asking, Limit, List, Moment, bounded,
    lines::{LineSender, Lines},
};
use crate::{
    http::{
        calls::{self, Answers, Calls, Operation, Takes},
        extract::Query,
        problem::Problem,
    },
    service::{Caller, Service, ServiceError},
    store::{EntryFilter, StoredEntry},
};
use axum::{
    extract::{FromRequestParts, State},
    response::{IntoResponse, Response},
};
use counterfoil_core::{
    id::{AccountId, InvitationId, OrganizationId, RequestId, SessionId, TokenId},
    ledger::{Actor, Change, Subject},
    scope::Scope,
    token::{Grant, Token},
};
use http::{StatusCode, request::Parts};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{convert::Infallible, fmt::Write as _, sync::Arc, time::Duration};

pub(super) fn calls() -> Calls<Arc<Service>> {
    let call = calls::get("/v1/audit", "read_audit_log")
        .does("Who changed what, and when")
        .about(
            "The ledger, as far as it concerns the caller: an administrator reads the \
             organization's part, the operator all of it. With `Accept: application/jsonl` \
             everything behind `after` comes, a line for each entry.",
        )
        .needs("audit:read");
    Calls::new().on(call, audit)
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AuditQuery {
    /// The `seq` of the last entry that is known already.
    #[serde(alias = "cursor", default)]
    #[schemars(range(max = u64::MAX))]
    after: u64,
    /// Only what concerns this organization.
    organization: Option<OrganizationId>,
    /// The id of the token, account, organization or invitation that the entries are to be about.
    subject: Option<RequestId>,
    /// Only what was asked for with this token.
    actor: Option<TokenId>,
    /// How many items at most.
    limit: Option<Limit>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AuditEntry")]
struct EntryView {
    /// Its place in the ledger.
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

/// Who asked for a change.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[schemars(rename = "Actor")]
enum ActorView {
    /// Who runs Counterfoil.
    Operator,
    /// Whoever showed a secret that had leaked.
    LeakReport,
    /// An account, with a token of the API `counterfoil`.
    Token { account: AccountId, token: TokenId },
    /// An account, in the console.
    Session { account: AccountId, session: SessionId },
}

/// What a change is about.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[schemars(rename = "Subject")]
enum SubjectView {
    Organization { id: OrganizationId },
    Account { id: AccountId },
    Token { id: TokenId },
    Invitation { id: InvitationId },
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
                Actor::Session { account, session } => ActorView::Session { account, session },
            },
            kind: entry.kind,
            organization: entry.organization,
            subject: match entry.subject {
                Subject::Organization(id) => SubjectView::Organization { id },
                Subject::Account(id) => SubjectView::Account { id },
                Subject::Token(id) => SubjectView::Token { id },
                Subject::Invitation(id) => SubjectView::Invitation { id },
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
        Change::EmailSet { email, .. } => json!({"email": email}),
        Change::OrganizationClosed { .. }
        | Change::AccountDisabled { .. }
        | Change::AccountEnabled { .. }
        | Change::PasswordSet { .. }
        | Change::SecondFactorSet { .. }
        | Change::SecondFactorRemoved { .. }
        | Change::InvitationWithdrawn { .. }
        | Change::MembershipEnded { .. }
        | Change::TokenPreviousEnded { .. }
        | Change::TokenPaused { .. }
        | Change::TokenResumed { .. } => json!({}),
        Change::MembershipAdded { rank, .. } | Change::MembershipRankChanged { rank, .. } => {
            json!({"rank": rank})
        }
        Change::InvitationMade { email, rank, expires_at, .. } => {
            json!({"email": email, "rank": rank, "expires_at": Moment(*expires_at)})
        }
        Change::InvitationAccepted { account, .. } => json!({"account": account}),
        Change::TokenHandedOver { owner, .. } => json!({"owner": owner}),
        Change::TokenIssued(token) => issued(token),
        Change::TokenImported { token, from, entropy_bits, paused } => {
            let mut told = issued(token);
            told["created_at"] = json!(Moment(token.created_at));
            told["imported_from"] = json!(from);
            told["entropy_bits"] = json!(entropy_bits);
            told["paused"] = json!(paused);
            told
        }
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

/// Whether the caller wants lines.
struct WantsLines(bool);

impl<S: Send + Sync> FromRequestParts<S> for WantsLines {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(Lines::are_accepted(&parts.headers)))
    }
}

impl Takes for WantsLines {
    // OpenAPI keeps `Accept` to itself: what may be answered says it.
    fn describe(_: &mut Operation<'_>) {}
}

/// The log, in one of two forms.
enum Log {
    List(List<EntryView>),
    Lines(Lines),
}

impl IntoResponse for Log {
    fn into_response(self) -> Response {
        match self {
            Self::List(list) => axum::Json(list).into_response(),
            Self::Lines(lines) => lines.into_response(),
        }
    }
}

impl Answers for Log {
    fn describe(operation: &mut Operation<'_>) {
        operation.answers_json::<List<EntryView>>(StatusCode::OK, "All is well.");
        Lines::may_answer(operation);
    }
}

async fn audit(
    State(service): State<Arc<Service>>,
    Asking(caller): Asking,
    WantsLines(wants_lines): WantsLines,
    Query(query): Query<AuditQuery>,
) -> Result<Log, Problem> {
    let filter = EntryFilter {
        organization: query.organization,
        subject: query.subject.map(|id| *id.as_bytes()),
        actor: query.actor,
    };
    let limit = bounded(query.limit);
    if !wants_lines {
        let rows = service.audit(&caller, filter, query.after, limit + 1).await?;
        let cursor = |row: &StoredEntry| row.entry.number.to_string();
        return Ok(Log::List(List::of(rows, limit, cursor, EntryView::from)));
    }
    let most = query.limit.map(|_| limit);
    Ok(Log::Lines(all_lines(service, caller, filter, query.after, most).await?))
}

/// All that the caller may read, a line for each entry.
pub(crate) async fn export(
    service: Arc<Service>,
    caller: Caller,
) -> Result<Response, ServiceError> {
    Ok(all_lines(service, caller, EntryFilter::default(), 0, None).await?.into_response())
}

/// Everything behind `after`, or `most` of it, a line for each entry.
async fn all_lines(
    service: Arc<Service>,
    caller: Caller,
    filter: EntryFilter,
    after: u64,
    most: Option<u32>,
) -> Result<Lines, ServiceError> {
    // Whoever may not read takes no place.
    let last = service.last_entry().await?;
    let rows = service.audit(&caller, filter, after, AT_A_TIME).await?;
    let place = service.stream(&caller)?;
    let (lines, answer) = Lines::new();
    tokio::spawn(send(service, caller, filter, Extent { last, most }, rows, lines));
    Ok(answer.in_place(place))
}

/// How many entries are read at a time: few, since they wait for the reader.
const AT_A_TIME: u32 = 50;
/// How long a reader may take to make room for some more.
const PATIENCE: Duration = Duration::from_mins(1);

/// How far lines go.
struct Extent {
    /// The last entry's number.
    last: u64,
    /// How many there are to be, where that was said.
    most: Option<u32>,
}

/// Sends entries until there are no more, or as many as were asked for. Whoever reads
/// slowly does not see what was written since.
async fn send(
    service: Arc<Service>,
    caller: Caller,
    filter: EntryFilter,
    Extent { last: end, most }: Extent,
    mut rows: Vec<StoredEntry>,
    mut lines: LineSender,
) {
    let mut left = most.map_or(u64::MAX, u64::from);
    while let Some(last) = rows.last() {
        let after = last.entry.number;
        let mut written = String::new();
        let mut ended = false;
        for row in rows {
            ended = left == 0 || row.entry.number > end;
            if ended {
                break;
            }
            left -= 1;
            let line = serde_json::to_value(EntryView::from(row)).unwrap_or_default();
            // A string takes whatever is written.
            let _ = writeln!(written, "{line}");
        }
        if !written.is_empty() && !lines.send_written(written, PATIENCE).await {
            return lines.break_off();
        }
        if ended {
            return;
        }
        rows = match service.audit(&caller, filter, after, AT_A_TIME).await {
            Ok(rows) => rows,
            Err(error) => {
                tracing::error!(%error, "the audit log broke off");
                return lines.break_off();
            }
        };
    }
}
