//! `POST /v1/verify/batch`: many questions, answered in order.

use super::Stage;
use crate::caller::says_no;
use serde_json::{Value, json};

fn ask(stage: &Stage, items: &[Value]) -> crate::response::Response {
    stage.service.post("/v1/verify/batch", &json!({ "items": items }))
}

#[test]
fn a_thousand_are_answered_in_order() {
    let stage = Stage::set();
    let other = stage.server.issue("worded", &[]);
    let revoked = stage.server.issue("orders", &["--role", "clerk"]);
    stage.server.cli(["token", "revoke", &revoked.id]).done();
    let question = |at: usize| match at % 4 {
        0 => json!({"api": "orders", "secret": stage.clerk.secret}),
        1 => json!({"api": "orders", "secret": stage.clerk.secret, "scope": "read"}),
        2 => json!({"api": "worded", "secret": other.secret}),
        _ => json!({"api": "orders", "secret": revoked.secret}),
    };
    let items: Vec<Value> = (0..1000).map(question).collect();
    let response = ask(&stage, &items);
    assert_eq!(response.status, 200, "{response:?}");
    let answers = response.json();
    let answers = answers["items"].as_array().unwrap();
    assert_eq!(answers.len(), 1000);
    for (at, answer) in answers.iter().enumerate() {
        match at % 4 {
            0 => assert_eq!(answer["token"], stage.clerk.id),
            1 => assert_eq!(answer["code"], "insufficient_scope"),
            2 => assert_eq!(answer["token"], other.id),
            _ => assert_eq!(answer["code"], "revoked"),
        }
    }
    // As one by one.
    for (question, answer) in items.iter().zip(answers).take(3).step_by(2) {
        assert_eq!(stage.answer(question), *answer);
    }
}

#[test]
fn one_more_is_too_many() {
    let stage = Stage::set();
    let mut items = vec![json!({"api": "orders", "secret": "x"}); 1001];
    for _ in 0..2 {
        let response = ask(&stage, &items);
        says_no(&response, 400, "invalid_request");
        assert_eq!(response.json()["field"], "items");
        assert_eq!(response.json()["detail"], "items: at most 1000 in one batch");
        // What follows is not looked at.
        items.push(json!(7));
    }
}

#[test]
fn none_are_answered_too() {
    let stage = Stage::set();
    let response = ask(&stage, &[]);
    assert_eq!((response.status, response.json()), (200, json!({"items": []})));
    for body in [json!({}), json!({"item": []}), json!({"items": {}}), json!({"items": null})] {
        let response = stage.service.post("/v1/verify/batch", &body);
        says_no(&response, 400, "invalid_request");
    }
}

#[test]
fn an_error_in_one_is_named_and_answers_none() {
    let stage = Stage::set();
    let right = json!({"api": "orders", "secret": stage.clerk.secret});
    let wrong = |more: Value| super::with(right.clone(), more);
    for (item, status, code, field, detail) in [
        (
            wrong(json!({"client_address": "x"})),
            400,
            "invalid_request",
            "items[2].client_address",
            "items[2]: client_address: that is no IP address",
        ),
        (
            wrong(json!({"path": "x"})),
            400,
            "invalid_request",
            "items[2].path",
            "items[2]: path: the path does not begin with a slash",
        ),
        (
            wrong(json!({"headers": {}})),
            400,
            "invalid_request",
            "items[2].headers",
            "items[2]: give headers or secret, one of the two",
        ),
        (
            json!({"api": "costs", "secret": "x"}),
            403,
            "forbidden",
            "items[2].api",
            "items[2]: your token does not have the scope costs:verify",
        ),
    ] {
        let response = ask(&stage, &[right.clone(), right.clone(), item, right.clone()]);
        says_no(&response, status, code);
        assert_eq!(response.json()["field"], field);
        assert_eq!(response.json()["detail"], detail);
        assert_eq!(response.json()["items"], Value::Null);
    }
    let response = ask(&stage, &[right.clone(), wrong(json!({"scpoe": "read"}))]);
    says_no(&response, 400, "invalid_request");
    assert_eq!(response.json()["field"], "items[1].scpoe");
    let response = ask(&stage, &[right.clone(), wrong(json!({"method": 7}))]);
    assert_eq!(response.json()["field"], "items[1].method");
    // What stood before it has not been judged either.
    let counted = stage.server.scrape();
    let judged: Vec<&str> = counted
        .lines()
        .filter(|line| line.contains("door=\"verify\"") && !line.ends_with(" 0"))
        .collect();
    assert_eq!(judged, [""; 0]);
    assert_eq!(ask(&stage, &[right]).status, 200);
    assert_ne!(stage.server.scrape(), counted);
}
