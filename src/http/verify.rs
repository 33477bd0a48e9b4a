//! Verify: a service's own code asks whether a request may pass. Reads memory only.

mod answer;
mod question;

pub(crate) use question::{Asked, Batch, Read};

use super::{
    api::Asking,
    calls::{self, Call, Calls, WrittenJson},
    door::{Common, Door, Doors, Seen},
    extract::{JsonBytes, read_body},
    loggable::loggable,
    problem::Problem,
};
use crate::{
    clock,
    config::Config,
    entropy,
    service::{Caller, management_api::verify_scope},
};
use answer::{Several, Verified};
use axum::extract::State;
use counterfoil_core::{
    Admitted, Code, Refusal, Timestamp,
    api::Api,
    error_format,
    id::RequestId,
    refusal::About,
    route::Requirement,
    scope::{Need, Scope},
    verify::Identity,
};
use http::StatusCode;
use question::BATCH;
use std::sync::Arc;

/// What answers.
pub(crate) struct Verifier {
    doors: Doors,
}

/// One of the two calls. The server's listener answers them before the router is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    One,
    Batch,
}

const ONE: Call = calls::post("/v1/verify", "verify")
    .does("Ask whether a request may pass")
    .about(
        "Give `headers` exactly as they arrived or, for an API with one secret, `secret`. `NAME` \
         is the API's name.",
    )
    .needs("NAME:verify")
    .fails(&[StatusCode::NOT_FOUND]);

const SEVERAL: Call = calls::post("/v1/verify/batch", "verify_batch")
    .does("Ask about many requests at once")
    .about("Answered in order. `NAME` is the name of each API that is asked about.")
    .needs("NAME:verify")
    .fails(&[StatusCode::NOT_FOUND]);

pub(crate) fn calls() -> Calls<Arc<Verifier>> {
    Calls::new().on(ONE, verify).on(SEVERAL, verify_batch)
}

async fn verify(
    State(verifier): State<Arc<Verifier>>,
    Asking(caller): Asking,
    body: JsonBytes<Asked<'static>>,
) -> Result<WrittenJson<Verified<'static>>, Problem> {
    let who = Asker::from(&caller);
    verifier.answer(Way::One, who, body.bytes(), clock::now()).map(WrittenJson::new)
}

async fn verify_batch(
    State(verifier): State<Arc<Verifier>>,
    Asking(caller): Asking,
    body: JsonBytes<Batch<'static>>,
) -> Result<WrittenJson<Several>, Problem> {
    let who = Asker::from(&caller);
    verifier.answer(Way::Batch, who, body.bytes(), clock::now()).map(WrittenJson::new)
}

impl Way {
    /// The call that a request is, if it is one of them.
    pub(crate) fn of<B>(request: &http::Request<B>) -> Option<Self> {
        let path = request.uri().path();
        // Both are calls of one method.
        if request.method() != http::Method::POST {
            None
        } else if path == ONE.path {
            Some(Self::One)
        } else if path == SEVERAL.path {
            Some(Self::Batch)
        } else {
            None
        }
    }
}

/// Who asks, as far as it matters here.
#[derive(Clone, Copy)]
pub(crate) enum Asker<'a> {
    /// A caller as operations know it.
    Caller(&'a Caller),
    /// Whoever holds this token of the management API.
    Token(Identity<'a>, &'a Api),
}

impl<'a> From<&'a Caller> for Asker<'a> {
    fn from(caller: &'a Caller) -> Self {
        Self::Caller(caller)
    }
}

impl Asker<'_> {
    /// Passes where the who may ask about the API of this name.
    pub(crate) fn may_ask_about(self, api: &str) -> Result<(), Problem> {
        let need = Need { resource: Some(api), action: "verify" };
        let granted = match self {
            Self::Caller(caller) => caller.may(&verify_scope(api)),
            // Held as it is needed: the management API has no bare scopes.
            Self::Token(identity, own)
                if identity.scopes(own).any(|scope| scope.as_need() == need) =>
            {
                Ok(())
            }
            Self::Token(..) => Err(Caller::lacks(&verify_scope(api))),
        };
        granted.map_err(|error| Problem::from(error).about("api"))
    }

    /// The operator looks; what tokens did must not show that.
    fn is_use(self) -> bool {
        !matches!(self, Self::Caller(Caller::Operator))
    }
}

