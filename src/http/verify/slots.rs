//! `/v1/slots`: whoever took a slot with a question renews it, and gives it back.

use super::{Asker, Verifier};
use crate::{
    clock,
    http::{
        api::{Asking, Moment},
        calls::{self, Call, Calls},
        extract::{Json, Path},
        problem::Problem,
    },
    limiter::SlotError,
};
use axum::{extract::State, response::NoContent};
use counterfoil_core::{Timestamp, id::SlotId, limit::Claim, time::Seconds};
use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// How long a slot lasts when nobody says.
const USUAL: u16 = 30;
/// How long it may: a service that is gone holds it no longer.
const MOST: u16 = 300;

/// How many seconds a slot lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "u64")]
#[schemars(inline, extend("minimum" = 1, "maximum" = MOST, "default" = USUAL))]
pub(super) struct SlotSeconds(u16);

impl TryFrom<u64> for SlotSeconds {
    type Error = String;

    fn try_from(seconds: u64) -> Result<Self, String> {
        let seconds = u16::try_from(seconds).ok().filter(|seconds| (1..=MOST).contains(seconds));
        seconds.map(Self).ok_or_else(|| format!("expected a number of seconds from 1 to {MOST}"))
    }
}

impl SlotSeconds {
    /// As a span; the usual one, where nobody says.
    pub(super) fn span(given: Option<Self>) -> Seconds {
        Seconds(given.map_or(USUAL, |seconds| seconds.0).into())
    }
}

/// A slot that is held.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[schemars(rename = "Slot")]
pub(super) struct SlotView {
    pub(super) id: SlotId,
    /// When it is over, if it is not renewed.
    pub(super) expires_at: Moment,
}

impl SlotView {
    /// One that is claimed now.
    pub(super) fn of(claim: &Claim, now: Timestamp) -> Self {
        Self { id: claim.id, expires_at: Moment(now.plus(claim.lasts)) }
    }
}

const RENEW: Call = calls::put("/v1/slots/{id}", "renew_slot")
    .does("Hold a slot for longer")
    .about(
        "It lasts so long from now on, whatever it had left. For whoever did not take it, it is \
         not there.",
    )
    .needs("NAME:verify");

const GIVE_BACK: Call = calls::delete("/v1/slots/{id}", "give_back_slot")
    .does("Give a slot back")
    .about("The request is over. For whoever did not take the slot, it is not there.")
    .needs("NAME:verify");

pub(super) fn calls() -> Calls<Arc<Verifier>> {
    Calls::new().on(RENEW, renew).on(GIVE_BACK, give_back)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "RenewSlot", extend("examples" = [{"slot_seconds": 60}]))]
struct RenewBody {
    slot_seconds: Option<SlotSeconds>,
}

async fn renew(
    State(verifier): State<Arc<Verifier>>,
    Asking(caller): Asking,
    Path(id): Path<SlotId>,
    Json(body): Json<RenewBody>,
) -> Result<axum::Json<SlotView>, Problem> {
    let owner = Asker::from(&caller).owner();
    let claim = Claim { id, owner, lasts: SlotSeconds::span(body.slot_seconds) };
    let now = clock::now();
    verifier.limiter.renew(&claim).await?;
    Ok(axum::Json(SlotView::of(&claim, now)))
}

async fn give_back(
    State(verifier): State<Arc<Verifier>>,
    Asking(caller): Asking,
    Path(id): Path<SlotId>,
) -> Result<NoContent, Problem> {
    verifier.limiter.give_back(id, Asker::from(&caller).owner()).await?;
    Ok(NoContent)
}

impl From<SlotError> for Problem {
    fn from(error: SlotError) -> Self {
        let (status, code) = match error {
            SlotError::NoSuchSlot(_) => (StatusCode::NOT_FOUND, "not_found"),
            SlotError::Unreachable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
        };
        Self::new(status, code, error.to_string())
    }
}
