//! The bytes of a connection to an upstream, plain or by TLS.
//!
//! What was sent of a request that may be sent again is remembered until the upstream says
//! something: by then it has been copied into the connection's own memory, which is there
//! for the next request, while to copy the request itself would take memory for each.

use super::connect::Place;
use crate::http::in_time;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, uri::PathAndQuery};
use std::{
    io::IoSlice,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf, Take};
use tokio_rustls::client::TlsStream;

/// A connection, and its place.
type InTime = in_time::InTime<Place>;

/// How much is read at once. hyper makes room for twice as much, and has a piece of it on the
/// way to the client: more is faster by little, and each slow reader costs it.
const PIECE: u64 = 16 * 1024;

/// A connection's bytes.
pub(super) struct Io {
    stream: Take<Stream>,
    tape: Tape,
}

enum Stream {
    Plain(InTime),
    Tls(Box<TlsStream<InTime>>),
}

impl Io {
    pub(super) fn plain(stream: InTime) -> Self {
        Self { stream: Stream::Plain(stream).take(PIECE), tape: Tape::default() }
    }

    pub(super) fn tls(stream: TlsStream<InTime>) -> Self {
        Self { stream: Stream::Tls(Box::new(stream)).take(PIECE), tape: Tape::default() }
    }

    /// The request that was sent last, where it was sent whole, has no body, and nothing has
    /// come in answer.
    pub(super) fn unanswered(self) -> Option<Request<()>> {
        self.tape.unanswered()
    }
}

macro_rules! on_stream {
    ($io:expr, $stream:ident => $done:expr) => {
        match $io {
            Stream::Plain($stream) => {
                let $stream = Pin::new($stream);
                $done
            }
            Stream::Tls($stream) => {
                let $stream = Pin::new(&mut **$stream);
                $done
            }
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        on_stream!(&mut *self, stream => stream.poll_read(cx, into))
    }
}

impl AsyncRead for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = into.filled().len();
        self.stream.set_limit(PIECE);
        let read = Pin::new(&mut self.stream).poll_read(cx, into);
        self.tape.has_heard |= into.filled().len() > before;
        read
    }
}

impl AsyncWrite for Io {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let written = on_stream!(self.stream.get_mut(), stream => stream.poll_write(cx, bytes));
        if let Poll::Ready(Ok(length)) = written {
            self.tape.note(&bytes[..length]);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        on_stream!(self.stream.get_mut(), stream => stream.poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        on_stream!(self.stream.get_mut(), stream => stream.poll_shutdown(cx))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        let written =
            on_stream!(self.stream.get_mut(), stream => stream.poll_write_vectored(cx, pieces));
        if let Poll::Ready(Ok(mut length)) = written {
            for piece in pieces {
                let noted = length.min(piece.len());
                self.tape.note(&piece[..noted]);
                length -= noted;
            }
        }
        written
    }

    fn is_write_vectored(&self) -> bool {
        match self.stream.get_ref() {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }
}

/// What was written since something was read.
struct Tape {
    written: Vec<u8>,
    /// Whether something was read since something was written.
    has_heard: bool,
    /// Whether all is kept that was written.
    is_whole: bool,
    /// Whether this is the connection's first request. If that fails it is no accident.
    is_first: bool,
}

/// The most that is remembered.
const LONGEST: usize = 8 * 1024;

/// What may be sent twice begins like this (RFC 9110 §9.2.2).
const REPEATABLE: [&[u8]; 5] = [b"GET ", b"HEAD ", b"OPTIONS ", b"DELETE ", b"TRACE "];

/// Whether asking twice comes to the same.
pub(super) fn is_repeatable(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::DELETE | Method::TRACE)
}

impl Default for Tape {
    fn default() -> Self {
        Self { written: Vec::new(), has_heard: false, is_whole: false, is_first: true }
    }
}

impl Tape {
    fn note(&mut self, bytes: &[u8]) {
        if self.has_heard {
            // Nobody writes ahead here: this begins a request.
            self.has_heard = false;
            self.is_first = false;
            self.written.clear();
            self.is_whole = REPEATABLE.iter().any(|word| bytes.starts_with(word));
        }
        if self.is_whole {
            self.is_whole = self.written.len() + bytes.len() <= LONGEST;
            if self.is_whole {
                self.written.extend_from_slice(bytes);
            }
        }
    }

