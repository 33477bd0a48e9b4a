//! What a browser asked servers for, read from its log of the Network domain.

use serde_json::Value;

/// A request that a browser has made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    id: String,
    pub method: String,
    pub url: String,
    /// What it was for: `Document`, `Stylesheet`, `Script`, `Image`, `Fetch`, `EventSource` …
    pub kind: String,
    /// The text that went with it, as a form's fields do.
    pub body: String,
    /// None where no answer has come.
    pub status: Option<u64>,
    /// How many bytes came over the wire, heads and bodies; none from the browser's own cache.
    pub bytes: u64,
}

/// The requests of a log, in the order in which they were made.
pub(super) fn requests(entries: &[Value]) -> Vec<Request> {
    let mut requests = Vec::<Request>::new();
    for entry in entries {
        let event: Value = serde_json::from_str(entry["message"].as_str().unwrap()).unwrap();
        let (event, told) = (&event["message"]["method"], &event["message"]["params"]);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let id = text(&told["requestId"]);
        if event == "Network.requestWillBeSent" {
            let url = text(&told["request"]["url"]);
            // What a redirection is told about stands with the request that follows it.
            if let Some(before) = requests.iter_mut().rfind(|request| request.id == id) {
                before.answered(&told["redirectResponse"]);
                before.bytes = whole(&told["redirectResponse"]["encodedDataLength"]);
            }
            // Their bytes come with the page, or with the browser.
            if !["data:", "blob:", "chrome:"].iter().any(|scheme| url.starts_with(scheme)) {
                let (method, kind) = (text(&told["request"]["method"]), text(&told["type"]));
                let body = text(&told["request"]["postData"]);
                requests.push(Request { id, method, url, kind, body, status: None, bytes: 0 });
            }
            continue;
        }
        let Some(request) = requests.iter_mut().rfind(|request| request.id == id) else {
            continue;
        };
        match event.as_str() {
            Some("Network.responseReceived") => request.answered(&told["response"]),
            Some("Network.loadingFinished") => request.bytes = whole(&told["encodedDataLength"]),
            _ => {}
        }
    }
    requests
}

impl Request {
    fn answered(&mut self, response: &Value) {
        self.status = response["status"].as_u64();
    }
}

/// The protocol has numbers of bytes as floating point, sometimes.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "they are counts of bytes"
)]
fn whole(number: &Value) -> u64 {
    number.as_f64().unwrap_or_default() as u64
}
