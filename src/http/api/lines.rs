//! Answers of any length: one JSON object a line.

use crate::http::calls::{Answers, Operation};
use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::{
    BodyExt as _,
    channel::{Channel, Sender},
};
use serde_json::{Value, json};
use std::{io, time::Duration};
use tokio::{sync::mpsc, time::timeout};

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
        // What waits for a slow reader is memory.
        let (sender, body) = Channel::new(1);
        (LineSender(sender), Self(Body::new(body)))
    }

    /// The same lines, which keep `place` until the last of them has gone out, or
    /// whoever reads them has gone away.
    pub(super) fn in_place(self, place: impl Send + 'static) -> Self {
        Self(Body::new(self.0.map_frame(move |frame| {
            let _kept = &place;
            frame
        })))
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
        self.send_all(format!("{line}\n")).await
    }

    /// Sends lines that are written already; whether anybody still listens.
    pub(super) async fn send_all(&mut self, lines: String) -> bool {
        self.0.send_data(lines.into()).await.is_ok()
    }

    /// Sends lines that are written already; whether there was room for them in time.
    pub(super) async fn send_written(&mut self, lines: String, patience: Duration) -> bool {
        timeout(patience, self.0.send_data(lines.into())).await.is_ok_and(|sent| sent.is_ok())
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[tokio::test]
    async fn whoever_takes_nothing_is_given_up_and_knows() {
        let (mut lines, answer) = Lines::new();
        let place = Arc::new(());
        let mut body = answer.in_place(place.clone()).into_response().into_body();
        assert!(lines.send_written("1\n".into(), Duration::ZERO).await);
        assert!(!lines.send_written("2\n".into(), Duration::ZERO).await);
        lines.break_off();
        // The place is the reader's for as long as there is one.
        assert_eq!(Arc::strong_count(&place), 2);
        let first = body.frame().await.unwrap().unwrap();
        assert_eq!(first.into_data().unwrap(), "1\n");
        body.frame().await.unwrap().unwrap_err();
        drop(body);
        assert_eq!(Arc::strong_count(&place), 1);
    }
}
