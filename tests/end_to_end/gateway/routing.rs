//! Which API is meant, by which method, and what happens when nobody answers there.

use super::{Door, serve};
use crate::upstream::NOBODY;
use serde_json::json;

#[test]
fn an_api_that_does_not_exist() {
    let door = Door::open();
    let bearer = door.bearer();
    for path in ["/", "/nothing", "/ordersx/7", "/ORDERS/7", "/v1", "/v1/wholesale", "/hosted/7"] {
        let response = door.turn_away(path, &["--header", &bearer]);
        assert_eq!(response.status, 404, "{path}");
        assert!(response.values("www-authenticate").is_empty());
        let problem = json!({
            "type": "about:blank",
            "title": "Not Found",
            "status": 404,
            "detail": "no API is mounted at this host and path",
            "code": "unknown_api",
            "request_id": response.request_id(),
        });
        assert_eq!(response.json(), problem);
    }
}

#[test]
fn by_path_by_host_and_with_the_path_left_on() {
    let door = Door::open();
    assert_eq!(door.pass("/open/a/b", &[]).target, "/a/b");
    assert_eq!(door.pass("/v1/whole/a", &[]).target, "/v1/whole/a");
    assert_eq!(door.pass("/v1/whole", &[]).target, "/v1/whole");
    assert_eq!(door.pass("/based/a?b=1", &[]).target, "/base/path/a?b=1");
    assert_eq!(door.pass("/based", &[]).target, "/base/path/");
    for host in ["api.example.com", "API.Example.Com", "api.example.com:8081"] {
        let received = door.pass("/orders/7", &["--header", &format!("Host: {host}")]);
        assert_eq!(received.target, "/orders/7");
        assert_eq!(received.values("x-forwarded-host"), [host]);
    }
    for host in ["example.com", "api.example.com.evil.example", "xapi.example.com"] {
        let arguments = ["--header", &format!("Host: {host}")];
        assert_eq!(door.turn_away("/orders/7", &arguments).status, 401, "{host}");
    }
}

#[test]
fn heads_and_options() {
    let door = Door::open();
    let bearer = door.bearer();
    let head = door.server.curl("/orders/7", ["--head", "--header", &bearer]);
    assert_eq!((head.status, head.text()), (200, ""));
    // As long as the answer to a GET would be.
    assert_eq!(head.header("content-length"), "upstream says: HEAD /7".len().to_string());
    assert_eq!(door.upstream.take_one().method, "HEAD");
    let refused = door.turn_away("/orders/7", &["--head"]);
    assert_eq!((refused.status, refused.text()), (401, ""));

    let arguments = ["--request", "OPTIONS", "--header", &bearer];
    assert_eq!(door.pass("/orders/7", &arguments).method, "OPTIONS");
    // A browser's preflight carries no credential: the route has to allow it.
    let preflight = ["--request", "OPTIONS", "--header", "Access-Control-Request-Method: GET"];
    assert_eq!(door.turn_away("/orders/7", &preflight).status, 401);
    assert_eq!(door.pass("/open/7", &preflight).method, "OPTIONS");
}

#[test]
fn methods_are_whatever_the_client_makes_up() {
    let door = Door::open();
    let bearer = door.bearer();
    for method in ["BREW", "get", "PROPFIND", "M-SEARCH", "X"] {
        let arguments = ["--request", method, "--header", &bearer, "--data", "tea"];
        let received = door.pass("/orders/7", &arguments);
        assert_eq!((received.method.as_str(), &received.body[..]), (method, &b"tea"[..]));
        assert_eq!(door.turn_away("/orders/7", &["--request", method]).status, 401);
    }
    let mut wire = door.server.connect().unwrap();
    let connect = "CONNECT example.com:443 HTTP/1.1\r\nhost: example.com:443\r\n\r\n";
    assert_eq!(wire.exchange(connect).unwrap().status, 400);
    assert!(door.upstream.take().is_empty());
}

#[test]
fn anonymous_routes_ask_for_nothing() {
    let door = Door::open();
    assert_eq!(door.pass("/open/7", &[]).identity().token, "");
    assert_eq!(door.pass("/open/7", &["--data", "x"]).method, "POST");
    assert_eq!(door.pass("/guarded/elsewhere", &[]).target, "/elsewhere");
    assert_eq!(door.turn_away("/guarded/secret", &[]).status, 401);
    // Whoever sends a credential wants to know when it does not work.
    let wrong = door.turn_away("/open/7", &["--header", "Authorization: Bearer wrong"]);
    assert_eq!((wrong.status, &wrong.json()["code"]), (401, &json!("unknown_token")));
    let other = door.turn_away("/open/7", &["--header", &door.bearer()]);
    assert_eq!(other.json()["code"], "unknown_token");
}

#[test]
fn an_upstream_that_is_down() {
    let server = serve(NOBODY);
    let response = server.curl("/open/7", [] as [&str; 0]);
    assert_eq!(response.status, 502);
    let problem = json!({
        "type": "about:blank",
        "title": "Bad Gateway",
        "status": 502,
        "detail": "the upstream did not answer",
        "code": "upstream_failed",
        "request_id": response.request_id(),
    });
    assert_eq!(response.json(), problem);
    assert_eq!(server.curl("/orders/7", [] as [&str; 0]).status, 401);
    let metrics = server.scrape();
    let failures =
        "counterfoil_gateway_upstream_failures_total{api=\"open\",kind=\"unreachable\"} 1";
    assert!(metrics.lines().any(|line| line == failures), "{metrics}");
}

#[test]
fn what_is_counted() {
    let door = Door::open();
    door.pass_with(&[]);
    door.pass("/open/7", &[]);
    door.turn_away("/orders/7", &[]);
    door.turn_away("/orders/7", &["--header", "Authorization: Bearer wrong"]);
    door.turn_away("/nothing", &[]);
    let metrics = door.server.scrape();
    for line in [
        "counterfoil_requests_total{door=\"gateway\",api=\"orders\",outcome=\"admitted\"} 1",
        "counterfoil_requests_total{door=\"gateway\",api=\"orders\",outcome=\"missing_credential\"} 1",
        "counterfoil_requests_total{door=\"gateway\",api=\"orders\",outcome=\"unknown_token\"} 1",
        "counterfoil_requests_total{door=\"gateway\",api=\"open\",outcome=\"anonymous\"} 1",
        "counterfoil_gateway_rejected_total 1",
        "counterfoil_index_tokens 1",
        "counterfoil_ready 1",
    ] {
        assert!(metrics.lines().any(|other| other == line), "{line}:\n{metrics}");
    }
    assert!(metrics.ends_with("# EOF\n"), "{metrics}");
}
