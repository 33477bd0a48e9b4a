//! HTTP/2: its limits, its streams, and how a request that came over it reads elsewhere.
//!
//! Each request is a stream, and a task of its own. The library bounds what a peer may do to
//! a connection (resets, continuations, settings, pings); here is what it does not: a client
//! that takes nothing of one stream, and a connection that nobody uses.

use super::{
    beat::{Beats, Deadline, keeping_deadlines},
    head,
    listen::{HEAD_TIMEOUT, Stopping},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, header};
use http_body::{Body, Frame, SizeHint};
use hyper::{body::Incoming, rt::Executor, server::conn::http2::Builder, service::Service};
use hyper_util::rt::TokioIo;
use std::{
    cell::Cell,
    future::poll_fn,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::io::{AsyncRead, AsyncWrite};

/// How many requests may be under way on one connection.
const STREAMS: u32 = 128;
/// How many requests a client may take back before anybody has looked at them.
const TAKEN_BACK: usize = 20;
/// How many requests on one connection may be malformed.
const MALFORMED: usize = 256;
/// How much of one upload is held that nobody has read yet; and of all on a connection.
const UPLOAD: u32 = 256 * 1024;
const UPLOADS: u32 = 1024 * 1024;
/// How much of one download is held that the client has not taken yet.
const DOWNLOAD: usize = 64 * 1024;
/// The largest piece in which a body is passed on: a frame's.
const PIECE: usize = 16 * 1024;
/// How long a client may take to take one piece.
const WRITE_TIME: Duration = Duration::from_mins(1);
/// How long a connection may be quiet before the client is asked whether it is still there,
/// and how long it has for the answer.
const QUIET: Duration = Duration::from_secs(30);
const ANSWER: Duration = Duration::from_secs(20);
/// How long a connection is kept on which nothing is asked.
const IDLE: Duration = Duration::from_mins(2);
/// How long the client then has to take what is left.
const LAST: Duration = Duration::from_mins(1);

/// Serves one connection to its end, which is that of the requests under way once the
/// server stops.
pub(super) async fn converse<I, S, B>(stream: I, service: S, stopping: Arc<Stopping>)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<Request<Incoming>, Response = Response<B>> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    B: Body<Data = Bytes> + Unpin + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let streams = Streams::default();
    let mut http = Builder::new(streams.clone());
    http.timer(Beats)
        .max_concurrent_streams(STREAMS)
        .max_pending_accept_reset_streams(TAKEN_BACK)
        .max_local_error_reset_streams(MALFORMED)
        .max_header_list_size(u32::try_from(head::READ).unwrap_or(u32::MAX))
        .initial_stream_window_size(UPLOAD)
        .initial_connection_window_size(UPLOADS)
        .max_send_buf_size(DOWNLOAD)
        .keep_alive_interval(QUIET)
        .keep_alive_timeout(ANSWER);
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), Translated(service)));
    let mut told = pin!(stopping.told());
    let (mut is_waiting, mut is_last) = (false, false);
    let mut seen = 0;
    let mut idle = Deadline::after(HEAD_TIMEOUT);
    let mut soon = Deadline::after(Duration::ZERO);
    let ended = poll_fn(|cx| {
        if !is_waiting {
            // Asked once, it wakes this task; asked each time, it would take a lock.
            let _ = told.as_mut().poll(cx);
            is_waiting = true;
        }
        if !is_last && stopping.has_begun() {
            connection.as_mut().graceful_shutdown();
            is_last = true;
        }
        loop {
            if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
                return Poll::Ready(ended.map_err(|error| error.to_string()));
            }
            let begun = streams.0.begun.load(Ordering::Relaxed);
            if begun != seen || streams.0.open.load(Ordering::Relaxed) > 0 {
                seen = begun;
                soon = Deadline::after(Duration::ZERO);
                idle = Deadline::after(if is_last { LAST } else { IDLE });
            }
            // Where others find no place, none is kept for what may come.
            let makes_room = || !is_last && soon.is_over() && stopping.is_crowded();
            if !idle.is_over() && !makes_room() {
                return Poll::Pending;
            }
            if is_last {
                return Poll::Ready(Err("the client does not take what is left".to_owned()));
            }
            connection.as_mut().graceful_shutdown();
            is_last = true;
            idle = Deadline::after(LAST);
        }
    });
    if let Err(error) = ended.await {
        tracing::debug!(error, "a connection ended early");
    }
}

