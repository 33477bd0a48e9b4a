//! Verify: a service's own code asks whether a request may pass. Reads memory only.

use super::{
    api::{Asking, Moment},
    calls::{self, Calls},
    client_address,
    door::{Door, Doors, Seen},
    extract::Json,
    loggable::loggable,
    problem::Problem,
};
use crate::{
    config::Config,
    entropy,
    refusals::Refusals,
    replica::Replica,
    service::{Caller, management_api::verify_scope},
    telemetry::Metrics,
    usage::Usage,
};
use axum::extract::State;
use counterfoil_core::{
    Admitted, Code, Refusal,
    api::Api,
    credential::Scheme,
    error_format::{self, Answer},
    id::{AccountId, OrganizationId, TokenId},
    path::canonical,
    refusal::About,
    route::Requirement,
    scope::Scope,
    verify::Identity,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{MapAccess, Visitor},
};
use std::{borrow::Cow, collections::BTreeMap, net::IpAddr, sync::Arc};

/// How many questions one batch may hold.
const BATCH: usize = 1000;

/// How many header lines one question may hold.
const HEADERS: usize = 200;

/// What answers.
pub(crate) struct Verifier {
    doors: Doors,
}

impl Verifier {
    pub(crate) fn new(
        config: &Config,
        replica: &Arc<Replica>,
        metrics: &Metrics,
        refusals: &Arc<Refusals>,
        usage: &Arc<Usage>,
    ) -> Self {
        Self { doors: Doors::new("verify", config, replica, metrics, refusals, usage) }
    }
}

pub(crate) fn calls() -> Calls<Arc<Verifier>> {
    Calls::new()
        .on(
            calls::post("/v1/verify", "verify")
                .does("Ask whether a request may pass")
                .about(
                    "Give `headers` exactly as they arrived or, for an API with one secret, \
                     `secret`. `NAME` is the API's name.",
                )
                .needs("NAME:verify")
                .fails(&[StatusCode::NOT_FOUND]),
            verify,
        )
        .on(
            calls::post("/v1/verify/batch", "verify_batch")
                .does("Ask about many requests at once")
                .about("Answered in order. `NAME` is the name of each API that is asked about.")
                .needs("NAME:verify")
                .fails(&[StatusCode::NOT_FOUND]),
            verify_batch,
        )
}

/// A question: what arrived, or a secret alone.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Question", extend("examples" = [{
    "api": "finout",
    "headers": {"x-finout-client-id": "01890a5d-…", "x-finout-secret-key": "fin_live_…"},
    "method": "GET",
    "path": "/v1/costs",
    "client_address": "203.0.113.9",
}]))]
pub(crate) struct Asked {
    /// The API whose request it is, by its name in the configuration.
    api: String,
    /// The request's header fields: 200 lines at most. Or else `secret`.
    headers: Option<Fields>,
    /// The secret alone. Or else `headers`.
    secret: Option<String>,
    /// `GET`, where absent.
    method: Option<String>,
    /// As the API's `routes` call it, without a mount; no route is looked for where it is absent.
    path: Option<String>,
    /// Where the request came from, for tokens that are confined to networks.
    client_address: Option<String>,
    /// One more scope that is needed.
    #[schemars(with = "Option<Scope>")]
    scope: Option<String>,
}

/// Header fields as they were written: a name that comes twice counts twice.
#[derive(JsonSchema)]
#[schemars(inline, try_from = "BTreeMap<String, OneOrMore>")]
struct Fields(Vec<(String, OneOrMore)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Fields;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object of header fields")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(Object)
    }
}

/// A header's value, or its values where it was repeated.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Questions")]
pub(crate) struct Batch {
    #[schemars(length(max = BATCH))]
    items: Vec<Asked>,
}

#[derive(Serialize, JsonSchema)]
struct Answers {
    items: Vec<Verified>,
}

/// What there is to say to a question.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "Answer")]
enum Verified {
    Active(Active),
    Refused(Refused),
}

/// It may pass. What is null does not apply: nobody need be known on an anonymous route.
#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
#[expect(clippy::struct_field_names, reason = "the interface names it so")]
struct Active {
    #[schemars(extend("const" = true))]
    active: bool,
    token: Option<TokenId>,
    account: Option<AccountId>,
    organization: Option<OrganizationId>,
    role: Option<String>,
    scopes: Vec<String>,
    expires_at: Option<Moment>,
}

/// It may not.
#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
struct Refused {
    #[schemars(extend("const" = false))]
    active: bool,
    /// The true reason: for the service, not for its caller.
    #[schemars(extend("enum" = Code::ALL.map(Code::as_str)))]
    code: &'static str,
    refusal: RefusalView,
}

