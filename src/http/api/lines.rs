//! Answers that come in lines of JSON: how far the work is, then its outcome.

use axum::{
    body::Body,
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use http::header;
use http_body_util::channel::Channel;
use serde_json::Value;
use std::convert::Infallible;
use tokio::sync::mpsc;

/// Where work tells how far it is.
pub(super) type Steps = mpsc::UnboundedSender<Value>;

/// Begins the work at once and answers with each of its steps as it comes, and
/// at last with what it ends with. It goes on to its end, whoever listens.
pub(super) fn answer<W>(begin: impl FnOnce(Steps) -> W) -> Response
where
    W: Future<Output = Value> + Send + 'static,
{
    let (mut sender, body) = Channel::<Bytes, Infallible>::new(4);
    let (tell, mut steps) = mpsc::unbounded_channel();
    let work = begin(tell);
    tokio::spawn(async move {
        let pass_on = async {
            while let Some(step) = steps.recv().await {
                // Nobody may be listening any more.
                let _ = sender.send_data(line(&step)).await;
            }
            sender
        };
        let (outcome, mut sender) = tokio::join!(work, pass_on);
        let _ = sender.send_data(line(&outcome)).await;
    });
    ([(header::CONTENT_TYPE, "application/jsonl")], Body::new(body)).into_response()
}

fn line(value: &Value) -> Bytes {
    format!("{value}\n").into()
}
