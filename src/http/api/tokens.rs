//! `/v1/tokens`.

use super::{Asking, List, Moment, bounded};
use crate::{
    clock,
    http::{
        extract::{Json, Path, Query},
        problem::Problem,
    },
    service::{
        Service,
        accounts::AccountName,
        tokens::{Expiry, Issued, NewToken, TokenChanges, Update},
    },
    store::{Page, StoredToken, TokenFilter, TokenState},
};
use axum::{
    Router,
    extract::State,
    response::IntoResponse,
    routing::{get, post},
};
use counterfoil_core::{
    id::{AccountId, OrganizationId, TokenId},
    network::Network,
    time::Seconds,
    token::Grant,
};
use http::{StatusCode, header};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use std::sync::Arc;

pub(super) fn routes() -> Router<Arc<Service>> {
    Router::new()
        .route("/v1/tokens", post(issue).get(list))
        .route("/v1/tokens/{id}", get(show).patch(change))
        .route("/v1/tokens/{id}/rotate", post(rotate))
        .route("/v1/tokens/{id}/revoke", post(revoke))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct IssueBody {
    api: String,
    organization: Option<OrganizationId>,
    name: Option<String>,
    note: Option<String>,
    owner: Option<String>,
    role: Option<String>,
    scopes: Option<Vec<String>>,
    /// Absent: the API's default. Null: never.
    #[serde(default)]
    expires_at: Field<Moment>,
    #[serde(default)]
    expires_in: Field<Span>,
    #[serde(default)]
    allowed_networks: Vec<String>,
    external_id: Option<String>,
    metadata: Option<Value>,
}

/// Seconds, or text such as `"90d"`.
#[derive(Debug, Clone, Copy)]
struct Span(Seconds);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl serde::de::Visitor<'_> for Either {
            type Value = Span;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a number of seconds, or a text such as \"90d\"")
            }

            fn visit_u64<E: serde::de::Error>(self, seconds: u64) -> Result<Span, E> {
                Ok(Span(Seconds(seconds)))
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Span, E> {
                text.parse().map(Span).map_err(E::custom)
            }
        }

        deserializer.deserialize_any(Either)
    }
}

/// A field for which null means something else than its absence.
#[derive(Debug, Default)]
enum Field<T> {
    #[default]
    Absent,
    Null,
    Value(T),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Field<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(deserializer)?.map_or(Self::Null, Self::Value))
    }
}

#[derive(Debug, Serialize)]
struct IssuedView {
    token: TokenView,
    secret: String,
    client_id: TokenId,
    effective: &'static str,
}

#[derive(Debug, Serialize)]
struct TokenView {
    id: TokenId,
    api: Box<str>,
    organization: OrganizationId,
    owner: AccountId,
    name: String,
    note: String,
    role: Option<Box<str>>,
    scopes: Option<Vec<String>>,
    state: TokenState,
    prefix: Box<str>,
    last_four: Box<str>,
    allowed_networks: Vec<Network>,
    external_id: Option<Box<str>>,
    metadata: Option<Value>,
    created_at: Moment,
    expires_at: Option<Moment>,
    /// Until when the secret before the last rotation works.
    previous_secret_until: Option<Moment>,
    paused_at: Option<Moment>,
    revoked_at: Option<Moment>,
    revoke_reason: String,
}

impl From<StoredToken> for TokenView {
    fn from(stored: StoredToken) -> Self {
        let now = clock::now();
        let state = stored.state_at(now);
        let token = stored.token;
        let (role, scopes) = match token.grant {
            Grant::Any => (None, None),
            Grant::Role(role) => (Some(role), None),
            Grant::Scopes(scopes) => (None, Some(scopes.iter().map(ToString::to_string).collect())),
        };
        Self {
            id: token.id,
            api: token.api,
            organization: token.organization,
            owner: token.owner,
            name: token.name,
            note: token.note,
            role,
            scopes,
            state,
            prefix: token.prefix,
            last_four: token.last_four,
            allowed_networks: token.allowed_networks,
            external_id: token.external_id,
            metadata: token.metadata,
            created_at: Moment(token.created_at),
            expires_at: token.expires_at.map(Moment),
            previous_secret_until: stored
                .previous
                .map(|previous| previous.until)
                .filter(|until| now < *until)
                .map(Moment),
            paused_at: stored.paused_at.map(Moment),
            revoked_at: stored.revoked_at.map(Moment),
            revoke_reason: stored.revoke_reason,
        }
    }
}

/// The one answer with a secret in it; nothing on the way may keep it.
fn reveal(status: StatusCode, issued: Issued) -> impl IntoResponse {
    let client_id = issued.token.token.id;
    let view = IssuedView {
        token: issued.token.into(),
        secret: issued.secret.reveal().to_owned(),
        client_id,
        effective: "everywhere",
    };
    (status, [(header::CACHE_CONTROL, "no-store")], axum::Json(view))
}

async fn issue(
    State(service): State<Arc<Service>>,
    Asking(caller): Asking,
    Json(body): Json<IssueBody>,
) -> Result<impl IntoResponse, Problem> {
    let expiry = read_expiry(body.expires_at, body.expires_in)?.unwrap_or(Expiry::Default);
    let new = NewToken {
        api: body.api,
        organization: body.organization,
        name: body.name,
        note: body.note,
        owner: body.owner.as_deref().map(read_owner).transpose()?,
        role: body.role,
        scopes: body.scopes,
        expiry,
        allowed_networks: body.allowed_networks,
        external_id: body.external_id,
        metadata: body.metadata,
    };
    let issued = service.issue_token(&caller, &new).await?;
    Ok(reveal(StatusCode::CREATED, issued))
}