/// What the API would answer.
#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
struct RefusalView {
    #[schemars(range(min = 400, max = 599))]
    status: u16,
    /// A value, or values where a header is repeated.
    #[schemars(with = "BTreeMap<String, OneOrMore>")]
    headers: serde_json::Map<String, serde_json::Value>,
    body: String,
}

async fn verify(
    State(verifier): State<Arc<Verifier>>,
    asking: Asking,
    Json(asked): Json<Asked>,
) -> Result<axum::Json<Verified>, Problem> {
    let question = verifier.question(&asking, &asked)?;
    Ok(axum::Json(Verifier::answer(&question, &asking.0)))
}

async fn verify_batch(
    State(verifier): State<Arc<Verifier>>,
    asking: Asking,
    Json(batch): Json<Batch>,
) -> Result<axum::Json<Answers>, Problem> {
    if batch.items.len() > BATCH {
        let detail = format!("items: at most {BATCH} in one batch");
        return Err(Problem::bad_request(detail).about("items"));
    }
    let questions = batch.items.iter().enumerate().map(|(at, asked)| {
        verifier.question(&asking, asked).map_err(|problem| {
            let place = format!("items[{at}]");
            let detail = format!("{place}: {}", problem.detail);
            let field = problem.field.map_or(place.clone(), |field| format!("{place}.{field}"));
            Problem { detail, field: Some(field), ..problem }
        })
    });
    // All of them are read before one is judged: what is wrong leaves nothing behind.
    let questions = questions.collect::<Result<Vec<_>, _>>()?;
    let items = questions.iter().map(|question| Verifier::answer(question, &asking.0)).collect();
    Ok(axum::Json(Answers { items }))
}

impl Verifier {
    fn question<'a>(&'a self, asking: &Asking, asked: &'a Asked) -> Result<Question<'a>, Problem> {
        // Whoever may not ask about an API does not learn whether it exists.
        asking
            .0
            .may(&verify_scope(&asked.api))
            .map_err(|error| Problem::from(error).about("api"))?;
        let door = self.doors.find(&asked.api).ok_or_else(|| {
            let detail = format!("there is no API {}", loggable(&asked.api));
            Problem::new(StatusCode::NOT_FOUND, "unknown_api", detail).about("api")
        })?;
        Ok(Question { door, read: asked.read(&door.api)? })
    }

    fn answer(Question { door, read }: &Question<'_>, caller: &Caller) -> Verified {
        // The operator looks; what tokens did must not show that.
        let is_use = *caller != Caller::Operator;
        let Read { headers, client, scope, path, method } = read;
        let requirement = match path {
            Some(path) => door.api.requirement(method, path),
            None => Requirement::Any,
        };
        let seen = Seen::now(method, path.as_deref().unwrap_or(""), *client, headers);
        let judged = door
            .judge(seen, requirement)
            .and_then(|admitted| holds(door, admitted, scope.as_ref()));
        match judged {
            Ok(admitted) => {
                if is_use {
                    door.let_through(&admitted, seen);
                }
                Verified::Active(active(door, &admitted))
            }
            Err(refusal) => {
                let request_id = entropy::request_id();
                let answer = if is_use {
                    door.refuse(&refusal, request_id, seen)
                } else {
                    error_format::answer(&door.api, &refusal, request_id)
                };
                Verified::Refused(Refused {
                    active: false,
                    code: refusal.code.as_str(),
                    refusal: answer.into(),
                })
            }
        }
    }
}

/// What was asked, and at which door.
struct Question<'a> {
    door: &'a Door,
    read: Read<'a>,
}

/// What was asked, each part as its type.
pub(crate) struct Read<'a> {
    pub(crate) headers: HeaderMap,
    pub(crate) client: Option<IpAddr>,
    /// What is asked for besides the route's scope.
    pub(crate) scope: Option<Scope>,
    /// Canonical, without the query.
    pub(crate) path: Option<Cow<'a, str>>,
    pub(crate) method: &'a str,
}

