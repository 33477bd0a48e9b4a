//! `/v1/accounts`, and the first set-up.

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
        accounts::{self, AccountChanges, AccountName, NewAccount},
        organizations,
        passwords::{LONGEST, SHORTEST},
    },
    store::{Page, StoredAccount},
};
use axum::extract::State;
use counterfoil_core::{
    account::{AccountKind, Email, Rank},
    id::{AccountId, OrganizationId},
};
use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use zeroize::Zeroizing;

pub(super) fn calls() -> Calls<Arc<Service>> {
    Calls::new()
        .on(
            calls::post("/v1/init", "initialise")
                .does("Make the first organization and its administrator")
                .about("Once; later it is refused.")
                .for_the_operator()
                .fails(&[StatusCode::CONFLICT]),
            initialise,
        )
        .on(
            calls::post("/v1/accounts", "create_account")
                .does("Make an account")
                .about(
                    "An administrator makes service accounts without an e-mail address; people \
                     are the operator's to make.",
                )
                .needs("accounts:write")
                .fails(&[StatusCode::NOT_FOUND, StatusCode::CONFLICT])
                .leads(
                    "account",
                    "/id",
                    &["show_account", "change_account", "set_password", "set_email"],
                ),
            create,
        )
        .on(
            calls::get("/v1/accounts", "list_accounts")
                .does("List accounts")
                .about(
                    "A member sees their own, an administrator those of the organization, the \
                     operator all.",
                )
                .needs("accounts:read"),
            list,
        )
        .on(
            calls::get("/v1/accounts/{account}", "show_account")
                .does("Show an account")
                .needs("accounts:read"),
            show,
        )
        .on(
            calls::patch("/v1/accounts/{account}", "change_account")
                .does("Disable an account, enable it again, or name it anew")
                .about(
                    "With `disabled` all its tokens stop at once. An administrator may do this to \
                     service accounts, the operator to people too.",
                )
                .needs("accounts:write")
                .fails(&[StatusCode::CONFLICT]),
            change,
        )
        .on(
            calls::put("/v1/accounts/{account}/password", "set_password")
                .does("Give a person a new password")
                .about("All their sessions in the console end.")
                .for_the_operator()
                .fails(&[StatusCode::CONFLICT]),
            set_password,
        )
        .on(
            calls::put("/v1/accounts/{account}/email", "set_email")
                .does("Give an account another e-mail address")
                .about(
                    "From then on it is known by this one alone: for signing in, and beside its \
                     tokens where an API takes `basic`. Sessions in the console go on; links that \
                     were mailed to the address before end.",
                )
                .for_the_operator()
                .fails(&[StatusCode::CONFLICT]),
            set_email,
        )
        .on(
            calls::delete("/v1/accounts/{account}/second-factor", "remove_second_factor")
                .does("Remove a person's second factor")
                .about("For whoever has lost it, and the recovery codes.")
                .for_the_operator()
                .fails(&[StatusCode::CONFLICT]),
            remove_second_factor,
        )
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Account")]
struct AccountView {
    id: AccountId,
    kind: AccountKind,
    email: Option<Email>,
    name: String,
    external_id: Option<Box<str>>,
    state: AccountState,
    has_password: bool,
    has_second_factor: bool,
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
            external_id: account.external_id,
            state: match account.disabled_at {
                Some(_) => AccountState::Disabled,
                None => AccountState::Active,
            },
            has_password: account.has_password,
            has_second_factor: account.has_second_factor,
            created_at: Moment(account.created_at),
            disabled_at: account.disabled_at.map(Moment),
        }
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Initialise", extend("examples" = [
    {"email": "ada@example.com", "organization": "Example"},
]))]
pub(crate) struct InitialiseBody {
    /// The administrator's.
    email: Email,
    /// What the organization is called.
    #[serde(default = "default_organization")]
    #[schemars(length(max = organizations::NAME), regex(pattern = NAME))]
    organization: String,
    /// The administrator's. Absent: none yet.
    #[schemars(with = "Option<Password>")]
    password: Option<Zeroizing<String>>,
}

fn default_organization() -> String {
    "Default".into()
}

/// A password, as its owner typed it.
#[derive(JsonSchema)]
#[schemars(inline, extend("format" = "password"))]
struct Password(
    #[expect(dead_code, reason = "it only describes")]
    #[schemars(length(min = SHORTEST, max = LONGEST))]
    String,
);

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Initialised")]
struct InitialisedView {
    organization: OrganizationId,
    account: AccountView,
}

