//! WebDriver: a chromedriver, and the one session that it holds.
//!
//! The protocol is JSON over HTTP, and our own [`Wire`] speaks that; a client from
//! elsewhere would bring forty crates along.

use crate::{
    process::{PATIENCE, Running},
    wire::Wire,
};
use serde_json::{Value, json};
use std::{cell::RefCell, fmt, net::TcpStream, path::Path, process::Command};

/// What stands for an element in what WebDriver says.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

const NO_SUCH_ELEMENT: &str = "no such element";

/// A chromedriver with a browser, both of which end with this value.
pub(crate) struct Driver {
    wire: RefCell<Wire<TcpStream>>,
    session: String,
    _process: Running,
}

/// Why a command was not done: WebDriver's own word for it, and its explanation.
#[derive(Debug)]
pub(crate) struct Failure {
    error: String,
    message: String,
}

/// An element of the page, as WebDriver refers to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Element(pub(crate) String);

impl Driver {
    /// Starts a browser with these capabilities, which keeps all its files in `home`.
    pub(crate) fn start(capabilities: &Value, home: &Path) -> Self {
        let mut command = Command::new("chromedriver");
        // Pages show times; a machine's own zone and language have no say in them.
        command.arg("--port=0").env("TZ", "UTC").env("LC_ALL", "C.UTF-8");
        command.env("HOME", home).env("TMPDIR", home);
        let (process, port) = listening(&mut command);
        let wire = Wire::connect(([127, 0, 0, 1], port).into()).unwrap();
        let mut driver =
            Self { wire: RefCell::new(wire), session: String::new(), _process: process };
        let asked = json!({"capabilities": {"alwaysMatch": capabilities}});
        let made = driver.exchange("POST", "/session", &asked.to_string());
        let made = made.unwrap_or_else(|failure| panic!("no browser: {failure}"));
        made["sessionId"].as_str().unwrap().clone_into(&mut driver.session);
        driver
    }

    /// Sends a command of the session.
    pub(crate) fn post(&self, command: &str, parameters: &Value) -> Result<Value, Failure> {
        self.exchange("POST", &self.of_session(command), &parameters.to_string())
    }

    /// Asks about the session.
    pub(crate) fn get(&self, command: &str) -> Result<Value, Failure> {
        self.exchange("GET", &self.of_session(command), "")
    }

    pub(crate) fn delete(&self, command: &str) -> Result<Value, Failure> {
        self.exchange("DELETE", &self.of_session(command), "")
    }

    /// Sends a command of the Chrome DevTools Protocol, for what WebDriver lacks.
    #[track_caller]
    pub(crate) fn devtools(&self, command: &str, parameters: &Value) -> Value {
        self.post("goog/cdp/execute", &json!({"cmd": command, "params": parameters}))
            .unwrap_or_else(|failure| panic!("{command}: {failure}"))
    }

    /// What this XPath means, in the document's order, once there is something.
    pub(crate) fn find(&self, xpath: &str) -> Result<Vec<Element>, Failure> {
        let found = self.post("elements", &json!({"using": "xpath", "value": xpath}))?;
        let found: Vec<Element> = found.as_array().unwrap().iter().map(element).collect();
        if found.is_empty() {
            let error = NO_SUCH_ELEMENT.to_owned();
            return Err(Failure { error, message: xpath.to_owned() });
        }
        Ok(found)
    }

    /// The element that has the focus.
    pub(crate) fn focused(&self) -> Result<Element, Failure> {
        Ok(element(&self.get("element/active")?))
    }

    fn of_session(&self, command: &str) -> String {
        match command {
            "" => format!("/session/{}", self.session),
            command => format!("/session/{}/{command}", self.session),
        }
    }

    fn exchange(&self, method: &str, path: &str, body: &str) -> Result<Value, Failure> {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        let answer = self.wire.borrow_mut().exchange(request);
        let answer = answer.map_err(|error| Failure {
            error: format!("no answer within {} s", PATIENCE.as_secs()),
            message: error.to_string(),
        })?;
        let value = answer.json()["value"].take();
        if answer.status == 200 {
            return Ok(value);
        }
        let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
        Err(Failure { error: text("error"), message: text("message") })
    }
}

impl Failure {
    /// Whether nothing was found.
    pub(crate) fn is_of_none(&self) -> bool {
        self.error == NO_SUCH_ELEMENT
    }

    /// Whether what was asked for is not there (any more), so that a later answer may differ.
    pub(crate) fn may_pass(&self) -> bool {
        // Where a page goes away in the middle of a command, chromedriver has no word for it.
        let gone =
            ["does not belong to the document", "aborted by navigation", "Cannot find context"];
        matches!(
            &*self.error,
            NO_SUCH_ELEMENT
                | "stale element reference"
                | "element not interactable"
                | "element click intercepted"
        ) || gone.iter().any(|what| self.message.contains(what))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.error, self.message)
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // A browser outlives its driver, unless it is told to end; a session that could not
        // be made has none.
        if !self.session.is_empty() {
            let _ = self.delete("");
        }
    }
}

fn element(value: &Value) -> Element {
    Element(value[ELEMENT].as_str().unwrap().to_owned())
}

/// Starts a driver and waits until it listens. It takes a port that is free in IPv6, and gives
/// up where that of the same number is taken in IPv4; another one has another.
fn listening(command: &mut Command) -> (Running, u16) {
    loop {
        let process = Running::start(command);
        let port = process.wait_for_printed(|line| {
            if line.contains("port not available") {
                return Some(None);
            }
            let (_, port) = line.split_once("started successfully on port ")?;
            Some(Some(port.trim_end_matches('.').parse::<u16>().unwrap()))
        });
        if let Some(port) = port {
            return (process, port);
        }
    }
}
