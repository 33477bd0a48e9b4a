//! `GET /auth/refusals/{request_id}`: for nginx, which passes on a status and nothing else.

use super::{Door, Proxy, identity_fields};
use crate::{
    installation::Installation,
    response::{Response, curl},
    rows::{Outcome, rows},
    upstream::Upstream,
};

/// What the door says to `method` about a refusal.
fn fetch(door: &Door, method: &str, id: &str) -> Response {
    let path = format!("/auth/refusals/{id}");
    door.ask(format!("{method} {path} HTTP/1.1\r\nhost: counterfoil\r\n\r\n"))
}

#[test]
fn a_refusal_is_told_once_more_in_full() {
    let upstream = Upstream::start();
    let server = Installation::of_examples(&upstream).set_up().start();
    let rows = rows(&server);
    let mut statuses = Vec::new();
    for row in rows {
        let Outcome::Refused(status, _) = row.outcome else { continue };
        statuses.push(status);
        let question = Proxy::Nginx.question(row.api, row.method, &row.path, &row.lines());
        let refusal = super::ask(&server, question);
        assert!([401, 403].contains(&refusal.status), "{refusal:?}");
        let path = format!("/auth/refusals/{}", refusal.request_id());
        // As often as it is asked for.
        for _ in 0..2 {
            let replay = curl(server.forward_auth, &path, ["--globoff"]);
            assert_eq!(replay.request_id(), refusal.request_id());
            assert_eq!(replay.status, status);
            assert_eq!(replay.face(), refusal.face());
            assert!(identity_fields(&replay).is_empty());
        }
        let head = curl(server.forward_auth, &path, ["--head"]);
        assert_eq!((head.status, head.request_id()), (status, refusal.request_id()));
        assert_eq!(head.body, b"");
    }
    for status in [401, 403] {
        assert!(statuses.contains(&status));
    }
}

#[test]
fn it_is_fetched_with_get() {
    let door = Door::open(Proxy::Nginx);
    let refusal = door.about("POST", "/v1/costs", "");
    assert_eq!(refusal.status, 403);
    for method in ["POST", "PUT", "DELETE", "BREW", "get"] {
        let answer = fetch(&door, method, refusal.request_id());
        door.says_no(&answer, 405, "method_not_allowed");
    }
    assert_eq!(fetch(&door, "GET", refusal.request_id()).face(), refusal.face());
}

#[test]
fn one_that_never_was_is_not_found() {
    let door = Door::open(Proxy::Nginx);
    let passed = door.about("GET", "/v1/costs", "");
    let refusal = door.about("POST", "/v1/costs", "");
    let id = refusal.request_id();
    for wrong in [
        "",
        "x",
        "00000000-0000-7000-8000-000000000000",
        passed.request_id(),
        &format!("{id}/"),
        &format!("{id}x"),
        &id[..8],
        &format!("{id}/../{id}"),
    ] {
        door.says_no(&fetch(&door, "GET", wrong), 404, "not_found");
    }
}

#[test]
fn a_token_that_is_mended_meanwhile_does_not_change_it() {
    let door = Door::open(Proxy::Nginx);
    door.server.cli(["token", "pause", &door.token.id]).done();
    let refusal = door.about("GET", "/v1/costs", "");
    assert_eq!(refusal.status, 401);
    door.server.cli(["token", "resume", &door.token.id]).done();
    assert_eq!(door.about("GET", "/v1/costs", "").status, 200);
    assert_eq!(fetch(&door, "GET", refusal.request_id()).face(), refusal.face());
}

#[test]
fn other_proxies_have_no_use_for_it() {
    for door in Door::each().filter(|door| door.proxy != Proxy::Nginx) {
        let refusal = door.about("POST", "/v1/costs", "");
        assert_eq!(refusal.status, 403);
        let answer = fetch(&door, "GET", refusal.request_id());
        door.says_no(&answer, 404, "not_found");
    }
}