/// The streams of one connection.
#[derive(Debug, Clone, Default)]
struct Streams(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    open: AtomicUsize,
    /// Since the connection began.
    begun: AtomicUsize,
}

/// One of them, for as long as it is open.
struct Counted(Arc<Counts>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        self.0.begun.fetch_add(1, Ordering::Relaxed);
        self.0.open.fetch_add(1, Ordering::Relaxed);
        let counted = Counted(self.0.clone());
        // Moved on its way, there would be room for it several times.
        let stream = Box::pin(stream);
        tokio::spawn(keeping_deadlines(async move {
            taken_in_time(stream, WRITE_TIME).await;
            drop(counted);
        }));
    }
}

thread_local! {
    /// Whether the stream that is polled on this thread has got as far as to ask us for
    /// something: the answer, or the next piece of it.
    static HAS_ASKED: Cell<bool> = const { Cell::new(false) };
}

/// Passes a stream's answer on, until the client has taken nothing of it for too long. A
/// stream that asks for nothing waits for the client, who alone opens its window.
async fn taken_in_time(mut stream: impl Future<Output = ()> + Unpin, patience: Duration) {
    let mut stuck: Option<Deadline> = None;
    poll_fn(|cx| {
        HAS_ASKED.set(false);
        if Pin::new(&mut stream).poll(cx).is_ready() {
            return Poll::Ready(());
        }
        if HAS_ASKED.get() {
            stuck = None;
            return Poll::Pending;
        }
        if stuck.get_or_insert_with(|| Deadline::after(patience)).is_over() {
            // Dropped, it is reset.
            tracing::debug!("a client took nothing of an answer for too long");
            return Poll::Ready(());
        }
        Poll::Pending
    })
    .await;
}

/// A service that is asked over HTTP/2.
struct Translated<S>(S);

impl<S, B> Service<Request<Incoming>> for Translated<S>
where
    S: Service<Request<Incoming>, Response = Response<B>>,
    S::Future: Send + 'static,
{
    type Response = Response<Asked<B>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        translate(&mut request);
        let mut answering = Box::pin(self.0.call(request));
        Box::pin(async move {
            let answer = poll_fn(|cx| {
                HAS_ASKED.set(true);
                answering.as_mut().poll(cx)
            });
            Ok(answer.await?.map(|body| Asked { body, rest: Bytes::new() }))
        })
    }
}

/// Has a request say what it says as HTTP/1.1 has it (RFC 9113 §8), for whoever reads it next.
fn translate<B>(request: &mut Request<B>) {
    let host = request.uri().authority().and_then(|host| HeaderValue::try_from(host.as_str()).ok());
    let headers = request.headers_mut();
    if let Some(host) = host {
        // One that says something else stays, and is refused.
        headers.entry(header::HOST).or_insert(host);
    }
    join_cookies(headers);
    // The library has seen to it that all of them say the same.
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    if let (Some(length), Some(_)) = (lengths.next().cloned(), lengths.next()) {
        headers.insert(header::CONTENT_LENGTH, length);
    }
}

/// Cookies may come one by one, and go on as one field (RFC 9113 §8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let mut crumbs = headers.get_all(header::COOKIE).iter();
    if let (Some(_), Some(_)) = (crumbs.next(), crumbs.next()) {
        let crumbs: Vec<_> =
            headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
        if let Ok(whole) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])) {
            headers.insert(header::COOKIE, whole);
        }
    }
}

/// An answer's body, in pieces of a frame's size.
struct Asked<B> {
    body: B,
    /// What is left of the piece before.
    rest: Bytes,
}

