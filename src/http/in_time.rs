//! A connection whose other end has to take what is written to it.

use std::{
    cell::Cell,
    io::IoSlice,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Sleep, sleep},
};

/// How long the other end may take to take anything at all.
const WRITE_TIME: Duration = Duration::from_mins(1);

thread_local! {
    /// Whether the client of the connection that is polled on this thread has no room for more;
    /// none: of that connection nobody asks.
    static IS_FULL: Cell<Option<bool>> = const { Cell::new(None) };
}

/// Polls a client's connection; meanwhile [`is_full`] tells of it. `was_full` is kept from one
/// time to the next.
pub(super) fn telling<T>(was_full: &mut bool, poll: impl FnOnce() -> T) -> T {
    IS_FULL.set(Some(*was_full));
    let polled = poll();
    *was_full = IS_FULL.take().unwrap_or_default();
    polled
}

/// Whether the client, whose connection is polled, has no room for more. Whoever then sends
/// nothing is polled again once there is some: else what slow readers have not taken is here
/// many times over, while the kernel has it, too.
pub(super) fn is_full() -> bool {
    IS_FULL.get().unwrap_or_default()
}

/// A connection, and what is held for as long as it is open.
#[derive(Debug)]
pub(crate) struct InTime<P = ()> {
    stream: TcpStream,
    write_time: Duration,
    /// Runs while the other end takes nothing.
    stuck: Option<Pin<Box<Sleep>>>,
    /// Whether it is a client's, of which [`is_full`] tells.
    is_clients: bool,
    _held: P,
}

impl<P> InTime<P> {
    pub(crate) fn new(stream: TcpStream, held: P) -> Self {
        Self { stream, write_time: WRITE_TIME, stuck: None, is_clients: false, _held: held }
    }

    /// A client's connection.
    pub(crate) fn of_client(stream: TcpStream, held: P) -> Self {
        Self { is_clients: true, ..Self::new(stream, held) }
    }

    /// Tells whether there is room for more, and goes on as [`Self::in_time`].
    fn told(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<std::io::Result<usize>>,
    ) -> Poll<std::io::Result<usize>> {
        if self.is_clients
            && let Some(was_full) = IS_FULL.get()
        {
            IS_FULL.set(Some(written.is_pending()));
            if was_full && written.is_ready() {
                cx.waker().wake_by_ref();
            }
        }
        self.in_time(cx, written)
    }

    /// Looks at what has come, without taking it.
    pub(crate) fn poll_peek(
        &self,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<usize>> {
        self.stream.poll_peek(cx, into)
    }

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
        let write_time = self.write_time;
        let stuck = self.stuck.get_or_insert_with(|| Box::pin(sleep(write_time)));
        stuck.as_mut().poll(cx).map(|()| Err(std::io::ErrorKind::TimedOut.into()))
    }
}

impl<P: Unpin> AsyncRead for InTime<P> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl<P: Unpin> AsyncWrite for InTime<P> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.told(cx, written)
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
        self.told(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{future::poll_fn, io::ErrorKind};
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn whoever_takes_nothing_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (_silent, _) = listener.accept().await.unwrap();
        let mut stream = InTime { write_time: Duration::from_millis(1), ..InTime::new(stream, ()) };
        let piece = [0; 1 << 14];
        let error = loop {
            if let Err(error) = poll_fn(|cx| Pin::new(&mut stream).poll_write(cx, &piece)).await {
                break error;
            }
        };
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    }
}