async fn initialise(
    State(service): State<Arc<Service>>,
    Asking(caller): Asking,
    Json(body): Json<InitialiseBody>,
) -> Result<Created<InitialisedView>, Problem> {
    let InitialiseBody { organization, email, password } = body;
    let made = service.initialise(&caller, &organization, email, None, password).await?;
    Ok(Created(InitialisedView { organization: made.organization, account: made.account.into() }))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "CreateAccount", extend("examples" = [
    {
        "kind": "service",
        "name": "build",
        "organization": "01890a5a-91f4-7c35-8e0b-6a9d1f3c2b74",
    },
]))]
pub(crate) struct CreateBody {
    #[serde(default = "person")]
    kind: AccountKind,
    /// Without one it can neither sign in nor use the scheme `basic`.
    email: Option<Email>,
    /// The e-mail address, where absent.
    #[schemars(length(max = accounts::NAME), regex(pattern = NAME))]
    name: Option<String>,
    /// What somebody else's system calls it.
    #[schemars(length(min = 1, max = EXTERNAL_ID), regex(pattern = NAME))]
    external_id: Option<String>,
    /// Only for people with an e-mail address.
    #[schemars(with = "Option<Password>")]
    password: Option<Zeroizing<String>>,
    /// Where it is to be a member; a service account needs one.
    organization: Option<OrganizationId>,
    /// As what it is to be a member; `member`, where absent.
    rank: Option<Rank>,
}

fn person() -> AccountKind {
    AccountKind::Person
}

async fn create(
    State(service): State<Arc<Service>>,
    Asking(caller): Asking,
    Json(body): Json<CreateBody>,
) -> Result<Created<AccountView>, Problem> {
    if body.rank.is_some() && body.organization.is_none() {
        return Err(Problem::bad_request("rank: a rank is one in an organization; name it")
            .about("organization"));
    }
    let rank = body.rank.unwrap_or(Rank::Member);
    let new = NewAccount {
        kind: body.kind,
        email: body.email,
        name: body.name,
        external_id: body.external_id,
        password: body.password,
        organization: body.organization.map(|organization| (organization, rank)),
    };
    let account = service.create_account(&caller, new).await?;
    Ok(Created(account.into()))
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    /// Only those that somebody else's system calls so.
    external_id: Option<String>,
    /// Where the part begins: the `next_cursor` of the one before.
    cursor: Option<AccountId>,
    /// How many items at most.
    limit: Option<Limit>,
}

async fn list(
    State(service): State<Arc<Service>>,
    Asking(caller): Asking,
    Query(query): Query<ListQuery>,
) -> Result<axum::Json<List<AccountView>>, Problem> {
    let limit = bounded(query.limit);
    let page = Page { after: query.cursor, limit: limit + 1 };
    let rows = service.accounts(&caller, query.external_id, page).await?;
    Ok(axum::Json(List::of(rows, limit, |row| row.id.to_string(), AccountView::from)))
}

async fn show(
    State(service): State<Arc<Service>>,
    Asking(caller): Asking,
    Path(account): Path<AccountName>,
) -> Result<axum::Json<AccountView>, Problem> {
    Ok(axum::Json(AccountView::from(service.account(&caller, &account).await?)))
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ChangeAccount", extend("not" = state_and_names(), "examples" = [
    {"state": "disabled"},
    {"name": "Deployments", "external_id": "ci/7"},
]))]
pub(crate) struct ChangeBody {
    /// Changes alone, not with other fields.
    state: Option<AccountState>,
    #[schemars(length(max = accounts::NAME), regex(pattern = NAME))]
    name: Option<String>,
    /// What somebody else's system calls it; null takes it away.
    #[serde(default)]
    #[schemars(length(min = 1, max = EXTERNAL_ID), regex(pattern = NAME))]
    external_id: Field<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum AccountState {
    /// Its tokens work.
    Active,
    /// None of its tokens works.
    Disabled,
}

async fn change(
    State(service): State<Arc<Service>>,
    Asking(caller): Asking,
    Path(account): Path<AccountName>,
    Json(body): Json<ChangeBody>,
) -> Result<axum::Json<AccountView>, Problem> {
    let changes = AccountChanges { name: body.name, external_id: body.external_id.into() };
    let account = match body.state {
        Some(_) if changes.is_something() => return Err(state_changes_alone()),
        Some(state) => {
            let active = state == AccountState::Active;
            service.set_account_active(&caller, &account, active).await?
        }
        None => service.change_account(&caller, &account, &changes).await?,
    };
    Ok(axum::Json(AccountView::from(account)))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "SetPassword")]
pub(crate) struct PasswordBody {
    #[schemars(with = "Password")]
    password: Zeroizing<String>,
}

async fn set_password(
    State(service): State<Arc<Service>>,
    Asking(caller): Asking,
    Path(account): Path<AccountName>,
    Json(body): Json<PasswordBody>,
) -> Result<axum::Json<AccountView>, Problem> {
    let account = service.set_password(&caller, &account, body.password).await?;
    Ok(axum::Json(AccountView::from(account)))
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "SetEmail")]
pub(crate) struct EmailBody {
    /// No other account has it.
    email: Email,
}

async fn set_email(
    State(service): State<Arc<Service>>,
    Asking(caller): Asking,
    Path(account): Path<AccountName>,
    Json(body): Json<EmailBody>,
) -> Result<axum::Json<AccountView>, Problem> {
    let account = service.set_email(&caller, &account, &body.email).await?;
    Ok(axum::Json(AccountView::from(account)))
}

async fn remove_second_factor(
    State(service): State<Arc<Service>>,
    Asking(caller): Asking,
    Path(account): Path<AccountName>,
) -> Result<axum::Json<AccountView>, Problem> {
    Ok(axum::Json(AccountView::from(service.remove_second_factor(&caller, &account).await?)))
}
