//! What the server's own listener answers. Verify, which services ask all the time, is
//! answered here; everything else goes to the router, which has verify's routes as well,
//! and would answer the same.

use super::{
    api::{Peer, Protection},
    client_address,
    door::{self, Seen},
    extract, head,
    problem::{self, Problem, REQUEST_ID},
    verify::{Asker, Verifier, Way},
};
use crate::{clock, entropy, replica::Replica};
use axum::Router;
use bytes::Bytes;
use counterfoil_core::{Refusal, id::RequestId};
use http::{HeaderValue, Request, Response, header, request::Parts};
use http_body_util::{Either, Full};
use std::{convert::Infallible, future::poll_fn, net::SocketAddr, pin::pin, sync::Arc, task::Poll};
use tower::ServiceExt as _;

/// A short body of our own, or what the router answers.
pub(crate) type Body = Either<Full<Bytes>, axum::body::Body>;

/// What answers.
pub(crate) struct Server {
    pub(crate) router: Router,
    pub(crate) verifier: Arc<Verifier>,
    pub(crate) protection: Arc<Protection>,
    pub(crate) replica: Arc<Replica>,
}

/// Why a question is not answered.
enum Stop {
    /// Something about the question itself is wrong.
    Problem(Problem),
    /// Whoever asks may not.
    Refused(Refusal),
}

impl From<Problem> for Stop {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl Server {
    /// Answers one request from `peer`.
    pub(crate) async fn answer<B>(
        self: Arc<Self>,
        peer: SocketAddr,
        mut request: Request<B>,
    ) -> Result<Response<Body>, Infallible>
    where
        B: http_body::Body<Data = Bytes, Error: Into<axum::BoxError>> + Send + 'static,
    {
        let Some(way) = Way::of(&request) else {
            request.extensions_mut().insert(Peer(peer));
            // On the heap, so that what is answered here need not make room for it.
            let answering = Box::pin(self.router.clone().oneshot(request));
            return answering.await.map(|response| response.map(Either::Right));
        };
        let at = clock::now();
        let request_id = RequestId::new(at, entropy::bytes());
        let too_large = head::check(&request);
        let (head, body) = request.into_parts();
        let proxies = &self.protection.trusted_proxies;
        let client = client_address::forwarded_for(peer.ip(), &head.headers, proxies);
        let (method, path) = (head.method.as_str(), head.uri.path());
        let mut seen = Seen::at(at, method, path, client, &head.headers);
        let answered = match too_large {
            Ok(()) => self.verify(way, &mut seen, &head, body).await,
            Err(problem) => Err(problem.into()),
        };
        let mut response = match answered {
            Ok(json) => ours(json, "application/json"),
            Err(Stop::Problem(problem)) => {
                let json = problem.explain(request_id, &self.replica, &head.method, path);
                let mut response = ours(json, problem::CONTENT_TYPE);
                *response.status_mut() = problem.status;
                response
            }
            Err(Stop::Refused(refusal)) => {
                door::response(self.protection.door.refuse(&refusal, request_id, seen))
                    .map(Either::Left)
            }
        };
        // A refusal has its name already.
        if let Ok(value) = HeaderValue::try_from(request_id.to_string()) {
            response.headers_mut().entry(REQUEST_ID).or_insert(value);
        }
        Ok(response)
    }

    /// Verify's answer, in JSON.
    async fn verify<B>(
        &self,
        way: Way,
        seen: &mut Seen<'_>,
        head: &Parts,
        body: B,
    ) -> Result<Vec<u8>, Stop>
    where
        B: http_body::Body<Data = Bytes, Error: Into<axum::BoxError>>,
    {
        let mut body = pin!(extract::collect(body, extract::BODY));
        // What is asked is mostly here already, and then the asker is judged once. Whoever
        // waits to be asked for a body is not asked before.
        let here = if head.headers.contains_key(header::EXPECT) {
            Poll::Pending
        } else {
            poll_fn(|cx| Poll::Ready(body.as_mut().poll(cx))).await
        };
        let body = if let Poll::Ready(body) = here {
            body
        } else {
            // Strangers get no memory. What a caller may is judged once more when all of
            // the request is here: a body that is held back must not hold back a revocation.
            self.protection.judge(*seen)?;
            let body = extract::in_time(body, extract::BODY_TIME).await?;
            seen.at = clock::now();
            Ok(body)
        };
        let admitted = self.protection.judge(*seen)?;
        let body = body?;
        let (identity, _) = self.protection.let_through(&admitted, *seen)?;
        let asker = Asker::Token(identity, &self.protection.door.api);
        Ok(self.verifier.answer(way, asker, &body, seen.at)?)
    }
}

fn ours(json: impl Into<Bytes>, content_type: &'static str) -> Response<Body> {
    let mut response = Response::new(Either::Left(Full::new(json.into())));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
