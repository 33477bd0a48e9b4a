//! Rates: so many requests in any span, at every door, whatever the configuration is read again.

use crate::{
    caller::Caller,
    installation::{ADA, Installation, Token},
    process::PATIENCE,
    response::Response,
    server::Server,
    upstream::Upstream,
    wire::Wire,
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use counterfoil_support::visitor::PASSWORD;
use http_body_util::Full;
use serde_json::{Value, json};
use std::{process::Command, time::Instant};

/// An API `one` with more lines, whose refusals are problems.
fn one(upstream: &Upstream, lines: &str) -> Installation {
    Installation::new(&format!("[api.one]\nupstream = \"{}\"\n{lines}\n", upstream.url()))
}

fn bearer(secret: &str) -> [String; 2] {
    ["--header".into(), format!("Authorization: Bearer {secret}")]
}

fn get(server: &Server, token: &Token) -> Response {
    server.curl("/one/x", bearer(&token.secret))
}

/// Checks a refusal, and says for how long to come back.
#[track_caller]
fn is_throttled(response: &Response) -> u64 {
    assert_eq!(response.status, 429, "{response:?}");
    assert_eq!(response.json()["code"], "rate_limited");
    response.header("retry-after").parse().unwrap()
}

/// Asks until a request is granted, and says how many were refused before.
#[track_caller]
fn until_granted(server: &Server, token: &Token) -> usize {
    let deadline = Instant::now() + PATIENCE;
    for refused in 0.. {
        let response = get(server, token);
        if response.status == 200 {
            return refused;
        }
        is_throttled(&response);
        assert!(Instant::now() < deadline, "{response:?}");
    }
    unreachable!()
}

/// Select Star, word for word.
#[test]
fn a_thousand_and_one_in_a_minute() {
    let upstream = Upstream::start();
    let server = Installation::of_examples(&upstream).set_up().start();
    let [token, other] = [(); 2].map(|()| server.issue("selectstar", &[]));
    let service = Caller::new(&server, ADA, &["selectstar:verify"], &[]);
    let asked = json!({"api": "selectstar", "secret": token.secret});
    let answers = service.post("/v1/verify/batch", &json!({"items": vec![&asked; 999]})).json();
    assert!(answers["items"].as_array().unwrap().iter().all(|answer| answer["active"] == true));

    let line =
        |token: &Token| ["--header".into(), format!("Authorization: Token {}", token.secret)];
    let get = |token| server.curl("/selectstar/v1/tables/", line(token));
    assert_eq!(get(&token).status, 200);
    assert_eq!(upstream.take().len(), 1);
    for _ in 0..2 {
        let refused = get(&token);
        assert_eq!((refused.status, upstream.take().len()), (429, 0));
        let seconds: u64 = refused.header("retry-after").parse().unwrap();
        assert!((1..=65).contains(&seconds), "{refused:?}");
        let unit = if seconds == 1 { "second" } else { "seconds" };
        let detail = format!("Request was throttled. Expected available in {seconds} {unit}.");
        assert_eq!(refused.json(), json!({"detail": detail}));
        // That product does not have them.
        assert_eq!(refused.values("ratelimit"), [""; 0]);
    }
    let refused = service.post("/v1/verify", &asked).json();
    assert_eq!((&refused["active"], &refused["code"]), (&json!(false), &json!("rate_limited")));
    let body: Value = serde_json::from_str(refused["refusal"]["body"].as_str().unwrap()).unwrap();
    assert!(body["detail"].as_str().unwrap().starts_with("Request was throttled. "), "{body}");

    assert_eq!(get(&other).status, 200);
}

#[test]
fn what_is_refused_does_not_count() {
    let upstream = Upstream::start();
    let server = one(&upstream, "rate = \"2/2s\"").set_up().start();
    let token = server.issue("one", &[]);
    for _ in 0..2 {
        assert_eq!(get(&server, &token).status, 200);
    }
    // Without a pause: if these counted, none would ever be granted.
    let refused: usize = (0..2).map(|_| until_granted(&server, &token)).sum();
    assert!(refused > 0);
    assert_eq!(upstream.take().len(), 4);
}

#[test]
fn two_rates_hold_together() {
    let upstream = Upstream::start();
    let server = one(&upstream, "rate = [\"2/1s\", \"5/1h\"]").set_up().start();
    let token = server.issue("one", &[]);
    let refused: usize = (0..5).map(|_| until_granted(&server, &token)).sum();
    assert!(refused > 0);
    let wait = is_throttled(&get(&server, &token));
    assert!((3000..=3900).contains(&wait), "{wait}");
    assert_eq!(upstream.take().len(), 5);
}

#[test]
fn clients_may_pace_themselves() {
    let upstream = Upstream::answering(|_| {
        let mut response = http::Response::new(Full::from("here"));
        for name in ["RateLimit", "RateLimit-Policy"] {
            response.headers_mut().insert(
                http::HeaderName::try_from(name).unwrap(),
                http::HeaderValue::from_static("\"mine\";r=7"),
            );
        }
        response
    });
    let plain = format!("[api.plain]\nupstream = \"{}\"\n", upstream.url());
    let server = one(&upstream, &format!("rate = [\"2/1h\", \"9/1d\"]\n{plain}")).set_up().start();
    let token = server.issue("one", &[]);
    for left in [1, 0] {
        let response = get(&server, &token);
        assert_eq!(response.header("ratelimit-policy"), "\"1h\";q=2;w=3600, \"1d\";q=9;w=86400");
        let first = format!("\"1h\";r={left};t=");
        assert!(response.header("ratelimit").starts_with(&first), "{response:?}");
    }
    let refused = get(&server, &token);
    let wait = is_throttled(&refused);
    assert!(
        refused.header("ratelimit").starts_with(&format!("\"1h\";r=0;t={wait}, \"1d\";r=7;t="))
    );
    // Where there are none of ours, the upstream's are the client's.
    let plain = server.issue("plain", &[]);
    let response = server.curl("/plain/x", bearer(&plain.secret));
    assert_eq!(response.header("ratelimit"), "\"mine\";r=7");
}

#[test]
fn a_configuration_that_is_read_again_forgets_nothing() {
    let upstream = Upstream::start();
    let server = one(&upstream, "rate = \"3/1h\"").set_up().start();
    let token = server.issue("one", &[]);
    for _ in 0..2 {
        assert_eq!(get(&server, &token).status, 200);
    }
    let reload = |from: &str, to: &str| {
        let text = std::fs::read_to_string(server.configuration()).unwrap();
        std::fs::write(server.configuration(), text.replace(from, to)).unwrap();
        let id = server.process().id().to_string();
        assert!(Command::new("kill").args(["-HUP", &id]).status().unwrap().success());
    };
    reload("[api.one]", "[api.two]\nupstream = \"http://127.0.0.1:1\"\n[api.one]");
    server.process().wait_for_line(|line| line.contains("\"apis\":2,").then_some(()));
    assert_eq!(get(&server, &token).status, 200);
    is_throttled(&get(&server, &token));
    // Of another number, those that were granted are as many as they were.
    reload("3/1h", "4/1h\"\nrealm = \"again");
    let deadline = Instant::now() + PATIENCE;
    while get(&server, &token).status != 200 {
        assert!(Instant::now() < deadline);
    }
    is_throttled(&get(&server, &token));
}

#[test]
fn every_door_counts_the_same_requests() {
    let upstream = Upstream::start();
    let lines = "rate = \"4/1h\"\naccess_tokens = {}\nroutes = [\"GET /open/** -> anonymous\"]\n\
                 [forward_auth]\nproxy = \"caddy\"\n";
    let server = one(&upstream, lines).set_up().start();
    let token = server.issue("one", &[]);
    let service = Caller::new(&server, ADA, &["one:verify"], &[]);
    let asked = json!({"api": "one", "secret": token.secret});
    let question = format!(
        "GET /auth/one HTTP/1.1\r\nhost: c\r\nx-forwarded-method: GET\r\nx-forwarded-uri: /\r\n\
         authorization: Bearer {}\r\n\r\n",
        token.secret
    );
    let forward_auth = || Wire::connect(server.forward_auth).unwrap().exchange(&question).unwrap();
    // To exchange it for an access token, to introspect, to look as the operator, and to ask
    // for what is everybody's, is no request with it.
    let exchange = format!(
        "POST /authenticate HTTP/1.1\r\nhost: c\r\nauthorization: Bearer {}\r\n\
         content-length: 0\r\n\r\n",
        token.secret
    );
    let access_token = Wire::connect(server.main).unwrap().exchange(exchange).unwrap().json();
    let access_token = access_token["token"].as_str().unwrap();
    let client = format!("{}:{}", service.token.id, service.token.secret);
    let form = format!("token={}", token.secret);
    for _ in 0..5 {
        let arguments = ["--user", &client, "--data", &form];
        let active = crate::response::curl(server.main, "/oauth2/introspect", arguments);
        assert_eq!(active.json()["active"], true, "{active:?}");
        let mut operator = server.operator().unwrap();
        let looked = operator.call("POST", "/v1/verify", &asked.to_string()).unwrap();
        assert_eq!(looked.json()["active"], true);
        assert_eq!(server.curl("/one/open/x", [""; 0]).status, 200);
    }

    assert_eq!(get(&server, &token).status, 200);
    assert_eq!(server.curl("/one/x", bearer(access_token)).status, 200);
    assert_eq!(forward_auth().status, 200);
    assert_eq!(service.post("/v1/verify", &asked).json()["active"], true);
    is_throttled(&get(&server, &token));
    is_throttled(&server.curl("/one/x", bearer(access_token)));
    is_throttled(&forward_auth());
    assert_eq!(service.post("/v1/verify", &asked).json()["code"], "rate_limited");
}

#[test]
fn nginx_has_the_refusal_replayed() {
    let upstream = Upstream::start();
    let server = one(&upstream, "rate = \"1/1h\"").set_up().start();
    let token = server.issue("one", &[]);
    let ask = || {
        let question = format!(
            "GET /auth/one HTTP/1.1\r\nhost: c\r\nx-original-method: GET\r\nx-original-uri: /\r\n\
             authorization: Bearer {}\r\n\r\n",
            token.secret
        );
        Wire::connect(server.forward_auth).unwrap().exchange(question).unwrap()
    };
    assert_eq!(ask().status, 200);
    let refused = ask();
    assert_eq!(refused.status, 403);
    let replay = format!("GET /auth/refusals/{} HTTP/1.1\r\nhost: c\r\n\r\n", refused.request_id());
    let replayed = Wire::connect(server.forward_auth).unwrap().exchange(replay).unwrap();
    assert!(is_throttled(&replayed) > 3000);
}

#[test]
fn a_password_is_counted_by_its_account() {
    let upstream = Upstream::start();
    let lines = "schemes = [\"bearer\", \"password\"]\nrate = \"2/1h\"\n";
    let installation = one(&upstream, lines);
    installation.cli_reading(PASSWORD, ["init", "--email", ADA, "--password-file", "-"]).done();
    let bob = ["account", "create", "--email", "bob@example.com", "--password-file", "-"];
    installation.cli_reading(PASSWORD, bob).done();
    let server = installation.start();
    let token = server.issue("one", &[]);
    let basic = |email: &str| {
        let pair = BASE64_STANDARD.encode(format!("{email}:{PASSWORD}"));
        server.curl("/one/x", ["--header".into(), format!("Authorization: Basic {pair}")])
    };
    for _ in 0..2 {
        assert_eq!(basic(ADA).status, 200);
        assert_eq!(get(&server, &token).status, 200);
    }
    is_throttled(&basic(ADA));
    is_throttled(&get(&server, &token));
    assert_eq!(basic("bob@example.com").status, 200);
}
