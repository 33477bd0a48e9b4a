//! Somebody who uses the console without a browser: forms, and the cookie that a browser
//! would keep.

use crate::{installation::Installation, response::Response, wire::Wire};
use std::{cell::RefCell, net::SocketAddr};

/// The password of everybody whom [`Installation::with_person`] makes.
pub const PASSWORD: &str = "an engine that weaves algebra";

/// What the cookie is called where the console is served on loopback.
const COOKIE: &str = "counterfoil_session";

/// A browser that keeps the console's cookie.
#[derive(Debug, Clone)]
pub struct Visitor {
    server: SocketAddr,
    /// The session's secret, once there is one.
    secret: RefCell<Option<String>>,
}

impl Installation {
    /// Makes a person who can sign in; `arguments` are those of `account create`.
    #[track_caller]
    pub fn with_person(&self, email: &str, arguments: &[&str]) {
        let first = ["account", "create", "--email", email, "--password-file", "-"];
        self.cli_reading(PASSWORD, first.iter().chain(arguments)).done();
    }

    /// Lets somebody who is there already sign in.
    #[track_caller]
    pub fn give_password(&self, email: &str) {
        let arguments = ["account", "set-password", email, "--password-file", "-"];
        self.cli_reading(PASSWORD, arguments).done();
    }
}

impl Visitor {
    /// Somebody who has not been there.
    pub fn stranger(server: SocketAddr) -> Self {
        Self { server, secret: RefCell::default() }
    }

    /// Somebody who shows this as a session's secret.
    pub fn showing(server: SocketAddr, secret: &str) -> Self {
        Self { server, secret: RefCell::new(Some(secret.to_owned())) }
    }

    /// Signs in.
    #[track_caller]
    pub fn sign_in(server: SocketAddr, email: &str) -> Self {
        Self::sign_in_with(server, email, PASSWORD)
    }

    /// Signs in with a password of one's own.
    #[track_caller]
    pub fn sign_in_with(server: SocketAddr, email: &str, password: &str) -> Self {
        let visitor = Self::stranger(server);
        let response = visitor.tries(email, password);
        assert_eq!(response.status, 303, "{response:?}");
        assert_eq!(response.header("location"), "/");
        visitor
    }

    /// Tries to sign in.
    #[track_caller]
    pub fn tries(&self, email: &str, password: &str) -> Response {
        self.post("/sign-in", &[("email", email), ("password", password)])
    }

    /// What would be shown.
    pub fn secret(&self) -> Option<String> {
        self.secret.borrow().clone()
    }

    /// Where the console is, as its own pages know.
    pub fn origin(&self) -> String {
        format!("http://{}", self.server)
    }

    /// A page.
    #[track_caller]
    pub fn get(&self, path: &str) -> Response {
        self.send("GET", path, "", "")
    }

    /// What a form of the console sends.
    #[track_caller]
    pub fn post(&self, path: &str, fields: &[(&str, &str)]) -> Response {
        self.post_from(&self.origin(), path, fields)
    }

    /// What a form sends that stands elsewhere.
    #[track_caller]
    pub fn post_from(&self, origin: &str, path: &str, fields: &[(&str, &str)]) -> Response {
        self.post_with(&format!("origin: {origin}\r\n"), path, fields)
    }

    /// A form with these header lines, each with its end.
    #[track_caller]
    pub fn post_with(&self, lines: &str, path: &str, fields: &[(&str, &str)]) -> Response {
        let fields = fields.iter().map(|(name, value)| format!("{name}={}", encoded(value)));
        let body = fields.collect::<Vec<_>>().join("&");
        let lines = format!("{lines}content-type: application/x-www-form-urlencoded\r\n");
        self.send("POST", path, &lines, &body)
    }

    /// One request on a connection of its own; a cookie that comes with the answer is kept.
    #[track_caller]
    fn send(&self, method: &str, path: &str, lines: &str, body: &str) -> Response {
        let cookie = self.secret().map(|secret| format!("cookie: {COOKIE}={secret}\r\n"));
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\naccept: text/html\r\nconnection: close\r\n\
             {}{lines}content-length: {}\r\n\r\n{body}",
            self.server,
            cookie.unwrap_or_default(),
            body.len()
        );
        let response = Wire::connect(self.server).unwrap().exchange(request).unwrap();
        for cookie in response.values("set-cookie") {
            let (name, rest) = cookie.split_once('=').unwrap();
            assert_eq!(name, COOKIE);
            let value = rest.split(';').next().unwrap_or_default();
            *self.secret.borrow_mut() = Some(value.to_owned()).filter(|value| !value.is_empty());
        }
        response
    }
}

/// What a page has as the value of a hidden field.
#[track_caller]
pub fn hidden(page: &Response, name: &str) -> String {
    let text = page.text();
    let start = format!("type=\"hidden\" name=\"{name}\" value=\"");
    let at = text.find(&start).unwrap_or_else(|| panic!("no {name} in {text}")) + start.len();
    text[at..].split('"').next().unwrap().to_owned()
}

fn encoded(text: &str) -> String {
    let byte = |byte: u8| {
        let plain = byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        if plain { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    text.bytes().map(byte).collect()
}
