//! Paths and query strings, as proxies hand them on.

use super::{Door, Proxy, identity};
use crate::upstream::Identity;

#[test]
fn a_query_string_is_no_part_of_the_path() {
    for door in Door::each() {
        let about =
            |target: &str, lines: &str| door.ask(door.proxy.question("open", "GET", target, lines));
        for query in ["?", "?a=/../b", "?a=//&b=%2f", "?next=/public/x", "?a;b\\c", "?x?y"] {
            let public = about(&format!("/public/x{query}"), "");
            assert_eq!(identity(&public), Identity::default(), "{query}");
            let private = about(&format!("/private{query}"), "");
            assert_eq!(private.status, 401, "{query} {private:?}");
        }
    }
}

#[test]
fn a_token_in_it_is_none_and_is_not_written_down() {
    for door in Door::each() {
        let secret = &door.token.secret;
        for name in ["access_token", "token", "authorization"] {
            let target = format!("/v1/costs?{name}={secret}");
            let refused = door.ask(door.proxy.question("finout", "GET", &target, ""));
            assert_eq!(refused.status, 401, "{refused:?}");
            assert_eq!(refused.json()["code"], "missing_credential");
            // Nor does it stand in the way of the credential that counts.
            assert_eq!(identity(&door.about("GET", &target, "")).token, door.token.id);
        }
        let Door { server, token, .. } = door;
        server.process().terminate();
        let (status, log, _) = server.wait();
        assert!(status.success(), "{status}");
        assert!(log.contains("\"refused\""), "{log}");
        assert!(!log.contains(&token.secret), "{log}");
    }
}

#[test]
fn what_is_ambiguous_is_refused() {
    for door in Door::each() {
        for target in [
            "/public/../private",
            "/public/..",
            "/public/./x",
            "/public//x",
            "//public/x",
            "/public/x/..;/y",
            "/public/a;b",
            "/public\\..\\private",
            "/public/%2e%2e/private",
            "/public/a%2fb",
            "/public/a%5cb",
            "/public/a%00",
            "/public/%7f",
            "/public/%",
            "/public/%zz",
        ] {
            let answer = door.ask(door.proxy.question("open", "GET", target, ""));
            door.says_no(&answer, 400, "ambiguous_path");
            // With a query, too.
            let target = format!("{target}?x=y");
            let answer = door.ask(door.proxy.question("open", "GET", &target, ""));
            door.says_no(&answer, 400, "ambiguous_path");
        }
    }
}

#[test]
fn a_target_is_a_path() {
    // Envoy's own request line would not be one at all.
    for door in Door::each().filter(|door| door.proxy != Proxy::Envoy) {
        for target in [
            "public/x",
            "*",
            "http://example.com/public/x",
            "?a=/public/x",
            "#/public/x",
            "/public/x#y",
            "/public/a b",
        ] {
            let answer = door.ask(door.proxy.question("open", "GET", target, ""));
            door.says_no(&answer, 400, "ambiguous_path");
        }
    }
}

#[test]
fn encoded_letters_are_letters() {
    for door in Door::each() {
        let about = |target: &str| door.ask(door.proxy.question("open", "GET", target, ""));
        for target in ["/public/x", "/%70ublic/x", "/public/%78"] {
            assert_eq!(identity(&about(target)), Identity::default(), "{target}");
        }
        // The mount is no part of a path unless the configuration says so.
        for target in ["/PUBLIC/x", "/publicity", "/open", "/open/public/x"] {
            assert_eq!(about(target).status, 401, "{target}");
        }
    }
}

#[test]
fn envoy_asks_below_the_apis_name() {
    let door = Door::open(Proxy::Envoy);
    for (target, status) in [("", 401), ("/", 401), ("?x=y", 401), ("/public", 200)] {
        let answer = door.ask(door.proxy.question("open", "GET", target, ""));
        assert_eq!(answer.status, status, "{target:?} {answer:?}");
    }
}
