//! `/v1/access-tokens`, the operator's.

use super::{Asking, Moment};
use crate::{
    clock,
    http::{
        calls::{self, Calls, Unkept},
        desk::{Desk, NotObtained, Opened, Reach},
        extract::Json,
        problem::Problem,
    },
    service::{ServiceError, access_tokens::NotIssued, tokens::PARTS},
};
use axum::extract::State;
use counterfoil_core::{
    Timestamp,
    id::TokenId,
    scope::{NotAScope, Scope},
};
use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::sync::Arc;
use zeroize::Zeroizing;

pub(crate) fn calls() -> Calls<Arc<Desk>> {
    Calls::new()
        .on(
            calls::post("/v1/access-tokens", "exchange_token")
                .does("Exchange a token's secret for an access token")
                .about("What `POST /authenticate` does for programs. It counts as a use.")
                .for_the_operator()
                .fails(&[StatusCode::CONFLICT]),
            exchange,
        )
        .on(
            calls::post("/v1/access-tokens/decode", "decode_access_token")
                .does("Say what an access token says, and whether it is accepted now")
                .about(
                    "Of one that was not signed here, `header` and `claims` are whatever somebody \
                     has written there.",
                )
                .for_the_operator(),
            decode,
        )
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ExchangeToken")]
pub(crate) struct ExchangeBody {
    /// The token's secret.
    #[schemars(with = "String")]
    secret: Zeroizing<String>,
    /// Which scopes the access token is to have; all that the token has, where absent.
    #[schemars(length(max = PARTS))]
    scopes: Option<Vec<String>>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ObtainedAccessToken")]
struct ObtainedView {
    /// Told this once.
    #[schemars(with = "String")]
    access_token: Zeroizing<String>,
    api: Box<str>,
    /// The token that it was obtained with.
    token: TokenId,
    scopes: Vec<String>,
    expires_at: Moment,
}

async fn exchange(
    State(desk): State<Arc<Desk>>,
    Asking(caller): Asking,
    Json(body): Json<ExchangeBody>,
) -> Result<Unkept<axum::Json<ObtainedView>>, Problem> {
    caller.is_operator()?;
    let scopes = body.scopes.map(|scopes| read_scopes(&scopes)).transpose()?;
    let obtained = desk.exchange(&body.secret, scopes, None, clock::now())?;
    Ok(Unkept(axum::Json(ObtainedView {
        access_token: obtained.text,
        api: obtained.api.name.clone(),
        token: obtained.token,
        scopes: obtained.scopes.iter().map(ToString::to_string).collect(),
        expires_at: Moment(obtained.expires_at),
    })))
}

fn read_scopes(texts: &[String]) -> Result<Vec<Scope>, Problem> {
    let wrong = |why: String| Problem::bad_request(format!("scopes: {why}")).about("scopes");
    if texts.len() > PARTS {
        return Err(wrong(format!("at most {PARTS} scopes")));
    }
    let scopes = texts.iter().map(|text| text.parse::<Scope>());
    scopes.collect::<Result<_, NotAScope>>().map_err(|error| wrong(error.to_string()))
}

impl From<NotObtained> for Problem {
    fn from(error: NotObtained) -> Self {
        match error {
            NotObtained::NotIssued(NotIssued::Service(error)) => error.into(),
            NotObtained::NotIssued(NotIssued::Scope(_) | NotIssued::TooLong) => {
                Self::bad_request(format!("scopes: {error}")).about("scopes")
            }
            other => ServiceError::Conflict(other.to_string()).into(),
        }
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "DecodeAccessToken")]
pub(crate) struct DecodeBody {
    #[schemars(with = "String")]
    access_token: Zeroizing<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "DecodedAccessToken")]
struct DecodedView {
    /// Whether one of the published keys has signed it.
    signed_here: bool,
    /// Whether our doors would accept it now.
    active: bool,
    /// Why not.
    code: Option<&'static str>,
    /// The same in words.
    reason: Option<&'static str>,
    /// Whether it is accepted from its token's networks alone.
    bound: bool,
    issued_at: Option<Moment>,
    expires_at: Option<Moment>,
    header: Map<String, Value>,
    claims: Map<String, Value>,
}

async fn decode(
    State(desk): State<Arc<Desk>>,
    Asking(caller): Asking,
    Json(body): Json<DecodeBody>,
) -> Result<axum::Json<DecodedView>, Problem> {
    caller.is_operator()?;
    let opened = desk.read(&body.access_token, clock::now()).map_err(|error| {
        Problem::bad_request(format!("access_token: {error}")).about("access_token")
    })?;
    let Opened { header, claims, says, verdict } = opened;
    let moment = |name: &str| {
        let seconds = claims.get(name)?.as_i64()?;
        let at = Timestamp::from_millis(seconds.checked_mul(1000)?);
        (0..=Timestamp::MAX.as_millis()).contains(&at.as_millis()).then_some(Moment(at))
    };
    let (issued_at, expires_at) = (moment("iat"), moment("exp"));
    let bound = verdict == Ok(Reach::ItsNetworks);
    let why = verdict.err();
    Ok(axum::Json(DecodedView {
        signed_here: says.is_some(),
        active: why.is_none(),
        code: why.as_ref().map(|why| why.code.as_str()),
        reason: why.as_ref().map(|why| why.words),
        bound,
        issued_at,
        expires_at,
        header,
        claims,
    }))
}