impl<B: Body<Data = Bytes> + Unpin> Body for Asked<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        HAS_ASKED.set(true);
        let this = self.get_mut();
        if this.rest.is_empty() {
            match Pin::new(&mut this.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(piece) => this.rest = piece,
                    Err(frame) => return Poll::Ready(Some(Ok(frame))),
                },
                other => return other,
            }
        }
        let piece = this.rest.split_to(this.rest.len().min(PIECE));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.body.size_hint();
        let rest = self.rest.len() as u64;
        if let Some(most) = hint.upper() {
            hint.set_upper(most + rest);
        }
        hint.set_lower(hint.lower() + rest);
        hint
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::{BodyExt as _, Full};
    use hyper::service::service_fn;
    use std::convert::Infallible;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        sync::mpsc,
    };

    /// Runs streams whose clients are to take what they get at once, and says when one is over.
    #[derive(Clone)]
    struct Impatient(mpsc::UnboundedSender<()>);

    impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Impatient {
        fn execute(&self, stream: F) {
            let over = self.0.clone();
            tokio::spawn(async move {
                keeping_deadlines(taken_in_time(Box::pin(stream), Duration::ZERO)).await;
                over.send(()).unwrap();
            });
        }
    }

    #[tokio::test]
    async fn whoever_takes_nothing_of_an_answer_is_given_up() {
        let (mut client, server) = tokio::io::duplex(1 << 16);
        let (over, mut all_over) = mpsc::unbounded_channel();
        let service = service_fn(|_| async {
            let large = Bytes::from(vec![7; 4 * PIECE]);
            Ok::<_, Infallible>(Response::new(Full::new(large)))
        });
        let http = Builder::new(Impatient(over));
        tokio::spawn(http.serve_connection(TokioIo::new(server), Translated(service)));
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        // Windows of nothing, and then GET / of the host a.
        let settings = b"\0\0\x06\x04\0\0\0\0\0\0\x04\0\0\0\0";
        let request = b"\0\0\x06\x01\x05\0\0\0\x01\x82\x86\x84\x41\x01a";
        client.write_all(&[&preface[..], settings, request].concat()).await.unwrap();
        all_over.recv().await.unwrap();
        let mut kinds = Vec::new();
        // Until the stream is reset.
        while !kinds.contains(&3) {
            let mut head = [0; 9];
            client.read_exact(&mut head).await.unwrap();
            let [a, b, c, kind, ..] = head;
            let mut content = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
            client.read_exact(&mut content).await.unwrap();
            kinds.push(kind);
        }
        assert!(kinds.contains(&1) && !kinds.contains(&0), "a head, no data: {kinds:?}");
    }

    fn translated(request: http::request::Builder) -> Request<()> {
        let mut request = request.body(()).unwrap();
        translate(&mut request);
        request
    }

    #[test]
    fn the_authority_is_the_host_unless_somebody_says_otherwise() {
        let request = || Request::builder().uri("https://api.example.com:8443/x");
        assert_eq!(translated(request()).headers()[header::HOST], "api.example.com:8443");
        let other = translated(request().header("host", "other"));
        assert_eq!(other.headers().get_all(header::HOST).iter().collect::<Vec<_>>(), ["other"]);
        assert!(translated(Request::builder().uri("/x")).headers().is_empty());
    }

    #[test]
    fn what_may_be_said_in_parts_is_said_at_once() {
        let request = Request::builder().header("cookie", "a=1; b=2").header("cookie", "c=3");
        let request = request.header("content-length", "7").header("content-length", "7");
        let request = translated(request.header("x-other", "1").header("x-other", "2"));
        let all = |name| request.headers().get_all(name).iter().collect::<Vec<_>>();
        assert_eq!(all("cookie"), ["a=1; b=2; c=3"]);
        assert_eq!(all("content-length"), ["7"]);
        assert_eq!(all("x-other"), ["1", "2"]);
    }

    #[tokio::test]
    async fn pieces_are_no_larger_than_a_frame() {
        let text: Bytes = (0..PIECE * 2 + 5).map(|n| u8::try_from(n % 251).unwrap()).collect();
        let mut body = Asked { body: Full::new(text.clone()), rest: Bytes::new() };
        let (mut whole, mut left) = (Vec::new(), text.len());
        assert_eq!(body.size_hint().exact(), Some(left as u64));
        while let Some(frame) = body.frame().await {
            let piece = frame.unwrap().into_data().unwrap();
            assert!(piece.len() <= PIECE);
            left -= piece.len();
            assert_eq!(body.size_hint().exact(), Some(left as u64));
            assert_eq!(body.is_end_stream(), left == 0);
            whole.extend(piece);
        }
        assert_eq!(whole, text);
    }
}
