//! Slots by name: a service takes one with its question, and gives it back.

use super::{Stage, metric};
use crate::{
    caller::{Caller, says_no},
    installation::{ADA, Installation, Token},
    process::PATIENCE,
    response::Response,
    server::Server,
};
use serde_json::{Value, json};
use std::time::Instant;

const ONE: &str = "[api.one]\nupstream = \"http://127.0.0.1:1\"\n";

fn question(token: &Token, more: &Value) -> Value {
    let headers = json!({"x-finout-client-id": token.id, "x-finout-secret-key": token.secret});
    let mut question = json!({"api": "finout", "headers": headers});
    question.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    question
}

/// The name of the slot that an answer gives.
#[track_caller]
fn taken(answer: &Value) -> String {
    assert_eq!(answer["active"], true, "{answer}");
    assert!(answer["slot"]["expires_at"].is_string(), "{answer}");
    answer["slot"]["id"].as_str().unwrap_or_else(|| panic!("no slot: {answer}")).to_owned()
}

/// Checks that there is no room.
#[track_caller]
fn is_full(answer: &Value) {
    assert_eq!(answer["active"], false, "{answer}");
    assert_eq!(answer["code"], "too_many_in_flight");
    let refusal = &answer["refusal"];
    assert_eq!(
        (&refusal["status"], &refusal["headers"]["retry-after"]),
        (&json!(429), &json!("1"))
    );
    let body: Value = serde_json::from_str(refusal["body"].as_str().unwrap()).unwrap();
    let message = "Too many requests with this token are in progress. Wait for one to end.";
    assert_eq!(body, json!({"message": message}));
}

fn service(server: &Server) -> Caller {
    Caller::new(server, ADA, &["finout:verify"], &[])
}

fn is_not_there(response: &Response) {
    says_no(response, 404, "not_found");
    assert_eq!(response.json()["detail"], "there is no such slot, or no longer");
}

#[test]
fn five_of_each_token_wherever_they_are() {
    let stage = Stage::set();
    let service = service(&stage.server);
    let ask = || service.post("/v1/verify", &question(&stage.token, &json!({"slot": true}))).json();
    let slots: Vec<String> = (0..3).map(|_| taken(&ask())).collect();
    let mut two = stage.begin_some(2);
    is_full(&ask());
    stage.is_full();
    // Whoever only asks is not one of them.
    let asked = service.post("/v1/verify", &question(&stage.token, &json!({}))).json();
    assert_eq!((&asked["active"], asked.get("slot")), (&json!(true), None));
    let asked = service.post("/v1/verify", &question(&stage.token, &json!({"slot": false}))).json();
    assert_eq!((&asked["active"], asked.get("slot")), (&json!(true), None));
    assert_eq!(metric(&stage.server, "counterfoil_slots_in_use"), 2);
    assert_eq!(metric(&stage.server, "counterfoil_named_slots_in_use"), 3);
    assert_eq!(metric(&stage.server, "counterfoil_limiter_active_tokens"), 1);

    // Given back once.
    let path = format!("/v1/slots/{}", slots[0]);
    assert_eq!(service.call("DELETE", &path, "").status, 204);
    is_not_there(&service.call("DELETE", &path, ""));
    is_not_there(&service.call("PUT", &path, ""));
    taken(&ask());
    is_full(&ask());
    // And one from the gateway.
    two[0].upstream.send("HTTP/1.1 204 No Content\r\n\r\n").unwrap();
    assert_eq!(two[0].client.read_response().unwrap().status, 204);
    taken(&ask());
    is_full(&ask());
}

