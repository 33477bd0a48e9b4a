//! Owners that do not leave.

use super::{
    Again, Console, Form, Frame, Page, Pager, ROWS, Trouble, Visitor, about_form, address, count,
    id,
    members::{counted, number},
    to,
};
use crate::{
    clock,
    http::console::when::{When, when},
    service::{
        Caller,
        accounts::{AccountChanges, AccountName, NewAccount},
        members::Glance,
    },
    store,
};
use askama::Template;
use axum::{
    Router,
    extract::{Path, Query, State},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use counterfoil_core::{
    account::{AccountKind, Rank},
    id::AccountId,
};
use serde::Deserialize;
use std::sync::Arc;

pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new()
        .route("/portal/service-accounts", get(list).post(make))
        .route("/portal/service-accounts/{account}", get(show).post(rename))
        .route("/portal/service-accounts/{account}/disable", post(disable))
        .route("/portal/service-accounts/{account}/enable", post(enable))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Wanted {
    after: String,
    done: String,
    account: String,
}

struct Row {
    id: String,
    name: String,
    tokens: String,
    last_used: Option<When>,
    is_disabled: bool,
}

/// The list, which a dialog has under it.
struct List {
    accounts: Vec<Row>,
    pager: Pager,
    name: String,
    error: String,
}

#[derive(Template)]
#[template(path = "pages/service_accounts.html")]
struct ListPage {
    page: Frame,
    list: List,
}

#[derive(Template)]
#[template(path = "pages/service_account.html")]
struct AccountPage {
    page: Frame,
    list: List,
    account: Row,
    typed: String,
    error: String,
}

async fn list(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
    Query(wanted): Query<Wanted>,
) -> Result<Page<ListPage>, Trouble> {
    let caller = visitor.administers()?;
    let mut page = console.frame(&visitor, "service_accounts");
    page = match &*wanted.done {
        "made" => page.saying("good", "The service account is there; generate its tokens."),
        "renamed" => page.saying("good", "It is called so from now on."),
        "disabled" => {
            let account = console.service_account(caller, &wanted.account).await?;
            let text = format!(
                "{} is disabled. {} of it worked before; none does now.",
                account.account.name,
                counted(account.live, "token")
            );
            page.saying("good", text)
        }
        "enabled" => page.saying("good", "It is enabled again, and its tokens work."),
        _ => page,
    };
    let list = console.service_account_list(caller, &wanted.after).await?;
    Ok(Page(ListPage { page, list }))
}

async fn make(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
    form: Form,
) -> Result<Response, Trouble> {
    let caller = visitor.administers()?;
    visitor.still_looks(&form)?;
    let new = NewAccount {
        kind: AccountKind::Service,
        email: None,
        name: Some(form.text("name").to_owned()),
        external_id: None,
        password: None,
        organization: Some((visitor.organization()?, Rank::Member)),
    };
    match console.service.create_account(caller, new).await {
        Ok(_) => Ok(to("/portal/service-accounts?done=made")),
        Err(error) => {
            let mut list = console.service_account_list(caller, "").await?;
            list.error = about_form(error)?;
            form.text("name").clone_into(&mut list.name);
            let page = console.frame(&visitor, "service_accounts");
            Ok(Again(ListPage { page, list }).into_response())
        }
    }
}

async fn show(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
    Path(account): Path<String>,
) -> Result<Page<AccountPage>, Trouble> {
    Ok(Page(console.service_account_page(&visitor, &account, None, String::new()).await?))
}

async fn rename(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
    Path(account): Path<String>,
    form: Form,
) -> Result<Response, Trouble> {
    let caller = visitor.administers()?;
    let found = console.service_account(caller, &account).await?;
    let typed = form.text("name");
    let changes = AccountChanges { name: Some(typed.to_owned()), ..AccountChanges::default() };
    let name = AccountName::Id(found.account.id);
    match console.service.change_account(caller, &name, &changes).await {
        Ok(_) => Ok(to("/portal/service-accounts?done=renamed")),
        Err(error) => {
            let error = about_form(error)?;
            let page = console.service_account_page(&visitor, &account, Some(typed), error);
            Ok(Again(page.await?).into_response())
        }
    }
}

async fn disable(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
    Path(account): Path<String>,
) -> Result<Response, Trouble> {
    let account = console.set_active(&visitor, &account, false).await?;
    let parameters = [("done", "disabled"), ("account", &*account.to_string())];
    Ok(to(&address("/portal/service-accounts", &parameters)))
}

async fn enable(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
    Path(account): Path<String>,
) -> Result<Response, Trouble> {
    console.set_active(&visitor, &account, true).await?;
    Ok(to("/portal/service-accounts?done=enabled"))
}

impl Console {
    async fn set_active(
        &self,
        visitor: &Visitor,
        account: &str,
        active: bool,
    ) -> Result<AccountId, Trouble> {
        let caller = visitor.administers()?;
        let id = self.service_account(caller, account).await?.account.id;
        self.service.set_account_active(caller, &AccountName::Id(id), active).await?;
        Ok(id)
    }

    /// A service account of the organization; people have pages of their own.
    async fn service_account(&self, caller: &Caller, account: &str) -> Result<Glance, Trouble> {
        let found = self.service.member(caller, id(account)?).await?;
        if found.account.kind == AccountKind::Service { Ok(found) } else { Err(Trouble::NotFound) }
    }

    async fn service_account_page(
        &self,
        visitor: &Visitor,
        account: &str,
        typed: Option<&str>,
        error: String,
    ) -> Result<AccountPage, Trouble> {
        let caller = visitor.administers()?;
        let account = row(self.service_account(caller, account).await?);
        Ok(AccountPage {
            page: self.frame(visitor, "service_accounts"),
            list: self.service_account_list(caller, "").await?,
            typed: typed.unwrap_or(&account.name).to_owned(),
            account,
            error,
        })
    }

    async fn service_account_list(&self, caller: &Caller, after: &str) -> Result<List, Trouble> {
        let page = store::Page { after: after.parse().ok(), limit: ROWS + 1 };
        let mut found = self.service.members(caller, AccountKind::Service, None, page).await?;
        let has_more = found.len() > ROWS as usize;
        found.truncate(ROWS as usize);
        let last = found.last().filter(|_| has_more).map(|last| last.account.id.to_string());
        let path = "/portal/service-accounts";
        Ok(List {
            pager: Pager {
                words: count(found.len(), "service account"),
                first: if after.is_empty() { String::new() } else { path.into() },
                next: last.map_or_else(String::new, |last| address(path, &[("after", &last)])),
            },
            accounts: found.into_iter().map(row).collect(),
            name: String::new(),
            error: String::new(),
        })
    }
}

fn row(found: Glance) -> Row {
    let now = clock::now();
    Row {
        id: found.account.id.to_string(),
        is_disabled: found.account.disabled_at.is_some(),
        name: found.account.name,
        tokens: number(found.live),
        last_used: found.last_used.map(|at| when(at, now)),
    }
}
