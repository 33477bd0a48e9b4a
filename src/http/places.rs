//! Places for connections: as many as there are file descriptors to spare.
//!
//! What strangers open must leave enough for the database and for the operator,
//! who may want to revoke a token just then.

use super::listen::Listener;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::{
    io::IoSlice,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Sleep, sleep},
};

/// Descriptors for the database, the listeners and the operator.
const RESERVE: u64 = 128;
/// What a connection to the gateway takes: itself, one to the upstream, and one there
/// that waits to be used again.
const EACH: u64 = 3;
/// How long the other end may take to take anything at all.
const WRITE_TIME: Duration = Duration::from_mins(1);
/// The most that are of use to one process.
const MOST: u64 = 1 << 20;

/// The places that this process has, shared out.
#[derive(Debug)]
pub(crate) struct Places {
    /// For the gateway, where strangers are.
    pub(crate) public: Arc<Semaphore>,
    /// For each of the three other listeners: a connection there takes one descriptor.
    private: usize,
}

impl Places {
    /// How many places this process's limit has room for.
    pub(crate) fn in_all() -> usize {
        let limit = getrlimit(Resource::Nofile).current.unwrap_or(MOST).min(MOST);
        usize::try_from(limit.saturating_sub(RESERVE) / EACH).unwrap_or(1).max(1)
    }

    /// Raises this process's limit as far as it may, and divides what it then is.
    pub(crate) fn of_process() -> Self {
        let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
        let wanted = maximum.unwrap_or(MOST).min(MOST);
        if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum }) {
            tracing::debug!(%error, "the limit of file descriptors stays as it is");
        }
        let places = Self::in_all();
        let private = (places / 4).max(1);
        let public = places.saturating_sub(private).max(1);
        tracing::debug!(public, private, "places for connections");
        Self { public: Arc::new(Semaphore::new(public)), private }
    }

    /// For one of the other listeners. A flood at the gateway or at the management API,
    /// where strangers are too, must not keep proxies from asking, nor whoever watches out.
    pub(crate) fn of_listener(&self) -> Arc<Semaphore> {
        Arc::new(Semaphore::new(self.private))
    }
}

/// A listener that accepts no more than there are places for.
#[derive(Debug)]
pub(crate) struct Bounded {
    pub(crate) listener: TcpListener,
    pub(crate) places: Arc<Semaphore>,
}

impl Listener for Bounded {
    type Stream = Placed;
    type Peer = SocketAddr;

    async fn next(&mut self) -> std::io::Result<(Placed, SocketAddr)> {
        // The semaphore is never closed.
        let place = self.places.clone().acquire_owned().await.map_err(std::io::Error::other)?;
        let (stream, peer) = self.listener.next().await?;
        Ok((Placed { stream, stuck: None, _place: place }, peer))
    }
}

/// A connection in its place.
#[derive(Debug)]
pub(crate) struct Placed {
    stream: TcpStream,
    /// Runs while the other end takes nothing.
    stuck: Option<Pin<Box<Sleep>>>,
    _place: OwnedSemaphorePermit,
}

impl Placed {
    /// Passes `written` on, or says that the other end has taken nothing for too long.
    fn in_time<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<std::io::Result<T>>,
    ) -> Poll<std::io::Result<T>> {
        if written.is_ready() {
            self.stuck = None;
            return written;
        }
        let stuck = self.stuck.get_or_insert_with(|| Box::pin(sleep(WRITE_TIME)));
        stuck.as_mut().poll(cx).map(|()| Err(std::io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Placed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl AsyncWrite for Placed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.in_time(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        let written = Pin::new(&mut self.stream).poll_flush(cx);
        self.in_time(cx, written)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        let stream = Pin::new(&mut self.stream);
        let written = match pieces {
            // The kernel has a shorter way for one piece, which most answers are.
            [piece] => stream.poll_write(cx, piece),
            _ => stream.poll_write_vectored(cx, pieces),
        };
        self.in_time(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
