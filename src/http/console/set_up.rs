//! The first run: the one-time link makes the first organization and its administrator.

use super::{
    Again, Console, Form, Outside, Page, Trouble,
    form::{password_hint, sentence},
    visitor,
};
use crate::service::{ServiceError, links::FirstSetUp, sessions::SignedIn};
use askama::Template;
use axum::{
    Router,
    extract::{FromRequest as _, Path, Request, State},
    response::{IntoResponse as _, Response},
    routing::get,
};
use std::sync::Arc;

const WAY_OUT: &str = "If nobody has set this installation up, restart the server: it prints a \
                       new link each time.";

pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new().route("/set-up/{code}", get(ask).post(set_up))
}

#[derive(Template)]
#[template(path = "pages/set_up.html")]
struct SetUpPage {
    page: Outside,
    form: SetUpForm,
    errors: Errors,
    hint: String,
}

/// What was typed.
#[derive(Default)]
struct SetUpForm {
    organization: String,
    name: String,
    email: String,
}

/// What is wrong with it.
#[derive(Default)]
struct Errors {
    organization: String,
    name: String,
    email: String,
    password: String,
}

impl SetUpPage {
    fn new(form: SetUpForm, errors: Errors) -> Self {
        Self { page: Outside::default(), form, errors, hint: password_hint() }
    }
}

/// Looking at it does not use it up: programs that preview links do that, too.
async fn ask(
    State(console): State<Arc<Console>>,
    Path(code): Path<String>,
) -> Result<Page<SetUpPage>, Trouble> {
    if !console.service.may_set_up(&code).await? {
        return Err(Trouble::Over(WAY_OUT));
    }
    Ok(Page(SetUpPage::new(SetUpForm::default(), Errors::default())))
}

async fn set_up(
    State(console): State<Arc<Console>>,
    Path(code): Path<String>,
    request: Request,
) -> Result<Response, Trouble> {
    let (parts, body) = request.into_parts();
    let client = visitor::client(&parts, &console);
    let form = Form::from_request(Request::from_parts(parts.clone(), body), &()).await?;
    let text = |name| form.text(name).to_owned();
    let typed =
        SetUpForm { organization: text("organization"), name: text("name"), email: text("email") };
    let mut errors = Errors::default();
    let Ok(email) = typed.email.parse() else {
        errors.email = "This is not an e-mail address.".into();
        return Ok(Again(SetUpPage::new(typed, errors)).into_response());
    };
    let new = FirstSetUp {
        organization: typed.organization.clone(),
        name: form.given("name").map(str::to_owned),
        email,
        password: form.password("password"),
    };
    let service = console.service.clone();
    let made = console.wholly(async move { service.set_up(&code, new, &client).await }).await?;
    match made {
        Ok(Some(begun)) => {
            console.signed_in(SignedIn::Wholly(begun), &parts.headers, "/tokens").await
        }
        Ok(None) => Err(Trouble::Over(WAY_OUT)),
        Err(ServiceError::Invalid { field: "password", message }) => {
            errors.password = sentence(&message);
            Ok(Again(SetUpPage::new(typed, errors)).into_response())
        }
        Err(ServiceError::Invalid { field: "name", message }) => {
            errors.name = sentence(&message);
            Ok(Again(SetUpPage::new(typed, errors)).into_response())
        }
        Err(ServiceError::Invalid { field: "organization", message }) => {
            errors.organization = sentence(&message);
            Ok(Again(SetUpPage::new(typed, errors)).into_response())
        }
        Err(error) => Err(error.into()),
    }
}
