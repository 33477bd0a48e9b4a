//! What tokens did: counted at every door, shown at once, kept through a stop.

use crate::{
    caller::{Caller, says_no},
    installation::{ADA, Installation, Token},
    process::PATIENCE,
    response::{self, Response},
    server::Server,
    upstream::Upstream,
    wire::Wire,
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Instant};

/// Two APIs before one upstream.
fn stage() -> (Upstream, Server) {
    let upstream = Upstream::start();
    let api = |name| format!("[api.{name}]\nupstream = \"{}\"\n", upstream.url());
    let apis = [api("orders"), api("costs"), "[api.costs.scopes]\nread = \"Read\"\n".into()];
    (upstream, Installation::new(&apis.concat()).set_up().start())
}

fn bearer(token: &Token) -> String {
    format!("Authorization: Bearer {}", token.secret)
}

/// Uses a token at the gateway.
#[track_caller]
fn call(server: &Server, path: &str, token: &Token) -> u16 {
    server.curl(path, ["--header", &bearer(token)]).status
}

fn last_used(installation: &Installation, token: &Token) -> Value {
    let mut shown = installation.cli(["token", "show", &token.id, "--json"]).done().json();
    shown["last_used"].take()
}

/// How many requests with a token had which outcome.
fn outcomes(installation: &Installation, token: &Token) -> BTreeMap<String, u64> {
    let usage = installation.cli(["usage", "--json", "--token", &token.id]).done().json();
    let mut outcomes = BTreeMap::new();
    for item in usage["items"].as_array().unwrap() {
        assert_eq!(item["token"], token.id);
        // The hour may have changed in between.
        let outcome = item["outcome"].as_str().unwrap().to_owned();
        *outcomes.entry(outcome).or_default() += item["count"].as_u64().unwrap();
    }
    outcomes
}

fn these<const N: usize>(outcomes: [(&str, u64); N]) -> BTreeMap<String, u64> {
    outcomes.map(|(outcome, count)| (outcome.to_owned(), count)).into()
}

/// Values of one kind, each with how many were admitted and refused, in the order of values.
fn origins(server: &Server, token: &Token, kind: &str) -> Vec<(Value, u64, u64)> {
    let path = format!("/v1/tokens/{}/{kind}", token.id);
    let found = server.operator().unwrap().call("GET", &path, "").unwrap();
    assert_eq!(found.status, 200, "{found:?}");
    let found = found.json();
    assert_eq!(found["next_cursor"], Value::Null);
    let mut origins = BTreeMap::new();
    for item in found["items"].as_array().unwrap() {
        let at = |name: &str| item[name].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
        assert!(at("day") <= at("first_at") && at("first_at") <= at("last_at"), "{item}");
        let sums: &mut (u64, u64) = origins.entry(item["value"].to_string()).or_default();
        sums.0 += item["admitted"].as_u64().unwrap();
        sums.1 += item["refused"].as_u64().unwrap();
    }
    let read = |(value, (admitted, refused)): (String, _)| {
        (serde_json::from_str(&value).unwrap(), admitted, refused)
    };
    origins.into_iter().map(read).collect()
}

#[test]
fn at_every_door_a_use_is_counted_and_shown() {
    let (_upstream, server) = stage();
    let token = server.issue("orders", &[]);
    let service = Caller::new(&server, ADA, &["orders:verify", "tokens:read"], &[]);
    assert_eq!(last_used(&server, &token), Value::Null);
    assert_eq!(outcomes(&server, &token), these([]));
    let is_last = |token: &Token, door: &str, address: &str, agent: Value, route: &str| {
        let last = last_used(&server, token);
        let mut expected = json!({
            "at": last["at"],
            "door": door,
            "address": address,
            "user_agent": agent,
            "route": route,
        });
        assert!(last["at"].is_string());
        assert_eq!(last, expected.take());
    };

    let with = ["--header", &bearer(&token), "--user-agent", "probe/1 (a; b)"];
    assert_eq!(server.curl("/orders/a?secret=hush", with).status, 200);
    is_last(&token, "gateway", "127.0.0.1", json!("probe/1 (a; b)"), "GET /orders/a");

    let asked = [
        "X-Original-Method: DELETE",
        "X-Original-URI: /b?secret=hush",
        "X-Real-IP: 198.51.100.7",
        "User-Agent: probe/2",
        &bearer(&token),
    ];
    let asked = asked.iter().flat_map(|field| ["--header", field]);
    assert_eq!(response::curl(server.forward_auth, "/auth/orders", asked).status, 200);
    is_last(&token, "forward_auth", "198.51.100.7", json!("probe/2"), "DELETE /b");

    let question = json!({
        "api": "orders",
        "headers": {"authorization": format!("Bearer {}", token.secret)},
        "method": "PUT",
        "path": "/c?secret=hush",
        "client_address": "2001:db8::7",
    });
    assert_eq!(service.post("/v1/verify", &question).json()["active"], true);
    is_last(&token, "verify", "2001:db8::7", Value::Null, "PUT /c");
    is_last(&service.token, "management", "127.0.0.1", Value::Null, "POST /v1/verify");

    // A caller sees the use that it makes by asking.
    let path = format!("/v1/tokens/{}", service.token.id);
    let own = service.get(&path).json()["last_used"]["route"].take();
    assert_eq!(own, format!("GET {path}"));
    assert_eq!(outcomes(&server, &service.token), these([("admitted", 2)]));
    assert_eq!(outcomes(&server, &token), these([("admitted", 3)]));
    let addresses = [(json!("127.0.0.1"), 1, 0), (json!("198.51.100.7"), 1, 0)];
    let addresses: Vec<_> = addresses.into_iter().chain([(json!("2001:db8::7"), 1, 0)]).collect();
    assert_eq!(origins(&server, &token, "addresses"), addresses);
    let agents = [(json!("probe/1 (a; b)"), 1, 0), (json!("probe/2"), 1, 0), (Value::Null, 1, 0)];
    assert_eq!(origins(&server, &token, "user-agents"), agents);
}

