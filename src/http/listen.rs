//! Listening: connections are accepted, served over HTTP/1.1 and ended gracefully.

use super::{
    beat::{Beats, keeping_deadlines},
    head,
};
use hyper::{
    body::{Body, Incoming},
    server::conn::http1::{Builder, UpgradeableConnection},
    service::HttpService,
};
use hyper_util::rt::TokioIo;
use std::{
    future::poll_fn,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    sync::Notify,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How long a client may take to send a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(20);
/// How long requests that are under way have to end, once the server is asked to stop.
const GRACE: Duration = Duration::from_secs(30);

/// Something that connections come from.
pub(crate) trait Listener: Send + 'static {
    /// The connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;
    /// Who is at the other end.
    type Peer: Send;

    /// The next connection.
    fn next(&mut self) -> impl Future<Output = std::io::Result<(Self::Stream, Self::Peer)>> + Send;
}

impl Listener for TcpListener {
    type Stream = TcpStream;
    type Peer = SocketAddr;

    async fn next(&mut self) -> std::io::Result<(TcpStream, SocketAddr)> {
        let (stream, peer) = self.accept().await?;
        // An answer is written at once; waiting to fill a packet only delays it.
        stream.set_nodelay(true)?;
        Ok((stream, peer))
    }
}

impl Listener for UnixListener {
    type Stream = UnixStream;
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
    S: HttpService<Incoming, ResBody = B> + Send + 'static,
    S::Future: Send,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut http = Builder::new();
    http.timer(Beats).header_read_timeout(HEAD_TIMEOUT).max_buf_size(head::READ);
    let (connections, stopping) = (TaskTracker::new(), Arc::<Stopping>::default());
    loop {
        let accepted = tokio::select! {
            accepted = listener.next() => accepted,
            () = stop.cancelled() => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Mostly no file descriptor is left. Those that are open will end.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let Some(service) = service(peer) else { continue };
        let connection = http.serve_connection(TokioIo::new(stream), service).with_upgrades();
        connections.spawn(keeping_deadlines(converse(connection, stopping.clone())));
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
struct Stopping {
    has_begun: AtomicBool,
    told: Notify,
}

impl Stopping {
    fn begin(&self) {
        self.has_begun.store(true, Ordering::SeqCst);
        self.told.notify_waiters();
    }

    fn has_begun(&self) -> bool {
        self.has_begun.load(Ordering::SeqCst)
    }
}

/// Serves one connection to its end, which is that of the request under way once the
/// server stops.
async fn converse<I, S, B>(
    connection: UpgradeableConnection<TokioIo<I>, S>,
    stopping: Arc<Stopping>,
) where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: HttpService<Incoming, ResBody = B>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    B: Body + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut connection = pin!(connection);
    let mut told = pin!(stopping.told.notified());
    let (mut is_waiting, mut is_last) = (false, false);
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
        connection.as_mut().poll(cx)
    });
    if let Err(error) = ended.await {
        tracing::debug!(%error, "a connection ended early");
    }
}
