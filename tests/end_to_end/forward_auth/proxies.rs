//! What a proxy says, and what it cannot say: methods, fields of other kinds, too much, too little.

use super::{Door, PROXIES, Proxy, identity};
use crate::{
    response::{Response, curl},
    upstream::Identity,
};

/// Fields with which one or the other program says what a request was.
const FOREIGN: [&str; 18] = [
    "X-Original-Method",
    "X-Original-URI",
    "X-Original-URL",
    "X-Forwarded-Method",
    "X-Forwarded-Uri",
    "X-Forwarded-Url",
    "X-Forwarded-Path",
    "X-Forwarded-Prefix",
    "X-HTTP-Method-Override",
    "X-HTTP-Method",
    "X-Method-Override",
    "X-Rewrite-URL",
    "X-Envoy-Original-Path",
    "X-Envoy-Original-Method",
    "X-Request-Method",
    "X-Auth-Request-Redirect",
    "X_Original_Method",
    "X_Forwarded_Method",
];

#[track_caller]
fn is_insufficient(answer: &Response) {
    assert_eq!(answer.status, 403, "{answer:?}");
    assert_eq!(answer.json()["code"], "insufficient_scope");
}

#[test]
fn the_method_is_what_the_proxy_says_it_is() {
    for door in Door::each() {
        for method in ["GET", "OPTIONS"] {
            assert_eq!(identity(&door.about(method, "/v1/costs", "")).role, "viewer");
        }
        for method in ["POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND", "BREW", "get"] {
            is_insufficient(&door.about(method, "/v1/costs", ""));
        }
    }
}

#[test]
fn head_is_read_and_has_no_body() {
    for door in Door::each() {
        let head = if door.proxy == Proxy::Envoy {
            let bearer = format!("Authorization: Bearer {}", door.token.secret);
            let path = "/auth/finout/v1/costs";
            curl(door.server.forward_auth, path, ["--head", "--header", &bearer])
        } else {
            door.about("HEAD", "/v1/costs", "")
        };
        assert_eq!(identity(&head).scopes, "read");
    }
}

#[test]
fn how_it_is_asked_matters_to_envoy_alone() {
    for door in Door::each().filter(|door| door.proxy != Proxy::Envoy) {
        for line in ["POST /auth/finout", "BREW /auth/finout/x?y=1", "OPTIONS /auth/finout/"] {
            let read = door.proxy.question("finout", "GET", "/v1/costs", &Door::lines(&door.token));
            let asked = read.replacen("GET /auth/finout", line, 1);
            assert_eq!(identity(&door.ask(&asked)).role, "viewer", "{asked}");
            let write = asked.replacen(": GET\r\n", ": DELETE\r\n", 1);
            is_insufficient(&door.ask(&write));
        }
    }
}

#[test]
fn a_body_is_not_waited_for() {
    for door in Door::each() {
        let lines = format!("{}content-length: 5\r\n", Door::lines(&door.token));
        let question = door.proxy.question("finout", "GET", "/v1/costs", &lines);
        // It never comes.
        assert_eq!(identity(&door.ask(question)).role, "viewer");
    }
}

#[test]
fn fields_of_another_kind_count_for_nothing() {
    for door in Door::each() {
        let own = door.proxy.says_request_in().unwrap_or_default();
        for name in FOREIGN.into_iter().filter(|name| !own.contains(name)) {
            // A duplicate is none of our business, when the field is not.
            for value in ["DELETE", "GET", "/public/x", "/..//"] {
                let lines = format!("{name}: {value}\r\n{name}: x\r\n");
                let read = door.about("GET", "/v1/costs", &lines);
                assert_eq!(identity(&read).role, "viewer", "{:?} {lines}", door.proxy);
                is_insufficient(&door.about("POST", "/v1/costs", &lines));
            }
        }
    }
}

#[test]
fn a_public_path_in_anothers_words_opens_nothing() {
    for door in Door::each() {
        let ask =
            |target: &str, lines: &str| door.ask(door.proxy.question("open", "GET", target, lines));
        assert_eq!(identity(&ask("/public/x", "")), Identity::default());
        let own = door.proxy.says_request_in().unwrap_or_default();
        for name in FOREIGN.into_iter().filter(|name| !own.contains(name)) {
            let refused = ask("/private/x", &format!("{name}: /public/x\r\n"));
            assert_eq!(refused.status, 401, "{:?} {name}", door.proxy);
            assert_eq!(refused.json()["code"], "missing_credential");
        }
    }
}

