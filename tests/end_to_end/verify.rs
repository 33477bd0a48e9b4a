//! `POST /v1/verify`: a service asks in its own code.

mod asking;
mod batch;
mod questions;
mod rows;

use crate::{
    caller::{Caller, says_no},
    installation::{ADA, Installation, Token},
    response::Response,
    server::Server,
};
use serde_json::{Value, json};

/// APIs with secrets that travel in all the ways.
const APIS: &str = r#"
[api.orders]
upstream = "http://127.0.0.1:1"
routes = ["GET /public/** -> anonymous", "* /{resource}/** -> {resource}:{access}"]
[api.orders.scopes]
read = "Read everything"
"bills:read" = "Read bills"
"bills:write" = "Change bills"
[api.orders.roles]
clerk = ["bills:read"]

[api.worded]
upstream = "http://127.0.0.1:1"
schemes = ["token"]
errors = "drf-token"

[api.keyed]
upstream = "http://127.0.0.1:1"
schemes = ["header"]
header = "x-orders-key"

[api.paired]
upstream = "http://127.0.0.1:1"
schemes = ["header-pair"]
header_pair = ["x-client", "x-secret"]

[api.basic]
upstream = "http://127.0.0.1:1"
schemes = ["basic"]
"#;

const VERIFY: [&str; 5] =
    ["orders:verify", "worded:verify", "keyed:verify", "paired:verify", "basic:verify"];

/// A server, a service that may ask about every API, and a clerk's token.
struct Stage {
    server: Server,
    service: Caller,
    clerk: Token,
}

impl Stage {
    fn set() -> Self {
        let server = Installation::new(APIS).set_up().start();
        let service = Caller::new(&server, ADA, &VERIFY, &[]);
        let clerk = server.issue("orders", &["--role", "clerk"]);
        Self { server, service, clerk }
    }

    fn ask(&self, question: &Value) -> Response {
        self.service.post("/v1/verify", question)
    }

    /// The answer to a question that can be answered.
    #[track_caller]
    fn answer(&self, question: &Value) -> Value {
        answer(&self.service, question)
    }

    /// Asks about the clerk's token; `more` says what else there is to say.
    #[track_caller]
    fn clerk(&self, more: Value) -> Value {
        self.answer(&with(json!({"api": "orders", "secret": self.clerk.secret}), more))
    }

    /// Checks that a question is refused and its `field` named.
    #[track_caller]
    fn is_wrong(&self, question: &Value, field: &str) -> String {
        let response = self.ask(question);
        says_no(&response, 400, "invalid_request");
        assert_eq!(response.json()["field"], field, "{response:?}");
        response.json()["detail"].as_str().unwrap().to_owned()
    }
}

#[track_caller]
fn answer(service: &Caller, question: &Value) -> Value {
    let response = service.post("/v1/verify", question);
    assert_eq!(response.status, 200, "{question} {response:?}");
    assert_eq!(response.header("content-type"), "application/json");
    response.json()
}

/// Checks that the token is active.
#[track_caller]
fn is_active(answer: &Value, token: &Token) {
    assert_eq!(answer["active"], true, "{answer}");
    assert_eq!(answer["token"], token.id);
}

/// Checks that the answer is no, and why.
#[track_caller]
fn is_refused(answer: &Value, status: u16, code: &str) {
    assert_eq!(answer["active"], false, "{answer}");
    assert_eq!((&answer["code"], &answer["refusal"]["status"]), (&json!(code), &json!(status)));
}

/// An object with the fields of another.
fn with(mut object: Value, more: Value) -> Value {
    let Value::Object(more) = more else { panic!("{more}") };
    object.as_object_mut().unwrap().extend(more);
    object
}
