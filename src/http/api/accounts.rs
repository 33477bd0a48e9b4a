//! `/v1/accounts`, and the first set-up.

use super::{Asking, List, Moment, bounded};
use crate::{
    http::{
        extract::{Json, Path, Query},
        problem::Problem,
    },
    service::{
        Service,
        accounts::{AccountName, NewAccount},
    },
    store::{Page, StoredAccount},
};
use axum::{
    Router,
    extract::State,
    response::IntoResponse,
    routing::{get, post, put},
};
use counterfoil_core::{
    account::{AccountKind, Email, Rank},
    id::{AccountId, OrganizationId},
};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use zeroize::Zeroizing;

pub(super) fn routes() -> Router<Arc<Service>> {
    Router::new()
        .route("/v1/init", post(initialise))
        .route("/v1/accounts", post(create).get(list))
        .route("/v1/accounts/{account}", get(show).patch(change))
        .route("/v1/accounts/{account}/password", put(set_password))
}

#[derive(Debug, Serialize)]
struct AccountView {
    id: AccountId,
    kind: AccountKind,
    email: Option<Email>,
    name: String,
    state: &'static str,
    has_password: bool,
    created_at: Moment,
    disabled_at: Option<Moment>,
}

impl From<StoredAccount> for AccountView {
    fn from(account: StoredAccount) -> Self {
        Self {
            id: account.id,
            kind: account.kind,
            email: account.email,
            name: account.name,
            state: if account.disabled_at.is_some() { "disabled" } else { "active" },
            has_password: account.has_password,
            created_at: Moment(account.created_at),
            disabled_at: account.disabled_at.map(Moment),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct InitialiseBody {
    email: Email,
    #[serde(default = "default_organization")]
    organization: String,
    password: Option<Zeroizing<String>>,
}

fn default_organization() -> String {
    "Default".into()
}

#[derive(Debug, Serialize)]
struct InitialisedView {
    organization: OrganizationId,
    account: AccountView,
}

async fn initialise(
    State(service): State<Arc<Service>>,
    Asking(caller): Asking,
    Json(body): Json<InitialiseBody>,
) -> Result<impl IntoResponse, Problem> {
    // Alone in its task: were it dropped with its request, the next first set-up
    // could begin before this one has ended.
    let work = tokio::spawn(async move {
        service.initialise(&caller, &body.organization, body.email, body.password).await
    });
    let made = work.await.map_err(|error| {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", error.to_string())
    })??;
    let view = InitialisedView { organization: made.organization, account: made.account.into() };
    Ok((StatusCode::CREATED, axum::Json(view)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateBody {
    #[serde(default = "person")]
    kind: AccountKind,
    email: Option<Email>,
    name: Option<String>,
    password: Option<Zeroizing<String>>,
    organization: Option<OrganizationId>,
    rank: Option<Rank>,
}

fn person() -> AccountKind {
    AccountKind::Person
}

async fn create(
    State(service): State<Arc<Service>>,
    Asking(caller): Asking,
    Json(body): Json<CreateBody>,
) -> Result<impl IntoResponse, Problem> {
    if body.rank.is_some() && body.organization.is_none() {
        return Err(Problem::bad_request("rank: a rank is one in an organization; name it")
            .about("organization"));
    }
    let rank = body.rank.unwrap_or(Rank::Member);
    let new = NewAccount {
        kind: body.kind,
        email: body.email,
        name: body.name,
        password: body.password,
        organization: body.organization.map(|organization| (organization, rank)),
    };
    let account = service.create_account(&caller, new).await?;
    Ok((StatusCode::CREATED, axum::Json(AccountView::from(account))))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    cursor: Option<AccountId>,
    limit: Option<u32>,
}

async fn list(
    State(service): State<Arc<Service>>,
    Asking(caller): Asking,
    Query(query): Query<ListQuery>,
) -> Result<impl IntoResponse, Problem> {
    let limit = bounded(query.limit);
    let page = Page { after: query.cursor, limit: limit + 1 };
    let rows = service.accounts(&caller, page).await?;
    Ok(axum::Json(List::of(rows, limit, |row| row.id.to_string(), AccountView::from)))
}

async fn show(
    State(service): State<Arc<Service>>,
    Asking(caller): Asking,
    Path(account): Path<AccountName>,
) -> Result<impl IntoResponse, Problem> {
    Ok(axum::Json(AccountView::from(service.account(&caller, &account).await?)))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeBody {
    state: AccountState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum AccountState {
    Active,
    Disabled,
}

async fn change(
    State(service): State<Arc<Service>>,
    Asking(caller): Asking,
    Path(account): Path<AccountName>,
    Json(body): Json<ChangeBody>,
) -> Result<impl IntoResponse, Problem> {
    let active = body.state == AccountState::Active;
    let account = service.set_account_active(&caller, &account, active).await?;
    Ok(axum::Json(AccountView::from(account)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PasswordBody {
    password: Zeroizing<String>,
}

async fn set_password(
    State(service): State<Arc<Service>>,
    Asking(caller): Asking,
    Path(account): Path<AccountName>,
    Json(body): Json<PasswordBody>,
) -> Result<impl IntoResponse, Problem> {
    let account = service.set_password(&caller, &account, body.password).await?;
    Ok(axum::Json(AccountView::from(account)))
}
