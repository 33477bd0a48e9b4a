//! Responses, and `curl`, which gets them.

use crate::process::run_for_bytes;
use serde_json::Value;
use std::{ffi::OsStr, net::SocketAddr, process::Command};

/// A response as it came over the wire, any interim ones left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    /// In the order in which they came, names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    /// From everything up to the empty line, and what followed it.
    pub fn parse(head: &str, body: Vec<u8>) -> Self {
        let mut lines = head.lines();
        let status_line = lines.next().unwrap_or_default();
        let status = status_line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let headers = lines.filter(|line| !line.is_empty()).map(|line| {
            let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("{line:?}"));
            (name.to_ascii_lowercase(), value.trim().to_owned())
        });
        Self {
            status: status.unwrap_or_else(|| panic!("not a response: {head:?}")),
            headers: headers.collect(),
            body,
        }
    }

    /// Every value of a header, in order.
    pub fn values(&self, name: &str) -> Vec<&str> {
        let named = self.headers.iter().filter(|(other, _)| other == name);
        named.map(|(_, value)| value.as_str()).collect()
    }

    /// The one value of a header that has to be there once.
    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        match self.values(name)[..] {
            [value] => value,
            _ => panic!("{name} is not there once: {self:?}"),
        }
    }

    pub fn request_id(&self) -> &str {
        self.header("x-request-id")
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Everything that a caller sees of it, but for the time and the request's id,
    /// which differ each time.
    pub fn face(&self) -> String {
        let id = self.request_id();
        let mut face = format!("{}\n", self.status);
        for (name, value) in self.headers.iter().filter(|(name, _)| name != "date") {
            face.push_str(&format!("{name}: {value}\n").replace(id, "ID"));
        }
        face + &self.text().replace(id, "ID")
    }
}

/// What `curl` gets with these arguments from `path`, which it leaves as it is.
#[track_caller]
pub fn curl(
    address: SocketAddr,
    path: &str,
    arguments: impl IntoIterator<Item: AsRef<OsStr>>,
) -> Response {
    fetch(&format!("http://{address}{path}"), arguments)
}

/// What `curl` gets with these arguments from a URL, in whichever version of HTTP.
#[track_caller]
pub fn fetch(url: &str, arguments: impl IntoIterator<Item: AsRef<OsStr>>) -> Response {
    let mut command = Command::new("curl");
    command
        // Not the configuration of whoever runs this, nor their proxy.
        .args(["--disable", "--noproxy", "*", "--max-time", "120"])
        .args(["--silent", "--show-error", "--include", "--path-as-is"])
        .args(arguments)
        .arg(url);
    let (out, err, status) = run_for_bytes(&mut command, &[]);
    assert!(status.success(), "{command:?}: {}", String::from_utf8_lossy(&err));
    last_response(&out)
}

/// The last of several responses, such as a 100 or a challenge and what came after.
fn last_response(mut bytes: &[u8]) -> Response {
    loop {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(bytes)));
        let head = std::str::from_utf8(&bytes[..end]).unwrap();
        let rest = &bytes[end + 4..];
        if !rest.starts_with(b"HTTP/1.1 ") && !rest.starts_with(b"HTTP/2 ") {
            return Response::parse(head, rest.to_vec());
        }
        bytes = rest;
    }
}
