//! A new password for whoever forgot it, by a link in a mail.

use super::{
    Again, Console, Form, Outside, Page, Trouble,
    form::{password_hint, sentence},
    visitor,
};
use crate::service::ServiceError;
use askama::Template;
use axum::{
    Router,
    extract::{FromRequest as _, Path, Request, State},
    response::{IntoResponse as _, Response},
    routing::get,
};
use std::sync::Arc;

const WAY_OUT: &str = "Ask for a new one where you sign in.";

pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new()
        .route("/forgotten", get(ask).post(forgotten))
        .route("/reset/{code}", get(ask_for_password).post(reset))
}

#[derive(Template)]
#[template(path = "pages/reset_request.html")]
struct ForgottenPage {
    page: Outside,
    /// Whether mail is sent here at all.
    by_mail: bool,
    sent: bool,
    /// As it was typed.
    email: String,
}

async fn ask(State(console): State<Arc<Console>>) -> Page<ForgottenPage> {
    let by_mail = console.service.post.is_configured();
    Page(ForgottenPage { page: Outside::default(), by_mail, sent: false, email: String::new() })
}

async fn forgotten(
    State(console): State<Arc<Console>>,
    request: Request,
) -> Result<Response, Trouble> {
    let (parts, body) = request.into_parts();
    let address = visitor::client(&parts, &console).address;
    let form = Form::from_request(Request::from_parts(parts, body), &()).await?;
    let email = form.text("email").to_owned();
    let by_mail = console.service.post.is_configured();
    if by_mail {
        let asked = console.service.forgotten(&email, address, &console.public_url);
        asked.map_err(Trouble::wait)?;
    }
    Ok(Page(ForgottenPage { page: Outside::default(), by_mail, sent: true, email }).into_response())
}

#[derive(Template)]
#[template(path = "pages/reset.html")]
struct ResetPage {
    page: Outside,
    email: String,
    error: String,
    hint: String,
}

impl ResetPage {
    async fn of(console: &Console, code: &str, error: String) -> Result<Self, Trouble> {
        let account = console.service.reset_of(code).await?.ok_or(Trouble::Over(WAY_OUT))?;
        let email = account.email.map(|email| email.to_string()).unwrap_or_default();
        Ok(Self { page: Outside::default(), email, error, hint: password_hint() })
    }
}

/// Looking at it does not use it up: programs that look for malice in mail do that, too.
async fn ask_for_password(
    State(console): State<Arc<Console>>,
    Path(code): Path<String>,
) -> Result<Page<ResetPage>, Trouble> {
    ResetPage::of(&console, &code, String::new()).await.map(Page)
}

async fn reset(
    State(console): State<Arc<Console>>,
    Path(code): Path<String>,
    request: Request,
) -> Result<Response, Trouble> {
    let (parts, body) = request.into_parts();
    let client = visitor::client(&parts, &console);
    let form = Form::from_request(Request::from_parts(parts.clone(), body), &()).await?;
    let password = form.password("password");
    let (service, used) = (console.service.clone(), code.clone());
    let done = console.wholly(async move { service.reset(&used, password, &client).await }).await?;
    match done {
        Ok(Some(signed)) => console.signed_in(signed, &parts.headers, "/tokens").await,
        Ok(None) => Err(Trouble::Over(WAY_OUT)),
        Err(ServiceError::Invalid { message, .. }) => {
            let page = ResetPage::of(&console, &code, sentence(&message)).await?;
            Ok(Again(page).into_response())
        }
        Err(error) => Err(error.into()),
    }
}
