//! `/v1/refusals`.

use super::{Asking, Moment};
use crate::{
    http::{extract::Path, problem::Problem},
    refusals::StoredRefusal,
    service::Service,
};
use axum::{Router, extract::State, response::IntoResponse, routing::get};
use counterfoil_core::id::{OrganizationId, RequestId, TokenId};
use serde::Serialize;
use std::sync::Arc;

pub(super) fn routes() -> Router<Arc<Service>> {
    Router::new().route("/v1/refusals/{id}", get(show))
}

#[derive(Debug, Serialize)]
struct RefusalView {
    request_id: RequestId,
    at: Moment,
    door: String,
    api: String,
    code: String,
    about: String,
    method: String,
    path: String,
    client: Option<String>,
    client_request_id: Option<String>,
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
) -> Result<impl IntoResponse, Problem> {
    let refusal = service.refusal(&caller, id).await?;
    Ok(axum::Json(RefusalView::from(refusal)))
}
