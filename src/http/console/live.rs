//! Server-sent events: what changes while somebody looks at a page. How many there may be at
//! once, and for how long; the last word is the server's.

use bytes::Bytes;
use http::{HeaderValue, Response, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::channel::Channel;
use serde_json::json;
use std::{
    collections::HashMap,
    convert::Infallible,
    future::pending,
    hash::Hash,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

/// How many one session may have.
const EACH: usize = 4;
/// How many there may be.
const MOST: usize = 500;
/// How long one goes on at most. Browsers come back by themselves.
const LONGEST: Duration = Duration::from_mins(15);
/// After how long a silence something is said, so that whoever is between keeps the line.
const SILENCE: Duration = Duration::from_secs(15);

/// The streams of all sessions, which are told apart by `S`.
pub(crate) struct EventStreams<S> {
    /// How many each session has open.
    open: Arc<Mutex<HashMap<S, usize>>>,
    /// Ends all of them.
    stop: CancellationToken,
}

/// A place for one, free again once it is dropped.
pub(crate) struct EventPlace<S: Eq + Hash> {
    session: S,
    open: Arc<Mutex<HashMap<S, usize>>>,
    stop: CancellationToken,
}

/// There is no place for one more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many pages are kept up to date at once; close some of them")]
pub(crate) struct Full;

/// Nobody reads any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the page has gone")]
pub(crate) struct Gone;

/// Where events are written to.
pub(crate) struct Events(mpsc::Sender<String>);

impl<S: Eq + Hash + Clone> EventStreams<S> {
    /// None yet; all end at `stop`.
    pub(crate) fn new(stop: CancellationToken) -> Self {
        Self { open: Arc::default(), stop }
    }

    /// A place for one more of this session's.
    pub(crate) fn place(&self, session: S) -> Result<EventPlace<S>, Full> {
        let mut open = lock(&self.open);
        let own = open.get(&session).copied().unwrap_or_default();
        if own >= EACH || open.values().sum::<usize>() >= MOST {
            return Err(Full);
        }
        open.insert(session.clone(), own + 1);
        drop(open);
        Ok(EventPlace { session, open: self.open.clone(), stop: self.stop.clone() })
    }
}

impl<S: Eq + Hash> Drop for EventPlace<S> {
    fn drop(&mut self) {
        let mut open = lock(&self.open);
        if let Some(own) = open.get_mut(&self.session) {
            *own -= 1;
            if *own == 0 {
                open.remove(&self.session);
            }
        }
    }
}

impl<S: Eq + Hash + Send + 'static> EventPlace<S> {
    /// A response of what `write` writes, until that ends, nobody reads any more, the server
    /// ends, or it has gone on for long enough. `write` looks whether its session goes on.
    pub(crate) fn respond<F>(self, write: impl FnOnce(Events) -> F) -> Response<axum::body::Body>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (sender, mut events) = mpsc::channel(4);
        let (mut body, channel) = Channel::<Bytes, Infallible>::new(1);
        let gone = CancellationToken::new();
        let told = Told { channel, _gone: gone.clone().drop_guard() };
        let written = write(Events(sender));
        tokio::spawn(async move {
            let carried = async {
                loop {
                    let text = match tokio::time::timeout(SILENCE, events.recv()).await {
                        Ok(Some(text)) => text,
                        Ok(None) => break,
                        Err(_) => ":\n\n".to_owned(),
                    };
                    if body.send_data(text.into()).await.is_err() {
                        break;
                    }
                }
            };
            let written = async {
                written.await;
                // What it wrote is still to be carried.
                pending::<()>().await;
            };
            tokio::select! {
                biased;
                () = self.stop.cancelled() => {}
                () = gone.cancelled() => {}
                () = tokio::time::sleep(LONGEST) => {}
                () = carried => {}
                () = written => {}
            }
            drop(self);
        });
        let mut response = Response::new(axum::body::Body::new(told));
        let fields = response.headers_mut();
        fields.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        // nginx would hold them back until it has a buffer full.
        fields.insert("x-accel-buffering", HeaderValue::from_static("no"));
        response
    }
}

impl Events {
    /// Shows a part of the page in another state, with these texts in its fields.
    pub(crate) async fn part(
        &self,
        part: &str,
        state: &str,
        fields: &[(&str, &str)],
    ) -> Result<(), Gone> {
        let fields: serde_json::Map<_, _> =
            fields.iter().map(|(name, text)| ((*name).to_owned(), (*text).into())).collect();
        let told = json!({"part": part, "state": state, "fields": fields});
        self.send("part", &told.to_string()).await
    }

    /// Says that nothing more will come; without it the page asks again.
    pub(crate) async fn end(&self) -> Result<(), Gone> {
        self.send("end", "").await
    }