#[test]
fn what_is_refused_is_counted_under_its_code_and_is_no_use() {
    let (_upstream, server) = stage();
    let expect = |token: &Token, path: &str, status: u16, code: &str| {
        assert_eq!(call(&server, path, token), status, "{code}");
        assert_eq!(outcomes(&server, token), these([(code, 1)]));
        assert_eq!(last_used(&server, token), Value::Null);
        // Written down with the counts.
        assert_eq!(origins(&server, token, "addresses"), [(json!("127.0.0.1"), 0, 1)]);
    };
    for (command, code) in [("pause", "paused"), ("revoke", "revoked")] {
        let token = server.issue("orders", &[]);
        server.cli(["token", command, &token.id]).done();
        expect(&token, "/orders/", 401, code);
    }
    let elsewhere = server.issue("orders", &["--allowed-network", "192.0.2.0/24"]);
    expect(&elsewhere, "/orders/", 403, "network_not_allowed");
    let foreign = server.issue("orders", &[]);
    expect(&foreign, "/costs/", 401, "wrong_api");

    let token = server.issue("costs", &["--scope", "read"]);
    assert_eq!(call(&server, "/costs/a", &token), 200);
    let last = last_used(&server, &token);
    let write = ["--header", &bearer(&token), "--request", "POST"];
    assert_eq!(server.curl("/costs/b", write).status, 403);
    let both = these([("admitted", 1), ("insufficient_scope", 1)]);
    assert_eq!(outcomes(&server, &token), both);
    assert_eq!(last_used(&server, &token), last);

    let token = server.issue("orders", &["--expires-in", "2s"]);
    let deadline = Instant::now() + PATIENCE;
    let mut admitted = 0;
    while call(&server, "/orders/", &token) == 200 {
        admitted += 1;
        assert!(Instant::now() < deadline, "it does not expire");
    }
    let mut expected = these([("admitted", admitted), ("expired", 1)]);
    expected.retain(|_, count| *count > 0);
    assert_eq!(outcomes(&server, &token), expected);

    // What belongs to no token is nobody's usage.
    let all = || server.cli(["usage", "--json", "--limit", "1000"]).done().json();
    let before = all();
    let unknown = Token { secret: format!("{}x", token.secret), ..token };
    assert_eq!(call(&server, "/orders/", &unknown), 401);
    assert_eq!(server.curl("/orders/", [""; 0]).status, 401);
    assert_eq!(all(), before);
}

#[test]
fn it_is_kept_through_a_stop_and_added_to() {
    let (_upstream, server) = stage();
    let token = server.issue("orders", &[]);
    for _ in 0..3 {
        assert_eq!(call(&server, "/orders/a", &token), 200);
    }
    let server = server.stop();
    // Nobody has asked for it before.
    let last = last_used(&server, &token);
    assert_eq!(last["route"], "GET /orders/a");
    assert_eq!(outcomes(&server, &token), these([("admitted", 3)]));
    let server = server.start();
    assert_eq!(call(&server, "/orders/b", &token), 200);
    assert_eq!(outcomes(&server, &token), these([("admitted", 4)]));
    assert_eq!(last_used(&server, &token)["route"], "GET /orders/b");
    assert_eq!(origins(&server, &token, "addresses"), [(json!("127.0.0.1"), 4, 0)]);
    server.cli(["ledger", "verify"]).done();
}

#[test]
fn a_kill_loses_counts_at_most() {
    let (_upstream, server) = stage();
    let (shown, unseen) = (server.issue("orders", &[]), server.issue("orders", &[]));
    assert_eq!(call(&server, "/orders/a", &shown), 200);
    // What has been shown is in the database.
    assert_eq!(outcomes(&server, &shown), these([("admitted", 1)]));
    assert_eq!(call(&server, "/orders/a", &unseen), 200);
    let server = server.kill().start();
    assert_eq!(outcomes(&server, &shown), these([("admitted", 1)]));
    for token in [&shown, &unseen] {
        assert_eq!(call(&server, "/orders/a", token), 200);
    }
    assert_eq!(outcomes(&server, &shown), these([("admitted", 2)]));
    server.cli(["ledger", "verify"]).done();
}

