//! At forward auth, as each kind of proxy asks.

use super::{Comes, Row, Stage, is_no_http, is_problem, is_too_large, oversized, rows};
use crate::{
    forward_auth::{PROXIES, Proxy, identity, identity_fields},
    response::{Response, curl},
    wire::Wire,
};

fn stage(proxy: Proxy) -> Stage {
    Stage::on(|installation| installation.set("COUNTERFOIL_FORWARD_AUTH_PROXY", proxy.name()))
}

fn ask(stage: &Stage, question: &[u8]) -> Response {
    super::exchange(stage.server.forward_auth, question)
}

impl Row {
    /// The question that a proxy asks about it.
    fn question(&self, proxy: Proxy) -> Vec<u8> {
        let question = proxy.question(self.api, self.method, &self.target, "");
        let mut question = question.into_bytes();
        question.truncate(question.len() - 2);
        for (name, value) in &self.fields {
            question.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
        }
        question.extend(b"\r\n");
        question
    }
}

#[test]
fn what_every_door_may_be_sent() {
    for proxy in PROXIES {
        let stage = stage(proxy);
        stage.changes_nothing(|| {
            for row in rows(&stage) {
                let what = format!("{proxy:?} {row:?}");
                let answer = ask(&stage, &row.question(proxy));
                match &row.comes {
                    Comes::Passes(expected) => assert_eq!(identity(&answer), *expected, "{what}"),
                    Comes::Refused(status, code) => {
                        stage.is_refused(&what, &answer, *status, code);
                        assert!(identity_fields(&answer).is_empty(), "{what}");
                    }
                    Comes::Ambiguous => {
                        assert_eq!(answer.status, proxy.hears(400), "{what}");
                        is_problem(&what, &answer, 400, "ambiguous_path");
                        assert!(identity_fields(&answer).is_empty(), "{what}");
                    }
                }
            }
        });
        assert!(stage.upstream.take().is_empty(), "nothing is forwarded here");
    }
}

/// The fields in which proxies say what a request was, and where it came from.
const SAID: [(&str, &str); 6] = [
    ("X-Original-Method", "GET"),
    ("X-Original-URI", "/public/7"),
    ("X-Forwarded-Method", "GET"),
    ("X-Forwarded-Uri", "/public/7"),
    ("X-Real-IP", "192.0.2.1"),
    ("X-Forwarded-For", "192.0.2.1"),
];

#[test]
fn fields_of_this_kind_and_of_another() {
    for proxy in PROXIES {
        let stage = stage(proxy);
        let own = proxy.says_request_in().unwrap_or_default();
        let is_own = |name: &str| own.contains(&name) || name == proxy.says_client_in();
        stage.changes_nothing(|| {
            for (name, value) in SAID {
                let what = format!("{proxy:?} {name}");
                let line = format!("{name}: {value}\r\n");
                let secret = &stage.bound.secret;
                let bound = format!("{line}authorization: Bearer {secret}\r\n");
                let bare =
                    ask(&stage, proxy.question("orders", "POST", "/orders/7", &line).as_bytes());
                let bound =
                    ask(&stage, proxy.question("orders", "GET", "/orders/7", &bound).as_bytes());
                if is_own(name) {
                    // A client's own beside the proxy's.
                    for answer in [bare, bound] {
                        assert_eq!(answer.status, proxy.hears(400), "{what}");
                        is_problem(&what, &answer, 400, "invalid_request");
                    }
                } else {
                    stage.is_refused(&what, &bare, 401, "missing_credential");
                    stage.is_refused(&what, &bound, 403, "network_not_allowed");
                }
            }
        });
    }
}

#[test]
fn what_is_no_question() {
    for proxy in PROXIES {
        let stage = stage(proxy);
        let address = stage.server.forward_auth;
        let asked = |lines: &str| {
            let lines = format!("{lines}authorization: Bearer {}\r\n", stage.reader.secret);
            proxy.question("orders", "GET", "/orders/7", &lines)
        };
        let plain = asked("");
        stage.changes_nothing(|| {
            for (name, lines) in oversized() {
                let answer = ask(&stage, asked(&lines).as_bytes());
                assert_eq!(answer.status, proxy.hears(431), "{proxy:?} {name}");
                is_too_large(name, &answer);
            }
            is_no_http(address, "a NUL in a field", asked("x-nul: a\0b\r\n").as_bytes());
            is_no_http(address, "a NUL in the path", plain.replacen("/auth", "/\0", 1).as_bytes());
            for (what, question, status, code) in [
                (
                    "no such API",
                    plain.replacen("/auth/orders", "/auth/nothing", 1),
                    404,
                    "unknown_api",
                ),
                (
                    "the management API",
                    plain.replacen("/auth/orders", "/auth/counterfoil", 1),
                    404,
                    "unknown_api",
                ),
                (
                    "nothing of ours",
                    plain.replacen("/auth/orders", "/orders", 1),
                    404,
                    "unknown_api",
                ),
            ] {
                let answer = ask(&stage, question.as_bytes());
                assert_eq!(answer.status, proxy.hears(status), "{proxy:?} {what}");
                is_problem(what, &answer, status, code);
            }
            for name in proxy.says_request_in().into_iter().flatten() {
                let unsaid = plain.replacen(name, "x-nothing", 1);
                let answer = ask(&stage, unsaid.as_bytes());
                is_problem(name, &answer, 400, "invalid_request");
                let detail = answer.json()["detail"].as_str().unwrap().to_owned();
                assert!(detail.contains(&name.to_ascii_lowercase()), "{detail}");
            }
        });
    }
}

#[test]
fn a_peer_outside_the_trusted_proxies() {
    for proxy in PROXIES {
        let stage = stage(proxy);
        let bearer = format!("Authorization: Bearer {}", stage.reader.secret);
        stage.changes_nothing(|| {
            for (name, value) in SAID {
                let line = format!("{name}: {value}");
                let arguments =
                    ["--interface", "127.0.0.2", "--header", &bearer, "--header", &line];
                let answer = curl(stage.server.forward_auth, "/auth/orders/public/7", arguments);
                assert_eq!(answer.status, 403, "{answer:?}");
                is_problem(name, &answer, 403, "untrusted_peer");
                assert!(identity_fields(&answer).is_empty());
            }
        });
        // It is the peer that counts, and not the connection before it.
        assert_eq!(
            Wire::connect(stage.server.forward_auth)
                .unwrap()
                .exchange(proxy.question("orders", "GET", "/public/7", ""))
                .unwrap()
                .status,
            200
        );
    }
}
