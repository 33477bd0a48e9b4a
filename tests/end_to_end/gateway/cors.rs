//! Web pages of other origins, where the configuration says which may call an API.

use crate::{installation::Installation, response::Response, server::Server, upstream::Upstream};
use http_body_util::Full;

const APIS: &str = r#"
[api.orders]
upstream = "UPSTREAM"
[api.orders.cors]
origins = ["https://app.example.com", "http://localhost:5173"]
expose = ["x-request-id"]
credentials = true
max_age = "1h"

[api.public]
upstream = "UPSTREAM"
schemes = ["header"]
header = "x-key"
routes = ["* /** -> anonymous"]
[api.public.cors]
origins = ["*"]
methods = ["GET"]

[api.plain]
upstream = "UPSTREAM"
"#;

const APP: &str = "Origin: https://app.example.com";

fn stage() -> (Server, Upstream) {
    let upstream = Upstream::answering(|_| {
        let response = http::Response::builder()
            .header("access-control-allow-origin", "https://theirs.example.com")
            .header("access-control-allow-headers", "theirs")
            .header("vary", "Accept");
        response.body(Full::from("hello")).unwrap()
    });
    let server = Installation::new(&APIS.replace("UPSTREAM", &upstream.url())).set_up().start();
    (server, upstream)
}

fn with(server: &Server, path: &str, lines: &[&str], more: &[&str]) -> Response {
    let lines = lines.iter().flat_map(|line| ["--header", *line]);
    server.curl(path, lines.chain(more.iter().copied()))
}

fn preflight(server: &Server, path: &str, origin: &str) -> Response {
    let asks = "Access-Control-Request-Method: POST";
    with(server, path, &[origin, asks], &["--request", "OPTIONS"])
}

#[test]
fn a_preflight_needs_no_token() {
    let (server, upstream) = stage();
    let response = preflight(&server, "/orders/7", APP);
    assert_eq!((response.status, response.text()), (204, ""));
    for (name, value) in [
        ("access-control-allow-origin", "https://app.example.com"),
        ("access-control-allow-methods", "GET, HEAD, POST, PUT, PATCH, DELETE"),
        ("access-control-allow-headers", "authorization, content-type"),
        ("access-control-allow-credentials", "true"),
        ("access-control-max-age", "3600"),
        ("vary", "Origin"),
    ] {
        assert_eq!(response.values(name), [value], "{name}");
    }
    let response = preflight(&server, "/public/7", "Origin: https://anybody.example.com");
    assert_eq!(response.header("access-control-allow-origin"), "*");
    assert_eq!(response.header("access-control-allow-methods"), "GET");
    assert_eq!(response.header("access-control-allow-headers"), "x-key, content-type");
    assert!(response.values("access-control-allow-credentials").is_empty());
    assert!(upstream.take().is_empty());
}

#[test]
fn a_page_of_elsewhere_is_told_no() {
    let (server, upstream) = stage();
    for origin in [
        "Origin: https://evil.example.com",
        "Origin: https://app.example.com.evil.test",
        "Origin: http://app.example.com",
        "Origin: null",
    ] {
        let response = preflight(&server, "/orders/7", origin);
        assert_eq!(
            (response.status, &response.json()["code"]),
            (403, &"origin_not_allowed".into())
        );
        assert_eq!(response.values("vary"), ["Origin"]);
        let names = response.headers.iter().map(|(name, _)| name.as_str());
        assert!(names.clone().all(|name| !name.starts_with("access-control")), "{response:?}");
    }
    assert_eq!(preflight(&server, "/public/7", "Origin: null").status, 403);
    assert!(upstream.take().is_empty());
}

#[test]
fn responses_and_refusals_can_be_read() {
    let (server, _upstream) = stage();
    let token = server.issue("orders", &[]);
    let bearer = format!("Authorization: Bearer {}", token.secret);
    let right = with(&server, "/orders/7", &[APP, &bearer], &[]);
    let refused = with(&server, "/orders/7", &[APP], &[]);
    assert_eq!((right.status, refused.status), (200, 401));
    for response in [&right, &refused] {
        let origin = response.values("access-control-allow-origin");
        assert_eq!(origin, ["https://app.example.com"], "{response:?}");
        assert_eq!(response.header("access-control-expose-headers"), "x-request-id");
        assert_eq!(response.header("access-control-allow-credentials"), "true");
        assert!(response.values("access-control-allow-headers").is_empty());
        assert!(response.values("vary").contains(&"Origin"));
    }
    assert_eq!(right.values("vary"), ["Accept", "Origin"]);
    // Whoever is no page gets on as before, and no page of elsewhere reads anything.
    for lines in [&[&*bearer][..], &["Origin: https://evil.example.com", &bearer]] {
        let response = with(&server, "/orders/7", lines, &[]);
        assert_eq!((response.status, response.text()), (200, "hello"));
        assert!(response.values("access-control-allow-origin").is_empty(), "{response:?}");
    }
}

#[test]
fn options_is_a_method_like_any_other_where_nobody_asks_for_more() {
    let (server, upstream) = stage();
    // Without the table nothing changes; with it, this is no preflight.
    assert_eq!(preflight(&server, "/plain/7", APP).status, 401);
    let options = with(&server, "/orders/7", &[APP], &["--request", "OPTIONS"]);
    assert_eq!(options.status, 401);
    assert!(upstream.take().is_empty());
    let token = server.issue("plain", &[]);
    let bearer = format!("Authorization: Bearer {}", token.secret);
    let response = with(&server, "/plain/7", &[APP, &bearer], &["--request", "OPTIONS"]);
    let theirs = response.values("access-control-allow-origin");
    assert_eq!(theirs, ["https://theirs.example.com"]);
    assert_eq!(response.values("vary"), ["Accept"]);
}
