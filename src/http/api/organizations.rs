//! `/v1/organizations` and `/v1/memberships`.

use super::{
    Asking, Limit, List, Moment, bounded, field::Field, state_and_names, state_changes_alone,
};
use crate::{
    http::{
        calls::{self, Calls, Created},
        extract::{Json, Path, Query},
        problem::Problem,
    },
    service::{
        EXTERNAL_ID, NAME, Service,
        accounts::AccountName,
        organizations::{self, OrganizationChanges},
    },
    store::{MembershipFilter, OrganizationFilter, Page, StoredMembership, StoredOrganization},
};
use axum::{extract::State, response::NoContent};
use counterfoil_core::{
    account::Rank,
    id::{AccountId, OrganizationId},
};
use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

pub(super) fn calls() -> Calls<Arc<Service>> {
    Calls::new()
        .on(
            calls::get("/v1/organizations", "list_organizations")
                .does("List organizations")
                .about("Whoever shows a token sees their own.")
                .needs("accounts:read"),
            list,
        )
        .on(
            calls::post("/v1/organizations", "create_organization")
                .does("Make an organization")
                .for_the_operator()
                .fails(&[StatusCode::CONFLICT])
                .leads("id", "/id", &["show_organization", "change_organization"]),
            create,
        )
        .on(
            calls::get("/v1/organizations/{id}", "show_organization")
                .does("Show an organization")
                .needs("accounts:read"),
            show,
        )
        .on(
            calls::patch("/v1/organizations/{id}", "change_organization")
                .does("Close an organization for good, or name it anew")
                .about("With `closed` all its tokens stop at once.")
                .for_the_operator()
                .fails(&[StatusCode::CONFLICT]),
            change,
        )
        .on(
            calls::get("/v1/memberships", "list_memberships")
                .does("List who belongs where")
                .needs("accounts:read")
                .fails(&[StatusCode::NOT_FOUND]),
            list_memberships,
        )
        .on(
            calls::put("/v1/memberships", "set_membership")
                .does("Make an account a member, or give it another rank")
                .about(
                    "An administrator changes ranks; only the operator adds whoever was not a \
                     member.",
                )
                .needs("accounts:write")
                .fails(&[StatusCode::NOT_FOUND, StatusCode::CONFLICT]),
            set_membership,
        )
        .on(
            calls::delete("/v1/memberships", "end_membership")
                .does("End a membership")
                .about("The account's tokens in that organization stop at once.")
                .needs("accounts:write")
                .fails(&[StatusCode::NOT_FOUND, StatusCode::CONFLICT]),
            end_membership,
        )
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Organization")]
struct OrganizationView {
    id: OrganizationId,
    name: String,
    external_id: Option<Box<str>>,
    state: OrganizationState,
    created_at: Moment,
    closed_at: Option<Moment>,
}

impl From<StoredOrganization> for OrganizationView {
    fn from(organization: StoredOrganization) -> Self {
        Self {
            id: organization.id,
            name: organization.name,
            external_id: organization.external_id,
            state: match organization.closed_at {
                Some(_) => OrganizationState::Closed,
                None => OrganizationState::Open,
            },
            created_at: Moment(organization.created_at),
            closed_at: organization.closed_at.map(Moment),
        }
    }
}

/// Whether its tokens work.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum OrganizationState {
    /// They do.
    Open,
    /// None does, and none ever will.
    Closed,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Membership")]
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

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "CreateOrganization", extend("examples" = [{"name": "Example"}]))]
pub(crate) struct CreateBody {
    #[schemars(length(max = organizations::NAME), regex(pattern = NAME))]
    name: String,
    /// What somebody else's system calls it.
    #[schemars(length(min = 1, max = EXTERNAL_ID), regex(pattern = NAME))]
    external_id: Option<String>,
}

async fn create(
    State(service): State<Arc<Service>>,
    Asking(caller): Asking,
    Json(body): Json<CreateBody>,
) -> Result<Created<OrganizationView>, Problem> {
    let external_id = body.external_id.as_deref();
    let organization = service.create_organization(&caller, &body.name, external_id).await?;
    Ok(Created(organization.into()))
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    /// Only those that are called so.
    name: Option<String>,
    /// Only those that somebody else's system calls so.
    external_id: Option<String>,
    /// Where the part begins: the `next_cursor` of the one before.
    cursor: Option<OrganizationId>,
    /// How many items at most.
    limit: Option<Limit>,
}

