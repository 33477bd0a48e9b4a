//! Five in flight at the gateway.

use super::{Stage, finout, head, metric, wait_for_slots};
use crate::{
    caller::Caller,
    installation::{ADA, Installation},
    server::Server,
    upstream::Upstream,
    wire::Wire,
};
use serde_json::json;
use std::{
    io::{BufReader, Write as _},
    net::TcpListener,
    process::Command,
    thread,
};

#[test]
fn a_sixth_is_refused_at_once_and_goes_nowhere() {
    let stage = Stage::set();
    let mut five = stage.begin_some(5);
    let refused = stage.is_full();
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(refused.header("content-type"), "application/json");
    let message = "Too many requests with this token are in progress. Wait for one to end.";
    assert_eq!(refused.json(), json!({"message": message}));
    let why = stage.server.cli(["why", refused.request_id(), "--json"]).done().json();
    assert_eq!(
        (&why["code"], &why["token"]),
        (&json!("too_many_in_flight"), &json!(stage.token.id))
    );
    let labels = r#"{door="gateway",api="finout",outcome="too_many_in_flight"}"#;
    assert_eq!(metric(&stage.server, &format!("counterfoil_requests_total{labels}")), 1);
    assert_eq!(metric(&stage.server, "counterfoil_slots_in_use"), 5);

    // Each token has five of its own.
    let other = stage.server.issue("finout", &["--role", "viewer"]);
    drop(stage.begin(&head("GET", "/v1/costs", &other, "")));

    // One ends, and one begins, on the very connection.
    let ended = &mut five[0];
    let done = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 4\r\n\r\ndone";
    ended.upstream.send(done).unwrap();
    assert_eq!(ended.client.read_response().unwrap().text(), "done");
    ended.client.send(head("GET", "/v1/costs", &stage.token, "")).unwrap();
    ended.upstream = Wire::accept(&stage.listener);
    ended.upstream.read_head().unwrap();
    stage.is_full();
}

#[test]
fn what_is_refused_for_another_reason_takes_no_slot() {
    let stage = Stage::set();
    let viewer = stage.server.issue("finout", &["--role", "viewer"]);
    for _ in 0..6 {
        let write = head("DELETE", "/v1/costs", &viewer, "");
        assert_eq!(stage.server.connect().unwrap().exchange(write).unwrap().status, 403);
    }
    assert_eq!(metric(&stage.server, "counterfoil_slots_in_use"), 0);
    for _ in 0..5 {
        stage.begin(&head("GET", "/v1/costs", &viewer, ""));
    }
    wait_for_slots(&stage.server, 0);
}

/// Whoever has read all of a response may begin the next request: it is never one too many.
#[test]
fn whoever_keeps_to_five_is_never_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // Its responses come in pieces, so that their ends come after their heads.
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            stream.set_nodelay(true).unwrap();
            thread::spawn(move || {
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let (mut stream, mut turn) = (stream, 0);
                while let Some(true) = read_head(&mut reader) {
                    turn += 1;
                    let (head, pieces) = if turn % 2 == 0 {
                        ("content-length: 8", ["four", "more"])
                    } else {
                        ("transfer-encoding: chunked", ["4\r\nfour\r\n", "4\r\nmore\r\n0\r\n\r\n"])
                    };
                    write!(stream, "HTTP/1.1 200 OK\r\n{head}\r\n\r\n").unwrap();
                    for piece in pieces {
                        thread::yield_now();
                        stream.write_all(piece.as_bytes()).unwrap();
                    }
                }
            });
        }
    });
    let server = finout(address);
    let token = server.issue("finout", &["--role", "viewer"]);
    let request = head("GET", "/v1/costs", &token, "");
    thread::scope(|scope| {
        for _ in 0..5 {
            scope.spawn(|| {
                let mut client = server.connect().unwrap();
                for _ in 0..200 {
                    let response = client.exchange(&request).unwrap();
                    assert_eq!((response.status, response.text()), (200, "fourmore"));
                }
            });
        }
    });
    assert_eq!(metric(&server, "counterfoil_slots_in_use"), 0);
}

/// Whether there was a head, up to its empty line.
fn read_head(reader: &mut impl std::io::BufRead) -> Option<bool> {
    let mut line = String::new();
    loop {
        line.clear();
        if reader.read_line(&mut line).ok()? == 0 {
            return Some(false);
        }
        if line == "\r\n" {
            return Some(true);
        }
    }
}

#[test]
fn an_access_token_and_its_token_share() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let configuration = format!(
        "[api.one]\nupstream = \"http://{}\"\nin_flight = 1\naccess_tokens = {{}}\n",
        listener.local_addr().unwrap()
    );
    let server = Installation::new(&configuration).set_up().start();
    let token = server.issue("one", &[]);
    let request = |secret: &str, head: &str| {
        format!("{head} HTTP/1.1\r\nhost: g\r\nauthorization: Bearer {secret}\r\n")
    };
    let exchange = request(&token.secret, "POST /authenticate") + "content-length: 0\r\n\r\n";
    let answer = Wire::connect(server.main).unwrap().exchange(exchange).unwrap().json();
    let access_token = answer["token"].as_str().unwrap();
    let mut client = server.connect().unwrap();
    client.send(request(access_token, "GET /one/x") + "\r\n").unwrap();
    Wire::accept(&listener).read_head().unwrap();
    // The upstream has gone: the slot is free again.
    assert_eq!(client.read_response().unwrap().status, 502);
    client.send(request(&token.secret, "GET /one/x") + "\r\n").unwrap();
    let mut upstream = Wire::accept(&listener);
    upstream.read_head().unwrap();
    for secret in [&token.secret, access_token] {
        let request = request(secret, "GET /one/x") + "\r\n";
        assert_eq!(server.connect().unwrap().exchange(request).unwrap().status, 429);
    }
}

fn hang_up(server: &Server) {
    let id = server.process().id().to_string();
    assert!(Command::new("kill").args(["-HUP", &id]).status().unwrap().success());
    server.process().wait_for_message("reloaded");
}

#[test]
fn a_slot_outlives_the_configuration_that_it_was_taken_under() {
    let stage = Stage::set();
    let mut five = stage.begin_some(5);
    hang_up(&stage.server);
    stage.is_full();
    let ended = &mut five[0];
    ended.upstream.send("HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").unwrap();
    assert_eq!(ended.client.read_response().unwrap().status, 204);
    let _one_more = stage.begin_some(1);
    stage.is_full();
}

#[test]
fn forward_auth_and_plain_verify_do_not_count_them() {
    let upstream = Upstream::start();
    let mut configuration =
        format!("[api.one]\nupstream = \"{}\"\nin_flight = 1\n", upstream.url());
    configuration += "[forward_auth]\nproxy = \"caddy\"\n";
    let server = Installation::new(&configuration).set_up().start();
    let token = server.issue("one", &[]);
    let question = format!(
        "GET /auth/one HTTP/1.1\r\nhost: c\r\nx-forwarded-method: GET\r\nx-forwarded-uri: /\r\n\
         authorization: Bearer {}\r\n\r\n",
        token.secret
    );
    let service = Caller::new(&server, ADA, &["one:verify"], &[]);
    for _ in 0..3 {
        let mut door = Wire::connect(server.forward_auth).unwrap();
        assert_eq!(door.exchange(&question).unwrap().status, 200);
        let asked = json!({"api": "one", "secret": token.secret});
        assert_eq!(service.post("/v1/verify", &asked).json()["active"], true);
    }
}
