//! Account Settings: password, second factor, sessions.

mod second_factor;

use super::{
    Again, Console, Form, Frame, Page, Trouble, Visitor, browser,
    form::{password_hint, sentence},
    menu::{Entry, Place},
    to, visitor,
    when::{When, when},
};
use crate::{
    clock,
    service::{
        ServiceError,
        own_account::{Factor, Unproven},
        second_factor::RECOVERY_CODES,
        sessions::SignedIn,
    },
    store::StoredSession,
};
use askama::Template;
use axum::{
    Router,
    extract::{FromRequest as _, FromRequestParts as _, Path, Query, Request, State},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use counterfoil_core::{Timestamp, id::SessionId};
use serde::Deserialize;
use std::sync::Arc;

pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new()
        .route("/account", get(show))
        .route("/account/password", post(change_password))
        .route("/account/sessions/end", post(end_others))
        .route("/account/sessions/{id}/end", post(end_session))
        .merge(second_factor::routes())
}

#[derive(Template)]
#[template(path = "pages/account_settings.html")]
struct AccountPage {
    page: Frame,
    account: Account,
}

/// What the page shows, alone or under a dialog.
struct Account {
    email: String,
    /// What APIs put here.
    entries: Vec<Entry>,
    factor: Option<Factor>,
    /// How many recovery codes there are at first.
    all: usize,
    sessions: Vec<Row>,
    errors: Errors,
    hint: String,
}

/// What is wrong with a password.
#[derive(Default)]
struct Errors {
    current: String,
    password: String,
}

/// One session.
struct Row {
    id: String,
    browser: String,
    address: String,
    /// Whether it is the one that looks at this.
    here: bool,
    signed_in: When,
    last_seen: When,
}

impl Row {
    fn of(session: &StoredSession, visitor: &Visitor, now: Timestamp) -> Self {
        Self {
            id: session.id.to_string(),
            browser: browser::in_words(session.user_agent.as_deref()),
            address: session.address.map(|address| address.to_string()).unwrap_or_default(),
            here: session.id == visitor.here.session.id,
            signed_in: when(session.created_at, now),
            last_seen: when(session.last_seen_at, now),
        }
    }
}

impl AccountPage {
    async fn of(console: &Console, visitor: &Visitor) -> Result<Self, Trouble> {
        let now = clock::now();
        let page = console.frame(visitor, "account");
        let sessions = console.service.own_sessions(&visitor.here, now).await?;
        let account = Account {
            email: page.email.clone(),
            entries: page.entries.on(Place::Account).cloned().collect(),
            factor: console.service.own_factor(&visitor.here).await?,
            all: RECOVERY_CODES,
            sessions: sessions.iter().map(|session| Row::of(session, visitor, now)).collect(),
            errors: Errors::default(),
            hint: password_hint(),
        };
        Ok(Self { page, account })
    }

    fn saying(mut self, done: &Done) -> Self {
        let others = match done.ended {
            0 => "There was no other session.".to_owned(),
            1 => "One other session has ended.".to_owned(),
            ended => format!("{ended} other sessions have ended."),
        };
        let text = match &*done.done {
            "password" => format!("Your password is changed. {others}"),
            "sessions" => others,
            "session" => "The session has ended.".to_owned(),
            "factor-removed" => {
                "The second factor is off. Signing in takes the password alone.".to_owned()
            }
            _ => return self,
        };
        self.page = self.page.saying("good", text);
        self
    }
}

/// What was just done.
#[derive(Default, Deserialize)]
struct Done {
    #[serde(default)]
    done: String,
    #[serde(default)]
    ended: u64,
}

async fn show(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
    Query(done): Query<Done>,
) -> Result<Page<AccountPage>, Trouble> {
    Ok(Page(AccountPage::of(&console, &visitor).await?.saying(&done)))
}

/// A form, who sent it, and from where.
struct Sent {
    visitor: Visitor,
    form: Form,
    client: crate::service::sessions::Client,
    headers: http::HeaderMap,
}

impl Sent {
    async fn read(console: &Arc<Console>, request: Request) -> Result<Self, Trouble> {
        let (mut parts, body) = request.into_parts();
        let visitor = Visitor::from_request_parts(&mut parts, console).await?;
        let client = visitor::client(&parts, console);
        let headers = parts.headers.clone();
        let form = Form::from_request(Request::from_parts(parts, body), &()).await?;
        Ok(Self { visitor, form, client, headers })
    }
}

/// What is wrong beside which field; other trouble is a page of its own.
enum Wrong {
    Password,
    Code,
    Field(String),
}

fn wrong(error: Unproven) -> Result<Wrong, Trouble> {
    match error {
        Unproven::Password => Ok(Wrong::Password),
        Unproven::Code => Ok(Wrong::Code),
        Unproven::Other(ServiceError::Invalid { message, .. }) => {
            Ok(Wrong::Field(sentence(&message)))
        }
        Unproven::Later(left) => Err(Trouble::wait(left)),
        Unproven::SessionOver => Err(Trouble::SignIn { next: "/account".into() }),
        Unproven::Other(error) => Err(error.into()),
    }
}

const WRONG_PASSWORD: &str = "This is not your password.";
const WRONG_CODE: &str = "This code is wrong, or it has been used. Wait for the next one.";

async fn change_password(
    State(console): State<Arc<Console>>,
    request: Request,
) -> Result<Response, Trouble> {
    let Sent { visitor, form, client, headers } = Sent::read(&console, request).await?;
    let (service, here) = (console.service.clone(), visitor.here.clone());
    let (current, new) = (form.password("current"), form.password("password"));
    let changed = console
        .wholly(async move { service.change_own_password(&here, current, new, &client).await })
        .await?;
    match changed {
        Ok((signed @ SignedIn::Wholly(_), ended)) => {
            let next = format!("/account?done=password&ended={ended}");
            console.signed_in(signed, &headers, &next).await
        }
        Ok(_) => Ok(to("/sign-in")),
        Err(error) => {
            let wrong = wrong(error)?;
            let mut page = AccountPage::of(&console, &visitor).await?;
            match wrong {
                Wrong::Password | Wrong::Code => {
                    page.account.errors.current = WRONG_PASSWORD.into();
                }
                Wrong::Field(message) => page.account.errors.password = message,
            }
            Ok(Again(page).into_response())
        }
    }
}

async fn end_session(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> Result<Response, Trouble> {
    let id: SessionId = id.parse().map_err(|_| Trouble::NotFound)?;
    console.service.end_own_session(&visitor.here, id).await?;
    Ok(to("/account?done=session"))
}

async fn end_others(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
) -> Result<Response, Trouble> {
    let ended = console.service.end_other_sessions(&visitor.here).await?;
    Ok(to(&format!("/account?done=sessions&ended={ended}")))
}
