//! Why a request was refused, for whom it concerns.

use super::{Console, Frame, Page, Trouble, Visitor};
use crate::{
    clock,
    http::console::when::{When, when},
    refusals::StoredRefusal,
    service::ServiceError,
};
use askama::Template;
use axum::{
    Router,
    extract::{Query, State},
    routing::get,
};
use counterfoil_core::{id::RequestId, refusal::Code};
use serde::Deserialize;
use std::sync::Arc;

pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new().route("/why", get(look))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Wanted {
    id: String,
}

#[derive(Template)]
#[template(path = "pages/why_refused.html")]
struct WhyPage {
    page: Frame,
    id: String,
    error: String,
    refusal: Option<Told>,
}

/// A refusal in words.
struct Told {
    reason: String,
    remedy: &'static str,
    code: String,
    status: u16,
    at: When,
    door: &'static str,
    api: String,
    method: String,
    path: String,
    client: String,
    /// What the client called its request.
    client_request_id: String,
    token: Option<Token>,
}

struct Token {
    href: String,
    name: String,
    hint: String,
}

async fn look(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
    Query(wanted): Query<Wanted>,
) -> Result<Page<WhyPage>, Trouble> {
    let caller = visitor.caller()?;
    let page = console.frame(&visitor, "why");
    let id = wanted.id.trim().to_owned();
    let mut why = WhyPage { page, id, error: String::new(), refusal: None };
    if why.id.is_empty() {
        return Ok(Page(why));
    }
    let Ok(request_id) = why.id.parse::<RequestId>() else {
        why.error = "That is no request ID; one looks like \
                     01890a5b-3c1d-7d2e-9f60-51c2a47be813."
            .into();
        return Ok(Page(why));
    };
    match console.service.refusal(caller, request_id).await {
        Ok(refusal) => {
            let token = match refusal.matched {
                Some((token, _)) => {
                    let token = console.service.token(caller, token).await?.token;
                    Some(Token {
                        href: format!("/tokens/{}", token.id),
                        name: token.name,
                        hint: format!("{}…{}", token.prefix, token.last_four),
                    })
                }
                None => None,
            };
            why.refusal = Some(told(refusal, token));
        }
        Err(ServiceError::NotFound(_)) => {
            why.error = "There is no refusal of this ID that concerns a token of yours. Refusals \
                         are kept for seven days; one in which no token was recognized is only \
                         the operator's to see."
                .into();
        }
        Err(error) => return Err(error.into()),
    }
    Ok(Page(why))
}

fn told(refusal: StoredRefusal, token: Option<Token>) -> Told {
    let code = Code::ALL.into_iter().find(|code| code.as_str() == refusal.code);
    let (reason, remedy) = code.map_or(("It was refused", ""), in_words);
    Told {
        reason: if refusal.about.is_empty() {
            format!("{reason}.")
        } else {
            format!("{reason}: {}.", refusal.about)
        },
        remedy,
        code: refusal.code,
        status: code.map_or(401, Code::status),
        at: when(refusal.at, clock::now()),
        door: match &*refusal.door {
            "gateway" => "the gateway",
            "forward_auth" => "forward auth",
            "verify" => "the verify API",
            "management" => "the management API",
            _ => "another door",
        },
        api: refusal.api,
        method: refusal.method,
        path: refusal.path,
        client: refusal.client.unwrap_or_else(|| "not known".into()),
        client_request_id: refusal.client_request_id.unwrap_or_default(),
        token,
    }
}

/// The true reason, and what to do.
pub(in crate::http::console) fn in_words(code: Code) -> (&'static str, &'static str) {
    match code {
        Code::MissingCredential => (
            "The request had no token where the API looks for one",
            "See under How to authenticate which header this API reads.",
        ),
        Code::MalformedCredential => (
            "What the request had as its token cannot be read",
            "Compare it with the example under How to authenticate, to the letter.",
        ),
        Code::UnknownToken => (
            "The secret is no token's",
            "It may be cut short or mistyped, or was replaced by a rotation. Rotate the token, and \
             copy the new secret whole.",
        ),
        Code::WrongApi => (
            "The token is for another API",
            "Send it to the API that it was made for, or generate one for this API.",
        ),
        Code::OwnerMismatch => (
            "The e-mail address in the request is not that of the token's owner",
            "Put the owner's address in front of the token, or use a token of your own.",
        ),
        Code::ClientMismatch => (
            "The client ID in the request is not this token's",
            "Client ID and secret belong together: take both from the same token.",
        ),
        // These are no token's, so that nobody finds them on a token's page.
        Code::WrongPassword => (
            "E-mail address and password do not belong together",
            "Use a token; a password is for signing in.",
        ),
        Code::SecondFactor => {
            ("The account has a second factor, which a request cannot show", "Use a token.")
        }
        Code::SeveralOrganizations => (
            "The account belongs to more than one organization, and a password says of none",
            "Use a token, which belongs to one.",
        ),
        Code::NotAnIssuer => {
            ("Only administrators may use this API with their password", "Ask one for a token.")
        }
        Code::Expired => (
            "The token, or the secret that was used, had expired",
            "Generate a new token. Where it was rotated, put the new secret into the program.",
        ),
        Code::Revoked => (
            "The token had been revoked",
            "That cannot be undone. Generate a new one; its page says who revoked it, and why.",
        ),
        Code::Paused => ("The token was paused", "Resume it on its page when it is to work again."),
        Code::AccountDisabled => (
            "The token's owner was disabled, or had left the organization",
            "An administrator can enable the owner again, or hand the token over.",
        ),
        Code::OrganizationClosed => (
            "The organization is closed",
            "None of its tokens works any more. Ask whoever runs this installation.",
        ),
        Code::NetworkNotAllowed => (
            "The token may not be used from this address",
            "Add the address to the token's allowed networks, or call from one of them.",
        ),
        Code::InsufficientScope => (
            "The token may not do this",
            "Give it the role or the scope that this route needs, or use one that has it.",
        ),
        Code::RateLimited => (
            "The token had made too many requests",
            "Wait as long as Retry-After says, and have the program slow down.",
        ),
        Code::TooManyInFlight => (
            "The token had too many requests under way at once",
            "Let some finish before the next begins.",
        ),
        Code::NodeStale => (
            "This node could not tell whether the token was still good",
            "It was not the token's fault. Try again; if it goes on, tell the operator.",
        ),
    }
}
