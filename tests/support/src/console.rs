//! Whoever uses the console as a browser without a script does: with a cookie, and the
//! header fields that browsers send.

use crate::{response::Response, server::Server, wire::Wire};
use std::{cell::RefCell, net::SocketAddr};

/// The cookie, where the console is served on loopback.
pub const COOKIE: &str = "counterfoil_session";

/// A browser that has been to the console of one server.
#[derive(Debug)]
pub struct Browser {
    server: SocketAddr,
    /// The session's secret, once there is one.
    secret: RefCell<Option<String>>,
}

/// Signs in, and checks that it worked.
#[track_caller]
pub fn sign_in(server: &Server, email: &str, password: &str) -> Browser {
    let browser = Browser::new(server);
    let response = browser.sign_in(email, password);
    assert_eq!(response.status, 303, "{}", response.text());
    assert_eq!(response.header("location"), "/");
    browser
}

impl Browser {
    /// One that has not been there.
    pub fn new(server: &Server) -> Self {
        Self { server: server.main, secret: RefCell::default() }
    }

    /// One that shows this cookie.
    pub fn showing(server: &Server, secret: &str) -> Self {
        Self { server: server.main, secret: RefCell::new(Some(secret.to_owned())) }
    }

    /// What it would show.
    pub fn secret(&self) -> Option<String> {
        self.secret.borrow().clone()
    }

    /// Where the console is, as pages of it know.
    pub fn origin(&self) -> String {
        format!("http://{}", self.server)
    }

    pub fn sign_in(&self, email: &str, password: &str) -> Response {
        self.post("/sign-in", &[("email", email), ("password", password)])
    }

    pub fn get(&self, path: &str) -> Response {
        self.send("GET", path, "", "")
    }

    /// A form, sent from a page of the console.
    pub fn post(&self, path: &str, fields: &[(&str, &str)]) -> Response {
        let lines = format!("origin: {}\r\nsec-fetch-site: same-origin\r\n", self.origin());
        self.post_with(&lines, path, fields)
    }

    /// A form, with these header lines, each with its end.
    pub fn post_with(&self, lines: &str, path: &str, fields: &[(&str, &str)]) -> Response {
        let fields = fields.iter().map(|(name, value)| format!("{name}={}", encoded(value)));
        let body = fields.collect::<Vec<_>>().join("&");
        let lines = format!("{lines}content-type: application/x-www-form-urlencoded\r\n");
        self.send("POST", path, &lines, &body)
    }

    /// One request, and keeps the cookie that comes with its answer.
    pub fn send(&self, method: &str, path: &str, lines: &str, body: &str) -> Response {
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

/// As a form sends it.
pub fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
