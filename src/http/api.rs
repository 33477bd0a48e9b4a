//! The management API, `/v1`: thin handlers over the operations.

mod accounts;
mod ledger;
mod organizations;
mod tokens;

use super::problem;
use crate::service::{Caller, Service};
use axum::{Router, extract::FromRequestParts, middleware};
use counterfoil_core::Timestamp;
use http::request::Parts;
use serde::{Deserialize, Serialize};
use std::{convert::Infallible, sync::Arc};

/// The operator's management API: whoever reaches it may do everything.
pub(crate) fn for_operator(service: Arc<Service>) -> Router {
    Router::new()
        .merge(tokens::routes())
        .merge(accounts::routes())
        .merge(organizations::routes())
        .merge(ledger::routes())
        .fallback(problem::no_such_path)
        .method_not_allowed_fallback(problem::wrong_method)
        .layer(middleware::from_fn(problem::name_answers))
        .with_state(service)
}

/// Who asks: on the socket, always the operator.
struct Asking(Caller);

impl<S: Send + Sync> FromRequestParts<S> for Asking {
    type Rejection = Infallible;

    async fn from_request_parts(_: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(Caller::Operator))
    }
}

/// A part of a list.
#[derive(Debug, Serialize)]
struct List<T> {
    items: Vec<T>,
    /// Where the next part begins; none at the end.
    next_cursor: Option<String>,
}

impl<T> List<T> {
    /// From up to `limit + 1` rows: the one too many only says that there is more.
    fn of<Row>(
        mut rows: Vec<Row>,
        limit: u32,
        cursor: impl Fn(&Row) -> String,
        view: impl Fn(Row) -> T,
    ) -> Self {
        let limit = limit as usize;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next_cursor = rows.last().filter(|_| more).map(cursor);
        Self { items: rows.into_iter().map(view).collect(), next_cursor }
    }
}

/// How many items a part of a list has, when nobody says.
const LIMIT: u32 = 50;
/// How many it may have.
const MOST: u32 = 1000;

/// How many items to send: what was asked for, within bounds.
fn bounded(limit: Option<u32>) -> u32 {
    limit.unwrap_or(LIMIT).clamp(1, MOST)
}

/// RFC 3339, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Moment(Timestamp);

impl Serialize for Moment {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match jiff::Timestamp::from_millisecond(self.0.as_millis()) {
            Ok(moment) => serializer.collect_str(&moment),
            Err(_) => serializer.serialize_none(),
        }
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        let moment: jiff::Timestamp = text.parse().map_err(|_| {
            serde::de::Error::custom("expected a time as in \"2027-01-31T12:00:00Z\"")
        })?;
        Ok(Self(Timestamp::from_millis(moment.as_millisecond())))
    }
}
