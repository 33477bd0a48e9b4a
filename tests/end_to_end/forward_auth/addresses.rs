//! Tokens that are bound to networks: where a request comes from is what the proxy says.

use super::{Door, Proxy, identity};
use crate::{installation::Token, response::Response};

const NETWORK: &str = "198.51.100.0/24";

/// Every way in which an address could be told.
const WAYS: [&str; 8] = [
    "X-Real-IP",
    "X-Forwarded-For",
    "Forwarded",
    "True-Client-IP",
    "X-Client-IP",
    "X-Original-For",
    "X-Envoy-External-Address",
    "X_Real_IP",
];

struct Bound {
    door: Door,
    bound: Token,
}

impl Bound {
    fn each() -> impl Iterator<Item = Self> {
        Door::each().map(|door| {
            let bound = ["--role", "viewer", "--allowed-network", NETWORK];
            let bound = door.server.issue("finout", &bound);
            Self { door, bound }
        })
    }

    fn from(&self, token: &Token, lines: &str) -> Response {
        let lines = Door::lines(token) + lines;
        self.door.ask(self.door.proxy.bare_question("finout", "GET", "/v1/costs", &lines))
    }

    #[track_caller]
    fn is_allowed(&self, lines: &str) {
        let answer = self.from(&self.bound, lines);
        assert_eq!(identity(&answer).token, self.bound.id, "{:?} {lines}", self.door.proxy);
    }

    /// Checks that the bound token is refused, and that any other is not.
    #[track_caller]
    fn is_forbidden(&self, lines: &str) {
        let answer = self.from(&self.bound, lines);
        assert_eq!(answer.status, 403, "{:?} {lines} {answer:?}", self.door.proxy);
        assert_eq!(answer.json()["code"], "network_not_allowed");
        let answer = self.from(&self.door.token, lines);
        assert_eq!(identity(&answer).token, self.door.token.id);
    }
}

#[test]
fn it_counts_where_the_request_comes_from() {
    for stage in Bound::each() {
        let name = stage.door.proxy.says_client_in();
        for address in ["198.51.100.7", "198.51.100.7:4711", "::ffff:198.51.100.7"] {
            stage.is_allowed(&format!("{name}: {address}\r\n"));
        }
        for address in ["198.51.101.7", "127.0.0.1", "2001:db8::1", "[2001:db8::1]:80"] {
            stage.is_forbidden(&format!("{name}: {address}\r\n"));
        }
    }
}

#[test]
fn what_is_not_known_is_not_allowed() {
    for stage in Bound::each() {
        stage.is_forbidden("");
        let name = stage.door.proxy.says_client_in();
        for address in ["", "unknown", "198.51.100", "198.51.100.7/32", "198.51.100.7 x"] {
            stage.is_forbidden(&format!("{name}: {address}\r\n"));
        }
    }
}

#[test]
fn nobody_else_is_asked() {
    for stage in Bound::each() {
        let own = stage.door.proxy.says_client_in();
        for other in WAYS.into_iter().filter(|name| *name != own) {
            for value in ["198.51.100.7", "for=198.51.100.7"] {
                stage.is_forbidden(&format!("{other}: {value}\r\n"));
                stage.is_forbidden(&format!("{own}: 192.0.2.1\r\n{other}: {value}\r\n"));
            }
            stage.is_allowed(&format!("{own}: 198.51.100.7\r\n{other}: 192.0.2.1\r\n"));
        }
    }
}

#[test]
fn in_a_list_the_last_stranger_is_the_client() {
    for stage in Bound::each() {
        let name = stage.door.proxy.says_client_in();
        let last = format!("{name}: 192.0.2.1, 198.51.100.7\r\n");
        let first = format!("{name}: 198.51.100.7, 192.0.2.1\r\n");
        let before_proxy = format!("{name}: 192.0.2.1, 198.51.100.7, 127.0.0.1\r\n");
        match stage.door.proxy {
            // nginx and HAProxy are to say one address.
            Proxy::Nginx | Proxy::Haproxy => stage.is_forbidden(&last),
            _ => {
                stage.is_allowed(&last);
                stage.is_allowed(&before_proxy);
            }
        }
        stage.is_forbidden(&first);
    }
}