async fn list(
    State(service): State<Arc<Service>>,
    Asking(caller): Asking,
    Query(query): Query<ListQuery>,
) -> Result<axum::Json<List<OrganizationView>>, Problem> {
    let limit = bounded(query.limit);
    let page = Page { after: query.cursor, limit: limit + 1 };
    let filter = OrganizationFilter { name: query.name, external_id: query.external_id };
    let rows = service.organizations(&caller, filter, page).await?;
    Ok(axum::Json(List::of(rows, limit, |row| row.id.to_string(), OrganizationView::from)))
}

async fn show(
    State(service): State<Arc<Service>>,
    Asking(caller): Asking,
    Path(id): Path<OrganizationId>,
) -> Result<axum::Json<OrganizationView>, Problem> {
    Ok(axum::Json(OrganizationView::from(service.organization(&caller, id).await?)))
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ChangeOrganization", extend("not" = state_and_names(), "examples" = [
    {"state": "closed"},
    {"name": "Example & Sons", "external_id": "crm-7"},
]))]
pub(crate) struct ChangeBody {
    /// There is one value; it changes alone, not with other fields.
    state: Option<ClosedState>,
    #[schemars(length(max = organizations::NAME), regex(pattern = NAME))]
    name: Option<String>,
    /// What somebody else's system calls it; null takes it away.
    #[serde(default)]
    #[schemars(length(min = 1, max = EXTERNAL_ID), regex(pattern = NAME))]
    external_id: Field<String>,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum ClosedState {
    /// For good.
    Closed,
}

async fn change(
    State(service): State<Arc<Service>>,
    Asking(caller): Asking,
    Path(id): Path<OrganizationId>,
    Json(body): Json<ChangeBody>,
) -> Result<axum::Json<OrganizationView>, Problem> {
    let changes = OrganizationChanges { name: body.name, external_id: body.external_id.into() };
    let organization = match body.state {
        Some(_) if changes.is_something() => return Err(state_changes_alone()),
        Some(ClosedState::Closed) => service.close_organization(&caller, id).await?,
        None => service.change_organization(&caller, id, &changes).await?,
    };
    Ok(axum::Json(OrganizationView::from(organization)))
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MembershipQuery {
    /// Only those in this organization.
    organization: Option<OrganizationId>,
    /// Only this account's: an id or an e-mail address.
    #[schemars(with = "Option<AccountName>")]
    account: Option<String>,
    /// Where the part begins: the `next_cursor` of the one before.
    #[schemars(regex(
        pattern = r"^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\.[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$"
    ))]
    cursor: Option<String>,
    /// How many items at most.
    limit: Option<Limit>,
}

async fn list_memberships(
    State(service): State<Arc<Service>>,
    Asking(caller): Asking,
    Query(query): Query<MembershipQuery>,
) -> Result<axum::Json<List<MembershipView>>, Problem> {
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

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "SetMembership", extend("examples" = [
    {
        "organization": "01890a5a-91f4-7c35-8e0b-6a9d1f3c2b74",
        "account": "01890a5b-3c1d-7d2e-9f60-51c2a47be813",
        "rank": "administrator",
    },
]))]
pub(crate) struct SetBody {
    organization: OrganizationId,
    /// An id or an e-mail address.
    #[schemars(with = "AccountName")]
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
) -> Result<axum::Json<MembershipView>, Problem> {
    let account = read_account(&body.account)?;
    let membership =
        service.set_membership(&caller, body.organization, &account, body.rank).await?;
    Ok(axum::Json(MembershipView::from(membership)))
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EndQuery {
    organization: OrganizationId,
    /// An id or an e-mail address.
    #[schemars(with = "AccountName")]
    account: String,
}

async fn end_membership(
    State(service): State<Arc<Service>>,
    Asking(caller): Asking,
    Query(query): Query<EndQuery>,
) -> Result<NoContent, Problem> {
    let account = read_account(&query.account)?;
    service.end_membership(&caller, query.organization, &account).await?;
    Ok(NoContent)
}
