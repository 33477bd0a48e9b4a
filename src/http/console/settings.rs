//! Settings: the organization, as far as its members may see it.

use super::{
    Again, Console, Form, Frame, Page, Trouble, Visitor,
    form::sentence,
    menu::{Entry, Place},
    to,
    when::{When, when},
};
use crate::{clock, service::ServiceError};
use askama::Template;
use axum::{
    Router,
    extract::{Query, State},
    response::{IntoResponse as _, Response},
    routing::get,
};
use serde::Deserialize;
use std::sync::Arc;

pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new().route("/settings", get(show).post(rename))
}

#[derive(Template)]
#[template(path = "pages/settings.html")]
struct SettingsPage {
    page: Frame,
    organization: Organization,
    /// What APIs put here.
    entries: Vec<Entry>,
}

struct Organization {
    /// As it is.
    name: String,
    /// As it was typed.
    typed: String,
    error: String,
    id: String,
    created: When,
}

impl SettingsPage {
    async fn of(console: &Console, visitor: &Visitor) -> Result<Self, Trouble> {
        let caller = visitor.caller()?;
        let found = console.service.organization(caller, visitor.organization()?).await?;
        let organization = Organization {
            name: found.name.clone(),
            typed: found.name,
            error: String::new(),
            id: found.id.to_string(),
            created: when(found.created_at, clock::now()),
        };
        let page = console.frame(visitor, "settings");
        let entries = page.entries.on(Place::Settings).cloned().collect();
        Ok(Self { page, organization, entries })
    }
}

/// What was just done.
#[derive(Deserialize)]
struct Done {
    done: Option<String>,
}

async fn show(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
    Query(Done { done }): Query<Done>,
) -> Result<Page<SettingsPage>, Trouble> {
    let mut page = SettingsPage::of(&console, &visitor).await?;
    if done.as_deref() == Some("saved") {
        page.page = page.page.saying("good", "The organization's name is changed.");
    }
    Ok(Page(page))
}

async fn rename(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
    form: Form,
) -> Result<Response, Trouble> {
    let (caller, name) = (visitor.administers()?, form.text("name"));
    visitor.still_looks(&form)?;
    match console.service.rename_own_organization(caller, name).await {
        Ok(_) => Ok(to("/settings?done=saved")),
        Err(ServiceError::Invalid { message, .. }) => {
            let mut page = SettingsPage::of(&console, &visitor).await?;
            let organization = &mut page.organization;
            (organization.typed, organization.error) = (name.to_owned(), sentence(&message));
            Ok(Again(page).into_response())
        }
        Err(error) => Err(error.into()),
    }
}