    fn unanswered(self) -> Option<Request<()>> {
        let is_sure = self.is_whole && !self.has_heard && !self.is_first;
        is_sure.then(|| read(&self.written)).flatten()
    }
}

/// A request without a body, as hyper writes one.
fn read(bytes: &[u8]) -> Option<Request<()>> {
    let mut lines = bytes.strip_suffix(b"\r\n\r\n")?.split(|byte| *byte == b'\n');
    let mut words = lines.next()?.trim_ascii_end().split(|byte| *byte == b' ');
    let method = Method::from_bytes(words.next()?).ok()?;
    let target = PathAndQuery::try_from(words.next()?).ok()?;
    let mut headers = HeaderMap::new();
    for line in lines {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let colon = line.iter().position(|byte| *byte == b':')?;
        let name = HeaderName::from_bytes(&line[..colon]).ok()?;
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?;
        headers.append(name, value);
    }
    let mut request = Request::new(());
    *request.method_mut() = method;
    *request.uri_mut() = Uri::from(target);
    *request.headers_mut() = headers;
    Some(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENT: &[u8] =
        b"GET /a?b=c HTTP/1.1\r\nhost: x\r\nx-two: 1\r\nx-two: \xe9: 2\r\nempty: \r\n\r\n";

    /// The tape of a connection that has carried a request before, then these pieces.
    fn tape(pieces: &[&[u8]]) -> Tape {
        let mut tape = Tape::default();
        tape.note(b"GET / HTTP/1.1\r\n\r\n");
        tape.has_heard = true;
        for piece in pieces {
            tape.note(piece);
        }
        tape
    }

    #[test]
    fn what_was_sent_can_be_sent_again() {
        for cut in [0, 1, 40, SENT.len()] {
            let again = tape(&[&SENT[..cut.max(4)], &SENT[cut.max(4)..]]).unanswered().unwrap();
            assert_eq!((again.method(), again.uri().to_string()), (&Method::GET, "/a?b=c".into()));
            let headers: Vec<_> = again
                .headers()
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_bytes()))
                .collect();
            let sent: [(&str, &[u8]); 4] =
                [("host", b"x"), ("x-two", b"1"), ("x-two", b"\xe9: 2"), ("empty", b"")];
            assert_eq!(headers, sent);
        }
    }

    #[test]
    fn what_is_not_sure_is_not() {
        let mut first = Tape::default();
        first.note(SENT);
        let mut heard = tape(&[SENT]);
        heard.has_heard = true;
        let long = [b"GET /", &*vec![b'a'; LONGEST], b" HTTP/1.1\r\n\r\n"].concat();
        let body = [b"DELETE".as_slice(), &SENT[3..], b"body"].concat();
        let posted = [b"POST".as_slice(), &SENT[3..]].concat();
        for tape in [
            first,
            heard,
            tape(&[&SENT[..SENT.len() - 1]]),
            tape(&[&long]),
            tape(&[&body]),
            tape(&[&posted]),
            tape(&[]),
        ] {
            assert!(tape.unanswered().is_none());
        }
    }

    #[test]
    fn both_lists_of_methods_are_one() {
        for word in REPEATABLE {
            assert!(is_repeatable(&Method::from_bytes(word.trim_ascii_end()).unwrap()));
        }
        for method in [Method::POST, Method::PATCH, Method::PUT, Method::CONNECT] {
            assert!(!is_repeatable(&method), "{method}");
        }
    }
}
