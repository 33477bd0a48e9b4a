//! Whoever calls the management API over HTTP, with a token of it.

use crate::{installation::Token, response::Response, server::Server, wire::Wire};
use serde_json::Value;
use std::net::SocketAddr;

/// The scopes of the management API.
pub const SCOPES: [&str; 5] =
    ["tokens:read", "tokens:write", "accounts:read", "accounts:write", "audit:read"];

/// A caller, and the token that it shows.
#[derive(Debug, Clone)]
pub struct Caller {
    server: SocketAddr,
    pub token: Token,
}

impl Caller {
    /// Somebody whom the operator has given these scopes; `arguments` say what
    /// else there is to say about the token.
    #[track_caller]
    pub fn new(server: &Server, owner: &str, scopes: &[&str], arguments: &[&str]) -> Self {
        let scopes = scopes.iter().flat_map(|scope| ["--scope", *scope]);
        let arguments: Vec<&str> = scopes.chain(arguments.iter().copied()).collect();
        Self::with(server, server.issue_to(owner, "counterfoil", &arguments))
    }

    pub fn with(server: &Server, token: Token) -> Self {
        Self { server: server.main, token }
    }

    pub fn get(&self, path: &str) -> Response {
        self.call("GET", path, "")
    }

    pub fn post(&self, path: &str, body: &Value) -> Response {
        self.call("POST", path, &body.to_string())
    }

    /// The same with more header lines, each with its end.
    pub fn read_with(&self, lines: &str, path: &str) -> Response {
        let lines = format!("authorization: Bearer {}\r\n{lines}", self.token.secret);
        call(self.server, &lines, "GET", path, "")
    }

    /// The same with more header lines, each with its end.
    pub fn post_with(&self, lines: &str, path: &str, body: &Value) -> Response {
        let lines = format!("authorization: Bearer {}\r\n{lines}", self.token.secret);
        call(self.server, &lines, "POST", path, &body.to_string())
    }

    /// One call on a connection of its own, with no body for an empty text.
    pub fn call(&self, method: &str, path: &str, body: &str) -> Response {
        let line = format!("authorization: Bearer {}\r\n", self.token.secret);
        call(self.server, &line, method, path, body)
    }
}

/// One call with these header lines.
pub fn call(server: SocketAddr, lines: &str, method: &str, path: &str, body: &str) -> Response {
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: counterfoil\r\n{lines}content-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    Wire::connect(server).unwrap().exchange(request).unwrap()
}

/// Checks an error of the management API: its status, its code, and that it
/// says under which number it is found.
#[track_caller]
pub fn says_no(response: &Response, status: u16, code: &str) {
    assert_eq!(response.status, status, "{response:?}");
    assert_eq!(response.header("content-type"), "application/problem+json");
    let problem = response.json();
    assert_eq!(problem["code"], code, "{response:?}");
    assert_eq!(problem["status"], status);
    assert_eq!(problem["request_id"], response.request_id());
}
