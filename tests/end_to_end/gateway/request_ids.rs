//! Every answer has a name of its own.

use super::{Door, serve};
use crate::{
    response::{Response, curl},
    upstream::{NOBODY, Upstream},
};
use http::Response as Answer;
use http_body_util::Full;
use std::collections::HashSet;

const THEIRS: &str = "11111111-2222-3333-4444-555555555555";

#[test]
fn fresh_on_every_answer_and_never_the_clients() {
    let door = Door::open();
    let bearer = door.bearer();
    let theirs = format!("X-Request-Id: {THEIRS}");
    let with = |path: &str, arguments: &[&str]| {
        let mut arguments = arguments.to_vec();
        arguments.extend(["--header", &theirs, "--header", "X_Request_Id: theirs"]);
        door.server.curl(path, arguments)
    };
    let broken = serve(NOBODY);
    let answers: Vec<Response> = (0..2)
        .flat_map(|_| {
            [
                with("/orders/7", &["--header", &bearer]),
                with("/orders/7", &["--header", &bearer, "--head"]),
                with("/orders/7", &[]),
                with("/orders/../7", &[]),
                with("/nothing", &[]),
                curl(broken.gateway, "/open/7", ["--header", &theirs]),
                curl(door.server.main, "/healthz", ["--header", &theirs]),
                curl(door.server.main, "/nothing", ["--header", &theirs]),
                curl(door.server.metrics, "/metrics", ["--header", &theirs]),
            ]
        })
        .collect();
    let statuses: Vec<u16> = answers[..9].iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [200, 200, 401, 400, 404, 502, 200, 404, 200]);
    let ids: HashSet<&str> = answers.iter().map(Response::request_id).collect();
    assert_eq!(ids.len(), answers.len());
    assert!(!ids.contains(THEIRS));
    for answer in &answers {
        if answer.values("content-type") == ["application/problem+json"] {
            assert_eq!(answer.json()["request_id"], answer.request_id());
        }
    }
}

#[test]
fn the_upstream_hears_the_same_and_cannot_change_it() {
    let upstream = Upstream::answering(|_| {
        let response = Answer::builder().header("x-request-id", "the upstream's");
        response.body(Full::default()).unwrap()
    });
    let door = Door::before(upstream);
    let response = door.server.curl("/open/7", ["--header", &format!("X-Request-Id: {THEIRS}")]);
    let received = door.upstream.take_one();
    assert_eq!(received.values("x-request-id"), [response.request_id()]);
    assert!(!received.holds(THEIRS));
}

#[test]
fn the_clients_own_is_logged_beside_it() {
    let door = Door::open();
    let refused = door.server.curl("/orders/7", ["--header", &format!("X-Request-Id: {THEIRS}")]);
    let id = refused.request_id().to_owned();
    let entry = door.server.process().wait_for_line(|line| {
        let entry: serde_json::Value = serde_json::from_str(line).ok()?;
        (entry["request_id"] == id).then_some(entry)
    });
    assert_eq!(entry["client_request_id"], THEIRS);
}
