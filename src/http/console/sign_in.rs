//! Signing in and out.

use super::{
    Again, Console, Form, Outside, Page, Trouble, Visitor, to,
    visitor::{self, local},
};
use crate::service::sessions::{Begun, LONGEST, SignedIn};
use askama::Template;
use axum::{
    Router,
    extract::{FromRequest as _, Query, Request, State},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use counterfoil_core::id::OrganizationId;
use http::HeaderMap;
use serde::Deserialize;
use std::sync::Arc;

pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new()
        .route("/sign-in", get(ask).post(sign_in))
        .route("/sign-out", post(sign_out))
        .route("/organization", post(choose))
}

#[derive(Template)]
#[template(path = "pages/sign_in.html")]
struct SignInPage {
    page: Outside,
    form: SignInForm,
    /// Whether a new password can be asked for by mail.
    can_reset: bool,
}

/// What was typed, and what is wrong with it.
struct SignInForm {
    email: String,
    next: String,
    error: String,
}

impl SignInPage {
    fn new(email: String, next: String, error: String) -> Self {
        let form = SignInForm { email, next, error };
        Self { page: Outside::default(), form, can_reset: false }
    }
}

#[derive(Deserialize)]
struct Next {
    #[serde(default)]
    next: String,
}

async fn ask(visitor: Result<Visitor, Trouble>, Query(Next { next }): Query<Next>) -> Response {
    let next = local(&next).to_owned();
    if visitor.is_ok() {
        return to(&next);
    }
    Page(SignInPage::new(String::new(), next, String::new())).into_response()
}

async fn sign_in(
    State(console): State<Arc<Console>>,
    request: Request,
) -> Result<Response, Trouble> {
    let (parts, body) = request.into_parts();
    let client = visitor::client(&parts, &console);
    let before = visitor::cookie(&parts.headers, console.is_secure());
    let form = Form::from_request(Request::from_parts(parts, body), &()).await?;
    let (email, next) = (form.text("email").to_owned(), local(form.text("next")).to_owned());
    let signed = console.service.sign_in(&email, form.password("password"), &client).await?;
    let Some(signed) = signed else {
        let error = "The e-mail address or the password is wrong.".into();
        return Ok(Again(SignInPage::new(email, next, error)).into_response());
    };
    // Whoever was signed in before in this browser is not any more.
    if let Some(before) = before {
        console.service.sign_out(&before).await?;
    }
    Ok(match signed {
        SignedIn::Wholly(begun) => console.with_session(&begun, to(&next)),
        SignedIn::Half(begun) => {
            let next: String = form_urlencoded::byte_serialize(next.as_bytes()).collect();
            console.with_session(&begun, to(&format!("/sign-in/code?next={next}")))
        }
    })
}

async fn sign_out(
    State(console): State<Arc<Console>>,
    headers: HeaderMap,
) -> Result<Response, Trouble> {
    if let Some(secret) = visitor::cookie(&headers, console.is_secure()) {
        console.service.sign_out(&secret).await?;
    }
    let mut response = to("/sign-in");
    if let Some((name, value)) = visitor::forget_cookie(console.is_secure()) {
        response.headers_mut().insert(name, value);
    }
    Ok(response)
}

async fn choose(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
    form: Form,
) -> Result<Response, Trouble> {
    let organization: OrganizationId =
        form.text("organization").parse().map_err(|_| Trouble::NotFound)?;
    console.service.look_at(&visitor.here, organization).await?;
    Ok(to("/tokens"))
}

impl Console {
    /// An answer with which a browser begins to show a session's secret.
    pub(super) fn with_session(&self, begun: &Begun, mut response: Response) -> Response {
        let cookie = visitor::set_cookie(&begun.secret, LONGEST.0, self.is_secure());
        if let Some((name, value)) = cookie {
            response.headers_mut().insert(name, value);
        }
        response
    }
}
