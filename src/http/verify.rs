//! Verify: a service's own code asks whether a request may pass. Reads memory only, but where
//! an account's password is shown to an API that takes those.

mod answer;
mod question;
mod slots;

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
    limiter::Limiter,
    service::{
        Caller, Via,
        door_passwords::{DoorPasswords, Looked, PasswordShown},
        management_api::verify_scope,
    },
};
use answer::{Several, SlotTaken, Verified};
use axum::extract::State;
use counterfoil_core::{
    Admitted, Code, Refusal, Timestamp,
    api::Api,
    error_format,
    id::{RequestId, SlotId},
    limit::{Claim, Holds, Owner},
    refusal::About,
    route::Requirement,
    scope::{Need, Scope},
    verify::Identity,
};
use http::StatusCode;
use question::{BATCH, Lines};
use slots::SlotView;
use std::{collections::BTreeMap, sync::Arc};

/// What answers.
pub(crate) struct Verifier {
    doors: Doors,
    passwords: Arc<DoorPasswords>,
    limiter: Arc<Limiter>,
}

/// What came of looking at the passwords in what was asked, by the questions' places.
pub(crate) type Looks<'a> = BTreeMap<usize, Looked<'a>>;

/// What comes of asking.
pub(crate) enum Answered {
    /// The answer, in JSON.
    Written(Vec<u8>),
    /// Nothing is judged yet: these are to be looked at before.
    Passwords(Vec<(usize, PasswordShown)>),
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
         is the API's name. Where the API has rates, the question is a request that counts. With \
         `slot` it also takes one of those that its token may have in flight, as `slot` in the \
         answer; that is null where the API has no limit on them.",
    )
    .needs("NAME:verify")
    .fails(&[StatusCode::NOT_FOUND]);

const SEVERAL: Call = calls::post("/v1/verify/batch", "verify_batch")
    .does("Ask about many requests at once")
    .about("Answered in order. `NAME` is the name of each API that is asked about.")
    .needs("NAME:verify")
    .fails(&[StatusCode::NOT_FOUND]);

pub(crate) fn calls() -> Calls<Arc<Verifier>> {
    Calls::new().on(ONE, verify).on(SEVERAL, verify_batch).merge(slots::calls())
}

async fn verify(
    State(verifier): State<Arc<Verifier>>,
    Asking(caller): Asking,
    body: JsonBytes<Asked<'static>>,
) -> Result<WrittenJson<Verified<'static>>, Problem> {
    let who = Asker::from(&caller);
    verifier.answer_whole(Way::One, who, body.bytes()).await.map(WrittenJson::new)
}

async fn verify_batch(
    State(verifier): State<Arc<Verifier>>,
    Asking(caller): Asking,
    body: JsonBytes<Batch<'static>>,
) -> Result<WrittenJson<Several>, Problem> {
    let who = Asker::from(&caller);
    verifier.answer_whole(Way::Batch, who, body.bytes()).await.map(WrittenJson::new)
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

    /// Whose the slots are that are taken. All ids are of version 7, and this of none.
    fn owner(self) -> Owner {
        match self {
            Self::Caller(Caller::Operator) => Owner([0; 16]),
            Self::Caller(Caller::Member(member)) => match member.via {
                Via::Token(token) => token.into(),
                Via::Session(session) => Owner(*session.as_bytes()),
            },
            Self::Token(identity, _) => {
                identity.token().map_or_else(|| Owner(*identity.account().as_bytes()), Owner::from)
            }
        }
    }

    /// The operator looks; what tokens did must not show that.
    fn is_use(self) -> bool {
        !matches!(self, Self::Caller(Caller::Operator))
    }
}

impl Verifier {
    pub(crate) fn new(config: &Config, common: &Common) -> Self {
        Self {
            doors: Doors::new("verify", config, common),
            passwords: common.passwords.clone(),
            limiter: common.limiter.clone(),
        }
    }

    /// The answer to what was asked, in JSON, whatever has to be looked at for it.
    async fn answer_whole(
        &self,
        way: Way,
        who: Asker<'_>,
        body: &[u8],
    ) -> Result<Vec<u8>, Problem> {
        let mut looked = Looks::default();
        loop {
            match self.answer(way, who, body, clock::now(), &mut looked).await? {
                Answered::Written(json) => return Ok(json),
                Answered::Passwords(shown) => looked.extend(self.look(shown).await),
            }
        }
    }

