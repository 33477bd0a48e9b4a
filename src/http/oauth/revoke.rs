//! `POST /oauth2/revoke`: a client gives its own token back (RFC 7009).

use super::{
    OAuth,
    answer::{Error, Kind, No},
    client::stale,
    form::Asked,
};
use crate::{
    clock, entropy,
    http::calls::{self, Answers, Call, Operation},
};
use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use counterfoil_core::{
    Timestamp,
    access_token::{self, AccessTokens as _},
    id::{AccountId, TokenId},
    index::Index,
    token::{Digest, State as TokenState},
};
use http::StatusCode;
use schemars::JsonSchema;
use std::sync::Arc;

pub(super) const PATH: &str = "/oauth2/revoke";

pub(super) const CALL: Call = calls::post(PATH, "give_back_token")
    .does("Give a token back")
    .about(
        "RFC 7009. A client ends the token that it shows, for good; once this is answered, it is \
         refused everywhere, and with it what was obtained with it. An access token cannot be \
         ended alone.",
    )
    .for_clients();

/// What is given back.
#[derive(JsonSchema)]
#[schemars(rename = "GiveBackRequest")]
#[expect(dead_code, reason = "it describes a form, which is read by name")]
pub(super) struct Parameters {
    /// The client's own secret.
    #[schemars(length(min = 1))]
    token: String,
    /// Read by nobody.
    token_type_hint: Option<String>,
    /// The token's id, where no `Authorization` has it.
    client_id: Option<String>,
    /// The token's secret, likewise.
    client_secret: Option<String>,
}

/// It is worth nothing any more, or never was.
pub(super) struct Gone;

impl IntoResponse for Gone {
    fn into_response(self) -> Response {
        StatusCode::OK.into_response()
    }
}

impl Answers for Gone {
    fn describe(operation: &mut Operation<'_>) {
        operation.answers(StatusCode::OK, "Nothing is to be had for it any more.", None);
    }
}

/// What is to become of what a client gave back.
enum Fate {
    Revoke(AccountId, TokenId),
    Nothing,
}

pub(super) async fn revoke(
    State(oauth): State<Arc<OAuth>>,
    Asked { arrived, form, .. }: Asked<Parameters>,
) -> Result<Gone, No> {
    let now = clock::now();
    let request_id = entropy::request_id_at(now);
    let fate = {
        let client = oauth.clients.identify(&arrived, &form, request_id, now)?;
        let identity = client.admitted.identity();
        let own = identity.and_then(|identity| Some((identity.account(), identity.token()?)));
        let token = form.get("token");
        let token = token.ok_or_else(|| Error::new(Kind::InvalidRequest, "token is missing"))?;
        let index = oauth.common.replica.index().ok_or_else(stale)?;
        // Whatever else nobody knows is gone already (RFC 7009 §2.2).
        let access_tokens = &oauth.common.access_tokens;
        let opens = access_token::is_plausible(token) && access_tokens.open(token).is_some();
        fate(index, own, token, opens, now)?
    };
    match fate {
        Fate::Revoke(account, token) => drop(oauth.service.give_token_back(account, token).await?),
        Fate::Nothing if oauth.common.replica.may_miss_tokens() => return Err(stale().into()),
        // Whoever ended it may still wait until it is so everywhere.
        Fate::Nothing => drop(oauth.service.see(None).await?),
    }
    Ok(Gone)
}

fn fate(
    index: &Index,
    own: Option<(AccountId, TokenId)>,
    token: &str,
    is_access_token: bool,
    now: Timestamp,
) -> Result<Fate, Error> {
    let Some(entry) = index.find(&Digest::of(token)) else {
        if !is_access_token {
            return Ok(Fate::Nothing);
        }
        let description = "an access token ends with the token that it was obtained with, or by \
                           itself; revoke that one";
        return Err(Error::new(Kind::UnsupportedTokenType, description));
    };
    if let Some((account, id)) = own
        && entry.id() == id
    {
        return Ok(Fate::Revoke(account, id));
    }
    let ended = entry.ends_at().is_some_and(|end| now >= end);
    if ended || entry.state() == TokenState::Revoked {
        return Ok(Fate::Nothing);
    }
    Err(Error::new(Kind::InvalidGrant, "the token is another client's; nothing was changed"))
}
