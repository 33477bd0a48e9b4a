//! `POST /oauth2/introspect`: what a token or an access token is worth (RFC 7662), told to
//! whoever may ask about its API. Reads memory only.

use super::{
    OAuth,
    answer::{Error, Kind, No, NotKept},
    client::{self, Shown, stale},
    form::Asked,
    token::in_words,
};
use crate::{
    clock,
    config::Config,
    entropy,
    http::{
        calls::{self, Answers, Call, Operation},
        client_address,
        verify::Asker,
    },
};
use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use counterfoil_core::{
    Admitted, Code, Timestamp,
    access_token::{self, AccessTokens as _},
    api::Api,
    credential::{Headers, Scheme, Schemes},
    id::{AccountId, OrganizationId, RequestId, TokenId},
    index::Index,
    route::Requirement,
    token::Digest,
    verify::{self, Identity, Question},
};
use schemars::JsonSchema;
use serde::Serialize;
use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

pub(super) const PATH: &str = "/oauth2/introspect";

pub(super) const CALL: Call = calls::post(PATH, "introspect")
    .does("Ask what a token is worth")
    .about(
        "RFC 7662. Whoever asks shows a token of the API `counterfoil`: as bearer, or as a client \
         does. `NAME` is the name of the API that the token is for; a token that the caller may \
         not ask about is not active. It does not count as a use of the token.",
    )
    .needs("NAME:verify");

/// What is asked about.
#[derive(JsonSchema)]
#[schemars(rename = "IntrospectionRequest")]
#[expect(dead_code, reason = "it describes a form, which is read by name")]
pub(super) struct Parameters {
    /// A secret, or an access token.
    #[schemars(length(min = 1))]
    token: String,
    /// Read by nobody: either kind is found.
    token_type_hint: Option<String>,
    /// Where the token was presented from; one that is confined to networks is not active
    /// without.
    client_address: Option<IpAddr>,
    /// The id of the caller's own token, where no `Authorization` has it.
    client_id: Option<String>,
    /// Its secret, likewise.
    client_secret: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "Introspection")]
pub(super) enum Introspection {
    Active(Box<Active>),
    Inactive(Inactive),
}

#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
#[expect(clippy::struct_field_names, reason = "the standard names it so")]
pub(super) struct Active {
    #[schemars(extend("const" = true))]
    active: bool,
    /// What it may do; absent where the API has no scopes.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(default)]
    scope: String,
    /// The token, or the one that an access token was obtained with.
    client_id: TokenId,
    /// Its owner.
    sub: AccountId,
    /// The API that it is for.
    aud: Box<str>,
    iss: Box<str>,
    /// When it ends, in seconds since the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    exp: Option<i64>,
    /// When an access token was issued.
    #[serde(skip_serializing_if = "Option::is_none")]
    iat: Option<i64>,
    /// An access token's own name.
    #[serde(skip_serializing_if = "Option::is_none")]
    jti: Option<Box<str>>,
    /// Where it travels as bearer.
    #[serde(skip_serializing_if = "Option::is_none")]
    token_type: Option<&'static str>,
    organization: OrganizationId,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<Box<str>>,
}

/// It is worth nothing, or nothing that the caller may know of.
#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct Inactive {
    #[schemars(extend("const" = false))]
    active: bool,
}

/// What may be told of a token.
pub(super) struct Told(NotKept<Json<Introspection>>);

impl IntoResponse for Told {
    fn into_response(self) -> Response {
        self.0.into_response()
    }
}

impl Answers for Told {
    fn describe(operation: &mut Operation<'_>) {
        NotKept::<Json<Introspection>>::describe(operation);
        operation.may_lack_a_scope();
    }
}

/// APIs, as far as their tokens are told apart by themselves.
pub(super) struct Inspector {
    apis: BTreeMap<Box<str>, Api>,
    issuer: Box<str>,
}

impl Inspector {
    pub(super) fn new(config: &Config) -> Self {
        let apis = config.apis.iter().map(|protected| {
            let api = (*protected.api).clone();
            (api.name.clone(), Api { schemes: alone(&api.schemes), ..api })
        });
        Self { apis: apis.collect(), issuer: config.server.public_url.clone().into() }
    }
}

/// The field that a secret comes in which travels otherwise than as bearer.
const FIELD: &str = "token";

/// How a secret comes that nothing stands beside: as bearer, where it may.
fn alone(schemes: &Schemes) -> Schemes {
    let is_bearer = schemes.accepted.contains(&Scheme::Bearer);
    Schemes {
        accepted: vec![if is_bearer { Scheme::Bearer } else { Scheme::Header }],
        header: (!is_bearer).then(|| FIELD.to_owned()),
        header_pair: None,
        exact_token_keyword: false,
    }
}

/// One field, and nothing else.
struct Field(&'static str, zeroize::Zeroizing<String>);

impl Headers for Field {
    fn values<'h>(&'h self, name: &str) -> impl Iterator<Item = &'h [u8]> {
        (name == self.0).then_some(self.1.as_bytes()).into_iter()
    }
}

