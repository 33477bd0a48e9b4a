//! `/v1/refusals`.

use super::{Asking, Moment};
use crate::{
    http::{
        calls::{self, Calls},
        extract::Path,
        problem::Problem,
    },
    refusals::StoredRefusal,
    service::Service,
};
use axum::extract::State;
use counterfoil_core::id::{OrganizationId, RequestId, TokenId};
use schemars::JsonSchema;
use serde::Serialize;
use std::sync::Arc;

pub(super) fn calls() -> Calls<Arc<Service>> {
    let call = calls::get("/v1/refusals/{id}", "show_refusal")
        .does("Say why a request was refused")
        .about(
            "Refusals are named by the `X-Request-Id` of their answer. Whoever sees the token \
             that matched sees the refusal; those that matched none are the operator's.",
        )
        .needs("tokens:read");
    Calls::new().on(call, show)
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Refusal")]
struct RefusalView {
    request_id: RequestId,
    at: Moment,
    /// Where it was refused: `gateway`, `forward_auth`, `verify` or `management`.
    door: String,
    api: String,
    /// The true reason.
    code: String,
    /// What there is to say beyond the code.
    about: String,
    method: String,
    path: String,
    /// The client's address, where that is known.
    client: Option<String>,
    /// What the client called its request.
    client_request_id: Option<String>,
    /// The token that the secret belongs to, where one matched.
    token: Option<TokenId>,
    organization: Option<OrganizationId>,
}

impl From<StoredRefusal> for RefusalView {
    fn from(refusal: StoredRefusal) -> Self {
        Self {
            request_id: refusal.request_id,
            at: Moment(refusal.at),
            door: refusal.door,
            api: refusal.api,
            code: refusal.code,
            about: refusal.about,
            method: refusal.method,
            path: refusal.path,
            client: refusal.client,
            client_request_id: refusal.client_request_id,
            token: refusal.matched.map(|(token, _)| token),
            organization: refusal.matched.map(|(_, organization)| organization),
        }
    }
}

async fn show(
    State(service): State<Arc<Service>>,
    Asking(caller): Asking,
    Path(id): Path<RequestId>,
) -> Result<axum::Json<RefusalView>, Problem> {
    let refusal = service.refusal(&caller, id).await?;
    Ok(axum::Json(RefusalView::from(refusal)))
}
