//! Usage events, sent in batches: counted, not kept.

use super::as_json;
use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Body;
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::json;
use std::{
    error::Error,
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

/// Where batches are sent, and asked how many there were.
pub(super) const PATH: &str = "/ingest";

/// The largest batch, in bytes.
const LARGEST: usize = 4 << 20;

/// What has been sent so far.
#[derive(Debug, Default)]
pub(super) struct Ingest {
    events: AtomicU64,
    batches: AtomicU64,
}

/// An event: an object, whatever it says.
struct Event;

impl Ingest {
    pub(super) async fn answer<B>(&self, method: &Method, body: B) -> Response<Full<Bytes>>
    where
        B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>>,
    {
        match *method {
            Method::POST => match Limited::new(body, LARGEST).collect().await {
                Ok(body) => self.take(&body.to_bytes()),
                Err(error) if error.is::<LengthLimitError>() => {
                    let message = format!("A batch has {LARGEST} bytes at most: send two.");
                    refuse(StatusCode::PAYLOAD_TOO_LARGE, &message)
                }
                Err(_) => refuse(StatusCode::BAD_REQUEST, "The batch broke off."),
            },
            Method::GET | Method::HEAD => {
                let said = json!({
                    "events": self.events.load(Ordering::Relaxed),
                    "batches": self.batches.load(Ordering::Relaxed),
                });
                as_json(StatusCode::OK, format!("{said}\n"))
            }
            _ => {
                let message = "Send batches with POST; GET says how many events there were.";
                let mut response = refuse(StatusCode::METHOD_NOT_ALLOWED, message);
                let allowed = HeaderValue::from_static("GET, HEAD, POST");
                response.headers_mut().insert(header::ALLOW, allowed);
                response
            }
        }
    }

    /// Counts a batch: all of its events or none.
    fn take(&self, batch: &[u8]) -> Response<Full<Bytes>> {
        match count(batch) {
            Ok(0) => refuse(StatusCode::BAD_REQUEST, "There are no events in the batch."),
            Ok(events) => {
                self.events.fetch_add(events, Ordering::Relaxed);
                self.batches.fetch_add(1, Ordering::Relaxed);
                as_json(StatusCode::ACCEPTED, format!("{{\"accepted\":{events}}}\n"))
            }
            Err(why) => {
                let message = format!(
                    "A batch is a JSON array of objects, or an object on each line: {why}."
                );
                refuse(StatusCode::BAD_REQUEST, &message)
            }
        }
    }
}

/// How many events there are in an array, or on lines.
fn count(batch: &[u8]) -> Result<u64, String> {
    let text = std::str::from_utf8(batch).map_err(|error| error.to_string())?;
    let events = if text.trim_start().starts_with('[') {
        // They take no memory.
        serde_json::from_str::<Vec<Event>>(text).map(|events| events.len())
    } else {
        let mut events = serde_json::Deserializer::from_str(text).into_iter::<Event>();
        events.try_fold(0, |count, event| event.map(|_| count + 1))
    };
    events.map(|events| events as u64).map_err(|error| error.to_string())
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Whatever;
        impl<'de> Visitor<'de> for Whatever {
            type Value = Event;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Event, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Event)
            }
        }
        deserializer.deserialize_map(Whatever)
    }
}

fn refuse(status: StatusCode, message: &str) -> Response<Full<Bytes>> {
    as_json(status, format!("{}\n", json!({"message": message})))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    async fn ask(ingest: &Ingest, method: Method, body: &str) -> (u16, Value) {
        let answer = ingest.answer(&method, Full::from(body.to_owned())).await;
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap())
    }

    #[tokio::test]
    async fn batches_are_counted() {
        let ingest = Ingest::default();
        for (batch, events) in [
            ("[{\"a\":1},{}]", 2),
            (" \n[ {\"a\":[{\"b\":null}]} ]\n", 1),
            ("{\"a\":1}\n{\"a\":2}\n\n{\"a\":\"]\"}\n", 3),
        ] {
            let answer = ask(&ingest, Method::POST, batch).await;
            assert_eq!(answer, (202, json!({"accepted": events})), "{batch}");
        }
        let totals = ask(&ingest, Method::GET, "").await;
        assert_eq!(totals, (200, json!({"events": 6, "batches": 3})));
    }

    #[tokio::test]
    async fn what_is_no_batch_is_refused_and_not_counted() {
        let ingest = Ingest::default();
        for (batch, why) in [
            ("", "There are no events in the batch."),
            ("[]", "There are no events in the batch."),
            ("[{}", "EOF while parsing a list at line 1 column 3."),
            ("[{},[]]", "invalid type: sequence, expected an object at line 1 column 4."),
            ("{}\n{}\n7\n", "invalid type: integer `7`, expected an object at line 3 column 1."),
            ("{\"a\":}", "expected value at line 1 column 6."),
            ("a=1&b=2", "expected value at line 1 column 1."),
        ] {
            let (status, body) = ask(&ingest, Method::POST, batch).await;
            assert_eq!(status, 400, "{batch}");
            let message = body["message"].as_str().unwrap();
            assert!(message.ends_with(why), "{batch}: {message}");
        }
        let large = format!("[{}{{}}]", "{},".repeat(LARGEST / 3));
        assert_eq!(ask(&ingest, Method::POST, &large).await.0, 413);
        assert_eq!(ask(&ingest, Method::DELETE, "").await.0, 405);
        let totals = ask(&ingest, Method::GET, "").await;
        assert_eq!(totals, (200, json!({"events": 0, "batches": 0})));
        assert!(count(b"[{\"\xff\":1}]").is_err());
    }
}
