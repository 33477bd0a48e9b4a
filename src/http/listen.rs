//! Listening: connections are accepted, served over HTTP and ended gracefully.

use super::{
    arrival::{Arrival, Protocol},
    beat::{Beats, Deadline, keeping_deadlines},
    head, http2, in_time,
    places::Room,
};
use bytes::Bytes;
use http::{Request, Response};
use hyper::{
    body::{Body, Incoming},
    server::conn::http1::{Builder, UpgradeableConnection},
    service::{HttpService, Service},
};
use hyper_util::rt::TokioIo;
use std::{
    future::poll_fn,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    sync::{Notify, futures::Notified},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How long a client may take to send a request's head; and before that, to begin and to
/// shake hands.
pub(super) const HEAD_TIMEOUT: Duration = Duration::from_secs(20);
/// How long requests that are under way have to end, once the server is asked to stop.
const GRACE: Duration = Duration::from_secs(30);

/// Something that connections come from.
pub(crate) trait Listener: Send + 'static {
    /// The connection, of which nothing has been read.
    type Arrival: Arrival;
    /// Who is at the other end.
    type Peer: Send;

    /// The next connection.
    fn next(&mut self)
    -> impl Future<Output = std::io::Result<(Self::Arrival, Self::Peer)>> + Send;

    /// The places of its connections, where they are counted.
    fn room(&self) -> Option<Room> {
        None
    }
}

impl Listener for TcpListener {
    type Arrival = TcpStream;
    type Peer = SocketAddr;

    async fn next(&mut self) -> std::io::Result<(TcpStream, SocketAddr)> {
        let (stream, peer) = self.accept().await?;
        // An answer is written at once; waiting to fill a packet only delays it.
        stream.set_nodelay(true)?;
        Ok((stream, peer))
    }
}

impl Listener for UnixListener {
    type Arrival = UnixStream;
    /// The peer's user id.
    type Peer = u32;

    async fn next(&mut self) -> std::io::Result<(UnixStream, u32)> {
        let (stream, _) = self.accept().await?;
        let user = stream.peer_cred()?.uid();
        Ok((stream, user))
    }
}

/// Serves until `stop`, then lets what is under way end. `service` makes the
/// service of one connection from its peer, or refuses the connection.
pub(crate) async fn serve<L, S, B>(
    mut listener: L,
    stop: CancellationToken,
    service: impl Fn(L::Peer) -> Option<S>,
) where
    L: Listener,
    S: Service<Request<Incoming>, Response = Response<B>> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    B: Body<Data = Bytes> + Unpin + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut http = Builder::new();
    http.timer(Beats).header_read_timeout(HEAD_TIMEOUT).max_buf_size(head::READ);
    let http = Arc::new(http);
    let (connections, stopping) =
        (TaskTracker::new(), Arc::new(Stopping::in_room(listener.room())));
    loop {
        let accepted = tokio::select! {
            accepted = listener.next() => accepted,
            () = stop.cancelled() => break,
        };
        let (arrival, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Mostly no file descriptor is left. Those that are open will end.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let Some(service) = service(peer) else { continue };
        let (http, stopping) = (http.clone(), stopping.clone());
        connections.spawn(keeping_deadlines(async move {
            match opened(arrival, &stopping).await {
                Some((stream, Protocol::Http1)) => {
                    let connection = http.serve_connection(TokioIo::new(stream), service);
                    let mut connection = connection.with_upgrades();
                    converse(Pin::new(&mut connection), &stopping).await;
                }
                // On the heap: a connection with HTTP/1.1 is not to have room for it.
                Some((stream, Protocol::Http2)) => {
                    Box::pin(http2::converse(stream, service, stopping)).await;
                }
                None => {}
            }
        }));
    }
    drop(listener);
    stopping.begin();
    connections.close();
    if tokio::time::timeout(GRACE, connections.wait()).await.is_err() {
        tracing::warn!("requests that were still under way have been cut off");
    }
}

/// Whether the server has been asked to stop. Connections look at it each time that they
/// are polled.
#[derive(Debug, Default)]
pub(super) struct Stopping {
    room: Option<Room>,
    has_begun: AtomicBool,
    told: Notify,
}

impl Stopping {
    fn in_room(room: Option<Room>) -> Self {
        Self { room, ..Self::default() }
    }

    /// Whether hardly any place is left for other connections.
    pub(super) fn is_crowded(&self) -> bool {
        self.room.as_ref().is_some_and(Room::is_crowded)
    }

    fn begin(&self) {
        self.has_begun.store(true, Ordering::SeqCst);
        self.told.notify_waiters();
    }

    pub(super) fn has_begun(&self) -> bool {
        self.has_begun.load(Ordering::SeqCst)
    }

    /// Wakes whoever polls it once it has begun.
    pub(super) fn told(&self) -> Notified<'_> {
        self.told.notified()
    }
}

/// A connection as HTTP is spoken on it; none where it ends before.
async fn opened<A: Arrival>(arrival: A, stopping: &Stopping) -> Option<(A::Stream, Protocol)> {
    let mut opening = pin!(arrival.open());
    let mut told = pin!(stopping.told());
    let (end, soon) = (Deadline::after(HEAD_TIMEOUT), Deadline::after(Duration::ZERO));
    let opened = poll_fn(|cx| {
        if let Poll::Ready(opened) = opening.as_mut().poll(cx) {
            return Poll::Ready(opened.map_err(|error| error.to_string()));
        }
        let _ = told.as_mut().poll(cx);
        if stopping.has_begun() || end.is_over() || soon.is_over() && stopping.is_crowded() {
            return Poll::Ready(Err("it took too long to begin".to_owned()));
        }
        Poll::Pending
    });
    match opened.await {
        Ok(opened) => Some(opened),
        Err(error) => {
            tracing::debug!(error, "a connection ended early");
            None
        }
    }
}

/// Serves one connection to its end, which is that of the request under way once the
/// server stops.
///
/// It is lent the connection: moved, there would be room for it twice.
async fn converse<I, S, B>(
    mut connection: Pin<&mut UpgradeableConnection<TokioIo<I>, S>>,
    stopping: &Stopping,
) where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: HttpService<Incoming, ResBody = B>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    B: Body + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut told = pin!(stopping.told());
    let (mut is_waiting, mut is_last, mut was_full) = (false, false, false);
    let soon = Deadline::after(Duration::ZERO);
    let ended = poll_fn(|cx| {
        if !is_waiting {
            // Asked once, it wakes this task; asked each time, it would take a lock.
            let _ = told.as_mut().poll(cx);
            is_waiting = true;
        }
        // Where others find no place, none is kept for what may come.
        let makes_room = || soon.is_over() && stopping.is_crowded();
        if !is_last && (stopping.has_begun() || makes_room()) {
            connection.as_mut().graceful_shutdown();
            is_last = true;
        }
        in_time::telling(&mut was_full, || connection.as_mut().poll(cx))
    });
    if let Err(error) = ended.await {
        tracing::debug!(%error, "a connection ended early");
    }
}
