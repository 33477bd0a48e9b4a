//! `POST /v1/tokens/{id}/revoke`: a token ends, and the answer says where it has.

use super::Effective;
use crate::{
    clock,
    http::{
        api::{Asking, Moment},
        calls::{Answers, Operation},
        extract::{Json, Path, Query},
        problem::Problem,
    },
    replica::waits::Spread,
    service::{LINE, Service, tokens},
    store::StoredToken,
};
use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use counterfoil_core::{Timestamp, id::TokenId};
use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::Duration};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "RevokeToken", extend("examples" = [{"reason": "the laptop is lost"}]))]
pub(crate) struct RevokeBody {
    #[serde(default)]
    #[schemars(length(max = tokens::REASON), regex(pattern = LINE))]
    reason: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RevokeQuery {
    /// Whether the answer waits until no node accepts the token.
    #[serde(default = "yes")]
    wait: bool,
}

/// How long an answer waits all the same, which is to say when it will be so.
const AT_ONCE: Duration = Duration::from_millis(50);

fn yes() -> bool {
    true
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "RevokedToken")]
pub(super) struct RevokedView {
    revoked_at: Option<Moment>,
    effective: Effective,
    /// How long it took until no node accepted it any more.
    waited_ms: u64,
    /// How many nodes there are.
    nodes: u32,
    /// When the last access token that others verify by themselves ends; it may have ended
    /// before. Null: there is none.
    offline_until: Option<Moment>,
    /// From when on no node accepts it, where the answer did not wait for that.
    #[serde(skip_serializing_if = "Option::is_none")]
    effective_by: Option<Moment>,
}

/// The answer to a revocation: done, or accepted.
pub(super) enum Revoked {
    Everywhere(RevokedView),
    Soon(RevokedView),
}

impl IntoResponse for Revoked {
    fn into_response(self) -> Response {
        match self {
            Self::Everywhere(view) => axum::Json(view).into_response(),
            Self::Soon(view) => (StatusCode::ACCEPTED, axum::Json(view)).into_response(),
        }
    }
}

impl Answers for Revoked {
    fn describe(operation: &mut Operation<'_>) {
        operation.answers_json::<RevokedView>(StatusCode::OK, "No node accepts it any more.");
        let about = "It is revoked; from `effective_by` on no node accepts it.";
        operation.answers_json::<RevokedView>(StatusCode::ACCEPTED, about);
    }
}

pub(super) async fn revoke(
    State(service): State<Arc<Service>>,
    Asking(caller): Asking,
    Path(id): Path<TokenId>,
    Query(query): Query<RevokeQuery>,
    Json(body): Json<RevokeBody>,
) -> Result<Revoked, Problem> {
    let began = clock::steady();
    let most = (!query.wait).then_some(AT_ONCE);
    let ending = service.revoke_token_within(most, &caller, id, &body.reason);
    let (stored, spread) = ending.await?;
    let offline_until = stored.revoked_at.and_then(|at| service.offline_until(&stored, at));
    let revoked_at = stored.revoked_at.map(Moment);
    let view = RevokedView {
        revoked_at,
        effective: spread.into(),
        waited_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        nodes: u32::try_from(spread.reached.nodes).unwrap_or(u32::MAX),
        offline_until: offline_until.map(Moment),
        effective_by: (!query.wait).then(|| Moment(effective_by(&stored, spread))),
    };
    Ok(if query.wait { Revoked::Everywhere(view) } else { Revoked::Soon(view) })
}

/// From when on no node accepts a revoked token, at the latest.
fn effective_by(stored: &StoredToken, spread: Spread) -> Timestamp {
    let milliseconds = i64::try_from(spread.left.as_millis()).unwrap_or(i64::MAX);
    match (milliseconds, stored.revoked_at) {
        (0, Some(at)) => at,
        _ => Timestamp::from_millis(clock::now().as_millis().saturating_add(milliseconds)),
    }
}
