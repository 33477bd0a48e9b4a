//! Header fields: what a client can make an upstream see, and the other way round.

use super::Door;
use crate::upstream::{Identity, Upstream};
use http::Response;
use http_body_util::Full;

/// Ways to write the fields by which upstreams learn who calls.
const FORGERIES: [&str; 12] = [
    "X-Counterfoil-Account: root",
    "x-counterfoil-account: root",
    "X_Counterfoil_Account: root",
    "X-Counterfoil_Account: root",
    "x_counterfoil-token-id: root",
    "X-COUNTERFOIL-TOKEN-ID: root",
    "X-Counterfoil-Organization: root",
    "X_Counterfoil_Organization: root",
    "X-Counterfoil-Role: root",
    "X-Counterfoil-Scopes: root",
    "X_COUNTERFOIL_SCOPES: root",
    "X-Counterfoil-Anything-Else: root",
];

#[test]
fn nobody_forges_an_identity() {
    let door = Door::open();
    let expected = Identity {
        token: door.token.id.clone(),
        account: door.token.owner.clone(),
        organization: door.token.organization.clone(),
        ..Identity::default()
    };
    let open = |lines: &[&str]| {
        let arguments: Vec<&str> = lines.iter().flat_map(|line| ["--header", *line]).collect();
        door.pass("/open/7", &arguments)
    };
    for line in FORGERIES {
        assert_eq!(door.pass_with(&[line]).identity(), expected, "{line}");
        assert_eq!(open(&[line]).identity(), Identity::default(), "{line}");
    }
    let received = door.pass_with(&FORGERIES);
    assert_eq!(received.identity(), expected);
    assert!(!received.holds("root"), "{received:?}");
    let received = open(&FORGERIES);
    assert_eq!(received.identity(), Identity::default());
    assert!(!received.holds("root"), "{received:?}");
}

#[test]
fn naming_fields_in_connection_removes_neither_identity_nor_guard() {
    let door = Door::open();
    for named in [
        "X-Counterfoil-Account, X-Counterfoil-Role",
        "x-counterfoil-token-id, x-counterfoil-organization, x-counterfoil-scopes",
        "Authorization",
        "X_Counterfoil_Account",
        "Host, Content-Length",
    ] {
        let line = format!("Connection: {named}");
        let received = door.pass_with(&[&line, "X-Counterfoil-Account: root"]);
        assert_eq!(received.identity().account, door.token.owner, "{named}");
        assert_eq!(received.values("host"), [door.upstream.address.to_string()]);
        assert_eq!(door.turn_away("/orders/7", &["--header", &line]).status, 401);
    }
}

#[test]
fn credentials_of_whatever_kind_stay_behind() {
    let door = Door::open();
    let received = door.pass_with(&[
        "X-Orders-Key: another",
        "X_Orders_Key: another",
        "X-Client: another",
        "X-Secret: another",
        "x_secret: another",
        "Proxy-Authorization: Basic another",
    ]);
    assert!(!received.holds("another"), "{received:?}");
    assert!(!received.holds(&door.token.secret));
    // Where nobody asks for one too.
    for line in ["Authorization: Basic another", "X-Secret: another", "x-orders-key: another"] {
        let received = door.pass("/open/7", &["--header", line]);
        assert!(!received.holds("another"), "{received:?}");
    }
}