#[test]
fn a_long_list_is_turned_page_by_page() {
    let (_upstream, server) = stage();
    let tokens = [server.issue("orders", &[]), server.issue("orders", &[])];
    for token in &tokens {
        assert_eq!(call(&server, "/orders/", token), 200);
        assert_eq!(call(&server, "/costs/", token), 401);
    }
    let mut operator = server.operator().unwrap();
    let mut ask = |query: &str| operator.call("GET", &format!("/v1/usage{query}"), "").unwrap();
    let whole = ask("").json()["items"].take();
    assert!(whole.as_array().unwrap().len() >= 4, "{whole}");
    let mut seen = Vec::new();
    let mut next = "?limit=1".to_owned();
    loop {
        let page = ask(&next).json();
        seen.extend(page["items"].as_array().unwrap().iter().cloned());
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        next = format!("?limit=1&cursor={cursor}");
    }
    assert_eq!(Value::Array(seen), whole);

    let count = |response: Response| response.json()["items"].as_array().unwrap().len();
    assert_eq!(count(ask("?api=costs")), 0);
    assert_eq!(count(ask("?api=orders")), whole.as_array().unwrap().len());
    assert_eq!(count(ask("?to=2001-01-01T00:00:00Z")), 0);
    assert_eq!(count(ask("?from=2001-01-01T00:00:00Z&limit=1")), 1);
    for wrong in [
        "?from=2101-01-01T00:00:00Z",
        "?from=yesterday",
        "?cursor=x",
        "?cursor=1.2.3",
        "?token=x",
        "?tokens=x",
    ] {
        says_no(&ask(wrong), 400, "invalid_request");
    }
}

#[test]
fn addresses_of_a_day_are_told_apart_up_to_a_number() {
    let (_upstream, server) = stage();
    let token = server.issue("orders", &[]);
    let mut door = Wire::connect(server.forward_auth).unwrap();
    for n in 0..30 {
        let question = format!(
            "GET /auth/orders HTTP/1.1\r\nhost: x\r\nx-original-method: GET\r\nx-original-uri: /\r\n\
             x-real-ip: 192.0.2.{n}\r\nuser-agent: probe/{n}\r\n{}\r\n\r\n",
            bearer(&token)
        );
        assert_eq!(door.exchange(question).unwrap().status, 200);
    }
    // Origins are written down now and then; asking for counts has it done now.
    assert_eq!(outcomes(&server, &token).values().sum::<u64>(), 30);
    for kind in ["addresses", "user-agents"] {
        let found = origins(&server, &token, kind);
        // A day may have ended in between.
        assert!((21..=30).contains(&found.len()), "{found:?}");
        assert_eq!(found.iter().map(|(_, admitted, _)| admitted).sum::<u64>(), 30);
        assert!(found.len() > 21 || found.iter().any(|(value, ..)| value.is_null()));
    }
    assert_eq!(last_used(&server, &token)["address"], "192.0.2.29");
}

#[test]
fn while_both_secrets_work_the_last_use_of_each_is_told() {
    let (_upstream, server) = stage();
    let old = server.issue("orders", &[]);
    assert_eq!(call(&server, "/orders/before", &old), 200);
    let told = || {
        let shown = server.cli(["token", "show", &old.id, "--json"]).done().json();
        ["last_used", "present_secret_last_used", "previous_secret_last_used"]
            .map(|name| shown[name]["route"].clone())
    };
    assert_eq!(told(), [json!("GET /orders/before"), json!("GET /orders/before"), Value::Null]);
    let rotate = ["token", "rotate", &old.id, "--overlap", "1h", "--json"];
    let rotated = server.cli(rotate).done().json();
    let secret = rotated["secret"].as_str().unwrap().to_owned();
    assert_eq!(told(), [json!("GET /orders/before"), Value::Null, json!("GET /orders/before")]);
    let new = Token { secret, ..server.issue("orders", &[]) };
    for (token, path, present, previous) in [
        (&new, "/orders/new", "new", "before"),
        (&old, "/orders/old", "new", "old"),
        (&new, "/orders/newer", "newer", "old"),
    ] {
        assert_eq!(call(&server, path, token), 200);
        let route = |last: &str| json!(format!("GET /orders/{last}"));
        let expected = [json!(format!("GET {path}")), route(present), route(previous)];
        assert_eq!(told(), expected);
    }
    // The same from the database.
    let before = told();
    let server = server.stop().start();
    let shown = server.cli(["token", "show", &old.id, "--json"]).done().json();
    assert_eq!(shown["previous_secret_last_used"]["route"], before[2]);
    assert_eq!(shown["present_secret_last_used"]["route"], before[1]);
}
