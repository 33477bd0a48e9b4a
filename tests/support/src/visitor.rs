//! Somebody who uses the console without a browser: forms, and the cookie that a browser
//! would keep.

use crate::{
    installation::Installation,
    response::{self, Response},
};
use std::{io::Write as _, net::SocketAddr};

/// The password of everybody whom [`Installation::with_person`] makes.
pub const PASSWORD: &str = "an engine that weaves algebra";

/// Somebody who has signed in.
#[derive(Debug, Clone)]
pub struct Visitor {
    server: SocketAddr,
    cookie: String,
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
    /// Signs in.
    #[track_caller]
    pub fn sign_in(server: SocketAddr, email: &str) -> Self {
        let stranger = Self { server, cookie: String::new() };
        let response = stranger.post("/sign-in", &[("email", email), ("password", PASSWORD)]);
        assert_eq!(response.status, 303, "{response:?}");
        let cookie = response.header("set-cookie").split(';').next().unwrap().to_owned();
        Self { server, cookie }
    }

    /// A page.
    #[track_caller]
    pub fn get(&self, path: &str) -> Response {
        self.curl(path, &[])
    }

    /// What a form of the console sends.
    #[track_caller]
    pub fn post(&self, path: &str, fields: &[(&str, &str)]) -> Response {
        self.post_from(&format!("http://{}", self.server), path, fields)
    }

    /// What a form sends that stands elsewhere.
    #[track_caller]
    pub fn post_from(&self, origin: &str, path: &str, fields: &[(&str, &str)]) -> Response {
        // In a file, as what `curl` is given on its command line others can read.
        let mut body = tempfile::NamedTempFile::new().unwrap();
        for (at, (name, value)) in fields.iter().enumerate() {
            let before = if at == 0 { "" } else { "&" };
            write!(body, "{before}{name}={}", encoded(value)).unwrap();
        }
        let data = format!("@{}", body.path().display());
        self.curl(path, &["--header", &format!("Origin: {origin}"), "--data-binary", &data])
    }

    #[track_caller]
    fn curl(&self, path: &str, arguments: &[&str]) -> Response {
        let cookie = format!("Cookie: {}", self.cookie);
        let cookie: &[&str] = if self.cookie.is_empty() { &[] } else { &["--header", &cookie] };
        response::curl(self.server, path, cookie.iter().chain(arguments))
    }
}

/// What a page has as the value of a hidden field.
#[track_caller]
pub fn hidden(page: &Response, name: &str) -> String {
    let text = page.text();
    let start = format!("name=\"{name}\" value=\"");
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
