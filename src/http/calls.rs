//! Calls: a route and its description, made in one. What is not described is not routed.

mod operation;
pub(crate) mod problems;
mod schemas;

pub(crate) use operation::{Answers, Operation, Takes};
pub(crate) use schemas::Schemas;

use super::problem::Problem;
use axum::{
    Router,
    handler::Handler,
    response::{IntoResponse, Response},
    routing::{MethodFilter, on},
};
use http::{StatusCode, header};
use serde::Serialize;
use std::marker::PhantomData;

/// A call, as far as its handler's signature does not tell.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call {
    /// In lower case, as the description has it.
    pub(crate) method: &'static str,
    filter: MethodFilter,
    pub(crate) path: &'static str,
    /// What programs that are made from the description call it.
    pub(crate) name: &'static str,
    /// What it does, in a few words.
    pub(crate) summary: &'static str,
    /// What else there is to know, in Markdown.
    pub(crate) about: &'static str,
    pub(crate) access: Access,
    /// Statuses of problems that the signature does not tell of.
    pub(crate) problems: &'static [StatusCode],
    /// The calls that may follow.
    pub(crate) leads: Option<Leads>,
}

/// Where an answer leads: what it names is a parameter of other calls.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Leads {
    /// What they call it.
    pub(crate) parameter: &'static str,
    /// Where the answer has it (RFC 6901).
    pub(crate) pointer: &'static str,
    /// Their names.
    pub(crate) to: &'static [&'static str],
}

/// How the paths of OAuth's calls begin.
const OAUTH: [&str; 3] = ["/oauth2/", "/authenticate", "/.well-known/"];

/// Who may make a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Whoever holds this scope.
    Scope(&'static str),
    /// The operator alone.
    Operator,
    /// Whoever shows the secret of a token of an API that has access tokens.
    Token,
    /// Whoever shows the id and the secret of a token.
    Client,
    /// Everybody.
    Anybody,
}

pub(crate) const fn get(path: &'static str, name: &'static str) -> Call {
    Call::new("get", MethodFilter::GET, path, name)
}

pub(crate) const fn post(path: &'static str, name: &'static str) -> Call {
    Call::new("post", MethodFilter::POST, path, name)
}

pub(crate) const fn put(path: &'static str, name: &'static str) -> Call {
    Call::new("put", MethodFilter::PUT, path, name)
}

pub(crate) const fn patch(path: &'static str, name: &'static str) -> Call {
    Call::new("patch", MethodFilter::PATCH, path, name)
}

pub(crate) const fn delete(path: &'static str, name: &'static str) -> Call {
    Call::new("delete", MethodFilter::DELETE, path, name)
}

impl Call {
    const fn new(
        method: &'static str,
        filter: MethodFilter,
        path: &'static str,
        name: &'static str,
    ) -> Self {
        let access = Access::Anybody;
        Self {
            method,
            filter,
            path,
            name,
            summary: "",
            about: "",
            access,
            problems: &[],
            leads: None,
        }
    }

    /// What it does, in a few words.
    pub(crate) const fn does(self, summary: &'static str) -> Self {
        Self { summary, ..self }
    }

    /// What else there is to know.
    pub(crate) const fn about(self, about: &'static str) -> Self {
        Self { about, ..self }
    }

    /// The scope that a token needs.
    pub(crate) const fn needs(self, scope: &'static str) -> Self {
        Self { access: Access::Scope(scope), ..self }
    }

    /// Only the operator may.
    pub(crate) const fn for_the_operator(self) -> Self {
        Self { access: Access::Operator, ..self }
    }

    /// Whoever holds a token of an API that has access tokens may.
    pub(crate) const fn for_tokens(self) -> Self {
        Self { access: Access::Token, ..self }
    }

    /// Whoever shows a token as OAuth's clients do may.
    pub(crate) const fn for_clients(self) -> Self {
        Self { access: Access::Client, ..self }
    }