impl Asked {
    pub(crate) fn read(&self, api: &Api) -> Result<Read<'_>, Problem> {
        let headers = self.headers(api)?;
        let client = match &self.client_address {
            Some(text) => Some(client_address::address(text).ok_or_else(|| {
                Problem::bad_request("client_address: that is no IP address")
                    .about("client_address")
            })?),
            None => None,
        };
        let scope =
            match &self.scope {
                Some(text) => Some(text.parse::<Scope>().map_err(|error| {
                    Problem::bad_request(format!("scope: {error}")).about("scope")
                })?),
                None => None,
            };
        let path = match &self.path {
            Some(path) => {
                let path = path.split('?').next().unwrap_or_default();
                Some(canonical(path).map_err(|error| {
                    Problem::bad_request(format!("path: {error}")).about("path")
                })?)
            }
            None => None,
        };
        let method = self.method.as_deref().unwrap_or("GET");
        Ok(Read { headers, client, scope, path, method })
    }

    fn headers(&self, api: &Api) -> Result<HeaderMap, Problem> {
        let wrong = |field: &str, detail: String| Problem::bad_request(detail).about(field);
        match (&self.headers, &self.secret) {
            (Some(Fields(lines)), None) => {
                let count = |values: &OneOrMore| match values {
                    OneOrMore::One(_) => 1,
                    OneOrMore::More(values) => values.len(),
                };
                if lines.iter().map(|(_, values)| count(values)).sum::<usize>() > HEADERS {
                    let detail = format!("headers: at most {HEADERS} header lines");
                    return Err(wrong("headers", detail));
                }
                let mut headers = HeaderMap::new();
                for (name, values) in lines {
                    let parsed = HeaderName::try_from(name.as_str()).map_err(|_| {
                        wrong(
                            "headers",
                            format!("headers: {} cannot be a header's name", loggable(name)),
                        )
                    })?;
                    let values = match values {
                        OneOrMore::One(value) => std::slice::from_ref(value),
                        OneOrMore::More(values) => values.as_slice(),
                    };
                    for value in values {
                        let value = HeaderValue::try_from(value.as_str()).map_err(|_| {
                            wrong(
                                "headers",
                                format!("headers: the value of {} cannot be one", loggable(name)),
                            )
                        })?;
                        headers.append(parsed.clone(), value);
                    }
                }
                Ok(headers)
            }
            (None, Some(secret)) => secret_alone(api, secret),
            _ => Err(wrong("headers", "give headers or secret, one of the two".into())),
        }
    }
}

/// The header in which a secret alone would have come.
fn secret_alone(api: &Api, secret: &str) -> Result<HeaderMap, Problem> {
    let schemes = &api.schemes;
    let accepts = |scheme| schemes.accepted.contains(&scheme);
    let (name, before) = if accepts(Scheme::Bearer) {
        (header::AUTHORIZATION, "Bearer ")
    } else if accepts(Scheme::Token) {
        (header::AUTHORIZATION, "Token ")
    } else {
        match &schemes.header {
            Some(name) if accepts(Scheme::Header) => {
                let name = HeaderName::try_from(name.as_str())
                    .map_err(|_| Problem::bad_request("the API's header is no header"))?;
                (name, "")
            }
            _ => {
                let detail = "secret: a secret alone proves nothing to this API; give the headers";
                return Err(Problem::bad_request(detail).about("secret"));
            }
        }
    };
    // What cannot stand in a header cannot be a credential: nor can two words.
    let value = HeaderValue::try_from(format!("{before}{secret}"))
        .or_else(|_| HeaderValue::try_from(format!("{before}? ?")))
        .map_err(|_| Problem::bad_request("secret: it cannot stand in a header"))?;
    Ok(HeaderMap::from_iter([(name, value)]))
}

/// The scope that was asked for besides the route's.
fn holds<'i>(
    door: &Door,
    admitted: Admitted<'i>,
    scope: Option<&Scope>,
) -> Result<Admitted<'i>, Refusal> {
    let Some(scope) = scope else { return Ok(admitted) };
    let Some(identity) = admitted.identity() else {
        return Err(Refusal::new(Code::MissingCredential));
    };
    if identity.scopes(&door.api).any(|held| held.covers(scope.as_need())) {
        return Ok(admitted);
    }
    Err(Refusal {
        about: About::Scope(scope.to_string()),
        matched: Some((identity.token(), identity.organization())),
        ..Refusal::new(Code::InsufficientScope)
    })
}

fn active(door: &Door, admitted: &Admitted) -> Active {
    let identity = admitted.identity();
    let api = &*door.api;
    Active {
        active: true,
        token: identity.map(Identity::token),
        account: identity.map(Identity::account),
        organization: identity.map(Identity::organization),
        role: identity.and_then(|i| i.role(api)).map(str::to_owned),
        scopes: identity.map_or(Vec::new(), |i| i.scopes(api).map(ToString::to_string).collect()),
        expires_at: identity.and_then(Identity::expires_at).map(Moment),
    }
}

impl From<Answer> for RefusalView {
    fn from(answer: Answer) -> Self {
        let mut headers = serde_json::Map::new();
        for (name, value) in answer.headers {
            // A header that is repeated is a list, as in the question.
            match headers.get_mut(name) {
                None => {
                    headers.insert(name.to_owned(), value.into());
                }
                Some(serde_json::Value::Array(values)) => values.push(value.into()),
                Some(first) => *first = serde_json::json!([first.take(), value]),
            }
        }
        Self { status: answer.status, headers, body: answer.body }
    }
}