#[test]
fn only_who_took_it_holds_it() {
    let stage = Stage::set();
    let (service, other) = (service(&stage.server), service(&stage.server));
    let asked = question(&stage.token, &json!({"slot": true}));
    let path = format!("/v1/slots/{}", taken(&service.post("/v1/verify", &asked).json()));
    let nowhere = "/v1/slots/01890a62-1f7d-7d60-b2c9-58e4a90b137c";
    for method in ["PUT", "DELETE"] {
        let [there, not_there] = [&*path, nowhere].map(|path| other.call(method, path, ""));
        is_not_there(&there);
        assert_eq!(there.face(), not_there.face());
        let mut operator = stage.server.operator().unwrap();
        is_not_there(&operator.call(method, &path, "").unwrap());
    }
    let renewed = service.call("PUT", &path, r#"{"slot_seconds": 300}"#);
    assert_eq!(renewed.status, 200, "{renewed:?}");
    assert!(path.ends_with(renewed.json()["id"].as_str().unwrap()));
    let later = renewed.json()["expires_at"].as_str().unwrap().to_owned();
    let sooner = service.call("PUT", &path, "").json();
    assert!(sooner["expires_at"].as_str().unwrap() < &*later, "{sooner} {later}");
    assert_eq!(service.call("DELETE", &path, "").status, 204);

    // The operator's are the operator's.
    let mut operator = stage.server.operator().unwrap();
    let answer = operator.call("POST", "/v1/verify", &asked.to_string()).unwrap().json();
    let path = format!("/v1/slots/{}", taken(&answer));
    is_not_there(&service.call("DELETE", &path, ""));
    assert_eq!(operator.call("PUT", &path, "").unwrap().status, 200);
    assert_eq!(operator.call("DELETE", &path, "").unwrap().status, 204);
}

#[test]
fn it_ends_unless_it_is_renewed() {
    let stage = Stage::set();
    let service = service(&stage.server);
    let ask = |seconds: u64| {
        let asked = question(&stage.token, &json!({"slot": true, "slot_seconds": seconds}));
        service.post("/v1/verify", &asked).json()
    };
    let kept = loop {
        let id = taken(&ask(1));
        // On a slow machine it has ended already.
        if service.call("PUT", &format!("/v1/slots/{id}"), "").status == 200 {
            break id;
        }
    };
    let short: Vec<String> = (0..4).map(|_| taken(&ask(1))).collect();
    // There is room for four, once all of those have ended.
    let deadline = Instant::now() + PATIENCE;
    let mut granted = 0;
    while granted < 4 {
        granted += usize::from(ask(300)["active"] == true);
        assert!(Instant::now() < deadline, "they do not end");
    }
    for id in short {
        is_not_there(&service.call("PUT", &format!("/v1/slots/{id}"), ""));
    }
    assert_eq!(service.call("DELETE", &format!("/v1/slots/{kept}"), "").status, 204);
}

#[test]
fn a_batch_takes_them_in_order() {
    let stage = Stage::set();
    let service = service(&stage.server);
    let asked = question(&stage.token, &json!({"slot": true}));
    let answers = service.post("/v1/verify/batch", &json!({"items": vec![asked; 6]})).json();
    let items = answers["items"].as_array().unwrap();
    let mut names: Vec<String> = items[..5].iter().map(taken).collect();
    is_full(&items[5]);
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 5);
}

#[test]
fn what_is_wrong_takes_none() {
    let stage = Stage::set();
    let service = service(&stage.server);
    for (more, field) in [
        (json!({"slot": true, "slot_seconds": 0}), "slot_seconds"),
        (json!({"slot": true, "slot_seconds": 301}), "slot_seconds"),
        (json!({"slot": true, "slot_seconds": -1}), "slot_seconds"),
        (json!({"slot": true, "slot_seconds": "30"}), "slot_seconds"),
        (json!({"slot": "yes"}), "slot"),
        (json!({"slot_seconds": 30}), "slot_seconds"),
        (json!({"slot": false, "slot_seconds": 30}), "slot_seconds"),
    ] {
        let refused = service.post("/v1/verify", &question(&stage.token, &more));
        says_no(&refused, 400, "invalid_request");
        assert_eq!(refused.json()["field"], field, "{refused:?}");
    }
    // In a batch, one that is wrong is all that is wrong.
    let items = [json!({"slot": true}), json!({"slot": true, "slot_seconds": 0})];
    let items = items.map(|more| question(&stage.token, &more));
    assert_eq!(service.post("/v1/verify/batch", &json!({"items": items})).status, 400);
    assert_eq!(metric(&stage.server, "counterfoil_named_slots_in_use"), 0);
    let path = "/v1/slots/01890a62-1f7d-7d60-b2c9-58e4a90b137c";
    let wrong = service.call("PUT", path, r#"{"slot_seconds": 0}"#);
    says_no(&wrong, 400, "invalid_request");
    assert_eq!(wrong.json()["field"], "slot_seconds");
    says_no(&service.call("PUT", "/v1/slots/x", ""), 400, "invalid_request");
    // Nor does a request that is refused.
    let asked = json!({"api": "finout", "headers": {}, "slot": true});
    let refused = service.post("/v1/verify", &asked).json();
    assert_eq!((&refused["code"], refused.get("slot")), (&json!("missing_credential"), None));
}

#[test]
fn where_there_is_no_limit_there_is_no_slot() {
    let server = Installation::new(&(ONE.to_owned() + "rate = \"2/1h\"\n")).set_up().start();
    let token = server.issue("one", &[]);
    let service = Caller::new(&server, ADA, &["one:verify"], &[]);
    let asked = json!({"api": "one", "secret": token.secret, "slot": true});
    for _ in 0..2 {
        let answer = service.post("/v1/verify", &asked).json();
        assert_eq!((&answer["active"], answer.get("slot")), (&json!(true), Some(&Value::Null)));
    }
    assert_eq!(service.post("/v1/verify", &asked).json()["code"], "rate_limited");
}
