//! Paths: what two programs could read in two ways goes no further.

use super::{Door, get};

#[test]
fn what_is_ambiguous_is_refused_and_the_connection_closed() {
    let door = Door::open();
    for target in [
        "/open/../guarded/secret",
        "/open/..",
        "/open/./7",
        "/open/.",
        "/../open/7",
        "/open/7/../../guarded/secret",
        "//open/7",
        "/open//7",
        "/open/7//",
        "/open/a\\b",
        "/open\\..\\guarded",
        "/open/7;jsessionid=1",
        "/open;/7",
        "/open/..;/guarded/secret",
        "/open/%2e%2e/guarded/secret",
        "/open/%2E%2e",
        "/open/%2e",
        "/open/a%2eb",
        "/open/a%2fb",
        "/open%2F7",
        "/open/a%5cb",
        "/open/a%5C..%5cb",
        "/open/a%00",
        "/open/%00",
        "/open/a%0d%0ax",
        "/open/%7f",
        "/open/%",
        "/open/%4",
        "/open/%zz",
        "*",
    ] {
        let mut wire = door.server.connect().unwrap();
        // What is sent behind it is not read any more.
        let response = wire.exchange(get(target) + &get("/open/smuggled")).unwrap();
        assert_eq!(response.status, 400, "{target}: {response:?}");
        assert_eq!(response.header("connection"), "close", "{target}");
        assert_eq!(response.header("content-type"), "application/problem+json");
        let problem = response.json();
        assert_eq!(problem["code"], "ambiguous_path", "{target}");
        assert_eq!(problem["status"], 400);
        assert_eq!(problem["request_id"], response.request_id());
        assert_eq!(wire.read_to_end().unwrap(), b"", "{target}");
    }
    assert!(door.upstream.take().is_empty());
}

#[test]
fn encoded_letters_are_letters() {
    let door = Door::open();
    // Not a way around the route that guards `/secret`.
    for target in ["/guarded/%73ecret", "/guarded/s%65cret/7", "/%67uarded/%73%65%63%72%65%74"] {
        let refused = door.turn_away(target, &[]);
        assert_eq!(refused.status, 401, "{target}");
    }
    let admin = door.server.issue("guarded", &["--scope", "admin"]);
    let bearer = format!("Authorization: Bearer {}", admin.secret);
    for (target, forwarded) in [
        ("/guarded/%73ecret", "/secret"),
        ("/guarded/secret/%41%7a%30%2D%5f%7E", "/secret/Az0-_~"),
        ("/%67uarded/secret/x", "/secret/x"),
    ] {
        let received = door.pass(target, &["--header", &bearer]);
        assert_eq!(received.target, forwarded);
    }
}

#[test]
fn what_has_one_reading_goes_on_as_it_is() {
    let door = Door::open();
    for (target, forwarded) in [
        ("/open", "/"),
        ("/open/", "/"),
        ("/open/a%20b/%C3%A4/", "/a%20b/%C3%A4/"),
        ("/open/...", "/..."),
        ("/open/.well-known/x", "/.well-known/x"),
        ("/open/a:b@c,d=e+f!$&'()*", "/a:b@c,d=e+f!$&'()*"),
        // `%25` stays, and what comes behind it is not decoded with it.
        ("/open/%25%32%65", "/%252e"),
        ("/open/7?", "/7?"),
        ("/open?x=1", "/?x=1"),
        ("/open/7?a=../;b=%2e%2e%2f&c=//&d=%00", "/7?a=../;b=%2e%2e%2f&c=//&d=%00"),
    ] {
        assert_eq!(door.pass(target, &[]).target, forwarded, "{target}");
    }
}