pub(super) async fn introspect(
    State(oauth): State<Arc<OAuth>>,
    Asked { arrived, form, .. }: Asked<Parameters>,
) -> Result<Told, No> {
    let now = clock::now();
    let request_id = entropy::request_id_at(now);
    let protection = &oauth.protection;
    let seen = arrived.seen(now);
    let shown = client::read(&arrived.head.headers, &form);
    let shown = shown.map_err(|error| oauth.clients.unread(error, &arrived, request_id, now))?;
    let admitted = match shown {
        Shown::Pair(pair) => oauth.clients.manager(&pair, &arrived, request_id, now)?.admitted,
        Shown::Other | Shown::Nothing => match protection.judge(seen) {
            Ok(admitted) => {
                protection.door.let_through(&admitted, seen);
                admitted
            }
            Err(refusal) if refusal.code == Code::NodeStale => return Err(stale().into()),
            Err(refusal) => {
                protection.door.refuse(&refusal, request_id, seen);
                return Err(stranger(refusal.code, request_id).into());
            }
        },
    };
    let asker = asker(&admitted, &protection.door.api, request_id)?;

    let invalid = |description: &str| Error::new(Kind::InvalidRequest, description);
    let token = form.get("token").ok_or_else(|| invalid("token is missing"))?;
    let address = match form.get("client_address").map(client_address::address) {
        Some(None) => return Err(invalid("client_address is no IP address").into()),
        Some(address) => address,
        None => None,
    };
    let index = oauth.common.replica.index().ok_or_else(stale)?;
    let told = oauth.tell(index, asker, token, address, now);
    if told.is_none() && oauth.common.replica.may_miss_tokens() {
        return Err(stale().into());
    }
    let told = told.unwrap_or(Introspection::Inactive(Inactive { active: false }));
    Ok(Told(NotKept(Json(told))))
}

/// Whoever shows no token of the management API, or none that is good.
fn stranger(code: Code, request_id: RequestId) -> Error {
    let bearer = r#"Bearer realm="counterfoil""#;
    let error = if code == Code::MissingCredential {
        let description = "show a token of the API counterfoil: as bearer, or its id and secret \
                           as a client";
        Error::new(Kind::InvalidClient, description).challenging(bearer)
    } else {
        let description = "the token is not accepted, now or from there; why, is kept under \
                           X-Request-Id";
        let challenge = format!("{bearer}, error=\"invalid_token\"");
        Error::new(Kind::InvalidToken, description).challenging(challenge)
    };
    error.challenging(client::CHALLENGE).named(request_id)
}

/// Who asks, if they may ask about anything.
fn asker<'a>(
    admitted: &'a Admitted<'a>,
    management: &'a Api,
    request_id: RequestId,
) -> Result<Asker<'a>, Error> {
    let Some(identity) = admitted.identity() else {
        return Err(stranger(Code::MissingCredential, request_id));
    };
    if identity.scopes(management).any(|scope| scope.as_need().action == "verify") {
        return Ok(Asker::Token(identity, management));
    }
    let description = "your token has no scope NAME:verify, with the name of an API; the operator \
                       grants it";
    let challenge = r#"Bearer realm="counterfoil", error="insufficient_scope""#;
    Err(Error::new(Kind::InsufficientScope, description).challenging(challenge))
}

impl OAuth {
    /// What there is to tell whoever asks: nothing, where they may not ask or it is worth
    /// nothing.
    fn tell(
        &self,
        index: &Index,
        asker: Asker<'_>,
        token: &str,
        client: Option<IpAddr>,
        now: Timestamp,
    ) -> Option<Introspection> {
        let access_tokens = &self.common.access_tokens;
        let opened = access_token::is_plausible(token).then(|| access_tokens.open(token)).flatten();
        let name = match &opened {
            Some(opened) => &opened.audience,
            None => index.find(&Digest::of(token))?.api(),
        };
        let api = self.inspector.apis.get(name)?;
        asker.may_ask_about(&api.name).ok()?;
        let is_bearer = api.schemes.accepted.contains(&Scheme::Bearer);
        let field = if is_bearer {
            Field("authorization", format!("Bearer {token}").into())
        } else {
            Field(FIELD, token.to_owned().into())
        };
        let requirement = Requirement::Any;
        let access_tokens = &**access_tokens;
        let question =
            Question { access_tokens, headers: &field, client, requirement, password: None };
        let admitted = verify::verify(api, index, &question, now).ok()?;
        let active = self.active(admitted.identity()?, api, is_bearer)?;
        Some(Introspection::Active(Box::new(active)))
    }

    fn active(&self, identity: Identity<'_>, api: &Api, is_bearer: bool) -> Option<Active> {
        let access_token = identity.access_token();
        Some(Active {
            active: true,
            scope: in_words(identity.scopes(api)),
            client_id: identity.token()?,
            sub: identity.account(),
            aud: api.name.clone(),
            iss: self.inspector.issuer.clone(),
            exp: identity.expires_at().map(seconds),
            iat: access_token.map(|it| seconds(it.issued_at)),
            jti: access_token.map(|it| it.id.clone()),
            token_type: is_bearer.then_some("Bearer"),
            organization: identity.organization(),
            role: identity.role(api).map(Into::into),
        })
    }
}

fn seconds(at: Timestamp) -> i64 {
    at.as_millis() / 1000
}
