//! My Profile: what colleagues see.

use super::{
    Again, Console, Form, Frame, Page, Trouble, Visitor,
    form::sentence,
    menu::{Entry, Place},
    to,
    when::{When, when},
};
use crate::{
    clock,
    service::{ServiceError, sessions::Home},
};
use askama::Template;
use axum::{
    Router,
    extract::{Query, State},
    response::{IntoResponse as _, Response},
    routing::get,
};
use counterfoil_core::{Timestamp, account::Rank};
use serde::Deserialize;
use std::sync::Arc;

pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new().route("/profile", get(show).post(rename))
}

#[derive(Template)]
#[template(path = "pages/profile.html")]
struct ProfilePage {
    page: Frame,
    profile: Profile,
    /// What APIs put here.
    entries: Vec<Entry>,
}

struct Profile {
    /// As it is, or was typed.
    name: String,
    error: String,
    email: String,
    memberships: Vec<Membership>,
}

struct Membership {
    organization: String,
    rank: &'static str,
    since: When,
}

impl Membership {
    fn of(home: &Home, now: Timestamp) -> Self {
        Self {
            organization: home.organization_name.clone(),
            rank: match home.rank {
                Rank::Administrator => "Administrator",
                Rank::Member => "Member",
            },
            since: when(home.joined_at, now),
        }
    }
}

impl ProfilePage {
    fn of(console: &Console, visitor: &Visitor) -> Self {
        let (page, now) = (console.frame(visitor, "profile"), clock::now());
        let memberships = visitor.here.memberships.iter();
        let profile = Profile {
            name: page.name.clone(),
            error: String::new(),
            email: page.email.clone(),
            memberships: memberships.map(|home| Membership::of(home, now)).collect(),
        };
        let entries = page.entries.on(Place::Profile).cloned().collect();
        Self { page, profile, entries }
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
) -> Page<ProfilePage> {
    let mut page = ProfilePage::of(&console, &visitor);
    if done.as_deref() == Some("saved") {
        page.page = page.page.saying("good", "Your name is changed.");
    }
    Page(page)
}

async fn rename(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
    form: Form,
) -> Result<Response, Trouble> {
    let name = form.text("name");
    match console.service.rename_oneself(&visitor.here, name).await {
        Ok(()) => Ok(to("/profile?done=saved")),
        Err(ServiceError::Invalid { message, .. }) => {
            let mut page = ProfilePage::of(&console, &visitor);
            (page.profile.name, page.profile.error) = (name.to_owned(), sentence(&message));
            Ok(Again(page).into_response())
        }
        Err(error) => Err(error.into()),
    }
}