#[test]
fn a_header_of_the_apis_own_is_a_credential_there() {
    let door = Door::open();
    let token = door.server.issue("keyed", &[]);
    let line = format!("X-Orders-Key: {}", token.secret);
    let bearer = format!("Authorization: Bearer {}", token.secret);
    for line in [&line, &line.to_uppercase().replace(&token.secret.to_uppercase(), &token.secret)] {
        let received = door.pass("/keyed/7", &["--header", line]);
        assert_eq!(received.identity().token, token.id);
        assert!(!received.holds(&token.secret));
    }
    assert_eq!(door.pass("/keyed/7", &["--header", &bearer]).identity().token, token.id);
    // Both at once could mean two things.
    let both = door.turn_away("/keyed/7", &["--header", &line, "--header", &bearer]);
    assert_eq!((both.status, &both.json()["code"]), (401, &"malformed_credential".into()));
    // A spelling that is dropped is not read either.
    let underscored = line.replace("X-Orders-Key", "X_Orders_Key");
    let missing = door.turn_away("/keyed/7", &["--header", &underscored]);
    assert_eq!(missing.json()["code"], "missing_credential");
    let challenges = [r#"ApiKey realm="keyed", header="x-orders-key""#, r#"Bearer realm="keyed""#];
    assert_eq!(missing.values("www-authenticate"), challenges);
}

#[test]
fn our_cookie_stays_behind_and_others_go_on() {
    let door = Door::open();
    for (sent, seen) in [
        ("theme=dark; counterfoil_session=s3cret; lang=en", &["theme=dark; lang=en"][..]),
        ("counterfoil_session=s3cret", &[]),
        ("__Host-counterfoil_session=s3cret;a=1", &["a=1"]),
        ("COUNTERFOIL_SESSION=s3cret; a=1", &["a=1"]),
        ("a=1;counterfoil_session =s3cret", &["a=1"]),
        ("counterfoil_session=s3cret; counterfoil_session=s3cret; b=2", &["b=2"]),
        ("a=counterfoil_session; b=2", &["a=counterfoil_session; b=2"]),
        ("my_counterfoil_session=mine", &["my_counterfoil_session=mine"]),
    ] {
        let received = door.pass_with(&[&format!("Cookie: {sent}")]);
        assert_eq!(received.values("cookie"), seen, "{sent}");
        assert!(!received.holds("s3cret"), "{sent}");
    }
}

#[test]
fn an_upstream_cannot_set_our_cookie() {
    let upstream = Upstream::answering(|_| {
        let mut response = Response::new(Full::default());
        for cookie in [
            "a=1; Path=/",
            "counterfoil_session=forged; Path=/",
            "__Host-counterfoil_session=forged; Secure; Path=/",
            "b=2",
        ] {
            response.headers_mut().append("set-cookie", cookie.parse().unwrap());
        }
        response
    });
    let door = Door::before(upstream);
    let response = door.server.curl("/open/7", [] as [&str; 0]);
    assert_eq!(response.values("set-cookie"), ["a=1; Path=/", "b=2"]);
}

#[test]
fn what_ends_at_each_hop_goes_no_further() {
    let door = Door::open();
    let received = door.pass_with(&[
        "Connection: keep-alive, X-Hop, x-other-hop",
        "X-Hop: 1",
        "X-Other-Hop: 2",
        "X-End-To-End: 3",
        "Keep-Alive: timeout=5",
        "Proxy-Connection: keep-alive",
        "TE: trailers",
        "Trailer: X-Sum",
        "Upgrade: h2c",
    ]);
    for name in [
        "x-hop",
        "x-other-hop",
        "keep-alive",
        "proxy-connection",
        // Nothing trails a request without a body.
        "trailer",
        "upgrade",
        "transfer-encoding",
    ] {
        assert!(received.values(name).is_empty(), "{name}: {received:?}");
    }
    assert_eq!(received.values("x-end-to-end"), ["3"]);
    // This hop has a word of its own on trailers, and no other.
    assert_eq!(
        (received.values("connection"), received.values("te")),
        (vec!["te"], vec!["trailers"])
    );
    let received = door.pass_with(&["Connection: te, x-hop", "TE: gzip", "X-Hop: 1"]);
    assert!(received.values("connection").is_empty() && received.values("te").is_empty());
}

#[test]
fn what_ends_at_each_hop_does_not_come_back_either() {
    let upstream = Upstream::answering(|_| {
        let response = Response::builder()
            .header("connection", "X-Hop")
            .header("x-hop", "1")
            .header("keep-alive", "timeout=5")
            .header("proxy-authenticate", "Basic")
            .header("upgrade", "h2c")
            .header("x-end-to-end", "2");
        response.body(Full::default()).unwrap()
    });
    let door = Door::before(upstream);
    let response = door.server.curl("/open/7", [] as [&str; 0]);
    for name in ["x-hop", "keep-alive", "proxy-authenticate", "upgrade"] {
        assert!(response.values(name).is_empty(), "{name}: {response:?}");
    }
    assert_eq!(response.header("x-end-to-end"), "2");
}

#[test]
fn the_rest_goes_on_as_it_came() {
    let upstream = Upstream::answering(|_| {
        let response = Response::builder()
            .status(418)
            .header("x-one", "1")
            .header("x-one", "2")
            .header("www-authenticate", "Custom realm=\"upstream\"")
            .header("content-type", "text/x-teapot");
        response.body(Full::from("short and stout")).unwrap()
    });
    let door = Door::before(upstream);
    let bearer = door.bearer();
    let arguments = [
        "--header",
        &bearer,
        "--header",
        "X-One: 1",
        "--header",
        "X-One: 2",
        "--header",
        "X_Mine: 3",
        "--header",
        "X-Counterfeit: 4",
        "--header",
        "Accept: text/x-teapot",
        "--data",
        "boil",
    ];
    let response = door.server.curl("/orders/pot", arguments);
    assert_eq!(response.status, 418);
    assert_eq!(response.values("x-one"), ["1", "2"]);
    assert_eq!(response.header("www-authenticate"), "Custom realm=\"upstream\"");
    assert_eq!(response.header("content-type"), "text/x-teapot");
    assert_eq!(response.text(), "short and stout");
    let received = door.upstream.take_one();
    assert_eq!(received.values("x-one"), ["1", "2"]);
    assert_eq!(received.values("x_mine"), ["3"]);
    assert_eq!(received.values("x-counterfeit"), ["4"]);
    assert_eq!(received.values("accept"), ["text/x-teapot"]);
    assert_eq!(received.values("content-length"), ["4"]);
    assert_eq!(&received.body[..], b"boil");
}

#[test]
fn where_a_request_comes_from_is_ours_to_say() {
    let door = Door::open();
    let received = door.pass_with(&[
        "X-Forwarded-For: 192.0.2.1",
        "X_Forwarded_For: 192.0.2.1",
        "Forwarded: for=192.0.2.1",
        "X-Real-IP: 192.0.2.1",
        "X-Forwarded-Host: 192.0.2.1",
        "X-Forwarded-Proto: 192.0.2.1",
        "X-Forwarded-Port: 192.0.2.1",
        "Host: orders.example.com",
    ]);
    assert!(!received.holds("192.0.2.1"), "{received:?}");
    assert_eq!(received.values("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(received.values("x-forwarded-proto"), ["http"]);
    assert_eq!(received.values("x-forwarded-host"), ["orders.example.com"]);
    assert_eq!(received.values("host"), [door.upstream.address.to_string()]);
}

#[test]
fn nobody_makes_the_upstream_see_another_request() {
    let door = Door::open();
    let received = door.pass_with(&[
        "X-HTTP-Method-Override: DELETE-ALL",
        "X-HTTP-Method: DELETE-ALL",
        "X-Method-Override: DELETE-ALL",
        "X_HTTP_Method_Override: DELETE-ALL",
        "X-Original-URL: /DELETE-ALL",
        "X_Original_URL: /DELETE-ALL",
        "X-Original-URI: /DELETE-ALL",
        "X-Rewrite-URL: /DELETE-ALL",
        "X-Original-Method: DELETE-ALL",
        "X-Forwarded-Method: DELETE-ALL",
        "X-Forwarded-Uri: /DELETE-ALL",
        "X-Forwarded-Prefix: /DELETE-ALL",
    ]);
    assert!(!received.holds("DELETE-ALL"), "{received:?}");
}