/// When a token is to end; none where nothing is said.
fn read_expiry(at: Field<Moment>, within: Field<Span>) -> Result<Option<Expiry>, Problem> {
    Ok(match (at, within) {
        (Field::Absent, Field::Absent) => None,
        (Field::Null, Field::Absent) | (Field::Absent, Field::Null) => Some(Expiry::Never),
        (Field::Value(end), Field::Absent) => Some(Expiry::At(end.0)),
        (Field::Absent, Field::Value(span)) => Some(Expiry::In(span.0)),
        _ => {
            return Err(
                Problem::bad_request("give expires_at or expires_in, not both").about("expires_in")
            );
        }
    })
}

fn read_owner(text: &str) -> Result<AccountName, Problem> {
    text.parse().map_err(|error| Problem::bad_request(format!("owner: {error}")).about("owner"))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    api: Option<String>,
    external_id: Option<String>,
    organization: Option<OrganizationId>,
    /// An id or an e-mail address.
    owner: Option<String>,
    state: Option<TokenState>,
    cursor: Option<TokenId>,
    limit: Option<u32>,
}

async fn list(
    State(service): State<Arc<Service>>,
    Asking(caller): Asking,
    Query(query): Query<ListQuery>,
) -> Result<impl IntoResponse, Problem> {
    let owner = match query.owner.as_deref().map(read_owner).transpose()? {
        Some(owner) => Some(service.seen_account(&caller, &owner).await?.id),
        None => None,
    };
    let filter = TokenFilter {
        api: query.api,
        external_id: query.external_id,
        organization: query.organization,
        owner,
        state: query.state.map(|state| (state, clock::now())),
    };
    let limit = bounded(query.limit);
    let page = Page { after: query.cursor, limit: limit + 1 };
    let rows = service.tokens(&caller, filter, page).await?;
    Ok(axum::Json(List::of(rows, limit, |row| row.token.id.to_string(), TokenView::from)))
}

async fn show(
    State(service): State<Arc<Service>>,
    Asking(caller): Asking,
    Path(id): Path<TokenId>,
) -> Result<impl IntoResponse, Problem> {
    Ok(axum::Json(TokenView::from(service.token(&caller, id).await?)))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeBody {
    state: Option<ChangeableState>,
    name: Option<String>,
    note: Option<String>,
    role: Option<String>,
    scopes: Option<Vec<String>>,
    #[serde(default)]
    expires_at: Field<Moment>,
    #[serde(default)]
    expires_in: Field<Span>,
    allowed_networks: Option<Vec<String>>,
    #[serde(default)]
    external_id: Field<String>,
    #[serde(default)]
    metadata: Field<Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ChangeableState {
    Active,
    Paused,
}

impl<T> From<Field<T>> for Update<T> {
    fn from(field: Field<T>) -> Self {
        match field {
            Field::Absent => Self::Keep,
            Field::Null => Self::Clear,
            Field::Value(value) => Self::Set(value),
        }
    }
}

async fn change(
    State(service): State<Arc<Service>>,
    Asking(caller): Asking,
    Path(id): Path<TokenId>,
    Json(body): Json<ChangeBody>,
) -> Result<impl IntoResponse, Problem> {
    let (state, changes) = read_changes(body)?;
    let stored = match state {
        Some(state) => {
            let paused = state == ChangeableState::Paused;
            service.set_token_paused(&caller, id, paused).await?
        }
        None => service.change_token(&caller, id, &changes).await?,
    };
    Ok(axum::Json(TokenView::from(stored)))
}

/// The state that is asked for, or else the other changes.
pub(crate) fn read_changes(
    body: ChangeBody,
) -> Result<(Option<ChangeableState>, TokenChanges), Problem> {
    let changes = TokenChanges {
        name: body.name,
        note: body.note,
        role: body.role,
        scopes: body.scopes,
        expiry: read_expiry(body.expires_at, body.expires_in)?,
        allowed_networks: body.allowed_networks,
        external_id: body.external_id.into(),
        metadata: body.metadata.into(),
    };
    // One call is one change: half of it must not fail.
    if body.state.is_some() && changes.is_something() {
        return Err(
            Problem::bad_request("state: changes alone, not with other fields").about("state")
        );
    }
    Ok((body.state, changes))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RotateBody {
    /// For how long the old secret works beside the new one.
    overlap: Option<Span>,
}

async fn rotate(
    State(service): State<Arc<Service>>,
    Asking(caller): Asking,
    Path(id): Path<TokenId>,
    Json(body): Json<RotateBody>,
) -> Result<impl IntoResponse, Problem> {
    let overlap = body.overlap.map_or(Seconds(0), |span| span.0);
    let issued = service.rotate_token(&caller, id, overlap).await?;
    Ok(reveal(StatusCode::OK, issued))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RevokeBody {
    #[serde(default)]
    reason: String,
}

#[derive(Debug, Serialize)]
struct RevokedView {
    revoked_at: Option<Moment>,
    effective: &'static str,
    waited_ms: u64,
    nodes: u32,
    /// When the last access token that others verify by themselves ends.
    offline_until: Option<Moment>,
}

async fn revoke(
    State(service): State<Arc<Service>>,
    Asking(caller): Asking,
    Path(id): Path<TokenId>,
    Json(body): Json<RevokeBody>,
) -> Result<impl IntoResponse, Problem> {
    let began = clock::steady();
    let stored = service.revoke_token(&caller, id, &body.reason).await?;
    Ok(axum::Json(RevokedView {
        revoked_at: stored.revoked_at.map(Moment),
        // There is one node, and its index has the change before we are here.
        effective: "everywhere",
        waited_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        nodes: 1,
        offline_until: None,
    }))
}
