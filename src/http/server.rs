//! What the server's own listener answers. Verify, which services ask all the time, is
//! answered here; everything else goes to the router, which has verify's routes as well,
//! and would answer the same.

use super::{
    api::{Peer, Protection},
    client_address,
    door::{self, Seen},
    extract, head,
    problem::{self, Problem, REQUEST_ID},
    verify::{Answered, Asker, Looks, Verifier, Way},
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
        let mut admitted = self.protection.judge(*seen)?;
        let body = body?;
        let (mut identity, ..) = Protection::acting(&admitted)?;
        self.protection.door.let_through(&admitted, *seen);
        let mut looked = Looks::default();
        loop {
            let asker = Asker::Token(identity, &self.protection.door.api);
            match self.verifier.answer(way, asker, &body, seen.at, &mut looked).await? {
                Answered::Written(json) => return Ok(json),
                Answered::Passwords(shown) => {
                    looked.extend(Box::pin(self.verifier.look(shown)).await);
                    // That took its time. All of it is judged anew, the asker too.
                    seen.at = clock::now();
                    admitted = self.protection.judge(*seen)?;
                    (identity, ..) = Protection::acting(&admitted)?;
                }
            }
        }
    }
}

fn ours(json: impl Into<Bytes>, content_type: &'static str) -> Response<Body> {
    let mut response = Response::new(Either::Left(Full::new(json.into())));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        app::App,
        config::{Config, Environment, Source},
        http::live::Live,
        store::sqlite::{DataDirectory, Sqlite},
        telemetry::Metrics,
    };
    use counterfoil_core::{
        Timestamp,
        account::Rank,
        id::{AccountId, OrganizationId, TokenId},
        index::{Index, Loaded},
        token::{Grant, Secret, State, Token},
    };
    use http_body_util::BodyExt as _;
    use serde_json::{Value, json};
    use std::path::Path;

    const CONFIGURATION: &str = r#"
    [api.orders]
    upstream = "http://127.0.0.1:1"
    [api.orders.scopes]
    read = "Read"
    write = "Write"
    "#;

    fn secret(n: u8) -> Secret {
        Secret::mint(&"counterfoil".to_owned().try_into().unwrap(), &[n; 24])
    }

    /// An index with a service's token, one that may not ask, and one to ask about.
    fn index() -> Index {
        let (index, now) = (Index::default(), Timestamp::from_millis(1));
        let (organization, owner) =
            (OrganizationId::new(now, [1; 10]), AccountId::new(now, [2; 10]));
        index.load_organization(organization, true);
        index.load_account(owner, None, true).unwrap();
        index.load_membership(organization, owner, Some(Rank::Administrator)).unwrap();
        for (n, api, scopes) in [
            (1, "counterfoil", &["orders:verify"][..]),
            (2, "counterfoil", &["tokens:read"]),
            (3, "orders", &["read", "write"]),
        ] {
            let token = Token {
                id: TokenId::new(now, [n; 10]),
                api: api.into(),
                organization,
                owner,
                name: String::new(),
                note: String::new(),
                grant: Grant::Scopes(scopes.iter().map(|scope| scope.parse().unwrap()).collect()),
                created_at: now,
                expires_at: None,
                allowed_networks: Vec::new(),
                external_id: None,
                metadata: None,
                prefix: "counterfoil".into(),
                last_four: "".into(),
                digest: secret(n).digest(),
            };
            index.load_token(&Loaded::of(&token, State::Active, None)).unwrap();
        }
        index
    }

    /// An answer without what differs each time: status, header fields, body.
    async fn told<B>(response: Response<B>) -> (u16, Vec<(String, String)>, String)
    where
        B: http_body::Body<Data = Bytes, Error: std::fmt::Debug>,
    {
        let (head, body) = response.into_parts();
        let name = head.headers[&REQUEST_ID].to_str().unwrap().to_owned();
        let text = |value: &HeaderValue| value.to_str().unwrap().replace(&name, "NAME");
        // Where it is not set, the connection sets it.
        let set = head.headers.iter().filter(|(name, _)| *name != header::CONTENT_LENGTH);
        let mut fields: Vec<(String, String)> =
            set.map(|(name, value)| (name.to_string(), text(value))).collect();
        fields.sort();
        let body = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        let mut body = body.replace(&name, "NAME");
        // A refusal within has a name of its own.
        if let Ok(Value::Object(answer)) = serde_json::from_str(&body)
            && let Some(inner) = answer.get("refusal").map(|r| &r["headers"]["x-request-id"])
        {
            body = body.replace(inner.as_str().unwrap(), "INNER");
        }
        (head.status.as_u16(), fields, body)
    }

    #[tokio::test]
    async fn it_answers_as_the_router_would() {
        let source = Source { name: "server.toml".into(), text: CONFIGURATION.into() };
        let config = Config::load(Some(&source), &Environment::default()).unwrap().config;
        let directory = tempfile::tempdir().unwrap();
        let locked = Arc::new(DataDirectory::lock(directory.path()).unwrap());
        let store = Sqlite::open(locked, Path::new("test.db"), Box::new(|_, _| {})).unwrap();
        let replica = Arc::new(Replica::trusting(index()));
        let app = App::on(&config, Arc::new(store), replica.clone(), None).unwrap();
        let metrics = Arc::new(Metrics::new(replica, app.limiter.clone()));
        let live = Live::new(&config, &app, &metrics, None).unwrap();
        let peer = SocketAddr::from(([127, 0, 0, 1], 7));

        let bearer = |n| Some(format!("Bearer {}", secret(n).reveal()));
        let right = json!({"api": "orders", "secret": secret(3).reveal()});
        let refused = json!({"api": "orders", "headers": {"authorization": "Bearer x"}});
        let several = json!({"items": [right, right]});
        let large = " ".repeat(extract::BODY);
        for (method, path, shown, field, body, status) in [
            ("POST", "/v1/verify", bearer(1), "", right.to_string(), 200),
            ("POST", "/v1/verify", bearer(1), "", refused.to_string(), 200),
            ("POST", "/v1/verify?x", bearer(1), "", right.to_string(), 200),
            ("POST", "/v1/verify/batch", bearer(1), "", several.to_string(), 200),
            ("POST", "/v1/verify/batch", bearer(1), "", r#"{"items": []}"#.into(), 200),
            ("POST", "/v1/verify", None, "", right.to_string(), 401),
            ("POST", "/v1/verify", bearer(3), "", right.to_string(), 401),
            ("POST", "/v1/verify", bearer(9), "", right.to_string(), 401),
            ("POST", "/v1/verify", Some("Bearer a b".into()), "", right.to_string(), 401),
            ("POST", "/v1/verify", bearer(2), "", right.to_string(), 403),
            ("POST", "/v1/verify", bearer(1), "", r#"{"api": "costs"}"#.into(), 403),
            ("POST", "/v1/verify", bearer(1), "", String::new(), 400),
            ("POST", "/v1/verify", bearer(1), "", "{".into(), 400),
            ("POST", "/v1/verify", bearer(1), "", "[]".into(), 400),
            ("POST", "/v1/verify", bearer(1), "", r#"{"api": 7}"#.into(), 400),
            ("POST", "/v1/verify/batch", bearer(1), "", r#"{"items": [{"api": 7}]}"#.into(), 400),
            ("POST", "/v1/verify/batch", bearer(1), "", right.to_string(), 400),
            ("POST", "/v1/verify", bearer(1), "", format!("{right}{large}"), 413),
            // Strangers are told nothing of their bodies.
            ("POST", "/v1/verify", None, "", large.clone() + "x", 401),
            ("POST", "/v1/verify", bearer(1), &large[..70_000], right.to_string(), 431),
            ("GET", "/v1/verify", bearer(1), "", String::new(), 405),
            ("PUT", "/v1/verify/batch", bearer(1), "", right.to_string(), 405),
            ("POST", "/v1/verify/", bearer(1), "", right.to_string(), 404),
            ("POST", "/v1/%76erify", bearer(1), "", right.to_string(), 404),
        ] {
            let request = || {
                let mut request = Request::builder().method(method).uri(path);
                if let Some(shown) = &shown {
                    request = request.header("authorization", shown);
                }
                request.header("x-field", field).body(Full::new(Bytes::from(body.clone()))).unwrap()
            };
            let here = live.server.clone().answer(peer, request()).await.unwrap();
            let mut routed = request();
            routed.extensions_mut().insert(Peer(peer));
            let there = live.server.router.clone().oneshot(routed).await.unwrap();
            let (here, there) = (told(here).await, told(there).await);
            assert_eq!(here, there, "{method} {path}");
            assert_eq!(here.0, status, "{method} {path} {here:?}");
        }
    }
}
