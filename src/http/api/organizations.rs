//! `/v1/organizations` and `/v1/memberships`.

use super::{Asking, List, Moment, bounded};
use crate::{
    http::{
        extract::{Json, Path, Query},
        problem::Problem,
    },
    service::{Service, accounts::AccountName},
    store::{MembershipFilter, Page, StoredMembership, StoredOrganization},
};
use axum::{
    Router,
    extract::State,
    response::IntoResponse,
    routing::{get, put},
};
use counterfoil_core::{
    account::Rank,
    id::{AccountId, OrganizationId},
};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

pub(super) fn routes() -> Router<Arc<Service>> {
    Router::new()
        .route("/v1/organizations", get(list).post(create))
        .route("/v1/organizations/{id}", get(show).patch(change))
        .route("/v1/memberships", get(list_memberships))
        .route("/v1/memberships", put(set_membership).delete(end_membership))
}

#[derive(Debug, Serialize)]
struct OrganizationView {
    id: OrganizationId,
    name: String,
    state: &'static str,
    created_at: Moment,
    closed_at: Option<Moment>,
}

impl From<StoredOrganization> for OrganizationView {
    fn from(organization: StoredOrganization) -> Self {
        Self {
            id: organization.id,
            name: organization.name,
            state: if organization.closed_at.is_some() { "closed" } else { "open" },
            created_at: Moment(organization.created_at),
            closed_at: organization.closed_at.map(Moment),
        }
    }
}

#[derive(Debug, Serialize)]
struct MembershipView {
    organization: OrganizationId,
    account: AccountId,
    rank: Rank,
    joined_at: Moment,
}

impl From<StoredMembership> for MembershipView {
    fn from(membership: StoredMembership) -> Self {
        Self {
            organization: membership.organization,
            account: membership.account,
            rank: membership.rank,
            joined_at: Moment(membership.joined_at),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateBody {
    name: String,
}

async fn create(
    State(service): State<Arc<Service>>,
    Asking(caller): Asking,
    Json(body): Json<CreateBody>,
) -> Result<impl IntoResponse, Problem> {
    let organization = service.create_organization(&caller, &body.name).await?;
    Ok((StatusCode::CREATED, axum::Json(OrganizationView::from(organization))))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    name: Option<String>,
    cursor: Option<OrganizationId>,
    limit: Option<u32>,
}

async fn list(
    State(service): State<Arc<Service>>,
    Asking(caller): Asking,
    Query(query): Query<ListQuery>,
) -> Result<impl IntoResponse, Problem> {
    let limit = bounded(query.limit);
    let page = Page { after: query.cursor, limit: limit + 1 };
    let rows = service.organizations(&caller, query.name, page).await?;
    Ok(axum::Json(List::of(rows, limit, |row| row.id.to_string(), OrganizationView::from)))
}

async fn show(
    State(service): State<Arc<Service>>,
    Asking(caller): Asking,
    Path(id): Path<OrganizationId>,
) -> Result<impl IntoResponse, Problem> {
    Ok(axum::Json(OrganizationView::from(service.organization(&caller, id).await?)))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeBody {
    #[expect(dead_code, reason = "there is one value, and closing is what it asks for")]
    state: ClosedState,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ClosedState {
    Closed,
}

async fn change(
    State(service): State<Arc<Service>>,
    Asking(caller): Asking,
    Path(id): Path<OrganizationId>,
    Json(_): Json<ChangeBody>,
) -> Result<impl IntoResponse, Problem> {
    Ok(axum::Json(OrganizationView::from(service.close_organization(&caller, id).await?)))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MembershipQuery {
    organization: Option<OrganizationId>,
    account: Option<String>,
    cursor: Option<String>,
    limit: Option<u32>,
}

async fn list_memberships(
    State(service): State<Arc<Service>>,
    Asking(caller): Asking,
    Query(query): Query<MembershipQuery>,
) -> Result<impl IntoResponse, Problem> {
    let account = match &query.account {
        Some(account) => Some(service.account(&caller, &read_account(account)?).await?.id),
        None => None,
    };
    let filter = MembershipFilter { organization: query.organization, account, with_past: false };
    let limit = bounded(query.limit);
    let after = query.cursor.as_deref().map(read_cursor).transpose()?;
    let page = Page { after, limit: limit + 1 };
    let rows = service.memberships(&caller, filter, page).await?;
    let cursor = |row: &StoredMembership| format!("{}.{}", row.organization, row.account);
    Ok(axum::Json(List::of(rows, limit, cursor, MembershipView::from)))
}

pub(crate) fn read_cursor(text: &str) -> Result<(OrganizationId, AccountId), Problem> {
    text.split_once('.')
        .and_then(|(organization, account)| {
            Some((organization.parse().ok()?, account.parse().ok()?))
        })
        .ok_or_else(|| {
            Problem::bad_request("cursor: expected one that a list ended with").about("cursor")
        })
}

fn read_account(text: &str) -> Result<AccountName, Problem> {
    text.parse().map_err(|error| Problem::bad_request(format!("account: {error}")).about("account"))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetBody {
    organization: OrganizationId,
    account: String,
    #[serde(default = "member")]
    rank: Rank,
}

fn member() -> Rank {
    Rank::Member
}

async fn set_membership(
    State(service): State<Arc<Service>>,
    Asking(caller): Asking,
    Json(body): Json<SetBody>,
) -> Result<impl IntoResponse, Problem> {
    let account = read_account(&body.account)?;
    let membership =
        service.set_membership(&caller, body.organization, &account, body.rank).await?;
    Ok(axum::Json(MembershipView::from(membership)))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EndQuery {
    organization: OrganizationId,
    account: String,
}

async fn end_membership(
    State(service): State<Arc<Service>>,
    Asking(caller): Asking,
    Query(query): Query<EndQuery>,
) -> Result<StatusCode, Problem> {
    let account = read_account(&query.account)?;
    service.end_membership(&caller, query.organization, &account).await?;
    Ok(StatusCode::NO_CONTENT)
}
