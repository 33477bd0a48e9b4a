//! How a connection begins: with TLS or without, and in which version of HTTP.

use super::in_time::InTime;
use crate::tls::{Certificate, HTTP2};
use std::{
    future::{Future, poll_fn},
    io::{Error, IoSlice, Result},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    net::{TcpStream, UnixStream},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// With what a client begins that knows that this server speaks HTTP/2 (RFC 9113 §3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// No request of HTTP/1.1 begins so: there is no such method.
const METHOD: usize = "PRI ".len();
/// With what a client begins that speaks TLS: the type of a record, a handshake.
const HANDSHAKE: u8 = 0x16;

/// What whoever speaks HTTP is told where TLS is spoken.
const NO_TLS: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\
    connection: close\r\n\
    content-type: text/plain\r\n\
    content-length: 52\r\n\
    \r\n\
    This port speaks HTTP over TLS: ask for https here.\n";

/// A version of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

/// A connection of which nothing has been read.
pub(crate) trait Arrival: Send + 'static {
    /// What HTTP is spoken on.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Finds out what is spoken on it.
    fn open(self) -> impl Future<Output = Result<(Self::Stream, Protocol)>> + Send;
}

/// The operator's command line.
impl Arrival for UnixStream {
    type Stream = Self;

    async fn open(self) -> Result<(Self, Protocol)> {
        Ok((self, Protocol::Http1))
    }
}

/// Whoever asks the sample upstream.
impl Arrival for TcpStream {
    type Stream = Self;

    async fn open(self) -> Result<(Self, Protocol)> {
        Ok((self, Protocol::Http1))
    }
}

/// A connection to one of the listeners.
#[derive(Debug)]
pub(crate) struct Accepted<P> {
    pub(crate) stream: InTime<P>,
    /// What to show, where TLS is spoken.
    pub(crate) certificate: Option<Arc<Certificate>>,
}

impl<P: Unpin + Send + Sync + 'static> Arrival for Accepted<P> {
    type Stream = Stream<P>;

    async fn open(self) -> Result<(Stream<P>, Protocol)> {
        match self.certificate {
            None => {
                let protocol = looked_at(&self.stream, spoken).await?;
                Ok((Stream::Plain(self.stream), protocol))
            }
            // On the heap: a connection without TLS is not to have room for it.
            Some(certificate) => Box::pin(shake_hands(self.stream, certificate)).await,
        }
    }
}

/// What `read` makes of the first bytes, once there are enough of them. They stay unread.
async fn looked_at<P, T>(stream: &InTime<P>, read: impl Fn(&[u8]) -> Option<T>) -> Result<T> {
    poll_fn(|cx| {
        let mut first = [0; PREFACE.len()];
        let mut first = ReadBuf::new(&mut first);
        ready!(stream.poll_peek(cx, &mut first))?;
        match read(first.filled()) {
            Some(found) => Poll::Ready(Ok(found)),
            // Nothing tells when more is there to be looked at, but the next beat comes.
            None => Poll::Pending,
        }
    })
    .await
}

/// Which version somebody speaks who begins so, if that is to be told yet.
fn spoken(first: &[u8]) -> Option<Protocol> {
    if first.is_empty() || !PREFACE.starts_with(first) {
        // The end, too, is HTTP/1.1's to see.
        return Some(Protocol::Http1);
    }
    (first.len() >= METHOD).then_some(Protocol::Http2)
}

async fn shake_hands<P: Unpin>(
    mut stream: InTime<P>,
    certificate: Arc<Certificate>,
) -> Result<(Stream<P>, Protocol)> {
    let first = looked_at(&stream, |first| Some(first.first().copied())).await?;
    if first != Some(HANDSHAKE) {
        if first.is_some_and(|byte| byte.is_ascii_uppercase()) {
            // What is unread when a connection is closed takes the answer with it.
            let _ = stream.read(&mut [0; 4096]).await?;
            stream.write_all(NO_TLS).await?;
            stream.shutdown().await?;
        }
        return Err(Error::other("the client does not speak TLS"));
    }
    let stream = TlsAcceptor::from(certificate.tls()).accept(stream).await?;
    let protocol = match stream.get_ref().1.alpn_protocol() {
        Some(HTTP2) => Protocol::Http2,
        _ => Protocol::Http1,
    };
    Ok((Stream::Tls(Box::new(stream)), protocol))
}

/// What HTTP is spoken on.
#[derive(Debug)]
pub(crate) enum Stream<P> {
    Plain(InTime<P>),
    Tls(Box<TlsStream<InTime<P>>>),
}

impl<P: Unpin> AsyncRead for Stream<P> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, into),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, into),
        }
    }
}

impl<P: Unpin> AsyncWrite for Stream<P> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, pieces),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, pieces),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_speaks() {
        for first in ["", "G", "GET / HTTP/1.1", "POST", "PO", "PRX", "PRI /", "PRI * HTTP/2.1"] {
            assert_eq!(spoken(first.as_bytes()), Some(Protocol::Http1), "{first}");
        }
        for length in 1..=PREFACE.len() {
            let expected = (length > 3).then_some(Protocol::Http2);
            assert_eq!(spoken(&PREFACE[..length]), expected, "{length}");
        }
    }

    #[test]
    fn whoever_is_told_is_told_all() {
        let text = str::from_utf8(NO_TLS).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.ends_with(&format!("content-length: {}", body.len())), "{text}");
    }
}
