//! Answers of any length: one JSON object a line.

use crate::http::calls::{Answers, Operation};
use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::channel::{Channel, Sender};
use serde_json::{Value, json};
use std::io;
use tokio::sync::mpsc;

/// What such an answer is called.
pub(super) const MEDIA_TYPE: &str = "application/jsonl";

/// Where work tells how far it is.
pub(super) type Steps = mpsc::UnboundedSender<Value>;

/// Lines of JSON, as they come.
pub(super) struct Lines(Body);

/// Where the lines go. Whoever listens may go away: then they go nowhere.
pub(super) struct LineSender(Sender<Bytes, io::Error>);

impl Lines {
    /// An answer, and where its lines go.
    pub(super) fn new() -> (LineSender, Self) {
        let (sender, body) = Channel::new(4);
        (LineSender(sender), Self(Body::new(body)))
    }

    /// An answer of work that tells how far it is: begins the work at once, sends
    /// each of its steps as it comes, and at last what it ends with. It goes on
    /// whoever listens, but a stop does not wait for it.
    pub(super) fn of_work<W>(begin: impl FnOnce(Steps) -> W) -> Self
    where
        W: Future<Output = Value> + Send + 'static,
    {
        let (mut lines, answer) = Self::new();
        let (tell, mut steps) = mpsc::unbounded_channel();
        let work = begin(tell);
        tokio::spawn(async move {
            let pass_on = async {
                while let Some(step) = steps.recv().await {
                    lines.send(&step).await;
                }
                lines
            };
            let (outcome, mut lines) = tokio::join!(work, pass_on);
            lines.send(&outcome).await;
        });
        answer
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
}

impl LineSender {
    /// Sends a line; whether anybody still listens.
    pub(super) async fn send(&mut self, line: &Value) -> bool {
        self.0.send_data(format!("{line}\n").into()).await.is_ok()
    }

    /// Has the answer break off, so that nobody takes it for all there is.
    pub(super) fn break_off(self) {
        self.0.abort(io::Error::other("the rest could not be read"));
    }
}

impl Lines {
    /// Describes them as another form of an answer that is described already.
    pub(super) fn may_answer(operation: &mut Operation<'_>) {
        operation.may_answer(StatusCode::OK, MEDIA_TYPE, &json!({"type": "string"}));
    }
}

impl IntoResponse for Lines {
    fn into_response(self) -> Response {
        ([(header::CONTENT_TYPE, MEDIA_TYPE)], self.0).into_response()
    }
}

impl Answers for Lines {
    fn describe(operation: &mut Operation<'_>) {
        let lines = (MEDIA_TYPE, json!({"type": "string"}));
        operation.answers(StatusCode::OK, "It has begun.", Some(lines));
    }
}
