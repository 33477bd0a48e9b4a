//! `/v1/invitations`: links by which people join an organization.

use super::{Asking, Limit, List, Moment, bounded};
use crate::{
    clock,
    http::{
        calls::{self, Calls, Created},
        extract::{Json, Path, Query},
        problem::Problem,
    },
    service::{Service, invitations::Invited},
    store::{Page, StoredInvitation},
};
use axum::extract::State;
use counterfoil_core::{
    account::{Email, Rank},
    id::{AccountId, InvitationId, OrganizationId},
};
use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use zeroize::Zeroizing;

pub(super) fn calls() -> Calls<Arc<Service>> {
    Calls::new()
        .on(
            calls::post("/v1/invitations", "create_invitation")
                .does("Invite somebody to an organization")
                .about(
                    "The answer has the code of the link, this once: hand over \
                     `/invitations/{code}` of the console. It works once, within seven days, for \
                     whoever has that e-mail address; what was open for the same address is \
                     withdrawn. An organization makes 100 within an hour; the operator however many.",
                )
                .needs("accounts:write")
                .fails(&[
                    StatusCode::NOT_FOUND,
                    StatusCode::CONFLICT,
                    StatusCode::TOO_MANY_REQUESTS,
                ])
                .leads("id", "/invitation/id", &["show_invitation", "withdraw_invitation"]),
            create,
        )
        .on(
            calls::get("/v1/invitations", "list_invitations")
                .does("List an organization's invitations")
                .about("The newest first; administrators see them.")
                .needs("accounts:read")
                .fails(&[StatusCode::NOT_FOUND, StatusCode::CONFLICT]),
            list,
        )
        .on(
            calls::get("/v1/invitations/{id}", "show_invitation")
                .does("Show an invitation")
                .needs("accounts:read"),
            show,
        )
        .on(
            calls::delete("/v1/invitations/{id}", "withdraw_invitation")
                .does("Withdraw an invitation")
                .about("Its link is good for nothing from then on.")
                .needs("accounts:write")
                .fails(&[StatusCode::CONFLICT]),
            withdraw,
        )
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Invitation")]
struct InvitationView {
    id: InvitationId,
    organization: OrganizationId,
    /// Whom it is for.
    email: Option<Email>,
    /// As what they join.
    rank: Rank,
    state: InvitationState,
    created_at: Moment,
    expires_at: Moment,
    accepted_at: Option<Moment>,
    /// Who has joined by it.
    accepted_by: Option<AccountId>,
    withdrawn_at: Option<Moment>,
}

/// What its link is good for.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum InvitationState {
    /// Somebody may join by it.
    Open,
    /// Somebody has.
    Accepted,
    /// It was taken back.
    Withdrawn,
    /// Its time is over.
    Expired,
}

impl From<StoredInvitation> for InvitationView {
    fn from(invitation: StoredInvitation) -> Self {
        let state = if invitation.accepted.is_some() {
            InvitationState::Accepted
        } else if invitation.withdrawn_at.is_some() {
            InvitationState::Withdrawn
        } else if invitation.is_open(clock::now()) {
            InvitationState::Open
        } else {
            InvitationState::Expired
        };
        Self {
            id: invitation.id,
            organization: invitation.organization,
            email: invitation.email,
            rank: invitation.rank,
            state,
            created_at: Moment(invitation.created_at),
            expires_at: Moment(invitation.expires_at),
            accepted_at: invitation.accepted.map(|(at, _)| Moment(at)),
            accepted_by: invitation.accepted.map(|(_, by)| by),
            withdrawn_at: invitation.withdrawn_at.map(Moment),
        }
    }
}

/// An invitation that has just been made.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "NewInvitation")]
struct InvitedView {
    invitation: InvitationView,
    /// What stands behind `/invitations/` in the link. It is in no other answer.
    #[schemars(with = "String")]
    code: Zeroizing<String>,
}

impl From<Invited> for InvitedView {
    fn from(invited: Invited) -> Self {
        Self { invitation: invited.invitation.into(), code: invited.secret }
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "CreateInvitation", extend("examples" = [
    {
        "organization": "01890a5a-91f4-7c35-8e0b-6a9d1f3c2b74",
        "email": "grace@example.com",
        "rank": "member",
    },
]))]
pub(crate) struct CreateBody {
    /// The caller's own, where absent; the operator has to say which.
    organization: Option<OrganizationId>,
    /// Whom it is for.
    email: Email,
    #[serde(default = "member")]
    rank: Rank,
}

fn member() -> Rank {
    Rank::Member
}

async fn create(
    State(service): State<Arc<Service>>,
    Asking(caller): Asking,
    Json(body): Json<CreateBody>,
) -> Result<Created<InvitedView>, Problem> {
    let invited = service.invite(&caller, body.organization, body.email, body.rank).await?;
    Ok(Created(invited.into()))
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    /// The caller's own, where absent; the operator has to say which.
    organization: Option<OrganizationId>,
    /// Only those by which somebody may still join.
    #[serde(default)]
    open: bool,
    /// Where the part begins: the `next_cursor` of the one before.
    cursor: Option<InvitationId>,
    /// How many items at most.
    limit: Option<Limit>,
}

async fn list(
    State(service): State<Arc<Service>>,
    Asking(caller): Asking,
    Query(query): Query<ListQuery>,
) -> Result<axum::Json<List<InvitationView>>, Problem> {
    let limit = bounded(query.limit);
    let page = Page { after: query.cursor, limit: limit + 1 };
    let rows = service.invitations(&caller, query.organization, query.open, page).await?;
    Ok(axum::Json(List::of(rows, limit, |row| row.id.to_string(), InvitationView::from)))
}

async fn show(
    State(service): State<Arc<Service>>,
    Asking(caller): Asking,
    Path(id): Path<InvitationId>,
) -> Result<axum::Json<InvitationView>, Problem> {
    Ok(axum::Json(InvitationView::from(service.invitation(&caller, id).await?)))
}

async fn withdraw(
    State(service): State<Arc<Service>>,
    Asking(caller): Asking,
    Path(id): Path<InvitationId>,
) -> Result<axum::Json<InvitationView>, Problem> {
    Ok(axum::Json(InvitationView::from(service.withdraw_invitation(&caller, id).await?)))
}
