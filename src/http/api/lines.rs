//! Answers of any length: one JSON object a line.

use axum::{body::Body, response::IntoResponse};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use http_body_util::channel::{Channel, Sender};
use serde_json::Value;
use std::io;

/// What such an answer is called.
const MEDIA_TYPE: &str = "application/jsonl";

/// Where the lines go. Whoever listens may go away: then they go nowhere.
pub(super) struct Lines(Sender<Bytes, io::Error>);

/// An answer, and where its lines go.
pub(super) fn answer() -> (Lines, impl IntoResponse) {
    let (sender, body) = Channel::new(4);
    (Lines(sender), ([(header::CONTENT_TYPE, MEDIA_TYPE)], Body::new(body)))
}

impl Lines {
    /// Sends a line; whether anybody still listens.
    pub(super) async fn send(&mut self, line: &Value) -> bool {
        self.0.send_data(format!("{line}\n").into()).await.is_ok()
    }

    /// Has the answer break off, so that nobody takes it for all there is.
    pub(super) fn break_off(self) {
        self.0.abort(io::Error::other("the rest could not be read"));
    }
}

/// Whether the answer is to be in lines.
pub(super) fn are_accepted(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter();
    let mut ranges = accepted
        .filter_map(|line| HeaderValue::to_str(line).ok())
        .flat_map(|line| line.split(','))
        .map(|range| range.split(';').next().unwrap_or_default().trim());
    ranges.any(|range| range.eq_ignore_ascii_case(MEDIA_TYPE))
}
