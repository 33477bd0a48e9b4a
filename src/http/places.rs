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
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};

/// Descriptors for the database, the listeners and the operator.
const RESERVE: u64 = 128;
/// What a connection takes: itself, and one to the upstream.
const EACH: u64 = 2;
/// The most that are of use to one process.
const MOST: u64 = 1 << 20;

/// Places that all public listeners share.
#[derive(Debug, Clone)]
pub(crate) struct Places(Arc<Semaphore>);

impl Places {
    /// Raises this process's limit as far as it may, and divides what it then is.
    pub(crate) fn of_process() -> Self {
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        let wanted = maximum.unwrap_or(MOST).min(MOST);
        let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum });
        let limit = if raised.is_ok() { wanted } else { current.unwrap_or(wanted) };
        let places = usize::try_from(limit.saturating_sub(RESERVE) / EACH).unwrap_or(1).max(1);
        tracing::debug!(file_descriptors = limit, connections = places, "limits");
        Self(Arc::new(Semaphore::new(places)))
    }
}

/// A listener that accepts no more than there are places for.
#[derive(Debug)]
pub(crate) struct Bounded {
    pub(crate) listener: TcpListener,
    pub(crate) places: Places,
}

impl Listener for Bounded {
    type Stream = Placed;
    type Peer = SocketAddr;

    async fn next(&mut self) -> std::io::Result<(Placed, SocketAddr)> {
        // The semaphore is never closed.
        let place = self.places.0.clone().acquire_owned().await.map_err(std::io::Error::other)?;
        let (stream, peer) = self.listener.next().await?;
        Ok((Placed { stream, _place: place }, peer))
    }
}

/// A connection in its place.
#[derive(Debug)]
pub(crate) struct Placed {
    stream: TcpStream,
    _place: OwnedSemaphorePermit,
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
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
