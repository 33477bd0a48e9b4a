//! Signing in and out.

use super::{
    Again, Console, Form, Outside, Page, Trouble, Visitor, to,
    visitor::{self, local},
};
use crate::service::sessions::{Begun, SignedIn};
use askama::Template;
use axum::{
    Router,
    extract::{FromRequest as _, Query, Request, State},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use counterfoil_core::id::OrganizationId;
use http::{HeaderMap, request::Parts};
use serde::Deserialize;
use std::sync::Arc;

pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new()
        .route("/sign-in", get(ask).post(sign_in))
        .route("/sign-in/code", get(ask_for_code).post(show_code))
        .route("/sign-out", post(sign_out))
        .route("/signed-out", get(signed_out))
        .route("/organization", post(choose))
}

#[derive(Template)]
#[template(path = "pages/sign_in.html")]
struct SignInPage {
    page: Outside,
    form: SignInForm,
}

/// What was typed, and what is wrong with it.
struct SignInForm {
    email: String,
    next: String,
    error: &'static str,
}

impl SignInPage {
    fn new(email: String, next: String, error: &'static str) -> Self {
        Self { page: Outside::default(), form: SignInForm { email, next, error } }
    }
}

#[derive(Deserialize)]
struct Next {
    #[serde(default)]
    next: String,
    /// Whether a recovery code is asked for.
    recovery: Option<String>,
}

async fn ask(visitor: Result<Visitor, Trouble>, Query(query): Query<Next>) -> Response {
    let next = local(&query.next).to_owned();
    if visitor.is_ok() {
        return to(&next);
    }
    Page(SignInPage::new(String::new(), next, "")).into_response()
}

/// A form, and who sent it.
async fn read(request: Request) -> Result<(Parts, Form), Trouble> {
    let (parts, body) = request.into_parts();
    let form = Form::from_request(Request::from_parts(parts.clone(), body), &()).await?;
    Ok((parts, form))
}

async fn sign_in(
    State(console): State<Arc<Console>>,
    request: Request,
) -> Result<Response, Trouble> {
    let (parts, form) = read(request).await?;
    let client = visitor::client(&parts, &console);
    let (email, next) = (form.text("email").to_owned(), local(form.text("next")).to_owned());
    let signed = console.service.sign_in(&email, form.password("password"), &client).await?;
    if let SignedIn::Wrong | SignedIn::Over = signed {
        let error = "The e-mail address or the password is wrong.";
        return Ok(Again(SignInPage::new(email, next, error)).into_response());
    }
    console.signed_in(signed, &parts.headers, &next).await
}

#[derive(Template)]
#[template(path = "pages/second_factor.html")]
struct CodePage {
    page: Outside,
    next: String,
    /// The same, for a query.
    encoded: String,
    /// Whether a recovery code is asked for instead.
    recovery: bool,
    error: &'static str,
}

impl CodePage {
    fn new(next: String, recovery: bool, error: &'static str) -> Self {
        Self { page: Outside::default(), encoded: encoded(&next), next, recovery, error }
    }
}

/// As the value of a query's field.
fn encoded(next: &str) -> String {
    form_urlencoded::byte_serialize(next.as_bytes()).collect()
}

async fn ask_for_code(
    State(console): State<Arc<Console>>,
    headers: HeaderMap,
    Query(query): Query<Next>,
) -> Result<Response, Trouble> {
    let (next, recovery) = (local(&query.next).to_owned(), query.recovery.is_some());
    let half = match visitor::cookie(&headers, console.is_secure()) {
        Some(secret) => console.service.half_session(&secret).await?,
        None => None,
    };
    if half.is_none() {
        return Err(Trouble::SignIn { next });
    }
    Ok(Page(CodePage::new(next, recovery, "")).into_response())
}

async fn show_code(
    State(console): State<Arc<Console>>,
    request: Request,
) -> Result<Response, Trouble> {
    let (parts, form) = read(request).await?;
    let client = visitor::client(&parts, &console);
    let next = local(form.text("next")).to_owned();
    let Some(secret) = visitor::cookie(&parts.headers, console.is_secure()) else {
        return Err(Trouble::SignIn { next });
    };
    match console.service.show_code(&secret, form.text("code"), &client).await? {
        SignedIn::Wrong => {
            let recovery = form.given("recovery").is_some();
            let error = if recovery {
                "This code is wrong, or it has been used."
            } else {
                "This code is wrong, or it has been used. Wait for the next one."
            };
            Ok(Again(CodePage::new(next, recovery, error)).into_response())
        }
        signed => console.signed_in(signed, &parts.headers, &next).await,
    }
}

async fn sign_out(
    State(console): State<Arc<Console>>,
    headers: HeaderMap,
) -> Result<Response, Trouble> {
    if let Some(secret) = visitor::cookie(&headers, console.is_secure()) {
        console.service.sign_out(&secret).await?;
    }
    let mut response = to("/signed-out");
    if let Some((name, value)) = visitor::forget_cookie(console.is_secure()) {
        response.headers_mut().insert(name, value);
    }
    Ok(response)
}

#[derive(Template)]
#[template(path = "pages/signed_out_page.html")]
struct SignedOutPage {
    page: Outside,
}

async fn signed_out(visitor: Result<Visitor, Trouble>) -> Response {
    if visitor.is_ok() {
        return to("/");
    }
    Page(SignedOutPage { page: Outside::default() }).into_response()
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
    /// Where somebody goes who has come this far. `before` is what the browser had shown.
    pub(super) async fn signed_in(
        &self,
        signed: SignedIn,
        before: &HeaderMap,
        next: &str,
    ) -> Result<Response, Trouble> {
        let begun = match signed {
            SignedIn::Later(left) => return Err(Trouble::wait(left)),
            SignedIn::Wrong | SignedIn::Over => {
                return Err(Trouble::SignIn { next: next.to_owned() });
            }
            SignedIn::Wholly(begun) | SignedIn::Half(begun) => begun,
        };
        // Whoever was signed in before in this browser is not any more.
        if let Some(before) = visitor::cookie(before, self.is_secure()) {
            self.service.sign_out(&before).await?;
        }
        let way = if begun.session.is_complete {
            to(next)
        } else {
            to(&format!("/sign-in/code?next={}", encoded(next)))
        };
        Ok(self.with_session(&begun, way))
    }

    /// An answer with which a browser begins to show a session's secret.
    pub(super) fn with_session(&self, begun: &Begun, mut response: Response) -> Response {
        let longest = self.service.lifetimes.load().longest;
        let cookie = visitor::set_cookie(&begun.secret, longest.0, self.is_secure());
        if let Some((name, value)) = cookie {
            response.headers_mut().insert(name, value);
        }
        response
    }
}