    /// Looks at passwords, one after the other, and at all of them no longer than at one.
    pub(crate) async fn look(&self, shown: Vec<(usize, PasswordShown)>) -> Looks<'_> {
        let deadline = DoorPasswords::deadline();
        let mut looked = Looks::default();
        for (place, shown) in shown {
            looked.insert(place, self.passwords.look(shown, deadline).await);
        }
        looked
    }

    /// The answer to what was asked, where all passwords in it were looked at.
    pub(crate) async fn answer(
        &self,
        way: Way,
        who: Asker<'_>,
        body: &[u8],
        at: Timestamp,
        looked: &mut Looks<'_>,
    ) -> Result<Answered, Problem> {
        let mut answering =
            Answering { is_use: who.is_use(), owner: who.owner(), at, line: Vec::new() };
        match way {
            Way::One => {
                let asked: Asked<'_> = read_body(body)?;
                let question = self.question(who, &asked)?;
                if let Some(shown) =
                    answering.not_looked_at(std::slice::from_ref(&question), looked)
                {
                    return Ok(shown);
                }
                let mut written = Vec::with_capacity(ANSWER);
                answering.write(&mut written, &question, looked.remove(&0)).await?;
                Ok(Answered::Written(written))
            }
            Way::Batch => {
                let batch: Batch<'_> = read_body(body)?;
                // On the heap, so that one question need not make room for it.
                Box::pin(self.answer_all(who, &batch.items, answering, looked)).await
            }
        }
    }

    async fn answer_all(
        &self,
        who: Asker<'_>,
        items: &[Asked<'_>],
        mut answering: Answering,
        looked: &mut Looks<'_>,
    ) -> Result<Answered, Problem> {
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
        if let Some(shown) = answering.not_looked_at(&questions, looked) {
            return Ok(shown);
        }
        let mut written = Vec::with_capacity(ANSWER * (questions.len() + 1));
        written.extend_from_slice(b"{\"items\":[");
        for (at, question) in questions.iter().enumerate() {
            if at > 0 {
                written.push(b',');
            }
            answering.write(&mut written, question, looked.remove(&at)).await?;
        }
        written.extend_from_slice(b"]}");
        Ok(Answered::Written(written))
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
    /// Whose the slots are that are taken.
    owner: Owner,
    at: Timestamp,
    /// Room for a header line.
    line: Vec<u8>,
}

impl Answering {
    /// The passwords in these questions that nobody has looked at.
    fn not_looked_at<'q, 'a: 'q>(
        &mut self,
        questions: impl IntoIterator<Item = &'q Question<'a>>,
        looked: &Looks<'_>,
    ) -> Option<Answered> {
        let mut all = Vec::new();
        for (place, question) in questions.into_iter().enumerate() {
            if question.door.takes_passwords() && !looked.contains_key(&place) {
                let shown = question.door.password_shown(&self.seen(&question.read));
                all.extend(shown.map(|shown| (place, shown)));
            }
        }
        (!all.is_empty()).then_some(Answered::Passwords(all))
    }

    /// What a door sees of a request that is asked about.
    fn seen<'s>(&'s mut self, read: &'s Read<'_>) -> Seen<'s, Lines<'s>> {
        Seen {
            at: self.at,
            method: read.method,
            path: read.path.as_deref().unwrap_or(""),
            client: read.client,
            headers: read.shown.lines(&mut self.line),
        }
    }

    async fn write(
        &mut self,
        written: &mut Vec<u8>,
        Question { door, read }: &Question<'_>,
        looked: Option<Looked<'_>>,
    ) -> Result<(), Problem> {
        let api = &*door.api;
        let requirement = match &read.path {
            Some(path) => api.requirement(read.method, path),
            None => Requirement::Any,
        };
        let (is_use, owner, at, scope) = (self.is_use, self.owner, self.at, &read.scope);
        let seen = self.seen(read);
        let judged = match looked {
            None => door.judge(seen, requirement),
            Some(looked) => door.judge_looked(seen, requirement, looked),
        };
        let mut judged = judged.and_then(|admitted| covers(door, admitted, scope.as_ref()));
        let mut slot = None;
        if let Ok(admitted) = &judged
            && (is_use || read.slot.is_some())
        {
            let claim = read.slot.map(|lasts| {
                let id = SlotId::new(at, entropy::bytes());
                Claim { id, owner, lasts }
            });
            let holds = claim.map_or(Holds::Nothing, Holds::Named);
            let is_limited = door.ask(admitted, holds).is_some_and(|ask| ask.in_flight().is_some());
            slot = claim.map(|claim| {
                if is_limited { SlotTaken::Slot(SlotView::of(&claim, at)) } else { SlotTaken::None }
            });
            if let Err(refusal) = door.limit(admitted, holds).await {
                judged = Err(refusal);
            }
        }
        let answer;
        let written = match &judged {
            Ok(admitted) => {
                if is_use {
                    door.let_through(admitted, seen);
                }
                Verified::active(admitted.identity(), api, slot).write(written)
            }
            Err(refusal) => {
                let request_id = RequestId::new(at, entropy::bytes());
                answer = if is_use {
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
fn covers<'i>(
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
        matched: identity.token().map(|token| (token, identity.organization())),
        ..Refusal::new(Code::InsufficientScope)
    })
}