    /// What it is about: the first word of its path.
    pub(crate) fn subject(&self) -> &'static str {
        let first = |below: &'static str| below.split('/').next().unwrap_or_default();
        let is_oauth = |path: &str| OAUTH.iter().any(|begin| path.starts_with(begin));
        match self.path.strip_prefix("/v1/") {
            Some(below) => first(below),
            None if is_oauth(self.path) => "oauth",
            None => "server",
        }
    }

    /// Problems beyond those that come with what the handler takes.
    pub(crate) const fn fails(self, problems: &'static [StatusCode]) -> Self {
        Self { problems, ..self }
    }

    /// The calls whose `parameter` the answer has at `pointer`.
    pub(crate) const fn leads(
        self,
        parameter: &'static str,
        pointer: &'static str,
        to: &'static [&'static str],
    ) -> Self {
        Self { leads: Some(Leads { parameter, pointer, to }), ..self }
    }
}

/// What a handler's signature tells.
type Describe = fn(&mut Operation<'_>);

/// Routes, each with its description.
pub(crate) struct Calls<S = ()> {
    router: Router<S>,
    described: Vec<(Call, Describe)>,
}

impl<S: Clone + Send + Sync + 'static> Calls<S> {
    pub(crate) fn new() -> Self {
        Self { router: Router::new(), described: Vec::new() }
    }

    /// One more.
    pub(crate) fn on<H: Handler<T, S> + Signature<T>, T: 'static>(
        mut self,
        call: Call,
        handler: H,
    ) -> Self {
        self.described.push((call, H::describe));
        Self { router: self.router.route(call.path, on(call.filter, handler)), ..self }
    }

    pub(crate) fn merge(mut self, other: Self) -> Self {
        self.described.extend(other.described);
        Self { router: self.router.merge(other.router), ..self }
    }

    /// What answers them.
    pub(crate) fn with_state<T>(self, state: S) -> Router<T> {
        self.router.with_state(state)
    }

    /// What is written of them.
    pub(crate) fn described(self) -> Vec<(Call, Describe)> {
        self.described
    }
}

/// A handler whose signature says what it takes and what it answers.
pub(crate) trait Signature<T> {
    fn describe(operation: &mut Operation<'_>);
}

impl<F, Fut> Signature<((),)> for F
where
    F: Fn() -> Fut,
    Fut: Future<Output: Answers>,
{
    fn describe(operation: &mut Operation<'_>) {
        Fut::Output::describe(operation);
    }
}

macro_rules! signature {
    ($($part:ident),+) => {
        impl<F, Fut, M, $($part),+> Signature<(M, $($part,)+)> for F
        where
            F: Fn($($part),+) -> Fut,
            Fut: Future<Output: Answers>,
            $($part: Takes,)+
        {
            fn describe(operation: &mut Operation<'_>) {
                $($part::describe(operation);)+
                Fut::Output::describe(operation);
            }
        }
    };
}

signature!(A);
signature!(A, B);
signature!(A, B, C);
signature!(A, B, C, D);
signature!(A, B, C, D, E);

/// 201, with what was made.
pub(crate) struct Created<T>(pub(crate) T);

impl<T: Serialize> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        (StatusCode::CREATED, axum::Json(self.0)).into_response()
    }
}

/// A `T` that is written already, as JSON.
pub(crate) struct WrittenJson<T> {
    json: Vec<u8>,
    what: PhantomData<fn() -> T>,
}

impl<T> WrittenJson<T> {
    pub(crate) fn new(json: Vec<u8>) -> Self {
        Self { json, what: PhantomData }
    }
}

impl<T> IntoResponse for WrittenJson<T> {
    fn into_response(self) -> Response {
        ([(header::CONTENT_TYPE, "application/json")], self.json).into_response()
    }
}

/// An answer that nothing on the way may keep.
pub(crate) struct Unkept<R>(pub(crate) R);

impl<R: IntoResponse> IntoResponse for Unkept<R> {
    fn into_response(self) -> Response {
        ([(header::CACHE_CONTROL, "no-store")], self.0).into_response()
    }
}

impl<R: Answers> Answers for Result<R, Problem> {
    fn describe(operation: &mut Operation<'_>) {
        R::describe(operation);
    }
}