#[test]
fn what_is_said_twice_is_refused() {
    for door in Door::each() {
        let own = door.proxy.says_request_in().unwrap_or_default();
        let said = own.into_iter().chain([door.proxy.says_client_in()]);
        for name in said.filter(|name| !name.is_empty()) {
            for value in ["GET", "/v1/costs", "127.0.0.1", ""] {
                let answer = door.about("GET", "/v1/costs", &format!("{name}: {value}\r\n"));
                door.says_no(&answer, 400, "invalid_request");
                let name = name.to_ascii_lowercase();
                let detail = format!("{name} was sent more than once");
                assert_eq!(answer.json()["detail"], detail);
            }
        }
    }
}

#[test]
fn what_is_not_said_is_asked_for() {
    for door in Door::each() {
        for name in door.proxy.says_request_in().into_iter().flatten() {
            let lines = Door::lines(&door.token);
            let question = door.proxy.question("finout", "GET", "/v1/costs", &lines);
            let said = question.lines().find(|line| line.starts_with(name)).unwrap();
            let detail = format!(
                "the proxy does not say {}; see the page on forward auth for its configuration",
                name.to_ascii_lowercase()
            );
            for instead in ["X-Nothing: 1".to_owned(), format!("{name}:")] {
                let answer = door.ask(question.replacen(said, &instead, 1));
                door.says_no(&answer, 400, "invalid_request");
                assert_eq!(answer.json()["detail"], detail);
            }
        }
    }
}

#[test]
fn what_is_said_has_to_be_text() {
    for door in Door::each() {
        for name in door.proxy.says_request_in().into_iter().flatten() {
            let lines = Door::lines(&door.token);
            let question = door.proxy.question("finout", "GET", "/v1/costs", &lines);
            let said = question.lines().find(|line| line.starts_with(name)).unwrap();
            let answer = door.ask(question.replacen(said, &format!("{name}: \u{e9}"), 1));
            door.says_no(&answer, 400, "invalid_request");
            let detail = format!("{} is not text", name.to_ascii_lowercase());
            assert_eq!(answer.json()["detail"], detail);
        }
    }
}

#[test]
fn only_proxies_of_the_operators_may_ask() {
    for door in Door::each() {
        let bearer = format!("Authorization: Bearer {}", door.token.secret);
        for path in ["/auth/finout", "/auth/nothing", "/auth/refusals/x", "/", "/auth/finout/v1/x"]
        {
            // As if from an address that is not in `trusted_proxies`.
            let arguments = ["--interface", "127.0.0.2", "--header", &bearer];
            let answer = curl(door.server.forward_auth, path, arguments);
            door.says_no(&answer, 403, "untrusted_peer");
            assert_eq!(answer.status, 403);
        }
    }
}

#[test]
fn an_api_that_is_not_there_is_not_found() {
    for door in Door::each() {
        for path in [
            "/",
            "/auth",
            "/auth/",
            "/auth/nothing",
            "/auth/nothing/finout",
            "/auth//finout",
            "/auth/Finout",
            "/auth/%66inout",
            "/auth/../auth/finout",
            "/authfinout",
            "/finout",
            // The management API has a door of its own.
            "/auth/counterfoil",
        ] {
            let question = door.proxy.question("finout", "GET", "", &Door::lines(&door.token));
            let answer = door.ask(question.replacen("/auth/finout", path, 1));
            door.says_no(&answer, 404, "unknown_api");
        }
    }
}

#[test]
fn the_client_cannot_say_who_it_is() {
    let forged = "X-Counterfoil-Role: king\r\nX-Counterfoil-Account: root\r\n\
                  X_Counterfoil_Scopes: all\r\nX-Counterfoil-Other: root\r\n";
    for door in Door::each() {
        let identity = identity(&door.about("GET", "/v1/costs", forged));
        assert_eq!((&*identity.role, &*identity.scopes), ("viewer", "read"));
        assert_eq!(identity.account, door.token.owner);
    }
}

#[test]
fn revoked_at_once() {
    for proxy in PROXIES {
        let door = Door::open(proxy);
        assert_eq!(identity(&door.about("GET", "/v1/costs", "")).token, door.token.id);
        door.server.cli(["token", "revoke", &door.token.id]).done();
        let refused = door.about("GET", "/v1/costs", "");
        assert_eq!(refused.status, 401);
        assert_eq!(refused.json()["code"], "unknown_token");
        assert_eq!(
            refused.header("www-authenticate"),
            r#"Bearer realm="finout", error="invalid_token""#
        );
    }
}
