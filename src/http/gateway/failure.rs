//! Why an admitted request has no answer of its upstream's.

use super::paced::Interrupted;
use crate::{http::problem::Problem, telemetry::UpstreamFailures};
use counterfoil_core::Refusal;
use http::StatusCode;
use std::error::Error;

/// Why an admitted request has no answer of its upstream's.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// As many connections are open as this process may have.
    #[error("there are as many connections to upstreams as there are file descriptors for")]
    NoPlace,
    /// There is no connection to it.
    #[error("{0}")]
    Unreachable(String),
    /// A connection to it took too long.
    #[error("it could not be connected to in time")]
    Unconnected,
    /// The connection ended before there was a response.
    #[error("{0}")]
    Closed(String),
    /// What it answered is no HTTP.
    #[error("{0}")]
    NoHttp(String),
    /// It answered something that cannot be passed on.
    #[error("{0}")]
    Unfit(&'static str),
    /// It says that it is not well.
    #[error("it answered {}", .0.as_u16())]
    Unwell(StatusCode),
    /// It did not answer in time.
    #[error("it did not answer in time")]
    Silent,
    /// The client did not send all of its request.
    #[error("{0}")]
    Client(String),
    /// What the request was admitted on has ended while it was being sent.
    #[error("what the request was admitted on has ended")]
    Refused(Refusal),
}

impl Failure {
    /// What came of a request that a connection was given.
    pub(super) fn of(error: &hyper::Error) -> Self {
        let mut source = error.source();
        while let Some(error) = source {
            match error.downcast_ref::<Interrupted>() {
                Some(Interrupted::Refused(refusal)) => return Self::Refused(refusal.clone()),
                Some(interrupted) => return Self::Client(interrupted.to_string()),
                None => {}
            }
            source = error.source();
        }
        if error.is_parse() || is_early(error) {
            Self::NoHttp(chain(error))
        } else {
            Self::Closed(chain(error))
        }
    }

    pub(super) fn problem(&self) -> Problem {
        let (status, code, detail) = match self {
            Self::NoPlace => {
                let detail = "the gateway has no connection left for this request";
                let busy = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail);
                return Problem { retry_after: Some(1), ..busy };
            }
            Self::Unreachable(_) | Self::Closed(_) | Self::Unwell(_) => {
                (StatusCode::BAD_GATEWAY, "upstream_failed", "the upstream did not answer")
            }
            Self::NoHttp(_) => (
                StatusCode::BAD_GATEWAY,
                "upstream_failed",
                "the upstream's response cannot be understood",
            ),
            Self::Unfit(why) => (StatusCode::BAD_GATEWAY, "upstream_failed", *why),
            Self::Unconnected | Self::Silent => (
                StatusCode::GATEWAY_TIMEOUT,
                "upstream_silent",
                "the upstream did not answer in time",
            ),
            Self::Client(_) | Self::Refused(_) => (
                StatusCode::BAD_REQUEST,
                "request_interrupted",
                "the request's body did not arrive whole",
            ),
        };
        Problem::new(status, code, detail)
    }

    /// Counts it, where it is the upstream's.
    pub(super) fn count(&self, failures: &UpstreamFailures) {
        let counter = match self {
            Self::NoPlace => &failures.no_place,
            Self::Unreachable(_) | Self::Unconnected => &failures.unreachable,
            Self::Closed(_) => &failures.closed,
            Self::NoHttp(_) | Self::Unfit(_) | Self::Unwell(_) => &failures.unfit,
            Self::Silent => &failures.silent,
            Self::Client(_) | Self::Refused(_) => return,
        };
        counter.inc();
    }
}

/// Whether it spoke before it was asked.
fn is_early(error: &hyper::Error) -> bool {
    let source = error.source().and_then(|error| error.downcast_ref::<hyper::Error>());
    error.is_canceled() && source.is_some_and(is_excess)
}

/// Whether something came that belongs to no request. hyper has no name for it, but it has for
/// everything else that ends a connection without a cause.
pub(super) fn is_excess(error: &hyper::Error) -> bool {
    let is_other = error.is_closed()
        || error.is_incomplete_message()
        || error.is_canceled()
        || error.is_parse()
        || error.is_user()
        || error.is_timeout();
    error.source().is_none() && !is_other
}

/// An error, and what it comes from.
pub(super) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let cause = error.to_string();
        // Some say themselves what they come from.
        if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
        source = error.source();
    }
    text
}
