//! A small API to try the gateway on: it answers with what reached it, and counts events that
//! it is sent in batches.

mod ingest;

use super::listen;
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header, request::Parts};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, service::service_fn};
use ingest::Ingest;
use serde_json::{Map, Value, json};
use std::{convert::Infallible, sync::Arc};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Answers every request on `listener` until `stop`.
pub(crate) async fn serve(listener: TcpListener, stop: CancellationToken) {
    let ingest = Arc::<Ingest>::default();
    let service = move |_| {
        let ingest = ingest.clone();
        Some(service_fn(move |request| answer(ingest.clone(), request)))
    };
    listen::serve(listener, stop, service).await;
}

async fn answer(
    ingest: Arc<Ingest>,
    request: http::Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    Ok(if head.uri.path() == ingest::PATH {
        ingest.answer(&head.method, body).await
    } else {
        echo(&head, body).await
    })
}

async fn echo(head: &Parts, mut body: Incoming) -> Response<Full<Bytes>> {
    let mut body_bytes = 0;
    while let Some(Ok(frame)) = body.frame().await {
        body_bytes += frame.data_ref().map_or(0, Bytes::len);
    }
    let mut headers = Map::new();
    for name in head.headers.keys() {
        let values: Vec<_> = head
            .headers
            .get_all(name)
            .iter()
            .map(|v| String::from_utf8_lossy(v.as_bytes()))
            .collect();
        headers.insert(name.to_string(), Value::from(values.join(", ")));
    }
    let text = json!({
        "message": "This is what reached the upstream.",
        "method": head.method.as_str(),
        "path": head.uri.path_and_query().map(ToString::to_string),
        "headers": headers,
        "body_bytes": body_bytes,
    });
    as_json(StatusCode::OK, format!("{text:#}\n"))
}

fn as_json(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}
