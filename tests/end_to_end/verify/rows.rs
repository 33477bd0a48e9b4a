//! The five contracts: the true reason, and what the gateway would answer.

use super::{answer, is_refused};
use crate::{
    caller::Caller,
    installation::{ADA, EXAMPLES, Installation},
    response::Response,
    rows::{CLIENT, Outcome, Row, rows},
    upstream::{Identity, Upstream},
};
use serde_json::{Map, Value, json};

#[test]
fn a_service_hears_what_the_gateway_answers_and_why() {
    let upstream = Upstream::start();
    let server = Installation::of_examples(&upstream).set_up().start();
    let scopes = EXAMPLES.map(|api| format!("{api}:verify"));
    let service = Caller::new(&server, ADA, &scopes.each_ref().map(String::as_str), &[]);
    for row in rows(&server) {
        let of_gateway = row.at_the_gateway(&server);
        for headers in [headers(&row, false), headers(&row, true)] {
            let question = json!({
                "api": row.api,
                "headers": headers,
                "method": row.method,
                "path": row.path,
                "client_address": CLIENT,
            });
            let answer = answer(&service, &question);
            match &row.outcome {
                Outcome::Passes(identity) => is(&answer, identity),
                Outcome::Refused(status, code) => {
                    is_refused(&answer, *status, code);
                    assert_eq!(face(&answer["refusal"]), face_of(&of_gateway), "{row:?}");
                }
            }
        }
    }
}

/// A row's header fields in JSON: a text where one came once, unless all are to be lists.
fn headers(row: &Row, lists: bool) -> Value {
    let mut headers = Map::new();
    for (name, value) in &row.fields {
        match headers.get_mut(*name) {
            None if lists => {
                headers.insert((*name).to_owned(), json!([value]));
            }
            None => {
                headers.insert((*name).to_owned(), json!(value));
            }
            Some(Value::Array(values)) => values.push(json!(value)),
            Some(first) => *first = json!([first.take(), value]),
        }
    }
    Value::Object(headers)
}

#[track_caller]
fn is(answer: &Value, identity: &Identity) {
    let or_null = |text: &str| if text.is_empty() { Value::Null } else { json!(text) };
    let scopes: Vec<&str> = identity.scopes.split_whitespace().collect();
    let mut answer = answer.clone();
    // Which tokens expire is for another test.
    answer.as_object_mut().unwrap().remove("expires_at").unwrap();
    let expected = json!({
        "active": true,
        "token": or_null(&identity.token),
        "account": or_null(&identity.account),
        "organization": or_null(&identity.organization),
        "role": or_null(&identity.role),
        "scopes": scopes,
    });
    assert_eq!(answer, expected);
}

/// A refusal, but for its number, which differs each time.
fn face(refusal: &Value) -> Value {
    let id = refusal["headers"]["x-request-id"].as_str().unwrap();
    serde_json::from_str(&refusal.to_string().replace(id, "ID")).unwrap()
}

/// The same of a response that came over the wire.
fn face_of(response: &Response) -> Value {
    let mut headers = Map::new();
    for (name, _) in &response.headers {
        // What a server adds to whatever it sends.
        if !["date", "content-length"].contains(&name.as_str()) {
            let value = match response.values(name)[..] {
                [only] => json!(only),
                ref several => json!(several),
            };
            headers.insert(name.clone(), value);
        }
    }
    face(&json!({"status": response.status, "headers": headers, "body": response.text()}))
}