impl Verifier {
    pub(crate) fn new(config: &Config, common: &Common) -> Self {
        Self { doors: Doors::new("verify", config, common) }
    }

    /// The answer to what was asked, in JSON.
    pub(crate) fn answer(
        &self,
        way: Way,
        who: Asker<'_>,
        body: &[u8],
        at: Timestamp,
    ) -> Result<Vec<u8>, Problem> {
        let mut answering = Answering { is_use: who.is_use(), at, line: Vec::new() };
        match way {
            Way::One => {
                let asked: Asked<'_> = read_body(body)?;
                let mut written = Vec::with_capacity(ANSWER);
                answering.write(&mut written, &self.question(who, &asked)?)?;
                Ok(written)
            }
            Way::Batch => {
                let batch: Batch<'_> = read_body(body)?;
                self.answer_all(who, &batch.items, answering)
            }
        }
    }

    fn answer_all(
        &self,
        who: Asker<'_>,
        items: &[Asked<'_>],
        mut answering: Answering,
    ) -> Result<Vec<u8>, Problem> {
        if items.len() > BATCH {
            let detail = format!("items: at most {BATCH} in one batch");
            return Err(Problem::bad_request(detail).about("items"));
        }
        // All of them are read before one is judged: what is wrong leaves nothing behind.
        let mut questions = Vec::with_capacity(items.len());
        for (at, asked) in items.iter().enumerate() {
            questions.push(self.question(who, asked).map_err(|problem| {
                let place = format!("items[{at}]");
                let detail = format!("{place}: {}", problem.detail);
                let field = problem.field.map_or(place.clone(), |field| format!("{place}.{field}"));
                Problem { detail, field: Some(field), ..problem }
            })?);
        }
        let mut written = Vec::with_capacity(ANSWER * (questions.len() + 1));
        written.extend_from_slice(b"{\"items\":[");
        for (at, question) in questions.iter().enumerate() {
            if at > 0 {
                written.push(b',');
            }
            answering.write(&mut written, question)?;
        }
        written.extend_from_slice(b"]}");
        Ok(written)
    }

    fn question<'a>(
        &'a self,
        who: Asker<'_>,
        asked: &'a Asked<'_>,
    ) -> Result<Question<'a>, Problem> {
        // Whoever may not ask about an API does not learn whether it exists.
        who.may_ask_about(&asked.api)?;
        let door = self.doors.find(&asked.api).ok_or_else(|| {
            let detail = format!("there is no API {}", loggable(&asked.api));
            Problem::new(StatusCode::NOT_FOUND, "unknown_api", detail).about("api")
        })?;
        Ok(Question { door, read: asked.read(&door.api)? })
    }
}

/// What was asked, and at which door.
struct Question<'a> {
    door: &'a Door,
    read: Read<'a>,
}

/// How much room an answer mostly needs, in bytes.
const ANSWER: usize = 320;

/// How questions that came together are answered.
struct Answering {
    /// Whether what is asked counts as done.
    is_use: bool,
    at: Timestamp,
    /// Room for a header line.
    line: Vec<u8>,
}

impl Answering {
    fn write(
        &mut self,
        written: &mut Vec<u8>,
        Question { door, read }: &Question<'_>,
    ) -> Result<(), Problem> {
        let api = &*door.api;
        let Read { shown, client, scope, path, method } = read;
        let requirement = match path {
            Some(path) => api.requirement(method, path),
            None => Requirement::Any,
        };
        let seen = Seen {
            at: self.at,
            method,
            path: path.as_deref().unwrap_or(""),
            client: *client,
            headers: shown.lines(&mut self.line),
        };
        let judged = door
            .judge(seen, requirement)
            .and_then(|admitted| holds(door, admitted, scope.as_ref()));
        let answer;
        let written = match &judged {
            Ok(admitted) => {
                if self.is_use {
                    door.let_through(admitted, seen);
                }
                Verified::active(admitted.identity(), api).write(written)
            }
            Err(refusal) => {
                let request_id = RequestId::new(self.at, entropy::bytes());
                answer = if self.is_use {
                    door.refuse(refusal, request_id, seen)
                } else {
                    error_format::answer(api, refusal, request_id)
                };
                Verified::refused(refusal.code, &answer).write(written)
            }
        };
        written.map_err(|_| {
            let detail = "the answer could not be written";
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
        })
    }
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
