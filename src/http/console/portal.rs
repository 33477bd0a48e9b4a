//! The Admin Portal: members, service accounts, every token of the organization, and what to
//! do on the day that one leaks.

mod audit;
mod audit_words;
mod bulk;
mod invitations;
mod leaks;
mod leavers;
mod members;
mod service_accounts;
mod sessions;
mod tokens;
mod why;
mod words;

pub(super) use why::in_words;

use super::{
    Again, Console, Form, Frame, Page, Trouble, Visitor, browser, to, tokens::facts::sentence,
};
use crate::service::ServiceError;
use axum::Router;
use std::{str::FromStr, sync::Arc};

/// How many rows stand on a page.
const ROWS: u32 = 25;

pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new()
        .merge(members::routes())
        .merge(invitations::routes())
        .merge(service_accounts::routes())
        .merge(tokens::routes())
        .merge(bulk::routes())
        .merge(leavers::routes())
        .merge(sessions::routes())
        .merge(audit::routes())
        .merge(leaks::routes())
        .merge(why::routes())
}

/// An option of a drop-down, or one of few cards.
#[derive(Debug, Clone, Default)]
struct Choice {
    value: String,
    label: String,
    hint: &'static str,
    phrase: &'static str,
    selected: bool,
}

impl Choice {
    fn new(value: impl Into<String>, label: impl Into<String>, chosen: &str) -> Self {
        let value = value.into();
        let selected = value == chosen;
        Self { value, label: label.into(), selected, ..Self::default() }
    }
}

/// Where a list goes on, and its beginning; empty for none.
#[derive(Debug, Clone, Default)]
struct Pager {
    words: String,
    first: String,
    next: String,
}

/// An address with parameters, without those that are empty.
fn address(path: &str, parameters: &[(&str, &str)]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in parameters.iter().filter(|(_, value)| !value.is_empty()) {
        query.append_pair(name, value);
    }
    format!("{path}?{}", query.finish()).trim_end_matches('?').to_owned()
}

/// An id in an address or a form: what is none is nothing's.
fn id<T: FromStr>(text: &str) -> Result<T, Trouble> {
    text.parse().map_err(|_| Trouble::NotFound)
}

/// So many of something, in words.
fn count(number: usize, one: &str) -> String {
    format!("{number} {one}{}", if number == 1 { "" } else { "s" })
}

/// What stands beside a field of a form, of an error that is about what was typed; else it
/// is trouble.
fn about_form(error: ServiceError) -> Result<String, Trouble> {
    match error {
        ServiceError::Invalid { message, .. } | ServiceError::Conflict(message) => {
            Ok(sentence(&message))
        }
        other => Err(other.into()),
    }
}

#[cfg(test)]
mod unit_tests {
    #[test]
    fn addresses_and_words() {
        let parameters = [("a", "x y"), ("b", ""), ("c", "ä&=")];
        assert_eq!(super::address("/p", &parameters), "/p?a=x+y&c=%C3%A4%26%3D");
        assert_eq!(super::address("/p", &[]), "/p");
        assert_eq!(super::count(1, "token"), "1 token");
        assert_eq!(super::count(0, "token"), "0 tokens");
    }
}