    /// Sends one event; waits while the reader is behind. `name` is one word.
    pub(crate) async fn send(&self, name: &str, data: &str) -> Result<(), Gone> {
        let mut text = format!("event: {name}\n");
        // Every kind of line break ends a line of it (HTML, 9.2.6).
        for line in data.replace("\r\n", "\n").split(['\n', '\r']) {
            text.push_str("data: ");
            text.push_str(line);
            text.push('\n');
        }
        text.push('\n');
        self.0.send(text).await.map_err(|_| Gone)
    }
}

/// A body that tells when nobody reads it any more.
struct Told {
    channel: Channel<Bytes, Infallible>,
    _gone: DropGuard,
}

impl Body for Told {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.channel).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.channel.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.channel.size_hint()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::listen;
    use http_body_util::BodyExt as _;
    use hyper::service::service_fn;
    use std::io::ErrorKind;
    use tokio::net::{TcpListener, TcpStream};

    fn streams() -> EventStreams<u8> {
        EventStreams::new(CancellationToken::new())
    }

    /// What comes until it ends like this.
    async fn read_until(client: &TcpStream, end: &str) -> String {
        let mut seen = String::new();
        while !seen.ends_with(end) {
            client.readable().await.unwrap();
            let mut some = [0; 1024];
            match client.try_read(&mut some) {
                Ok(0) => panic!("it ended with {seen}"),
                Ok(read) => seen.push_str(std::str::from_utf8(&some[..read]).unwrap()),
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        }
        seen
    }

    #[tokio::test]
    async fn events_arrive_as_they_are_written() {
        let place = streams().place(1).unwrap();
        let response = place.respond(async |events| {
            events.send("used", "a\nb\r\nc\rd").await.unwrap();
            events.part("light", "good", &[("text", "a\n\"b")]).await.unwrap();
            events.end().await.unwrap();
        });
        assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
        assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
        let text = response.into_body().collect().await.unwrap().to_bytes();
        let expected = "event: used\ndata: a\ndata: b\ndata: c\ndata: d\n\nevent: part\ndata: {\"part\":\"light\",\"state\":\"good\",\"fields\":{\"text\":\"a\\n\\\"b\"}}\n\nevent: end\ndata: \n\n";
        assert_eq!(text, expected);
    }

    #[tokio::test]
    async fn there_is_room_for_so_many() {
        let streams = streams();
        let mut places = Vec::new();
        for session in 0..=u8::MAX {
            for _ in 0..EACH {
                places.extend(streams.place(session).ok());
            }
            assert!(streams.place(session).is_err());
        }
        assert_eq!(places.len(), MOST);
        places.pop();
        places.push(streams.place(u8::MAX).unwrap());
        drop(places);
        assert!(lock(&streams.open).is_empty());
    }

    #[tokio::test]
    async fn it_ends_with_the_server() {
        let streams = streams();
        let forever = |session| {
            let place = streams.place(session).unwrap();
            place.respond(async |events| {
                pending::<()>().await;
                drop(events);
            })
        };
        let open = [forever(1), forever(1), forever(2)];
        streams.stop.cancel();
        for ended in open {
            assert!(ended.into_body().collect().await.unwrap().to_bytes().is_empty());
        }
        // One that comes too late ends at once.
        assert!(forever(3).into_body().collect().await.unwrap().to_bytes().is_empty());
    }

    #[tokio::test]
    async fn a_place_is_free_when_the_page_goes_and_a_stop_waits_for_none() {
        let stop = CancellationToken::new();
        let streams = Arc::new(EventStreams::<u8>::new(stop.clone()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (freed, mut ended) = mpsc::channel(1);
        let shared = streams.clone();
        let serving = tokio::spawn(listen::serve(listener, stop.clone(), move |_| {
            let (streams, freed) = (shared.clone(), freed.clone());
            Some(service_fn(move |_| {
                let (place, freed) = (streams.place(1).unwrap(), freed.clone());
                let response = place.respond(async move |events: Events| {
                    events.send("here", "").await.unwrap();
                    // Dropped with the stream.
                    let _freed = freed;
                    pending::<()>().await;
                });
                std::future::ready(Ok::<_, Infallible>(response))
            }))
        }));
        let connect = async || {
            let client = TcpStream::connect(address).await.unwrap();
            client.writable().await.unwrap();
            let request = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
            assert_eq!(client.try_write(request).unwrap(), request.len());
            read_until(&client, "event: here\ndata: \n\n\r\n").await;
            client
        };
        for _ in 0..2 * EACH {
            drop(connect().await);
            while !lock(&streams.open).is_empty() {
                tokio::task::yield_now().await;
            }
        }
        let client = connect().await;
        stop.cancel();
        serving.await.unwrap();
        assert_eq!(read_until(&client, "0\r\n\r\n").await, "0\r\n\r\n");
        assert_eq!(ended.recv().await, None::<()>);
    }
}
