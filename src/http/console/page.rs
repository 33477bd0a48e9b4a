//! Pages: a template becomes an answer, and so does what went wrong.

use super::{tokens::facts::sentence, visitor::Outside, when::when};
use crate::{
    clock,
    http::{loggable::loggable, problem::Problem},
    service::ServiceError,
};
use askama::Template;
use axum::response::{IntoResponse, Redirect, Response};
use counterfoil_core::time::Seconds;
use http::{HeaderValue, StatusCode, header};
use std::time::Duration;

/// A page that is as it should be.
pub(crate) struct Page<T>(pub(crate) T);

impl<T: Template> IntoResponse for Page<T> {
    fn into_response(self) -> Response {
        render(StatusCode::OK, &self.0)
    }
}

/// The page of a form again, with what was typed and what is wrong with it.
pub(crate) struct Again<T>(pub(crate) T);

impl<T: Template> IntoResponse for Again<T> {
    fn into_response(self) -> Response {
        render(StatusCode::UNPROCESSABLE_ENTITY, &self.0)
    }
}

/// What a page shows is somebody's own: nobody keeps it, and going back asks anew.
fn render(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => {
            let headers = [
                (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
                (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
            ];
            (status, headers, html).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "a page could not be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// To another page, which is asked for with GET (RFC 9110 §15.4.4).
pub(crate) fn to(path: &str) -> Response {
    Redirect::to(path).into_response()
}

/// Why there is no such page.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// Nobody is signed in. Whoever is, gets to where they wanted.
    SignIn { next: String },
    /// There is nothing here, or not for this visitor.
    NotFound,
    /// A link that has led here once, or never did.
    Gone(String),
    /// The link does not work, or not any more; what to do instead.
    Over(&'static str),
    /// The visitor may not.
    Forbidden(String),
    /// The visitor belongs to no organization.
    Homeless,
    /// It did not come from one of our own pages.
    CrossSite { public_url: String },
    /// What was sent makes no sense.
    Wrong(String),
    /// It cannot be done as things are.
    Conflict(String),
    /// Too often, or too much at once.
    Later { seconds: u64, why: String },
    /// It could not be done, and that is not the visitor's fault.
    Unavailable(String),
}

impl From<ServiceError> for Trouble {
    fn from(error: ServiceError) -> Self {
        match error {
            ServiceError::Invalid { .. } => Self::Wrong(error.to_string()),
            ServiceError::NotFound(_) => Self::NotFound,
            ServiceError::Forbidden(why) => Self::Forbidden(why),
            ServiceError::Conflict(why) => Self::Conflict(why),
            ServiceError::KeyReused => {
                Self::Conflict("this form has been sent before, with something else in it".into())
            }
            ServiceError::Busy(why) => Self::Later { seconds: 2, why },
            ServiceError::TooOften { why, wait } => {
                Self::Later { seconds: wait.as_secs().max(1), why: sentence(&why) }
            }
            ServiceError::Unavailable(why) => Self::Unavailable(why),
            ServiceError::OlderNodes | ServiceError::Unknown => {
                Self::Unavailable(error.to_string())
            }
        }
    }
}

impl Trouble {
    /// Somebody was wrong too often: when they may try again.
    pub(crate) fn wait(left: Duration) -> Self {
        let seconds = left.as_secs().max(1);
        let now = clock::now();
        let again = when(now.plus(Seconds(seconds)), now);
        let why = format!(
            "This was tried too often. Nothing was looked at and nothing was changed. Try again \
             {}, after {}.",
            again.words, again.exact
        );
        Self::Later { seconds, why }
    }
}

impl From<Problem> for Trouble {
    fn from(problem: Problem) -> Self {
        Self::Wrong(problem.detail)
    }
}

/// What a visitor is told of trouble.
#[derive(Template)]
#[template(path = "pages/error.html")]
struct ErrorPage {
    page: Outside,
    title: &'static str,
    text: String,
    /// Where to go on, and what that is called.
    way_out: (String, &'static str),
}

impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        let home = || ("/".to_owned(), "To your tokens");
        let (status, title, what, way_out) = match self {
            Self::SignIn { next } => {
                let next: String = form_urlencoded::byte_serialize(next.as_bytes()).collect();
                return to(&format!("/sign-in?next={next}"));
            }
            Self::NotFound => (
                StatusCode::NOT_FOUND,
                "There is nothing here",
                "The address may be mistyped, or what was here is not yours to see.".into(),
                home(),
            ),
            Self::Gone(why) => (StatusCode::NOT_FOUND, "This link leads nowhere", why, home()),
            Self::Over(what) => (
                StatusCode::NOT_FOUND,
                "This link does not work",
                format!(
                    "Links work once, for an hour, and only the newest of its kind does. {what}"
                ),
                ("/sign-in".into(), "To sign in"),
            ),
            Self::Forbidden(why) => (StatusCode::FORBIDDEN, "You may not do this", why, home()),
            // Every page of tokens would say so again; from this one they can sign out.
            Self::Homeless => (
                StatusCode::FORBIDDEN,
                "You may not do this",
                "You belong to no organization. Ask an administrator of one to invite you.".into(),
                ("/account".into(), "To your account"),
            ),
            Self::CrossSite { public_url } => (
                StatusCode::FORBIDDEN,
                "This came from elsewhere",
                format!(
                    "A change has to be asked for on a page of this console, which is at \
                     {public_url}. Nothing was changed. Open it there and try again."
                ),
                (public_url, "Open the console"),
            ),
            Self::Wrong(why) => {
                (StatusCode::BAD_REQUEST, "This request makes no sense", why, home())
            }
            Self::Conflict(why) => (StatusCode::CONFLICT, "It cannot be done now", why, home()),
            Self::Later { seconds, why } => {
                let after = seconds.to_string();
                let way_out = home();
                let page = Self::page("Too much at once", why, way_out);
                let mut response = render(StatusCode::TOO_MANY_REQUESTS, &page);
                if let Ok(after) = HeaderValue::try_from(after) {
                    response.headers_mut().insert(header::RETRY_AFTER, after);
                }
                return response;
            }
            Self::Unavailable(why) => {
                tracing::error!(why = loggable(&why), "a page could not be had");
                (StatusCode::SERVICE_UNAVAILABLE, "It cannot be done now", why, home())
            }
        };
        render(status, &Self::page(title, what, way_out))
    }
}

impl Trouble {
    fn page(title: &'static str, text: String, way_out: (String, &'static str)) -> ErrorPage {
        ErrorPage { page: Outside::default(), title, text, way_out }
    }
}
